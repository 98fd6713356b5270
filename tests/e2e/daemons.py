"""Programs that run beside the tests, each started, stopped, frozen and ended alone."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path


class Daemons:
    """Programs whose words go to a file each, in one folder."""

    def __init__(self, folder: Path) -> None:
        """Start nothing yet."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, name: str, words: Sequence[str | Path], env: dict[str, str] | None = None) -> None:
        """Start a program in a session of its own."""
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(w) for w in words],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=env,
            )

    def log(self, name: str) -> Path:
        """Return the file of a program's words."""
        return self.folder / f"{name}.log"

    def last_words(self, name: str, lines: int = 5) -> list[str]:
        """Return the end of a program's log."""
        return self.log(name).read_text(errors="replace").splitlines()[-lines:]

    def runs(self, name: str) -> bool:
        """Tell whether a program was started and has not ended."""
        return name in self._running and self._running[name].poll() is None

    def pid(self, name: str) -> int:
        """Return the process of a program that was started."""
        return self._running[name].pid

    def stop(self, name: str, how: int = signal.SIGTERM) -> None:
        """End one program and wait for it; one that does not end is killed."""
        daemon = self._running.pop(name, None)
        if daemon is None:
            return
        daemon.send_signal(how)
        try:
            daemon.wait(15)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def freeze(self, name: str) -> None:
        """Let a program keep its port and answer nothing."""
        os.kill(self.pid(name), signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """End a freeze."""
        os.kill(self.pid(name), signal.SIGCONT)

    def end(self, *first: str) -> None:
        """Kill everything, in this order and then the rest."""
        for name in (*first, *list(self._running)):
            if self.runs(name):
                self.thaw(name)
            self.stop(name, signal.SIGKILL)


_given: set[int] = set()


def free_port() -> int:
    """Return a port of loopback that nothing listens on, below those that Linux gives to clients (32768 and up).

    A port of that range may be a client's by the time that the daemon listens on it.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        if port in _given:
            continue
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            _given.add(port)
            return port
