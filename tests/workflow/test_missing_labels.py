"""A whole tiny run in which many sequences lack a label at some level."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_workflow import JOBS, TINY, snakemake, write_config

from whatyouread.data.token_files import TokenFile

pytestmark = pytest.mark.slow

RANKS = ["superkingdom", "phylum", "genus"]
CONFIG = TINY | {
    "runs": {"number": 1},
    "attributions": TINY["attributions"] | {"methods": {"gradient_x_input": {}}},
    "class_explanations": TINY["class_explanations"] | {"sources": ["explainer_paper"]},
}
TARGETS = [
    "results/table1.tsv",
    "results/summary.md",
    "results/comparison.tsv",
    "results/steering.tsv",
    "results/class_explanations.tsv",
    "results/explainers/paper/localization.tsv",
    "results/explainers/paper/losses.tsv",
    *(f"results/explainers/paper/figures/{name}.svg" for name in ("confusion", "table1")),
    "results/explainers/paper/figures/sequences.html",
    "results/explainers/sharp/0/README.md",
]


def blank(path) -> pd.DataFrame:
    """Blank a third of the labels of each rank in a table of splits, never all of a sequence."""
    table = pq.read_table(path)
    labels = np.stack([table[rank].to_numpy() for rank in RANKS], 1).astype(np.int32)
    rng = np.random.default_rng(3)
    gone = rng.random(labels.shape) < 1 / 3
    gone[gone.all(1), rng.integers(len(RANKS))] = False
    labels[gone] = -1
    for i, rank in enumerate(RANKS):
        place = table.schema.get_field_index(rank)
        table = table.set_column(place, rank, pa.array(labels[:, i]))
    pq.write_table(table, path)
    frame = pd.DataFrame(labels, columns=RANKS)
    return frame.assign(split=table["split"].cast(pa.string()).to_pylist())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = write_config(tmp_path_factory.mktemp("missing"), CONFIG)
    splits = "results/split/splits.parquet"
    done = snakemake(folder, *JOBS, "--", splits)
    assert done.returncode == 0, done.stderr[-4000:]
    frame = blank(folder / splits)
    done = snakemake(folder, *JOBS, "--rerun-triggers", "mtime", "--", *TARGETS)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder, frame


def read(folder, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / "results" / name, sep="\t")


def test_every_level_counts_the_sequences_that_have_a_label(run):
    folder, frame = run
    test = frame[frame["split"] == "test"]
    labelled = (test[RANKS] >= 0).sum()
    assert (labelled < len(test)).all()
    names = [f"sequences_{rank}" for rank in RANKS]
    for explainer in ("paper", "sharp"):
        table = read(folder, f"explainers/{explainer}/table1.tsv")
        whole = table[table["condition"] != "irrelevant_chunks"].iloc[:5]
        assert (whole["sequences"] == len(test)).all()
        assert (whole[names].to_numpy() == labelled.to_numpy()).all()
        assert table[RANKS].iloc[:5].notna().all(axis=None)
        controls = read(folder, f"explainers/{explainer}/controls.tsv")
        wrong = controls[controls["classes"] == "wrong"][names]
        assert (wrong.to_numpy() <= labelled.to_numpy()).all()
        # the lowest wrong class is always wrong where the label is known
        assert (wrong["sequences_genus"] == labelled["genus"]).all()
    summary = " ".join((folder / "results/summary.md").read_text().split())
    assert f"(with a label: {' / '.join(map(str, labelled))})" in summary
    tokens = read(folder, "tokens/summary.tsv").set_index("file")
    assert tokens.loc["test", names].tolist() == labelled.tolist()
    train = (frame.loc[frame["split"] == "train", RANKS] >= 0).sum()
    assert tokens.loc["train", names].tolist() == train.tolist()
    file = TokenFile(folder / "results/tokens/test.arrow", RANKS)
    assert ((file.labels >= 0).sum(0) == labelled).all()


def test_scores_are_those_of_the_labelled_sequences(run):
    """Table 1's first row and the steering by hand, from the predictions."""
    folder, _ = run
    made = pq.read_table(folder / "results/explainers/paper/predictions.parquet").to_pandas()
    table = read(folder, "explainers/paper/table1.tsv").set_index("condition")
    for condition in ("explanandum", "rounded_masks"):
        for rank in RANKS:
            known = made[made[f"label_{rank}"] >= 0]
            right = known[f"{condition}_{rank}"] == known[f"label_{rank}"]
            recall = right.groupby(known[f"label_{rank}"]).mean()
            assert table.loc[condition, rank] == pytest.approx(100 * recall.mean(), abs=0.006)
    sample = TokenFile(folder / "results/attributions/sequences.arrow", RANKS)
    labelled = (sample.labels >= 0).sum(0)
    steering = read(folder, "steering.tsv")
    kept = steering[(steering["measure"] == "kept") & (steering["control"] == "none")]
    counts = kept.groupby(["yardstick", "rank"], sort=False)["n"].first()
    assert counts["accuracy"].tolist() == labelled.tolist()
    assert set(counts["fidelity"]) == {len(sample)}
    comparison = read(folder, "comparison.tsv")
    names = [f"sequences_{rank}" for rank in RANKS]
    assert comparison.loc[0, names].tolist() == labelled.tolist()


def test_the_mask_for_the_labels_is_of_the_labelled_levels(run):
    folder, _ = run
    masks = pq.read_table(folder / "results/explainers/paper/masks.parquet").to_pandas()
    complete = (masks[[f"label_{rank}" for rank in RANKS]] >= 0).all(axis=1)
    same = np.logical_and.reduce(
        [masks[f"label_{rank}"].isin([-1]) | (masks[f"label_{rank}"] == masks[f"predicted_{rank}"])
         for rank in RANKS]
    )  # fmt: skip
    # where the labels that are there are the predicted classes, fewer levels make a smaller maximum
    for own, predicted in masks.loc[same, ["mask_labels", "mask_predicted"]].to_numpy():
        assert (np.asarray(own) <= np.asarray(predicted)).all()
    for own, predicted in masks.loc[same & complete, ["mask_labels", "mask_predicted"]].to_numpy():
        assert np.array_equal(own, predicted)


def test_no_log_has_a_traceback(run):
    folder, _ = run
    for log in (folder / "logs").rglob("*.log"):
        assert "Traceback" not in log.read_text(), log.name
