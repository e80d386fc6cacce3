"""Read zips, tars and packed files that somebody else made, without trusting them.

`check_archive` refuses what no honest archive holds; `members` streams what is inside. Nothing is
ever extracted to disk and no file is held in memory.
"""

import os
import posixpath
import re
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from whatyouread.data.packing import (
    BUFFER,
    Guarded,
    damage_as_user_error,
    decompressed,
    open_plain,
    packing_of,
    refuse_expansion,
    refuse_member,
    without_packing,
)
from whatyouread.support.cli import UserError
from whatyouread.support.text import has_controls

UNSUPPORTED = {
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "RAR",
    b"\x04\x22\x4d\x18": "LZ4",
    b"LZIP": "lzip",
    b"\x1f\x9d": "compress (.Z)",
    b"\x43\x27\x41\x1a": "2bit",
}
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
# DNA as text compresses to about 4:1.
HIGHEST_RATIO = 200
SMALL_TOTAL = 1 << 20  # bytes; what expands to less is harmless at any ratio
LARGEST_TOTAL = 1 << 40
LONGEST_ZIP_END = 22 + (1 << 16)  # bytes; the last record of a zip and its comment
# an empty block, see the SAM format's specification, section 4.1.2
BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
SPLIT_MARK = 4  # bytes; what may stand before the first member
JOINED = (
    "bytes outside of the archive, which its directory does not name (several archives joined into"
    " one file?): give them one by one, in a folder"
)
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}


@dataclass(frozen=True)
class Member:
    """A regular file: its name, and a function that opens it as a stream of bytes.

    The members of one archive share its file handle: open them in one process only.
    """

    name: str
    open: Callable[[], BinaryIO]


def check_archive(path: Path) -> None:
    """Raise `UserError` where the archive `path`, or one in the folder `path`, is not honest.

    Refused: truncated or damaged archives, encrypted members, names that are absolute, lead
    upwards, hold backslashes, drive letters or control characters, or occur twice, members that
    are links or devices, zip members that overlap, and absurd expansion. A packed file (gzip,
    bzip2, xz, Zstandard) is read through once, and one of bgzip must have its end mark. Files that
    are not archives pass.
    """
    path = Path(path)
    if path.is_dir():
        for file in _files_below(path):
            check_archive(file)
        return
    with damage_as_user_error(path.name):
        form = form_of(path)
        if form == "zip":
            _check_zip(path)
        elif form == "tar":
            _check_tar(path)
        elif form == "packed":
            with open_plain(path, path.name) as stream:
                while stream.read(BUFFER):
                    pass
            refuse_cut_bgzip(path)


def refuse_cut_bgzip(path: Path) -> None:
    """Refuse a file of bgzip without its end mark: cut between two blocks, it is sound gzip."""
    with open(path, "rb") as stream:
        start = stream.read(14)
        if start.startswith(b"\x1f\x8b\x08\x04") and start.endswith(b"BC"):
            stream.seek(-min(len(BGZIP_END), path.stat().st_size), os.SEEK_END)
            if stream.read() != BGZIP_END:
                raise EOFError("the end mark of bgzip is not there")


def members(path: Path, hidden: list[str] | None = None) -> Iterator[Member]:
    """Yield every regular file in the folder or archive `path` (or the file itself), by name.

    Zips and tars in a folder are expanded (`archive.zip/inner`, or `inner` where the archive is
    alone in its folder), but not archives in archives; files packed with gzip, bzip2, xz or
    Zstandard are decompressed, whatever they are called, and lose `.gz` and the like from their
    name. Hidden files and `__MACOSX` are left out; their names are appended to `hidden`. Opening or
    reading damaged data raises `UserError` with the member's name; so do two members of one name
    (`a.fa` beside `a.fa.gz`) and a name that is no text. Going back in a tar.gz decompresses it anew.
    """
    path = Path(path)
    found: list[Member] = []
    hidden = [] if hidden is None else hidden
    if path.is_dir():
        below = list(_files_below(path, hidden))
        for file in below:
            name = file.relative_to(path).as_posix()
            # an archive that is alone adds nothing to the names of what it holds
            prefix = f"{name}/" if len(below) > 1 else ""
            found.extend(_members_of_file(file, name, prefix, hidden))
    else:
        found.extend(_members_of_file(path, path.name, "", hidden))
    for name in (*(member.name for member in found), *hidden):
        refuse_unfit_name(name, str(path))
    found.sort(key=lambda member: member.name)
    for one, other in pairwise(found):
        if one.name == other.name:
            raise UserError(f"{path}: {one.name!r} is there twice (packed and not?): remove one")
    yield from found


def _members_of_file(path: Path, name: str, prefix: str, hidden: list[str]) -> Iterator[Member]:
    # the archives stay open as long as a member that refers to them
    with damage_as_user_error(name):
        form = form_of(path)
        if form == "zip":
            archive = zipfile.ZipFile(path)
            inside = [(m.filename, partial(archive.open, m)) for m in archive.infolist()]
        elif form == "tar":
            archive = tarfile.open(path)  # noqa: SIM115
            regular = [member for member in archive if member.isfile()]
            inside = [(m.name, partial(archive.extractfile, m)) for m in regular]
    if form in ("packed", "plain"):
        yield Member(without_packing(name), partial(open_plain, path, name))
        return
    for inner, opener in inside:
        label = prefix + posixpath.normpath(inner)
        if inner.endswith("/"):
            continue
        if is_hidden(inner):
            hidden.append(label)
        else:
            yield Member(without_packing(label), partial(_open_inner, opener, label))


def _open_inner(opener: Callable[[], BinaryIO], name: str) -> BinaryIO:
    with damage_as_user_error(name):
        raw = opener()
    stream = decompressed(Guarded(raw, name), name)
    start = stream.peek(512)[:512]
    refuse_unsupported(start, name)
    if start.startswith(ZIP_MAGIC) or is_tar(start):
        raise UserError(f"{name}: an archive in an archive: unpack the outer one")
    return stream


def _check_zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive, open(path, "rb") as stream:
        listed = archive.infolist()
        total = packed = 0
        for member in listed:
            where = f"{path.name}: member {member.orig_filename!r}"
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise UserError(f"{where} is a link or a device, not a file: do not use it")
            if member.flag_bits & 0x2041:  # encrypted, strongly encrypted, masked headers
                raise UserError(f"{where} is encrypted: unpack it and pack it without password")
            if member.compress_type not in METHODS:
                method = zipfile.compressor_names.get(member.compress_type, "unknown")
                raise UserError(f"{where} is compressed by {method}, which is not supported here")
            refuse_member(member.file_size, member.compress_size, where)
            total += member.file_size
            packed += member.compress_size
        _refuse_names((member.orig_filename for member in listed), path.name)
        _refuse_total(total, packed, path.name)
        _refuse_overlap(listed, stream, archive.start_dir, path.name)


def _refuse_overlap(listed, stream: BinaryIO, directory: int, where: str) -> None:
    """Refuse members that share bytes, as those of the most compact zip bombs do.

    Bytes before the first member, which are often another zip: only the last directory is read. And a
    directory that says something else than what stands before the members' bytes: members of
    a damaged name or size would otherwise be left out in silence.
    """
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - LONGEST_ZIP_END))
    end = stream.read()
    (count,) = struct.unpack_from("<H", end, end.rindex(b"PK\x05\x06") + 10)
    if count not in (len(listed), 0xFFFF):  # that many or more
        raise zipfile.BadZipFile(f"{len(listed)} of {count} members are listed")
    in_order = sorted(listed, key=lambda member: member.header_offset)
    if in_order and in_order[0].header_offset > SPLIT_MARK:
        raise UserError(f"{where}: {JOINED}")
    ends = [member.header_offset for member in in_order[1:]] + [directory]
    for member, end in zip(in_order, ends, strict=True):
        offset = member.header_offset
        if offset < 0:  # where the directory's own place is damaged
            raise zipfile.BadZipFile(f"a member at byte {offset}")
        stream.seek(offset)
        signature, flags, *sizes, name, extra = struct.unpack("<4s2xH6xIIIHH", stream.read(30))
        if signature != b"PK\x03\x04":
            raise zipfile.BadZipFile(f"no member at byte {offset}")
        if offset + 30 + name + extra + member.compress_size > end:
            raise UserError(
                f"{where}: member {member.orig_filename!r} overlaps another one "
                "(a zip bomb, or damaged): do not use it"
            )
        encoding = "utf-8" if member.flag_bits & 0x800 else "cp437"
        same = stream.read(name) == member.orig_filename.encode(encoding)
        # sizes that follow the bytes, or are too large for these fields, are elsewhere
        if not flags & 8 and 0xFFFFFFFF not in sizes:
            same &= sizes == [member.CRC, member.compress_size, member.file_size]
        if not same or member.compress_size == 0 < member.file_size:
            raise zipfile.BadZipFile(f"{member.orig_filename!r} is another one at byte {offset}")


def _check_tar(path: Path) -> None:
    size = path.stat().st_size
    with tarfile.open(path) as archive:
        names = []
        total = 0
        for member in archive:
            where = f"{path.name}: member {member.name!r}"
            if not (member.isfile() or member.isdir()):
                raise UserError(f"{where} is a link or a device, not a file: do not use it")
            names.append(member.name)
            total += member.size
            # at every member: the rest is not even read
            _refuse_total(total, size, path.name)
        _refuse_names(names, path.name)
        # tarfile takes a damaged header for the end, which is a block of zeros
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(512) != bytes(512):
            raise tarfile.ReadError(f"no end mark at byte {archive.offset}")
        # to the end of the compressed data, which holds the checksum
        while rest := archive.fileobj.read(BUFFER):
            if rest.strip(b"\0"):
                raise UserError(f"{path.name}: {JOINED}")


def _refuse_names(names: Iterable[str], where: str) -> None:
    seen = set()
    for name in names:
        problem = None
        if not name or name.startswith("/") or re.match(r"[A-Za-z]:", name):
            problem = "is absolute"
        elif "\\" in name:
            problem = "holds a backslash"
        elif ".." in name.split("/"):
            problem = "leads out of the archive"
        elif unfit := _unfit(name):
            problem = unfit
        elif posixpath.normpath(name) in seen:
            problem = "occurs twice"
        if problem:
            raise UserError(f"{where}: the member name {name!r} {problem}: do not use this archive")
        seen.add(posixpath.normpath(name))
    if not seen:
        raise UserError(f"{where}: the archive is empty")


def refuse_unfit_name(name: str, where: str) -> None:
    """Raise `UserError` for the name of a file that no table or message can show."""
    if unfit := _unfit(name):
        raise UserError(f"{where}: the file name {name!r} {unfit}: rename the file")


def _unfit(name: str) -> str:
    if has_controls(name):
        return "holds control characters"
    return "is not UTF-8" if re.search("[\ud800-\udfff]", name) else ""


def _refuse_total(total: int, packed: int, where: str) -> None:
    if total > LARGEST_TOTAL:
        raise UserError(
            f"{where}: would expand to {total:,} bytes, more than {LARGEST_TOTAL:,}: do not use it"
        )
    if total > SMALL_TOTAL:
        refuse_expansion(total, packed, HIGHEST_RATIO, where)


def _files_below(folder: Path, hidden: list[str] | None = None) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        if hidden is not None:  # the time stamp is Snakemake's own
            left_out = [name for name in (*folders, *names) if is_hidden(name)]
            hidden += [
                Path(parent, name).relative_to(folder).as_posix()
                for name in left_out
                if name != ".snakemake_timestamp"
            ]
        folders[:] = [name for name in folders if not is_hidden(name)]
        yield from (Path(parent, name) for name in names if not is_hidden(name))


def is_hidden(name: str) -> bool:
    """Whether a file of this name, or in such a folder, is one that nobody sees: `.x`, `__MACOSX`."""
    parts = posixpath.normpath(name).split("/")
    return any((part.startswith(".") and part != ".") or part == "__MACOSX" for part in parts)


def form_of(path: Path) -> str:
    """`zip`, `tar` (also packed), `packed` (gzip, bzip2, xz, Zstandard) or `plain`, by content."""
    with open(path, "rb") as stream:
        start = stream.read(512)
    refuse_unsupported(start, path.name)
    if start.startswith(ZIP_MAGIC):
        return "zip"
    packing = packing_of(start)
    if packing:
        with open_plain(path, path.name) as stream:
            start = stream.read(512)
    if not is_tar(start):
        return "packed" if packing else "plain"
    if packing == "zstd":
        raise UserError(f"{path.name}: a tar in Zstandard: unpack it, or pack it as zip or tar.gz")
    return "tar"


def refuse_unsupported(start: bytes, name: str) -> None:
    """Raise `UserError` where a file begins like an archive of a kind that is not read here."""
    for magic, format_name in UNSUPPORTED.items():
        if start.startswith(magic):
            raise UserError(
                f"{name}: {format_name} is not supported: unpack it, or pack it as zip or gz"
            )


def is_tar(start: bytes) -> bool:
    """Whether the first 512 bytes of a file, no more and no less, are those of a tar."""
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True
