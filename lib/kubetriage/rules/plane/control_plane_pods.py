"""The control plane's own pods as evidence: in come statuses and events, out goes who fails and who ended whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from kubetriage.model import Evidence, Finding, Severity
from kubetriage.needs import Need
from kubetriage.readers.events import Event
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.crash import evaluation
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, dig, flag, name_of, objects, text
from kubetriage.values.times import format_time, parse_time

LOOPS = ("CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "CreateContainerError", "RunContainerError")
_OFTEN = 3
"""Restarts from which on a pod that is down just now is not just restarting once."""


@dataclass(frozen=True)
class Ending:
    """How the last instance of a container ended."""

    code: int | None
    reason: str
    at: datetime | None


@dataclass(frozen=True)
class Failing:
    """One pod of the control plane that does not run, or restarts again and again."""

    pod: Obj
    component: str
    container: str
    restarts: int
    waiting: str
    """``CrashLoopBackOff`` and its like; empty while it is not waiting."""
    ending: Ending
    message: str = ""
    """The kubelet's words for why it waits."""

    @property
    def name(self) -> str:
        """Name of the pod."""
        return name_of(self.pod)

    @property
    def node(self) -> str:
        """Node whose kubelet runs it."""
        return text(self.pod, "spec", "nodeName")

    @property
    def stopped(self) -> bool:
        """It was ended by a signal and complied: not by itself."""
        return self.ending.code in (0, 137, 143) and self.ending.reason not in ("OOMKilled", "ContainerCannotRun")

    def evidence(self) -> Evidence:
        """Quote the status."""
        times = f"{self.restarts} restart{'' if self.restarts == 1 else 's'}"
        state = self.waiting or "not running"
        end = f"last exit {self.ending.code} {self.ending.reason}".rstrip() if self.ending.code is not None else ""
        at = format_time(self.ending.at) if self.ending.at else ""
        return Evidence("status", f"pod {self.name}", ", ".join(p for p in (state, times, end) if p), at)


def _ending(status: Obj) -> Ending:
    for state in ("state", "lastState"):
        ended = dig(status, state, "terminated")
        if isinstance(ended, dict):
            code = ended.get("exitCode")
            return Ending(
                code if isinstance(code, int) else None, text(ended, "reason"), parse_time(text(ended, "finishedAt"))
            )
    return Ending(None, "", None)


def failing(pod: Obj, component: str) -> Failing | None:
    """Return what is the matter with a pod's main container; None when it runs."""
    for status in objects(pod, "status", "containerStatuses"):
        reason = text(status, "state", "waiting", "reason")
        restarts = status.get("restartCount")
        number = restarts if isinstance(restarts, int) else 0
        down = isinstance(dig(status, "state", "terminated"), dict)
        if reason in LOOPS or (down and number >= _OFTEN):
            words = text(status, "state", "waiting", "message")
            return Failing(pod, component, text(status, "name"), number, reason, _ending(status), words)
        if flag(status, "ready") is True:
            continue
    return None


_LATELY = timedelta(minutes=10)
_AN_HOUR = timedelta(hours=1)


def unsteady(pod: Obj, component: str, now: datetime) -> Failing | None:
    """Return a pod that runs now and ended lately, again or for want of memory; None for others."""
    for status in objects(pod, "status", "containerStatuses"):
        restarts = status.get("restartCount")
        number, ending = restarts if isinstance(restarts, int) else 0, _ending(status)
        if ending.at is None or not isinstance(dig(status, "state", "running"), dict):
            continue
        age = now - ending.at
        if (number > _OFTEN and age <= _LATELY) or (ending.reason == "OOMKilled" and age <= _AN_HOUR):
            return Failing(pod, component, text(status, "name"), number, "running again", ending)
    return None


@dataclass(frozen=True)
class Stopped:
    """Static pods of one node that somebody ends again and again, together."""

    node: str
    pods: tuple[Failing, ...]
    events: tuple[Event, ...]
    """Killing and SandboxChanged of these pods."""


def stopped_together(looping: Sequence[Failing], events: Iterable[Event]) -> Stopped | None:
    """Find a node whose kubelet ends static pods that do not fail: a clean end by a signal, with the kubelet's events.

    A kubelet that kills after a failed probe says so by Unhealthy events of that pod. The other pods of the node may
    well end by an error of their own a moment later: what they need is gone.
    """
    told = tuple(events)
    for item in looping:
        if not item.stopped or not item.node:
            continue
        mine = [e for e in told if text(e.raw, "involvedObject", "name") == item.name]
        if any(e.reason == "Unhealthy" and e.message.startswith(("Liveness", "Startup")) for e in mine):
            continue
        rebuilt = sum(e.count for e in mine if e.reason == "SandboxChanged")
        killed = sum(e.count for e in mine if e.reason == "Killing")
        beside = [f for f in looping if f.node == item.node and f is not item]
        if rebuilt >= _OFTEN or (killed >= _OFTEN and beside):
            kept = tuple(e for e in mine if e.reason in ("Killing", "SandboxChanged"))
            return Stopped(item.node, (item, *beside), kept)
    return None


def crash_needs(snapshot: Snapshot, pods: Iterable[Obj]) -> Iterable[Need]:
    """Say what why-crash reads of pods that fail."""
    for raw in pods:
        yield from evaluation.pod_needs(snapshot, Pod(raw), events=False)


def crash_finding(snapshot: Snapshot, pod: Obj) -> Finding | None:
    """Return why-crash's first error about a pod."""
    found = evaluation.diagnose_pod(snapshot, Pod(pod))
    return next((f for f in found if f.severity is Severity.ERROR), None)
