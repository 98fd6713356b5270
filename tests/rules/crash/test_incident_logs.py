"""Real-looking logs of many programs: the cause is found, and the advice would end the incident."""

import json
import re

import pytest

from kubetriage.model import Finding, Severity
from kubetriage.redact import redact
from support.incident_logs import INCIDENTS, Incident
from support.objects import back_off, container, crash_findings, pod, status, terminated

BY_NAME = pytest.mark.parametrize("incident", INCIDENTS, ids=[i.name for i in INCIDENTS])


def _first(incident: Incident, log: str) -> Finding:
    spec = incident.spec or container()
    raw = pod(
        containers=[spec],
        statuses=[status(spec["name"], back_off(), terminated(incident.code, "Error", -65, -60))],
        **incident.pod,
    )
    found = crash_findings(raw, *incident.objects, logs={spec["name"]: log})
    return next(f for f in found if f.severity is Severity.ERROR)


def _told(finding: Finding) -> str:
    """Return all that an answer tells beside its evidence."""
    parts = [finding.message, json.dumps(dict(finding.details), ensure_ascii=False)]
    for fix in finding.fix:
        parts += [fix.text, *fix.commands, fix.yaml, json.dumps(fix.patch or {}, ensure_ascii=False)]
    return "\n".join(parts)


def test_names_are_unique():
    assert len({i.name for i in INCIDENTS}) == len(INCIDENTS) >= 100


@BY_NAME
def test_the_answer_ends_the_incident(incident):
    finding = _first(incident, incident.log)
    told = _told(finding)
    assert finding.cause in incident.causes, told
    for wanted in incident.must:
        assert re.search(wanted, told, re.IGNORECASE), f"lacks /{wanted}/:\n{told}"
    for unwanted in (*incident.must_not, r"\bfix what\b"):
        assert not re.search(unwanted, told, re.IGNORECASE), f"says /{unwanted}/:\n{told}"
    assert not re.search(r"\{\w*\(?words|\{where|\{place", told), told
    assert finding.fix
    if finding.cause not in ("CommandNotFound", "CommandNotExecutable"):
        assert all(fix.actor is not None for fix in finding.fix), told


@BY_NAME
def test_the_redacted_log_has_the_same_cause(incident):
    assert _first(incident, redact(incident.log)).cause == _first(incident, incident.log).cause
