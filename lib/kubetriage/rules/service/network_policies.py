"""What NetworkPolicies admit, for one connection as it arrives at the pod.

Follows networking.k8s.io/v1: a pod is isolated in a direction when any policy of that type selects it; then only
the union of the rules is allowed. Policies see the pod's port after the Service's address was translated. Whether
anything enforces them depends on the network plugin, which no API tells.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Iterator, Mapping

from kubetriage.records import dataclass, field
from kubetriage.rules.service.selector_edits import matches_labels, selector_text
from kubetriage.rules.service.service_endpoints import find_port
from kubetriage.typed import Any, Literal
from kubetriage.values.fields import (
    Obj,
    dig,
    flag,
    labels,
    mapping,
    name_of,
    namespace_of,
    number,
    objects,
    text,
    texts,
)

Direction = Literal["ingress", "egress"]


class Verdict(str, enum.Enum):
    """Whether a connection passes."""

    ALLOWED = "allowed"
    BLOCKED = "blocked"
    """Blocked if the network plugin enforces NetworkPolicies."""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Peer:
    """The other end of a connection."""

    name: str
    """For people (``pod/shop``, ``namespace/edge``)."""
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] | None = None
    """None: not seen."""
    addresses: tuple[str, ...] = ()
    host_network: bool = False
    """The pod has the node's address; what policies do with it differs between network plugins."""
    pod: Obj = field(default_factory=dict)
    identity: str = ""
    """Cilium's reserved identity (``ingress``) of what is no pod; empty: it is one."""


def pod_peer(pod: Obj, namespace_labels: Mapping[str, str] | None) -> Peer:
    """Make a peer of a pod."""
    return Peer(
        f"pod/{name_of(pod)}",
        namespace_of(pod),
        labels(pod, "metadata", "labels"),
        namespace_labels,
        tuple(a for a in (text(i, "ip") for i in objects(pod, "status", "podIPs")) if a)
        or tuple(a for a in (text(pod, "status", "podIP"),) if a),
        flag(pod, "spec", "hostNetwork") is True,
        pod,
    )


@dataclass(frozen=True)
class Decision:
    """What the policies say of one connection."""

    verdict: Verdict
    policies: tuple[str, ...] = ()
    """Names of the policies that isolate the pod in this direction."""
    why: str = ""
    rule: Mapping[str, Any] | None = None
    """For a blocked connection: the smallest rule that would allow it."""


def policy_types(policy: Obj) -> tuple[Direction, ...]:
    """Return the directions of a policy: Ingress unless said otherwise, Egress when it has such rules."""
    given = texts(policy, "spec", "policyTypes")
    if given:
        return tuple(d for d, word in (("ingress", "Ingress"), ("egress", "Egress")) if word in given)  # type: ignore[misc]
    return ("ingress", "egress") if objects(policy, "spec", "egress") else ("ingress",)


def isolating(policies: Iterable[Obj], pod: Obj, direction: Direction) -> tuple[Obj, ...]:
    """Return the policies of the pod's namespace that isolate it in a direction."""
    pod_labels = labels(pod, "metadata", "labels")
    return tuple(
        p
        for p in policies
        if namespace_of(p) == namespace_of(pod)
        and direction in policy_types(p)
        and matches_labels(dig(p, "spec", "podSelector") or {}, pod_labels)
    )


def port_matches(rule: Obj, pod: Obj, port: int, protocol: str) -> bool:
    """Tell whether a rule's ``ports`` cover a port of the destination pod; names are resolved on that pod."""
    ports = objects(rule, "ports")
    if not ports:
        return True
    for entry in ports:
        if (text(entry, "protocol") or "TCP") != protocol:
            continue
        value = entry.get("port")
        if value is None:
            return True
        if isinstance(value, str):
            if find_port(pod, value, protocol) == port:
                return True
            continue
        first = number(entry, "port")
        last = number(entry, "endPort")
        if first is not None and first <= port <= (last if last is not None else first):
            return True
    return False


def peer_matches(entry: Obj, policy_namespace: str, peer: Peer) -> bool | None:
    """Tell whether one ``from``/``to`` entry covers a peer; None when that cannot be known."""
    block = mapping(entry, "ipBlock")
    if block:
        return _block_matches(block, peer)
    pod_selector, namespace_selector = entry.get("podSelector"), entry.get("namespaceSelector")
    if peer.identity:
        return False
    if peer.host_network:
        return None
    answer: bool | None = True
    if namespace_selector is None:
        if peer.namespace != policy_namespace:
            return False
    elif namespace_selector != {}:
        known = peer.namespace_labels
        if known is None and _selector_keys(namespace_selector) <= {_NAMESPACE_NAME_LABEL}:
            known = {_NAMESPACE_NAME_LABEL: peer.namespace}
        if known is None:
            answer = None
        elif not matches_labels(namespace_selector, known):
            return False
    if pod_selector is not None and not matches_labels(pod_selector, peer.labels):
        return False
    return answer if pod_selector is not None or namespace_selector is not None else False


_NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
"""The API server sets it on every namespace (KEP-2161, since 1.21), so it is known without reading the namespace."""


def _selector_keys(selector: Any) -> set[str]:
    return set(labels(selector, "matchLabels")) | {text(r, "key") for r in objects(selector, "matchExpressions")}


def _block_matches(block: Obj, peer: Peer) -> bool | None:
    try:
        network = ipaddress.ip_network(text(block, "cidr"), strict=False)
        holes = [ipaddress.ip_network(e, strict=False) for e in texts(block, "except")]
        addresses = [ipaddress.ip_address(a) for a in peer.addresses]
    except ValueError:
        return None
    if not addresses:
        return None
    inside = any(a in network and not any(a in hole for hole in holes) for a in addresses)
    # Matching pod addresses against ipBlock depends on the plugin and on address translation on the way.
    return None if inside else False


def decide(
    policies: Iterable[Obj],
    pod: Obj,
    direction: Direction,
    peer: Peer,
    port: int,
    protocol: str = "TCP",
) -> Decision:
    """Judge one direction of a connection at one pod.

    For ``ingress`` the pod is the destination and ``peer`` the client; for ``egress`` the pod is the client and
    ``peer`` the destination, on whose pod named ports are resolved.
    """
    selected = isolating(policies, pod, direction)
    names = tuple(name_of(p) for p in selected)
    if not selected:
        return Decision(Verdict.ALLOWED, (), f"no NetworkPolicy isolates it for {direction}")
    if flag(pod, "spec", "hostNetwork"):
        return Decision(Verdict.UNKNOWN, names, "the pod uses the node's network, which policies treat differently")
    destination = pod if direction == "ingress" else peer.pod
    side = "from" if direction == "ingress" else "to"
    unsure = False
    wrong_port: list[str] = []
    for policy in selected:
        for rule in objects(policy, "spec", direction):
            peers = objects(rule, side)
            answers = [peer_matches(e, namespace_of(policy), peer) for e in peers] or [True]
            if not port_matches(rule, destination, port, protocol):
                if any(a is not False for a in answers):
                    wrong_port.append(name_of(policy))
                continue
            if any(a is True for a in answers):
                return Decision(Verdict.ALLOWED, (name_of(policy),), f"networkpolicy/{name_of(policy)} allows it")
            unsure = unsure or any(a is None for a in answers)
    if unsure:
        return Decision(Verdict.UNKNOWN, names, "a rule depends on what the network plugin sees as the peer")
    why = f"no rule covers {peer.name} on port {port}/{protocol}"
    if wrong_port:
        subject = "it" if len(names) == 1 else f"networkpolicy/{wrong_port[0]}"
        verb = "admits" if direction == "ingress" else "allows"
        why = f"{subject} {verb} {peer.name}, but not on the pod's port {port}/{protocol}"
    entry: dict[str, Any] = {side: [_peer_entry(peer, namespace_of(pod))]} if peer.namespace else {}
    rule_to_add = {**entry, "ports": [{"protocol": protocol, "port": port}]}
    return Decision(Verdict.BLOCKED, names, why, rule_to_add)


def _peer_entry(peer: Peer, namespace: str) -> dict[str, Any]:
    chosen = {
        k: v for k, v in sorted(peer.labels.items()) if not k.endswith("-hash") and k != "pod-template-generation"
    }
    entry: dict[str, Any] = {}
    if peer.namespace != namespace:
        entry["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": peer.namespace}}
    if chosen or not entry:
        entry["podSelector"] = {"matchLabels": chosen} if chosen else {}
    return entry


@dataclass(frozen=True)
class Admission:
    """Who may reach a pod's port at all."""

    policies: tuple[Obj, ...]
    """Policies that isolate the pod for ingress; empty: everybody may."""
    everyone: bool
    """Some rule admits every source on the port."""
    peers: tuple[str, ...]
    """Otherwise: the admitted peers in words."""
    open_ports: tuple[str, ...]
    """What the policies open instead, when nobody is admitted on this port."""
    entries: tuple[Obj, ...] = ()
    """The ``from`` entries behind ``peers``."""

    @property
    def nobody(self) -> bool:
        """No source may reach the port."""
        return bool(self.policies) and not self.everyone and not self.peers


def admission(policies: Iterable[Obj], pod: Obj, port: int, protocol: str = "TCP") -> Admission:
    """Sum up the ingress rules of all policies on one port of one pod."""
    selected = isolating(policies, pod, "ingress")
    everyone = not selected
    peers: list[str] = []
    others: list[str] = []
    admitted: list[Obj] = []
    for policy in selected:
        for rule in objects(policy, "spec", "ingress"):
            if not port_matches(rule, pod, port, protocol):
                others.extend(ports_text(rule))
                continue
            entries = objects(rule, "from")
            admitted.extend(entries)
            everyone = everyone or not entries or any(_covers_all(e) for e in entries)
            peers.extend(f"{peer_text(e)} (networkpolicy/{name_of(policy)})" for e in entries)
    return Admission(selected, everyone, tuple(dict.fromkeys(peers)), tuple(dict.fromkeys(others)), tuple(admitted))


def _covers_all(entry: Obj) -> bool:
    if text(entry, "ipBlock", "cidr") in ("0.0.0.0/0", "::/0"):
        return not texts(entry, "ipBlock", "except")
    return entry.get("namespaceSelector") == {} and entry.get("podSelector") in (None, {})


def peer_text(entry: Obj) -> str:
    """Say in words whom a ``from``/``to`` entry means."""
    block = mapping(entry, "ipBlock")
    if block:
        holes = texts(block, "except")
        return text(block, "cidr") + (f" except {', '.join(holes)}" if holes else "")
    pods, namespaces = entry.get("podSelector"), entry.get("namespaceSelector")
    who = "every pod" if pods in (None, {}) else f"pods {selector_text(pods)}"
    if namespaces is None:
        return f"{who} of this namespace"
    return f"{who} of " + ("every namespace" if namespaces == {} else f"namespaces {selector_text(namespaces)}")


def ports_text(rule: Obj) -> Iterator[str]:
    """Write each port of a rule (``8080/TCP``, ``8000-9000/TCP``, ``http/TCP``, ``all/UDP``)."""
    for entry in objects(rule, "ports"):
        value, last = entry.get("port"), number(entry, "endPort")
        shown = "all" if value is None else f"{value}-{last}" if last is not None else f"{value}"
        yield f"{shown}/{text(entry, 'protocol') or 'TCP'}"
