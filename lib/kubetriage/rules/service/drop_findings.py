"""Findings about packets that Cilium was seen to drop, with the rule that lacks, as far as policies were read."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Ref
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend, Place
from kubetriage.rules.service.foreign_crossings import foreign_policies
from kubetriage.rules.service.foreign_verdicts import CILIUM_KINDS
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.observed_drops import Drop, drops
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, name_of, namespace_of, objects, text

BLOCKS = "NetworkPolicyBlocks"


def dropped(trace: Trace) -> Iterator[Fault]:
    """Tell of each drop on the way to the Services of a trace, or to the pod that it is about."""
    told = set()
    for backend in trace.services:
        for drop in drops(trace.snapshot):
            if leads_to(backend, drop) and drop not in told:
                told.add(drop)
                yield _fault(trace, backend.policy_place, drop, backend)
    if trace.target.kind == "Pod":
        place = Place("NetworkPolicy", trace.target)
        for drop in drops(trace.snapshot):
            here = (drop.target.namespace, drop.target.name) == (trace.target.namespace, trace.target.name)
            if here and drop not in told:
                yield _fault(trace, place, drop, None)


def leads_to(backend: Backend, drop: Drop) -> bool:
    """Tell whether a drop is on the way to a Service: to a pod of it, or to one that by its name and port is."""
    if drop.target.namespace != backend.namespace:
        return False
    if backend.pods or backend.pod_list.complete:
        return any(p.name == drop.target.name for p in backend.pods)
    ports = {str(p.target) for p in backend.ports}
    return drop.target.name.startswith(f"{backend.name}-") and str(drop.port) in ports


def homeless(trace_services: tuple[Backend, ...], found: tuple[Drop, ...]) -> Iterator[Drop]:
    """Yield the drops to pods that no Service of a scan stands for, one for each pod."""
    told = set()
    for drop in found:
        key = (drop.target.namespace, drop.target.name)
        if drop.target.namespace and key not in told and not any(leads_to(b, drop) for b in trace_services):
            told.add(key)
            yield drop


def _fault(trace: Trace, place: Place, drop: Drop, backend: Backend | None) -> Fault:
    port = f"{drop.port}/{drop.protocol}"
    where = f" at its {drop.side}" if drop.side else ""
    mistaken = _service_port(trace, drop, backend)
    dns = " Without its DNS it finds no Service by name." if drop.port == 53 else ""
    why, fix = (
        mistaken
        if mistaken is not None
        else (
            f"No rule that selects {'it' if drop.side == 'egress' else 'the target'} admits that port.",
            _missing(drop),
        )
    )
    if mistaken is None and not drop.side:
        why = "Which end's policies, the line does not say."
    policies = [f"{kind}/{name_of(raw)}" for kind, raw in _candidates(trace, drop)]
    return fault(
        BLOCKS,
        place,
        f"{drop.source.shown} does not reach {drop.target.shown} on {port}: a policy denies it{where}. {why}{dns}",
        proof="observed",
        confidence=Confidence.CONFIRMED,
        about=Ref("Pod", drop.target.namespace, drop.target.name) if backend is None else None,
        evidence=[
            Evidence("log", "hubble observe", drop.line),
            *([Evidence("spec", "policies there", ", ".join(policies[:3]))] if policies else []),
        ],
        fix=[fix],
        verify=(kubectl("get", "ciliumnetworkpolicies,networkpolicies", namespace=_place(drop)),),
        short=f"Cilium dropped {port} from {drop.source.shown}",
    )


def _place(drop: Drop) -> str:
    """Return the namespace whose policies decided, or the likelier one where no line says at which end."""
    end = drop.source if drop.side == "egress" else drop.target
    return end.namespace or drop.target.namespace or drop.source.namespace


def _candidates(trace: Trace, drop: Drop) -> Iterator[tuple[str, Obj]]:
    """Yield the policies of Cilium that rule the end that decided, where they were read."""
    sides = [drop.side] if drop.side else ["egress", "ingress"]
    for kind, raw in foreign_policies(trace.world):
        for side in sides:
            end = drop.source if side == "egress" else drop.target
            specs = (raw.get("spec"), *objects(raw, "specs"))
            rules = any(isinstance(s, dict) and (side in s or f"{side}Deny" in s) for s in specs)
            if kind in CILIUM_KINDS and rules and namespace_of(raw) in ("", end.namespace):
                yield kind, raw
                break


def _service_port(trace: Trace, drop: Drop, backend: Backend | None) -> tuple[str, Fix] | None:
    """Find a rule with the Service's port where Cilium compares the pod's."""
    own = [p.port for p in backend.ports if str(p.target) == str(drop.port)] if backend is not None else []
    for kind, raw in _candidates(trace, drop):
        side = drop.side or ("egress" if namespace_of(raw) == drop.source.namespace else "ingress")
        for number, rule in enumerate(objects(raw, "spec", side)):
            given = {text(p, "port") for t in objects(rule, "toPorts") for p in objects(t, "ports")}
            wrong = next((p for p in own if str(p) in given and p != drop.port), None)
            if wrong is None or str(drop.port) in given:
                continue
            typed = kind.lower()
            shown = f"{kind}/{name_of(raw)}"
            return (
                f"{shown} names port {wrong}, the Service's; Cilium compares the pod's port after the Service's address"
                f" was translated.",
                Fix(
                    f'Write port "{drop.port}" in place of "{wrong}" in spec.{side}[{number}].toPorts of {shown}',
                    actor=Actor.MANIFEST,
                    commands=(kubectl("edit", typed, name_of(raw), namespace=namespace_of(raw)),),
                ),
            )
    return None


def _missing(drop: Drop) -> Fix:
    pods = [e for e in (drop.source, drop.target) if e.namespace]
    looks = tuple(kubectl("get", "pod", e.name, "--show-labels", namespace=e.namespace) for e in pods)
    side = drop.side or "egress or ingress"
    other = drop.target if drop.side == "egress" else drop.source
    peer = f"the labels of {other.shown}" if other.namespace else f"{other.shown} (an entity or a CIDR)"
    return Fix(
        f"Add an {side} rule for {drop.port}/{drop.protocol} to a CiliumNetworkPolicy that selects "
        f"{(drop.source if drop.side == 'egress' else drop.target).shown}, with {peer} and its namespace",
        actor=Actor.MANIFEST,
        commands=looks,
    )
