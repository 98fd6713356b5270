"""The container scenarios on a cluster that is there already, such as kind's.

``KUBETRIAGE_E2E_GIVEN`` names its kubeconfig; its nodes hold the image that ``make e2e-given`` writes and loads.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.conftest import Cluster
from e2e.test_containers import SCENARIOS, answered, apply

CHOSEN = [s for s in SCENARIOS if "REGISTRY" not in json.dumps(s) and "nodeName" not in json.dumps(s)]
"""Neither the registry of these tests nor the name of the node is that of another cluster."""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, float]]:
    """Apply the scenarios, and delete them in the end."""
    config = os.environ.get("KUBETRIAGE_E2E_GIVEN")
    if not config:
        pytest.skip("KUBETRIAGE_E2E_GIVEN names no kubeconfig of a cluster to be used")
    cluster = Cluster("", tmp_path_factory.mktemp("given"), Path(config))
    told = json.loads(cluster.kubectl("version", "-o", "json").stdout)
    cluster.version = told["serverVersion"]["gitVersion"]
    for scenario in CHOSEN:
        apply(cluster, scenario, "localhost:1")
    yield cluster, time.monotonic()
    cluster.kubectl("delete", "namespace", *(s["name"] for s in CHOSEN), "--ignore-not-found", "--wait=false")


@pytest.mark.parametrize("scenario", CHOSEN, ids=lambda s: s["name"])
def test_the_cause_on_a_given_cluster(given: tuple[Cluster, float], scenario: dict[str, Any]) -> None:
    answered(given[0], scenario, given[1])
