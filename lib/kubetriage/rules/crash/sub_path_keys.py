"""Mounts with a subPath of a ConfigMap or Secret that has no such key: the kubelet makes an empty directory instead.

No event tells of it. The program then reads a directory where it expects its file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Severity
from kubetriage.needs import Get, Need
from kubetriage.readers.pods import Container
from kubetriage.records import dataclass
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.config_references import keys
from kubetriage.values.fields import Obj, mapping, objects, text
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_PLURAL

# EISDIR and ENOTDIR as C, Go, Java, Node.js and Python write them.
_DIRECTORY = lazy(r"is a directory|EISDIR|not a directory|ENOTDIR|directory onto a file|\(a directory\)", re.I)
_FIELDS = (("configMap", "configmaps", "name"), ("secret", "secrets", "secretName"))


@dataclass(frozen=True)
class _Mount:
    container: Container
    volume: str
    path: str
    """Where it is mounted."""
    sub: str
    """``subPath``."""
    sources: tuple[tuple[str, str, Obj], ...]
    """Resource, name and source of each part of the volume (several of a projected one)."""


def _mounts(case: Case) -> Iterator[_Mount]:
    """Yield the subPath mounts of the containers that do not do their work."""
    volumes = {text(v, "name"): v for v in objects(case.pod.raw, "spec", "volumes")}
    for container in case.containers:
        if case.crash(container) is None and not container.waiting_reason:
            continue
        for mount in objects(container.spec, "volumeMounts"):
            sub = text(mount, "subPath").strip("/")
            sources = tuple(_sources(volumes.get(text(mount, "name"), {})))
            if sub and sources:
                yield _Mount(container, text(mount, "name"), text(mount, "mountPath"), sub, sources)


def _sources(volume: Obj) -> Iterator[tuple[str, str, Obj]]:
    for part in (volume, *objects(volume, "projected", "sources")):
        for field, resource, name in _FIELDS:
            source = mapping(part, field)
            if source:
                yield resource, text(source, name) or text(source, "name"), source


def needs(case: Case) -> Iterator[Need]:
    """Ask for the objects behind subPath mounts."""
    for mount in _mounts(case):
        for resource, name, _ in mount.sources:
            yield Get(resource, case.pod.namespace, name)


def missing(case: Case, resource: str, cause: str) -> Iterator[Finding]:
    """Yield a finding for each subPath that names no key of the volume's object of this resource."""
    for mount in _mounts(case):
        if mount.sources[0][0] != resource or mount.container.kind == "ephemeral":
            continue
        paths: list[str] = []
        for kind, name, source in mount.sources:
            found = case.snapshot.get(kind, case.pod.namespace, name)
            if not found.found:
                # What is not there, or was not seen, is told of elsewhere.
                paths = [mount.sub]
                break
            items = objects(source, "items")
            paths += [text(i, "path") for i in items] if items else keys(found.obj)
        if not any(p == mount.sub or p.startswith(mount.sub + "/") for p in paths):
            yield _finding(case, mount, paths, cause)


def _finding(case: Case, mount: _Mount, paths: list[str], cause: str) -> Finding:
    resource, name, source = mount.sources[0]
    kind, container = BY_PLURAL[resource].kind, mount.container
    log = case.log(container)
    end = container.termination
    said = f"{log.text if log.seen else ''}\n{end.message if end is not None else ''}\n{container.waiting_message}"
    line = next((row.strip() for row in said.splitlines() if mount.path in row or _DIRECTORY.search(row)), "")
    close = nearest(mount.sub, paths) or (paths[0] if len(paths) == 1 else "")
    have = ", ".join(sorted(paths)[:5]) or "none"
    items = " (spec.volumes items)" if objects(source, "items") else ""
    at = f"{container.spec_path}.volumeMounts[{mount.path}].subPath"
    message = (
        f"{kind} {name} has no key {mount.sub}{items}, which container {container.name} mounts at "
        f"{mount.path} by subPath. "
        f"An empty directory stands there instead of the file. Keys: {have}."
    )
    if close:
        words = (
            f"Set subPath to {close} in {case.workload_name} (mountPath {mount.path} may stay), or add key "
            f"{mount.sub} to "
            f"{kind} {name}. A subPath mount does not follow later edits, so the pod has to be made anew."
        )
    else:
        words = (
            f"Add key {mount.sub} to {kind} {name}, or correct subPath in {case.workload_name}; then make the pod anew."
        )
    part = {"volumeMounts": [{"name": mount.volume, "mountPath": mount.path, "subPath": close}]}
    evidence = [
        Evidence("spec", at, mount.sub),
        Evidence("config", f"{kind.lower()}/{name}", f"keys {have}"),
        *([Evidence("log", container.name, line)] if line else []),
    ]
    # Without a word of the program about it, it is wrong all the same, but perhaps not what ends it.
    return Finding(
        cause,
        Severity.ERROR if line else Severity.WARNING,
        Confidence.CONFIRMED if line else Confidence.LIKELY,
        container.ref,
        message,
        tuple(evidence),
        fix=(case.template_fix(words, container.patch(part) if close else None),),
        verify=(case.kubectl("get", kind.lower(), name, "-o", "jsonpath={.data}"),),
        details={"reference": {"kind": kind, "name": name, "key": mount.sub, **({"nearest": close} if close else {})}},
    )
