"""Real etcd members on loopback, whose disk, network and quota can be made bad."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from e2e.binaries import CannotRunError
from e2e.daemons import Daemons, free_port

_START_SECONDS = 30.0


@dataclass(frozen=True)
class _Ports:
    client: int
    peer: int
    metrics: int


class Etcd:
    """A cluster of members, numbered from 1; each reaches the others through a relay that can be slow."""

    def __init__(self, program: Path, folder: Path, size: int = 1, *flags: str, host: str = "") -> None:
        """Choose ports; nothing is started yet. Clients may come by an address of this machine, ``host``, too."""
        self._program, self._flags, self._host = program, flags, host
        self._daemons = Daemons(folder)
        self.members = tuple(range(1, size + 1))
        self.ports = {i: _Ports(free_port(), free_port(), free_port()) for i in self.members}
        self._relays = {i: Relay(self.ports[i].peer) for i in self.members}

    @property
    def endpoints(self) -> str:
        """What an API server is given."""
        return ",".join(f"http://127.0.0.1:{p.client}" for p in self.ports.values())

    @property
    def outward(self) -> str:
        """What an API server on another machine would be given; loopback where the members have no other address."""
        return ",".join(f"http://{self._host or '127.0.0.1'}:{p.client}" for p in self.ports.values())

    def start(self, *members: int) -> None:
        """Start members, by default all, and wait until each knows a leader."""
        chosen = members or self.members
        for i in chosen:
            self._daemons.run(_name(i), [self._program, *self._words(i)])
        ends = time.monotonic() + _START_SECONDS
        while any(self.metric(i, "etcd_server_has_leader") != 1 for i in chosen):
            if time.monotonic() > ends:
                raise TimeoutError(f"etcd found no leader: {self._daemons.last_words(_name(chosen[0]))}")
            time.sleep(0.2)

    def stop(self, *members: int) -> None:
        """Kill members."""
        for i in members:
            self._daemons.stop(_name(i), signal.SIGKILL)

    def freeze(self, *members: int) -> None:
        """Let members keep their ports and answer nothing."""
        for i in members:
            self._daemons.freeze(_name(i))

    def thaw(self, *members: int) -> None:
        """End a freeze."""
        for i in members:
            self._daemons.thaw(_name(i))

    def log(self, member: int) -> Path:
        """Return the file of a member's words."""
        return self._daemons.log(_name(member))

    def leader(self) -> int:
        """Return the member that leads."""
        return next(i for i in self.members if self.metric(i, "etcd_server_is_leader") == 1)

    def metric(self, member: int, name: str) -> float | None:
        """Read one gauge; None when the member does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[member].metrics}/metrics", timeout=3) as answer:
                found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
        except OSError:
            return None
        return float(found[1]) if found else None

    @contextlib.contextmanager
    def slow_network(self, seconds: float) -> Iterator[None]:
        """Delay what members send to each other, each way."""
        for relay in self._relays.values():
            relay.delay = seconds
        try:
            yield
        finally:
            for relay in self._relays.values():
                relay.delay = 0.0

    @contextlib.contextmanager
    def slow_disk(self, seconds: float, *members: int) -> Iterator[None]:
        """Delay every fdatasync of members, by default of all. Raises CannotRunError without strace or its right."""
        strace = shutil.which("strace")
        if strace is None:
            raise CannotRunError("strace is not on PATH: no slow disk can be made")
        tracers = []
        for i in members or self.members:
            inject = f"inject=fdatasync:delay_enter={int(seconds * 1e6)}"
            words = [strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", inject]
            tracers.append(subprocess.Popen([*words, "-p", str(self._daemons.pid(_name(i)))]))
        try:
            time.sleep(1)
            if any(tracer.poll() is not None for tracer in tracers):
                raise CannotRunError("strace may not trace here, so no slow disk can be made")
            yield
        finally:
            for tracer in tracers:
                tracer.terminate()
            for tracer in tracers:
                tracer.wait(15)

    def close(self) -> None:
        """End all members and relays."""
        self._daemons.end()
        for relay in self._relays.values():
            relay.close()

    def _words(self, i: int) -> list[str]:
        ports = self.ports[i]
        client, peer = (f"http://127.0.0.1:{p}" for p in (ports.client, ports.peer))
        beside = f",http://{self._host}:{ports.client}" if self._host else ""
        relayed = {n: f"http://127.0.0.1:{relay.port}" for n, relay in self._relays.items()}
        return [
            f"--name={_name(i)}",
            f"--data-dir={self._daemons.folder / f'data-{i}'}",
            f"--listen-client-urls={client}{beside}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={relayed[i]}",
            "--initial-cluster=" + ",".join(f"{_name(n)}={url}" for n, url in relayed.items()),
            f"--listen-metrics-urls=http://127.0.0.1:{ports.metrics}",
            *self._flags,
        ]


def _name(member: int) -> str:
    return f"etcd-{member}"


class Relay:
    """A port of loopback that passes everything on to another one, later."""

    def __init__(self, target: int) -> None:
        """Listen at once."""
        self.delay = 0.0
        """Seconds by which each direction is late."""
        self._target = target
        self._loop = asyncio.new_event_loop()
        listening = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(listening,), daemon=True)
        self._thread.start()
        listening.wait(10)

    def close(self) -> None:
        """Stop listening."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _serve(self, listening: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._relay, "127.0.0.1", 0))
        self.port: int = server.sockets[0].getsockname()[1]
        listening.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        passes = (self._pass(reader, onward[1]), self._pass(onward[0], writer))
        # Streams of asyncio take a cancelled callback for a fault.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*passes, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def send() -> None:
            while True:
                moment, content = await due.get()
                await asyncio.sleep(max(0.0, moment - self._loop.time()))
                if not content:
                    break
                writer.write(content)
                await writer.drain()
            writer.close()

        sending = self._loop.create_task(send())
        with contextlib.suppress(OSError):
            while content := await reader.read(65536):
                due.put_nowait((self._loop.time() + self.delay, content))
        due.put_nowait((self._loop.time() + self.delay, b""))
        with contextlib.suppress(OSError):
            await sending
