"""All methods against evidence that somebody marked, beside their controls and the classifier's score."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from whatyouread.data.kinds import SINGLE, Single, all_single
from whatyouread.data.positions import ANY
from whatyouread.evaluate.evidence_values import ABOUT, MEASURES, EvidenceValues
from whatyouread.masks.choices import THRESHOLD
from whatyouread.support.files import atomic, write_tsv
from whatyouread.support.statistics import interval
from whatyouread.support.text import counted, markdown_table

UNMASKED = "unmasked"
"""The method of the first row, which has the classifier's score instead."""
CONTROL = "shifted"
ALL, RIGHT = "all", "right"
"""Which sequences count: all, or those of which the classifier names every known class."""
WIDTH = 108
NO_CLAIM = "The classifier is at chance here: no claim."


def evidence_table(values: EvidenceValues, resamples: int, seed: int) -> pd.DataFrame:
    """One row per method, control, group of evidence, and choice of sequences.

    values: of `evidence_values`, or of several runs by `pooled`. Columns: `sequences` have evidence;
    `share`: the mean share of evidence in all of these, and so, in one run, of the tokens that are chosen;
    each of `MEASURES` is a mean over the sequences with its 95 % bootstrap interval (`_low`, `_high`);
    AUPRC and its `base_rate` are of the `auprc_sequences`, whose tokens are not all evidence. The first
    row, `unmasked`, has the classifier's balanced accuracy at each level on all `sequences`, its interval,
    and its `chance`: what a constant answer gets. Where sequences were read in windows it has their number
    (`windows`) and that of the sequences of which some are missing (`incomplete`), and of several runs
    their number (`runs`).
    """
    texts = values.texts
    whole = classifier_row(
        values.labels, values.predicted, values.ranks, resamples, seed, values.kinds
    )
    if texts["divided"].any():
        whole |= {"windows": int(texts["windows"].sum())}
        whole |= {"incomplete": int((texts["missing"] > 0).sum())}
    if values.runs > 1:
        whole["runs"] = values.runs
    rows = [whole]
    right = texts["right"].to_numpy()
    for about, own in values.measures.groupby(list(ABOUT), sort=False, observed=True):
        shares = own["share"].to_numpy()
        marked = shares > 0
        fraction = shares[marked].mean() if marked.any() else 0.0
        measured = {name: own[name].to_numpy() for name in MEASURES}
        chosen = right[own["text"].to_numpy()]
        for name, those in ((ALL, np.ones_like(chosen)), (RIGHT, chosen)):
            row = dict(zip(ABOUT, about, strict=True)) | {"classified": name}
            row |= {"sequences": int(marked[those].sum()), "share": fraction}
            row |= _means({k: v[those] for k, v in measured.items()}, resamples, seed)
            judged = those & ~np.isnan(measured["auprc"])
            row["auprc_sequences"] = int(judged.sum())
            row["base_rate"] = shares[judged].mean() if judged.any() else np.nan
            rows.append(row)
    return pd.DataFrame(rows)


def write_table(values: EvidenceValues, resamples: int, seed: int, table: Path, text: Path) -> None:
    """Write the table of some values as TSV (`table`), and what a reader wants of it as Markdown (`text`)."""
    made = evidence_table(values, resamples, seed)
    write_tsv(table, made, float_format="%.5g")
    with atomic(text) as temporary:
        temporary.write_text(markdown(made, values.ranks), encoding="utf-8")


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
        f"{int(first['sequences']):,} of {int(whole['sequences']):,} compared test sequences"
        f"{_joined(whole)} have evidence,"
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


def _joined(whole: pd.Series) -> str:
    """What was put together for the table; whole: its first row."""
    number = {name: int(whole.get(name, 0)) for name in ("runs", "windows", "incomplete")}
    said = []
    if number["runs"]:
        said.append(f"of {number['runs']:,} runs")
    if number["windows"]:
        said.append(
            f"read in {number['windows']:,} windows, whose tokens count together, and whose answers by"
            " majority"
        )
    if number["incomplete"]:
        said.append(f"{counted(number['incomplete'], 'sequence')} without some of the windows")
    return f" ({'; '.join(said)})" if said else ""


def _score(whole: pd.Series, rank: str) -> str:
    """What the classifier is scored by at a rank; whole: the first row of the table."""
    said = whole.get(f"score_{rank}", "")
    return said if isinstance(said, str) and said else SINGLE.score_name


def _means(values: dict[str, np.ndarray], resamples: int, seed: int) -> dict[str, float]:
    row = {}
    for name in MEASURES:
        known = values.get(name, np.zeros(0))
        known = known[~np.isnan(known)]
        low, high = interval(known, resamples, seed)
        row |= {name: known.mean() if len(known) else np.nan}
        row |= {f"{name}_low": low, f"{name}_high": high}
    return row


def _cell(row: pd.Series, measure: str) -> str:
    value, low, high = (_number(row[f"{measure}{end}"]) for end in ("", "_low", "_high"))
    return value if low == high == "–" else f"{value} ({low}-{high})"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"
