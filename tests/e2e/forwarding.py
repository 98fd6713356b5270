"""The kubelet's side of port-forward over WebSocket (``v4.channel.k8s.io``); it dials loopback."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler
from typing import BinaryIO

# RFC 6455, section 1.3.
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY, _CLOSE = 0x82, 0x88


def forward(handler: BaseHTTPRequestHandler, port: int) -> None:
    """Serve one forwarded port until either side ends."""
    accept = base64.b64encode(hashlib.sha1((handler.headers["Sec-WebSocket-Key"] + _GUID).encode()).digest()).decode()
    handler.close_connection = True
    handler.wfile.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Protocol: v4.channel.k8s.io\r\nSec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
    )
    for channel in (0, 1):
        _send(handler.wfile, bytes([channel]) + struct.pack("<H", port))
    try:
        there = socket.create_connection(("127.0.0.1", port), 5)
    except OSError as error:
        words = f"failed to connect to localhost:{port} inside namespace: dial tcp4 127.0.0.1:{port}: connect: "
        refused = "connection refused" if isinstance(error, ConnectionRefusedError) else str(error)
        _send(handler.wfile, b"\1" + words.encode() + refused.encode())
        return
    there.settimeout(None)
    back = threading.Thread(target=_back, args=(there, handler.wfile), daemon=True)
    back.start()
    with contextlib.suppress(OSError, EOFError):
        while (frame := _frame(handler.rfile)) is not None:
            if frame[:1] == b"\0":
                there.sendall(frame[1:])
    with contextlib.suppress(OSError):
        there.shutdown(socket.SHUT_RDWR)
    back.join(2)
    there.close()


def _back(there: socket.socket, out: BinaryIO) -> None:
    with contextlib.suppress(OSError, ValueError):
        while data := there.recv(16384):
            _send(out, b"\0" + data)
        out.write(bytes([_CLOSE, 0]))
        out.flush()


def _send(out: BinaryIO, payload: bytes) -> None:
    short = len(payload) < 126
    head = struct.pack("!BB", _BINARY, len(payload)) if short else struct.pack("!BBH", _BINARY, 126, len(payload))
    out.write(head + payload)
    out.flush()


def _frame(source: BinaryIO) -> bytes | None:
    """Read one frame of a client, unmasked; None when it says goodbye."""
    first, second = _exactly(source, 2)
    if first & 0x0F == 8:
        return None
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack("!H", _exactly(source, 2))
    elif length == 127:
        (length,) = struct.unpack("!Q", _exactly(source, 8))
    mask = _exactly(source, 4) if second & 0x80 else bytes(4)
    return bytes(b ^ mask[i % 4] for i, b in enumerate(_exactly(source, length)))


def _exactly(source: BinaryIO, count: int) -> bytes:
    data = source.read(count)
    if len(data) < count:
        raise EOFError
    return data
