"""Reads a running cluster: raw JSON over pooled connections, many reads at once, nothing but GET.

The command line does::

    reader = LiveReader(session, trace=print_to_stderr if verbose else None)
    snapshot, answer = collect(plugin, request, reader)

Whatever a read ends in becomes an answer or a :class:`Failure` in the snapshot. Only when the API server answers
nothing at all on first contact does :meth:`LiveReader.fetch` raise ClusterError, with kubectl's words.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from kubetriage.cluster.api import Api, Call, NoAnswerError, Reply, end_of_run, quoted, quoted_path, unauthorized
from kubetriage.cluster.connect import POOL_SIZE, Session
from kubetriage.cluster.errors import ClusterError
from kubetriage.cluster.logtext import last_bytes
from kubetriage.cluster.secrets import strip
from kubetriage.needs import Body, Dial, Failure, Get, List, Log, Need, Raw, Why
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, name_of, namespace_of, number, text
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_PLURAL, Resource, api_path

PAGE = 500
"""Objects per page, as kubectl asks for (``--chunk-size``)."""
_LISTS_QUIET = 1.5
"""Seconds after which the progress is no longer that of the last list that grew."""
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
_NO_NAMES = (".", "..")
"""What no object is called, whatever refers to it; as a segment of a path it would ask for something else."""
_UNSERVED = 'the server doesn\'t have a resource type "{}"'
_WHY = {403: Why.FORBIDDEN, 404: Why.NOT_FOUND, 408: Why.TIMEOUT, 504: Why.TIMEOUT}

Progress = Callable[[str, int, int | None], None]
"""Told what is read, how many objects have come and how many there will be (None: not known); from any thread."""


@dataclass
class _Pages:
    """A list as it arrived: what its shape kept, and how many objects it dropped."""

    items: list[Obj]
    dropped: int


_Outcome = Obj | _Pages | str | Body | Failure


@dataclass
class _Job:
    need: Need
    call: Call
    outcome: _Outcome | None = None
    error: NoAnswerError | None = None
    crash: BaseException | None = None
    arrived: _Pages | None = None
    """What has come so far of a list."""
    thread: threading.Thread | None = None
    given_up: bool = field(default=False)


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
        self._workers = _Workers(max_workers)
        self._progress = progress
        self._told = float("-inf")
        self._served: dict[str, str] = {}
        self._sampled: dict[Need, float] = {}
        self._clock: datetime | None = None
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

    # Running jobs.

    def _run(self, needs: Iterable[Need], snapshot: Snapshot) -> None:
        jobs = [_Job(need, Call(ends=self._ends)) for need in needs]
        done: queue.SimpleQueue[_Job] = queue.SimpleQueue()
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

    def _enter_all(self, jobs: Iterable[_Job], snapshot: Snapshot) -> None:
        if self._clock is not None:
            snapshot.now = self._clock
        for job in jobs:
            if job.crash is not None:
                raise job.crash
            self._enter(job, snapshot)

    def _patience(self, jobs: Iterable[_Job]) -> float | None:
        soonest = min(min(j.call.expires, self._ends) for j in jobs)
        # Polling now and then: a job that is still queued gets its time limit only when it starts.
        return max(0.0, min(soonest + _GRACE - time.monotonic(), 1.0))

    def _is_late(self, job: _Job) -> bool:
        return time.monotonic() >= min(job.call.expires, self._ends) + _GRACE

    def _give_up(self, job: _Job) -> None:
        """Stop waiting for a job whose worker hangs (a name server that never answers, a body that drips)."""
        job.given_up = True
        job.call.cancelled.set()
        words = "net/http: request canceled (Client.Timeout exceeded while awaiting headers)"
        job.error = NoAnswerError(Failure(Why.TIMEOUT, words), f"Unable to connect to the server: {words}")
        self._workers.replace(job)

    def _work(self, job: _Job) -> None:
        try:
            job.outcome = self._answer(job)
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

    def _check_contact(self, jobs: list[_Job]) -> None:
        """Raise kubectl's words when this was the first contact and nothing came of it."""
        failed = [j.error for j in jobs if j.error is not None]
        if not failed or len(failed) < len(jobs) or self._api.reached:
            return
        raise ClusterError(failed[0].line or str(end_of_run(str(failed[0]))))

    def _enter(self, job: _Job, snapshot: Snapshot) -> None:
        need, outcome = job.need, job.outcome
        if job.given_up or outcome is None:
            assert job.error is not None
            snapshot.fail(need, self._explained(job.error.failure))
        elif isinstance(outcome, Failure):
            snapshot.fail(need, outcome)
        elif isinstance(need, List):
            assert isinstance(outcome, _Pages)
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

    def _answer(self, job: _Job) -> _Outcome:
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

    def _get(self, need: Get, call: Call) -> _Outcome:
        resource = BY_PLURAL[need.resource]
        for version in self._versions(resource):
            path = api_path(resource, quoted(need.namespace), quoted(need.name), version)
            reply = self._ask(path, [], call)
            if _is_unserved(reply):
                continue
            if reply.status != 200:
                return _failure(reply)
            self._served[resource.plural] = version
            obj = _object(reply.content)
            if (namespace_of(obj), name_of(obj)) != (need.namespace if resource.namespaced else "", need.name):
                return Failure(Why.FAILED, "the answer is not the object that was asked for", reply.status)
            return strip(resource.plural, obj)
        return Failure(Why.NOT_FOUND, _UNSERVED.format(resource.plural), 404)

    def _list(self, need: List, job: _Job) -> _Outcome:
        resource = BY_PLURAL[need.resource]
        for version in self._versions(resource):
            outcome = self._list_version(need, resource, version, job)
            if outcome is not None:
                self._served[resource.plural] = version
                return outcome
        return Failure(Why.NOT_FOUND, _UNSERVED.format(resource.plural), 404)

    def _list_version(self, need: List, resource: Resource, version: str, job: _Job) -> _Outcome | None:
        """Read all pages; None when the API server does not serve this version."""
        path = api_path(resource, quoted(need.namespace), version=version)
        chosen = [(k, v) for k, v in (("labelSelector", need.labels), ("fieldSelector", need.fields)) if v]
        limit, token, restarts = (0 if need.cached else PAGE), "", 0
        pages = job.arrived = _Pages([], 0)
        while True:
            query = [*chosen]
            if need.cached:
                query.append(("resourceVersion", "0"))
            if limit:
                query.append(("limit", str(limit)))
            if token:
                query.append(("continue", token))
            reply = self._ask(path, query, job.call, limit=need.timeout)
            if _is_unserved(reply):
                return None
            if reply.status == 410 and restarts < 2:
                # The list changed under us for too long. The second time, take it whole: no token, nothing to expire.
                restarts += 1
                token, limit = "", (limit if restarts == 1 else 0)
                pages = job.arrived = _Pages([], 0)
                continue
            if reply.status != 200:
                return _failure(reply)
            page = _object(reply.content)
            items = page.get("items")
            if not isinstance(items, list):
                if not (items is None and text(page, "kind").endswith("List")):
                    return Failure(Why.FAILED, "the answer is not a list of the API", reply.status)
                items = []
            _keep(items, need, resource, text(page, "apiVersion"), pages)
            token = text(page, "metadata", "continue")
            self._tell(resource.plural, page, pages)
            if not token:
                return pages

    def _tell_waiting(self, answered: int, asked: int) -> None:
        """Say how many reads are answered, unless lists have something better to say."""
        if self._progress is not None and time.monotonic() - self._told > _LISTS_QUIET:
            self._progress("reads answered", answered, asked)

    def _tell(self, what: str, page: Obj, pages: _Pages) -> None:
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

    def _log(self, need: Log, call: Call) -> _Outcome:
        path = api_path(BY_PLURAL["pods"], quoted(need.namespace), quoted(need.pod)) + "/log"
        query = [("container", need.container), ("tailLines", str(need.tail_lines))]
        # limitBytes cuts the end of the tail, which is where the error stands. So it is only the guard against a
        # server that ignores tailLines; the last bytes are kept here.
        query.append(("limitBytes", str(need.tail_lines * _RUNTIME_LINE + need.limit_bytes)))
        if need.previous:
            query.append(("previous", "true"))

        def tail(status: int, pieces: Iterator[bytes]) -> bytes:
            return last_bytes(pieces, need.limit_bytes) if status == 200 else b"".join(pieces)

        reply = self._api.get(path, query, tail, call, limit=self._session.timeout)
        if reply.status == 401:
            raise unauthorized()
        if reply.status == 200:
            content = reply.content.decode("utf-8", "replace")
            if _NO_LOG.match(content):
                return Failure(Why.NOT_FOUND, content.strip(), 200)
            return content
        failure = _failure(reply)
        if reply.status == 400 and _LOG_ABSENT.search(failure.message):
            return Failure(Why.NOT_FOUND, failure.message, 400)
        return failure

    def _raw(self, need: Raw, call: Call) -> _Outcome:
        def chosen(status: int, pieces: Iterator[bytes]) -> bytes:
            return _kept_lines(pieces, need.keep) if need.keep and status == 200 else b"".join(pieces)

        begun = time.monotonic()
        limit = need.timeout or self._session.timeout
        reply = self._api.get(quoted_path(need.path), [], chosen, call, limit=limit, compressed=True, patient=False)
        if reply.status == 401 and "/proxy/" not in need.path:
            raise unauthorized()
        if reply.status in (401, 403, 404):
            return _failure(reply)
        at = self._sample(need, begun)
        return Body(reply.content.decode("utf-8", "replace"), reply.status, reply.seconds, at)

    def _sample(self, need: Raw | Dial, begun: float) -> float:
        """Remember when a sample was taken; return the seconds since the first one of the same path."""
        first = self._sampled.setdefault(_first_sample(need), begun)
        return begun - first

    def _dial(self, need: Dial, call: Call) -> _Outcome:
        from kubetriage.cluster.forward import dial

        call.begin(need.timeout)
        begun = time.monotonic()
        status, body = dial(self._session, need, call)
        self._api.reached = True
        at = self._sample(need, begun)
        kept = _kept_lines(iter([body]), need.keep) if need.keep else body
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


_IDLE_SECONDS = 5.0
"""A thread without work ends after this time, so that a long --watch does not gather them."""


class _Workers:
    """A bounded number of daemon threads, started when there is work: a hanging one never holds up the exit."""

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._tasks: deque[tuple[_Job, Callable[[_Job], None], queue.SimpleQueue[_Job]]] = deque()
        self._wake = threading.Condition()
        self._idle = 0
        self._alive = 0

    def submit(self, job: _Job, work: Callable[[_Job], None], done: queue.SimpleQueue[_Job]) -> None:
        with self._wake:
            self._tasks.append((job, work, done))
            if self._idle >= len(self._tasks) or self._alive >= self._most:
                self._wake.notify()
                return
            self._alive += 1
        threading.Thread(target=self._serve, daemon=True).start()

    def replace(self, job: _Job) -> None:
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


def _object(content: bytes) -> Obj:
    try:
        document = json.loads(content)
    except UnicodeDecodeError:
        document = json.loads(content.decode("utf-8", "replace"))
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    return document


def _keep(items: list[Any], need: List, resource: Resource, api_version: str, pages: _Pages) -> None:
    for item in items:
        if not isinstance(item, dict):
            continue
        # Lists of built-in resources leave these out of their items; kubectl puts them in.
        item.setdefault("apiVersion", api_version)
        item.setdefault("kind", resource.kind)
        kept = strip(resource.plural, item)
        shaped = need.shape(kept) if need.shape else kept
        if shaped is None:
            pages.dropped += 1
        else:
            pages.items.append(shaped)


def _is_unserved(reply: Reply[bytes]) -> bool:
    """Tell a path that the API server does not know from an object that does not exist."""
    if reply.status != 404:
        return False
    try:
        status = _object(reply.content)
    except (ValueError, RecursionError):
        return True
    return not text(status, "details", "name") and not text(status, "details", "kind")


def _failure(reply: Reply[bytes]) -> Failure:
    """Return what a Status, or any other body of an error, says."""
    words = ""
    with contextlib.suppress(ValueError, RecursionError):
        words = text(_object(reply.content), "message")
    if not words:
        words = " ".join(reply.content[:300].decode("utf-8", "replace").split())
    if not words or words.startswith("<"):
        page = ", an HTML page: perhaps a proxy or load balancer answered" if words else ""
        words = f"HTTP status {reply.status}{page}"
    why = _WHY.get(reply.status, Why.FORBIDDEN if reply.status == 401 else Why.FAILED)
    return Failure(why, words, reply.status)


def _kept_lines(pieces: Iterator[bytes], beginnings: tuple[str, ...]) -> bytes:
    """Return the lines that begin with one of ``beginnings``, without ever holding the others."""
    wanted = tuple(b.encode() for b in beginnings)
    kept: list[bytes] = []
    rest = b""
    for piece in pieces:
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        kept += [line for line in lines if line.startswith(wanted)]
    if rest.startswith(wanted):
        kept.append(rest)
    return b"".join(line + b"\n" for line in kept)


def _first_sample(need: Need) -> Need:
    if isinstance(need, Raw):
        return Raw(need.path)
    if isinstance(need, Dial):
        return Dial(need.namespace, need.pod, need.port, need.path, need.tls)
    return need
