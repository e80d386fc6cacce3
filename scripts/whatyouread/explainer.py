"""The Explainer: a small recurrent network that reads the tokens once and makes a mask per class."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from whatyouread.tokens import PAD, VOCABULARY


class Explainer(nn.Module):
    """Embedding, bidirectional LSTM, ReLU, batch norm, dense, sigmoid (paper, Figure 4).

    classes: rank -> number of classes; the masks of all ranks lie side by side in the last layer.
    The paper's 160 outputs per token are 2 directions of `hidden_size` 80.
    """

    def __init__(
        self,
        classes: dict[str, int],
        embedding_size: int = 100,
        hidden_size: int = 80,
        layers: int = 2,
    ):
        super().__init__()
        self.config = {
            "classes": classes,
            "embedding_size": embedding_size,
            "hidden_size": hidden_size,
            "layers": layers,
        }
        counts = torch.tensor(list(classes.values()))
        self.register_buffer("first_column", counts.cumsum(0) - counts, persistent=False)
        self.embedding = nn.Embedding(len(VOCABULARY), embedding_size, padding_idx=PAD)
        self.lstm = nn.LSTM(
            embedding_size, hidden_size, layers, batch_first=True, bidirectional=True
        )
        self.norm = nn.BatchNorm1d(2 * hidden_size)
        self.dense = nn.Linear(2 * hidden_size, int(counts.sum()))

    def columns(self, classes: Tensor) -> Tensor:
        """Classes counted within each rank, int64 (..., ranks), as columns of the last layer."""
        return classes + self.first_column

    def features(self, tokens: Tensor) -> Tensor:
        """int64 (batch, length) -> (batch, length, 2 hidden), the input of the dense layer.

        Packed, so that neither the backward direction nor the batch norm ever sees padding.
        """
        lengths = (tokens != PAD).sum(1)
        packed = pack_padded_sequence(
            self.embedding(tokens), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        packed, _ = self.lstm(packed)
        packed = packed._replace(data=self.norm(packed.data.relu()))
        return pad_packed_sequence(packed, batch_first=True, total_length=tokens.shape[1])[0]

    def forward(self, tokens: Tensor) -> Tensor:
        """Masks of all classes, (batch, length, classes of all ranks), in [0, 1]."""
        # float32: in bfloat16 a mask would have eight bits, and 1 - m fewer
        return self.dense(self.features(tokens)).float().sigmoid()

    def class_masks(self, tokens: Tensor, classes: Tensor) -> Tensor:
        """Masks of some classes only, without computing the others.

        classes: int64 (batch, sets, ranks), counted within each rank. Returns float
        (batch, length, sets, ranks), zero at padding.
        """
        columns = self.columns(classes)
        scores = torch.einsum("blh,bsrh->blsr", self.features(tokens), self.dense.weight[columns])
        masks = (scores + self.dense.bias[columns].unsqueeze(1)).float().sigmoid()
        return masks * (tokens != PAD)[:, :, None, None]
