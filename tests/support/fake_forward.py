"""The API server's side of port-forward over WebSocket (``v4.channel.k8s.io``), for the fake API server."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from support.fake_api import FakeApi

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def forward(handler: BaseHTTPRequestHandler, api: FakeApi) -> int:
    """Serve one forwarded port until either side ends; return the HTTP status of the upgrade."""
    split = urlsplit(handler.path)
    parts = [unquote(p) for p in split.path.strip("/").split("/")]
    namespace, pod = parts[3], parts[5]
    port = int(parse_qs(split.query)["ports"][0])
    accept = base64.b64encode(hashlib.sha1((handler.headers["Sec-WebSocket-Key"] + _GUID).encode()).digest()).decode()
    handler.wfile.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Protocol: v4.channel.k8s.io\r\nSec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
    )
    handler.wfile.flush()
    write = threading.Lock()

    def send(channel: int, data: bytes) -> None:
        payload = bytes([channel]) + data
        head = (
            struct.pack("!BB", 0x82, len(payload))
            if len(payload) < 126
            else struct.pack("!BBH", 0x82, 126, len(payload))
        )
        with write:
            handler.wfile.write(head + payload)
            handler.wfile.flush()

    for channel in (0, 1):
        send(channel, struct.pack("<H", port))
    serve = api.ports.get((namespace, pod, port))
    if serve is None:
        words = (
            f"error forwarding port {port} to pod 1a2b, uid : failed to execute portforward in network namespace: "
            f'failed to connect to localhost:{port} inside namespace "1a2b", IPv4: dial tcp4 127.0.0.1:{port}: '
            "connect: connection refused"
        )
        send(1, words.encode())
        return 101
    inside, outside = socket.socketpair()

    def work() -> None:
        with contextlib.suppress(OSError), inside:
            serve(inside)

    def back() -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := outside.recv(16384):
                send(0, data)
            with write:
                handler.wfile.write(b"\x88\x00")
                handler.wfile.flush()

    threads = [threading.Thread(target=t, daemon=True) for t in (work, back)]
    for thread in threads:
        thread.start()
    with contextlib.suppress(OSError, EOFError), outside:
        while frame := _frame(handler.rfile):
            if frame[0] == 0:
                outside.sendall(frame[1:])
        outside.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(2)
    return 101


def _frame(stream: BinaryIO) -> bytes:
    """Return the payload of the next frame; empty at the end."""
    head = stream.read(2)
    if len(head) < 2 or head[0] & 15 == 8:
        return b""
    length = head[1] & 127
    if length == 126:
        length = struct.unpack("!H", stream.read(2))[0]
    elif length == 127:
        length = struct.unpack("!Q", stream.read(8))[0]
    mask = stream.read(4) if head[1] & 128 else b"\0\0\0\0"
    data = stream.read(length)
    return bytes(b ^ mask[i % 4] for i, b in enumerate(data))
