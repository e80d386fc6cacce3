"""Bring the user's data here: from a web address, a `file:` address, or a path.

What is retrieved ends in a folder that exists only when everything in it is whole and checked.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from whatyouread.data import archives
from whatyouread.data.transfer import Download, describe, refuse_full_disk, refuse_page
from whatyouread.support import addresses, cli, files
from whatyouread.support.cli import UserError, log
from whatyouread.support.progress import progress
from whatyouread.support.text import named

CHUNK = 1 << 20


def retrieve(
    source: str,
    folder: Path,
    partial: Path,
    sha256: str | None = None,
    size: int | None = None,
    check: Callable[[Path], None] | None = None,
    record_file: Path | None = None,
) -> dict:
    """Bring `source` into `folder`, which is replaced when it exists.

    `source` is an http(s) URL, a `file:` URL, or the path of a file or a folder. A file keeps its
    name below `folder`; of a folder, every regular file comes with its relative path, except
    hidden ones. Unfinished downloads stay in the folder `partial` and are resumed.

    `size` (bytes) and `sha256` (64 hexadecimal digits) are compared with what came. For a folder
    they are the sum over its files and the digest of the lines `digest  relative/path`, sorted.
    `check` is called with the filled folder before it gets its name; it raises to refuse it.
    `record_file` is the JSON to write the record to, also before that: a folder without one is
    never ours.

    Returns the record `{source, name, bytes, sha256, checked}`; `checked` says whether the digest
    was compared with an expected one. Raises `UserError` for whatever does not arrive, does not
    fit on the disk, is empty, is a web page, or is not what the config expects. A download that
    is refused is not kept: the next run asks for it anew.
    """
    source = str(source)
    sha256 = _digest_argument(sha256)
    if re.match(r"https?://", source, re.IGNORECASE):
        return _from_web(source, Path(folder), Path(partial), sha256, size, check, record_file)
    path = _local_path(source)
    listed = _files_of(path, Path(folder))
    total = sum(file.stat().st_size for file in listed.values())
    _compare(source, "bytes", total, size)
    refuse_full_disk(Path(folder).parent, total, source)
    with files.atomic(folder) as scratch:
        digest = _copy(listed, scratch, total, alone=path.is_file())
        record = _record(source, path.name, total, digest, sha256)
        _finish(scratch, record, check, record_file)
    return record


def run_program(description: str, check: Callable[[Path], None]) -> None:
    """The command line of a download: `retrieve` with `check`, and the record written as JSON."""
    arguments = cli.parser(description)
    arguments.add_argument("--url", required=True, help="http(s) or file address, file or folder")
    arguments.add_argument("--sha256", help="digest expected (default: none, only recorded)")
    arguments.add_argument("--size", type=int, help="bytes expected (default: not checked)")
    arguments.add_argument("--output-dir", type=Path, required=True, help="folder to make")
    arguments.add_argument("--partial", type=Path, required=True, help="unfinished downloads")
    arguments.add_argument("--record", type=Path, required=True, help="JSON: what was retrieved")

    def main(args):
        files.refuse_foreign(args.output_dir, args.record)
        retrieve(
            addresses.reveal(args.url),
            *(args.output_dir, args.partial, args.sha256, args.size, check, args.record),
        )

    cli.run(arguments, main)


def check_records(folder: Path) -> None:
    """Raise `UserError` where what `folder` holds is no data set: no honest archive, or no record.

    Of the records only the first one is looked for: whether all are well-formed is found out when
    they are labelled. But a message that a server sends instead of the data is refused here.
    """
    from whatyouread.data.sequences import (
        begins_like_fasta,
        begins_like_fragments,
        begins_like_table,
    )

    archives.check_archive(folder)
    members = {member.name: member for member in archives.members(folder)}
    seen = {}
    for member in members.values():
        if begins_like_fasta(member) or begins_like_fragments(member, members):
            return
        if begins_like_table(member):
            return
        with member.open() as stream:
            seen[member.name] = stream.read(4096)
    if not any(start.strip() for start in seen.values()):
        raise UserError(f"{', '.join(list(seen)[:10]) or 'nothing'}: empty, no record in it")
    name, start = next(entry for entry in seen.items() if entry[1].strip())
    more = f" (nor does any of {len(seen) - 1} more files)" if len(seen) > 1 else ""
    raise UserError(
        f"{name}: no data set: it holds no record, which begins with '>', and no table of texts{more}, but "
        f"{describe(start)}; open the address in a browser, and give that of the data themselves"
    )


def _finish(scratch: Path, record: dict, check, record_file: Path | None) -> None:
    """What remains before the filled folder gets its name."""
    if check is not None:
        check(scratch)
    if record_file is not None:
        files.write_json(record_file, record)


def _from_web(url, folder: Path, partial: Path, sha256, size, check, record_file) -> dict:
    download = Download(url, partial, folder.parent, size)
    download.run()
    shown, name = download.shown, download.name
    try:
        total = download.path.stat().st_size
        _refuse_useless(download.path, shown)
        _compare(shown, "bytes", total, size)
        log.info("%s: taking the digest of %s bytes", shown, f"{total:,}")
        record = _record(shown, name, total, files.sha256(download.path), sha256)
        with files.atomic(folder) as scratch:
            scratch.mkdir()
            _link_or_move(download.path, scratch / name)
            if sha256 is None and size is None and not download.announced:
                _warn_of_the_end(scratch / name, shown)
            _finish(scratch, record, check, record_file)
    except UserError:
        download.discard()
        raise
    download.discard()
    return record


def _record(source: str, name: str, size: int, digest: str, expected: str | None) -> dict:
    _compare(source, "SHA-256", digest, expected)
    if expected is None:
        log.info("%s: SHA-256 %s (the config gives none to compare with)", source, digest)
    return {
        "source": source,
        "name": name,
        "bytes": size,
        "sha256": digest,
        "checked": expected is not None,
    }


def _digest_argument(sha256: str | None) -> str | None:
    if not sha256:
        return None
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UserError(f"sha256: 64 hexadecimal digits expected, the config has {sha256!r}")
    return sha256.lower()


def _local_path(source: str) -> Path:
    """The file or folder that `source` means, which is there."""
    try:
        path = addresses.local_path(source)
    except (ValueError, RuntimeError) as error:  # another machine's, or nobody's home
        raise UserError(f"{source}: {error}") from None
    if path is None:
        raise UserError(f"{source}: only http, https and file addresses and paths can be read")
    if path == Path() or not path.exists():
        raise UserError(f"{source}: no such file or folder ({path.absolute()})")
    return path


def _files_of(path: Path, folder: Path) -> dict[str, Path]:
    """The files to copy, by their path relative to the folder they end in, sorted."""
    root, target = path.resolve(), folder.resolve()
    if root.is_relative_to(target) or target.is_relative_to(root):
        raise UserError(f"{path}: lies in {folder} or around it, where its copy would be written")
    if path.is_file():
        archives.refuse_unfit_name(path.name, ascii(str(path)))
        _refuse_useless(path, str(path))
        return {path.name: path}
    if not path.is_dir():
        raise UserError(f"{path}: neither a file nor a folder")
    found, hidden = {}, []
    for parent, folders, names in os.walk(root):
        for name in folders + names:
            file = Path(parent, name)
            archives.refuse_unfit_name(name, ascii(str(path)))
            if file.is_symlink() and not file.resolve().is_relative_to(root):
                raise UserError(f"{file}: a link that leads out of {path}: copy the file instead")
            if archives.is_hidden(name):
                hidden.append(file.relative_to(root).as_posix())
            # a linked folder is not entered: its files are reached, and copied, where they are
            elif (
                file.is_symlink()
                and file.is_dir()
                and archives.is_hidden(file.resolve().relative_to(root).as_posix())
            ):
                raise UserError(f"{file}: a link to a hidden folder, which is not read: copy it")
        folders[:] = [name for name in folders if not archives.is_hidden(name)]
        for file in (Path(parent, name) for name in names if not archives.is_hidden(name)):
            if file.is_symlink() and not file.exists():
                raise UserError(f"{file}: a link to a file that is not there")
            if not file.is_file():
                raise UserError(f"{file}: not a regular file")
            if file.suffix.lower() not in (".html", ".htm"):
                _refuse_page(file, str(file))
            found[file.relative_to(root).as_posix()] = file
    if not any(file.stat().st_size for file in found.values()):
        raise UserError(f"{path}: no file with anything in it")
    if hidden:
        log.warning("%s: hidden, and left out: %s", path, named(sorted(hidden)))
    return dict(sorted(found.items()))


def _copy(listed: dict[str, Path], scratch: Path, total: int, alone: bool) -> str:
    """Copy the files into `scratch` and return the digest of the file or of the folder."""
    digests = {}
    with progress("copying", total, "B") as bar:
        for name, file in listed.items():
            target = scratch / name
            target.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            with open(file, "rb") as reader, open(target, "wb") as writer:
                while chunk := reader.read(CHUNK):
                    digest.update(chunk)
                    writer.write(chunk)
                    bar.update(len(chunk))
            digests[name] = digest.hexdigest()
    return digest.hexdigest() if alone else files.digest_of_folder(digests)


def _link_or_move(file: Path, target: Path) -> None:
    # a second name costs nothing and keeps the partial file until the folder is in place
    try:
        os.link(file, target)
    except OSError:
        shutil.move(file, target)


def _warn_of_the_end(file: Path, source: str) -> None:
    """Say what nothing can tell: whether a plain text of which no size is known is whole."""
    with open(file, "rb") as stream:
        if stream.read(1) not in (b">", b"[", b"\xef"):
            return  # an archive, which shows by itself where it is cut short
        stream.seek(-1, os.SEEK_END)
        ended = stream.read(1) in b"\r\n]"
    log.warning(
        "%s: the server does not say how long the file is%s, so that one cut short cannot be told "
        "from a whole one: compare with the source, and give its size or sha256 in the config",
        *(source, "" if ended else ", and it ends in the middle of a line"),
    )


def _refuse_useless(file: Path, source: str) -> None:
    if file.stat().st_size == 0:
        raise UserError(f"{source}: the file is empty")
    _refuse_page(file, source)


def _refuse_page(file: Path, source: str) -> None:
    with open(file, "rb") as stream:
        refuse_page(stream.read(4096), source)


def _compare(source: str, what: str, found, expected) -> None:
    if expected is not None and found != expected:
        raise UserError(f"{source}: {what} {found}, but the config expects {expected}")
