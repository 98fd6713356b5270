"""Threads that answer needs: what one read is doing, and a bounded number of workers that no hanging read blocks."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable

from kubetriage.cluster.api import Call, NoAnswerError
from kubetriage.needs import Body, Failure, Need
from kubetriage.records import dataclass, field
from kubetriage.typed import Protocol
from kubetriage.values.fields import Obj


@dataclass
class Pages:
    """A list as it arrived: what its shape kept, and how many objects it dropped."""

    items: list[Obj]
    dropped: int


Outcome = Obj | Pages | str | Body | Failure


class Settles(Protocol):
    """A read that was begun before anybody asked for it."""

    job: Job

    def settle(self, job: Job) -> bool:
        """Wait for the answer and give it to ``job``; False when it has to ask for itself."""


@dataclass
class Job:
    """One need on its way to an answer."""

    need: Need
    call: Call
    outcome: Outcome | None = None
    error: NoAnswerError | None = None
    crash: BaseException | None = None
    arrived: Pages | None = None
    """What has come so far of a list."""
    thread: threading.Thread | None = None
    given_up: bool = field(default=False)
    until: float = float("inf")
    """When (monotonic) it is not waited for any more."""
    begun: Settles | None = None
    """The read that was begun earlier and may answer this one."""


_IDLE_SECONDS = 5.0
"""A thread without work ends after this time, so that a long --watch does not gather them."""


class Workers:
    """A bounded number of daemon threads, started when there is work: a hanging one never holds up the exit."""

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._tasks: deque[tuple[Job, Callable[[Job], None], queue.SimpleQueue[Job]]] = deque()
        self._wake = threading.Condition()
        self._idle = 0
        self._alive = 0

    def submit(self, job: Job, work: Callable[[Job], None], done: queue.SimpleQueue[Job]) -> None:
        """Have ``work`` done on the job by some thread, which then puts it into ``done``."""
        with self._wake:
            self._tasks.append((job, work, done))
            if self._idle >= len(self._tasks) or self._alive >= self._most:
                self._wake.notify()
                return
            self._alive += 1
        threading.Thread(target=self._serve, daemon=True).start()

    def replace(self, job: Job) -> None:
        """Let another thread take the place of the one that hangs in a job."""
        with self._wake:
            if job.thread is None:
                return
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            with self._wake:
                self._idle += 1
                self._wake.wait_for(lambda: self._tasks, _IDLE_SECONDS)
                self._idle -= 1
                if not self._tasks:
                    self._alive -= 1
                    return
                job, work, done = self._tasks.popleft()
                job.thread = threading.current_thread()
            if not job.given_up:
                work(job)
                done.put(job)
            if job.given_up:
                # Another thread has taken this one's place.
                return
            # A waiting thread must not keep the reader and its connections.
            del job, work, done
