"""Kept connections to one API server: GETs only, one at a time on each.

Here they are opened, handed out and kept; :mod:`exchange` sends a request over one. Behind a proxy
:mod:`proxied` does both.
"""

from __future__ import annotations

import socket
import ssl
import threading
import weakref
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from kubetriage.cluster.errors import ConnectTimeoutError
from kubetriage.typed import TYPE_CHECKING, Any, Protocol
from kubetriage.values.patterns import lazy

if TYPE_CHECKING:
    from kubetriage.cluster.exchange import Connection

_NOT_IN_TARGET = lazy(r"[^!-~]")
_NOT_IN_HEADER = lazy(r"[\x00-\x08\x0a-\x1f\x7f]")


class Headers(Protocol):
    """Headers of an answer."""

    def get(self, name: str, /) -> str | None:
        """Return a header whatever the case of its name."""


class Answer(Protocol):
    """An HTTP response whose body is still to be read."""

    status: int

    @property
    def headers(self) -> Headers:
        """Its headers, those of an interim answer left out."""

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

    def dial(self, count: int, seconds: float | None) -> None:
        """Begin to open connections for requests to come."""


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
        self._idle: list[Connection] = []
        self._dialled: list[socket.socket] = []
        self._coming = self._waiting = 0
        self._failure: Exception | None = None
        self._lock = threading.Condition()
        weakref.finalize(self, _close_all, self._idle, self._dialled).atexit = False

    def dial(self, count: int, seconds: float | None) -> None:
        """Begin to open so many connections, for the requests to come; nothing waits for them.

        ``seconds`` is as for :meth:`get`. What goes wrong is told by the request that waits for one.
        """
        with self._lock:
            self._coming += count
        for _ in range(count):
            threading.Thread(target=self._dial, args=(seconds,), daemon=True).start()

    def get(self, target: str, headers: Sequence[tuple[str, str]], seconds: float | None) -> Answer:
        """Send a GET and wait for the head of the answer.

        ``target`` is path and query below the base URL; ``seconds`` bounds each wait for the network, None does not.
        Raises OSError, TransferError among them, and ValueError for what cannot stand in a request.
        """
        path = self._path(target)
        for name, value in headers:
            if _NOT_IN_HEADER.search(value):
                raise ValueError(f"header {name} has control characters")
        connection = self._kept() or self._dialled_one(seconds) or self._open(seconds)
        try:
            return connection.get(path, headers, seconds, self.keep)
        except BaseException:
            connection.close()
            raise

    def keep(self, connection: Connection) -> None:
        """Let the next request have a connection."""
        with self._lock:
            if len(self._idle) < self._most:
                self._idle.append(connection)
                return
        connection.close()

    def _kept(self) -> Connection | None:
        """Return a connection that waits, and that the server has not closed since."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if not connection.has_ended():
                return connection
            connection.close()

    def _dial(self, seconds: float | None) -> None:
        sock = None
        try:
            sock = self._connected(seconds)
        except (OSError, ValueError) as error:
            self._failure = error
        finally:
            with self._lock:
                self._coming -= 1
                if sock is not None:
                    self._dialled.append(sock)
                self._lock.notify_all()

    def _dialled_one(self, seconds: float | None) -> Connection | None:
        """Return a connection that :meth:`dial` opened; wait for one that is to come and that nobody else waits for."""
        with self._lock:
            waited = False
            while not self._dialled and self._coming > self._waiting:
                self._waiting += 1
                in_time = self._lock.wait(seconds)
                self._waiting -= 1
                waited = True
                if not in_time:
                    raise ConnectTimeoutError("timed out")
            sock = self._dialled.pop() if self._dialled else None
            if sock is None and waited and self._failure is not None:
                # To try the same again would take as long again.
                raise self._failure
        return None if sock is None else self._speaking(sock)

    def _open(self, seconds: float | None) -> Connection:
        return self._speaking(self._connected(seconds))

    def _speaking(self, sock: socket.socket) -> Connection:
        from kubetriage.cluster.exchange import Connection

        return Connection(sock, self._host)

    def _connected(self, seconds: float | None) -> socket.socket:
        """Connect, and shake hands; raises OSError, ConnectTimeoutError among them, and ValueError."""
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
        return sock

    def _path(self, target: str) -> str:
        path = (self._prefix + target).replace("[", "%5B").replace("]", "%5D")
        if _NOT_IN_TARGET.search(path):
            raise ValueError(f"path {path!r} has letters that no request may have")
        return path


def _close_all(connections: list[Connection], sockets: list[socket.socket]) -> None:
    while connections:
        connections.pop().close()
    while sockets:
        sockets.pop().close()


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
