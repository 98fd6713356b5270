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

from kubetriage.model import Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.logs import last_line
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.kill_attribution import Attribution, Killer, attribute
from kubetriage.values.fields import texts

CODE = "CompletedButRestarted"


def check(case: Case) -> Iterator[Finding]:
    """Find containers that succeed and are restarted for it."""
    for container in case.containers:
        end = case.crash(container)
        if end is None or end.exit_code != 0 or end.reason == "OOMKilled":
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
        words = " ".join([*texts(container.spec, "command"), *texts(container.spec, "args")])
        what = f"its command ({words[:80]})" if words else f"the entrypoint of {container.image}"
        yield Finding(
            CODE,
            Severity.ERROR,
            Confidence.CONFIRMED if case.events.seen else Confidence.LIKELY,
            container.ref,
            f"{container.name} ends with success (exit code 0){lived}, and restartPolicy {container.restart_policy} "
            f"starts it again ({container.restarts} restarts).",
            tuple(evidence),
            tuple(_rivals(verdict)),
            (
                Fix(
                    f"If {what} is a task, run it as a Job or CronJob. If it is a server, keep it in the foreground in "
                    f"{case.workload_name}: it must not return."
                ),
            ),
            (case.log_command(container),),
        )


def _rivals(verdict: Attribution | None) -> Iterator[RuledOut]:
    if verdict is None:
        yield RuledOut("LivenessProbeFailed", "no Killing event and no lifetime that fits a kill by a probe")
