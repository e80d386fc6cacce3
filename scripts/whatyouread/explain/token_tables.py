"""Tables of sequences in tokens: spans, scores, and the masks of windows. Places are 0-based, half-open."""

import re
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from whatyouread.data.intervals import ranges
from whatyouread.data.normalisation import TEXT
from whatyouread.data.tokenizer import Tokenizer
from whatyouread.explain.outputs import Sample
from whatyouread.explain.tables import coded
from whatyouread.explain.token_spans import Scored, mask_of_letters, scored_sequences, spans_of
from whatyouread.support.files import atomic

_QUOTED = re.compile('[\t\r\n"]')


def write_spans_and_scores(folder: Path, sample: Sample, tokenizer: Tokenizer) -> dict[str, int]:
    """Write `spans.tsv` and the scores; return counts.

    Scores of texts: `tokens.tsv`, a row for each token. Of proteins: `residues.tsv`, a row for each
    residue, one without a score included; of DNA: `bases.tsv`. A text with a tab, a line end or a double
    quote stands in quotes, as in CSV.
    """
    records = sample.records
    of_text = records.alphabet == TEXT
    keys = ("letters_with_a_score", "tokens_with_a_score", "spans", "letters_in_spans")
    counts = dict.fromkeys(keys, 0)
    scores_of = "token" if of_text else records.unit
    heads = {
        "spans": ["sequence", "start", "end", "text", "mask"],
        f"{scores_of}s": ["sequence", "start", "end", "text" if of_text else scores_of, "mask"],
    }
    for level in sample.levels:
        heads["spans"] += [level.name, f"{level.name}_probability"]
    if of_text:
        heads["tokens"].insert(4, "token")
    with ExitStack() as stack:
        streams = []
        for table, head in heads.items():
            path = stack.enter_context(atomic(folder / f"{sample.name}.{table}.tsv"))
            streams.append(stack.enter_context(open(path, "w", encoding="utf-8", newline="")))
            _write(streams[-1], [[_cell(word)] for word in head])
        spans, scores = streams
        for one in scored_sequences(sample):
            name, mask = _cell(records.names[one.record]), mask_of_letters(one)
            counts["letters_with_a_score"] += int((~np.isnan(mask)).sum())
            counts["tokens_with_a_score"] += int((~np.isnan(one.mask)).sum())
            _write_spans(spans, name, sample, one, counts)
            if of_text:
                _write_tokens(scores, name, one, tokenizer)
            else:
                places = range(len(one.text))
                ends = range(1, len(one.text) + 1)
                _write(scores, [[name] * len(ends), places, ends, one.text, _numbers(mask)])
    return counts


def _write_spans(stream: TextIO, name: str, sample: Sample, one: Scored, counts: dict) -> None:
    found = spans_of(sample, one)
    if not len(found.start):
        return
    counts["spans"] += len(found.start)
    counts["letters_in_spans"] += int((found.end - found.start).sum())
    columns = [
        [name] * len(found.start),
        found.start.tolist(),
        found.end.tolist(),
        map(_cell, found.texts),
        [f"{value:.4g}" for value in found.score.tolist()],
    ]
    for i, level in enumerate(sample.levels):
        columns.append([_cell(level.names[c]) for c in found.said.classes[:, i, 0].tolist()])
        columns.append([f"{p:.4g}" for p in found.said.probabilities[:, i, 0].tolist()])
    _write(stream, columns)


def _write_tokens(stream: TextIO, name: str, one: Scored, tokenizer: Tokenizer) -> None:
    starts, ends = (one.tokens[column].tolist() for column in ("start", "end"))
    texts = (_cell(one.text[low:high]) for low, high in zip(starts, ends, strict=True))
    pieces = (_cell(tokenizer.vocabulary[token]) for token in one.tokens["id"].tolist())
    _write(stream, [[name] * len(starts), starts, ends, texts, pieces, _numbers(one.mask)])


def _numbers(values: np.ndarray) -> list[str]:
    return ["" if value != value else f"{value:.3f}" for value in values.tolist()]


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


def _write(stream: TextIO, columns: Iterable) -> None:
    stream.writelines("\t".join(map(str, row)) + "\n" for row in zip(*columns, strict=True))


def write_token_masks(path: Path, sample: Sample) -> None:
    """Write `masks.parquet`: a row per window with the mask of each of its tokens, without the frame.

    Columns: `sequence`, `start`, `end`, for each level the class that the mask is for, and the lists
    `starts` and `ends` (where each token lies in the sequence, in letters, uint32), `token` (its id) and
    `mask` (float16, NaN where a special token is spelled out in the sequence).
    """
    records, levels = sample.records, sample.levels
    words = pa.dictionary(pa.int32(), pa.string())
    lists = {"starts": pa.uint32(), "ends": pa.uint32(), "token": pa.uint32(), "mask": pa.float16()}
    schema = pa.schema(
        [
            ("sequence", words),
            ("start", pa.int64()),
            ("end", pa.int64()),
            *((level.name, words) for level in levels),
            *((name, pa.list_(kind)) for name, kind in lists.items()),
        ]
    )
    with (
        atomic(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for block in sample.blocks:
            windows, edges = block.windows, pa.array(block.offsets, pa.int32())
            first = int(windows.start.min())
            line = records.bases(first, int(windows.stop.max()))
            tokens = line[ranges(windows.start - first, windows.stop - first)]
            flat = (tokens["start"], tokens["end"], tokens["id"], block.masks)
            columns = [
                coded(records.of(windows.start), records.names.__getitem__),
                *map(pa.array, records.within(windows.start, windows.stop)),
                *(coded(block.asked[:, i], level.called) for i, level in enumerate(levels)),
                *(pa.ListArray.from_arrays(edges, pa.array(values)) for values in flat),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=8192)
