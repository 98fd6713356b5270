"""Recorded states in a real API server, asked through the real kubectl: the cause is the one of the recording."""

from __future__ import annotations

import pytest

from e2e.conftest import Real
from e2e.results import Results
from kubetriage.plugins import PLUGINS
from support.offline import CAPTURES, Truth, truths

_OF_THE_PLANE = "plane-trace"
NOT_HERE = {
    "jvm-ok": "an API server proxies to no node on loopback, so the kubelet's figures cannot be read",
    "node-kubelet-stopped-6m": "nobody renews a Lease here, so every status stands still",
    "node-kubelet-stopped": "the host of a lost node answers in the recording; here all nodes share one port",
}
"""Recordings that loopback cannot stand for."""

BEFORE = {"sidecar-crash": (29, "InitContainerFailed")}
"""What a version before this minor makes of a recording: 1.28 drops ``restartPolicy`` of init containers."""

CASES = [t for name in PLUGINS if name != _OF_THE_PLANE for t in truths(name)]


@pytest.mark.parametrize("truth", CASES, ids=lambda t: t.scenario)
def test_the_cause_of_a_recorded_state(real: Real, truth: Truth, results: Results) -> None:
    if truth.scenario in NOT_HERE:
        pytest.skip(NOT_HERE[truth.scenario])
    refused = real.replay.apply(CAPTURES / truth.scenario)
    place = () if truth.command == "node-triage" else ("-n", truth.namespace)
    found = real.item(truth.command, *([truth.target] if truth.target else []), *place)
    minor, older = BEFORE.get(truth.scenario, (0, ""))
    right = (older,) if real.minor < minor else truth.causes
    assert found["cause"] in right, refused
    results.add(real.plane.version, "recorded", truth.scenario, found)
