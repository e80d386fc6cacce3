"""Put the tables of the parts of a scattered rule together."""

from pathlib import Path

from whatyouread import cli
from whatyouread.gathering import gather_tables

if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--parts", nargs="+", type=Path, required=True, help="in their order")
    arguments.add_argument("--table", type=Path, required=True, help="Parquet to write")
    cli.run(arguments, lambda args: gather_tables(args.parts, args.table))
