"""Find and check the items (tokens, k-mers, words) that speak for each class across runs."""

from pathlib import Path

import numpy as np

from whatyouread.classes.agreement import agreement_of_sources, stability_curve
from whatyouread.classes.items import read_counts, read_selections
from whatyouread.classes.motifs import meme
from whatyouread.classes.stable_items import (
    Thresholds,
    candidates,
    null_table,
    stable_items,
    summary,
    with_names,
)
from whatyouread.classes.truth import TOP, planted_table, planted_words
from whatyouread.data.levels import read_classes
from whatyouread.data.planted import planted_segments, read_planted
from whatyouread.data.token_files import TokenFile
from whatyouread.support import cli, files


def main(args):
    names = [key for key in Thresholds.__dataclass_fields__ if key in args.settings]
    thresholds = cli.settings(Thresholds, {key: args.settings[key] for key in names})
    classes = read_classes(args.classes)
    selections, sequences = read_selections(args.selections)
    items = stable_items(candidates(selections, sequences, thresholds), thresholds)
    totals, wrong = null_table(selections, sequences, thresholds, args.seed)
    if (counts := read_counts(args.selections)) is not None:
        totals = totals.merge(counts, on=["source", "kind"], how="left")
    for row in totals.to_dict("records"):
        cli.log.info("%s", " ".join(f"{key} {value}" for key, value in row.items()))
    worth = summary(items, wrong, selections, sequences)
    columns = [
        "source",
        "kind",
        "rank",
        "class",
        "position",
        "item",
        "mean",
        "sd",
        "runs",
        "support",
    ]
    columns += ["class_sequences", "elsewhere", "q"]
    files.write_tsv(args.table, with_names(items[columns], classes), float_format="%.6g")
    files.write_tsv(args.summary, with_names(worth, classes), float_format="%.6g")
    files.write_tsv(args.null, totals)
    curve = stability_curve(selections, sequences, thresholds, args.seed)
    files.write_tsv(args.stability, curve, float_format="%.6g")
    agreement = agreement_of_sources(items)
    files.write_tsv(args.agreement, with_names(agreement, classes), float_format="%.6g")
    if args.motifs:
        with files.atomic(args.motifs) as temporary:
            temporary.write_text(meme(items, classes), encoding="utf-8")
    if args.planted:
        file = TokenFile(args.test, args.ranks)
        segments = planted_segments(file, read_planted(args.planted))
        lineages = np.unique(file.labels, axis=0)
        kmers = items[items["kind"] == "kmer"]
        table = planted_table(kmers, classes, segments, lineages, args.ranks, args.settings["k"])
        for (source, rank), part in table.groupby(["source", "rank"]):
            five = part[part["listed"] == TOP]
            cli.log.info(
                "%s, %s: the %d best k-mers are planted in %d of the %d classes that have as many",
                source, rank, TOP, (five["planted"] == TOP).sum(), len(five),
            )  # fmt: skip
        files.write_tsv(args.planted_table, with_names(table, classes), float_format="%.4g")
    if args.keywords:
        keywords = files.read_tsv(args.keywords, ["class", "keyword"])
        table = planted_words(items[items["kind"] == "word"], classes, keywords)
        for source, part in table.groupby("source"):
            cli.log.info(
                "%s: the best word is a planted one in %d of %d classes",
                source, part["first"].sum(), len(part),
            )  # fmt: skip
        files.write_tsv(args.planted_table, with_names(table, classes))


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    add = arguments.add_argument
    add("--selections", type=Path, nargs="+", required=True, help="of score_classes")
    add("--classes", type=Path, required=True, help="of label_taxonomy")
    add("--ranks", nargs="+", required=True)
    add("--settings", type=cli.json_argument, required=True)
    add("--seed", type=int, required=True)
    add("--table", type=Path, required=True, help="TSV to write")
    add("--summary", type=Path, required=True, help="TSV to write")
    add("--null", type=Path, required=True, help="TSV to write")
    add("--stability", type=Path, required=True, help="TSV to write")
    add("--agreement", type=Path, required=True, help="TSV to write")
    add("--motifs", type=Path, help="MEME file to write, of k-mers")
    add("--planted", type=Path, help="of simulate_dataset")
    add("--test", type=Path, help="token file with the planted segments")
    add("--keywords", type=Path, help="of simulate_texts")
    add("--planted-table", type=Path, help="TSV to write")
    cli.run(arguments, main)
