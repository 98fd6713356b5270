"""One kept connection: a GET goes out and its answer comes back, both in the words of ``http.client``.

That module takes longer to import than a request to be answered, so this one is imported by the first request; see
docs/decisions/0004-http.md.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import zlib
from collections.abc import Callable, Iterator, Sequence
from email.errors import MissingHeaderBodySeparatorDefect

from kubetriage.cluster.errors import TransferError, protocol_flaw

_PIECE = 64 * 1024
"""Bytes that are taken from a connection at once."""
_MOST_INTERIM = 10
"""Interim answers (1xx) before the answer."""
_MOST_INFLATED = 1 << 20
"""Bytes that one piece may become when it is decompressed."""
_GZIP = 16 + zlib.MAX_WBITS


class Connection:
    """A connected socket, and who speaks HTTP over it."""

    def __init__(self, sock: socket.socket, host: str) -> None:
        """Take over a socket to the server that requests call ``host``."""
        self._sock = sock
        self._host = host
        self._http = http.client.HTTPConnection(host)
        self._http.sock = sock

    def get(
        self, path: str, headers: Sequence[tuple[str, str]], seconds: float | None, keep: Callable[[Connection], None]
    ) -> Exchange:
        """Send a GET and wait for the head of the answer; ``keep`` is called once its body was read whole."""
        self._sock.settimeout(seconds)
        with _telling():
            self._http.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
            for name, value in (("Host", self._host), *headers):
                self._http.putheader(name, value.encode())
            self._http.endheaders()
            response = self._http.getresponse()
        try:
            _pass_over_interim(response)
            _refuse_doubt(response)
        except BaseException:
            response.close()
            raise
        return Exchange(self, response, keep)

    def has_ended(self) -> bool:
        """Tell whether the server closed it, or says what nobody asked for."""
        look = select.poll()
        look.register(self._sock, select.POLLIN)
        deciphered = getattr(self._sock, "pending", None)
        return bool(look.poll(0)) or bool(deciphered is not None and deciphered())

    def close(self) -> None:
        """Close it."""
        self._http.close()
        self._sock.close()


class Exchange:
    """The answer that comes over a connection."""

    def __init__(
        self, connection: Connection, response: http.client.HTTPResponse, keep: Callable[[Connection], None]
    ) -> None:
        """Begin after the head."""
        self._connection = connection
        self._response = response
        self._keep = keep
        self._whole = False
        self.status = response.status
        self.headers = response.headers

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it comes, decompressed."""
        if (self.headers.get("Content-Encoding") or "").lower() in ("gzip", "x-gzip"):
            return _inflated(self._raw())
        return self._raw()

    def finish(self) -> None:
        """Keep the connection when the whole body was read, close it otherwise."""
        if self._whole and not self._response.will_close:
            self._response.close()
            self._keep(self._connection)
        else:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        self._response.close()
        self._connection.close()

    def _raw(self) -> Iterator[bytes]:
        with _telling():
            while piece := self._response.read1(_PIECE):
                yield piece
        # The standard library does not mind a body that is shorter than was said.
        if self._response.length:
            raise TransferError("unexpected EOF", dropped=True)
        self._whole = True


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    """Raise what ``http.client`` finds wrong with an answer as an OSError, in the words of Go's network stack."""
    try:
        yield
    except http.client.HTTPException as error:
        raise TransferError(protocol_flaw(error), dropped=True) from error


def _pass_over_interim(response: http.client.HTTPResponse) -> None:
    """Read on to the answer itself: of the interim ones the standard library knows 100 only."""
    for _ in range(_MOST_INTERIM):
        if response.status >= 200:
            return
        response.headers = None  # type: ignore[assignment]  # as before the first head
        with _telling():
            response.begin()
    raise TransferError("net/http: too many 1xx informational responses", dropped=True)


def _refuse_doubt(response: http.client.HTTPResponse) -> None:
    """Refuse an answer whose end nobody can tell; the standard library would wait for the server to close."""
    length = response.headers.get("Content-Length")
    if length is not None and response.length is None and not response.chunked:
        raise TransferError(f"bad Content-Length {length[:60]!r}", dropped=True)
    if any(isinstance(defect, MissingHeaderBodySeparatorDefect) for defect in response.headers.defects):
        # What follows a line that is no header is lost, its length maybe.
        raise TransferError("net/http: HTTP/1.x transport connection broken: malformed MIME header", dropped=True)


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress gzip, of any number of members; nothing grows beyond its bound at once."""
    engine = zlib.decompressobj(_GZIP)
    try:
        for piece in pieces:
            rest = piece
            while rest:
                if engine.eof:
                    engine = zlib.decompressobj(_GZIP)
                yield engine.decompress(rest, _MOST_INFLATED)
                rest = engine.unused_data if engine.eof else engine.unconsumed_tail
        yield engine.flush()
    except zlib.error:
        raise TransferError("the body of the answer cannot be decompressed") from None
