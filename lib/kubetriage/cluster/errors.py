"""Errors that end a run, in kubectl's words."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

_AUTHORITY_CODES = (2, 18, 19, 20, 21)
"""OpenSSL verify codes that Go calls "signed by unknown authority" (openssl/x509_vfy.h)."""


class ClusterError(Exception):
    """Nothing can be answered; ``str()`` is the whole line for stderr, as kubectl would print it."""


class DumpError(ClusterError):
    """A dump cannot be read."""

    def __init__(self, message: str) -> None:
        """Put kubectl's prefix of local errors before the message."""
        super().__init__(f"error: {message}")


class NoObjectsError(DumpError):
    """A text holds no object of the API; what it says may be kubectl's word of what failed."""

    def __init__(self, message: str, said: tuple[str, ...]) -> None:
        """Hold the messages of the text beside what to say where nobody explains them."""
        super().__init__(message)
        self.said = said


class ConfigError(ClusterError):
    """The kubeconfig or a connection flag is wrong."""


class UnreachableError(ClusterError):
    """The API server did not answer at all."""


class UnauthorizedError(ClusterError):
    """The API server does not know who asks."""

    def __init__(self) -> None:
        """Say it in kubectl's words."""
        super().__init__("error: You must be logged in to the server (Unauthorized)")


class ConnectTimeoutError(TimeoutError):
    """No connection was made in time."""


class TransferError(OSError):
    """A request brought no whole answer; ``str()`` says why, in the words of Go's network stack."""

    def __init__(self, words: str, *, dropped: bool = False) -> None:
        """Hold the reason; ``dropped``: the connection ended in the middle, the same request may succeed."""
        super().__init__(words)
        self.dropped = dropped


def refused(host: str, port: int) -> str:
    """Return kubectl's line for a port on which nobody listens."""
    return f"The connection to the server {_joined(host, port)} was refused - did you specify the right host or port?"


def connection_reason(error: BaseException, host: str, port: int, server_name: str = "") -> str:
    """Say in the words of Go's network stack why a connection failed.

    ``server_name`` is the name that the certificate was checked for, where it is not the host.
    """
    address = _joined(host, port)
    for cause in _causes(error):
        if isinstance(cause, TransferError):
            return str(cause)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "tls: failed to verify certificate: x509: " + _certificate_reason(cause, server_name or host)
        if isinstance(cause, ssl.SSLError):
            if cause.reason == "WRONG_VERSION_NUMBER":
                return "http: server gave HTTP response to HTTPS client"
            if cause.reason == "UNEXPECTED_EOF_WHILE_READING":
                return "EOF"
            return "tls: " + (cause.reason or str(cause)).replace("_", " ").lower()
        if isinstance(cause, socket.gaierror):
            return f"dial tcp: lookup {host}: no such host"
        if isinstance(cause, ConnectionRefusedError):
            return f"dial tcp {address}: connect: connection refused"
        if words := protocol_flaw(cause):
            return words
        if isinstance(cause, ConnectionResetError):
            return f"read tcp {address}: connection reset by peer"
        if isinstance(cause, OSError) and cause.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
            words = "no route to host" if cause.errno == errno.EHOSTUNREACH else "network is unreachable"
            return f"dial tcp {address}: connect: {words}"
        if type(cause).__name__ == "ConnectTimeoutError":
            return f"dial tcp {address}: i/o timeout"
        if type(cause).__name__ in ("ReadTimeoutError", "TimeoutError"):
            return "net/http: request canceled (Client.Timeout exceeded while awaiting headers)"
        if type(cause).__name__ == "DecodeError":
            return "the body of the answer cannot be decompressed"
    return " ".join(str(error).split()) or type(error).__name__


def protocol_flaw(error: BaseException) -> str:
    """Say in Go's words what http.client, or urllib3 above it, found wrong with an answer; empty for other errors."""
    kind, said = type(error).__name__, " ".join(str(error).split())[:60]
    if kind in ("IncompleteRead", "InvalidChunkLength") or said == "Response ended prematurely":
        return "unexpected EOF"
    if kind == "RemoteDisconnected":
        return "EOF"
    if kind in ("BadStatusLine", "UnknownProtocol"):
        return f"net/http: HTTP/1.x transport connection broken: malformed HTTP response {said}"
    if kind in ("LineTooLong", "HTTPException"):
        return f"net/http: HTTP/1.x transport connection broken: {said}"
    return ""


def was_refused(error: BaseException) -> bool:
    """Tell whether nobody listened on the port."""
    return any(isinstance(cause, ConnectionRefusedError) for cause in _causes(error))


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it wraps, the innermost first: urllib3 nests them as causes and as arguments."""
    seen: list[BaseException] = []
    queue: list[BaseException] = [error]
    while queue and len(seen) < 20:
        current = queue.pop()
        if current in seen:
            continue
        seen.append(current)
        inner = [a for a in (*current.args, getattr(current, "reason", None)) if isinstance(a, BaseException)]
        queue.extend(e for e in (current.__context__, current.__cause__, *inner) if e is not None)
    return reversed(seen)


def _certificate_reason(error: ssl.SSLCertVerificationError, host: str) -> str:
    if error.verify_code in _AUTHORITY_CODES:
        return "certificate signed by unknown authority"
    if error.verify_code in (9, 10):
        return f"certificate has expired or is not yet valid: {error.verify_message}"
    if error.verify_code in (62, 64):
        return f"certificate is not valid for {host}"
    return error.verify_message


class NotServedError(ClusterError):
    """What answered does not serve the core API, so it is no cluster: the run ends."""
