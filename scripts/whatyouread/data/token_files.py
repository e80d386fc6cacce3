"""Tokenized sequences in Arrow files: streamed in, and read back by memory map in whole batches.

One row per sequence: `id` (source file and header), `key` (a 64-bit digest of the sequence, the
seed of everything drawn for it), `tokens` (a list of the tokenizer's integer type, of any length) and
the class of each rank, -1 where the label is missing. The files are plain Arrow IPC; any Arrow library
opens them.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from whatyouread.data.batch import Batch, padded
from whatyouread.data.tokenizer import Tokenizer
from whatyouread.data.tokenizers import find_tokenizer
from whatyouread.support.cli import UserError
from whatyouread.support.files import atomic, of_the_machine

MISSING = -1
"""The class of a sequence that has no label at a rank."""


def schema(ranks: list[str], tokenizer: Tokenizer) -> pa.Schema:
    """The columns of a token file; the rank columns hold class numbers, the metadata the tokenizer."""
    kind = pa.from_numpy_dtype(tokenizer.dtype)
    columns = [("id", pa.string()), ("key", pa.uint64()), ("tokens", pa.list_(kind))]
    metadata = {"tokenizer": tokenizer.name}
    return pa.schema([*columns, *((rank, pa.int32()) for rank in ranks)], metadata)


@contextmanager
def write_token_files(
    paths: list[Path], ranks: list[str], tokenizer: Tokenizer
) -> Iterator[list[pa.ipc.RecordBatchFileWriter]]:
    """Open Arrow writers for `paths`, which appear when the block succeeds; where it fails, none does."""
    if not paths:
        yield []
        return
    with (
        atomic(paths[0]) as temporary,
        pa.ipc.new_file(str(temporary), schema(ranks, tokenizer)) as writer,
        write_token_files(paths[1:], ranks, tokenizer) as others,
    ):
        yield [writer, *others]


def common_tokenizer(*files: "TokenFile") -> Tokenizer:
    """The tokenizer of all these files. Raises UserError where they have several."""
    names = {file.tokenizer.name: file.path for file in files}
    if len(names) > 1:
        found = " and ".join(f"{path} has {name}" for name, path in names.items())
        raise UserError(f"token files of one model need one tokenizer: {found}")
    return files[0].tokenizer


class TokenFile:
    """A token file by memory map.

    `lengths` int64 (n,), `keys` uint64 (n,), `labels` int64 (n, ranks), -1 where one is missing, and
    `ids` (n strings, an Arrow array) lie in memory; the tokens stay on disk until a batch is taken.
    """

    def __init__(self, path: str | Path, ranks: list[str]):
        self.path, self.ranks = Path(path), list(ranks)
        try:
            self._map = pa.memory_map(str(path))
            reader = pa.ipc.open_file(self._map)
            name = (reader.schema.metadata or {}).get(b"tokenizer", b"").decode()
            if not name:
                raise UserError(f"{path} does not name its tokenizer: delete it and run again")
            self.tokenizer = find_tokenizer(name)
            expected = schema(self.ranks, self.tokenizer)
            if reader.schema.names == expected.names and reader.schema != expected:
                raise self._damage("a column is of another type")
            if reader.schema != expected:
                raise UserError(
                    f"{path} has the columns {reader.schema.names}, not {expected.names}"
                )
            batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
            for batch in batches:  # the places where rows start; tokens are not read for that
                batch.validate(full=True)
        except FileNotFoundError:
            raise UserError(f"{path} is not there") from None
        except (pa.ArrowException, OSError, ValueError) as error:
            if of_the_machine(error):
                raise
            raise self._damage(error) from None
        # The whole map as one array of ids, and where in it each row starts: Arrow aligns its
        # buffers, so a batch of any rows is one gather, without a Python object per row.
        self._map.seek(0)
        whole = self._map.read_buffer(self._map.size())
        size = self.tokenizer.dtype.itemsize
        self._flat = np.frombuffer(whole, self.tokenizer.dtype, count=whole.size // size)
        starts, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for batch in batches:
            lists = batch.column("tokens")
            offsets = lists.offsets.to_numpy().astype(np.int64)
            values = lists.values.buffers()[1]
            first = (values.address - whole.address) // size if len(lists.values) else 0
            starts.append(offsets[:-1] + first + lists.values.offset)
            lengths.append(np.diff(offsets))
        self._starts, self.lengths = np.concatenate(starts), np.concatenate(lengths)
        table = pa.Table.from_batches(batches, schema=expected)
        if any(column.null_count for column in table.columns):
            raise self._damage("a value is missing")
        self.keys = table["key"].to_numpy()
        self.ids = table["id"]
        columns = [table[rank].to_numpy().astype(np.int64) for rank in self.ranks]
        self.labels = np.stack(columns, axis=1) if columns else np.zeros((len(self), 0), np.int64)
        if self.labels.min(initial=0) < MISSING:
            raise self._damage("a class below -1")

    def check_classes(self, counts: Iterable[int]) -> None:
        """Raise UserError where a rank has a class that a model with so many classes does not know."""
        for rank, count, highest in zip(
            self.ranks, counts, self.labels.max(axis=0, initial=MISSING).tolist(), strict=True
        ):
            if highest >= count:
                raise UserError(
                    f"{self.path} has the class {highest} of {rank}, and the classes are 0 to {count - 1}:"
                    " it is damaged or of other data; delete it and run again"
                )

    def __reduce__(self):
        # a process that gets this file opens it again: maps cannot be sent, and tokens should not be
        return TokenFile, (self.path.absolute(), self.ranks)

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: np.ndarray) -> Batch:
        """Some rows, in numpy arrays; as long as the longest of them."""
        lengths = self.lengths[rows]
        ids = padded(self._flat, self._starts[rows], lengths, self.tokenizer.pad)
        return Batch.of(self._checked(ids), lengths, self.tokenizer, self.keys[rows])

    def flat_tokens(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The tokens of some rows back to back, and their offsets, int64 (n + 1,)."""
        lengths = self.lengths[rows]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        where = np.arange(offsets[-1]) + np.repeat(self._starts[rows] - offsets[:-1], lengths)
        return self._checked(self._flat[where]), offsets

    def _checked(self, tokens: np.ndarray) -> np.ndarray:
        if tokens.max(initial=0) >= len(self.tokenizer):  # on a GPU it would end in an assertion
            raise self._damage(f"there is no token {tokens.max()}")
        return tokens

    def _damage(self, reason: object) -> UserError:
        return UserError(f"{self.path} is damaged ({reason}): delete it and run again")

    def record_batch(
        self, rows: np.ndarray, tokens: tuple[np.ndarray, np.ndarray] | None = None
    ) -> pa.RecordBatch:
        """Some rows as they are written to a token file, with their own `flat_tokens` or others."""
        flat, offsets = self.flat_tokens(rows) if tokens is None else tokens
        kind = pa.from_numpy_dtype(self.tokenizer.dtype)
        columns = [
            self.ids.take(pa.array(rows)).combine_chunks(),
            pa.array(self.keys[rows]),
            pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat, kind)),
            *(pa.array(column, pa.int32()) for column in self.labels[rows].T),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=schema(self.ranks, self.tokenizer))
