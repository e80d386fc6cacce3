"""Classify the masked test sequences: under the masks, what is made of them, and controls."""

from pathlib import Path

import pyarrow.parquet as pq

from whatyouread import cli, files
from whatyouread.explanandum import Explanandum, load_model
from whatyouread.mask_files import MaskFile
from whatyouread.masked_predictions import MaskedSequences
from whatyouread.predict import add_arguments, choose_device, compile_encoder
from whatyouread.scatter import add_part
from whatyouread.token_files import TokenFile


def main(args):
    device = choose_device(args.threads, args.precision)
    explanandum = compile_encoder(load_model(Explanandum, args.explanandum), args.compile)
    sequences = MaskedSequences(
        explanandum,
        TokenFile(args.test, explanandum.ranks),
        MaskFile(args.masks, explanandum.ranks),
        batch_size=args.batch_size,
        seed=args.seed,
        device=device,
        precision=args.precision,
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
    cli.run(arguments, main)
