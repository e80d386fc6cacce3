"""Write the model card of an Explainer: what it explains, how it was trained, what its masks are worth."""

from pathlib import Path

from whatyouread.support import cli, files


def main(args):
    from whatyouread.report.model_card import Origin, model_card
    from whatyouread.report.summary import Measured

    if bool(args.table) != bool(args.controls):
        raise cli.UserError("--table and --controls: give both or neither")
    measured = None
    if args.table:
        controls = files.read_tsv(args.controls, ["classes", "control", "condition", "sequences"])
        table = files.read_tsv(args.table, ["condition", "sequences"])
        measured = Measured(args.name, table, controls)
    origin = Origin(
        dataset=files.read_json(args.dataset) if args.dataset else {},
        taxdump=files.read_json(args.taxdump) if args.taxdump else {},
        backbone=files.read_json(args.backbone) if args.backbone else {},
        simulated=args.simulated,
        labels=args.labels,
        tokens=files.read_tsv(args.tokens, ["file", "sequences"]) if args.tokens else None,
        measured=measured,
    )
    text = model_card(args.explainer, args.name, origin, args.classifier)
    with files.atomic(args.card) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    add = arguments.add_argument
    add("--explainer", type=Path, required=True, help="folder of its model")
    add("--classifier", type=Path, help="folder of its classifier (default: where it was)")
    add("--name", required=True, help="of the Explainer")
    for option, text in {
        "dataset": "record of download_dataset",
        "taxdump": "record of download_taxdump, if labels come from it",
        "backbone": "record of download_backbone",
        "tokens": "summary of tokenize_sequences",
        "table": "table1.tsv of this Explainer",
        "controls": "controls.tsv of this Explainer",
    }.items():
        add(f"--{option}", type=Path, help=text)
    add("--simulated", action="store_true", help="the data are made up")
    add("--labels", default="", help="the label source")
    add("--card", type=Path, required=True, help="Markdown to write: README.md")
    cli.run(arguments, main)
