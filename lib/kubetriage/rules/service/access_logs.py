"""Why proxies answered requests themselves, by their own access logs: Envoy's flags, HAProxy's states, Traefik's words.

A line counts for a way where it names one of its hosts, its Service or the address of one of its pods. A proxy that
answers passes on nothing of what it knows to the client, but writes a short code for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, partial

from kubetriage.data import table
from kubetriage.model import Evidence, Ref
from kubetriage.readers.logs.text import read_json
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass, field
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.client_policies import clients
from kubetriage.rules.service.cluster_view import Backend, Place
from kubetriage.rules.service.ingress_objects import host_matches
from kubetriage.typed import Any
from kubetriage.values.fields import Obj, objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.times import parse_time

_PROXIES_AT_MOST = 3
_LONGEST_LINE = 4000
SIDECAR = "istio-proxy"


@dataclass(frozen=True, eq=False)
class Way:
    """One entrance to Services, with the proxies that carry its requests."""

    place: Place
    ref: Ref
    shown: str
    hosts: tuple[str, ...]
    proxies: tuple[Pod, ...]
    backends: tuple[Backend, ...]
    raw: Obj = field(default_factory=dict)
    """The object itself, where it is of a custom kind."""

    def pod_at(self, address: str) -> tuple[Backend, Pod] | None:
        """Return the pod with an address among those behind it."""
        for backend in self.backends:
            for pod in backend.pods:
                if address and address in addresses_of(pod):
                    return backend, pod
        return None


@dataclass(frozen=True)
class Request:
    """What one line tells of one request."""

    row: Mapping[str, Any] | None
    """None: it was answered by the program."""
    code: str
    """The proxy's own code."""
    host: str
    asked: str
    """Method and path."""
    upstream: str
    """ADDRESS:PORT of the pod; empty: none was chosen."""
    target: str
    """The proxy's name for where the request goes."""
    detail: str = ""
    when: str = ""


@dataclass(frozen=True, eq=False)
class Failure:
    """Requests of one way that a proxy answered for one reason, the newest of them."""

    way: Way
    proxy: Pod
    container: str
    request: Request
    count: int
    passed: int
    """Requests of the way that the program answered, in the same log."""
    last: bool
    """The newest request of the way in the log failed so."""

    @property
    def row(self) -> Mapping[str, Any]:
        """The row of the table."""
        return self.request.row or {}

    @property
    def target(self) -> tuple[Backend, Pod] | None:
        """The pod that the proxy connected to, where it is known."""
        return self.way.pod_at(self.request.upstream.rpartition(":")[0].strip("[]"))

    @property
    def port(self) -> str:
        """Port of the pod that the proxy connected to; empty: not told."""
        return self.request.upstream.rpartition(":")[2]

    @property
    def meshed(self) -> bool:
        """The proxy is of Istio: a sidecar or gateway of its own, or by its name for the upstream."""
        return self.container == SIDECAR or "|" in self.request.target

    @property
    def evidence(self) -> Evidence:
        """Quote the code with what it is about."""
        asked = self.request
        parts = [f'"{asked.asked}"' if asked.asked else "", f"host {asked.host}" if asked.host else ""]
        parts.append(f"upstream {asked.upstream.rstrip(':')}" if asked.upstream else "")
        told = ", ".join(p for p in parts if p)
        said = f"{asked.code} {asked.detail}".strip()
        return Evidence("log", f"pod/{self.proxy.name} {self.container}", f"{said} ({told})" if told else said)


def failures(trace: Trace, *kinds: str) -> Iterator[Failure]:
    """Yield what the proxies of each way say of requests that failed, the newest of each kind."""
    for way in ways(trace):
        key = ("failures", way.place, tuple(b.ref for b in way.backends), tuple(p.name for p in way.proxies))
        for found in trace.world.kept(key, partial(_found, trace, way)):
            if found.row["kind"] in kinds:
                yield found


def ways(trace: Trace) -> Iterator[Way]:
    """Yield the entrances of a trace, and its Services where their pods carry a proxy of their own."""
    for entrance in trace.ingresses:
        found = [b for p in entrance.paths if (b := entrance.backend(p)) is not None and b.lookup.found]
        hosts = tuple(h for h in entrance.ingress.hosts if h)
        yield Way(entrance.place, entrance.ref, entrance.name, hosts, entrance.carriers, tuple(dict.fromkeys(found)))
    for path in trace.routes:
        pods = tuple(p for _, entry in path.parents for p in entry.carriers)
        behind = (trace.world.backend(b.namespace, b.name) for b in path.backends if b.is_service)
        services = tuple(b for b in dict.fromkeys(behind) if b.lookup.found)
        yield Way(path.place, path.ref, path.shown, path.route.hostnames, pods, services)
    gateways = tuple(p for m in trace.mesh_gateways for p in m.pods)
    for custom in trace.customs:
        pods = gateways if custom.kind == "VirtualService" else custom.carriers or custom.controller_pods
        services = tuple(dict.fromkeys(b for _, b in custom.backends if b.lookup.found))
        yield Way(custom.place, custom.ref, custom.shown, tuple(custom.all_links.hosts), pods, services, custom.raw)
    for backend in trace.services:
        meshed = tuple(p for p in backend.pods if any(c.name == SIDECAR for c in p.containers))
        if meshed:
            yield Way(backend.place, backend.ref, f"svc/{backend.name}", (), meshed, (backend,))
        # The proxy of the client writes what it did not send on, too.
        for client in clients(trace):
            if any(c.name == SIDECAR for c in client.containers):
                hosts = _hosts_of(backend, client.namespace)
                yield Way(backend.place, backend.ref, f"svc/{backend.name}", hosts, (client,), (backend,))


def _hosts_of(backend: Backend, namespace: str) -> tuple[str, ...]:
    """Return the names by which a client of a namespace may ask for a Service."""
    full = f"{backend.name}.{backend.namespace}"
    own = (backend.name,) if namespace == backend.namespace else ()
    return (*own, full, f"{full}.svc", f"{full}.svc.cluster.local", text(backend.service, "spec", "clusterIP"))


def logs_of(way: Way) -> Iterator[tuple[Pod, str]]:
    """Yield (pod, container) of the logs that may tell of a way."""
    for pod in way.proxies[:_PROXIES_AT_MOST]:
        names = [c.name for c in pod.containers if c.kind != "init"]
        # Beside a program only the mesh's proxy speaks of requests; a Gateway's pod may hold several helpers.
        yield from ((pod, n) for n in ([SIDECAR] if SIDECAR in names else names[:3]))


def _found(trace: Trace, way: Way) -> tuple[Failure, ...]:
    return tuple(f for f in _read(trace, way) if not _outlived(f))


def _read(trace: Trace, way: Way) -> Iterator[Failure]:
    for pod, container in logs_of(way):
        log = trace.snapshot.log(pod.namespace, pod.name, container)
        if not log.seen:
            continue
        newest: dict[str, Request] = {}
        counts: dict[str, int] = {}
        passed, last = 0, ""
        for line in log.text.splitlines():
            request = _request(line) if 20 < len(line) <= _LONGEST_LINE else None
            if request is None or not _concerns(request, way):
                continue
            kind = str(request.row["kind"]) if request.row is not None else ""
            last = kind
            if kind:
                newest[kind] = request
                counts[kind] = counts.get(kind, 0) + 1
            else:
                passed += 1
        for kind, request in newest.items():
            yield Failure(way, pod, container, request, counts[kind], passed, kind == last)


def _concerns(request: Request, way: Way) -> bool:
    address = request.upstream.rpartition(":")[0].strip("[]")
    if address and way.pod_at(address) is not None:
        return True
    named = [(b.namespace, b.name) for b in way.backends] + [(way.ref.namespace, way.ref.name)]
    if request.target and any(_names(request.target, *n) for n in named):
        return True
    if request.target.startswith("inbound|"):
        return way.ref.kind == "Service"
    if "|" in request.target:
        # Istio's name of a cluster is exact, and it is of another Service.
        return False
    host = request.host.rpartition(":")[0] if ":" in request.host else request.host
    return bool(host) and any(host_matches(h, host.lower()) for h in way.hosts)


def _names(target: str, namespace: str, name: str) -> bool:
    """Tell whether a proxy's name for an upstream holds a namespace and a name, in the order of any controller."""
    first, second = re.escape(namespace), re.escape(name)
    end = r"(?![a-zA-Z0-9]|-(?!\d+(?![\w-])))"
    return bool(
        re.search(rf"(?<![a-zA-Z0-9-]){first}[-_/:.]+(?:svc[-_])?{second}{end}", target)
        or re.search(rf"(?<![a-zA-Z0-9-]){second}[-_/:.]{first}{end}", target)
    )


_STATE_OF_THE_POD = ("refused", "unreached", "reset", "ejected")


def _outlived(failure: Failure) -> bool:
    """Tell whether the pods became ready only after the line: what it says was so while they started."""
    when = parse_time(failure.request.when)
    hit = failure.target
    pods = [hit[1]] if hit is not None else [p for b in failure.way.backends for p in b.ready_pods]
    since = [parse_time(text(p.condition("Ready"), "lastTransitionTime")) for p in pods if p.ready]
    known = [s for s in since if s is not None]
    return failure.row["kind"] in _STATE_OF_THE_POD and when is not None and bool(known) and when < min(known)


def addresses_of(pod: Pod) -> set[str]:
    """Return the addresses of a pod."""
    found = {text(a, "ip") for a in objects(pod.raw, "status", "podIPs")}
    return (found | {text(pod.raw, "status", "podIP")}) - {""}


# The lines.

_ENVOY = lazy(r"\"([A-Z-]{1,12}) (\S{1,2000}) \S{1,12}\" (\d{1,3}) ([A-Z]{2,6}(?:,[A-Z]{2,6})*|-) (.*)")
_WHEN = lazy(r"\[(\d{4}-\d\d-\d\dT[\d:.]+Z)\]")
_QUOTED = lazy(r"\"([^\"]{0,500})\"")
_CLUSTER = lazy(r"\b((?:in|out)bound\|\d*\|[^|\s]*\|[^|\s]*)")
_HAPROXY = lazy(
    r" (\S{1,300})/(\S{1,300}) (?:-?\d+/){4}\+?-?\d+ (-?\d{1,3}) \+?\d+ \S+ \S+ ([A-Za-z-]{4}) [\d/+]+ [\d/]+ (.*)"
)
_ASKED = lazy(r"\"([A-Z]{3,8}) (\S{1,500})")
_TRAEFIK_ERROR = lazy(r"\b50[0-4] [A-Z][\w ]{2,40} error=\"?(.{1,500})")
_TRAEFIK = lazy(r"['\"]?(\d{3}) [A-Z][\w ]{2,40}['\"]? caused by:? (.{1,500})|error while dialing backend:? (.{1,500})")
_URL = lazy(r"https?://([^/\s\"\\]+)")
_SHOWN = lazy(r"certificate for (\d{1,3}(?:\.\d{1,3}){3})\b")
_NGINX = lazy(
    r"\"([A-Z]{3,8}) (\S{1,500}) HTTP/[\d.]{1,3}\" (\d{3}) [^\n]{0,600}? (\d{1,6}\.\d{3}) \[([\w.-]{1,200})\]"
    r" \[[^\]]{0,200}\] (\S{1,100}?:\d{1,5}),? "
)
_LONG = 10.0
"""Seconds after which a client that leaves has waited for an answer."""
_ADDRESS = lazy(r"(\[[0-9a-fA-F:]+\]|\d{1,3}(?:\.\d{1,3}){3}):(\d{1,5})")


def _request(line: str) -> Request | None:
    if "response_flags" in line:
        return _structured(read_json(line[line.find("{") :]))
    match = _ENVOY.search(line)
    if match is not None:
        return _envoy(match, line)
    match = _HAPROXY.search(line)
    if match is not None:
        return _haproxy(match)
    match = _NGINX.search(line)
    if match is not None:
        return _nginx(match)
    if "caused by" in line or "dialing backend" in line or " error=" in line:
        return _traefik(line)
    return None


def _envoy(match: re.Match[str], line: str) -> Request:
    method, path, _, flags, rest = match.groups()
    quoted = [m[1] for m in _QUOTED.finditer(rest)]
    host, upstream = (quoted[-2], quoted[-1]) if len(quoted) >= 2 else ("", "")
    named = _CLUSTER.search(rest)
    detail = rest.partition(" ")[0]
    told = f"{detail if '_' in detail else ''} {quoted[0] if quoted and 'rror' in quoted[0] else ''}".strip()
    when = _WHEN.search(line)
    return Request(
        _row("envoy", flags.split(","), rest),
        flags,
        "" if host == "-" else host,
        "" if method == "-" else f"{method} {path.partition('?')[0]}",
        upstream if _ADDRESS.fullmatch(upstream) else "",
        named[1] if named is not None else "",
        told,
        when[1] if when is not None else "",
    )


def _structured(entry: Obj | None) -> Request | None:
    """Read Envoy's access log as JSON (Istio, Envoy Gateway, Contour name some fields differently)."""
    if not entry:
        return None

    def first(*keys: str) -> str:
        return next((v for k in keys if isinstance(v := entry.get(k), str) and v not in ("", "-")), "")

    flags = str(entry.get("response_flags") or "-")
    detail = " ".join(filter(None, (first("response_code_details"), first("upstream_transport_failure_reason"))))
    asked = f"{first('method')} {first('path', 'x-envoy-origin-path', 'request_path').partition('?')[0]}".strip()
    upstream = first("upstream_host")
    return Request(
        _row("envoy", flags.split(","), detail),
        flags,
        first("authority", ":authority", "requested_server_name"),
        asked,
        upstream if _ADDRESS.fullmatch(upstream) else "",
        first("upstream_cluster", "upstream_cluster_name"),
        detail,
        first("start_time", "@timestamp", "time"),
    )


def _nginx(match: re.Match[str]) -> Request:
    """Read ingress-nginx's access log: its error log says why a request failed, but for clients that left."""
    method, path, status, took, target, upstream = match.groups()
    left = status == "499" and float(took) >= _LONG
    row = _row("nginx", ["499"], "") if left else None
    asked = f"{method} {path.partition('?')[0]}"
    return Request(row, status, "", asked, upstream, target, f"after {float(took):.0f} s" if left else "")


def _haproxy(match: re.Match[str]) -> Request:
    backend, server, _, state, rest = match.groups()
    asked = _ASKED.search(rest)
    address = _ADDRESS.search(server)
    return Request(
        _row("haproxy", [state], server),
        state,
        "",
        f"{asked[1]} {asked[2].partition('?')[0]}" if asked is not None else "",
        address[0] if address is not None else "",
        f"{backend}/{server}",
    )


def _traefik(line: str) -> Request | None:
    match = _TRAEFIK.search(line) or _TRAEFIK_ERROR.search(line)
    if match is None:
        return None
    said = next(g for g in reversed(match.groups()) if g).rstrip("\"'} ")
    row = _row("traefik", [said], said)
    address = _ADDRESS.search(said)
    named = _URL.search(line)
    upstream = address[0] if address is not None else named[1] if named is not None else ""
    shown = _SHOWN.search(said)
    if not _ADDRESS.fullmatch(upstream):
        # A certificate is refused for an address without its port.
        upstream = f"{shown[1]}:" if shown is not None else ""
    return Request(row, said, "", "", upstream, "") if row else None


def _row(proxy: str, codes: list[str], detail: str) -> Mapping[str, Any] | None:
    for row in table("proxy_answers")[proxy]:
        if not any(_compiled(row["flag"], whole=proxy != "traefik").search(c) for c in codes):
            continue
        if "detail" not in row or _compiled(row["detail"], whole=False).search(detail):
            found: Mapping[str, Any] = row
            return found
    return None


@cache
def _compiled(pattern: str, *, whole: bool) -> re.Pattern[str]:
    return re.compile(rf"\A(?:{pattern})\Z" if whole else pattern)
