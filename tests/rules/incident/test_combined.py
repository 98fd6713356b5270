"""Incidents with a known root: the root first, its victims complete, nothing foreign joined."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubetriage.render.fold import columns
from support.combined_incidents import all_made
from support.incident_score import RECORDED, results, two_at_once

NAMES = [incident.name for incident in all_made()]


@pytest.mark.parametrize("name", NAMES)
def test_the_root_is_first_and_explains_its_victims_and_nothing_else(name: str):
    incident, got, _ = results()[name]
    assert got.roots == len(incident.expected)
    assert got.first
    assert not got.others
    assert got.missing == frozenset()
    assert got.foreign == frozenset()


@pytest.mark.parametrize("name", NAMES)
def test_an_incident_stays_on_one_screen(name: str):
    lines = results()[name][2].splitlines()
    assert sum(max(-(-columns(line) // 80), 1) for line in lines) <= 23


@pytest.mark.parametrize("number", range(0, len(RECORDED), 6))
def test_two_recorded_incidents_in_one_cluster_stay_two(number: int, tmp_path: Path):
    assert two_at_once(number, tmp_path) == ""


@pytest.mark.slow
@pytest.mark.parametrize("number", [n for n in range(len(RECORDED)) if n % 6])
def test_every_pair_of_recorded_incidents_stays_two(number: int, tmp_path: Path):
    assert two_at_once(number, tmp_path) == ""
