"""A user's positions in texts, from the file in BED to tokens, against a loop over characters."""

import json
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_tokenizers import tokenizer_folder

from whatyouread.data.normalisation import Settings
from whatyouread.data.planted import planted_tokens, read_planted
from whatyouread.data.positions import character_lengths, placed_positions, read_positions
from whatyouread.data.sequences import read_sequences
from whatyouread.data.token_files import TokenFile
from whatyouread.data.tokenization import OUTPUTS, tokenize_dataset
from whatyouread.data.tokenizers import tokenizer_of

WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "café",
    "smörgås",
    "中中",
    ",",
    "zebra",
    "ﬁ",
    "e\u0301a",
    "🦊",
]


def chain(folder, texts, bed, kind, pieces, longest=0, **settings):
    """The test sequences of some texts as a token file, and which of their tokens are known."""
    data = folder / "data"
    data.mkdir()
    if kind == "tsv":
        rows = [f"t{i} of many\t{text}\n" for i, text in enumerate(texts)]
        (data / "texts.tsv").write_text("id\ttext\n" + "".join(rows), encoding="utf-8")
    else:
        rows = [json.dumps({"text": text, "id": f"t{i} of many"}) for i, text in enumerate(texts)]
        (data / "texts.jsonl").write_text("\n".join(rows))
    (folder / "known.bed").write_text(bed)
    read = Settings(alphabet="text", **settings)
    batches = list(read_sequences(data, settings=read))
    headers = [name for batch in batches for name in batch.headers.to_pylist()]
    source = pa.array([batches[0].source] * len(headers)).dictionary_encode()
    lengths = np.concatenate([np.diff(batch.offsets) for batch in batches])
    index = {"source": source, "header": headers, "length": pa.array(lengths, pa.int32())}
    index["hash"] = pa.array(np.arange(len(headers)), pa.uint64())
    splits = {"split": ["test"] * len(headers), "explainer": ["none"] * len(headers)}
    splits["genus"] = pa.array([0] * len(headers), pa.int32())
    pq.write_table(pa.table(index), folder / "index.parquet")
    pq.write_table(pa.table(splits), folder / "splits.parquet")
    tokenizer = tokenizer_of(tokenizer_folder(folder / "model", pieces))
    paths = {name: folder / f"{name}.arrow" for name in OUTPUTS}
    tokenize_dataset(
        data, folder / "index.parquet", folder / "splits.parquet", ["genus"], paths, tokenizer, read,
        longest,
    )  # fmt: skip
    measured = pa.table(index).set_column(2, "length", pa.array(character_lengths(data, read)))
    placed, _ = placed_positions(
        read_positions(folder / "known.bed"), measured, pa.table(splits), read, folder / "known.bed"
    )
    pq.write_table(pa.Table.from_pandas(placed), folder / "placed.parquet")
    file = TokenFile(paths["test"], ["genus"])
    return file, planted_tokens(file, read_planted(folder / "placed.parquet"))


@pytest.mark.parametrize("pieces", ["word_pieces", "unigram"])
@pytest.mark.parametrize("kind", ["tsv", "jsonl"])
@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"max_length": 17, "longer": "window"},
        {"longest": 6, "longer": "window"},
        {"max_length": 23, "longer": "cut"},
        {"longest": 6, "longer": "cut"},
    ],
    ids=str,
)
def test_against_a_loop_over_characters(tmp_path, pieces, kind, limits):
    draws = random.Random(str((pieces, kind, limits)))
    texts, known, lines = [], [], []
    for i in range(25):
        text = " ".join(draws.choices(WORDS, k=draws.randint(1, 12)))
        inside = [False] * len(text)
        for _ in range(draws.randint(0 if i else 1, 3)):
            start = draws.randrange(len(text))
            end = draws.randint(start + 1, len(text))
            lines.append(f"t{i}\t{start}\t{end}\tg{draws.randint(0, 1)}:x\n")
            inside[start:end] = [True] * (end - start)
        texts.append(text)
        known.append(inside)
    file, made = chain(tmp_path, texts, "".join(lines), kind, pieces, **limits)
    starts, ends = file.spans(np.arange(len(file)))
    content = file.batch(np.arange(len(file))).content
    ids = file.ids.to_pylist()
    checked = 0
    for row, name in enumerate(ids):
        words = name.split(":")[1].split(" ")
        number, before = int(words[0][1:]), 0
        if limits.get("longer") == "window" and "max_length" in limits and len(words) > 3:
            before = int(words[3].split("-")[0]) - 1  # windows of characters begin anew
        for place in range(file.lengths[row]):
            a, b = (int(end[row, place]) + before for end in (starts, ends))
            covered = sum(known[number][a:b])
            expected = content[row, place] and b > a and 2 * covered >= b - a
            assert made[row, place] == expected, (name, texts[number][a:b])
            checked += bool(expected)
    assert checked > 10
    assert not made[~content].any()
    for row, length in enumerate(file.lengths):
        assert not content[row, 0]
        assert not content[row, length - 1]


def test_a_blank_belongs_to_the_piece_that_holds_it(tmp_path):
    """XLM-R's kind has a piece "▁fox" for " fox": its four characters are those of the text."""
    text = "é fox fox fox fox"
    bed = "".join(f"t0\t{start}\t{end}\n" for start, end in [(3, 5), (8, 9), (11, 12), (13, 16)])
    file, made = chain(tmp_path, [text], bed, "tsv", "unigram")
    starts, ends = file.spans(np.array([0]))
    found = [(text[a:b], bool(m)) for a, b, m in zip(starts[0], ends[0], made[0], strict=True) if b]
    # two of four; one of four; a blank alone is one of four; three of four
    assert found[-4:] == [(" fox", True), (" fox", False), (" fox", False), (" fox", True)]
    assert found[0] == ("é", False)
