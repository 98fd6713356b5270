"""Taints that a controller takes off: the chain from the taint to the controller's pods and to their own cause.

To tolerate such a taint, or to take it off by hand, puts pods onto a node that is not ready for them.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.needs import Need
from kubetriage.readers.pods import Pod
from kubetriage.readers.taint_controllers import TaintController, controller_of_taint
from kubetriage.records import dataclass
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.root_causes import Root, first_root
from kubetriage.values.commands import kubectl

_HANDS_OFF = "Do not tolerate the taint or take it off by hand: the node is not ready for pods before."


@dataclass(frozen=True)
class ManagedTaint:
    """A taint of the nodes that a pod needs, and what is known of the controller that owns it."""

    controller: TaintController
    taint: str
    """The taint as kubectl writes it."""
    nodes: tuple[str, ...]
    pods: tuple[Pod, ...]
    """The controller's known pods."""
    seen: bool
    """All places were read in which its pods usually run."""
    root: Root | None

    @property
    def message(self) -> str:
        """Say whose taint it is and why it is still there; the sentences follow the list of taints."""
        who = self.controller
        if not who.temporary:
            return f"{who.subject} set it. {who.act}" if who.name else who.act
        return f"{who.subject} takes it off {who.removes}.{self._state}"

    @property
    def _state(self) -> str:
        if self.root is not None:
            return f" It does not work: {self.root.words}"
        if self.pods:
            names = ", ".join(f"{p.namespace}/{p.name}" for p in self.pods[:3])
            return f" Its pods run ({names}); their log tells what it waits for."
        if self.seen:
            return f" No pod of it runs in namespace {', '.join(self.controller.namespaces)}."
        return " Its pods were not seen."

    @property
    def fix(self) -> Fix:
        """Say what to do about the controller, never about the taint."""
        who = self.controller
        if not who.temporary:
            return Fix(who.act, actor=Actor.CLUSTER)
        if self.root is not None:
            own = self.root.finding.fix[0] if self.root.finding is not None and self.root.finding.fix else None
            act = f" {own.text}" if own is not None else ""
            where = f"{self.root.kind.lower()} {self.root.namespace}/{self.root.name}"
            words = f"Repair {who.name} first ({where}).{act} The taint then goes by itself. {_HANDS_OFF}"
            kept = own if own is not None else Fix("")
            return Fix(words, actor=own.actor if own else Actor.CLUSTER, commands=kept.commands, yaml=kept.yaml)
        if self.pods:
            pod = self.pods[0]
            words = f"Read the log of {who.name} for what keeps it from node {', '.join(self.nodes[:2])}."
            command = kubectl("logs", pod.name, "--all-containers", "--tail=100", namespace=pod.namespace)
            return Fix(f"{words} {_HANDS_OFF}", actor=Actor.CLUSTER, commands=(command,))
        words = f"Install or repair {who.name}; the taint then goes by itself. {_HANDS_OFF}"
        places = [kubectl("get", "pods", "-o", "wide", namespace=n) for n in who.namespaces[:1]]
        return Fix(words, actor=Actor.CLUSTER, commands=tuple(places))

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Return what shows the controller's state."""
        if self.root is not None:
            return self.root.evidence
        return tuple(
            Evidence("status", f"pod/{p.name} in {p.namespace}", f"{p.status_text()}, {p.ready_text()} ready")
            for p in self.pods[:2]
        )


def managed(case: Case, taint: str, nodes: list[str]) -> ManagedTaint | None:
    """Return what is known of a taint that a controller or a person sets, or None for a reservation of nodes."""
    key = taint.partition(":")[0].partition("=")[0]
    owner = controller_of_taint(key)
    if owner is None or (owner.temporary and owner.owns(case.pod)):
        # The controller's own pods have to tolerate what they are to take off.
        return None
    pods = owner.pods(case.snapshot, frozenset(nodes))
    root = first_root(case.explain, pods)
    return ManagedTaint(owner, taint, tuple(nodes), tuple(pods), owner.seen(case.snapshot), root)


def needs(keys: list[str]) -> Iterator[Need]:
    """Ask for the pods of the controllers that own the taints with these keys."""
    for key in keys:
        owner = controller_of_taint(key)
        if owner is not None:
            yield from owner.needs()


def leads_to(case: Case, keys: dict[str, list[str]]) -> Iterator[Pod]:
    """Yield the pods of the controllers that own these taints, given with the nodes that have them."""
    for key, nodes in keys.items():
        owner = controller_of_taint(key)
        if owner is not None:
            yield from owner.pods(case.snapshot, frozenset(nodes))
