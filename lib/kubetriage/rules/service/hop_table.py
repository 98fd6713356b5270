"""Judges a trace: the rows of the hop table and the order of the findings."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, RuledOut, Severity
from kubetriage.records import dataclass, replace
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.client_symptoms import fits as shows_as
from kubetriage.rules.service.cluster_view import Backend, Place
from kubetriage.rules.service.custom_entrances import port_of
from kubetriage.rules.service.hop_faults import Fault, Proof
from kubetriage.rules.service.hop_rows import Draft, drafts_of
from kubetriage.rules.service.registry import RULES
from kubetriage.rules.service.service_endpoints import ServicePort
from kubetriage.typed import Any, cast


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
    drafts = [d for d in drafts_of(trace) if d.place not in aside]
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
    for custom in trace.customs:
        for named, backend in custom.backends:
            used.setdefault(backend, set()).add(port_of(named, backend))
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
    headless = any(b.headless for b in trace.services)
    fits = 0 if shows_as(trace.options.symptom, found.cause, headless=headless) else 1
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
