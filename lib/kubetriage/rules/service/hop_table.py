"""Judges a trace: the rows of the hop table, the order of the findings, and the drawn chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from kubetriage.model import Confidence, RuledOut, Severity
from kubetriage.rules.service import RULES
from kubetriage.rules.service.case import Backend, Fault, Place, Proof, Trace, plural
from kubetriage.rules.service.causes.mesh_mtls_mismatch import in_mesh, mode_in_force
from kubetriage.rules.service.client_policies import crossings
from kubetriage.rules.service.client_symptoms import SYMPTOMS
from kubetriage.rules.service.gateway_routes import Entry, Path
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.policies_around_pods import admissions, isolated, others, policies_of
from kubetriage.rules.service.service_endpoints import ServicePort, find_port
from kubetriage.rules.service.tls_secrets import SecretUse
from kubetriage.values.fields import objects, text
from kubetriage.values.times import format_time


@dataclass(frozen=True)
class Draft:
    """A row before it is judged."""

    place: Place
    object: str
    ok: str
    """Evidence when nothing is wrong."""
    gap: str = ""
    """Why the row could not be judged; empty when it could."""
    needs: tuple[Place, ...] = ()
    """Rows without which this one cannot work."""


@dataclass(frozen=True)
class Row:
    """One row of the hop table."""

    number: int
    place: Place
    object: str
    state: str
    """``ok``, ``broken``, ``degraded``, ``blocked`` or ``not seen``."""
    evidence: str
    proof: Proof
    blocked_by: int = 0
    """Number of the row that blocks this one, or 0."""

    @property
    def state_text(self) -> str:
        """The state as the table shows it."""
        return f"blocked by row {self.blocked_by}" if self.state == "blocked" else self.state

    def as_json(self) -> dict[str, Any]:
        """Return the row as the JSON contract has it (``hops[]``)."""
        ref = self.place.ref
        return {
            "row": self.number,
            "hop": self.place.hop,
            "object": self.object,
            "kind": ref.kind,
            "namespace": ref.namespace,
            "name": ref.name,
            "state": self.state,
            "blockedBy": self.blocked_by or None,
            "evidence": self.evidence,
            "proof": self.proof,
        }


@dataclass(frozen=True)
class Verdict:
    """What a trace comes to."""

    rows: tuple[Row, ...]
    faults: tuple[Fault, ...]
    """Ordered: what breaks the way first, by proof and by hop."""

    @property
    def first_broken(self) -> Row | None:
        """The row of the first finding that is more than a note, if it marks a row."""
        for found in self.faults:
            if found.severity is not Severity.NOTE:
                return next((r for r in self.rows if r.place == found.place), None)
        return None


def judge(trace: Trace) -> Verdict:
    """Run all rules, order what they found and make the rows."""
    aside = _ports_aside(trace)
    faults = [f for rule in RULES for f in cast("Iterator[Fault]", rule.check(trace)) if f.place not in aside]
    drafts = [d for d in _drafts(trace) if d.place not in aside]
    position = {d.place: i for i, d in enumerate(drafts)}
    rows = _rows(drafts, faults)
    faults.sort(key=lambda f: (_rank(trace, f), f.cause == _OUTCOME, position.get(f.place, len(drafts))))
    if faults and faults[0].severity is not Severity.NOTE:
        faults[0] = replace(faults[0], ruled_out=(*faults[0].ruled_out, *_ruled_out(faults[0], rows)))
    return Verdict(rows, tuple(faults))


def _ports_aside(trace: Trace) -> frozenset[Place]:
    """Return the rows of Service ports that no Ingress or Route on the way leads to, where one was asked about."""
    if trace.target.kind in ("Service", "Pod"):
        return frozenset()
    used: dict[Backend, set[ServicePort | None]] = {}
    for entrance in trace.ingresses:
        for path in entrance.paths:
            backend = entrance.backend(path)
            if backend is not None:
                used.setdefault(backend, set()).add(path.backend.find(backend.ports))
    for route in trace.routes:
        for ref in route.backends:
            backend = trace.world.backend(ref.namespace, ref.name)
            used.setdefault(backend, set()).add(backend.port_numbered(ref.port))
    return frozenset(
        backend.port_place(port)
        for backend, ports in used.items()
        if None not in ports
        for port in backend.ports
        if port not in ports
    )


_OUTCOME = "GatewayNotProgrammed"
"""What follows from other faults (a certificate that is missing), or stays beside them until a controller comes."""

_RIVALS = {"Pod": "PodsNotReady", "Service": "SelectorMismatch", "NetworkPolicy": "NetworkPolicyBlocks"}


def _ruled_out(head: Fault, rows: tuple[Row, ...]) -> tuple[RuledOut, ...]:
    """Say which hops around the headline are in order."""
    found: dict[str, RuledOut] = {}
    for row in rows:
        rival = _RIVALS.get(row.place.hop, "")
        if row.place.hop == "Service" and row.place.part:
            rival = "NoEndpoints" if "/" in row.place.part else ""
        if rival and row.state == "ok" and row.place != head.place and rival != head.cause:
            found.setdefault(rival, RuledOut(rival, f"row {row.number}: {row.evidence}"))
    return tuple(found.values())


def _rank(trace: Trace, found: Fault) -> tuple[int, int]:
    """Order findings: what fits the symptom, then proven before inferred, broken before degraded, notes last."""
    if found.severity is Severity.NOTE:
        return 9, 9
    symptom = SYMPTOMS.get(trace.options.symptom)
    fits = 0 if symptom is None or found.cause in symptom.causes else 1
    # By proof, not by confidence: what a dump's layout makes merely likely is still a statement of the API.
    proven = found.proof != "inferred" and found.confidence is not Confidence.POSSIBLE
    if not found.urgent:
        return fits, 4
    if proven and found.state in ("broken", "degraded"):
        return fits, 0 if found.state == "broken" else 1
    if found.confidence is Confidence.LIKELY and found.state in ("broken", "degraded"):
        return fits, 2 if found.severity is Severity.ERROR else 3
    return fits, 5  # a mere suspicion


def _rows(drafts: list[Draft], faults: list[Fault]) -> tuple[Row, ...]:
    states: dict[Place, tuple[str, str, Proof]] = {}
    for draft in drafts:
        mine = [f for f in faults if f.place == draft.place]
        worst = next((f for s in ("broken", "degraded", "not seen") for f in mine if f.state == s), None)
        if worst is not None:
            states[draft.place] = (worst.state, worst.short, worst.proof)
        elif draft.gap:
            states[draft.place] = ("not seen", draft.gap, "inferred")
        else:
            noted = next((f for f in mine), None)
            states[draft.place] = ("ok", f"{draft.ok}; {noted.short}" if noted else draft.ok, "proven")
    numbers = {d.place: i for i, d in enumerate(drafts, 1)}
    rows = []
    for draft in drafts:
        state, evidence, proof = states[draft.place]
        row = Row(numbers[draft.place], draft.place, draft.object, state, evidence, proof)
        blocker = next((p for p in draft.needs if states.get(p, ("",))[0] == "broken"), None)
        if blocker is not None and state in ("ok", "not seen"):
            row = replace(row, state="blocked", blocked_by=numbers[blocker])
        rows.append(row)
    return tuple(rows)


def _drafts(trace: Trace) -> Iterator[Draft]:
    users = tuple(e.place for e in trace.ingresses) + tuple(r.place for r in trace.routes)
    for backend in trace.backends:
        yield from _backend_drafts(trace, backend, users)
    for entrance in trace.ingresses:
        yield from _ingress_drafts(entrance)
    for route in trace.routes:
        yield _route_draft(trace, route)
    for entry in trace.gateways:
        yield from _gateway_drafts(entry)
    for backend in trace.services:
        if backend.type == "LoadBalancer":
            given = objects(backend.service, "status", "loadBalancer", "ingress")
            shown = ", ".join(text(i, "ip") or text(i, "hostname") for i in given)
            yield Draft(backend.address_place, f"svc/{backend.name} address", shown or "<none>")
    yield from _dns_drafts(trace)


def _dns_drafts(trace: Trace) -> Iterator[Draft]:
    dns = trace.dns
    name = f"svc/{dns.name} in {dns.namespace}"
    if dns.lookup.found and dns.endpoints.read:
        ready = sum(e.takes_traffic for e in dns.endpoints.items)
        yield Draft(trace.dns_place, name, f"{ready}/{plural(len(dns.endpoints.items), 'endpoint')} ready")
    elif trace.options.symptom in ("nxdomain", "timeout"):
        why = dns.lookup.why if dns.lookup.unseen else dns.endpoints.why
        yield Draft(trace.dns_place, name, "", why or "it was not found")


def _rows_of(backend: Backend, port: ServicePort | None) -> tuple[Place, ...]:
    """Return the rows that a request through one port of a Service depends on."""
    own = (backend.port_place(port),) if port is not None else ()
    return (backend.pods_place, backend.place, *own)


def _ingress_drafts(entrance: Entrance) -> Iterator[Draft]:
    ingress = entrance.ingress
    leads = []
    for path in entrance.paths:
        where = "default" if path.kind == "Default" else f"{path.host or '*'}{path.path}"
        target = path.backend
        to = f"svc/{target.service}:{target.port_text}" if target.service else target.resource or "<none>"
        leads.append(f"{where} to {to}")
    said = "; ".join(leads[:3]) + (f"; {len(leads) - 3} more" if len(leads) > 3 else "")
    backends = [(b, p.backend.find(b.ports)) for p in entrance.paths if (b := entrance.backend(p)) is not None]
    unseen = next((b for b, _ in backends if b.lookup.unseen), None)
    gap = f"svc/{unseen.name} not seen: {unseen.lookup.why}" if unseen is not None else ""
    needs = tuple(dict.fromkeys(row for b, port in backends if b.lookup.found for row in _rows_of(b, port)))
    yield Draft(entrance.place, entrance.name, said or "no rules", gap, needs)
    yield _class_draft(entrance)
    for use in entrance.secrets:
        yield _secret_draft(use)
    shown = ", ".join(ingress.addresses)
    yield Draft(
        entrance.address_place,
        f"{entrance.name} address",
        shown or "none published (normal without a load balancer)",
        "",
        (entrance.class_place,) if not shown else (),
    )


def _class_draft(entrance: Entrance) -> Draft:
    ingress, place = entrance.ingress, entrance.class_place
    named = ingress.any_class
    listing = entrance.world.listing("ingressclasses")
    if not listing.complete and not entrance.class_object:
        return Draft(place, f"ingressclass/{named or '<none>'}", "", listing.why)
    shown = f"ingressclass/{named}" if named else "no class"
    if entrance.class_source == "annotation" and not entrance.class_object:
        return Draft(place, shown, "named by the legacy annotation, which needs no IngressClass object")
    if not entrance.class_object:
        return Draft(place, shown, "served by the cloud provider" if named else "watched without a class")
    said = f"controller {entrance.controller}"
    pods = entrance.controller_pods
    if pods:
        said += f", {sum(p.ready for p in pods)}/{plural(len(pods), 'pod')} ready"
    elif ingress.addresses:
        said += "; an address is published, so a controller took it up"
    return Draft(place, shown, said)


def _secret_draft(use: SecretUse) -> Draft:
    if use.lookup.unseen:
        return Draft(use.place, use.name, "", f"TLS not checked: {use.lookup.why}")
    leaf = use.leaf
    if leaf is None:
        gap = "" if use.parsed[1] or not use.lookup.found else "the certificate was not seen"
        return Draft(use.place, use.name, "", gap)
    key = {"match": "its key matches", "": "key match not seen"}.get(use.key, "")
    said = f"for {', '.join(leaf.names[:4]) or leaf.common_name}, until {format_time(leaf.not_after)}"
    return Draft(use.place, use.name, f"{said}; {key}" if key else said)


def _route_draft(trace: Trace, route: Path) -> Draft:
    hosts = ", ".join(route.route.hostnames[:3]) or "*"
    leads = ", ".join(b.shown for b in route.backends[:3])
    found = [(trace.world.backend(b.namespace, b.name), b.port) for b in route.backends if b.is_service]
    unseen = next((b for b, _ in found if b.lookup.unseen), None)
    gap = f"svc/{unseen.name} not seen: {unseen.lookup.why}" if unseen is not None else ""
    if any(route.is_granted(b) is None for b in route.backends):
        gap = gap or "ReferenceGrants not seen"
    needs = [row for b, port in found if b.lookup.found for row in _rows_of(b, b.port_numbered(port))]
    needs += [p for _, entry in route.parents for p in (entry.class_place, entry.place)]
    return Draft(route.place, route.shown, f"{hosts} to {leads or '<none>'}", gap, tuple(dict.fromkeys(needs)))


def _gateway_drafts(entry: Entry) -> Iterator[Draft]:
    if not entry.lookup.found:
        gap = entry.lookup.why if entry.lookup.unseen else ""
        yield Draft(entry.place, entry.shown, "not found", gap)
        return
    gateway = entry.gateway
    listeners = ", ".join(f"{x.name} {x.hostname or '*'}:{x.port}/{x.protocol}" for x in gateway.listeners[:3])
    addresses = ", ".join(gateway.addresses)
    status = text(gateway.condition("Programmed"), "status") or "<none>"
    said = f"{listeners}; Programmed {status}" + (f"; {addresses}" if addresses else "")
    yield Draft(entry.place, entry.shown, said, "", (entry.class_place,))
    found = entry.class_lookup
    gap = found.why if found.unseen else ""
    controller = text(found.obj, "spec", "controllerName")
    yield Draft(entry.class_place, f"gatewayclass/{gateway.class_name}", f"controller {controller}", gap)
    for use in entry.secrets:
        yield _secret_draft(use)


def _backend_drafts(trace: Trace, backend: Backend, users: tuple[Place, ...]) -> Iterator[Draft]:
    lookup, place = backend.lookup, backend.place
    name = f"svc/{backend.name}"
    if not lookup.found:
        gap = lookup.why if lookup.unseen else ""
        yield Draft(place, name, "not found", gap, users)
        return
    if backend.is_external:
        yield Draft(place, name, f"ExternalName {backend.external_name}, a DNS alias only")
        return
    if backend.selector:
        yield _pods_draft(backend)
    yield _service_draft(backend)
    for count in backend.counts:
        view = backend.endpoints
        total = len(count.ready) + len(count.fallback) + len(count.unready) + len(count.without)
        target = f"port {count.port.target}" if isinstance(count.port.target, str) else ""
        leads = "/".join(map(str, count.numbers)) or target or str(count.port.target)
        said = f"{len(count.ready)}/{plural(total, 'endpoint')} ready on {leads}" if total else "no endpoints"
        if count.fallback and not count.ready:
            said += f", {len(count.fallback)} terminating still serve"
        said += {"endpoints": " (legacy Endpoints; slices not seen)", "pods": " (derived from the pods)"}.get(
            view.source, ""
        )
        if count.port.node_port:
            said += f"; node port {count.port.node_port}"
        gap = ""
        if view.source in ("none", "pods"):
            gap = view.why + (f"; {said}" if view.source == "pods" else "")
        needs = (backend.pods_place, place) if not count.ready else ()
        yield Draft(backend.port_place(count.port), f"{name}:{_port_shown(backend, count.port)}", said, gap, needs)
    yield _policy_draft(trace, backend)
    if any(in_mesh(p) for p in backend.pods):
        yield _mesh_draft(trace, backend)


def _port_shown(backend: Backend, port: ServicePort) -> str:
    """Write a port's number, and its protocol where two ports have the number."""
    twice = sum(p.port == port.port for p in backend.ports) > 1
    return f"{port.port}/{port.protocol}" if twice else str(port.port)


def _pods_draft(backend: Backend) -> Draft:
    place = backend.pods_place
    listing = backend.pod_list
    if not listing.complete:
        return Draft(place, f"pods {backend.selector_text}", "", listing.why)
    owners = {backend.workload(p) for p in backend.pods}
    own = next(iter(owners)) if len(owners) == 1 else None
    shown = f"{own.kind.lower()}/{own.name}" if own is not None else f"pods {backend.selector_text}"
    if not backend.pods:
        return Draft(place, shown, "no pod is selected", "no pod is selected", (backend.place,))
    leaving = sum(p.deleting for p in backend.pods)
    said = f"{len(backend.ready_pods)}/{plural(len(backend.pods), 'pod')} ready"
    return Draft(place, shown, f"{said}, {leaving} terminating" if leaving else said)


def _service_draft(backend: Backend) -> Draft:
    if backend.selector:
        said = f"{backend.selector_text} selects {plural(len(backend.pods), 'pod')}"
        if not backend.pod_list.complete:
            said = f"selector {backend.selector_text}; pods not seen"
    else:
        said = f"no selector; {plural(len(backend.endpoints.items), 'endpoint')} written by hand"
    if backend.headless:
        said += "; headless"
    if text(backend.service, "spec", "sessionAffinity") == "ClientIP":
        said += "; clients stick to one pod (sessionAffinity ClientIP)"
    if backend.publishes_unready:
        said += "; publishes pods that are not ready"
    return Draft(backend.place, f"svc/{backend.name}", said)


def _policy_draft(trace: Trace, backend: Backend) -> Draft:
    place = backend.policy_place
    listing = backend.world.listing("networkpolicies", backend.namespace)
    if not listing.complete:
        return Draft(place, "networkpolicies", "", listing.why)
    if not backend.pods and policies_of(backend):
        return Draft(place, "networkpolicies", "", "no pod to judge them by", (backend.pods_place, backend.place))
    names = isolated(backend)
    found = list(admissions(backend))
    said = "none isolates the pods" if policies_of(backend) else "none in the namespace"
    if names:
        said = ", ".join(f"networkpolicy/{n}" for n in names)
        if not found and any(p.host_network for p in backend.pods):
            gap = f"{said}: the pods have the node's address, which network plugins treat differently"
            return Draft(place, "networkpolicies", said, gap)
        if not found:
            rows = tuple(backend.port_place(p) for p in backend.ports)
            return Draft(place, "networkpolicies", said, f"{said}: no pod port to judge by", rows)
        said += " admits " if len(names) == 1 else " admit "
        said += "everyone" if all(a.admission.everyone for a in found) else "some peers"
        said += " on " + ", ".join(sorted({f"{a.number}/{a.port.protocol}" for a in found}))
    doubtful = next((c for c in crossings(trace, backend) if not c.allowed and not c.blocked), None)
    if doubtful is not None:
        return Draft(place, "networkpolicies", said, f"{doubtful.words}: cannot be told, {doubtful.decision.why}")
    unknown = others(backend)
    if unknown:
        return Draft(place, "networkpolicies", said, f"{said}; not evaluated: {', '.join(unknown[:3])}")
    return Draft(place, "networkpolicies", said)


def _mesh_draft(trace: Trace, backend: Backend) -> Draft:
    listing = trace.world.listing("peerauthentications")
    if not listing.complete:
        return Draft(backend.mesh_place, "peerauthentications", "", listing.why)
    pod = next(p for p in backend.pods if in_mesh(p))
    numbers = [find_port(pod.raw, port.target, port.protocol) for port in backend.ports] or [None]
    modes = sorted({mode_in_force(trace, backend, pod, number)[1] for number in numbers})
    said = f"mTLS {', '.join(modes)}" + ("; no client outside the mesh is known" if "STRICT" in modes else "")
    return Draft(backend.mesh_place, "peerauthentications", said)


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
    for backend in trace.backends:
        drawn = used.get(backend)
        for port in backend.ports or (None,):
            # A broken port is drawn also where every Ingress and Route leads to another one.
            is_broken = broken is not None and port is not None and broken.place == backend.port_place(port)
            if drawn is None or (is_broken and port not in drawn):
                yield _backend_parts(backend, port, "")
    if not trace.backends and not trace.routes:
        for entry in trace.gateways:
            yield [(entry.shown, (entry.place, entry.class_place, *(u.place for u in entry.secrets)))]


def _backend_parts(backend: Backend, port: ServicePort | None, wanted: str) -> list[Part]:
    number = wanted if port is None else _port_shown(backend, port)
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
