"""Several labels of one level at once, as text: from a field of a record or of a table to a set of names.

Such a set is written as a JSON list of its names, sorted, each once: `["NA", "OP"]`. `[]` is the set without
a name: none of the classes holds, which is an answer. "" stands for a missing label. This text tells label
sets apart in the label table (`labels.label_table`); `data.kinds` has the numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.kinds import NONE, sets_of
from whatyouread.data.record_tables import SEVERAL


class NotNames(ValueError):
    """A field that names no labels; `row` is the first one with it."""

    def __init__(self, row: int, why: str):
        super().__init__(why)
        self.row = row


def written(names: Iterable[str]) -> str:
    """The text of a set of names."""
    return json.dumps(sorted(set(names)), ensure_ascii=False)


def names_in(text: str) -> list[str]:
    """The names of a set by its text; none of a missing one, which is empty."""
    return json.loads(text) if text else []


def called(text: str) -> str:
    """How a set is called; "" for a missing one."""
    return (", ".join(names_in(text)) or NONE) if text else ""


def read_sets(column: pa.Array, separator: str = "") -> pa.Array:
    """The sets of some fields, as text, (n,).

    column: texts, "" or null for a missing label. A list (JSON, also as `record_tables` hands it on) names
    its labels; any other text is divided by the separator, or by blanks where that is empty. Raises
    `NotNames` for a list of other things and for one with an empty name.
    """
    texts = pc.utf8_trim_whitespace(pc.fill_null(column, "")).dictionary_encode()
    made = []
    for number, text in enumerate(texts.dictionary.to_pylist()):
        try:
            made.append(_read(text, separator))
        except ValueError as error:
            row = int(np.argmax(texts.indices.to_numpy() == number))
            raise NotNames(row, str(error)) from None
    return pa.array(made, pa.string()).take(texts.indices)


def _read(text: str, separator: str) -> str:
    if not text:
        return ""
    if text.startswith((SEVERAL, "[")):
        listed = text.removeprefix(SEVERAL)
        try:
            values = json.loads(listed)
        except ValueError:
            raise ValueError(
                f"{listed!r} is no list: close it, as in {written(['one', 'two'])}"
            ) from None
        if not isinstance(values, list) or any(isinstance(v, (list, dict)) for v in values):
            raise ValueError(f"{listed} is no list of labels: give texts")
        names = ["" if value is None else str(value).strip() for value in values]
        if "" in names:
            raise ValueError(
                f"{listed} names an empty label: leave it out; [] is none of the classes"
            )
        return written(names)
    words = text.split(separator or None)
    return written(word.strip() for word in words if word.strip())


def numbers_of(texts: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """The set of classes of each text, int64 (n,): -1 for a missing label, -2 with a name that is no class.

    names: of the classes, by number.
    """
    places: Mapping[str, int] = {name: number for number, name in enumerate(names)}
    made = np.empty(len(texts), np.int64)
    known: dict[str, int] = {}
    for row, text in enumerate(texts):
        if text not in known:
            held = np.zeros(len(names), bool)
            own = [places.get(name, -1) for name in names_in(text)]
            held[[place for place in own if place >= 0]] = True
            known[text] = -1 if not text else -2 if -1 in own else int(sets_of(held))
        made[row] = known[text]
    return made
