"""Who keeps what an answer is about: a diagnosis goes in, it comes out with the release, application or operator.

A fix that changes an object by hand says which tool would undo it, and where the value lives instead.
"""

from __future__ import annotations

import shlex
from functools import lru_cache

from kubetriage.model import Diagnosis, Fix, Ref
from kubetriage.readers.ownership import Keeper, keeper
from kubetriage.records import replace
from kubetriage.rules.workloads import owner_chain
from kubetriage.snapshot import Snapshot
from kubetriage.typed import Any
from kubetriage.values.resources import BY_KIND, find_resource

LABEL = "kept by"
_WRITES = frozenset({"annotate", "autoscale", "edit", "label", "patch", "replace", "scale", "set"})
_NAMESPACE = ("-n", "--namespace")
_SUBCOMMANDS = frozenset({"env", "image", "resources", "selector", "serviceaccount", "subject", "undo"})


def owned(diagnosis: Diagnosis, snapshot: Snapshot) -> Diagnosis:
    """Name in the header, and in the document, what keeps the target; let fixes by hand say who would undo them."""
    kept_by = keeper_of(diagnosis.target, snapshot)
    findings = tuple(
        replace(f, fix=tuple(_told(fix, snapshot) for fix in f.fix)) if f.fix else f for f in diagnosis.findings
    )
    if kept_by is None:
        return replace(diagnosis, findings=findings)
    return replace(
        diagnosis,
        findings=findings,
        header=(*diagnosis.header, (LABEL, str(kept_by))),
        extra={**diagnosis.extra, "keptBy": written(kept_by)},
    )


def keeper_of(ref: Ref, snapshot: Snapshot) -> Keeper | None:
    """Return what keeps an object or one of its controllers, as labels and annotations of what was read tell."""
    resource = BY_KIND.get(ref.kind)
    if resource is None or not ref.name:
        return None
    found = snapshot.get(resource.plural, ref.namespace, ref.name)
    return keeper((found.obj, *owner_chain(snapshot, found.obj))) if found.found else None


def written(kept_by: Keeper) -> dict[str, Any]:
    """Return ``keptBy`` of the JSON contract."""
    told = {"kind": kept_by.kind, "name": kept_by.name, "namespace": kept_by.namespace, "chart": kept_by.chart}
    return {key: value for key, value in told.items() if value}


def _told(fix: Fix, snapshot: Snapshot) -> Fix:
    changed = fix.on if fix.patch is not None and fix.on is not None else None
    changed = changed or next((ref for ref in map(_changed, fix.commands) if ref is not None), None)
    kept_by = keeper_of(changed, snapshot) if changed is not None else None
    if kept_by is None or str(kept_by) in fix.text:
        return fix
    commands = tuple(command for command in map(str, kept_by.commands) if command not in fix.commands)
    return replace(fix, text=f"{fix.text.rstrip('.')}. {kept_by.where}", commands=(*fix.commands, *commands))


@lru_cache(maxsize=512)
def _changed(command: str) -> Ref | None:
    """Return the object that a kubectl command line changes; None for one that only reads, creates or deletes."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    if words[:1] != ["kubectl"]:
        return None
    namespace, rest = "", []
    left = iter(words[1:])
    for word in left:
        if word in _NAMESPACE:
            namespace = next(left, "")
        elif word.startswith("--namespace="):
            namespace = word.partition("=")[2]
        elif not word.startswith("-"):
            rest.append(word)
    undoes = rest[:2] == ["rollout", "undo"]
    if not rest or not (rest[0] in _WRITES or undoes):
        return None
    rest = rest[2:] if undoes or (len(rest) > 1 and rest[1] in _SUBCOMMANDS) else rest[1:]
    kind, _, name = rest[0].partition("/") if rest else ("", "", "")
    name = name or (rest[1] if len(rest) > 1 else "")
    resource = find_resource(kind)
    return Ref(resource.kind, namespace if resource.namespaced else "", name) if resource is not None and name else None
