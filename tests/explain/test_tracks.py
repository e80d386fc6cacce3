import io
import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pysam
import pytest

from whatyouread.explain import tracks
from whatyouread.explain.tracks import BedGraph, BigWig, intervals

pybigtools = pytest.importorskip("pybigtools", reason="there is no bigWig without pybigtools")
pyBigWig = pytest.importorskip("pyBigWig", reason="pyBigWig, the other reader, is not installed")
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SHORT = {"one": 1, "five": 5, "six": 6, "seven": 7, "none": 0, "all_n": 9, "long": 20}
NAMES = (
    "NC_000913.3",
    "a;b=c%d&e,f",
    "é|Ω~[x]",
    "x#y",
    '"quoted"',
    "'",
    "chr1",
    "-",
    ">",
    "ab" * 60,
)


def program(name):
    return pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed")


def random_values(generator, length):
    """Steps of values with gaps between."""
    values = np.repeat(generator.random(length), generator.integers(1, 8, length))[:length]
    gaps = np.repeat(generator.random(length) < 0.2, generator.integers(1, 8, length))[:length]
    return np.where(gaps, np.nan, values).astype(np.float32)


def expected_of(values, start=0):
    """Runs by a plain loop over bases, each value rounded by Python."""
    rounded = [None if np.isnan(v) else round(float(v), 3) for v in values]
    found, place = [], start
    for value, run in itertools.groupby(rounded):
        end = place + len(list(run))
        if value is not None:
            found.append((place, end, pytest.approx(value, abs=1e-7)))
        place = end
    return found


def write(kind, path, sizes, values, cuts=None):
    """Write the values of each sequence, cut into pieces of `cuts` bases."""
    with kind(path, sizes) as track:
        for name, own in values.items():
            step = cuts or max(len(own), 1)
            for i in range(0, len(own), step):
                track.add(name, *intervals(i, own[i : i + step]))
    return track


def read_big_wig(path, sizes):
    with pyBigWig.open(str(path)) as big:
        assert list(big.chroms().items()) == [i for i in sizes.items() if i[0] in big.chroms()]
        return {n: list(big.intervals(n) or ()) if n in big.chroms() else [] for n in sizes}


def read_bed_graph(path, sizes):
    with pysam.TabixFile(str(path), encoding="utf-8") as table:
        rows = [row.split("\t") for row in table.fetch(multiple_iterators=True)]
    assert {row[0] for row in rows} <= sizes.keys()
    return {
        name: [(int(a), int(b), float(v)) for own, a, b, v in rows if own == name] for name in sizes
    }


READERS = [(BigWig, "t.bw", read_big_wig), (BedGraph, "t.bedgraph.gz", read_bed_graph)]


def test_intervals_on_paper():
    values = np.array([np.nan, 0.5, 0.5004, 0.5006, np.nan, 0, 0, 1], np.float32)
    starts, ends, means = intervals(10, values)
    assert starts.tolist() == [11, 13, 15, 17]
    assert ends.tolist() == [13, 14, 17, 18]
    assert means.tolist() == np.array([0.5, 0.501, 0, 1], np.float32).tolist()
    assert means.dtype == np.float32


@pytest.mark.parametrize("values", [[], [np.nan], [np.nan, np.nan]])
def test_no_score_is_no_interval(values):
    assert all(len(column) == 0 for column in intervals(3, np.array(values, np.float32)))


def test_intervals_like_a_plain_loop():
    generator = np.random.default_rng(0)
    for length in range(1, 60):
        values = random_values(generator, length)
        assert list(zip(*intervals(7, values), strict=True)) == expected_of(values, 7)


@pytest.mark.parametrize(("kind", "file", "read"), READERS)
def test_what_another_reader_finds(tmp_path, kind, file, read):
    """First and last bases, gaps, and records shorter than a token."""
    generator = np.random.default_rng(1)
    values = {name: random_values(generator, length) for name, length in SHORT.items()}
    values |= {"all_n": np.full(9, np.nan, np.float32), "six": np.full(6, 0.25, np.float32)}
    values["one"][:] = 1
    values["seven"][:] = [0, np.nan, np.nan, 0, 0, np.nan, 0.001]
    assert write(kind, tmp_path / file, SHORT, values)
    found = read(tmp_path / file, SHORT)
    assert found == {name: expected_of(own) for name, own in values.items()}
    assert found["one"] == [(0, 1, 1)]
    assert found["six"] == [(0, 6, 0.25)]
    assert found["seven"] == [(0, 1, 0), (3, 5, 0), (6, 7, pytest.approx(0.001))]
    assert found["all_n"] == []


@pytest.mark.parametrize(("kind", "file", "read"), READERS)
def test_names_are_kept(tmp_path, kind, file, read):
    sizes = {name: 12 + i for i, name in enumerate(NAMES)}
    values = {name: np.full(length, 0.125, np.float32) for name, length in sizes.items()}
    write(kind, tmp_path / file, sizes, values)
    assert read(tmp_path / file, sizes) == {n: [(0, size, 0.125)] for n, size in sizes.items()}


def test_a_big_wig_tells_no_score_from_0(tmp_path):
    values = {"b": np.array([0, np.nan, 1] + [np.nan] * 5), "a": np.array([np.nan] * 7 + [0.5])}
    sizes = {"empty": 0, "b": 8, "unscored": 8, "a": 8}
    assert write(BigWig, tmp_path / "t.bw", sizes, values).written
    with pyBigWig.open(str(tmp_path / "t.bw")) as big:
        assert list(big.chroms().items()) == [("b", 8), ("a", 8)]
        for name, own in values.items():
            np.testing.assert_array_equal(big.values(name, 0, 8), own)
        assert big.stats("b", 0, 8, type="coverage") == [0.25]


@pytest.mark.parametrize("sizes", [{}, {"a": 0}, {"a": 6, "b": 3}])
def test_no_value_at_all(tmp_path, sizes):
    path = tmp_path / "t.bw"
    path.write_text("of an earlier run")
    assert not write(BigWig, path, sizes, {}).written
    assert not path.exists()
    graph = tmp_path / "t.bedgraph.gz"
    write(BedGraph, graph, sizes, {})
    with pysam.TabixFile(str(graph)) as table:
        assert table.contigs == []
        assert list(table.fetch()) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == [graph.name, f"{graph.name}.tbi"]


@pytest.mark.parametrize("kind", [BigWig, BedGraph])
def test_equal_bytes_wherever_the_pieces_are_cut(tmp_path, monkeypatch, kind):
    generator = np.random.default_rng(2)
    sizes = {"x": 5_000, "y": 1, "z": 3_000}
    values = {name: random_values(generator, length) for name, length in sizes.items()}
    made = set()
    for i, cuts in enumerate((None, None, 1, 7, 999)):
        if cuts == 7:  # also where many pieces are kept, and where few are
            monkeypatch.setattr(tracks, "_ROWS", 10)
        path = tmp_path / str(i) / "t.bw"
        write(kind, path, sizes, values, cuts)
        files = sorted(path.parent.iterdir())
        assert len(files) == (1 if kind is BigWig else 2)
        made.add(tuple(file.read_bytes() for file in files))
    assert len(made) == 1


@pytest.mark.parametrize("kind", [BigWig, BedGraph])
def test_equal_neighbours_of_two_calls_are_one(tmp_path, kind):
    read = read_big_wig if kind is BigWig else read_bed_graph
    with kind(tmp_path / "t.bw", {"a": 9, "b": 9}) as track:
        track.add("a", [0], [3], [0.5])
        track.add("a", [], [], [])
        track.add("a", [3, 6], [6, 9], [0.5, -0.0])
        track.add("b", [0, 4], [3, 5], [0, 0])  # neither over a border nor over a gap
    found = read(tmp_path / "t.bw", {"a": 9, "b": 9})
    assert found == {"a": [(0, 6, 0.5), (6, 9, 0)], "b": [(0, 3, 0), (4, 5, 0)]}


BAD = {
    "unknown name": [("c", [0], [1], [1])],
    "before the first base": [("a", [-1], [1], [1])],
    "after the last base": [("a", [5], [10], [1])],
    "of the sequence before": [("b", [0], [1], [1]), ("a", [0], [1], [1])],
    "empty": [("a", [3], [3], [1])],
    "backwards": [("a", [3], [2], [1])],
    "overlapping": [("a", [0, 2], [3, 5], [1, 1])],
    "overlapping the call before": [("a", [0], [3], [1]), ("a", [2], [5], [1])],
    "unsorted": [("a", [4, 0], [5, 1], [1, 1])],
    "no number": [("a", [0], [1], [np.nan])],
    "infinite": [("a", [0], [1], [np.inf])],
    "unequal columns": [("a", [0, 1], [1, 2], [1])],
}


def added(kind, path, calls, error=None):
    with kind(path, {"a": 9, "b": 9}) as track:
        for call in calls:
            track.add(*call)
        if error is not None:
            raise error


@pytest.mark.parametrize("kind", [BigWig, BedGraph])
@pytest.mark.parametrize("calls", BAD.values(), ids=BAD)
def test_what_does_not_fit_is_refused_before_the_writer(tmp_path, kind, calls):
    (tmp_path / "t").write_text("before")
    with pytest.raises(ValueError, match=repr(calls[-1][0])):
        added(kind, tmp_path / "t", calls)
    assert [path.name for path in tmp_path.iterdir()] == ["t"]
    assert (tmp_path / "t").read_text() == "before"


@pytest.mark.parametrize("kind", [BigWig, BedGraph])
def test_a_failure_in_the_block_is_no_failure_of_the_disk(tmp_path, kind):
    with pytest.raises(RuntimeError, match="memory"):
        added(kind, tmp_path / "t", [("a", [0], [1], [1])], RuntimeError("out of memory"))
    assert not list(tmp_path.iterdir())


@program("tabix")
def test_tabix_finds_the_first_and_the_last_base(tmp_path):
    path = tmp_path / "t.bedgraph.gz"
    values = np.full(100_000, np.nan, np.float32)
    values[[0, 50_000, 99_999]] = [0.1, 0.2, 0.3]
    write(BedGraph, path, {"a": 100_000}, {"a": values})
    for region, line in (
        ("a:1-1", "a\t0\t1\t0.1\n"),
        ("a:2-50000", ""),
        ("a:50001-50001", "a\t50000\t50001\t0.2\n"),
        ("a:50002-99999", ""),
        ("a:100000-100000", "a\t99999\t100000\t0.3\n"),
    ):
        done = subprocess.run(["tabix", path, region], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == (line, "")


def test_a_sequence_too_long_for_tbi_has_a_csi_index(tmp_path):
    path, length = tmp_path / "t.bedgraph.gz", (1 << 29) + 10
    path.with_name(f"{path.name}.tbi").write_text("of an earlier run")
    with BedGraph(path, {"a": length}) as track:
        track.add("a", [0, length - 1], [1, length], [0.5, 0.75])
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, f"{path.name}.csi"]
    with pysam.TabixFile(str(path), index=f"{path}.csi") as table:
        rows = list(table.fetch("a", length - 1, length))
    assert rows == [f"a\t{length - 1}\t{length}\t0.75"]


def test_more_sequences_than_a_big_wig_holds(tmp_path, monkeypatch, caplog):
    sizes = {f"read{i * 7 % 30}": 40 for i in range(30)}
    generator = np.random.default_rng(3)
    values = {name: random_values(generator, 40) for name in sizes}
    monkeypatch.setattr(tracks, "_ROWS", 7)
    monkeypatch.setattr(tracks, "MOST_IN_BIGWIG", 30)
    write(BigWig, tmp_path / "t.bw", sizes, values)
    assert not caplog.records
    found = read_big_wig(tmp_path / "t.bw", sizes)
    assert found == {name: expected_of(own) for name, own in values.items()}
    monkeypatch.setattr(tracks, "MOST_IN_BIGWIG", 29)
    assert not write(BigWig, tmp_path / "t.bw", sizes, values).written
    assert not list(tmp_path.iterdir())
    assert "29 sequences at most, and these are 30" in caplog.text


def test_values_seen_from_afar_are_those_of_the_whole(tmp_path):
    """Summaries of all sizes, to the last base of each sequence; see the comment at `BigWig`."""
    generator = np.random.default_rng(4)
    sizes = {"b": 200_000, "a": 150_001}
    values = {name: random_values(generator, length) for name, length in sizes.items()}
    write(BigWig, tmp_path / "t.bw", sizes, values, 4_096)
    with pybigtools.open(str(tmp_path / "t.bw")) as big:
        assert len(big.zooms()) > 1
        for zoom, name in itertools.product(big.zooms(), sizes):
            bases = values[name].astype(np.float64)
            for start, end, summary in big.zoom_records(zoom, name):
                part = bases[start:end][~np.isnan(bases[start:end])]
                assert abs(summary["bases_covered"] - len(part)) <= 20
                mean = summary["sum"] / summary["bases_covered"]
                assert mean == pytest.approx(part.mean(), abs=20 / (20 + len(part)))
            assert end >= np.flatnonzero(~np.isnan(bases))[-1]


@pytest.mark.parametrize("error", [SystemExit(143), KeyboardInterrupt(), OSError(28, "full")])
def test_an_interruption_while_the_library_writes_is_not_lost(tmp_path, monkeypatch, error):
    class Spool(io.BytesIO):
        def read(self, size):
            raise error

    monkeypatch.setattr(tracks.tempfile, "TemporaryFile", lambda **_: Spool())
    with pytest.raises(type(error)) as raised:
        write(BigWig, tmp_path / "t.bw", {"a": 3}, {"a": np.zeros(3)})
    assert raised.value is error
    assert not list(tmp_path.iterdir())


LIMITED = """
import resource, signal, sys
import numpy as np
from whatyouread.explain import tracks
values = np.random.default_rng(0).random(100_000)
with getattr(tracks, sys.argv[1])(sys.argv[2], {"a": 100_000}) as track:
    track.add("a", *tracks.intervals(0, values))
    if sys.argv[1] == "BigWig":
        track._flush()  # the spool, which is larger than the file, shall not be what stops
        track._spool.flush()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), -1))
"""


@pytest.mark.parametrize("bytes_", [100, 200_000, 550_000])
@pytest.mark.parametrize("kind", ["BigWig", "BedGraph"])
def test_a_full_disk(tmp_path, kind, bytes_):
    command = [sys.executable, "-c", LIMITED, kind, tmp_path / "t.bw", str(bytes_)]
    done = subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.search(r"UserError: .* could not be written|Errno 27", done.stderr), done.stderr
    assert not list(tmp_path.iterdir())


def test_without_its_library_there_is_no_bigwig_and_a_warning(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    path = tmp_path / "a.bw"
    path.write_bytes(b"old")
    with BigWig(path, {"a": 9}) as track:
        track.add("a", np.array([0]), np.array([9]), np.array([0.5], np.float32))
    assert not track.written
    assert not path.exists()
    assert "a.bw is not written: pybigtools is not installed" in caplog.text
