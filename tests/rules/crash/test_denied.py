"""Reads that are refused: a weaker answer, never a wrong one, and the gap is named."""

import pytest

from kubetriage.cli.collect import collect
from kubetriage.model import Confidence
from kubetriage.plugins import Request, load
from support.denied import DeniedReader
from support.offline import CAPTURES, target, truth, truths

WEAKER = {
    # What the status alone still says, where the log or the events that decide may not be read.
    "ConfigMapNotFound": {"Unknown"},
    "DependencyUnreachable": {"AppError"},
    # No all-clear over events that nobody read.
    "Healthy": {"Unknown"},
    "PostStartHookFailed": {"KilledBySignal"},
    "ReadOnlyFilesystem": {"AppError"},
    "RuntimeOutOfMemory": {"Aborted"},
    "WrongArchitecture": {"AppError"},
}
REFUSALS = (
    ("events",),
    ("pods/log",),
    ("nodes",),
    ("secrets", "configmaps"),
    ("replicasets", "deployments"),
    ("events", "pods/log", "nodes", "secrets", "configmaps", "replicasets", "deployments", "serviceaccounts"),
)


def diagnose(scenario, denied):
    expected = truth(scenario)
    request = Request(targets=(target(expected.target),), namespace=expected.namespace)
    _, answer = collect(load("why-crash"), request, DeniedReader(CAPTURES / scenario, denied))
    return expected, answer


@pytest.mark.parametrize("denied", REFUSALS, ids=",".join)
@pytest.mark.parametrize("scenario", [t.scenario for t in truths("why-crash") if t.target.startswith("pod/")])
def test_a_refused_read_weakens_the_answer_and_never_turns_it_wrong(scenario, denied):
    expected, answer = diagnose(scenario, denied)
    diagnosis = answer.diagnoses[0]
    if diagnosis.cause in expected.causes:
        return
    assert diagnosis.cause in WEAKER.get(expected.causes[0], ())
    assert diagnosis.not_seen
    assert diagnosis.undecided or diagnosis.findings[0].confidence is Confidence.POSSIBLE


@pytest.mark.parametrize("denied", ["events", "pods/log", "nodes"])
def test_the_gap_is_named(denied):
    _, answer = diagnose("liveness-slow-start", (denied,))
    shown = " ".join(gap.what for gap in answer.diagnoses[0].not_seen)
    assert {"events": "events", "pods/log": "log", "nodes": "node"}[denied] in shown


def test_a_probe_kill_without_events_is_likely_at_most():
    _, answer = diagnose("liveness-kill-137", ("events",))
    finding = answer.diagnoses[0].findings[0]
    assert finding.cause == "LivenessProbeFailed"
    assert finding.confidence is not Confidence.CONFIRMED
    assert "OOMKilled" in {r.cause for r in finding.ruled_out}
