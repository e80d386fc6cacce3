"""Put what several runs say of evidence into one table, such as the folds of a cross-validation.

For example: python scripts/pool_evidence.py --runs fold_0 fold_1 fold_2 --table all.tsv --markdown all.md
"""

from pathlib import Path

from whatyouread.support import cli

VALUES, CLASSES = "results/evidence_values.parquet", "results/taxonomy/classes.tsv"


def main(args):
    from whatyouread.evaluate.evidence_table import write_table
    from whatyouread.evaluate.evidence_values import pooled, read_values

    for folder in args.runs:
        for name in (VALUES, CLASSES):
            if not (folder / name).is_file():
                raise cli.UserError(
                    f"{folder} has no {name}: let snakemake make it in that run first"
                )
    classes = [(folder / CLASSES).read_bytes() for folder in args.runs]
    for folder, own in zip(args.runs, classes, strict=True):
        if own != classes[0]:
            raise cli.UserError(
                f"{folder / CLASSES} differs from {args.runs[0] / CLASSES}: give runs of one data set"
            )
    values = pooled([read_values(folder / VALUES) for folder in args.runs], args.runs)
    write_table(values, args.resamples, args.seed, args.table, args.markdown)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    add = arguments.add_argument
    add("--runs", type=Path, nargs="+", required=True, help="their folders (--directory)")
    add("--resamples", type=int, default=1000, help="bootstrap samples (default: %(default)s)")
    add("--seed", type=int, default=42, help="of the bootstrap (default: %(default)s)")
    add("--table", type=Path, required=True, help="TSV to write")
    add("--markdown", type=Path, required=True, help="text to write")
    cli.run(arguments, main)
