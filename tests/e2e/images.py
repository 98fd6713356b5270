"""Container images made of this machine's static busybox, and a registry on loopback that refuses in every way."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import platform
import shutil
import struct
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

from e2e.binaries import CannotRunError

BOX = "registry.example/e2e/box:1"
"""Has a shell, a script without the right to run, one whose interpreter is missing, and a program of another CPU."""
PAUSE = "registry.example/e2e/pause:1"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_INTERPRETER = 3
"""Type of the program header that a dynamically linked ELF file has."""
_OTHER_CPU = 243
"""ELF's number of RISC-V."""


def busybox() -> Path:
    """Return a busybox that needs no libraries. Raises CannotRunError without one."""
    found = shutil.which("busybox")
    if found is None:
        raise CannotRunError("busybox is not on PATH")
    path = Path(found).resolve()
    if _dynamic(path.read_bytes()):
        raise CannotRunError("busybox is linked dynamically: install busybox-static")
    return path


def _dynamic(elf: bytes) -> bool:
    (start,), (size, count) = struct.unpack_from("<Q", elf, 32), struct.unpack_from("<HH", elf, 54)
    return any(struct.unpack_from("<I", elf, start + i * size)[0] == _INTERPRETER for i in range(count))


def write_images(folder: Path) -> list[Path]:
    """Write the images as archives that containerd imports."""
    folder.mkdir(parents=True, exist_ok=True)
    program = busybox()
    content = program.read_bytes()
    foreign = content[:18] + struct.pack("<H", _OTHER_CPU) + content[20:]
    applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    files = {
        "bin/busybox": (content, 0o755),
        "bin/foreign": (foreign, 0o755),
        "bin/not-executable": (b"#!/bin/sh\necho hi\n", 0o644),
        "bin/no-interpreter": (b"#!/usr/bin/python9\nprint(1)\n", 0o755),
        "etc/passwd": (b"root:x:0:0:root:/root:/bin/sh\n", 0o644),
        "etc/group": (b"root:x:0:\n", 0o644),
    }
    links = [f"bin/{a}" for a in applets if a != "busybox"]
    box = _archive(folder / "box.tar", BOX, files, links, {"Cmd": ["sh"]})
    wait = {"Entrypoint": ["/bin/sleep"], "Cmd": ["2147483647"]}
    return [box, _archive(folder / "pause.tar", PAUSE, files, links, wait)]


def _archive(
    target: Path, tag: str, files: dict[str, tuple[bytes, int]], links: list[str], config: dict[str, list[str]]
) -> Path:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name in ("bin", "etc", "tmp", "var", "proc", "sys", "dev", "root"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(folder)
        for name, (content, mode) in files.items():
            _add(tar, name, content, mode)
        for name in links:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    layer_name = hashlib.sha256(layer.getvalue()).hexdigest()
    made = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], **config},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_name}"]},
        "history": [{"created_by": "e2e"}],
    }
    described = json.dumps(made).encode()
    config_name = hashlib.sha256(described).hexdigest() + ".json"
    manifest = [{"Config": config_name, "RepoTags": [tag], "Layers": [f"{layer_name}/layer.tar"]}]
    with tarfile.open(target, "w") as tar:
        _add(tar, config_name, described)
        _add(tar, "manifest.json", json.dumps(manifest).encode())
        _add(tar, f"{layer_name}/layer.tar", layer.getvalue())
    return target


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def main() -> None:
    """Write the archives into the folder that the command line names, for clusters that are given (kind)."""
    write_images(Path(sys.argv[1]))


_ANSWERS = {
    "private": (401, "UNAUTHORIZED", "authentication required"),
    "denied": (403, "DENIED", "requested access to the resource is denied"),
    "limited": (429, "TOOMANYREQUESTS", "You have reached your pull rate limit"),
    "broken": (500, "UNKNOWN", "unknown error"),
}
_MISSING = (404, "MANIFEST_UNKNOWN", "manifest unknown")


class Registry:
    """Refuses what is asked of it, by the first part of the image's name; what it has no rule for does not exist."""

    def __init__(self) -> None:
        """Listen on a free port of loopback."""

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = self.path.strip("/").split("/")
                whole = parts == ["v2"]
                status, code, words = (200, "", "") if whole else _ANSWERS.get(parts[1], _MISSING)
                body = json.dumps({"errors": [{"code": code, "message": words}]}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                if status == 401:
                    self.send_header("WWW-Authenticate", 'Basic realm="e2e"')
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def do_HEAD(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *args: object) -> None:
                """Write nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.name = f"localhost:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


if __name__ == "__main__":
    main()
