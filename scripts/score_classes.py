"""Select the items that speak for the class of each sampled sequence, for one run: tokens, k-mers, words."""

from pathlib import Path

import numpy as np
import pandas as pd

from whatyouread.classes.documents import Documents
from whatyouread.classes.items import (
    Kind,
    Kmers,
    Tokens,
    best_of_documents,
    normalised,
    select_items,
    write_selections,
)
from whatyouread.classes.scores import class_scores
from whatyouread.classes.words import LARGEST, Words
from whatyouread.data.normalisation import Settings
from whatyouread.data.sampling import lowest_classes, stratified_sample
from whatyouread.data.six_mers import K
from whatyouread.data.texts import document_keys, read_texts
from whatyouread.data.token_files import TokenFile
from whatyouread.explainers.saved import load_attached
from whatyouread.masks.choices import THRESHOLD
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes, choose_device
from whatyouread.models.saving import load_model
from whatyouread.support import cli


def kinds_of_items(args, file: TokenFile, rows: np.ndarray) -> list[Kind]:
    """What finds the items in the rows of the file that are looked at, for each kind that is asked for."""
    settings, made = args.settings, []
    for name in settings.get("items", ["token", "kmer"]):
        if name == "kmer":
            made.append(Kmers(settings["k"], file.tokenizer))
        elif name == "token":
            made.append(Tokens(file.tokenizer))
        elif name == "word" and args.dataset:
            own = settings.get("words", {})
            read = cli.settings(Settings, args.sequence_settings)
            texts = dict(
                zip(rows.tolist(), read_texts(args.dataset, read, file, rows), strict=True)
            )
            made.append(Words(file, texts, own.get("score", LARGEST), own.get("fold_case", True)))
        else:
            raise cli.UserError(
                f"class_explanations.items: {name!r} is none of token, kmer, word, or --dataset is not given"
            )
    return made


def main(args):
    settings = args.settings
    device = choose_device(args.threads)
    explanandum = load_model(Explanandum, args.explanandum)
    explainer = args.explainer and load_attached(args.explainer, explanandum)
    file = TokenFile(args.test, explanandum.ranks)
    rows = stratified_sample(
        lowest_classes(file.labels), file.keys, settings["sequences"], args.seed
    )
    kinds = kinds_of_items(args, file, rows)
    words = next((kind for kind in kinds if isinstance(kind, Words)), None)
    documents = Documents(file, words)
    # one k-mer begins at each base of the best tokens, so take that many
    best = {kind.kind: settings["best"] * (K if kind.kind == "kmer" else 1) for kind in kinds}
    same = {"run": args.run, "source": args.source}
    own_keys = document_keys(file)
    selections, sequences = [], []
    passes = Passes(explanandum, args.batch_size, device)
    for own, batch, scores, classes in class_scores(
        args.source, passes, explainer, file, rows, steps=settings.get("steps", 0),
        min_probability=settings["min_probability"], seed=args.seed,
    ):  # fmt: skip
        for i, rank in enumerate(file.ranks):
            kept = np.flatnonzero(classes[:, i] >= 0)
            taken, numbers = own[kept], classes[kept, i]
            chosen, keys = batch.take(kept), own_keys[taken]
            values, min_score = scores[kept, :, i], THRESHOLD
            if args.source == "integrated_gradients":
                values, min_score = normalised(values, chosen.content), 0.0
            about = same | {"rank": rank}
            sequences.append(pd.DataFrame(about | {"class": numbers, "key": keys}))
            for kind in kinds:
                row, code, score = select_items(
                    kind, taken, chosen, values, keys,
                    best=best[kind.kind], min_score=min_score, seed=args.seed,
                )  # fmt: skip
                items = {"class": numbers[row], "key": keys[row], "kind": kind.kind}
                names = kind.names(code)
                selections.append(pd.DataFrame(about | items | {"item": names, "score": score}))
            if args.documents and args.run == 0:
                documents.add(rank, numbers, taken, keys, chosen, values)
    if not sequences:
        raise cli.UserError(
            f"no sequence of {args.test} is classified correctly with a probability above "
            f"{settings['min_probability']}: lower class_explanations.min_probability, or train longer"
        )
    whole = pd.concat(sequences, ignore_index=True)
    counted = whole.groupby("rank", sort=False).size().to_dict()
    cli.log.info("sequences that count: %s", counted)
    chosen = pd.concat(selections, ignore_index=True)
    if (own_keys != file.keys).any():
        chosen = best_of_documents(chosen, best)
    counts = words and {"source": args.source, "kind": words.kind} | words.counts
    write_selections(args.selections, chosen, whole, counts)
    if words:
        words.tell()
    if args.documents:
        documents.write(args.documents)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--run", type=int, required=True, help="number of the run")
    arguments.add_argument("--source", required=True, help="integrated_gradients or explainer_NAME")
    arguments.add_argument("--explanandum", type=Path, required=True, help="folder of its model")
    arguments.add_argument("--explainer", type=Path, help="folder of its model, for explainer_NAME")
    arguments.add_argument("--test", type=Path, required=True, help="token file")
    arguments.add_argument("--dataset", type=Path, help="folder of download_dataset, for words")
    arguments.add_argument(
        "--sequence-settings",
        type=cli.json_argument,
        default={},
        help="the same as for label_taxonomy, JSON",
    )
    arguments.add_argument("--settings", type=cli.json_argument, required=True)
    arguments.add_argument("--batch-size", type=int, required=True)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--selections", type=Path, required=True, help="Parquet file to write")
    arguments.add_argument(
        "--documents", type=Path, help="Parquet file to write: the texts with their words, of run 0"
    )
    cli.run(arguments, main, "evaluation.batch_size")
