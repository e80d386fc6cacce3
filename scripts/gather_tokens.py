"""Put the token files of the parts of a scattered tokenization together."""

from pathlib import Path

import pandas as pd

from whatyouread import cli, files
from whatyouread.gathering import gather_tokens
from whatyouread.tokenization import OUTPUTS


def main(args):
    parts = [Path(part) for part in args.parts]
    outputs = [getattr(args, name) for name in OUTPUTS]
    names = [path.name for path in outputs]
    gather_tokens([[part / name for name in names] for part in parts], outputs, args.ranks)
    counts = pd.concat([pd.read_csv(part / args.summary.name, sep="\t") for part in parts])
    summary = counts.groupby("file", sort=False)
    summary = summary.agg({"sequences": "sum", "tokens": "sum", "longest": "max"}).reset_index()
    files.write_tsv(args.summary, summary)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--parts", nargs="+", required=True, help="folders, in their order")
    arguments.add_argument("--ranks", nargs="+", required=True)
    for name in OUTPUTS:
        option = f"--{name.replace('_', '-')}"
        arguments.add_argument(option, type=Path, required=True, help="Arrow file to write")
    arguments.add_argument("--summary", type=Path, required=True)
    cli.run(arguments, main)
