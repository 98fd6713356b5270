"""The recorded clusters of svc-trace: first cause and broken hop."""

import json

import pytest

from support.offline import CAPTURES, Truth, diagnosis, truths


def hop_of(truth: Truth) -> str | None:
    return json.loads((CAPTURES / truth.scenario / "truth.json").read_text())["hop"]


@pytest.mark.parametrize(
    "truth", [t for t in truths("svc-trace") if t.target.startswith("svc/")], ids=lambda t: t.scenario
)
def test_names_the_first_cause_and_the_broken_hop(truth: Truth) -> None:
    found = diagnosis("svc-trace", truth.target, capture=truth.scenario)
    heads = [f for f in found.findings if f.severity.value != "note"]
    cause = heads[0].cause if heads else "Healthy"
    assert cause in truth.causes
    broken = [h for h in found.extra["hops"] if h["state"] in ("broken", "degraded")]
    assert (broken[0]["hop"] if broken else None) == hop_of(truth)
