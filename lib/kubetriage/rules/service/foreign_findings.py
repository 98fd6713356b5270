"""Findings about policies of Cilium, Calico and the policy API, with the rule that would admit the client."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.client_policies import Crossing
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.foreign_crossings import ForeignCrossing, ForeignLimit, foreign_policies
from kubetriage.rules.service.foreign_verdicts import ADMIN_KINDS, CILIUM_KINDS
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.network_policies import Peer
from kubetriage.rules.service.other_policies import OtherPolicy, admitted_words
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, name_of, namespace_of

BLOCKS, RESTRICTS = "NetworkPolicyBlocks", "NetworkPolicyRestricts"


def foreign_blocked(backend: Backend, found: Sequence[ForeignCrossing]) -> Fault:
    """Tell of a known client that policies stop, at one end or at both."""
    first = found[0]
    ends = list({f.crossing.direction: f for f in found if f.crossing.words == first.crossing.words}.values())
    where = "; at the ".join(
        f"{f.crossing.direction} of pod/{f.crossing.isolated.name}: {', '.join(f.said.policies[:3])} "
        + ("denies it" if f.said.denied else "has no rule that admits it")
        for f in ends
    )
    policies = [p for f in ends for p in f.said.policies]
    proofs, looks = _shown(backend, policies)
    return fault(
        BLOCKS,
        backend.policy_place,
        f"{first.crossing.words} is blocked at the {where}.",
        proof="inferred",
        confidence=Confidence.LIKELY,
        evidence=[
            *proofs,
            _who(first.crossing.peer),
        ],
        fix=[fix for f in ends for fix in _fixes(backend, f)],
        verify=looks,
        short=f"blocked: {where}",
    )


def foreign_nobody(backend: Backend, limit: ForeignLimit) -> Fault:
    """Tell of policies that admit nobody to a port."""
    names = ", ".join(p.shown for p in limit.policies[:3])
    target = f"{limit.number}/{limit.port.protocol}"
    proofs, looks = _shown(backend, [p.shown for p in limit.policies])
    own = backend.pods[0].labels if backend.pods else {}
    client = Peer("the clients", backend.namespace, {"app": "CLIENT"})
    return fault(
        BLOCKS,
        backend.policy_place,
        f"No client may reach the pods of svc/{backend.name} on {target}: {names} selects them, and no rule admits "
        "any source on that port.",
        proof="inferred",
        confidence=Confidence.LIKELY,
        evidence=proofs,
        fix=[_open(limit.policies[0].kind, backend.namespace, own, client, limit.number, limit.port.protocol)],
        verify=looks,
        short=f"nobody is admitted: {names}",
    )


def foreign_restricts(backend: Backend, limit: ForeignLimit) -> Fault:
    """Tell of policies that admit only some sources, where no client is known."""
    words = "; ".join(f"{p.shown} {p.admits or 'admits what its rules name'}" for p in limit.policies[:3])
    proofs, looks = _shown(backend, [p.shown for p in limit.policies])
    return fault(
        RESTRICTS,
        backend.policy_place,
        f"Not everybody may reach the pods of svc/{backend.name} on {limit.number}/{limit.port.protocol}: {words}.",
        severity=Severity.WARNING,
        proof="inferred",
        confidence=Confidence.LIKELY,
        evidence=proofs,
        fix=[
            Fix(
                "Nothing, if the client is one of them (ask with --client pod/NAME); else add a rule for it to "
                f"{limit.policies[0].shown}",
                actor=Actor.MANIFEST,
            )
        ],
        verify=looks,
        short=words,
    )


def _shown(backend: Backend, names: Sequence[str]) -> tuple[list[Evidence], tuple[str, ...]]:
    """Return the proof and the command to look at each policy."""
    proofs: list[Evidence] = []
    looks: list[str] = []
    for kind, raw in foreign_policies(backend.world):
        if f"{kind}/{name_of(raw)}" in names and len(looks) < 3:
            words = admitted_words(raw) or "no rule that admits anything"
            proofs.append(Evidence("spec", f"{kind}/{name_of(raw)} spec", words))
            looks.append(look_at(OtherPolicy(kind, raw, True, words)))
    plain = [n.partition("/")[2] for n in names if n.startswith("networkpolicy/")][:3]
    if plain:
        proofs += [Evidence("spec", f"networkpolicy/{n} spec.ingress", "no rule covers it") for n in plain]
        looks.append(backend.kubectl("describe", "networkpolicy", *plain))
    return proofs, tuple(looks)


def look_at(policy: OtherPolicy) -> str:
    """Return the command that shows a policy."""
    kind, name = policy.shown.split("/", 1)
    linkerd = ".policy.linkerd.io" if kind == "Server" else ""
    calico = kind.startswith("Calico") or kind == "GlobalNetworkPolicy"
    typed = f"{kind.rpartition(' ')[2].lower()}" + (".crd.projectcalico.org" if calico else linkerd)
    return kubectl("get", typed, name, "-o", "yaml", namespace=namespace_of(policy.raw))


_OF_NO_PERSON = ("pod-template-hash", "controller-revision-hash", "pod-template-generation")


def _own(labels: Mapping[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in sorted(labels.items()) if k not in _OF_NO_PERSON and "pod-name" not in k}
    app = {k: v for k, v in kept.items() if k in ("app", "k8s-app", "app.kubernetes.io/name")}
    return app or kept


def _who(peer: Peer) -> Evidence:
    if peer.identity:
        return Evidence("spec", f"identity of {peer.name}", f"reserved:{peer.identity}")
    return Evidence("spec", f"labels of {peer.name}", _labels(peer))


def _labels(peer: Peer) -> str:
    shown = ", ".join(f"{k}={v}" for k, v in _own(peer.labels).items()) or "<none>"
    return f"{shown} in namespace {peer.namespace}"


def _fixes(backend: Backend, found: ForeignCrossing) -> Iterator[Fix]:
    one = found.crossing
    kind, _, name = found.said.policies[0].partition("/")
    if found.said.denied:
        rule = "the deny rule" if kind in CILIUM_KINDS else "the Deny rule"
        before = "" if kind in CILIUM_KINDS else ", or put an Allow rule before it"
        yield Fix(
            f"Except {one.peer.name if one.direction == 'ingress' else one.isolated.name} from {rule} of {kind}/{name}"
            f"{before}. No other policy can admit what it denies",
            actor=Actor.CLUSTER if kind in (*ADMIN_KINDS, "GlobalNetworkPolicy") else Actor.MANIFEST,
            commands=(_edit(backend, kind, name),),
        )
        return
    if one.peer.identity:
        yield _admit_entity(one)
    elif one.direction == "ingress":
        yield _open(kind, one.isolated.namespace, one.isolated.labels, one.peer, one.number, one.protocol)
    else:
        yield _leave(kind, one.isolated.namespace, one.isolated.labels, one.peer, one.number, one.protocol)


def _admit_entity(one: Crossing) -> Fix:
    """Admit what is no pod by Cilium's word for it."""
    chosen = json.dumps(_own(one.isolated.labels))
    yaml = (
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n"
        f"metadata: {{name: admit-{one.peer.identity}, namespace: {one.isolated.namespace}}}\n"
        f"spec:\n  endpointSelector: {{matchLabels: {chosen}}}\n  ingress:\n"
        f"  - fromEntities: [{one.peer.identity}]\n"
        f'    toPorts: [{{ports: [{{port: "{one.number}", protocol: {one.protocol}}}]}}]\n'
    )
    words = (
        f"Add a CiliumNetworkPolicy that admits the entity {one.peer.identity} on {one.number}/{one.protocol}: "
        f"{one.peer.name} connects with that identity, which no label of a pod or namespace matches"
    )
    return Fix(words, actor=Actor.MANIFEST, yaml=yaml)


def _edit(backend: Backend, kind: str, name: str) -> str:
    raw: Obj = next((r for k, r in foreign_policies(backend.world) if k == kind and name_of(r) == name), {})
    return look_at(OtherPolicy(kind, raw, True, "")).replace(" get ", " edit ", 1).replace(" -o yaml", "")


def _policy(
    kind: str, place: str, name: str, selector: Mapping[str, str], direction: str, peer: Peer, port: int, protocol: str
) -> str:
    chosen, other = json.dumps(_own(selector)), _own(peer.labels)
    if kind in CILIUM_KINDS:
        matched = {**other, "k8s:io.kubernetes.pod.namespace": peer.namespace}
        side = "fromEndpoints" if direction == "ingress" else "toEndpoints"
        return (
            f"apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: {name}, namespace: {place}}}\n"
            f"spec:\n  endpointSelector: {{matchLabels: {chosen}}}\n  {direction}:\n"
            f"  - {side}: [{{matchLabels: {json.dumps(matched)}}}]\n"
            f'    toPorts: [{{ports: [{{port: "{port}", protocol: {protocol}}}]}}]\n'
        )
    space = json.dumps({"kubernetes.io/metadata.name": peer.namespace})
    side, kinds = ("from", "Ingress") if direction == "ingress" else ("to", "Egress")
    return (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        f"metadata: {{name: {name}, namespace: {place}}}\n"
        f"spec:\n  podSelector: {{matchLabels: {chosen}}}\n  policyTypes: [{kinds}]\n  {direction}:\n"
        f"  - {side}: [{{namespaceSelector: {{matchLabels: {space}}}, "
        f"podSelector: {{matchLabels: {json.dumps(other)}}}}}]\n"
        f"    ports: [{{port: {port}, protocol: {protocol}}}]\n"
    )


def _open(kind: str, place: str, selector: Mapping[str, str], peer: Peer, port: int, protocol: str) -> Fix:
    words = f"Add a policy that admits {peer.name} of namespace {peer.namespace} on {port}/{protocol}; the others stay"
    yaml = _policy(kind, place, "admit-client", selector, "ingress", peer, port, protocol)
    return Fix(words, actor=Actor.MANIFEST, yaml=yaml)


def _leave(kind: str, place: str, selector: Mapping[str, str], peer: Peer, port: int, protocol: str) -> Fix:
    words = f"Add a policy that lets the client's pods of namespace {place} out to {peer.name} on {port}/{protocol}"
    yaml = _policy(kind, place, "reach-service", selector, "egress", peer, port, protocol)
    return Fix(words, actor=Actor.MANIFEST, yaml=yaml)
