"""Streams of bytes that somebody else packed: their format, their damage, their expansion."""

import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whatyouread.cli import UserError

BUFFER = 1 << 18
# Deflate cannot exceed 1032:1. A chromosome's run of Ns comes close, but is shorter than what
# is read ahead at that ratio.
HIGHEST_MEMBER_RATIO = 1000
SMALL_MEMBER = 10 << 20  # bytes; what expands to less is harmless
UNSUPPORTED = {
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "RAR",
    b"\x28\xb5\x2f\xfd": "Zstandard",
}
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    RuntimeError,
)


def form_of(path: Path) -> str:
    """`zip`, `tar` (also gzipped), `gz` or `plain`, by content."""
    with open(path, "rb") as stream:
        start = stream.read(512)
    for magic, format_name in UNSUPPORTED.items():
        if start.startswith(magic):
            raise UserError(
                f"{path.name}: {format_name} is not supported: unpack it, or pack it as zip or gz"
            )
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return "zip"
    gzipped = start[:2] == b"\x1f\x8b"
    if gzipped:
        with gzip.open(path) as stream:
            start = stream.read(512)
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return "gz" if gzipped else "plain"
    return "tar"


@contextmanager
def damage_as_user_error(name: str) -> Iterator[None]:
    """Turn what the readers of packed data raise at damaged data into a `UserError`."""
    try:
        yield
    except DAMAGE as error:
        raise UserError(f"{name}: truncated or damaged ({error}): get it again") from None
    except OSError as error:
        if error.errno is not None:  # the disk's trouble, not the data's
            raise
        raise UserError(f"{name}: truncated or damaged ({error}): get it again") from None


def open_plain(path: Path, name: str) -> io.BufferedReader:
    """The bytes of a file, decompressed where it is gzipped; `name` is for error messages."""
    return decompressed(Guarded(open(path, "rb"), name), name)


def decompressed(raw: "Guarded", name: str) -> io.BufferedReader:
    """`raw` itself, or what it decompresses to where it holds gzipped data."""
    stream = io.BufferedReader(raw, BUFFER)
    if stream.peek(2)[:2] == b"\x1f\x8b":
        unpacked = Guarded(gzip.GzipFile(fileobj=stream), name, packed=stream)
        return io.BufferedReader(unpacked, BUFFER)
    return stream


class Guarded(io.RawIOBase):
    """A stream whose damage is a `UserError` and which may not expand without end.

    `packed` is the compressed stream that `stream` reads, if it decompresses one.
    """

    def __init__(self, stream, name: str, packed: io.BufferedReader | None = None):
        self._stream, self._name, self._packed, self._bytes = stream, name, packed, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        with damage_as_user_error(self._name):
            data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._bytes += len(data)
        if self._packed is not None and self._bytes > SMALL_MEMBER:
            refuse_expansion(self._bytes, self._packed.raw.count, HIGHEST_MEMBER_RATIO, self._name)
        return len(data)

    @property
    def count(self) -> int:
        """Bytes read so far."""
        return self._bytes

    def close(self) -> None:
        self._stream.close()
        if self._packed is not None:
            self._packed.close()
        super().close()


def refuse_expansion(total: int, packed: int, highest: int, where: str) -> None:
    """Raise `UserError` where `packed` bytes expand to more than `highest` times as many."""
    if total > highest * packed:
        raise UserError(
            f"{where}: expands from {packed:,} to {total:,} bytes, "
            f"more than {highest} times (a bomb?): do not use it"
        )
