"""Measure how faithful the scores of one method are, with bootstrap intervals over the sequences."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from whatyouread import cli, files
from whatyouread import faithfulness as measures
from whatyouread.attribution_files import COMBINED, read_attributions
from whatyouread.bootstrap import interval
from whatyouread.explainer import Explainer, load_explainer
from whatyouread.explanandum import Explanandum, load_model
from whatyouread.localization import planted_tokens, read_planted
from whatyouread.mask_files import THRESHOLD
from whatyouread.masking import target_mask
from whatyouread.perturbation_runs import Runs
from whatyouread.predict import choose_device
from whatyouread.token_files import TokenFile, batches_by_length
from whatyouread.top_tokens import keep_mask, ranking, remove_mask


def by_runs(runs: Runs, plain, settings: dict, seed: int) -> dict[str, np.ndarray]:
    """The measures that need the classifier, (n, ranks) each."""
    scores, lengths, keys = plain.scores[COMBINED], plain.lengths, plain.keys
    rank = ranking(scores, lengths, keys, seed)

    def probabilities(masks):
        return np.exp(runs.log_probabilities(masks, plain.predicted))

    shares, points = settings["fractions"], settings["curve_points"]
    deletion, insertion = (
        probabilities(measures.curve_masks(rank, lengths, points, mask))
        for mask in (remove_mask, keep_mask)
    )
    without, alone = (
        probabilities(measures.top_masks(rank, lengths, shares, mask))
        for mask in (remove_mask, keep_mask)
    )
    whole = deletion[0]
    random = list(
        measures.random_masks(lengths, keys, scores.shape[1], settings["infidelity_samples"], seed)
    )
    logs = runs.log_probabilities([np.ones_like(random[0]), *random], plain.predicted)
    gone = 1 - np.stack(random)  # scores are zero at padding
    own = np.stack([plain.scores[name] for name in runs.file.ranks], axis=-1).astype(np.float64)
    predicted = np.einsum("snl,nlr->snr", gone, own)
    return {
        "comprehensiveness": measures.comprehensiveness(whole, without),
        "sufficiency": measures.sufficiency(whole, alone),
        "deletion_auc": measures.curve_area(deletion),
        "insertion_auc": measures.curve_area(insertion),
        "infidelity": measures.infidelity(logs[0] - logs[1:], predicted),
    }


@torch.inference_mode()
def masks_of(explainer: Explainer, file: TokenFile, classes: np.ndarray, size: int, device):
    """Target masks for the given classes, as attributions hold them, float32 (n, longest)."""
    made = np.zeros((len(file), int(file.lengths.max())), np.float32)
    explainer = explainer.to(device).eval()
    for rows in batches_by_length(file.lengths, size):
        tokens = torch.from_numpy(file.tokens(rows)).to(device)
        sets = torch.from_numpy(classes[rows]).to(device).unsqueeze(1)
        mask = target_mask(explainer.class_masks(tokens, sets, smooth=False))[:, :, 0]
        made[rows, : mask.shape[1]] = mask.float().cpu().numpy()
    return made


def seed_agreement(args, explanandum, file: TokenFile, plain, device) -> dict[str, np.ndarray]:
    """How every two Explainers agree, (n,): rank correlation of masks, overlap of rounded masks."""
    masks = [plain.scores[COMBINED]]
    for folder in args.explainers:
        explainer = load_explainer(folder, explanandum)
        masks.append(masks_of(explainer, file, plain.predicted, args.batch_size, device))
    pairs = list(combinations(masks, 2))
    ranks = [measures.spearman(one, two, plain.lengths) for one, two in pairs]
    shared = [measures.overlap(a > THRESHOLD, b > THRESHOLD, plain.lengths) for a, b in pairs]
    return {"seed_agreement": np.mean(ranks, axis=0), "seed_overlap": np.mean(shared, axis=0)}


def main(args):
    device = choose_device(args.threads)
    explanandum = load_model(Explanandum, args.explanandum)
    file = TokenFile(args.sequences, explanandum.ranks)
    variants = read_attributions(args.attributions, explanandum.ranks)
    plain = variants["plain"]
    if not np.array_equal(plain.keys, file.keys):
        raise cli.UserError(f"{args.attributions} is not of the sequences in {args.sequences}")
    values = by_runs(
        Runs(explanandum, file, args.batch_size, device), plain, args.settings, args.seed
    )
    scores = plain.scores[COMBINED]
    for name, variant in (("stability", "substituted"), ("randomised_model", "randomised")):
        other = variants[variant]
        n, width = other.scores[COMBINED].shape
        own = scores[:n, :width]
        made = measures.spearman(own, other.scores[COMBINED], other.lengths)
        values[name] = np.abs(made) if variant == "randomised" else made
    if args.planted:
        planted = planted_tokens(file, read_planted(args.planted))
        values |= measures.planted_precision(scores, planted, plain.lengths)
    if args.explainers:
        values |= seed_agreement(args, explanandum, file, plain, device)
    rows = []
    for name, made in values.items():
        columns = {COMBINED: made} if made.ndim == 1 else dict(
            zip(explanandum.ranks, made.T, strict=True)
        ) | {"mean": made.mean(1)}  # fmt: skip
        for rank, column in columns.items():
            known = column[~np.isnan(column)]
            low, high = interval(known, args.settings["resamples"], args.seed)
            mean = known.mean() if len(known) else np.nan
            rows.append(
                [args.method, name, measures.MEASURES[name], rank, mean, low, high, len(known)]
            )
    names = ["method", "metric", "direction", "rank", "value", "low", "high", "n"]
    files.write_tsv(args.table, pd.DataFrame(rows, columns=names), float_format="%.5f")


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--method", required=True, help="name of the method")
    arguments.add_argument("--attributions", type=Path, required=True, help="of attribute_tokens")
    arguments.add_argument("--sequences", type=Path, required=True, help="token file")
    arguments.add_argument("--explanandum", type=Path, required=True, help="folder of its model")
    arguments.add_argument("--settings", type=cli.json_argument, required=True)
    arguments.add_argument("--batch-size", type=int, required=True)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--planted", type=Path, help="of simulate_dataset")
    arguments.add_argument("--explainers", type=Path, nargs="*", help="folders, of other seeds")
    arguments.add_argument("--table", type=Path, required=True, help="TSV to write")
    cli.run(arguments, main)
