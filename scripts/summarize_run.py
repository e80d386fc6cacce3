"""Summarize all Explainers side by side with the control that their masks must beat."""

from pathlib import Path

from whatyouread.support import cli, files


def main(args):
    from whatyouread.report.summary import Measured, summary
    from whatyouread.support.files import read_tsv

    count, explainers = len(args.names), []
    for option in ("tables", "controls", "localizations", "mask_statistics"):
        given = getattr(args, option)
        if given is not None and len(given) != count:
            spelt = f"--{option.replace('_', '-')}"
            raise cli.UserError(f"{spelt}: {len(given)} files for {count} --names: one for each")
    for i, name in enumerate(args.names):
        localization = above = None
        if args.localizations:
            columns = ["classes", "control", "planted", "auprc", "base_rate"]
            localization = read_tsv(args.localizations[i], columns)
        if args.mask_statistics:
            statistics = read_tsv(args.mask_statistics[i], ["quantity", "ours"])
            above = statistics.set_index("quantity")["ours"].get("tokens_above_threshold")
        table = read_tsv(args.tables[i], ["condition", "sequences", *args.ranks])
        controls = read_tsv(
            args.controls[i], ["classes", "control", "condition", "sequences", *args.ranks]
        )
        explainers.append(Measured(name, table, controls, localization, above))
    copies = read_tsv(args.copies, ["quantity", "value"]) if args.copies else None
    columns = ["quantity", "value", "detail"]
    splits = read_tsv(args.given_splits, columns) if args.given_splits else None
    text = summary(explainers, args.ranks, args.planted, copies, splits)
    if args.evidence:
        text += "\n" + args.evidence.read_text(encoding="utf-8")
    with files.atomic(args.summary) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--names", nargs="+", required=True, help="of the Explainers")
    for option, text in {
        "tables": "table1.tsv of each",
        "controls": "controls.tsv of each",
        "localizations": "localization.tsv of each",
        "mask-statistics": "mask_statistics.tsv of each, for how large the masks are",
    }.items():
        needed = option in ("tables", "controls")
        arguments.add_argument(f"--{option}", type=Path, nargs="+", required=needed, help=text)
    arguments.add_argument(
        "--planted", action="store_true", help="the data are simulated, and the truth is planted"
    )
    arguments.add_argument("--ranks", nargs="+", required=True)
    arguments.add_argument("--copies", type=Path, help="of count_copies")
    arguments.add_argument(
        "--given-splits", type=Path, help="summary of split_dataset, where splits are given"
    )
    arguments.add_argument(
        "--evidence", type=Path, help="Markdown of score_evidence, to go behind it"
    )
    arguments.add_argument("--summary", type=Path, required=True, help="text to write")
    cli.run(arguments, main)
