"""Writes what a run read, so that a colleague gets the same answer from it.

The command line does, after the answer::

    record(snapshot, Path(directory))

and ``--from DIRECTORY`` then yields the same snapshot. Values of Secrets never were in it; passwords and tokens in
logs, environments, arguments, annotations and ConfigMaps are replaced.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from kubetriage.cluster.coverage import COVERAGE, need_to_json
from kubetriage.cluster.errors import DumpError
from kubetriage.needs import Raw
from kubetriage.redact import MARK, redact, redact_raw
from kubetriage.snapshot import Snapshot
from kubetriage.typed import Any
from kubetriage.values.fields import Obj, namespace_of, text
from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_CERTIFICATE = lazy(r"(-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----)")
_NAMES = frozenset(
    {"apiVersion", "containerID", "image", "imageID", "kind", "name", "namespace", "nodeName", "resourceVersion", "uid"}
)
"""Fields that name something; a diagnosis needs them as they are."""


def refuse_used(directory: Path) -> None:
    """Raise DumpError, before anything is read, for a place that :func:`record` would refuse."""
    try:
        if directory.exists() and any(directory.iterdir()):
            raise DumpError(f'the directory "{directory}" is not empty')
    except OSError as error:
        raise _unwritable(directory, error) from error


def _unwritable(directory: Path, error: OSError) -> DumpError:
    return DumpError(f'cannot record to "{directory}": {(error.strerror or str(error)).lower()}')


def record(snapshot: Snapshot, directory: Path) -> None:
    """Write a snapshot into a directory that is new or empty, readable for its owner only.

    Raises DumpError when the directory has something in it or cannot be written.
    """
    refuse_used(directory)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # An empty folder that was there may be open to others.
        directory.chmod(0o700)
        _Recording(directory).write(snapshot)
    except OSError as error:
        raise _unwritable(directory, error) from error


class _Recording:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._taken: set[str] = set()

    def write(self, snapshot: Snapshot) -> None:
        self._put("captured-at", format_time(snapshot.now) + "\n")
        coverage: dict[str, Any] = {
            "apiVersion": "kubetriage.dev/v1",
            "kind": "Coverage",
            "source": snapshot.source,
            "presumesAbsent": snapshot.presumes_absent,
            "objects": self._objects(snapshot),
            "lists": [
                {**need_to_json(need), **({"shaped": True} if need.shape else {}), "dropped": dropped}
                for need, dropped in snapshot.lists
            ],
            "logs": [],
            "nodeLogs": [],
            "bodies": [],
            "failures": [
                {**need_to_json(need), "why": f.why.value, "message": redact_raw(f.message), "status": f.status}
                for need, f in snapshot.failures
            ],
        }
        for log, content in snapshot.logs:
            name = f"{log.container}{'.previous' if log.previous else ''}.log"
            file = self._put_safe((log.namespace, log.pod, name), redact_raw(content))
            coverage["logs"].append({**need_to_json(log), "file": file})
        for i, machine in enumerate(snapshot.node_logs()):
            file = self._put_safe(("node-logs", f"{i}.log"), redact_raw(machine.text))
            coverage["nodeLogs"].append({"node": machine.node, "source": machine.source, "file": file})
        for need, body in snapshot.bodies:
            where: tuple[str, ...] = ("raw", "dial", str(len(coverage["bodies"])))
            if isinstance(need, Raw):
                path = need.path.lstrip("/") + (".2" if need.sample else "")
                where = ("raw", *path.split("/"))
            file = self._put_safe(where, _body(body.text))
            self._put_safe((*where[:-1], where[-1] + ".status"), f"{body.status} {body.seconds:.6f}\n")
            coverage["bodies"].append(
                {**need_to_json(need), "file": file, "status": body.status, "seconds": body.seconds, "at": body.at}
            )
        self._put(COVERAGE, json.dumps(coverage, indent=1) + "\n")

    def _objects(self, snapshot: Snapshot) -> list[dict[str, str]]:
        places: dict[tuple[str, ...], list[Any]] = {}
        for resource, obj in snapshot.objects:
            namespace = namespace_of(obj)
            file = f"{resource}.json"
            places.setdefault((namespace, file) if namespace else (file,), []).append(redacted(obj))
        written = []
        for where, items in places.items():
            document = {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items}
            file = self._put_safe(where, json.dumps(document, indent=1) + "\n")
            # What a shape kept of an object may not say what it is.
            written.append({"resource": where[-1].removesuffix(".json"), "file": file})
        return written

    def _put_safe(self, parts: tuple[str, ...], content: str) -> str:
        """Write a file whose name a cluster chose; return the name it really has."""
        name = "/".join(_safe(part) for part in parts)
        # /livez is a file and /livez/etcd needs a folder of that name; both are there under some name.
        taken = name in self._taken or (self._root / name).is_dir()
        if taken or any(str(p) in self._taken for p in Path(name).parents):
            name = f"raw/other-{len(self._taken)}"
        self._put(name, content)
        return name

    def _put(self, name: str, content: str) -> None:
        self._taken.add(name)
        file = self._root / name
        for folder in reversed([p for p in file.parents if p.is_relative_to(self._root)]):
            folder.mkdir(mode=0o700, exist_ok=True)
        # O_EXCL: never through a link that somebody put there.
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w", encoding="utf-8", errors="replace", newline="") as out:
            out.write(content)


def _safe(part: str) -> str:
    """Write a name as one that stays in its folder on every file system."""
    name = quote(part, safe=" !#$&'()+,;=@[]{}~?:-_.")
    if name.strip(".") == "":
        name = "%2E" * len(name) or "_"
    return name if len(name) <= 200 else name[:190] + "-cut"


def redacted(obj: Obj) -> dict[str, Any]:
    """Return an object without the secrets that people put where they do not belong."""
    return {k: _redacted(k, v) for k, v in obj.items()}


def _redacted(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return value if key in _NAMES else _text(value)
    if isinstance(value, Mapping):
        if key == "annotations":
            value = {k: v for k, v in value.items() if k != _LAST_APPLIED}
        if key in ("annotations", "data", "stringData"):
            return {k: _value(k, v) for k, v in value.items()}
        name = text(value, "name")
        if name and isinstance(value.get("value"), str):
            # An environment variable, an HTTP header of a probe, a parameter.
            return {k: _value(name, v) if k == "value" else _redacted(k, v) for k, v in value.items()}
        return {k: _redacted(k, v) for k, v in value.items()}
    if isinstance(value, list):
        return _redacted_list(key, value)
    return value


def _text(value: str) -> str:
    """Return a text without secrets; certificates are public and needed."""
    if "-----BEGIN CERTIFICATE-----" not in value:
        return redact_raw(value)
    return "".join(part if i % 2 else redact_raw(part) for i, part in enumerate(_CERTIFICATE.split(value)))


def _body(content: str) -> str:
    """Return the body of a plain GET without secrets; JSON stays JSON."""
    if content.startswith(("{", "[")):
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            return redact_raw(content)
        kept = _redacted_json(document)
        return content if kept == document else json.dumps(kept) + "\n"
    return redact_raw(content)


def _redacted_json(value: Any) -> Any:
    """Return JSON of any kind without secrets; unlike in objects of the API, any key may be a secret's name."""
    if isinstance(value, Mapping):
        return {k: _value(k, v) if isinstance(v, str) else _redacted_json(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_redacted_json(v) for v in value]
    return _text(value) if isinstance(value, str) else value


def _value(name: str, value: Any) -> Any:
    """Return the value that belongs to a name, or the mark where the name says that it is a secret."""
    if not isinstance(value, str):
        return _redacted(name, value)
    shown = _text(value)
    if "\n" not in shown and redact(f"{name}={shown}") == f"{name}={MARK}":
        return MARK
    return shown


def _redacted_list(key: str, values: list[Any]) -> list[Any]:
    kept = [_redacted(key, v) for v in values]
    if key in ("command", "args"):
        for i in range(1, len(kept)):
            flag, value = kept[i - 1], kept[i]
            if isinstance(flag, str) and isinstance(value, str) and flag.startswith("-") and "=" not in flag:
                # "--password", "hunter2" as two arguments.
                kept[i] = _value(flag.lstrip("-"), value)
    return kept
