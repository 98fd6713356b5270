"""The PROXY protocol on both sides: whether a load balancer sends its header, and whether the controller expects it."""

from __future__ import annotations

from kubetriage.data import table
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.entrance_controllers import words_of
from kubetriage.rules.service.selector_edits import selects
from kubetriage.values.fields import labels, name_of, text
from kubetriage.values.patterns import lazy

_CONFIG_MAP = lazy(r"--configmap[= ](\S{1,520})|--nginx-configmaps[= ](\S{1,520})")
_CONTROLLERS_AT_MOST = 1


@dataclass(frozen=True)
class Sender:
    """A load balancer that puts the PROXY header before each connection, or does not."""

    service: Backend
    sends: bool
    at: str
    """The annotation that says so; empty: none does."""
    value: str = ""


@dataclass(frozen=True)
class Taker:
    """A controller that expects the PROXY header, or does not."""

    pod: Pod
    expects: bool | None
    """None: it was not seen."""
    at: str
    """Where it is set: ``configmap/NAME use-proxy-protocol`` or the pod's arguments."""
    how: str = ""
    """What to write there."""


def controllers_of(trace: Trace) -> tuple[Pod, ...]:
    """Return one pod of the controllers that carry the requests of a trace."""
    found = {p.uid: p for e in trace.ingresses for p in e.controller_pods if p.ready}
    found.update((p.uid, p) for c in trace.customs for p in c.controller_pods if p.ready)
    return tuple(found.values())[:_CONTROLLERS_AT_MOST]


def config_map_of(pod: Pod) -> tuple[str, str] | None:
    """Return (namespace, name) of the ConfigMap that the arguments of a controller name."""
    match = _CONFIG_MAP.search(words_of(pod))
    if match is None:
        return None
    space, slash, name = (match[1] or match[2]).partition("/")
    return (space, name) if slash else (pod.namespace, space)


def senders(trace: Trace, pod: Pod) -> tuple[Sender, ...]:
    """Return the Services of type LoadBalancer before a controller's pod."""
    found = []
    for raw in trace.world.listing("services", pod.namespace).items:
        wanted = labels(raw, "spec", "selector")
        if text(raw, "spec", "type") != "LoadBalancer" or not wanted or not selects(wanted, pod.labels):
            continue
        marks = labels(raw, "metadata", "annotations")
        backend = trace.world.backend(pod.namespace, name_of(raw))
        sender = Sender(backend, False, "")
        for row in table("proxy_protocol")["annotations"]:
            value = marks.get(row["annotation"])
            if value is not None:
                sends = row["on"].lower() in value.lower() if row["on"] != "*" else bool(value)
                sender = Sender(backend, sends, row["annotation"], value)
                if sends:
                    break
        found.append(sender)
    return tuple(found)


def taker(trace: Trace, pod: Pod) -> Taker:
    """Say whether a controller's pod expects the PROXY header."""
    words = words_of(pod)
    if (
        "traefik" in words
        or pod.labels.get("app.kubernetes.io/name") == "traefik"
        or pod.labels.get("app") == "traefik"
    ):
        on = "proxyprotocol.trustedips" in words.lower() or "proxyprotocol.insecure=true" in words.lower()
        how = "--entryPoints.web.proxyProtocol.trustedIPs=CIDR-OF-THE-LOAD-BALANCER"
        return Taker(pod, on, f"arguments of pod/{pod.name}", how)
    named = config_map_of(pod)
    if named is None:
        return Taker(pod, None, "")
    found = trace.snapshot.get("configmaps", *named)
    at = f"configmap/{named[1]} in {named[0]}"
    if found.unseen:
        return Taker(pod, None, at)
    data = labels(found.obj, "data")
    key = "proxy-protocol" if "nginx-configmaps" in words else "use-proxy-protocol"
    return Taker(pod, data.get(key, "false").lower() == "true", at, key)
