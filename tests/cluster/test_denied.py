"""Reads that RBAC denies: the gap is named, and nothing is concluded from it."""

from __future__ import annotations

import pytest

from kubetriage.model import Confidence
from kubetriage.needs import Why
from support.live import Read, Serve, ask
from support.offline import Truth, truths

DENIED = [
    ("pods/log",),
    ("events",),
    ("nodes",),
    ("secrets", "configmaps"),
    ("pods/log", "events", "nodes", "secrets", "configmaps", "serviceaccounts", "services", "endpoints"),
]


@pytest.mark.parametrize("denied", DENIED, ids=lambda d: "+".join(d)[:30])
@pytest.mark.parametrize("known", truths("why-crash"), ids=lambda t: t.scenario)
def test_no_wrong_cause_and_named_gaps(serve: Serve, read: Read, known: Truth, denied: tuple[str, ...]) -> None:
    api = serve(known.scenario)
    api.deny(*denied)
    snapshot, answer = ask(known.scenario, read(api))
    assert not answer.errors
    diagnosis = answer.diagnoses[0]
    cause = diagnosis.findings[0].cause if diagnosis.findings else "Healthy"
    if cause not in known.causes:
        assert diagnosis.findings, "not healthy, for something was not seen"
        assert diagnosis.findings[0].confidence is Confidence.POSSIBLE
    if any(f.why is Why.FORBIDDEN for _, f in snapshot.failures):
        assert any(d.not_seen for d in answer.diagnoses)


def test_a_denied_target_is_an_error_in_kubectls_words(serve: Serve, read: Read) -> None:
    api = serve("java-npe")
    api.deny("pods")
    _, answer = ask("java-npe", read(api))
    assert answer.errors == (
        'Error from server (Forbidden): pods "api" is forbidden: User "tester" cannot get resource "pods" '
        'in API group "" in the namespace "java-npe"',
    )
