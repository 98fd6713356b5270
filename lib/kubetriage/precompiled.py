"""Imports this package's modules from one file of byte code, which the release archive holds for each Python.

A run imports about 240 modules. Looking for the files of each one takes as long as all requests to an API server that
is near: one file that is opened once takes a quarter of that. A module whose source was changed since is imported from
there, as without this.

The file also holds what ``re.compile`` makes of the project's regular expressions, which it hands to
``kubetriage.values.patterns``: making it takes a run as long as a tenth of all it does.
"""

from __future__ import annotations

import marshal
import os
import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from typing import Any

_FORMAT = b"kubetriage byte code 2\n"
_SLACK = 300.0
"""Seconds by which a source may be newer than the byte code, since unpacking and copying write them one by one."""

Index = dict[str, tuple[str, int, int, int]]
"""By name of a module: path of its source below the root, size of that, and where its byte code begins and ends."""

Patterns = dict[str, bytes]
"""By :func:`_key` of a regular expression: the marshalled arguments that make it what ``re.compile`` returns."""

_READ = 1 << 17
"""Bytes that are read at once: what is imported together stands together, and a read can take as long as an import."""

PatternTable = tuple[int, Patterns]
"""The version of the regular expressions' own code, and the patterns."""


class Precompiled:
    """Finder and loader of the modules in one file."""

    def __init__(self, file: int, index: Index, begin: int, root: str) -> None:
        """``begin`` is where the byte code begins in the open ``file``, ``root`` the folder of the sources."""
        self._file = file
        self._index = index
        self._begin = begin
        self._root = root
        self._held: dict[int, bytes] = {}
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
        # Without a location, so that importlib does not work out where a cached file of byte code would be.
        spec = ModuleSpec(name, loader, origin=source, is_package=is_package)
        if is_package:
            spec.submodule_search_locations = [source.removesuffix("/__init__.py")]
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Have the usual kind of module made."""

    def exec_module(self, module: ModuleType) -> None:
        """Run a module's byte code."""
        path, _, begin, end = self._index[module.__name__]
        module.__file__ = f"{self._root}/{path}"
        code = marshal.loads(self._bytes(begin, end))  # noqa: S302  as trusted as a source
        exec(code, module.__dict__)  # noqa: S102  this is what importing is

    def _bytes(self, begin: int, end: int) -> memoryview:
        number, start = divmod(begin, _READ)
        held = self._held.get(number)
        if held is None:
            held = self._held[number] = os.pread(self._file, _READ, self._begin + number * _READ)
        if start + end - begin <= len(held):
            return memoryview(held)[start : start + end - begin]
        return memoryview(os.pread(self._file, end - begin, self._begin + begin))


class StoredPatterns:
    """Regular expressions as their code in one file."""

    def __init__(self, file: int, begin: int) -> None:
        """``begin`` is where they begin in the open ``file``; nothing is read yet."""
        self._file = file
        self._begin = begin
        self._known: tuple[dict[str, tuple[int, int]], int] | None = None

    def find(self, pattern: str, flags: int) -> re.Pattern[str] | None:
        """Return what ``re.compile`` would; None for a pattern that is not here."""
        engine = sys.modules["_sre"]
        if self._known is None:
            # Several threads may be here at once: each reads for itself, and what they leave is the same.
            size = int.from_bytes(os.pread(self._file, 8, self._begin), "little")
            version, index = marshal.loads(os.pread(self._file, size, self._begin + 8))  # noqa: S302
            self._known = (index if version == engine.MAGIC else {}, self._begin + 8 + size)
        places, first = self._known
        known = places.get(_key(pattern, flags))
        if known is None:
            return None
        begin, end = known
        arguments = marshal.loads(os.pread(self._file, end - begin, first + begin))  # noqa: S302
        made: re.Pattern[str] = engine.compile(pattern, *arguments)
        return made


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
    index, length = marshal.loads(os.read(file, size))  # noqa: S302  as trusted as the sources beside it
    begin = len(head) + size
    sys.meta_path.insert(0, Precompiled(file, index, begin, root))

    from kubetriage.values import patterns

    patterns.use(StoredPatterns(file, begin + length).find)


def pattern_table(patterns: Iterable[tuple[str, int]]) -> bytes:
    """Return the marshalled :data:`PatternTable` of patterns with their flags, for the Python that runs this."""
    import importlib

    compiler: Any = importlib.import_module("sre_compile" if sys.version_info < (3, 11) else "re._compiler")
    engine = compiler._sre
    made: list[tuple[Any, ...]] = []

    class Recorder:
        """Stands in for the module that the last step of compiling calls."""

        def __getattr__(self, name: str) -> Any:
            return getattr(engine, name)

        def compile(self, *arguments: Any) -> None:
            """Keep what would be made into a pattern."""
            made.append(arguments)

    table: Patterns = {}
    compiler._sre = Recorder()
    try:
        for pattern, flags in patterns:
            compiler.compile(pattern, flags)
            _, all_flags, code, groups, names, by_number = made.pop()
            code = [int(word) for word in code]
            table[_key(pattern, flags)] = marshal.dumps((int(all_flags), code, groups, dict(names), by_number), 2)
    finally:
        compiler._sre = engine
    return marshal.dumps((engine.MAGIC, table), 2)


def packed(magic: bytes, modules: dict[str, tuple[str, int, bytes]], patterns: PatternTable) -> bytes:
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
    version, stored = patterns
    places: dict[str, tuple[int, int]] = {}
    at = 0
    for key, arguments in stored.items():
        places[key] = (at, at + len(arguments))
        at += len(arguments)
    # An old form of marshal, without references between objects: the same content gives the same bytes.
    head, second = marshal.dumps((index, end), 2), marshal.dumps((version, places), 2)
    return b"".join(
        [_FORMAT, magic, _length(head), head, *codes, _length(second), second, *stored.values()],
    )


def _length(part: bytes) -> bytes:
    return len(part).to_bytes(8, "little")


def _key(pattern: str, flags: int) -> str:
    return f"{int(flags)} {pattern}"
