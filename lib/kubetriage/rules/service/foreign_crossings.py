"""Policies of Cilium, Calico and the policy API around the pods of one Service: whom they stop, as far as told."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.records import dataclass
from kubetriage.rules.service import service_endpoints as eps
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.client_policies import Crossing, crossings
from kubetriage.rules.service.cluster_view import Backend, World
from kubetriage.rules.service.foreign_verdicts import (
    CALICO_KINDS,
    CILIUM_KINDS,
    Connection,
    Said,
    isolates,
    may_admit,
    said_of,
)
from kubetriage.rules.service.linkerd_policies import linkerd_rulings
from kubetriage.rules.service.network_policies import Peer, Verdict, decide
from kubetriage.rules.service.other_policies import OTHER_POLICY_APIS, OtherPolicy, other_policies
from kubetriage.rules.service.policies_around_pods import admissions, peer_of, policies_of
from kubetriage.values.fields import Obj, text


def foreign_policies(world: World) -> tuple[tuple[str, Obj], ...]:
    """Return (kind, object) of all policies of other APIs that were read."""
    return world.kept(
        "policies of other APIs",
        lambda: tuple((kind, raw) for plural, kind in OTHER_POLICY_APIS.items() for raw in world.listing(plural).items),
    )


@dataclass(frozen=True)
class ForeignCrossing:
    """One connection of a known client, judged at one end."""

    crossing: Crossing
    said: Said


def foreign_crossings(trace: Trace, backend: Backend) -> tuple[ForeignCrossing, ...]:
    """Judge every known client by the policies of other APIs, at both ends."""
    policies = foreign_policies(trace.world)
    found = []
    for one in crossings(trace, backend) if policies else ():
        own = peer_of(backend, one.isolated)
        said = said_of(policies, Connection(one.direction, own, one.peer, one.number, one.protocol), one.decision)
        if said.policies:
            found.append(ForeignCrossing(one, said))
    return (*found, *_from_cilium(trace, backend, policies))


CILIUM_INGRESS = "ingress"
"""The identity with which Cilium's own proxy connects for an Ingress or a Gateway."""


def _from_cilium(trace: Trace, backend: Backend, policies: tuple[tuple[str, Obj], ...]) -> Iterator[ForeignCrossing]:
    """Judge Cilium's own Ingress or Gateway, where one is on the way: it is no pod, whatever node it runs on."""
    by_ingress = any(e.controller.startswith("cilium.io/") for e in trace.ingresses)
    by_gateway = any(
        text(g.class_lookup.obj, "spec", "controllerName").startswith("io.cilium/") for g in trace.gateways
    )
    if not (by_ingress or by_gateway):
        return
    name = "Cilium's Ingress" if by_ingress else "Cilium's Gateway"
    peer = Peer(name, identity=CILIUM_INGRESS)
    plain = policies_of(backend)
    for port in backend.ports:
        for pod in backend.pods[:1]:
            number = eps.find_port(pod.raw, port.target, port.protocol)
            if number is None or pod.host_network:
                continue
            words = f"{name} to svc/{backend.name} ({number}/{port.protocol})"
            decision = decide(plain, pod.raw, "ingress", peer, number, port.protocol)
            one = Crossing(words, "ingress", pod, decision, peer, number, port.protocol)
            own = peer_of(backend, pod)
            said = said_of(policies, Connection("ingress", own, peer, number, port.protocol), decision)
            if not said.policies and decision.verdict is Verdict.BLOCKED:
                said = Said(Verdict.BLOCKED, tuple(f"networkpolicy/{n}" for n in decision.policies))
            if said.policies:
                yield ForeignCrossing(one, said)


@dataclass(frozen=True)
class ForeignLimit:
    """Policies of Cilium or Calico that let in only what their rules name, on one pod port."""

    port: eps.ServicePort
    number: int
    policies: tuple[OtherPolicy, ...]
    nobody: bool
    """No rule admits any source on the port."""


def foreign_limits(backend: Backend) -> Iterator[ForeignLimit]:
    """Sum up for each Service port what policies of Cilium and Calico admit, whoever connects."""
    found = [p for p in other_policies(backend) if p.kind in (*CILIUM_KINDS, *CALICO_KINDS)]
    plain = {(a.port, a.number): a.admission for a in admissions(backend)}
    for pod in backend.pods[:1]:
        own = peer_of(backend, pod)
        known = [(p, isolates(p.kind, p.raw, own)) for p in found]
        closing = tuple(p for p, answer in known if answer)
        if not closing or pod.host_network or any(answer is None for _, answer in known):
            continue
        for port in backend.ports:
            number = eps.find_port(pod.raw, port.target, port.protocol)
            if number is None:
                continue
            one = Connection("ingress", own, Peer("anybody"), number, port.protocol)
            beside = plain.get((port, number))
            admits = beside is not None and bool(beside.policies) and not beside.nobody
            nobody = not admits and not any(may_admit(p.kind, p.raw, one) for p in closing)
            yield ForeignLimit(port, number, closing, nobody)


def unresolved(trace: Trace, backend: Backend) -> tuple[OtherPolicy, ...]:
    """Return the policies of other APIs with rules for what comes in that could not be judged."""
    found = [p for p in other_policies(backend) if p.ingress]
    judged = foreign_crossings(trace, backend)
    known = list(crossings(trace, backend))
    if known:
        doubtful = {n for j in judged if j.said.verdict is Verdict.UNKNOWN for n in j.said.policies}
        sources = {c.isolated.uid: c.isolated for c in known if c.direction == "egress"}
        rulings = linkerd_rulings(backend, sources.values())
        odd = {"ClusterNetworkPolicy"} | (
            {"Server"} if not rulings or any(r.allowed is None for r in rulings) else set[str]()
        )
        return tuple(p for p in found if p.kind in odd or p.shown in doubtful)
    pod = backend.pods[0] if backend.pods else None
    own = peer_of(backend, pod) if pod is not None else None
    read = (*CILIUM_KINDS, *CALICO_KINDS)
    return tuple(p for p in found if p.kind not in read or own is None or isolates(p.kind, p.raw, own) is None)
