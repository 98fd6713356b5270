"""Behind a shut gate a rule has nothing to say, whatever else is true of the pod."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cluster.recorded import RecordedReader
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import TIERS
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.gated import Gated, ended, replaced, without_image, without_node
from kubetriage.snapshot import Snapshot

HERE = Path(__file__).parents[2]
RECORDINGS = sorted(p.parent for p in HERE.glob("c*s/**/truth.json"))
GATED = [rule for tier in TIERS for rule in tier if isinstance(rule, Gated)]


@cache
def recorded() -> list[tuple[Snapshot, Any]]:
    found = []
    for folder in RECORDINGS:
        snapshot = RecordedReader(folder).open()
        found += [(snapshot, obj) for resource, obj in snapshot.objects if resource == "pods"]
    return found


def placed(raw: Any) -> None:
    raw.setdefault("spec", {})["nodeName"] = "node-1"


def crashing(raw: Any) -> None:
    for kind in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for status in raw.get("status", {}).get(kind) or ():
            if (status.get("state") or {}).get("waiting"):
                status["state"]["waiting"]["reason"] = "CrashLoopBackOff"


def running(raw: Any) -> None:
    raw.get("metadata", {}).pop("deletionTimestamp", None)
    status = raw.setdefault("status", {})
    status.pop("reason", None)
    status["phase"] = "Running"


def staying(raw: Any) -> None:
    placed(raw)
    running(raw)


WAYS: dict[Callable[..., Any], Callable[[Any], None]] = {
    without_node: placed,
    without_image: crashing,
    ended: running,
    replaced: staying,
}


def shut(rule: Gated, raw: Any) -> Any:
    """Return the pod changed so that the gate is shut, whatever it was."""
    changed = deepcopy(raw)
    for made, way in WAYS.items():
        if made(rule.name)[0].gate.__code__ is rule.gate.__code__:
            way(changed)
    return changed


def said(rule: Gated, case: Case) -> Iterator[object]:
    for function in ("check", "needs", "leads_to"):
        ask = getattr(rule.module, function, None)
        yield from ask(case) if ask is not None else ()


@pytest.mark.parametrize("rule", GATED, ids=lambda r: r.name)
def test_nothing_is_missed_behind_a_shut_gate(rule: Gated) -> None:
    for snapshot, raw in recorded():
        changed = shut(rule, raw)
        assert not rule.gate(Case(Pod(changed), snapshot))
        for one in (raw, changed):
            case = Case(Pod(one), snapshot)
            if not rule.gate(case):
                assert not list(said(rule, case)), f"{snapshot.source}: {one['metadata']['name']}"


def test_the_recordings_open_each_gate() -> None:
    for rule in GATED:
        assert any(rule.gate(Case(Pod(raw), snapshot)) for snapshot, raw in recorded()), rule.name
