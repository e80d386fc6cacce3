"""Classify the test sequences under the masks, their complements, roundings and chunks, and controls."""

from pathlib import Path

import pyarrow.parquet as pq

from whatyouread.data.token_files import TokenFile
from whatyouread.evaluate.masked_predictions import MaskedSequences
from whatyouread.masks.mask_files import MaskFile
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes, add_arguments, choose_device, compile_encoder
from whatyouread.models.saving import load_model
from whatyouread.support import cli, files
from whatyouread.support.parts import add_part


def main(args):
    device = choose_device(args.threads, args.precision)
    explanandum = compile_encoder(load_model(Explanandum, args.explanandum), args.compile)
    sequences = MaskedSequences(
        Passes(explanandum, args.batch_size, device, args.precision),
        TokenFile(args.test, explanandum.ranks),
        MaskFile(args.masks, explanandum.ranks),
        seed=args.seed,
        part=args.part,
    )
    made = sequences.answers()
    with files.atomic(args.predictions) as temporary:
        pq.write_table(made.table(), temporary)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--explanandum", type=Path, required=True, help="folder of its model")
    arguments.add_argument("--test", type=Path, required=True, help="token file")
    arguments.add_argument("--masks", type=Path, required=True, help="of generate_masks")
    add_arguments(arguments)
    add_part(arguments)
    arguments.add_argument("--predictions", type=Path, required=True, help="Parquet to write")
    cli.run(arguments, main, "evaluation.batch_size")
