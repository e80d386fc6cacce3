"""Score the tokens of the sampled sequences by one method, plainly and for the two robustness checks.

The first sequences are explained again with one base substituted, for the same classes, and under
an Explanandum of fresh random weights, for the classes that it predicts.
"""

from pathlib import Path

import numpy as np

from whatyouread import cli, files
from whatyouread.attribution import Attributor, reinitialised
from whatyouread.attribution_files import write_attributions
from whatyouread.explainer import load_explainer
from whatyouread.explanandum import Explanandum, load_model
from whatyouread.predict import add_arguments, choose_device, compile_encoder
from whatyouread.token_files import TokenFile


def main(args):
    device = choose_device(args.threads, args.precision)
    explanandum = compile_encoder(load_model(Explanandum, args.explanandum), args.compile)
    explainer = load_explainer(args.explainer, explanandum)
    plain = TokenFile(args.sequences, explanandum.ranks)
    substituted = TokenFile(args.substituted, explanandum.ranks)
    lineages = np.unique(plain.labels, axis=0)
    options = {
        "batch_size": args.batch_size,
        "seed": args.seed,
        "device": device,
        "precision": args.precision,
    }
    own = Attributor(args.method, args.settings, explanandum, explainer, **options)
    rows, again = np.arange(len(plain)), np.arange(len(substituted))
    classes = own.classes(plain, lineages)
    own.explain(plain, rows[:1], classes)  # so that no start-up time is counted
    made = {"plain": own.explain(plain, rows, classes)}
    cost = {"method": args.method, "sequences": len(rows)} | own.cost
    made["substituted"] = own.explain(substituted, again, classes)
    fresh = compile_encoder(reinitialised(explanandum, args.seed), args.compile)
    other = Attributor(args.method, args.settings, fresh, explainer, **options)
    made["randomised"] = other.explain(plain, again, other.classes(plain, lineages))
    write_attributions(args.scores, explanandum.ranks, made)
    files.write_json(args.cost, cost)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--method", required=True, help="name of the method")
    arguments.add_argument(
        "--settings", type=cli.json_argument, required=True, help="of the method"
    )
    arguments.add_argument("--explanandum", type=Path, required=True, help="folder of its model")
    arguments.add_argument("--explainer", type=Path, required=True, help="folder of its model")
    arguments.add_argument("--sequences", type=Path, required=True, help="token file")
    arguments.add_argument("--substituted", type=Path, required=True, help="token file")
    add_arguments(arguments)
    arguments.add_argument("--scores", type=Path, required=True, help="Parquet file to write")
    arguments.add_argument("--cost", type=Path, required=True, help="JSON to write")
    cli.run(arguments, main)
