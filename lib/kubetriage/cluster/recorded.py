"""Reads a recorded state of a cluster into the same snapshot as the live reader.

Understood are: what ``--record`` writes, the layout with ``captured-at`` that it is built on, ``kubectl cluster-info
dump --output-directory``, an OpenShift must-gather, a troubleshoot.sh support bundle, archives of these, and any tree
or file of YAML or JSON objects. Only where the layout says that a list is whole does its silence mean absence.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

from kubetriage.cluster.coverage import COVERAGE, restore
from kubetriage.cluster.documents import accepted_name, other_objects, parse_documents, read_file, refusal, resource_of
from kubetriage.cluster.errors import DumpError
from kubetriage.cluster.recorded_logs import RecordedLogs, machine_of
from kubetriage.cluster.secrets import strip
from kubetriage.cluster.text import Hint, Paste
from kubetriage.cluster.tree import MAX_TEXT_FILE, Tree, newest_time
from kubetriage.cluster.unpack import is_archive, unpack
from kubetriage.needs import Body, Failure, Get, List, Log, Need, Raw, Why
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_PLURAL
from kubetriage.values.times import parse_time

_FAILURES = {401: Why.FORBIDDEN, 403: Why.FORBIDDEN, 404: Why.NOT_FOUND}
_SERVER_ERROR = lazy(r"Error from server \((\w+)\): ")
"""How kubectl prints an answer that is a Status (cmd/util/helpers.go, all versions); the reason is captured."""
_REASONS = {
    "Forbidden": (Why.FORBIDDEN, 403),
    "Unauthorized": (Why.FORBIDDEN, 401),
    "NotFound": (Why.NOT_FOUND, 404),
    "ServiceUnavailable": (Why.FAILED, 503),
    "Timeout": (Why.TIMEOUT, 504),
}
_MUST_GATHER_TIME = lazy(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)? ([+-]\d{4})")
"""Lines of the file ``timestamp`` of ``oc adm must-gather``: Go's time.Time, start and end."""


class RecordedReader:
    """Answers needs from a dump: a directory, an archive, or a file of objects.

    :meth:`open` reads objects and bodies of plain GETs; logs are read when they are asked for.
    """

    def __init__(self, path: Path, hint: Hint | None = None, asked: str = "") -> None:
        """Remember where the dump is; nothing is read yet.

        ``hint`` names what a pasted text leaves out, ``asked`` is the path in the user's words.
        """
        self._path = path
        self.asked = asked or str(path)
        self.refused: list[str] = []
        """What was left out of the dump because no API server would accept it, in words for the user."""
        self._hint = hint or Hint()
        self.paste: Paste | None = None
        """What the texts held, where the dump is or has pasted text."""
        self._reading: Tree | None = None
        self._logs = RecordedLogs()

    @property
    def said(self) -> tuple[str, ...]:
        """The messages of a text that holds no object, for who can explain them (``Plugin.explains``)."""
        return self._reading.said if self._reading is not None else ()

    def open(self) -> Snapshot:
        """Read all objects of the dump.

        Raises DumpError when ``path`` does not exist or holds nothing that can be read.
        """
        root = self._path
        if not root.exists():
            raise DumpError(f'the path "{root}" does not exist')
        if root.is_file() and is_archive(root):
            root = Path(tempfile.mkdtemp(prefix="kubetriage-"))
            # Logs are read from it later, so it lives as long as this reader.
            weakref.finalize(self, shutil.rmtree, root, ignore_errors=True)
            unpack(self._path, root)
        root = _inner(root)
        if root.is_dir() and (root / COVERAGE).is_file():
            return restore(root)
        if root.is_dir() and (root / "captured-at").is_file():
            return self._open_capture(root)
        return self._open_tree(root)

    def fetch(self, needs: Iterable[Need], snapshot: Snapshot) -> None:
        """Read the logs that are asked for, and mark what the dump does not hold as not seen."""
        for need in needs:
            if snapshot.knows(need):
                continue
            if isinstance(need, Log) and self._logs.add_to(snapshot, need):
                continue
            if isinstance(need, Get | List) and (snapshot.presumes_absent or snapshot.knows_some(need)):
                continue
            damaged = _damage(need, snapshot) if isinstance(need, Get | List) else None
            snapshot.fail(need, damaged or Failure(Why.NOT_IN_DUMP, "not in the dump"))

    # The layout with captured-at.

    def _open_capture(self, root: Path) -> Snapshot:
        now = parse_time((root / "captured-at").read_text(encoding="utf-8", errors="replace").strip())
        others: list[Obj] = []
        lists = list(_capture_lists(root, others))
        snapshot = Snapshot(
            now=now or newest_time((item for _, items in lists for item in items), [root]),
            source=str(self._path),
            presumes_absent=now is not None,
        )
        for need, items in lists:
            taken = [item for item in items if accepted_name(item)]
            self.refused += [refusal(need.resource, item) for item in items if not accepted_name(item)]
            snapshot.add_list(need, [strip(need.resource, item) for item in taken])
        for item in others:
            snapshot.add_other(item)
        sampled = False
        for file in _files(root):
            parts = file.relative_to(root).parts
            if parts[0] == "raw":
                if file.suffix not in (".status", ".error"):
                    path = "/" + "/".join(parts[1:])
                    body = Raw(path.removesuffix(".2"), 1) if path.endswith(".2") else Raw(path)
                    snapshot.lag += _add_body(body, file, snapshot)
                    sampled = sampled or body.sample > 0
            elif (node := machine_of(parts)) is not None:
                snapshot.add_node_log(node, "/".join(parts), _end_of(file))
            elif file.suffix == ".log":
                self._logs.place_captured(parts, file)
        snapshot.offer_logs(self._logs.keys)
        if sampled:
            snapshot.lag += timedelta(seconds=_BETWEEN_SAMPLES)
        return snapshot

    # Everything else.

    def _open_tree(self, root: Path) -> Snapshot:
        # The clock is known when everything was read.
        snapshot = Snapshot(now=datetime.now(timezone.utc), source=str(self._path))
        files = list(_files(root)) if root.is_dir() else [root]
        reading = Tree(root, snapshot, self._hint, self._logs)
        reading.read(files)
        self.paste = reading.paste
        self._reading = reading
        self.refused += reading.refused
        stamp = _must_gather_time(root)
        if self._hint.now is not None:
            snapshot.now = self._hint.now
        elif stamp is not None or self.paste is None:
            snapshot.now = stamp or newest_time((obj for _, obj in snapshot.objects), files)
        return snapshot


def _end_of(file: Path) -> str:
    return read_file(file)[-MAX_TEXT_FILE:].decode("utf-8", "replace")


def _inner(root: Path) -> Path:
    """Descend through folders that hold nothing but one folder, as archives and must-gathers begin."""
    while root.is_dir():
        inside = [p for p in root.iterdir() if p.is_dir() and not p.is_symlink()]
        if len(inside) != 1 or any(
            p.suffix in (".json", ".yaml", ".yml") or p.name == "captured-at" for p in root.iterdir()
        ):
            return root
        if inside[0].name in ("cluster-resources", "namespaces", "cluster-scoped-resources", "raw"):
            return root
        below = [p.name for p in inside[0].iterdir()]
        if not ({"captured-at", COVERAGE, "cluster-resources", "namespaces", "cluster-scoped-resources"} & set(below)):
            # Perhaps the only namespace of a dump; its name is needed.
            if all((inside[0] / n).is_dir() for n in below) and len(below) == 1:
                root = inside[0]
                continue
            return root
        root = inside[0]
    return root


def _files(root: Path) -> Iterator[Path]:
    """Yield the regular files of a tree; symbolic links only where they stay inside it."""
    real = root.resolve()
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            if file.is_symlink() and not file.resolve().is_relative_to(real):
                continue
            if file.is_file():
                yield file


def _capture_lists(root: Path, others: list[Obj]) -> Iterator[tuple[List, list[Obj]]]:
    """Yield the lists of a capture; what is of a custom kind that no resource describes goes to ``others``.

    An object is of the kind that it says, whatever the file is called: two API groups may have one plural name.
    """
    found: dict[tuple[str, str], list[Obj]] = {}
    for file in _files(root):
        parts = file.relative_to(root).parts
        if file.suffix != ".json" or len(parts) > 2 or parts[0] == "raw":
            continue
        documents = parse_documents(read_file(file), str(file))
        place = parts[0] if len(parts) == 2 else ""
        if file.stem in BY_PLURAL:
            if not documents:
                raise DumpError(f"{file}: empty")
            found.setdefault((file.stem, place), [])
        for document in documents:
            others.extend(other_objects(document))
            for item in objects(document, "items"):
                named = bool(text(item, "kind") and text(item, "apiVersion"))
                resource = resource_of(item) if named else BY_PLURAL.get(file.stem)
                if resource is not None:
                    found.setdefault((resource.plural, place), []).append(item)
    for (plural, place), items in found.items():
        yield List(plural, place), items


def _damage(need: Get | List, snapshot: Snapshot) -> Failure | None:
    """Return why the file that would hold the answer could not be read, or that it says so itself."""
    places = (List(need.resource, need.namespace), List(need.resource))
    return next((f for place in places if (f := snapshot.failure(place)) is not None), None)


def _must_gather_time(root: Path) -> datetime | None:
    """Return the end of a must-gather."""
    for file in (root / "timestamp", root.parent / "timestamp"):
        if file.is_file():
            found = _MUST_GATHER_TIME.findall(file.read_text(encoding="utf-8", errors="replace"))
            if found:
                day, offset = found[-1]
                return parse_time(day.replace(" ", "T") + offset)
    return None


def _add_body(need: Raw, file: Path, snapshot: Snapshot) -> timedelta:
    """Read one body with what stands beside it; return how long the read took."""
    status, seconds = 200, 0.0
    beside = file.with_name(file.name + ".status")
    if beside.is_file():
        code, _, took = beside.read_text(encoding="utf-8", errors="replace").partition(" ")
        status = int(code) if code.strip().isdigit() else 200
        seconds = _seconds(took)
    error = file.with_name(file.name + ".error")
    if error.is_file():
        words = error.read_text(encoding="utf-8", errors="replace").strip()
        snapshot.fail(need, _printed_error(words))
        return timedelta(seconds=_DIAL_LIMIT if _WAITED.search(words) else seconds)
    content = file.read_text(encoding="utf-8", errors="replace")
    if status in _FAILURES:
        snapshot.fail(need, Failure(_FAILURES[status], _status_words(content)[:300], status))
    elif status == 0:
        # curl writes 000 where no answer came: the wait ended, or the connection failed at once.
        hung = seconds >= _SHORTEST_WAIT
        words = f"no answer within {seconds:.0f} s" if hung else "no answer: the connection failed"
        snapshot.fail(need, Failure(Why.TIMEOUT if hung else Why.FAILED, words))
    else:
        snapshot.add_body(need, Body(content, status, seconds, at=_BETWEEN_SAMPLES * need.sample))
    return timedelta(seconds=max(seconds, 0.0))


_BETWEEN_SAMPLES = 12.0
"""Seconds from the first to the second read of a path."""
_DIAL_LIMIT = 30.0
"""Seconds for which the API server dials a kubelet or pod (apimachinery util/net, Dialer.Timeout)."""
_WAITED = lazy(r"i/o timeout|deadline exceeded|timed? ?out|no route to host")
_SHORTEST_WAIT = 1.0
"""Seconds: nobody sets a shorter time limit for a read."""


def _status_words(content: str) -> str:
    """Return the message where the body is a Status, else the body."""
    try:
        found = json.loads(content) if content.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        found = None
    return text(found, "message") or content.strip()


def _printed_error(line: str) -> Failure:
    match = _SERVER_ERROR.match(line)
    why, status = _REASONS.get(match[1], (Why.FAILED, 500)) if match else (Why.FAILED, 0)
    return Failure(why, _SERVER_ERROR.sub("", line)[:500], status)


def _seconds(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return 0.0
