"""Imports this package's modules from one file of byte code, which the release archive holds for each Python.

A run imports about 240 modules. Looking for the files of each one takes as long as all requests to an API server that
is near: one file that is opened once takes a quarter of that. A module whose source was changed since is imported from
there, as without this.
"""

from __future__ import annotations

import marshal
import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_FORMAT = b"kubetriage byte code 1\n"
_SLACK = 300.0
"""Seconds by which a source may be newer than the byte code, since unpacking and copying write them one by one."""

Index = dict[str, tuple[str, int, int, int]]
"""By name of a module: path of its source below the root, size of that, and where its byte code begins and ends."""


class Precompiled:
    """Finder and loader of the modules in one file."""

    def __init__(self, file: int, index: Index, begin: int, root: str) -> None:
        """``begin`` is where the byte code begins in the open ``file``, ``root`` the folder of the sources."""
        self._file = file
        self._index = index
        self._begin = begin
        self._root = root
        self._written = os.fstat(file).st_mtime

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return how to import a module; None for one that is not here, or whose source is another one by now."""
        del path, target
        known = self._index.get(name)
        if known is None:
            return None
        source = f"{self._root}/{known[0]}"
        try:
            now = os.stat(source)
        except OSError:
            return None
        if now.st_size != known[1] or now.st_mtime > self._written + _SLACK:
            return None
        is_package = source.endswith("/__init__.py")
        loader: Any = self
        spec = ModuleSpec(name, loader, origin=source, is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [source.removesuffix("/__init__.py")]
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Have the usual kind of module made."""

    def exec_module(self, module: ModuleType) -> None:
        """Run a module's byte code."""
        _, _, begin, end = self._index[module.__name__]
        code = marshal.loads(os.pread(self._file, end - begin, self._begin + begin))  # noqa: S302  as trusted as a source
        exec(code, module.__dict__)  # noqa: S102  this is what importing is


def install(path: str, root: str) -> None:
    """Import from the file at ``path`` what stands in ``root``; do nothing where it does not fit this Python."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return
    wanted = _FORMAT + sys.modules["_frozen_importlib_external"].MAGIC_NUMBER
    head = os.read(file, len(wanted) + 8)
    if not head.startswith(wanted):
        os.close(file)
        return
    size = int.from_bytes(head[len(wanted) :], "little")
    index = marshal.loads(os.read(file, size))  # noqa: S302  as trusted as the sources beside it
    sys.meta_path.insert(0, Precompiled(file, index, len(head) + size, root))


def packed(magic: bytes, modules: dict[str, tuple[str, int, bytes]]) -> bytes:
    """Return the content of a file for the Python with this magic number.

    ``modules`` has by name the path below the root, the size of the source, and the byte code.
    """
    index: Index = {}
    codes: list[bytes] = []
    end = 0
    for name, (path, size, code) in modules.items():
        index[name] = (path, size, end, end + len(code))
        codes.append(code)
        end += len(code)
    # An old form of marshal, without references between objects: the same content gives the same bytes.
    head = marshal.dumps(index, 2)
    return b"".join([_FORMAT, magic, len(head).to_bytes(8, "little"), head, *codes])
