"""What sets Nucleotide Transformer v2 apart from the rest of the family `esm`.

The modelling code published beside its weights needs `trust_remote_code` and does not import under
transformers 5. The architecture is ESM's with rotary positions and, in each layer, a feed-forward
block gated as SiLU(x1) * x2 from one bias-free matrix; the published tensors are loaded by name.
"""

from pathlib import Path

from torch import Tensor, nn

from whatyouread.data.six_mers import VOCABULARY
from whatyouread.support.cli import UserError

KEY = "add_bias_fnn"
"""The key of config.json that only Nucleotide Transformer v2 has: whether its feed-forward has biases."""


class GatedIntermediate(nn.Module):
    """(batch, length, hidden) -> (batch, length, intermediate): SiLU(x1) * x2 of one projection."""

    def __init__(self, hidden_size: int, intermediate_size: int, bias: bool):
        super().__init__()
        self.dense = nn.Linear(hidden_size, 2 * intermediate_size, bias=bias)

    def forward(self, hidden: Tensor) -> Tensor:
        gate, value = self.dense(hidden).chunk(2, dim=-1)
        return nn.functional.silu(gate) * value


def is_gated(config: dict) -> bool:
    """Whether a config.json of the family `esm` is that of Nucleotide Transformer v2.

    It is where it has the key `add_bias_fnn`, or where its `auto_map` names the published modelling code
    (`esm_config.EsmConfig`). transformers' own EsmConfig, and so NT v1 and ESM-2, has neither.
    """
    code = config.get("auto_map")
    named = code.get("AutoConfig") if isinstance(code, dict) else None
    return KEY in config or str(named).rpartition("--")[2] == "esm_config.EsmConfig"


def check(config: dict, path: Path) -> None:
    """Raise UserError where a configuration is not that of Nucleotide Transformer v2."""
    required = {
        "position_embedding_type": "rotary",
        "token_dropout": False,
        "emb_layer_norm_before": False,
        "vocab_size": len(VOCABULARY),
    }
    for key, value in required.items():
        if (config.get(key) or False) != value:
            given = config.get(key)
            raise UserError(
                f"{path}: {key} is {given!r}, and Nucleotide Transformer v2 has {value!r}"
            )


def gate(encoder: nn.Module, config: dict) -> None:
    """Give each layer of an EsmModel the gated feed-forward block, freshly initialised."""
    esm, bias = encoder.config, bool(config.get(KEY, False))
    for layer in encoder.encoder.layer:
        layer.intermediate = GatedIntermediate(esm.hidden_size, esm.intermediate_size, bias)
        layer.output.dense = nn.Linear(esm.intermediate_size, esm.hidden_size, bias=bias)
        for linear in (layer.intermediate.dense, layer.output.dense):
            nn.init.normal_(linear.weight, std=esm.initializer_range)
            if bias:
                nn.init.zeros_(linear.bias)


def has_gates(encoder: nn.Module) -> bool:
    """Whether `gate` has been there."""
    return isinstance(encoder.encoder.layer[0].intermediate, GatedIntermediate)
