"""Draws each way to a Service on one line, with a mark under the first broken hop."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend, Place
from kubetriage.rules.service.custom_entrances import port_of
from kubetriage.rules.service.hop_faults import plural
from kubetriage.rules.service.hop_table import Row, Verdict
from kubetriage.rules.service.mesh_gateways import mesh_gateways_of
from kubetriage.rules.service.service_endpoints import ServicePort


def chain(trace: Trace, verdict: Verdict) -> tuple[str, ...]:
    """Draw each way to a Service, with a mark under the first broken hop."""
    broken = verdict.first_broken
    lines: list[str] = []
    marked = False
    for start in _ways(trace, broken):
        line, mark = _drawn(start, broken if not marked else None)
        lines.append(line)
        if mark:
            lines.append(mark)
            marked = True
    return tuple(dict.fromkeys(lines))


_WAYS_SHOWN = 3
_SUMMED = ("broken", "degraded", "blocked", "not seen", "ok")


def path(trace: Trace, verdict: Verdict) -> tuple[str, ...]:
    """Draw the broken way with its first broken hop marked, or each way that is not; sum up the other hops."""
    broken = verdict.first_broken
    ways = list(_ways(trace, broken))
    marked = next((w for w in ways if broken is not None and any(broken.place in owned for _, owned in w)), None)
    lines = []
    for way in [marked] if marked is not None else ways:
        parts = [f"✗ {shown}" if broken is not None and broken.place in owned else shown for shown, owned in way]
        lines.append(" → ".join(parts))
    lines = list(dict.fromkeys(lines))
    if len(lines) > _WAYS_SHOWN:
        lines = [*lines[:_WAYS_SHOWN], f"and {len(lines) - _WAYS_SHOWN} more ways"]
    by_state: dict[str, list[str]] = {}
    for row in verdict.rows:
        if row != broken:
            by_state.setdefault(row.state, []).append(row.object)
    sums = [f"{s}: {', '.join(dict.fromkeys(by_state[s]))}" for s in _SUMMED if s in by_state]
    return (*lines, *(["; ".join(sums)] if sums else []))


Part = tuple[str, tuple[Place, ...]]
"""One element of a drawn chain, and the rows that it stands for."""


def _ways(trace: Trace, broken: Row | None) -> Iterator[list[Part]]:
    used: dict[Backend, set[ServicePort | None]] = {}
    for entrance in trace.ingresses:
        own = (entrance.place, entrance.class_place, entrance.address_place, *(u.place for u in entrance.secrets))
        for path in entrance.paths:
            backend = entrance.backend(path)
            if backend is not None and backend in trace.backends:
                port = path.backend.find(backend.ports)
                used.setdefault(backend, set()).add(port)
                yield [(entrance.name, own), *_backend_parts(backend, port, path.backend.port_text)]
    for route in trace.routes:
        gateways = [
            (entry.shown, (entry.place, entry.class_place, *(u.place for u in entry.secrets)))
            for _, entry in route.parents
        ]
        for ref in route.backends:
            backend = trace.world.backend(ref.namespace, ref.name)
            if ref.is_service and backend in trace.backends:
                port = backend.port_numbered(ref.port)
                used.setdefault(backend, set()).add(port)
                parts = [(route.shown, (route.place,)), *_backend_parts(backend, port, str(ref.port or ""))]
                yield [*gateways[:1], *parts]
        if not route.backends:
            yield [*gateways[:1], (route.shown, (route.place,))]
    for custom in trace.customs:
        above = [(g.shown, (g.place, *(u.place for u in g.secrets))) for _, g in mesh_gateways_of(trace.world, custom)]
        head: list[Part] = [*above[:1], (custom.shown, (custom.place, *(u.place for u in custom.secrets)))]
        for named, backend in custom.backends:
            if backend in trace.backends:
                port = port_of(named, backend)
                used.setdefault(backend, set()).add(port)
                yield [*head, *_backend_parts(backend, port, str(named.port or ""))]
        if not custom.backends:
            yield head
    for backend in trace.backends:
        drawn = used.get(backend)
        for port in backend.ports or (None,):
            # A broken port is drawn also where every Ingress and Route leads to another one.
            is_broken = broken is not None and port is not None and broken.place == backend.port_place(port)
            if drawn is None or (is_broken and port not in drawn):
                yield _backend_parts(backend, port, "")
    if not trace.backends and not trace.routes and not trace.customs:
        for entry in trace.gateways:
            yield [(entry.shown, (entry.place, entry.class_place, *(u.place for u in entry.secrets)))]


def _backend_parts(backend: Backend, port: ServicePort | None, wanted: str) -> list[Part]:
    number = wanted if port is None else backend.port_shown(port)
    service = f"svc/{backend.name}" + (f":{number}" if number else "")
    own = (backend.place, backend.address_place, backend.policy_place, backend.mesh_place)
    parts: list[Part] = [(service, (*own, *((backend.port_place(port),) if port is not None else ())))]
    if backend.is_external:
        parts.append((backend.external_name or "<none>", ()))
    elif backend.lookup.found:
        count = next((c for c in backend.counts if c.port == port), None)
        leads = "/".join(map(str, count.numbers)) if count is not None else ""
        where = f":{leads or port.target}" if port is not None else ""
        if not backend.selector:
            shown = plural(len(backend.endpoints.items), "endpoint")
        else:
            shown = _ready_of(backend) if backend.pod_list.complete else "pods (not seen)"
        parts.append((shown + where, (backend.pods_place,)))
    return parts


def _ready_of(backend: Backend) -> str:
    count = len(backend.pods)
    return f"{len(backend.ready_pods)}/{plural(count, 'pod')}" if count else "0 pods"


def _drawn(parts: list[Part], broken: Row | None) -> tuple[str, str]:
    line, mark = "", ""
    for i, (shown, owned) in enumerate(parts):
        if i:
            line += " → "
        if broken is not None and broken.place in owned and not mark:
            mark = " " * len(line) + f"^ row {broken.number}: {broken.evidence}"
        line += shown
    return line, mark
