"""The joint objective: what several objectives learn, at once (FINDINGS.md)."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from whatyouread.explainers import fastshap, sharp
from whatyouread.explainers.amortised import AmortisedObjective
from whatyouread.explainers.relevance import RelevanceObjective
from whatyouread.support.cli import UserError

PARTS = {
    "sharp": sharp.SharpObjective,
    "attnlrp": RelevanceObjective,
    "fastshap": fastshap.FastShapObjective,
}


@dataclasses.dataclass(frozen=True)
class Settings(sharp.Settings, fastshap.Settings):
    """Settings of all parts, and which these are (config/README.md, `explainers`)."""

    learns: Sequence[str] = ("sharp", "attnlrp")

    def __post_init__(self):
        super().__post_init__()
        if not self.learns or len(set(self.learns)) < len(self.learns) or {*self.learns} - {*PARTS}:
            raise UserError(f"learns is {[*self.learns]}: some of {', '.join(PARTS)}, each once")
        used = {f.name for part in self.learns for f in dataclasses.fields(PARTS[part].Settings)}
        for field in dataclasses.fields(self):
            given = getattr(self, field.name) != field.default
            if given and field.name not in {"learns", *used}:
                raise UserError(
                    f"{field.name} is of nothing in learns {[*self.learns]}: leave it out"
                )


class JointObjective(RelevanceObjective, fastshap.FastShapObjective):
    """Train the Explainer by several objectives at the same time.

    Each kind of evidence is noisy or wrong in its own way. The gradient under an occlusion says something
    about every token when little is left, and is only as true as the relaxed operator. The relevance by
    AttnLRP is of the whole sequence, in which one level may have all the say. Answers to coalitions are what
    masking really does, and say something about sums of scores alone. Scores that agree with two of them
    have less of the faults of either.

    The losses are added up as `relative` gives them. Those that ask for a correlation ignore the scale of
    the scores, which FastSHAP's sets, so that one score per token can serve all.
    """

    Settings = Settings

    def reading(self, batch):
        """The pass over the plain sequences, as AttnLRP needs it where that is learned."""
        return self._parts.get("attnlrp", AmortisedObjective).reading(self, batch)

    def evidence(self, batch, reading, classes, chosen, keys):
        """The evidence of each part."""
        # that of AttnLRP first: until then all that the pass computed is kept
        made = {
            name: self._parts[name].evidence(self, batch, reading, classes, chosen, keys)
            for name in sorted(self._parts, key="attnlrp".__ne__)
        }
        return [made[name] for name in self._parts]

    def values(self, scores, evidence, batch):
        """The sum of the losses, and what each part has, (batch, 1 + k)."""
        parts = list(self._parts.values())
        made = [
            part.values(self, scores, own, batch) for part, own in zip(parts, evidence, strict=True)
        ]
        total = sum(part.relative(own) for part, own in zip(parts, made, strict=True))
        return torch.cat([total.unsqueeze(1), *made], 1)

    def summarize(self, values: np.ndarray, labels):
        """What each part says of the validation sequences, under its name."""
        made, start = {}, 1
        for name, part in self._parts.items():
            own = part.summarize(self, values[:, start : start + part.columns], labels)
            made |= {f"{name}_{key}": value for key, value in own.items()}
            start += part.columns
        return made

    @property
    def _parts(self):
        return {name: PARTS[name] for name in self.settings.learns}
