from dataclasses import replace

import numpy as np
import pytest
from helpers_explain import Letters, complement, made_up, random_text

from whatyouread.data.six_mers import SIX_MERS
from whatyouread.explain import intake, stitching
from whatyouread.explain.intake import Records, blocks
from whatyouread.explain.spans import SpanFinder
from whatyouread.explain.stitching import stitch
from whatyouread.explain.windows import REVERSE, Layout, texts
from whatyouread.support.cli import UserError

LAYOUT = Layout(60, 30, 6)


def prepared(tmp_path, monkeypatch, records, layout=LAYOUT, block=3, regions=None, least=1):
    """The scored blocks of some records, and the records."""
    monkeypatch.setattr(intake, "BLOCK", block)
    monkeypatch.setattr(stitching, "_LEAST", least)
    kept = Records(tmp_path / f"bases{len(list(tmp_path.iterdir()))}", regions)
    windows = list(blocks(iter(records), layout, kept))
    line = np.frombuffer("".join(record.text for record in records).encode(), np.uint8)
    return [made_up(one, line) for one in windows], kept


def line_of(text):
    return np.frombuffer(text.encode(), np.uint8)


def whole(pieces):
    """Values (strands, bases) and segments (start, stop, probabilities) of all pieces."""
    pieces = list(pieces)
    assert [piece.start for piece in pieces[1:]] == [piece.stop for piece in pieces[:-1]]
    values = np.concatenate([piece.values for piece in pieces], axis=1)
    rows = [row for piece in pieces for row in zip(*piece.segments, strict=True)]
    return values, rows


def plain_values(made, line, strands):
    """Blended base by base, token by token."""
    sums, weights = np.zeros((2, 2, len(line)))
    for block in made:
        for i, (start, stop, strand, _) in enumerate(zip(*block.windows, strict=True)):
            place = 0
            for token in range(block.offsets[i], block.offsets[i + 1]):
                width = int(block.widths[token])
                weight = min(place + width / 2, stop - start - place - width / 2)
                for base in range(place, place + width):
                    where = stop - 1 - base if strand == REVERSE else start + base
                    sums[strand, where] += weight * float(block.masks[token])
                    weights[strand, where] += weight
                place += width
    with np.errstate(invalid="ignore"):
        values = sums / weights
    values[:, line == ord("N")] = np.nan
    return {"apart": values, "forward": values[:1], "merged": values.mean(0, keepdims=True)}[
        strands
    ]


TEXTS = [
    "ACGTN" * 3,
    "",
    "G",
    "A" * 70,
    "NNNNNNNNNNNN",
    "ACGTA",
    "N" * 30 + "ACGGTC" * 40 + "N" * 11 + "TTG",
]


@pytest.mark.parametrize("strands", ["merged", "apart", "forward"])
@pytest.mark.parametrize("block", [1, 3, 1000])
def test_masks_are_blended_as_a_plain_loop_does(tmp_path, monkeypatch, strands, block):
    rng = np.random.default_rng(block)
    texts = [*TEXTS, random_text(rng, 500, "ACGTACGTACGTN"), random_text(rng, 61)]
    records = [Letters(f"r{i}", text) for i, text in enumerate(texts)]
    layout = Layout(60, 30, 6, offsets=4, strands=strands)
    made, kept = prepared(tmp_path, monkeypatch, records, layout, block)
    values, _ = whole(stitch(made, kept, strands))
    line = np.frombuffer("".join(texts).encode(), np.uint8)
    expected = plain_values(made, line, strands)
    np.testing.assert_allclose(values, expected, atol=0.00051)
    assert np.isnan(values[:, line == ord("N")]).all()
    assert not np.isnan(values[:, line != ord("N")]).any()
    np.testing.assert_array_equal(values, np.round(values.astype(np.float64), 3).astype(np.float32))


@pytest.mark.parametrize("longest", [1, 50, 1 << 20])
def test_segments_hold_the_mean_over_their_windows(tmp_path, monkeypatch, longest):
    rng = np.random.default_rng(3)
    texts = [random_text(rng, 400), "N" * 20 + random_text(rng, 100), "NN", random_text(rng, 45)]
    records = [Letters(f"r{i}", text) for i, text in enumerate(texts)]
    made, kept = prepared(tmp_path, monkeypatch, records)
    monkeypatch.setattr(stitching, "_LONGEST", longest)
    values, rows = whole(stitch(made, kept, "merged"))
    covered = np.zeros(values.shape[1], int)
    for start, stop, said in rows:
        covered[start:stop] += 1
        for place in (start, stop - 1):
            own = [
                block.probabilities[i].astype(float)
                for block in made
                for i in range(len(block.windows))
                if block.windows.start[i] <= place < block.windows.stop[i]
            ]
            np.testing.assert_allclose(said, np.mean(own, 0), atol=1e-12)
    line = np.frombuffer("".join(texts).encode(), np.uint8)
    assert (covered[line != ord("N")] == 1).all()
    assert covered.max() == 1
    if longest > 50:
        edges = {edge for block in made for edge in (*block.windows.start, *block.windows.stop)}
        assert {edge for row in rows for edge in row[:2]} <= edges


def test_a_block_more_or_less_changes_nothing(tmp_path, monkeypatch):
    rng = np.random.default_rng(4)
    records = [Letters(f"r{i}", random_text(rng, n)) for i, n in enumerate([700, 3, 90])]
    found = [
        whole(stitch(*prepared(tmp_path, monkeypatch, records, block=block), "merged"))
        for block in (1, 2, 7, 100)
    ]
    for least in (100, 1 << 18):
        made = prepared(tmp_path, monkeypatch, records, block=2, least=least)
        found.append(whole(stitch(*made, "merged")))
    for values, rows in found[1:]:
        np.testing.assert_array_equal(values, found[0][0])
        for row, first in zip(rows, found[0][1], strict=True):
            assert row[:2] == first[:2]
            np.testing.assert_allclose(row[2], first[2], atol=1e-12)


@pytest.mark.parametrize("length", [1, 5, 6, 7, 60, 61, 400, 1003])
def test_the_other_strand_of_a_record_has_the_mirrored_values(tmp_path, monkeypatch, length):
    text = random_text(np.random.default_rng(length), length)
    layout = Layout(60, 30, 6, offsets=2)
    values, rows = whole(
        stitch(*prepared(tmp_path, monkeypatch, [Letters("r", text)], layout), "merged")
    )
    turned, others = whole(
        stitch(*prepared(tmp_path, monkeypatch, [Letters("r", complement(text))], layout), "merged")
    )
    np.testing.assert_allclose(values, turned[:, ::-1], atol=0.0011)
    assert [(length - b, length - a) for a, b, _ in rows] == [row[:2] for row in others[::-1]]


def test_what_is_not_asked_for_has_no_score_and_the_rest_the_same(tmp_path, monkeypatch):
    rng = np.random.default_rng(5)
    records = [Letters(name, random_text(rng, 500)) for name in "abc"]
    everything, _ = whole(stitch(*prepared(tmp_path, monkeypatch, records), "merged"))
    regions = {"a": np.array([[100, 130], [300, 301]]), "c": np.array([[0, 500]])}
    made, kept = prepared(tmp_path, monkeypatch, records, regions=regions)
    values, rows = whole(stitch(made, kept, "merged"))
    asked = np.zeros(1500, bool)
    for low, high in ((100, 130), (300, 301), (1000, 1500)):
        asked[low:high] = True
    np.testing.assert_array_equal(values[0, asked], everything[0, asked])
    assert np.isnan(values[0, ~asked]).all()
    for start, stop, _ in rows:
        assert asked[start:stop].all()
    assert sum(stop - start for start, stop, _ in rows) == asked.sum()
    assert sum(len(block.windows) for block in made) < 60


def test_regions_that_do_not_exist_are_refused(tmp_path, monkeypatch):
    records = [Letters("a", "ACGT")]
    with pytest.raises(UserError, match="--regions: no sequence called b; there are a"):
        prepared(tmp_path, monkeypatch, records, regions={"b": np.array([[0, 4]])})
    with pytest.raises(UserError, match="a ends at 4, and 2-9 is asked for"):
        prepared(tmp_path, monkeypatch, records, regions={"a": np.array([[1, 9]])})


def test_two_records_of_one_name_are_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="two sequences are called a"):
        prepared(tmp_path, monkeypatch, [Letters("a", "ACGT"), Letters("a", "ACG")])


@pytest.mark.parametrize("longest", [1, 7, 1 << 20])
def test_spans_are_the_runs_above_the_threshold(tmp_path, monkeypatch, longest):
    rng = np.random.default_rng(6)
    texts = [random_text(rng, n, "ACGTACGTACGTN") for n in (300, 1, 6, 100)]
    records = [Letters(f"r{i}", text) for i, text in enumerate(texts)]
    made, kept = prepared(tmp_path, monkeypatch, records)
    monkeypatch.setattr(stitching, "_LONGEST", longest)
    pieces = list(stitch(made, kept, "merged"))
    values, rows = whole(pieces)
    finder = SpanFinder(kept.starts)
    found = [finder.add(piece) for piece in pieces] + [finder.end()]
    spans = [
        (a, b, score)
        for one in found
        for a, b, score in zip(one.start, one.stop, one.score, strict=True)
    ]
    expected, start = [], None
    borders = set(kept.starts.tolist())
    for place in range(values.shape[1] + 1):
        above = place < values.shape[1] and values[0, place] > 0.5
        if start is not None and (not above or place in borders):
            expected.append((start, place, values[0, start:place].mean()))
            start = None
        if above and start is None:
            start = place
    assert [span[:2] for span in spans] == [span[:2] for span in expected]
    np.testing.assert_allclose([s[2] for s in spans], [s[2] for s in expected], atol=1e-6)
    said = [row for one in found for row in one.probabilities]
    for (a, b, _), own in zip(spans, said, strict=True):
        middle = (a + b - 1) // 2
        [segment] = [row for row in rows if row[0] <= middle < row[1]]
        np.testing.assert_allclose(own, segment[2])


def test_with_all_frames_it_does_not_matter_where_windows_fall(tmp_path, monkeypatch):
    """Of scores that only depend on the token: away from the ends, all phases give the same."""
    layout, text = Layout(60, 30, 6, offsets=6), random_text(np.random.default_rng(7), 700)

    def along(letters):
        made, kept = prepared(tmp_path, monkeypatch, [Letters("r", letters)], layout)
        alike = []
        for block in made:
            ids, _ = SIX_MERS.tokenize(*texts(line_of(letters), block.windows))
            ids = ids[~SIX_MERS.is_special[ids]].astype(np.int64)
            alike.append(replace(block, masks=(ids * 31 % 101 / 100).astype(np.float16)))
        return whole(stitch(alike, kept, "merged"))[0][0]

    values = along(text)
    for cut in (1, 4, 6, 17, 30, 100):
        moved = along(text[cut:])
        inner = slice(120, len(text) - cut - 120)
        np.testing.assert_allclose(moved[inner], values[cut:][inner], atol=0.0011)
    layout = Layout(60, 30, 6)
    one_frame = [along(text)[200:500], along(text[1:])[199:499]]
    assert np.abs(one_frame[0] - one_frame[1]).max() > 0.1
