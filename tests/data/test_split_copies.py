"""Near-copies and copies of the other strand that one split has of another."""

import numpy as np
import pytest
from helpers_splitting import data, divide, rng, table_of_copies

from whatyouread.data import splitting
from whatyouread.data.split_copies import copies_table, log_copies
from whatyouread.data.splitting import NONE, TEST, TRAIN, VALIDATION
from whatyouread.support.cli import UserError


def counted(made, division, copies):
    index, labelled = made
    splits = splitting.split_table(division, labelled)
    return copies_table(index, splits, copies, labelled.levels[0])


def test_copies_of_every_kind_are_counted(caplog):
    made = data(
        [11, 11, 21, 21, 21, 11, 21, 11],
        hashes=[1, 2, 3, 4, 5, 6, 7, 8],
        lengths=[9] * 7 + [0],
    )
    split = np.array([TRAIN, TRAIN, TEST, TEST, TEST, TEST, VALIDATION, NONE], np.int8)
    division = splitting.Division(split, np.full(8, NONE, np.int8))
    # 2 is the other strand of 0; 5 is near 1; 3 and 6 are near each other; 4 is near the unused one only
    near = table_of_copies([0, 1, 0, 2, 3, 1, 2, -1], reverse=[3, 20, 1, 40, 50, 60, 70, 80])
    table = counted(made, division, near)
    by_quantity = table.set_index("quantity")
    value = by_quantity["value"]
    assert [value[f"{name} sequences"] for name in ("train", "validation", "test")] == [2, 1, 4]
    assert value["test sequences with a reverse-complement copy in train"] == 1
    assert value["test sequences with a near-copy in train"] == 2
    assert value["test sequences with a near-copy in validation"] == 1
    assert value["test sequences with a reverse-complement copy in validation"] == 0
    assert value["validation sequences with a near-copy in train"] == 0
    classes = by_quantity[value.index.str.startswith("test sequences with a near-copy in train, ")]
    assert classes["value"].to_dict() == {
        "test sequences with a near-copy in train, phylum 001": 1,
        "test sequences with a near-copy in train, phylum 002": 1,
    }
    assert classes["detail"].tolist() == ["of 1, 100.0%", "of 3, 33.3%"]
    log_copies(table)
    warned = "".join(record.message for record in caplog.records if record.levelname == "WARNING")
    assert "2 of 4 test sequences (50 %) have a near-copy in the training split" in warned
    assert "split.group_by: cluster" in warned
    caplog.clear()
    log_copies(counted(made, division, table_of_copies(range(8))))
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("seed", range(3))
def test_clusters_leave_no_near_copy_across(seed):
    taxids = np.repeat([11, 12, 21, 22], 200)
    clusters = taxids * 100 + rng(seed).integers(0, 80, 800)
    made, near = data(taxids), table_of_copies(clusters)
    for by, free in (("none", False), (clusters, True)):
        table = counted(made, divide(*made, seed=seed, group_by=by), near)
        values = table.set_index("quantity")["value"]
        across = values[values.index.str.contains("near-copy")]
        assert (across == 0).all() == free


def test_tables_of_other_sequences_are_refused():
    made = data([11, 11, 21, 21] * 20)
    splits = splitting.split_table(divide(*made), made[1])
    with pytest.raises(UserError, match="80 sequences in the splits and 79 in the table of copies"):
        copies_table(made[0], splits, table_of_copies(range(79)), made[1].levels[0])
