"""What differs between inputs: how they are read, laid out in windows, written and counted.

`base_reading` reads DNA base by base, with tracks for genome browsers; `token_reading` reads all that
comes as tokens which lie somewhere in a text: proteins, texts, and DNA in the tokens of a model's folder.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from whatyouread.data.records import Meter
from whatyouread.explain import tables
from whatyouread.explain.intake import Records
from whatyouread.explain.outputs import Sample
from whatyouread.explain.requests import Request
from whatyouread.explain.windows import Layout
from whatyouread.explainers.saved import SavedExplainer
from whatyouread.support.cli import UserError


class Written(NamedTuple):
    """What was written of a sample: counts, and what the page shows of an annotation."""

    counts: dict[str, int]
    features: Mapping = {}
    enrichment: object = None


class Reading(ABC):
    """How the sequences of a request are read for a model.

    unit: what a sequence is counted in, "bases". Raises UserError for options that make no sense here.
    """

    unit: str

    def __init__(self, request: Request, saved: SavedExplainer):
        self.request, self.saved = request, saved
        self.layout = self._layout()

    @abstractmethod
    def _layout(self) -> Layout:
        """How windows lie."""

    def settings(self) -> dict:
        """What a run that goes on must have in common with the one before, beside what all have."""
        return {}

    @abstractmethod
    def records(self, folder: Path, regions: Mapping[str, np.ndarray] | None) -> Records:
        """Where the records are kept, in a work folder."""

    @abstractmethod
    def stream(self, meter: Meter) -> Iterator:
        """The records of the files of the request."""

    @abstractmethod
    def write(self, folder: Path, sample: Sample, annotation: Mapping) -> Written:
        """Write all but the predictions, the summary and the page."""

    @abstractmethod
    def counted(self, sample: Sample, counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
        """What `summary.json` says of sequences and of what they are made of."""

    @abstractmethod
    def facts(self, summary: Mapping) -> dict[str, object]:
        """What the page says of windows and of how they are read."""

    def _step(self, window: int, frame: int) -> int:
        """From one window to the next, by --overlap."""
        overlap = self.request.overlap
        if not 0 <= overlap < 1:
            raise UserError(f"--overlap {overlap}: give a share from 0 to below 1")
        return max(frame, round(window * (1 - overlap) / frame) * frame)


def fates(sample: Sample) -> dict[str, int]:
    """How many sequences were read, what became of them, and how many are empty."""
    records = sample.records
    said = Counter(tables.status(records, sample.whole).tolist())
    return {
        "read": len(records),
        **{state: said[state] for state in tables.states(records)},
        "empty": int((records.lengths == 0).sum()),
    }


def kinds_counted(counts: Iterable[Mapping[str, int]]) -> list[str]:
    """What the counts of records count, in the order in which it comes."""
    return list(dict.fromkeys(kind for own in counts for kind in own))
