"""Whole runs of `explain_sequences` with small models, their files read by other readers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers_explain import complement, random_text
from helpers_nasty import NASTY, NASTY_FASTA
from helpers_saved import NAMES, write_models
from helpers_warm import python

from whatyouread.explain.run import Request, explain
from whatyouread.explain.scoring import Scorer
from whatyouread.report.explained import write_sample_page
from whatyouread.support.cli import UserError

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "explain_sequences.py"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_models(tmp_path_factory.mktemp("run"))


@pytest.fixture
def run(model, tmp_path):
    """(name of the output folder, FASTA as bytes, options) -> the summary."""

    def make(folder: str, text: bytes, page=None, **options) -> dict:
        path = tmp_path / "given.fa"
        path.write_bytes(text)
        request = {"sample": "s", "gap": 10, **options}
        return explain(Request(str(model), [str(path)], tmp_path / folder, **request), page)

    return make


def fasta(**sequences: str) -> bytes:
    return "".join(f">{name}\n{text}\n" for name, text in sequences.items()).encode()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def track(path: Path, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    """A bigWig as a value per base, NaN where there is none."""
    pybigtools = pytest.importorskip("pybigtools")

    made = {}
    with pybigtools.open(str(path)) as file:
        assert set(file.chroms()) <= set(sizes)
        for name, length in sizes.items():
            made[name] = np.full(length, np.nan)
            if name in file.chroms():
                assert file.chroms(name) == length
                for start, end, value in file.records(name, 0, length):
                    made[name][start:end] = value
    return made


def blended(folder: Path, sizes: dict[str, int], strands: str = "+-") -> dict[str, np.ndarray]:
    """The masks per base from `masks.parquet`, base by base, as docs/explain.md says."""
    sums = {name: np.zeros((2, 2, length)) for name, length in sizes.items()}
    for row in pq.read_table(folder / "s.masks.parquet").to_pylist():
        place, size = 0, row["end"] - row["start"]
        for width, mask in zip(row["bases"], row["mask"], strict=True):
            weight = min(place + width / 2, size - place - width / 2)
            for base in range(place, place + width):
                strand = "+-".index(row["strand"])
                where = row["end"] - 1 - base if strand else row["start"] + base
                sums[row["sequence"]][strand, :, where] += weight * mask, weight
            place += width
        assert place == size
    with np.errstate(invalid="ignore"):
        values = {name: own[:, 0] / own[:, 1] for name, own in sums.items()}
    rows = ["+-".index(strand) for strand in strands]
    return {name: own[rows].mean(0) for name, own in values.items()}


def test_twenty_nasty_records(run, tmp_path):
    import pysam

    summary = run("out", NASTY_FASTA, write_sample_page)
    folder, sizes = tmp_path / "out", {one.name: len(one.bases) for one in NASTY}
    read = summary["sequences"]
    assert (read["read"], read["explained"], read["no base"], read["empty"]) == (20, 18, 2, 1)
    for kind in ("lower", "uracil", "n", "ambiguous", "strange", "blank"):
        assert summary["bases"][kind] == sum(one.counts.get(kind, 0) for one in NASTY)
        assert read[f"with {kind}"] == sum(one.counts.get(kind, 0) > 0 for one in NASTY)
    scored = sum(len(one.bases) - one.bases.count("N") for one in NASTY)
    assert summary["bases"]["with a score"] == scored

    # one mask in four files
    values = track(folder / "s.mask.bw", sizes)
    expected = blended(folder, sizes)
    graph = {name: np.full(length, np.nan) for name, length in sizes.items()}
    with pysam.TabixFile(str(folder / "s.mask.bedgraph.gz"), encoding="utf-8") as file:
        for name in file.contigs:
            for line in file.fetch(name):
                _, start, end, value = line.split("\t")
                graph[name][int(start) : int(end)] = float(value)
    for one in NASTY:
        is_n = np.frombuffer(one.bases.encode(), "S1") == b"N"
        assert (np.isnan(values[one.name]) == is_n).all(), one.why
        np.testing.assert_allclose(
            values[one.name][~is_n], expected[one.name][~is_n], atol=0.0011, err_msg=one.why
        )
        np.testing.assert_array_equal(graph[one.name], values[one.name].round(3))

    # spans: of the mask, inside of their sequences, in both formats
    spans = pd.read_csv(
        folder / "s.spans.bed",
        sep="\t",
        header=None,
        quoting=3,
        dtype={0: str},
        keep_default_na=False,
    )
    for one in NASTY:
        own = spans[spans[0] == one.name]
        above = np.zeros(len(one.bases) + 2, bool)
        above[1:-1] = values[one.name] > 0.5
        assert own[1].tolist() == np.flatnonzero(above[1:] & ~above[:-1]).tolist()
        assert own[2].tolist() == np.flatnonzero(above[:-1] & ~above[1:]).tolist()
        for _, start, end, _, score in own.iloc[:, :5].itertuples(index=False):
            assert score == pytest.approx(1000 * values[one.name][start:end].mean(), abs=1)
    assert set(spans[3]) <= set(NAMES["genus"])
    gff = [line for line in (folder / "s.spans.gff3").read_text().splitlines() if line[0] != "#"]
    assert len(gff) == len(spans) == summary["spans"]
    for line, row in zip(gff, spans.itertuples(index=False), strict=True):
        assert [int(word) for word in line.split("\t")[3:5]] == [row[1] + 1, row[2]]

    # the sequences themselves
    with pysam.FastaFile(str(folder / "s.fa")) as file:
        assert list(file.references) == [one.name for one in NASTY if one.bases]
        for one in NASTY:
            assert not one.bases or file.fetch(one.name) == one.bases
    lines = (folder / "s.chrom.sizes").read_text().splitlines()
    assert lines == [f"{one.name}\t{len(one.bases)}" for one in NASTY]

    # predictions: a row per record and per window
    table = pd.read_csv(
        folder / "s.predictions.tsv", sep="\t", dtype={"sequence": str}, keep_default_na=False
    )
    whole = table[table["part"] == "sequence"]
    assert whole["sequence"].tolist() == [one.name for one in NASTY]
    assert whole["end"].tolist() == [len(one.bases) for one in NASTY]
    has_base = [bool(set(one.bases) & set("ACGT")) for one in NASTY]
    assert (whole["status"] == "explained").tolist() == has_base
    assert set(whole["status"][~np.array(has_base)]) == {"no base"}
    assert set(whole["genus"]) <= {*NAMES["genus"], ""}
    assert (whole["genus"] == "").tolist() == [not base for base in has_base]
    windows = table[table["part"] == "window"]
    assert windows.groupby("sequence").size().sum() == summary["windows"] == whole["windows"].sum()
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "20 sequences, " in page
    assert "<b>" not in page.replace("<body>", "")


def test_a_sequence_is_the_mean_of_its_windows_and_its_probability_runs_along_it(run, tmp_path):
    rng = np.random.default_rng(0)
    run("out", fasta(a=random_text(rng, 1300), b=random_text(rng, 40)))
    table = pd.read_csv(tmp_path / "out/s.predictions.tsv", sep="\t")
    [whole] = table[(table["part"] == "sequence") & (table["sequence"] == "a")].to_dict("records")
    windows = table[(table["part"] == "window") & (table["sequence"] == "a")]
    size = windows["end"] - windows["start"]
    of_class = np.where(
        windows["kingdom"] == whole["kingdom"],
        windows["kingdom_probability"],
        windows["kingdom_second_probability"],  # there are two
    )
    mean = (of_class * size).sum() / size.sum()
    assert whole["kingdom_probability"] == pytest.approx(mean, abs=2e-4)
    along = track(tmp_path / "out/s.probability_kingdom.bw", {"a": 1300, "b": 40})["a"]
    for place in (0, 149, 150, 151, 700, 1299):
        here = (windows["start"] <= place) & (place < windows["end"])
        assert along[place] == pytest.approx(of_class[here].mean(), abs=2e-4)


def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(run, tmp_path, monkeypatch):
    monkeypatch.setattr("whatyouread.explain.run.BLOCK", 8)
    rng = np.random.default_rng(1)
    text = fasta(a=random_text(rng, 4000), b="ACGTNN" * 3, c=random_text(rng, 700))
    run("whole", text, write_sample_page, batch_size=4)
    score, seen = Scorer.score, []

    def breaks(self, *given):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(1)
        return score(self, *given)

    monkeypatch.setattr(Scorer, "score", breaks)
    with pytest.raises(KeyboardInterrupt):
        run("parts", text, write_sample_page, batch_size=4)
    assert [path.name for path in (tmp_path / "parts").iterdir() if path.name[0] != "."] == []
    seen.clear()
    monkeypatch.setattr(Scorer, "score", lambda *given: seen.append(1) or score(*given))
    run("parts", text, write_sample_page, batch_size=4)
    windows = pq.read_table(tmp_path / "whole/s.masks.parquet").num_rows
    assert len(seen) == -(-windows // 8) - 3
    assert contents(tmp_path / "whole") == contents(tmp_path / "parts")


def test_other_settings_start_anew_and_so_does_restart(run, tmp_path, monkeypatch, caplog):
    text = fasta(a=random_text(np.random.default_rng(2), 900))
    work, calls, score = tmp_path / "work", [], Scorer.score

    def stop(*_):
        raise KeyboardInterrupt

    def counting(*given):
        calls.append(1)
        return score(*given)

    for options in ({"offsets": 2}, {"restart": True}):
        with monkeypatch.context() as patch:
            patch.setattr("whatyouread.explain.run._write", stop)
            with pytest.raises(KeyboardInterrupt):
                run("out", text, work_dir=work)
        with monkeypatch.context() as patch:
            patch.setattr(Scorer, "score", counting)
            run("out", text, work_dir=work, **options)
        assert calls, options
        calls.clear()
        assert not work.exists()
    assert "of another model or other settings: starting anew" in caplog.text


def test_the_reverse_complement_gives_the_mirrored_values(run, tmp_path):
    text = random_text(np.random.default_rng(3), 1003)
    run("one", fasta(a=text), offsets=3)
    run("other", fasta(a=complement(text)), offsets=3)
    sizes = {"a": 1003}
    one, other = (track(tmp_path / name / "s.mask.bw", sizes)["a"] for name in ("one", "other"))
    np.testing.assert_allclose(one, other[::-1], atol=0.0021)


def test_strands_apart_and_only_the_one_that_is_given(run, tmp_path):
    text = random_text(np.random.default_rng(4), 700)
    sizes = {"a": 700}
    run("apart", fasta(a=text), write_sample_page, strands="apart")
    for sign, name in (("+", "forward"), ("-", "reverse")):
        values = track(tmp_path / f"apart/s.mask_{name}.bw", sizes)["a"]
        expected = blended(tmp_path / "apart", sizes, sign)["a"]
        np.testing.assert_allclose(values, expected, atol=0.0011)
    strands = {line.split("\t")[5] for line in (tmp_path / "apart/s.spans.bed").open()}
    assert strands == {"+", "-"}
    run("forward", fasta(a=text), strands="forward")
    values = track(tmp_path / "forward/s.mask.bw", sizes)["a"]
    np.testing.assert_array_equal(values, track(tmp_path / "apart/s.mask_forward.bw", sizes)["a"])


def test_a_region_has_the_scores_that_it_has_in_the_whole(run, tmp_path):
    rng = np.random.default_rng(5)
    text = fasta(a=random_text(rng, 3000), b=random_text(rng, 500))
    everything = run("all", text)
    bed = tmp_path / "regions.bed"
    bed.write_text("b\t0\t10\n")
    summary = run("some", text, regions=["a:1,001-1,100", "a:2001-2001", str(bed)])
    sizes = {"a": 3000, "b": 500}
    whole, some = (track(tmp_path / name / "s.mask.bw", sizes) for name in ("all", "some"))
    asked = {name: np.zeros(length, bool) for name, length in sizes.items()}
    asked["a"][1000:1100] = asked["a"][2000] = asked["b"][:10] = True
    for name, own in asked.items():
        np.testing.assert_array_equal(whole[name][own], some[name][own])
        assert np.isnan(some[name][~own]).all()
    assert summary["bases"]["asked for"] == summary["bases"]["with a score"] == 111
    assert 0 < summary["windows"] < everything["windows"]
    with pytest.raises(UserError, match="no sequence called c"):
        run("none", text, regions=["c:1-2"])
    assert not [path for path in (tmp_path / "none").iterdir() if path.name[0] != "."]


def test_a_region_without_an_end_reaches_to_the_last_base(run, tmp_path):
    text = fasta(a=random_text(np.random.default_rng(7), 300), empty="")
    summary = run("out", text, regions=["a:291", "a:1-2"])
    assert summary["bases"]["asked for"] == 12
    values = track(tmp_path / "out/s.mask.bw", {"a": 300})["a"]
    assert np.flatnonzero(~np.isnan(values)).tolist() == [0, 1, *range(290, 300)]
    for region, said in (
        ("a:301", "a ends at 300, and 301 is asked for"),
        ("a:300-301", "a ends at 300, and 300-301 is"),
        ("empty:1", "empty ends at 0, and 1 is"),
    ):
        with pytest.raises(UserError, match=said):
            run("none", text, regions=[region])


def test_a_class_that_is_asked_for(run, tmp_path):
    text = fasta(a=random_text(np.random.default_rng(6), 600))
    run("out", text, classes=["genus=Rosa"])
    rows = pq.read_table(tmp_path / "out/s.masks.parquet").to_pylist()
    assert {row["genus"] for row in rows} == {"Rosa"}
    with pytest.raises(UserError, match="--classes: the model has no class"):
        run("none", text, classes=["genus=Roosa"])


def test_no_record_at_all_is_no_error(run, tmp_path, caplog):
    summary = run("out", b"\n\n", write_sample_page)
    assert summary["sequences"]["read"] == summary["windows"] == 0
    assert "no sequence in it" in caplog.text
    made = contents(tmp_path / "out")
    assert made["s.spans.bed"] == made["s.fa"] == made["s.chrom.sizes"] == b""
    assert pq.read_table(tmp_path / "out/s.masks.parquet").num_rows == 0
    assert len(made["s.predictions.tsv"].splitlines()) == 1


def test_nothing_of_anybody_else_is_overwritten(run, tmp_path):
    text = fasta(a="ACGTACGTAC")
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    run("out", text, write_sample_page)
    first = contents(out)
    run("out", text, write_sample_page)  # its own files it may
    assert contents(out) == first
    assert (out / "notes.txt").read_text() == "mine"
    (out / "t.mask.bw").write_text("mine")
    # the page of another sample
    with pytest.raises(UserError, match=r"index\.html is there and was not made by an earlier run"):
        run("out", text, write_sample_page, sample="t")
    (out / "index.html").unlink()
    with pytest.raises(UserError, match=r"t\.mask\.bw is there and was not made by an earlier run"):
        run("out", text, sample="t")
    del first["index.html"]
    assert contents(out) == first | {"t.mask.bw": b"mine"}
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="is no folder"):
        run("file", text)


def test_what_comes_to_nothing_leaves_nothing(run, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="a '>' inside a sequence"):
        run("out", b">a\nACGT>b\nACGT\n")
    assert list((tmp_path / "out").iterdir()) == []

    def stop(*_):
        raise SystemExit(143)

    # what is computed stays, and no lock
    monkeypatch.setattr("whatyouread.explain.run._write", stop)
    with pytest.raises(SystemExit):
        run("out", fasta(a="ACGTACGTAC"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".s.work"]


@pytest.mark.parametrize("failing", ["shutil.move", "os.replace"])
def test_a_disk_that_is_full_at_the_end_leaves_no_half_results(run, tmp_path, monkeypatch, failing):
    run("out", fasta(a="ACGTACGTAC"), strands="apart", work_dir=tmp_path / "work")
    first, calls = contents(tmp_path / "out"), []
    place, name = failing.split(".")
    real = getattr(sys.modules[place], name)

    def full(source, target):
        if Path(target).parent.name in (".s.coming", "out") and Path(target).name[:2] in (
            "s.",
            "in",
        ):
            calls.append(1)
            if len(calls) == 3:
                raise OSError(28, "No space left on device", str(source))
        return real(source, target)

    text = fasta(a="TTTTACGTACCCCC")
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[place], name, full)
        with pytest.raises(OSError, match="No space left") as error:
            run("out", text, work_dir=tmp_path / "work")
    left = contents(tmp_path / "out")
    if failing == "shutil.move":
        assert left == first
        assert error.value.filename == str(tmp_path / "out")
    run("out", text, work_dir=tmp_path / "work")
    run("new", text)
    assert contents(tmp_path / "out") == contents(tmp_path / "new")


def test_a_kill_while_the_work_folder_comes_or_goes_stops_no_later_run(run, tmp_path, monkeypatch):
    from whatyouread.training import checkpoints

    text, work = fasta(a="ACGTACGTAC"), tmp_path / "out" / ".s.work"

    def killed(*_):
        raise SystemExit(137)

    # it comes: the stamp is not finished
    work.mkdir(parents=True)
    (work / ".1234.stamp.json").write_text("{")
    run("out", text)
    # it goes: the stamp is the last that does
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "remove", killed)
        with pytest.raises(SystemExit):
            run("out", text)
    assert [path.name for path in work.iterdir()] == ["stamp.json"]
    run("out", text)
    assert not work.exists()


def test_a_full_disk_is_named(run, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("whatyouread.explain.run._write", full)
    with pytest.raises(OSError, match="No space left") as error:
        run("out", fasta(a="ACGT"))
    assert error.value.filename == str(tmp_path / "out" / ".s.work")


def test_the_page_of_a_run_that_ended_meanwhile_is_not_overwritten(run, tmp_path):
    text = fasta(a="ACGTACGTAC")

    def meanwhile(path, *given):
        (tmp_path / "out" / "index.html").write_text("theirs")
        return write_sample_page(path, *given)

    with pytest.raises(UserError, match=r"index\.html is there and was not made by"):
        run("out", text, meanwhile)
    assert (tmp_path / "out" / "index.html").read_text() == "theirs"
    assert not list((tmp_path / "out").glob("s.*"))


def test_files_of_a_run_before_that_are_not_made_again_go(run, tmp_path):
    text = fasta(a="ACGTACGTAC")
    run("out", text, strands="apart")
    assert (tmp_path / "out/s.mask_forward.bw").exists()
    run("out", text)
    assert not (tmp_path / "out/s.mask_forward.bw").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sample": "a/b"}, "--sample 'a/b'"),
        ({"sample": ".hidden"}, "--sample"),
        ({"offsets": 7}, "7 offsets"),
        ({"sample": "\udcff"}, "--sample"),
        ({"work_dir": Path("\udcff")}, "--work-dir"),
        ({"batch_size": 0}, "--batch-size 0"),
        ({"threads": 0}, "--threads 0"),
        ({"permutations": 0}, "--permutations 0"),
        ({"seed": -1}, "--seed -1"),
        ({"overlap": 1.0}, "--overlap 1.0"),
        ({"window": 3}, "a window of 0 bases"),
        ({"regions": ["a"]}, "neither a file in BED nor a region"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(run, tmp_path, options, said):
    with pytest.raises(UserError) as error:
        run("out", fasta(a="ACGT"), **options)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_several_files_and_the_same_name_in_two(model, tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.fa").write_text(f">{name}\nACGTAC\n")
    paths = [str(tmp_path / f"{name}.fa") for name in "ab"]
    summary = explain(Request(str(model), paths, tmp_path / "out"))
    assert (summary["sample"], summary["sequences"]["read"]) == ("a", 2)
    with pytest.raises(UserError, match="two sequences are called a"):
        explain(Request(str(model), [paths[0]] * 2, tmp_path / "twice"))


def command(model, *options, stdin=b"") -> subprocess.CompletedProcess:
    words = [python(), SCRIPT, "--model", model, "--threads", "1", *options]
    return subprocess.run(
        list(map(str, words)), input=stdin, capture_output=True, check=False, env={**os.environ}
    )


def test_the_program_reads_standard_input_and_ends_with_a_status(model, tmp_path):
    done = command(
        model, "--fasta", "-", "--output-dir", tmp_path / "out", stdin=b">a b\nACGTACGTACGT\n"
    )
    assert done.returncode == 0, done.stderr.decode()
    summary = json.loads((tmp_path / "out/sequences.summary.json").read_text())
    assert summary["sequences"]["explained"] == 1
    assert (tmp_path / "out/index.html").stat().st_size > 10_000
    wrong = command(
        model, "--fasta", "-", "--output-dir", tmp_path / "no", stdin=b">p\nMKVLAAGIVGLLLAQWERT\n"
    )
    assert wrong.returncode == 1
    lines = wrong.stderr.decode().strip().splitlines()
    assert "ERROR" in lines[-1]
    assert "Traceback" not in wrong.stderr.decode()
    assert not (tmp_path / "no/index.html").exists()
    missing = command(model, "--fasta", tmp_path / "no.fa", "--output-dir", tmp_path / "no")
    assert missing.returncode == 1
    assert "no such file" in missing.stderr.decode()
    assert command(model, "--fasta", "-").returncode == 2
