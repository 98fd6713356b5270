"""What a recording holds and what it does not: ``coverage.json``.

The captures' layout alone cannot say which lists were whole, which objects were asked for and absent, and which reads
failed. With this file a recording gives the same answers as the cluster gave.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from kubetriage.cluster.documents import parse_documents
from kubetriage.cluster.errors import DumpError
from kubetriage.cluster.logtext import decode_log
from kubetriage.cluster.secrets import strip
from kubetriage.needs import Body, Dial, Failure, Get, List, Log, Need, Raw, Why
from kubetriage.snapshot import Snapshot
from kubetriage.typed import Any
from kubetriage.values.fields import Obj, flag, number, objects, text
from kubetriage.values.resources import BY_PLURAL
from kubetriage.values.times import parse_time

COVERAGE = "coverage.json"


def need_to_json(need: Need) -> dict[str, Any]:
    """Write what identifies a need."""
    if isinstance(need, Get):
        return {"get": need.resource, "namespace": need.namespace, "name": need.name}
    if isinstance(need, List):
        return {"list": need.resource, "namespace": need.namespace, "labels": need.labels, "fields": need.fields}
    if isinstance(need, Log):
        return {
            "log": need.pod,
            "namespace": need.namespace,
            "container": need.container,
            "previous": need.previous,
            "lines": need.tail_lines,
            "bytes": need.limit_bytes,
        }
    if isinstance(need, Raw):
        return {"raw": need.path, "sample": need.sample}
    return {
        "dial": need.pod,
        "namespace": need.namespace,
        "port": need.port,
        "path": need.path,
        "tls": need.tls,
        "sample": need.sample,
    }


def need_from_json(entry: Obj) -> Need | None:
    """Read what :func:`need_to_json` wrote; None for anything else."""
    namespace = text(entry, "namespace")
    if text(entry, "get") in BY_PLURAL:
        return Get(text(entry, "get"), namespace, text(entry, "name"))
    if text(entry, "list") in BY_PLURAL:
        shape = _as_it_is if flag(entry, "shaped") else None
        return List(text(entry, "list"), namespace, text(entry, "labels"), text(entry, "fields"), shape=shape)
    if text(entry, "log"):
        lines, most = number(entry, "lines"), number(entry, "bytes")
        previous = bool(flag(entry, "previous"))
        log = Log(namespace, text(entry, "log"), text(entry, "container"), previous)
        return log if lines is None or most is None else Log(namespace, log.pod, log.container, previous, lines, most)
    if text(entry, "raw"):
        return Raw(text(entry, "raw"), number(entry, "sample") or 0)
    port = number(entry, "port")
    if text(entry, "dial") and port is not None:
        sample, tls = number(entry, "sample") or 0, bool(flag(entry, "tls"))
        return Dial(namespace, text(entry, "dial"), port, text(entry, "path"), tls, sample)
    return None


def _as_it_is(obj: Obj) -> Obj:
    """Stand for the shape that a list had: its objects are here, but others were dropped."""
    return obj


def restore(root: Path) -> Snapshot:
    """Return the whole snapshot of a recording.

    Raises DumpError when the recording is damaged.
    """
    coverage = _document(root, COVERAGE)
    now = parse_time(_inside(root, "captured-at").read_text(encoding="utf-8", errors="replace").strip())
    if now is None:
        raise DumpError(f"{root / 'captured-at'}: not a time")
    # Plans and rules treat a recorded cluster as the cluster that it was.
    snapshot = Snapshot(
        now=now, source=text(coverage, "source") or str(root), presumes_absent=bool(flag(coverage, "presumesAbsent"))
    )
    for entry in objects(coverage, "objects"):
        plural = text(entry, "resource")
        for obj in objects(_document(root, text(entry, "file")), "items") if plural in BY_PLURAL else ():
            snapshot.add(plural, strip(plural, obj))
    for entry, need in _needs(coverage, "lists"):
        if isinstance(need, List):
            snapshot.add_shaped(need, (), number(entry, "dropped") or 0)
    for entry, need in _needs(coverage, "logs"):
        if isinstance(need, Log):
            content = _inside(root, text(entry, "file")).read_bytes()
            snapshot.add_log(need, decode_log(content))
    for entry in objects(coverage, "nodeLogs"):
        content = _inside(root, text(entry, "file")).read_bytes()
        snapshot.add_node_log(text(entry, "node"), text(entry, "source"), decode_log(content))
    for entry, need in _needs(coverage, "bodies"):
        if isinstance(need, Raw | Dial):
            content = _inside(root, text(entry, "file")).read_bytes()
            seconds, at = entry.get("seconds"), entry.get("at")
            snapshot.add_body(
                need,
                Body(
                    content.decode("utf-8", "replace"),
                    number(entry, "status") or 0,
                    float(seconds) if isinstance(seconds, int | float) else 0.0,
                    float(at) if isinstance(at, int | float) else 0.0,
                ),
            )
    for entry, need in _needs(coverage, "failures"):
        why = text(entry, "why")
        known = {w.value: w for w in Why}
        snapshot.fail(need, Failure(known.get(why, Why.FAILED), text(entry, "message"), number(entry, "status") or 0))
    return snapshot


def _needs(coverage: Obj, section: str) -> Iterator[tuple[Obj, Need]]:
    for entry in objects(coverage, section):
        need = need_from_json(entry)
        if need is not None:
            yield entry, need


def _document(root: Path, name: str) -> Any:
    file = _inside(root, name)
    documents = parse_documents(file.read_bytes(), str(file))
    if len(documents) != 1:
        raise DumpError(f"{file}: not one document")
    return documents[0]


def _inside(root: Path, name: str) -> Path:
    """Return a file of the recording. Raises DumpError for one that is missing or elsewhere."""
    file = root / name
    if not name or not file.is_file() or not file.resolve().is_relative_to(root.resolve()):
        raise DumpError(f"{root / COVERAGE}: there is no file {json.dumps(name)} in this recording")
    return file
