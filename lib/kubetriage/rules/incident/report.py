"""Words and rows of an incident: roots go in; sentences, table rows and the ``roots`` of the JSON contract come out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from kubetriage.model import Finding, Fix, Ref
from kubetriage.rules.incident.folding import Fault, written
from kubetriage.rules.incident.joining import Root
from kubetriage.rules.incident.roots import bare
from kubetriage.typed import Any
from kubetriage.values.commands import Command, kubectl
from kubetriage.values.fields import mapping
from kubetriage.values.times import format_time, human_duration


def name_of(ref: Ref) -> str:
    """Write an object as kubectl does; what is no object of the API by its kind and name."""
    if ref.kind == "Cluster":
        return "control plane"
    return f"{ref.kind.lower()}/{ref.name}"


def counted(counts: dict[str, int]) -> str:
    """Write numbers of objects (``12 pods, 3 services``)."""
    return ", ".join(f"{n} {_plural(kind.lower(), n)}" for kind, n in sorted(counts.items(), key=lambda c: -c[1]))


def _plural(kind: str, number: int) -> str:
    if number == 1:
        return kind
    return f"{kind}es" if kind.endswith("s") else f"{kind[:-1]}ies" if kind.endswith("cy") else f"{kind}s"


def explained(root: Root) -> str:
    """Say how many objects fail because of a root, beside the object that is at fault itself."""
    counts = dict(root.counts)
    own = root.fault.example if len(root.fault.targets) == 1 else root.fault.root
    if own.kind in counts and any(bare(own) == bare(t) for t in root.fault.targets):
        counts[own.kind] -= 1
    return counted({kind: n for kind, n in counts.items() if n})


def detail_command(fault: Fault, command: str) -> Command:
    """Write the command that shows a fault in full; ``command`` is the plugin that found it."""
    ref = fault.workloads[0] if len(fault.workloads) == 1 and len(fault.targets) > 1 else fault.example
    if ref.kind == "Cluster":
        return kubectl(command)
    if ref.kind == "Node":
        return kubectl("node-triage", ref.name)
    if command == "node-triage":
        # A machine that is no Node yet: its own command takes Nodes only, and tells of it in a scan.
        return kubectl(command)
    # To svc-trace a bare name is a Service.
    word = ref.name if ref.kind == "Pod" and command != "svc-trace" else f"{ref.kind.lower()}/{ref.name}"
    return kubectl(command, word, namespace=ref.namespace)


def age(moment: datetime | None, now: datetime) -> str:
    """Write how long ago something began, as kubectl writes ages; empty where nobody knows."""
    return human_duration(now - moment) if moment is not None and moment <= now else ""


def row(number: int, root: Root, now: datetime) -> tuple[str, ...]:
    """Write the row of a root: number, object, cause, what it explains, age, who acts."""
    finding = root.fault.finding
    return (
        str(number),
        name_of(root.fault.root),
        finding.cause,
        explained(root) or "-",
        age(root.fault.since, now) or "<unknown>",
        _actor(finding) or "-",
    )


COLUMNS = ("", "ROOT", "CAUSE", "EXPLAINS", "SINCE", "WHO")


def _actor(finding: Finding) -> str:
    return next((f.actor.value for f in finding.fix if f.actor is not None), "")


def _act(fix: Fix) -> dict[str, Any]:
    return {"text": fix.text, **({"commands": list(fix.commands)} if fix.commands else {})}


def document(roots: Iterable[Root]) -> list[dict[str, Any]]:
    """Return ``roots`` of the JSON contract."""
    return [_root(root) for root in roots]


def _root(root: Root) -> dict[str, Any]:
    fault, finding = root.fault, root.fault.finding
    detail = detail_command(fault, fault.symptoms[0].diagnosis.command)
    kept_by = mapping(fault.symptoms[0].diagnosis.extra, "keptBy")
    near = [{**written(f.root), "cause": f.finding.cause} for f in root.possible]
    return {
        "cause": finding.cause,
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "object": written(fault.root),
        **({"actor": actor} if (actor := _actor(finding)) else {}),
        **({"keptBy": kept_by} if kept_by else {}),
        **({"act": _act(finding.fix[0])} if finding.fix else {}),
        **({"since": format_time(fault.since)} if fault.since is not None else {}),
        "counts": root.counts,
        "shows": [written(t) for t in fault.targets],
        "explains": [
            {**written(target), "cause": other.finding.cause} for other in root.explains for target in other.targets
        ]
        + [written(ref) for ref in root.entrances],
        **({"possible": near} if near else {}),
        "detail": str(detail),
    }
