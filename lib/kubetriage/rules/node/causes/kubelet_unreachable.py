"""The control plane lost contact with one kubelet, and what was seen does not tell why.

Meaning: NotReady by loss of contact, not by the node's own word: the machine may be off, cut off, frozen, or
only its kubelet stopped. Its pods may run on. Conditions that turned Unknown with it (memory, disk, PID
pressure) say nothing about pressure.

Told by: Ready=Unknown with reason NodeStatusUnknown and a Lease older than the version's grace period (50s from
1.32, 40s before); a warning from 30s on. The heartbeat time of the status is not used: five to seven minutes are
healthy there. Told apart from KubeletDown (the host answers), NodePartitioned (the machine is seen alive),
NodeShutdown, and from whole zones.

Fix: decide first: --probe-kubelet asks the API server to dial the kubelet; then the commands to run on the
node.

Source: pkg/controller/nodelifecycle/node_lifecycle_controller.go; kubernetes PR 126287 (grace period of 50s).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.kubelet_contact import Beat
from kubetriage.rules.node.approvals import approve, requests_sentence
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.failover import faster_failover, fencing, keep_hands_off
from kubetriage.rules.node.kubelet_probe import READINGS
from kubetriage.rules.node.machine_owner import still_a_machine
from kubetriage.values.commands import kubectl
from kubetriage.values.times import format_time, human_duration

CODE = "KubeletUnreachable"

EXHAUSTION = ("SystemOOM", "OOMKilling", "EvictionThresholdMet", "TaskHung", "KernelOops")
RELIEF = ("NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID")
"""The kubelet's word that a pressure is over (kubelet_node_status.go, all versions)."""
BEFORE = timedelta(minutes=10)
AFTER = timedelta(seconds=30)
"""Other connections of the machine may outlive the last renewal by this much."""


def check(case: NodeCase) -> Iterator[Finding]:
    """Match a lost contact that nothing explains further."""
    contact, scope, probe = case.contact, case.scope, case.probe
    if contact.fading and case.cluster.whole.kind != "frozen":
        yield _fading(case)
    if not case.alone:
        return
    evidence = [*case.contact_evidence()]
    reach = ""
    if scope.kind == "pool":
        reach = f" All {len(scope.members)} silent nodes share {scope.label}: suspect a change of that kind."
        evidence.append(Evidence("status", scope.label, f"silent: {', '.join(scope.members[:8])}"))
    elif scope.kind == "together":
        reach = (
            f" {len(scope.members)} nodes fell silent within 20s ({', '.join(scope.members[:4])}): one common event."
        )
    cause = _exhaustion(case, evidence)
    evidence += [r.evidence() for r in case.requests[-2:]]
    if case.proven_dead is not None:
        reading = f"{case.proven_dead.detail}"
    elif probe is None or probe.kind in ("tunnel", "forbidden", "error"):
        reading = "whether the kubelet, the machine or the network failed was not seen"
    else:
        reading = f"dialling it, {READINGS[probe.kind]}"
    gap = contact.changed - contact.renewed if contact.changed and contact.renewed and contact.skew is None else None
    if gap is not None and gap > contact.grace + timedelta(seconds=40):
        words = f"marked {human_duration(gap)} after the last renewal: the controller-manager was not watching then"
        evidence.append(Evidence("status", "detection gap", words))
    others = len(case.cluster.contacts) - case.cluster.mute
    vanished = probe is not None and probe.kind in ("timeout", "no-route")
    # Asking again brings nothing where the answer says nothing of the node.
    asked = probe is not None and probe.kind in ("tunnel", "error")
    ask = "" if asked else f"{kubectl('node-triage', case.name, '--probe-kubelet')} (needs get on nodes/proxy), "
    advice = Fix(
        f"Decide what failed: {ask}the provider's console for {case.address}, then the commands below on the node.",
        actor=Actor.NODE,
        commands=case.machine.lines("alive", "kubelet status", "kubelet log", "client certificate"),
    )
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED if contact.beat in (Beat.STALE, Beat.LATE, Beat.ABSENT) else Confidence.LIKELY,
        case.ref,
        f"Contact with the kubelet of {case.name} is lost {case.silence()};"
        f" {reading}.{cause}{reach}{requests_sentence(case)}",
        evidence=tuple(evidence),
        ruled_out=(
            RuledOut("KubeletNotReady", "the node controller set Unknown; the kubelet said nothing"),
            *((RuledOut("StatusFrozen", f"{others} other nodes renew their Leases"),) if others else ()),
        ),
        fix=(
            *(gone := still_a_machine(case.node, left_over=_left_over(case)) if _long_gone(case) else ()),
            Fix(f"Look at the machine {case.address} itself (console, power, network): nothing answers there.")
            if vanished
            else advice,
            *approve(case),
            *(() if gone else still_a_machine(case.node, left_over=_left_over(case))),
            *fencing(case),
            *(() if case.proven_dead else (keep_hands_off(case),)),
            *faster_failover(case),
        ),
        verify=(
            case.renewal_command,
            kubectl("describe", "node", case.name),
        ),
    )


def _long_gone(case: NodeCase) -> bool:
    """Tell whether the silence is longer than any repair: then the first question is whether the machine exists."""
    since = case.contact.since
    return since is not None and case.now - since > timedelta(hours=1)


def _left_over(case: NodeCase) -> bool:
    """Tell whether several nodes fell silent at different times, as they do when a group of machines is scaled in."""
    times = case.cluster.losses
    return len(times) >= 2 and times[-1] - times[0] > timedelta(minutes=30)


def _fading(case: NodeCase) -> Finding:
    contact = case.contact
    assert contact.renewed is not None
    due = contact.renewed + contact.grace
    return Finding(
        CODE,
        Severity.WARNING,
        Confidence.POSSIBLE,
        case.ref,
        f"The kubelet of {case.name} is late: its Lease is {human_duration(case.now - contact.renewed)} old, 10s is "
        f"normal. Unless it renews, the node turns NotReady at {format_time(due)}.",
        evidence=case.contact_evidence(),
        fix=(Fix(f"Look again in a minute; if it lasts, {kubectl('node-triage', case.name, '--probe-kubelet')}."),),
        verify=(case.renewal_command,),
    )


def _exhaustion(case: NodeCase, evidence: list[Evidence]) -> str:
    """Look for signs of exhaustion in the last minutes before the silence."""
    since = case.contact.since
    event = case.events.last(*EXHAUSTION)
    if since is None or event is None or event.last is None or not since - BEFORE <= event.last <= since + AFTER:
        return ""
    relief = case.events.last(*RELIEF)
    if event.reason == "EvictionThresholdMet" and relief and relief.last and event.last < relief.last <= since + AFTER:
        return ""
    evidence.append(event.evidence())
    return f" Just before, {event.reason} was reported: exhaustion is likely."
