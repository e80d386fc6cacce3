"""Make the folder of an Explanandum of a published sequence classifier, as it is and without training.

Its encoder, its own head and the names of its classes (`id2label`) are taken over; the logits are its own.
"""

from pathlib import Path

from whatyouread.data.levels import check_names
from whatyouread.data.tokenizers import tokenizer_of
from whatyouread.models.levels import THRESHOLD
from whatyouread.models.published_classifier import adopt, write_classes
from whatyouread.models.saving import save_model
from whatyouread.models.weights import weight_files
from whatyouread.support import cli, files
from whatyouread.support.provenance import write_record


def main(args):
    check_names([args.level])
    explanandum, names = adopt(
        args.classifier, tokenizer_of(args.classifier), args.level, args.threshold
    )
    save_model(args.output_dir, explanandum)
    write_classes(args.classes, args.level, names, explanandum.kinds[0])
    sources = [args.classifier / "config.json", *weight_files(args.classifier)]
    settings = {"classifier": str(args.classifier), "level": args.level}
    if kinds := explanandum.config.get("kinds"):
        settings |= {"kinds": kinds, "threshold": args.threshold}
    if args.origin:
        settings["origin"] = files.read_json(args.origin)
    written = [args.output_dir / "model.safetensors", args.classes]
    write_record(args.output_dir / "run.json", settings, 0, sources + written, "not trained")
    cli.log.info("%s: %d classes: %s", args.level, len(names), ", ".join(names[:10]))


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    add = arguments.add_argument
    add("--classifier", type=Path, required=True, help="folder with config.json and safetensors")
    add("--level", default="class", help="name of its only level")
    add("--threshold", type=float, default=THRESHOLD,
        help="probability above which a classifier that may name several classes names one")  # fmt: skip
    add("--origin", type=Path, help="record of where the folder comes from, JSON")
    add("--output-dir", type=Path, required=True, help="folder for the model and its record")
    add("--classes", type=Path, required=True, help="table of classes to write, TSV")
    cli.run(arguments, main)
