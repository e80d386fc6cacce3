"""AttnLRP (Achtibat et al. 2024) as a method: `models/relevance.py` has the rules.

The paper starts at the logit of a class. Here the question is that of all methods, the log-probability, and
its softmax or sigmoid is differentiated as usual. So with R_k the relevance for the logit of class k and p_k
its probability, the result is R_c - Σ p_k R_k: what speaks for class c more than for the others. For a level
with a sigmoid per class it is (1 - p_c) R_c. In both cases scores are small where p_c is near 1; their order
within a sequence is not.
"""

from torch import Tensor

from whatyouread.methods.gradients import gradients_of
from whatyouread.methods.question import Question
from whatyouread.models.relevance import relevance_pass
from whatyouread.support.machine import note_batch


def attnlrp(question: Question) -> Tensor:
    """The relevance of each token for each target: float32 (batch, length, targets), zero at padding.

    Raises UserError for families without an adapter that names their layers, and for an activation that is
    not 0 at 0.

    No mask is asked about. In `gradient_x_input` the mask also multiplies the last hidden states where
    `pooling` is `mean`, and a score holds that gradient, too; here it is what reaches the embedding.
    """
    note_batch(*question.batch.ids.shape)
    factors, _, logits = relevance_pass(question.explanandum, question.batch)
    scores = gradients_of(question.asked(logits), factors)
    return scores * question.batch.valid.unsqueeze(-1)
