"""Frozen classifiers beside a module that is trained."""

from torch import nn

from whatyouread.models.explanandum import Explanandum


class BesideFrozen(nn.Module):
    """A module with a frozen Explanandum, and perhaps others, that are no parts of it.

    `train()` does not turn their dropout on, their weights are in no checkpoint, and `to` moves them along.
    """

    def __init__(self, explanandum: Explanandum, *others: Explanandum):
        super().__init__()
        # a tuple hides them from PyTorch
        self._frozen = tuple(own.freeze() for own in (explanandum, *others))

    @property
    def explanandum(self) -> Explanandum:
        """The frozen classifier, on the device of this module."""
        return self._frozen[0]

    def _apply(self, change, recurse=True):
        # `to` moves the frozen ones along; to ask for that in each step takes time
        for own in self._frozen:
            own._apply(change, recurse)
        return super()._apply(change, recurse)
