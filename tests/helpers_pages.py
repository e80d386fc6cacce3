"""Records for the page of an explained sample, made up with a seed."""

import numpy as np

from whatyouread.report.explain_page import NO_SCORE, PageRecord

LEVELS = {
    "domain": ["Bacteria", "Archaea"],
    "phylum": [f"Phylum {letter}" for letter in "ABCDE"],
    "genus": [f"Genus{i}" for i in range(12)],
}


def page_record(
    rng: np.random.Generator, name: str, length: int, window: int = 600, token: int = 6, **changes
) -> PageRecord:
    """A record with a random sequence, a mask constant within tokens, and a prediction per window."""
    bases = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, length)]
    tokens = rng.beta(0.4, 1.2, -(-length // token))
    edges = np.r_[np.arange(0, length, window), length] if length else np.zeros(1, int)
    segments = np.stack([edges[:-1], edges[1:]], 1)
    k = len(segments)
    genus = rng.integers(0, 12, k)
    classes = {"domain": genus % 2, "phylum": genus % 5, "genus": genus}
    predicted = {
        level: (int(numbers[0]), round(float(rng.uniform(0.4, 1)), 3), int(numbers[0] == 0), 0.1)
        for level, numbers in classes.items()
        if k
    }
    made = PageRecord(
        name=name,
        description="",
        length=length,
        bases=bases,
        mask=np.repeat(np.rint(tokens * 250), token)[:length].astype(np.uint8),
        segments=segments,
        classes=classes,
        probabilities={level: rng.uniform(0.4, 1, k) for level in classes},
        predicted=predicted,
    )
    for field, value in changes.items():
        setattr(made, field, value)
    return made


def genome(rng: np.random.Generator, length: int) -> PageRecord:
    """A genome in one record: blended masks (each base its own value), genes, gaps of N."""
    made = page_record(rng, "genome", length, window=750)
    smooth = np.convolve(rng.normal(size=length), np.ones(6) / 6, "same")
    made.mask = np.clip(np.rint(60 + 90 * smooth), 0, 250).astype(np.uint8)
    kinds = rng.choice(["CDS", "tRNA", "rRNA"], length // 1000, p=[0.97, 0.02, 0.01])
    made.features = [
        (str(kind), int(at), int(at + rng.integers(80, 950)), "+-"[i % 2], f"gene{i}")
        for i, (kind, at) in enumerate(zip(kinds, range(0, 1000 * len(kinds), 1000), strict=True))
    ]
    gap = slice(length // 3, length // 3 + length // 50)
    made.bases = made.bases.copy()
    made.bases[gap] = ord("N")
    made.mask[gap] = NO_SCORE
    # long stretches of one class, as in a real genome
    made.classes["genus"][:] = np.where(
        rng.random(len(made.segments)) < 0.8, 3, made.classes["genus"]
    )
    return made
