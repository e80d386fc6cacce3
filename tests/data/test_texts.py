"""The texts behind the rows of a token file, and which rows are of one text."""

from itertools import chain

import numpy as np
import pytest
from helpers_copies import run
from helpers_evaluation import write_tokens

from whatyouread.data.normalisation import Settings
from whatyouread.data.sequences import read_sequences
from whatyouread.data.texts import document_keys, document_numbers, read_texts
from whatyouread.data.token_files import TokenFile
from whatyouread.support.cli import UserError

TEXT = Settings(alphabet="text")


def dataset(folder, rows: list[tuple[str, str]], name: str = "t.tsv"):
    lines = ["id\ttext", *(f"{key}\t{text}" for key, text in rows)]
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def token_file(folder, ids: list[str], keys=None):
    labels = [[0]] * len(ids)
    return write_tokens(folder / "t.arrow", [[3, 10]] * len(ids), labels, keys, ids, ranks=["a"])


def read(folder, file, rows=None, settings=TEXT):
    rows = np.arange(len(file)) if rows is None else np.array(rows, np.int64)
    return read_texts(folder, settings, file, rows)


def test_texts_by_their_ids_in_any_order(tmp_path):
    folder = dataset(tmp_path / "d", [("a", "Ett hus"), ("b", "två ÅÄÖ 😀"), ("c", "tre")])
    file = token_file(tmp_path, ["t.tsv:c", "t.tsv:a", "t.tsv:b"])
    assert read(folder, file) == ["tre", "Ett hus", "två ÅÄÖ 😀"]
    assert read(folder, file, [2, 0, 2]) == ["två ÅÄÖ 😀", "tre", "två ÅÄÖ 😀"]
    assert read(folder, file, []) == []


def test_a_window_has_the_text_of_its_record(tmp_path):
    folder = dataset(tmp_path / "d", [("a", "Ett hus"), ("b", "två"), ("b tokens 1-2", "own")])
    ids = ["t.tsv:a tokens 1-5", "t.tsv:a tokens 6-9", "t.tsv:b", "t.tsv:b tokens 1-2"]
    # an id that is there as it is is no window's
    assert read(folder, token_file(tmp_path, ids)) == ["Ett hus", "Ett hus", "två", "own"]


def test_a_window_of_characters_has_its_own_text(tmp_path):
    folder = dataset(tmp_path / "d", [("a", "abcdefgh")])
    settings = Settings(alphabet="text", max_length=4, longer="window")
    ids = [f"{b.source}:{h}" for b in read_sequences(folder, settings=settings) for h in b.headers]
    assert len(ids) == 2
    assert read(folder, token_file(tmp_path, ids), settings=settings) == ["abcd", "efgh"]


def test_what_is_not_there_or_there_twice_is_one_line(tmp_path):
    folder = dataset(tmp_path / "d", [("a", "one"), ("a", "two"), ("b", "same"), ("b", "same")])
    assert read(folder, token_file(tmp_path, ["t.tsv:b"])) == ["same"]
    with pytest.raises(UserError, match="two texts have the id 't"):
        read(folder, token_file(tmp_path, ["t.tsv:a"]))
    with pytest.raises(UserError, match="has no text 't"):
        read(folder, token_file(tmp_path, ["t.tsv:z"]))


def test_windows_of_one_text_share_its_number_and_key(tmp_path):
    ids = [
        "a",
        "b tokens 1-5",
        "b tokens 6-9",
        "b tokens 10-13",
        "b tokens 1-5",
        "b tokens 6-9",
        "c",
    ]
    file = token_file(tmp_path, ids, keys=[9, 3, 70, 71, 3, 70, 2])
    assert document_numbers(file).tolist() == [0, 1, 1, 1, 2, 2, 3]
    assert document_keys(file).tolist() == [9, 3, 3, 3, 3, 3, 2]
    assert document_keys(file).dtype == np.uint64


def test_without_windows_every_row_is_a_text(tmp_path):
    file = token_file(tmp_path, ["a", "a", "b"], keys=[5, 5, 2**63 + 1])
    assert document_numbers(file).tolist() == [0, 1, 2]
    assert document_keys(file).tolist() == [5, 5, 2**63 + 1]
    assert document_keys(token_file(tmp_path, [])).tolist() == []


SPLITS = ("train", "validation", "test", "explainer_train", "explainer_validation")
WHOLE = ("test", "explainer_train", "explainer_validation")


def divided(folder, seed: int):
    """The splits of a further run: name -> ids."""
    files = {name: [f"{place}{name}.arrow" for place in ("", "new_")] for name in SPLITS}
    options = ["--ranks", "a", "--seed", seed]
    for name in ("train", "validation"):
        options += [f"--{name}", files[name][0], f"--new-{name}", files[name][1]]
    options += ["--whole", *(files[name][0] for name in WHOLE)]
    options += ["--new-whole", *(files[name][1] for name in WHOLE)]
    done = run("resplit_tokens", folder, *options)
    assert done.returncode == 0, done.stderr
    return {name: TokenFile(folder / files[name][1], ["a"]).ids.to_pylist() for name in SPLITS}


def test_a_run_may_divide_everything_anew(tmp_path):
    """600 texts: 360, 60 and 180, and the Explainers have half of the first and all of the second.

    Every third text has two windows, which stay together.
    """
    ids, keys = {}, {}
    for name, numbers in (
        ("train", range(360)), ("validation", range(360, 420)), ("test", range(420, 600)),
        ("explainer_train", range(0, 360, 2)), ("explainer_validation", range(360, 420)),
    ):  # fmt: skip
        ids[name], keys[name] = [], []
        for i in numbers:
            windows = ["", ""] if i % 3 else [" tokens 1-9", " tokens 10-18"]
            for j, window in enumerate(windows[: 1 + (i % 3 == 0)]):
                ids[name].append(f"t:{i}{window}")
                keys[name].append(1 + i + 1000 * j)
        labels = [[0]] * len(ids[name])
        tokens = [[3, 10]] * len(ids[name])
        write_tokens(tmp_path / f"{name}.arrow", tokens, labels, keys[name], ids[name], ranks=["a"])
    made = divided(tmp_path, seed=4)
    three = [made[name] for name in SPLITS[:3]]
    assert sorted(chain(*three)) == sorted(chain(*(ids[name] for name in SPLITS[:3])))
    texts = [{one.partition(" ")[0] for one in part} for part in three]
    assert not texts[0] & texts[1] | texts[0] & texts[2] | texts[1] & texts[2]
    # shares as before, and other texts
    assert [len(part) for part in texts] == pytest.approx([360, 60, 180], abs=45)
    assert 20 < len(texts[2] & {f"t:{i}" for i in range(420, 600)}) < 90
    assert set(made["explainer_train"]) < set(made["train"])
    assert len(made["explainer_train"]) == pytest.approx(len(made["train"]) / 2, rel=0.25)
    assert made["explainer_validation"] == made["validation"]
    assert divided(tmp_path, seed=5)["test"] != made["test"]
    done = run("resplit_tokens", tmp_path, "--train", "train.arrow", "--validation",
               "validation.arrow", "--ranks", "a", "--seed", 1, "--whole", "test.arrow",
               "--new-train", "x.arrow", "--new-validation", "y.arrow")  # fmt: skip
    assert done.returncode == 1
    assert "--whole and --new-whole go together" in done.stderr
