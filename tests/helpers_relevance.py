"""The rules of AttnLRP by hand: values forwards and relevances backwards in numpy, without gradients.

Each function returns what a layer makes of x, and how it divides the relevance of that.
"""

import numpy as np
from scipy.special import erf


def dense(x, weight, bias=0.0):
    """Equation 8: each x_i gets its share of z."""
    z = x @ weight.T + bias
    return z, lambda relevance: x * ((relevance / z) @ weight)


def added(one, other):
    return one + other, lambda relevance: relevance * one / (one + other)


def norm(x, weights, eps):
    """(x - mean) / deviation as a linear layer of its own for each token."""
    weight, bias = weights
    size = x.shape[-1]
    rows = [
        dense(row, (weight / np.sqrt(row.var() + eps))[:, None] * (np.eye(size) - 1 / size), bias)
        for row in x
    ]

    def back(relevance):
        return np.stack([own(part) for (_, own), part in zip(rows, relevance, strict=True)])

    return np.stack([row for row, _ in rows]), back


def attention(query, key, value, scale, lost):
    """One head, number by number: propositions 3.1 and 3.3. lost: what stays in the softmax."""
    n, size = query.shape
    scores = query @ key.T * scale
    weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    made = weights @ value

    def back(relevance):
        of_weights, of_scores = np.zeros((n, n)), np.zeros((n, n))
        of_query, of_key, of_value = np.zeros((3, n, size))
        for i in range(n):
            for j in range(n):
                for d in range(size):
                    share = weights[i, j] * value[j, d] / made[i, d] * relevance[i, d] / 2
                    of_weights[i, j] += share
                    of_value[j, d] += share
            of_scores[i] = scores[i] * (of_weights[i] - weights[i] * of_weights[i].sum())
            for j in range(n):
                for d in range(size):
                    share = query[i, d] * key[j, d] * scale / scores[i, j] * of_scores[i, j] / 2
                    of_query[i, d] += share
                    of_key[j, d] += share
        lost.append(of_weights.sum() - of_scores.sum())
        return of_query, of_key, of_value

    return made, back


def rotated(x):
    """Rotary positions: a linear layer for each token."""
    n, size = x.shape
    half, made, turns = size // 2, [], []
    for place in range(n):
        angles = place / 10000 ** (2 * np.arange(half) / size)
        cos, sin = np.diag(np.cos(angles)), np.diag(np.sin(angles))
        turn = np.block([[cos, -sin], [sin, cos]])
        made.append(turn @ x[place])
        turns.append(turn)

    def back(relevance):
        return np.stack([x[p] * ((relevance[p] / made[p]) @ turn) for p, turn in enumerate(turns)])

    return np.stack(made), back


class ByHand:
    """The relevances of one sequence without padding, in float64.

    `start` is what there is at the logits, `lost` what stays in the softmax of each head.
    """

    def __init__(self, explanandum, config, ids):
        self.weights = {k: v.double().numpy() for k, v in explanandum.state_dict().items()}
        self.config, self.pooling, self.lost = config, explanandum.pooling, []
        self.is_esm = explanandum.encoder.config.model_type == "esm"
        self.eps = explanandum.encoder.config.layer_norm_eps
        self.rotary = config.get("position_embedding_type") == "rotary"
        self.ids = ids.numpy()

    def pair(self, name, prefix="encoder."):
        weight = self.weights[f"{prefix}{name}.weight"]
        return weight, self.weights.get(f"{prefix}{name}.bias", 0.0)

    def norm(self, x, name):
        return norm(x, self.pair(name), self.eps)

    def heads(self, x, where):
        (query, to_q), (key, to_k), (value, to_v) = (
            dense(x, *self.pair(f"{where}.self.{kind}")) for kind in ("query", "key", "value")
        )
        size = query.shape[1] // self.config["num_attention_heads"]
        results, backs = [], []
        for start in range(0, query.shape[1], size):
            own = np.s_[:, start : start + size]
            q, turn_q = rotated(query[own]) if self.rotary else (query[own], lambda r: r)
            k, turn_k = rotated(key[own]) if self.rotary else (key[own], lambda r: r)
            made, back = attention(q, k, value[own], size**-0.5, self.lost)
            results.append(made)
            backs.append((own, back, turn_q, turn_k))
        made, to_made = dense(np.concatenate(results, 1), *self.pair(f"{where}.output.dense"))

        def back(relevance):
            relevance = to_made(relevance)
            of_query, of_key, of_value = np.zeros((3, *query.shape))
            for own, one, turn_q, turn_k in backs:
                q, k, of_value[own] = one(relevance[own])
                of_query[own], of_key[own] = turn_q(q), turn_k(k)
            return to_q(of_query) + to_k(of_key) + to_v(of_value)

        return made, back

    def feed_forward(self, x, where):
        inner, to_x = dense(x, *self.pair(f"{where}.intermediate.dense"))
        if gated := "add_bias_fnn" in self.config:
            gate, value = np.split(inner, 2, axis=1)
            active = gate / (1 + np.exp(-gate)) * value
        else:
            active = inner * (1 + erf(inner / np.sqrt(2))) / 2
        made, to_active = dense(active, *self.pair(f"{where}.output.dense"))

        def back(relevance):
            relevance = to_active(relevance)  # activations hand it on; each half of a gate has half
            return to_x(np.concatenate([relevance / 2] * 2, 1) if gated else relevance)

        return made, back

    def layer(self, x, number):
        where = f"encoder.layer.{number}"
        if self.is_esm:  # norms before
            normed, to_x = self.norm(x, f"{where}.attention.LayerNorm")
            made, to_normed = self.heads(normed, f"{where}.attention")
            middle, to_made = added(made, x)
            second, to_middle = self.norm(middle, f"{where}.LayerNorm")
            fed, to_second = self.feed_forward(second, where)
            made_last, to_fed = added(fed, middle)

            def back(relevance):
                of_fed = to_fed(relevance)
                relevance = relevance - of_fed + to_middle(to_second(of_fed))
                of_made = to_made(relevance)
                return relevance - of_made + to_x(to_normed(of_made))

            return made_last, back
        made, to_x = self.heads(x, f"{where}.attention")
        joined, to_made = added(made, x)
        middle, to_joined = self.norm(joined, f"{where}.attention.output.LayerNorm")
        fed, to_middle = self.feed_forward(middle, where)
        joined_last, to_fed = added(fed, middle)
        last, to_last = self.norm(joined_last, f"{where}.output.LayerNorm")

        def back(relevance):
            relevance = to_last(relevance)
            of_fed = to_fed(relevance)
            relevance = to_joined(relevance - of_fed + to_middle(of_fed))
            of_made = to_made(relevance)
            return relevance - of_made + to_x(of_made)

        return last, back

    def embedded(self):
        """What the first layer reads, and how relevance goes on to the embeddings of tokens."""
        words = self.weights["encoder.embeddings.word_embeddings.weight"][self.ids]
        places, backs = np.arange(len(self.ids)), []
        if self.config.get("token_dropout"):
            words = words * (1 - 0.15 * 0.8)
        if not self.rotary:
            start = (
                0 if self.config.get("model_type") == "bert" else self.config["pad_token_id"] + 1
            )
            table = self.weights["encoder.embeddings.position_embeddings.weight"]
            others = table[start + places]
            if not self.is_esm:
                others = others + self.weights["encoder.embeddings.token_type_embeddings.weight"][0]
            words, back = added(words, others)
            backs.append(back)
        if not self.is_esm or self.config["emb_layer_norm_before"]:
            name = "layer_norm" if self.is_esm else "LayerNorm"
            words, back = self.norm(words, f"embeddings.{name}")
            backs.append(back)
        return words, backs

    def scores(self, level, classes):
        """The log-probability of one class at a level, and its relevance for each token, (length,)."""
        states, backs = self.embedded()
        for number in range(self.config["num_hidden_layers"]):
            states, back = self.layer(states, number)
            backs.append(back)
        if self.is_esm:
            states, back = self.norm(states, "encoder.emb_layer_norm_after")
            backs.append(back)
        pooled = states[0] if self.pooling == "cls" else states.mean(0)
        if f"heads.{level}.dense.weight" in self.weights:
            first, to_pooled = dense(pooled, *self.pair(f"{level}.dense", "heads."))
            logits, to_first = dense(np.tanh(first), *self.pair(f"{level}.out", "heads."))
        else:
            logits, to_first = dense(pooled, *self.pair(level, "heads."))
            to_pooled = lambda relevance: relevance  # noqa: E731
        chances = np.exp(logits) / np.exp(logits).sum()
        relevance = logits * (np.eye(len(logits))[classes] - chances)
        self.start = relevance.sum()
        relevance = to_pooled(to_first(relevance))
        if self.pooling == "cls":
            relevance = np.eye(len(states))[:, :1] * relevance
        else:
            relevance = states / len(states) / pooled * relevance
        self.lost.clear()
        for back in reversed(backs):
            relevance = back(relevance)
        return np.log(chances[classes]), relevance.sum(1)
