"""A kubelet's port as the API server dials it: logs of recorded and running programs, port-forward, real TLS."""

from __future__ import annotations

import http.server
import ssl
import threading
import urllib.parse
from pathlib import Path

from e2e.forwarding import forward


class KubeletPort:
    """Serves ``containerLogs``; what was not recorded is answered as a kubelet does."""

    def __init__(self, pki: Path) -> None:
        """Listen on a free port of loopback."""
        self.logs: dict[tuple[str, str, str, bool], str] = {}
        """By namespace, pod, container, and whether of the instance before."""
        self.files: dict[tuple[str, str, str], Path] = {}
        """Logs that programs write at this moment, by namespace, pod and container."""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                address = urllib.parse.urlsplit(self.path)
                if address.path.startswith("/portForward/"):
                    asked = urllib.parse.parse_qs(address.query)
                    forward(self, int((asked.get("port") or asked["ports"])[0]))
                    return
                status, body = outer.answer(address.path, urllib.parse.parse_qs(address.query))
                content = body.encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Write nothing: requests are the API server's matter."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki / "kubelet.crt", pki / "kubelet.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, str]:
        """Answer one request."""
        parts = path.strip("/").split("/")
        if parts[0] == "containerLogs" and len(parts) == 4:
            previous = query.get("previous", [""])[0] == "true"
            known = self.logs.get((parts[1], parts[2], parts[3], previous))
            file = self.files.get((parts[1], parts[2], parts[3]))
            if file is not None and not previous:
                known = file.read_text(encoding="utf-8", errors="replace")
            if known is None:
                which = "previous terminated container" if previous else "container"
                return 400, f'{which} "{parts[3]}" in pod "{parts[2]}" not found'
            lines = known.splitlines(keepends=True)
            tail = query.get("tailLines", [""])[0]
            return 200, "".join(lines[-int(tail) :] if tail.isdigit() else lines)
        return (200, "ok") if path == "/healthz" else (404, "404 page not found")

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
