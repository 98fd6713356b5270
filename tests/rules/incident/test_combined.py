"""Incidents with a known root: the root first, its victims complete, nothing foreign joined."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.combined import Combined
from support.combined_incidents import all_made
from support.incident_score import RECORDED, score, two_at_once


@pytest.mark.parametrize("incident", all_made(), ids=lambda i: i.name)
def test_the_root_is_first_and_explains_its_victims_and_nothing_else(incident: Combined, tmp_path: Path):
    incident.write(tmp_path)
    got = score(incident, tmp_path)
    assert got.roots == len(incident.expected)
    assert got.first
    assert not got.others
    assert got.missing == frozenset()
    assert got.foreign == frozenset()


@pytest.mark.parametrize("number", range(0, len(RECORDED), 6))
def test_two_recorded_incidents_in_one_cluster_stay_two(number: int, tmp_path: Path):
    assert two_at_once(number, tmp_path) == ""


@pytest.mark.slow
@pytest.mark.parametrize("number", [n for n in range(len(RECORDED)) if n % 6])
def test_every_pair_of_recorded_incidents_stays_two(number: int, tmp_path: Path):
    assert two_at_once(number, tmp_path) == ""
