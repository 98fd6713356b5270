"""Kills for want of the machine's memory of which only events tell: the kubelet's, and Node Problem Detector's.

The kubelet watches the kernel's log and writes SystemOOM where the machine itself had no memory left, never for a
container at its own limit (pkg/kubelet/oom/oom_watcher_linux.go).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.events import Event
from kubetriage.rules.node.case import NodeCase
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.fields import condition, text
from kubetriage.values.patterns import lazy

CODE = "KernelOOMKill"
_LATELY = timedelta(hours=1)
_VICTIM = lazy(r"victim process: ([^\s,]{1,64})|Kill(?:ed)? process \d{1,9} \(([^)]{1,64})\)")
_OWN = frozenset({"kubelet", "containerd", "dockerd", "crio", "containerd-shim", "k3s-server", "k3s-agent", "systemd"})
"""Programs without which no pod of the node runs on."""


def machine_kills(case: NodeCase) -> Iterator[Finding]:
    """Report kills of the last hour on a node that is Ready, or of which nobody says why it is not."""
    kills = [e for e in case.events.select("SystemOOM", "OOMKilling") if _of_machine(e) and _lately(case, e)]
    if not kills or (case.contact.ready != "True" and not case.untold):
        return
    victims = list(dict.fromkeys(filter(None, map(_victim, kills))))
    shown = ", ".join(victims[:4]) + (f" and {len(victims) - 4} more" if len(victims) > 4 else "")
    own = [v for v in victims if v in _OWN]
    down = case.untold
    words = f"The machine {case.name} ran out of memory, and its kernel killed {shown or 'a process'}."
    if down:
        words += " It is NotReady since; the lack of memory is the likeliest reason."
    if own:
        words += f" {', '.join(own)} is among them, which runs the pods of the node."
    if text(condition(case.node, "MemoryPressure"), "status") == "True":
        words += " It still reports MemoryPressure."
    machine = case.machine
    look = "free -m; ps -eo pid,rss,cgroup:90,comm --sort=-rss | head -15"
    yield Finding(
        CODE,
        Severity.ERROR if down or own else Severity.WARNING,
        Confidence.LIKELY if down else Confidence.CONFIRMED,
        case.ref,
        words,
        tuple(e.evidence() for e in kills[-3:]),
        (RuledOut("OOMKilled", "no container's limit was reached: the machine's memory was"),),
        (
            *(
                (
                    Fix(
                        f"Bring {case.name} back: restart its kubelet, or the machine where nobody can log in.",
                        actor=Actor.NODE,
                        commands=machine.lines("kubelet restart"),
                    ),
                )
                if down
                else ()
            ),
            Fix(
                f"See what takes the memory of {case.name}, pods or what runs beside them. The process that was killed"
                " is not always the one that took it.",
                actor=Actor.NODE,
                commands=(
                    *((shell("ssh", machine.address, look),) if machine.row["tools"] == "systemd" else ()),
                    kubectl("describe", "node", case.name),
                ),
            ),
            Fix(
                "Give pods requests that cover their use, and those without a limit a limit. What runs beside the pods"
                " needs a reserve: set systemReserved and kubeReserved (memory) and evictionHard memory.available in"
                f" {machine.path('kubelet_config')}.",
                actor=Actor.MANIFEST,
            ),
        ),
        (
            kubectl("get", "node", case.name),
            kubectl("get", "events", "--field-selector", f"involvedObject.name={case.name},reason=SystemOOM"),
        ),
    )


def _of_machine(event: Event) -> bool:
    return event.reason == "SystemOOM" or (
        "ut of memory: Kill" in event.message and "emory cgroup out of memory" not in event.message
    )


def _lately(case: NodeCase, event: Event) -> bool:
    return event.last is None or timedelta() <= case.now - event.last <= _LATELY


def _victim(event: Event) -> str:
    match = _VICTIM.search(event.message)
    return (match[1] or match[2]) if match is not None else ""
