"""Evaluate the masks: Table 1 of the paper, and the same rows for controls."""

from pathlib import Path

import numpy as np

from whatyouread.evaluate.prediction_files import read_predictions
from whatyouread.evaluate.table1 import beside_paper, controls, markdown, table
from whatyouread.masks.choices import warn_of_none_wrong
from whatyouread.masks.mask_files import MaskFile
from whatyouread.support import cli, files


def main(args):
    made = read_predictions(args.predictions, args.ranks)
    masks = MaskFile(args.masks, args.ranks)
    if not np.array_equal(masks.keys, made.keys):
        raise cli.UserError(f"{args.predictions} is not of the sequences of {args.masks}")
    wrong = masks.classes["wrong"]
    cells = f"wrong_class rows of {args.controls}"
    warn_of_none_wrong(wrong, made.labels, made.ranks, cells, made.kinds)
    main_table = beside_paper(table(made, "labels"), args.ranks, args.paper)
    files.write_tsv(args.table, main_table, float_format="%.2f")
    files.write_tsv(args.controls, controls(made, wrong), float_format="%.2f")
    with files.atomic(args.markdown) as temporary:
        temporary.write_text(markdown(main_table, args.ranks, masks), encoding="utf-8")


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--predictions", type=Path, required=True, help="of predict_masked")
    arguments.add_argument("--masks", type=Path, required=True, help="of generate_masks")
    arguments.add_argument("--paper", type=Path, help="the paper's Table 1, to stand beside")
    arguments.add_argument("--ranks", nargs="+", required=True)
    arguments.add_argument("--table", type=Path, required=True, help="TSV to write")
    arguments.add_argument("--controls", type=Path, required=True, help="TSV to write")
    arguments.add_argument("--markdown", type=Path, required=True, help="text to write")
    cli.run(arguments, main)
