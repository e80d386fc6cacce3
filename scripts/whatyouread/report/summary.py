"""The summary: all Explainers side by side with the control that their masks must beat.

A mask shows where a classifier looks only if it beats the same mask shifted along the sequence. Rounded,
it must keep more of the classifier's accuracy and leave less accuracy to the rest of the sequence. Both
comparisons use the mean over the ranks and a tolerance of two standard errors (`conditions.is_clear`).
"""

import dataclasses
import textwrap
from collections.abc import Iterator

import numpy as np
import pandas as pd

from whatyouread.data.kinds import capital, kinds_of_scores, score_words
from whatyouread.data.split_copies import NEAR_COPIED
from whatyouread.data.split_summary import GIVEN
from whatyouread.data.splitting import MANY, SPLITS, TEST, TRAIN, VALIDATION
from whatyouread.masks.choices import THRESHOLD
from whatyouread.report.conditions import CONDITIONS, FEWEST, is_clear
from whatyouread.support.cli import UserError
from whatyouread.support.text import markdown_table

CONTROL = "shifted"
WIDTH = 108
_ARROWS = {1: " ↑", -1: " ↓", 0: ""}
_SPACE = "\N{NO-BREAK SPACE}"  # holds numbers together while lines are broken

KEEP = {1: "keep more than", 0: "keep about as much as", -1: "keep less than"}
LEAVE = {1: "leave less", 0: "leave about as much", -1: "leave more"}
"""How rounded masks and their complements compare with shifted ones: 1 better, 0 alike, -1 worse."""
CONCLUSIONS = {
    (1, 1): "they point at what the classifier reads",
    (1, 0): "the classifier can use what they hold, but misses it no more than other tokens",
    (0, 1): "the classifier needs what they hold, but that alone is worth no more than others",
    (0, 0): "they do not yet say where the classifier looks",
    (1, -1): "the two tests disagree, so they do not say where the classifier looks",
    (-1, 1): "the two tests disagree, so they do not say where the classifier looks",
    (0, -1): "shifted ones do better, so they do not say where the classifier looks",
    (-1, 0): "shifted ones do better, so they do not say where the classifier looks",
    (-1, -1): "what the classifier reads lies outside them rather than inside",
}
ANY_WILL_DO = "masks this large keep enough wherever they lie, so this does not say where it looks"


@dataclasses.dataclass(frozen=True)
class Measured:
    """The measurements for one Explainer.

    table: Table 1, for masks chosen by the labels; controls: the other rows of `evaluate.table1`;
    localization: from `evaluate.localization`; above_threshold: per cent of the tokens. The last two
    are None if unknown.
    """

    name: str
    table: pd.DataFrame
    controls: pd.DataFrame
    localization: pd.DataFrame | None = None
    above_threshold: float | None = None

    def row(self, condition: str) -> pd.Series:
        """The row of Table 1."""
        return self._only(self.table[self.table["condition"] == condition], condition)

    def control(self, condition: str, classes: str = "labels", control: str = CONTROL) -> pd.Series:
        """The same row for a control of the masks that `classes` chose."""
        those = (self.controls["classes"] == classes) & (self.controls["control"] == control)
        found = self.controls[those & (self.controls["condition"] == condition)]
        return self._only(found, f"{control} {condition}")

    def located(self, control: str) -> pd.Series:
        """How well masks for the predicted classes find what is known to matter."""
        table = self.localization
        those = (table["classes"] == "predicted") & (table["control"] == control)
        return self._only(table[those & (table["planted"] == "any")], f"{control} localization")

    def _only(self, found: pd.DataFrame, what: str) -> pd.Series:
        if len(found) != 1:
            raise UserError(f"{self.name}: {len(found)} rows of {what}, not one: make them again")
        return found.iloc[0]


def summary(
    explainers: list[Measured],
    ranks: list[str],
    planted: bool,
    copies: pd.DataFrame | None = None,
    splits: pd.DataFrame | None = None,
) -> str:
    """The summary as Markdown that also reads well in a terminal, its lines within 110 letters.

    planted: whether the tokens that are known to matter are planted segments of simulated data. copies:
    across the splits (`split_copies.copies_table`). splits: what came of splits that are given
    (`split_summary.summary_table`).
    """
    n, labelled = sequences(explainers[0].row("explanandum"), ranks)
    known = "planted" if planted else "known"
    lines = [
        "# The Explainers side by side",
        "",
        *_paragraph(
            f"{measured_as(explainers[0].table, ranks)} of the classifier in per cent"
            f" ({' / '.join(ranks)}) on"
            f" {n:,}{' simulated' if planted else ''} test sequences{labelled}, for the masks of each"
            f" Explainer and for the same masks {CONTROL} along the sequence. Masks tell something only where"
            " they do better than shifted ones. ↑: more is better, ↓: less is better."
        ),
        "",
        *_tables(explainers, ranks, known),
        *(line for measured in explainers for line in _paragraph("- " + sentence(measured, ranks))),
        "",
        *_paragraph(
            "Masks that are not rounded only dim tokens, and a classifier may read a dimmed sequence as"
            " well as the whole one: such masks and their inverse may be classified alike. Rounded masks"
            f" (1 above {THRESHOLD:g}, else 0) show a token or hide it, so judge by these."
        ),
    ]
    if any(measured.localization is not None for measured in explainers):
        what = "lie in planted segments" if planted else "are known to matter"
        lines += _paragraph(
            f"AUPRC: how well high mask values find the tokens that {what}; 1 at best. Masks that know"
            " nothing reach the base rate."
        )
    if splits is not None:
        lines += ["", *_paragraph(given_splits(splits))]
    if copies is not None:
        lines += ["", *_paragraph(near_copies(copies))]
    return "\n".join(lines) + "\n"


def measured_as(table: pd.DataFrame, ranks: list[str]) -> str:
    """What the numbers of a Table 1 are, at the start of a sentence."""
    return capital(score_words(kinds_of_scores(ranks, table.columns)))


def sequences(row: pd.Series, ranks: list[str]) -> tuple[int, str]:
    """How many sequences count in a row of Table 1, and in words how many have a label at each rank.

    The words are "" where no label is missing.
    """
    counts = [
        f"{int(row[name]):,}" for name in (f"sequences_{rank}" for rank in ranks) if name in row
    ]
    return int(row["sequences"]), f" (with a label: {' / '.join(counts)})" if counts else ""


def given_splits(splits: pd.DataFrame) -> str:
    """A sentence about splits that somebody else made: the column's name, and the sequences in each."""
    rows = splits.set_index("quantity")
    numbers = [
        f"{int(rows.loc[f'{SPLITS[part]} sequences', 'value']):,} {SPLITS[part]}"
        for part in (TRAIN, VALIDATION, TEST)
    ]
    return (
        f"The splits are given {rows.loc[GIVEN, 'detail']}: {', '.join(numbers)} sequences, and"
        f" {int(rows.loc['sequences in no split', 'value']):,} in no split."
    )


def near_copies(copies: pd.DataFrame) -> str:
    """A sentence about test sequences with near-copies in training."""
    values = copies.set_index("quantity")["value"]
    copied, tested = int(values[NEAR_COPIED]), int(values["test sequences"])
    share = f"{100 * copied / max(tested, 1):.1f} %"
    found = (
        f"{copied:,} of {tested:,} test sequences ({share}) have a near-copy in the training split"
    )
    if copied <= MANY * tested:
        return f"{found}."
    return (
        f"{found}: the accuracies are better than for new sequences. results/split/copies.tsv has the"
        " numbers of each class; split.group_by: cluster keeps near-copies in one split."
    )


def sentence(measured: Measured, ranks: list[str]) -> str:
    """Describe the masks of one Explainer, with no claim beyond the numbers."""
    rows = [
        find(condition)
        for condition in ("rounded_masks", "inverted_rounded_masks")
        for find in (measured.row, measured.control)
    ]
    own, moved, rest, moved_rest = (_mean(row, ranks) for row in rows)
    if np.isnan([own, moved, rest, moved_rest]).any():
        return f"{measured.name}: some of the numbers are missing, so nothing can be said."
    n = min(int(rows[0].get(f"sequences_{rank}", rows[0]["sequences"])) for rank in ranks)
    if n < FEWEST:
        return f"{measured.name}: {n} sequences are too few, so nothing can be said."
    keep, leave = _verdict(own, moved, 1, n), _verdict(rest, moved_rest, -1, n)
    conclusion = CONCLUSIONS[keep, leave]
    whole = _mean(measured.row("explanandum"), ranks)
    if (keep, leave) == (0, 0) and _verdict(moved, whole, 1, n) >= 0:
        conclusion = ANY_WILL_DO
    conclusion = _steering(measured, ranks, n) or conclusion
    above = measured.above_threshold
    size = "" if above is None else f" ({above:.0f} % of the tokens)"
    kept, kept_moved, left, left_moved = (_cell(row, ranks) for row in rows)
    return (
        f"{measured.name}: rounded masks{size} {KEEP[keep]} the same masks {CONTROL}"
        f" ({kept} against {kept_moved}) {'and' if keep == leave else 'but'} {LEAVE[leave]} to the"
        f" rest ({left} against {left_moved}): {conclusion}."
    )


def _steering(measured: Measured, ranks: list[str], n: int) -> str:
    """A sentence about steering if masks for wrong classes steer the classifier, else ""."""
    if "wrong" not in set(measured.controls["classes"]):
        return ""
    wrong, true = (
        measured.control("rounded_masks", "wrong", name)
        for name in ("wrong_class_steering", "wrong_class")
    )
    # where a rank has one class only, no class is wrong there
    judged = [rank for rank in ranks if not (pd.isna(wrong[rank]) or pd.isna(true[rank]))]
    counts = [int(wrong.get(f"sequences_{rank}", n)) for rank in judged]
    if not judged or _verdict(_mean(wrong, judged), _mean(true, judged), 1, min(counts)) < 1:
        return ""
    return (
        "masks for a wrong class make the classifier name that class more often than the true one"
        f" ({_cell(wrong, ranks)} against {_cell(true, ranks)}), so they steer it"
    )


def _verdict(ours: float, control: float, direction: int, n: int) -> int:
    """1 if ours is clearly better than the control, -1 if clearly worse, else 0."""
    clear = [is_clear(ours, np.array([control]), sign * direction, n) for sign in (1, -1)]
    return int(clear[0]) - int(clear[1])


def _mean(row: pd.Series, ranks: list[str]) -> float:
    return float(np.mean([row[rank] for rank in ranks]))


def _cell(row: pd.Series, ranks: list[str]) -> str:
    return " / ".join("–" if pd.isna(row[rank]) else f"{row[rank]:.0f}" for rank in ranks)


def _share(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.2f}"


def _paragraph(text: str) -> list[str]:
    indent = "  " if text.startswith("- ") else ""
    whole = text.replace(" / ", f"{_SPACE}/{_SPACE}").replace(" %", f"{_SPACE}%")
    lines = textwrap.wrap(whole, WIDTH, subsequent_indent=indent, break_on_hyphens=False)
    return [line.replace(_SPACE, " ") for line in lines]


def _tables(explainers: list[Measured], ranks: list[str], known: str) -> Iterator[str]:
    """The Explainers in columns, in as many tables as the width of a line needs."""
    rows = list(_rows(explainers, ranks, known))

    def lines(shown: list[int]) -> list[str]:
        made = [[name, *(text for i in shown for text in cells[i])] for name, cells in rows]
        return markdown_table(made, aligned=True)

    groups: list[list[int]] = []
    for i in range(len(explainers)):
        if groups and len(lines([*groups[-1], i])[0]) <= WIDTH:
            groups[-1].append(i)
        else:
            groups.append([i])
    for shown in groups:
        yield from [*lines(shown), ""]


def _rows(
    explainers: list[Measured], ranks: list[str], known: str
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Name of the row, and for each Explainer the cell of its masks and that of shifted ones."""
    yield "", [(measured.name, CONTROL) for measured in explainers]
    for condition, (name, direction) in CONDITIONS.items():
        cells = []
        for measured in explainers:
            moved = _cell(measured.control(condition), ranks) if direction else ""
            cells.append((_cell(measured.row(condition), ranks), moved))
        yield name + _ARROWS[direction], cells
    sizes = [measured.above_threshold for measured in explainers]
    if any(size is not None for size in sizes):
        cells = [("" if size is None else f"{size:.0f}", "") for size in sizes]
        yield f"tokens above {THRESHOLD:g} (%)", cells
    if any(measured.localization is not None for measured in explainers):
        found, base = [], []
        for measured in explainers:
            known_here = measured.localization is not None
            both = (
                [measured.located(control) for control in ("none", CONTROL)] if known_here else []
            )
            found.append(tuple(_share(row["auprc"]) for row in both) or ("", ""))
            base.append((_share(both[0]["base_rate"]) if both else "", ""))
        yield f"AUPRC, {known} tokens ↑", found
        yield "its base rate", base
