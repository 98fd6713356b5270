"""What a program says when it starts: where it listens, and how long it took."""

from __future__ import annotations

import re

from kubetriage.readers.logs.addresses import HOST, V6
from kubetriage.readers.logs.text import OWN_TIME, read_lines, time_of
from kubetriage.records import dataclass
from kubetriage.values.patterns import lazy
from kubetriage.values.times import parse_time


@dataclass(frozen=True)
class Listener:
    """An address that a program says it listens on."""

    host: str
    """``*`` for all interfaces, empty when the line names only a port."""
    port: int
    line: str

    @property
    def loopback(self) -> bool:
        """Only processes of the same pod can connect."""
        return self.host == "localhost" or self.host == "::1" or self.host.startswith("127.")


_NUMBER = r"(\d{1,7}(?:\.\d{1,6})?)"
_STARTED: tuple[tuple[re.Pattern[str], float], ...] = (
    # Spring Boot: Started App in 42.3 seconds (process running for 43.1); 2.x: (JVM running for 43.1)
    (lazy(rf"Started \S{{1,200}} in [\d.]{{1,12}} seconds \((?:process|JVM) running for {_NUMBER}\)"), 1.0),
    (lazy(rf"Started \S{{1,200}} in {_NUMBER} seconds"), 1.0),
    # Quarkus: (powered by Quarkus 3) started in 1.234s; Helidon, Vert.x
    (lazy(rf"started in {_NUMBER} ?s(?:econds)?\b", re.IGNORECASE), 1.0),
    (
        lazy(
            rf"(?:started|startup|start-up|ready|booted|initialized)(?: completed)? in \[?{_NUMBER}\]? ?(?:ms\b"
            rf"|milliseconds)",
            re.IGNORECASE,
        ),
        0.001,
    ),
    # Jetty: Started Server@1b2c3d{...} @1234ms
    (lazy(rf"Started .{{1,200}} @{_NUMBER}ms"), 0.001),
    (
        lazy(
            rf"(?:startup|start-up|ready|booted|initialized|loaded)(?: completed)?(?: in"
            rf"| after) {_NUMBER} ?s(?:econds)?\b",
            re.IGNORECASE,
        ),
        1.0,
    ),
)
_READY = lazy(
    r"\blisten(?:ing|s)\b|ready to (?:accept|serve|handle)|server (?:is )?(?:started|running|ready)"
    r"|application startup complete"
    r"|started (?:on|server|http)|now serving|serving on|accepting connections|startup complete",
    re.IGNORECASE,
)


def startup_seconds(content: str) -> float | None:
    """Return how many seconds the program says its start took, or None when the log does not tell.

    Its own figure counts; else the time of the first line that says it is ready minus that of the first line.
    """
    lines = read_lines(content)
    for line in lines:
        row = line.body[:1000]
        if "in " in row or "@" in row or "after " in row:
            for pattern, unit in _STARTED:
                match = pattern.search(row)
                if match is not None:
                    return round(float(match[1]) * unit, 3)
    first = next((t for t in (parse_time(time_of(line)) for line in lines[:50]) if t), None)
    if first is None:
        return None
    for line in lines:
        if _READY.search(line.body[:1000]):
            ready = parse_time(time_of(line))
            if ready is not None and ready >= first:
                return round((ready - first).total_seconds(), 3)
    return None


_LISTENS = lazy(
    r"\blisten(?:ing|s|er)?\b|\bserving\b|\bbound to\b|running (?:on|at)\b|started (?:on|server on|at)\b"
    r"|server (?:is )?(?:started|running|up)"
    r"|(?:tomcat|netty|jetty|undertow|server|application) (?:started|initialized|available)"
    r"|development server at|starting (?:\w+ ){0,3}"
    r"server (?:on|at)\b|\bserve on\b|accepting connections|available at|ready (?:on|at)\b|endpoint",
    re.IGNORECASE,
)
_LISTEN_ADDRESS = lazy(
    rf"(?:(?:https?|tcp|grpc|ws|ssl|unix)://)(?P<url>{HOST}|\*):(?P<urlport>\d{{1,5}})"
    rf"|(?<![\w.\]:/-])(?P<host>{V6}|(?:\d{{1,3}}\.){{3}}\d{{1,3}}|localhost|\*"
    rf"|::)?:(?P<port>\d{{2,5}})(?![\w:.]*:?\d)"
    r"|address \"(?P<quoted>[0-9A-Fa-f:.]{2,45})\", port (?P<qport>\d{1,5})"
    r"|(?<=\s)(?P<bare>(?:\d{1,3}\.){3}\d{1,3}|::) port (?P<bareport>\d{1,5})"
    r"|\bport(?:\(s\))?(?:[:=]? ?\"?| is | number )(?P<only>\d{2,5})\b",
    re.IGNORECASE,
)
_LISTEN_KEYS = (
    "listen", "serv", "bound to", "running", "started", "initialized", "available", "accepting", "ready", "endpoint",
)  # fmt: skip
_LOCAL_ONLY = "use --host to expose"
"""Vite's word for the address that it does not serve; only then its line ``Local:`` tells all that it serves."""
_NOT_LISTENING = lazy(r"failed|error|refused|cannot|could not|unable|already in use|in use", re.IGNORECASE)


def listening(content: str) -> tuple[Listener, ...]:
    """Return the addresses that the program says it listens on, in order, each once."""
    found: dict[tuple[str, int], Listener] = {}
    local = _LOCAL_ONLY in content
    for line in read_lines(content):
        row = line.body[:2000]
        low = row.lower()
        said = any(key in low for key in _LISTEN_KEYS) and _LISTENS.search(row)
        if not (said or (local and "local:" in low)) or _NOT_LISTENING.search(row):
            continue
        words = row
        own = OWN_TIME.match(row)
        if own is not None:
            words = row[own.end() :]
        for match in _LISTEN_ADDRESS.finditer(re.sub(r"(?<!\d)\d\d:\d\d:\d\d(?!\d)", "", words)):
            host = match["url"] or match["host"] or match["quoted"] or match["bare"] or ""
            port = int(match["urlport"] or match["port"] or match["qport"] or match["bareport"] or match["only"])
            host = host.strip("[]")
            if host in ("0.0.0.0", "::", "*") or (match["port"] and not match["host"]):  # noqa: S104
                host = "*"
            if 0 < port < 65536 and not any(p == port and h for h, p in found if not host):
                found.setdefault((host, port), Listener(host, port, row.strip()))
            if match["only"] is None:
                break  # what follows is the same address in other words
        if len(found) > 50:
            break
    return tuple(found.values())
