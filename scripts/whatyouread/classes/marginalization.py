"""Does a motif by itself move the classifier? Motifs put into random sequences.

A motif can mark a class because the classifier reads it, or because it stands beside what the classifier
reads. So each motif is put into sequences that mean nothing, and the change of the class's log-probability is
averaged over them (global importance analysis, Koo et al. 2021; "marginalization" in tangermeme). The same
letters in random order, at the same places, are the control: what they do is a matter of composition.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from whatyouread.classes.motifs import longest, named_motifs, spelled, turned
from whatyouread.data.batch import Batch, at_once, on_device, padded
from whatyouread.data.sampling import random_sample
from whatyouread.data.six_mers import LETTERS
from whatyouread.data.token_files import TokenFile
from whatyouread.data.tokenizer import Tokenizer
from whatyouread.models.inference import Passes
from whatyouread.models.levels import class_log_probabilities, decisions
from whatyouread.support.cli import log
from whatyouread.support.keyed_random import draw
from whatyouread.support.progress import progress
from whatyouread.support.statistics import intervals
from whatyouread.support.text import counted, named

STRANDS = ("+", "-")
BLOCK = 1 << 12
"""Sequences whose letters are counted at a time."""


class Backgrounds(NamedTuple):
    """Sequences that mean nothing.

    bases: uint8 (n, longest), characters, 0 after the end; lengths: int64 (n,); keys: uint64 (n,), of the
    sequences whose letters they have.
    """

    bases: np.ndarray
    lengths: np.ndarray
    keys: np.ndarray


class Answers(NamedTuple):
    """What the classifier says of the class of each motif in each background.

    log_probabilities: float64 (motifs, n); says: bool (motifs, n), whether the class is (in) its answer.
    """

    log_probabilities: np.ndarray
    says: np.ndarray


def known_bases(file: TokenFile, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The A, C, G and T of some sequences, uint8, side by side, and how many each has, int64 (rows,)."""
    bases, ends = file.tokenizer.decode(*file.flat_tokens(rows))
    known = np.isin(bases, np.frombuffer(LETTERS.encode(), np.uint8))
    return bases[known], np.diff(np.append(0, np.cumsum(known))[ends])


def known_lengths(file: TokenFile) -> np.ndarray:
    """How many A, C, G and T each sequence has, int64 (n,)."""
    rows = np.arange(len(file))
    parts = [known_bases(file, rows[i : i + BLOCK])[1] for i in range(0, len(rows), BLOCK)]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def fitting(motifs: pd.DataFrame, lengths: np.ndarray) -> pd.DataFrame:
    """The motifs of `chosen_motifs` that half of the sequences have room for; the others are told.

    lengths: int64 (n,), of `known_lengths`.
    """
    room = int(np.median(lengths)) if len(lengths) else 0
    fits = motifs["letters"].str.len() <= room
    if not fits.all():
        names = motifs.loc[~fits, "motif"].unique()
        log.warning(
            "%s left out, longer than half of the test sequences (%d bases): %s",
            counted(len(names), "motif"), room, named(names),
        )  # fmt: skip
    return motifs[fits]


def backgrounds(
    file: TokenFile, lengths: np.ndarray, number: int, shortest: int, seed: int
) -> Backgrounds:
    """The letters of `number` sequences of the file, in random order; a warning tells where there are fewer.

    A, C, G and T alone are taken. lengths: of `known_lengths`; shortest: sequences with fewer are not drawn.
    """
    rows = np.flatnonzero(lengths >= shortest)
    if len(rows) < number:
        log.warning(
            "there are %d random sequences, not %d: so many test sequences have the %d bases of the longest"
            " motif", len(rows), number, shortest,
        )  # fmt: skip
    rows = rows[random_sample(file.keys[rows], number, seed)]
    (bases, lengths), keys = known_bases(file, rows), file.keys[rows]
    letters = padded(bases, np.cumsum(lengths) - lengths, lengths, 0).astype(np.uint8)
    return Backgrounds(reordered(letters, lengths, keys, seed, "background"), lengths, keys)


def reordered(
    letters: np.ndarray, lengths: np.ndarray, keys: np.ndarray, seed: int, purpose: str
) -> np.ndarray:
    """The letters of each row in random order, keyed by the row; what is after its end stays there.

    letters: uint8 (n, longest); lengths: int64 (n,); keys: uint64 (n,); purpose: as for `draw`.
    """
    place = np.arange(letters.shape[1])
    drawn = np.where(
        place < lengths[:, None], draw(seed, purpose, keys[:, None], place), 1.0 + place
    )
    return np.take_along_axis(letters, np.argsort(drawn, axis=1), axis=1)


class Marginalization:
    """Some motifs in some backgrounds, as the classifier reads them."""

    def __init__(
        self, passes: Passes, tokenizer: Tokenizer, random: Backgrounds, motifs: Sequence[str],
        levels: np.ndarray, classes: np.ndarray, seed: int,
    ):  # fmt: skip
        """levels, classes: int64 (m,), the class of each motif and the place of its level."""
        self.passes, self.tokenizer, self.random, self.seed = passes, tokenizer, random, seed
        self.lengths = np.array([len(motif) for motif in motifs], np.int64)
        flat = np.frombuffer("".join(motifs).encode(), np.uint8)
        starts = np.cumsum(self.lengths) - self.lengths
        self.motifs = padded(flat, starts, self.lengths, 0).astype(np.uint8)
        self.levels, self.classes = levels, classes
        # the answer at each level that is asked about; at all levels but one it is not looked at
        self.asked = np.zeros((len(motifs), len(passes.explanandum.levels)), np.int64)
        for i, head in enumerate(passes.explanandum.levels):
            own = levels == i
            self.asked[own, i] = head.alone(torch.from_numpy(classes[own])).numpy()
        tokens = self._batch(random.bases, random.lengths).ids.shape[1]
        self.size = at_once(passes.batch_size, tokens)

    def before(self) -> Answers:
        """What the classifier says of the backgrounds as they are."""
        # motifs of one class ask the same
        about = np.stack([self.levels, self.classes], 1)
        _, first, own = np.unique(about, axis=0, return_index=True, return_inverse=True)
        parts = [
            self._answers(
                self._batch(self.random.bases[rows], self.random.lengths[rows]),
                np.tile(first, (len(rows), 1)),
            )
            for rows in self._batches(len(self.random.keys))
        ]
        logs, says = np.concatenate(parts)[:, own.ravel()].T
        return Answers(logs, says > 0)

    def after(self, shuffled: bool = False) -> Answers:
        """What it says where each motif, or its letters in random order, stands in each background."""
        shape = (len(self.motifs), len(self.random.keys))
        motif, row = (place.ravel() for place in np.indices(shape))
        parts = [np.zeros((0, 1, 2))]
        name = f"{'shuffled ' if shuffled else ''}motifs in random sequences"
        with progress(name, len(motif), "sequences") as bar:
            for jobs in self._batches(len(motif)):
                bases = self.planted(motif[jobs], row[jobs], shuffled)
                batch = self._batch(bases, self.random.lengths[row[jobs]])
                parts.append(self._answers(batch, motif[jobs, None]))
                bar.update(len(jobs))
        logs, says = np.concatenate(parts).reshape(*shape, 2).transpose(2, 0, 1)
        return Answers(logs, says > 0)

    def planted(self, motif: np.ndarray, row: np.ndarray, shuffled: bool) -> np.ndarray:
        """Backgrounds with a motif in each, uint8 (jobs, longest); motif, row: int64 (jobs,).

        The place follows from the seed and the background, so that motifs of one length, and what is
        shuffled, stand at the same one.
        """
        letters, lengths, keys = self.motifs[motif], self.lengths[motif], self.random.keys[row]
        if shuffled:
            letters = reordered(letters, lengths, keys, self.seed, "shuffled motif")
        room = self.random.lengths[row] - lengths + 1
        start = (draw(self.seed, "place of a motif", keys) * room).astype(np.int64)
        job, column = np.nonzero(np.arange(letters.shape[1]) < lengths[:, None])
        made = self.random.bases[row]
        made[job, start[job] + column] = letters[job, column]
        return made

    def _batches(self, jobs: int) -> list[np.ndarray]:
        return [np.arange(jobs)[i : i + self.size] for i in range(0, jobs, self.size)]

    def _batch(self, bases: np.ndarray, lengths: np.ndarray) -> Batch:
        text = bases[np.arange(bases.shape[1]) < lengths[:, None]]
        ids, ends = self.tokenizer.tokenize(text, np.append(0, np.cumsum(lengths)))
        tokens = np.diff(ends)
        made = padded(ids, ends[:-1], tokens, self.tokenizer.pad)
        return Batch.of(made, tokens, self.tokenizer)

    @torch.inference_mode()
    def _answers(self, batch: Batch, motifs: np.ndarray) -> np.ndarray:
        """Of the classes of some motifs the log-probability, and whether it is said: float64 (batch, k, 2).

        motifs: int64 (batch, k).
        """
        device, heads = self.passes.device, self.passes.explanandum.levels
        logits = tuple(part.double() for part in self.passes.logits(batch))
        asked, number, level = (
            on_device(own[motifs], device) for own in (self.asked, self.classes, self.levels)
        )
        logs, said = class_log_probabilities(heads, logits, asked), decisions(heads, logits)
        holds = torch.stack(
            [
                head.held(said[:, i]).gather(1, number.clamp(max=head.classes - 1))
                for i, head in enumerate(heads)
            ],
            -1,
        )
        made = torch.stack([logs, holds.to(logs.dtype)], -1)
        own = level[:, :, None, None].expand(-1, -1, 1, 2)
        return made.gather(2, own)[:, :, 0].cpu().numpy()


def chosen_motifs(items: pd.DataFrame, classes: pd.DataFrame, number: int) -> pd.DataFrame:
    """The `number` longest motifs of each class and source, on both strands.

    Columns: motif (its name in the MEME file), source, rank, class, strand, letters (the most frequent ones).
    """
    found = defaultdict(list)
    for motif in named_motifs(items, classes):
        found[motif.source, motif.rank, motif.number].append(motif)
    rows = []
    for (source, rank, own), motifs in found.items():
        for i in longest([motif.counts for motif in motifs])[:number]:
            letters = spelled(motifs[i].counts)
            for strand, text in zip(STRANDS, (letters, turned(letters)), strict=True):
                rows.append([source, rank, own, motifs[i].name, strand, text])
    columns = ["source", "rank", "class", "motif", "strand", "letters"]
    return pd.DataFrame(rows, columns=columns)


def effects(marginal: Marginalization, resamples: int) -> dict[str, np.ndarray]:
    """Columns for each motif: by how much it moves the log-probability of its class (nats), float64 (m,).

    `effect` of the motif, `shuffled` of its letters in random order, `difference` of both, with 95 %
    bootstrap intervals over the backgrounds (`_low`, `_high`); `says_before`, `says` and `says_shuffled`:
    in how many per cent of the backgrounds the classifier says the class.
    """
    before, whole, shuffled = marginal.before(), marginal.after(), marginal.after(shuffled=True)
    change = {
        "effect": whole.log_probabilities - before.log_probabilities,
        "shuffled": shuffled.log_probabilities - before.log_probabilities,
        "difference": whole.log_probabilities - shuffled.log_probabilities,
    }
    made = {}
    for name, values in change.items():
        low, high = intervals(values.T, resamples, marginal.seed)
        made |= {name: values.mean(1), f"{name}_low": low, f"{name}_high": high}
    said = {"says_before": before, "says": whole, "says_shuffled": shuffled}
    return made | {name: 100 * own.says.mean(1) for name, own in said.items()}
