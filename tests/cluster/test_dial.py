"""Connections to ports of pods, through the API server's port-forward."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from kubetriage.cluster.live import LiveReader
from kubetriage.needs import Dial, Get, Why
from kubetriage.snapshot import Snapshot
from support.clock import SOON
from support.fake_api import FakeApi
from support.live import Read, Serve
from support.tls import server_context

NS, POD = "java-npe", "api"
PATIENT = 30.0
"""Seconds that a machine with other work to do may take for what is not about time."""
Port = Callable[[socket.socket], None]


def web(body: bytes, status: str = "200 OK", tls: bool = False) -> Port:
    """A port that speaks HTTP."""

    def serve(connection: socket.socket) -> None:
        stream = server_context().wrap_socket(connection, server_side=True) if tls else connection
        request = b""
        while b"\r\n\r\n" not in request:
            request += stream.recv(65536)
        line = request.split(b"\r\n")[0]
        stream.sendall(
            b"HTTP/1.1 %s\r\nContent-Length: %d\r\nX-Line: %s\r\n\r\n%s" % (status.encode(), len(body), line, body)
        )
        if tls:
            stream.close()

    return serve


def silent(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def odd(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"\x15\x03\x01 what is this")


def dialled(reader: LiveReader, *needs: Dial) -> Snapshot:
    snapshot = reader.open()
    reader.fetch([Get("pods", NS, POD), *needs], snapshot)
    return snapshot


@pytest.fixture(params=[False, True], ids=["http", "https"])
def api(request: pytest.FixtureRequest, serve: Serve) -> FakeApi:
    return serve(NS, tls=request.param, token="s3cret" if request.param else "")


def test_open_port(api: FakeApi, read: Read) -> None:
    api.ports[NS, POD, 8080] = silent
    need = Dial(NS, POD, 8080, timeout=PATIENT)
    begun = time.monotonic()
    body = dialled(read(api), need).dialled(need)
    assert body is not None
    assert body.text == ""
    assert time.monotonic() - begun < SOON


def test_port_that_greets(api: FakeApi, read: Read) -> None:
    api.ports[NS, POD, 25] = lambda c: c.sendall(b"220 mail ready\r\n")
    need = Dial(NS, POD, 25, timeout=PATIENT)
    assert dialled(read(api), need).dialled(need).text == "220 mail ready\r\n"  # type: ignore[union-attr]


def test_closed_port(api: FakeApi, read: Read) -> None:
    need = Dial(NS, POD, 81, "/healthz", timeout=PATIENT)
    snapshot = dialled(read(api), need)
    assert snapshot.dialled(need) is None
    failure = snapshot.failure(need)
    assert failure is not None
    assert failure.why is Why.FAILED
    assert "127.0.0.1:81: connect: connection refused" in failure.message


@pytest.mark.parametrize("tls", [False, True])
def test_http_answer(api: FakeApi, read: Read, tls: bool) -> None:
    api.ports[NS, POD, 9090] = web(b"a_total 1\nb_total 2\n" * 5000, "503 Service Unavailable", tls)
    need = Dial(NS, POD, 9090, "/metrics?x=1", tls, timeout=PATIENT)
    body = dialled(read(api), need).dialled(need)
    assert body is not None
    assert body.status == 503
    assert body.text == "a_total 1\nb_total 2\n" * 5000


def test_kept_lines_and_second_sample(api: FakeApi, read: Read) -> None:
    api.ports[NS, POD, 9090] = web(b"a_total 1\nb_total 2\n")
    first = Dial(NS, POD, 9090, "/metrics", keep=("b_",), timeout=PATIENT)
    second = Dial(NS, POD, 9090, "/metrics", sample=1, keep=("b_",), timeout=PATIENT)
    snapshot = dialled(read(api, interval=0.3), first, second)
    one, two = snapshot.dialled(first), snapshot.dialled(second)
    assert one is not None
    assert two is not None
    assert one.text == two.text == "b_total 2\n"
    assert one.at == 0
    assert two.at >= 0.3


def test_port_that_never_answers(api: FakeApi, read: Read) -> None:
    api.ports[NS, POD, 9090] = silent
    need = Dial(NS, POD, 9090, "/metrics", timeout=0.5)
    begun = time.monotonic()
    assert dialled(read(api), need).failure(need).why is Why.TIMEOUT  # type: ignore[union-attr]
    assert time.monotonic() - begun < SOON


@pytest.mark.parametrize(
    ("port", "words"),
    [
        (lambda c: None, "the port closed the connection without an answer"),
        (odd, "the port does not speak HTTP"),
    ],
)
def test_port_that_is_no_web_server(api: FakeApi, read: Read, port: Port, words: str) -> None:
    api.ports[NS, POD, 9090] = port
    need = Dial(NS, POD, 9090, "/", timeout=PATIENT)
    assert dialled(read(api), need).failure(need).message == words  # type: ignore[union-attr]


def test_tls_to_a_port_without(api: FakeApi, read: Read) -> None:
    api.ports[NS, POD, 9090] = lambda c: c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    need = Dial(NS, POD, 9090, "/", tls=True, timeout=PATIENT)
    assert dialled(read(api), need).failure(need).message.startswith("tls: ")  # type: ignore[union-attr]


def test_refusals_of_the_api_server(api: FakeApi, read: Read) -> None:
    gone = Dial(NS, "nope", 80)
    failure = dialled(read(api), gone).failure(gone)
    assert failure is not None
    assert (failure.why, failure.message) == (Why.NOT_FOUND, 'pods "nope" not found')
    api.deny("pods/portforward")
    need = Dial(NS, POD, 8080, timeout=PATIENT)
    failure = dialled(read(api), need).failure(need)
    assert failure is not None
    assert failure.why is Why.FORBIDDEN
    assert 'cannot get resource "pods/portforward"' in failure.message


def test_who_asks_is_the_same_as_for_reads(serve: Serve, read: Read) -> None:
    api = serve(NS, tls=True, token="s3cret")
    api.ports[NS, POD, 8080] = silent
    need = Dial(NS, POD, 8080, timeout=PATIENT)
    dialled(read(api, flags={"as_": "jane", "as_groups": ("a", "b")}), need)
    request = api.asked("portforward")[0]
    assert request.method == "GET"
    assert request.header("Authorization") == ["Bearer s3cret"]
    assert request.header("Impersonate-User") == ["jane"]
    assert request.header("Impersonate-Group") == ["a", "b"]
