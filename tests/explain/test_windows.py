import itertools
import re

import numpy as np
import pytest
from helpers_explain import complement, random_text

from whatyouread.explain.windows import FORWARD, REVERSE, Layout, Windows, lay_out, stretches, texts
from whatyouread.support.cli import UserError

SIX = Layout(60, 30, 6, offsets=6)


def plain(length: int, layout: Layout) -> set[tuple]:
    """All windows of one stretch, one by one."""
    found = set()
    for offset in range(layout.offsets):
        size, starts = length - offset, []
        if size > 0:
            starts.append(0)
        while starts and starts[-1] + layout.window < size:
            starts.append(starts[-1] + layout.step)
        if len(starts) > 1:
            # the last one comes back to end with the stretch, on the grid of the tokens
            last = size - layout.window
            starts[-1] = last + -last % layout.frame
        for start in starts:
            stop = min(start + layout.window, size)
            found.add((offset + start, offset + stop, FORWARD, offset))
            found.add((length - offset - stop, length - offset - start, REVERSE, offset))
    return found


@pytest.mark.parametrize("length", [*range(1, 70), 89, 90, 91, 96, 119, 120, 121, 300, 301, 1234])
def test_windows_are_where_a_plain_loop_puts_them(length):
    windows = lay_out(np.array([[17, 17 + length]]), SIX)
    shifted = set(
        zip(windows.start - 17, windows.stop - 17, windows.strand, windows.offset, strict=True)
    )
    assert shifted == plain(length, SIX)
    assert len(windows) == len(shifted)
    assert (np.diff(windows.start) >= 0).all()


@pytest.mark.parametrize("length", [1, 5, 6, 7, 60, 61, 200, 1001])
def test_windows_cover_every_base_and_the_other_strand_mirrors_them(length):
    windows = lay_out(np.array([[0, length]]), SIX)
    covered = np.zeros((2, length), int)
    for start, stop, strand, _ in zip(*windows, strict=True):
        assert 0 <= start < stop <= length
        assert stop - start <= 60
        covered[strand, start:stop] += 1
    assert covered.all()
    mirrored = zip(
        length - windows.stop,
        length - windows.start,
        1 - windows.strand,
        windows.offset,
        strict=True,
    )
    assert sorted(mirrored) == sorted(zip(*windows, strict=True))


def test_many_stretches_are_laid_out_like_one_after_the_other():
    pieces = np.array([[0, 100], [100, 101], [130, 400], [400, 460]])
    together = lay_out(pieces, SIX)
    alone = [lay_out(piece[None], SIX) for piece in pieces]
    for i, column in enumerate(together):
        assert np.array_equal(column, np.concatenate([list(windows)[i] for windows in alone]))


def test_one_strand_and_one_frame_by_choice():
    windows = lay_out(np.array([[0, 150]]), Layout(60, 30, 6, strands="forward"))
    assert list(zip(*windows, strict=True)) == [
        (0, 60, 0, 0),
        (30, 90, 0, 0),
        (60, 120, 0, 0),
        (90, 150, 0, 0),
    ]


@pytest.mark.parametrize("smallest", [1, 3, 10])
def test_stretches_lie_between_long_runs_of_n(smallest):
    rng = np.random.default_rng(smallest)
    for _ in range(200):
        text = random_text(rng, rng.integers(1, 60), "ACNNN")
        gaps = np.array([m.span() for m in re.finditer("N+", text)], np.int64).reshape(-1, 2)
        # runs at the ends go, whatever their length
        trimmed = text.strip("N")
        begin = text.index(trimmed) if trimmed else 0
        expected = [
            (begin + m.start(), begin + m.end())
            for m in re.finditer(f"[AC](?:(?!N{{{smallest}}}).)*", trimmed)
        ]
        found = stretches(7, 7 + len(text), gaps + 7, smallest)
        assert [tuple(row) for row in found - 7] == expected, text


def test_a_window_is_read_from_its_own_strand():
    text = "ACGTTNGCA"
    bases = np.frombuffer(text.encode(), np.uint8)
    windows = Windows(*np.array([[0, 4, FORWARD, 0], [2, 9, REVERSE, 0], [8, 9, REVERSE, 0]]).T)
    read, offsets = texts(bases, windows)
    words = [bytes(read[a:b]).decode() for a, b in itertools.pairwise(offsets)]
    assert words == [text[0:4], complement(text[2:9]), "T"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": 61}, {"window": 0}, {"step": 0}, {"step": 66}, {"step": 31},
        {"offsets": 0}, {"offsets": 7}, {"strands": "both"}, {"gap": 0},
    ],
)  # fmt: skip
def test_a_layout_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UserError):
        Layout(**{"window": 60, "step": 30, "frame": 6, **wrong})
