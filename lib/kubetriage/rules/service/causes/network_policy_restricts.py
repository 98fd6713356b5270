"""NetworkPolicies admit some peers to the Service's pods, and nobody else; or keep the pods from cluster DNS.

Meaning: the listed peers pass, every other client times out. That is usually meant; it is the cause when the
client in question is not among them. Ask again with ``--client pod/NAME`` or ``--client namespace/NAME``.

Told by: the union of the ingress rules of all policies that select the pods, for the pod's port; and the pods'
egress to port 53 of the cluster's DNS.

Fix: add the client to a rule, or a rule for DNS.

Source: networking.k8s.io/v1 NetworkPolicy.
"""

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Fix, Ref, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.client_policies import crossings, dns_egress
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.foreign_crossings import foreign_limits
from kubetriage.rules.service.foreign_findings import foreign_restricts
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.outside_clients import outside_crossings
from kubetriage.rules.service.policies_around_pods import PortAdmission, admissions
from kubetriage.rules.service.selector_edits import matches_labels, selector_text
from kubetriage.values.fields import labels, mapping, name_of

CODE = "NetworkPolicyRestricts"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Service port against the policies around its pods."""
    for backend in trace.services:
        limited = [a for a in admissions(backend) if a.admission.peers and not a.admission.everyone]
        found = list(crossings(trace, backend))
        outside = list(outside_crossings(trace, backend))
        if limited and not any(c.blocked for c in found) and not any(c.blocked for c in outside):
            known = bool(found) and all(c.allowed for c in found)
            one = limited[0]
            policies = one.admission.policies
            who = "; ".join(one.admission.peers[:4])
            yield fault(
                CODE,
                backend.policy_place,
                f"Only these may reach the pods of svc/{backend.name} on {one.number}/{one.port.protocol}, if policies "
                f"are enforced here: {who}.{_nobody_yet(backend, one)}",
                severity=Severity.NOTE if known else Severity.WARNING,
                proof="inferred",
                confidence=Confidence.LIKELY,
                about=Ref("NetworkPolicy", backend.namespace, name_of(policies[0])),
                evidence=[Evidence("spec", f"networkpolicy/{name_of(p)} spec.ingress", who) for p in policies[:2]],
                fix=[
                    Fix(
                        f"Nothing, if the client is one of them (ask with --client pod/NAME); else add it to "
                        f"spec.ingress of networkpolicy/{name_of(policies[0])}"
                    )
                ],
                verify=(backend.kubectl("describe", "networkpolicy", name_of(policies[0])),),
                short=f"admits only {who}",
            )
        if not list(crossings(trace, backend)):
            limit = next((x for x in foreign_limits(backend)), None)
            if limit is not None and not limit.nobody:
                yield foreign_restricts(backend, limit)
        yield from _dns(trace, backend)


def _nobody_yet(backend: Backend, one: PortAdmission) -> str:
    """Say so where the rules name pods of this namespace only, or namespaces, and there are none of them."""
    lost = _namespace_lost(backend, one)
    if lost:
        return lost
    if not backend.world.listing("pods", backend.namespace).complete:
        return ""
    for entry in one.admission.entries:
        if entry.get("podSelector") is None or entry.get("namespaceSelector") is not None:
            return ""
        if any(matches_labels(entry["podSelector"], p.labels) for p in backend.world.pods(backend.namespace)):
            return ""
    return " No pod of the namespace has these labels now."


def _namespace_lost(backend: Backend, one: PortAdmission) -> str:
    """Say which namespaceSelector matches no namespace at all, and which namespace is the likely one."""
    listing = backend.world.listing("namespaces")
    if not listing.complete:
        return ""
    for entry in one.admission.entries:
        selector = mapping(entry, "namespaceSelector")
        if not selector:
            continue
        if any(matches_labels(selector, labels(n, "metadata", "labels")) for n in listing.items):
            continue
        wanted = labels(selector, "matchLabels")
        meant = next((name_of(n) for n in listing.items if name_of(n) in wanted.values()), "")
        hint = (
            f" namespace/{meant} exists without it: select it by kubernetes.io/metadata.name={meant}." if meant else ""
        )
        return f" No namespace has the labels {selector_text(selector)}.{hint}"
    return ""


def _dns(trace: Trace, backend: Backend) -> Iterator[Fault]:
    decision = dns_egress(trace, backend)
    if decision is None:
        return
    name = decision.policies[0]
    yield fault(
        CODE,
        backend.policy_place,
        f"The pods of svc/{backend.name} cannot ask the cluster's DNS, if policies are enforced here: "
        f"networkpolicy/{name} limits their egress and allows no port 53 to it.",
        severity=Severity.WARNING,
        proof="inferred",
        confidence=Confidence.LIKELY,
        about=Ref("NetworkPolicy", backend.namespace, name),
        evidence=[Evidence("spec", f"networkpolicy/{name} spec.egress", decision.why)],
        fix=(Fix(f"Allow egress to port 53 UDP and TCP of namespace kube-system in networkpolicy/{name}"),),
        verify=(backend.kubectl("describe", "networkpolicy", name),),
        short=f"networkpolicy/{name} keeps the pods from DNS",
    )
