"""Copy an Explainer and its classifier into one folder, to be given away or uploaded to the Hub.

For example: python scripts/export_explainer.py --explainer results/explainers/sharp/0 --output-dir sharp
"""

from pathlib import Path

from whatyouread.models.publishing import publish, refuse_used
from whatyouread.support import cli


def main(args):
    from whatyouread.report.model_card import Origin, model_card

    refuse_used(args.output_dir)
    folder = args.explainer
    # results/explainers/NAME/RUN
    name = args.name or (folder.resolve().parent if folder.name.isdecimal() else folder).name
    card = model_card(folder, name, Origin(), args.classifier)
    if not (folder / "README.md").is_file():
        cli.log.warning("%s has no README.md: the model card has no figures", folder)
    publish(folder, args.output_dir, card, args.classifier)
    cli.log.info(
        "wrote %s: choose a licence in its README.md before you publish it", args.output_dir
    )


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    add = arguments.add_argument
    add("--explainer", type=Path, required=True, help="folder of its model")
    add("--classifier", type=Path, help="folder of its classifier (default: where it was)")
    add("--name", help="for a model card, where there is none yet (default: by the folder)")
    add("--output-dir", type=Path, required=True, help="folder to make")
    cli.run(arguments, main)
