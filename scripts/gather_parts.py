"""Join the tables of several jobs, each for one part of the sequences."""

from pathlib import Path

from whatyouread.support import cli
from whatyouread.support.parts import gather_tables

if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--parts", nargs="+", type=Path, required=True, help="in their order")
    arguments.add_argument("--table", type=Path, required=True, help="Parquet to write")
    cli.run(arguments, lambda args: gather_tables(args.parts, args.table))
