"""Parts of the work: who does which rows, and what comes out when they are put together."""

import argparse

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whatyouread.support.cli import UserError
from whatyouread.support.parts import WHOLE, Part, gather_tables, part_argument


@pytest.mark.parametrize("total", [0, 1, 5, 1000])
@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_every_row_belongs_to_one_part(total, of):
    parts = [Part(number, of).rows(total) for number in range(1, of + 1)]
    assert np.concatenate(parts).tolist() == list(range(total))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_part_on_the_command_line():
    assert part_argument("2-of-4") == Part(2, 4)
    assert part_argument("1-of-1") == WHOLE
    for text in ("5-of-4", "0-of-4", "1-of-0", "2", "2-of-", "a-of-b", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="2-of-4"):
            part_argument(text)


def test_tables_put_together(tmp_path):
    whole = pa.table({"a": np.arange(10), "b": [[float(i)] * i for i in range(10)]})
    paths = []
    for number in (1, 2, 3):
        rows = Part(number, 3).rows(10)
        paths.append(tmp_path / f"{number}.parquet")
        pq.write_table(whole.take(rows), paths[-1], row_group_size=2)
    gather_tables(paths, tmp_path / "gathered.parquet")
    assert pq.read_table(tmp_path / "gathered.parquet").equals(whole)
    paths[1].write_bytes(paths[1].read_bytes()[:-8])
    with pytest.raises(UserError, match=r"2\.parquet is damaged"):
        gather_tables(paths, tmp_path / "other.parquet")
    pq.write_table(whole.select(["a"]), paths[1])
    with pytest.raises(UserError, match=r"2\.parquet is damaged"):
        gather_tables(paths, tmp_path / "other.parquet")
    assert not (tmp_path / "other.parquet").exists()
