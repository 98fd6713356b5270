"""A sandbox that the kubelet or the runtime kills again and again: what ends the containers stands outside of them."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.events import Event
from kubetriage.readers.pods import Container
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.node_commands import node_command

_LEAST = 3
"""New sandboxes in the time that events live; one or two are a restart of the node or its runtime."""
_OBEYED = (0, 137, 143)
"""Exit codes of programs that were stopped."""


def remade(case: Case) -> Event | None:
    """Return the newest change of a pod's sandbox, where that happened over and over."""
    events = case.events.select("SandboxChanged")
    total = sum(max(e.count, 1) for e in events)
    return events[-1] if events and total >= _LEAST else None


def stopped_with_it(case: Case, container: Container) -> bool:
    """Tell whether an instance ended as one does that is stopped with its sandbox."""
    end = case.crash(container)
    return (
        end is not None
        and end.exit_code in _OBEYED
        and end.reason in ("Completed", "Error")
        and remade(case) is not None
        and not case.events.select("Unhealthy", container=container.name)
    )


def loop_findings(case: Case, code: str) -> Iterator[Finding]:
    """Yield a finding for each container that goes down with its sandbox."""
    event = remade(case)
    if event is None:
        return
    for container in case.containers:
        if not stopped_with_it(case, container):
            continue
        end = case.crash(container)
        assert end is not None
        node = case.pod.node or "its node"
        yield Finding(
            code,
            Severity.ERROR,
            Confidence.LIKELY,
            container.ref,
            f"{container.name} does not end by itself: the pod's sandbox on {node} was killed and made anew "
            f"{max(event.count, 1)} times, and its containers with it (exit code {end.exit_code}).",
            (
                event.evidence(),
                end.evidence(),
                *(Evidence("log", container.name, line) for line in _told_to_stop(case, container)),
            ),
            (RuledOut("CompletedButRestarted", "the program was told to stop; its success is an answer to that"),),
            (
                Fix(
                    f"Let kubelet and runtime on {node} use the same cgroup driver: with cgroup v2 SystemdCgroup = "
                    f"true "
                    "in containerd's configuration and cgroupDriver: systemd of the kubelet, then restart containerd "
                    "and "
                    "the kubelet. It mostly comes with a new node or an upgrade of its system.",
                    actor=Actor.NODE,
                    commands=(
                        node_command(
                            case, "grep", "-r", "SystemdCgroup\\|cgroupDriver", "/etc/containerd", "/var/lib/kubelet"
                        ),
                    ),
                ),
                Fix(
                    "If they agree: read in the kubelet's log why it finds the sandbox changed (its network namespace "
                    "is "
                    "gone, the pause container was removed by a cleaner or ended).",
                    actor=Actor.NODE,
                    commands=(node_command(case, "journalctl", "-u", "kubelet", "--since=-1h"),),
                ),
            ),
            (case.kubectl("events", "--for", f"pod/{case.pod.name}"),),
        )


def _told_to_stop(case: Case, container: Container) -> list[str]:
    rows = [row for row in case.log(container).text[-8192:].split("\n") if row.strip()]
    return [row.strip()[:300] for row in rows[-3:] if "signal" in row or "shutting down" in row.lower()][-1:]
