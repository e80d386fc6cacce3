"""Spans and scores of sequences in tokens: from tokens to the letters that they cover."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from whatyouread.data.intervals import ranges, runs
from whatyouread.explain.token_records import text_of
from whatyouread.masks.choices import THRESHOLD

if TYPE_CHECKING:  # they import torch
    from whatyouread.explain.outputs import Sample, Whole
    from whatyouread.explain.predictions import Predictions


class TokenSpans(NamedTuple):
    """n spans of one sequence, in order: start, end int64 (n,), in letters, 0-based and half-open.

    texts: n strings, what lies there. score: float64 (n,), the mean of the mask over the tokens. said:
    what the windows around the middle token predict.
    """

    start: np.ndarray
    end: np.ndarray
    texts: list[str]
    score: np.ndarray
    said: Predictions


class Scored(NamedTuple):
    """One sequence: its number, its text, its tokens (`TOKEN`), their mask float32 (m,), NaN for none."""

    record: int
    text: str
    tokens: np.ndarray
    mask: np.ndarray
    whole: Whole


def scored_sequences(sample: Sample, wanted: np.ndarray | None = None) -> Iterator[Scored]:
    """Some sequences, or all, in their order; wanted: bool (sequences,)."""
    wanted = np.ones(len(sample.records), bool) if wanted is None else wanted
    for whole in sample.wholes(wanted, lambda values: values):
        text = text_of(sample.records.letters(whole.record))
        yield Scored(whole.record, text, whole.bases, whole.values[0], whole)


def spans_of(sample: Sample, one: Scored) -> TokenSpans:
    """The maximal runs of tokens with a mask above the threshold.

    White space at both ends of a span is no part of it, unless there is nothing else: some tokens begin
    with the blank before a word. Spans with letters in common, such as those of two of the bytes of a
    character, are one.
    """
    low, high = runs(one.mask > THRESHOLD).T
    start, end = _letters(one.tokens, low, high)
    first, last, reach = _together(start, end)
    sums = np.append(0, np.cumsum(np.nan_to_num(one.mask.astype(np.float64))))
    score, number = sums[high] - sums[low], high - low
    if len(first):
        score, number = np.add.reduceat(score, first), np.add.reduceat(number, first)
    low, high, start, end = low[first], high[last], start[first], reach[last]
    texts = []
    for i in range(len(start)):
        text = one.text[start[i] : end[i]]
        if kept := text.strip():
            start[i] += len(text) - len(text.lstrip())
            end[i] = start[i] + len(kept)
        texts.append(kept or text)
    segments = one.whole.segments
    place = np.searchsorted(segments.start, (low + high - 1) // 2, side="right") - 1
    said = sample.decided(segments.probabilities[place]) if len(place) else None
    return TokenSpans(start, end, texts, score / number, said)


def _letters(tokens: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple:
    """The letters of runs of tokens: first and the one after the last, int64 like the runs."""
    if not len(low):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    edges = np.stack([low, high], axis=1).ravel()
    ends = np.maximum.reduceat(np.append(tokens["end"], 0), edges)[::2]
    starts = np.minimum.reduceat(np.append(tokens["start"], np.uint32(2**32 - 1)), edges)[::2]
    return starts.astype(np.int64), ends.astype(np.int64)


def _together(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First and last, int64 (k,), of those with a letter in common, and how far each and all before reach.

    start, end: int (n,), of stretches in their order: one that begins before an earlier one ends joins it.
    """
    reach = np.maximum.accumulate(end)
    first = np.flatnonzero(np.append(True, start[1:] >= reach[:-1])[: len(start)])
    return first, np.append(first[1:], len(start))[: len(first)] - 1, reach


def mask_of_letters(one: Scored) -> np.ndarray:
    """The mask of each letter, float32 (n,): the mean over the tokens that cover it; NaN without any."""
    scored = ~np.isnan(one.mask)
    start, end = (one.tokens[name][scored].astype(np.int64) for name in ("start", "end"))
    places, size = ranges(start, end), len(one.text)
    values = np.repeat(one.mask[scored].astype(np.float64), end - start)
    with np.errstate(invalid="ignore"):
        means = np.bincount(places, values, size) / np.bincount(places, minlength=size)
    return means.astype(np.float32)


def cells(one: Scored) -> Iterator[tuple[int, int, float]]:
    """(start, end, mask) of what can be drawn apart: tokens, those with a letter in common together.

    The mask is the mean over these tokens; NaN where one has none.
    """
    drawn = one.tokens["end"] > one.tokens["start"]
    tokens, mask = one.tokens[drawn], one.mask[drawn].astype(np.float64)
    if not len(tokens):
        return
    first, last, reach = _together(tokens["start"], tokens["end"])
    number = last - first + 1
    lows = np.minimum.reduceat(tokens["start"], first)
    means = np.add.reduceat(mask, first) / number
    yield from zip(lows.tolist(), reach[last].tolist(), means.tolist(), strict=True)
