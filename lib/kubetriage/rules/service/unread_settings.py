"""Paths and annotations of an Ingress that mean nothing to its controller: they are in the words of another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from kubetriage.data import table
from kubetriage.model import Evidence
from kubetriage.rules.service.entrance_controllers import words_of
from kubetriage.rules.service.ingress_entrances import Entrance, claims_on
from kubetriage.rules.service.ingress_objects import Ingress
from kubetriage.rules.service.traefik_refusals import Refusal
from kubetriage.typed import Any
from kubetriage.values.fields import labels
from kubetriage.values.patterns import lazy

_NGINX = "nginx.ingress.kubernetes.io/"
_NGINX_FAMILY = ("k8s.io/ingress-nginx", "webapprouting.")
_LITERAL = (*_NGINX_FAMILY, "traefik.io/")
"""Controllers that take a path as it is written, unless an annotation makes it an expression."""
_EXPRESSION = lazy(r"[()|*^$+\[\]]|\\\.")


def unread_settings(entrance: Entrance) -> Iterator[Refusal]:
    """Yield paths that no request matches, and annotations of another controller that would change the way."""
    known = entrance.known.controller if entrance.known is not None else ""
    if known.startswith(_LITERAL):
        yield from _paths(entrance, known)
    if known and not known.startswith(_NGINX_FAMILY) and not _reads_nginx(entrance):
        yield from _annotations(entrance, known)


def _reads_nginx(entrance: Entrance) -> bool:
    """Tell whether the controller may read ingress-nginx's annotations: Traefik can be told to."""
    return any("kubernetesingressnginx" in words_of(p).lower() for p in entrance.controller_pods)


def _paths(entrance: Entrance, known: str) -> Iterator[Refusal]:
    odd = [p for p in entrance.paths if p.kind in ("Prefix", "Exact", "ImplementationSpecific") and _literal(p.path)]
    if not odd or (known.startswith(_NGINX_FAMILY) and any(_expressions(i) for i in _beside(entrance))):
        return
    if known.startswith("traefik.") and (_reads_nginx(entrance) or _has_matcher(entrance.ingress)):
        return
    path = odd[0]
    plain = _EXPRESSION.split(path.path, maxsplit=1)[0].rstrip("/") or "/"
    if path.path.endswith("/*") and plain == (path.path[:-2].rstrip("/") or "/"):
        fix = f"Write {plain} with pathType Prefix in {entrance.name}: it covers all that lies below"
    elif known.startswith("traefik."):
        fix = (
            f"Write {plain} with pathType Prefix in {entrance.name}, and let a Middleware change the path where the "
            "program wants another (stripPrefix, replacePathRegex; annotation "
            "traefik.ingress.kubernetes.io/router.middlewares: NAMESPACE-NAME@kubernetescrd)"
        )
    else:
        fix = (
            f'Annotate {entrance.name} with {_NGINX}use-regex: "true" and set pathType ImplementationSpecific. Or '
            f"write {plain} with pathType Prefix, where no expression is needed"
        )
    yield Refusal(
        f"path {path.path} of type {path.kind} is taken letter for letter by this controller, so no request matches it",
        fix,
        (
            Evidence("spec", f"{entrance.name} path of host {path.host or '*'}", f"{path.path} ({path.kind})"),
            Evidence("spec", f"{entrance.name} annotation {_NGINX}use-regex", _use_regex(entrance.ingress)),
        ),
    )


def _use_regex(ingress: Ingress) -> str:
    return ingress.annotations.get(f"{_NGINX}use-regex", "<none>")


def _literal(path: str) -> bool:
    return bool(_EXPRESSION.search(path))


def _beside(entrance: Entrance) -> Iterator[Ingress]:
    """Yield the Ingress and those of the same hosts: one with expressions makes all paths of the host so."""
    yield entrance.ingress
    for host in entrance.ingress.hosts:
        yield from (i for i, _ in claims_on(entrance.world, host))


def _expressions(ingress: Ingress) -> bool:
    marks = ingress.annotations
    return marks.get(f"{_NGINX}use-regex", "").lower() == "true" or f"{_NGINX}rewrite-target" in marks


def _has_matcher(ingress: Ingress) -> bool:
    return "traefik.ingress.kubernetes.io/router.pathmatcher" in ingress.annotations


@cache
def _rows() -> tuple[Mapping[str, Any], ...]:
    return tuple(table("nginx_annotations")["annotations"])


def _said_again(entrance: Entrance, words: list[str]) -> bool:
    """Tell whether an annotation of another controller asks for the same, on the Ingress or a Service behind it."""
    marks = dict(entrance.ingress.annotations)
    for path in entrance.paths:
        backend = entrance.backend(path)
        if backend is not None:
            marks.update(labels(backend.service, "metadata", "annotations"))
    return any(w in key for key in marks if not key.startswith(_NGINX) for w in words)


def _annotations(entrance: Entrance, known: str) -> Iterator[Refusal]:
    marks = entrance.ingress.annotations
    for row in _rows():
        value = marks.get(f"{_NGINX}{row['name']}", "")
        if not value or value.lower() in row.get("harmless", ()) or _said_again(entrance, row["same"]):
            continue
        if all(p.path.rstrip("/") == value.rstrip("/") for p in entrance.paths):
            # To rewrite a path to itself changes nothing.
            continue
        controller = next((k for k in row["instead"] if known.startswith(k)), "")
        instead = row["instead"].get(controller, "what the reference of this controller has for it")
        yield Refusal(
            f"annotation {_NGINX}{row['name']} is one of ingress-nginx, and class {entrance.ingress.any_class or '-'} "
            f"is served by {known}, which does not read it: {row['without']}",
            f"Replace it on {entrance.name} by {instead}. Or give the Ingress the class of an ingress-nginx that runs",
            (
                Evidence("spec", f"{entrance.name} annotation {_NGINX}{row['name']}", value),
                Evidence("spec", f"{entrance.name} class", entrance.ingress.any_class or "<none>"),
            ),
            then=row["then"],
            partly=True,
        )
        return
