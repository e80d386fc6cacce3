"""Generate the masks of the test sequences for their true, predicted and wrong classes."""

from pathlib import Path

from whatyouread.data.token_files import TokenFile
from whatyouread.explainers.generation import generate_masks
from whatyouread.explainers.saved import load_attached
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes, add_arguments, choose_device, compile_encoder
from whatyouread.models.saving import load_model
from whatyouread.support import cli
from whatyouread.support.parts import add_part


def main(args):
    device = choose_device(args.threads, args.precision)
    explanandum = compile_encoder(load_model(Explanandum, args.explanandum), args.compile)
    file = TokenFile(args.test, explanandum.ranks)
    file.check_classes(explanandum.class_counts, explanandum.kinds)
    generate_masks(
        load_attached(args.explainer, explanandum),
        Passes(explanandum, args.batch_size, device, args.precision),
        file,
        args.masks,
        seed=args.seed,
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
    cli.run(arguments, main, "evaluation.batch_size")
