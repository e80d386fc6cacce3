"""What the paper's run costs on the machine that was measured, step by step."""

from collections.abc import Iterator

from measure import Figure

FINE_TUNING, EXPLAINER, MASKS = 5 * 4_560_054, 38 * 239_391, 103_638
PAPER_SECONDS = {"Explainer": 56_400, "masks": 1_200, "LIME": 26}


def papers_run(rates: dict[str, float]) -> Iterator[Figure]:
    """The cost page: hours of the paper's run on this machine, step by step.

    rates: seconds per sequence of each step, the best that were measured.
    """
    steps = {
        "fine-tuning": ("fine-tuning, 5 epochs of 4,560,054 sequences", FINE_TUNING, None),
        "Explainer": ("Explainer, 38 epochs of 239,391 sequences", EXPLAINER, "Explainer"),
        "masks": (f"masks of {MASKS:,} sequences", MASKS, "masks"),
        "Table 1": (f"Table 1, seven rows of {MASKS:,} sequences", MASKS, None),
        "LIME": ("LIME of 1,000 sequences, three ranks", 1000, None),
    }
    total = 0.0
    for step, (what, number, paper) in steps.items():
        if step not in rates:
            continue
        hours = number * rates[step] / 3600
        total += hours
        other = PAPER_SECONDS[paper] / 3600 if paper else None
        if step == "LIME":
            other = number * 3 * PAPER_SECONDS["LIME"] / 3600
        yield Figure(
            "The paper's run on one GPU", what, "h", hours, other,
            "the paper" if other else "the paper does not say", other and other / hours,
            note="validation after each epoch not counted" if step in ("fine-tuning", "Explainer") else "",
        )  # fmt: skip
    if len(rates) == len(steps):
        yield Figure("The paper's run on one GPU", "all of it", "h", total)
