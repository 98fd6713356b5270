"""The answers kept for docs/real-clusters.md: of every scenario that there is, and right; runs without any cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.results import FILE
from e2e.states import SIGHTS, STATES

KEPT: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))


def _scenarios(name: str, version: str) -> dict[str, tuple[str, ...]]:
    listed = yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    minor = int(version.split(".")[1])
    return {s["name"]: (s["cause"], *s.get("accept", ())) for s in listed if int(s.get("since", 0)) <= minor}


@pytest.mark.parametrize("version", KEPT)
@pytest.mark.parametrize(("part", "name"), [("containers", "containers.yaml"), ("controllers", "scenarios.yaml")])
def test_every_scenario_was_answered_rightly(version: str, part: str, name: str) -> None:
    answers = KEPT[version][part]["answers"]
    wrong = {
        scenario: answers.get(scenario, {}).get("cause")
        for scenario, right in _scenarios(name, version).items()
        if answers.get(scenario, {}).get("cause") not in right
    }
    assert wrong == {}


@pytest.mark.parametrize("version", KEPT)
def test_every_state_was_answered_rightly_from_every_sight(version: str) -> None:
    answers = KEPT[version]["states"]["answers"]
    for state in STATES:
        assert set(answers[state.name]) <= set(SIGHTS)
        for sight, answer in answers[state.name].items():
            right = state.right.get(sight, state.right[""])
            assert "wrong" not in answer, (state.name, sight)
            assert answer["cause"] in right if right else answer.get("severity") != "error", (state.name, sight)


def test_two_versions_and_120_scenarios_each() -> None:
    assert len(KEPT) == 2
    for parts in KEPT.values():
        assert sum(len(part["answers"]) for part in parts.values()) >= 120
