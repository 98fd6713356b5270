"""Fixes by who acts, with whole commands; and how a sentence names the node and the container."""

from __future__ import annotations

from kubetriage.model import Actor, Fix
from kubetriage.records import replace
from kubetriage.rules.crash.node_commands import node_command
from kubetriage.rules.crash.program_output import LastWords
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj


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


def restart(words: LastWords) -> tuple[str, ...]:
    """Return the command that restarts the workload; nothing for one that kubectl cannot restart."""
    top = words.case.workload
    if top.kind not in ("Deployment", "StatefulSet", "DaemonSet"):
        return ()
    return (kubectl("rollout", "restart", f"{top.kind.lower()}/{top.name}", namespace=words.case.pod.namespace),)
