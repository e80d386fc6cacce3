"""Count the near-copies, and the copies of the other strand, that one split has of another."""

from pathlib import Path

from whatyouread.support import cli, files


def main(args):
    from whatyouread.data.copies import SCHEMA
    from whatyouread.data.levels import choose_levels
    from whatyouread.data.split_copies import copies_table, log_copies

    [highest] = choose_levels(args.classes, [args.level])
    table = copies_table(
        files.read_parquet(args.sequences, ["hash"]),
        files.read_parquet(args.splits, ["split", args.level]),
        files.read_parquet(args.copies, list(SCHEMA.names)),
        highest,
    )
    files.write_tsv(args.table, table)
    log_copies(table)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    add = arguments.add_argument
    add("--sequences", type=Path, required=True, help="the index of sequences, Parquet")
    add("--splits", type=Path, required=True, help="the splits, Parquet")
    add("--copies", type=Path, required=True, help="the copies among the sequences, Parquet")
    add("--classes", type=Path, required=True, help="the classes of each level, TSV")
    add("--level", required=True, help="the level whose classes are counted one by one")
    add("--table", type=Path, required=True, help="the counts to write, TSV")
    cli.run(arguments, main)
