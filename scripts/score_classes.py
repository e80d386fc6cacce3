"""Select the tokens and k-mers that speak for the class of each sampled sequence, for one run."""

from pathlib import Path

import numpy as np
import pandas as pd

from whatyouread.classes.items import (
    KINDS,
    item_names,
    normalised,
    select_items,
    write_selections,
)
from whatyouread.classes.scores import class_scores
from whatyouread.data.sampling import lowest_classes, stratified_sample
from whatyouread.data.six_mers import K
from whatyouread.data.token_files import TokenFile
from whatyouread.explainers.saved import load_attached
from whatyouread.masks.choices import THRESHOLD
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes, choose_device
from whatyouread.models.saving import load_model
from whatyouread.support import cli


def main(args):
    settings = args.settings
    device = choose_device(args.threads)
    explanandum = load_model(Explanandum, args.explanandum)
    explainer = args.explainer and load_attached(args.explainer, explanandum)
    file = TokenFile(args.test, explanandum.ranks)
    rows = stratified_sample(
        lowest_classes(file.labels), file.keys, settings["sequences"], args.seed
    )
    same = {"run": args.run, "source": args.source}
    selections, sequences = [], []
    passes = Passes(explanandum, args.batch_size, device)
    for own, batch, scores, good in class_scores(
        args.source, passes, explainer, file, rows, steps=settings.get("steps", 0),
        min_probability=settings["min_probability"], seed=args.seed,
    ):  # fmt: skip
        for i, rank in enumerate(file.ranks):
            kept = np.flatnonzero(good[:, i])
            taken = own[kept]
            chosen, keys = batch.take(kept), file.keys[taken]
            values, min_score = scores[kept, :, i], THRESHOLD
            if args.source == "integrated_gradients":
                values, min_score = normalised(values, chosen.content), 0.0
            about = same | {"rank": rank}
            sequences.append(pd.DataFrame(about | {"class": file.labels[taken, i], "key": keys}))
            # one k-mer begins at each base of the best tokens, so take that many
            best = {"token": settings["best"], "kmer": K * settings["best"]}
            for kind in KINDS:
                row, code, score = select_items(
                    chosen, values, keys, kind=kind, k=settings["k"],
                    best=best[kind], min_score=min_score, seed=args.seed,
                )  # fmt: skip
                items = {"class": file.labels[taken[row], i], "key": keys[row], "kind": kind}
                names = item_names(code, kind, settings["k"])
                selections.append(pd.DataFrame(about | items | {"item": names, "score": score}))
    if not sequences:
        raise cli.UserError(
            f"no sequence of {args.test} is classified correctly with a probability above "
            f"{settings['min_probability']}: lower class_explanations.min_probability, or train longer"
        )
    whole = pd.concat(sequences, ignore_index=True)
    cli.log.info("sequences that count: %s", whole.groupby("rank", sort=False).size().to_dict())
    write_selections(args.selections, pd.concat(selections, ignore_index=True), whole)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--run", type=int, required=True, help="number of the run")
    arguments.add_argument("--source", required=True, help="integrated_gradients or explainer_NAME")
    arguments.add_argument("--explanandum", type=Path, required=True, help="folder of its model")
    arguments.add_argument("--explainer", type=Path, help="folder of its model, for explainer_NAME")
    arguments.add_argument("--test", type=Path, required=True, help="token file")
    arguments.add_argument("--settings", type=cli.json_argument, required=True)
    arguments.add_argument("--batch-size", type=int, required=True)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--selections", type=Path, required=True, help="Parquet file to write")
    cli.run(arguments, main, "evaluation.batch_size")
