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
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

from kubetriage.cluster.api import Api, Call, NoAnswerError, Reply, end_of_run, quoted, quoted_path, unauthorized
from kubetriage.cluster.connect import POOL_SIZE, Session
from kubetriage.cluster.errors import ClusterError, NotServedError
from kubetriage.cluster.logtext import decode_log, last_bytes
from kubetriage.cluster.replies import failure_of, is_unserved, json_object, keep, kept_lines, list_flaw, unserved
from kubetriage.cluster.secrets import strip
from kubetriage.cluster.workers import Job, Outcome, Pages, Workers
from kubetriage.needs import Body, Dial, Failure, Get, List, Log, Need, Raw, Why
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, name_of, namespace_of, number, text
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_PLURAL, Resource, api_path

PAGE = 500
"""Objects per page, as kubectl asks for (``--chunk-size``)."""
FRESH_SECONDS = 5.0
"""Time for a read that goes through etcd, before the API server's watch cache is asked instead."""
STALE_SECONDS = 4.0
"""Time limit of what has no watch cache (events, logs, figures) once etcd has not answered."""
_LISTS_QUIET = 1.5
"""Seconds after which the progress is no longer that of the last list that grew."""
_EMPTY_PAGES = 3
"""Pages in a row without an object, but with a next one, after which a list is given up."""
_LIST_SECONDS = 300.0
"""Seconds after which a list that still has pages is given up."""
_GRACE = 0.5
"""Seconds that a worker has to notice by itself that its time is over, before its job is given up."""
_RUNTIME_LINE = 16 * 1024
"""Bytes at which containerd and CRI-O split a line of a log (max_container_log_line_size)."""
_NO_LOG = lazy(
    # kubelet kuberuntime_container.go GetContainerLogs: an HTTP 200 with this instead of the log, all versions.
    r"unable to retrieve container logs for \S*\s*\Z"
    # kubelet kuberuntime/logs ReadLogs: the same, when the file is gone.
    r'|failed to try resolving symlinks in path "/var/log/pods/[^\n]*\Z|failed to open log file "/var/log/pods/[^\n]*\Z'
)
_LOG_ABSENT = lazy(
    # kubelet_pods.go validateContainerLogStatus and registry/core/pod LogLocation, 1.28 to 1.36.
    r'previous terminated container "[^"]*" in pod "[^"]*" not found|is waiting to start|is terminated'
    r"|container \S+ is not valid for pod"
)
# apiserver storage/etcd3 and its errors, 1.28 to 1.37: what it says when its store gave no answer.
_STORE = lazy(r"(?i)etcdserver|etcd|context deadline exceeded|request timed out|did not complete within|storage")
_NO_NAMES = (".", "..")
"""What no object is called, whatever refers to it; as a segment of a path it would ask for something else."""

Progress = Callable[[str, int, int | None], None]
"""Told what is read, how many objects have come and how many there will be (None: not known); from any thread."""


class LiveReader:
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
        self._deadline = deadline
        self._ends = float("inf")
        self._interval = interval
        self._workers = Workers(max_workers)
        self._progress = progress
        self._told = float("-inf")
        self._served: dict[str, str] = {}
        self._sampled: dict[Need, float] = {}
        self._clock: datetime | None = None
        self._stale = ""
        self.skew = timedelta()
        """How far the API server's clock is ahead of ours; known after the first answer."""

    def open(self) -> Snapshot:
        """Return an empty snapshot.

        Its clock is ours until the first answer brings the API server's: ``now`` is then corrected.
        """
        # Workers that begin together would import it against each other.
        self._session.pool()
        self._ends = time.monotonic() + self._deadline if self._deadline else float("inf")
        self._clock = None
        self._sampled.clear()
        return Snapshot(now=datetime.now(timezone.utc).replace(microsecond=0))

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
        snapshot.stale = self._stale

    # Running jobs.

    def _run(self, needs: Iterable[Need], snapshot: Snapshot) -> None:
        jobs = [Job(need, Call(ends=self._ends)) for need in needs]
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
        soonest = min(min(j.call.expires, self._ends) for j in jobs)
        # Polling now and then: a job that is still queued gets its time limit only when it starts.
        return max(0.0, min(soonest + _GRACE - time.monotonic(), 1.0))

    def _is_late(self, job: Job) -> bool:
        return time.monotonic() >= min(job.call.expires, self._ends) + _GRACE

    def _give_up(self, job: Job) -> None:
        """Stop waiting for a job whose worker hangs (a name server that never answers, a body that drips)."""
        job.given_up = True
        job.call.cancelled.set()
        words = "net/http: request canceled (Client.Timeout exceeded while awaiting headers)"
        job.error = NoAnswerError(Failure(Why.TIMEOUT, words), f"Unable to connect to the server: {words}")
        self._workers.replace(job)

    def _work(self, job: Job) -> None:
        try:
            job.outcome = self._answer(job)
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
        firsts = [self._sampled[f] for n in needs if (f := _first_sample(n)) in self._sampled]
        if firsts:
            until = min(max(firsts) + self._interval, self._ends)
            while (left := until - time.monotonic()) > 0:
                if self._progress is not None:
                    whole = round(self._interval)
                    self._progress("seconds to the second sample", max(whole - round(left), 0), whole)
                time.sleep(min(left, 1.0))

    # Answering one need, in a worker.

    def _answer(self, job: Job) -> Outcome:
        need, call = job.need, job.call
        if not isinstance(need, Raw) and need.namespace in _NO_NAMES:
            return Failure(Why.NOT_FOUND, f'invalid namespace "{need.namespace}"', 404)
        if isinstance(need, Get):
            if not need.name or need.name in _NO_NAMES:
                return Failure(Why.NOT_FOUND, f'invalid resource name "{need.name}"', 404)
            return self._get(need, call)
        if isinstance(need, List):
            return self._list(need, job)
        if isinstance(need, Log):
            return self._log(need, call)
        if isinstance(need, Raw):
            return self._raw(need, call)
        return self._dial(need, call)

    def _get(self, need: Get, call: Call) -> Outcome:
        resource = BY_PLURAL[need.resource]
        for version in self._versions(resource):
            path = api_path(resource, quoted(need.namespace), quoted(need.name), version)
            reply = self._ask_store(path, [], call)
            if is_unserved(reply):
                continue
            if reply.status != 200:
                return failure_of(reply)
            self._served[resource.plural] = version
            obj = json_object(reply.content)
            if (namespace_of(obj), name_of(obj)) != (need.namespace if resource.namespaced else "", need.name):
                return Failure(Why.FAILED, "the answer is not the object that was asked for", reply.status)
            return strip(resource.plural, obj)
        return unserved(resource)

    def _list(self, need: List, job: Job) -> Outcome:
        resource = BY_PLURAL[need.resource]
        for version in self._versions(resource):
            outcome = self._list_version(need, resource, version, job)
            if outcome is not None:
                self._served[resource.plural] = version
                return outcome
        return unserved(resource)

    def _list_version(self, need: List, resource: Resource, version: str, job: Job) -> Outcome | None:
        """Read all pages; None when the API server does not serve this version."""
        path = api_path(resource, quoted(need.namespace), version=version)
        chosen = [(k, v) for k, v in (("labelSelector", need.labels), ("fieldSelector", need.fields)) if v]
        limit, token, restarts = (0 if need.cached else PAGE), "", 0
        pages = job.arrived = Pages([], 0)
        tokens: set[str] = set()
        empty, begun = 0, time.monotonic()
        while True:
            query = [*chosen]
            if need.cached:
                query.append(("resourceVersion", "0"))
            if limit:
                query.append(("limit", str(limit)))
            if token:
                query.append(("continue", token))
            if need.cached or token or need.resource == "events":
                reply = self._ask(path, query, job.call, limit=self._patient(need.timeout))
            else:
                reply = self._ask_store(path, query, job.call, limit=need.timeout)
            if is_unserved(reply):
                return None
            if reply.status == 410 and restarts < 2:
                # The list changed under us for too long. The second time, take it whole: no token, nothing to expire.
                restarts += 1
                token, limit = "", (limit if restarts == 1 else 0)
                pages = job.arrived = Pages([], 0)
                tokens.clear()
                continue
            if reply.status != 200:
                return failure_of(reply)
            page = json_object(reply.content)
            flaw = list_flaw(page, resource)
            if flaw:
                return Failure(Why.FAILED, flaw, reply.status)
            keep(page.get("items") or [], need, resource, text(page, "apiVersion"), pages)
            token = text(page, "metadata", "continue")
            self._tell(resource.plural, page, pages)
            if not token:
                return pages
            empty = 0 if page.get("items") else empty + 1
            if token in tokens or empty >= _EMPTY_PAGES or time.monotonic() - begun > _LIST_SECONDS:
                came = len(pages.items) + pages.dropped
                return Failure(Why.FAILED, f"the API server's list does not end: {came} objects came", reply.status)
            tokens.add(token)

    def _tell_waiting(self, answered: int, asked: int) -> None:
        """Say how many reads are answered, unless lists have something better to say."""
        if self._progress is not None and time.monotonic() - self._told > _LISTS_QUIET:
            self._progress("reads answered", answered, asked)

    def _tell(self, what: str, page: Obj, pages: Pages) -> None:
        self._told = time.monotonic()
        if self._progress is not None:
            come = len(pages.items) + pages.dropped
            remaining = number(page, "metadata", "remainingItemCount")
            more = text(page, "metadata", "continue")
            self._progress(what, come, come + remaining if remaining is not None else (None if more else come))

    def _versions(self, resource: Resource) -> tuple[str, ...]:
        known = self._served.get(resource.plural)
        return (known,) if known else resource.versions

    def _ask(self, path: str, query: list[tuple[str, str]], call: Call, limit: float = 0.0) -> Reply[bytes]:
        def whole(_: int, pieces: Iterator[bytes]) -> bytes:
            return b"".join(pieces)

        reply = self._api.get(path, query, whole, call, limit=limit or self._session.timeout, compressed=True)
        if reply.status == 401:
            raise unauthorized()
        return reply

    def _ask_store(self, path: str, query: list[tuple[str, str]], call: Call, limit: float = 0.0) -> Reply[bytes]:
        """Ask for what stands in etcd; where etcd gives no answer, for what the API server remembers of it.

        The watch cache outlives etcd in most versions, and knows what was there a moment before it went.
        """
        cached = [*(q for q in query if q[0] != "limit"), ("resourceVersion", "0")]
        whole = limit or self._session.timeout
        if self._stale:
            return self._ask(path, cached, call, limit=whole)
        fresh = min(FRESH_SECONDS, whole) if whole else FRESH_SECONDS
        begun = time.monotonic()
        reply: Reply[bytes] | None = None
        try:
            reply = self._ask(path, query, call, limit=fresh)
        except NoAnswerError as error:
            if error.failure.why is not Why.TIMEOUT:
                raise
            why = f"no answer through etcd within {fresh:g}s"
        else:
            if reply.status < 500 or not _STORE.search(failure_of(reply).message):
                return reply
            why = failure_of(reply).message
        try:
            again = self._ask(path, cached, call, limit=fresh)
        except NoAnswerError:
            again = None
        if again is not None and again.status == 200:
            self._stale = why
            return again
        if reply is not None:
            return reply
        # Not etcd alone: a server or a network that is slow gets all its time.
        return self._ask(path, query, call, limit=max(whole - (time.monotonic() - begun), 0.001) if whole else 0.0)

    def _patient(self, limit: float = 0.0) -> float:
        """Return the time limit of a read that has no watch cache: short once etcd has not answered."""
        whole = limit or self._session.timeout
        return min(whole or STALE_SECONDS, STALE_SECONDS) if self._stale else whole

    def _log(self, need: Log, call: Call) -> Outcome:
        path = api_path(BY_PLURAL["pods"], quoted(need.namespace), quoted(need.pod)) + "/log"
        query = [("container", need.container), ("tailLines", str(need.tail_lines))]
        # limitBytes cuts the end of the tail, which is where the error stands. So it is only the guard against a
        # server that ignores tailLines; the last bytes are kept here.
        query.append(("limitBytes", str(need.tail_lines * _RUNTIME_LINE + need.limit_bytes)))
        if need.previous:
            query.append(("previous", "true"))

        def tail(status: int, pieces: Iterator[bytes]) -> bytes:
            return last_bytes(pieces, need.limit_bytes) if status == 200 else b"".join(pieces)

        reply = self._api.get(path, query, tail, call, limit=self._patient())
        if reply.status == 401:
            raise unauthorized()
        if reply.status == 200:
            content = decode_log(reply.content)
            if _NO_LOG.match(content):
                return Failure(Why.NOT_FOUND, content.strip(), 200)
            return content
        failure = failure_of(reply)
        if is_unserved(reply):
            return Failure(Why.FAILED, failure.message, 404)
        if reply.status == 400 and _LOG_ABSENT.search(failure.message):
            return Failure(Why.NOT_FOUND, failure.message, 400)
        return failure

    def _raw(self, need: Raw, call: Call) -> Outcome:
        def chosen(status: int, pieces: Iterator[bytes]) -> bytes:
            return kept_lines(pieces, need.keep) if need.keep and status == 200 else b"".join(pieces)

        begun = time.monotonic()
        limit = self._patient(need.timeout)
        reply = self._api.get(
            quoted_path(need.path), [], chosen, call, limit=limit, compressed=True, patient=False, accept=need.accept
        )
        if reply.status == 401 and "/proxy/" not in need.path:
            raise unauthorized()
        if reply.status in (401, 403, 404):
            return failure_of(reply)
        at = self._sample(need, begun)
        return Body(reply.content.decode("utf-8", "replace"), reply.status, reply.seconds, at)

    def _sample(self, need: Raw | Dial, begun: float) -> float:
        """Remember when a sample was taken; return the seconds since the first one of the same path."""
        first = self._sampled.setdefault(_first_sample(need), begun)
        return begun - first

    def _dial(self, need: Dial, call: Call) -> Outcome:
        from kubetriage.cluster.forward import dial

        call.begin(need.timeout)
        begun = time.monotonic()
        status, body = dial(self._session, need, call)
        self._api.reached = True
        at = self._sample(need, begun)
        kept = kept_lines(iter([body]), need.keep) if need.keep else body
        return Body(kept.decode("utf-8", "replace"), status, time.monotonic() - begun, at)

    def _note_date(self, path: str, headers: Mapping[str, str]) -> None:
        """Take the API server's clock from the first answer that is its own."""
        if self._clock is not None or "/proxy/" in path:
            return
        try:
            moment = parsedate_to_datetime(headers.get("Date") or "")
        except (ValueError, TypeError):
            return
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        self.skew = moment - datetime.now(timezone.utc)
        self._clock = moment


def _first_sample(need: Need) -> Need:
    if isinstance(need, Raw):
        return Raw(need.path)
    if isinstance(need, Dial):
        return Dial(need.namespace, need.pod, need.port, need.path, need.tls)
    return need
