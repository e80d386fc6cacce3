"""Label every sequence of the dataset, and index the sequences.

The program reads the dataset once. It counts the sequences per key of the label source (NCBI: per taxid)
and writes one row per sequence (source, header, key, length, hash). Then the label source gives the
labels of the keys (NCBI: from their lineages in ETE 3). Sequences are excluded if they hold no A, C, G or
T, if the settings of sequences exclude them, or if the label source does not know their key or has no
class for it at one of the levels (with `--missing keep`: at none of them).
"""

from pathlib import Path

from whatyouread.support import cli, files


def main(args):
    import pyarrow.parquet as pq

    from whatyouread.data import labels
    from whatyouread.data.census import Census
    from whatyouread.data.given_classes import classes_of_classifier, labels_of_classifier
    from whatyouread.data.label_sources import find_label_source
    from whatyouread.data.levels import check_names, choose_levels
    from whatyouread.data.normalisation import DOUBTFUL, Settings
    from whatyouread.data.sequences import read_sequences
    from whatyouread.support.parallel import in_order
    from whatyouread.support.progress import progress

    found = find_label_source(args.source)
    published = labels.published_numbers(args.paper) if args.paper else {}
    source = found(args.label_file, cli.settings(found.Settings, args.source_settings))
    reading = cli.settings(Settings, args.sequence_settings)
    check_names(args.ranks)
    known = choose_levels(args.classes_of, args.ranks) if args.classes_of else []
    source.prepare(args.ranks, lambda: read_sequences(args.dataset, settings=reading))
    census, skipped = Census(source.key, reading), []
    with files.atomic(args.sequences) as temporary:
        with (
            pq.ParquetWriter(
                temporary,
                census.schema,
                compression="zstd",
                use_dictionary=["source", source.key.name],
            ) as writer,
            progress("reading", unit="sequences") as bar,
        ):
            batches = read_sequences(args.dataset, settings=reading, skipped=skipped)
            made = in_order(lambda batch: census.add(batch, source.keys(batch)), batches)
            for rows in made:
                writer.write_table(rows)
                bar.update(len(rows))
        table = labels.label_table(census.counts(), source, args.ranks, args.missing)
        if known:
            [level] = known
            table = labels_of_classifier(table, source, level.name, level)
            classes = classes_of_classifier(table, source.path, level.name, level.names, level.kind)
        else:
            classes = labels.class_table(table, source, args.ranks)
        summary = labels.summary_table(
            table, classes, census.finish(), source, args.ranks, published, skipped
        )
    files.write_tsv(args.labels, table)
    files.write_tsv(args.classes, classes)
    files.write_tsv(args.summary, summary)
    labels.log_summary(summary, DOUBTFUL)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    add = arguments.add_argument
    add("--dataset", type=Path, required=True, help="the retrieved dataset: a folder or a file")
    add("--source", default="ncbi", help="where the labels come from (default: ncbi)")
    add("--label-file", "--taxdump", type=Path, metavar="PATH",
        help="what the source reads: for ncbi the retrieved taxonomy, else a table by record")  # fmt: skip
    add("--missing", choices=["exclude", "keep"], default="exclude",
        help="sequences with a label at some of the levels only (default: exclude)")  # fmt: skip
    add("--source-settings", type=cli.json_argument, default={}, help="those of the source, JSON")
    add("--sequence-settings", type=cli.json_argument, default={},
        help="what a valid sequence is, section `sequences` of the configuration, JSON")  # fmt: skip
    add("--ranks", nargs="+", required=True, help="the levels, from the highest to the lowest")
    add("--classes-of", type=Path, help="the classes of a classifier that is given, TSV")
    add("--labels", type=Path, required=True, help="the label table to write, TSV")
    add("--classes", type=Path, required=True, help="the classes of each level to write, TSV")
    add("--summary", type=Path, required=True, help="counts beside the paper's to write, TSV")
    add("--sequences", type=Path, required=True, help="the index of sequences to write, Parquet")
    add("--paper", type=Path, help="the paper's published numbers, TSV: quantity, value")
    cli.run(arguments, main)
