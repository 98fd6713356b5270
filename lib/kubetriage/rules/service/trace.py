"""Judges a trace: the rows of the hop table, the order of the findings, and the drawn chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from kubetriage.fields import name_of, objects, text
from kubetriage.model import Confidence, Severity
from kubetriage.rules.service import RULES
from kubetriage.rules.service.around import admissions, others, policies_of
from kubetriage.rules.service.case import Backend, Fault, Place, Proof, Trace, plural
from kubetriage.rules.service.symptoms import SYMPTOMS


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
    faults = [f for rule in RULES for f in cast("Iterator[Fault]", rule.check(trace))]
    drafts = list(_drafts(trace))
    position = {d.place: i for i, d in enumerate(drafts)}
    rows = _rows(drafts, faults)
    faults.sort(key=lambda f: (_rank(trace, f), position.get(f.place, len(drafts))))
    return Verdict(rows, tuple(faults))


def _rank(trace: Trace, found: Fault) -> tuple[int, int]:
    """Order findings: what fits the symptom, then proven before inferred, broken before degraded, notes last."""
    if found.severity is Severity.NOTE:
        return 9, 9
    symptom = SYMPTOMS.get(trace.options.symptom)
    fits = 0 if symptom is None or found.cause in symptom.causes else 1
    proven = found.proof != "inferred" and found.confidence is Confidence.CONFIRMED
    if proven and found.state in ("broken", "degraded"):
        return fits, 0 if found.state == "broken" else 1
    if found.confidence is Confidence.LIKELY and found.state in ("broken", "degraded"):
        return fits, 2 if found.severity is Severity.ERROR else 3
    # What works now but not for long, and mere suspicions.
    return fits, 4 if found.confidence is not Confidence.POSSIBLE else 5


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
    for backend in trace.backends:
        yield from _backend_drafts(backend)
    for backend in trace.services:
        if backend.type == "LoadBalancer":
            given = objects(backend.service, "status", "loadBalancer", "ingress")
            shown = ", ".join(text(i, "ip") or text(i, "hostname") for i in given)
            yield Draft(backend.address_place, f"svc/{backend.name} address", shown or "<none>")


def _backend_drafts(backend: Backend) -> Iterator[Draft]:
    lookup, place = backend.lookup, backend.place
    name = f"svc/{backend.name}"
    if not lookup.found:
        gap = f"not seen: {lookup.why}" if lookup.unseen else ""
        yield Draft(place, name, "not found", gap)
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
        gap = f"endpoints not seen: {view.why}" if view.source in ("none", "pods") else ""
        if view.source == "pods" and count.ready:
            gap = f"endpoints not seen: {view.why}; from the pods: {said}"
        needs = (backend.pods_place, place) if not count.ready else ()
        yield Draft(backend.port_place(count.port), f"{name}:{count.port.port}", said, gap, needs)
    yield _policy_draft(backend)


def _pods_draft(backend: Backend) -> Draft:
    place = backend.pods_place
    listing = backend.pod_list
    if not listing.complete:
        return Draft(place, f"pods {backend.selector_text}", "", f"pods not seen: {listing.why}")
    owners = {backend.workload(p) for p in backend.pods}
    own = next(iter(owners)) if len(owners) == 1 else None
    shown = f"{own.kind.lower()}/{own.name}" if own is not None else f"pods {backend.selector_text}"
    if not backend.pods:
        return Draft(place, shown, "no pod is selected", "no pod is selected", (backend.place,))
    return Draft(place, shown, f"{len(backend.ready_pods)}/{plural(len(backend.pods), 'pod')} ready")


def _service_draft(backend: Backend) -> Draft:
    if backend.selector:
        count = plural(len(backend.pods), "pod") if backend.pod_list.complete else "pods not seen"
        said = f"{backend.selector_text} selects {count}"
    else:
        said = f"no selector; {plural(len(backend.endpoints.items), 'endpoint')} written by hand"
    if backend.headless:
        said += "; headless"
    if text(backend.service, "spec", "sessionAffinity") == "ClientIP":
        said += "; clients stick to one pod (sessionAffinity ClientIP)"
    if backend.publishes_unready:
        said += "; publishes pods that are not ready"
    families = [f for f in backend.service.get("spec", {}).get("ipFamilies") or () if isinstance(f, str)]
    have = {e.family for e in backend.endpoints.items}
    missing = [f for f in families if f not in have]
    if len(families) > 1 and missing and have:
        said += f"; no {' or '.join(missing)} endpoint"
    return Draft(backend.place, f"svc/{backend.name}", said)


def _policy_draft(backend: Backend) -> Draft:
    place = backend.policy_place
    listing = backend.world.list("networkpolicies", backend.namespace)
    if not listing.complete:
        return Draft(place, "networkpolicies", "", f"not seen: {listing.why}")
    if not backend.pods and policies_of(backend):
        return Draft(place, "networkpolicies", "", "no pod to judge them by", (backend.pods_place, backend.place))
    found = list(admissions(backend))
    names = sorted({name_of(p) for a in found for p in a.admission.policies})
    if not names:
        said = "none isolates the pods" if policies_of(backend) else "none in the namespace"
    else:
        said = (
            ", ".join(f"networkpolicy/{n}" for n in names)
            + " admits "
            + ("everyone" if all(a.admission.everyone for a in found) else "some peers")
        )
        said += " on " + ", ".join(sorted({f"{a.number}/{a.port.protocol}" for a in found}))
    unknown = others(backend)
    if unknown:
        return Draft(place, "networkpolicies", said, f"{said}; not evaluated: {', '.join(unknown[:3])}")
    return Draft(place, "networkpolicies", said)


def chain(trace: Trace, verdict: Verdict) -> tuple[str, ...]:
    """Draw the way to each Service, with a mark under the first broken hop."""
    lines: list[str] = []
    broken = verdict.first_broken
    for backend in trace.backends:
        lines.extend(_chain_of(backend, broken))
    return tuple(lines)


def _ready_of(backend: Backend) -> str:
    count = len(backend.pods)
    return f"{len(backend.ready_pods)}/{plural(count, 'pod')}" if count else "0 pods"


def _chain_of(backend: Backend, broken: Row | None) -> list[str]:
    ports = backend.counts or ()
    port = next((c for c in ports if broken is not None and broken.place == backend.port_place(c.port)), None)
    port = port or next(iter(ports), None)
    parts: list[tuple[str, tuple[Place, ...]]] = []
    service = f"svc/{backend.name}" + (f":{port.port.port}" if port is not None else "")
    places = (backend.place, backend.address_place, backend.policy_place)
    parts.append((service, (*places, *((backend.port_place(port.port),) if port is not None else ()))))
    if backend.is_external:
        parts.append((backend.external_name or "<none>", ()))
    elif backend.lookup.found:
        leads = "/".join(map(str, port.numbers)) if port is not None else ""
        where = f":{leads or port.port.target}" if port is not None else ""
        if backend.selector:
            count = _ready_of(backend) if backend.pod_list.complete else "pods not seen"
        else:
            count = plural(len(backend.endpoints.items), "address").replace("addresss", "addresses")
        parts.append((count + where, (backend.pods_place,)))
    line, mark = "", ""
    for i, (shown, owned) in enumerate(parts):
        if i:
            line += " → "
        if broken is not None and broken.place in owned and not mark:
            mark = " " * len(line) + "^ " + f"row {broken.number}: {broken.evidence}"
        line += shown
    return [line, mark] if mark else [line]
