"""Probes of a container: their numbers, the time in which they can kill, and what their failures say.

The numbers follow kubernetes ``pkg/kubelet/prober`` and ``pkg/apis/core/v1/defaults.go``, the texts
``prober.go``, ``pkg/probe`` and Go's ``net`` and ``net/http``.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from kubetriage.model import Evidence
from kubetriage.readers.events import Event
from kubetriage.readers.pods import Container
from kubetriage.records import dataclass
from kubetriage.rules.crash.case import Case
from kubetriage.typed import Literal
from kubetriage.values.fields import Obj, dig, mapping, number, objects, text, texts
from kubetriage.values.patterns import lazy

ProbeKind = Literal["liveness", "readiness", "startup"]

MINIMUM_GRACE = 2
"""Seconds that the kubelet grants at least before SIGKILL (``minimumGracePeriodInSeconds``)."""
SLACK = 1
"""Status times have whole seconds, so a lifetime is known to a second either way."""


@dataclass(frozen=True)
class Probe:
    """One probe of a container."""

    container: Container
    kind: ProbeKind
    raw: Obj

    @property
    def field(self) -> str:
        """Name of the field (``livenessProbe``)."""
        return f"{self.kind}Probe"

    @property
    def delay(self) -> int:
        """``initialDelaySeconds``; default 0."""
        return max(number(self.raw, "initialDelaySeconds") or 0, 0)

    @property
    def period(self) -> int:
        """``periodSeconds``; default 10."""
        return max(number(self.raw, "periodSeconds") or 10, 1)

    @property
    def timeout(self) -> int:
        """``timeoutSeconds``; default 1."""
        return max(number(self.raw, "timeoutSeconds") or 1, 1)

    @property
    def threshold(self) -> int:
        """``failureThreshold``; default 3."""
        return max(number(self.raw, "failureThreshold") or 3, 1)

    @property
    def grace(self) -> int:
        """Seconds between the kubelet's decision and SIGKILL: the probe's own, else the pod's grace period."""
        own = number(self.raw, "terminationGracePeriodSeconds")
        given = own if own is not None else number(self.container.pod.raw, "spec", "terminationGracePeriodSeconds")
        return max(30 if given is None else given, MINIMUM_GRACE)

    @property
    def earliest(self) -> int:
        """Seconds of life before which this probe cannot have decided to kill."""
        return self.delay + (self.threshold - 1) * self.period

    @property
    def latest(self) -> int:
        """Seconds of life after which it has decided to kill, if it never passed."""
        return self.delay + self.threshold * max(self.period, self.timeout) + self.timeout

    @property
    def handler(self) -> str:
        """``httpGet``, ``tcpSocket``, ``grpc`` or ``exec``; empty for none."""
        return next((h for h in ("httpGet", "tcpSocket", "grpc", "exec") if dig(self.raw, h) is not None), "")

    @property
    def port(self) -> int | None:
        """Port number, a name resolved in the container's own ports; None for exec and for an unknown name."""
        given = dig(self.raw, self.handler, "port")
        if isinstance(given, str):
            if given.isdecimal():
                return int(given)
            return next(
                (number(p, "containerPort") for p in objects(self.container.spec, "ports") if text(p, "name") == given),
                None,
            )
        return number(given)

    @property
    def unknown_port_name(self) -> str:
        """The port's name when the container declares no port of that name; otherwise empty."""
        given = text(self.raw, self.handler, "port")
        return given if given and not given.isdecimal() and self.port is None else ""

    @property
    def words(self) -> str:
        """What it does, short: ``GET http://:8080/healthz``."""
        if self.handler == "exec":
            return "exec " + " ".join(texts(self.raw, "exec", "command"))
        port = text(self.raw, self.handler, "port") or str(self.port or "?")
        if self.handler == "httpGet":
            scheme = (text(self.raw, "httpGet", "scheme") or "HTTP").lower()
            return f"GET {scheme}://:{port}{text(self.raw, 'httpGet', 'path') or '/'}"
        return f"{'gRPC' if self.handler == 'grpc' else 'connect'} :{port}"

    def evidence(self) -> Evidence:
        """Quote the probe's numbers."""
        value = (
            f"{self.words}; delay {self.delay} s, period {self.period} s, timeout {self.timeout} s, "
            f"{self.threshold} failures" + (f", grace {self.grace} s" if self.kind != "readiness" else "")
        )
        return self.container.fact("spec", self.field, value)

    def fits(self, life: timedelta, exit_code: int | None, *, told: bool = False) -> bool:
        """Tell whether an instance of this lifetime ended as if this probe had never passed and had killed it.

        SIGKILL (137) comes when the grace period is over; a program that obeys SIGTERM ends within it. ``told``:
        the kubelet says that this probe killed other instances, so a clean exit is no sign of the program's own end.
        """
        seconds = life.total_seconds()
        if exit_code == 137:
            # A preStop hook that eats the grace period leaves two more seconds.
            return self.earliest + self.grace - SLACK <= seconds <= self.latest + self.grace + MINIMUM_GRACE + SLACK
        if exit_code == 0 and not told:
            # A program can end with 0 by itself at any age: only one that obeys at once looks like a kill.
            return self.earliest - SLACK <= seconds <= self.latest + 2 + SLACK
        return self.earliest - SLACK <= seconds <= self.latest + self.grace + SLACK

    def never_passed_in(self, life: timedelta, exit_code: int | None, decided: timedelta | None) -> bool:
        """Tell whether an instance that this probe killed can have been killed by its first probes.

        ``decided`` is its age when the kubelet decided, where an event tells it. SIGKILL came a whole grace period
        after that; otherwise the program ended within it, nobody knows when.
        """
        if decided is not None:
            return decided.total_seconds() <= self.latest + SLACK
        longest = self.latest + self.grace + (MINIMUM_GRACE if exit_code == 137 else 0) + SLACK
        return life.total_seconds() <= longest

    def window_words(self, exit_code: int | None) -> str:
        """Explain the arithmetic."""
        span = f"{self.earliest}-{self.latest} s"
        if exit_code == 137:
            return f"killed {span} after the start plus {self.grace} s grace"
        return f"stopped {span} after the start, within {self.grace} s grace"


def probe_of(container: Container, kind: ProbeKind) -> Probe | None:
    """Return a probe of a container, or None when it has none."""
    found = dig(container.spec, f"{kind}Probe")
    return Probe(container, kind, mapping(found)) if found is not None else None


class Failure(str, enum.Enum):
    """What a failed probe met."""

    REFUSED = "refused"
    TIMEOUT = "timeout"
    STATUS = "status"
    WANTS_TLS = "plain HTTP to a TLS port"
    WANTS_PLAIN = "TLS to a plain port"
    CERTIFICATE = "certificate"
    NO_GRPC = "no gRPC connection"
    NO_GRPC_HEALTH = "no gRPC health service"
    GRPC_STATUS = "gRPC status"
    RESET = "reset"
    UNROUTABLE = "unroutable"
    NO_COMMAND = "no such command"
    OTHER = "other"


@dataclass(frozen=True)
class ProbeEvent:
    """One Unhealthy event, understood."""

    event: Event
    kind: ProbeKind
    errored: bool
    """The probe itself could not be done; the kubelet throws such a result away."""
    output: str
    failure: Failure
    status: int = 0
    """HTTP status of a STATUS failure."""
    port: int | None = None
    """Port of a refused connection."""

    @property
    def passing(self) -> bool:
        """It errored because its container was ending, which says nothing about the probe."""
        return self.errored and _PASSING.search(self.output) is not None


# prober.go recordContainerEvent; "errored" alone up to 1.33, "errored and resulted in unknown state" after.
_UNHEALTHY = lazy(r"(Liveness|Readiness|Startup) probe (failed|errored)(?: and resulted in \w+ state)?:\s*(.*)", re.S)
# pkg/probe/http: "HTTP probe failed with statuscode: 503"; 1.35 and newer may append the body after it.
_STATUS_CODE = lazy(r"HTTP probe failed with statuscode: (\d{3})")
# Go net: dial tcp 10.0.0.1:8080: connect: connection refused; [fd00::1]:8080 for IPv6.
_REFUSED = lazy(r"dial tcp (?:\[[^\]]*\]|[^\s:]+):(\d+): (?:connect: )?connection refused")
_KINDS: tuple[tuple[Failure, re.Pattern[str]], ...] = (
    # Go net/http since 1.4 (both directions), and the 400 that Go and nginx servers answer with.
    (
        Failure.WANTS_PLAIN,
        lazy(r"server gave HTTP response to HTTPS client|first record does not look like a TLS"),
    ),
    (
        Failure.WANTS_TLS,
        lazy(
            r'malformed HTTP (?:response|status code|version) "?\\x15\\x03|HTTP request (?:was sent )?to (?:an )?HTTPS'
        ),
    ),
    # Kubelet HTTP probes skip verification; gRPC and exec ones may not (crypto/x509 texts).
    (Failure.CERTIFICATE, lazy(r"x509: ")),
    # pkg/probe/grpc.
    # runc and crun under CRI-O and cri-dockerd, where an exec that cannot start counts as a failure; shells.
    (
        Failure.NO_COMMAND,
        lazy(
            r"exec failed: .{0,300}?(?:no such file or directory|executable file .{0,200}not found)|: (?:command "
            r")?not found\s*\Z"
        ),
    ),
    (Failure.NO_GRPC_HEALTH, lazy(r"does not implement the grpc health protocol|unknown service grpc\.health")),
    (Failure.GRPC_STATUS, lazy(r"service unhealthy \(responded with")),
    # pkg/probe/grpc: the connection itself was not made in time; a call that takes too long has other words.
    (Failure.NO_GRPC, lazy(r"timeout: failed to connect service")),
    # net/http client, net dialer, exec probe (pkg/probe/exec, CRI DeadlineExceeded) and gRPC.
    (
        Failure.TIMEOUT,
        lazy(r"context deadline exceeded|Client\.Timeout exceeded|i/o timeout|timed out after"),
    ),
    (Failure.RESET, lazy(r"connection reset by peer|: EOF\b|unexpected EOF")),
    (Failure.UNROUTABLE, lazy(r"no route to host|network is unreachable")),
)

# What an exec probe meets while its container ends: CRI-O ("container is stopping"), containerd ("cannot exec in a
# stopped state", "task not found in running state"), gRPC (Canceled).
_PASSING = lazy(r"(?i)is stopping|stopped|not running|code = Canceled|context canceled|not found in (?:pod|running)")


def read_probe_event(event: Event) -> ProbeEvent | None:
    """Understand an Unhealthy event; None when it is not one of a probe."""
    match = _UNHEALTHY.match(event.message)
    if match is None:
        return None
    kind: ProbeKind = "liveness" if match[1] == "Liveness" else "readiness" if match[1] == "Readiness" else "startup"
    output = match[3].strip()
    status = _STATUS_CODE.search(output)
    refused = _REFUSED.search(output)
    failure = next((f for f, pattern in _KINDS if pattern.search(output)), None)
    if failure is Failure.NO_COMMAND and status:
        failure = None  # a body that follows the status
    if failure is None or (refused and failure in (Failure.TIMEOUT, Failure.NO_GRPC)):
        if refused or "connection refused" in output:
            failure = Failure.REFUSED
        elif status:
            failure = Failure.STATUS
        else:
            failure = failure or Failure.OTHER
    return ProbeEvent(
        event,
        kind,
        match[2] == "errored",
        output,
        failure,
        int(status[1]) if status else 0,
        int(refused[1]) if refused else None,
    )


def probe_events(case: Case, container: Container, kind: ProbeKind) -> Iterator[ProbeEvent]:
    """Yield the failures of one probe, the oldest first."""
    for event in case.events.select("Unhealthy", container=container.name):
        found = read_probe_event(event)
        if found is not None and found.kind == kind:
            yield found


def latest_failure(case: Case, container: Container, kind: ProbeKind) -> ProbeEvent | None:
    """Return the newest failure that counted; None when no event tells of one."""
    return next((p for p in reversed(list(probe_events(case, container, kind))) if not p.errored), None)


def happened_in(event: Event, start: datetime | None, end: datetime | None) -> bool:
    """Tell whether the newest occurrence of an event falls into the life of an instance."""
    if event.last is None or start is None:
        return False
    slack = timedelta(seconds=SLACK)
    return start - slack <= event.last and (end is None or event.last <= end + slack)
