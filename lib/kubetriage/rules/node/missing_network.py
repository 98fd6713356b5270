"""Why a node has no network plugin: in come DaemonSets, pods and events, out goes what keeps it away."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Evidence
from kubetriage.needs import List, Log, Need
from kubetriage.readers.events import Event, Events, event_selector, read_event
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass, replace
from kubetriage.rules.network_plugins import network_plugin, usual_namespaces
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.plugin_words import known_line
from kubetriage.rules.node.waiting_taints import last_complaint
from kubetriage.snapshot import Snapshot
from kubetriage.typed import Literal
from kubetriage.values.fields import Obj, dig, name_of, namespace_of, objects, text, texts
from kubetriage.values.patterns import lazy

Reason = Literal["none", "refused", "pending", "failing", "not here", "config", "range", ""]


def _plugin_only(raw: Obj) -> Obj | None:
    return raw if network_plugin(name_of(raw)) is not None else None


def _agents_only(raw: Obj) -> Obj | None:
    return raw if network_plugin(name_of(raw)) is not None or namespace_of(raw) == "kube-system" else None


DAEMON_SETS = List("daemonsets", cached=True, timeout=5.0, shape=_plugin_only)
AGENTS = List("pods", cached=True, timeout=5.0, shape=_agents_only)
REFUSALS = List("events", fields="reason=FailedCreate", timeout=3.0)
"""Controllers report a pod that they may not create."""

_WEBHOOK = lazy(r'failed calling webhook "([^"]+)"')


@dataclass(frozen=True)
class Missing:
    """Why there is no network plugin on a node."""

    reason: Reason
    plugin: str = ""
    """``NAMESPACE/NAME`` of the DaemonSet, or name of the plugin."""
    pod: Pod | None = None
    event: Event | None = None
    webhook: str = ""
    looked: str = ""
    """Where was looked when none was found."""
    says: str = ""
    """What the plugin's pod says last of an error."""
    told: Event | None = None
    """What the kubelet says of that pod, where its log says nothing."""

    def evidence(self) -> Iterator[Evidence]:
        """Quote what shows it."""
        if self.event is not None:
            yield self.event.evidence()
        if self.pod is not None:
            yield Evidence("status", f"pod {self.pod.namespace}/{self.pod.name}", self.pod.status_text())
            if self.told is not None:
                yield self.told.evidence()
            if self.says:
                yield Evidence("log", f"{self.pod.namespace}/{self.pod.name}", self.says)
        if self.looked:
            yield Evidence("status", "pods and DaemonSets", self.looked)


def network_needs() -> tuple[Need, ...]:
    """Say what tells why there is no network plugin."""
    return (DAEMON_SETS, AGENTS, REFUSALS)


def log_needs(case: NodeCase) -> Iterator[Log | List]:
    """Ask for the words of a plugin's pod that does not run, and for what the kubelet says of it."""
    pod = _found(case).pod
    if pod is None or pod.ready:
        return
    yield List("events", pod.namespace, fields=event_selector(pod.uid, pod.name), timeout=3.0)
    for container in [c for c in pod.containers if not c.ready][:3]:
        if container.termination is not None:
            yield Log(pod.namespace, pod.name, container.name, previous=True)
        yield Log(pod.namespace, pod.name, container.name)


def last_event(snapshot: Snapshot, pod: Pod) -> Event | None:
    """Return the newest Warning about a pod that says more than that it is tried again."""
    told = Events.of(snapshot.events(pod.namespace, pod.uid, pod.name, "Pod")).items
    return next((e for e in reversed(told) if e.warning and e.reason not in ("BackOff", "NetworkNotReady")), None)


_NO_RANGE = lazy(
    r"pod ?cidr (?:is )?not (?:assigned|available|set)|no (?:IPv[46] )?pod ?CIDR|CIDRNotAvailable|podCIDR", re.I
)


def missing_network(case: NodeCase) -> Missing:
    """Find what keeps the network plugin away, the nearest reason first."""
    found = _found(case)
    says = ""
    if found.pod is not None:
        ready = found.pod.ready
        says = ("" if ready else known_line(case.snapshot, found.pod)) or last_complaint(
            case.snapshot, found.pod, case.name
        )
    refused = case.events.last("CIDRNotAvailable", "CIDRAssignmentFailed")
    if not text(case.node, "spec", "podCIDR") and (refused is not None or _NO_RANGE.search(says)):
        return replace(found, reason="range", event=refused, says=says)
    told = last_event(case.snapshot, found.pod) if found.pod is not None and not found.pod.ready and not says else None
    return replace(found, says=says, told=told)


def _found(case: NodeCase) -> Missing:
    snapshot = case.snapshot
    sets = [d for d in snapshot.list("daemonsets").items if network_plugin(name_of(d)) is not None]
    every = [p for p in snapshot.list("pods").items if network_plugin(name_of(p)) is not None]
    here = [Pod(p) for p in every if text(p, "spec", "nodeName") == case.name or _meant_for(p, case.name)]
    refused = [e for e in map(read_event, snapshot.list("events").items) if e.reason == "FailedCreate"]
    mine = [e for e in refused if network_plugin(text(e.raw, "involvedObject", "name")) is not None]
    for event in reversed(mine):
        found = _WEBHOOK.search(event.message)
        plugin = f"{text(event.raw, 'involvedObject', 'namespace')}/{text(event.raw, 'involvedObject', 'name')}"
        if not here:
            return Missing("refused", plugin, event=event, webhook=found[1] if found else "")
    for pod in here:
        if not pod.ready:
            return Missing("pending" if pod.phase == "Pending" and not pod.node else "failing", pod.name, pod=pod)
    if here:
        return Missing("config", here[0].name, pod=here[0])
    # A plugin that no table knows is a DaemonSet in the host's network too.
    agents = [
        p for p in case.pods if p.controller.get("kind") == "DaemonSet" and dig(p.raw, "spec", "hostNetwork") is True
    ]
    for pod in agents:
        if not pod.ready and not pod.name.startswith("kube-proxy"):
            return Missing("failing", pod.name, pod=pod)
    if sets or every:
        chosen = sets[0] if sets else None
        plugin = f"{namespace_of(chosen)}/{name_of(chosen)}" if chosen else name_of(every[0])
        return Missing("not here", plugin)
    return _none(case)


# What a pod's status reads while its kubelet tries it again and again.
_FAILS = lazy(r"BackOff|Err(?:or|ImagePull|ImageNeverPull)|Create\w*Error|RunContainerError|OOMKilled|InvalidImageName")


def failing_here(case: NodeCase) -> Missing | None:
    """Return what keeps the network plugin from working here, where that alone makes a node NotReady.

    Its pod fails on this node, or the node gets no range of addresses.
    """
    missing = missing_network(case)
    pod = missing.pod
    fails = pod is not None and _FAILS.search(pod.status_text()) is not None
    without_range = missing.reason == "range" and missing.event is not None
    return missing if (missing.reason in ("failing", "range") and fails) or without_range else None


_TERMS = ("spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")


def _meant_for(pod: Obj, node: str) -> bool:
    """Tell whether a pod of a DaemonSet that is not placed yet is meant for this node (its required affinity)."""
    fields = [f for term in objects(pod, *_TERMS) for f in objects(term, "matchFields")]
    return any(node in texts(f, "values") for f in fields)


def _none(case: NodeCase) -> Missing:
    """Say that none exists, as far as the lists that were read reach."""
    snapshot = case.snapshot
    sets = snapshot.list("daemonsets")
    system = [p for p in snapshot.list("pods").items if namespace_of(p) == "kube-system"]
    known = (sets.complete and not sets.presumed) or bool(system)
    if not known:
        return Missing("")
    places = {namespace_of(p) for p in snapshot.list("pods").items}
    unseen = [n for n in usual_namespaces() if n != "kube-system" and n not in places]
    whole = sets.complete and not sets.presumed
    where = "in any namespace" if whole else f"among the {len(system)} pods of kube-system"
    more = "" if whole else f"; namespaces such as {', '.join(unseen[:3])} were not seen"
    return Missing("none", looked=f"no network plugin {where}{more}")
