"""Windows that were cut from one text, put together again: a row for each text, not for each window.

A sequence with more tokens than the model reads becomes windows (`data.token_limit`), whose ids say
which of its tokens they hold. They follow each other and never overlap. What counts per text needs them
in one row.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.intervals import ranges
from whatyouread.data.token_files import TokenFile
from whatyouread.data.token_limit import PIECE


class WholeTexts:
    """The texts behind the n rows of a token file, in the order in which they first appear there.

    `of`: int64 (n,), the text of each row. `first`: int64 (m,), the row of the first window of each text
    that is in the file. `ids`: object (m,), those of the records; `keys`: uint64 (m,), those of the first
    windows; `windows`: int64 (m,), how many rows each text has. `divided`: bool (m,), whether its rows are
    windows. Rows may be in any order; a sequence that is there several times is several texts.
    """

    def __init__(self, file: TokenFile):
        self._frame = len(file.tokenizer.before), len(file.tokenizer.after)
        rows = _windows(file, sum(self._frame))
        # the same window again is of another copy of the text
        rows["copy"] = rows.groupby(["text", "first"]).cumcount()
        self.of = rows.groupby(["text", "copy"], sort=False).ngroup().to_numpy().astype(np.int64)
        self._lengths = file.lengths
        self._order = np.lexsort((rows["first"], self.of))
        new = np.append(True, np.diff(self.of[self._order]) != 0)[: len(rows)]
        self.first = self._order[new]
        self.ids = rows["text"].to_numpy()[self.first]
        self.keys = file.keys[self.first]
        self.windows = np.bincount(self.of, minlength=len(self.first))
        self.divided = rows["window"].to_numpy()[self.first]
        # where a window is missing between two of a text, a place stays free that is no content
        before = np.append(0, rows["last"].to_numpy()[self._order][:-1])
        gap = ~new & (rows["first"].to_numpy()[self._order] != before[: len(rows)] + 1)
        self._lay(new, gap.astype(np.int64))

    def __len__(self) -> int:
        return len(self.first)

    @property
    def alone(self) -> bool:
        """Whether every text is one row, so that nothing has to be put together."""
        return len(self) == len(self.of)

    def put(self, values: np.ndarray) -> np.ndarray:
        """Values of tokens, (n, length), as (m, longest text): those of a text's windows, in their order.

        The tokens that frame each window stay at both ends of the text only. The rest is 0 or False.
        """
        if self.alone:
            return values
        made = np.zeros((len(self), self._width), values.dtype)
        made[self._to] = values[self._from]
        return made

    def every(self, flags: np.ndarray) -> np.ndarray:
        """Of which texts a flag, bool (n,), is set in all windows: bool (m,)."""
        made = np.ones(len(self), bool)
        made[self.of[~flags]] = False
        return made

    def missing(self, whole: TokenFile) -> np.ndarray:
        """How many windows of each text are not among the rows, int64 (m,).

        whole: the token file that the rows were taken from.
        """
        names = _windows(whole, sum(self._frame)).query("window")["text"].value_counts()
        own = pd.Series(self.windows).groupby(self.ids).transform("sum").to_numpy()
        there = pd.Series(self.ids).map(names).fillna(0).to_numpy().astype(np.int64)
        return np.where(self.divided, np.maximum(there - own, 0), 0)

    def _lay(self, new: np.ndarray, gap: np.ndarray) -> None:
        """Where each token comes from and goes to; new: which windows, in order, begin a text."""
        before, after = self._frame
        order, of = self._order, self.of[self._order]
        last = np.append(new[1:], True)[: len(order)]
        low = np.where(new, 0, before)
        high = self._lengths[order] - np.where(last, 0, after)
        sizes = high - low
        end = np.cumsum(sizes + gap)
        begun = (end - sizes - gap)[new][of] if len(order) else end
        start = end - sizes - begun
        self._from = np.repeat(order, sizes), ranges(low, high)
        self._to = np.repeat(of, sizes), ranges(start, start + sizes)
        self._width = int((start + sizes).max(initial=0))


def _windows(file: TokenFile, frame: int) -> pd.DataFrame:
    """The `text` of each row, its first and last token, from 1, and whether it is a `window`."""
    ids = file.ids.combine_chunks()
    found = pc.extract_regex(ids, PIECE)
    sizes = file.lengths - frame
    first = pc.fill_null(pc.struct_field(found, "first"), "1").cast(pa.int64()).to_numpy()
    last = pc.fill_null(pc.struct_field(found, "last"), "0").cast(pa.int64()).to_numpy()
    # the header of a record may end like the name of a window: it would have as many tokens by chance only
    window = pc.is_valid(found).to_numpy(zero_copy_only=False) & (last - first + 1 == sizes)
    names = pc.if_else(pa.array(window), pc.struct_field(found, "id"), ids)
    first = np.where(window, first, 1)
    text = names.to_numpy(zero_copy_only=False).astype(object)
    return pd.DataFrame(
        {"text": text, "first": first, "last": first + sizes - 1, "window": window}
    ).astype({"text": object})
