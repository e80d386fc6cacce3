"""Find the test sequences in which the positions of a user's BED file lie, and count the others."""

from pathlib import Path

from whatyouread.support import cli, files


def main(args):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from whatyouread.data.normalisation import TEXT, Settings
    from whatyouread.data.positions import (
        character_lengths,
        log_positions,
        placed_positions,
        read_positions,
    )

    settings = cli.settings(Settings, args.sequence_settings)
    positions = read_positions(args.positions)
    index = files.read_parquet(args.sequences, ["source", "header", "length"])
    splits = files.read_parquet(args.splits, ["split"])
    if settings.alphabet == TEXT:
        lengths = character_lengths(args.dataset, settings)
        if len(lengths) != len(index):
            raise cli.UserError(
                f"{args.dataset} has {len(lengths):,} records and {args.sequences} {len(index):,}: run"
                " label_taxonomy again"
            )
        index = index.set_column(2, "length", pa.array(lengths))
    placed, summary = placed_positions(positions, index, splits, settings, args.positions)
    log_positions(summary)
    with files.atomic(args.placed) as temporary:
        pq.write_table(pa.Table.from_pandas(placed, preserve_index=False), temporary)
    files.write_tsv(args.summary, summary)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    add = arguments.add_argument
    add("--positions", type=Path, required=True, help="BED: id of a record, start, end, name")
    add("--dataset", type=Path, required=True, help="the retrieved dataset: a folder or a file")
    add("--sequences", type=Path, required=True, help="the index of label_taxonomy, Parquet")
    add("--splits", type=Path, required=True, help="of split_dataset, Parquet")
    add("--sequence-settings", type=cli.json_argument, default={},
        help="the same as for label_taxonomy, JSON")  # fmt: skip
    add("--placed", type=Path, required=True, help="positions in test sequences to write, Parquet")
    add("--summary", type=Path, required=True, help="counts to write, TSV")
    cli.run(arguments, main)
