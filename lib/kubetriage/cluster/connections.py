"""Kept connections to one API server: HTTP/1.1 GETs, one at a time on each.

urllib3 does the same, and does it where a proxy stands between. Importing it with what it needs takes as long as
several requests, and each request through it takes a millisecond more; see docs/decisions/0004-http.md.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import threading
import weakref
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urlsplit

from kubetriage.cluster.errors import ConnectTimeoutError, TransferError

if TYPE_CHECKING:
    import io

_LONGEST_LINE = 64 * 1024
"""Bytes of a status line or a header."""
_MOST_HEADERS = 200
_PIECE = 64 * 1024
"""Bytes that are taken from a connection at once."""
_MOST_INFLATED = 1 << 20
"""Bytes that one piece may become when it is decompressed."""
_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: |$)")
_NOT_IN_TARGET = re.compile(r"[^!-~]")
_NOT_IN_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_GZIP = 16 + zlib.MAX_WBITS


class Headers(dict[str, str]):
    """Headers of an answer by their names in lower case."""

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """Return a header whatever the case of its name."""
        return super().get(name.lower(), default)


class Answer(Protocol):
    """An HTTP response whose body is still to be read."""

    status: int
    headers: Headers

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it comes, decompressed. Raises OSError, TransferError among them."""

    def finish(self) -> None:
        """Keep the connection when the whole body was read, close it otherwise."""

    def close(self) -> None:
        """Close the connection."""


class Pool(Protocol):
    """What sends requests to one server."""

    def get(self, target: str, headers: Sequence[tuple[str, str]], seconds: float | None) -> Answer:
        """Send a GET and wait for the head of the answer."""


class Connections:
    """Connections to one server that are kept open; safe for use by several threads."""

    def __init__(self, server: str, tls: ssl.SSLContext | None, server_name: str, most: int) -> None:
        """Connect to nothing yet.

        ``server`` is the base URL, ``server_name`` the name to expect in its certificate where it is not the URL's,
        ``most`` how many connections wait for the next request.
        """
        parts = urlsplit(server)
        host = parts.hostname or ""
        self._tls = tls
        if tls is not None:
            # Who stands in front of an API server may speak HTTP/2 to clients that do not say what they speak.
            tls.set_alpn_protocols(["http/1.1"])
        self._prefix = parts.path
        usual = 443 if tls is not None else 80
        self._address: tuple[Any, int] = (_plain(host), parts.port or usual)
        bracketed = f"[{host}]" if ":" in host else host
        self._host = bracketed if parts.port in (None, usual) else f"{bracketed}:{parts.port}"
        self._server_name = _plain(server_name or host.partition("%")[0].rstrip("."))
        self._most = most
        self._idle: list[_Connection] = []
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, self._idle).atexit = False

    def get(self, target: str, headers: Sequence[tuple[str, str]], seconds: float | None) -> Answer:
        """Send a GET and wait for the head of the answer.

        ``target`` is path and query below the base URL; ``seconds`` bounds each wait for the network, None does not.
        Raises OSError, TransferError among them, and ValueError for what cannot stand in a request.
        """
        request = self._request(target, headers)
        connection = self._kept() or self._open(seconds)
        try:
            connection.sock.settimeout(seconds)
            connection.sock.sendall(request)
            return _Answer(connection, self)
        except BaseException:
            connection.close()
            raise

    def keep(self, connection: _Connection) -> None:
        """Let the next request have a connection."""
        with self._lock:
            if len(self._idle) < self._most:
                self._idle.append(connection)
                return
        connection.close()

    def _kept(self) -> _Connection | None:
        """Return a connection that waits, and that the server has not closed since."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if not connection.has_ended():
                return connection
            connection.close()

    def _open(self, seconds: float | None) -> _Connection:
        try:
            sock = socket.create_connection(self._address, seconds)
        except TimeoutError as error:
            raise ConnectTimeoutError(*error.args) from error
        except UnicodeError as error:
            raise socket.gaierror(f"no name of a host: {error}") from error
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_hostname=self._server_name)
        except BaseException:
            sock.close()
            raise
        return _Connection(sock)

    def _request(self, target: str, headers: Sequence[tuple[str, str]]) -> bytes:
        path = (self._prefix + target).replace("[", "%5B").replace("]", "%5D")
        if _NOT_IN_TARGET.search(path):
            raise ValueError(f"path {path!r} has letters that no request may have")
        lines = [f"GET {path} HTTP/1.1", f"Host: {self._host}"]
        for name, value in headers:
            if _NOT_IN_HEADER.search(value):
                raise ValueError(f"header {name} has control characters")
            lines.append(f"{name}: {value}")
        return "\r\n".join([*lines, "", ""]).encode()


class _Connection:
    """A socket and what has come of it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.stream = cast("io.BufferedReader", sock.makefile("rb", _PIECE))

    def line(self) -> bytes:
        """Take a line without its end; empty where nothing comes any more."""
        line = self.stream.readline(_LONGEST_LINE + 1)
        if len(line) > _LONGEST_LINE:
            raise TransferError("net/http: HTTP/1.x transport connection broken: line too long", dropped=True)
        return line.rstrip(b"\r\n") if line.endswith(b"\n") else b""

    def has_ended(self) -> bool:
        """Tell whether the server closed it, or says what nobody asked for."""
        look = select.poll()
        look.register(self.sock, select.POLLIN)
        return bool(look.poll(0))

    def close(self) -> None:
        """Close it."""
        self.stream.close()
        self.sock.close()


class _Answer:
    """The answer that comes over a connection."""

    def __init__(self, connection: _Connection, pool: Connections) -> None:
        self._connection = connection
        self._pool = pool
        self._whole = False
        self.status, version = self._head()
        self.headers = self._read_headers()
        while 100 <= self.status < 200:
            self.status, version = self._head()
            self.headers = self._read_headers()
        said = (self.headers.get("Connection") or "").lower()
        self._stays = "keep-alive" in said if version == b"0" else "close" not in said

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it comes, decompressed."""
        if (self.headers.get("Content-Encoding") or "").lower() in ("gzip", "x-gzip"):
            return _inflated(self._raw())
        return self._raw()

    def finish(self) -> None:
        """Keep the connection when the whole body was read, close it otherwise."""
        if self._whole and self._stays:
            self._pool.keep(self._connection)
        else:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _head(self) -> tuple[int, bytes]:
        line = self._connection.line()
        if not line:
            raise TransferError("EOF", dropped=True)
        known = _STATUS.match(line)
        if known is None:
            said = " ".join(line.decode("utf-8", "replace").split())[:60]
            words = f"net/http: HTTP/1.x transport connection broken: malformed HTTP response {said}"
            raise TransferError(words, dropped=True)
        return int(known[2]), known[1]

    def _read_headers(self) -> Headers:
        found = Headers()
        for _ in range(_MOST_HEADERS):
            line = self._connection.line()
            if not line:
                return found
            name, _, value = line.decode("latin-1").partition(":")
            name, value = name.strip().lower(), value.strip()
            found[name] = f"{found[name]}, {value}" if name in found else value
        raise TransferError("net/http: HTTP/1.x transport connection broken: too many headers", dropped=True)

    def _raw(self) -> Iterator[bytes]:
        if self.status in (204, 304):
            self._whole = True
            return
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            while size := self._chunk_size():
                yield from self._bytes(size)
                self._connection.line()
            while self._connection.line():
                pass  # trailers
            self._whole = True
            return
        length = self.headers.get("Content-Length")
        if length is None:
            self._stays = False
            while piece := self._connection.stream.read1(_PIECE):
                yield piece
            return
        if not (length.isascii() and length.isdigit()):
            raise TransferError(f"bad Content-Length {length[:60]!r}", dropped=True)
        yield from self._bytes(int(length))
        self._whole = True

    def _chunk_size(self) -> int:
        size = self._connection.line().partition(b";")[0].strip()
        try:
            if size.isalnum():
                return int(size, 16)
        except ValueError:
            pass
        raise TransferError("malformed chunked encoding" if size else "unexpected EOF", dropped=True)

    def _bytes(self, count: int) -> Iterator[bytes]:
        while count:
            piece = self._connection.stream.read1(min(count, _PIECE))
            if not piece:
                raise TransferError("unexpected EOF", dropped=True)
            count -= len(piece)
            yield piece


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


def _close_all(connections: list[_Connection]) -> None:
    while connections:
        connections.pop().close()


def _plain(host: str) -> str | bytes:
    """Return a host so that no table of letters beyond ASCII is loaded for it."""
    return host.encode() if host.isascii() else host


def address_of(url: str) -> tuple[str, int]:
    """Return host and port of a base URL or of a proxy's; an empty host for an empty URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or {"https": 443, "socks5": 1080}.get(parts.scheme, 80)


def without_user(url: str) -> str:
    """Return a URL without what stands before its host; it may hold a password."""
    scheme, mark, rest = url.rpartition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"
