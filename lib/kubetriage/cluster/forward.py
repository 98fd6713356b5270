"""Connects to a port of a pod through the API server's port-forward; only where the user opted in.

It begins as a GET that asks for a WebSocket (``v4.channel.k8s.io``, all versions). Channel 0 carries the data, channel
1 the error; the first frame of each repeats the port.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import ssl
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from kubetriage.cluster.api import Call, NoAnswerError, quoted, quoted_path
from kubetriage.cluster.connect import Session
from kubetriage.cluster.errors import connection_reason
from kubetriage.needs import Dial, Failure, Why
from kubetriage.typed import Any
from kubetriage.values.fields import text
from kubetriage.values.resources import BY_PLURAL, api_path

_SETTLE = 1.0
"""Seconds in which a refused connection is reported: the kubelet dials inside the pod's network namespace."""
_MOST = 16 * 1024 * 1024
"""Bytes of one answer."""
_WHY = {401: Why.FORBIDDEN, 403: Why.FORBIDDEN, 404: Why.NOT_FOUND}


def dial(session: Session, need: Dial, call: Call) -> tuple[int, bytes]:
    """Connect, ask for ``need.path`` if there is one, and return HTTP status and body.

    Without a path the status is 200 and the body is what the port said by itself. Raises NoAnswerError when the
    API server, the kubelet or the port does not let us.
    """
    channel = _Channel(session, need, call)
    try:
        if not need.path:
            return 200, channel.listen(min(_SETTLE, call.left))
        request = f"GET {quoted_path(need.path)} HTTP/1.1\r\nHost: localhost:{need.port}\r\nConnection: close\r\n\r\n"
        answer = _over_tls(channel, request.encode()) if need.tls else _in_clear(channel, request.encode())
    finally:
        channel.close()
    return _parse(answer)


class _Channel:
    """One forwarded port as a stream of bytes."""

    def __init__(self, session: Session, need: Dial, call: Call) -> None:
        import websocket

        self._call = call
        self._begun = [False, False]
        path = api_path(BY_PLURAL["pods"], quoted(need.namespace), quoted(need.pod)) + "/portforward"
        options: dict[str, Any] = {}
        if session.proxy:
            proxy = urlsplit(session.proxy)
            options = {"http_proxy_host": proxy.hostname, "http_proxy_port": proxy.port, "proxy_type": proxy.scheme}
            if proxy.username:
                options["http_proxy_auth"] = (proxy.username, proxy.password or "")
        else:
            # Otherwise the library would look into the environment once more.
            options["http_no_proxy"] = ["*"]
        tls: dict[str, Any] = {"context": session.tls} if session.tls is not None else {}
        if session.server_name:
            tls["server_hostname"] = session.server_name
        self._socket = websocket.WebSocket(sslopt=tls)
        self._socket.settimeout(max(call.left, 0.001))
        try:
            self._socket.connect(
                "ws" + session.server.removeprefix("http") + f"{path}?ports={need.port}",
                header=[f"{key}: {value}" for key, value in session.headers()],
                subprotocols=["v4.channel.k8s.io"],
                suppress_origin=True,
                redirect_limit=0,
                **options,
            )
        except websocket.WebSocketBadStatusException as error:
            self._socket.shutdown()
            raise _refusal(error.status_code, error.resp_body) from error
        except (websocket.WebSocketException, OSError) as error:
            self._socket.shutdown()
            raise _failed(error, session) from error

    def send(self, data: bytes) -> None:
        self._socket.send_binary(b"\0" + data)

    def receive(self) -> bytes:
        """Return the next data; empty at the end."""
        import websocket

        while True:
            left = self._call.left
            if left <= 0:
                raise NoAnswerError(Failure(Why.TIMEOUT, "i/o timeout"), "")
            self._socket.settimeout(left)
            try:
                opcode, frame = self._socket.recv_data()
            except websocket.WebSocketTimeoutException as error:
                raise NoAnswerError(Failure(Why.TIMEOUT, "i/o timeout"), "") from error
            except (websocket.WebSocketException, OSError):
                return b""
            if opcode == websocket.ABNF.OPCODE_CLOSE or not frame:
                return b""
            number, data = frame[0], frame[1:]
            if number > 1:
                continue
            if not self._begun[number]:
                self._begun[number] = True
                continue
            if number == 1:
                words = " ".join(data.decode("utf-8", "replace").split())
                raise NoAnswerError(Failure(Why.FAILED, words), "")
            if data:
                return bytes(data)

    def listen(self, seconds: float) -> bytes:
        """Wait for a refusal or for a greeting; return the greeting, which may be empty."""
        self._call.expires = min(self._call.expires, time.monotonic() + seconds)
        try:
            return self.receive()
        except NoAnswerError as error:
            if error.failure.why is Why.TIMEOUT:
                return b""
            raise

    def close(self) -> None:
        # Say goodbye but do not wait for an answer, as close() would.
        with contextlib.suppress(Exception):
            self._socket.send_close()
        self._socket.shutdown()


def _in_clear(channel: _Channel, request: bytes) -> bytes:
    channel.send(request)
    received = bytearray()
    while len(received) < _MOST and (data := channel.receive()):
        received += data
    return bytes(received)


def _over_tls(channel: _Channel, request: bytes) -> bytes:
    # What listens on a pod's port has a certificate for another name, if any; only its answer is looked at.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    stream = context.wrap_bio(incoming, outgoing)
    received = bytearray()
    steps: list[Callable[[], Any]] = [stream.do_handshake, lambda: stream.write(request)]
    while len(received) < _MOST:
        try:
            if steps:
                steps[0]()
                steps.pop(0)
            else:
                data = stream.read(65536)
                if not data:
                    break
                received += data
        except ssl.SSLWantReadError:
            if outgoing.pending:
                channel.send(outgoing.read())
            data = channel.receive()
            if not data:
                break
            incoming.write(data)
        except ssl.SSLError as error:
            if received:
                break
            raise NoAnswerError(Failure(Why.FAILED, f"tls: {error.reason or error}"), "") from error
        if outgoing.pending:
            channel.send(outgoing.read())
    return bytes(received)


class _Bytes:
    """What http.client needs of a socket."""

    def __init__(self, content: bytes) -> None:
        """Hold what was received."""
        self._content = content

    def makefile(self, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO(self._content)


def _parse(answer: bytes) -> tuple[int, bytes]:
    response = http.client.HTTPResponse(_Bytes(answer), method="GET")  # type: ignore[arg-type]
    try:
        response.begin()
        return response.status, response.read()
    except http.client.IncompleteRead as error:
        return response.status, error.partial
    except (http.client.HTTPException, ValueError) as error:
        words = "the port does not speak HTTP" if answer else "the port closed the connection without an answer"
        raise NoAnswerError(Failure(Why.FAILED, words), "") from error


def _refusal(status: int, body: bytes | None) -> NoAnswerError:
    words = ""
    with contextlib.suppress(ValueError, RecursionError):
        words = text(json.loads(body or b""), "message")
    why = _WHY.get(status, Why.FAILED)
    return NoAnswerError(Failure(why, words or f"port-forward answered HTTP status {status}", status), "")


def _failed(error: Exception, session: Session) -> NoAnswerError:
    reason = connection_reason(error, *session.address, session.server_name)
    timed_out = "timed out" in str(error).lower() or isinstance(error, TimeoutError)
    return NoAnswerError(
        Failure(Why.TIMEOUT if timed_out else Why.FAILED, reason), f"Unable to connect to the server: {reason}"
    )
