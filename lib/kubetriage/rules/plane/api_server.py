"""The API server as it shows itself: health checks, its own requests to etcd, certificates of its clients."""

from __future__ import annotations

from kubetriage.needs import Raw, Why
from kubetriage.readers.prometheus import Metrics, Window, text_lines
from kubetriage.records import dataclass
from kubetriage.snapshot import Snapshot
from kubetriage.values.patterns import lazy

KEEP = (
    "apiserver_admission_webhook_",
    "apiserver_client_certificate_expiration_seconds",
    "apiserver_current_inflight_requests",
    "apiserver_flowcontrol_current_",
    "apiserver_flowcontrol_dispatched_requests_total",
    "apiserver_flowcontrol_nominal_limit_seats",
    "apiserver_flowcontrol_rejected_requests_total",
    "apiserver_flowcontrol_request_wait_duration_seconds",
    "apiserver_request_total",
    "apiserver_storage_size_bytes",
    "apiserver_storage_db_total_size_in_bytes",
    "etcd_request_duration_seconds_sum",
    "etcd_request_duration_seconds_count",
    "etcd_request_errors_total",
    "process_start_time_seconds",
)
"""Beginnings of the metric lines that the rules read."""

LIVEZ = Raw("/livez?verbose", timeout=5.0)
READYZ = Raw("/readyz?verbose", timeout=5.0)
ETCD_CHECK = Raw("/livez/etcd", timeout=5.0)
READYZ_LATER = Raw("/readyz?verbose", 1, timeout=5.0)
"""A check's first answer may be old: while another client's check runs, the API server repeats the last result."""
METRICS = (Raw("/metrics", 0, keep=KEEP, timeout=6.0), Raw("/metrics", 1, keep=KEEP, timeout=6.0))

# apiserver/pkg/server/healthz/healthz.go: "[-]NAME failed: reason withheld" (1.16 and later).
_FAILED = lazy(r"^\[-\](\S+) failed(?:: (.*))?$")
_PASSED = lazy(r"^\[\+\](\S+)(?: excluded.*)? ok$|^\[\+\](\S+) excluded")


@dataclass(frozen=True)
class Health:
    """The answer of /livez or /readyz."""

    path: str
    seen: bool
    """False: nobody knows (forbidden, or not in the dump)."""
    why: str = ""
    hung: bool = False
    """The read timed out (after ``seconds``) or the connection failed: the server did not answer."""
    status: int = 0
    seconds: float = 0.0
    failed: tuple[tuple[str, str], ...] = ()
    """Names of failing checks and what the server says of each."""
    good: tuple[str, ...] = ()
    """Names of passing checks."""

    @property
    def passed(self) -> int:
        """How many checks pass."""
        return len(self.good)

    @property
    def ok(self) -> bool:
        """The server answered that it is well."""
        return self.seen and not self.hung and self.status < 400 and not self.failed

    def checks(self, check: str) -> bool:
        """Tell whether the answer lists a check, or is a bare ``ok``, which holds for all of them."""
        return (self.ok and not self.passed) or self.fails(check) or any(n == check for n in self.good)

    def fails(self, check: str) -> bool:
        """Tell whether one check fails; ``etcd`` also means ``etcd-readiness`` and the overrides."""
        return any(name == check or name.startswith(check + "-") for name, _ in self.failed)


def read_health(snapshot: Snapshot, need: Raw) -> Health:
    """Read the answer to a health check; a 500 carries the list of checks in its body."""
    path = need.path.partition("?")[0]
    body = snapshot.body(need.path, need.sample)
    if body is None:
        failure = snapshot.failure(need)
        if failure is not None and failure.why is Why.TIMEOUT:
            return Health(path, True, str(failure), hung=True, seconds=need.timeout)
        if failure is not None and failure.why is Why.FAILED and not failure.status:
            return Health(path, True, str(failure), hung=True)
        return Health(path, False, str(failure) if failure else "not read")
    if body.status in (401, 403, 404):
        return Health(path, False, f"HTTP {body.status}", status=body.status)
    failed, good = [], []
    for line in text_lines(body.text):
        match = _FAILED.match(line.strip())
        if match:
            failed.append((match[1], match[2] or ""))
        elif found := _PASSED.match(line.strip()):
            good.append("" if " excluded" in line else found[1])
    return Health(path, True, status=body.status, seconds=body.seconds, failed=tuple(failed), good=tuple(good))


def read_metrics(snapshot: Snapshot) -> Window | None:
    """Read the two samples of /metrics; None when neither was seen."""
    bodies = [snapshot.body(need.path, need.sample) for need in METRICS]
    read = [Metrics.read(text_lines(b.text), KEEP) if b and b.status < 400 else Metrics() for b in bodies]
    if not read[0] and not read[1]:
        return None
    both = bool(read[0] and read[1])
    seconds = bodies[1].at - bodies[0].at if both and bodies[0] and bodies[1] else 0.0
    return Window(read[0] or read[1], read[1] if both else None, seconds)


@dataclass(frozen=True)
class EtcdTraffic:
    """The API server's own requests to etcd between the two samples."""

    requests: float
    mean: float | None
    """Seconds of one request; None when there was none."""
    errors: float
    write_errors: float
    read_errors: float
    lease_write_errors: float


def etcd_traffic(window: Window | None) -> EtcdTraffic | None:
    """Sum the requests to etcd up; None without two samples of one API server.

    ``operation`` is one of get, list, listWithCount, create, update, delete (storage/etcd3/metrics).
    """
    if window is None or not window.comparable:
        return None
    count = window.increase("etcd_request_duration_seconds_count") or 0.0
    total = window.increase("etcd_request_duration_seconds_sum") or 0.0
    errors = window.increase_by("etcd_request_errors_total", "operation")
    writes = sum(n for operation, n in errors.items() if operation in ("create", "update", "delete"))
    leases = 0.0
    for operation in ("create", "update"):
        # The label "type" (leases.coordination.k8s.io) gave way to "group" and "resource" in 1.34.
        for label in ("resource", "type"):
            grown = window.increase_by("etcd_request_errors_total", label, operation=operation)
            leases += sum(n for what, n in grown.items() if what.partition(".")[0] == "leases")
    return EtcdTraffic(
        count, total / count if count else None, sum(errors.values()), writes, sum(errors.values()) - writes, leases
    )


def lease_writes(window: Window | None) -> float | None:
    """Return how many renewals of leases the API server completed between the samples; None when not seen."""
    if window is None:
        return None
    return window.increase("apiserver_request_total", resource="leases", verb="PUT", code="200")


def served(window: Window | None, flow_schema: str) -> float | None:
    """Return how many requests of a flow schema the API server took between the samples; None when not seen."""
    if window is None or "apiserver_flowcontrol_dispatched_requests_total" not in window.latest:
        return None
    return window.increase("apiserver_flowcontrol_dispatched_requests_total", flow_schema=flow_schema)
