import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from helpers_batches import LETTERS, letters
from helpers_evaluation import (
    BACKBONE,
    CLASSES,
    CPU,
    KINGDOM_OF_GENUS,
    RANKS,
    random_file,
    random_sequences,
    small_explainer,
    small_explanandum,
    write_masks,
    write_tokens,
)

from whatyouread.data.tokenizers import TOKENIZERS
from whatyouread.explainers import generation as mask_generation
from whatyouread.explainers.generation import generate_masks
from whatyouread.explainers.network import Explainer
from whatyouread.masks import mask_files
from whatyouread.masks.choices import CHOICES, wrong_classes
from whatyouread.masks.mask_files import (
    MaskFile,
    lists,
    mask_blocks,
    matrix,
    read_masks,
    read_predicted_classes,
)
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes
from whatyouread.support.cli import UserError

HALF_ULP = 2**-11  # of float16 just below 1


def generate(explainer, explanandum, file, path, batch_size=5, seed=7, precision="fp32"):
    passes = Passes(explanandum, batch_size, CPU, precision)
    generate_masks(explainer, passes, file, path, seed=seed)
    return MaskFile(path, file.ranks)


@pytest.fixture(scope="module")
def models():
    return small_explainer(), small_explanandum()


@pytest.fixture(scope="module")
def made(tmp_path_factory, models):
    folder = tmp_path_factory.mktemp("masks")
    file = random_file(folder / "tokens.arrow", 23)
    return file, generate(*models, file, folder / "masks.parquet"), folder / "masks.parquet"


def one_by_one(explainer, file, classes):
    """The masks from the Explainer's masks of all classes, one sequence at a time."""
    for row in range(len(file)):
        with torch.no_grad():
            scores = explainer(file.batch(np.array([row])).to("cpu"))[0].numpy()
        columns = [
            classes[row, i] + sum(list(CLASSES.values())[:i]) for i in range(len(file.ranks))
        ]
        yield scores[:, columns].max(1)


@pytest.mark.parametrize("choice", CHOICES)
def test_masks_are_the_explainers_to_half_precision(made, models, choice):
    file, masks, _ = made
    for row, expected in enumerate(one_by_one(models[0], file, masks.classes[choice])):
        length = file.lengths[row]
        assert len(expected) == length
        np.testing.assert_allclose(masks.masks[choice][row, :length], expected, atol=HALF_ULP)
        assert (masks.masks[choice][row, length:] == 0).all()
    spread = masks.masks[choice]
    assert spread.dtype == np.float32
    assert spread.max() - spread[spread > 0].min() > 0.3  # or the comparison says nothing


def test_choices_differ(made):
    _, masks, _ = made
    assert (masks.masks["labels"] != masks.masks["wrong"]).any(1).mean() > 0.5


def test_lengths_keys_and_ids(made):
    file, masks, _ = made
    assert len(set(file.lengths)) > 3
    np.testing.assert_array_equal(masks.lengths, file.lengths)
    np.testing.assert_array_equal(masks.keys, file.keys)
    assert masks.ids.to_pylist() == file.ids.to_pylist()
    np.testing.assert_array_equal(masks.content, file.batch(np.arange(len(file))).content)
    assert len(masks) == len(file)
    masks.check_against(file)


def test_predicted_classes_are_the_explanandums(made, models):
    file, masks, _ = made
    for row in range(len(file)):
        with torch.no_grad():
            logits = models[1](file.batch(np.array([row])).to("cpu"))
        assert masks.classes["predicted"][row].tolist() == [int(rank.argmax()) for rank in logits]
    np.testing.assert_array_equal(masks.classes["labels"], file.labels)
    assert len(np.unique(masks.classes["predicted"], axis=0)) > 2


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_the_batch_size_does_not_matter(made, models, tmp_path, batch_size):
    file, masks, _ = made
    other = generate(*models, file, tmp_path / "masks.parquet", batch_size)
    for choice in CHOICES:
        np.testing.assert_array_equal(other.classes[choice], masks.classes[choice])
        np.testing.assert_allclose(other.masks[choice], masks.masks[choice], atol=2 * HALF_ULP)


def test_blocks_do_not_matter(made, models, tmp_path, monkeypatch):
    file, masks, _ = made
    monkeypatch.setattr(mask_generation, "BLOCK", 7)
    other = generate(*models, file, tmp_path / "masks.parquet")
    assert pq.ParquetFile(tmp_path / "masks.parquet").num_row_groups == 4
    assert other.ids.to_pylist() == masks.ids.to_pylist()
    for choice in CHOICES:
        np.testing.assert_array_equal(other.classes[choice], masks.classes[choice])
        np.testing.assert_allclose(other.masks[choice], masks.masks[choice], atol=2 * HALF_ULP)


def test_the_order_of_the_sequences_does_not_matter(models, tmp_path):
    sequences, labels, keys = random_sequences(15, seed=2)
    order = np.random.default_rng(0).permutation(15)
    plain = generate(
        *models, write_tokens(tmp_path / "a.arrow", sequences, labels, keys), tmp_path / "a.parquet"
    )
    permuted = generate(
        *models,
        write_tokens(
            tmp_path / "b.arrow", [sequences[i] for i in order], labels[order], keys[order]
        ),
        tmp_path / "b.parquet",
    )
    for choice in CHOICES:
        np.testing.assert_array_equal(permuted.classes[choice], plain.classes[choice][order])
        np.testing.assert_allclose(
            permuted.masks[choice], plain.masks[choice][order], atol=2 * HALF_ULP
        )


def test_the_same_call_gives_the_same_bytes(made, models, tmp_path):
    file, _, path = made
    generate(*models, file, tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()


def test_bf16_is_close(made, models, tmp_path):
    file, masks, _ = made
    other = generate(*models, file, tmp_path / "masks.parquet", precision="bf16")
    np.testing.assert_allclose(other.masks["labels"], masks.masks["labels"], atol=0.03)


def test_any_parquet_reader_reads_it(made):
    file, masks, path = made
    names = [f"{kind}_{rank}" for kind in ("label", "predicted", "wrong") for rank in RANKS]
    schema = pq.read_schema(path)
    masks_of = ["mask_labels", "mask_predicted", "mask_wrong"]
    assert schema.names == ["id", "key", *names, "content", *masks_of]
    assert schema.field("content").type.value_type == pa.bool_()
    assert schema.field("mask_wrong").type.value_type == pa.float16()
    frame = pd.read_parquet(path)
    assert frame["mask_labels"].map(len).tolist() == file.lengths.tolist()
    assert frame["label_genus"].tolist() == file.labels[:, 1].tolist()
    assert frame["content"][3].tolist() == [False] + [True] * (file.lengths[3] - 1)
    own = frame["mask_predicted"][3]
    assert own.dtype == np.float16
    np.testing.assert_array_equal(own, masks.masks["predicted"][3, : file.lengths[3]])


def test_a_file_of_the_documented_layout_is_read(tmp_path):
    file = write_tokens(tmp_path / "t.arrow", [[3, 9], [3, 9, 10]], [[0, 1], [1, 2]])
    classes = {choice: [[i, i + 1], [i + 2, i + 3]] for i, choice in enumerate(CHOICES)}
    values = {c: [[0.5, 0.25 * i], [1, 0, 0.125]] for i, c in enumerate(CHOICES)}
    write_masks(tmp_path / "m.parquet", file, classes, values)
    masks = MaskFile(tmp_path / "m.parquet", RANKS)
    for i, choice in enumerate(CHOICES):
        assert masks.classes[choice].tolist() == classes[choice]
        assert masks.masks[choice].tolist() == [[0.5, 0.25 * i, 0], [1, 0, 0.125]]
    assert masks.lengths.tolist() == [2, 3]
    assert masks.content.tolist() == [[False, True, False], [False, True, True]]


def lineages_of(n):
    return np.array([[KINGDOM_OF_GENUS[genus], genus] for genus in range(n)])


def test_wrong_classes_are_wrong_and_of_one_lineage():
    rng = np.random.default_rng(0)
    lineages = lineages_of(4)
    labels, predicted = lineages[rng.integers(0, 4, 3000)], lineages[rng.integers(0, 4, 3000)]
    keys = rng.integers(0, 2**63, 3000, dtype=np.uint64)
    wrong = wrong_classes(labels, predicted, keys, 0, lineages)
    assert (wrong[:, 1] != labels[:, 1]).all()
    assert (wrong[:, 1] != predicted[:, 1]).all()
    np.testing.assert_array_equal(wrong, lineages[wrong[:, 1]])
    # any of the others, about equally often
    first = (labels[:, 1] == 0) & (predicted[:, 1] == 0)
    shares = np.bincount(wrong[first, 1], minlength=4)[1:] / first.sum()
    np.testing.assert_allclose(shares, 1 / 3, atol=0.12)
    # each sequence has its own draw, by its key and the seed
    order = rng.permutation(3000)
    np.testing.assert_array_equal(
        wrong_classes(labels[order], predicted[order], keys[order], 0, lineages), wrong[order]
    )
    assert (wrong_classes(labels, predicted, keys, 1, lineages) != wrong).any()


def test_of_two_classes_the_wrong_one_is_the_other():
    lineages = lineages_of(2)
    labels, predicted = lineages[[0, 1, 0, 1]], lineages[[1, 0, 0, 1]]
    keys = np.arange(4, dtype=np.uint64)
    wrong = wrong_classes(labels, predicted, keys, 0, lineages)
    assert wrong[:, 1].tolist() == [1, 0, 1, 0]


def test_a_prediction_need_not_be_of_a_known_lineage():
    labels, predicted = np.array([[0, 0]]), np.array([[1, 1]])  # genus 1 is of kingdom 0
    wrong = wrong_classes(labels, predicted, np.array([5], np.uint64), 0, lineages_of(3))
    assert wrong.tolist() == [[1, 2]]


def test_one_class_only_is_refused_and_leaves_nothing(models, tmp_path):
    file = write_tokens(tmp_path / "t.arrow", [[3, 9], [3, 10]], [[0, 1], [0, 1]])
    with pytest.raises(UserError, match="one class only"):
        generate(*models, file, tmp_path / "masks.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["t.arrow"]


def test_masks_of_other_sequences_are_refused(made, tmp_path):
    file, masks, _ = made
    sequences = [file.batch(np.array([i])).ids[0].tolist() for i in range(len(file))]
    same = write_tokens(tmp_path / "same.arrow", sequences, file.labels, file.keys)
    masks.check_against(same)
    longer = write_tokens(
        tmp_path / "longer.arrow", [[*sequences[0], 9], *sequences[1:]], file.labels, file.keys
    )
    rekeyed = write_tokens(
        tmp_path / "keys.arrow", sequences, file.labels, file.keys + np.uint64(1)
    )
    fewer = write_tokens(tmp_path / "few.arrow", sequences[:-1], file.labels[:-1], file.keys[:-1])
    for other in (longer, rekeyed, fewer):
        with pytest.raises(UserError, match=str(other.path)):
            masks.check_against(other)


def test_damaged_missing_and_foreign_files_are_refused(made, tmp_path):
    _, _, path = made
    whole = path.read_bytes()
    damaged = tmp_path / "masks.parquet"
    for content in (b"", b"no Parquet at all, but long enough", whole[: len(whole) // 2]):
        damaged.write_bytes(content)
        with pytest.raises(UserError, match=r"masks\.parquet is damaged.*run again"):
            MaskFile(damaged, RANKS)
    with pytest.raises(UserError, match="is not there"):
        MaskFile(tmp_path / "nowhere.parquet", RANKS)
    with pytest.raises(UserError, match="no column label_species"):
        MaskFile(path, ["kingdom", "species"])


# Lists of any length, and matrices


@pytest.mark.parametrize("kind", [np.float16, np.float32, bool, np.int64])
def test_lists_of_a_matrix_and_back(kind):
    values = (np.arange(20).reshape(4, 5) % 7).astype(kind)
    lengths = np.array([3, 0, 5, 1])
    made = lists(values, lengths)
    assert made.to_pylist() == [row[:n].tolist() for row, n in zip(values, lengths, strict=True)]
    assert made.type.value_type == pa.from_numpy_dtype(kind)
    again, counted = matrix(made, kind)
    assert again.dtype == kind
    assert counted.dtype == np.int64
    assert counted.tolist() == [3, 0, 5, 1]
    np.testing.assert_array_equal(again, np.where(np.arange(5) < lengths[:, None], values, 0))


def test_a_matrix_of_some_of_the_lists():
    column = pa.array([[1.0], [2.0, 3.0, 4.0], [], [5.0, 6.0], [7.0]], pa.list_(pa.float32()))
    made, lengths = matrix(column.slice(2, 2), np.float32)
    assert made.tolist() == [[0, 0], [5, 6]]
    assert lengths.tolist() == [0, 2]


def test_a_matrix_of_no_lists_or_of_empty_ones():
    for rows in ([], [[], []]):
        made, lengths = matrix(pa.array(rows, pa.list_(pa.float32())), np.float32)
        assert made.shape == (len(rows), 1)
        assert not made.any()
        assert lengths.tolist() == [0] * len(rows)
    assert lists(np.zeros((0, 3)), np.zeros(0, np.int64)).to_pylist() == []


def test_a_file_of_masks_block_by_block(made, monkeypatch):
    _, masks, path = made
    monkeypatch.setattr(mask_files, "_BLOCK", 6)
    blocks = list(mask_blocks(path, "predicted"))
    assert [len(block) for block, _ in blocks] == [6, 6, 6, 5]
    first = 0
    for block, content in blocks:
        rows, width = slice(first, first + len(block)), block.shape[1]
        np.testing.assert_array_equal(block, masks.masks["predicted"][rows, :width])
        np.testing.assert_array_equal(content, masks.content[rows, :width])
        assert not masks.content[rows, width:].any()
        first += len(block)
    rows = np.array([2, 7, 22])
    read = read_masks(path, "predicted", rows)
    assert list(read) == rows.tolist()
    for row, values in read.items():
        own = masks.masks["predicted"][row, 1 : masks.lengths[row]]
        np.testing.assert_array_equal(values, own)


def test_blocks_of_what_is_no_file_of_masks(made, tmp_path):
    file, _, path = made
    with pytest.raises(UserError, match="is not there"):
        next(mask_blocks(tmp_path / "nowhere.parquet", "labels"))
    with pytest.raises(UserError, match="no column mask_other: it is no file of masks"):
        next(mask_blocks(path, "other"))
    cut = tmp_path / "masks.parquet"
    cut.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="is damaged"):
        next(mask_blocks(cut, "labels"))
    np.testing.assert_array_equal(
        read_predicted_classes(path, file), MaskFile(path, file.ranks).classes["predicted"]
    )


def test_masks_of_a_tokenizer_with_a_token_at_the_end(monkeypatch, tmp_path):
    """What is content goes with the masks: whoever reads them need not know the tokenizer."""
    monkeypatch.setitem(TOKENIZERS, "letters", LETTERS)
    batch = letters("abcde", "ab", "xyz")
    sequences = [row[:n].tolist() for row, n in zip(batch.ids, batch.lengths, strict=True)]
    labels = [[0, 0], [0, 1], [1, 2]]
    file = write_tokens(tmp_path / "t.arrow", sequences, labels, tokenizer=LETTERS)
    backbone = BACKBONE | {"vocab_size": len(LETTERS), "pad_token_id": LETTERS.pad}
    torch.manual_seed(0)
    explanandum = Explanandum(backbone, CLASSES, tokenizer="letters")
    explainer = Explainer(CLASSES, 6, 5, 1, gated=True, tokenizer="letters")
    masks = generate(explainer, explanandum, file, tmp_path / "m.parquet")
    np.testing.assert_array_equal(masks.content, batch.content)
    np.testing.assert_array_equal(masks.lengths, batch.lengths)
    special = batch.valid & ~batch.content
    for choice in CHOICES:
        assert (masks.masks[choice][special] == 1).all()
        assert not masks.masks[choice][~batch.valid].any()
    read = read_masks(tmp_path / "m.parquet", "labels", np.array([0, 1, 2]))
    assert [len(values) for values in read.values()] == [5, 2, 3]
