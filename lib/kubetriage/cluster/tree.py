"""Reads a tree or a file that somebody collected: objects of YAML and JSON, logs, and pasted text, in any layout."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path

from kubetriage.cluster.documents import accepted_name, api_objects, other_objects, parse_documents, read_file, refusal
from kubetriage.cluster.errors import DumpError, NoObjectsError
from kubetriage.cluster.recorded_logs import RecordedLogs, machine_of
from kubetriage.cluster.secrets import strip
from kubetriage.cluster.text import Finds, Hint, Paste, assemble, messages, read_text
from kubetriage.found import Form
from kubetriage.needs import Body, Failure, List, Raw, Why
from kubetriage.readers.logs import last_error
from kubetriage.readers.logs.layers import is_journal_line
from kubetriage.snapshot import Snapshot
from kubetriage.typed import Any
from kubetriage.values.fields import Obj, dig, namespace_of
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_PLURAL, Resource
from kubetriage.values.times import parse_time

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
MAX_TEXT_FILE = 16 * 1024 * 1024
"""Bytes of the end of one file of text that are read."""
MAX_SAID = 64 * 1024
"""Bytes of a text without objects that are looked at for what kubectl said."""
MAX_TEXTS = 64 * 1024 * 1024
"""Bytes of all files of text of one tree."""
_OBJECTS = (".json", ".yaml", ".yml")
_TEXTS = (".txt", ".md", ".log", ".out", "")
_COLLECTED = frozenset(
    {"namespaces", "cluster-scoped-resources", "cluster-resources", "host-collectors", "host_service_logs"}
)
"""Folders of collectors, whose files of text are no pasted ones."""


class Tree:
    """Puts the files of one tree into a snapshot."""

    def __init__(self, root: Path, snapshot: Snapshot, hint: Hint, logs: RecordedLogs) -> None:
        """Begin; ``logs`` is filled with the logs that stand in files of their own."""
        self._root = root
        self._snapshot = snapshot
        self._hint = hint
        self._logs = logs
        self._texts: list[Finds] = []
        self._problems: list[str] = []
        self._left = MAX_TEXTS
        self.paste: Paste | None = None
        """What the files of text held; None where there were none."""
        self._unplaced = ""
        self.refused: list[str] = []
        """What was left out because no API server accepts its name, in words for the user."""

    @property
    def said(self) -> tuple[str, ...]:
        """The messages of a text that holds no object."""
        return messages(self._unplaced) if self._unplaced else ()

    def read(self, files: Iterable[Path]) -> None:
        """Read all files. Raises DumpError when none holds anything that can be used."""
        snapshot, seen = self._snapshot, 0
        logs: list[tuple[tuple[str, ...], Path]] = []
        single = not self._root.is_dir()
        for file in files:
            parts = (file.name,) if single else file.relative_to(self._root).parts
            if single:
                seen += self._read_single(file)
            elif file.suffix in _OBJECTS:
                seen += self._read_objects(file, parts)
            elif (node := machine_of(file.parts[-4:])) is not None and _is_text(
                content := read_file(file)[-MAX_TEXT_FILE:]
            ):
                snapshot.add_node_log(node, "/".join(parts), content.decode("utf-8", "replace"))
                seen += 1
            elif file.name == "logs.txt" or (file.suffix == ".log" and len(parts) > 1):
                logs.append((parts, file))
            elif file.suffix in _TEXTS and not _COLLECTED & set(parts) and file.name not in ("timestamp", "version"):
                seen += self._read_text(file)
        if not seen and not logs:
            words = self._problems[0].removeprefix("error: ") if self._problems else ""
            raise NoObjectsError(words or f"{self._root}: holds no objects of the API", self.said)
        for parts, file in logs:
            self._logs.place(parts, file, snapshot)
        if self._texts:
            self.paste = assemble(self._texts, snapshot, self._hint)
            self._logs.texts.update(self.paste.logs)
        self._add_pods_of_logs()
        snapshot.offer_logs(self._logs.keys)

    def _read_single(self, file: Path) -> int:
        """Read a file or a stream of which nobody knows what it holds."""
        content = read_file(file)
        if _looks_like_objects(content):
            try:
                if count := self._add_documents(content, file, (file.name,)):
                    return count
            except DumpError as error:
                self._problems.append(str(error))
        finds = read_text(content[-MAX_TEXT_FILE:].decode("utf-8", "replace"), str(file))
        placed = finds.objects or finds.events or finds.node_logs or any(log.pod or log.workload for log in finds.logs)
        if not placed and _is_text(content):
            self._unplaced = content[:MAX_SAID].decode("utf-8", "replace")
        # Words that may be anything are a log only where the user says of what.
        guess = finds.guessed and not self._hint.targets and not _tells_error(finds)
        told = finds.objects or finds.others or finds.events or not (self._problems or guess)
        if _is_used(finds) and told and _is_text(content):
            self._texts.append(finds)
            return 1
        if not self._problems:
            self._problems.append(f"{file}: {_what_it_is(finds, content)}")
        elif content.lstrip()[:1] not in (b"{", b"["):
            self._problems[0] += f"; {_GIVE}"
        return 0

    def _read_text(self, file: Path) -> int:
        size = file.stat().st_size
        if size > self._left or not size:
            return 0
        with file.open("rb") as stream:
            stream.seek(max(0, size - MAX_TEXT_FILE))
            content = stream.read(MAX_TEXT_FILE)
        self._left -= len(content)
        if not _is_text(content):
            return 0
        finds = read_text(content.decode("utf-8", "replace"), str(file.relative_to(self._root)))
        if not _is_used(finds) or finds.guessed:
            return 0
        self._texts.append(finds)
        return 1

    def _read_objects(self, file: Path, parts: tuple[str, ...]) -> int:
        try:
            return self._add_documents(read_file(file), file, parts)
        except DumpError as error:
            self._problems.append(str(error))
            if place := _list_place(parts):
                words = str(error).removeprefix("error: ")
                self._snapshot.fail(List(place[0].plural, place[1]), Failure(Why.FAILED, words))
            return 0

    def _add_documents(self, content: bytes, file: Path, parts: tuple[str, ...]) -> int:
        """Add the objects of one file; return how many it had."""
        snapshot = self._snapshot
        place = _list_place(parts)
        resource = place[0] if place else None
        documents = parse_documents(content, str(file))
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
                if not accepted_name(obj):
                    self.refused.append(refusal(found.plural, obj))
                    continue
                where = namespace_of(obj)
                if place and (found is not place[0] or (place[1] and where != place[1])):
                    whole = False
                if not found.namespaced and where:
                    continue
                if found.namespaced and not where:
                    # As kubectl apply does: what names no namespace goes where the user is.
                    obj["metadata"] = {**obj["metadata"], "namespace": self._hint.namespace or "default"}
                snapshot.add(found.plural, strip(found.plural, obj))
                if place is None or not whole:
                    snapshot.presume(found.plural, namespace_of(obj))
            for other in other_objects(document):
                count += 1
                snapshot.add_other(other)
        if place and whole and any(_is_list(d) for d in documents):
            snapshot.add_shaped(List(place[0].plural, place[1]), (), 0)
        return count

    def _add_pods_of_logs(self) -> None:
        """Make the pods of which nothing but logs were collected, so that these can be read."""
        for (namespace, pod), containers in self._logs.without_pods(self._snapshot).items():
            if (
                namespace == "kube-system"
                or self._snapshot.list("pods", namespace).items
                or self._snapshot.failure(List("pods", namespace))
            ):
                continue
            obj = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": pod, "namespace": namespace},
                "spec": {"containers": [{"name": name} for name in sorted(containers)]},
                # Logs are collected of what failed; when and how is not told.
                "status": {
                    "containerStatuses": [
                        {"name": name, "lastState": {"terminated": {}}} for name in sorted(containers)
                    ]
                },
            }
            if accepted_name(obj):
                self._snapshot.add("pods", obj)
                self._snapshot.add_form(obj, Form("a log", shows=("metadata.name",)))


def _looks_like_objects(content: bytes) -> bool:
    """Tell whether a file begins as YAML or JSON of the API does; text has words or other keys there."""
    rows = content[:65536].lstrip(b"\xef\xbb\xbf \t\r\n").split(b"\n")
    first = next((r.strip() for r in rows if r.strip() and not r.strip().startswith((b"#", b"---", b"%"))), b"")
    keys = (b"apiVersion", b"kind", b"items", b"metadata", b"- apiVersion", b"- kind", b'"', b"spec", b"status")
    if is_journal_line(first.decode("utf-8", "replace")):
        # The kernel's ring buffer puts its times in brackets.
        return False
    # Alerts and loggers put words in brackets.
    is_list = first[:1] == b"[" and first[1:].lstrip()[:1] in (b"", b"{", b"[", b"]", b'"')
    return first[:1] == b"{" or is_list or first.startswith(keys)


def _is_used(finds: Finds) -> bool:
    return bool(
        finds.objects
        or finds.others
        or finds.events
        or finds.logs
        or finds.node_logs
        or finds.whole
        or finds.absent
        or finds.bodies
    )


_SHELL = lazy(
    r"^[ \t]{0,40}(?:\S{0,60}sh|\S{1,200}\.go:\d{1,6}|env|exec \S{1,200}): "
    r".{0,300}(?:not found|exec format error|no such file or directory|permission denied)[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
"""What shells, env and runc write of a program that they cannot run."""


def _tells_error(finds: Finds) -> bool:
    """Tell whether words that may be anything end with an error as programs and kernels write them."""
    for log in finds.logs:
        error = last_error(log.text)
        if (error is not None and error.weight != "weak") or _SHELL.search(log.text[-4096:]):
            return True
    return False


_GIVE = "give the output of: kubectl describe pod NAME, or kubectl get pod NAME -o yaml"


def _what_it_is(finds: Finds, content: bytes) -> str:
    """Say what an unusable text looks like, and what would answer."""
    if not content.strip():
        return f"empty; {_GIVE}"
    if not _is_text(content):
        return f"not a text; {_GIVE}"
    if finds.guessed and finds.logs:
        return "looks like a log, or like prose; of a log name the pod: kubectl why-crash POD --from FILE"
    looks = next((u.what for u in finds.unused), "")
    return f"{looks or 'holds no objects of the API, and no describe, table, events or log'}; {_GIVE}"


def _is_text(content: bytes) -> bool:
    """Tell text from what a program wrote for programs."""
    head = content[:65536]
    strange = sum(
        1
        for char in head.decode("utf-8", "replace")
        if char == "\ufffd" or (char < " " and char not in "\t\n\r\x1b\f\b")
    )
    return b"\0" not in head and strange * 50 <= max(len(head), 50)


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


def newest_time(items: Iterable[Obj], files: Iterable[Path]) -> datetime:
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
