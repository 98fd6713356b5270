"""What annotations of an Ingress ask for and its controller cannot give: told by the objects alone."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Evidence
from kubetriage.rules.service.entrance_controllers import words_of
from kubetriage.rules.service.ingress_entrances import Entrance, claims_on
from kubetriage.rules.service.traefik_refusals import Refusal
from kubetriage.rules.service.traefik_routers import traefik_router_refusals
from kubetriage.rules.service.unread_settings import unread_settings
from kubetriage.rules.workloads import controller_ref
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import labels, name_of, namespace_of

_MIDDLEWARES = "traefik.ingress.kubernetes.io/router.middlewares"
_CANARY = "nginx.ingress.kubernetes.io/canary"
_PASSTHROUGH = "nginx.ingress.kubernetes.io/ssl-passthrough"
_PASSTHROUGH_FLAG = "--enable-ssl-passthrough"


def annotation_refusals(entrance: Entrance) -> Iterator[Refusal]:
    """Yield what the controller of an Ingress ignores or cannot build because of an annotation."""
    known = entrance.known.controller if entrance.known is not None else ""
    if known.startswith("traefik.io/"):
        yield from _middlewares(entrance)
        yield from traefik_router_refusals(entrance)
    if known.startswith(("k8s.io/ingress-nginx", "webapprouting.")):
        yield from _canary(entrance)
        yield from _passthrough(entrance)
    yield from unread_settings(entrance)


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
        # The Middleware's name behind the namespace of the Ingress, where it stands in another one.
        meant = meant or next((full for full, m in names.items() if name == f"{own}-{name_of(m)}"), "")
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


def _passthrough(entrance: Entrance) -> Iterator[Refusal]:
    """Tell of TLS that is to be passed on by a controller that was not told to pass any on."""
    marks, pods = entrance.ingress.annotations, entrance.controller_pods
    if marks.get(_PASSTHROUGH, "").lower() != "true" or not pods:
        return
    pod = pods[0]
    flags = [w for w in words_of(pod).split() if w.startswith(_PASSTHROUGH_FLAG)]
    if any(not w.endswith("=false") for w in flags) or "nginx-ingress-controller" not in words_of(pod):
        return
    owner = controller_ref(entrance.world.snapshot, pod.raw)
    add = '[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "' + _PASSTHROUGH_FLAG + '"}]'
    patch = ("patch", owner.kind.lower(), owner.name, "--type=json", "-p", add) if owner is not None else ()
    yield Refusal(
        f"annotation {_PASSTHROUGH} has no effect, since the controller runs without {_PASSTHROUGH_FLAG}: it ends TLS "
        "with its own certificate and speaks plain HTTP to the program",
        f"Start the controller with {_PASSTHROUGH_FLAG}. Or let it end TLS (spec.tls with a Secret), remove the "
        "annotation, and set nginx.ingress.kubernetes.io/backend-protocol: HTTPS where the program speaks TLS",
        (
            Evidence("spec", f"{entrance.name} annotation {_PASSTHROUGH}", "true"),
            Evidence("spec", f"pod/{pod.name} args {_PASSTHROUGH_FLAG}", "<none>"),
        ),
        (kubectl(*patch, namespace=pod.namespace),) if patch else (),
        "Clients see another certificate than the program's, and the program may refuse or redirect what it gets",
        partly=True,
    )
