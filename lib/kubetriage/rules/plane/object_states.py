"""States of single objects: in comes a node or pod, out goes its readiness, its restarts, why it waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from kubetriage.typed import Any
from kubetriage.values.fields import Obj, condition, objects, text
from kubetriage.values.times import parse_time


def ready_status(node: Obj) -> str:
    """Return the status of a node's Ready condition."""
    return text(condition(node, "Ready"), "status")


def ready_since(node: Obj) -> datetime | None:
    """Return when a node's Ready condition last changed."""
    return parse_time(text(condition(node, "Ready"), "lastTransitionTime"))


def restarts(pod: Obj) -> Iterator[tuple[str, int, datetime | None, int | None, str]]:
    """Yield name, restart count, end of the last instance, its exit code and its reason per restarted container."""
    for status in objects(pod, "status", "containerStatuses"):
        count = status.get("restartCount")
        if isinstance(count, int) and count > 0:
            ended: Mapping[str, Any] = {}
            for state in ("state", "lastState"):
                candidate = status.get(state)
                terminated = candidate.get("terminated") if isinstance(candidate, Mapping) else None
                if isinstance(terminated, Mapping):
                    ended = terminated
                    break
            code = ended.get("exitCode")
            yield (
                text(status, "name"),
                count,
                parse_time(text(ended, "finishedAt")),
                code if isinstance(code, int) else None,
                text(ended, "reason"),
            )


def waiting(pod: Obj) -> str:
    """Return why a container of a pod waits (``CrashLoopBackOff``); empty when none does."""
    for status in objects(pod, "status", "containerStatuses"):
        reason = text(status, "state", "waiting", "reason")
        if reason:
            return reason
    return ""
