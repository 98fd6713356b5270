"""Rule modules that are imported only for the ways that they may be about.

A Service that is well, and most that are asked about, meet none of them, and importing them takes as long as a request.
Each gate repeats a condition without which the module has nothing to say; a test asks the modules behind a shut gate
about all recorded ways.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from types import ModuleType

from kubetriage.records import dataclass
from kubetriage.typed import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from kubetriage.rules.service.case import Trace
    from kubetriage.rules.service.hop_faults import Fault


@dataclass(frozen=True)
class Gated:
    """A rule behind a gate; it behaves as its module does."""

    name: str
    """Of the module in ``causes``."""
    gate: Callable[[Trace], bool]

    @property
    def module(self) -> ModuleType:
        """The module itself."""
        return importlib.import_module(f"kubetriage.rules.service.causes.{self.name}")

    def check(self, trace: Trace) -> Iterable[Fault]:
        """Return what the module finds."""
        return cast("Iterable[Fault]", self.module.check(trace)) if self.gate(trace) else ()


def without_pods(*names: str) -> tuple[Gated, ...]:
    """Return rules about Services that select nothing that runs."""
    return tuple(Gated(name, lambda trace: any(not b.pods for b in trace.services)) for name in names)


def of_ingresses(*names: str) -> tuple[Gated, ...]:
    """Return rules about Ingresses."""
    return tuple(Gated(name, lambda trace: bool(trace.ingresses)) for name in names)


def of_issuance(*names: str) -> tuple[Gated, ...]:
    """Return rules about certificates that are not issued, for an Ingress or by themselves."""
    return tuple(
        Gated(name, lambda trace: bool(trace.ingresses) or trace.target.kind == "Certificate") for name in names
    )


def of_gateways(*names: str) -> tuple[Gated, ...]:
    """Return rules about Gateways and what leads from them to Services."""
    return tuple(Gated(name, lambda trace: bool(trace.gateways or trace.routes or trace.customs)) for name in names)


def of_entrances(*names: str) -> tuple[Gated, ...]:
    """Return rules about what leads to Services from outside, by whatever API."""
    return tuple(Gated(name, _has_entrance) for name in names)


def of_addresses(*names: str) -> tuple[Gated, ...]:
    """Return rules about addresses that a load balancer gives."""
    return tuple(
        Gated(name, lambda trace: _has_entrance(trace) or any(b.type == "LoadBalancer" for b in trace.services))
        for name in names
    )


def of_certificates(*names: str) -> tuple[Gated, ...]:
    """Return rules about the TLS Secrets on the way."""
    return tuple(Gated(name, lambda trace: bool(trace.secrets)) for name in names)


def of_served(*names: str) -> tuple[Gated, ...]:
    """Return rules about TLS Secrets, or about what an Ingress's controller says of some that were not seen."""
    return tuple(Gated(name, lambda trace: bool(trace.secrets or trace.ingresses)) for name in names)


def _has_entrance(trace: Trace) -> bool:
    return bool(trace.ingresses or trace.gateways or trace.routes or trace.customs)
