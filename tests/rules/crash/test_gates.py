"""Behind a shut gate a rule has nothing to say, whatever else is true of the pod."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cluster.recorded import RecordedReader
from kubetriage.model import Confidence, Finding, Ref, Severity
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import CONCLUSIONS, TIERS
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.gated import (
    Gated,
    LastResort,
    ended,
    replaced,
    run_once,
    with_a_resize,
    with_init_containers,
    with_pending_volumes,
    with_readiness_gates,
    with_volumes_in_doubt,
    without_image,
    without_node,
    without_sandbox,
)
from kubetriage.snapshot import Snapshot

HERE = Path(__file__).parents[2]
RECORDINGS = sorted(p.parent for p in HERE.glob("c*s/**/truth.json"))
GATED = [rule for rule in (*(r for tier in TIERS for r in tier), *CONCLUSIONS) if isinstance(rule, Gated)]
SHUT_BY_THE_POD = [rule for rule in GATED if not isinstance(rule, LastResort)]


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


def set_up(raw: Any) -> None:
    raw.setdefault("status", {}).setdefault("conditions", []).insert(
        0, {"type": "PodReadyToStartContainers", "status": "True"}
    )
    raw["status"]["conditions"][1:] = [
        c for c in raw["status"]["conditions"][1:] if c.get("type") != "PodReadyToStartContainers"
    ]


def up(raw: Any) -> None:
    set_up(raw)
    for kind in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for status in raw["status"].get(kind) or ():
            status["state"] = {"running": {}}


def another(raw: Any) -> None:
    """No event is about a pod that nobody made."""
    raw["metadata"] |= {"uid": "00000000-0000-0000-0000-000000000000", "name": "another"}


def without_init(raw: Any) -> None:
    raw.get("spec", {}).pop("initContainers", None)
    raw.get("status", {}).pop("initContainerStatuses", None)


def lasting(raw: Any) -> None:
    raw.setdefault("spec", {})["restartPolicy"] = "Always"


def ungated(raw: Any) -> None:
    raw.get("spec", {}).pop("readinessGates", None)


def of_one_size(raw: Any) -> None:
    status = raw.get("status", {})
    status["conditions"] = [c for c in status.get("conditions") or () if "Resize" not in str(c.get("type"))]


WAYS: dict[Callable[..., Any], Callable[[Any], None]] = {
    without_node: placed,
    without_image: crashing,
    ended: running,
    replaced: staying,
    with_pending_volumes: set_up,
    with_volumes_in_doubt: up,
    without_sandbox: another,
    with_init_containers: without_init,
    run_once: lasting,
    with_readiness_gates: ungated,
    with_a_resize: of_one_size,
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
    conclude = getattr(rule.module, "conclude", None)
    yield from conclude(case, []) if conclude is not None else ()


@pytest.mark.parametrize("rule", SHUT_BY_THE_POD, ids=lambda r: r.name)
def test_nothing_is_missed_behind_a_shut_gate(rule: Gated) -> None:
    for snapshot, raw in recorded():
        changed = shut(rule, raw)
        assert not rule.gate(Case(Pod(changed), snapshot))
        for one in (raw, changed):
            case = Case(Pod(one), snapshot)
            if not rule.gate(case):
                assert not list(said(rule, case)), f"{snapshot.source}: {one['metadata']['name']}"


def test_the_last_resort_has_nothing_to_say_of_a_pod_that_is_well_or_whose_error_is_known() -> None:
    [rule] = [rule for rule in GATED if isinstance(rule, LastResort)]
    known = Finding("AppError", Severity.ERROR, Confidence.CONFIRMED, Ref("Pod", "shop", "api"), "It ended.")
    told = 0
    for snapshot, raw in recorded():
        case = Case(Pod(raw), snapshot)
        assert rule.module.conclude(case, [known]) == rule.conclude(case, [known]) == [known]
        assert rule.module.conclude(case, []) == rule.conclude(case, [])
        told += bool(rule.conclude(case, []))
    assert told
    assert not any(hasattr(rule.module, name) for name in ("check", "needs", "leads_to"))


def test_the_recordings_open_each_gate() -> None:
    for rule in GATED:
        assert any(rule.gate(Case(Pod(raw), snapshot)) for snapshot, raw in recorded()), rule.name
