"""Commands that a person runs on the node of a pod, or in a copy of the pod."""

from __future__ import annotations

from kubetriage.readers.pods import Pod
from kubetriage.rules.crash.case import Case
from kubetriage.values.commands import Command, kubectl, placeholder, shell


def node_command(case: Case, *command: str) -> Command:
    """Write the command that runs something on the pod's node as root of the node, through a debug pod."""
    where = f"node/{case.pod.node or placeholder('node')}"
    debug = ("kubectl", "debug", where, "-it", "--profile=sysadmin", "--image=busybox")
    return shell(*debug, "--", "chroot", "/host", *command)


def in_copy(pod: Pod, container: str, *command: str) -> Command:
    """Write the command that runs something in place of a container's program, in a copy of its pod."""
    copy = ("debug", pod.name, "-it", f"--copy-to={pod.name[:50]}-debug", f"--container={container}")
    return kubectl(*copy, "--", *command, namespace=pod.namespace)
