"""What was found in a text, before it is put together: objects, events, logs, with the lines where they stood."""

from __future__ import annotations

from datetime import timedelta

from kubetriage.found import Form
from kubetriage.records import dataclass, field
from kubetriage.typed import Any

Raw = dict[str, Any]


@dataclass
class Found:
    """One object as a form shows it."""

    resource: str
    """Plural name; a name outside ``resources.BY_PLURAL`` is a resource that nobody reads."""
    obj: Raw
    form: Form
    line: int = 0
    described: bool = False
    """A describe or a fragment is about this object, rather than a table that lists it among others."""
    age: timedelta | None = None
    """How long before the text was printed the object was created."""


@dataclass
class FoundEvent:
    """One event as a table shows it."""

    kind: str
    name: str
    namespace: str
    """Empty: that of the object, or the paste's only one."""
    warning: bool
    reason: str
    message: str
    age: timedelta | None
    first: timedelta | None
    count: int = 1
    printed_age: str = ""
    """``age`` as it was printed."""
    component: str = ""
    container_path: str = ""
    """``spec.containers{app}``, where the table shows it."""
    at: str = ""
    """RFC 3339 time, where the table shows one instead of an age."""
    listed: bool = False
    """It stands in ``kubectl get events``, not in the describe of its object."""


@dataclass
class FoundLog:
    """The text of one log."""

    pod: str
    """Empty: not told."""
    namespace: str
    container: str
    previous: bool | None
    """None: not told whether it is of the instance before."""
    text: str
    line: int
    workload: str = ""
    """The name of the Deployment or other workload that kubectl was asked for, of which it takes one pod."""


@dataclass
class FoundNodeLog:
    """The words of a machine."""

    node: str
    source: str
    text: str


@dataclass(frozen=True)
class Container:
    """A container that a table of the runtime lists."""

    pod: str
    """Empty: not told."""
    namespace: str
    name: str


@dataclass(frozen=True)
class Unused:
    """Lines that nobody could use."""

    first: int
    last: int
    what: str
    """What they look like, or empty."""

    def __str__(self) -> str:
        """Say so in one line."""
        where = f"line {self.first}-{self.last}" if self.last > self.first else f"line {self.first}"
        return f"{where}: {self.what}; not used"


@dataclass
class Finds:
    """All that one text held."""

    objects: list[Found] = field(default_factory=list)
    others: list[Raw] = field(default_factory=list)
    """Objects of custom kinds that this suite does not know, from YAML or JSON."""
    events: list[FoundEvent] = field(default_factory=list)
    logs: list[FoundLog] = field(default_factory=list)
    node_logs: list[FoundNodeLog] = field(default_factory=list)
    whole: list[tuple[str, str]] = field(default_factory=list)
    """Resources and namespaces (empty: all) of which everything was listed."""
    whole_events: list[tuple[str, str, str]] = field(default_factory=list)
    """Kind, namespace and name of objects whose describe lists their events."""
    absent: list[tuple[str, str, str]] = field(default_factory=list)
    """Resource, namespace and name of objects that the API server called not found."""
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    """Resource, namespace and the API server's words, where it refused a list."""
    no_logs: list[tuple[str, str, str, bool, str]] = field(default_factory=list)
    """Namespace, pod, container, previous and the words, where the API server had no log."""
    bodies: list[tuple[str, str, int]] = field(default_factory=list)
    """Path, answer and HTTP status of what ``kubectl get --raw`` printed."""
    version: str = ""
    """``gitVersion`` of the API server."""
    clock: str = ""
    """A time that the paste gives for itself (RFC 3339)."""
    guessed: bool = False
    """All that was found is words that may be a log."""
    unused: list[Unused] = field(default_factory=list)
    containers: dict[str, Container] = field(default_factory=dict)
    """By ID, as ``crictl ps`` lists them."""
    usage: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Namespace, pod, container (empty: the pod's) and memory, as ``kubectl top`` shows them."""
