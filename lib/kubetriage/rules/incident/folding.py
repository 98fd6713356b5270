"""Folds a scan: symptoms go in, one row for each fault comes out, with how many objects it concerns and since when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from kubetriage.model import Finding, Ref
from kubetriage.rules.incident.roots import Symptom
from kubetriage.values.times import parse_time


@dataclass(frozen=True)
class Fault:
    """Symptoms with one code and one root."""

    symptoms: tuple[Symptom, ...]
    """At least one, the best known first."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Code and root."""
        return self.symptoms[0].key

    @property
    def finding(self) -> Finding:
        """The finding that stands for all."""
        return self.symptoms[0].finding

    @property
    def root(self) -> Ref:
        """The object to mend."""
        return self.symptoms[0].root

    @property
    def example(self) -> Ref:
        """One of the objects, to look at."""
        return self.symptoms[0].target

    @cached_property
    def targets(self) -> tuple[Ref, ...]:
        """The objects that show the fault."""
        return tuple(dict.fromkeys(s.target for s in self.symptoms))

    @cached_property
    def workloads(self) -> tuple[Ref, ...]:
        """What the objects belong to."""
        return tuple(dict.fromkeys(s.workload for s in self.symptoms))

    @cached_property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces of the objects."""
        return tuple(sorted({s.target.namespace for s in self.symptoms} - {""}))

    @cached_property
    def times(self) -> tuple[datetime, ...]:
        """Times of the proof, oldest first; empty where none has one."""
        return tuple(
            sorted(
                moment
                for s in self.symptoms
                for line in s.finding.evidence
                if (moment := parse_time(line.time)) is not None
            )
        )

    @property
    def since(self) -> datetime | None:
        """The oldest time of the proof: the fault is at least that old."""
        return self.times[0] if self.times else None

    @property
    def newest(self) -> datetime | None:
        """The newest time of the proof."""
        return self.times[-1] if self.times else None


def fold(found: Iterable[Symptom]) -> tuple[Fault, ...]:
    """Put symptoms of one fault together; the order of the first of each is kept."""
    groups: dict[tuple[str, str, str, str], list[Symptom]] = {}
    for one in found:
        groups.setdefault(one.key, []).append(one)
    return tuple(
        Fault(tuple(sorted(group, key=lambda s: (s.finding.severity.rank, s.finding.confidence.rank))))
        for group in groups.values()
    )
