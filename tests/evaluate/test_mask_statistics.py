"""The numbers behind Figures 6 and 7, by hand."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whatyouread.evaluate.mask_statistics import BINS, MaskStatistics, beside_paper, read_statistics
from whatyouread.masks.mask_files import mask_blocks
from whatyouread.support.cli import UserError

# `<cls>` first; what lies beyond the length is padding and must not count
MASKS = np.array(
    [
        [0.9, 0.25, 0.75, 1.0, 0.5],  # four tokens: off, on, on, off
        [0.9, 1.0, 0.0, 0.75, 0.99],  # three tokens: on, off, on
        [0.9, 0.25, 0.5, 0.99, 0.99],  # two tokens: off, off
    ],
    np.float32,
)
LENGTHS = np.array([5, 4, 3])


def content_of(masks, lengths):
    """All tokens but `<cls>`."""
    place = np.arange(masks.shape[1])
    return (place > 0) & (place < lengths[:, None])


def statistics(*blocks) -> MaskStatistics:
    made = MaskStatistics()
    for masks, lengths in blocks or [(MASKS, LENGTHS)]:
        made.add(masks, content_of(masks, lengths))
    return made


def write_masks(path, rows):
    content = [[place > 0 for place in range(len(row))] for row in rows]
    columns = {
        "mask_labels": pa.array(rows, pa.list_(pa.float16())),
        "content": pa.array(content, pa.list_(pa.bool_())),
    }
    pq.write_table(pa.table(columns), path)
    return path


def test_summary_by_hand():
    summary = statistics().summary().set_index("quantity")
    # values: .25 .75 1 .5 | 1 0 .75 | .25 .5
    assert summary["value"].to_dict() == pytest.approx(
        {
            "mean_mask": 5 / 9,
            "tokens_above_threshold": 100 * 4 / 9,
            "chunks_per_sequence": 3 / 3,
            "sequences_with_at_most_4_chunks": 100,
            "chunk_length": (2 + 1 + 1) / 3,
        }
    )
    assert summary["n"].tolist() == [9, 9, 3, 3, 3]


def test_counts_of_chunks():
    made = statistics()
    assert made.chunk_counts.tolist() == [1, 1, 1]  # one sequence each with 0, 1 and 2 chunks
    assert made.chunk_lengths.tolist() == [0, 2, 1]


def test_many_chunks_are_told_from_few():
    mask = np.array([[0, 1, 0, 1, 0, 1, 0, 1, 0, 1]] * 2, np.float32)
    made = statistics((mask, np.array([10, 9])), (MASKS, LENGTHS))
    assert made.chunk_counts.tolist() == [1, 1, 1, 0, 1, 1]
    summary = made.summary().set_index("quantity")["value"]
    assert summary["sequences_with_at_most_4_chunks"] == 80


def test_by_position_by_hand():
    table = statistics().by_position()
    assert table["position"].tolist() == [1, 2, 3, 4]
    assert table["tokens"].tolist() == [3, 3, 2, 1]
    np.testing.assert_allclose(table["mean"], [0.5, 1.25 / 3, 0.875, 0.5])
    first, second = np.array([0.25, 1, 0.25]), np.array([0.75, 0, 0.5])
    np.testing.assert_allclose(table["sd"], [first.std(), second.std(), 0.125, 0])
    assert table["minimum"].tolist() == [0.25, 0, 0.75, 0.5]
    assert table["maximum"].tolist() == [1, 0.75, 1, 0.5]


def test_histogram_has_every_token_once_and_an_edge_at_the_threshold():
    histogram = statistics().histogram
    assert len(histogram) == BINS
    assert histogram.sum() == 9
    assert histogram[0] == 1
    assert histogram[-1] == 2  # both ones
    assert histogram[: BINS // 2].sum() == 3  # 0 and the two .25; .5 belongs to the bin above
    assert histogram[BINS // 2] == 2


def test_blocks_and_order_do_not_matter():
    one = statistics()
    parts = statistics(
        (MASKS[2:, :3], LENGTHS[2:]), (MASKS[:1], LENGTHS[:1]), (MASKS[1:2, :4], np.array([4]))
    )
    pd.testing.assert_frame_equal(one.summary(), parts.summary())
    pd.testing.assert_frame_equal(one.by_position(), parts.by_position())
    assert one.histogram.tolist() == parts.histogram.tolist()
    assert one.chunk_counts.tolist() == parts.chunk_counts.tolist()
    assert one.chunk_lengths.tolist() == parts.chunk_lengths.tolist()


def test_sequence_of_nothing_but_cls():
    made = statistics((np.array([[0.9, 0.9]], np.float32), np.array([1])))
    assert len(made.by_position()) == 0
    assert made.chunk_counts.tolist() == [1]
    assert np.isnan(made.summary().set_index("quantity").loc["mean_mask", "value"])


def test_sd_of_equal_values_is_no_small_negative_root():
    mask = np.full((1000, 3), 0.7001, np.float16).astype(np.float32)
    sd = statistics((mask, np.full(1000, 3))).by_position()["sd"]
    np.testing.assert_allclose(sd, 0, atol=1e-7)


def test_file_is_read_in_blocks_of_its_choice(tmp_path, monkeypatch):
    monkeypatch.setattr("whatyouread.masks.mask_files._BLOCK", 2)
    rows = [row[:n].tolist() for row, n in zip(MASKS, LENGTHS, strict=True)]
    path = write_masks(tmp_path / "masks.parquet", rows)
    blocks = list(mask_blocks(path, "labels"))
    assert [len(masks) for masks, _ in blocks] == [2, 1]
    assert [content.sum(1).tolist() for _, content in blocks] == [[4, 3], [2]]
    for (_, content), lengths in zip(blocks, ([5, 4], [3]), strict=True):
        np.testing.assert_array_equal(content, content_of(content, np.array(lengths)))
    np.testing.assert_allclose(blocks[0][0][1], [*MASKS[1, :4], 0], atol=1e-3)
    assert read_statistics(path, "labels").chunk_counts.tolist() == [1, 1, 1]


def test_user_errors(tmp_path):
    with pytest.raises(UserError, match="not there"):
        read_statistics(tmp_path / "none.parquet", "labels")
    path = write_masks(tmp_path / "masks.parquet", [[0.9, 0.5]])
    with pytest.raises(UserError, match="mask_wrong"):
        read_statistics(path, "wrong")
    with pytest.raises(UserError, match="nothing to draw"):
        read_statistics(write_masks(tmp_path / "empty.parquet", []), "labels")
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(UserError, match="damaged"):
        read_statistics(tmp_path / "text.parquet", "labels")


def test_beside_paper(tmp_path):
    paper = tmp_path / "paper.tsv"
    paper.write_text("quantity\tvalue\nmean_mask\t0.73\n")
    table = beside_paper(statistics().summary(), paper)
    assert table.columns.tolist() == ["quantity", "unit", "ours", "paper", "n", "n_of"]
    assert table["paper"].tolist()[0] == 0.73
    assert table["paper"].isna().tolist() == [False, True, True, True, True]
    alone = beside_paper(statistics().summary(), None)
    assert alone["paper"].isna().all()
    pd.testing.assert_frame_equal(alone.drop(columns="paper"), table.drop(columns="paper"))


def test_papers_numbers_are_all_found():
    from pathlib import Path

    paper = Path(__file__).parents[2] / "resources" / "paper" / "mask_statistics.tsv"
    table = beside_paper(statistics().summary(), paper)
    assert table["paper"].tolist() == [0.73, 67.28, 3.35, 90, 51.39]
