"""What the models have to compute: floating-point operations of their matrix products."""


def encoder_flops(backbone: dict, length):
    """Forward pass of the encoder: of its linear layers, and of the two products of the attention.

    length: tokens of a sequence, a number or an array. A multiplication with an addition counts as two.
    """
    hidden, inner = backbone["hidden_size"], backbone["intermediate_size"]
    layers = backbone["num_hidden_layers"]
    # query, key, value and output; both halves of the gated projection, and the one back
    linear = layers * length * 2 * (4 * hidden * hidden + 3 * hidden * inner)
    attention = layers * 2 * (2 * length * length * hidden)
    return linear, attention


def model_flops(
    backbone: dict, classes: dict[str, int], length, explainer: dict, samples: int = 1000
) -> dict:
    """Floating-point operations of the matrix products, per sequence, by what is done.

    explainer: its `embedding_size`, `hidden_size` and `layers`. A backward pass costs twice the forward
    one; through frozen layers, whose weights need no gradient, as much, but for the attention.
    """
    linear, attention = encoder_flops(backbone, length)
    columns, states = sum(classes.values()), 2 * explainer["hidden_size"]
    heads = 2 * backbone["hidden_size"] * columns
    inputs = [explainer["embedding_size"]] + [states] * (explainer["layers"] - 1)
    sharp = [2 * backbone["hidden_size"], *inputs[1:]]  # embeddings and states of the classifier

    def lstm(sizes: list[int]):
        # two directions, four gates
        wide = 2 * 4 * explainer["hidden_size"]
        return sum(length * 2 * wide * (size + explainer["hidden_size"]) for size in sizes)

    dense = length * 2 * states
    forward = linear + attention + heads
    return {
        "classification": forward,
        "fine-tuning": 3 * forward,
        # the masked sequence and its complement
        "Explainer": 2 * (2 * linear + 3 * attention + 2 * heads)
        + 3 * (lstm(inputs) + dense * columns),
        # the plain sequence without a gradient, and an occluded one
        "sharp": 3 * linear + 4 * attention + 3 * heads + 3 * (lstm(sharp) + dense),
        # three sets of classes, one column for each rank
        "masks": forward + lstm(inputs) + dense * 3 * len(classes),
        "LIME": samples * forward,
    }
