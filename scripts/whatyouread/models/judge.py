"""Load a judge, a copy of the classifier that was trained on masked sequences."""

from pathlib import Path

from whatyouread.models.explanandum import Explanandum
from whatyouread.models.saving import load_model
from whatyouread.support.cli import UserError


def load_judge(folder: str | Path, explanandum: Explanandum) -> Explanandum:
    """Load a judge of what `explanandum` reads. Raises UserError where it has other tokens or classes."""
    judge = load_model(Explanandum, folder)
    for what in ("tokenizer", "classes", "kinds", "threshold"):
        ours, theirs = (model.config.get(what) for model in (explanandum, judge))
        if ours != theirs or (what == "classes" and list(ours) != list(theirs)):
            raise UserError(
                f"--judge {folder}: its {what} ({theirs}) are not those of the classifier ({ours}): give a"
                " copy of the classifier that was fine-tuned on masked sequences"
            )
    return judge
