"""Why Traefik serves an Ingress not, or without its certificate: entry points, TLS of the router, resolvers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Evidence
from kubetriage.readers.pods import Pod
from kubetriage.rules.service.controller_words import plain_words
from kubetriage.rules.service.entrance_controllers import words_of
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.traefik_refusals import ENTRY_PORT, TLS_PORTS, Refusal
from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy

_ROUTER = "traefik.ingress.kubernetes.io/router."
_MODE = lazy(r"permissions \d{3,4} for (\S{1,200}) are too open")


def traefik_router_refusals(entrance: Entrance) -> Iterator[Refusal]:
    """Yield what the arguments and the log of Traefik say against the router that the annotations ask for."""
    for pod in entrance.controller_pods[:1]:
        words = words_of(pod)
        have = {name.lower(): port for name, port in ENTRY_PORT.findall(words)}
        if have:
            yield from _entry_points(entrance, pod, words, have)
        yield from _resolver(entrance, pod, words)


def _marked(entrance: Entrance, key: str) -> Evidence:
    return Evidence(
        "spec",
        f"{entrance.name} annotation {_ROUTER}{key}",
        entrance.ingress.annotations.get(f"{_ROUTER}{key}", "<none>"),
    )


def _entry_points(entrance: Entrance, pod: Pod, words: str, have: dict[str, str]) -> Iterator[Refusal]:
    marks, ingress = entrance.ingress.annotations, entrance.ingress
    asked = [e.strip().lower() for e in marks.get(f"{_ROUTER}entrypoints", "").split(",") if e.strip()]
    if not asked:
        return
    lost = [e for e in asked if e not in have]
    shown = ", ".join(sorted(have))
    listed = Evidence("spec", f"pod/{pod.name} args --entryPoints", shown)
    if len(lost) == len(asked):
        yield Refusal(
            f"annotation {_ROUTER}entrypoints names {', '.join(lost)}, which Traefik does not have; it has {shown}",
            f"Name entry points that Traefik has ({shown}) in {_ROUTER}entrypoints of {entrance.name}",
            (_marked(entrance, "entrypoints"), listed),
        )
        return
    tls = [e for e in asked if have.get(e) in TLS_PORTS]
    low = words.lower()
    secured = any(f"--entrypoints.{e}.http.tls" in low for e in tls)
    own = marks.get(f"{_ROUTER}tls", "").lower() == "true" or any(k.startswith(f"{_ROUTER}tls.") for k in marks)
    if tls and len(tls) == len(asked) - len(lost) and not (secured or own or ingress.tls):
        mark = f"{_ROUTER}tls=true"
        yield Refusal(
            f"its router is on entry point {tls[0]} (HTTPS) only and has no TLS, so no HTTPS request matches it",
            f'Give the router TLS: {_ROUTER}tls: "true" on {entrance.name}, or spec.tls with its host and Secret. Or '
            f"for all routers of the entry point: --entryPoints.{tls[0]}.http.tls=true",
            (_marked(entrance, "entrypoints"), _marked(entrance, "tls"), listed),
            (kubectl("annotate", "ingress", ingress.name, mark, "--overwrite", namespace=ingress.namespace),),
        )


def _resolver(entrance: Entrance, pod: Pod, words: str) -> Iterator[Refusal]:
    name = entrance.ingress.annotations.get(f"{_ROUTER}tls.certresolver", "")
    if not name:
        return
    default = "HTTPS shows Traefik's default certificate"
    proof = (_marked(entrance, "tls.certresolver"),)
    if f"--certificatesresolvers.{name.lower()}." not in words.lower():
        if "--certificatesresolvers." in words.lower():
            yield Refusal(
                f"annotation {_ROUTER}tls.certresolver names {name}, which Traefik does not have",
                f"Name a resolver of Traefik's arguments in {_ROUTER}tls.certresolver of {entrance.name}, or add "
                f"--certificatesresolvers.{name}.acme.* to Traefik",
                proof,
                then=default,
                partly=True,
            )
        return
    spoken = re.compile(rf"resolver\W{{1,5}}{re.escape(name)}(?![\w-])")
    for container in pod.containers:
        log = entrance.world.snapshot.log(pod.namespace, pod.name, container.name)
        for line in reversed(log.text.splitlines() if log.seen else ()):
            if len(line) > 2000 or "is skipped from the resolvers list" not in line or not spoken.search(line):
                continue
            mode = _MODE.search(line)
            file = mode[1] if mode is not None else "its storage"
            fix = (
                f"Set the mode of {file} to 600 (its volume's fsGroup opens it to 660). An init container before "
                f"Traefik keeps it so: chmod 600 {file}. Then restart Traefik"
                if mode is not None
                else f"Repair what the line says of resolver {name} (storage, account, server), then restart Traefik"
            )
            yield Refusal(
                f"Traefik left out its resolver {name} at its start: {plain_words(line)}",
                fix,
                (*proof, Evidence("log", f"pod/{pod.name} {container.name}", line.strip())),
                (kubectl("exec", pod.name, "--", "chmod", "600", file, namespace=pod.namespace),) if mode else (),
                default,
                partly=True,
            )
            return
