"""Taints that a controller must remove: in comes a Node, out go the taints and who is late.

The taints stand in ``data/taints.json``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from kubetriage.needs import List, Log, Need
from kubetriage.readers.outer_layers import KLOG, peeled
from kubetriage.readers.pods import Pod
from kubetriage.readers.taint_controllers import TaintController, controller_of_taint
from kubetriage.records import dataclass
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, name_of, namespace_of, objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.times import parse_time


@dataclass(frozen=True)
class Waiting:
    """One taint that somebody has not removed yet."""

    key: str
    effect: str
    added: datetime | None
    by: TaintController
    """Who must remove it."""


def waiting_taints(node: Obj) -> tuple[Waiting, ...]:
    """Return the taints of a node that a controller must remove."""
    found = ((t, controller_of_taint(text(t, "key"))) for t in objects(node, "spec", "taints"))
    return tuple(
        Waiting(text(t, "key"), text(t, "effect"), parse_time(t.get("timeAdded")), by)
        for t, by in found
        if by is not None and by.missing
    )


def _pods(waiting: Waiting, snapshot: Snapshot) -> list[Pod]:
    found = (Pod(p) for p in snapshot.list("pods").items if namespace_of(p) in waiting.by.namespaces)
    return [p for p in found if waiting.by.owns(p)]


def controller_pods(waiting: Waiting, snapshot: Snapshot, node: str) -> list[Pod]:
    """Return the pods of the controller that were seen; of one that runs on every node, the one of this node first."""
    return sorted(_pods(waiting, snapshot), key=lambda p: (p.node != node, p.ready, p.name))


def controller_needs(node: Obj, snapshot: Snapshot) -> Iterator[Need]:
    """Say what tells why the taints of a node stay: the controller's pods, then their logs."""
    for waiting in waiting_taints(node):
        for namespace in waiting.by.namespaces:
            yield List("pods", namespace, cached=True, timeout=5.0)
        for pod in controller_pods(waiting, snapshot, name_of(node))[:2]:
            for container in pod.containers[:1]:
                yield Log(pod.namespace, pod.name, container.name)
                if container.termination is not None:
                    yield Log(pod.namespace, pod.name, container.name, previous=True)


_WRONG = lazy(r"\bE\d{4} |level=(?:error|fatal)|\"level\":\"(?:error|fatal)\"|[Ee]rror|[Ff]ailed|denied|refused|panic:")


def last_complaint(snapshot: Snapshot, pod: Pod, node: str) -> str:
    """Return the newest line of a controller's log that tells of an error, one that names the node first."""
    best = ""
    for container in pod.containers:
        for previous in (True, False):
            log = snapshot.log(pod.namespace, pod.name, container.name, previous)
            if not log.seen:
                continue
            for line in peeled(log.text, snapshot.now):
                if _WRONG.search(line.text):
                    klog = KLOG.match(line.text)
                    words = line.text[klog.end() :] if klog else line.text
                    if node in words or node not in best:
                        best = words[:400]
    return best


# Why a controller cannot do its work, in the words of clouds' clients and of client-go.
_REASONS = (
    ("rights", lazy(r"[Ff]orbidden|\b403\b|AccessDenied|UnauthorizedOperation|not authorized|is not allowed")),
    (
        "credentials",
        lazy(
            r"[Aa]uthenticat|[Uu]nauthori[sz]ed|\b401\b|InvalidClientTokenId|"
            r"credential|[Ll]ogin|invalid_grant|token is expired"
        ),
    ),
    (
        "identity",
        lazy(
            r"instance not found|not find (?:the )?(?:instance|VM|server)|no matching|"
            r"unable to find|does not exist|NotFound"
        ),
    ),
    ("network", lazy(r"i/o timeout|connection refused|no such host|deadline exceeded|no route to host|TLS handshake")),
    ("limits", lazy(r"rate.?limit|[Tt]hrottl|\b429\b|quota")),
)


def complaint_kind(words: str) -> str:
    """Name the kind of a controller's trouble; empty when its words fit none."""
    return next((kind for kind, pattern in _REASONS if pattern.search(words)), "")
