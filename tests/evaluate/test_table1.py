import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_evaluation import (
    CPU,
    Counter,
    random_sequences,
    small_explainer,
    small_explanandum,
    write_masks,
    write_tokens,
)
from sklearn.metrics import average_precision_score, f1_score

from whatyouread.data.kinds import MULTIPLE, SINGLE, members, sets_of
from whatyouread.data.six_mers import CLS, FIRST_KMER
from whatyouread.evaluate.masked_predictions import MaskedSequences
from whatyouread.evaluate.prediction_files import (
    CASES,
    MASK_CONDITIONS,
    Case,
    Predictions,
    read_predictions,
)
from whatyouread.evaluate.table1 import beside_paper, controls, markdown, table
from whatyouread.explainers.generation import generate_masks
from whatyouread.masks.mask_files import MaskFile
from whatyouread.models.inference import Passes
from whatyouread.support.cli import UserError
from whatyouread.support.files import write_tsv
from whatyouread.support.parts import WHOLE, Part

RANKS = ["rank0", "rank1"]
CONDITIONS = [
    "explanandum",
    "masks",
    "inverted_masks",
    "rounded_masks",
    "inverted_rounded_masks",
    "relevant_chunks",
    "irrelevant_chunks",
]
A, B, C = FIRST_KMER, FIRST_KMER + 1, FIRST_KMER + 2  # markers of genus 0, 1 and 2
X = FIRST_KMER + 100  # says nothing

# Genera 0 and 1 are of kingdom 0, genus 2 of kingdom 1. A blank sequence is genus 2.
SEQUENCES = [[CLS, A, A, B, B, B], [CLS, C, C, C, A, A], [CLS, B, X], [CLS, C, C, A]]
LABELS = [[0, 0], [1, 2], [0, 1], [0, 0]]
MASKS = [
    [0.5, 0.9, 0.8, 0.3, 0.2, 0.1],
    [0.0, 0.4, 0.6, 0.2, 0.7, 0.6],
    [0.9, 0.9, 0.9],
    [1.0, 0.5, 0.5, 0.6],
]
# What the Counter says, with each marker weighted by the square of its mask (embedding and last
# hidden state), as genera of the four sequences:
#   plain            B3>A2: 1      C3>A2: 2           B: 1         C2>A1: 2
#   masks            A1.45>B.14: 0 C.56<A.85: 0       B.81: 1      C.50>A.36: 2
#   inverted         A.05<B1.94: 1 C1.16>A.25: 2      B.01: 1      C.50>A.16: 2
#   rounded          A2: 0         C1<A2: 0           B: 1         A1 (0.5 rounds to 0): 0
#   inverted rounded B3: 1         C2: 2              blank: 2     C2: 2
#   relevant chunks  AA: 0         C and AA: 0 (*)    BX: 1        A: 0
#   irrelevant       BBB: 1        C and C: 2         none         CC: 2
# (*) AA is the surer one, two thirds of its tokens and not half: <cls> counts.
EXPECTED = [  # kingdom, genus (per cent), sequences, left out
    [250 / 3, 200 / 3, 4, 0],  # kingdom: (2/3 + 1) / 2; genus: (0 + 1 + 1) / 3
    [100 / 3, 50, 4, 0],  # (2/3 + 0) / 2; (1/2 + 1 + 0) / 3
    [250 / 3, 200 / 3, 4, 0],
    [50, 200 / 3, 4, 0],  # (1 + 0) / 2; (1 + 1 + 0) / 3
    [200 / 3, 100 / 3, 4, 0],  # (1/3 + 1) / 2; (0 + 0 + 1) / 3
    [50, 200 / 3, 4, 0],
    [75, 50, 3, 1],  # (1/2 + 1) / 2; (0 + 1) / 2: genus 1 is not there
]
PREDICTED = [[0, 1], [1, 2], [0, 1], [1, 2]]
WRONG = [[0, 1], [0, 0], [1, 2], [0, 1]]
WRONG_MASKS = [[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1], [0, 0, 0], [0, 1, 1, 0]]


def counter():
    genus = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    kingdom = [[1, 1, 0], [0, 0, 1]]
    return Counter([kingdom, genus], [[0, 0.001], [0, 0, 0.001]])


def sequences(folder, order=(0, 1, 2, 3), batch_size=2, part=WHOLE):
    def pick(values):
        return [values[i] for i in order]

    file = write_tokens(
        folder / "tokens.arrow", pick(SEQUENCES), pick(LABELS), [i + 7 for i in order], ranks=RANKS
    )
    classes = {"labels": pick(LABELS), "predicted": pick(PREDICTED), "wrong": pick(WRONG)}
    ones = [[1.0] * len(s) for s in SEQUENCES]
    masks = {"labels": pick(MASKS), "predicted": pick(ones), "wrong": pick(WRONG_MASKS)}
    write_masks(folder / "masks.parquet", file, classes, masks)
    read = MaskFile(folder / "masks.parquet", RANKS)
    return MaskedSequences(Passes(counter(), batch_size, CPU), file, read, seed=5, part=part)


def evaluation(folder, *args) -> Predictions:
    return sequences(folder, *args).answers()


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 3, 1, 0)])
def test_table_by_hand(tmp_path, order, batch_size):
    made = table(evaluation(tmp_path, order, batch_size), "labels")
    assert made.columns.tolist() == ["condition", *RANKS, "sequences", "left_out"]
    assert made["condition"].tolist() == CONDITIONS
    np.testing.assert_allclose(made[made.columns[1:]].to_numpy(float), EXPECTED, atol=1e-9)


def test_predictions_by_hand(tmp_path):
    made = sequences(tmp_path)
    mask = made.masks.masks["labels"]
    assert made.predict(mask)[:, 1].tolist() == [0, 0, 1, 2]
    assert made.predict(1 - mask)[:, 1].tolist() == [1, 2, 1, 2]
    assert made.predict(np.zeros_like(mask)).tolist() == [[1, 2]] * 4
    assert made.predict_chunks(mask, True)[:, 1].tolist() == [0, 0, 1, 0]
    assert made.predict_chunks(mask, False).tolist() == [[0, 1], [1, 2], [-1, -1], [1, 2]]


def test_what_becomes_of_a_mask():
    mask = np.array([[0, 0.25, 0.5, 0.5 + 2**-11, 1]], np.float32)
    made = {name: change(mask)[0].tolist() for name, change in MASK_CONDITIONS.items()}
    assert made == {
        "masks": mask[0].tolist(),
        "inverted_masks": [1, 0.75, 0.5, 0.5 - 2**-11, 0],
        "rounded_masks": [0, 0, 0, 1, 1],
        "inverted_rounded_masks": [1, 1, 1, 0, 0],
    }


def test_blocks_of_chunks_do_not_matter(tmp_path, monkeypatch):
    from whatyouread.evaluate import masked_predictions

    monkeypatch.setattr(masked_predictions, "CHUNK_BLOCK", 3)
    made = table(evaluation(tmp_path), "labels")
    np.testing.assert_allclose(made[made.columns[1:]].to_numpy(float), EXPECTED, atol=1e-9)


def test_masks_chosen_by_predictions(tmp_path):
    made = table(evaluation(tmp_path), "predicted").set_index("condition")  # masks of ones
    for condition in ("masks", "rounded_masks"):
        np.testing.assert_allclose(made.loc[condition, RANKS].tolist(), EXPECTED[0][:2])
    blank = [50, 100 / 3]
    np.testing.assert_allclose(made.loc["inverted_masks", RANKS].tolist(), blank)
    assert made.loc["irrelevant_chunks", ["sequences", "left_out"]].tolist() == [0, 4]
    assert made.loc["irrelevant_chunks", RANKS].isna().all()
    assert made.loc["relevant_chunks", "sequences"] == 4


CONTROLS = ["shuffled", "shifted", "other_sequence", "position_mean", "constant"]


@pytest.fixture
def control_rows(tmp_path):
    return controls(evaluation(tmp_path), np.array(WRONG))


def test_every_control_is_there_in_every_condition(control_rows):
    found = list(
        control_rows[["classes", "control", "condition"]].itertuples(index=False, name=None)
    )
    masked = CONDITIONS[1:5]
    expected = [("predicted", "none", condition) for condition in CONDITIONS]
    for classes in ("labels", "predicted"):
        expected += [(classes, c, condition) for c in CONTROLS for condition in masked]
    for name in ("wrong_class", "wrong_class_steering"):
        expected += [("wrong", name, condition) for condition in masked]
    assert found == expected
    names = ["classes", "control", "condition", *RANKS, "sequences", "left_out"]
    names += [f"sequences_{rank}" for rank in RANKS]
    assert control_rows.columns.tolist() == names


def test_controls_by_hand(control_rows):
    rows = control_rows.set_index(["classes", "control", "condition"])[RANKS]
    # A constant mask scales all that is read: the plain answer, wherever it does not round to zero.
    # The means without <cls> are 0.46, 0.5, 0.9, 0.53: sequences 0 and 1 round to nothing.
    np.testing.assert_allclose(rows.loc["labels", "constant", "masks"], EXPECTED[0][:2])
    np.testing.assert_allclose(rows.loc["labels", "constant", "inverted_masks"], EXPECTED[0][:2])
    rounded = [[1, 2], [1, 2], [0, 1], [1, 2]]
    np.testing.assert_allclose(rows.loc["labels", "constant", "rounded_masks"], of(rounded))
    # moving masks of ones changes nothing
    for control in ("shuffled", "shifted", "position_mean", "constant", "other_sequence"):
        np.testing.assert_allclose(rows.loc["predicted", control, "masks"], EXPECTED[0][:2])
        np.testing.assert_allclose(rows.loc["predicted", control, "inverted_masks"], [50, 100 / 3])


def of(predicted, truth=LABELS, counts=lambda row, rank: True):
    """Balanced accuracies in per cent by plain loops, of the sequences that count."""
    result = []
    for rank in range(2):
        rows = [i for i in range(len(truth)) if counts(i, rank)]
        recalls = []
        for label in {truth[i][rank] for i in rows}:
            own = [i for i in rows if truth[i][rank] == label]
            recalls.append(sum(predicted[i][rank] == label for i in own) / len(own))
        result.append(100 * sum(recalls) / len(recalls) if recalls else float("nan"))
    return result


def is_wrong(row, rank):
    return WRONG[row][rank] != LABELS[row][rank]


def test_wrong_masks_are_judged_twice(control_rows):
    rows = control_rows.set_index(["control", "condition"])[RANKS]
    # the mask leaves B of sequence 0, A of 1, nothing of 2 and C of 3
    answers = [[0, 1], [0, 0], [1, 2], [1, 2]]
    inverted = [[0, 0], [1, 2], [0, 1], [0, 0]]
    # the wrong genera of sequences 0 and 3 are of the true kingdom: 1 and 2 count there
    assert [[is_wrong(i, rank) for i in range(4)] for rank in (0, 1)] == [
        [False, True, True, False],
        [True, True, True, True],
    ]
    assert of(answers, WRONG, is_wrong) == pytest.approx([100, 250 / 3])
    assert of(answers, LABELS, is_wrong) == [0, 0]
    assert of(inverted, LABELS, is_wrong)[0] == 100
    for made, conditions in (
        (answers, ("masks", "rounded_masks")),
        (inverted, ("inverted_masks", "inverted_rounded_masks")),
    ):
        for condition in conditions:
            for name, truth in (("wrong_class", LABELS), ("wrong_class_steering", WRONG)):
                got = rows.loc[(name, condition)].tolist()
                assert got == pytest.approx(of(made, truth, is_wrong))


def test_the_sequences_that_count_at_a_rank_stand_beside(control_rows):
    wrong = control_rows["classes"] == "wrong"
    counts = control_rows[["sequences", "sequences_rank0", "sequences_rank1", "left_out"]]
    assert (counts[wrong] == [4, 2, 4, 0]).all(axis=None)
    others = counts[~wrong]
    for rank in RANKS:
        assert others[f"sequences_{rank}"].equals(others["sequences"])


@pytest.mark.parametrize("seed", range(6))
def test_a_class_is_wrong_at_each_rank_by_itself(seed):
    """Random lineages, labels, wrong classes and predictions, against plain loops."""
    generator = np.random.default_rng(seed)
    n = 40
    parent = np.arange(7) % (1 + seed % 3)  # with seeds 0 and 3 there is one kingdom

    def lineages(genera):
        return np.stack([parent[genera], genera], axis=1)

    labels = generator.integers(0, 7, n)
    wrong = lineages((labels + generator.integers(1, 7, n)) % 7)
    labels = lineages(labels)
    answers = {case: lineages(generator.integers(0, 7, n)) for case in CASES}
    made = Predictions(pa.array(["x"] * n), np.arange(n), RANKS, labels, answers)
    rows = controls(made, wrong)
    rows = rows[rows["classes"] == "wrong"].set_index(["control", "condition"])
    for condition in MASK_CONDITIONS:
        said = answers[Case("wrong", "wrong_class", condition)].tolist()
        for name, truth in (("wrong_class", labels), ("wrong_class_steering", wrong)):
            expected = of(said, truth.tolist(), lambda i, r: wrong[i, r] != labels[i, r])
            got = rows.loc[(name, condition), RANKS].astype(float).tolist()
            assert got == pytest.approx(expected, nan_ok=True)
            assert np.isnan(got[0]) == (seed % 3 == 0)
            assert rows.loc[(name, condition), "sequences_rank1"] == n


def test_written_and_read_back(tmp_path):
    made = evaluation(tmp_path)
    pq.write_table(made.table(), tmp_path / "predictions.parquet")
    read = read_predictions(tmp_path / "predictions.parquet", RANKS)
    assert read.ids.to_pylist() == made.ids.to_pylist()
    assert read.keys.tolist() == made.keys.tolist()
    assert read.labels.tolist() == made.labels.tolist()
    assert read.answers.keys() == made.answers.keys()
    for case, classes in made.answers.items():
        assert read.answers[case].tolist() == classes.tolist(), case
    with pytest.raises(UserError, match=r"no column \w+_other"):
        read_predictions(tmp_path / "predictions.parquet", ["other"])


def test_parts_put_together_are_the_whole(tmp_path):
    whole = evaluation(tmp_path).table()
    parts = [sequences(tmp_path, part=Part(n, 3)).answers().table() for n in (1, 2, 3)]
    assert [len(part) for part in parts] == [1, 1, 2]
    assert pa.concat_tables(parts).equals(whole)


def test_masks_of_other_sequences_are_refused(tmp_path):
    made = sequences(tmp_path)
    other = write_tokens(tmp_path / "other.arrow", SEQUENCES[:3], LABELS[:3], ranks=RANKS)
    with pytest.raises(UserError, match=r"other\.arrow"):
        MaskedSequences(made.passes, other, made.masks, seed=5)


def test_real_models_in_any_batch_and_any_order(tmp_path):
    """The same predictions, so the same tables, whatever the batch size and order of sequences."""
    sequences, labels, keys = random_sequences(30, seed=4)
    order = np.random.default_rng(0).permutation(30)
    files = [
        write_tokens(tmp_path / "a.arrow", sequences, labels, keys),
        write_tokens(
            tmp_path / "b.arrow", [sequences[i] for i in order], labels[order], keys[order]
        ),
    ]
    explanandum, explainer = small_explanandum(), small_explainer()
    tables = []
    for file, batch_size in ((files[0], 4), (files[0], 64), (files[1], 7)):
        path = file.path.with_suffix(".parquet")
        passes = Passes(explanandum, batch_size, CPU)
        if not path.exists():
            generate_masks(explainer, passes, file, path, seed=2)
        masks = MaskFile(path, file.ranks)
        made = MaskedSequences(passes, file, masks, seed=2).answers()
        tables.append((table(made, "labels"), controls(made, masks.classes["wrong"])))
    for other in tables[1:]:
        for one, two in zip(tables[0], other, strict=True):
            pd.testing.assert_frame_equal(one, two)
    first = tables[0][0]
    assert first["genus"].nunique() > 3  # or agreement would be cheap


PAPER = "condition\trank0\trank1\tother\nexplanandum\t98.5\t90\t1\nmasks\t97.25\t\t2\n"


def test_beside_the_papers_values(tmp_path):
    paper = tmp_path / "paper.tsv"
    paper.write_text(PAPER)
    made = beside_paper(table(evaluation(tmp_path), "labels"), RANKS, paper)
    assert made["condition"].tolist() == CONDITIONS
    names = ["condition", *RANKS, "sequences", "left_out", "paper_rank0", "paper_rank1"]
    assert made.columns.tolist() == names
    assert made["paper_rank0"].tolist()[:2] == [98.5, 97.25]
    assert made["paper_rank1"][0] == 90
    assert made["paper_rank1"][1:].isna().all()
    assert made["paper_rank0"][2:].isna().all()
    np.testing.assert_allclose(made[RANKS].to_numpy(), np.array(EXPECTED)[:, :2])


def test_a_rank_the_paper_does_not_have(tmp_path):
    paper = tmp_path / "paper.tsv"
    paper.write_text("condition\trank1\nmasks\t50\n")
    made = beside_paper(table(evaluation(tmp_path), "labels"), RANKS, paper)
    assert made.columns.tolist()[-1] == "paper_rank1"
    assert "paper_rank0" not in made


def test_the_papers_table_in_resources_has_our_conditions(request):
    path = request.config.rootpath / "resources" / "paper" / "table1.tsv"
    table = pd.read_csv(path, sep="\t")
    assert table["condition"].tolist() == CONDITIONS
    assert table.columns.tolist()[:4] == ["condition", "superkingdom", "phylum", "genus"]
    assert table.notna().all(axis=None)


def test_written_with_two_decimals_and_nothing_for_nan(tmp_path):
    made = table(evaluation(tmp_path), "predicted")
    write_tsv(tmp_path / "table.tsv", made, float_format="%.2f")
    lines = (tmp_path / "table.tsv").read_text().splitlines()
    assert lines[1] == "explanandum\t83.33\t66.67\t4\t0"
    assert lines[-1] == "irrelevant_chunks\t\t\t0\t4"


def test_markdown(tmp_path):
    paper = tmp_path / "paper.tsv"
    paper.write_text(PAPER)
    made = sequences(tmp_path)
    beside = beside_paper(table(made.answers(), "labels"), RANKS, paper)
    text = markdown(beside, RANKS, made.masks)
    lines = text.splitlines()
    start = lines.index("|  | rank0 | rank1 | sequences |")
    assert lines[start + 1] == "| --- | --- | --- | --- |"
    assert lines[start + 2] == "| explanandum | 83.33 (98.50) | 66.67 (90.00) | 4 |"
    assert lines[start + 3] == "| masks | 33.33 (97.25) | 50.00 | 4 |"
    assert lines[start + 8] == "| irrelevant chunks | 75.00 | 50.00 | 3 |"
    # without <cls>: 15 values, sum 2.3 + 2.5 + 1.8 + 1.6; above 0.5: 2 + 3 + 2 + 1
    assert "Mean of the masks 0.55 (paper: 0.73), above 0.5: 53.33 % (paper: 67.28 %)." in text


def test_markdown_of_nothing_shows_a_dash():
    table = pd.DataFrame(
        [{"condition": "irrelevant_chunks", "rank0": np.nan, "sequences": 0, "left_out": 1234}]
    )
    masks = SimpleNamespace(
        masks={"labels": np.array([[0.1, 0.9]], np.float32)}, content=np.array([[False, True]])
    )
    assert "| irrelevant chunks | – | 0 |" in markdown(table, ["rank0"], masks)


def test_missing_labels_by_hand(tmp_path):
    """The first and the last sequence lose a label: the table of `EXPECTED` without them."""
    made = evaluation(tmp_path)
    labels = made.labels.copy()
    labels[0, 1] = labels[3, 0] = -1
    made = dataclasses.replace(made, labels=labels)
    whole = table(made, "labels").set_index("condition")
    assert whole.columns.tolist() == [
        *RANKS, "sequences", "left_out", *(f"sequences_{rank}" for rank in RANKS)
    ]  # fmt: skip
    kept = np.array(LABELS) * (labels >= 0) - (labels < 0)
    for condition in CONDITIONS:
        predicted = made.answers[Case("labels", "none", condition)]
        row = whole.loc[condition]
        counted = (kept >= 0) & (predicted[:, :1] >= 0)
        for i, rank in enumerate(RANKS):
            recalls = [
                (predicted[counted[:, i] & (kept[:, i] == c), i] == c).mean()
                for c in set(kept[counted[:, i], i])
            ]
            assert row[rank] == pytest.approx(100 * np.mean(recalls)), condition
            assert row[f"sequences_{rank}"] == counted[:, i].sum()
        assert row["sequences"] == counted.any(1).sum()
    assert whole.loc["explanandum", [f"sequences_{rank}" for rank in RANKS]].tolist() == [3, 3]
    assert whole.loc["explanandum", "sequences"] == 4

    more = controls(made, np.array(WRONG))
    wrong = more[more["classes"] == "wrong"].iloc[0]
    # sequence 0 at the kingdom and 3 at the genus by label; wrong where the label is another
    expected = ((np.array(WRONG) != labels) & (labels >= 0)).sum(0)
    assert [wrong[f"sequences_{rank}"] for rank in RANKS] == expected.tolist()
    shuffled = more[more["control"] == "shuffled"].iloc[0]
    assert [shuffled[f"sequences_{rank}"] for rank in RANKS] == [3, 3]
    masks = sequences(tmp_path).masks
    text = markdown(beside_paper_of(tmp_path, whole.reset_index()), RANKS, masks)
    assert "not scored there" in text
    chunks = whole.loc["irrelevant_chunks"]
    counts = [chunks[f"sequences_{rank}"] for rank in RANKS]
    last = next(line for line in text.splitlines() if line.startswith("| irrelevant chunks"))
    shown = counts if len(set(counts)) > 1 else counts[:1]
    assert last.split("|")[-2].strip() == " / ".join(str(int(n)) for n in shown)


def test_without_the_papers_values_nothing_speaks_of_them(tmp_path):
    made = table(evaluation(tmp_path), "labels")
    masks = sequences(tmp_path).masks
    alone = markdown(beside_paper(made, RANKS, None), RANKS, masks)
    assert "paper" not in alone
    assert "in per cent on the test sequences." in alone
    paper = tmp_path / "paper.tsv"
    paper.write_text(f"condition\t{RANKS[0]}\nexplanandum\t12.25\n")
    beside = markdown(beside_paper(made, RANKS, paper), RANKS, masks)
    for shown in ("(12.25)", "(paper: 0.73)", "(paper: 67.28 %)"):
        assert shown in beside, shown
    numbers = [line.replace(" (12.25)", "") for line in beside.splitlines() if "|" in line]
    assert numbers == [line for line in alone.splitlines() if "|" in line]


def beside_paper_of(folder, made):
    """The table beside a paper without values."""
    paper = folder / "paper.tsv"
    paper.write_text("condition\nexplanandum\n")
    return beside_paper(made, RANKS, paper)


def test_sets_of_classes_written_read_back_and_scored(tmp_path):
    """A rank with one class beside one with sets: columns, scores by hand, and controls."""
    generator = np.random.default_rng(0)
    n, ranks = 30, ["topic", "register"]
    labels = np.stack([generator.integers(0, 3, n), generator.integers(0, 8, n)], 1)
    labels[3, 1] = -1
    answers, said = {}, {}
    for case in CASES:
        p = np.round(generator.random((n, 3)), 1).astype(np.float32)
        answers[case] = np.stack([generator.integers(0, 3, n), sets_of(p > 0.5)], 1)
        said[case] = {1: p}
    chunks = Case("labels", "none", "irrelevant_chunks")
    answers[chunks][:5] = -1
    made = Predictions(
        pa.array(["x"] * n), np.arange(n), ranks, labels, answers, [SINGLE, MULTIPLE], said
    )
    pq.write_table(made.table(), tmp_path / "predictions.parquet")
    read = read_predictions(tmp_path / "predictions.parquet", ranks)
    assert read.kinds == [SINGLE, MULTIPLE]
    assert read.labels.tolist() == labels.tolist()
    for case in CASES:
        assert read.answers[case].tolist() == answers[case].tolist()
        assert read.probabilities[case].keys() == {1}
        assert read.probabilities[case][1].tolist() == said[case][1].tolist()
    rows = table(read, "labels").set_index("condition")
    further = ["register_micro_f1", "register_average_precision"]
    assert set(rows) == {
        *ranks, *further, "sequences", "left_out", "sequences_topic", "sequences_register"
    }  # fmt: skip
    for condition in rows.index:
        case = Case("labels", "none", condition)
        there = (labels[:, 1] >= 0) & (answers[case][:, 1] >= 0)
        truth, guess = members(labels[there, 1], 3), members(answers[case][there, 1], 3)
        expected = [
            f1_score(truth, guess, average="macro"),
            f1_score(truth, guess, average="micro"),
            average_precision_score(truth, said[case][1][there]),
        ]
        found = rows.loc[condition, ["register", *further]].to_numpy(float)
        np.testing.assert_allclose(found, 100 * np.array(expected))
        assert rows.loc[condition, "sequences_register"] == there.sum()
    wrong = np.stack([(labels[:, 0] + 1) % 3, generator.integers(0, 8, n)], 1)
    made = controls(read, wrong)
    counts = made[made["control"] == "wrong_class"]["sequences_register"]
    disjoint = (wrong[:, 1] > 0) & (labels[:, 1] >= 0) & (wrong[:, 1] & labels[:, 1] == 0)
    assert counts.tolist() == [disjoint.sum()] * len(MASK_CONDITIONS)
