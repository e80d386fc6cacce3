"""Find exact copies, copies of the other strand and near-copies among the sequences of the dataset.

The program reads the dataset once. It writes one row per sequence, in the order of the index: its length,
the hash of its other strand, and the number of its cluster (-1 for sequences that are not used).
"""

from pathlib import Path

from whatyouread.support import cli, files


def main(args):
    import pyarrow.parquet as pq

    from whatyouread.data import copies, sketches
    from whatyouread.data.normalisation import DNA, Settings
    from whatyouread.data.sequences import read_sequences

    reading = cli.settings(Settings, args.sequence_settings)
    batches = read_sequences(args.dataset, settings=reading)
    # proteins and texts have no other strand
    alphabet = sketches.DNA if reading.alphabet == DNA else sketches.TEXT
    table = copies.find_copies(batches, args.similarity, alphabet)
    with files.atomic(args.copies) as temporary:
        pq.write_table(table, temporary, compression="zstd")


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    add = arguments.add_argument
    add("--dataset", type=Path, required=True, help="the retrieved dataset: a folder or a file")
    add("--sequence-settings", type=cli.json_argument, default={},
        help="the same as for label_taxonomy, JSON")  # fmt: skip
    add("--similarity", type=float, default=0.5,
        help="the share of the k-mers that near-copies have in common (default: 0.5)")  # fmt: skip
    add("--copies", type=Path, required=True, help="the copies to write, Parquet")
    cli.run(arguments, main)
