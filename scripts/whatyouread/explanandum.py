"""The Explanandum: the classifier to be explained, an encoder with one linear head per rank."""

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from whatyouread.backbone import build_encoder
from whatyouread.cli import UserError
from whatyouread.files import atomic, write_json
from whatyouread.masking import masked_logits

POOLINGS = ("mean", "cls")


class Explanandum(nn.Module):
    """Nucleotide Transformer v2 with a linear head per taxonomic rank (paper, "Explanandum").

    classes: rank -> number of classes, in the order of the ranks. pooling: "mean" over the
    non-padding tokens (the paper) or "cls", the state of the first token.
    """

    def __init__(self, backbone: dict, classes: dict[str, int], pooling: str = "mean"):
        super().__init__()
        if pooling not in POOLINGS:
            raise UserError(f"pooling is {pooling!r}, and must be one of {', '.join(POOLINGS)}")
        self.config = {"backbone": backbone, "classes": classes, "pooling": pooling}
        self.pooling = pooling
        self.ranks = list(classes)
        self.class_counts = list(classes.values())
        self.encoder = build_encoder(backbone)
        hidden = self.encoder.config.hidden_size
        self.heads = nn.ModuleDict({rank: nn.Linear(hidden, n) for rank, n in classes.items()})

    def embed(self, tokens: Tensor) -> Tensor:
        """int64 (batch, length) -> token embeddings (batch, length, hidden)."""
        return self.encoder.get_input_embeddings()(tokens)

    def encode(self, embeddings: Tensor, valid: Tensor | None) -> Tensor:
        """Embeddings and a bool mask of the non-padding tokens -> last hidden states, like both.

        Without padding, None spares transformers a look at the mask, for which a GPU must be waited for,
        and a compiled encoder, which cannot look, the slower attention under a mask.
        """
        attended = None if valid is None else valid.long()
        return self.encoder(inputs_embeds=embeddings, attention_mask=attended).last_hidden_state

    def encode_relaxed(self, embeddings: Tensor, mask: Tensor, valid: Tensor | None) -> Tensor:
        """`encode(embeddings ⊙ mask)`: the same where the mask is 0 or 1, smooth in between.

        The first layer norm divides by the size of what it is given, so attention reads a token of
        mask 0.01 like one of mask 1, and one of mask 0 not at all: no soft mask dims what attention
        reads, and no gradient tells it that a token is gone. Here the norm's output goes in a straight
        line from the empty to the full token. mask: (batch, length).
        """
        norm = self.encoder.encoder.layer[0].attention.LayerNorm
        full, empty = norm(embeddings), norm(torch.zeros_like(embeddings[:1, :1]))
        weights = mask.unsqueeze(-1).to(full.dtype)
        norm.given = empty + weights * (full - empty)
        try:
            return self.encode(embeddings * weights.to(embeddings.dtype), valid)
        finally:
            norm.given = None

    def classify(self, pooled: Tensor) -> tuple[Tensor, ...]:
        """Pooled states (batch, hidden) -> logits (batch, classes) for each rank."""
        return tuple(head(pooled) for head in self.heads.values())

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        """See `masking.masked_logits`."""
        return masked_logits(self, tokens, mask)

    def freeze(self) -> "Explanandum":
        """Fix the weights and leave training mode for good: dropout stays off (returns self)."""
        self.requires_grad_(False)
        return self.eval()


def predictions(logits: tuple[Tensor, ...]) -> Tensor:
    """The most probable class of each rank, int64 (batch, ranks)."""
    return torch.stack([rank.argmax(-1) for rank in logits], dim=1)


def save_model(folder: str | Path, model: nn.Module) -> None:
    """Write `model.safetensors` and `config.json` (the constructor's arguments) into a folder."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    folder = Path(folder)
    state = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    try:
        with atomic(folder / "model.safetensors") as temporary:
            save_file(state, temporary)
    except SafetensorError as error:  # a full disk
        raise UserError(f"{folder}: the model cannot be written ({error})") from None
    write_json(folder / "config.json", model.config)


def load_model(cls: type, folder: str | Path) -> nn.Module:
    """Read what `save_model` wrote. Raises UserError for missing, damaged or unfitting files."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is not there: has the training rule run?")
    try:
        model = cls(**json.loads((folder / "config.json").read_text(encoding="utf-8")))
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except (
        UserError,
        ValueError,
        TypeError,
        AttributeError,
        SafetensorError,
        RuntimeError,
    ) as error:
        raise UserError(f"the model in {folder} cannot be read: {error}") from None
    return model
