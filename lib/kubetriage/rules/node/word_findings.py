"""Findings from a machine's own words: in comes a line with its meaning, out goes the cause and what ends it."""

from __future__ import annotations

from collections.abc import Mapping

from kubetriage.data import table
from kubetriage.model import Actor, Confidence, Finding, Fix, Ref, RuledOut, Severity
from kubetriage.records import dataclass, field
from kubetriage.rules.machine import Machine
from kubetriage.rules.node.machine_words import MachineWords, Word
from kubetriage.rules.node.plugin_pods import PluginPod
from kubetriage.typed import Any
from kubetriage.values.commands import Command, kubectl, shell


@dataclass(frozen=True)
class Stage:
    """The node that a log is about, and what was seen around it."""

    ref: Ref
    machine: Machine
    ready: bool
    """It is Ready and in contact: what its log says harms it, but has not taken it down."""
    words: MachineWords = field(default_factory=MachineWords)
    plane: str = ""
    """Address of a control plane node in contact; empty when none was seen."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Names of the nodes by address."""
    silent: int = 0
    """How many nodes are silent, of :attr:`total`."""
    total: int = 0
    pods: Mapping[str, str] = field(default_factory=dict)
    """``NAMESPACE/NAME`` of the pods here by uid."""
    mounts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Pods here by the NFS server that they mount."""

    hooks: Mapping[str, tuple[str, str, int]] = field(default_factory=dict)
    """Kind and name of the configuration, and the place in it, of each admission webhook that was seen."""

    def identity(self, what: str) -> tuple[str, tuple[Command, ...]]:
        """Say how a kubelet of this distribution gets its identity back.

        ``what``: ``renew`` (its certificate has ended), ``admit`` (it is refused), ``token`` (it cannot join).
        """
        row = self._row
        part = row.get(what) or row["admit"]
        known = {"plane": self.plane or "CONTROL-PLANE"}
        return part["text"], tuple(self.machine.line(line, **known) for line in part["commands"])

    def server(self) -> tuple[str, str, tuple[Command, ...]] | None:
        """Say what an expired certificate of the server means, and its end, where that is not the API server's."""
        part = self._row.get("server")
        return (part["says"], part["text"], tuple(self.machine.line(x) for x in part["commands"])) if part else None

    @property
    def flags(self) -> str:
        """Files in which the kubelet's flags stand, with spaces between them."""
        return str(self._row["flags"])

    @property
    def _row(self) -> Mapping[str, Any]:
        rows = table("kubelet_identity")["identity"]
        return next((r for r in rows if r["distribution"] == self.machine.name), rows[0])


@dataclass(frozen=True)
class Meaning:
    """What a line means."""

    code: str
    says: str
    """A sentence; ``{name}`` is the node, ``{about}`` what the line is about."""
    fix: str
    tasks: tuple[str, ...] = ()
    actor: Actor = Actor.NODE
    rules_out: tuple[str, str] | None = None
    commands: tuple[Command, ...] = ()
    """Before those of :attr:`tasks`."""
    more: tuple[Fix, ...] = ()
    verify: tuple[str, ...] = ()


def finding(stage: Stage, word: Word, meaning: Meaning) -> Finding:
    """Build the finding of one line."""
    names = {"name": stage.ref.name, "about": word.about or "it"}
    commands = (*meaning.commands, *stage.machine.lines(*meaning.tasks))
    checks = meaning.verify or (
        kubectl("get", "node", stage.ref.name),
        *(str(c) for c in stage.machine.lines("kubelet log")[:1]),
    )
    return Finding(
        meaning.code,
        Severity.WARNING if stage.ready else Severity.ERROR,
        Confidence.CONFIRMED,
        stage.ref,
        f"{meaning.says.format(**names)} Its own log says: {word.words.rstrip('.')[:300]}.",
        (word.evidence(),),
        (RuledOut(*meaning.rules_out),) if meaning.rules_out else (),
        (Fix(meaning.fix.format(**names), actor=meaning.actor, commands=commands), *meaning.more),
        checks,
        {"log": word.kind, "lines": word.count},
    )


ALONE = {
    "network plugin": Meaning(
        "NetworkPluginNotReady",
        "The container runtime of {name} has no network configuration.",
        "See whether the network plugin's pod ran on this node, and whether its configuration and binary are there.",
        ("network plugin",),
    ),
    "pleg": Meaning(
        "ContainerRuntimeSlow",
        "The container runtime of {name} answers its kubelet too slowly.",
        "A full or slow disk first, then one hanging container; a restart of the runtime frees one in deadlock.",
        ("disk latency", "containers", "runtime restart"),
    ),
}
"""What the node's conditions tell where they are seen, and only its log where they are not."""


def no_network(pod: PluginPod | None) -> Meaning:
    """Say what a runtime without a network means, where the log tells what its plugin's pod fails of as well."""
    if pod is None:
        return ALONE["network plugin"]
    pulls = "Pull" in pod.reason
    act = (
        f"Have the image of container {pod.container} pulled: its registry's answer stands in that line. A limit for"
        " anonymous pulls ends with an account in the pull Secret of the plugin's ServiceAccount, or with a mirror."
        if pulls
        else f"End what container {pod.container} fails of."
    )
    return Meaning(
        "NetworkPluginNotReady",
        f"The network plugin's pod {pod.namespace}/{pod.name} does not run on {{name}}: container {pod.container} is in"
        f" {pod.reason} ({pod.why.replace('{', '{{').replace('}', '}}')[:300]}). {{name}} gets its pod"
        " network from it.",
        f"{act} The node gets its network by itself then.",
        ("network plugin",),
        actor=Actor.CLUSTER,
        commands=(kubectl("why-crash", pod.name, namespace=pod.namespace),),
    )


def on_machine(stage: Stage, line: str) -> tuple[Command, ...]:
    """Return a shell line to run on the machine, where it has a shell that ssh reaches."""
    return (shell("ssh", stage.machine.address, line),) if stage.machine.row["tools"] == "systemd" else ()
