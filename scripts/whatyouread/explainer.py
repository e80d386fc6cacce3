"""The Explainer: a small recurrent network that reads a sequence once and makes a mask per class."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from whatyouread.cli import UserError
from whatyouread.explanandum import Explanandum, load_model
from whatyouread.losses import standardised
from whatyouread.masking import read
from whatyouread.occlusion import body
from whatyouread.tokens import PAD, VOCABULARY

TARGETS = ("class", "sequence")
STEEPNESS = 3.0
"""Of a gated mask at its threshold, per standard deviation of the scores.

Steeper, and the highest scores would all become 1 in half precision, their order lost.
"""


class Explainer(nn.Module):
    """Embedding, bidirectional LSTM, ReLU, batch norm, dense, sigmoid (paper, Figure 4).

    classes: rank -> number of classes; the masks of all ranks lie side by side in the last layer.
    The paper's 160 outputs per token are 2 directions of `hidden_size` 80.

    The sharp variant differs in three things. target: "class", or "sequence" for one mask that all
    classes share. reads: the size of the Explanandum's last hidden states, which are then read beside
    the tokens (see `attach`), or 0. area: the share of tokens that a mask keeps, by `gate`, which
    takes the scores' means over `smoothing` neighbours; 0 for the paper's plain sigmoid.
    """

    def __init__(
        self,
        classes: dict[str, int],
        embedding_size: int = 100,
        hidden_size: int = 80,
        layers: int = 2,
        target: str = "class",
        reads: int = 0,
        area: float = 0.0,
        smoothing: int = 1,
    ):
        super().__init__()
        if target not in TARGETS:
            raise UserError(f"target is {target!r}: one of {', '.join(TARGETS)}")
        self.config = {
            "classes": classes,
            "embedding_size": embedding_size,
            "hidden_size": hidden_size,
            "layers": layers,
            "target": target,
            "reads": reads,
            "area": area,
            "smoothing": smoothing,
        }
        self.target, self.reads, self.area, self.smoothing = target, reads, area, smoothing
        counts = torch.tensor(list(classes.values()))
        columns = int(counts.sum()) if target == "class" else 1
        first = counts.cumsum(0) - counts
        self.register_buffer("first_column", first, persistent=False)
        self.embedding = nn.Embedding(len(VOCABULARY), embedding_size, padding_idx=PAD)
        self.lstm = nn.LSTM(
            embedding_size + reads, hidden_size, layers, batch_first=True, bidirectional=True
        )
        self.norm = nn.BatchNorm1d(2 * hidden_size)
        self.dense = nn.Linear(2 * hidden_size, columns)
        self._explanandum: tuple[Explanandum, ...] = ()

    def attach(self, explanandum: Explanandum) -> "Explainer":
        """Name the frozen Explanandum whose hidden states are read, if any are (returns self)."""
        self._explanandum = (explanandum.freeze(),)  # not a submodule: it is none of our weights
        return self

    def start_from(self, explanandum: Explanandum) -> "Explainer":
        """Copy the Explanandum's token embeddings, scaled to variance 1, to learn from there."""
        with torch.no_grad():
            table = explanandum.embed(torch.arange(len(VOCABULARY)))
            self.embedding.weight.copy_(table / table.std())
            self.embedding.weight[PAD] = 0
        return self.attach(explanandum)

    def columns(self, classes: Tensor) -> Tensor:
        """Classes counted within each rank, int64 (..., ranks), as columns of the last layer."""
        if self.target == "sequence":
            return torch.zeros_like(classes)
        return classes + self.first_column

    def inputs(self, tokens: Tensor, hidden: Tensor | None = None) -> Tensor:
        """What the LSTM reads, (batch, length, embedding + reads).

        hidden: the Explanandum's last hidden states of the plain sequences, where they are at hand.
        """
        embeddings = self.embedding(tokens)
        if not self.reads:
            return embeddings
        if hidden is None:
            with torch.no_grad():
                hidden = read(self._explanandum[0].to(tokens.device), tokens)[0]
        return torch.cat([embeddings, hidden.to(embeddings.dtype)], dim=-1)

    @torch.compiler.disable  # which would break off within it all the same
    def features(
        self, tokens: Tensor, hidden: Tensor | None = None, lengths: np.ndarray | None = None
    ) -> Tensor:
        """int64 (batch, length) -> (batch, length, 2 hidden), the input of the dense layer.

        Packed, so that neither the backward direction nor the batch norm ever sees padding. lengths:
        of the sequences, int64 (batch,), where the CPU knows them; else a GPU must be waited for.
        """
        known = (tokens != PAD).sum(1).cpu() if lengths is None else torch.from_numpy(lengths)
        # sorted here and not by `pack_padded_sequence`, which would wait for a GPU three times
        known, order = known.sort(descending=True)
        inputs, moved = self.inputs(tokens, hidden), bool((order.diff() != 1).any())
        if moved:
            order = _without_waiting(order, tokens.device)
            inputs = inputs.index_select(0, order)
        packed = pack_padded_sequence(inputs, known, batch_first=True)
        # On a CPU always in float32: autocast would take bfloat16 there for batches of one length and
        # float32 for all others, and many processors have no LSTM in bfloat16.
        with torch.autocast("cpu", enabled=False):
            packed, _ = self.lstm(packed)
        packed = packed._replace(data=self.norm(packed.data.relu()))
        made = pad_packed_sequence(packed, batch_first=True, total_length=tokens.shape[1])[0]
        return made.index_select(0, order.argsort()) if moved else made

    def forward(self, tokens: Tensor, lengths: np.ndarray | None = None) -> Tensor:
        """Masks of all classes, (batch, length, classes of all ranks), in [0, 1]."""
        # float32: in bfloat16 a mask would have eight bits, and 1 - m fewer
        return self._masks(self.dense(self.features(tokens, None, lengths)).float(), tokens)

    def class_scores(
        self,
        tokens: Tensor,
        classes: Tensor,
        hidden: Tensor | None = None,
        lengths: np.ndarray | None = None,
    ) -> Tensor:
        """What the masks of some classes are made of, without computing the others'.

        classes: int64 (batch, sets, ranks), counted within each rank; hidden: as for `inputs`; lengths:
        as for `features`. Returns float (batch, length, sets, ranks).
        """
        features = self.features(tokens, hidden, lengths)
        if self.target == "sequence":
            return _for_all(self.dense(features).float(), classes)
        columns = self.columns(classes)
        scores = torch.einsum("blh,bsrh->blsr", features, self.dense.weight[columns])
        return (scores + self.dense.bias[columns].unsqueeze(1)).float()

    def class_masks(
        self,
        tokens: Tensor,
        classes: Tensor,
        smooth: bool = True,
        hidden: Tensor | None = None,
        lengths: np.ndarray | None = None,
    ) -> Tensor:
        """Masks of some classes: arguments and shape of `class_scores`; zero at padding.

        Without `smooth` a gated mask is of the scores as they are: not as easy to read, and truer to
        what the classifier reads.
        """
        valid = (tokens != PAD)[:, :, None, None]
        if self.target == "sequence":
            scores = self.dense(self.features(tokens, hidden, lengths)).float()
            column = self._masks(scores, tokens, smooth)
            return _for_all(column, classes) * valid
        scores = self.class_scores(tokens, classes, hidden, lengths)
        return self._masks(scores.flatten(2), tokens, smooth).view(scores.shape) * valid

    def _masks(self, scores: Tensor, tokens: Tensor, smooth: bool = True) -> Tensor:
        """(batch, length, columns): the paper's sigmoid, or a gate for each column."""
        if not self.area:
            return scores.sigmoid()
        columns = scores.shape[2]
        rows = scores.movedim(2, 1).flatten(0, 1)
        inside = body(tokens).repeat_interleave(columns, 0)
        rows = smoothed(rows, inside, self.smoothing) if smooth else rows
        masks = gate(rows, inside, self.area)
        return masks.view(len(scores), columns, -1).movedim(1, 2)


def _without_waiting(values: Tensor, device: torch.device) -> Tensor:
    """A small tensor of the CPU on another device, without waiting for what that is at."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values


def _for_all(column: Tensor, classes: Tensor) -> Tensor:
    """One column (batch, length, 1) as that of all classes: (batch, length, sets, ranks)."""
    return column.unsqueeze(-1).expand(-1, -1, *classes.shape[1:])


def smoothed(scores: Tensor, inside: Tensor, window: int) -> Tensor:
    """The mean of each score and its neighbours within the sequence: (batch, length).

    inside: bool (batch, length), the tokens that count; window: how many, odd.
    """
    if window == 1:
        return scores
    pad = window // 2

    def sums(values: Tensor) -> Tensor:
        return F.avg_pool1d(F.pad(values[:, None], (pad, pad)), window, 1)[:, 0]

    return sums(scores * inside) / sums(inside.to(scores.dtype)).clamp(min=1e-6) * inside


def gate(scores: Tensor, inside: Tensor, area: float) -> Tensor:
    """A mask that is above 0.5 on the share `area` of the tokens with the highest scores.

    scores: float (batch, length); inside: bool, like them, the tokens that count. The mask is a
    steep sigmoid about the middle between the last score kept and the first one not, and 1 on
    `<cls>`, at place 0. Fewer tokens are kept only where scores at the threshold are equal.
    """
    scores = standardised(scores, inside)
    count = (area * inside.sum(1, keepdim=True)).round().long().clamp(min=1)
    order = scores.masked_fill(~inside, -torch.inf).sort(1, descending=True).values
    last = order.gather(1, count - 1)
    following = order.gather(1, count.clamp(max=scores.shape[1] - 1))
    # where nothing is left out, all are kept
    following = torch.where(following.isinf(), last - 1, following)
    mask = (STEEPNESS * (scores - (last + following) / 2)).sigmoid() * inside
    return torch.cat([torch.ones_like(mask[:, :1]), mask[:, 1:]], dim=1)


def load_explainer(folder: str | Path, explanandum: Explanandum) -> Explainer:
    """Read a trained Explainer and attach the Explanandum it explains. Raises UserError."""
    explainer = load_model(Explainer, folder)
    if explainer.reads and explainer.reads != explanandum.encoder.config.hidden_size:
        raise UserError(f"the Explainer in {folder} was trained for another Explanandum")
    return explainer.attach(explanandum)
