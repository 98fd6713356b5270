"""Controllers without pods, refused or out of time: a scan of pods alone would never meet them."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.needs import Get, List, Need
from kubetriage.plugins import Request
from kubetriage.rules.workloads import owner_chain, owner_needs
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, dig, number, objects, text, uid_of
from kubetriage.values.resources import BY_KIND

_REFUSED = "FailedCreate"
"""Reason of the event that every controller of pods writes when a creation is refused."""
_LATE = "DeadlineExceeded"
"""Reason of the event of a Job that ran into its deadline; its controller then deletes the pods."""
_REASONS = (_REFUSED, _LATE)
_KINDS = ("ReplicaSet", "StatefulSet", "DaemonSet", "Job")


def blocked_needs(snapshot: Snapshot, request: Request) -> Iterator[Need]:
    """Ask for the refusals of a whole namespace (or of all) in one list, then for the controllers that met them."""
    if request.selector or request.field_selector:
        return
    for reason in _REASONS:
        yield List("events", request.namespace, fields=f"reason={reason}")
    for kind, namespace, name, _ in _refused(snapshot, request):
        need = Get(BY_KIND[kind].plural, namespace, name)
        yield need
        found = snapshot.get(need.resource, namespace, name)
        if found.found:
            yield from owner_needs(snapshot, found.obj)


def blocked_controllers(snapshot: Snapshot, request: Request) -> Iterator[tuple[str, Obj]]:
    """Yield the top controllers that still lack pods after a refusal, each with its plural resource name."""
    if request.selector or request.field_selector:
        return
    seen = set()
    for kind, namespace, name, uid in _refused(snapshot, request):
        found = snapshot.get(BY_KIND[kind].plural, namespace, name)
        # A later object of the same name is not the one that was refused.
        if not found.found or (uid and uid_of(found.obj) != uid) or not _lacks_pods(kind, found.obj):
            continue
        chain = owner_chain(snapshot, found.obj)
        top = chain[-1] if chain else found.obj
        resource = BY_KIND.get(text(top, "kind") or kind)
        if resource is not None and uid_of(top) not in seen:
            seen.add(uid_of(top))
            yield resource.plural, top


def _refused(snapshot: Snapshot, request: Request) -> Iterator[tuple[str, str, str, str]]:
    met = set()
    for reason in _REASONS:
        for event in snapshot.list("events", request.namespace, fields=f"reason={reason}").items:
            about = event.get("involvedObject") or event.get("regarding")
            key = (text(about, "kind"), text(about, "namespace"), text(about, "name"), text(about, "uid"))
            if text(event, "reason") == reason and key[0] in _KINDS and key not in met:
                met.add(key)
                yield key


def _lacks_pods(kind: str, obj: Obj) -> bool:
    if kind == "Job":
        ends = [c for c in objects(obj, "status", "conditions") if text(c, "status") == "True" and _is_end(c)]
        if any(text(c, "reason") == _LATE for c in ends):
            return True
        return not ends and not number(obj, "status", "active")
    if kind == "DaemonSet":
        wanted, have = "desiredNumberScheduled", "currentNumberScheduled"
        return (number(obj, "status", wanted) or 0) > (number(obj, "status", have) or 0)
    replicas = dig(obj, "spec", "replicas")
    return (replicas if isinstance(replicas, int) else 1) > (number(obj, "status", "replicas") or 0)


def _is_end(condition: Obj) -> bool:
    return text(condition, "type") in ("Complete", "Failed", "Suspended")
