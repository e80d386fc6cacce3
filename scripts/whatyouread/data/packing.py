"""Packed data (gzip, bzip2, xz, Zstandard) as streams of bytes, known by content.

Damaged data raise a `UserError` that names them, and so do data that would expand without end.
"""

import bz2
import gzip
import io
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from whatyouread.support.cli import UserError

BUFFER = 1 << 18
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # which some editors put in front of UTF-8
WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")  # in front of UTF-16
# Deflate cannot exceed 1032:1. A chromosome's run of Ns comes close, but is shorter than what
# is read ahead at that ratio.
HIGHEST_MEMBER_RATIO = 1000
SMALL_MEMBER = 10 << 20  # bytes; what expands to less is harmless
PACKED_ENDINGS = re.compile(r"\.(gz|bgz|bz2|xz|zst)$", re.IGNORECASE)
MOST_PACKINGS = 3  # a gzip file that expands to itself has no end
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


def packing_of(start: bytes) -> str | None:
    """`gzip`, `bzip2`, `xz` or `zstd` where these bytes begin so, None for what is not packed."""
    if start.startswith(b"\x1f\x8b"):
        return "gzip"
    if re.match(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", start):  # the text "BZh" alone is no proof
        return "bzip2"
    if start.startswith(b"\xfd7zXZ\x00"):
        return "xz"
    if re.match(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", start):
        return "zstd"
    return None


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
    """The bytes of a file, decompressed where it is packed; `name` is for error messages."""
    return decompressed(Guarded(open(path, "rb"), name), name)


def decompressed(raw: "Guarded", name: str) -> io.BufferedReader:
    """`raw` itself, or what it decompresses to where it holds packed data."""
    stream = io.BufferedReader(raw, BUFFER)
    for _ in range(MOST_PACKINGS):
        packing = packing_of(stream.peek(16)[:16])
        if packing is None:
            break
        stream = io.BufferedReader(
            Guarded(_unpacked(stream, packing, name), name, packed=stream), BUFFER
        )
    return stream


def _unpacked(stream: io.BufferedReader, packing: str, name: str):
    """What `stream` decompresses to, an object with `read` and `close`."""
    if packing == "gzip":
        return gzip.GzipFile(fileobj=stream)
    if packing == "bzip2":
        return _Streams(stream, bz2.BZ2Decompressor)
    if packing == "xz":
        return _Streams(stream, lzma.LZMADecompressor)
    import pyarrow as pa  # Python itself reads Zstandard from 3.14 on

    return pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd")


class _Streams:
    """Packed streams, one after the other, as bzip2 and xz write them.

    `bz2.BZ2File` and `lzma.LZMAFile` take damage at the start of a further stream for the end, and
    lose the rest in silence.
    """

    def __init__(self, packed: io.BufferedReader, decompressor: Callable):
        self._packed, self._make, self._now = packed, decompressor, decompressor()

    def read(self, size: int) -> bytes:
        while True:
            left = b""
            if self._now.eof:
                # zeros fill up the last block of some writers
                left = self._now.unused_data.lstrip(b"\0")
                while not left:
                    block = self._packed.read(BUFFER)
                    if not block:
                        return b""
                    left = block.lstrip(b"\0")
                self._now = self._make()
            elif self._now.needs_input:
                left = self._packed.read(BUFFER)
                if not left:
                    raise EOFError("the packed data end early")
            made = self._now.decompress(left, size)
            if made:
                return made

    def close(self) -> None:
        pass  # `Guarded` closes the packed stream


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
        if self._packed is not None:
            refuse_member(self._bytes, self._packed.raw.count, self._name)
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


def refuse_member(total: int, packed: int, where: str) -> None:
    """Raise `UserError` where one file expands more than honest packing does."""
    if total > SMALL_MEMBER:
        refuse_expansion(total, packed, HIGHEST_MEMBER_RATIO, where)


def refuse_expansion(total: int, packed: int, highest: int, where: str) -> None:
    """Raise `UserError` where `packed` bytes expand to more than `highest` times as many."""
    if total > highest * packed:
        raise UserError(
            f"{where}: expands from {packed:,} to {total:,} bytes, "
            f"more than {highest} times (a bomb?): do not use it"
        )


def without_packing(name: str) -> str:
    """A name without the endings of packed files."""
    for _ in range(MOST_PACKINGS):
        name = PACKED_ENDINGS.sub("", name)
    return name
