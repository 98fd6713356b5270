"""The kubelet is alive and says that its container runtime does not answer.

Meaning: running containers go on, but nothing can be started, stopped or probed through the runtime; after 300
seconds the pods are evicted, and their deletion cannot be carried out.

Told by: Ready=False with 'container runtime is down' (no good status for 30s), 'container runtime not ready:
RuntimeReady=false', or 'container runtime status check may not have completed yet', beside a fresh Lease. Told
apart from a slow runtime (PLEG) and from lost contact.

Fix: restart the runtime and read its journal.

Source: pkg/kubelet/runtime.go and kubelet.go (updateRuntimeUp).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.needs import Raw
from kubetriage.records import replace
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.kubelet_probe import kubelet_path
from kubetriage.rules.node.machine_words import Word, word_of
from kubetriage.rules.node.missing_network import last_event, missing_network
from kubetriage.rules.node.runtime_meanings import runtime_end_meaning, runtime_meaning, runtime_program_meaning
from kubetriage.rules.node.self_report import SelfReport, first_word
from kubetriage.rules.node.stage import stage_of
from kubetriage.rules.node.word_findings import finding
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text

CODE = "ContainerRuntimeDown"

_START = timedelta(seconds=60)
"""Start-up grace of the node controller; a kubelet asks its runtime every few seconds."""


def _by_its_words(case: NodeCase, word: Word) -> Finding:
    found = finding(stage_of(case), word, runtime_end_meaning(stage_of(case), word))
    return replace(found, evidence=(*found.evidence, *case.contact_evidence()))


def _lost_program(case: NodeCase) -> Finding | None:
    """Tell of a program that the runtime lacks, by the kubelet's log or by an event of the network plugin's pod."""
    stage, word = stage_of(case), case.words.of("runtime program")
    if word is not None:
        found = finding(stage, word, runtime_program_meaning(stage, word))
        return replace(found, evidence=(*found.evidence, *case.contact_evidence()))
    pod = missing_network(case).pod
    event = last_event(case.snapshot, pod) if pod is not None and not pod.ready else None
    word = word_of("runtime program", event.message, event.last, event.reason) if event is not None else None
    if word is None or event is None or pod is None:
        return None
    meaning = runtime_program_meaning(stage, word)
    found = finding(stage, word, meaning)
    return replace(
        found,
        message=f"{meaning.says.format(name=case.name)} An event of {pod.name} says so.",
        evidence=(event.evidence(), *case.contact_evidence()),
    )


def check(case: NodeCase) -> Iterator[Finding]:
    """Match the kubelet's own word about its runtime."""
    report = case.reported("runtime-down")
    if report is not None and first_word(report.words) and case.reported("csi", "other"):
        # Only the kubelet's first word, said before it asked its runtime; the other reason keeps it there.
        report = None
    told = case.words.of("runtime end", "runtime socket")
    ended = case.words.of("runtime end")
    if ended is not None and case.contact.ready != "True":
        # Its own words say more than the kubelet's: it asks, and nobody answers.
        yield _by_its_words(case, ended)
        return
    lost = _lost_program(case) if case.contact.ready != "True" else None
    if lost is not None:
        yield lost
        return
    if report is None and told is not None and case.contact.ready != "True":
        report = SelfReport("runtime-down", told.words)
    if told is not None and case.contact.silent:
        # A kubelet that does not start without its runtime posts nothing: its log is all that it says.
        stage = stage_of(case)
        yield finding(stage, told, runtime_meaning(stage, told))
        return
    if report is None:
        return
    name, _ = case.runtime
    version = text(case.node, "status", "nodeInfo", "containerRuntimeVersion")
    evidence = [*case.contact_evidence()]
    if told is not None:
        evidence.append(told.evidence())
    if version.endswith("://Unknown"):
        evidence.append(Evidence("status", "status.nodeInfo.containerRuntimeVersion", version))
    refused = case.snapshot.failure(Raw(kubelet_path(case.name, "stats/summary")))
    if refused is not None and "dial unix" in refused.message:
        evidence.append(Evidence("status", kubelet_path(case.name, "stats/summary"), refused.message))
    failed = case.events.last("ContainerGCFailed", "ImageGCFailed", "FailedCreatePodSandBox")
    if failed is not None:
        evidence.append(failed.evidence())
    starting = first_word(report.words)
    # The kubelet's first word, before it has asked its runtime; what is still so after that answers nobody.
    changed = case.contact.changed
    young = starting and changed is not None and case.now - changed < _START
    state = (
        f"Its kubelet has just started; if this stays so, {name} does not answer it."
        if young
        else f"The kubelet is up, but {name} does not answer it."
    )
    yield Finding(
        CODE,
        Severity.WARNING if young else Severity.ERROR,
        Confidence.POSSIBLE if young else Confidence.LIKELY if starting else Confidence.CONFIRMED,
        case.ref,
        f"The kubelet on {case.name} reports NotReady: {report.words}. {state}",
        evidence=tuple(evidence),
        ruled_out=(RuledOut("KubeletUnreachable", "the kubelet itself posted this and renews its Lease"),)
        if case.contact.beat.value == "fresh"
        else (),
        fix=(
            Fix(
                f"See on {case.name} why {name} does not answer; restart it, then ask it again.",
                actor=Actor.NODE,
                commands=case.machine.lines("runtime status", "runtime log", "runtime restart", "runtime answer"),
            ),
            *(
                (
                    Fix(
                        f"If it began with an upgrade of {case.machine.title}: go back to the release before.",
                        actor=Actor.NODE,
                        commands=back,
                    ),
                )
                if (back := case.machine.lines("rollback"))
                else ()
            ),
        ),
        verify=(kubectl("get", "node", case.name, "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].message}'),),
    )
