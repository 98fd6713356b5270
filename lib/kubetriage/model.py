"""What a diagnosis is made of: findings, evidence, fixes and the gaps between them.

Every value here is plain, immutable and free of I/O. Rules build it, renderers print it, and the JSON
contract (``docs/schema/diagnosis.json``) is its public form.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from kubetriage.records import dataclass, field
from kubetriage.typed import Any, Literal


class Severity(str, enum.Enum):
    """How much a finding matters to the user of the object."""

    ERROR = "error"
    """The object does not do its work because of this."""
    WARNING = "warning"
    """It works or will work, but worse than it should, or not for long."""
    NOTE = "note"
    """Worth knowing; nothing is broken now."""

    @property
    def rank(self) -> int:
        """Position in an ordering from most to least severe."""
        return ("error", "warning", "note").index(self.value)


class Confidence(str, enum.Enum):
    """How a finding is known."""

    CONFIRMED = "confirmed"
    """The API, the kubelet or the program itself says so in the evidence."""
    LIKELY = "likely"
    """The evidence fits this cause and the rivals that it could see are ruled out."""
    POSSIBLE = "possible"
    """It fits, but evidence that would decide it was not seen."""

    @property
    def rank(self) -> int:
        """Position in an ordering from best to least known."""
        return ("confirmed", "likely", "possible").index(self.value)


class Actor(str, enum.Enum):
    """Who can carry a fix out; one word of it stands in the answer."""

    APP = "app"
    """Whoever writes the program: its code, its own configuration, its data."""
    MANIFEST = "manifest"
    """Whoever owns the manifest, chart or application that the object comes from."""
    IMAGE = "image"
    """Whoever builds or publishes the image."""
    NODE = "node"
    """Whoever administers the machine: its kernel, kubelet, runtime, disks."""
    CLUSTER = "cluster"
    """Whoever operates the cluster: its controllers, policies, quotas, permissions, control plane."""
    CLOUD = "cloud"
    """Whoever runs what is outside the cluster: cloud, storage, registry, load balancer, database."""


EvidenceSource = Literal["status", "spec", "event", "log", "metric", "config"]


@dataclass(frozen=True)
class Ref:
    """The object that something is about."""

    kind: str
    """Kubernetes kind in CamelCase, for example ``Pod``."""
    namespace: str
    """Empty for cluster-scoped kinds."""
    name: str
    uid: str = ""
    container: str = ""
    """Container name where the finding is about one container, otherwise empty."""


@dataclass(frozen=True)
class Evidence:
    """One observed fact and where it was observed."""

    source: EvidenceSource
    at: str
    """Field path (``status.containerStatuses[app].state``), event reason, or container for a log line."""
    value: str
    """What stands there, in the cluster's or the program's own words."""
    time: str = ""
    """RFC 3339 time of the observation where one is known."""


@dataclass(frozen=True)
class RuledOut:
    """A rival explanation and why it does not hold."""

    cause: str
    why: str


@dataclass(frozen=True)
class Fix:
    """One thing to do, naming real objects and values."""

    text: str
    """What to do, in one or two sentences; the commands stand in :attr:`commands`."""
    patch: Mapping[str, Any] | None = None
    """Strategic merge patch of ``on``, where a patch can express the fix."""
    on: Ref | None = None
    """The object to patch."""
    actor: Actor | None = None
    """Who acts; None where nobody has to."""
    commands: tuple[str, ...] = ()
    """Complete lines for a shell, each made by ``values.commands``, in the order in which to run them."""
    yaml: str = ""
    """A piece of manifest to paste, where no command can express the change."""


@dataclass(frozen=True)
class Finding:
    """A named cause with its proof and its cure."""

    cause: str
    """Stable code, see docs/causes."""
    severity: Severity
    confidence: Confidence
    object: Ref
    message: str
    """What happened, in one or two sentences."""
    evidence: tuple[Evidence, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    fix: tuple[Fix, ...] = ()
    verify: tuple[str, ...] = ()
    """kubectl command lines that show the evidence or prove the fix."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of this cause, by its own names: ``details`` of the JSON contract (``killedBy`` beside it)."""


@dataclass(frozen=True)
class NotSeen:
    """Something the diagnosis would have read, and why it could not."""

    what: str
    why: str
    decides: bool = False
    """A fault could hide there: an answer without findings is not Healthy while this is unseen."""
    contact: bool = field(default=False, compare=False)
    """It is a node or its Lease: whether anybody still writes what the pods' own statuses say."""


@dataclass(frozen=True)
class Table:
    """A table that a plugin shows beside the diagnosis table, with ``-o wide``."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    optional: tuple[str, ...] = ()
    """Columns that give way, in this order, where the terminal is too narrow for all."""


@dataclass(frozen=True)
class Lines:
    """Preformatted lines (a bar, a chain, a tree) that a plugin shows."""

    title: str
    lines: tuple[str, ...]
    brief: bool = False
    """A field of the first screen, with ``title`` as its label; otherwise shown with ``-o wide``."""


Section = Table | Lines


@dataclass(frozen=True)
class Diagnosis:
    """The answer for one target."""

    command: str
    target: Ref
    summary: str
    """One sentence."""
    findings: tuple[Finding, ...] = ()
    """Ordered, the root cause first."""
    not_seen: tuple[NotSeen, ...] = ()
    header: tuple[tuple[str, str], ...] = ()
    """Label and value pairs of the header line, for example ``("STATUS", "CrashLoopBackOff")``."""
    lead: tuple[Section, ...] = ()
    """Sections before the diagnosis table (the chain of svc-trace)."""
    tail: tuple[Section, ...] = ()
    """Sections after the diagnosis table (the budget of oom-budget)."""
    manual: tuple[tuple[str, str, str], ...] = ()
    """The manual path that this replaces: command, what it shows here, what it means (``--explain``)."""
    context: str = ""
    """Kubeconfig context of the cluster, when several were asked."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further top-level keys of this item in the JSON contract, for example ``budget``."""
    verdict: str = ""
    """What stands for the cause where the answer judges nothing that runs, for example ``Plan``."""

    @property
    def undecided(self) -> bool:
        """True when nothing but notes was found, and something that could hold a fault was not seen."""
        return not self._faulty and any(gap.decides for gap in self.not_seen)

    @property
    def healthy(self) -> bool:
        """True when nothing but notes was found, and everything that could hold a fault was seen."""
        return not self._faulty and not any(gap.decides for gap in self.not_seen)

    @property
    def cause(self) -> str:
        """Code of the first finding, else the verdict, else ``Healthy``, or ``Unknown`` where a fault may be unseen."""
        if self.findings:
            return self.findings[0].cause
        if self.verdict:
            return self.verdict
        return "Unknown" if self.undecided else "Healthy"

    @property
    def _faulty(self) -> bool:
        return any(f.severity is not Severity.NOTE for f in self.findings)


def ordered(findings: list[Finding]) -> tuple[Finding, ...]:
    """Sort by severity and keep the given order (root cause first) within one severity."""
    return tuple(sorted(findings, key=lambda f: f.severity.rank))
