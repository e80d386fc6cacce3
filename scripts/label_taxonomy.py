"""Label every taxid of the dataset by its lineage, and index the sequences.

One pass over the dataset counts the sequences per taxid and writes one row per sequence (source,
header, taxid, length, hash); ETE 3 gives the lineages from the taxonomy dump. Excluded are
sequences whose taxid is unknown or deleted or has no taxon at one of the ranks, and empty ones.
"""

from pathlib import Path

import pyarrow.parquet as pq

from whatyouread import cli, files, labels, taxonomy
from whatyouread.census import INDEX_SCHEMA, Census
from whatyouread.parallel import in_order
from whatyouread.progress import progress
from whatyouread.sequences import read_sequences


def main(args):
    published = labels.published_numbers(args.paper) if args.paper else {}
    dump = taxonomy.read_taxdump(args.taxdump)
    census = Census()
    with files.atomic(args.sequences) as temporary:
        with (
            pq.ParquetWriter(
                temporary, INDEX_SCHEMA, compression="zstd", use_dictionary=["source", "taxid"]
            ) as writer,
            progress("reading", unit="sequences") as bar,
        ):
            for rows in in_order(census.add, read_sequences(args.dataset)):
                writer.write_table(rows)
                bar.update(len(rows))
        counts = census.taxids()
        lineages = taxonomy.lineages(dump, counts["taxid"].to_numpy(), args.ranks)
        table = labels.label_table(counts, lineages, args.ranks)
        classes = labels.class_table(table, args.ranks)
        summary = labels.summary_table(table, classes, census.finish(), args.ranks, published)
    files.write_tsv(args.labels, table)
    files.write_tsv(args.classes, classes)
    files.write_tsv(args.summary, summary)
    labels.log_summary(summary)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    add = arguments.add_argument
    add("--dataset", type=Path, required=True, help="the retrieved dataset: a folder or a file")
    add("--taxdump", type=Path, required=True, help="the retrieved taxonomy: a folder or a file")
    add("--ranks", nargs="+", required=True, help="the ranks, from the highest to the lowest")
    add("--labels", type=Path, required=True, help="the label table to write, TSV")
    add("--classes", type=Path, required=True, help="the classes of each rank to write, TSV")
    add("--summary", type=Path, required=True, help="counts beside the paper's to write, TSV")
    add("--sequences", type=Path, required=True, help="the index of sequences to write, Parquet")
    add("--paper", type=Path, help="the paper's published numbers, TSV: quantity, value")
    cli.run(arguments, main)
