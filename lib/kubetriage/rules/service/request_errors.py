"""Why single requests failed at an ingress controller, by the error log of its own pods.

A line counts for an Ingress where it names one of its hosts, or, for an Ingress without a host, the address of one of
its pods. What has been changed since (an annotation that is now larger than the request) is for the causes to see.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from kubetriage.data import table
from kubetriage.model import Evidence
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass, replace
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.ingress_objects import host_matches
from kubetriage.rules.service.proxy_protocol import config_map_of
from kubetriage.typed import Any
from kubetriage.values.fields import labels, objects, text
from kubetriage.values.patterns import lazy

_HOST = lazy(r"host: \"([^\"\s:]{1,253})")
_SERVER = lazy(r"server: ([^\s,]{1,253})")
_UPSTREAM = lazy(r"upstream: \"[a-z]{2,6}://(\[[0-9a-fA-F:]+\]|[0-9.]{7,15}):(\d{1,5})")
_REQUEST = lazy(r"request: \"([A-Z]{3,8} [^\s?\"]{1,100})")
_HEADER = lazy(r"\A.{0,40}\[(?:error|warn)\] \d+#\d+: (?:\*\d+ )?")
_CLIENT = lazy(r"client: ([0-9a-fA-F.:]{2,45})")
_PASSED = lazy(r"\] (\S{1,50}:\d{1,5}) [\d-]{1,20} [\d.]{1,20} [1-4]\d\d ")
"""The upstream of a request that a pod answered, in ingress-nginx's access log."""
_LONGEST_LINE = 4000


@dataclass(frozen=True)
class RequestError:
    """Failed requests of one kind, the newest line for them."""

    row: Mapping[str, Any]
    entrance: Entrance
    pod: Pod
    container: str
    line: str
    count: int
    """How many lines of this kind the log has."""
    found: Mapping[str, str]
    """What the line tells, by the names of the table's pattern."""
    every: bool = False
    """The access log beside it shows no request of this upstream that passed."""

    @property
    def evidence(self) -> Evidence:
        """Quote what the line says, then whose request it was."""
        body = _HEADER.sub("", self.line, count=1)
        words, _, _ = body.partition(", client: ")
        asked = _REQUEST.search(body)
        parts = [f'"{asked[1]}"' if asked else "", f"host {m[1]}" if (m := _HOST.search(body)) else ""]
        if self.upstream is not None:
            parts.append(f"upstream {self.upstream[0]}:{self.upstream[1]}")
        told = ", ".join(p for p in parts if p)
        return Evidence("log", f"pod/{self.pod.name} {self.container}", f"{words} ({told})" if told else words)

    @property
    def client(self) -> str:
        """Address of the client as the controller sees it; empty: not told."""
        match = _CLIENT.search(self.line)
        return match[1] if match else ""

    @property
    def upstream(self) -> tuple[str, int] | None:
        """Address and port that the controller connected to."""
        match = _UPSTREAM.search(self.line)
        return (match[1].strip("[]"), int(match[2])) if match else None

    def setting(self) -> str:
        """Return the annotation of this controller for the limit; empty: it has none."""
        known = self.entrance.known.controller if self.entrance.known else ""
        settings: Mapping[str, str] = self.row.get("settings", {})
        own = next((a for begin, a in settings.items() if known.startswith(begin)), "")
        # The managed forms of ingress-nginx take its annotations.
        return own or (settings.get("k8s.io/", "") if known.startswith("webapprouting.") else "")


def request_errors(trace: Trace, *kinds: str) -> Iterator[RequestError]:
    """Yield the failed requests of each Ingress on the way, one for each row of the table and of these kinds."""
    for entrance in trace.ingresses:
        for found in _errors_of(entrance):
            if found.row["kind"] in kinds:
                yield found


def _errors_of(entrance: Entrance) -> tuple[RequestError, ...]:
    world = entrance.world
    return world.kept(("request errors", entrance.ref), lambda: tuple(_read(entrance)))


def _read(entrance: Entrance) -> Iterator[RequestError]:
    backends = [b for p in entrance.paths if (b := entrance.backend(p)) is not None and b.lookup.found]
    pods = [pod.raw for b in backends for pod in b.pods]
    addresses = {text(a, "ip") for raw in pods for a in objects(raw, "status", "podIPs")}
    addresses |= {text(raw, "status", "podIP") for raw in pods}
    for pod in entrance.controller_pods:
        for container in pod.containers:
            log = entrance.world.snapshot.log(pod.namespace, pod.name, container.name)
            if not log.seen or ("[error]" not in log.text and "[warn]" not in log.text):
                continue
            passed = {m[1] for m in _PASSED.finditer(log.text)}
            newest: dict[int, tuple[str, re.Match[str]]] = {}
            counts: dict[int, int] = {}
            for line in log.text.splitlines():
                if len(line) > _LONGEST_LINE or ("[error]" not in line and "[warn]" not in line):
                    continue
                for i, row in enumerate(table("request_errors")["errors"]):
                    match = _compiled(row["match"]).search(line)
                    if match is not None and _concerns(line, entrance, addresses):
                        newest[i] = (line.strip(), match)
                        counts[i] = counts.get(i, 0) + 1
                        break
            for i, (line, match) in newest.items():
                row = table("request_errors")["errors"][i]
                told = {k: v for k, v in match.groupdict().items() if v}
                found = RequestError(row, entrance, pod, container.name, line, counts[i], told)
                address = ":".join(map(str, found.upstream or ()))
                yield replace(found, every=bool(address) and address not in passed)


def _concerns(line: str, entrance: Entrance, addresses: set[str]) -> bool:
    host = _HOST.search(line) or _SERVER.search(line)
    name = host[1].lower() if host else ""
    hosts = [h for h in entrance.ingress.hosts if h]
    if hosts and name and name != "_":
        return any(host_matches(h, name) for h in hosts)
    match = _UPSTREAM.search(line)
    return match is not None and match[1].strip("[]") in addresses


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


_TLS_PORTS = (443, 8443, 9443, 6443)


def plain_to_tls_port(error: RequestError) -> bool:
    """Tell whether the controller speaks plain HTTP to a port that is TLS by its number, and none such passed."""
    return bool(
        error.upstream is not None
        and error.upstream[1] in _TLS_PORTS
        and 'upstream: "http://' in error.line
        and error.every
    )


def controller_settings(entrance: Entrance) -> Mapping[str, str]:
    """Return the data of the controller's ConfigMap, as far as it was read."""
    for pod in entrance.controller_pods[:1]:
        named = config_map_of(pod)
        found = entrance.world.snapshot.get("configmaps", *named) if named is not None else None
        if found is not None and found.found:
            return labels(found.obj, "data")
    return {}


_SIZE = lazy(r"(\d{1,9})\s*([kmg]?)b?\Z")


def size_of(words: str) -> int | None:
    """Read a size as nginx does (``8m``, ``16k``, ``0``); None for anything else."""
    match = _SIZE.match(words.strip().lower())
    return int(match[1]) * {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}[match[2]] if match else None
