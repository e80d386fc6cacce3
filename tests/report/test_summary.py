"""The summary of a run: its numbers, and the sentence for every kind of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers_programs import run_here

from whatyouread.report.summary import ANY_WILL_DO, CONCLUSIONS, WIDTH, Measured, sentence, summary
from whatyouread.support.cli import UserError

PROGRAM = Path(__file__).resolve().parents[2] / "scripts" / "summarize_run.py"
RANKS = ["kingdom", "genus"]
ROWS = {
    "explanandum": 95, "masks": 90, "inverted_masks": 89, "rounded_masks": 80,
    "inverted_rounded_masks": 30, "relevant_chunks": 70, "irrelevant_chunks": 20,
}  # fmt: skip
SHIFTED = {"masks": 90, "inverted_masks": 90, "rounded_masks": 50, "inverted_rounded_masks": 60}
N = 400
"""Two standard errors of 80 % are 4 points, of 30 % 4.6."""


def rows(values: dict, **columns) -> pd.DataFrame:
    """Rows with values that are 4 points higher for the kingdom, 4 lower for the genus."""
    table = [{"condition": c, "kingdom": v + 4, "genus": v - 4} for c, v in values.items()]
    return pd.DataFrame(table).assign(sequences=N, **columns)


def measured(name: str = "sharp", changed: dict | None = None, moved: dict | None = None, **more):
    table = rows(ROWS | (changed or {}))
    controls = rows(SHIFTED | (moved or {}), classes="labels", control="shifted")
    other = [
        rows(dict.fromkeys(SHIFTED, 1), classes=classes, control=control)
        for classes, control in (("labels", "constant"), ("predicted", "shifted"))
    ]
    return Measured(name, table, pd.concat([controls, *other]), **more)


def localization() -> pd.DataFrame:
    return pd.DataFrame(
        [
            [classes, control, planted, value, 0.16]
            for classes, control, planted, value in (
                ("predicted", "none", "any", 0.82),
                ("predicted", "shifted", "any", 0.17),
                ("predicted", "none", "genus", 0.5),
                ("labels", "none", "any", 0.6),
            )
        ],
        columns=["classes", "control", "planted", "auprc", "base_rate"],
    )


BETTER, ALIKE, WORSE = 0, 1, 2
KEPT = {BETTER: 50, ALIKE: 77, WORSE: 89}
LEFT = {BETTER: 60, ALIKE: 33, WORSE: 20}
"""What shifted masks keep and leave: masks keep 80 and leave 30."""


@pytest.mark.parametrize("keep", KEPT)
@pytest.mark.parametrize("leave", LEFT)
def test_the_sentence_follows_the_numbers(keep, leave):
    moved = {"rounded_masks": KEPT[keep], "inverted_rounded_masks": LEFT[leave]}
    text = sentence(measured(moved=moved), RANKS)
    keeps = {BETTER: "keep more than", ALIKE: "keep about as much as", WORSE: "keep less than"}
    leaves = {BETTER: "leave less", ALIKE: "leave about as much", WORSE: "leave more"}
    k, m = KEPT[keep], LEFT[leave]
    assert text == (
        f"sharp: rounded masks {keeps[keep]} the same masks shifted"
        f" (84 / 76 against {k + 4} / {k - 4}) {'and' if keep == leave else 'but'} {leaves[leave]}"
        f" to the rest (34 / 26 against {m + 4} / {m - 4}): {CONCLUSIONS[1 - keep, 1 - leave]}."
    )
    assert ("point at" in text) == (keep == leave == BETTER)


def test_large_masks_that_keep_enough_anywhere_say_nothing():
    changed = {"rounded_masks": 95, "inverted_rounded_masks": 30}
    moved = {"rounded_masks": 94, "inverted_rounded_masks": 30}
    assert sentence(measured(changed=changed, moved=moved), RANKS).endswith(f": {ANY_WILL_DO}.")
    # shifted masks that keep clearly less than no mask would have left room for a difference
    moved = {"rounded_masks": 80, "inverted_rounded_masks": 30}
    assert ANY_WILL_DO not in sentence(measured(moved=moved), RANKS)


def test_masks_that_steer_are_not_said_to_point_at_anything():
    made = measured()
    for steered, true, steers in ((60, 40, True), (42, 40, False), (20, 60, False)):
        wrong = [
            rows({"rounded_masks": value}, classes="wrong", control=control)
            for control, value in (("wrong_class_steering", steered), ("wrong_class", true))
        ]
        text = sentence(Measured("sharp", made.table, pd.concat([made.controls, *wrong])), RANKS)
        assert ("point at" in text) != steers
        assert ("(64 / 56 against 44 / 36), so they steer it." in text) == steers


@pytest.mark.parametrize(
    ("steered", "n", "steers"),
    [(60, N, True), (42, N, False), (60, 5, False), (np.nan, 0, False)],
)
def test_a_rank_without_a_wrong_class_counts_neither_for_nor_against_steering(steered, n, steers):
    """With one kingdom no mask is of a wrong one: the genus decides, by the sequences that count."""
    made = measured()
    wrong = [
        pd.DataFrame(
            [{"condition": "rounded_masks", "kingdom": np.nan, "genus": value, "sequences": N,
              "sequences_kingdom": 0, "sequences_genus": n}]
        ).assign(classes="wrong", control=control)
        for control, value in (("wrong_class_steering", steered), ("wrong_class", 40))
    ]  # fmt: skip
    text = sentence(Measured("sharp", made.table, pd.concat([made.controls, *wrong])), RANKS)
    assert ("(– / 60 against – / 40), so they steer it." in text) == steers
    assert ("point at" in text) != steers


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_handful_of_sequences_shows_nothing(n):
    made = measured(changed={"rounded_masks": 96, "inverted_rounded_masks": 4})
    controls = made.controls.assign(kingdom=0.0, genus=0.0, sequences=n)
    table = made.table.assign(sequences=n)
    text = sentence(Measured("sharp", table, controls), RANKS)
    assert text == f"sharp: {n} sequences are too few, so nothing can be said."


def test_a_missing_number_leaves_nothing_to_say():
    text = sentence(measured(changed={"rounded_masks": np.nan}), RANKS)
    assert text == "sharp: some of the numbers are missing, so nothing can be said."


def test_the_size_of_the_masks_is_said_where_it_is_known():
    made = measured(above_threshold=29.6)
    assert "rounded masks (30 % of the tokens) keep" in sentence(made, RANKS)
    assert "| tokens above 0.5 (%)     | 30 " in summary([made], RANKS, False)


def test_table_by_hand():
    paper = measured("paper", moved={"rounded_masks": 79, "inverted_rounded_masks": 31})
    text = summary([paper, measured(localization=localization())], RANKS, planted=True)
    lines = text.splitlines()
    assert "| no mask                  | 99 / 91 |         | 99 / 91 |         |" in lines
    assert "| inverted masks ↓         | 93 / 85 | 94 / 86 | 93 / 85 | 94 / 86 |" in lines
    assert "| rounded masks ↑          | 84 / 76 | 83 / 75 | 84 / 76 | 54 / 46 |" in lines
    assert "| relevant chunks          | 74 / 66 |         | 74 / 66 |         |" in lines
    assert "| AUPRC, planted tokens ↑  |         |         | 0.82    | 0.17    |" in lines
    assert "| its base rate            |         |         | 0.16    |         |" in lines
    assert "on 400 simulated test sequences" in " ".join(lines)
    assert "planted segments" in text
    plain = summary([paper], RANKS, planted=False)
    for word in ("planted", "simulated", "AUPRC"):
        assert word not in plain
    known = summary([measured(localization=localization())], RANKS, planted=False)
    assert "AUPRC, known tokens" in known
    assert "planted" not in known


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_lines_are_never_too_long(number):
    explainers = [measured(f"explainer_number_{i}") for i in range(number)]
    ranks = RANKS * 4
    text = summary(explainers, ranks, planted=True)
    assert max(map(len, text.splitlines())) <= WIDTH
    # each in one table only
    assert sum(line.count("| explainer_number_") for line in text.splitlines()) == number
    assert text.count("keep more than") == number
    assert "\N{NO-BREAK SPACE}" not in text


def test_a_table_without_the_control_is_refused():
    made = measured()
    bare = Measured("sharp", made.table, made.controls[made.controls["control"] != "shifted"])
    with pytest.raises(UserError, match="sharp: 0 rows of shifted"):
        summary([bare], RANKS, planted=False)


def copies(copied, tested=200):
    rows = {"train sequences": 900, "test sequences": tested}
    rows["test sequences with a near-copy in train"] = copied
    return pd.DataFrame({"quantity": list(rows), "value": list(rows.values())})


@pytest.mark.parametrize(
    ("copied", "expected", "warned"),
    [
        (150, "150 of 200 test sequences (75.0 %) have a near-copy in the training split: ", True),
        (11, "11 of 200 test sequences (5.5 %) have a near-copy in the training split: ", True),
        (10, "10 of 200 test sequences (5.0 %) have a near-copy in the training split.", False),
        (0, "0 of 200 test sequences (0.0 %) have a near-copy in the training split.", False),
    ],
)
def test_near_copies_are_said(copied, expected, warned):
    text = summary([measured()], RANKS, False, copies(copied))
    assert expected in text.replace("\n", " ")
    assert ("split.group_by: cluster" in text) == warned
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "near-copy" not in summary([measured()], RANKS, False)


def splits(drawn=False):
    rows = {"train sequences": 1200, "validation sequences": 30, "test sequences": 400}
    rows |= {"sequences in no split": 7, "sequences whose split is given": 1630}
    detail = "by the column fold (split.given)"
    detail += "; the validation split is drawn from train" if drawn else ""
    details = ["", "", "", "excluded", detail]
    return pd.DataFrame({"quantity": list(rows), "value": list(rows.values()), "detail": details})


@pytest.mark.parametrize("drawn", [False, True])
def test_splits_that_are_given_are_said(drawn):
    text = summary([measured()], RANKS, False, copies(0), splits(drawn))
    more = "; the validation split is drawn from train" if drawn else ""
    expected = (
        f"The splits are given by the column fold (split.given){more}: 1,200 train, 30 validation,"
        " 400 test sequences, and 7 in no split."
    )
    assert expected in text.replace("\n", " ")
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "given" not in summary([measured()], RANKS, False, copies(0))


def run_program(folder: Path, monkeypatch, *options: str) -> int | None:
    files = ["--log", folder / "log", "--summary", folder / "summary.md"]
    return run_here(monkeypatch, PROGRAM, "--ranks", *RANKS, *options, *files)


def test_the_program_reads_and_writes(tmp_path, monkeypatch):
    made = measured(localization=localization())
    frames = {"table": made.table, "controls": made.controls, "localization": made.localization}
    statistics = {"quantity": ["mean_mask", "tokens_above_threshold"], "ours": [0.4, 12.0]}
    for name, frame in (frames | {"statistics": pd.DataFrame(statistics)}).items():
        frame.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False)
    files = [f"--tables {tmp_path}/table.tsv", f"--controls {tmp_path}/controls.tsv"]
    files += [f"--localizations {tmp_path}/localization.tsv --planted"]
    files += [f"--mask-statistics {tmp_path}/statistics.tsv"]
    options = " ".join(files).split()
    assert run_program(tmp_path, monkeypatch, "--names", "sharp", *options) is None
    text = (tmp_path / "summary.md").read_text(encoding="utf-8")
    expected = Measured("sharp", made.table, made.controls, made.localization, 12.0)
    assert text == summary([expected], RANKS, planted=True)
    copies(7).to_csv(tmp_path / "copies.tsv", sep="\t", index=False)
    more = [*options, "--copies", f"{tmp_path}/copies.tsv"]
    assert run_program(tmp_path, monkeypatch, "--names", "sharp", *more) is None
    text = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert text == summary([expected], RANKS, True, copies(7))
    splits().to_csv(tmp_path / "splits.tsv", sep="\t", index=False)
    more += ["--given-splits", f"{tmp_path}/splits.tsv"]
    assert run_program(tmp_path, monkeypatch, "--names", "sharp", *more) is None
    text = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert text == summary([expected], RANKS, True, copies(7), splits())
    (tmp_path / "evidence.md").write_text("# Against é\n", encoding="utf-8")
    more += ["--evidence", f"{tmp_path}/evidence.md"]
    assert run_program(tmp_path, monkeypatch, "--names", "sharp", *more) is None
    behind = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert behind == text + "\n# Against é\n"
    assert run_program(tmp_path, monkeypatch, "--names", "sharp", "paper", *options) == 1
    assert "--tables: 1 files for 2 --names" in (tmp_path / "log").read_text()


def test_labels_that_are_missing_are_said_and_make_a_finding_less_sure():
    full = measured()
    text = sentence(full, RANKS)
    assert "keep more than" in text
    counts = {"sequences_kingdom": 1400, "sequences_genus": 12}
    partly = Measured("sharp", full.table.assign(**counts), full.controls)
    page = " ".join(summary([partly], RANKS, planted=True).split())
    assert f"on {N} simulated test sequences (with a label: 1,400 / 12), for the masks" in page
    assert "keep about as much as" in sentence(partly, RANKS)  # two errors of 12 are 23 points
    few = Measured("sharp", full.table.assign(**counts | {"sequences_genus": 3}), full.controls)
    assert "3 sequences are too few" in sentence(few, RANKS)
