"""The Explainer: a small recurrent network that reads a sequence once and makes a mask per class."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from whatyouread.data.batch import Batch, on_device
from whatyouread.data.tokenizers import find_tokenizer
from whatyouread.explainers.gate import gate, smoothed
from whatyouread.masks.gate_settings import GateSettings
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.levels import head_levels, several
from whatyouread.models.mask_operator import own_and_other_masks, own_and_other_set_masks, read
from whatyouread.models.precision import widest, without_autocast
from whatyouread.support.cli import UserError

TARGETS = ("class", "sequence")


class Explainer(nn.Module):
    """Embedding, bidirectional LSTM, ReLU, batch norm, dense, sigmoid (paper, Figure 4).

    classes: level -> number of classes; the masks of all levels lie side by side in the last layer.
    The paper's 160 outputs per token are 2 directions of `hidden_size` 80.

    target: "class", or "sequence" for one mask that all classes share.
    reads: the size of the Explanandum's last hidden states if the LSTM also reads them (see `attach`),
    else 0.
    gated: whether masks come from the scores by `gate`, as its settings (the attribute `gate`) say; else
    by the paper's plain sigmoid.
    tokenizer: the name of the tokenizer that made the ids.
    kinds: level -> kind, of those that are not `single`. At one of sets of classes, s_c of a set is the
    maximum over the masks of its classes, and of a set without a class 0.
    """

    def __init__(
        self,
        classes: dict[str, int],
        embedding_size: int = 100,
        hidden_size: int = 80,
        layers: int = 2,
        target: str = "class",
        reads: int = 0,
        gated: bool = False,
        tokenizer: str = "six_mers",
        kinds: dict[str, str] | None = None,
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
            "gated": gated,
            "tokenizer": tokenizer,
        }
        if kinds := several(kinds):
            self.config["kinds"] = kinds
        self.levels = head_levels(classes, kinds)
        self.of_sets = not all(level.of_one for level in self.levels)
        self.target, self.reads, self.gated, self.gate = target, reads, gated, GateSettings()
        counts = torch.tensor(list(classes.values()))
        columns = int(counts.sum()) if target == "class" else 1
        first = counts.cumsum(0) - counts
        self.register_buffer("first_column", first, persistent=False)
        self.tokenizer = find_tokenizer(tokenizer)
        self.embedding = nn.Embedding(
            len(self.tokenizer), embedding_size, padding_idx=self.tokenizer.pad
        )
        self.lstm = nn.LSTM(
            embedding_size + reads, hidden_size, layers, batch_first=True, bidirectional=True
        )
        self.norm = nn.BatchNorm1d(2 * hidden_size)
        self.dense = nn.Linear(2 * hidden_size, columns)
        self._explanandum: tuple[Explanandum, ...] = ()

    def attach(self, explanandum: Explanandum) -> "Explainer":
        """Freeze the Explanandum and keep it, to read its hidden states if `reads` is set; return self."""
        # a tuple hides the Explanandum from PyTorch: its weights are not the Explainer's
        self._explanandum = (explanandum.freeze(),)
        return self

    @property
    def explanandum(self) -> Explanandum | None:
        """The Explanandum that is attached, or None."""
        return self._explanandum[0] if self._explanandum else None

    def start_from(self, explanandum: Explanandum) -> "Explainer":
        """Start from a copy of the Explanandum's token embeddings, scaled to variance 1; return self."""
        with torch.no_grad():
            device = next(explanandum.parameters()).device
            # each token alone; padding, or a mask, has no embedding there in ESM
            every = torch.arange(len(self.tokenizer), device=device)
            table = explanandum.embed(every[:, None])[:, 0].nan_to_num(0, 0, 0)
            self.embedding.weight.copy_(table / table.std())
            self.embedding.weight[self.tokenizer.pad] = 0
        return self.attach(explanandum)

    def _apply(self, change, recurse=True):
        # `to` moves the Explanandum along
        if self._explanandum:
            self._explanandum[0]._apply(change, recurse)
        return super()._apply(change, recurse)

    @property
    def class_counts(self) -> list[int]:
        """The number of classes of each level, side by side in the last layer."""
        return list(self.config["classes"].values())

    def columns(self, classes: Tensor) -> Tensor:
        """Convert class numbers within each level, int64 (..., levels), to columns of the last layer.

        -1, a missing label, stays -1.
        """
        columns = 0 if self.target == "sequence" else classes + self.first_column
        return torch.where(classes < 0, classes, columns)

    def _held(self, answers: Tensor) -> list[Tensor]:
        """For each level the classes that answers hold, bool (..., classes); int64 (..., levels)."""
        columns = zip(self.levels, answers.unbind(-1), strict=True)
        return [level.held(one) for level, one in columns]

    def own_and_others(self, batch: Batch, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """s_c and n of `mask_operator.own_and_other_masks`, and which of the s_c there are.

        labels: int64 (batch, levels), -1 where one is missing. The third is bool, a column for each s_c.
        """
        if not self.of_sets:
            own, others = own_and_other_masks(self(batch), self.columns(labels), self.class_counts)
            return own, others, labels >= 0
        held = torch.cat(self._held(labels), 1)
        known = zip((labels >= 0).split(1, 1), self.class_counts, strict=True)
        counted = torch.cat([level.expand(-1, classes) for level, classes in known], 1)
        return *own_and_other_set_masks(self(batch), held, counted), held

    def inputs(self, batch: Batch) -> Tensor:
        """The input of the LSTM, (batch, length, embedding + reads)."""
        embeddings = self.embedding(batch.ids)
        if not self.reads:
            return embeddings
        states = batch.states
        if states is None:
            with torch.no_grad():
                states = read(self.explanandum, batch)[0]
        return torch.cat([embeddings, states.to(embeddings.dtype)], dim=-1)

    def features(self, batch: Batch) -> Tensor:
        """The input of the dense layer, (batch, length, 2 hidden).

        Sequences of several lengths are packed, which hides padding from the backward direction and the
        batch norm. Those of one length are not: that is faster, above all on a GPU.
        """
        # Half precision has no place in the LSTM: with float16, which cuDNN takes under autocast, most of
        # its gradients are subnormal, and many processors have no bfloat16 LSTM.
        inputs = widest(self.inputs(batch))
        if batch.whole:
            with without_autocast(batch.device):
                states, _ = self.lstm(inputs)
            return self.norm(states.flatten(0, 1).relu()).view_as(states)
        # `pack_padded_sequence` can sort too, but it would wait for the GPU three times
        lengths, order = torch.from_numpy(batch.lengths).sort(descending=True)
        moved = bool((order.diff() != 1).any())
        if moved:
            order = on_device(order, batch.device)
            inputs = inputs.index_select(0, order)
        packed = pack_padded_sequence(inputs, lengths, batch_first=True)
        with without_autocast(batch.device):
            packed, _ = self.lstm(packed)
        packed = packed._replace(data=self.norm(packed.data.relu()))
        width = batch.ids.shape[1]
        made = pad_packed_sequence(packed, batch_first=True, total_length=width)[0]
        return made.index_select(0, order.argsort()) if moved else made

    def forward(self, batch: Batch) -> Tensor:
        """Masks of all classes, (batch, length, classes of all levels), in [0, 1]."""
        return self._masks(self._dense(batch), batch)

    def _dense(self, batch: Batch) -> Tensor:
        features = widest(self.features(batch))
        # bfloat16 would leave eight bits for a score, and fewer for 1 - m
        with without_autocast(batch.device):
            return self.dense(features)

    def class_scores(self, batch: Batch, classes: Tensor) -> Tensor:
        """The scores behind the masks of some classes; the other classes are not computed.

        classes: int64 (batch, sets, levels), numbered within each level, no label missing. Returns
        float (batch, length, sets, levels). The score of a set of classes is the sum over them, as its
        log-probability is.
        """
        if self.target == "sequence":
            return _for_all(self._dense(batch), classes)
        if self.of_sets:
            parts = zip(
                self._dense(batch).split(self.class_counts, -1), self._held(classes), strict=True
            )
            with without_autocast(batch.device):
                return torch.stack(
                    [
                        torch.einsum("blc,bsc->bls", part, held.to(part.dtype))
                        for part, held in parts
                    ],
                    -1,
                )
        features = widest(self.features(batch))
        columns = self.columns(classes)
        with without_autocast(batch.device):
            scores = torch.einsum("blh,bsrh->blsr", features, self.dense.weight[columns])
        return scores + self.dense.bias[columns].unsqueeze(1)

    def class_masks(self, batch: Batch, classes: Tensor, smooth: bool = True) -> Tensor:
        """The masks of some classes, zero at padding; arguments and shape as for `class_scores`.

        A class of -1, where a label is missing, gets a mask of zeros, which adds nothing to a target
        mask: that is the maximum over the labelled levels.

        Without `smooth` the gate takes the scores as they are: the mask is harder to read, but closer
        to the tokens that the classifier reads.
        """
        valid = batch.valid[:, :, None, None] & (classes >= 0).unsqueeze(1)
        if self.target == "sequence":
            column = self._masks(self._dense(batch), batch, smooth)
            return _for_all(column, classes) * valid
        if self.of_sets:
            masks = self._masks(self._dense(batch), batch, smooth).split(self.class_counts, -1)
            own = [
                torch.where(held.unsqueeze(1), part.unsqueeze(2), 0).amax(-1)
                for part, held in zip(masks, self._held(classes), strict=True)
            ]
            return torch.stack(own, -1) * valid
        scores = self.class_scores(batch, classes.clamp(min=0))
        return self._masks(scores.flatten(2), batch, smooth).view(scores.shape) * valid

    def _masks(self, scores: Tensor, batch: Batch, smooth: bool = True) -> Tensor:
        """Apply the paper's sigmoid, or one gate per column: (batch, length, columns)."""
        if not self.gated:
            return scores.sigmoid()
        columns = scores.shape[2]
        rows = scores.movedim(2, 1).flatten(0, 1)
        content, valid = (
            flags.repeat_interleave(columns, 0) for flags in (batch.content, batch.valid)
        )
        rows = smoothed(rows, content, self.gate.smoothing) if smooth else rows
        masks = gate(rows, content, valid, self.gate.area)
        return masks.view(len(scores), columns, -1).movedim(1, 2)


def _for_all(column: Tensor, classes: Tensor) -> Tensor:
    """Repeat one column (batch, length, 1) for all classes: (batch, length, sets, levels)."""
    return column.unsqueeze(-1).expand(-1, -1, *classes.shape[1:])
