"""The page of an explained sample, from what `explain` made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from whatyouread.explain.annotation import GENE, TYPES, Features
from whatyouread.report.explain_page import PageRecord, mask_bytes, write_page
from whatyouread.report.token_page import write_token_page

if TYPE_CHECKING:  # they import torch
    from whatyouread.explain.outputs import Sample, Whole

MOST_BASES, MOST_SEQUENCES = 40_000_000, 200_000
"""What a page holds; the sequences are taken in their order as long as they fit."""


def write_sample_page(
    path: Path,
    sample: Sample,
    features: Mapping[str, Features],
    enrichment: pd.DataFrame | None,
    facts: Mapping[str, object],
) -> dict[str, int]:
    """Write `index.html`; return how many sequences and bases it shows.

    features: by the names of sequences. enrichment: the table of an annotation. facts: name -> value, shown
    as they are.
    """
    if not sample.records.stranded:
        return write_token_page(path, sample, facts)
    starts = sample.records.starts
    wanted = np.arange(len(sample.records)) < MOST_SEQUENCES
    wanted &= starts[1:] <= MOST_BASES
    left = len(wanted) - int(wanted.sum())
    counts = write_page(
        path,
        _page_records(sample, wanted, features),
        sample=sample.name,
        levels={level.name: list(level.names) for level in sample.levels},
        token=sample.frame,
        facts=dict(facts),
        enrichment=None if enrichment is None else enrichment.to_dict("records"),
        most_bases=MOST_BASES,
        most_records=MOST_SEQUENCES,
        left_out=(left, int(starts[-1] - starts[wanted.sum()])),
    )
    return {"sequences": counts.shown, "bases": counts.shown_bases}


def _page_records(
    sample: Sample, wanted: np.ndarray, features: Mapping[str, Features]
) -> Iterator[PageRecord]:
    for whole in sample.wholes(wanted, mask_bytes):
        name = sample.records.names[whole.record]
        own = features.get(name)
        classes, values = _segments(sample, whole)
        yield PageRecord(
            name=name,
            description=sample.records.descriptions[whole.record],
            length=len(whole.bases),
            bases=whole.bases,
            mask=whole.values[0],
            mask_minus=whole.values[1] if len(whole.values) > 1 else None,
            segments=np.stack([whole.segments.start, whole.segments.stop], axis=1),
            classes=classes,
            probabilities=values,
            predicted=_predicted(sample, whole.record),
            features=[] if own is None else _shown(own),
        )


def _shown(features: Features) -> list[tuple[str, int, int, str, str]]:
    """What the page draws of an annotation: no genes where it says what they are made of."""
    kinds = features.kinds()
    kept = np.isin(kinds, TYPES)
    if not kept.any():
        kept = kinds == GENE
    columns = kinds, features.starts, features.ends, features.strands, features.names
    return list(zip(*(column[kept].tolist() for column in columns), strict=True))


def _segments(sample: Sample, whole: Whole) -> tuple[dict, dict]:
    """The class predicted for each segment at each level, and its probability."""
    if not len(whole.segments.start):
        none = {level.name: np.zeros(0) for level in sample.levels}
        return {name: values.astype(np.int64) for name, values in none.items()}, none
    said = sample.decided(whole.segments.probabilities)
    names = [level.name for level in sample.levels]
    return (
        {name: said.classes[:, i, 0] for i, name in enumerate(names)},
        {name: said.probabilities[:, i, 0] for i, name in enumerate(names)},
    )


def _predicted(sample: Sample, record: int) -> dict[str, tuple[int, float, int, float]]:
    if not sample.whole.windows[record]:
        return {}
    made = {}
    for i, level in enumerate(sample.levels):
        (first, second), (p, q) = (
            sample.whole.classes[record, i].tolist(),
            sample.whole.probabilities[record, i].tolist(),
        )
        made[level.name] = first, p, second, q
    return made
