"""What Traefik refuses in its own kinds, predicted from the objects and the arguments of its pods."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Evidence
from kubetriage.records import dataclass
from kubetriage.rules.service.custom_entrances import CustomEntrance
from kubetriage.rules.service.entrance_controllers import words_of
from kubetriage.values.fields import mapping, name_of, namespace_of, objects, text, texts
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy

_ENTRY_POINT = lazy(r"(?i)--entrypoints\.([\w-]{1,63})\.address")
ENTRY_PORT = lazy(r"(?i)--entrypoints\.([\w-]{1,63})\.address=\S{0,100}?:(\d{1,5})")
"""Name and port of an entry point in Traefik's arguments."""
TLS_PORTS = ("443", "8443")
"""Ports that entry points of HTTPS have by the chart and the manual."""
_CROSS = "--providers.kubernetescrd.allowcrossnamespace"
_MAJOR = lazy(r":v?(\d+)(?:\.|\Z|-)")


@dataclass(frozen=True)
class Refusal:
    """One thing that keeps Traefik from building a router."""

    words: str
    fix: str
    evidence: tuple[Evidence, ...]
    commands: tuple[str, ...] = ()
    then: str = "Requests get 404"
    """What clients see."""
    partly: bool = False
    """It is served, in another way than it asks."""


def refusals(custom: CustomEntrance) -> Iterator[Refusal]:
    """Yield what is missing or not allowed in an IngressRoute of any kind."""
    yield from _middlewares(custom)
    yield from _entry_points(custom)
    yield from _without_tls(custom)
    yield from _other_namespaces(custom)
    yield from _old_group(custom)


def _middlewares(custom: CustomEntrance) -> Iterator[Refusal]:
    plural = "middlewaretcps" if custom.kind == "IngressRouteTCP" else "middlewares"
    plural += "" if custom.group == "traefik.io" else f".{custom.group}"
    listing = custom.world.listing(plural, custom.namespace)
    for i, route in enumerate(objects(custom.raw, "spec", "routes")):
        for j, used in enumerate(objects(route, "middlewares")):
            name, where = text(used, "name"), text(used, "namespace") or custom.namespace
            if "@" in name or where != custom.namespace or not (listing.complete or listing.items):
                continue
            if any((namespace_of(m), name_of(m)) == (where, name) for m in listing.items):
                continue
            here = [name_of(m) for m in listing.items if namespace_of(m) == where]
            near = nearest(name, here)
            at = f"spec.routes[{i}].middlewares[{j}].name"
            yield Refusal(
                f"{at} names Middleware {name}, which does not exist in namespace {where}, so Traefik builds no router",
                f"Set {at} of {custom.shown} to {near}"
                if near
                else f"Create Middleware {name} in namespace {where}, or take it out of {custom.shown}",
                (
                    Evidence("spec", f"{custom.shown} {at}", name),
                    Evidence("status", f"{plural} in {where}", ", ".join(sorted(here)) or "<none>"),
                ),
            )


def _entry_points(custom: CustomEntrance) -> Iterator[Refusal]:
    wanted = texts(custom.raw, "spec", "entryPoints")
    for pod in custom.controller_pods[:1]:
        have = {m.lower() for m in _ENTRY_POINT.findall(words_of(pod))}
        lost = [e for e in wanted if e.lower() not in have]
        if have and wanted and len(lost) == len(wanted):
            shown = ", ".join(sorted(have))
            yield Refusal(
                f"spec.entryPoints names {', '.join(lost)}, which Traefik does not have; it has {shown}",
                f"Set spec.entryPoints of {custom.shown} to one of {shown}",
                (
                    Evidence("spec", f"{custom.shown} spec.entryPoints", ", ".join(wanted)),
                    Evidence("spec", f"pod/{pod.name} args --entryPoints", shown),
                ),
            )


def _without_tls(custom: CustomEntrance) -> Iterator[Refusal]:
    """Tell of a router without TLS on entry points of HTTPS alone: no request that comes encrypted matches it."""
    wanted = [e.lower() for e in texts(custom.raw, "spec", "entryPoints")]
    if custom.kind != "IngressRoute" or not wanted or "tls" in mapping(custom.raw, "spec"):
        return
    for pod in custom.controller_pods[:1]:
        words = words_of(pod).lower()
        ports = {name.lower(): port for name, port in ENTRY_PORT.findall(words)}
        secured = any(f"--entrypoints.{e}.http.tls" in words for e in wanted)
        if not secured and all(ports.get(e) in TLS_PORTS for e in wanted):
            yield Refusal(
                f"it is on entry point {wanted[0]} (HTTPS) only and has no spec.tls, so no HTTPS request matches it",
                f"Write tls: {{}} in spec of {custom.shown} (with secretName or certResolver for its own certificate)",
                (
                    Evidence("spec", f"{custom.shown} spec.tls", "<none>"),
                    Evidence("spec", f"{custom.shown} spec.entryPoints", ", ".join(wanted)),
                ),
                (
                    custom.kubectl(
                        *("patch", custom.typed, custom.name, "--type=merge", "-p", '{"spec": {"tls": {}}}'),
                    ),
                ),
            )


def _other_namespaces(custom: CustomEntrance) -> Iterator[Refusal]:
    foreign = [r for r in custom.links.services if r.namespace != custom.namespace]
    for pod in custom.controller_pods[:1]:
        allowed = f"{_CROSS}=true" in words_of(pod).lower() or words_of(pod).lower().endswith(_CROSS)
        if foreign and not allowed and _CROSS not in words_of(pod).lower().replace("=false", "!"):
            ref = foreign[0]
            yield Refusal(
                f"{ref.at} names svc/{ref.name} of namespace {ref.namespace}, and Traefik runs without "
                "allowCrossNamespace, so it builds no router",
                f"Move {custom.shown} to namespace {ref.namespace}, or start Traefik with {_CROSS}=true",
                (
                    Evidence("spec", f"{custom.shown} {ref.at}.namespace", ref.namespace),
                    Evidence("spec", f"pod/{pod.name} args allowCrossNamespace", "<none>"),
                ),
            )


def _old_group(custom: CustomEntrance) -> Iterator[Refusal]:
    if custom.group == "traefik.io":
        return
    for pod in custom.controller_pods[:1]:
        image = next((text(c.spec, "image") for c in pod.containers), "")
        match = _MAJOR.search(image)
        if match and int(match[1]) >= 3:
            yield Refusal(
                f"its apiVersion is of group {custom.group}, which Traefik {match[1]} no longer reads",
                f"Write apiVersion: traefik.io/v1alpha1 in {custom.shown}, and in its Middlewares",
                (
                    Evidence("spec", f"{custom.shown} apiVersion", f"{custom.group}/v1alpha1"),
                    Evidence("spec", f"pod/{pod.name} image", image),
                ),
            )
