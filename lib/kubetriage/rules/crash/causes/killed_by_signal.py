"""Something sent SIGKILL to the container, and neither the kubelet nor the runtime says what.

Meaning: exit code 137 is 128 + SIGKILL. It is not by itself an out-of-memory kill: the reason would say OOMKilled.
What is left when OOM, probes, deletion, eviction and hooks are ruled out: the node's own OOM killer (unattributed
where no memory limit applies), a killer in user space (systemd-oomd, earlyoom, Talos from 1.12 on), an operator,
another process in the pod, or the program or its shell ending with 137.

Told by: exit code 137 with reason Error and no event or lifetime that fits a kill by the kubelet. The rivals stand
with what rules each one out, or with why nothing does.

Fix: follow the rival that could not be ruled out: read the node's kernel log, or the events while it happens.

Source: kubernetes kuberuntime_container.go (killContainer), oom_watcher_linux.go (SystemOOM), signal(7).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.readers.events import NEAR_NODE_EVENT, node_events
from kubetriage.readers.logs import last_line
from kubetriage.readers.pods import Container
from kubetriage.readers.terminations import Termination
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.kill_attribution import Attribution, Killer, attribute
from kubetriage.rules.crash.known_errors import own_code
from kubetriage.rules.crash.node_commands import node_command
from kubetriage.rules.crash.program_output import words_of
from kubetriage.rules.crash.unreported_kills import journal, unreported_killer
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text, texts

CODE = "KilledBySignal"


def check(case: Case) -> Iterator[Finding]:
    """Find containers that SIGKILL ended for no reason that is told."""
    for container in case.containers:
        end = case.crash(container)
        if end is None or end.exit_code != 137 or own_code(words_of(case, container, end)):
            continue
        if _a_child(case, container):
            continue
        verdict = attribute(case, container)
        if verdict is None or verdict.killer not in (Killer.UNKNOWN, Killer.STOPPED):
            continue
        lived = end.age_words()
        node_oom = tuple(_node_oom(case, end))
        shell = tuple(_shell(case, container))
        yield Finding(
            CODE,
            Severity.ERROR,
            Confidence.POSSIBLE if verdict.still_possible else verdict.confidence,
            container.ref,
            f"SIGKILL ended {container.name}{lived}, and {_who(case, verdict, node_oom, shell)}.",
            (*verdict.evidence, *node_oom, *shell),
            verdict.ruled_out + verdict.still_possible,
            _next_steps(case, verdict),
            (
                case.kubectl("events", "--for", f"pod/{case.pod.name}"),
                kubectl("get", "events", "-n", "default", "--field-selector", f"involvedObject.name={case.pod.node}"),
            ),
        )


def _who(case: Case, verdict: Attribution, node_oom: tuple[Evidence, ...], shell: tuple[Evidence, ...]) -> str:
    if verdict.killer is Killer.STOPPED and verdict.event is not None:
        return f"the kubelet stopped it ({verdict.event.message})"
    if node_oom:
        return f"node {case.pod.node} ran out of memory at that time ({node_oom[0].value})"
    if any(e.source == "log" for e in shell):
        return "its shell says that a child was killed; nothing says what sent the signal"
    killer = unreported_killer(case)
    if killer is not None and verdict.killer is Killer.UNKNOWN:
        return f"no status says what sent it; {killer.name} may have: {killer.words}"
    rivals = ", ".join(dict.fromkeys(r.cause for r in verdict.still_possible))
    return f"nothing shows what sent it; not ruled out: {rivals}" if rivals else "nothing says what sent it"


def _node_oom(case: Case, end: Termination) -> Iterator[Evidence]:
    """Yield OOM kills that the node reported around the end."""
    for event in node_events(case.snapshot, case.pod.node).select("SystemOOM", "OOMKilling"):
        if event.last is not None and end.finished is not None and abs(event.last - end.finished) <= NEAR_NODE_EVENT:
            yield event.evidence()


def _shell(case: Case, container: Container) -> Iterator[Evidence]:
    """Yield the word of a shell whose child was killed."""
    line = last_line(case.log(container).text)
    # dash, bash and busybox ash print "Killed" (bash with the command after it) for a child that SIGKILL ended.
    if line == "Killed" or line.split()[-1:] == ["Killed"] or " Killed " in line:
        yield Evidence("log", container.name, line)
    words = [*texts(container.spec, "command"), *texts(container.spec, "args")]
    if words and words[0].rsplit("/", 1)[-1] in ("sh", "bash", "ash", "dash"):
        yield container.fact("spec", "command", " ".join(words[:2]) + " ...: PID 1 is a shell")


def _a_child(case: Case, container: Container) -> bool:
    """Tell whether a shell only passed on that its child was killed, below a memory limit that explains it."""
    if not any(e.source == "log" for e in _shell(case, container)):
        return False
    if not text(container.spec, "resources", "limits", "memory"):
        return False
    from kubetriage.rules.memory.killed_children import told_by_shell

    return told_by_shell(case.log(container).text, 137)


def _next_steps(case: Case, verdict: Attribution) -> tuple[Fix, ...]:
    """Return the looks that decide between the senders of a SIGKILL that nobody named."""
    open_causes = {r.cause for r in verdict.still_possible}
    node = case.pod.node or "its node"
    kernel = Fix(
        f"Read the kernel log of {node} around that time: an OOM kill names the process and its cgroup.",
        actor=Actor.NODE,
        commands=(node_command(case, "sh", "-c", "dmesg -T | grep -iE 'killed process|oom'"),),
    )
    watch = Fix(
        f"Look at the events of pod/{case.pod.name} over the next restart: a kill by a probe shows as Killing.",
        actor=Actor.MANIFEST,
        commands=(kubectl("events", "--for", f"pod/{case.pod.name}", namespace=case.pod.namespace),),
    )
    limit = Fix(
        f"Give the container in {case.workload_name} a memory limit, so that the kubelet attributes a "
        "kill (OOMKilled).",
        actor=Actor.MANIFEST,
    )
    runtime = Fix(
        f"Read the logs of {node} for who stopped the container: a person with crictl, an agent, a watchdog, or an OOM "
        "killer in user space (systemd-oomd, earlyoom).",
        actor=Actor.NODE,
        commands=(node_command(case, "journalctl", "-u", "containerd", "--since", "-1h"), journal(case)),
    )
    killer = unreported_killer(case)
    if killer is not None and verdict.killer is Killer.UNKNOWN:
        # A machine with tools of its own has no shell to read its kernel log in.
        return (killer.fix(), watch) if "look" in killer.row else (killer.fix(), kernel)
    if "LivenessProbeFailed" in open_causes or "StartupProbeFailed" in open_causes:
        return (watch, kernel)
    return (kernel, limit) if "OOMKilled" in open_causes else (kernel, runtime)
