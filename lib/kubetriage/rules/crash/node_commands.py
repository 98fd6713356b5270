"""Commands that a person runs on the node of a pod."""

from __future__ import annotations

from kubetriage.rules.crash.case import Case
from kubetriage.values.commands import Command, placeholder, shell


def node_command(case: Case, *command: str) -> Command:
    """Write the command that runs something on the pod's node as root of the node, through a debug pod."""
    where = f"node/{case.pod.node or placeholder('node')}"
    debug = ("kubectl", "debug", where, "-it", "--profile=sysadmin", "--image=busybox")
    return shell(*debug, "--", "chroot", "/host", *command)
