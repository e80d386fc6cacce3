"""Divide the labelled sequences into training, validation and test split.

Writes one row per sequence of the index, in its order: the split, the Explainer's own subset, and
the class at every rank (-1 where the sequence is not used).
"""

from pathlib import Path

import pyarrow.parquet as pq

from whatyouread import cli, files, labels, splitting
from whatyouread.census import INDEX_SCHEMA
from whatyouread.classes import read_classes


def main(args):
    settings = cli.settings(splitting.Settings, args.settings)
    published = labels.published_numbers(args.paper) if args.paper else {}
    index = files.read_parquet(args.sequences, INDEX_SCHEMA.names)
    table = labels.read_labels(args.labels)
    classes = read_classes(args.classes)
    division = splitting.divide(index, table, classes, args.ranks, settings, args.seed)
    summary = splitting.summary_table(index, division, classes, args.ranks, published)
    with files.atomic(args.splits) as temporary:
        pq.write_table(division.table(args.ranks), temporary, compression="zstd")
    files.write_tsv(args.summary, summary)
    labels.log_summary(summary)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    add = arguments.add_argument
    add("--sequences", type=Path, required=True, help="the index of sequences, Parquet")
    add("--labels", type=Path, required=True, help="the label table, TSV")
    add("--classes", type=Path, required=True, help="the classes of each rank, TSV")
    add("--ranks", nargs="+", required=True, help="the ranks, from the highest to the lowest")
    add("--settings", type=cli.json_argument, required=True, help="the sizes of the splits, JSON")
    add("--seed", type=int, required=True, help="a number from 0")
    add("--splits", type=Path, required=True, help="the splits to write, Parquet")
    add("--summary", type=Path, required=True, help="sizes and copies across splits to write, TSV")
    add("--paper", type=Path, help="the paper's published numbers, TSV: quantity, value")
    cli.run(arguments, main)
