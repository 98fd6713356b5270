"""An init container fails, so the pod never gets to its main containers.

Meaning: the main containers are not the problem and have no logs yet. The kubelet starts the failed init container
again under the restart policy; with restartPolicy Never the pod has failed for good.

Told by: an init container whose newest instance ended with an error. When a specific cause of that container is known
(its image, its memory, an address it could not reach) that cause stands first, and this one follows as its effect.

Fix: fix the init container; its own log has the reason ('kubectl logs POD -c INIT').

Source: kubernetes pkg/kubelet/kuberuntime (computeInitContainerActions).
"""

from __future__ import annotations

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.readers.logs import last_line
from kubetriage.readers.pods import Container
from kubetriage.records import replace
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.init_reruns import LEFT_OVER, Rerun, rerun_fixes, rerun_of, rerun_words
from kubetriage.values.commands import kubectl

CODE = "InitContainerFailed"

GENERIC = ("AppError", "Unknown")
"""Causes that say no more about an init container than that it failed: this one says it better."""


def conclude(case: Case, findings: list[Finding]) -> list[Finding]:
    """Add the failure of the init container that blocks the pod, before or after its cause."""
    for container in case.containers:
        if container.kind != "init" or (container.running and case.outlived(container)):
            continue
        own = [f for f in findings if f.object.container == container.name and f.severity is Severity.ERROR]
        ended = case.crash(container)
        if not own and (ended is None or ended.exit_code in (0, None)):
            continue
        generic = [f for f in own if f.cause in GENERIC]
        specific = [f for f in own if f.cause not in GENERIC]
        made = _finding(case, container, own)
        if specific:
            position = max(findings.index(f) for f in specific) + 1
            findings = [*findings[:position], replace(made, verify=()), *findings[position:]]
        else:
            findings = [made, *[f for f in findings if f not in generic]]
        return findings
    return findings


def _finding(case: Case, container: Container, own: list[Finding]) -> Finding:
    end = case.crash(container)
    head = own[0] if own else None
    line = last_line(case.log(container).text)
    blocked = ", ".join(c.name for c in case.containers if c.kind == "app") or "the main containers"
    final = container.restart_policy == "Never"
    after = "the pod has failed for good" if final else f"{blocked} cannot start"
    again = rerun_of(case, container) if end is not None and end.exit_code else None
    generic = head is not None and head.cause in GENERIC
    if again is not None:
        what = rerun_words(case, container, again)
    elif end is not None:
        code = "an unknown code" if end.exit_code is None else f"exit code {end.exit_code}"
        what = f"Init container {container.name} failed with {code}, so {after}"
    else:
        what = f"Init container {container.name} does not start, so {after}"
    evidence = list(head.evidence) if head is not None and generic else []
    words = next((e.value for e in evidence if e.source == "log"), line)
    if head is not None and head.details.get("mechanism"):
        what += f". {head.message.rstrip('.')}"
    elif words and (head is None or generic):
        what += f"; its last words: {words}"
    if end is not None and end.evidence() not in evidence:
        evidence.insert(0, end.evidence())
    if not any(e.source == "log" for e in evidence) and line:
        evidence.append(Evidence("log", container.name, line))
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        container.ref,
        what if what.endswith(".") else what + ".",
        (*evidence, *(again.evidence if again is not None else ())),
        head.ruled_out if head is not None and generic else (),
        _fixes(case, container, head, again, words),
        (case.log_command(container),),
        head.details if head is not None and generic else {},
    )


def _fixes(case: Case, container: Container, head: Finding | None, again: Rerun | None, words: str) -> tuple[Fix, ...]:
    """Return what ends the failure of an init container."""
    if again is not None and (head is None or head.cause in GENERIC or LEFT_OVER.search(words)):
        return rerun_fixes(case, container, again)
    if head is not None and head.cause in GENERIC:
        return head.fix
    actor = head.fix[0].actor if head is not None and head.fix else None
    return (
        Fix(
            f"See the cause of init container {container.name} of {case.workload_name} above; the pod "
            "goes on by itself "
            "once it ends with success.",
            actor=actor or Actor.MANIFEST,
        ),
    )


def _look(case: Case, container: Container, line: str) -> Fix:
    """Say what to do about a step whose own cause stands in another finding, or that finds its own leftovers."""
    if LEFT_OVER.search(line):
        return case.template_fix(
            f"Let init container {container.name} of {case.workload_name} do its work twice without failing (mkdir -p, "
            "cp -f, ln -sf, iptables -N with a check): volumes outlive a restart of the node or of the pod's sandbox."
        )
    return case.template_fix(
        f"Read the whole log of init container {container.name} of {case.workload_name}, and run its command "
        "by hand in its "
        "image: what it does is told there alone.",
        actor=Actor.APP,
        commands=(kubectl("logs", case.pod.name, "-c", container.name, "--previous", namespace=case.pod.namespace),),
    )
