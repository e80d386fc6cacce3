"""Measure what masks show, by fidelity and accuracy, and their side effects: steering, leakage of the label.

It also says how far masked sequences lie from whole ones. With a judge, a copy of the classifier that was
trained on masked sequences, it reads the same masks.
"""

from pathlib import Path

from whatyouread.data.token_files import TokenFile
from whatyouread.evaluate.steering import Steering
from whatyouread.evaluate.steering_table import markdown
from whatyouread.masks.choices import OTHERS, warn_of_none_wrong
from whatyouread.methods.files import read_attributions
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes, choose_device
from whatyouread.models.judge import load_judge
from whatyouread.models.saving import load_model
from whatyouread.support import cli, files


def main(args):
    device = choose_device(args.threads)
    explanandum = load_model(Explanandum, args.explanandum)
    ranks = explanandum.ranks
    methods = {path.stem: read_attributions(path, ranks)["plain"] for path in args.attributions}
    if missing := [name for name in args.explainers if name not in methods]:
        raise cli.UserError(f"--explainers: {missing[0]} is not among the attributions")
    passes = Passes(explanandum, args.batch_size, device)
    judge = None
    if args.judge:
        judge = Passes(load_judge(args.judge, explanandum), args.batch_size, device)
    file = TokenFile(args.sequences, ranks)
    for other in OTHERS:  # all methods were asked about the same classes
        asked = getattr(next(iter(methods.values())), other)
        warn_of_none_wrong(
            asked,
            file.labels,
            ranks,
            f"the rows of {other} classes by accuracy in {args.table}",
            file.kinds,
        )
    made = Steering(passes, file, methods, args.seed, args.resamples, judge)
    table, differences = made.tables(args.explainers)
    text = markdown(table, differences, args.explainers)
    files.write_tsv(args.table, table, float_format="%.2f")
    files.write_tsv(args.differences, differences, float_format="%.2f")
    with files.atomic(args.markdown) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument(
        "--attributions", type=Path, nargs="+", required=True, help="of attribute_tokens"
    )
    arguments.add_argument("--sequences", type=Path, required=True, help="token file")
    arguments.add_argument("--explanandum", type=Path, required=True, help="folder of its model")
    arguments.add_argument(
        "--judge",
        type=Path,
        help="folder of a copy of the model that was trained on masked sequences",
    )
    arguments.add_argument(
        "--explainers", nargs="+", required=True,
        help="methods of the Explainers, each compared with the other methods",
    )  # fmt: skip
    arguments.add_argument("--resamples", type=int, required=True, help="of the bootstrap")
    arguments.add_argument("--batch-size", type=int, required=True)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--table", type=Path, required=True, help="TSV to write")
    arguments.add_argument(
        "--differences",
        type=Path,
        required=True,
        help="TSV to write: Explainers minus other methods",
    )
    arguments.add_argument("--markdown", type=Path, required=True, help="text to write")
    cli.run(arguments, main, "evaluation.batch_size")
