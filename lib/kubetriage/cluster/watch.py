"""Follows lists with the watch API and tells when one of them changed; what changed is read by the normal plan.

One thread per list: it takes the list's resourceVersion, watches from there with bookmarks, and goes on at the last
version seen when the stream ends. A version that is too old (410) means a new list, and that something may have been
missed, so it counts as a change.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from kubetriage.cluster.api import Api, Call, NoAnswerError, quoted, unauthorized
from kubetriage.cluster.connect import Session
from kubetriage.cluster.errors import ClusterError
from kubetriage.needs import Get, List, Need
from kubetriage.records import replace
from kubetriage.typed import Any
from kubetriage.values.fields import number, text
from kubetriage.values.resources import BY_PLURAL, api_path

STREAM_SECONDS = 60
"""How long one watch is asked for. A connection that died without a word is noticed this late at the latest."""
_GRACE = 10.0
"""Seconds beyond that in which the API server must have ended the stream."""
_BACK_OFF = (0.5, 15.0)
"""First and longest pause in seconds between attempts to reach the API server."""
POLL_SECONDS = 15.0
"""How often a list is taken for changed that may not be watched."""
_SHORT_STREAMS = 4
"""After so many requests in a row that took less than a second, the next ones wait."""
_NAP = 0.5
"""Seconds of one wait at most: Ctrl-C that comes in the instant before a wait begins is only seen when it ends."""
_LONGEST_LINE = 16 * 1024 * 1024
_MANY = 4
"""With more watches on one resource of one namespace, the whole namespace is watched instead."""

_Query = list[tuple[str, str]]


class Contact:
    """Knows whether the API server answers, and tells each change of that once; safe for use by several threads."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """``tell`` gets one line for people."""
        self._tell = tell
        self._lock = threading.Lock()
        self._lost = False

    def lost(self, why: str) -> None:
        """Nobody answered."""
        with self._lock:
            if not self._lost:
                self._lost = True
                self._tell(f"warning: lost contact with the API server: {why}; trying again")

    def back(self) -> bool:
        """Somebody answered; tell whether that is news."""
        with self._lock:
            news, self._lost = self._lost, False
            if news:
                self._tell("the API server answers again")
            return news


class Follower:
    """Watches lists until it is closed."""

    def __init__(
        self,
        session: Session,
        contact: Contact,
        tell: Callable[[str], None],
        trace: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare; :meth:`follow` says what. ``tell`` gets a line when something cannot be watched."""
        self._api = Api(session, trace)
        self._limit = session.timeout
        self._contact = contact
        self._tell = tell
        self._feeds: dict[List, _Feed] = {}
        self._changed = threading.Event()
        self._closed = threading.Event()

    def follow(self, lists: Iterable[List]) -> None:
        """Watch exactly these lists from now on; those that are watched already go on."""
        wanted = set(lists)
        for need in [n for n in self._feeds if n not in wanted]:
            self._feeds.pop(need).closed.set()
        for need in wanted - set(self._feeds):
            feed = self._feeds[need] = _Feed(self, need)
            threading.Thread(target=feed.run, daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Wait for a change; False when there was none for so long."""
        ends = time.monotonic() + seconds
        while not self._changed.is_set() and (left := ends - time.monotonic()) > 0:
            self._changed.wait(min(left, _NAP))
        return self._changed.is_set()

    def taken(self) -> None:
        """Forget the changes so far: they are about to be looked at."""
        self._changed.clear()

    def close(self) -> None:
        """End all watches."""
        self._closed.set()
        self.follow(())


class _Feed:
    """The watch on one list."""

    def __init__(self, follower: Follower, need: List) -> None:
        self._f = follower
        self._need = need
        self.closed = threading.Event()
        self._chosen = [(k, v) for k, v in (("labelSelector", need.labels), ("fieldSelector", need.fields)) if v]
        self._version = ""
        """The resourceVersion to go on from; empty: list anew."""
        self._told = False

    def run(self) -> None:
        failures = short = 0
        while not self.closed.is_set():
            began = time.monotonic()
            try:
                can = self._step()
            except (NoAnswerError, ClusterError, ValueError, RecursionError) as error:
                self._f._contact.lost(str(error))
                least, most = _BACK_OFF
                # Not all watches of all users at the same moment when the API server comes back.
                pause = min(least * 2**failures, most) * random.uniform(0.7, 1.0)  # noqa: S311
                failures += 1
                self.closed.wait(pause)
                continue
            failures = 0
            if not can:
                self.closed.wait(POLL_SECONDS)
                self._f._changed.set()
                continue
            # A server or proxy that ends every stream at once must not be asked in a tight loop.
            short = short + 1 if time.monotonic() - began < 1 else 0
            if short > _SHORT_STREAMS:
                self.closed.wait(min(_BACK_OFF[0] * 2 ** (short - _SHORT_STREAMS), _BACK_OFF[1]))

    def _step(self) -> bool:
        """Take the version, or watch until the stream ends; False when this may not be done."""
        resource = BY_PLURAL[self._need.resource]
        for version in resource.versions:
            path = api_path(resource, quoted(self._need.namespace), version=version)
            status = self._watch(path) if self._version else self._list(path)
            if status == 410:
                self._version = ""
                return True
            if status == 404 and version != resource.versions[-1]:
                continue
            if status in (400, 403, 404, 405):
                return self._give_up(status)
            if status != 200:
                raise ClusterError(f"HTTP status {status}")
            return True
        return False

    def _give_up(self, status: int) -> bool:
        if not self._told and not self.closed.is_set() and status != 404:
            self._told = True
            what = str(self._need)
            self._f._tell(f"warning: {what} may not be watched (HTTP status {status}); looking every {POLL_SECONDS:g}s")
        return False

    def _list(self, path: str) -> int:
        def whole(_: int, pieces: Iterator[bytes]) -> bytes:
            return b"".join(pieces)

        query = [*self._chosen, ("limit", "1")]
        reply = self._f._api.get(path, query, whole, Call(cancelled=self.closed), limit=self._f._limit)
        if reply.status == 401:
            raise unauthorized()
        if reply.status == 200:
            self._version = text(json.loads(reply.content), "metadata", "resourceVersion")
            if not self._version:
                raise ValueError("the list has no resourceVersion")
            self._f._contact.back()
            # Between the last answer and this version anything may have happened.
            self._f._changed.set()
        return reply.status

    def _watch(self, path: str) -> int:
        def take(status: int, pieces: Iterator[bytes]) -> int:
            if status != 200:
                return status
            if self._f._contact.back():
                self._f._changed.set()
            try:
                return self._read(pieces)
            except (OSError, NoAnswerError):
                # Dropped, or silent for too long; the next request shows whether anybody is there.
                return 200

        query = [
            *self._chosen,
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", self._version),
            ("timeoutSeconds", str(STREAM_SECONDS)),
        ]
        call = Call(cancelled=self.closed)
        reply = self._f._api.get(path, query, take, call, limit=STREAM_SECONDS + _GRACE, patient=False)
        if reply.status == 401:
            raise unauthorized()
        return reply.content

    def _read(self, pieces: Iterator[bytes]) -> int:
        """Take the lines of a stream to its end; return 410 when the version is too old."""
        rest = b""
        for piece in pieces:
            if self.closed.is_set():
                return 200
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                return 410
            for line in filter(None, lines):
                if not self._note(line):
                    return 410
        return 200

    def _note(self, line: bytes) -> bool:
        """Take one event of the watch API; False when a new list is needed."""
        try:
            event: Any = json.loads(line)
        except (ValueError, RecursionError):
            return False
        kind = text(event, "type")
        if kind == "ERROR":
            code = number(event, "object", "code")
            # Whatever the error is, only a new list is sure to end it; 410 is the usual one.
            return code is None and not text(event, "object", "kind")
        version = text(event, "object", "metadata", "resourceVersion")
        if version:
            self._version = version
        if kind != "BOOKMARK":
            self._f._changed.set()
        return True


def lists_to_follow(needs: Iterable[Need], resources: Iterable[str]) -> list[List]:
    """Return what to watch for reads of these resources: few lists that hold all of them."""
    wanted = frozenset(resources)
    found: dict[List, None] = {}
    for need in needs:
        if isinstance(need, Get) and need.resource in wanted and need.name:
            found[List(need.resource, need.namespace, fields=f"metadata.name={need.name}")] = None
        elif isinstance(need, List) and need.resource in wanted:
            found[replace(need, shape=None)] = None
    crowd = Counter((n.resource, n.namespace) for n in found)
    merged = [List(n.resource, n.namespace) if crowd[n.resource, n.namespace] > _MANY else n for n in found]
    whole = {(n.resource, n.namespace) for n in merged if not (n.labels or n.fields)}
    kept = [
        n
        for n in dict.fromkeys(merged)
        if not (n.labels or n.fields) or not {(n.resource, n.namespace), (n.resource, "")} & whole
    ]
    return [n for n in kept if not n.namespace or (n.resource, "") not in whole]
