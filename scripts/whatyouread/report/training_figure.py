"""The training of a classifier and of an Explainer: every loss term, and the balanced accuracies."""

from itertools import cycle
from pathlib import Path

import pandas as pd

from whatyouread.data.kinds import KINDS, score_words
from whatyouread.report.style import (
    BLUE,
    ORANGE,
    PALETTE,
    new_figure,
)
from whatyouread.support.cli import UserError
from whatyouread.support.files import read_tsv
from whatyouread.support.text import counted

ACCURACIES = {f"_{kind.score_name.lower().replace(' ', '_')}": kind for kind in KINDS.values()}
"""How the columns of the scores of a level end."""
TERMS = {
    "loss": "total loss",
    "classification": "classification",
    "entropy": "negative entropy\nof the complement",
    "area": "area",
    "variation": "total variation",
}
"""The terms of the Explainer's loss in the paper's order, and what they are called."""


def read_history(path: Path) -> pd.DataFrame:
    """A history.tsv, in the order of the epochs."""
    history = read_tsv(path, ["epoch"]).sort_values("epoch", ignore_index=True)
    if history.empty:
        raise UserError(f"{path} has no epoch: there is nothing to draw")
    return history


def loss_terms(history: pd.DataFrame) -> list[str]:
    """The terms with values in training or validation, the known ones first, then by name."""
    found = {
        name.removeprefix(prefix)
        for prefix in ("training_", "validation_")
        for name in history.columns
        if name.startswith(prefix)
        and not name.endswith(tuple(ACCURACIES))
        and history[name].notna().any()
    }
    return [term for term in TERMS if term in found] + sorted(found - set(TERMS))


def accuracies(history: pd.DataFrame, ranks: list[str]) -> dict[str, pd.Series]:
    """rank -> its score on the validation sequences in per cent, for ranks that have one.

    None has a rank of which no validation sequence has a label.
    """
    names = [(rank, f"validation_{rank}{ending}") for rank in ranks for ending in ACCURACIES]
    return {
        rank: 100 * history[name]
        for rank, name in names
        if name in history and history[name].notna().any()
    }


def best_epoch(history: pd.DataFrame) -> int | None:
    """The epoch whose weights are kept, that of the least validation loss; None without one."""
    losses = history.get("validation_loss", pd.Series(dtype=float)).dropna()
    return None if losses.empty else int(history.loc[losses.idxmin(), "epoch"])


def read_counts(path: Path) -> dict[str, int]:
    """Token file -> number of its sequences, from the summary that tokenize_sequences writes."""
    table = read_tsv(path, ["file", "sequences"])
    return dict(zip(table["file"], table["sequences"].astype(int), strict=True))


def draw_training(
    explanandum: pd.DataFrame, explainer: pd.DataFrame, name: str, ranks: list[str],
    counts: dict[str, int],
):  # fmt: skip
    """name: of the Explainer; counts: token file -> number of sequences. Both are for the titles."""
    terms = {"Explanandum": loss_terms(explanandum), "Explainer": loss_terms(explainer)}
    accuracy = accuracies(explanandum, ranks)
    columns = max(3, len(terms["Explainer"]))
    figure = new_figure(2.35 * columns, 6.2)
    parts = figure.subfigures(2, 1)
    parts[0].suptitle(_title("Explanandum", explanandum, counts, ""), x=0.01, ha="left")
    parts[1].suptitle(
        _title(f"Explainer {name}", explainer, counts, "explainer_"), x=0.01, ha="left"
    )
    grid = parts[0].add_gridspec(1, 2)
    axes = parts[0].add_subplot(grid[0])
    for term in terms["Explanandum"][:1]:
        _losses(axes, explanandum, term)
    _finish(axes, explanandum, "total loss (sum of the ranks' cross-entropies)", "loss (nats)")
    if terms["Explanandum"]:
        axes.legend()
    _accuracies(parts[0].add_subplot(grid[1]), explanandum, accuracy)
    panels = parts[1].subplots(1, max(len(terms["Explainer"]), 1), squeeze=False)[0]
    for axes, term in zip(panels, terms["Explainer"] or [None], strict=True):
        if term is not None:
            _losses(axes, explainer, term)
        title = TERMS.get(term, str(term))
        _finish(axes, explainer, title, "loss" if axes is panels[0] else "")
        axes.margins(y=0.12)
    if terms["Explainer"]:
        panels[0].legend()
    return figure


def _title(model: str, history: pd.DataFrame, counts: dict[str, int], prefix: str) -> str:
    best = best_epoch(history)
    parts = [f"{model}: {counted(len(history), 'epoch')}"]
    for kind, name in (("training", "train"), ("validation", "validation")):
        if prefix + name in counts:
            parts.append(f"{counts[prefix + name]:,} {kind} sequences")
    kept = "" if best is None else f"; dotted: epoch {best}, whose weights are kept"
    return ", ".join(parts) + kept


def _losses(axes, history: pd.DataFrame, term: str) -> None:
    kinds = (("training", BLUE, "o"), ("validation", ORANGE, "s"))
    for kind, colour, marker in kinds:
        if f"{kind}_{term}" in history:
            axes.plot(
                history["epoch"], history[f"{kind}_{term}"], color=colour, label=kind,
                marker=marker if len(history) <= 20 else None, markersize=3,
            )  # fmt: skip


def _accuracies(axes, history: pd.DataFrame, accuracy: dict[str, pd.Series]) -> None:
    best = best_epoch(history)
    kept = history["epoch"] == (history["epoch"].iloc[-1] if best is None else best)
    for (rank, values), colour, marker in zip(accuracy.items(), cycle(PALETTE), cycle("osD^vP")):
        label = f"{rank}, {values[kept].iloc[0]:.1f} % at epoch {history['epoch'][kept].iloc[0]}"
        axes.plot(
            history["epoch"], values, color=colour, label=label,
            marker=marker if len(history) <= 20 else None, markersize=3,
        )  # fmt: skip
    if not accuracy:
        axes.set_axis_off()
        axes.text(0, 0.5, "The history has no balanced accuracies.", transform=axes.transAxes)
        return
    axes.legend(loc="lower right")
    there = [kind for end, kind in ACCURACIES.items() if any(n.endswith(end) for n in history)]
    called = score_words(there)
    _finish(axes, history, f"{called}, validation sequences", f"{called} (%)")


def _finish(axes, history: pd.DataFrame, title: str, ylabel: str) -> None:
    best = best_epoch(history)
    if best is not None:
        axes.axvline(best, color="black", linestyle=":", linewidth=1, zorder=0)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("epoch")
    axes.set_ylabel(ylabel)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
