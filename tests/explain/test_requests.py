import gzip

import numpy as np
import pytest

from whatyouread.data.levels import Level
from whatyouread.explain.requests import asked_classes, read_regions
from whatyouread.support.cli import UserError

LEVELS = [
    Level("phylum", "taxid", ("1", "2"), ("Alpha", "Beta")),
    Level("genus", "taxid", ("2", "33", "40"), ("Gamma", "Beta", "a=b")),
]
END = np.iinfo(np.int64).max


def regions(*given):
    return {name: found.tolist() for name, found in read_regions(given).items()}


def test_regions_count_from_one_and_hold_both_ends():
    assert regions("chr:1-1", "chr:11-20") == {"chr": [[0, 1], [10, 20]]}
    assert regions("chr:1,001-2,000") == {"chr": [[1000, 2000]]}
    assert regions("chr:5") == {"chr": [[4, END]]}
    assert regions("a:b:3-4") == {"a:b": [[2, 4]]}


def test_regions_that_touch_or_overlap_are_one():
    found = regions("c:11-20", "c:1-10", "c:15-30", "c:16-17", "c:40-50", "d:1-2")
    assert found == {"c": [[0, 30], [39, 50]], "d": [[0, 2]]}


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_of_regions_counts_from_zero(tmp_path, packed):
    text = b"# comment\ntrack name=x\nchr 1\t0\t10\tname\r\n\nb\t5\t6"
    path = tmp_path / "some.bed"
    path.write_bytes(gzip.compress(text) if packed else text)
    assert regions(str(path), "b:7-7") == {"chr 1": [[0, 10]], "b": [[5, 7]]}


@pytest.mark.parametrize(
    "given", ["chr", "chr:", "chr:0-4", "chr:5-4", "chr:a-b", ":1-2", "chr:-5", "chr:1-,"]
)
def test_what_is_no_region_is_refused(given):
    with pytest.raises(UserError, match="neither a file in BED nor a region") as error:
        read_regions([given])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "line", ["chr\t5", "chr\t5\t5", "chr\tx\t7", "chr\t5\t٧", "chr\t-1\t7", "chr"]
)
def test_what_is_no_bed_is_refused_with_its_line(tmp_path, line):
    path = tmp_path / "some.bed"
    path.write_text(f"chr\t0\t9\n{line}\n")
    with pytest.raises(UserError, match="line 2: not a line of BED"):
        read_regions([str(path)])


def test_a_number_beyond_all_sequences_is_no_bug(tmp_path):
    path = tmp_path / "some.bed"
    path.write_text(f"chr\t5\t{10**30}\n")
    for given in (f"chr:6-{10**30}", str(path)):
        [[start, stop]] = regions(given)["chr"]
        assert (start, stop > 10**12, stop < END) == (5, True, True)


def test_a_sequence_may_be_called_like_a_header_of_bed(tmp_path):
    path = tmp_path / "some.bed"
    path.write_bytes(
        b"\xef\xbb\xbfa\t0\t1\nbrowser position chr1:1-9\ntrack name=x\ntrack\n"
        b"track1\t0\t5\ntrack\t2\t3\n\xff\t4\t5\n"
    )
    expected = {"a": [[0, 1]], "track1": [[0, 5]], "track": [[2, 3]], "\xff": [[4, 5]]}
    assert regions(str(path)) == expected


@pytest.mark.parametrize("text", ["", "# none\n\n"])
def test_a_file_without_a_region_is_refused(tmp_path, text):
    path = tmp_path / "some.bed"
    path.write_text(text)
    with pytest.raises(UserError, match="no region in it"):
        regions(str(path))


def test_classes_by_name_by_path_and_by_level():
    assert asked_classes([], LEVELS).tolist() == [-1, -1]
    assert asked_classes(["Gamma"], LEVELS).tolist() == [-1, 0]
    assert asked_classes(["genus=Beta", "1"], LEVELS).tolist() == [0, 1]
    assert asked_classes(["genus=33", "genus=Beta"], LEVELS).tolist() == [-1, 1]
    assert asked_classes(["a=b"], LEVELS).tolist() == [-1, 2]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["Beta"], "'Beta' is the name of several classes: give one of phylum=2, genus=33"),
        (["2"], "several classes"),
        (["Delta"], "no class 'Delta'; it has phylum: Alpha, Beta; genus: Gamma, Beta, a=b"),
        (["family=Alpha"], "no class 'family=Alpha'"),
        (["genus=Gamma", "genus=Beta"], "two classes of the level genus"),
    ],
)
def test_classes_that_cannot_be_told_are_refused(given, said):
    with pytest.raises(UserError, match=r"^--classes: ") as error:
        asked_classes(given, LEVELS)
    assert said in str(error.value)
