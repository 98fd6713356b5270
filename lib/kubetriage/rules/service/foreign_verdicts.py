"""What policies of Cilium, Calico and the policy API say of one connection, where they are of the common simple forms.

Every answer has three values: a form that is not read here makes it unknown, never allowed or blocked. Plain
NetworkPolicies count beside them: Cilium adds their rules to its own, Calico gives them order 1000 in its default tier,
the policy API asks them after its admin policies.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from kubetriage.records import dataclass
from kubetriage.rules.service.calico_selectors import calico_matches
from kubetriage.rules.service.network_policies import Decision, Direction, Peer, Verdict
from kubetriage.rules.service.selector_edits import matches_labels
from kubetriage.rules.service.service_endpoints import find_port
from kubetriage.typed import Any
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

CILIUM_NAMESPACE = "io.kubernetes.pod.namespace"
CILIUM_KINDS = ("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy")
CALICO_KINDS = ("GlobalNetworkPolicy", "Calico NetworkPolicy")
ADMIN_KINDS = ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy")


@dataclass(frozen=True)
class Connection:
    """One connection as the pod at one end sees it."""

    direction: Direction
    pod: Peer
    """The pod whose policies are asked."""
    peer: Peer
    port: int
    protocol: str

    @property
    def destination(self) -> Obj:
        """The pod that listens."""
        return (self.pod if self.direction == "ingress" else self.peer).pod


@dataclass(frozen=True)
class Said:
    """What the policies of one product say."""

    verdict: Verdict
    policies: tuple[str, ...] = ()
    """``KIND/NAME`` of those that decide."""
    denied: bool = False
    """A rule denies it; no other policy can admit it."""


_OPEN = Said(Verdict.ALLOWED)


def said_of(policies: Iterable[tuple[str, Obj]], one: Connection, plain: Decision) -> Said:
    """Decide over all products; ``plain`` is what the NetworkPolicies say of the same end.

    An allowed answer without policies means that none of them selects the pod in this direction.
    """
    known = list(policies)
    admin = _admin([p for p in known if p[0] == ADMIN_KINDS[0]], one)
    if admin is not None:
        return admin
    cilium = _cilium([p for p in known if p[0] in CILIUM_KINDS], one)
    calico = _calico([p for p in known if p[0] in CALICO_KINDS], one, plain)
    unread = [p for p in known if p[0] not in (*CILIUM_KINDS, *CALICO_KINDS, *ADMIN_KINDS)]
    isolated = bool(plain.policies)
    if cilium.verdict is Verdict.BLOCKED and not cilium.denied and isolated and plain.verdict is not Verdict.BLOCKED:
        # Cilium adds up: what a NetworkPolicy allows passes.
        cilium = Said(plain.verdict, cilium.policies)
    found = [s for s in (cilium, calico) if s.policies]
    blocked = next((s for s in found if s.verdict is Verdict.BLOCKED), None)
    if blocked is not None and not unread:
        return blocked
    if unread or any(s.verdict is Verdict.UNKNOWN for s in found):
        return Said(Verdict.UNKNOWN, tuple(n for s in found for n in s.policies))
    if found or isolated:
        return found[0] if found else _OPEN
    return _admin([p for p in known if p[0] == ADMIN_KINDS[1]], one) or _OPEN


def _shown(kind: str, raw: Obj) -> str:
    return f"{kind}/{name_of(raw)}"


# Cilium.


def _cilium(policies: list[tuple[str, Obj]], one: Connection) -> Said:
    """Add up the rules of all policies that select the pod; any of them denies what none of their rules admits."""
    isolating: list[str] = []
    answers: list[bool | None] = []
    for kind, raw in policies:
        for spec in (mapping(raw, "spec"), *objects(raw, "specs")):
            place = namespace_of(raw)
            if "endpointSelector" not in spec or not _cilium_pod(mapping(spec, "endpointSelector"), one.pod, place):
                continue
            for rule in objects(spec, f"{one.direction}Deny"):
                match = _cilium_rule(rule, one, place)
                if match:
                    return Said(Verdict.BLOCKED, (_shown(kind, raw),), True)
                if match is None:
                    answers.append(None)
            if isinstance(spec.get(one.direction), list):
                if flag(spec, "enableDefaultDeny", one.direction) is not False:
                    isolating.append(_shown(kind, raw))
                answers += [_cilium_rule(rule, one, place) for rule in objects(spec, one.direction)]
    if not isolating:
        return Said(Verdict.UNKNOWN if None in answers else Verdict.ALLOWED)
    verdict = Verdict.ALLOWED if True in answers else Verdict.UNKNOWN if None in answers else Verdict.BLOCKED
    return Said(verdict, tuple(dict.fromkeys(isolating)))


_PEER_KEYS = ("Endpoints", "Entities", "CIDR", "CIDRSet", "Requires", "Nodes", "Groups", "FQDNs", "Services")


def _cilium_rule(rule: Obj, one: Connection, place: str) -> bool | None:
    side = "from" if one.direction == "ingress" else "to"
    given = [f"{side}{k}" for k in _PEER_KEYS if f"{side}{k}" in rule]
    ports = objects(rule, "toPorts")
    if "icmps" in rule or (not given and not ports):
        # An empty rule admits nobody; one about ICMP is about no port.
        return False
    peer: bool | None = not given
    for key in given:
        answer = _cilium_peers(rule, key.removeprefix(side), key, one.peer, place)
        peer = True if peer or answer else None if peer is None or answer is None else False
    answers = [_cilium_ports(p, one) for p in ports] or [True]
    port: bool | None = True if True in answers else None if None in answers else False
    if peer is False or port is False:
        return False
    limited = any("rules" in p or "listener" in p for p in ports) or "authentication" in rule
    return None if peer is None or port is None or limited else True


def _cilium_peers(rule: Obj, kind: str, key: str, peer: Peer, place: str) -> bool | None:
    if peer.identity:
        # It is no pod, no node and no address outside: only an entity names it.
        named = texts(rule, key) if kind == "Entities" else []
        return True if peer.identity in named or "all" in named else None if "cluster" in named else False
    if kind == "Endpoints":
        if peer.host_network:
            return False
        return any(_cilium_pod(e, peer, place) for e in objects(rule, key))
    if kind == "Entities":
        named = texts(rule, key)
        if "all" in named or ("cluster" in named and peer.namespace):
            return True
        hosts = ("host", "remote-node", "kube-apiserver")
        return None if peer.host_network and any(n in named for n in hosts) else False
    if kind in ("CIDR", "CIDRSet", "FQDNs"):
        # They mean addresses outside the cluster; a pod is known by its labels.
        return None if peer.host_network or not peer.namespace else False
    return None


def _cilium_pod(selector: Obj, pod: Peer, place: str) -> bool:
    """Match a selector; without a namespace of its own that of a namespaced policy holds."""
    plain = cilium_selector(selector)
    own = {**pod.labels, CILIUM_NAMESPACE: pod.namespace}
    own |= {f"io.cilium.k8s.namespace.labels.{k}": v for k, v in (pod.namespace_labels or {}).items()}
    keys = {*plain.get("matchLabels", {}), *(text(e, "key") for e in objects(plain, "matchExpressions"))}
    spaced = any(k == CILIUM_NAMESPACE or k.startswith("io.cilium.k8s.namespace.labels.") for k in keys)
    if place and not spaced and pod.namespace != place:
        return False
    return matches_labels(plain, own)


def cilium_selector(selector: Obj) -> dict[str, Any]:
    """Return a Cilium selector without the source prefixes of its keys (``k8s:app``, ``any:app``)."""

    def bare(key: str) -> str:
        return key.partition(":")[2] if key.startswith(("k8s:", "any:")) else key

    plain: dict[str, Any] = {"matchLabels": {bare(k): v for k, v in labels(selector, "matchLabels").items()}}
    plain["matchExpressions"] = [{**e, "key": bare(text(e, "key"))} for e in objects(selector, "matchExpressions")]
    return {k: v for k, v in plain.items() if v}


def _cilium_ports(rule: Obj, one: Connection) -> bool | None:
    entries = objects(rule, "ports")
    if not entries:
        return True
    for entry in entries:
        if (text(entry, "protocol") or "ANY") not in ("ANY", one.protocol):
            continue
        value = str(entry.get("port", ""))
        first = int(value) if value.isdigit() and len(value) < 6 else find_port(one.destination, value, one.protocol)
        last = number(entry, "endPort") or first
        if first is not None and last is not None and (first == 0 or first <= one.port <= last):
            return True
    return False


# Calico.

_LAST = float("inf")
_PLAIN_ORDER = 1000.0


def _calico(policies: list[tuple[str, Obj]], one: Connection, plain: Decision) -> Said:
    """Walk the default tier in its order: the first rule that matches decides, and its end denies."""
    chosen: list[tuple[float, str, Obj]] = []
    for kind, raw in policies:
        spec = mapping(raw, "spec")
        if any(flag(spec, k) for k in ("preDNAT", "doNotTrack", "applyOnForward")) or one.direction not in _types(spec):
            continue
        selected = _calico_selects(spec, raw, one.pod)
        if selected is None or (selected and text(spec, "tier") not in ("", "default")):
            return Said(Verdict.UNKNOWN, (_shown(kind, raw),))
        if selected:
            order = spec.get("order")
            chosen.append((float(order) if isinstance(order, int | float) else _LAST, _shown(kind, raw), raw))
    if not chosen:
        return _OPEN
    names = tuple(n for _, n, _ in chosen)
    steps: list[tuple[float, str, Obj | None]] = [*chosen]
    if plain.policies:
        steps.append((_PLAIN_ORDER, "networkpolicies", None))
    for _, name, policy in sorted(steps, key=lambda s: (s[0], s[1])):
        if policy is None:
            if plain.verdict is not Verdict.BLOCKED:
                return Said(plain.verdict, names)
            continue
        for rule in objects(policy, "spec", one.direction):
            match = _calico_rule(rule, one, namespace_of(policy))
            action = text(rule, "action")
            if match is False or action == "Log":
                continue
            if match is None or action == "Pass":
                return Said(Verdict.UNKNOWN, (name,))
            return Said(Verdict.ALLOWED if action == "Allow" else Verdict.BLOCKED, (name,), action == "Deny")
    return Said(Verdict.BLOCKED, names)


def _types(spec: Obj) -> tuple[str, ...]:
    given = [t.lower() for t in texts(spec, "types")]
    if given:
        return tuple(given)
    return tuple(d for d in ("ingress", "egress") if objects(spec, d)) or ("ingress",)


def _calico_labels(pod: Peer) -> dict[str, str]:
    return {**pod.labels, "projectcalico.org/namespace": pod.namespace, "projectcalico.org/orchestrator": "k8s"}


def _space_labels(pod: Peer) -> dict[str, str]:
    own = {"kubernetes.io/metadata.name": pod.namespace, "projectcalico.org/name": pod.namespace}
    return {**(pod.namespace_labels or {}), **own}


def _calico_selects(spec: Obj, raw: Obj, pod: Peer) -> bool | None:
    place = namespace_of(raw)
    if place and place != pod.namespace:
        return False
    answers = [calico_matches(text(spec, "selector"), _calico_labels(pod))]
    if text(spec, "namespaceSelector"):
        answers.append(_space_matches(text(spec, "namespaceSelector"), pod))
    if text(spec, "serviceAccountSelector"):
        answers.append(None)
    return False if False in answers else None if None in answers else True


def _space_matches(selector: str, pod: Peer) -> bool | None:
    if selector.strip() == "global()":
        return False
    answer = calico_matches(selector, _space_labels(pod))
    # Labels of a namespace that was not seen decide nothing but by its name.
    named = "metadata.name" in selector or "projectcalico.org/name" in selector or "all()" in selector
    return answer if pod.namespace_labels is not None or named else None


def _calico_rule(rule: Obj, one: Connection, place: str) -> bool | None:
    if any(k in rule for k in ("http", "icmp", "notICMP", "ipVersion", "notProtocol")):
        return None
    protocol = rule.get("protocol")
    if protocol is not None and str(protocol).upper() != one.protocol:
        return False
    ends = {"ingress": (one.peer, one.pod), "egress": (one.pod, one.peer)}[one.direction]
    answers = []
    for side, pod in zip(("source", "destination"), ends, strict=True):
        answers.append(_calico_end(mapping(rule, side), pod, place, one, ports=side == "destination"))
    return False if False in answers else None if None in answers else True


def _calico_end(entity: Obj, pod: Peer, place: str, one: Connection, *, ports: bool) -> bool | None:
    answers: list[bool | None] = []
    spaces = text(entity, "namespaceSelector")
    if text(entity, "selector"):
        answers.append(calico_matches(text(entity, "selector"), _calico_labels(pod)))
        if place and not spaces:
            answers.append(pod.namespace == place)
    if spaces:
        answers.append(_space_matches(spaces, pod))
    if text(entity, "notSelector"):
        other = calico_matches(text(entity, "notSelector"), _calico_labels(pod))
        answers.append(None if other is None else not other)
    for key in ("nets", "notNets"):
        if texts(entity, key):
            inside = _in_nets(texts(entity, key), pod)
            answers.append(None if inside is None else inside == (key == "nets"))
    if any(k in entity for k in ("serviceAccounts", "services", "domains", "notPorts")):
        answers.append(None)
    listed = dig(entity, "ports")
    if isinstance(listed, list) and listed:
        answers.append(any(_calico_port(p, one) for p in listed) if ports else None)
    if pod.host_network and answers:
        return None
    return False if False in answers else None if None in answers else True


def _calico_port(value: Any, one: Connection) -> bool:
    words = str(value)
    first, colon, last = words.partition(":")
    if first.isdigit() and (not colon or last.isdigit()):
        return int(first) <= one.port <= int(last or first)
    return find_port(one.destination, words, one.protocol) == one.port


def _in_nets(nets: list[str], pod: Peer) -> bool | None:
    try:
        own = [ipaddress.ip_address(a) for a in pod.addresses]
        return any(a in ipaddress.ip_network(n, strict=False) for a in own for n in nets) if own else None
    except ValueError:
        return None


# The policy API.


def _admin(policies: list[tuple[str, Obj]], one: Connection) -> Said | None:
    """Return the first rule that decides, by priority; None where none does, or it passes the question on."""
    for kind, raw in sorted(policies, key=lambda p: number(p[1], "spec", "priority") or 0):
        subject = mapping(raw, "spec", "subject")
        selected = _admin_peer(subject, one.pod)
        if selected is False:
            continue
        for rule in objects(raw, "spec", one.direction):
            match = _admin_rule(rule, one)
            if match is False:
                continue
            action = text(rule, "action")
            if match is None or selected is None:
                return Said(Verdict.UNKNOWN, (_shown(kind, raw),))
            if action == "Pass":
                return None
            return Said(Verdict.ALLOWED if action == "Allow" else Verdict.BLOCKED, (_shown(kind, raw),), True)
    return None


def _admin_rule(rule: Obj, one: Connection) -> bool | None:
    answers = [_admin_peer(e, one.peer) for e in objects(rule, "from" if one.direction == "ingress" else "to")]
    peer = True if True in answers else None if None in answers else False
    ports = objects(rule, "ports")
    if peer is False or not ports:
        return peer
    return peer if any(_admin_port(p, one) for p in ports) else False


def _admin_peer(entry: Obj, pod: Peer) -> bool | None:
    pods = mapping(entry, "pods")
    spaces = entry.get("namespaces", pods.get("namespaceSelector"))
    if spaces is None:
        return None if entry else False
    if pod.host_network:
        return False
    if spaces and not matches_labels(spaces, _space_labels(pod)):
        return False if pod.namespace_labels is not None else None
    chosen = pods.get("podSelector")
    return chosen is None or matches_labels(chosen, pod.labels)


def _admin_port(entry: Obj, one: Connection) -> bool:
    single, span = mapping(entry, "portNumber"), mapping(entry, "portRange")
    if text(entry, "namedPort"):
        return find_port(one.destination, text(entry, "namedPort"), one.protocol) == one.port
    if (text(single or span, "protocol") or "TCP") != one.protocol:
        return False
    first = number(single, "port") or number(span, "start")
    last = number(single, "port") or number(span, "end")
    return first is not None and last is not None and first <= one.port <= last


# Whom they admit at all.


def isolates(kind: str, raw: Obj, pod: Peer) -> bool | None:
    """Tell whether a policy of Cilium or Calico keeps out of a pod what no rule admits; None where it is not told."""
    if kind in CILIUM_KINDS:
        specs = (mapping(raw, "spec"), *objects(raw, "specs"))
        return any(
            isinstance(s.get("ingress"), list)
            and flag(s, "enableDefaultDeny", "ingress") is not False
            and "endpointSelector" in s
            and _cilium_pod(mapping(s, "endpointSelector"), pod, namespace_of(raw))
            for s in specs
        )
    if kind in CALICO_KINDS:
        spec = mapping(raw, "spec")
        if "ingress" not in _types(spec):
            return False
        return None if text(spec, "tier") not in ("", "default") else _calico_selects(spec, raw, pod)
    return None


def may_admit(kind: str, raw: Obj, one: Connection) -> bool:
    """Tell whether any rule of a policy admits some source on the port of a connection, whoever that is."""
    if kind in CILIUM_KINDS:
        for spec in (mapping(raw, "spec"), *objects(raw, "specs")):
            for rule in objects(spec, "ingress"):
                given = [k for k in rule if k.startswith("from")]
                somebody = any(rule[k] for k in given) or (not given and bool(objects(rule, "toPorts")))
                ports = [_cilium_ports(p, one) for p in objects(rule, "toPorts")]
                if somebody and (not ports or any(a is not False for a in ports)):
                    return True
        return False
    for rule in objects(raw, "spec", "ingress"):
        listed = dig(rule, "destination", "ports")
        protocol = rule.get("protocol")
        fits = protocol is None or str(protocol).upper() == one.protocol
        at = not isinstance(listed, list) or not listed or any(_calico_port(p, one) for p in listed)
        if text(rule, "action") in ("Allow", "Pass") and fits and at:
            return True
    return False
