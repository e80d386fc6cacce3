"""Evaluate the masks: Table 1 of the paper, and the same rows for controls."""

from pathlib import Path

import pyarrow.parquet as pq

from whatyouread import cli, files
from whatyouread.explanandum import Explanandum, load_model
from whatyouread.mask_files import MaskFile
from whatyouread.predict import choose_device, compile_encoder
from whatyouread.table1 import Evaluation, beside_paper, markdown, predictions_table
from whatyouread.token_files import TokenFile


def main(args):
    device = choose_device(args.threads, args.precision)
    explanandum = compile_encoder(load_model(Explanandum, args.explanandum), args.compile)
    ranks = explanandum.ranks
    masks = MaskFile(args.masks, ranks)
    evaluation = Evaluation(
        explanandum,
        TokenFile(args.test, ranks),
        masks,
        batch_size=args.batch_size,
        seed=args.seed,
        device=device,
        precision=args.precision,
    )
    conditions = evaluation.conditions("labels")
    table = beside_paper(evaluation.table("labels", conditions), ranks, args.paper)
    controls = evaluation.controls()
    text = markdown(table, ranks, masks)
    files.write_tsv(args.table, table, float_format="%.2f")
    files.write_tsv(args.controls, controls, float_format="%.2f")
    with files.atomic(args.predictions) as temporary:
        pq.write_table(predictions_table(evaluation.file, conditions), temporary)
    with files.atomic(args.markdown) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--explanandum", type=Path, required=True, help="folder of its model")
    arguments.add_argument("--test", type=Path, required=True, help="token file")
    arguments.add_argument("--masks", type=Path, required=True, help="of generate_masks")
    arguments.add_argument("--paper", type=Path, required=True, help="the paper's Table 1")
    arguments.add_argument("--batch-size", type=int, required=True)
    arguments.add_argument("--precision", required=True)
    arguments.add_argument("--compile", action="store_true", help="compile the Explanandum")
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--table", type=Path, required=True, help="TSV to write")
    arguments.add_argument("--controls", type=Path, required=True, help="TSV to write")
    arguments.add_argument("--markdown", type=Path, required=True, help="text to write")
    arguments.add_argument("--predictions", type=Path, required=True, help="Parquet to write")
    cli.run(arguments, main)
