"""Reads Ingress objects of every API version that dumps still hold, and says which rule serves a request.

networking.k8s.io/v1 names a backend ``service.name`` and ``service.port.{name,number}``; extensions/v1beta1 and
networking.k8s.io/v1beta1 (removed in 1.22) ``serviceName`` and ``servicePort``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from kubetriage.records import dataclass, replace
from kubetriage.rules.service.service_endpoints import ServicePort
from kubetriage.values.apiobject import ApiObject
from kubetriage.values.fields import Obj, labels, mapping, number, objects, text, texts

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
DEFAULT_CLASS_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
CANARY_ANNOTATION = "nginx.ingress.kubernetes.io/canary"
_REGEX_ANNOTATIONS = ("nginx.ingress.kubernetes.io/use-regex", "nginx.ingress.kubernetes.io/rewrite-target")


@dataclass(frozen=True)
class IngressBackend:
    """Where a path leads."""

    at: str
    """Field path, for evidence."""
    service: str
    """Empty for a resource backend."""
    port_name: str = ""
    port_number: int | None = None
    resource: str = ""
    """``Kind/name`` of a backend that is no Service; only the controller knows what it is."""

    @property
    def port_text(self) -> str:
        """The port as the user wrote it."""
        return self.port_name or ("" if self.port_number is None else str(self.port_number))

    def find(self, ports: Iterable[ServicePort]) -> ServicePort | None:
        """Return the Service port that is meant: by name when a name is given, else by number.

        An unnamed Service port has the empty name; that must not match a backend that gives no name.
        """
        for port in ports:
            if self.port_name:
                if port.name == self.port_name:
                    return port
            elif self.port_number is not None and port.port == self.port_number:
                return port
        return None


@dataclass(frozen=True)
class IngressPath:
    """One host and path with its backend."""

    host: str
    """Empty: every host."""
    path: str
    kind: str
    """``Exact``, ``Prefix``, ``ImplementationSpecific``, or ``Default`` for the default backend."""
    backend: IngressBackend

    @property
    def claim(self) -> tuple[str, str, bool]:
        """What two paths must share to be in each other's way: host, path, exact or not."""
        return (self.host.lower(), self.path.rstrip("/") or "/", self.kind == "Exact")

    def same_backend(self, other: IngressPath) -> bool:
        """Tell whether another path of the same namespace leads to the same place."""
        return replace(self.backend, at="") == replace(other.backend, at="")

    def serves(self, host: str, path: str) -> bool:
        """Tell whether a request matches."""
        return self.kind == "Default" or (host_matches(self.host, host) and path_matches(self.path, self.kind, path))

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """Order among paths that match one request: exact host, longest path, Exact before Prefix."""
        host = 2 if self.host and not self.host.startswith("*.") else 1 if self.host else 0
        if self.kind == "Default":
            return (-1, 0, 0, 0)
        return (host, len(self.path.rstrip("/")), self.kind == "Exact", 0)


@dataclass(frozen=True)
class IngressTLS:
    """One entry of ``spec.tls``."""

    at: str
    hosts: tuple[str, ...]
    secret: str
    """Empty: the controller's default certificate."""


@dataclass(frozen=True)
class Ingress(ApiObject):
    """One Ingress."""

    raw: Obj
    kind = "Ingress"

    @property
    def created(self) -> str:
        """``metadata.creationTimestamp``; RFC 3339 in UTC sorts as text."""
        return text(self.raw, "metadata", "creationTimestamp")

    @cached_property
    def annotations(self) -> dict[str, str]:
        """``metadata.annotations``."""
        return labels(self.raw, "metadata", "annotations")

    @property
    def class_name(self) -> str:
        """``spec.ingressClassName``."""
        return text(self.raw, "spec", "ingressClassName")

    @property
    def class_annotation(self) -> str:
        """The legacy annotation; it need not name an IngressClass object."""
        return self.annotations.get(CLASS_ANNOTATION, "")

    @property
    def any_class(self) -> str:
        """The class by field, else by annotation, else empty."""
        return self.class_name or self.class_annotation

    @property
    def is_canary(self) -> bool:
        """ingress-nginx shares the host and path of a canary on purpose."""
        return self.annotations.get(CANARY_ANNOTATION) == "true"

    @property
    def uses_regex(self) -> bool:
        """ingress-nginx takes every path of its hosts for a regular expression."""
        return any(self.annotations.get(a) not in (None, "", "false") for a in _REGEX_ANNOTATIONS)

    @cached_property
    def paths(self) -> tuple[IngressPath, ...]:
        """All hosts and paths, the default backend last."""
        return tuple(self._paths())

    def _paths(self) -> Iterator[IngressPath]:
        for i, rule in enumerate(objects(self.raw, "spec", "rules")):
            for j, path in enumerate(objects(rule, "http", "paths")):
                at = f"spec.rules[{i}].http.paths[{j}].backend"
                kind = text(path, "pathType") or "ImplementationSpecific"
                yield IngressPath(
                    text(rule, "host"), text(path, "path") or "/", kind, read_backend(mapping(path, "backend"), at)
                )
        for key in ("defaultBackend", "backend"):
            default = mapping(self.raw, "spec", key)
            if default:
                yield IngressPath("", "/", "Default", read_backend(default, f"spec.{key}"))

    @cached_property
    def claims(self) -> tuple[IngressPath, ...]:
        """The paths without the default backend, each claim once."""
        return tuple({p.claim: p for p in reversed(self.paths) if p.kind != "Default"}.values())[::-1]

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of the rules, each once."""
        return tuple(dict.fromkeys(h for r in objects(self.raw, "spec", "rules") if (h := text(r, "host"))))

    @cached_property
    def tls(self) -> tuple[IngressTLS, ...]:
        """``spec.tls``."""
        return tuple(
            IngressTLS(f"spec.tls[{i}]", tuple(texts(entry, "hosts")), text(entry, "secretName"))
            for i, entry in enumerate(objects(self.raw, "spec", "tls"))
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Published addresses."""
        return tuple(
            text(i, "ip") or text(i, "hostname") for i in objects(self.raw, "status", "loadBalancer", "ingress")
        )

    @property
    def services(self) -> tuple[str, ...]:
        """Names of all Services that it leads to, each once."""
        return tuple(dict.fromkeys(p.backend.service for p in self.paths if p.backend.service))


def read_backend(raw: Obj, at: str) -> IngressBackend:
    """Read a backend of any API version."""
    service = mapping(raw, "service")
    if service:
        return IngressBackend(
            at, text(service, "name"), text(service, "port", "name"), number(service, "port", "number")
        )
    old = text(raw, "serviceName")
    if old:
        port = text(raw, "servicePort")
        if port.isdigit():
            return IngressBackend(at, old, "", int(port))
        return IngressBackend(at, old, port, number(raw, "servicePort"))
    resource = mapping(raw, "resource")
    return IngressBackend(at, "", resource=f"{text(resource, 'kind')}/{text(resource, 'name')}" if resource else "")


def host_matches(rule: str, host: str) -> bool:
    """Tell whether a rule's host covers a host; ``*.x`` stands for exactly one label (networking/v1)."""
    rule, host = rule.lower().rstrip("."), host.lower().rstrip(".")
    if not rule or rule == host:
        return True
    label, _, rest = host.partition(".")
    return rule.startswith("*.") and bool(label) and rest == rule[2:]


def path_matches(rule: str, kind: str, path: str) -> bool:
    """Tell whether a rule's path covers a path; Prefix goes by whole elements, a trailing slash does not count."""
    if kind == "Exact":
        return path == rule
    mine = [e for e in rule.split("/") if e]
    theirs = [e for e in path.split("/") if e]
    return theirs[: len(mine)] == mine


def best_path(paths: Iterable[tuple[Ingress, IngressPath]], host: str, path: str) -> tuple[Ingress, IngressPath] | None:
    """Return the rule that serves a request: best match, the oldest Ingress among equals."""
    found = [(i, p) for i, p in paths if p.serves(host, path)]
    found.sort(key=lambda f: (tuple(-x for x in f[1].rank), f[0].is_canary, f[0].created, f[0].namespace, f[0].name))
    return found[0] if found else None


def secret_for(ingress: Ingress, host: str) -> IngressTLS | None:
    """Return the ``spec.tls`` entry for a host; an entry without hosts stands for all."""
    return next((t for t in ingress.tls if not t.hosts or any(host_matches(h, host) for h in t.hosts)), None)
