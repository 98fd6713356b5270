"""A last error that is known: how it is told, in which cause it is reported, and what ends it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kubetriage.model import Actor, Evidence, Fix, RuledOut
from kubetriage.rules.crash.node_commands import node_command
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.fields import Obj


@dataclass(frozen=True)
class Advice:
    """What a known error means for one container, and what to do about it."""

    what: str
    """A clause: why the program ended."""
    fix: tuple[Fix, ...]
    evidence: tuple[Evidence, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    verify: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One known error."""

    name: str
    """Stable: ``details.mechanism`` of the finding."""
    pattern: re.Pattern[str]
    advise: Callable[[LastWords, Said], Advice | None]
    """None where the surroundings speak against it."""
    code: str = "AppError"
    beside: bool = False
    """The pattern is telling enough to count in a line near the last error, too."""


def app(text: str, *commands: str, yaml: str = "") -> Fix:
    """Make a fix for whoever writes the program or its configuration."""
    return Fix(text, actor=Actor.APP, commands=commands, yaml=yaml)


def image(text: str, *commands: str) -> Fix:
    """Make a fix for whoever builds or publishes the image."""
    return Fix(text, actor=Actor.IMAGE, commands=commands)


def node(text: str, *commands: str) -> Fix:
    """Make a fix for whoever administers the machine."""
    return Fix(text, actor=Actor.NODE, commands=commands)


def operator(text: str, *commands: str, yaml: str = "") -> Fix:
    """Make a fix for whoever operates the cluster."""
    return Fix(text, actor=Actor.CLUSTER, commands=commands, yaml=yaml)


def cloud(text: str, *commands: str, yaml: str = "") -> Fix:
    """Make a fix for whoever runs what is outside the cluster."""
    return Fix(text, actor=Actor.CLOUD, commands=commands, yaml=yaml)


def manifest(words: LastWords, text: str, spec: Obj | None = None, *commands: str, yaml: str = "") -> Fix:
    """Make a fix in the pod template; ``spec`` is the partial PodSpec that expresses it."""
    made = words.case.template_fix(text, spec)
    return replace(made, actor=Actor.MANIFEST, commands=(*made.commands, *commands), yaml=yaml or made.yaml)


def on_node(words: LastWords, *command: str) -> str:
    """Write the command that runs something on the pod's node, as root of the node."""
    return node_command(words.case, *command)


def place(words: LastWords) -> str:
    """Name the node of the pod in a sentence."""
    return f"node {words.case.pod.node}" if words.case.pod.node else "the node"


def where(words: LastWords) -> str:
    """Name the container and its workload in a sentence."""
    return f"container {words.container.name} of {words.case.workload_name}"
