"""Generate the masks of the test sequences, for the true, the predicted and wrong classes."""

from pathlib import Path

from whatyouread import cli
from whatyouread.explainer import load_explainer
from whatyouread.explanandum import Explanandum, load_model
from whatyouread.mask_generation import generate_masks
from whatyouread.predict import add_arguments, choose_device, compile_encoder
from whatyouread.scatter import add_part
from whatyouread.token_files import TokenFile


def main(args):
    device = choose_device(args.threads, args.precision)
    explanandum = compile_encoder(load_model(Explanandum, args.explanandum), args.compile)
    generate_masks(
        load_explainer(args.explainer, explanandum),
        explanandum,
        TokenFile(args.test, explanandum.ranks),
        args.masks,
        batch_size=args.batch_size,
        seed=args.seed,
        device=device,
        precision=args.precision,
        part=args.part,
    )


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--explanandum", type=Path, required=True, help="folder of its model")
    arguments.add_argument("--explainer", type=Path, required=True, help="folder of its model")
    arguments.add_argument("--test", type=Path, required=True, help="token file")
    add_arguments(arguments)
    add_part(arguments)
    arguments.add_argument("--masks", type=Path, required=True, help="Parquet file to write")
    cli.run(arguments, main)
