import numpy as np
import pytest
from helpers_explain import Letters, made_up, random_text

from whatyouread.explain import intake
from whatyouread.explain.intake import Records, blocks
from whatyouread.explain.predictions import of_records, of_windows
from whatyouread.explain.windows import Layout
from whatyouread.models.levels import HeadLevel

LEVELS = [HeadLevel("phylum", 2), HeadLevel("domain", 1), HeadLevel("genus", 4)]


def test_the_first_and_the_second_class_of_each_level():
    said = np.array([[0.3, 0.7, 1.0, 0.1, 0.5, 0.3, 0.1], [0.5, 0.5, 1.0, 0.0, 0.2, 0.2, 0.6]])
    found = of_windows(said.astype(np.float32), LEVELS)
    assert found.classes[:, 0].tolist() == [[1, 0], [0, 1]]  # equal ones in their order
    assert found.classes[:, 1].tolist() == [[0, -1], [0, -1]]
    assert found.classes[:, 2].tolist() == [[1, 2], [3, 1]]
    np.testing.assert_allclose(found.probabilities[:, 2], [[0.5, 0.3], [0.6, 0.2]], atol=1e-7)
    assert np.isnan(found.probabilities[:, 1, 1]).all()


@pytest.mark.parametrize("block", [1, 4, 1000])
def test_a_record_is_the_mean_of_its_windows_by_their_bases(tmp_path, monkeypatch, block):
    monkeypatch.setattr(intake, "BLOCK", block)
    rng = np.random.default_rng(1)
    texts = ["NNN", random_text(rng, 333), "", random_text(rng, 4), random_text(rng, 61), "N"]
    kept = Records(tmp_path / "bases")
    records = [Letters(f"r{i}", text) for i, text in enumerate(texts)]
    line = np.frombuffer("".join(texts).encode(), np.uint8)
    windows = blocks(iter(records), Layout(60, 30, 6), kept)
    made = [made_up(one, line, classes=7) for one in windows]
    found = of_records(made, kept, LEVELS)
    for i in range(len(texts)):
        low, high = kept.starts[i], kept.starts[i + 1]
        own = [
            (stop - start, said)
            for one in made
            for start, stop, said in zip(
                one.windows.start, one.windows.stop, one.probabilities.astype(float), strict=True
            )
            if low <= start and stop <= high
        ]
        assert found.windows[i] == len(own)
        if not own:
            assert (found.classes[i] == -1).all()
            assert np.isnan(found.probabilities[i]).all()
            continue
        mean = sum(size * said for size, said in own) / sum(size for size, _ in own)
        expected = of_windows(mean[None], LEVELS)
        assert found.classes[i].tolist() == expected.classes[0].tolist()
        np.testing.assert_allclose(found.probabilities[i], expected.probabilities[0], atol=1e-6)
    assert (found.windows > 0).tolist() == [False, True, False, True, True, False]
    # what is asked for takes the place of what is predicted, but not where nothing was read
    explained = found.explained(np.array([-1, -1, 2]))
    assert explained[:, 2].tolist() == [-1, 2, -1, 2, 2, -1]
    assert explained[:, 0].tolist() == found.classes[:, 0, 0].tolist()


def test_no_record_at_all(tmp_path):
    found = of_records([], Records(tmp_path / "bases"), LEVELS)
    assert found.classes.shape == (0, 3, 2)
