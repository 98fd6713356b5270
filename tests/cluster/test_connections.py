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
        self.at_once = False
        self.tls: ssl.SSLContext | None = None
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
        with contextlib.suppress(OSError), self.tls.wrap_socket(sock, server_side=True) if self.tls else sock as sock:
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
                step = len(self.answer) if self.at_once else 7
                for start in range(0, len(self.answer), step or 1):
                    sock.sendall(self.answer[start : start + step])
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
CHUNKED = b"Transfer-Encoding: chunked\r\n"


HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


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
    "first go on": (b"HTTP/1.1 100 Continue\r\n\r\n" + sized(b"ok"), b"ok"),
    "first a hint": (HINT + sized(b"ok"), b"ok"),
    "first three of both": (3 * (HINT + b"HTTP/1.1 100 Continue\r\n\r\n") + chunked(b"ok"), b"ok"),
    "a length that chunks do not need": (chunked(LONG, b"Content-Length: 3\r\n"), LONG),
    "a header over two lines": (HEAD + b"A: x\r\n y\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "a header of other letters": (HEAD + b"A: \xe2\x82\xac\xff\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "no words after the status": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "names in any case": (HEAD + b"content-LENGTH:2\r\n\r\nok", b"ok"),
    "bare line ends": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok"),
}
BROKEN = {
    "nothing": (b"", "EOF", True),
    "short": (HEAD + b"Content-Length: 9\r\n\r\nok", "unexpected EOF", True),
    "half a chunk": (HEAD + CHUNKED + b"\r\n9\r\nok", "unexpected EOF", True),
    "no last chunk": (HEAD + CHUNKED + b"\r\n2\r\nok\r\n", "unexpected EOF", True),
    "no size of a chunk": (HEAD + CHUNKED + b"\r\nzz\r\nok\r\n", "unexpected EOF", True),
    "no HTTP": (
        b"SSH-2.0-OpenSSH\r\n",
        "net/http: HTTP/1.x transport connection broken: malformed HTTP response SSH-2.0-OpenSSH",
        True,
    ),
    "HTTP/0.9": (
        b"hello\n",
        "net/http: HTTP/1.x transport connection broken: malformed HTTP response hello",
        True,
    ),
    "not compressed": (sized(b"plain", ZIPPED), "the body of the answer cannot be decompressed", False),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_answers(server: Server, name: str) -> None:
    server.answer, body = WHOLE[name]
    assert read(direct(server)) == (200, body)


# urllib3 takes an interim answer that it does not know for the answer.
@pytest.mark.parametrize("name", [n for n in WHOLE if n not in ("first a hint", "first three of both")])
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


BROKEN_OFF = "net/http: HTTP/1.x transport connection broken: "
REFUSED = {
    "other version": (b"HTTP/2.0 200 OK\r\n\r\n", BROKEN_OFF + "malformed HTTP response HTTP/2.0"),
    "no status": (b"HTTP/1.1 abc OK\r\n\r\n", BROKEN_OFF + "malformed HTTP response HTTP/1.1 abc OK"),
    "long status": (
        b"HTTP/1.1 200 " + b"x" * 70_000,
        BROKEN_OFF + "got more than 65536 bytes when reading status line",
    ),
    "long header": (HEAD + b"A: " + b"x" * 70_000, BROKEN_OFF + "got more than 65536 bytes when reading header line"),
    "many headers": (HEAD + b"A: x\r\n" * 300, BROKEN_OFF + "got more than 100 headers"),
    "no header": (HEAD + b"no colon\r\nContent-Length: 2\r\n\r\nok", BROKEN_OFF + "malformed MIME header"),
    "negative length": (HEAD + b"Content-Length: -5\r\n\r\nok", "bad Content-Length '-5'"),
    "no length": (HEAD + b"Content-Length: two\r\n\r\nok", "bad Content-Length 'two'"),
    "long size of a chunk": (HEAD + CHUNKED + b"\r\n" + b"1" * 70_000, BROKEN_OFF + "got more than 65536 bytes"),
    "long trailer": (chunked(b"ok", trailer=b"A: " + b"x" * 70_000), BROKEN_OFF + "got more than 65536 bytes"),
    "negative chunk": (HEAD + CHUNKED + b"\r\n-1\r\nok\r\n", "unexpected EOF"),
    "hints without end": (HINT * 50 + sized(b"ok"), "net/http: too many 1xx informational responses"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_answers_are_refused(server: Server, name: str) -> None:
    server.answer, words = REFUSED[name]
    with pytest.raises(TransferError) as caught:
        read(direct(server))
    assert str(caught.value).startswith(words)
    assert caught.value.dropped


def test_a_connection_is_used_again_when_the_answer_was_read(server: Server) -> None:
    server.answer, server.closes = sized(b"ok"), False
    pool = direct(server)
    assert [read(pool) for _ in range(3)] == [(200, b"ok")] * 3
    assert server.connections == 1


@pytest.mark.parametrize("name", [n for n in WHOLE if WHOLE[n][0].startswith((b"HTTP/1.1 1", sized(b"")[:20]))])
def test_whole_answers_leave_the_connection_to_the_next(server: Server, name: str) -> None:
    server.answer, body = WHOLE[name]
    if b"ontent-L" not in server.answer and b"chunked" not in server.answer:
        pytest.skip("it ends with the connection")
    server.closes = False
    pool = direct(server)
    assert [read(pool) for _ in range(3)] == [(200, body)] * 3
    assert server.connections == 1


@pytest.mark.parametrize(("header", "connections"), [(b"", 2), (b"Connection: keep-alive\r\n", 1)])
def test_an_old_version_keeps_connections_where_it_says_so(server: Server, header: bytes, connections: int) -> None:
    server.answer, server.closes = b"HTTP/1.0 200 OK\r\n" + header + b"Content-Length: 2\r\n\r\nok", False
    pool = direct(server)
    assert [read(pool), read(pool)] == [(200, b"ok")] * 2
    assert server.connections == connections


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_that_has_no_body_is_not_waited_for(server: Server, status: bytes) -> None:
    server.answer, server.closes = b"HTTP/1.1 " + status + b"\r\nContent-Length: 9\r\n\r\n", False
    assert read(direct(server)) == (int(status[:3]), b"")


def test_what_nobody_asked_for_is_not_the_next_answer(server: Server) -> None:
    # Two answers in one segment, once; the second is of no request.
    server.answer, server.at_once, server.closes = sized(b"mine") + sized(b"nobody's"), True, False
    pool = direct(server)
    assert read(pool) == (200, b"mine")
    server.answer = sized(b"the next")
    assert read(pool) == (200, b"the next")


def test_nor_is_what_came_in_one_record_of_tls(server: Server) -> None:
    server.answer, server.at_once, server.closes = sized(LONG[:12_000]) + sized(b"nobody's"), True, False
    made = certificates()
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(made.server_cert, made.server_key)
    ours = ssl.create_default_context(cafile=str(made.ca))
    pool = Connections(server.url.replace("http:", "https:"), ours, "", POOL_SIZE)
    assert read(pool) == (200, LONG[:12_000])
    server.answer = sized(b"the next")
    assert read(pool) == (200, b"the next")


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
def test_the_host_that_is_named(server: Server, monkeypatch: pytest.MonkeyPatch, url: str, host: str) -> None:
    there, connect = server.socket.getsockname(), socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda _, seconds: connect(there, seconds))
    server.answer = sized(b"")
    read(Connections(url, None, "", POOL_SIZE))
    assert f"\r\nHost: {host}\r\n".encode() in server.asked[0]


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


def test_connections_that_are_opened_ahead_are_used_and_no_more_are_opened(server: Server) -> None:
    server.answer, server.closes = sized(LONG), False
    pool = direct(server)
    pool.dial(3, 5.0)
    together = [threading.Thread(target=read, args=(pool,)) for _ in range(3)]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert read(pool) == (200, LONG)
    assert len(server.asked) == 4
    assert server.connections == 3


def test_a_request_beyond_those_opened_ahead_opens_one_itself(server: Server) -> None:
    server.answer, server.closes = sized(LONG), False
    pool = direct(server)
    pool.dial(1, 5.0)
    held = pool.get("/x", [("Accept", "*/*")], 5.0)
    assert read(pool) == (200, LONG)
    held.close()
    assert server.connections == 2


def test_what_goes_wrong_ahead_is_told_by_the_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        pool = Connections(f"http://127.0.0.1:{gone.getsockname()[1]}", None, "", POOL_SIZE)
    pool.dial(2, 5.0)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            read(pool)


def test_nobody_waits_longer_for_a_connection_opened_ahead_than_for_its_own() -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    pool = Connections(f"https://127.0.0.1:{silent.getsockname()[1]}", ssl.create_default_context(), "", POOL_SIZE)
    pool.dial(1, 30.0)
    begun = time.monotonic()
    with pytest.raises(ConnectTimeoutError):
        pool.get("/x", [("Accept", "*/*")], 0.2)
    assert time.monotonic() - begun < 5
    silent.close()


def test_an_address_that_nobody_has_is_tried_for_its_time_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[float] = []

    def connect(_: object, seconds: float) -> socket.socket:
        tried.append(seconds)
        time.sleep(0.3)
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", connect)
    pool = Connections("http://192.0.2.1:6443", None, "", POOL_SIZE)
    pool.dial(2, 5.0)
    for _ in range(2):
        with pytest.raises(ConnectTimeoutError):
            read(pool)
    assert len(tried) == 3
