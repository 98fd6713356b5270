"""Which ends of a container were OOM kills, by the runtime's reason or its words."""

from __future__ import annotations

from kubetriage.readers.terminations import Termination
from kubetriage.values.patterns import lazy

# runc 1.1 and later: the first process died at the limit before it became the program (StartError, exit code 128).
_KILLED_BEFORE_START = lazy(r"container init was OOM-killed")


def before_start(end: Termination) -> bool:
    """Tell whether runc's first process was killed, so that the program never ran."""
    return end.reason != "OOMKilled" and bool(_KILLED_BEFORE_START.search(end.message))


def was_oom_kill(end: Termination) -> bool:
    """Tell whether an end is an OOM kill by the runtime's reason, or by runc's words about one before the start."""
    return end.reason == "OOMKilled" or before_start(end)
