"""Score the tokens of the sampled sequences by one method, also for two robustness checks.

The program explains the first sequences twice more: with one base substituted, for the same classes; and
with an Explanandum of fresh random weights, for the classes that it predicts. Scores that somebody gives
as a file (`method: file`) are taken as they are, without these checks.
"""

from pathlib import Path

import numpy as np

from whatyouread.data.token_files import TokenFile
from whatyouread.explainers.saved import load_attached
from whatyouread.masks.choices import class_lineages
from whatyouread.methods.files import COSTS, Attributions, write_attributions
from whatyouread.methods.given_scores import FILE, given_scores
from whatyouread.methods.registry import Attributor, asked_classes, reinitialised
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes, add_arguments, choose_device, compile_encoder
from whatyouread.models.saving import load_model
from whatyouread.support import cli, files


def explained(args, passes, plain, lineages):
    """The variants of what a method of the registry makes, and its cost."""
    explanandum = passes.explanandum
    explainer = load_attached(args.explainer, explanandum) if args.explainer else None
    substituted = TokenFile(args.substituted, explanandum.ranks)
    own = Attributor(args.method, args.settings, passes, explainer, args.seed)
    own.warn_of_few_samples(plain)
    rows, again = np.arange(len(plain)), np.arange(len(substituted))
    classes = own.classes(plain, lineages)
    # warm up, to keep start-up time out of the cost: on a GPU and in compiled code each size has its own
    first = own.question_size if args.compile or passes.device.type != "cpu" else 1
    own.explain(plain, rows[:first], classes)
    made = {"plain": own.explain(plain, rows, classes)}
    cost = own.cost
    made["substituted"] = own.explain(substituted, again, classes)
    fresh = compile_encoder(reinitialised(explanandum, args.seed), args.compile)
    passes = Passes(fresh, args.batch_size, passes.device, args.precision)
    other = Attributor(args.method, args.settings, passes, explainer, args.seed)
    made["randomised"] = other.explain(plain, again, other.classes(plain, lineages))
    return made, cost


def given(args, passes, plain, lineages):
    """Somebody's scores, which know of no other variant, and their cost, which nobody knows."""
    scores = given_scores(Path(args.settings["file"]), plain)
    classes = asked_classes(passes, plain, lineages, args.seed)
    content = plain.batch(np.arange(len(plain))).content
    ids = plain.ids.combine_chunks()
    made = Attributions(
        ids, plain.keys, plain.lengths, content, plain.labels, **classes, scores=scores
    )
    return {"plain": made}, dict.fromkeys(COSTS)


def main(args):
    device = choose_device(args.threads, args.precision)
    explanandum = compile_encoder(load_model(Explanandum, args.explanandum), args.compile)
    plain = TokenFile(args.sequences, explanandum.ranks)
    lineages = class_lineages(plain.labels, plain.path)
    passes = Passes(explanandum, args.batch_size, device, args.precision)
    make = given if args.settings.get("method") == FILE else explained
    made, cost = make(args, passes, plain, lineages)
    write_attributions(args.scores, explanandum.ranks, made, plain.kinds)
    files.write_json(args.cost, {"method": args.method, "sequences": len(plain)} | cost)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--method", required=True, help="name of the method")
    arguments.add_argument(
        "--settings", type=cli.json_argument, required=True, help="of the method"
    )
    arguments.add_argument("--explanandum", type=Path, required=True, help="folder of its model")
    arguments.add_argument(
        "--explainer", type=Path, help="folder of its model, for the method `explainer`"
    )
    arguments.add_argument("--sequences", type=Path, required=True, help="token file")
    arguments.add_argument("--substituted", type=Path, required=True, help="token file")
    add_arguments(arguments)
    arguments.add_argument("--scores", type=Path, required=True, help="Parquet file to write")
    arguments.add_argument("--cost", type=Path, required=True, help="JSON to write")
    cli.run(arguments, main, "evaluation.batch_size")
