"""The objectives by their names in the configuration."""

from whatyouread.explainers.fastshap import FastShapObjective
from whatyouread.explainers.integrated import IntegratedObjective
from whatyouread.explainers.joint import JointObjective
from whatyouread.explainers.l2x import L2xObjective
from whatyouread.explainers.objective import Objective
from whatyouread.explainers.paper import PaperObjective
from whatyouread.explainers.relevance import RelevanceObjective
from whatyouread.explainers.sharp import SharpObjective
from whatyouread.support.cli import UserError

OBJECTIVES: dict[str, type[Objective]] = {
    "paper": PaperObjective,
    "sharp": SharpObjective,
    "joint": JointObjective,
    "fastshap": FastShapObjective,
    "integrated": IntegratedObjective,
    "attnlrp": RelevanceObjective,
    "l2x": L2xObjective,
}


def find_objective(name: str) -> type[Objective]:
    """Return the objective with this name. Raises UserError if there is none."""
    if name not in OBJECTIVES:
        raise UserError(f"objective is {name!r}: one of {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name]
