"""Children that the kernel killed while PID 1 was not: the case of a container in, a finding out, for both plugins."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.memory.budget import mebibytes
from kubetriage.rules.memory.budget_fixes import larger_limit, raise_fix
from kubetriage.rules.memory.case import AT_LIMIT, Case
from kubetriage.rules.memory.program_fixes import program_fix
from kubetriage.rules.memory.runtime_candidates import build_tool
from kubetriage.rules.memory.worker_candidates import worker_fix
from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy

CODE = "ChildOOMKilled"
_BY_SIGNAL = 128
"""Exit codes above tell of a signal to PID 1 itself."""


# What parents print when a child dies of SIGKILL.
_PARENT_WORDS = lazy(
    r"Worker \(pid:(?P<pid>\d+)\) was sent SIGKILL! Perhaps out of memory\?"  # gunicorn 20 and later
    r"|exited prematurely: signal 9 \(SIGKILL\)"  # celery (billiard)
    r"|DataLoader worker \(pid \d+\) is killed by signal: Killed"  # PyTorch
    r"|A process in the process pool was terminated abruptly"  # Python concurrent.futures
    r"|terminated by signal 9: Killed"  # PostgreSQL
    r"|exit signal Killed \(9\)"  # Apache httpd
    # Programs that write what waitpid gave them: a shell's 137, Python's -9, Go's "signal: killed", Node.js' SIGKILL.
    r"|^.{0,300}?\b(?:child|worker|process|subprocess|job|task|pid)\b.{0,300}?"
    r"(?:\b(?:exit(?: ?code|ed(?: with)?(?: code)?| status)?|code|status|returncode|rc)\W{1,3}(?:137|-9)\b"
    r"|\b(?:died|exit(?:ed)?|terminated|killed|ended)\b.{0,30}\b(?:SIGKILL|signal:? (?:9|killed))\b).*$"
    r"|\[pool [^\]]{1,100}\] child \d+ exited on signal 9"  # php-fpm
    r"|(?:worker )?process \d+ exited on signal 9\b"  # nginx
    r"|died, killed by signal 9 :\("  # uWSGI
    r"|\(terminated by SIGKILL(?: \(core dumped\))?; not expected\)"  # supervisord
    r"|^.*\b(?:failed|exited|failure|error)\b[^\n]{0,120}\bsignal: killed\b.*$"  # Go's os/exec
    r"|(?:User application|Executor|Command|Container)[^\n]{0,60} exited with (?:code |status )?137\b"  # Spark, YARN
    r"|returned a non-zero code: 137|did not complete successfully: exit code: 137"  # docker build, BuildKit
    r"|via signal \[SIGKILL\]"  # PM2
    r"|pid \d+ SIGKILL \(signal 9\)"  # Unicorn, Ruby's Process::Status
    r"|Negsignal\.SIGKILL"  # Airflow
    r"|exited with code: null and signal: SIGKILL"  # Next.js, Node.js' child_process
    r"|process terminated by signal (?:SIGKILL|9)\b"  # esbuild, Vite, Rust's Command
    r"|daemon disappeared unexpectedly \(it may have been killed"  # Gradle
    r"|SIGKILL\(-9\)"  # joblib
    r"|^.{0,200}KernelRestarter: restarting kernel.*$"  # Jupyter, whose kernel ended without a word
    r"|fatal error: Killed signal terminated program \w+"  # gcc
    r"|^(?:[\w./-]+: line \d+: +\d+ )?Killed(?: +\S.*)?$",  # bash and busybox sh
    re.MULTILINE,
)


_OUT_OF_TIME = lazy(r"\btime[d-]? ?out\b|WORKER TIMEOUT", re.IGNORECASE)


_SHELL = lazy(r"(?:\A|\n)(?:[\w./-]{1,300}: line \d{1,6}: {1,9}\d{1,9} )?Killed(?: [^\n]{0,2000})?\s*\Z")


def told_by_shell(log: str, code: int | None) -> bool:
    """Tell whether a shell ended with its child's 128 + SIGKILL: it outlived the child, as it wrote "Killed" last."""
    return code == _BY_SIGNAL + 9 and _SHELL.search(log[-4096:]) is not None


def killed_children(case: Case) -> Iterator[Finding]:
    """Report OOM events that no status tells of, or what a parent says of its children."""
    if case.kills:
        return
    if not case.container.running:
        yield from _with_the_parent(case)
        return
    events = case.usage.oom_events
    if events is not None and events[0] > 0:
        count, source = events
        times = "once" if count == 1 else f"{count} times"
        # The counter belongs to the cgroup of the instance that runs; an earlier one had its own.
        yield _finding(case, Confidence.CONFIRMED, f" {times}", Evidence("metric", source, str(count)))
        return
    match = next((m for m in _PARENT_WORDS.finditer(case.running_log) if not _timed_out(m)), None)
    if match is None:
        return
    said = Evidence("log", case.container.name, match[0].strip())
    peak, limit = case.usage.peak, case.limit.size
    if limit is None or peak is None:
        yield _finding(case, Confidence.POSSIBLE, "", said)
    elif peak.size >= limit * AT_LIMIT:
        touched = Evidence("metric", peak.source, f"{mebibytes(peak.size)}, the limit is {mebibytes(limit)}")
        yield _finding(case, Confidence.LIKELY, "", said, touched)


def _with_the_parent(case: Case) -> Iterator[Finding]:
    """Report a child that was killed before its parent ended by itself: a build, a task, a supervised server."""
    end = case.container.termination
    if end is None or not end.exit_code or (end.exit_code >= _BY_SIGNAL and not told_by_shell(case.log, end.exit_code)):
        return
    match = next((m for m in _PARENT_WORDS.finditer(case.log) if not _timed_out(m)), None)
    if match is not None:
        # A parent that gives a child no more time ends it with the same signal.
        unsure = "may have been killed" in match[0] or _OUT_OF_TIME.search(case.log)
        confidence = Confidence.POSSIBLE if unsure else Confidence.LIKELY
        yield _finding(case, confidence, "", Evidence("log", case.container.name, match[0].strip()))


def _timed_out(match: re.Match[str]) -> bool:
    """Tell whether gunicorn itself killed the worker, which had not answered in time; it words that the same way."""
    return bool(match["pid"]) and f"WORKER TIMEOUT (pid:{match['pid']})" in match.string


def _finding(case: Case, confidence: Confidence, times: str, *evidence: Evidence) -> Finding:
    name, end = case.container.name, case.container.termination
    fate = "PID 1 survived, so nothing was restarted"
    rival = "no instance of the container ended with reason OOMKilled"
    if not case.container.running and end is not None:
        fate = f"PID 1 then ended with exit code {end.exit_code}, so no status says OOMKilled"
    verb = {Confidence.CONFIRMED: "killed", Confidence.LIKELY: "likely killed"}.get(confidence, "may have killed")
    return Finding(
        cause=CODE,
        severity=Severity.WARNING if confidence is Confidence.POSSIBLE and case.container.running else Severity.ERROR,
        confidence=confidence,
        object=case.ref,
        message=f"The kernel {verb} a child process of container {name}{times} for memory; {fate}.",
        evidence=(*evidence, *_restarts(case)),
        ruled_out=(RuledOut("OOMKilled", rival),),
        fix=tuple(_fixes(case)),
        verify=(kubectl("logs", case.pod.name, "-c", name, "--tail=200", namespace=case.pod.namespace),),
        details={"killedBy": case.kill_level},
    )


def _restarts(case: Case) -> Iterator[Evidence]:
    """Quote the number of restarts, where it was seen."""
    if case.snapshot.covers(case.pod.raw, "status.containerStatuses.restartCount"):
        yield case.container.fact("status", "restartCount", case.container.restarts)


def _fixes(case: Case) -> Iterator[Fix]:
    limit, name = case.limit.size, case.container.name
    workers = case.workers if case.workers is not None and "threads" not in case.workers.row else None
    if workers is not None and limit is not None:
        yield worker_fix(case, workers, workers.fitting(limit))
    else:
        few = f"fewer workers ({workers.setting})" if workers is not None else "fewer workers"
        larger = larger_limit(case, 2 * limit) if limit is not None else None
        tool = build_tool(case.container)
        less = str(tool["fewer"]) if tool is not None else ""
        if case.program is not None and "fix" in case.program.row:
            yield program_fix(case)
            less = "Its children need what the largest of them needs."
        elif case.program is not None and not less:
            less = case.program.children
        if larger is not None:
            words = f". {less}" if less else f", or give it {few}: measure one under load, and multiply."
            yield raise_fix(case, larger, words)
        else:
            bound = "a memory limit that holds them" if limit is None else "a larger node"
            words = f"Give container {name} {few}, or {bound}: measure one worker under load, and multiply."
            if less and limit is None:
                words = f"Give container {name} a memory limit that holds its largest load. {less}"
            yield case.template_fix(words, None)
    node = case.pod.node or "NODE"
    yield Fix(
        "Read the kernel's log of the node for 'Killed process' at that time, which proves it; "
        "container_oom_events_total of cAdvisor counts it.",
        actor=Actor.NODE,
        commands=(kubectl("debug", f"node/{node}", "-it", "--image=busybox", "--", "chroot", "/host", "dmesg", "-T"),),
    )
