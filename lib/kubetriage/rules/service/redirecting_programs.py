"""Programs that send every plain request to HTTPS: behind an entrance that ends TLS, a circle of redirects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kubetriage.data import table
from kubetriage.model import Evidence
from kubetriage.needs import Get, Need
from kubetriage.readers.pods import Container, Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.typed import Any
from kubetriage.values.fields import mapping, objects, text, texts

_TRUE = ("true", "1", "yes", "on")


@dataclass(frozen=True)
class Redirecting:
    """A program that redirects plain requests, and what tells so."""

    row: Mapping[str, Any]
    evidence: tuple[Evidence, ...]
    config_map: str
    """The ConfigMap whose key ends it; empty where no variable is read from one."""
    config_map_exists: bool
    seen: bool
    """False: the ConfigMap was not seen, so the key may be set."""


def redirecting(backend: Backend) -> Redirecting | None:
    """Return the program behind a Service that redirects plain requests; None where it is told not to."""
    known = next(_programs(backend), None)
    if known is None:
        return None
    pod, container, row = known
    name, key, value = _read_from(container, row)
    if _flag_is_set(container, row) or value.lower() in _TRUE:
        return None
    told = [Evidence("spec", f"pod/{pod.name} {container.name} args", f"without {row['flag']}")]
    if not name:
        return Redirecting(row, tuple(told), "", True, True)
    found = backend.world.lookup("configmaps", pod.namespace, name)
    setting = text(found.obj, "data", key)
    if found.found and setting.lower() in _TRUE:
        return None
    at = f"configmap/{name} data[{key}]"
    if not found.unseen:
        told.append(Evidence("spec", at, setting or "<none>" if found.found else "no such ConfigMap"))
    return Redirecting(row, tuple(told), name, found.found, not found.unseen)


def redirecting_needs(backend: Backend) -> Iterator[Need]:
    """Ask for the ConfigMap that may tell such a program not to redirect."""
    for pod, container, row in _programs(backend):
        if name := _read_from(container, row)[0]:
            yield Get("configmaps", pod.namespace, name)


def _programs(backend: Backend) -> Iterator[tuple[Pod, Container, Mapping[str, Any]]]:
    for pod in backend.ready_pods[:1]:
        for container in pod.containers:
            words = [w.rpartition("/")[2] for line in _lines(container) for w in line.split()]
            for row in table("redirecting_programs")["rows"]:
                if row["command"] in words:
                    yield pod, container, row


def _lines(container: Container) -> tuple[str, ...]:
    return (*texts(container.spec, "command"), *texts(container.spec, "args"))


def _flag_is_set(container: Container, row: Mapping[str, Any]) -> bool:
    """Tell whether the flag is among the arguments; alone it means true."""
    given = [w.partition("=") for line in _lines(container) for w in line.split()]
    return any(name == row["flag"] and (not mark or value.lower() in _TRUE) for name, mark, value in given)


def _read_from(container: Container, row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return the ConfigMap and key that the variable is read from, and its literal value."""
    for env in objects(container.spec, "env"):
        if text(env, "name") == row["variable"]:
            source = mapping(env, "valueFrom", "configMapKeyRef")
            return text(source, "name"), text(source, "key"), text(env, "value")
    return "", "", ""
