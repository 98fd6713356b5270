"""What can be asked of a cluster, and what a read can end in.

A plan yields :class:`Need` values; a reader (live or offline) answers each with data, a :class:`Body` or a
:class:`Failure`, which the snapshot keeps.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable

from kubetriage.records import dataclass, field
from kubetriage.values.fields import Obj


@dataclass(frozen=True)
class Get:
    """Need of one object."""

    resource: str
    """Plural name, a key of ``resources.BY_PLURAL``."""
    namespace: str
    """Empty for cluster-scoped resources."""
    name: str

    def __str__(self) -> str:
        """Write it as kubectl's TYPE/NAME."""
        place = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.resource}/{self.name}{place}"


@dataclass(frozen=True)
class List:
    """Need of a list."""

    resource: str
    namespace: str = ""
    """Empty: all namespaces (or a cluster-scoped resource)."""
    labels: str = ""
    """Label selector, as in a URL."""
    fields: str = ""
    """Field selector, as in a URL."""
    cached: bool = field(default=False, compare=False)
    """Ask with ``resourceVersion=0``: the API server answers from its watch cache, even while etcd is down."""
    timeout: float = field(default=0.0, compare=False)
    """Own time limit of this read in seconds; 0 uses the request time-out. Events have no watch cache, so a list of
    them hangs with etcd."""
    shape: Callable[[Obj], Obj | None] | None = field(default=None, compare=False)
    """Called with each object as it arrives; what it returns is kept, None drops the object. A large scan keeps
    only what it will look at again, so such a list does not prove that any other object is absent."""

    def __str__(self) -> str:
        """Name the list for people."""
        about = re.fullmatch(r"involvedObject\.kind=(\w+),involvedObject\.name=([\w.-]+)", self.fields)
        if about is not None:
            return f"{self.resource} of {about[1].lower()}/{about[2]}"
        place = f" in namespace {self.namespace}" if self.namespace else ""
        chosen = " ".join(s for s in (self.labels, self.fields) if s)
        return f"{self.resource}{place}" + (f" ({chosen})" if chosen else "")


@dataclass(frozen=True)
class Log:
    """Need of the end of one container's log."""

    namespace: str
    pod: str
    container: str
    previous: bool = False
    tail_lines: int = 400
    limit_bytes: int = 512 * 1024

    def __str__(self) -> str:
        """Name the log for people."""
        kind = "previous log" if self.previous else "log"
        return f"{kind} of {self.pod}/{self.container} in namespace {self.namespace}"


@dataclass(frozen=True)
class Raw:
    """Need of the body of a plain GET (metrics, health, kubelet statistics)."""

    path: str
    """URL path with query, beginning with a slash."""
    sample: int = 0
    """0 for the first read, 1 for the same path read again one sampling interval later."""
    keep: tuple[str, ...] = field(default=(), compare=False)
    """For Prometheus text: keep only lines that begin with one of these while streaming; empty keeps all."""
    timeout: float = field(default=0.0, compare=False)
    """Own time limit of this read in seconds; 0 uses the request time-out."""
    patience: float = field(default=0.0, compare=False)
    """Seconds that a look at a named object waits for it once everything else is answered, where it only refines an
    answer that stands without it; 0 as long as any read."""
    accept: str = field(default="", compare=False)
    """Media types for the header ``Accept``; empty: JSON."""

    def __str__(self) -> str:
        """Name the path for people."""
        return self.path + (f" (sample {self.sample + 1})" if self.sample else "")


@dataclass(frozen=True)
class Dial:
    """Need of one opt-in connection to a port of a pod, through the API server's port-forward."""

    namespace: str
    pod: str
    port: int
    path: str = ""
    """Empty: connect only. Otherwise send an HTTP GET for this path; the response is the body."""
    tls: bool = False
    sample: int = 0
    """As in :class:`Raw`: 1 is the same request again one sampling interval after sample 0."""
    keep: tuple[str, ...] = field(default=(), compare=False)
    """As in :class:`Raw`: for Prometheus text, the beginnings of the lines to keep."""
    timeout: float = field(default=3.0, compare=False)
    """Seconds for connection and answer."""

    def __str__(self) -> str:
        """Name the connection for people."""
        return f"connection to port {self.port} of pod/{self.pod} in namespace {self.namespace}"


Need = Get | List | Log | Raw | Dial


class Why(str, enum.Enum):
    """Why a read gave nothing."""

    NOT_FOUND = "not found"
    FORBIDDEN = "forbidden"
    TIMEOUT = "timed out"
    NOT_IN_DUMP = "not in the dump"
    FAILED = "failed"


@dataclass(frozen=True)
class Failure:
    """A read that gave nothing, in the server's words."""

    why: Why
    message: str = ""
    """The API server's own message, or the error of the connection."""
    status: int = 0
    """HTTP status, 0 when there was none."""

    def __str__(self) -> str:
        """Say why in one line."""
        return self.message or self.why.value


@dataclass(frozen=True)
class Body:
    """The response of a plain GET; a 500 with a body is an answer too (livez)."""

    text: str
    status: int = 200
    seconds: float = 0.0
    at: float = 0.0
    """Seconds since the first sample of the same path."""
