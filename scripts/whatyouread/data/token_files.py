"""Tokenized sequences in Arrow files: streamed in, and read back by memory map in whole batches.

One row per sequence: `id` (source file and header), `key` (a 64-bit digest of the sequence, the
seed of everything drawn for it), `tokens` (a list of the tokenizer's integer type, of any length) and
the class of each rank, -1 where the label is missing. Where ids do not tell which characters a token
covers (`stores_spans`), `starts` and `ends` of each token in its text. The metadata name the tokenizer,
and define it where it is not one of `TOKENIZERS`: a file stands by itself. The files are plain Arrow IPC;
any Arrow library opens them.
"""

import base64
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from whatyouread.data.batch import Batch, padded
from whatyouread.data.intervals import ranges
from whatyouread.data.kinds import Single, all_single, kinds_of
from whatyouread.data.tokenizer import Tokenizer, spans
from whatyouread.data.tokenizers import TOKENIZERS, defined, find_tokenizer
from whatyouread.support.cli import UserError
from whatyouread.support.files import atomic, of_the_machine

MISSING = -1
"""The class of a sequence that has no label at a rank."""
PLACES = ("starts", "ends")
"""The columns of spans."""


def schema(
    ranks: list[str], tokenizer: Tokenizer, kinds: Sequence[Single] | None = None
) -> pa.Schema:
    """The columns of a token file; the rank columns hold class numbers, the metadata the tokenizer.

    kinds: of the ranks (`data.kinds`), all `single` by default.
    """
    kind = pa.from_numpy_dtype(tokenizer.dtype)
    columns = [("id", pa.string()), ("key", pa.uint64()), ("tokens", pa.list_(kind))]
    metadata = {"tokenizer": tokenizer.name}
    if tokenizer.stores_spans:
        columns += [(name, pa.list_(pa.int32())) for name in PLACES]
    if tokenizer.definition:
        metadata["definition"] = _packed(tokenizer.definition)
    return pa.schema([*columns, *label_fields(ranks, kinds)], metadata)


def label_fields(ranks: Sequence[str], kinds: Sequence[Single] | None = None) -> list[pa.Field]:
    """The columns of files that hold numbers of labels or answers; kinds: as for `schema`."""
    kinds = all_single(ranks) if kinds is None else kinds
    return [
        pa.field(rank, pa.type_for_alias(kind.column))
        for rank, kind in zip(ranks, kinds, strict=True)
    ]


@lru_cache(maxsize=2)
def _packed(definition: str) -> bytes:
    # metadata of Arrow are text
    return base64.b64encode(zlib.compress(definition.encode()))


def _tokenizer(metadata: dict[bytes, bytes]) -> Tokenizer | None:
    """The tokenizer of a file by its metadata; None where they name none."""
    name = metadata.get(b"tokenizer", b"").decode()
    if not name:
        return None
    if b"definition" in metadata and name not in TOKENIZERS:
        defined(zlib.decompress(base64.b64decode(metadata[b"definition"])).decode())
    return find_tokenizer(name)


@contextmanager
def write_token_files(
    paths: list[Path],
    ranks: list[str],
    tokenizer: Tokenizer,
    kinds: Sequence[Single] | None = None,
) -> Iterator[list[pa.ipc.RecordBatchFileWriter]]:
    """Open Arrow writers for `paths`, which appear when the block succeeds; where it fails, none does.

    kinds: as for `schema`.
    """
    if not paths:
        yield []
        return
    with (
        atomic(paths[0]) as temporary,
        pa.ipc.new_file(str(temporary), schema(ranks, tokenizer, kinds)) as writer,
        write_token_files(paths[1:], ranks, tokenizer, kinds) as others,
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
    `ids` (n strings, an Arrow array) lie in memory; the tokens stay on disk until a batch is taken. `kinds`
    says what the labels of each rank mean (`data.kinds`).
    """

    def __init__(self, path: str | Path, ranks: list[str]):
        self.path, self.ranks = Path(path), list(ranks)
        try:
            self._map = pa.memory_map(str(path))
            reader = pa.ipc.open_file(self._map)
            tokenizer = _tokenizer(reader.schema.metadata or {})
            if tokenizer is None:
                raise UserError(f"{path} does not name its tokenizer: delete it and run again")
            self.tokenizer = tokenizer
            there = [rank for rank in self.ranks if rank in reader.schema.names]
            kinds = kinds_of(reader.schema.field(rank).type for rank in there)
            self.kinds = kinds if len(there) == len(self.ranks) else all_single(self.ranks)
            expected = self.schema
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
        except (pa.ArrowException, OSError, ValueError, zlib.error) as error:
            if of_the_machine(error):
                raise
            raise self._damage(error) from None
        # The whole map as one array of ids, and where in it each row starts: Arrow aligns its
        # buffers, so a batch of any rows is one gather, without a Python object per row.
        self._map.seek(0)
        whole = self._map.read_buffer(self._map.size())
        self._flat, self._starts, self.lengths = _mapped(
            whole, batches, "tokens", self.tokenizer.dtype
        )
        self._places = []
        for name in PLACES if self.tokenizer.stores_spans else ():
            *place, lengths = _mapped(whole, batches, name, np.dtype(np.int32))
            if not np.array_equal(lengths, self.lengths):
                raise self._damage(f"there are more or fewer {name} than tokens")
            self._places.append(place)
        table = pa.Table.from_batches(batches, schema=expected)
        if any(column.null_count for column in table.columns):
            raise self._damage("a value is missing")
        self.keys = table["key"].to_numpy()
        self.ids = table["id"]
        columns = [table[rank].to_numpy().astype(np.int64) for rank in self.ranks]
        self.labels = np.stack(columns, axis=1) if columns else np.zeros((len(self), 0), np.int64)
        if self.labels.min(initial=0) < MISSING:
            raise self._damage("a class below -1")

    @property
    def schema(self) -> pa.Schema:
        """The columns of this file."""
        return schema(self.ranks, self.tokenizer, self.kinds)

    def check_classes(self, counts: Iterable[int], kinds: Iterable[str] | None = None) -> None:
        """Raise UserError where a rank has a class that a model with so many classes does not know.

        kinds: the names of those of the model's levels; a file of others is of other labels.
        """
        own_kinds = [own.name for own in self.kinds]
        for rank, own, wanted in zip(self.ranks, own_kinds, kinds or own_kinds, strict=True):
            if own != wanted:
                raise UserError(
                    f"{self.path}: labels of {rank} are of the kind {own}, and those of the model of"
                    f" the kind {wanted}: label and tokenize again, or train again"
                )
        highest_of = self.labels.max(axis=0, initial=MISSING).tolist()
        for rank, own, count, highest in zip(
            self.ranks, self.kinds, counts, highest_of, strict=True
        ):
            if highest >= own.limit(count):
                if not own.alone:
                    highest = highest.bit_length() - 1
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

    def spans(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First character and the one after the last of each token of some rows, 0-based.

        int64 (n, longest) each, the same for special tokens and at padding. All are -1 in a row with a
        token that does not tell which characters it covers, such as an unknown one among six-mers.
        """
        if self._places:
            starts, ends = (
                padded(flat, starts[rows], self.lengths[rows], 0) for flat, starts in self._places
            )
            return starts, ends
        return spans(self.tokenizer, self.batch(rows).ids)

    def _checked(self, tokens: np.ndarray) -> np.ndarray:
        if tokens.max(initial=0) >= len(self.tokenizer):  # on a GPU it would end in an assertion
            raise self._damage(f"there is no token {tokens.max()}")
        return tokens

    def _damage(self, reason: object) -> UserError:
        return UserError(f"{self.path} is damaged ({reason}): delete it and run again")

    def record_batch(
        self, rows: np.ndarray, tokens: tuple[np.ndarray, np.ndarray] | None = None
    ) -> pa.RecordBatch:
        """Some rows as they are written to a token file, with their own `flat_tokens` or as many others."""
        flat, offsets = self.flat_tokens(rows) if tokens is None else tokens
        kind = pa.from_numpy_dtype(self.tokenizer.dtype)
        columns = [
            self.ids.take(pa.array(rows)).combine_chunks(),
            pa.array(self.keys[rows]),
            lists(flat, offsets, kind),
            *(
                lists(values[ranges(starts[rows], starts[rows] + self.lengths[rows])], offsets)
                for values, starts in self._places
            ),
            *(
                pa.array(column, field.type)
                for column, field in zip(
                    self.labels[rows].T, label_fields(self.ranks, self.kinds), strict=True
                )
            ),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def lists(flat: np.ndarray, offsets: np.ndarray, kind: pa.DataType | None = None) -> pa.ListArray:
    """A list for each sequence of a batch; offsets int64 (n + 1,)."""
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat, kind))


def _mapped(
    whole: pa.Buffer, batches: list[pa.RecordBatch], name: str, kind: np.dtype
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A column of lists: the map as one array of their type, where in it rows start, their lengths."""
    size = kind.itemsize
    flat = np.frombuffer(whole, kind, count=whole.size // size)
    starts, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for batch in batches:
        column = batch.column(name)
        offsets = column.offsets.to_numpy().astype(np.int64)
        values = column.values.buffers()[1]
        first = (values.address - whole.address) // size if len(column.values) else 0
        starts.append(offsets[:-1] + first + column.values.offset)
        lengths.append(np.diff(offsets))
    return flat, np.concatenate(starts), np.concatenate(lengths)
