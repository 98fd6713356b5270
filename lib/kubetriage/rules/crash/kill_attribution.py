"""Who ended an instance of a container: the attribution of exit code 137 and of every other kill.

An exit code says how a process ended, never who ended it. What the kubelet and the runtime said about the
instance decides first, then its lifetime against the probes that could have killed it; the rivals are listed
with what rules them out, or with why nothing does.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Confidence, Evidence, RuledOut
from kubetriage.readers.events import Event
from kubetriage.readers.logs import last_error
from kubetriage.readers.pods import Container
from kubetriage.readers.terminations import Termination
from kubetriage.records import dataclass, replace
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.probes import MINIMUM_GRACE, Probe, ProbeKind, happened_in, probe_events, probe_of
from kubetriage.rules.crash.unreported_kills import unreported_killer
from kubetriage.values.fields import dig, number, text
from kubetriage.values.patterns import lazy
from kubetriage.values.times import precise_duration, span_of


class Killer(str, enum.Enum):
    """What ended an instance."""

    OOM = "OOMKilled"
    LIVENESS = "LivenessProbeFailed"
    STARTUP = "StartupProbeFailed"
    POST_START = "PostStartHookFailed"
    STOPPED = "Stopped"
    """The kubelet stopped it: deletion, eviction, drain, a new sandbox, a changed definition, a resize."""
    LOST = "Lost"
    """Nobody saw the end: the runtime or the kubelet lost the container."""
    UNKNOWN = "Unknown"
    """Something sent SIGKILL or SIGTERM, and nothing says what."""


@dataclass(frozen=True)
class Attribution:
    """Who ended an instance, and how that is known."""

    killer: Killer
    confidence: Confidence
    evidence: tuple[Evidence, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    still_possible: tuple[RuledOut, ...] = ()
    """Rivals that nothing visible rules out, each with why."""
    event: Event | None = None
    """The kubelet's own word, of this instance or of an earlier one."""


# Texts of the Killing event in kuberuntime_manager.go and kuberuntime_container.go, 1.28 to 1.37; "will be
# restarted" follows only where the restart policy says so.
_KILLING: tuple[tuple[Killer, re.Pattern[str]], ...] = (
    (Killer.LIVENESS, lazy(r"failed liveness probe")),
    (Killer.STARTUP, lazy(r"failed startup probe")),
    (Killer.POST_START, lazy(r"FailedPostStartHook")),
    (Killer.STOPPED, lazy(r"Stopping container|definition changed|resize requires restart|in unknown state")),
)
_PROBE_OF: dict[Killer, ProbeKind] = {Killer.LIVENESS: "liveness", Killer.STARTUP: "startup"}
_KUBELET_BURST = 25
"""The recorder lets 25 events per source and object through, then one in five minutes (client-go
``EventAggregator``/``EventSourceObjectSpamFilter``): beyond that an event may be missing."""


def attribute(case: Case, container: Container, end: Termination | None = None) -> Attribution | None:
    """Say who ended an instance (default: the newest that ended); None when it ended by itself.

    None also when exit code and events give no sign of a kill at all.
    """
    end = end or container.termination
    if end is None:
        return None
    if end.reason == "OOMKilled":
        return Attribution(Killer.OOM, Confidence.CONFIRMED, (end.evidence(),))
    if end.reason == "ContainerStatusUnknown" or (end.reason == "Unknown" and end.exit_code == 255):
        return Attribution(Killer.LOST, Confidence.CONFIRMED, (end.evidence(),))
    told = _told_by_events(case, container, end)
    if told is not None:
        return told
    if end.exit_code in (137, 143, 0):
        told = (
            _told_by_lifetime(case, container, end)
            or _told_by_failures(case, container, end)
            or _told_by_hook(case, container, end)
        )
        if told is not None:
            return told
    if end.exit_code in (137, 143):
        return Attribution(
            Killer.UNKNOWN,
            Confidence.LIKELY if case.events.seen else Confidence.POSSIBLE,
            (end.evidence(),),
            tuple(_ruled_out(case, container, end)),
            tuple(_still_possible(case, container, end)),
        )
    return None


def _kills(case: Case, container: Container) -> list[tuple[Killer, Event]]:
    found = []
    for event in case.events.select("Killing", container=container.name):
        killer = next((k for k, pattern in _KILLING if pattern.search(event.message)), None)
        if killer is not None:
            found.append((killer, event))
    # The kubelet kills for a failed hook right away; of the two events the recorder may drop one.
    found += [(Killer.POST_START, e) for e in case.events.select("FailedPostStartHook", container=container.name)]
    return found


def _told_by_events(case: Case, container: Container, end: Termination) -> Attribution | None:
    kills = _kills(case, container)
    if any(k is Killer.POST_START for k, _ in kills) and _failed_by_itself(case, container, end):
        # A hook cannot run in a container that has ended, so its failure follows.
        kills = [(k, e) for k, e in kills if k is not Killer.POST_START]
    inside = [(k, e) for k, e in kills if happened_in(e, end.started, end.finished)]
    if not inside and container.waiting_reason == "PostStartHookError":
        message = container.waiting_message or "PostStartHookError"
        evidence = (end.evidence(), container.fact("status", "state.waiting", message))
        return Attribution(Killer.POST_START, Confidence.CONFIRMED, evidence)
    if inside:
        killer, event = inside[0]
        why = _sandbox_changed(case, end) if killer is Killer.STOPPED else ()
        return Attribution(
            killer,
            Confidence.CONFIRMED,
            (end.evidence(), event.evidence(), *why),
            tuple(_not_oom(end)),
            event=event,
        )
    # Events of a busy pod are dropped and folded: an earlier instance's kill speaks for this one when it ended at
    # the age at which the probe kills from the start, or when it was failing again, or when the recorder is known
    # to drop and the age at least allows it.
    for killer, event in reversed(kills):
        kind = _PROBE_OF.get(killer)
        probe = probe_of(container, kind) if kind else None
        failing = kind is not None and any(
            happened_in(p.event, end.started, end.finished) for p in probe_events(case, container, kind)
        )
        if killer is Killer.POST_START:
            fits = _may_have_hook(case, container) and _is_kill_code(end)
        else:
            fits = probe is not None and end.lifetime is not None and probe.fits(end.lifetime, end.exit_code, told=True)
        allowed = (
            probe is not None
            and end.lifetime is not None
            and end.lifetime.total_seconds() >= probe.earliest - 1
            and (failing or not events_cover(case, end))
            and _is_kill_code(end)
        )
        # Printed ages are rounded, and clocks differ: as many kills as restarts leave no other end.
        counted = (
            kind is not None
            and end.exit_code in (137, 143)
            and 1 < event.count >= container.restarts
            and (probe is None or end.lifetime is None or end.lifetime.total_seconds() >= probe.earliest - 1)
        )
        if not fits and not allowed and not counted:
            continue
        sure = failing or (fits and event.count > 1) or killer is Killer.POST_START
        said = event.evidence()
        shown = [end.evidence(), replace(said, at=f"{said.at} of an earlier instance")]
        if probe is not None and fits:
            shown.append(lifetime_evidence(probe, end))
        return Attribution(
            killer,
            Confidence.CONFIRMED if sure else Confidence.LIKELY,
            tuple(shown),
            tuple(_not_oom(end)),
            event=event,
        )
    return None


def _may_have_hook(case: Case, container: Container) -> bool:
    """Tell whether the container has a postStart hook; where the spec's form hides hooks, that it may have one."""
    if dig(container.spec, "lifecycle", "postStart") is not None:
        return True
    return not case.snapshot.covers(case.pod.raw, f"spec.{container.spec_list}.lifecycle")


def _failed_by_itself(case: Case, container: Container, end: Termination) -> bool:
    """Tell whether the exit code is the program's own and its log ends with a fatal error."""
    error = last_error(case.log(container).text) if not _is_kill_code(end) else None
    return error is not None and error.weight == "fatal"


def _sandbox_changed(case: Case, end: Termination) -> tuple[Evidence, ...]:
    """Quote the change of the pod's sandbox that made the kubelet stop everything in it."""
    for event in reversed(case.events.select("SandboxChanged")):
        if event.last and end.finished and abs(event.last - end.finished) <= timedelta(minutes=2):
            return (event.evidence(),)
    return ()


def _is_kill_code(end: Termination) -> bool:
    return end.exit_code in (0, 137, 143)


def lifetime_evidence(probe: Probe, end: Termination) -> Evidence:
    """Show the lifetime against the probe's window."""
    lived = precise_duration(end.lifetime) if end.lifetime is not None else "unknown"
    said = probe.evidence()
    value = f"{said.value}; lived {lived}: a probe that never passes ends it {probe.window_words(end.exit_code)}"
    return Evidence(said.source, said.at, value)


def events_cover(case: Case, end: Termination) -> bool:
    """Tell whether a kill of this instance by a probe would show in the events that are left.

    Events live for an hour by default, and a busy source loses some.
    """
    kubelet = [e for e in case.events.items if e.component == "kubelet"]
    if not case.events.seen or end.started is None or sum(e.count for e in kubelet) > _KUBELET_BURST:
        return False
    return any(e.first is not None and end.finished is not None and e.first <= end.finished for e in kubelet)


def _told_by_lifetime(case: Case, container: Container, end: Termination) -> Attribution | None:
    """Judge by lifetime alone, where no event speaks: never more than likely."""
    life = end.lifetime
    if life is None or events_cover(case, end):
        return None
    for killer, kind in ((Killer.STARTUP, "startup"), (Killer.LIVENESS, "liveness")):
        probe = probe_of(container, _PROBE_OF[killer])
        if probe is None or not probe.fits(life, end.exit_code):
            continue
        if kind == "liveness" and probe_of(container, "startup") is not None and container.started is None:
            continue
        before = container.last_termination if container.current_termination is not None else None
        alike = before is not None and before.lifetime is not None and probe.fits(before.lifetime, before.exit_code)
        # SIGKILL at exactly the window's end is telling; a SIGTERM that was obeyed less so, and a clean exit
        # within a long grace period could as well be the program's own end.
        telling = end.exit_code == 137 or (end.exit_code == 143 and (alike or container.restarts > 1))
        confidence = Confidence.LIKELY if telling and (alike or container.restarts > 1) else Confidence.POSSIBLE
        return Attribution(
            killer,
            confidence,
            (end.evidence(), lifetime_evidence(probe, end)),
            tuple(_not_oom(end)),
            (
                RuledOut(
                    "CompletedButRestarted" if end.exit_code == 0 else "KilledBySignal",
                    f"not ruled out: the events that would name the kubelet's kill {_no_events(case)}",
                ),
            ),
        )
    return None


def _told_by_failures(case: Case, container: Container, end: Termination) -> Attribution | None:
    """Judge by failures of a probe right before a kill whose own event the recorder may have dropped."""
    if end.exit_code not in (137, 143) or events_cover(case, end) or end.finished is None:
        return None
    for killer, kind in ((Killer.STARTUP, "startup"), (Killer.LIVENESS, "liveness")):
        probe = probe_of(container, _PROBE_OF[killer])
        if probe is None:
            continue
        reach = span_of(probe.period + probe.timeout + probe.grace + 2)
        for failure in probe_events(case, container, _PROBE_OF[killer]):
            last = failure.event.last
            if failure.errored or last is None or not happened_in(failure.event, end.started, end.finished):
                continue
            if end.finished - last <= reach and failure.event.count >= probe.threshold:
                return Attribution(
                    killer,
                    Confidence.LIKELY,
                    (end.evidence(), failure.event.evidence(), probe.evidence()),
                    tuple(_not_oom(end)),
                    (
                        RuledOut(
                            "KilledBySignal", f"not ruled out: the {kind} probe's Killing event is not among the events"
                        ),
                    ),
                )
    return None


def _told_by_hook(case: Case, container: Container, end: Termination) -> Attribution | None:
    """Judge a SIGKILL one grace period after the start: a postStart hook that failed at once fits, no more."""
    hook = dig(container.spec, "lifecycle", "postStart")
    if hook is None or end.exit_code != 137 or end.lifetime is None or events_cover(case, end):
        return None
    given = number(case.pod.raw, "spec", "terminationGracePeriodSeconds")
    grace = max(30 if given is None else given, MINIMUM_GRACE)
    if not grace - 1 <= end.lifetime.total_seconds() <= grace + MINIMUM_GRACE + 1:
        return None
    lived = precise_duration(end.lifetime)
    shown = container.fact(
        "spec", "lifecycle.postStart", f"lived {lived}; a hook that fails at once ends it {grace} s on"
    )
    rival = RuledOut(
        "KilledBySignal", f"not ruled out: the events that would name the kubelet's kill {_no_events(case)}"
    )
    return Attribution(Killer.POST_START, Confidence.POSSIBLE, (end.evidence(), shown), tuple(_not_oom(end)), (rival,))


def _no_events(case: Case) -> str:
    return "have expired or were dropped" if case.events.seen else f"could not be read ({case.events.why})"


def _not_oom(end: Termination) -> Iterator[RuledOut]:
    if end.exit_code == 137:
        yield RuledOut("OOMKilled", f"the runtime saw no OOM kill: reason is {end.reason or 'empty'}, not OOMKilled")


def _ruled_out(case: Case, container: Container, end: Termination) -> Iterator[RuledOut]:
    limited = container.memory_limit or text(case.pod.raw, "spec", "resources", "limits", "memory")
    if limited and unreported_killer(case) is None:
        yield from _not_oom(end)
    for kind, code in (("liveness", "LivenessProbeFailed"), ("startup", "StartupProbeFailed")):
        probe = probe_of(container, "liveness" if kind == "liveness" else "startup")
        if probe is None:
            yield RuledOut(code, f"the container has no {kind} probe")
        elif events_cover(case, end):
            yield RuledOut(code, "the kubelet's events of this time hold no Killing by a probe")
        elif end.lifetime is not None and end.lifetime.total_seconds() < probe.earliest - 1:
            lived = precise_duration(end.lifetime)
            yield RuledOut(code, f"it lived {lived}; this probe cannot kill before {probe.earliest} s")
    if not case.pod.deleting:
        yield RuledOut("StuckTerminating", "metadata.deletionTimestamp is not set: the pod was not being deleted")
    if not case.pod.reason:
        yield RuledOut("Evicted", "status.reason is empty: the pod was neither evicted nor preempted")
    if not _may_have_hook(case, container):
        yield RuledOut("PostStartHookFailed", "the container has no postStart hook")


def _still_possible(case: Case, container: Container, end: Termination) -> Iterator[RuledOut]:
    for kind, code in (("liveness", "LivenessProbeFailed"), ("startup", "StartupProbeFailed")):
        probe = probe_of(container, "liveness" if kind == "liveness" else "startup")
        early = probe and end.lifetime is not None and end.lifetime.total_seconds() < probe.earliest - 1
        if probe is not None and not events_cover(case, end) and not early:
            yield RuledOut(
                code, f"not ruled out: it has a {kind} probe, and the events of that time {_no_events(case)}"
            )
    if dig(container.spec, "lifecycle", "postStart") is not None and not events_cover(case, end):
        yield RuledOut(
            "PostStartHookFailed",
            f"not ruled out: it has a postStart hook, and the events of that time {_no_events(case)}",
        )
    limited = container.memory_limit or text(case.pod.raw, "spec", "resources", "limits", "memory")
    killer = unreported_killer(case) if end.exit_code == 137 else None
    if killer is not None:
        yield RuledOut("OOMKilled", f"not ruled out: {killer.words}")
    elif end.exit_code == 137 and not limited:
        yield RuledOut(
            "OOMKilled",
            "not ruled out: no memory limit, and a kill by the node's own OOM killer can stay without a reason",
        )
    if end.exit_code == 137:
        yield RuledOut(
            "AppError", "not ruled out: a shell as PID 1 ends with 137 when its child was killed; so does exit(137)"
        )
