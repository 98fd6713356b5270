"""Reads a recorded state of a cluster from a directory, into the same snapshot as the live reader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from kubetriage.cluster.errors import DumpError
from kubetriage.cluster.secrets import strip
from kubetriage.fields import Obj, dig, objects
from kubetriage.resources import BY_PLURAL
from kubetriage.snapshot import Body, Failure, Get, List, Log, Need, Raw, Snapshot, Why
from kubetriage.times import parse_time

_FAILURES = {401: Why.FORBIDDEN, 403: Why.FORBIDDEN, 404: Why.NOT_FOUND}
_SERVER_ERROR = re.compile(r"Error from server \((\w+)\): ")
"""How kubectl prints an answer that is a Status (cmd/util/helpers.go, all versions); the reason is captured."""
_REASONS = {
    "Forbidden": (Why.FORBIDDEN, 403),
    "Unauthorized": (Why.FORBIDDEN, 401),
    "NotFound": (Why.NOT_FOUND, 404),
    "ServiceUnavailable": (Why.FAILED, 503),
    "Timeout": (Why.TIMEOUT, 504),
}


class RecordedReader:
    """Answers needs from a dump directory.

    The layout is that of ``kubectl cluster-info dump --output-directory`` with ``captured-at``, logs as
    ``NAMESPACE/POD/CONTAINER[.previous].log`` and bodies of plain GETs under ``raw/`` (``.status`` beside a body
    holds "code seconds", ``.error`` what kubectl printed instead of a body, ``.2`` is the second sample).
    """

    def __init__(self, path: Path) -> None:
        """Remember where the dump is; nothing is read yet."""
        self._root = path

    def open(self) -> Snapshot:
        """Read the whole dump.

        Raises DumpError when ``path`` does not exist or holds nothing that can be read.
        """
        if not self._root.is_dir():
            raise DumpError(f'the path "{self._root}" does not exist')
        stamp = self._root / "captured-at"
        now = parse_time(stamp.read_text(encoding="utf-8").strip()) if stamp.is_file() else None
        lists = list(self._lists())
        snapshot = Snapshot(
            now=now or _newest(item for _, items in lists for item in items),
            source=str(self._root),
            presumes_absent=now is not None,
        )
        for need, items in lists:
            snapshot.add_list(need, items)
        self._add_logs(snapshot)
        self._add_raw(snapshot)
        return snapshot

    def fetch(self, needs: Iterable[Need], snapshot: Snapshot) -> None:
        """Mark what the dump does not hold as not seen; an empty list is left out of this layout."""
        for need in needs:
            if snapshot.knows(need) or (snapshot.presumes_absent and isinstance(need, Get | List)):
                continue
            snapshot.fail(need, Failure(Why.NOT_IN_DUMP, "not in the dump"))

    def _lists(self) -> Iterator[tuple[List, list[Obj]]]:
        for file in sorted(self._root.glob("*.json")):
            yield from _read_list(file, "")
        for folder in sorted(p for p in self._root.iterdir() if p.is_dir() and p.name != "raw"):
            for file in sorted(folder.glob("*.json")):
                yield from _read_list(file, folder.name)

    def _add_logs(self, snapshot: Snapshot) -> None:
        for file in sorted(self._root.glob("*/*/*.log")):
            if file.parts[-3] != "raw":
                self._add_log(snapshot, file, file.parts[-3], file.parts[-2], file.stem)
        for file in sorted(self._root.glob("*/*.log")):
            stem = file.stem.removesuffix(".previous")
            pod, _, container = stem.rpartition(".")
            self._add_log(snapshot, file, file.parts[-2], pod or stem, container + file.stem[len(stem) :])

    def _add_log(self, snapshot: Snapshot, file: Path, namespace: str, pod: str, stem: str) -> None:
        container = stem.removesuffix(".previous")
        content = file.read_text(encoding="utf-8", errors="replace")
        snapshot.add_log(Log(namespace, pod, container, previous=container != stem), content)

    def _add_raw(self, snapshot: Snapshot) -> None:
        root = self._root / "raw"
        for file in sorted(p for p in root.rglob("*") if p.is_file() and p.suffix not in (".status", ".error")):
            path = "/" + file.relative_to(root).as_posix()
            need = Raw(path.removesuffix(".2"), 1) if path.endswith(".2") else Raw(path)
            status, seconds = 200, 0.0
            beside = file.with_name(file.name + ".status")
            if beside.is_file():
                code, _, took = beside.read_text(encoding="utf-8").partition(" ")
                status = int(code) if code.strip().isdigit() else 200
                seconds = _seconds(took)
            content = file.read_text(encoding="utf-8", errors="replace")
            error = file.with_name(file.name + ".error")
            if error.is_file():
                snapshot.fail(need, _printed_error(error.read_text(encoding="utf-8", errors="replace").strip()))
            elif status in _FAILURES:
                snapshot.fail(need, Failure(_FAILURES[status], content.strip()[:300], status))
            else:
                snapshot.add_body(need, Body(content, status, seconds, at=12.0 * need.sample))


def _read_list(file: Path, namespace: str) -> Iterator[tuple[List, list[Obj]]]:
    if file.stem not in BY_PLURAL:
        return
    try:
        document: Any = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DumpError(f"{file}: not JSON: {error}") from error
    yield List(file.stem, namespace), [strip(file.stem, item, blanked=True) for item in objects(document, "items")]


def _printed_error(line: str) -> Failure:
    match = _SERVER_ERROR.match(line)
    why, status = _REASONS.get(match[1], (Why.FAILED, 500)) if match else (Why.FAILED, 0)
    return Failure(why, _SERVER_ERROR.sub("", line)[:500], status)


def _seconds(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return 0.0


def _newest(items: Iterable[Obj]) -> datetime:
    """Return the newest timestamp in the data: the dump was made just after it."""
    newest: datetime | None = None
    for item in items:
        for path in (("lastTimestamp",), ("eventTime",), ("metadata", "creationTimestamp")):
            moment = parse_time(dig(item, *path))
            if moment is not None and (newest is None or moment > newest):
                newest = moment
    if newest is None:
        raise DumpError("the dump holds no timestamp, so nothing tells when it was made")
    return newest
