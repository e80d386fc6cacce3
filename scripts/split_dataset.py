"""Split the labelled sequences into training, validation and test sequences.

The program writes one row per sequence, in the order of the index: the split, the Explainer's subset,
and the class at every level (-1 for sequences that are not used). Where groups of sequences are kept in one
split, it also writes the number of the group.
"""

from pathlib import Path

from whatyouread.support import cli, files


def main(args):
    import pyarrow.parquet as pq

    from whatyouread.data import labels, split_summary, splitting
    from whatyouread.data.copies import SCHEMA
    from whatyouread.data.given_splits import given_splits
    from whatyouread.data.levels import choose_levels

    settings = cli.settings(splitting.Settings, args.settings)
    published = labels.published_numbers(args.paper) if args.paper else {}
    table = labels.read_labels(args.labels)
    levels = choose_levels(args.classes, args.ranks)
    columns = ["source", "header", table.columns[0], "length", "hash"]
    index = files.read_parquet(args.sequences, columns)
    labelled = labels.label_sequences(index, table, levels)
    copies = files.read_parquet(args.copies, list(SCHEMA.names)) if args.copies else None
    given = given_splits(index, table, settings)
    grouped = splitting.groups(index, table, settings, copies)
    division = splitting.divide(index, labelled, settings, args.seed, grouped, given)
    summary = split_summary.summary_table(index, division, labelled, published)
    with files.atomic(args.splits) as temporary:
        pq.write_table(splitting.split_table(division, labelled), temporary, compression="zstd")
    files.write_tsv(args.summary, summary)
    labels.log_summary(summary, split_summary.doubtful(summary))


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    add = arguments.add_argument
    add("--sequences", type=Path, required=True, help="the index of sequences, Parquet")
    add("--labels", type=Path, required=True, help="the label table, TSV")
    add("--classes", type=Path, required=True, help="the classes of each level, TSV")
    add("--copies", type=Path, help="what find_copies wrote, to keep clusters in one split")
    add("--ranks", nargs="+", required=True, help="the levels, from the highest to the lowest")
    add("--settings", type=cli.json_argument, required=True, help="the sizes of the splits, JSON")
    add("--seed", type=int, required=True, help="a number from 0")
    add("--splits", type=Path, required=True, help="the splits to write, Parquet")
    add(
        "--summary",
        type=Path,
        required=True,
        help="sizes and exact copies across splits to write, TSV",
    )
    add("--paper", type=Path, help="the paper's published numbers, TSV: quantity, value")
    cli.run(arguments, main)
