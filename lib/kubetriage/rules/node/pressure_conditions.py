"""What the three pressure conditions of the kubelet have in common."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.kubelet_contact import condition_evidence
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.kubelet_probe import kubelet_path
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.fields import condition, text
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import format_bytes, parse_bytes
from kubetriage.values.times import human_duration, parse_time

_ROUNDS = timedelta(seconds=30)
"""A few rounds of the kubelet's eviction manager."""


@dataclass(frozen=True)
class Pressure:
    """One of the conditions."""

    kind: str
    resource: str
    """In words."""
    signals: tuple[str, ...]
    """Eviction signals of the kubelet that set it."""
    use: tuple[str, ...]
    """Where a pod's statistics tell its use."""
    advice: str
    reclaims: str
    """Pattern of the resource in the message of EvictionThresholdMet ("Attempting to reclaim ...", all versions)."""
    look: str = ""
    """Shell line that shows on the machine what uses the resource."""


def pressure(case: NodeCase, about: Pressure) -> Iterator[Finding]:
    """Report the condition when the kubelet says True, with the numbers that were seen."""
    found = condition(case.node, about.kind)
    if text(found, "status") != "True":
        return
    since = parse_time(found.get("lastTransitionTime"))
    span = f" for {human_duration(case.now - since)}" if since and since <= case.now else ""
    stats = case.guarded(*about.signals)
    met = [s for s in stats if s.met]
    shown = "; ".join(s.words() for s in (met or stats))
    over = bool(stats) and not met and all(s.limit is not None and s.available is not None for s in stats)
    evidence = [condition_evidence(found)]
    evidence += [
        Evidence("metric", f"{kubelet_path(case.name, 'stats/summary')} and configz", s.words()) for s in stats
    ]
    event = case.events.last("EvictionThresholdMet", matching=about.reclaims)
    if event is not None:
        evidence.append(event.evidence())
        # The kubelet repeats it in each round of 10 s while a threshold is met; its figures may be older than that.
        over = over and (event.last is None or case.now - event.last > _ROUNDS)
    evicted = [p for p in case.pods if p.reason == "Evicted" and re.search(about.reclaims, p.message)]
    evidence += [Evidence("status", f"pod {p.namespace}/{p.name} status.message", p.message) for p in evicted[:3]]
    # What uses less than a hundredth of the whole has not filled it.
    least = max((s.capacity or 0 for s in stats), default=0) // 100
    consumers = case.consumers(about.use, str if about.resource == "process ids" else format_bytes, least)
    hold = " The pressure has eased; the kubelet holds the condition for 5m." if over else ""
    lost = f" It has evicted {_count(len(evicted))} here{_used(evicted)}." if evicted else ""
    most = f" Most is used by {consumers}." if consumers else ""
    machine = case.machine
    look = (shell("ssh", machine.address, about.look),) if machine.row["tools"] == "systemd" and about.look else ()
    yield Finding(
        about.kind,
        Severity.ERROR,
        Confidence.CONFIRMED,
        case.ref,
        f"{case.name} reports {about.kind}{span}" + (f": {shown}." if shown else ".") + hold + lost + most,
        evidence=tuple(evidence),
        ruled_out=(RuledOut("KubeletUnreachable", "the kubelet set this itself; lost contact would make it Unknown"),),
        fix=(
            Fix(about.advice, actor=Actor.NODE, commands=look),
            *(
                ()
                if stats
                else (Fix(f"For thresholds and free amounts: {kubectl('node-triage', case.name, '--probe-kubelet')}."),)
            ),
        ),
        verify=(
            kubectl("get", f"--raw=/api/v1/nodes/{case.name}/proxy/stats/summary"),
            kubectl("get", "node", case.name, "-o", f'jsonpath={{.status.conditions[?(@.type=="{about.kind}")]}}'),
        ),
    )


_USE = lazy(r"Container (\S+) was using (\S+), (?:which exceeds its )?request (?:is|of) (\w+)")


def containers_use(pod: Pod) -> Iterator[tuple[str, int]]:
    """Yield the containers of an evicted pod with what they used, in bytes."""
    for match in _USE.finditer(pod.message):
        size = parse_bytes(match[2])
        if size:
            yield match[1], int(size)


def _used(evicted: Sequence[Pod]) -> str:
    """Say what the evicted pods used, in the kubelet's figures: the first thing to give a limit."""
    found = [(p, m) for p in evicted if (m := _USE.search(p.message))]
    said = ", ".join(f"{p.namespace}/{p.name} used {m[2]} with a request of {m[3].rstrip('.')}" for p, m in found[:2])
    return f": {said}" if said else ""


def _count(number: int) -> str:
    return "1 pod" if number == 1 else f"{number} pods"
