"""The comparison of methods: keep and remove curves, and cost against faithfulness."""

import numpy as np
import pandas as pd

from whatyouread.report.style import method_looks, new_figure, power_of_ten

TITLES = {
    "keep": "top tokens kept (higher is better)",
    "remove": "top tokens removed (lower is better)",
}
MEASURES = {
    "comprehensiveness": "comprehensiveness (higher is better)",
    "insertion_auc": "area under the insertion curve (higher is better)",
}


def draw_curves(
    curves: pd.DataFrame, sequences: int, explainers: list[str], score: str = "balanced accuracy"
):
    """A panel for each rank and for keeping and removing; explainers: the methods drawn bold.

    score: what the accuracies are.
    """
    ranks, methods = curves["rank"].unique(), list(curves["method"].unique())
    figure = new_figure(1.2 + 3.0 * len(ranks), 6.6)
    panels = figure.subplots(2, len(ranks), sharex=True, sharey=True, squeeze=False)
    look = method_looks(methods, explainers)
    for row, action in zip(panels, TITLES, strict=True):
        for axes, rank in zip(row, ranks, strict=True):
            own = curves[(curves["action"] == action) & (curves["rank"] == rank)]
            shifted = own[own["control"] != "none"].groupby("percent")["accuracy"]
            band = shifted.agg(["min", "max"])
            axes.fill_between(
                band.index, band["min"], band["max"], color="#DDDDDD", zorder=0,
                label="the same scores, shifted",
            )  # fmt: skip
            for method in methods:
                line = own[(own["control"] == "none") & (own["method"] == method)]
                axes.plot(
                    line["percent"], line["accuracy"],
                    label=method.replace("_", " "), **look[method],
                )  # fmt: skip
            axes.set_title(rank)
            axes.set_ylim(-2, 102)
            axes.set_xlim(0, 100)
    for axes in panels[-1]:
        axes.set_xlabel("tokens kept or removed (%)")
    for axes, title in zip(panels[:, 0], TITLES.values(), strict=True):
        axes.set_ylabel(f"{score} (%)\n{title}")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=4)
    figure.suptitle(
        f"What the classifier still says when the tokens with the highest scores are kept or removed"
        f" ({sequences:,} test sequences)", x=0.01, ha="left",
    )  # fmt: skip
    return figure


def draw_cost(comparison: pd.DataFrame, faithfulness: pd.DataFrame, explainers: list[str]):
    """Seconds per sequence against faithfulness, with intervals; explainers: with bold names.

    A method whose cost is not known is not there.
    """
    own = comparison[(comparison["control"] == "none") & (comparison["method"] != "unmasked")]
    own = own.set_index("method")
    look = method_looks(list(own.index), explainers)  # of all, as in the curves
    own = own.dropna(subset="seconds_per_sequence")
    figure = new_figure(10.5, 4.6)
    for axes, (measure, title) in zip(figure.subplots(1, 2), MEASURES.items(), strict=True):
        part = faithfulness[
            (faithfulness["metric"] == measure) & (faithfulness["rank"] == "mean")
        ].set_index("method").loc[own.index]  # fmt: skip
        random = part.loc["random"] if "random" in part.index else None
        if random is not None:
            axes.axhspan(random["low"], random["high"], color="#E8E8E8", zorder=0)
        order = part["value"].sort_values().index
        shown = _spread(
            own.loc[order, "seconds_per_sequence"].to_numpy(),
            part.loc[order, "value"].to_numpy(),
            0.045 * _span(part),
        )
        for method, label_at in zip(order, shown, strict=True):
            x, point = own.loc[method, "seconds_per_sequence"], part.loc[method]
            colour = look[method]["color"]
            axes.plot(x, point["value"], "o", ms=5, color=colour)
            # no error bars: an interval of few resamples may leave its mean out
            axes.vlines(x, point["low"], point["high"], color=colour, lw=1)
            axes.annotate(
                method.replace("_", " "), (x, point["value"]), (x * 1.35, label_at),
                fontsize=7.5, va="center", weight="bold" if method in explainers else "normal",
                arrowprops={"arrowstyle": "-", "color": "#AAAAAA", "lw": 0.5},
            )  # fmt: skip
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(power_of_ten)
        low, high = own["seconds_per_sequence"].min(), own["seconds_per_sequence"].max()
        axes.set_xlim(low / 2, high * 60)
        axes.set_xlabel("seconds per sequence, all ranks (log scale)")
        axes.set_ylabel(title)
    n = int(part["n"].max())
    figure.suptitle(
        f"Cost and faithfulness ({n:,} test sequences; bars: 95 % bootstrap intervals;"
        " grey: random scores)", x=0.01, ha="left",
    )  # fmt: skip
    return figure


def _span(part: pd.DataFrame) -> float:
    return float(part["high"].max() - part["low"].min())


def _spread(x: np.ndarray, y: np.ndarray, distance: float) -> np.ndarray:
    """Ascending heights of labels, moved up where one would overlap an earlier one."""
    made = y.copy()
    for i in range(len(y)):  # a label is about one and a half decades wide
        near = np.abs(np.log10(x[:i] / x[i])) < 1.5
        made[i] = max(y[i], (made[:i][near] + distance).max(initial=-np.inf))
    return made
