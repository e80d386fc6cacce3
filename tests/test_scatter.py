"""Parts of the work: who does which rows, and what comes out when they are put together."""

import argparse

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_evaluation import RANKS, random_sequences, write_tokens

from whatyouread.cli import UserError
from whatyouread.gathering import gather_tables, gather_tokens
from whatyouread.scatter import WHOLE, Part, part_argument
from whatyouread.token_files import TokenFile


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


def test_token_files_put_together(tmp_path):
    sequences, labels, keys = random_sequences(11, seed=1)
    whole = write_tokens(tmp_path / "whole.arrow", sequences, labels, keys)
    parts = []
    for number in (1, 2, 3):
        rows = Part(number, 3).rows(11)
        path = tmp_path / f"{number}.arrow"
        with pa.ipc.new_file(str(path), pa.ipc.open_file(str(whole.path)).schema) as writer:
            writer.write_batch(whole.record_batch(rows))
        parts.append([path])
    gather_tokens(parts, [tmp_path / "gathered.arrow"], RANKS)
    gathered = TokenFile(tmp_path / "gathered.arrow", RANKS)
    rows = np.arange(11)
    assert gathered.ids.to_pylist() == whole.ids.to_pylist()
    assert gathered.keys.tolist() == whole.keys.tolist()
    assert gathered.labels.tolist() == whole.labels.tolist()
    assert gathered.tokens(rows).tolist() == whole.tokens(rows).tolist()
    with pytest.raises(UserError, match=r"1\.arrow has the columns"):
        gather_tokens(parts, [tmp_path / "other.arrow"], ["another"])
    assert not (tmp_path / "other.arrow").exists()


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
