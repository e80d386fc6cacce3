"""Proteins, texts, and DNA in tokens of unequal width: FASTA, TSV, CSV or JSONL, in windows of tokens."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from whatyouread.data.normalisation import ALPHABETS, CUT, EMPTY, EXCLUDED, WINDOW
from whatyouread.data.records import Meter
from whatyouread.data.token_limit import DONE
from whatyouread.explain import token_tables
from whatyouread.explain.outputs import Sample
from whatyouread.explain.reading import Reading, Written, fates, kinds_counted
from whatyouread.explain.requests import Request
from whatyouread.explain.token_records import TokenRecord, TokenRecords
from whatyouread.explain.token_stream import (
    LONG,
    TOKENS,
    UNKNOWN,
    WHAT,
    Limit,
    read_token_records,
)
from whatyouread.explain.windows import Layout
from whatyouread.explainers.saved import SavedExplainer
from whatyouread.support.cli import UserError, log
from whatyouread.support.text import counted

_USUAL = 512
"""Tokens of a window where neither the model nor its training says how long one may be."""
_OF_BASES = {"annotation": None, "strands": "merged", "offsets": 1, "gap": 10}
"""Options that are for DNA read base by base, with their defaults."""


class TokenReading(Reading):
    """Windows of as many tokens as the model reads at most."""

    def __init__(self, request: Request, saved: SavedExplainer):
        self.alphabet = saved.alphabet
        self.unit = ALPHABETS[saved.alphabet].unit
        for name, usual in _OF_BASES.items():
            if getattr(request, name) != usual:
                raise UserError(
                    f"--{name} is for DNA that is read base by base, and this model reads"
                    f" {WHAT.get(self.alphabet, 'DNA')} in tokens: leave it out"
                )
        super().__init__(request, saved)

    def _layout(self) -> Layout:
        tokenizer, adapter = self.saved.tokenizer, self.saved.explanandum.adapter
        frame = len(tokenizer.before) + len(tokenizer.after)
        usual = (adapter.trained_length or max(self.saved.tokens, _USUAL)) - frame
        window = usual if self.request.window is None else self.request.window
        most = None if adapter.longest is None else adapter.longest - frame
        if window < 1 or (most is not None and window > most):
            said = "1 or more" if most is None else f"1 to {most}, which is what the model reads"
            raise UserError(
                f"--window {window}: tokens of a window, without special ones: give {said}"
            )
        return Layout(window, self._step(window, 1), 1, strands="forward")

    def settings(self) -> dict:
        return {"alphabet": self.alphabet, "longer": self.request.longer}

    def records(self, folder: Path, regions: Mapping[str, np.ndarray] | None) -> TokenRecords:
        return TokenRecords(folder, self.alphabet, regions)

    def stream(self, meter: Meter) -> Iterator[TokenRecord]:
        limit = Limit(self.layout.window, self.request.longer == CUT)
        seen: dict[str, int] = {}
        read = 0
        for source in self.request.fasta:
            for record in read_token_records(
                source, self.alphabet, self.saved.tokenizer, meter, limit
            ):
                read += 1
                for kind, number in record.counts.items():
                    seen[kind] = seen.get(kind, 0) + number
                yield record
        self._warn(read, seen)

    def _warn(self, read: int, seen: Mapping[str, int]) -> None:
        if unread := sum(seen.get(quantity, 0) for quantity in EXCLUDED):
            log.warning(
                "%s of %s sequences hold nothing to read (%s): they have no prediction",
                f"{unread:,}",
                f"{read:,}",
                ", ".join(f"{seen[name]:,} {name}" for name in EXCLUDED if seen.get(name)),
            )
        if seen.get(LONG):
            log.warning(
                "%s of %s sequences have more than the %s tokens of a window and are %s (--longer: %s,"
                " %s)",
                f"{seen[LONG]:,}",
                f"{read:,}",
                f"{self.layout.window:,}",
                DONE[self.request.longer],
                WINDOW,
                CUT,
            )
        if seen.get(UNKNOWN):
            log.warning(
                "%s of %s tokens are unknown: they stand for text that has no token of its own",
                f"{seen[UNKNOWN]:,}",
                f"{seen[TOKENS]:,}",
            )

    def write(self, folder: Path, sample: Sample, annotation: Mapping) -> Written:
        token_tables.write_token_masks(folder / f"{sample.name}.masks.parquet", sample)
        return Written(token_tables.write_spans_and_scores(folder, sample, self.saved.tokenizer))

    def counted(self, sample: Sample, counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
        records = sample.records
        sums = {
            kind: sum(own.get(kind, 0) for own in records.counts)
            for kind in kinds_counted(records.counts)
        }
        unknown = sum(own.get(UNKNOWN, 0) > 0 for own in records.counts)
        found = {
            kind.removeprefix("sequences "): number
            for kind, number in sums.items()
            if kind not in (EMPTY, TOKENS, UNKNOWN, LONG)
        }
        return {
            "sequences": {
                **fates(sample),
                "empty": sums.get(EMPTY, 0),
                **found,
                DONE[self.request.longer]: sums.get(LONG, 0),
                f"with {UNKNOWN}": unknown,
            },
            self.unit: {
                "read": int(records.lengths.sum()),
                "with a score": counts["letters_with_a_score"],
                "in spans": counts["letters_in_spans"],
            },
            "tokens": {
                "read": int(records.starts[-1]),
                "unknown": sums.get(UNKNOWN, 0),
                "asked for": int(np.diff(records.shown).sum()),
                "with a score": counts["tokens_with_a_score"],
            },
        }

    def facts(self, summary: Mapping) -> dict[str, object]:
        layout, read, tokens = self.layout, summary["sequences"], summary["tokens"]
        done = DONE[self.request.longer]
        return {
            "tokens": f"{tokens['read']:,}, of them {tokens['unknown']:,} unknown",
            "windows": f"{summary['windows']:,} of up to {counted(layout.window, 'token')}, the next one"
            f" {layout.step:,} on",
            "longer sequences": f"{read[done]:,}, {done}",
        }
