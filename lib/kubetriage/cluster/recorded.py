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
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from kubetriage.cluster.coverage import COVERAGE, restore
from kubetriage.cluster.documents import MAX_FILE, api_objects, other_objects, parse_documents
from kubetriage.cluster.errors import DumpError
from kubetriage.cluster.logtext import decode_log, tail_of
from kubetriage.cluster.secrets import strip
from kubetriage.cluster.unpack import is_archive, unpack
from kubetriage.needs import Body, Failure, Get, List, Log, Need, Raw, Why
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, dig, name_of, namespace_of, objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_PLURAL, Resource
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
_OTHER_NAMES = {
    # kubectl cluster-info dump (cmd/clusterinfo/clusterinfo_dump.go).
    "replication-controllers": "replicationcontrollers",
    # troubleshoot.sh (pkg/constants, pkg/collect/cluster_resources.go).
    "ingress": "ingresses",
    "ingress-classes": "ingressclasses",
    "limitranges": "limitranges",
    "network-policy": "networkpolicies",
    "pod-disruption-budgets": "poddisruptionbudgets",
    "pvcs": "persistentvolumeclaims",
    "pvs": "persistentvolumes",
    "resource-quota": "resourcequotas",
    "service-accounts": "serviceaccounts",
    "storage-classes": "storageclasses",
    "volume-attachments": "volumeattachments",
}
_TIMES = frozenset(
    {
        "completionTime",
        "creationTimestamp",
        "eventTime",
        "finishedAt",
        "firstTimestamp",
        "lastHeartbeatTime",
        "lastObservedTime",
        "lastTimestamp",
        "lastTransitionTime",
        "lastUpdateTime",
        "renewTime",
        "startTime",
        "startedAt",
        "time",
    }
)
"""Fields of the API that hold a moment that had passed when the object was read."""
_LOG_BEGIN = lazy(r"==== START logs for container (\S+) of pod (\S+)/(\S+) ====\n")
"""How ``kubectl cluster-info dump`` separates the containers in ``logs.txt`` (all versions)."""
_MUST_GATHER_TIME = lazy(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)? ([+-]\d{4})")
"""Lines of the file ``timestamp`` of ``oc adm must-gather``: Go's time.Time, start and end."""

_LogKey = tuple[str, str, str, bool]


class RecordedReader:
    """Answers needs from a dump: a directory, an archive, or a file of objects.

    :meth:`open` reads objects and bodies of plain GETs; logs are read when they are asked for.
    """

    def __init__(self, path: Path) -> None:
        """Remember where the dump is; nothing is read yet."""
        self._path = path
        self._logs: dict[_LogKey, Path] = {}
        self._sections: dict[_LogKey, str] = {}

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
            if isinstance(need, Log) and self._add_log(need, snapshot):
                continue
            if snapshot.presumes_absent and isinstance(need, Get | List):
                continue
            damaged = _damage(need, snapshot) if isinstance(need, Get | List) else None
            snapshot.fail(need, damaged or Failure(Why.NOT_IN_DUMP, "not in the dump"))

    def _add_log(self, need: Log, snapshot: Snapshot) -> bool:
        key = (need.namespace, need.pod, need.container, need.previous)
        if key in self._sections:
            content = tail_of(iter([self._sections[key].encode()]), need.tail_lines, need.limit_bytes)
        elif key in self._logs:
            with self._logs[key].open("rb") as stream:
                content = tail_of(iter(lambda: stream.read(1024 * 1024), b""), need.tail_lines, need.limit_bytes)
        else:
            return False
        snapshot.add_log(need, _without_times(decode_log(content)))
        return True

    # The layout with captured-at.

    def _open_capture(self, root: Path) -> Snapshot:
        now = parse_time((root / "captured-at").read_text(encoding="utf-8", errors="replace").strip())
        others: list[Obj] = []
        lists = list(_capture_lists(root, others))
        snapshot = Snapshot(
            now=now or _newest((item for _, items in lists for item in items), [root]),
            source=str(self._path),
            presumes_absent=now is not None,
        )
        for need, items in lists:
            snapshot.add_list(need, [strip(need.resource, item) for item in items])
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
            elif file.suffix == ".log" and len(parts) == 3:
                container = file.stem.removesuffix(".previous")
                self._logs[parts[0], parts[1], container, container != file.stem] = file
            elif file.suffix == ".log" and len(parts) == 2:
                stem = file.stem.removesuffix(".previous")
                pod, _, container = stem.rpartition(".")
                self._logs[parts[0], pod or stem, container, stem != file.stem] = file
        snapshot.offer_logs(self._logs)
        if sampled:
            snapshot.lag += timedelta(seconds=_BETWEEN_SAMPLES)
        return snapshot

    # Everything else.

    def _open_tree(self, root: Path) -> Snapshot:
        # The clock is known when everything was read.
        snapshot = Snapshot(now=datetime.now(timezone.utc), source=str(self._path))
        files = list(_files(root)) if root.is_dir() else [root]
        problems: list[str] = []
        seen = 0
        logs: list[tuple[tuple[str, ...], Path]] = []
        for file in files:
            parts = file.relative_to(root).parts if root.is_dir() else (file.name,)
            if file.suffix in (".json", ".yaml", ".yml") or not root.is_dir():
                try:
                    seen += self._add_documents(file, parts, snapshot)
                except DumpError as error:
                    problems.append(str(error))
                    if place := _list_place(parts):
                        words = str(error).removeprefix("error: ")
                        snapshot.fail(List(place[0].plural, place[1]), Failure(Why.FAILED, words))
            elif file.suffix == ".log" or file.name == "logs.txt":
                logs.append((parts, file))
        if not seen and not logs:
            raise DumpError(
                problems[0].removeprefix("error: ") if problems else f"{self._path}: holds no objects of the API"
            )
        for parts, file in logs:
            self._place_log(parts, file, snapshot)
        stamp = _must_gather_time(root)
        snapshot.now = stamp or _newest((obj for _, obj in snapshot.objects), files)
        return snapshot

    def _add_documents(self, file: Path, parts: tuple[str, ...], snapshot: Snapshot) -> int:
        """Add the objects of one file; return how many it had."""
        if file.stat().st_size > MAX_FILE:
            raise DumpError(f"{file}: larger than {MAX_FILE >> 30} GiB")
        place = _list_place(parts)
        resource = place[0] if place else None
        documents = parse_documents(file.read_bytes(), str(file))
        if parts[-2:] == ("cluster-info", "cluster_version.json") and documents:
            snapshot.add_body(Raw("/version"), Body(json.dumps(dig(documents[0], "info") or {})))
        if file.stem.endswith("-errors") and "cluster-resources" in parts:
            _add_bundle_errors(file.stem.removesuffix("-errors"), documents, snapshot)
            return 0
        count = 0
        whole = place is not None
        for document in documents:
            for found, obj in api_objects(document, resource):
                count += 1
                where = namespace_of(obj)
                if place and (found is not place[0] or (place[1] and where != place[1])):
                    whole = False
                if not found.namespaced and where:
                    continue
                snapshot.add(found.plural, strip(found.plural, obj))
            for other in other_objects(document):
                count += 1
                snapshot.add_other(other)
        if place and whole and any(_is_list(d) for d in documents):
            snapshot.add_shaped(List(place[0].plural, place[1]), (), 0)
        return count

    def _place_log(self, parts: tuple[str, ...], file: Path, snapshot: Snapshot) -> None:
        if file.name == "logs.txt":
            for key, content in _sections(file):
                self._sections[key] = content
            return
        # must-gather: namespaces/NS/pods/POD/CONTAINER/CONTAINER/logs/current.log
        if len(parts) >= 7 and parts[-2] == "logs" and parts[-3] == parts[-4] and parts[-6] == "pods":
            key = (parts[-7], parts[-5], parts[-3], parts[-1].startswith("previous"))
            # previous.insecure.log is a second way to the same log.
            if key not in self._logs or parts[-1] == "previous.log":
                self._logs[key] = file
            return
        if len(parts) < 2:
            return
        pod = parts[-2]
        namespace = parts[-3] if len(parts) > 2 else ""
        known = {namespace_of(o): o for o in snapshot.list("pods").items if name_of(o) == pod}
        if namespace not in known and len(known) == 1:
            # The collector "logs" of a support bundle leaves the namespace out of its paths.
            namespace = next(iter(known))
        for suffix in (".previous", "-previous"):
            container = file.stem.removesuffix(suffix)
            if container != file.stem and file.stem not in _containers(known.get(namespace, {})):
                self._logs.setdefault((namespace, pod, container, True), file)
                return
        self._logs.setdefault((namespace, pod, file.stem, False), file)


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
    """Yield the lists of a capture; what is of a custom kind that no resource describes goes to ``others``."""
    for file in _files(root):
        parts = file.relative_to(root).parts
        if file.suffix != ".json" or len(parts) > 2 or parts[0] == "raw":
            continue
        documents = parse_documents(file.read_bytes(), str(file))
        if file.stem not in BY_PLURAL:
            others.extend(o for d in documents for o in other_objects(d))
            continue
        if not documents:
            raise DumpError(f"{file}: empty")
        yield List(file.stem, parts[0] if len(parts) == 2 else ""), objects(documents[0], "items")


def _list_place(parts: tuple[str, ...]) -> tuple[Resource, str] | None:
    """Return resource and namespace (empty: the whole cluster) of a file that a known layout makes a whole list."""
    stem = parts[-1].rpartition(".")[0]
    resource = BY_PLURAL.get(_OTHER_NAMES.get(stem, stem))
    if "cluster-resources" in parts:
        # Support bundle: cluster-resources/pods/NAMESPACE.json, cluster-resources/nodes.json
        below = parts[parts.index("cluster-resources") + 1 :]
        if len(below) == 2:
            resource = BY_PLURAL.get(_OTHER_NAMES.get(below[0], below[0]))
            return (resource, stem) if resource is not None and resource.namespaced else None
        return (resource, "") if resource is not None and len(below) == 1 and not resource.namespaced else None
    if resource is None:
        return None
    if len(parts) >= 4 and parts[-4] == "namespaces":
        # must-gather: namespaces/NAMESPACE/GROUP/pods.yaml
        return (resource, parts[-3]) if resource.namespaced else None
    if len(parts) == 1:
        return None if resource.namespaced else (resource, "")
    # cluster-info dump: NAMESPACE/pods.json
    return (resource, parts[0]) if len(parts) == 2 and resource.namespaced else None


def _is_list(document: Any) -> bool:
    return isinstance(document, list) or (isinstance(document, Mapping) and "items" in document)


def _damage(need: Get | List, snapshot: Snapshot) -> Failure | None:
    """Return why the file that would hold the answer could not be read, or that it says so itself."""
    places = (List(need.resource, need.namespace), List(need.resource))
    return next((f for place in places if (f := snapshot.failure(place)) is not None), None)


def _add_bundle_errors(name: str, documents: list[Any], snapshot: Snapshot) -> None:
    """Take what troubleshoot.sh says it could not read: a map of namespace to message, or a list of messages."""
    resource = BY_PLURAL.get(_OTHER_NAMES.get(name, name))
    if resource is None or not documents:
        return
    said = documents[0]
    pairs = said.items() if isinstance(said, Mapping) else [("", m) for m in said] if isinstance(said, list) else []
    for namespace, message in pairs:
        if isinstance(namespace, str) and isinstance(message, str) and message:
            why = Why.FORBIDDEN if "forbidden" in message else Why.FAILED
            snapshot.fail(List(resource.plural, namespace), Failure(why, message, 403 if why is Why.FORBIDDEN else 0))


def _sections(file: Path) -> Iterator[tuple[_LogKey, str]]:
    """Split ``logs.txt`` of a cluster-info dump into its containers."""
    content = file.read_bytes().decode("utf-8", "replace")
    for match in _LOG_BEGIN.finditer(content):
        container, namespace, pod = match.groups()
        end = content.find(f"==== END logs for container {container} of pod {namespace}/{pod} ====", match.end())
        yield (namespace, pod, container, False), content[match.end() : end if end >= 0 else len(content)]


_TIMED_LINE = lazy(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ")
"""The kubelet's time before each line of a log that was read with timestamps."""


def _without_times(content: str) -> str:
    """Take the kubelet's times away where every line has one: must-gathers read logs with them."""
    lines = content.split("\n")
    if not all(_TIMED_LINE.match(line) for line in lines if line) or not any(lines):
        return content
    return "\n".join(_TIMED_LINE.sub("", line, count=1) for line in lines)


def _containers(pod: Obj) -> set[str]:
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return {text(c, "name") for kind in kinds for c in objects(pod, "spec", kind)}


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


def _newest(items: Iterable[Obj], files: Iterable[Path]) -> datetime:
    """Return the newest time in the data, for the dump was made just after it; without any, the files' own."""
    newest = ""
    for item in items:
        pending: list[Any] = [item]
        while pending:
            value = pending.pop()
            if isinstance(value, Mapping):
                for key, inner in value.items():
                    if key in _TIMES and isinstance(inner, str):
                        # RFC 3339 in UTC sorts as text; whatever does not parse is not taken.
                        if inner > newest and parse_time(inner) is not None:
                            newest = inner
                    elif isinstance(inner, Mapping | list):
                        pending.append(inner)
            elif isinstance(value, list):
                pending += [v for v in value if isinstance(v, Mapping | list)]
    found = parse_time(newest)
    if found is not None:
        return found
    written = max((f.stat().st_mtime for f in files), default=0.0)
    return datetime.fromtimestamp(int(written), timezone.utc)
