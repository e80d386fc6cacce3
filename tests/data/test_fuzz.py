"""Damaged archives and dumps: refused in one line, or read as they are; never a wrong label.

Each case damages what is packed (then what comes out must be as before) or the text before it is
packed (then it must be what a plain reader, written here, makes of the damaged text). The number
of cases of each kind is that of the environment variable FUZZ_CASES.
"""

import bz2
import functools
import gzip
import io
import json
import lzma
import os
import random
import signal
import tarfile
import tempfile
import zipfile
from collections import Counter

import numpy as np
import pytest
from helpers_evaluation import random_file
from tests.data.test_ncbi_labels import plain_taxid
from tests.data.test_taxonomy import NODES, dump_files, write_dump

from whatyouread.data import taxonomy
from whatyouread.data.archives import check_archive
from whatyouread.data.ncbi_labels import NcbiLabels
from whatyouread.data.ranks import TOP_RANKS
from whatyouread.data.sequences import read_sequences
from whatyouread.data.six_mers import VOCABULARY
from whatyouread.data.token_files import TokenFile
from whatyouread.support.cli import UserError

CASES = int(os.environ.get("FUZZ_CASES", "300"))
LONGEST = 20  # seconds for one case
RANKS = ["superkingdom", "phylum", "genus"]
TAXIDS = [562, 582, 90709, 103, 100, 469598, 777, 555, 888, 123]


# Damage


def damaged(data: bytes, rng: random.Random) -> bytes:
    """`data` with one to three accidents."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at, other = (rng.randrange(len(data) + 1) for _ in range(2))
        low, high = min(at, other), max(at, other)
        short = min(high, low + rng.randrange(1, 40))
        kind = rng.randrange(8)
        if kind == 0:
            data = data[:at]
        elif kind == 1 and at < len(data):
            data = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        elif kind == 2 and at < len(data):
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif kind == 3:
            data = data[:low] + data[short:]
        elif kind == 4:
            data = data[:at] + data[low:short] + data[at:]
        elif kind == 5:
            data = data[:low] + bytes(short - low) + data[short:]
        elif kind == 6:
            data = (
                data[:at]
                + rng.choice([b"\n", b"\r\n", b"\t", b">", b"|", b'"', b"0", b" "])
                + (data[at:])
            )
        else:
            data = data[:low] + rng.randbytes(short - low) + data[short:]
    return data


def zipped(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


@pytest.fixture
def limited():
    """A function that calls another and gives up on it after `LONGEST` seconds."""

    def stop(*_):
        raise TimeoutError(f"more than {LONGEST} seconds")

    before = signal.signal(signal.SIGALRM, stop)

    def call(function, *arguments):
        """What the function returns, or None where it refuses its input in one line."""
        signal.alarm(LONGEST)
        try:
            return function(*arguments)
        except UserError as error:
            message = str(error)
            assert message.strip(), "an empty message"
            assert len(message) < 2000, message
            return None
        finally:
            signal.alarm(0)

    yield call
    signal.signal(signal.SIGALRM, before)


def fuzz(seed, one_case):
    """Run the cases; a failure names the one that made it."""
    ends = Counter()
    for number in range(CASES):
        try:
            ends[one_case(random.Random(f"{seed} {number}"))] += 1
        except Exception as error:
            error.add_note(f"case {number} of {seed}")
            raise
    print(f"{seed}: {dict(ends)}")
    assert ends["refused"]


# Sequences


def fasta_of(rng: random.Random) -> bytes:
    end = rng.choice([b"\n", b"\n", b"\r\n"])
    made = []
    for n in range(rng.randrange(1, 12)):
        bases = bytes(rng.choices(b"ACGTACGTNacgtR", k=rng.randrange(0, 90)))
        lines = [bases[i : i + 30] for i in range(0, len(bases), 30)]
        made += [b">%d %d" % (rng.choice(TAXIDS), n), *lines]
    return end.join(made) + end


def plain_fasta(text: bytes) -> list[tuple[int, bytes]] | None:
    """Taxids and bases, line by line; None for what is no FASTA with taxids."""
    text = text.removesuffix(b"\r").replace(b"\r\n", b"\n").removeprefix(b"\xef\xbb\xbf")
    if b"\r" in text:
        return None
    found, before = [], True
    for line in text.split(b"\n"):
        if line.startswith(b">"):
            try:
                header = line[1:].decode()
            except UnicodeDecodeError:
                header = line[1:].decode("latin-1")
            taxid = plain_taxid(header)
            if taxid < 1:
                return None
            found.append((taxid, []))
        elif before and line:
            return None
        elif line:
            if min(line) <= 32 or b">" in line or not line.isascii():
                return None
            found[-1][1].append(line)
        before = before and not line
    texts = [(taxid, b"".join(lines).upper().replace(b"U", b"T")) for taxid, lines in found]
    characters = b"".join(text for _, text in texts)
    if 2 * len(characters.translate(None, b"ACGTN")) > len(characters):
        return None
    return [(taxid, text if set(text) & set(b"ACGT") else b"") for taxid, text in texts] or None


@functools.cache
def ncbi() -> NcbiLabels:
    with tempfile.TemporaryDirectory() as folder:
        return NcbiLabels(write_dump(folder), NcbiLabels.Settings())


def read(path, block_bytes):
    check_archive(path)
    return [
        (taxid, batch.bases[batch.offsets[row] : batch.offsets[row + 1]].tobytes())
        for batch in read_sequences(path, block_bytes)
        for row, taxid in enumerate(ncbi().keys(batch).to_pylist())
    ]


def test_damaged_archives_of_sequences(tmp_path, limited):
    def one_case(rng):
        fasta = [fasta_of(rng) for _ in range(2)]
        expected = [record for text in fasta for record in plain_fasta(text)]
        strings = [bases.decode() for _, bases in expected]
        picked = "".join(f"{taxid}\n" for taxid, _ in expected).encode()
        name, content = rng.choice(
            [
                ("x.zip", zipped({"a.fa": fasta[0], "sub/b.fna": fasta[1]})),
                ("x.zip", zipped({"a.fa.gz": gzip.compress(fasta[0]), "b.fa": fasta[1]})),
                ("x.tar.gz", tarred({"a.fa": fasta[0], "b.fa": fasta[1]})),
                ("x.fa.gz", gzip.compress(fasta[0] + fasta[1])),
                ("x.fa.bz2", bz2.compress(fasta[0]) + bz2.compress(fasta[1])),
                ("x.fa.xz", lzma.compress(fasta[0]) + lzma.compress(fasta[1])),
                ("x.zip", zipped({"a": bz2.compress(fasta[0]), "b": lzma.compress(fasta[1])})),
                ("x.zip", zipped({"A_fragments.json": json.dumps(strings).encode(),
                                  "A_species_picked.txt": picked})),
            ]
        )  # fmt: skip
        (tmp_path / name).write_bytes(damaged(content, rng))
        found = limited(read, tmp_path / name, rng.choice([5, 64, 1 << 20]))
        (tmp_path / name).unlink()
        assert found in (None, expected)
        return "read" if found else "refused"

    fuzz("archives", one_case)


def test_damaged_sequences(tmp_path, limited):
    def one_case(rng):
        text = damaged(fasta_of(rng), rng)
        (tmp_path / "x.fa").write_bytes(text)
        found = limited(read, tmp_path / "x.fa", rng.choice([1, 5, 64, 1 << 20]))
        if text[:2] not in (b"PK", b"\x1f\x8b"):
            assert found == plain_fasta(text.removeprefix(b"\xef\xbb\xbf"))
        return "read" if found else "refused"

    fuzz("sequences", one_case)


def test_damaged_fragments(tmp_path, limited):
    def one_case(rng):
        records = plain_fasta(fasta_of(rng))
        strings = json.dumps([bases.decode() for _, bases in records]).encode()
        picked = "".join(f"{taxid}\n" for taxid, _ in records).encode()
        if rng.random() < 0.5:
            strings = damaged(strings, rng)
        else:
            picked = damaged(picked, rng)
        (tmp_path / "A_fragments.json").write_bytes(strings)
        (tmp_path / "A_species_picked.txt").write_bytes(picked)
        found = limited(read, tmp_path, rng.choice([1, 7, 1 << 20]))
        if found is not None:
            texts = [text.encode().upper().replace(b"U", b"T") for text in json.loads(strings)]
            texts = [text if set(text) & set(b"ACGT") else b"" for text in texts]
            taxids = [int(line.split()[0]) for line in picked.split(b"\n") if line.strip(b"\r")]
            assert found == list(zip(taxids, texts, strict=True))
        return "read" if found else "refused"

    fuzz("fragments", one_case)


# Dumps


def labels(path):
    check_archive(path)
    dump = taxonomy.read_taxdump(path)
    frame = taxonomy.lineages(dump, np.array(TAXIDS), RANKS)
    return {row[0]: (row[2], *row[3:]) for row in frame.itertuples(index=False)}


def plain_labels(files: dict[str, bytes]) -> dict:
    """The same by walking up the damaged tables line by line; columns are counted by their tabs."""

    def rows(name):
        text = files[name].decode("utf-8", "replace").replace("\r\n", "\n")
        return [line.split("\t") for line in text.split("\n") if line]

    parents = {int(row[0]): int(row[2]) for row in rows("nodes.dmp")}
    ranks = {int(row[0]): row[4] for row in rows("nodes.dmp")}
    names = {int(row[0]): row[2] for row in rows("names.dmp") if row[6] == "scientific name"}
    merged = {int(row[0]): int(row[2]) for row in rows("merged.dmp")}
    deleted = {int(row[0]) for row in rows("delnodes.dmp")}
    found = {}
    for taxid in TAXIDS:
        node = taxid
        while node not in parents and node in merged:
            node = merged[node]
        problem = "" if node in parents else taxonomy.UNKNOWN
        if problem and node in deleted:
            problem = taxonomy.DELETED
        values = dict.fromkeys(RANKS, ("", 0))
        while node in parents:
            rank = "superkingdom" if ranks[node] in TOP_RANKS else ranks[node]
            # the lowest of a rank counts
            if values.get(rank) == ("", 0):
                values[rank] = (names[node].replace("|", "/"), node)
            node = 0 if node == 1 else parents[node]
        found[taxid] = (problem, *(part for rank in RANKS for part in values[rank]))
    return found


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_damaged_archives_of_dumps(tmp_path, limited, pack):
    files = {name: text.encode() for name, text in dump_files().items()}
    content = pack(files)
    expected = plain_labels(files)
    (tmp_path / "x").write_bytes(content)
    assert labels(tmp_path / "x") == expected

    def one_case(rng):
        (tmp_path / "x").write_bytes(damaged(content, rng))
        found = limited(labels, tmp_path / "x")
        assert found in (None, expected)
        return "read" if found else "refused"

    fuzz(pack.__name__, one_case)


def test_damaged_dumps(tmp_path, limited):
    whole = {name: text.encode() for name, text in dump_files(nodes=sorted(NODES)).items()}

    def one_case(rng):
        name = rng.choice(["nodes.dmp", "nodes.dmp", "names.dmp", "merged.dmp", "delnodes.dmp"])
        files = whole | {name: damaged(whole[name], rng)}
        for other, data in files.items():
            (tmp_path / other).write_bytes(data)
        found = limited(labels, tmp_path)
        if found is not None:
            assert found == plain_labels(files)
        return "read" if found else "refused"

    fuzz("dumps", one_case)


# Tables between rules


def test_damaged_token_files(tmp_path, limited):
    """Arrow has no checksums: what is read need not be true, but must be tokens and classes."""
    file = random_file(tmp_path / "whole.arrow", 40)
    content = file.path.read_bytes()

    def everything(path):
        made = TokenFile(path, file.ranks)
        rows = np.arange(len(made))
        return made.batch(rows).ids, made.flat_tokens(rows)[0], made.labels, made.ids.to_pylist()

    def one_case(rng):
        (tmp_path / "x.arrow").write_bytes(damaged(content, rng))
        found = limited(everything, tmp_path / "x.arrow")
        (tmp_path / "x.arrow").unlink()
        if found is None:
            return "refused"
        for tokens in found[:2]:
            assert tokens.max(initial=0) < len(VOCABULARY)
        assert found[2].min(initial=0) >= -1
        return "read"

    fuzz("token files", one_case)
