"""Every fix of why-crash says who acts, on all recorded clusters and all public incidents."""

import json

import pytest

from kubetriage.cli.main import main
from support.offline import CAPTURES, ROOT

NOBODY = frozenset({"RestartedThenStable"})
"""Causes of which nothing is left to do."""


def _dumps():
    found = [*CAPTURES.glob("*/truth.json"), *(ROOT / "tests" / "cases").glob("*/*/truth.json")]
    return [p.parent for p in sorted(found) if json.loads(p.read_text())["command"] == "why-crash"]


@pytest.mark.parametrize("dump", _dumps(), ids=lambda d: f"{d.parent.name}-{d.name}")
def test_every_fix_says_who_acts(dump, capsys):
    truth = json.loads((dump / "truth.json").read_text())
    target = [truth["target"]] if truth.get("target") else []
    main("why-crash", ["--from", str(dump), "-o", "json", "-n", truth.get("namespace") or "default", *target])
    for item in json.loads(capsys.readouterr().out)["items"]:
        for finding in item["findings"]:
            if finding["cause"] in NOBODY or finding["severity"] == "note":
                continue
            assert finding["fix"], finding["cause"]
            assert all(fix.get("actor") for fix in finding["fix"]), finding["fix"]
