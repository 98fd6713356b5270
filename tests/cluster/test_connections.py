"""Plain HTTP answers as servers send them, also those that break off; urllib3, behind a proxy, must agree."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import threading
import time
from collections.abc import Iterator

import pytest

from kubetriage.cluster.connect import POOL_SIZE
from kubetriage.cluster.connections import Connections
from kubetriage.cluster.errors import ConnectTimeoutError, TransferError
from kubetriage.cluster.proxied import Proxied
from support.tls import certificates


class Server:
    """Sends the same bytes for each request, and closes where there is no way to tell their end."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.asked: list[bytes] = []
        self.connections = 0
        self.answer = b""
        self.closes = True
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        # A client may leave in the middle.
        with sock, contextlib.suppress(OSError):
            got = b""
            while True:
                piece = sock.recv(65536)
                if not piece:
                    return
                got += piece
                if not got.endswith(b"\r\n\r\n"):
                    continue
                self.asked.append(got)
                got = b""
                for start in range(0, len(self.answer), 7):
                    sock.sendall(self.answer[start : start + 7])
                if self.closes:
                    return


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.socket.close()


def read(pool: Connections | Proxied, target: str = "/x") -> tuple[int, bytes]:
    answer = pool.get(target, [("Accept", "*/*")], 5.0)
    try:
        return answer.status, b"".join(answer.pieces())
    finally:
        answer.finish()


def direct(server: Server) -> Connections:
    return Connections(server.url, None, "", POOL_SIZE)


def outcome(pool: Connections | Proxied) -> object:
    try:
        return read(pool)
    except TransferError as error:
        return str(error), error.dropped


LONG = b"The quick brown fox. " * 5000
HEAD = b"HTTP/1.1 200 OK\r\n"
ZIPPED = b"Content-Encoding: gzip\r\n"


def sized(body: bytes, more: bytes = b"") -> bytes:
    return HEAD + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(body: bytes, more: bytes = b"", size: int = 1000, trailer: bytes = b"") -> bytes:
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    chunks = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(p), p) for p in parts)
    return HEAD + more + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n" + trailer + b"\r\n"


WHOLE = {
    "sized": (sized(LONG), LONG),
    "empty": (sized(b""), b""),
    "chunked": (chunked(LONG), LONG),
    "a trailer": (chunked(LONG, trailer=b"X-Sum: 1\r\n"), LONG),
    "no chunk": (chunked(b""), b""),
    "to the end": (HEAD + b"\r\n" + LONG, LONG),
    "old version": (b"HTTP/1.0 200 OK\r\n\r\n" + LONG, LONG),
    "compressed": (sized(gzip.compress(LONG), ZIPPED), LONG),
    "compressed and chunked": (chunked(gzip.compress(LONG), ZIPPED, 11), LONG),
    "two members": (sized(gzip.compress(LONG) + gzip.compress(b"end"), ZIPPED), LONG + b"end"),
    "first an interim answer": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + sized(b"ok"), b"ok"),
    "names in any case": (HEAD + b"content-LENGTH:2\r\n\r\nok", b"ok"),
    "bare line ends": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok"),
}
BROKEN = {
    "nothing": (b"", "EOF", True),
    "short": (HEAD + b"Content-Length: 9\r\n\r\nok", "unexpected EOF", True),
    "half a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\nok", "unexpected EOF", True),
    "no HTTP": (
        b"SSH-2.0-OpenSSH\r\n",
        "net/http: HTTP/1.x transport connection broken: malformed HTTP response SSH-2.0-OpenSSH",
        True,
    ),
    "not compressed": (sized(b"plain", ZIPPED), "the body of the answer cannot be decompressed", False),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_answers(server: Server, name: str) -> None:
    server.answer, body = WHOLE[name]
    assert read(direct(server)) == (200, body)


@pytest.mark.parametrize("name", [n for n in WHOLE if n != "first an interim answer"])
def test_urllib3_reads_the_same(server: Server, name: str) -> None:
    server.answer, body = WHOLE[name]
    assert read(Proxied("http://api.test", None, "", POOL_SIZE, server.url)) == (200, body)


@pytest.mark.parametrize("name", BROKEN)
def test_answers_that_break_off(server: Server, name: str) -> None:
    server.answer, words, dropped = BROKEN[name]
    assert outcome(direct(server)) == (words, dropped)


# What comes of an answer without a byte depends on who closes first.
@pytest.mark.parametrize("name", [n for n in BROKEN if n != "nothing"])
def test_urllib3_refuses_the_same(server: Server, name: str) -> None:
    server.answer, words, dropped = BROKEN[name]
    told = outcome(Proxied("http://api.test", None, "", POOL_SIZE, server.url))
    assert told in ((words, dropped), (f"proxyconnect tcp: {words}", False))


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nok\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n",
        HEAD + b"Content-Length: -5\r\n\r\nok",
        HEAD + b"A: " + b"x" * 70_000,
        HEAD + b"A: x\r\n" * 300,
        b"HTTP/2.0 200 OK\r\n\r\n",
    ],
    ids=["negative chunk", "no chunk size", "negative length", "long line", "many headers", "other version"],
)
def test_hostile_answers_are_refused(server: Server, answer: bytes) -> None:
    server.answer = answer
    with pytest.raises(TransferError):
        read(direct(server))


def test_a_connection_is_used_again_when_the_answer_was_read(server: Server) -> None:
    server.answer, server.closes = sized(b"ok"), False
    pool = direct(server)
    assert [read(pool) for _ in range(3)] == [(200, b"ok")] * 3
    assert server.connections == 1


def test_a_connection_with_an_unread_answer_is_not(server: Server) -> None:
    server.answer, server.closes = sized(LONG), False
    pool = direct(server)
    pool.get("/x", [], 5.0).finish()
    assert read(pool) == (200, LONG)
    assert server.connections == 2


@pytest.mark.parametrize("header", [b"Connection: close\r\n", b""])
def test_nor_one_that_the_server_closes(server: Server, header: bytes) -> None:
    server.answer = sized(b"ok", header)
    pool = direct(server)
    assert read(pool) == (200, b"ok")
    ends = time.monotonic() + 30
    while not header and any(not c.has_ended() for c in pool._idle) and time.monotonic() < ends:
        time.sleep(0.01)
    assert read(pool) == (200, b"ok")
    assert server.connections == 2


def test_a_small_body_that_becomes_huge_comes_in_pieces(server: Server) -> None:
    server.answer = sized(gzip.compress(b"\0" * 50_000_000), ZIPPED)
    answer = direct(server).get("/x", [], 30.0)
    sizes = [len(piece) for piece in answer.pieces()]
    answer.close()
    assert sum(sizes) == 50_000_000
    assert max(sizes) <= 1 << 20


def test_the_request_on_the_wire(server: Server) -> None:
    server.answer = sized(b"")
    pool = Connections(f"{server.url}/k8s/clusters/c-1", None, "", POOL_SIZE)
    pool.get("/api?match[]=a", [("Impersonate-User", "kim\u2019s"), ("Accept", "*/*")], 5.0).close()
    port = server.url.rpartition(":")[2]
    assert server.asked == [
        f"GET /k8s/clusters/c-1/api?match%5B%5D=a HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "Impersonate-User: kim\u2019s\r\nAccept: */*\r\n\r\n".encode()
    ]


@pytest.mark.parametrize(
    ("target", "headers"),
    [("/a b", []), ("/a\r\nX: y", []), ("/\u00e9", []), ("/a", [("A", "x\r\nB: y")]), ("/a", [("A", "x\0")])],
)
def test_what_would_end_a_line_is_never_sent(server: Server, target: str, headers: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError, match=r"has letters that|has control characters"):
        direct(server).get(target, headers, 5.0)
    assert server.connections == 0


def test_a_server_that_says_nothing_times_out(server: Server) -> None:
    server.closes = False
    with pytest.raises(TimeoutError) as caught:
        direct(server).get("/x", [], 0.1)
    assert not isinstance(caught.value, ConnectTimeoutError)


def test_no_connection_in_time_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: object) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", late)
    with pytest.raises(ConnectTimeoutError):
        Connections("http://10.255.255.1", None, "", POOL_SIZE).get("/x", [], 0.1)


@pytest.mark.parametrize(
    ("url", "host"),
    [("http://api.test", "api.test"), ("http://[::1]:80", "[::1]"), ("http://[fd00::2]:6443", "[fd00::2]:6443")],
)
def test_the_host_that_is_named(url: str, host: str) -> None:
    assert f"\r\nHost: {host}\r\n".encode() in Connections(url, None, "", POOL_SIZE)._request("/", [])


def test_a_server_with_http2_is_told_that_this_is_not_spoken() -> None:
    made = certificates()
    ours = ssl.create_default_context(cafile=str(made.ca))
    Connections("https://127.0.0.1", ours, "", POOL_SIZE)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(made.server_cert, made.server_key)
    theirs.set_alpn_protocols(["h2", "http/1.1"])
    back, forth = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.wrap_bio(back, forth, server_hostname="127.0.0.1")
    server = theirs.wrap_bio(forth, back, server_side=True)
    for one in (client, server, client):
        with contextlib.suppress(ssl.SSLWantReadError):
            one.do_handshake()
    assert client.selected_alpn_protocol() == "http/1.1"
