"""The Ingress names no class, and no default class took it up.

Meaning: unless a controller watches classless Ingresses on purpose, nobody serves it.

Told by: neither ``spec.ingressClassName`` nor the legacy annotation, and no published address. A default class is
only given to an Ingress when that is created, so one that is older than the default class stays classless. With
several default classes the newest is given; that is a warning which names it.

Fix: set ``spec.ingressClassName``.

Source: the DefaultIngressClass admission plugin (create only; newest default wins since kubernetes 1.26).
"""

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.values.fields import name_of, text

CODE = "IngressClassNotSet"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Ingress without a class."""
    for entrance in trace.ingresses:
        listing = trace.world.listing("ingressclasses")
        if entrance.class_source != "none" or not listing.complete:
            continue
        defaults = [name_of(c) for c in entrance.default_classes]
        served = bool(entrance.ingress.addresses)
        names = sorted(name_of(c) for c in entrance.classes)
        if defaults:
            winner = entrance.default_classes[0]
            younger = text(winner, "metadata", "creationTimestamp") > entrance.ingress.created
            why = (
                f"the default class {defaults[0]} is younger than it and is only given on creation"
                if younger
                else f"the default class {defaults[0]} was not given to it"
            )
            right = defaults[0]
        else:
            why = "no IngressClass is the default"
            right = names[0] if len(names) == 1 else ""
        several = f" Of the defaults {', '.join(defaults)} the newest, {defaults[0]}, is given." if defaults[1:] else ""
        patch = {"spec": {"ingressClassName": right}}
        yield fault(
            CODE,
            entrance.class_place,
            f"{entrance.name} names no class, and {why}."
            + (" It has an address, so some controller serves it." if served else " Nobody seems to serve it.")
            + several,
            severity=Severity.NOTE if served else Severity.ERROR,
            proof="inferred" if served else "proven",
            confidence=Confidence.LIKELY,
            evidence=[
                Evidence("spec", f"{entrance.name} spec.ingressClassName", "<none>"),
                Evidence("status", "ingressclasses", ", ".join(names) or "<none>"),
            ],
            fix=[
                Fix(f"Set spec.ingressClassName of {entrance.name} to {right}", patch, entrance.ref)
                if right
                else Fix(f"Set spec.ingressClassName of {entrance.name} to the class that should serve it")
            ],
            verify=("kubectl get ingressclasses", f"{entrance.command} get ingress {entrance.ingress.name}"),
            short=f"no class, and {why}",
        )
