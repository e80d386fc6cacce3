"""The family `roberta`: RoBERTa, XLM-R, CamemBERT. BERT with positions counted from the id of padding."""

import re

from whatyouread.models.bert import BertAdapter
from whatyouread.models.transformers_adapter import counted_positions


class RobertaAdapter(BertAdapter):
    """Positions start behind the id of padding and are those of the tokens that are not padding."""

    model_type = "roberta"
    model, prefix = "RobertaModel", "roberta."
    published_head = ("classifier.dense", "classifier.out_proj")
    unused = re.compile(
        r"^lm_head\.|^classifier\.(dense|out_proj)\.(weight|bias)$|^qa_outputs\."
        r"|^pooler\.dense\.(weight|bias)$|^embeddings\.(position|token_type)_ids$"
    )

    @property
    def longest(self):
        config = self.encoder.config
        return config.max_position_embeddings - config.pad_token_id - 1

    def positions_of(self, batch):
        return counted_positions(batch, self.encoder.config.pad_token_id)


class XlmRobertaAdapter(RobertaAdapter):
    """XLM-R."""

    model_type = "xlm-roberta"
    model = "XLMRobertaModel"


class CamembertAdapter(RobertaAdapter):
    """CamemBERT."""

    model_type = "camembert"
    model = "CamembertModel"
