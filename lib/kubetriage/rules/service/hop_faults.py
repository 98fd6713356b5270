"""A finding of svc-trace, and the row of the hop table that it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from kubetriage.model import Confidence, Evidence, Finding, Fix, Ref, RuledOut, Severity
from kubetriage.records import dataclass, field
from kubetriage.rules.service.cluster_view import Place
from kubetriage.typed import Any, Literal
from kubetriage.values.fields import Obj, text
from kubetriage.values.times import parse_time

Proof = Literal["proven", "observed", "inferred"]
"""``proven``: an API object states it; ``observed``: an event, log or connection shows it; ``inferred``: neither."""
RowState = Literal["ok", "broken", "degraded", "not seen"]


@dataclass(frozen=True)
class Fault(Finding):
    """A finding with the row that it belongs to."""

    place: Place = field(default_factory=lambda: Place("Service", Ref("", "", "")))
    proof: Proof = "proven"
    state: RowState = "ok"
    """What it makes of its row."""
    short: str = ""
    """The row's evidence; empty: the message."""
    urgent: bool = True
    """False: it works today, so it never comes before what may be broken now."""

    def finding(self) -> Finding:
        """Return the plain finding; hop and proof level stay as keys of the JSON contract."""
        keys = {"hop": self.place.hop, "proof": self.proof, **self.details}
        return Finding(
            self.cause,
            self.severity,
            self.confidence,
            self.object,
            self.message,
            self.evidence,
            self.ruled_out,
            self.fix,
            self.verify,
            keys,
        )


def fault(
    code: str,
    place: Place,
    message: str,
    *,
    severity: Severity = Severity.ERROR,
    proof: Proof = "proven",
    confidence: Confidence | None = None,
    state: RowState | None = None,
    about: Ref | None = None,
    evidence: Iterable[Evidence] = (),
    ruled_out: Iterable[RuledOut] = (),
    fix: Iterable[Fix] = (),
    verify: Iterable[str] = (),
    short: str = "",
    urgent: bool = True,
    details: Mapping[str, Any] | None = None,
) -> Fault:
    """Make a finding of a place in the trace.

    Without ``confidence`` what is inferred is likely and everything else confirmed; without ``state`` an error
    breaks its row, a warning degrades it and a note leaves it as it is. ``about`` is the object where it is not
    the one of the row.
    """
    states: dict[Severity, RowState] = {Severity.ERROR: "broken", Severity.WARNING: "degraded", Severity.NOTE: "ok"}
    return Fault(
        code,
        severity,
        confidence or (Confidence.LIKELY if proof == "inferred" else Confidence.CONFIRMED),
        about or place.ref,
        message,
        tuple(evidence),
        tuple(ruled_out),
        tuple(fix),
        tuple(verify),
        details or {},
        place,
        proof,
        state or states[severity],
        short or message,
        urgent,
    )


def age_of(obj: Obj, now: datetime) -> timedelta | None:
    """Return how long an object exists; None when it does not say."""
    created = parse_time(text(obj, "metadata", "creationTimestamp"))
    return now - created if created is not None else None


def plural(count: int, noun: str) -> str:
    """Write a count with its noun (``1 pod``, ``2 pods``)."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
