"""The texts behind rows of a token file, read again from the dataset by their ids.

A token file holds where in its text each token lies, and not the text.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.normalisation import Settings
from whatyouread.data.sequences import read_sequences
from whatyouread.data.token_files import TokenFile
from whatyouread.data.token_limit import PIECE
from whatyouread.support.cli import UserError


def read_texts(dataset: Path, settings: Settings, file: TokenFile, rows: np.ndarray) -> list[str]:
    """The whole text of each row, in which the spans of its tokens lie; rows: int64 (n,).

    dataset, settings: those that the token file was made from. A window has the text of its record.
    Raises UserError where a text is not there, or two records with an id of these differ.
    """
    ids = file.ids.take(pa.array(rows)).combine_chunks()
    bases = pc.coalesce(pc.struct_field(pc.extract_regex(ids, PIECE), "id"), ids)
    wanted = pc.unique(pa.concat_arrays([ids, bases]))
    texts: dict[str, str] = {}
    for batch in read_sequences(dataset, settings=settings):
        names = pc.binary_join_element_wise(batch.source, batch.headers, ":")
        found = np.flatnonzero(pc.is_in(names, wanted).to_numpy(zero_copy_only=False))
        for i in found.tolist():
            start, stop = batch.offsets[i : i + 2].tolist()
            if start == stop:  # no valid record: it has no tokens either
                continue
            name = names[i].as_py()
            # as the tokenizer reads them, so that its places are those of this text
            text = batch.bases[start:stop].tobytes().decode("utf-8", "replace")
            if texts.setdefault(name, text) != text:
                raise UserError(
                    f"{dataset}: two texts have the id {name!r}: give them ids of their own, and run again"
                )
    made = []
    # an id as it is, before it is taken for that of a window
    for name, base in zip(ids.to_pylist(), bases.to_pylist(), strict=True):
        text = texts.get(name, texts.get(base))
        if text is None:
            raise UserError(
                f"{dataset} has no text {name!r}, which {file.path} has: run tokenize_sequences again"
            )
        made.append(text)
    return made


def document_numbers(file: TokenFile) -> np.ndarray:
    """Which text each row is of, int64 (n,), from 0; windows of one text follow each other."""
    number = pc.struct_field(pc.extract_regex(file.ids.combine_chunks(), PIECE), "first")
    goes_on = pc.not_equal(pc.fill_null(number, "1"), "1").to_numpy(zero_copy_only=False)
    return np.maximum(np.cumsum(~goes_on) - 1, 0)


def document_keys(file: TokenFile) -> np.ndarray:
    """A key for the text of each row, uint64 (n,): windows of one text share that of the first."""
    _, first, numbers = np.unique(document_numbers(file), return_index=True, return_inverse=True)
    return file.keys[first][numbers]
