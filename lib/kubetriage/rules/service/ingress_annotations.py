"""What annotations of an Ingress ask for and its controller cannot give: told by the objects alone."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Evidence
from kubetriage.rules.service.ingress_entrances import Entrance, claims_on
from kubetriage.rules.service.traefik_refusals import Refusal
from kubetriage.values.fields import labels, name_of, namespace_of

_MIDDLEWARES = "traefik.ingress.kubernetes.io/router.middlewares"
_CANARY = "nginx.ingress.kubernetes.io/canary"


def annotation_refusals(entrance: Entrance) -> Iterator[Refusal]:
    """Yield what the controller of an Ingress ignores or cannot build because of an annotation."""
    known = entrance.known.controller if entrance.known is not None else ""
    if known.startswith("traefik.io/"):
        yield from _middlewares(entrance)
    if known.startswith(("k8s.io/ingress-nginx", "webapprouting.")):
        yield from _canary(entrance)


def _middlewares(entrance: Entrance) -> Iterator[Refusal]:
    """Judge names of the form NAMESPACE-NAME@kubernetescrd; the namespace is part of the name."""
    own = entrance.ingress.namespace
    for word in labels(entrance.ingress.raw, "metadata", "annotations").get(_MIDDLEWARES, "").split(","):
        name, at, provider = word.strip().partition("@")
        listing = entrance.world.listing("middlewares")
        if not name or (at and provider != "kubernetescrd"):
            continue
        names = {f"{namespace_of(m)}-{name_of(m)}": m for m in listing.items}
        if at and (name in names or not (listing.items or listing.complete)):
            continue
        meant = next((full for full, m in names.items() if name_of(m) == name or full == name), "")
        if not meant and not at:
            continue
        right = f"{meant}@kubernetescrd" if meant else ""
        have = ", ".join(sorted(f"{n}@kubernetescrd" for n in names)) or "<none>"
        yield Refusal(
            f"annotation {_MIDDLEWARES} names {word.strip()}, and there is no such middleware, so Traefik builds no "
            "router",
            f"Write {right} in {_MIDDLEWARES} of {entrance.name}: the name begins with the namespace of the Middleware"
            if right
            else f"Create the Middleware that {word.strip()} means ({own}-NAME@kubernetescrd for one of namespace "
            f"{own}), or take it out of {_MIDDLEWARES}",
            (
                Evidence("spec", f"{entrance.name} annotation {_MIDDLEWARES}", word.strip()),
                Evidence("status", "middlewares", have),
            ),
        )


def _canary(entrance: Entrance) -> Iterator[Refusal]:
    """Tell of a canary beside which no main Ingress of the same host stands: ingress-nginx leaves it out."""
    marks = labels(entrance.ingress.raw, "metadata", "annotations")
    if marks.get(_CANARY) != "true" or not entrance.world.listing("ingresses").complete:
        return
    for host in entrance.ingress.hosts:
        others = [
            i
            for i, _ in claims_on(entrance.world, host)
            if labels(i.raw, "metadata", "annotations").get(_CANARY) != "true"
        ]
        if not others:
            yield Refusal(
                f"it is a canary ({_CANARY}: true), and no Ingress without that annotation has host {host or '*'}, so "
                "the controller leaves it out",
                f"Create the main Ingress of host {host or '*'} with the same path, or remove {_CANARY} from "
                f"{entrance.name}",
                (
                    Evidence("spec", f"{entrance.name} annotation {_CANARY}", "true"),
                    Evidence("status", f"other ingresses of host {host or '*'}", "<none>"),
                ),
            )
