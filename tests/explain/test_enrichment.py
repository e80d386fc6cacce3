import numpy as np
import pytest
from scipy.stats import kstest

from whatyouread.explain import enrichment
from whatyouread.explain.annotation import GENES, TYPES, from_features, kind_of
from whatyouread.explain.enrichment import SHORTEST_GENE, MaskOnFeatures


def feature(kind, start, end, name="", strand="+", product=""):
    return kind, start, end, strand, name, product


def random_features(generator, length, n):
    kinds = ("CDS", "tRNA", "rRNA", "gene", "repeat_region", "region", "pseudogene", "snoRNA")
    starts = generator.integers(0, length, n)
    ends = np.minimum(starts + generator.integers(1, length // 3 + 2, n), length)
    return [
        feature(kinds[generator.integers(len(kinds))], int(a), int(b))
        for a, b in zip(starts, ends, strict=True)
    ]


def random_mask(generator, length, gaps=0.2):
    values = generator.random(length)
    values[generator.random(length) < gaps] = np.nan
    return values.astype(np.float32)


def covered(features, length):
    """type -> bool (length,), base by base."""
    under = {kind: np.zeros(length, bool) for kind in (*TYPES[:-1], "gene")}
    for own, start, end, *_ in features:
        if kind_of(own):
            under[kind_of(own)][start:end] = True
    free = ~np.any(list(under.values()), axis=0)
    under["intergenic"] = free
    return {kind: on for kind, on in under.items() if on.any() and kind != "gene"}


def by_hand(sequences, permutations, seed):
    """The table by np.roll; sequences: (features, values)."""
    random = np.random.default_rng(seed)
    bases, mask, sums = 0, 0.0, {}
    for features, values in sequences:
        scored = ~np.isnan(values)
        own = values[scored].astype(np.float64)
        moves = random.integers(0, max(len(own), 1), permutations)
        bases, mask = bases + len(own), mask + own.sum()
        for kind, on in covered(features, len(values)).items():
            on = on[scored]
            part = sums.setdefault(kind, [0, 0.0, 0.0, np.zeros(permutations)])
            part[0] += on.sum()
            part[1] += own[on].sum()
            part[2] += np.mean([np.roll(own, i)[on].sum() for i in range(len(own))] or [0])
            part[3] += [np.roll(own, move)[on].sum() for move in moves]
    rows = {}
    for kind, (n, total, mean, moved) in sums.items():
        if not n:  # nothing of it is scored
            rows[kind] = None
            continue
        far = np.abs(moved - mean) >= abs(total - mean) - 1e-9
        rows[kind] = {
            "share_of_bases": n / bases,
            "share_of_mask": total / mask,
            "mean_on": total / n,
            "mean_off": (mask - total) / (bases - n) if bases > n else np.nan,
            "enrichment": total / mask / (n / bases),
            "moved_mean": moved.mean() / mask / (n / bases),
            "moved_low": np.quantile(moved, 0.025) / mask / (n / bases),
            "moved_high": np.quantile(moved, 0.975) / mask / (n / bases),
            "p": (far.sum() + 1) / (permutations + 1),
        }
    return rows


def of(sequences, **options):
    named = {f"s{i}": from_features(features) for i, (features, _) in enumerate(sequences)}
    made = MaskOnFeatures(named, **options)
    for i, (_, values) in enumerate(sequences):
        made.add(f"s{i}", values)
    return made


@pytest.mark.parametrize("block", [1, 50, 1 << 20])
def test_the_table_like_a_plain_loop(monkeypatch, block):
    monkeypatch.setattr(enrichment, "_BLOCK", block)
    monkeypatch.setattr(enrichment, "_IN_MEMORY", 30)  # some in files
    generator = np.random.default_rng(0)
    for case in range(25):
        sequences = []
        for _ in range(generator.integers(1, 4)):
            length = int(generator.integers(1, 60))
            features = random_features(generator, length, int(generator.integers(0, 9)))
            sequences.append((features, random_mask(generator, length)))
        if all(np.isnan(values).all() for _, values in sequences):
            continue
        table = of(sequences, permutations=40, seed=case).table().set_index("type")
        expected = by_hand(sequences, 40, case)
        assert table.index.tolist() == [kind for kind in TYPES if kind in expected]
        for kind, row in expected.items():
            if row is None:
                assert table.loc[kind, "share_of_bases"] == 0
                assert np.isnan(table.loc[kind, "p"])
                continue
            found = table.loc[kind, list(row)].astype(float)
            np.testing.assert_allclose(found, list(row.values()), rtol=1e-9, atol=1e-9)


def test_all_moves_of_a_tiny_circle():
    """Worked out: mask 1, 2, 4 on bases 0 to 2, base 3 unscored; the tRNA lies on bases 0 and 3."""
    values = np.array([1, 2, 4, np.nan], np.float32)
    features = [feature("tRNA", 0, 1), feature("tRNA", 3, 4), feature("gene", 0, 2)]
    circle = enrichment._Circle(values, None)
    starts, ends = circle.places(np.array([0, 3])), circle.places(np.array([1, 4]))
    # moved by 0, 1, 2, base 0 gets the mask of base 0, 2, 1
    assert circle.sums(starts, ends, np.arange(3)).tolist() == [[1, 0], [4, 0], [2, 0]]
    table = of([(features, values)], permutations=3000).table().set_index("type")
    trna, free = table.loc["tRNA"], table.loc["intergenic"]
    assert trna["features"] == 2
    assert trna["share_of_bases"] == pytest.approx(1 / 3)
    assert trna["share_of_mask"] == pytest.approx(1 / 7)
    assert (trna["mean_on"], trna["mean_off"]) == (1, 3)
    assert trna["enrichment"] == pytest.approx(3 / 7)
    assert trna["moved_mean"] == pytest.approx(1, abs=0.03)
    assert (trna["moved_low"], trna["moved_high"]) == pytest.approx((3 / 7, 12 / 7))
    # 1 lies 4/3 from the mean of 7/3, and 4 lies 5/3 from it
    assert trna["p"] == pytest.approx(2 / 3, abs=0.03)
    # base 2 alone: base 3 is under a tRNA
    assert (free["features"], free["mean_on"]) == (1, 4)


@pytest.mark.parametrize("inverted", [False, True])
def test_a_mask_that_is_exactly_the_trnas(inverted):
    generator = np.random.default_rng(1)
    starts = np.sort(generator.choice(200, 12, replace=False)) * 100
    features = [feature("tRNA", int(a), int(a) + 76) for a in starts]
    features += [feature("gene", int(a), int(a) + 76) for a in starts]
    features += [feature("CDS", 100 * i, 100 * i + 90) for i in range(200) if 100 * i not in starts]
    values = np.zeros(20_000, np.float32)
    for a in starts:
        values[a : a + 76] = 1
    if inverted:
        values = 1 - values
    table = of([(features, values)], permutations=999).table().set_index("type")
    share = 12 * 76 / 20_000
    trna = table.loc["tRNA"]
    assert trna["share_of_bases"] == pytest.approx(share)
    assert trna["enrichment"] == pytest.approx(0 if inverted else 1 / share)
    assert trna["p"] == 1 / 1000
    assert trna["q"] == pytest.approx(3 / 1000)
    assert (trna["mean_on"], trna["mean_off"]) == ((0, 1) if inverted else (1, 0))
    assert table.index.tolist() == ["CDS", "tRNA", "intergenic"]


def test_random_tracks_have_uniform_p_values():
    """Tracks and features in runs, where a test that takes bases for independent finds too much."""
    generator = np.random.default_rng(2)
    length, kernel = 4_000, np.hanning(151)
    p = []
    for i in range(200):
        smooth = np.convolve(generator.normal(size=length + 150), kernel, "valid")
        values = (1 / (1 + np.exp(-smooth))).astype(np.float32)
        starts = np.sort(generator.choice(length - 300, 8, replace=False))
        features = [feature("CDS", int(a), int(a) + 300) for a in starts]
        p.append(of([(features, values)], permutations=199, seed=i).table()["p"][0])
    assert kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.04)


def test_a_constant_mask_is_no_enrichment():
    generator = np.random.default_rng(3)
    values = np.full(5_000, 0.3, np.float32)
    values[100:300] = np.nan
    table = of([(random_features(generator, 5_000, 20), values)], permutations=99).table()
    np.testing.assert_allclose(table["enrichment"], 1, rtol=1e-6)
    assert (table["p"] == 1).all()
    assert (table["q"] == 1).all()


@pytest.mark.parametrize("values", [np.full(100, np.nan), np.zeros(100)])
def test_nothing_to_compare(values):
    made = of([([feature("CDS", 0, 90)], values.astype(np.float32))], permutations=9)
    table = made.table()
    assert table["type"].tolist() == ["CDS", "intergenic"]
    assert table[["enrichment", "p", "q"]].isna().all(axis=None)
    assert len(made.genes()) == int(not np.isnan(values[0]))
    assert MaskOnFeatures({}).table().empty
    assert MaskOnFeatures({}).genes().empty


def test_q_values_are_those_of_benjamini_and_hochberg():
    generator = np.random.default_rng(4)
    from scipy.stats import false_discovery_control

    table = of(
        [(random_features(generator, 3_000, 12), random_mask(generator, 3_000))], permutations=99
    ).table()
    assert len(table) > 4
    np.testing.assert_allclose(table["q"], false_discovery_control(table["p"]))


def test_what_has_no_place_is_counted_and_said(caplog):
    features = [feature("CDS", 0, 100), feature("CDS", 50, 101), feature("tRNA", 200, 300)]
    made = MaskOnFeatures(
        {"a": from_features(features), "other": from_features([])}, permutations=9
    )
    made.add("a", np.ones(100, np.float32))
    made.add("unknown", np.ones(50, np.float32))
    table = made.table()
    assert table["type"].tolist() == ["CDS"]  # no base is left between genes
    assert table["features"].tolist() == [1]
    assert table["mean_off"].isna().all()
    assert (made.without, made.outside) == (1, 2)
    assert "1 sequences have no entry in the annotation" in caplog.text
    assert "1 annotated sequences were not explained: other" in caplog.text
    assert "2 features end outside of their sequence" in caplog.text


def test_the_best_genes_like_a_plain_loop():
    generator = np.random.default_rng(5)
    sequences = []
    for length in (900, 700):
        features = [
            feature(kind, int(a), int(a) + int(n), f"g{i}", "-+"[i % 2], f"p{i}")
            for i, (kind, a, n) in enumerate(
                zip(
                    generator.choice(["CDS", "gene", "tRNA", "repeat_region", "snoRNA"], 30),
                    generator.integers(0, length - 150, 30),
                    generator.integers(40, 150, 30),
                    strict=True,
                )
            )
        ]
        sequences.append((features, random_mask(generator, length)))
    table = of(sequences, permutations=50, seed=8, best=12).genes()
    random = np.random.default_rng(8)
    expected = []
    for s, (features, values) in enumerate(sequences):
        scored = ~np.isnan(values)
        own = values[scored].astype(np.float64)
        moves = random.integers(0, len(own), 50)
        for kind, start, end, strand, name, product in features:
            on = np.zeros(len(values), bool)
            on[start:end] = True
            on = on[scored]
            if kind_of(kind) not in GENES or on.sum() < SHORTEST_GENE:
                continue
            moved = np.array([np.roll(own, move)[on].mean() for move in moves])
            mean = own[on].mean()
            row = (f"s{s}", start + 1, end, strand, kind_of(kind), name, product, end - start)
            row += (on.sum(), mean, (mean - moved.mean()) / moved.std())
            expected.append((*row, ((moved >= mean - 1e-9).sum() + 1) / 51))
    expected.sort(key=lambda row: -row[9])
    assert len(expected) > 12
    assert len(table) == 12
    for found, row in zip(table.itertuples(index=False), expected[:12], strict=True):
        assert found[:9] == row[:9]
        np.testing.assert_allclose(found[9:], row[9:], rtol=1e-9)


def test_equal_seeds_give_equal_tables():
    generator = np.random.default_rng(6)
    case = [(random_features(generator, 500, 9), random_mask(generator, 500))]
    first, again, other = (of(case, permutations=99, seed=seed).table() for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)
