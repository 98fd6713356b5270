"""Workloads of kinds that only the cluster knows: a TYPE and NAME go in, the object, its pods and its state come out.

Argo Rollouts, DeploymentConfigs, Knative Services, CloneSets and the resources of operators have pods below them like
a Deployment has. They are found by discovery, their pods by their selector, by owner references through any number of
kinds, or by the labels that operators write.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from kubetriage.needs import Failure, List, Need, Raw, Why
from kubetriage.readers.api_discovery import DISCOVERY, ServedKind, find_kind, tells_kinds
from kubetriage.readers.pods import Pod
from kubetriage.rules.shapes import without_managed_fields
from kubetriage.rules.workloads import owner_chain, owner_of
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, condition, mapping, name_of, namespace_of, number, text, uid_of
from kubetriage.values.resources import BY_KIND
from kubetriage.values.selectors import label_selector_matches, selector_text

_BETWEEN = ("replicasets", "deployments", "statefulsets", "daemonsets", "jobs", "replicationcontrollers")
"""Kinds that stand between a custom resource and its pods."""
_OWNERS_AT_MOST = 20
"""Custom resources above the pods of a namespace that are read: the requests stay bounded."""
_INSTANCE, _MANAGED_BY = "app.kubernetes.io/instance", "app.kubernetes.io/managed-by"


def needs(snapshot: Snapshot, namespace: str, word: str, name: str) -> Iterator[Need]:
    """Ask what the TYPE means, for the object, for its pods and for what is between."""
    if snapshot.source == "cluster":
        yield DISCOVERY
    kind = find_kind(snapshot, word)
    if kind is not None:
        yield Raw(kind.path(namespace, name))
    raw = find(snapshot, namespace, word, name)
    if raw is None:
        return
    yield List("events", namespace, fields=f"involvedObject.uid={uid_of(raw)}")
    yield List("replicasets", namespace, shape=without_managed_fields)
    if selector := _selector(raw):
        yield List("pods", namespace, selector)
        return
    yield List("pods", namespace)
    for plural in _BETWEEN:
        yield List(plural, namespace, shape=without_managed_fields)
    above = (_custom_owner(snapshot, pod) for pod in snapshot.list("pods", namespace).items)
    wanted = list(dict.fromkeys(path for owner in above if (path := _path(snapshot, namespace, owner))))
    yield from (Raw(path) for path in wanted[:_OWNERS_AT_MOST])


def find(snapshot: Snapshot, namespace: str, word: str, name: str) -> Obj | None:
    """Return the object that TYPE and NAME mean; None when none was read."""
    kind = find_kind(snapshot, word)
    if kind is not None and (raw := _read(snapshot, kind, namespace, name)) is not None:
        return raw
    head, _, group = word.lower().partition(".")
    for raw in snapshot.others:
        own = text(raw, "kind").lower()
        plurals = (own, f"{own}s", f"{own}es", f"{own[:-1]}ies")
        same = namespace_of(raw) in (namespace, "") and name_of(raw) == name
        if same and head in plurals and text(raw, "apiVersion").startswith(group):
            return raw
    return None


def pods(snapshot: Snapshot, raw: Obj) -> tuple[Pod, ...]:
    """Return the known pods below an object."""
    namespace, selector = namespace_of(raw), _selector(raw)
    known = [Pod(p) for p in snapshot.list("pods", namespace).items]
    if selector:
        return tuple(p for p in known if label_selector_matches(selector, p.labels))
    uid = uid_of(raw)
    owned = [p for p in known if uid and uid in _uids_above(snapshot, p.raw)]
    marked = [p for p in known if _is_marked(p, raw)]
    return tuple({id(p): p for p in (*owned, *marked)}.values()) or tuple(p for p in known if _is_instance(p, raw))


def states_selector(raw: Obj) -> bool:
    """Tell whether an object says itself which pods are its own."""
    return bool(_selector(raw))


def lacking(snapshot: Snapshot, raw: Obj) -> str:
    """Say what an object has not yet of what its spec asks for; empty when it has all."""
    if (number(raw, "status", "observedGeneration") or 0) < (number(raw, "metadata", "generation") or 0):
        return "its controller has not seen the change yet"
    ready = text(condition(raw, "Ready"), "status")
    if ready and ready != "True":
        return f"Ready is {ready}"
    wanted = number(raw, "spec", "replicas")
    have = number(raw, "status", "readyReplicas")
    have = number(raw, "status", "availableReplicas") if have is None else have
    if wanted is not None and have is not None and have < wanted:
        return f"{have} of {wanted} ready"
    below = pods(snapshot, raw)
    unready = sum(not pod.ready and not pod.finished for pod in below)
    if unready or (wanted and len(below) < wanted):
        return f"{len(below) - unready} of {max(wanted or 0, len(below))} pods ready"
    return "" if below or ready else "no pod of it was seen"


def missing(snapshot: Snapshot, namespace: str, word: str, name: str) -> str:
    """Say in kubectl's words why there is no such object: the type is not served, it is not there, or not readable."""
    kind = find_kind(snapshot, word)
    if kind is None:
        failure = snapshot.failure(DISCOVERY)
        if snapshot.source != "cluster":
            return f"error: {snapshot.source} holds no {word}/{name}"
        if failure is not None:
            return f"error: cannot tell which types the server has: {failure}"
        if not tells_kinds(snapshot):
            return f'error: cannot tell what "{word}" is: servers before 1.27 do not name their types in one answer'
        return f'error: the server doesn\'t have a resource type "{word}"'
    qualified = f"{kind.plural}.{kind.group}"
    failure = snapshot.failure(Raw(kind.path(namespace, name)))
    body = snapshot.body(kind.path(namespace, name))
    status = body.status if body is not None else failure.status if failure is not None else 404
    if status == 403 or (failure is not None and failure.why is Why.FORBIDDEN):
        return f"Error from server (Forbidden): {_said(body.text if body else '', failure) or f'{qualified} {name}'}"
    if failure is not None and failure.why is not Why.NOT_FOUND and status != 404:
        return f"error: {qualified} {name}: {failure}"
    return f'Error from server (NotFound): {qualified} "{name}" not found'


def _said(body: str, failure: Failure | None) -> str:
    try:
        return text(json.loads(body), "message") if body else str(failure or "")
    except ValueError:
        return str(failure or "")


def _selector(raw: Obj) -> str:
    """Return the label selector that an object states itself: in its spec, or in what autoscalers read."""
    plain = mapping(raw, "spec", "selector")
    if isinstance(plain.get("matchLabels"), dict) or "matchExpressions" in plain:
        return selector_text(raw)
    if plain and all(isinstance(value, str) for value in plain.values()):
        return ",".join(f"{key}={value}" for key, value in sorted(plain.items()))
    return text(raw, "status", "selector") or text(raw, "status", "labelSelector")


def _custom_owner(snapshot: Snapshot, pod: Obj) -> Obj:
    """Return the reference to the first owner above a pod that is a custom resource and was not read."""
    current = pod
    for _ in range(5):
        chain = owner_chain(snapshot, current)
        owner = owner_of(chain[-1] if chain else current)
        group = text(owner, "apiVersion").partition("/")[0]
        if not text(owner, "name") or (text(owner, "kind") in BY_KIND and "." not in group):
            return {}
        found = _owner(snapshot, namespace_of(pod), owner)
        if found is None:
            return owner
        current = found
    return {}


def _path(snapshot: Snapshot, namespace: str, owner: Obj) -> str:
    kind = _kind_of(snapshot, owner)
    return kind.path(namespace, text(owner, "name")) if kind is not None else ""


def _kind_of(snapshot: Snapshot, owner: Obj) -> ServedKind | None:
    group = text(owner, "apiVersion").rpartition("/")[0]
    return find_kind(snapshot, f"{text(owner, 'kind')}.{group}") if group else None


def _owner(snapshot: Snapshot, namespace: str, owner: Obj) -> Obj | None:
    kind = _kind_of(snapshot, owner)
    if kind is not None:
        return _read(snapshot, kind, namespace, text(owner, "name"))
    return next((raw for raw in snapshot.others if uid_of(raw) and uid_of(raw) == text(owner, "uid")), None)


def _uids_above(snapshot: Snapshot, pod: Obj) -> set[str]:
    """Return the uids of everything above a pod, custom resources with it, the last one by reference."""
    found: set[str] = set()
    current = pod
    for _ in range(5):
        chain = owner_chain(snapshot, current)
        found |= {uid_of(one) for one in chain}
        owner = owner_of(chain[-1] if chain else current)
        if not text(owner, "uid"):
            break
        found.add(text(owner, "uid"))
        above = _owner(snapshot, namespace_of(pod), owner)
        if above is None:
            break
        current = above
    return found


def _is_marked(pod: Pod, raw: Obj) -> bool:
    """Tell whether a label of the object's own API group names it: strimzi.io/cluster=NAME, cnpg.io/cluster=NAME."""
    group = text(raw, "apiVersion").partition("/")[0]
    for key, value in pod.labels.items():
        domain = key.rpartition("/")[0]
        related = domain == group or group.endswith(f".{domain}") or domain.endswith(f".{group}")
        if value == name_of(raw) and "." in domain and related and domain != "kubernetes.io":
            return True
    return False


def _is_instance(pod: Pod, raw: Obj) -> bool:
    """Tell whether the common labels call a pod an instance of the object that an operator keeps."""
    own = pod.labels
    return own.get(_INSTANCE) == name_of(raw) and own.get(_MANAGED_BY, "Helm") != "Helm"


def _read(snapshot: Snapshot, kind: ServedKind, namespace: str, name: str) -> Obj | None:
    path = kind.path(namespace, name)
    known = snapshot.derived(_objects)
    if path not in known:
        body = snapshot.body(path)
        if body is None:
            return None
        try:
            answer = json.loads(body.text) if body.status == 200 else {}
        except ValueError:
            answer = {}
        there = isinstance(answer, dict) and bool(name_of(answer))
        known[path] = {"apiVersion": f"{kind.group}/{kind.version}", "kind": kind.kind, **answer} if there else None
    return known[path]


def _objects(_: Snapshot) -> dict[str, Obj | None]:
    """Hold what was read of custom resources, by path."""
    return {}
