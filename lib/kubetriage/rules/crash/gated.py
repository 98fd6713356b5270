"""Rule modules that are imported only for the pods that they may be about.

A pod that crashes, as most that are asked about, meets none of them, and importing them takes as long as a request.
Each gate repeats a condition without which the module has nothing to say, read or follow; a test asks the modules
behind a shut gate about all recorded pods.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from types import ModuleType

from kubetriage.model import Severity
from kubetriage.needs import Need
from kubetriage.records import dataclass
from kubetriage.rules.crash.config_references import volumes_pending
from kubetriage.rules.crash.start_failures import Start, start_failures
from kubetriage.typed import TYPE_CHECKING, Any, cast
from kubetriage.values.fields import objects, text

if TYPE_CHECKING:
    from kubetriage.model import Finding
    from kubetriage.readers.pods import Pod
    from kubetriage.rules.crash.case import Case

_OF_SANDBOXES = ("FailedCreatePodSandBox", "FailedCreatePodContainer", "NetworkNotReady")
"""Reasons of the events that tell why a pod has no sandbox."""
_NO_IMAGE = ("", "CrashLoopBackOff", "ContainerCreating", "PodInitializing")
"""Reasons to wait that are not about an image."""


@dataclass(frozen=True)
class Gated:
    """A rule behind a gate; it behaves as its module does."""

    name: str
    """Of the module in ``causes``."""
    gate: Callable[[Case], bool]

    @property
    def module(self) -> ModuleType:
        """The module itself."""
        return importlib.import_module(f"kubetriage.rules.crash.causes.{self.name}")

    def check(self, case: Case) -> Iterable[Finding]:
        """Return what the module finds."""
        return cast("Iterable[Finding]", self.module.check(case)) if self.gate(case) else ()

    def needs(self, case: Case) -> Iterable[Need]:
        """Say what the module wants to read."""
        return self._from(case, "needs")

    def leads_to(self, case: Case) -> Iterable[Pod]:
        """Yield the pods at which the module's chain goes on."""
        return self._from(case, "leads_to")

    def conclude(self, case: Case, findings: list[Finding]) -> list[Finding]:
        """Return the findings of a pod with what the module makes of them."""
        return cast("list[Finding]", self.module.conclude(case, findings)) if self.gate(case) else findings

    def _from(self, case: Case, function: str) -> Iterable[Any]:
        ask = getattr(self.module, function, None) if self.gate(case) else None
        return ask(case) if ask is not None else ()


class LastResort(Gated):
    """A conclusion about pods of which nothing explains why they are not well; it reads nothing more."""

    def needs(self, _case: Case) -> Iterable[Need]:
        """Want nothing."""
        return ()

    def leads_to(self, _case: Case) -> Iterable[Pod]:
        """Lead nowhere."""
        return ()

    def conclude(self, case: Case, findings: list[Finding]) -> list[Finding]:
        """Leave findings alone among which is an error."""
        return findings if any(f.severity is Severity.ERROR for f in findings) else super().conclude(case, findings)


def last_resort(name: str) -> LastResort:
    """Return the rule about pods that are not well and that nothing explains."""
    return LastResort(name, lambda case: case.pod.is_troubled)


def without_node(*names: str) -> tuple[Gated, ...]:
    """Return rules about pods that no node has taken."""
    return tuple(Gated(name, lambda case: not case.pod.node) for name in names)


def without_image(*names: str) -> tuple[Gated, ...]:
    """Return rules about images that are not there."""
    return tuple(
        Gated(name, lambda case: any(c.waiting_reason not in _NO_IMAGE for c in case.containers)) for name in names
    )


def ended(*names: str) -> tuple[Gated, ...]:
    """Return rules about pods that were ended or refused from outside, or are being deleted."""
    return tuple(Gated(name, _has_ended) for name in names)


def replaced(*names: str) -> tuple[Gated, ...]:
    """Return rules about pods that had to go and about those that come in their place."""
    return tuple(Gated(name, lambda case: not case.pod.node or _has_ended(case)) for name in names)


def with_pending_volumes(*names: str) -> tuple[Gated, ...]:
    """Return rules about pods whose volumes may not be there yet."""
    return tuple(Gated(name, volumes_pending) for name in names)


def with_volumes_in_doubt(*names: str) -> tuple[Gated, ...]:
    """Return rules about pods whose volumes are not there yet, or could not be mounted into a container."""
    return tuple(
        Gated(name, lambda case: volumes_pending(case) or any(start_failures(case, Start.MOUNT))) for name in names
    )


def without_sandbox(*names: str) -> tuple[Gated, ...]:
    """Return rules about pods whose sandbox could not be made."""
    return tuple(Gated(name, lambda case: case.events.last(*_OF_SANDBOXES) is not None) for name in names)


def with_init_containers(*names: str) -> tuple[Gated, ...]:
    """Return rules about init containers."""
    return tuple(Gated(name, lambda case: any(c.kind == "init" for c in case.containers)) for name in names)


def run_once(*names: str) -> tuple[Gated, ...]:
    """Return rules about pods that are to end."""
    return tuple(
        Gated(name, lambda case: text(case.pod.raw, "spec", "restartPolicy") in ("Never", "OnFailure"))
        for name in names
    )


def with_readiness_gates(*names: str) -> tuple[Gated, ...]:
    """Return rules about conditions that others set and that a pod's readiness waits for."""
    return tuple(Gated(name, lambda case: bool(objects(case.pod.raw, "spec", "readinessGates"))) for name in names)


def with_a_resize(*names: str) -> tuple[Gated, ...]:
    """Return rules about pods whose resources are to change in place."""
    return tuple(
        Gated(
            name, lambda case: bool(case.pod.condition("PodResizePending") or case.pod.condition("PodResizeInProgress"))
        )
        for name in names
    )


def _has_ended(case: Case) -> bool:
    return case.pod.finished or bool(case.pod.reason) or case.pod.deleting
