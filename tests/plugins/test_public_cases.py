"""Public incidents, rebuilt from what their reports show: the cause, and that the advice ends the incident.

Each folder of ``tests/cases`` holds a dump and ``truth.json``: the right cause, and expressions that the answer as a
whole must or must not match.
"""

import json

import pytest

from kubetriage.cli.main import main
from support.advice import faults
from support.offline import ROOT

CASES = ROOT / "tests" / "cases"
KNOWN_OPEN: dict[str, str] = {}
"""Cases whose answer is not right yet, each with what it lacks; take a case out as soon as it is right."""


def _names():
    return [f"{p.parent.parent.name}/{p.parent.name}" for p in sorted(CASES.glob("*/*/truth.json"))]


def ask(name, capsys):
    """Return the truth of a case, and the item of the answer that it is about."""
    truth = json.loads((CASES / name / "truth.json").read_text(encoding="utf-8"))
    args = ["--from", str(CASES / name), "-o", "json"]
    if truth.get("namespace") and truth["command"] not in ("node-triage", "plane-trace"):
        args += ["-n", truth["namespace"]]
    main(truth["command"], [*args, *([truth["target"]] if truth.get("target") else []), *truth.get("args", ())])
    items = json.loads(capsys.readouterr().out)["items"]
    return truth, next((i for i in items if not i.get("healthy")), items[0])


@pytest.mark.parametrize("name", _names())
def test_answers_a_public_incident(name, capsys, request):
    if name in KNOWN_OPEN:
        request.applymarker(pytest.mark.xfail(reason=KNOWN_OPEN[name], strict=False))
    truth, item = ask(name, capsys)
    assert not list(faults(truth, item))


def test_no_open_case_is_unknown():
    assert set(KNOWN_OPEN) <= set(_names())
