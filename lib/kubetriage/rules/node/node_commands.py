"""What to run on the node itself when the control plane has lost it, and what each command decides."""

from __future__ import annotations

from kubetriage.rules.node.case import NodeCase
from kubetriage.values.times import format_time


def commands(case: NodeCase) -> tuple[tuple[str, str], ...]:
    """Return command and what it decides, in the order to run them; none for a machine that is proven off."""
    if case.proven_dead is not None:
        return ()
    machine = case.machine
    renewed = case.contact.renewed
    since = f"{format_time(renewed)[:19].replace('T', ' ')} UTC" if renewed else "-1h"
    tasks = (
        ("alive", "does the machine answer, and has it booted since"),
        ("kubelet status", "runs: its way to the API server is cut; failed: the kubelet stopped"),
        ("kubelet log since", "why it stopped, or why Lease updates fail (x509, timeout, refused)"),
        ("runtime status", "does the container runtime run"),
        ("containers", "do the containers still run: if so, never force-delete"),
        ("kernel log", "memory, disk or network failed below it"),
        ("disk", "a full disk or no memory keeps the kubelet from working"),
        ("api server", "does the API server answer from here (address, DNS, load balancer, firewall)"),
        ("client certificate", "has the kubelet's client certificate expired"),
    )
    rows = [("; ".join(machine.lines(task, since=since)), decides) for task, decides in tasks]
    enter = [(machine.enter, "how to get onto this machine")] if machine.enter else []
    return (*enter, *((command, decides) for command, decides in rows if command))
