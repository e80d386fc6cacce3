"""All methods against evidence that somebody marked, beside their controls and the classifier's score."""

import textwrap
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from whatyouread.data.kinds import SINGLE, Single, all_single
from whatyouread.data.planted import has_places, planted_in, planted_tokens
from whatyouread.data.positions import ANY
from whatyouread.data.token_files import TokenFile
from whatyouread.evaluate.evidence import evidence_share, iou_f1, token_f1, top_tokens
from whatyouread.masks.choices import OTHERS, THRESHOLD, UNCOUNTED
from whatyouread.masks.controls import CONTROLS
from whatyouread.methods.files import COMBINED, Attributions
from whatyouread.support.cli import log
from whatyouread.support.statistics import (
    average_precision,
    interval,
)
from whatyouread.support.text import counted, markdown_table

UNMASKED = "unmasked"
"""The method of the first row, which has the classifier's score instead."""
CONTROL = "shifted"
MEASURES = ("auprc", "token_f1", "iou_f1", "mask_token_f1", "mask_iou_f1")
"""Scores; the best tokens, as many as people mark on average; the mask itself, where the method makes one."""
ALL, RIGHT = "all", "right"
"""Which sequences count: all, or those of which the classifier names every known class."""
WIDTH = 108
NO_CLAIM = "The classifier is at chance here: no claim."


def evidence_table(
    file: TokenFile,
    methods: dict[str, Attributions],
    planted: pd.DataFrame,
    masks: Collection[str],
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """One row per method, control, group of evidence, and choice of sequences.

    file: the sequences that all methods explained; planted: of `read_planted`; masks: the methods whose
    scores are masks, which have a threshold of their own. The scores are those for the predicted classes
    together; controls are those of masks, and the scores for other classes (`wrong_class`,
    `runner_up_class`). Columns: `sequences` have evidence; `share`: the mean share of evidence in all of
    these, and so of the tokens that are chosen; each of `MEASURES` is a mean over the sequences with its
    95 % bootstrap interval (`_low`, `_high`); AUPRC and its `base_rate` are of the `auprc_sequences`, whose
    tokens are not all evidence. The first row, `unmasked`, has the classifier's balanced accuracy at each
    level on all `sequences` of the file, its interval, and its `chance`: what a constant answer gets.
    """
    first = next(iter(methods.values()))
    content, predicted = first.content, first.predicted
    usable = has_places(file)
    _warn_of_lost(file, planted, usable)
    groups = sorted(planted["rank"].unique())
    truths = {ANY: planted_tokens(file, planted)}
    if len(groups) > 1:
        truths |= {g: planted_tokens(file, planted[planted["rank"] == g]) for g in groups}
    truths = {name: truth & content & usable[:, None] for name, truth in truths.items()}
    some = int(truths[ANY].any(1).sum())
    say = log.info if some else log.warning
    say("%s of %s have evidence", f"{some:,}", counted(len(file), "compared sequence"))
    right = _right(file.labels, predicted)
    rows = [classifier_row(file.labels, predicted, file.ranks, resamples, seed, file.kinds)]
    for method, made in methods.items():
        for control, scores in _variants(made, content, file.keys, seed):
            for group, truth in truths.items():
                fraction = evidence_share(truth, content)
                values = {"auprc": average_precision(scores, truth, content)}
                best = top_tokens(scores, content, file.keys, seed, fraction)
                values |= _hard("", best, truth, content)
                if method in masks:
                    values |= _hard("mask_", scores > THRESHOLD, truth, content)
                shares = truth.sum(1) / np.maximum(content.sum(1), 1)
                about = {"method": method, "control": control, "evidence": group}
                for name, those in ((ALL, np.ones_like(right)), (RIGHT, right)):
                    row = about | {"classified": name, "sequences": int(truth[those].any(1).sum())}
                    row |= {"share": fraction}
                    row |= _means({k: v[those] for k, v in values.items()}, resamples, seed)
                    judged = those & ~np.isnan(values["auprc"])
                    row["auprc_sequences"] = int(judged.sum())
                    row["base_rate"] = shares[judged].mean() if judged.any() else np.nan
                    rows.append(row)
    return pd.DataFrame(rows)


def classifier_row(
    labels: np.ndarray,
    predicted: np.ndarray,
    ranks: Sequence[str],
    resamples: int,
    seed: int,
    kinds: Sequence[Single] | None = None,
) -> dict:
    """The row of the classifier; labels, predicted: int64 (n, ranks), whose meaning `kinds` says.

    Of sets of classes the score is macro F1, and `score_RANK` says so (`data.kinds`).
    """
    kinds = all_single(ranks) if kinds is None else kinds
    row = {"method": UNMASKED, "control": "none", "evidence": "", "classified": ALL}
    row |= {"sequences": len(labels)}
    for i, rank in enumerate(ranks):
        own, kind = labels[:, i], kinds[i]
        low, high = kind.score_interval(own, predicted[:, i], resamples, seed)
        row[f"accuracy_{rank}"] = kind.score(own, predicted[:, i])
        row |= {f"accuracy_{rank}_low": low, f"accuracy_{rank}_high": high}
        row[f"chance_{rank}"] = kind.constant_score(own)
        if not kind.alone:
            row[f"score_{rank}"] = kind.score_name
    return row


def at_chance(row: pd.Series, rank: str) -> bool:
    """Whether the classifier is no better than a constant answer: the interval does not lie above it.

    row: the first one of the table. An unknown interval does not, either.
    """
    return not row[f"accuracy_{rank}_low"] > row[f"chance_{rank}"]


def markdown(table: pd.DataFrame, ranks: Sequence[str]) -> str:
    """What a reader wants of the table, as Markdown: methods against all evidence, beside moved scores."""
    whole = table.iloc[0]
    own = table[(table["evidence"] == ANY) & (table["classified"] == ALL)].set_index("method")
    moved, own = (own[own["control"] == name] for name in (CONTROL, "none"))
    first = own.iloc[0]
    heads = ["", "AUPRC", "moved", "token F1", "moved", "IOU F1", "moved"]
    rows = [heads]
    for method, row in own.iterrows():
        other, name = moved.loc[method], method.replace("_", " ")
        cells = [[_cell(row, measure), _number(other[measure])] for measure in MEASURES]
        rows.append([name, *cells[0], *cells[1], *cells[2]])
        if not np.isnan(row["mask_token_f1"]):
            rows.append([f"{name}, mask", "", "", *cells[3], *cells[4]])
    about = (
        f"{int(first['sequences']):,} of {int(whole['sequences']):,} compared test sequences have evidence,"
        f" on average {100 * first['share']:.1f} % of their tokens. AUPRC: how well high scores find it;"
        f" scores that know nothing reach {_number(first['base_rate'])} (in the"
        f" {int(first['auprc_sequences']):,} whose tokens are not all evidence). Token F1 and IOU F1: of as"
        " many of the best tokens as people mark on average, or (mask) of the tokens whose mask is above"
        f" {THRESHOLD:g}. Means over the sequences with 95 % bootstrap intervals. Moved: the same scores"
        " moved along the sequence. A method finds evidence only where it beats them."
    )
    lines = [
        "# Against the evidence that people marked",
        "",
        *textwrap.wrap(about, WIDTH),
        "",
        *markdown_table(rows, aligned=True),
        "",
    ]
    for rank in ranks:
        accuracy, low, high = (
            100 * whole[f"accuracy_{rank}{end}"] for end in ("", "_low", "_high")
        )
        said = (
            f"- {rank}: {_score(whole, rank)} of the classifier on these sequences {accuracy:.1f} %"
            f" ({low:.1f} to {high:.1f}), of a constant answer {100 * whole[f'chance_{rank}']:.1f} %."
            + (f" {NO_CLAIM}" if at_chance(whole, rank) else "")
        )
        lines += textwrap.wrap(said, WIDTH, subsequent_indent="  ")
    return "\n".join(lines) + "\n"


def _score(whole: pd.Series, rank: str) -> str:
    """What the classifier is scored by at a rank; whole: the first row of the table."""
    said = whole.get(f"score_{rank}", "")
    return said if isinstance(said, str) and said else SINGLE.score_name


def _hard(prefix: str, chosen: np.ndarray, truth: np.ndarray, content: np.ndarray) -> dict:
    return {
        f"{prefix}token_f1": token_f1(chosen, truth, content),
        f"{prefix}iou_f1": iou_f1(chosen, truth, content),
    }


def _means(values: dict[str, np.ndarray], resamples: int, seed: int) -> dict[str, float]:
    row = {}
    for name in MEASURES:
        known = values.get(name, np.zeros(0))
        known = known[~np.isnan(known)]
        low, high = interval(known, resamples, seed)
        row |= {name: known.mean() if len(known) else np.nan}
        row |= {f"{name}_low": low, f"{name}_high": high}
    return row


def _variants(
    made: Attributions, content: np.ndarray, keys: np.ndarray, seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    scores = made.scores[COMBINED]
    yield "none", scores
    for name, control in CONTROLS.items():
        yield name, control(scores, content, keys, seed)
    for other in OTHERS:
        yield f"{other}_class", made.scores[other]


def _right(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Of which sequences all known classes are named, bool (n,); not where none is known."""
    known = labels != UNCOUNTED
    return ((labels == predicted) | ~known).all(1) & known.any(1)


def _warn_of_lost(file: TokenFile, planted: pd.DataFrame, usable: np.ndarray) -> None:
    """Count the evidence that lies behind the last token that the model reads of a sequence.

    Of sequences that were divided nothing is lost: each window has its part.
    """
    own = planted_in(file, planted)
    last = file.spans(np.arange(len(file)))[1].max(1, initial=0)
    rows = own["row"].to_numpy()
    whole = file.ids.take(pa.array(rows)).to_numpy() == own["id"].to_numpy()
    lost = whole & usable[rows] & (own["start"].to_numpy() >= last[rows])
    if lost.any():
        log.warning(
            "%s: %s of %s lie behind the tokens that the model reads of their sequences, and do not count"
            " (sequences.longer: window keeps them)",
            file.path,
            f"{int(lost.sum()):,}",
            counted(len(own), "piece") + " of evidence",
        )


def _cell(row: pd.Series, measure: str) -> str:
    value, low, high = (_number(row[f"{measure}{end}"]) for end in ("", "_low", "_high"))
    return value if low == high == "–" else f"{value} ({low}-{high})"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"
