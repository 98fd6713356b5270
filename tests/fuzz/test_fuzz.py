"""Broken clusters give answers: no exception, no endless work, nothing unshowable, and no false all-clear."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest

from fuzz.harness import Subject, check
from fuzz.mutations import Path, paths
from fuzz.run import subjects

SUBJECTS = subjects()
_MISSING = object()


@pytest.mark.attack("objects, logs and metrics, broken")
@pytest.mark.parametrize("part", range(8))
def test_broken_captures_give_answers_in_the_contract(
    part: int, record_property: Callable[[str, object], None]
) -> None:
    objects = 0
    for index in range(part, len(SUBJECTS) * 2, 8):
        rng = random.Random(f"ci/{index}")
        objects += check(SUBJECTS[index % len(SUBJECTS)], rng, thorough=index % 4 == 0)
    record_property("tried", objects)
    assert objects > 100


def broken_at(subject: Subject, index: int, path: Path, value: Any) -> Any:
    _, obj = subject.objects[index]
    changed = copy.deepcopy(obj)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    if value is _MISSING:
        del place[path[-1]]
    else:
        place[path[-1]] = copy.deepcopy(value)
    objs = [(r, changed if i == index else o) for i, (r, o) in enumerate(subject.objects)]
    return subject.answer(subject.rebuilt(objs))


def statuses(subject: Subject) -> list[tuple[int, Path]]:
    """Return every place of the status of what the answer is about."""
    of = {"node-triage": "nodes"}.get(subject.truth.command, "pods")
    found = []
    for index, (resource, obj) in enumerate(subject.objects):
        near = of == "nodes" or obj["metadata"].get("namespace") == subject.truth.namespace
        if resource == of and near:
            found += [(index, p) for p in paths(obj) if p[0] == "status"]
    return found


TROUBLED = [
    s
    for s in SUBJECTS
    if not s.scan
    and s.truth.command in ("why-crash", "svc-trace", "node-triage", "oom-budget")
    and not all(d.healthy for d in s.answer(s.rebuilt(s.objects)).diagnoses)
]


@pytest.mark.attack("objects, logs and metrics, broken")
@pytest.mark.parametrize("subject", TROUBLED, ids=lambda s: f"{s.truth.command}-{s.truth.scenario}")
def test_a_status_broken_in_transit_is_no_all_clear(
    subject: Subject, record_property: Callable[[str, object], None]
) -> None:
    places = statuses(subject)
    rng = random.Random(subject.truth.scenario)
    record_property("tried", min(len(places), 12) * 5)
    for index, path in rng.sample(places, min(len(places), 12)):
        for value in (_MISSING, None, {}, "x", 7):
            answer = broken_at(subject, index, path, value)
            for diagnosis in answer.diagnoses:
                honest = diagnosis.cause != "Healthy" or bool(diagnosis.not_seen)
                assert honest, (path, value, diagnosis.summary)
