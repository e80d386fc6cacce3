"""Compare the methods: accuracy with top tokens kept or removed, faithfulness, and cost."""

from pathlib import Path

import pandas as pd

from whatyouread.data.token_files import TokenFile
from whatyouread.evaluate.comparison import Comparison, markdown, with_measures
from whatyouread.masks.choices import OTHERS, warn_of_none_wrong
from whatyouread.methods.files import read_attributions
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes, choose_device
from whatyouread.models.saving import load_model
from whatyouread.support import cli, files


def main(args):
    device = choose_device(args.threads)
    explanandum = load_model(Explanandum, args.explanandum)
    ranks = explanandum.ranks
    methods = {path.stem: read_attributions(path, ranks)["plain"] for path in args.attributions}
    if missing := [n for n in (args.explainer, *args.explainers) if n not in methods]:
        raise cli.UserError(f"--explainers: {missing[0]} is not among the attributions")
    costs = {path.stem: files.read_json(path) for path in args.costs}
    faithfulness = pd.concat(
        [files.read_tsv(path) for path in args.faithfulness], ignore_index=True
    )
    passes = Passes(explanandum, args.batch_size, device)
    file = TokenFile(args.sequences, ranks)
    for other in OTHERS:  # all methods were asked about the same classes
        asked = getattr(next(iter(methods.values())), other)
        warn_of_none_wrong(
            asked, file.labels, ranks, f"the rows of {other} classes in {args.comparison}"
        )
    table, curves = Comparison(passes, file, methods, args.seed, args.explainer).tables()
    table = with_measures(table, faithfulness, costs, args.explainer)
    text = markdown(table, ranks, args.explainer, args.explainers)
    files.write_tsv(args.faithfulness_table, faithfulness, float_format="%.5f")
    files.write_tsv(args.comparison, table, float_format="%.6g")
    files.write_tsv(args.curves, curves, float_format="%.2f")
    with files.atomic(args.markdown) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument(
        "--faithfulness", type=Path, nargs="+", required=True, help="of measure_faithfulness"
    )
    arguments.add_argument(
        "--attributions", type=Path, nargs="+", required=True, help="of attribute_tokens"
    )
    arguments.add_argument("--costs", type=Path, nargs="+", required=True, help="likewise")
    arguments.add_argument("--sequences", type=Path, required=True, help="token file")
    arguments.add_argument("--explanandum", type=Path, required=True, help="folder of its model")
    arguments.add_argument(
        "--explainer", required=True, help="method whose mask area and cost others are set against"
    )
    arguments.add_argument(
        "--explainers", nargs="+", required=True, help="methods of all Explainers, to be judged"
    )
    arguments.add_argument("--batch-size", type=int, required=True)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--faithfulness-table", type=Path, required=True, help="TSV to write")
    arguments.add_argument("--comparison", type=Path, required=True, help="TSV to write")
    arguments.add_argument("--curves", type=Path, required=True, help="TSV to write")
    arguments.add_argument("--markdown", type=Path, required=True, help="text to write")
    cli.run(arguments, main, "evaluation.batch_size")
