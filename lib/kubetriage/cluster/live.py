"""Reads a running cluster: raw JSON over pooled connections, many reads at once, nothing but GET.

The command line does::

    reader = LiveReader(session, trace=print_to_stderr if verbose else None)
    snapshot, answer = collect(plugin, request, reader)

Whatever a read ends in becomes an answer or a :class:`Failure` in the snapshot. Only when the API server answers
nothing at all on first contact does :meth:`LiveReader.fetch` raise ClusterError, with kubectl's words.
"""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, timezone
from functools import partial

from kubetriage.cluster.ahead import Ahead, Begun
from kubetriage.cluster.api import Api, Call, NoAnswerError, end_of_run
from kubetriage.cluster.asking import Asker, Progress, first_sample
from kubetriage.cluster.connect import POOL_SIZE, Session
from kubetriage.cluster.connections import Headers
from kubetriage.cluster.errors import ClusterError, NotServedError
from kubetriage.cluster.workers import Job, Pages, Workers
from kubetriage.needs import Body, Dial, Failure, Get, List, Log, Need, Raw, Why
from kubetriage.snapshot import Eager, Snapshot
from kubetriage.values.times import parse_http_date

_GRACE = 0.5
"""Seconds that a worker has to notice by itself that its time is over, before its job is given up."""
_RUNTIME_LINE = 16 * 1024
"""Bytes at which containerd and CRI-O split a line of a log (max_container_log_line_size)."""
_LISTS_QUIET = 1.5
"""Seconds after which the progress is no longer that of the last list that grew."""


class LiveReader(Eager):
    """Answers needs from an API server."""

    def __init__(
        self,
        session: Session,
        *,
        deadline: float | None = None,
        interval: float = 10.0,
        max_workers: int = POOL_SIZE,
        trace: Callable[[str], None] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Prepare to read; nothing is sent yet.

        ``deadline`` is the time in seconds for the whole run, counted from :meth:`open`; what is not answered by then
        is a gap. ``interval`` is the time in seconds between the two samples of a path. ``max_workers`` bounds the
        reads under way. ``trace`` gets one line per request for ``-v``, ``progress`` the growth of long lists.
        """
        self._session = session
        self._api = Api(session, trace)
        self._api.on_headers = self._note_date
        self._asker = Asker(session, self._api, progress)
        self._deadline = deadline
        self._ends = float("inf")
        self._interval = interval
        self._workers = Workers(max_workers)
        self._ahead = Ahead()
        self._progress = progress
        self._clock: datetime | None = None
        self.skew = timedelta()
        """How far the API server's clock is ahead of ours; known after the first answer."""

    def open(self) -> Snapshot:
        """Return an empty snapshot.

        Its clock is ours until the first answer brings the API server's: ``now`` is then corrected.
        """
        # Workers that begin together would import it against each other, and a mistake in it ends the run here.
        self._session.pool()
        self._ends = time.monotonic() + self._deadline if self._deadline else float("inf")
        self._clock = None
        self._asker.sampled.clear()
        self._ahead = Ahead()
        return Snapshot(now=datetime.now(timezone.utc).replace(microsecond=0))

    def expect(self, needs: Iterable[Need], snapshot: Snapshot) -> None:
        """Begin to read what will most likely be asked for; nothing waits for it, and its failure is nobody's."""
        unheard: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._ahead.wave += 1
        for need in dict.fromkeys(needs):
            own_moment = isinstance(need, Dial) or (isinstance(need, Raw) and need.sample)
            if own_moment or self._ahead.answering(need, snapshot) is not None:
                continue
            begun = self._ahead.begin(need, self._ends)
            self._workers.submit(begun.job, partial(self._work_ahead, begun), unheard)

    def begun(self, need: Need, snapshot: Snapshot) -> int | None:
        """Return with which call of :meth:`expect` a read began that answers a need; None where none has."""
        found = self._ahead.answering(need, snapshot)
        return None if found is None else found.wave

    def fetch(self, needs: Iterable[Need], snapshot: Snapshot) -> None:
        """Answer each need, all at once as far as the workers go; second samples after the interval, together.

        Raises ClusterError when the API server was never reached.
        """
        wanted = [n for n in dict.fromkeys(needs) if not snapshot.knows(n)]
        later = [n for n in wanted if isinstance(n, Raw | Dial) and n.sample]
        self._run([n for n in wanted if n not in later], snapshot)
        if later:
            self._wait_for_interval(later)
            self._run(later, snapshot)
        snapshot.stale = self._asker.stale

    # Running jobs.

    def _run(self, needs: Iterable[Need], snapshot: Snapshot) -> None:
        jobs = [Job(need, Call(ends=self._ends)) for need in needs]
        for job in jobs:
            job.begun = self._ahead.answering(job.need, snapshot)
            if job.begun is not None:
                # One clock, so that a read that hangs is given up by whoever waits for it.
                job.call = job.begun.job.call
        if all(isinstance(need, Raw) and need.patience for need in (job.need for job in jobs)):
            for job in jobs:
                job.until = time.monotonic() + getattr(job.need, "patience", 0.0)
        done: queue.SimpleQueue[Job] = queue.SimpleQueue()
        for job in jobs:
            self._workers.submit(job, self._work, done)
        waiting = {id(job): job for job in jobs}
        try:
            while waiting:
                try:
                    job = done.get(timeout=self._patience(waiting.values()))
                except queue.Empty:
                    for late in [j for j in waiting.values() if self._is_late(j)]:
                        self._give_up(late)
                        del waiting[id(late)]
                else:
                    waiting.pop(id(job), None)
                self._tell_waiting(len(jobs) - len(waiting), len(jobs))
        except KeyboardInterrupt:
            self._enter_all([j for j in jobs if id(j) not in waiting], snapshot)
            for job in waiting.values():
                job.call.cancelled.set()
                if isinstance(job.need, List) and job.arrived is not None:
                    for obj in tuple(job.arrived.items):
                        snapshot.add(job.need.resource, obj)
            raise
        self._check_contact(jobs)
        self._enter_all(jobs, snapshot)

    def _enter_all(self, jobs: Iterable[Job], snapshot: Snapshot) -> None:
        if self._clock is not None:
            snapshot.now = self._clock
        for job in jobs:
            if job.crash is not None:
                raise job.crash
            self._enter(job, snapshot)

    def _patience(self, jobs: Iterable[Job]) -> float | None:
        # Polling now and then: a job that is still queued gets its time limit only when it starts.
        return max(0.0, min(min(map(self._late_at, jobs)) - time.monotonic(), 1.0))

    def _late_at(self, job: Job) -> float:
        return min(min(self._asker.expires(job), self._ends) + _GRACE, job.until)

    def _is_late(self, job: Job) -> bool:
        return time.monotonic() >= self._late_at(job)

    def _give_up(self, job: Job) -> None:
        """Stop waiting for a job whose worker hangs (a name server that never answers, a body that drips)."""
        job.given_up = True
        job.call.cancelled.set()
        words = "net/http: request canceled (Client.Timeout exceeded while awaiting headers)"
        if time.monotonic() < min(self._asker.expires(job), self._ends):
            words = "too slow: everything else was answered before"
        job.error = NoAnswerError(Failure(Why.TIMEOUT, words), f"Unable to connect to the server: {words}")
        self._workers.replace(job)

    def _work(self, job: Job) -> None:
        try:
            if job.begun is not None and job.begun.settle(job):
                return
            job.outcome = self._asker.answer(job)
        except NotServedError as error:
            job.crash = error
        except NoAnswerError as error:
            if not job.given_up:
                job.error = error
        except ClusterError as error:
            job.error = NoAnswerError(Failure(Why.FAILED, str(error)), str(error))
        except json.JSONDecodeError:
            words = "the answer is not JSON: perhaps a proxy or a login page answered"
            job.error = NoAnswerError(Failure(Why.FAILED, words), f"error: {words}")
        except (ValueError, RecursionError) as error:
            job.error = NoAnswerError(Failure(Why.FAILED, f"the answer cannot be read: {error}"), f"error: {error}")
        except BaseException as error:
            # A defect of ours must end the run in the main thread, not vanish in a worker.
            job.crash = error

    def _work_ahead(self, begun: Begun, job: Job) -> None:
        try:
            self._work(job)
        finally:
            begun.done.set()

    def _check_contact(self, jobs: list[Job]) -> None:
        """Raise kubectl's words when this was the first contact and nothing came of it."""
        failed = [j.error for j in jobs if j.error is not None]
        if not failed or len(failed) < len(jobs) or self._api.reached:
            return
        raise ClusterError(failed[0].line or str(end_of_run(str(failed[0]))))

    def _enter(self, job: Job, snapshot: Snapshot) -> None:
        need, outcome = job.need, job.outcome
        if job.given_up or outcome is None:
            assert job.error is not None
            snapshot.fail(need, self._explained(job.error.failure))
        elif isinstance(outcome, Failure):
            if isinstance(need, List) and job.arrived is not None:
                # What came of a list that broke off is there all the same.
                for obj in job.arrived.items:
                    snapshot.add(need.resource, obj)
            snapshot.fail(need, outcome)
        elif isinstance(need, List):
            assert isinstance(outcome, Pages)
            snapshot.add_shaped(need, outcome.items, outcome.dropped)
        elif isinstance(need, Log):
            assert isinstance(outcome, str)
            snapshot.add_log(need, outcome)
        elif isinstance(need, Get):
            assert isinstance(outcome, Mapping)
            snapshot.add(need.resource, outcome)
        else:
            assert isinstance(outcome, Body)
            snapshot.add_body(need, outcome)

    def _explained(self, failure: Failure) -> Failure:
        if failure.why is Why.TIMEOUT and time.monotonic() >= self._ends:
            return Failure(Why.TIMEOUT, f"not answered within the time limit of {self._deadline:g}s for the whole run")
        return failure

    def _wait_for_interval(self, needs: Iterable[Need]) -> None:
        firsts = [self._asker.sampled[f] for n in needs if (f := first_sample(n)) in self._asker.sampled]
        if firsts:
            until = min(max(firsts) + self._interval, self._ends)
            while (left := until - time.monotonic()) > 0:
                if self._progress is not None:
                    whole = round(self._interval)
                    self._progress("seconds to the second sample", max(whole - round(left), 0), whole)
                time.sleep(min(left, 1.0))

    def _tell_waiting(self, answered: int, asked: int) -> None:
        """Say how many reads are answered, unless lists have something better to say."""
        if self._progress is not None and time.monotonic() - self._asker.told > _LISTS_QUIET:
            self._progress("reads answered", answered, asked)

    def _note_date(self, path: str, headers: Headers) -> None:
        """Take the API server's clock from the first answer that is its own."""
        if self._clock is not None or "/proxy/" in path:
            return
        moment = parse_http_date(headers.get("Date") or "")
        if moment is None:
            return
        self.skew = moment - datetime.now(timezone.utc)
        self._clock = moment
