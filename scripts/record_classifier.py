"""Write what makes an Explainer's folder stand by itself: its classes, and where its classifier is.

This is no part of the training: an Explainer of an older version gets it without being trained again.
"""

import shutil
from pathlib import Path

import numpy as np

from whatyouread.data.levels import levels_of
from whatyouread.data.normalisation import ALPHABETS
from whatyouread.data.token_files import TokenFile
from whatyouread.models.classifier_record import CLASSES, NAME, WEIGHTS, write_classifier_record
from whatyouread.support import cli, files
from whatyouread.support.cli import UserError


def main(args):
    counts = files.read_json(args.explanandum / "config.json").get("classes")
    if not isinstance(counts, dict):
        raise UserError(
            f"{args.explanandum}: its config.json names no classes: no classifier's folder"
        )
    levels_of(args.classes, counts)
    training = TokenFile(args.train, [*counts])
    with files.atomic(args.explainer / CLASSES) as temporary:
        shutil.copyfile(args.classes, temporary)
    write_classifier_record(
        args.explainer,
        args.explanandum,
        files.sha256(args.explanandum / WEIGHTS),
        int(np.median(training.lengths)),
        training.tokenizer.name,
        args.alphabet,
    )


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    add = arguments.add_argument
    add("--explainer", type=Path, required=True, help=f"folder that gets {CLASSES} and {NAME}")
    add("--explanandum", type=Path, required=True, help="folder of its classifier")
    add("--classes", type=Path, required=True, help="table of label_taxonomy")
    add("--train", type=Path, required=True, help="token file that the Explainer was trained on")
    add("--alphabet", choices=list(ALPHABETS), default="", help="what the sequences are made of")
    cli.run(arguments, main)
