"""Hostile and damaged archives are refused by name; honest ones are read as streams."""

import collections
import gzip
import io
import os
import random
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whatyouread.data import archives, packing
from whatyouread.data.archives import check_archive, members
from whatyouread.support.cli import UserError

REFUSED = (*archives.UNSUPPORTED, *archives.ZIP_MAGIC)
SEQUENCES = b">562 0\n" + bytes(random.Random(1).choices(b"ACGT", k=1500)) + b"\n"


def make_zip(path, content, method=zipfile.ZIP_DEFLATED):
    """`content`: name -> bytes, or a list of (ZipInfo or name, bytes)."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in content.items() if isinstance(content, dict) else content:
            archive.writestr(name, data)
    return path


def make_tar(path, entries, mode="w:gz"):
    """`entries`: (name, bytes) or TarInfo objects without data."""
    with tarfile.open(path, mode) as archive:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
            else:
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                archive.addfile(info, io.BytesIO(entry[1]))
    return path


def special(name, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "target"
    return info


def contents(path):
    found = {}
    for member in members(path):
        with member.open() as stream:
            found[member.name] = stream.read()
    return found


def refused(path, problem):
    with pytest.raises(UserError, match=problem) as caught:
        check_archive(path)
    assert path.name in str(caught.value)


def test_honest_archives_pass(tmp_path):
    content = {"Bacteria.fa": SEQUENCES, "sub/": b"", "sub/Archaea.fa": SEQUENCES, "empty": b""}
    check_archive(make_zip(tmp_path / "a.zip", content))
    entries = [(name, data) for name, data in content.items() if not name.endswith("/")]
    check_archive(make_tar(tmp_path / "a.tar.gz", [special("./", tarfile.DIRTYPE), *entries]))
    check_archive(make_tar(tmp_path / "a.tar", entries, "w"))
    (tmp_path / "a.fa").write_bytes(SEQUENCES)
    (tmp_path / "a.fa.gz").write_bytes(gzip.compress(SEQUENCES))
    check_archive(tmp_path / "a.fa")
    check_archive(tmp_path / "a.fa.gz")
    check_archive(tmp_path)


def test_reference_archives_pass():
    real = Path(__file__).resolve().parents[3] / "shared" / "data" / "real"
    if not real.exists():
        pytest.skip("shared/data/real is not beside the checkout")
    check_archive(real / "bertax_like.zip")
    check_archive(real / "taxdmp_mini.zip")
    names = [member.name for member in members(real / "taxdmp_mini.zip")]
    assert names == ["delnodes.dmp", "merged.dmp", "names.dmp", "nodes.dmp"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../evil.fa", "leads out"),
        ("a/../../evil.fa", "leads out"),
        ("/etc/passwd", "absolute"),
        ("C:evil.fa", "absolute"),
        ("..\\evil.fa", "backslash"),
        ("a\nb", "control characters"),
    ],
)
def test_names(tmp_path, name, problem):
    zipped = make_zip(tmp_path / "x.zip", {"good.fa": b"x", name: b"x"})
    refused(zipped, problem)
    tarred = make_tar(tmp_path / "x.tar.gz", [("good.fa", b"x"), (name, b"x")])
    refused(tarred, problem)
    with pytest.raises(UserError) as caught:
        check_archive(zipped)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_name_cut_by_a_null_byte(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"good.faX.exe": b"x"})
    path.write_bytes(path.read_bytes().replace(b"good.faX", b"good.fa\0"))
    refused(path, "control characters")


def test_dots_in_names_are_no_crime(tmp_path):
    check_archive(make_zip(tmp_path / "x.zip", {"a..b/v1.2..fa": b"x", "./c.fa": b"y"}))


def test_same_name_twice(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        refused(make_zip(tmp_path / "x.zip", [("a.fa", b"1"), ("a.fa", b"2")]), "twice")
    refused(make_zip(tmp_path / "y.zip", [("a.fa", b"1"), ("./a.fa", b"2")]), "twice")
    refused(make_tar(tmp_path / "x.tar.gz", [("a.fa", b"1"), ("a.fa", b"2")]), "twice")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_zip_member_that_is_no_file(tmp_path, kind):
    info = zipfile.ZipInfo("link.fa")
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    refused(make_zip(tmp_path / "x.zip", [(info, b"/etc/passwd")]), "'link.fa' is a link")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_tar_member_that_is_no_file(tmp_path, kind):
    refused(make_tar(tmp_path / "x.tar.gz", [special("link.fa", kind)]), "'link.fa' is a link")


def test_encrypted_member(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"a.fa": SEQUENCES})
    data = bytearray(path.read_bytes())
    data[6] |= 1  # flags, in the local header and in the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    refused(path, "encrypted")
    with pytest.raises(UserError, match=r"a\.fa"):
        contents(path)


def test_method_that_cannot_be_read(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"a.fa": SEQUENCES})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 10] = 9
    path.write_bytes(data)
    refused(path, "deflate64")


def test_bomb_of_zeros(tmp_path):
    zeros = bytes(50 << 20)
    bomb = make_zip(tmp_path / "x.zip", {"a.fa": zeros})
    assert bomb.stat().st_size < 60_000
    refused(bomb, "bomb")
    refused(make_tar(tmp_path / "x.tar.gz", [("a.fa", zeros)]), "bomb")


def test_bomb_beside_honest_bulk(tmp_path, monkeypatch):
    # the whole stays below its ratio: the member's own ratio gives it away
    bulk = random.Random(2).randbytes(1 << 20)
    zeros = bytes(12 << 20)
    path = make_zip(tmp_path / "x.zip", {"a.fa": zeros, "bulk": bulk})
    refused(path, "'a.fa': expands")
    check_archive(make_zip(tmp_path / "y.zip", {"a.fa": zeros[: 10 << 20], "bulk": bulk}))


def test_honest_ratio_is_not_a_bomb(tmp_path):
    check_archive(make_zip(tmp_path / "x.zip", {"a.fa": SEQUENCES * 1000}))
    check_archive(make_zip(tmp_path / "y.zip", {"a.fa": b"N" * 1_000_000}))


def test_bomb_in_a_gzipped_member(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "BUFFER", 1 << 14)
    bomb = gzip.compress(bytes(40 << 20))
    inside = make_zip(tmp_path / "x.zip", {"a.fa.gz": bomb}, zipfile.ZIP_STORED)
    (tmp_path / "b.fa.gz").write_bytes(bomb)
    for path, name in ((inside, r"a\.fa"), (tmp_path / "b.fa.gz", r"b\.fa")):
        (member,) = members(path)
        with member.open() as stream, pytest.raises(UserError, match=f"{name}.*bomb"):
            collections.deque(iter(lambda: stream.read(1 << 20), b""), maxlen=0)
    refused(tmp_path / "b.fa.gz", "bomb")


def test_more_than_any_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST_TOTAL", 2 * len(SEQUENCES) - 1)
    refused(make_zip(tmp_path / "x.zip", {"a": SEQUENCES, "b": SEQUENCES}), "would expand")
    monkeypatch.setattr(archives, "LARGEST_TOTAL", 2 * len(SEQUENCES))
    check_archive(tmp_path / "x.zip")


def test_overlapping_members(tmp_path):
    # two directory entries, one set of bytes: the second's offset is turned to the first's
    path = make_zip(tmp_path / "x.zip", {"a.fa": SEQUENCES, "b.fa": SEQUENCES})
    data = bytearray(path.read_bytes())
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    path.write_bytes(data)
    refused(path, "overlaps")


def test_member_that_reaches_into_the_next(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"a.fa": SEQUENCES, "b.fa": SEQUENCES})
    data = bytearray(path.read_bytes())
    first = data.index(b"PK\x01\x02")
    (packed,) = struct.unpack_from("<I", data, first + 20)
    struct.pack_into("<I", data, first + 20, packed + 1)
    path.write_bytes(data)
    refused(path, "'a.fa' overlaps")


def changed_directory(path, at, change):
    """Write other bytes into the second entry of a zip's directory."""
    data = bytearray(path.read_bytes())
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data[second + at : second + at + len(change)] = change
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("at", "change", "problem"),
    [
        (46, b"b.fx", "is another one"),  # a name that would be skipped
        (16, bytes(8), "is another one"),  # neither checksum nor bytes: an empty member
        (24, b"\x01", "is another one"),
        (42, b"\xff\xff\xff\x7f", "no member at byte|unpack requires"),
    ],
)
def test_directory_that_does_not_fit_the_members(tmp_path, at, change, problem):
    path = make_zip(tmp_path / "x.zip", {"a.fa": SEQUENCES, "b.fa": SEQUENCES, "c": b""})
    changed_directory(path, at, change)
    refused(path, f"truncated or damaged.*({problem})")


def test_directory_that_leaves_members_out(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"a.fa": SEQUENCES, "b.fa": SEQUENCES, "c.fa": SEQUENCES})
    changed_directory(path, 32, b"\x32")  # its comment swallows the third entry
    refused(path, "2 of 3 members are listed")


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("form", ["zip", "tar.gz", "tar", "gz"])
def test_truncated(tmp_path, form, kept):
    path = tmp_path / f"x.{form}"
    if form == "zip":
        make_zip(path, {"a.fa": SEQUENCES, "b.fa": SEQUENCES})
    elif form == "gz":
        path.write_bytes(gzip.compress(SEQUENCES * 3))
    else:
        make_tar(path, [("a.fa", SEQUENCES * 7)], "w" if form == "tar" else "w:gz")
        if form == "tar":  # what follows the first block of zeros is padding
            path.write_bytes(path.read_bytes()[: 512 * (1 + 21 + 1)])
    whole = path.read_bytes()
    check_archive(path)
    path.write_bytes(whole[: int(len(whole) * kept)])
    refused(path, "truncated or damaged")


def test_tar_whose_second_header_is_damaged(tmp_path):
    path = make_tar(tmp_path / "x.tar", [("a.fa", b"x" * 512), ("b.fa", b"y")], "w")
    data = bytearray(path.read_bytes())
    data[1024 + 148] ^= 0xFF  # its checksum
    path.write_bytes(data)
    refused(path, "no end mark")


def test_empty_archive(tmp_path):
    refused(make_zip(tmp_path / "x.zip", {}), "empty")


@pytest.mark.parametrize(
    "magic", [b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a", b"\x04\x22\x4d\x18", b"LZIP\1", b"\x1f\x9d\x90"]
)
def test_formats_that_are_not_read(tmp_path, magic):
    (tmp_path / "x.zip").write_bytes(magic + bytes(100))
    refused(tmp_path / "x.zip", "not supported")


def test_damage_inside_names_the_member(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"a.fa": SEQUENCES, "b.fa": SEQUENCES}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.rindex(b"ACG", 0, data.index(b"PK\x01\x02"))] = ord("N")
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"b\.fa: truncated or damaged \(Bad CRC"):
        contents(path)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_gzip_in_a_zip_names_the_member(tmp_path, damage):
    packed = bytearray(gzip.compress(SEQUENCES * 5))
    if damage == "cut":
        packed = packed[: len(packed) // 2]
    else:
        packed[-6] ^= 1  # the checksum
    path = make_zip(tmp_path / "x.zip", {"sub/a.fa.gz": bytes(packed)})
    with pytest.raises(UserError, match=r"sub/a\.fa\.gz: truncated or damaged"):
        contents(path)


def test_members_of_a_zip(tmp_path):
    content = {
        "b/Bacteria.fa": b"bacteria",
        "Archaea.fa.gz": gzip.compress(b"archaea"),
        "Viruses.fa": gzip.compress(b"gzipped without saying so"),
        "a/": b"",
        "__MACOSX/._Bacteria.fa": b"no",
        ".DS_Store": b"no",
        "b/.hidden/x.fa": b"no",
    }
    path = make_zip(tmp_path / "x.zip", content)
    found = contents(path)
    assert found == {
        "Archaea.fa": b"archaea",
        "Viruses.fa": b"gzipped without saying so",
        "b/Bacteria.fa": b"bacteria",
    }
    assert list(found) == sorted(found)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_members_of_a_tar(tmp_path, mode):
    entries = [
        special("./", tarfile.DIRTYPE),
        ("./nodes.dmp", b"nodes"),
        ("./._nodes.dmp", b"no"),
        ("./names.dmp", b"names"),
        ("merged.dmp.gz", gzip.compress(b"merged")),
    ]
    path = make_tar(tmp_path / "x.tar.gz", entries, mode)
    listed = list(members(path))
    assert [member.name for member in listed] == ["merged.dmp", "names.dmp", "nodes.dmp"]
    # in any order, and again
    read = [listed[i].open().read() for i in (2, 0, 1, 2)]
    assert read == [b"nodes", b"merged", b"names", b"nodes"]


def test_members_of_a_folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.fa").write_bytes(b"a")
    (tmp_path / "b.fa.gz").write_bytes(gzip.compress(b"b"))
    (tmp_path / ".snakemake_timestamp").write_bytes(b"")
    make_zip(tmp_path / "z.zip", {"in/c.fa": b"c", "d.fa.gz": gzip.compress(b"d")})
    make_tar(tmp_path / "t.tgz", [("e.fa", b"e")])
    assert contents(tmp_path) == {
        "b.fa": b"b",
        "sub/a.fa": b"a",
        "t.tgz/e.fa": b"e",
        "z.zip/d.fa": b"d",
        "z.zip/in/c.fa": b"c",
    }


def test_member_alone(tmp_path):
    (tmp_path / "a.fa").write_bytes(SEQUENCES)
    (tmp_path / "b.fa.gz").write_bytes(gzip.compress(SEQUENCES))
    assert contents(tmp_path / "a.fa") == {"a.fa": SEQUENCES}
    assert contents(tmp_path / "b.fa.gz") == {"b.fa": SEQUENCES}


@settings(max_examples=60, deadline=None)
@given(
    content=st.dictionaries(
        st.text("abé /&'", min_size=1, max_size=8).filter(
            lambda name: re.fullmatch("[^/ ]+(/[^/ ]+)*", name)
        ),
        # what its first bytes call packed, or refused, has tests of its own
        st.binary(max_size=300).filter(
            lambda data: not data.startswith(REFUSED) and packing.packing_of(data) is None
        ),
        min_size=1,
        max_size=5,
    ),
    packed=st.booleans(),
)
def test_whatever_is_packed_comes_out(tmp_path_factory, content, packed):
    folder = tmp_path_factory.mktemp("any")
    files = {n: gzip.compress(d) if packed else b"=" + d for n, d in content.items()}
    expected = {n: d if packed else b"=" + d for n, d in content.items()}
    for path in (
        make_zip(folder / "x.zip", files),
        make_tar(folder / "x.tar.gz", files.items()),
        make_tar(folder / "x.tar", files.items(), "w"),
    ):
        check_archive(path)
        assert contents(path) == dict(sorted(expected.items()))


def test_gzipped_and_not(tmp_path):
    (tmp_path / "a.fa").write_bytes(SEQUENCES)
    (tmp_path / "a.fa.gz").write_bytes(gzip.compress(SEQUENCES))
    with pytest.raises(UserError, match="twice"):
        list(members(tmp_path))


def test_archive_in_an_archive(tmp_path):
    inner = make_zip(tmp_path / "inner.zip", {"a.fa": SEQUENCES})
    outer = make_zip(tmp_path / "outer.zip", {"inner.zip": inner.read_bytes()})
    with pytest.raises(UserError, match=r"inner\.zip: an archive in an archive"):
        contents(outer)


def test_streams_hold_little(tmp_path):
    import tracemalloc

    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive, archive.open("a.fa.gz", "w") as member:
        packer = zlib.compressobj(1, wbits=31)
        block = random.Random(3).randbytes(1 << 18)
        for _ in range(64):
            member.write(packer.compress(block))
        member.write(packer.flush())
    tracemalloc.start()
    (only,) = members(path)
    total = 0
    with only.open() as stream:
        while chunk := stream.read(1 << 16):
            total += len(chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 64 << 18
    assert peak < 4 << 20


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
def test_joined_archives_are_refused(tmp_path, form):
    """Of `cat a.zip b.zip` readers see b alone, of `cat a.tar b.tar` a alone."""
    parts = []
    for name in "ab":
        path = tmp_path / f"{name}.{form}"
        entries = [(f"{name}.fa", SEQUENCES)]
        if form == "zip":
            make_zip(path, dict(entries))
        else:
            make_tar(path, entries, "w" if form == "tar" else "w:gz")
        check_archive(path)
        parts.append(path.read_bytes())
    joined = tmp_path / f"joined.{form}"
    joined.write_bytes(b"".join(parts))
    refused(joined, "several archives joined")


def test_the_mark_of_a_split_zip_is_no_other_archive(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.fa": SEQUENCES})
    path.write_bytes(b"PK\x07\x08" + path.read_bytes())
    check_archive(path)
    assert contents(path) == {"a.fa": SEQUENCES}


@pytest.mark.parametrize(
    "name", [b"a\nb.fa", b"\x1b[31m.fa", b"caf\xe9.fa", b".hidden\t", b"Icon\r"]
)
def test_names_that_no_table_can_hold(tmp_path, name):
    (tmp_path / os.fsdecode(name)).write_bytes(SEQUENCES)
    with pytest.raises(UserError, match="rename the file") as caught:
        list(members(tmp_path, []))
    str(caught.value).encode()
    assert str(caught.value).isprintable()


def test_a_tar_with_a_name_that_is_no_utf8(tmp_path):
    options = {"format": tarfile.GNU_FORMAT, "encoding": "latin-1"}
    with tarfile.open(tmp_path / "a.tar", "w", **options) as archive:
        archive.addfile(tarfile.TarInfo("caf\xe9.fa"))
    refused(tmp_path / "a.tar", "not UTF-8")


def bgzipped(data, ended):
    from Bio import bgzf

    made = io.BytesIO()
    writer = bgzf.BgzfWriter(fileobj=made)
    writer.write(data)
    writer.flush()
    return made.getvalue() + (archives.BGZIP_END if ended else b"")


def test_a_bgzip_file_that_is_cut_between_two_blocks(tmp_path):
    """It is sound gzip; only the end mark tells (Biopython's writer adds the same one)."""
    data = SEQUENCES * 100
    path = tmp_path / "a.fa.gz"
    path.write_bytes(bgzipped(data, ended=True))
    check_archive(path)
    assert contents(path) == {"a.fa": data}
    path.write_bytes(bgzipped(data, ended=False))
    refused(path, "end mark of bgzip")
    path.write_bytes(archives.BGZIP_END[:14])
    refused(path, "truncated or damaged")
