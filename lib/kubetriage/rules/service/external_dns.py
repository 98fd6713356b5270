"""Why external-dns writes no record for a host: its own log, and the domains that its arguments name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from kubetriage.data import table
from kubetriage.model import Actor, Evidence, Fix
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.access_logs import Way
from kubetriage.rules.service.cluster_view import World
from kubetriage.rules.service.controller_words import plain_words
from kubetriage.rules.service.pod_lines import newest_lines
from kubetriage.values.fields import texts

_LABELS = {"app.kubernetes.io/name": "external-dns"}
_LONGEST_LINE = 2000
_PODS_AT_MOST = 3


@dataclass(frozen=True)
class Unwritten:
    """One host without a record, and why."""

    words: str
    evidence: Evidence
    fix: Fix


def writers(world: World) -> tuple[Pod, ...]:
    """Return the pods of external-dns, as far as pods were read."""
    return world.kept("external-dns pods", lambda: _writers(world)[:_PODS_AT_MOST])


def _writers(world: World) -> tuple[Pod, ...]:
    return world.selected("", _LABELS) or tuple(
        p for p in world.pods("") if any("/external-dns:" in c.image for c in p.containers)
    )


def unwritten(world: World, way: Way) -> Unwritten | None:
    """Return why the hosts of an entrance have no record; None where nothing tells so."""
    pods = writers(world)
    for host in way.hosts:
        for pod in pods:
            said = _logged(world, pod, way, host)
            if said is not None:
                return said
        if pods and not any(_covers(pod, host) for pod in pods):
            have = ", ".join(d for pod in pods for d in _domains(pod))
            return Unwritten(
                f"it writes records of {have} only, by its arguments",
                pods[0].fact("spec", f"pod/{pods[0].name} --domain-filter", have),
                _fix(table("external_dns")["words"][0], way, host, {}),
            )
    return _unread_kind(pods, way)


_SOURCES = {
    "Service": ("service",),
    "Ingress": ("ingress",),
    "HTTPRoute": ("gateway-httproute",),
    "GRPCRoute": ("gateway-grpcroute",),
    "TLSRoute": ("gateway-tlsroute",),
    "VirtualService": ("istio-virtualservice",),
    "HTTPProxy": ("contour-httpproxy",),
    "Route": ("openshift-route",),
    "IngressRoute": ("traefik-proxy",),
    "Mapping": ("ambassador-host",),
    "TCPIngress": ("kong-tcpingress",),
}
"""Value of --source by the kind of object that external-dns reads for it (external-dns, source/store.go)."""


def _unread_kind(pods: tuple[Pod, ...], way: Way) -> Unwritten | None:
    """Tell of a kind of object that no external-dns here was told to read."""
    wanted = _SOURCES.get(way.ref.kind, ())
    have = [s for pod in pods for s in _values(pod, "--source")]
    if not wanted or not have or not way.hosts or any(s in wanted for s in have) or "crd" in have:
        return None
    other = " (or istio-gateway for the hosts of its Gateway)" if way.ref.kind == "VirtualService" else ""
    return Unwritten(
        f"it reads only {', '.join(dict.fromkeys(have))}, and no {way.ref.kind}",
        pods[0].fact("spec", f"pod/{pods[0].name} --source", ", ".join(dict.fromkeys(have))),
        Fix(
            f"Add --source={wanted[0]}{other} to the arguments of external-dns (Helm: sources), with the rights of its "
            f"ClusterRole to read them, and restart it",
            actor=Actor.CLUSTER,
        ),
    )


def _logged(world: World, pod: Pod, way: Way, host: str) -> Unwritten | None:
    named = re.compile(
        rf"(?<![\w.-]){re.escape(host)}\.?(?![\w-])|(?<![\w-]){re.escape(f'{way.ref.namespace}/{way.ref.name}')}(?![\w-])"
    )
    for container, line in newest_lines(world.snapshot, pod):
        if len(line) > _LONGEST_LINE or not named.search(line):
            continue
        for row in table("external_dns")["words"]:
            match = _compiled(row["match"]).search(line)
            if match is not None:
                at = Evidence("log", f"pod/{pod.name} {container}", line.strip())
                return Unwritten(plain_words(line), at, _fix(row, way, host, match.groupdict()))
    return None


def _fix(row: dict[str, str], way: Way, host: str, found: dict[str, str | None]) -> Fix:
    words = row["fix"].replace("{host}", host).replace("{object}", way.shown)
    for key, value in found.items():
        words = words.replace("{" + key + "}", value or "")
    return Fix(words, actor=Actor(row["actor"]))


def _domains(pod: Pod) -> Iterator[str]:
    return (v.strip(".") for v in _values(pod, "--domain-filter"))


def _values(pod: Pod, flag: str) -> Iterator[str]:
    for container in pod.containers:
        words = [*texts(container.spec, "command"), *texts(container.spec, "args")]
        for i, word in enumerate(words):
            name, _, value = word.partition("=")
            if name == flag and (value or i + 1 < len(words)):
                yield value or words[i + 1]


def _covers(pod: Pod, host: str) -> bool:
    domains = list(_domains(pod))
    return not domains or any(host == d or host.endswith(f".{d}") for d in domains)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)
