"""Reads that were begun before the plan asked for them, and what they answer once it does.

A guess is about what a name tells: the log of the only container, the events of a pod whose uid is not known yet. It
answers a need only where it is sure to say the same; a guess that failed answers nothing but the same question.
"""

from __future__ import annotations

import threading

from kubetriage.cluster.api import Call
from kubetriage.cluster.workers import Job, Pages
from kubetriage.needs import List, Log, Need
from kubetriage.records import dataclass, field
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import objects, text

_BY_UID = "involvedObject.uid="
_BY_NAME = "involvedObject.kind=Pod,involvedObject.name="


@dataclass
class Begun:
    """A read under way or done."""

    job: Job
    wave: int
    """Reads of one number began together."""
    done: threading.Event = field(default_factory=threading.Event)

    def settle(self, job: Job) -> bool:
        """Wait for the answer and give it to ``job``; False when it has to ask for itself."""
        self.done.wait()
        mine, need = self.job, job.need
        if mine.need == need:
            job.outcome, job.error, job.crash, job.arrived = mine.outcome, mine.error, mine.crash, mine.arrived
            return True
        if isinstance(need, List) and isinstance(mine.outcome, Pages):
            uid = need.fields.removeprefix(_BY_UID)
            about = [e for e in mine.outcome.items if text(e, "involvedObject", "uid") == uid]
            job.outcome = Pages(about, 0)
            return True
        if isinstance(need, Log) and isinstance(mine.outcome, str):
            job.outcome = mine.outcome
            return True
        return False


class Ahead:
    """What was begun, by what it was begun for."""

    def __init__(self) -> None:
        self._begun: dict[Need, Begun] = {}
        self.wave = 0
        """Number of what begins now."""

    def begin(self, need: Need, ends: float) -> Begun:
        """Take note of a read that starts now."""
        begun = self._begun[need] = Begun(Job(need, Call(ends=ends)), self.wave)
        return begun

    def answering(self, need: Need, snapshot: Snapshot) -> Begun | None:
        """Return the read that answers a need, where one does."""
        if need in self._begun:
            return self._begun[need]
        if isinstance(need, Log) and need.container == _only_container(snapshot, need):
            # Without a container's name the API server takes the only one, and refuses where there are several.
            return self._begun.get(Log(need.namespace, need.pod, "", need.previous, need.tail_lines, need.limit_bytes))
        if isinstance(need, List) and need.resource == "events" and need.fields.startswith(_BY_UID):
            uid = need.fields.removeprefix(_BY_UID)
            for begun in self._begun:
                if isinstance(begun, List) and begun.namespace == need.namespace and begun.fields.startswith(_BY_NAME):
                    pod = snapshot.get("pods", need.namespace, begun.fields.removeprefix(_BY_NAME))
                    if pod.found and text(pod.obj, "metadata", "uid") == uid:
                        return self._begun[begun]
        return None


def _only_container(snapshot: Snapshot, need: Log) -> str:
    pod = snapshot.get("pods", need.namespace, need.pod)
    known = objects(pod.obj, "spec", "containers") if pod.found else ()
    return text(known[0], "name") if len(known) == 1 else ""
