"""What changed since an earlier answer: that document and new diagnoses go in; new, gone and worse come out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kubetriage.model import Diagnosis, Severity
from kubetriage.records import dataclass
from kubetriage.typed import Any
from kubetriage.values.fields import Obj, mapping, objects, text

_RANKS = tuple(s.value for s in Severity)


@dataclass(frozen=True)
class Changes:
    """The difference between two answers; each entry is ``NAMESPACE/KIND/NAME: CAUSE``."""

    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    worse: tuple[str, ...] = ()
    """The object had a fault before, and has another or a heavier one now."""

    def document(self) -> dict[str, list[str]]:
        """Return ``changes`` of the JSON contract."""
        return {"new": list(self.new), "gone": list(self.gone), "worse": list(self.worse)}

    def lines(self) -> tuple[str, ...]:
        """Write the changes for people, a line each."""
        told = [*(("new", w) for w in self.new), *(("worse", w) for w in self.worse), *(("gone", w) for w in self.gone)]
        return tuple(f"{kind:5} {words}" for kind, words in told) or ("no change",)


def changes(earlier: Obj, diagnoses: Iterable[Diagnosis]) -> Changes:
    """Compare with an earlier ``-o json`` document. Raises ValueError when it is none."""
    if text(earlier, "kind") != "DiagnosisList":
        raise ValueError("not an answer of kubetriage: expected what -o json printed earlier")
    before: dict[str, tuple[int, str]] = {}
    after: dict[str, tuple[int, str]] = {}
    for item in objects(earlier, "items"):
        before |= _roots(item) or {_folded(item) or _place(mapping(item, "target")): _worst_written(item)}
    for diagnosis in diagnoses:
        after |= _roots(diagnosis.extra) or {_folded(diagnosis.extra) or _place_of(diagnosis): _worst(diagnosis)}
    new, worse = [], []
    for place, (rank, cause) in after.items():
        if rank >= len(_RANKS):
            continue
        old_rank, old_cause = before.get(place, (len(_RANKS), ""))
        if old_rank >= len(_RANKS):
            new.append(f"{place}: {cause}")
        elif rank < old_rank or cause != old_cause:
            worse.append(f"{place}: {cause} (was {old_cause})")
    gone = [
        f"{place}: {cause}"
        for place, (rank, cause) in before.items()
        if rank < len(_RANKS) and after.get(place, (len(_RANKS), ""))[0] >= len(_RANKS)
    ]
    return Changes(tuple(new), tuple(gone), tuple(worse))


def _roots(item: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    """Return the roots of an incident, each as an object of its own; empty for an answer about one object."""
    return {
        _place(mapping(root, "object")): (_RANKS.index(text(root, "severity")), text(root, "cause"))
        for root in objects(item, "roots")
        if text(root, "severity") in _RANKS
    }


def _folded(item: Mapping[str, Any]) -> str:
    """Return what a row of several objects has in common: its example may be another one each time."""
    return _place(mapping(item, "fold", "root"))


def _place(target: Mapping[str, Any]) -> str:
    parts = (text(target, "namespace"), text(target, "kind").lower(), text(target, "name"))
    return "/".join(part for part in parts if part)


def _place_of(diagnosis: Diagnosis) -> str:
    ref = diagnosis.target
    return "/".join(part for part in (ref.namespace, ref.kind.lower(), ref.name) if part)


def _worst_written(item: Obj) -> tuple[int, str]:
    found = [
        (_RANKS.index(text(f, "severity")), text(f, "cause"))
        for f in objects(item, "findings")
        if text(f, "severity") in _RANKS and text(f, "severity") != Severity.NOTE.value
    ]
    return min(found, key=lambda f: f[0], default=(len(_RANKS), ""))


def _worst(diagnosis: Diagnosis) -> tuple[int, str]:
    found = [(f.severity.rank, f.cause) for f in diagnosis.findings if f.severity is not Severity.NOTE]
    return min(found, key=lambda f: f[0], default=(len(_RANKS), ""))
