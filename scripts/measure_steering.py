"""Measure what masks do beyond showing: steering by other classes' masks, and leakage of the label."""

from pathlib import Path

from whatyouread import cli, files
from whatyouread.attribution_files import read_attributions
from whatyouread.explanandum import Explanandum, load_model
from whatyouread.perturbation_runs import Runs
from whatyouread.predict import choose_device
from whatyouread.steering import Steering, markdown
from whatyouread.token_files import TokenFile


def main(args):
    device = choose_device(args.threads)
    explanandum = load_model(Explanandum, args.explanandum)
    ranks = explanandum.ranks
    methods = {path.stem: read_attributions(path, ranks)["plain"] for path in args.attributions}
    runs = Runs(explanandum, TokenFile(args.sequences, ranks), args.batch_size, device)
    table = Steering(runs, methods, args.seed, args.resamples).table()
    text = markdown(table, args.own)
    files.write_tsv(args.table, table, float_format="%.2f")
    with files.atomic(args.markdown) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument(
        "--attributions", type=Path, nargs="+", required=True, help="of attribute_tokens"
    )
    arguments.add_argument("--sequences", type=Path, required=True, help="token file")
    arguments.add_argument("--explanandum", type=Path, required=True, help="folder of its model")
    arguments.add_argument("--own", required=True, help="the method that is set against others")
    arguments.add_argument("--resamples", type=int, required=True, help="of the bootstrap")
    arguments.add_argument("--batch-size", type=int, required=True)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--table", type=Path, required=True, help="TSV to write")
    arguments.add_argument("--markdown", type=Path, required=True, help="text to write")
    cli.run(arguments, main)
