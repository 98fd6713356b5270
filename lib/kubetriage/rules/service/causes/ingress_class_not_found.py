"""The Ingress names a class that no IngressClass object defines.

Meaning: no controller takes the Ingress up: no address, and 404 from whatever answers on the address of another.

Told by: ``spec.ingressClassName`` against the IngressClasses. The legacy annotation needs no such object, and GKE
serves gce and gce-internal without one; those are not told. Not told when IngressClasses may not be read.

Fix: use the name of an existing class, or install the controller that brings this one.

Source: networking.k8s.io/v1 IngressSpec.ingressClassName.
"""

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.values.fields import name_of
from kubetriage.values.nearest import nearest

CODE = "IngressClassNotFound"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the class of each Ingress."""
    for entrance in trace.ingresses:
        yield from _annotated(trace, entrance)
        wanted = entrance.ingress.class_name
        found = trace.world.lookup("ingressclasses", "", wanted) if wanted else None
        if found is None or not found.absent or _of_platform(entrance):
            continue
        have = sorted(name_of(c) for c in entrance.classes)
        slip = nearest(wanted, have)
        near = slip or (have[0] if len(have) == 1 else "")
        install = f"install the controller that brings IngressClass {wanted}"
        served = bool(entrance.ingress.addresses)
        tail = f"; the cluster has {', '.join(have[:5])}" if have else "; the cluster has none"
        patch = {"spec": {"ingressClassName": near}}
        yield fault(
            CODE,
            entrance.class_place,
            f"{entrance.name} asks for IngressClass {wanted}, which does not exist{tail}."
            + (" It has an address all the same, so some controller serves it by name." if served else ""),
            severity=Severity.WARNING if served else Severity.ERROR,
            confidence=Confidence.LIKELY if found.presumed and not have else Confidence.CONFIRMED,
            evidence=[
                Evidence("spec", f"{entrance.name} spec.ingressClassName", wanted),
                Evidence("status", "ingressclasses", ", ".join(have) or "<none>"),
            ],
            fix=[
                *(
                    [Fix(f"Set spec.ingressClassName of {entrance.name} to {near}", patch, entrance.ref)]
                    if near
                    else []
                ),
                *(
                    []
                    if slip
                    else [
                        Fix(
                            f"Or {install}" if near else f"{install[0].upper()}{install[1:]}, or name an existing class"
                        )
                    ]
                ),
            ],
            verify=("kubectl get ingressclasses", entrance.kubectl("get", "ingress", entrance.ingress.name)),
            short=f"ingressclass/{wanted} does not exist{tail}",
            details={"nearest": near} if near else {},
        )


def _is_served(entrance: Entrance) -> bool:
    """Tell whether the controller of an annotated class was found, or runs where it cannot be found."""
    known = entrance.known
    return known is not None and (known.managed or bool(known.balancer) or bool(entrance.controller_pods))


def _of_platform(entrance: Entrance) -> bool:
    """Tell whether GKE serves the class: it needs no IngressClass object."""
    return entrance.known is not None and entrance.known.classless


def _annotated(trace: Trace, entrance: Entrance) -> Iterator[Fault]:
    """Note a legacy annotation that nothing answers to; a controller may know the name without an IngressClass."""
    wanted = "" if entrance.ingress.class_name else entrance.ingress.class_annotation
    if not wanted or entrance.ingress.addresses or _is_served(entrance):
        return
    if not trace.world.lookup("ingressclasses", "", wanted).absent:
        return
    have = sorted(name_of(c) for c in entrance.classes)
    near = nearest(wanted, have) or (have[0] if len(have) == 1 else "")
    yield fault(
        CODE,
        entrance.class_place,
        f"{entrance.name} is annotated for class {wanted}; there is no IngressClass of that name, and no controller "
        "has given it an address.",
        severity=Severity.NOTE,
        proof="inferred",
        confidence=Confidence.POSSIBLE,
        evidence=[
            Evidence("spec", f"{entrance.name} annotation kubernetes.io/ingress.class", wanted),
            Evidence("status", "ingressclasses", ", ".join(have) or "<none>"),
        ],
        fix=[
            Fix(
                f"Replace the annotation by spec.ingressClassName {near}"
                if near
                else f"Start the controller that serves class {wanted}, or name an existing class"
            )
        ],
        verify=("kubectl get ingressclasses", entrance.kubectl("describe", "ingress", entrance.ingress.name)),
        short=f"annotation {wanted}: no IngressClass, no address",
    )
