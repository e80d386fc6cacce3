"""The Explanandum: the classifier to be explained, an encoder with one head per level."""

from pathlib import Path

from torch import Tensor, nn

from whatyouread.data.batch import Batch
from whatyouread.data.tokenizer import Tokenizer
from whatyouread.data.tokenizers import find_tokenizer
from whatyouread.models.adapters import find_adapter
from whatyouread.models.levels import THRESHOLD, decisions, head_levels, several
from whatyouread.models.mask_operator import masked_logits
from whatyouread.models.precision import widest, without_autocast
from whatyouread.support.cli import UserError

POOLINGS = ("mean", "cls")


class DenseTanh(nn.Module):
    """The head of published classifiers: (batch, hidden) -> (batch, classes), tanh after a first layer.

    It has the dropout of training no more: a published classifier is not trained again.
    """

    def __init__(self, hidden_size: int, classes: int):
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.out = nn.Linear(hidden_size, classes)

    def forward(self, pooled: Tensor) -> Tensor:
        return self.out(self.dense(pooled).tanh())


HEADS = {"linear": nn.Linear, "dense_tanh": DenseTanh}
"""Kinds of heads by their names: size of the hidden states, number of classes -> module."""


def module_name(level: str) -> str:
    """The name of a level's head among the tensors: its own, unless torch has no place for that.

    A name with a dot would be two, and one like `type` or `keys` is taken.
    """
    name = level.replace("%", "%25").replace(".", "%2E")
    return f"%{name}" if not name or hasattr(nn.ModuleDict(), name) else name


class Explanandum(nn.Module):
    """An encoder with one head per level (paper, "Explanandum": a linear one per taxonomic rank).

    backbone: a checked config.json. classes: level -> number of classes, in the order of the levels.
    pooling: "mean" over the tokens that are not padding (the paper), or "cls", the state of the first
    token. tokenizer: the tokenizer that made the ids, or its name. head: of `HEADS`. kinds: level -> kind,
    of those that are not `single`; threshold: see `levels.HeadLevel`. The attribute `folder` is where it was
    loaded from, if it was.
    """

    folder: Path | None = None

    def __init__(
        self,
        backbone: dict,
        classes: dict[str, int],
        pooling: str = "mean",
        tokenizer: str | Tokenizer = "six_mers",
        head: str = "linear",
        kinds: dict[str, str] | None = None,
        threshold: float = THRESHOLD,
    ):
        super().__init__()
        if pooling not in POOLINGS:
            raise UserError(f"pooling is {pooling!r}, and must be one of {', '.join(POOLINGS)}")
        if head not in HEADS:
            raise UserError(f"head is {head!r}, and must be one of {', '.join(HEADS)}")
        self.pooling = pooling
        self.tokenizer = find_tokenizer(tokenizer) if isinstance(tokenizer, str) else tokenizer
        self.config = {
            "backbone": backbone,
            "classes": classes,
            "pooling": pooling,
            "tokenizer": self.tokenizer.name,
        }
        if head != "linear":  # files of linear heads stay as they were
            self.config["head"] = head
        if not 0 < threshold < 1:
            raise UserError(
                f"explanandum.threshold is {threshold}: give a probability between 0 and 1"
            )
        if kinds := several(kinds):
            self.config |= {"kinds": kinds, "threshold": threshold}
        rows = backbone.get("vocab_size", len(self.tokenizer))
        if len(self.tokenizer) > rows:
            raise UserError(
                f"the tokenizer {self.tokenizer.name} makes {len(self.tokenizer)} tokens and the "
                f"backbone knows {rows} (vocab_size): choose the backbone's own `tokenizer`"
            )
        self.levels = head_levels(classes, kinds, threshold)
        family = find_adapter(backbone)
        self.encoder = family.build(backbone)
        self.adapter = family(self.encoder)
        size = self.adapter.hidden_size
        self.heads = nn.ModuleDict(
            {module_name(name): HEADS[head](size, count) for name, count in classes.items()}
        )

    @property
    def ranks(self) -> list[str]:
        """The names of the levels."""
        return [level.name for level in self.levels]

    @property
    def class_counts(self) -> list[int]:
        """The number of classes of each level."""
        return [level.classes for level in self.levels]

    @property
    def kinds(self) -> list[str]:
        """The kind of each level."""
        return [level.kind for level in self.levels]

    def embed(self, ids: Tensor) -> Tensor:
        """int64 (batch, length) -> token embeddings (batch, length, hidden)."""
        return self.adapter.embed(ids)

    def encode(self, embeddings: Tensor, batch: Batch) -> Tensor:
        """See `EncoderAdapter.encode`."""
        return self.adapter.encode(embeddings, batch)

    def encode_relaxed(self, embeddings: Tensor, mask: Tensor, batch: Batch) -> Tensor:
        """See `EncoderAdapter.encode_relaxed`."""
        return self.adapter.encode_relaxed(embeddings, mask, batch)

    def classify(self, pooled: Tensor) -> tuple[Tensor, ...]:
        """Pooled states (batch, hidden) -> logits (batch, classes) for each level, not in half precision."""
        with without_autocast(pooled.device):
            return tuple(head(widest(pooled)) for head in self.heads.values())

    def forward(self, batch: Batch, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        """See `mask_operator.masked_logits`."""
        return masked_logits(self, batch, mask)

    def predictions(self, logits: tuple[Tensor, ...]) -> Tensor:
        """The predicted answer at each level (`levels.decisions`), int64 (batch, levels)."""
        return decisions(self.levels, logits)

    def freeze(self) -> "Explanandum":
        """Fix the weights and leave training mode for good, with dropout off; return self."""
        self.requires_grad_(False)
        return self.eval()
