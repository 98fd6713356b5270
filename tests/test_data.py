"""The data files of facts that age: dated, with a source per row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kubetriage.data
from kubetriage.data import table

NAMES = sorted(p.stem for p in Path(kubetriage.data.__file__).parent.glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_a_data_file_is_dated_and_says_what_it_is_about(name):
    content = table(name)
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", content["dated"])
    assert content["about"]


@pytest.mark.parametrize("name", NAMES)
def test_every_row_has_a_source(name):
    lists = [v for v in table(name).values() if isinstance(v, list)]
    assert lists
    for rows in lists:
        for row in rows:
            assert row.get("source"), row
