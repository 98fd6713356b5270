"""A VirtualService sends to a subset that no DestinationRule defines, or that takes no pod.

Meaning: the proxy answers 503 for that share of the requests (no cluster, or no healthy upstream).

Told by: the subset of each destination against ``spec.subsets`` of the DestinationRules for that host, and the labels
of the subset against the pods of the Service.

Fix: define the subset in a DestinationRule, correct its name, or give its labels to the pods' template.

Source: Istio Destination.subset, DestinationRule.subsets; Envoy response flags NC and UH.
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.custom_entrances import CustomEntrance
from kubetriage.rules.service.custom_objects import ServiceRef
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.mesh_destinations import DESTINATION_RULES, pods_of_subset, rules_for, subsets_of
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import name_of
from kubetriage.values.nearest import nearest

CODE = "MeshSubsetNotFound"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the subsets of each VirtualService."""
    for custom in trace.customs:
        if custom.kind != "VirtualService":
            continue
        seen = set()
        for ref, backend in custom.backends:
            if not ref.subset or not backend.lookup.found or (ref.subset, backend) in seen:
                continue
            seen.add((ref.subset, backend))
            yield from _judge(custom, ref, backend)


def _judge(custom: CustomEntrance, ref: ServiceRef, backend: Backend) -> Iterator[Fault]:
    listing = backend.world.listing(DESTINATION_RULES)
    subsets = subsets_of(backend)
    if ref.subset not in subsets:
        if not listing.complete and not rules_for(backend):
            return
        have = ", ".join(sorted(subsets)) or "<none>"
        near = nearest(ref.subset, list(subsets))
        words = f"sends to subset {ref.subset} of svc/{backend.name}, which no DestinationRule defines; defined: {have}"
        fix = (
            f"Write {near} in {ref.at}.subset of {custom.shown}"
            if near
            else f"Define subset {ref.subset} in a DestinationRule for host {ref.host}, or remove {ref.at}.subset"
        )
        proof = Evidence("spec", "destinationrules spec.subsets", have)
        yield _fault(custom, ref, backend, words, fix, proof, presumed=listing.presumed and not subsets)
        return
    wanted = subsets[ref.subset]
    if not backend.pod_list.complete or not backend.pods:
        return
    if not pods_of_subset(backend, wanted):
        rule = next(r for r in rules_for(backend))
        shown = ", ".join(f"{k}={v}" for k, v in sorted(wanted.items()))
        values = sorted({p.labels.get(k, "<none>") for p in backend.pods for k in wanted})
        words = (
            f"sends to subset {ref.subset} of svc/{backend.name}, whose labels {shown} no pod of the Service has; the "
            f"pods have {', '.join(values[:4])}"
        )
        fix = f"Correct the labels of subset {ref.subset} in destinationrule/{name_of(rule)}, or label the pods {shown}"
        proof = Evidence("spec", f"destinationrule/{name_of(rule)} subset {ref.subset}", shown)
        yield _fault(custom, ref, backend, words, fix, proof)


def _fault(
    custom: CustomEntrance,
    ref: ServiceRef,
    backend: Backend,
    words: str,
    fix: str,
    proof: Evidence,
    *,
    presumed: bool = False,
) -> Fault:
    return fault(
        CODE,
        custom.place,
        f"{custom.shown} {words}. These requests get 503.",
        severity=Severity.ERROR if ref.weight else Severity.WARNING,
        confidence=Confidence.LIKELY if presumed else Confidence.CONFIRMED,
        evidence=[Evidence("spec", f"{custom.shown} {ref.at}.subset", ref.subset), proof],
        fix=[Fix(fix, actor=Actor.MANIFEST)],
        verify=(
            kubectl("get", DESTINATION_RULES, "-A", "-o", "yaml"),
            kubectl("get", "pods", "-l", backend.selector_text, "--show-labels", namespace=backend.namespace),
        ),
        short=words,
    )
