"""The Ingress names no class, and no default class took it up.

Meaning: unless a controller watches classless Ingresses on purpose, nobody serves it.

Told by: neither ``spec.ingressClassName`` nor the legacy annotation, and no published address. A default class is
only given to an Ingress when that is created, so one that is older than the default class stays classless. With
several default classes the newest is given; that is a warning which names it.

An HTTPProxy of Contour or an IngressRoute of Traefik needs a class where the controller's arguments name one: it
then ignores what has another class, or none.

Fix: set ``spec.ingressClassName`` (IngressRoute: the annotation ``kubernetes.io/ingress.class``).

Source: the DefaultIngressClass admission plugin (create only; newest default wins since kubernetes 1.26).
"""

import re
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.custom_entrances import CustomEntrance
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import name_of, text, texts
from kubetriage.values.patterns import lazy

CODE = "IngressClassNotSet"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Ingress, HTTPProxy and IngressRoute without a class."""
    for custom in trace.customs:
        yield from _flagged(custom)
    for entrance in trace.ingresses:
        listing = trace.world.listing("ingressclasses")
        if entrance.class_source != "none" or not listing.complete or entrance.known is not None:
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
            verify=("kubectl get ingressclasses", entrance.kubectl("get", "ingress", entrance.ingress.name)),
            short=f"no class, and {why}",
        )


_CLASS_FLAG = lazy(
    r"--(?:ingress-class-name|ingress-class|controller-class|providers\.kubernetescrd\.ingressclass)[= ](\S{1,253})",
    re.IGNORECASE,
)


def _flagged(custom: CustomEntrance) -> Iterator[Fault]:
    """Judge the class of a custom kind against the one that the controller was started with."""
    if not custom.judged or custom.kind in ("Route", "VirtualService"):
        return
    served: dict[str, str] = {}
    for pod in custom.controller_pods:
        words = " ".join(w for c in pod.containers for w in (*texts(c.spec, "command"), *texts(c.spec, "args")))
        match = _CLASS_FLAG.search(words)
        if match is None and pod.ready:
            # One controller without a class takes every object.
            return
        if match is not None:
            served.update((name, pod.name) for name in match[1].split(","))
    named = custom.all_links.class_name
    if not served or named in served:
        return
    right = sorted(served)[0]
    has = f"has class {named}" if named else "has no class"
    field = "spec.ingressClassName" if custom.kind == "HTTPProxy" else "annotation kubernetes.io/ingress.class"
    patch = (
        {"spec": {"ingressClassName": right}}
        if custom.kind == "HTTPProxy"
        else {"metadata": {"annotations": {"kubernetes.io/ingress.class": right}}}
    )
    yield fault(
        CODE,
        custom.place,
        f"{custom.shown} {has}, and the controller in pod/{served[right]} was started for class {right}: it ignores "
        "the object.",
        evidence=[
            Evidence("spec", f"{custom.shown} {field}", named or "<none>"),
            Evidence("spec", f"pod/{served[right]} args", f"class {right}"),
        ],
        fix=[Fix(f"Set {field} of {custom.shown} to {right}", patch, custom.ref, Actor.MANIFEST)],
        verify=(kubectl("get", custom.typed, custom.name, "-o", "yaml", namespace=custom.namespace),),
        short=f"{has}; the controller serves class {right} only",
    )
