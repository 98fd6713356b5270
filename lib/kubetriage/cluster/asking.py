"""Asks the API server what one need is about: paths and queries, versions, pages, and what stands in for etcd.

Each method answers in the thread of the worker that calls it, with an outcome or by raising.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from kubetriage.cluster.api import Api, Call, NoAnswerError, Reply, quoted, quoted_path, unauthorized
from kubetriage.cluster.connect import Session
from kubetriage.cluster.logtext import decode_log, last_bytes
from kubetriage.cluster.pages import PageReader
from kubetriage.cluster.replies import failure_of, is_unserved, json_object, kept_lines, unserved
from kubetriage.cluster.secrets import strip
from kubetriage.cluster.workers import Job, Outcome, Pages
from kubetriage.needs import Body, Dial, Failure, Get, List, Log, Need, Raw, Why
from kubetriage.values.fields import Obj, name_of, namespace_of, number, text
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_PLURAL, Resource, api_path

PAGE = 500
"""Objects per page, as kubectl asks for (``--chunk-size``)."""
FRESH_SECONDS = 5.0
"""Time for a read that goes through etcd, before the API server's watch cache is asked instead."""
STALE_SECONDS = 4.0
"""Time limit of what has no watch cache (events, logs, figures) once etcd has not answered."""
_EMPTY_PAGES = 3
"""Pages in a row without an object, but with a next one, after which a list is given up."""
_LIST_SECONDS = 300.0
"""Seconds after which a list that still has pages is given up."""
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


Take = Callable[[int, Iterator[bytes]], bytes]
"""Reads a body of this status as it comes, and returns what is left to say of it."""


def _whole(_: int, pieces: Iterator[bytes]) -> bytes:
    return b"".join(pieces)


class Asker:
    """Puts needs into requests; used by several threads at once."""

    def __init__(self, session: Session, api: Api, progress: Progress | None) -> None:
        """``progress`` is told how long lists grow."""
        self._session = session
        self._api = api
        self._progress = progress
        self._served: dict[str, str] = {}
        self.told = float("-inf")
        """When (monotonic) a list last told how it grows."""
        self.sampled: dict[Need, float] = {}
        """When (monotonic) the first sample of a path was taken."""
        self.stale = ""
        """Why etcd gave no answer, once the API server's watch cache stands in for it."""
        self._stale_since = float("inf")

    def answer(self, job: Job) -> Outcome:
        """Ask the API server what a job needs; raises what ends it without an answer."""
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
        page = PageReader(need, resource, version)
        while True:
            query = [*chosen]
            if need.cached:
                query.append(("resourceVersion", "0"))
            if limit:
                query.append(("limit", str(limit)))
            if token:
                query.append(("continue", token))
            if need.cached or token or need.resource == "events":
                reply = self._ask(path, query, job.call, limit=self._patient(need.timeout), take=page)
            else:
                reply = self._ask_store(path, query, job.call, limit=need.timeout, take=page)
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
            if page.flaw:
                return Failure(Why.FAILED, page.flaw, reply.status)
            pages.items += page.items
            pages.dropped += page.dropped
            token = page.token
            self._tell(resource.plural, page.head, pages)
            if not token:
                return pages
            empty = 0 if page.came else empty + 1
            if token in tokens or empty >= _EMPTY_PAGES or time.monotonic() - begun > _LIST_SECONDS:
                came = len(pages.items) + pages.dropped
                return Failure(Why.FAILED, f"the API server's list does not end: {came} objects came", reply.status)
            tokens.add(token)

    def _tell(self, what: str, page: Obj, pages: Pages) -> None:
        self.told = time.monotonic()
        if self._progress is not None:
            come = len(pages.items) + pages.dropped
            remaining = number(page, "metadata", "remainingItemCount")
            more = text(page, "metadata", "continue")
            self._progress(what, come, come + remaining if remaining is not None else (None if more else come))

    def _versions(self, resource: Resource) -> tuple[str, ...]:
        known = self._served.get(resource.plural)
        return (known,) if known else resource.versions

    def _ask(
        self, path: str, query: list[tuple[str, str]], call: Call, limit: float = 0.0, take: Take = _whole
    ) -> Reply[bytes]:
        reply = self._api.get(path, query, take, call, limit=limit or self._session.timeout, compressed=True)
        if reply.status == 401:
            raise unauthorized()
        return reply

    def _ask_store(
        self, path: str, query: list[tuple[str, str]], call: Call, limit: float = 0.0, take: Take = _whole
    ) -> Reply[bytes]:
        """Ask for what stands in etcd; where etcd gives no answer, for what the API server remembers of it.

        The watch cache outlives etcd in most versions, and knows what was there a moment before it went.
        """
        cached = [*(q for q in query if q[0] != "limit"), ("resourceVersion", "0")]
        whole = limit or self._session.timeout
        if self.stale:
            return self._ask(path, cached, call, limit=whole, take=take)
        fresh = min(FRESH_SECONDS, whole) if whole else FRESH_SECONDS
        begun = time.monotonic()
        reply: Reply[bytes] | None = None
        try:
            reply = self._ask(path, query, call, limit=fresh, take=take)
        except NoAnswerError as error:
            if error.failure.why is not Why.TIMEOUT:
                raise
            why = f"no answer through etcd within {fresh:g}s"
        else:
            if reply.status < 500 or not _STORE.search(failure_of(reply).message):
                return reply
            why = failure_of(reply).message
        try:
            again = self._ask(path, cached, call, limit=fresh, take=take)
        except NoAnswerError:
            again = None
        # A 404 is an answer too: without etcd nothing else says of an object that it was not there.
        if again is not None and again.status in (200, 404):
            self.stale = why
            self._stale_since = time.monotonic()
            return again
        if reply is not None:
            return reply
        # Not etcd alone: a server or a network that is slow gets all its time.
        left = max(whole - (time.monotonic() - begun), 0.001) if whole else 0.0
        return self._ask(path, query, call, limit=left, take=take)

    def _patient(self, limit: float = 0.0) -> float:
        """Return the time limit of a read that has no watch cache: short once etcd has not answered."""
        whole = limit or self._session.timeout
        return min(whole or STALE_SECONDS, STALE_SECONDS) if self.stale else whole

    def expires(self, job: Job) -> float:
        """Return when (monotonic) a job is given up: one that no watch cache answers soon after etcd was found silent.

        Such reads may have begun before, when nothing was known of it.
        """
        need = job.need
        uncached = isinstance(need, Log) or (isinstance(need, List) and need.resource == "events")
        return min(job.call.expires, self._stale_since + STALE_SECONDS) if uncached else job.call.expires

    def _log(self, need: Log, call: Call) -> Outcome:
        path = api_path(BY_PLURAL["pods"], quoted(need.namespace), quoted(need.pod)) + "/log"
        query = [("container", need.container)] if need.container else []
        query.append(("tailLines", str(need.tail_lines)))
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
        first = self.sampled.setdefault(first_sample(need), begun)
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


def first_sample(need: Need) -> Need:
    """Return the need whose time counts for a second sample: the same without its number."""
    if isinstance(need, Raw):
        return Raw(need.path)
    if isinstance(need, Dial):
        return Dial(need.namespace, need.pod, need.port, need.path, need.tls)
    return need
