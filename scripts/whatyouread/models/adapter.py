"""The interface between the pipeline and an encoder, the same for every family.

To add a family, write a module beside this one and add a line to `adapters.ADAPTERS`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from whatyouread.data.batch import Batch
from whatyouread.support.cli import UserError


class Block(NamedTuple):
    """The parts of one layer of an encoder that AttnLRP treats in its own way.

    query, key, value: the modules that make what the attention multiplies. inner: the module of the
    feed-forward block whose result is `activation(inner.dense(hidden))`; where it is gated, the dense layer
    makes two halves a and b, and the result is activation(a) ⊙ b. activation: an elementwise function,
    Tensor -> Tensor.
    """

    query: nn.Module
    key: nn.Module
    value: nn.Module
    inner: nn.Module
    activation: Callable[[Tensor], Tensor]
    gated: bool = False


class EncoderAdapter(ABC):
    """Runs an encoder of one family, from token embeddings to last hidden states.

    encoder: the module itself. The Explanandum owns it; the adapter only calls it. Its `config` has
    `hidden_size`, and its forward pass returns an object with `last_hidden_state` (the passes of the
    methods are counted there): transformers' models do.
    """

    model_type: ClassVar[str]
    published_head: ClassVar[tuple[str, str] | None] = None
    """The names of both layers of the head of the family's published sequence classifiers, if there are
    such: first token -> dense -> tanh -> classes (`explanandum.DenseTanh`)."""

    def __init__(self, encoder: nn.Module):
        self.encoder = encoder

    @classmethod
    @abstractmethod
    def check(cls, config: dict, path: Path) -> None:
        """Raise UserError where this family has no place for the configuration in `path`."""

    @classmethod
    @abstractmethod
    def build(cls, config: dict) -> nn.Module:
        """Make a freshly initialised encoder; config: a checked config.json. Raises UserError."""

    @abstractmethod
    def load(self, folder: str | Path) -> dict[str, list[str]]:
        """Load the tensors in `folder` (`weights.read_tensors`) into the encoder.

        Returns the names of all tensors as {"loaded": ..., "unused": ...}. Raises UserError where one is
        missing, unknown or of another shape.
        """

    @property
    def hidden_size(self) -> int:
        """The size of embeddings and hidden states."""
        return self.encoder.config.hidden_size

    @property
    def longest(self) -> int | None:
        """The most tokens that the model reads, special ones included; None where nothing bounds it."""
        return None

    @property
    def trained_length(self) -> int | None:
        """The longest sequences of its training by its configuration, in tokens; None if that is silent."""
        return self.longest

    def refuse_longer(self, batch: Batch) -> None:
        """Raise UserError where a sequence is longer than `longest`."""
        tokens = int(batch.lengths.max(initial=0))
        if self.longest is not None and tokens > self.longest:
            raise UserError(
                f"a sequence of {tokens} tokens, and the model reads {self.longest} at most: cut the "
                "sequences into shorter ones"
            )

    @abstractmethod
    def embed(self, ids: Tensor) -> Tensor:
        """int64 (batch, length) -> token embeddings (batch, length, hidden).

        The mask multiplies these, so positions and the like belong into `encode`.
        """

    @abstractmethod
    def encode(self, embeddings: Tensor, batch: Batch) -> Tensor:
        """Token embeddings of a batch -> last hidden states, both (batch, length, hidden).

        States at padding may be anything; padding must not change the others.
        """

    @abstractmethod
    def encode_relaxed(self, embeddings: Tensor, mask: Tensor, batch: Batch) -> Tensor:
        """Equal to `encode(embeddings ⊙ mask)` for masks of 0 and 1, and smooth in between.

        The first attention reads a linear interpolation between the empty and the full token.
        mask: float (batch, length). Raises UserError where a family has no such thing.
        """

    @abstractmethod
    def attentions(self, batch: Batch) -> list[Tensor]:
        """The attention of each layer, float (batch, heads, length, length), queries before keys."""

    def blocks(self) -> list[Block]:
        """The parts of each layer, from the first one on. Raises UserError where the family names none."""
        raise UserError(
            f"models of type {self.encoder.config.model_type} have no adapter that names the parts of their "
            "layers, which AttnLRP needs: leave out the method and the objective attnlrp, also in `learns` "
            "of joint"
        )

    def compile(self) -> None:
        """Compile the forward pass in place; weights keep their names, and hooks still run."""
        # sizes and lengths change from batch to batch and must not start another compilation
        self.encoder.forward = torch.compile(self.encoder.forward, dynamic=True)
