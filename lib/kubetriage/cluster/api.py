"""Sends one GET and takes the answer; nothing else is ever sent to a cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, urlencode

from kubetriage.cluster.connect import Session
from kubetriage.cluster.connections import Answer, Headers
from kubetriage.cluster.errors import (
    TransferError,
    UnauthorizedError,
    UnreachableError,
    connection_reason,
    refused,
    was_refused,
)
from kubetriage.needs import Failure, Why
from kubetriage.records import dataclass, field
from kubetriage.typed import Any, Generic, TypeVar
from kubetriage.values.patterns import lazy
from kubetriage.values.times import parse_http_date

T = TypeVar("T")

MAX_BODY = 512 * 1024 * 1024
"""Bytes of one answer; more is no answer that we could use."""
MAX_BODIES = 768 * 1024 * 1024
"""Bytes of all answers that are being read at one time."""
_NO_ESCAPE = lazy(r"%(?![0-9A-Fa-f]{2})")
_DROPPED_RETRIES = 3
_STATUS_RETRIES = 10
"""As many as client-go (rest/request.go)."""


class NoAnswerError(Exception):
    """A request that brought nothing usable."""

    def __init__(self, failure: Failure, line: str) -> None:
        """Hold what it means for one read, and the line that kubectl would end with."""
        super().__init__(str(failure))
        self.failure = failure
        self.line = line


@dataclass(frozen=True)
class Reply(Generic[T]):
    """An HTTP response."""

    status: int
    headers: Headers
    content: T
    seconds: float


@dataclass
class Call:
    """The clock of one job, which may make several requests."""

    expires: float = float("inf")
    """When (monotonic) the request under way must be answered."""
    ends: float = float("inf")
    """When (monotonic) the whole run must."""
    cancelled: threading.Event = field(default_factory=threading.Event)

    def begin(self, limit: float) -> None:
        """Start the time of one request of ``limit`` seconds, 0 for no limit."""
        self.expires = min(time.monotonic() + limit if limit else float("inf"), self.ends)

    @property
    def left(self) -> float:
        """Seconds until the request must be answered."""
        return self.expires - time.monotonic()


class Api:
    """Sends GETs over a session's connections; safe for use by several threads."""

    def __init__(self, session: Session, trace: Callable[[str], None] | None = None) -> None:
        """``trace`` gets one line per request, without headers, for ``-v``."""
        self._session = session
        self._trace = trace
        self._renewing = threading.Lock()
        self._held = _Sum()
        self._renewed = 0
        self.reached = False
        """The API server has answered something."""
        self.on_headers: Callable[[str, Headers], None] | None = None
        """Called with path and headers of each response."""

    def get(
        self,
        path: str,
        query: Iterable[tuple[str, str]],
        take: Callable[[int, Iterator[bytes]], T],
        call: Call,
        *,
        limit: float,
        compressed: bool = False,
        patient: bool = True,
        accept: str = "",
    ) -> Reply[T]:
        """Send one GET and give its body to ``take(status, pieces)``.

        ``limit`` is the time in seconds with all retries. Dropped connections are tried again, and so are 429 and
        5xx with Retry-After, unless not ``patient``. Raises NoAnswerError.
        """
        parameters = urlencode(list(query))
        target = path + (("&" if "?" in path else "?") + parameters if parameters else "")
        call.begin(limit)
        dropped = refusals = 0
        while True:
            generation = self._renewed
            try:
                reply = self._once(target, take, call, compressed, accept)
            except NoAnswerError as error:
                dropped += 1
                if error.failure.status or error.failure.why is Why.TIMEOUT or not isinstance(error, _DroppedError):
                    raise
                if dropped > _DROPPED_RETRIES or not self._pause(0.05 * 2**dropped, call):
                    raise
                continue
            if reply.status == 401 and "/proxy/" not in path and self._renew(generation):
                continue
            wait = _retry_after(reply, patient)
            refusals += 1
            if wait is not None and refusals <= _STATUS_RETRIES and self._pause(wait, call):
                continue
            return reply

    def _once(
        self, target: str, take: Callable[[int, Iterator[bytes]], T], call: Call, compressed: bool, accept: str = ""
    ) -> Reply[T]:
        left = call.left
        if left <= 0:
            raise self._timed_out()
        seconds = None if left == float("inf") else left
        headers = [
            *self._session.headers(),
            ("Accept", accept or "application/json, */*"),
            ("Accept-Encoding", "gzip" if compressed else "identity"),
        ]
        begun = time.monotonic()
        received = 0
        answer: Answer | None = None

        def pieces() -> Iterator[bytes]:
            nonlocal received
            assert answer is not None
            for piece in answer.pieces():
                received += len(piece)
                if received > MAX_BODY:
                    raise NoAnswerError(Failure(Why.FAILED, f"the answer is larger than {MAX_BODY >> 20} MiB"), "")
                if self._held.add(len(piece)) > MAX_BODIES:
                    words = f"the answers under way are larger than {MAX_BODIES >> 20} MiB together"
                    raise NoAnswerError(Failure(Why.FAILED, words), "")
                if call.left <= 0:
                    raise self._timed_out()
                yield piece

        try:
            answer = self._session.get(target, headers, seconds)
            if answer.status != 401:
                self.reached = True
            if self.on_headers is not None:
                self.on_headers(target, answer.headers)
            content = take(answer.status, pieces())
            # What take left unread is read no more: the connection is closed, not reused.
            answer.finish()
        except NoAnswerError:
            self._note(target, "gave up", begun, received)
            if answer is not None:
                answer.close()
            raise
        except OSError as error:
            self._note(target, type(error).__name__, begun, received)
            if answer is not None:
                answer.close()
            raise self._explain(error) from error
        except BaseException:
            # What take could not read, and defects of ours in it.
            self._note(target, "not readable", begun, received)
            if answer is not None:
                answer.close()
            raise
        finally:
            self._held.add(-received)
        self._note(target, str(answer.status), begun, received)
        return Reply(answer.status, answer.headers, content, time.monotonic() - begun)

    def _explain(self, error: OSError) -> NoAnswerError:
        host, port = self._session.address
        reason = connection_reason(error, host, port, self._session.server_name)
        if isinstance(error, TransferError):
            # A proxy's part in it is in these words only.
            reason = str(error)
        if isinstance(error, TimeoutError):
            return NoAnswerError(Failure(Why.TIMEOUT, reason), f"Unable to connect to the server: {reason}")
        if was_refused(error) and not self._session.proxy:
            return NoAnswerError(Failure(Why.FAILED, reason), refused(host, port))
        line = f"Unable to connect to the server: {reason}"
        failure = Failure(Why.FAILED, reason)
        broken = isinstance(error, ConnectionResetError | BrokenPipeError) or getattr(error, "dropped", False)
        return _DroppedError(failure, line) if broken else NoAnswerError(failure, line)

    def _timed_out(self) -> NoAnswerError:
        words = "net/http: request canceled (Client.Timeout exceeded while reading body)"
        return NoAnswerError(Failure(Why.TIMEOUT, words), f"Unable to connect to the server: {words}")

    def _renew(self, generation: int) -> bool:
        """Get new credentials once for all requests that were refused with the old ones."""
        with self._renewing:
            if self._renewed != generation:
                return True
            if self._renewed:
                return False
            if not self._session.renew():
                return False
            self._renewed += 1
            return True

    def _pause(self, seconds: float, call: Call) -> bool:
        """Wait before the next try; False when the time limit comes first."""
        return seconds < call.left and not call.cancelled.wait(seconds)

    def _note(self, target: str, outcome: str, begun: float, received: int) -> None:
        if self._trace is not None:
            milliseconds = round((time.monotonic() - begun) * 1000)
            self._trace(f"GET {self._session.server}{target} {outcome} in {milliseconds} ms, {received} bytes")


class _Sum:
    """Counts over all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value = 0

    def add(self, amount: int) -> int:
        """Add, and return the sum."""
        with self._lock:
            self._value += amount
            return self._value


class _DroppedError(NoAnswerError):
    """The connection ended in the middle; the same request may succeed."""


def unauthorized() -> NoAnswerError:
    """Return what a 401 means."""
    words = "You must be logged in to the server (Unauthorized)"
    return NoAnswerError(Failure(Why.FAILED, words, 401), str(UnauthorizedError()))


def end_of_run(words: str) -> UnreachableError:
    """Return the error of a run that reached nobody before its time was over."""
    return UnreachableError(f"Unable to connect to the server: {words}")


def _retry_after(reply: Reply[Any], patient: bool) -> float | None:
    """Return the seconds to wait before asking again; None when asking again makes no sense."""
    if reply.status != 429 and reply.status < 500:
        return None
    value = reply.headers.get("Retry-After")
    if not patient and reply.status != 429:
        return None
    if value is None:
        return 1.0 if reply.status == 429 else None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    moment = parse_http_date(value)
    return max(0.0, moment.timestamp() - time.time()) if moment is not None else 1.0


def quoted(segment: str) -> str:
    """Write a name as one segment of a path, whatever it holds."""
    return quote(segment, safe="")


def quoted_path(path: str) -> str:
    """Write a path with query so that it is one, keeping what is already quoted."""
    quoted_once = quote(path if path.startswith("/") else "/" + path, safe="/?&=:%,~+.-_@!$'()*;[]")
    return _NO_ESCAPE.sub("%25", quoted_once)
