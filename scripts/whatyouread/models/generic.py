"""Encoders of families without an adapter of their own, as far as they go."""

import inspect
import re

import torch

from whatyouread.models.adapter import EncoderAdapter
from whatyouread.models.transformers_adapter import attentions
from whatyouread.models.weights import NOTHING, load_tensors, read_tensors
from whatyouread.support.cli import UserError, log
from whatyouread.support.network import network_errors


def is_known(model_type: str) -> bool:
    """Whether transformers has models of this type; no code from elsewhere is run."""
    with network_errors("the library transformers does not start"):
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return model_type in CONFIG_MAPPING_NAMES


class GenericAdapter(EncoderAdapter):
    """Any model of transformers that reads `inputs_embeds`: masked exactly, never relaxed.

    What the model does with embeddings must be what it does with ids; `load` tries it.
    """

    model_type = "any other"

    @classmethod
    def check(cls, config, path):
        if config.get("is_encoder_decoder"):
            raise UserError(f"{path}: is_encoder_decoder is true, and only encoders are read")
        if config.get("quantization_config"):
            raise UserError(f"{path}: quantised weights are not read: take those in full precision")

    @classmethod
    def build(cls, config):
        with network_errors("the library transformers does not start"):
            from transformers import AutoConfig, AutoModel

        kind = config["model_type"]
        left = ("model_type", "auto_map", "architectures", "torch_dtype", "dtype")
        known = {key: value for key, value in config.items() if key not in left}
        try:
            made = AutoConfig.for_model(kind, **known)
            try:
                encoder = AutoModel.from_config(made, add_pooling_layer=False)
            except TypeError:  # most families have no pooler
                encoder = AutoModel.from_config(made)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"the backbone's configuration makes no encoder of type {kind}: {reason}"
            ) from None
        if "inputs_embeds" not in inspect.signature(encoder.forward).parameters:
            raise UserError(
                f"models of type {kind} do not read embeddings (inputs_embeds), so that nothing can be "
                "masked: take a model of another family"
            )
        log.warning(
            "models of type %s have no adapter of their own: they are masked by the exact operator only; "
            "`operator: relaxed`, the objectives sharp, attnlrp and l2x, joint unless it learns fastshap "
            "alone, and the methods occlusion_gradients and attnlrp are not possible",
            kind,
        )
        return encoder

    def load(self, folder):
        prefix = f"{self.encoder.base_model_prefix}."
        framed = any(name.startswith(prefix) for name in read_tensors(folder))
        # in a file with the prefix, all that has none belongs to heads
        own = {name.split(".")[0] for name in self.encoder.state_dict()}
        others = re.compile(rf"^(?!({'|'.join(map(re.escape, sorted(own)))})\.)")
        heads = others if framed else NOTHING
        names = load_tensors(self.encoder, folder, prefix, heads)
        self._compare_ids_and_embeddings(folder)
        return names

    @torch.inference_mode()
    def _compare_ids_and_embeddings(self, folder) -> None:
        """Raise UserError where a model treats ids otherwise than their embeddings."""
        rows = self.encoder.get_input_embeddings().weight.shape[0]
        ids = torch.arange(rows)[-min(rows, 16) :].unsqueeze(0)
        training = self.encoder.training
        self.encoder.eval()
        states = [
            self.encoder(**given).last_hidden_state
            for given in ({"input_ids": ids}, {"inputs_embeds": self.embed(ids)})
        ]
        self.encoder.train(training)
        if not torch.allclose(*states, rtol=1e-3, atol=1e-4):
            raise UserError(
                f"{folder}: this model reads embeddings otherwise than ids, so that it cannot be masked "
                "without an adapter of its own (scripts/whatyouread/models/adapter.py)"
            )

    def embed(self, ids):
        return self.encoder.get_input_embeddings()(ids)

    @property
    def longest(self):
        return getattr(self.encoder.config, "max_position_embeddings", None)

    def encode(self, embeddings, batch):
        self.refuse_longer(batch)
        made = self.encoder(inputs_embeds=embeddings, attention_mask=batch.valid.long())
        return made.last_hidden_state

    def encode_relaxed(self, embeddings, mask, batch):
        kind = self.encoder.config.model_type
        raise UserError(
            f"models of type {kind} have no adapter of their own, and so no relaxed operator: set "
            "`operator: exact`, and leave out the objectives sharp and l2x, sharp in `learns` of joint, and "
            "the method occlusion_gradients"
        )

    def attentions(self, batch):
        return attentions(self.encoder, self.embed(batch.ids), batch)
