"""Score all methods and their controls against evidence that somebody marked in the sequences."""

from pathlib import Path

import numpy as np

from whatyouread.support import cli


def main(args):
    from whatyouread.data.planted import read_planted
    from whatyouread.data.token_files import TokenFile
    from whatyouread.evaluate.evidence_table import write_table
    from whatyouread.evaluate.evidence_values import evidence_values, write_values
    from whatyouread.methods.files import read_attributions

    file = TokenFile(args.sequences, args.ranks)
    methods = {
        path.stem: read_attributions(path, args.ranks)["plain"] for path in args.attributions
    }
    for path, made in zip(args.attributions, methods.values(), strict=True):
        if not np.array_equal(made.keys, file.keys):
            raise cli.UserError(
                f"{path} is not of the sequences in {args.sequences}: make it again"
            )
    planted = read_planted(args.planted)
    whole = TokenFile(args.test, args.ranks) if args.test else None
    values = evidence_values(file, methods, planted, args.masks, args.seed, whole)
    write_values(args.values, values)
    write_table(values, args.resamples, args.seed, args.table, args.markdown)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    add = arguments.add_argument
    add("--attributions", type=Path, nargs="+", required=True, help="of attribute_tokens")
    add("--sequences", type=Path, required=True, help="token file of these sequences")
    add("--test", type=Path, help="token file that they were drawn from, to count missing windows")
    add("--planted", type=Path, required=True, help="of place_positions or simulate_dataset")
    add("--masks", nargs="*", default=[], help="the methods whose scores are masks")
    add("--ranks", nargs="+", required=True)
    add("--resamples", type=int, required=True, help="bootstrap samples, for the intervals")
    add("--seed", type=int, required=True)
    add("--values", type=Path, required=True, help="Parquet file to write, of each sequence")
    add("--table", type=Path, required=True, help="TSV to write")
    add("--markdown", type=Path, required=True, help="text to write")
    cli.run(arguments, main)
