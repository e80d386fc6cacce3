"""A frozen Explanandum beside a module that is trained."""

from torch import nn

from whatyouread.models.explanandum import Explanandum


class BesideFrozen(nn.Module):
    """A module with a frozen Explanandum that is not a part of it.

    `train()` does not turn its dropout on, its weights are in no checkpoint, and `to` moves it along.
    """

    def __init__(self, explanandum: Explanandum):
        super().__init__()
        self._frozen = (explanandum.freeze(),)  # a tuple hides it from PyTorch

    @property
    def explanandum(self) -> Explanandum:
        """The frozen classifier, on the device of this module."""
        return self._frozen[0]

    def _apply(self, change, recurse=True):
        # `to` moves the frozen classifier along; to ask for that in each step takes time
        self.explanandum._apply(change, recurse)
        return super()._apply(change, recurse)
