"""Unpacks a dump that came as an archive, without letting it write anywhere else."""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from kubetriage.cluster.errors import DumpError
from kubetriage.typed import IO, Any

MAX_TOTAL = 4 * 1024 * 1024 * 1024
"""Bytes that one archive may unpack to."""
MAX_MEMBERS = 500_000
MAX_EMPTY = 20_000
"""Files with nothing in them that one archive may have: each costs as much time to make as a full one."""
# RuntimeError: a zip archive with a password, or with a compression that Python does not know.
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
)


def is_archive(path: Path) -> bool:
    """Tell whether a file is a tar (plain or compressed) or zip archive."""
    try:
        return tarfile.is_tarfile(path) or zipfile.is_zipfile(path)
    except OSError:
        return False
    except _BROKEN:
        # Compressed, but damaged: unpacking says so.
        return True


def unpack(path: Path, folder: Path) -> None:
    """Write the regular files of an archive under ``folder``; links become copies when they stay inside it.

    Raises DumpError for an archive that is broken or too large.
    """
    links: list[tuple[Path, Path]] = []
    left, members, empty = MAX_TOTAL, 0, 0
    try:
        for name, link, stream in _members(path):
            members += 1
            target = _inside(folder, name)
            if target is None:
                continue
            if members > MAX_MEMBERS:
                raise DumpError(f"{path}: more than {MAX_MEMBERS} files")
            if link is not None:
                source = _inside(folder, link)
                if source is not None:
                    links.append((source, target))
                continue
            before = left
            left = _write(stream, target, left, path)
            empty += left == before
            if empty > MAX_EMPTY:
                raise DumpError(f"{path}: more than {MAX_EMPTY} empty files")
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        # The place in the words of the system is one of ours, which tells nobody anything.
        raise DumpError(f"{path}: the archive has a file where another one of its files needs a folder") from error
    except _BROKEN as error:
        raise DumpError(f"{path}: the archive cannot be read: {error}") from error
    for source, target in links:
        if source.is_file() and not target.exists():
            left = _write(source.open("rb"), target, left, path)


def _members(path: Path) -> Iterator[tuple[str, str | None, Any]]:
    """Yield name, what it links to (as a path in the archive), and content of each member that is a file."""
    if tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isreg():
                    yield member.name, None, archive.extractfile(member)
                elif member.issym():
                    yield member.name, _beside(member.name, member.linkname), None
                elif member.islnk():
                    yield member.name, member.linkname, None
            # The checksum of the compression stands at its end, where tarfile does not look.
            while archive.fileobj is not None and archive.fileobj.read(1024 * 1024):
                pass
        return
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            # Unix file types in the upper half; a symbolic link is not a regular file.
            if not info.is_dir() and (info.external_attr >> 28) in (0, 8):
                yield info.filename, None, archive.open(info)


def _beside(name: str, link: str) -> str:
    parts: list[str] = []
    for part in (*PurePosixPath(name).parent.parts, *PurePosixPath(link).parts):
        if part == "..":
            if not parts:
                return "/"
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _inside(folder: Path, name: str) -> Path | None:
    """Return where a member goes; None for a name that would leave the folder."""
    parts = [p for p in PurePosixPath(name.replace("\\", "/")).parts if p != "."]
    if not parts or ".." in parts or parts[0].startswith("/") or any("\0" in p or len(p) > 240 for p in parts):
        return None
    return folder.joinpath(*parts)


def _write(stream: IO[bytes] | None, target: Path, left: int, path: Path) -> int:
    """Copy a member; return how many bytes may still come."""
    if stream is None:
        return left
    target.parent.mkdir(parents=True, exist_ok=True)
    with stream, target.open("wb") as out:
        while piece := stream.read(1024 * 1024):
            left -= len(piece)
            if left < 0:
                shutil.rmtree(target.parent, ignore_errors=True)
                raise DumpError(f"{path}: unpacks to more than {MAX_TOTAL >> 30} GiB")
            out.write(piece)
    return left
