"""The program ends with success, and the restart policy starts it again and again.

Meaning: exit code 0 is no crash, but restartPolicy Always restarts a container whatever its exit code is, with the
same back-off as a failure. Either the program is a task that belongs into a Job, or it should have stayed in the
foreground.

Told by: exit code 0 with reason Completed under a policy that restarts it, more than once or with a back-off. Told
apart from a kill by a probe that the program obeyed with exit code 0, from finished jobs and init containers, and
from OOMKilled with exit code 0 (a killed child).

Fix: run a task as a Job or CronJob; let a server stay in the foreground (no daemon mode, a command that does not
return); check that command and args are not empty or a shell that has nothing to do.

Source: kubernetes pkg/api/v1/pod/util.go (ContainerShouldRestart), kuberuntime_manager.go (doBackOff).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.logs import last_line
from kubetriage.readers.pods import Container
from kubetriage.records import replace
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.kill_attribution import Attribution, Killer, attribute
from kubetriage.rules.crash.known_errors import failed_with_success
from kubetriage.rules.crash.node_commands import node_command
from kubetriage.rules.crash.own_advice import own_advice_fix
from kubetriage.rules.crash.program_output import short, words_of
from kubetriage.rules.workloads import MIRROR
from kubetriage.values.fields import Obj, labels, texts
from kubetriage.values.patterns import lazy

CODE = "CompletedButRestarted"

_CLOSE = 20
"""Lines that a program which stops because of an error may write after it."""


def check(case: Case) -> Iterator[Finding]:
    """Find containers that succeed and are restarted for it."""
    for container in case.containers:
        end = case.crash(container)
        if end is None or end.exit_code != 0 or end.reason == "OOMKilled":
            continue
        if failed_with_success(words_of(case, container, end)):
            continue
        verdict = attribute(case, container)
        if verdict is not None and verdict.killer is not Killer.STOPPED:
            continue
        if verdict is not None and not container.waiting_reason:
            # The kubelet stopped it once (a new sandbox, an in-place change), and it obeyed.
            continue
        lived = end.age_words()
        line = last_line(case.log(container).text)
        evidence = [end.evidence(), case.pod.fact("spec", "spec.restartPolicy", container.restart_policy)]
        if line:
            evidence.append(Evidence("log", container.name, line))
        last = words_of(case, container, end)
        error = last.error if last.error is not None and last.error.weight != "weak" else None
        told = ""
        proposed: tuple[Fix, ...] = ()
        if error is not None and error.trailing <= _CLOSE:
            told = f" Its log has an error before the end: {short(error.summary)}."
            evidence.append(Evidence("log", container.name, error.summary))
            proposed = own_advice_fix(last) or (
                Fix(f"End the error that its log tells: {short(error.summary)}.", actor=Actor.APP),
            )
        words = " ".join([*texts(container.spec, "command"), *texts(container.spec, "args")])
        what = f"its command ({words[:80]})" if words else f"the entrypoint of {container.image}"
        yield Finding(
            CODE,
            Severity.ERROR,
            Confidence.CONFIRMED if case.events.seen else Confidence.LIKELY,
            container.ref,
            f"{container.name} ends with success (exit code 0){lived}, and restartPolicy {container.restart_policy} "
            f"starts it again ({container.restarts} restarts).{told}",
            tuple(evidence),
            tuple(_rivals(verdict)),
            (*proposed, *_fixes(case, container, what, verdict)),
            (case.log_command(container),),
        )


def _rivals(verdict: Attribution | None) -> Iterator[RuledOut]:
    if verdict is None:
        yield RuledOut("LivenessProbeFailed", "no Killing event and no lifetime that fits a kill by a probe")


_SHELLS = ("sh", "bash", "ash", "dash", "zsh")
_DAEMONS = lazy(
    r"\b(?:nohup|service \S+ start|systemctl start|start-stop-daemon|--daemon(?:ize)?|-d(?:aemon)?)\b|&\s*\Z"
)


def _fixes(case: Case, container: Container, what: str, verdict: Attribution | None) -> tuple[Fix, ...]:
    """Tell the usual reasons for a success that is no success apart, by the command and by who stopped it."""
    command = [*texts(container.spec, "command"), *texts(container.spec, "args")]
    line = " ".join(command)
    if MIRROR in labels(case.pod.raw, "metadata", "annotations") or verdict is not None:
        stopped = Fix(
            "The kubelet stops it, not the program: see the Killing and SandboxChanged events, and "
            "the kubelet's log on "
            f"{case.pod.node or 'its node'}.",
            actor=Actor.NODE,
            commands=(node_command(case, "journalctl", "-u", "kubelet", "--since", "-1h"),),
        )
        cgroups = Fix(
            "For a static pod of the control plane: kubelet and runtime must use the same cgroup driver "
            "(SystemdCgroup = true in containerd), and its manifest must not change.",
            actor=Actor.NODE,
            commands=(node_command(case, "grep", "-r", "SystemdCgroup", "/etc/containerd"),),
        )
        return (stopped, cgroups)
    if command and command[0].rpartition("/")[2] in _SHELLS and len(command) == 1:
        return (
            _act(
                case,
                container,
                f"{what} is a shell without a terminal, which ends at once: give it a command, or "
                "stdin: true and tty: true for a debug pod.",
                {"command": ["sleep", "infinity"]},
            ),
        )
    if _DAEMONS.search(line):
        return (
            _act(
                case,
                container,
                f"{what} starts its server in the background and returns: run the server itself in the "
                "foreground (nginx -g 'daemon off;', no & or nohup).",
                None,
            ),
        )
    task = _act(
        case, container, f"If {what} is a task, run it as a Job or CronJob, or with restartPolicy OnFailure.", None
    )
    server = _act(
        case,
        container,
        f"If it is a server, keep it in the foreground in {case.workload_name}: it must not return.",
        None,
    )
    return (task, server)


def _act(case: Case, container: Container, words: str, part: Obj | None) -> Fix:
    return replace(case.template_fix(words, container.patch(part) if part else None), actor=Actor.MANIFEST)
