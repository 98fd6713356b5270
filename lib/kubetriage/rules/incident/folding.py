"""Folds a scan: symptoms go in, one row for each fault comes out, with how many objects it concerns and since when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property

from kubetriage.model import Diagnosis, Finding, Ref
from kubetriage.records import dataclass, replace
from kubetriage.rules.incident.roots import Symptom, symptom
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, dig, mapping, objects, text
from kubetriage.values.resources import BY_KIND
from kubetriage.values.times import format_time


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
        """When it showed, the oldest first; empty where nothing tells."""
        return tuple(sorted(moment for s in self.symptoms for moment in s.times))

    @property
    def since(self) -> datetime | None:
        """The oldest time: the fault is at least that old."""
        return self.times[0] if self.times else None

    @property
    def newest(self) -> datetime | None:
        """The newest time: it still showed then."""
        return self.times[-1] if self.times else None


def fold(found: Iterable[Symptom]) -> tuple[Fault, ...]:
    """Put symptoms of one fault together; the order of the first of each is kept."""
    groups: dict[tuple[str, str, str, str], list[Symptom]] = {}
    for one in found:
        groups.setdefault(one.key, []).append(one)
    return tuple(map(_fault, groups.values()))


def _fault(group: Iterable[Symptom]) -> Fault:
    return Fault(tuple(sorted(group, key=lambda s: (s.finding.severity.rank, s.finding.confidence.rank))))


def folded(
    diagnoses: Iterable[Diagnosis],
    snapshot: Snapshot,
    alike: Mapping[Ref, tuple[Ref, ...]] | None = None,
    among: Mapping[Ref, int] | None = None,
    groups: Mapping[Ref, int] | None = None,
) -> tuple[Diagnosis, ...]:
    """Make one diagnosis of those with one fault, which tells in ``extra["fold"]`` for how many objects it stands.

    ``alike`` are objects that were not looked at, by the one that has the same symptom. ``among`` says of how many
    pods a target was taken, where the caller knows all of them. ``groups`` number targets whose faults are one where
    they have one code, whatever the root of each is. What has no fault stays.
    """
    rows: dict[object, list[Symptom]] = {}
    kept: list[tuple[object, Diagnosis]] = []
    for diagnosis in diagnoses:
        one = symptom(diagnosis, snapshot)
        key: object = one.key if one is not None else id(diagnosis)
        if one is not None and groups and diagnosis.target in groups:
            key = (one.finding.cause, groups[diagnosis.target])
        if one is not None:
            rows.setdefault(key, []).append(one)
        if one is None or len(rows[key]) == 1:
            kept.append((key, diagnosis))
    return tuple(_row(diagnosis, rows.get(key, []), alike or {}, snapshot, among or {}) for key, diagnosis in kept)


def unfolded(diagnoses: Iterable[Diagnosis]) -> tuple[Diagnosis, ...]:
    """Give each object that a folded diagnosis stands for that diagnosis as its own."""
    found: list[Diagnosis] = []
    for diagnosis in diagnoses:
        told = mapping(diagnosis.extra, "fold")
        refs = [_read(o) for key in ("lookedAt", "sameSymptom") for o in objects(told, key)]
        found += [replace(diagnosis, target=ref) for ref in refs] or [diagnosis]
    return tuple(found)


def _read(written: Obj) -> Ref:
    return Ref(text(written, "kind"), text(written, "namespace"), text(written, "name"))


def _wanted(workloads: Iterable[Ref], snapshot: Snapshot) -> int:
    """Return how many pods the specs of workloads ask for together; 0 where one of them does not say."""
    total = 0
    for ref in workloads:
        resource = BY_KIND.get(ref.kind)
        obj = snapshot.get(resource.plural, ref.namespace, ref.name).obj if resource is not None else {}
        number = dig(obj, "spec", "replicas")
        if number is None:
            number = dig(obj, "status", "desiredNumberScheduled")
        if not isinstance(number, int) or not number:
            return 0
        total += number
    return total


def _row(
    diagnosis: Diagnosis,
    group: list[Symptom],
    alike: Mapping[Ref, tuple[Ref, ...]],
    snapshot: Snapshot,
    among: Mapping[Ref, int],
) -> Diagnosis:
    if not group:
        return diagnosis
    fault = _fault(group)
    others = tuple(ref for target in fault.targets for ref in alike.get(target, ()))
    names = (*fault.targets, *others)
    wanted = sum(among.get(t, 0) for t in fault.targets)
    if len(names) == 1 and wanted < 2:
        return diagnosis
    head = fault.symptoms[0].diagnosis
    times = {"since": fault.since, "newest": fault.newest}
    if not wanted and fault.example.kind == "Pod":
        wanted = _wanted(fault.workloads, snapshot)
    told = {
        "count": len(names),
        **({"of": wanted} if wanted >= len(names) else {}),
        "root": written(fault.root),
        "workloads": [written(w) for w in fault.workloads],
        "namespaces": sorted({ref.namespace for ref in names} - {""}),
        "lookedAt": [written(ref) for ref in fault.targets],
        "sameSymptom": [written(ref) for ref in others],
        **{key: format_time(moment) for key, moment in times.items() if moment is not None},
    }
    return replace(head, extra={**head.extra, "fold": told})


def written(ref: Ref) -> dict[str, str]:
    """Name an object in a document."""
    return {"kind": ref.kind, **({"namespace": ref.namespace} if ref.namespace else {}), "name": ref.name}
