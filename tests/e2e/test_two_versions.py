"""Two real clusters of two versions, asked with one command."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from e2e.binaries import VERSIONS
from e2e.conftest import Real, prepared
from support.offline import CAPTURES

_SCENARIO = "secret-missing-env"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Real, ...]]:
    """Start an API server of each version with the same recording."""
    if len(VERSIONS) < 2:
        pytest.skip("KUBETRIAGE_E2E_VERSIONS names one version only")
    made: list[Real] = []
    try:
        for version in VERSIONS:
            made.append(prepared(version, tmp_path_factory.mktemp(version)))
            made[-1].plane.start_store()
            made[-1].replay.apply(CAPTURES / _SCENARIO)
        yield tuple(made)
    finally:
        for real in made:
            real.plane.close()
            real.kubelet.close()


def _ask(both: tuple[Real, ...], *flags: str) -> tuple[list[str], str]:
    configs = os.pathsep.join(str(real.plane.kubeconfig) for real in both)
    words = ["why-crash", "api", "-n", _SCENARIO, "--contexts", "e2e-v*", *flags, "-o", "json"]
    done = both[0].kubectl(*words, config=configs, timeout=90)
    return [item["cause"] for item in json.loads(done.stdout)["items"]], done.stderr


def test_one_command_asks_clusters_of_both_versions(both: tuple[Real, ...]) -> None:
    causes, _ = _ask(both)
    assert causes == ["SecretNotFound"] * len(both)


def test_a_cluster_that_does_not_answer_takes_nothing_from_the_other(both: tuple[Real, ...]) -> None:
    both[-1].plane.stop("kube-apiserver")
    try:
        causes, errors = _ask(both, "--request-timeout", "5s")
    finally:
        both[-1].plane.start("kube-apiserver")
        both[-1].plane.wait_ready()
    assert causes == ["SecretNotFound"]
    assert f"e2e-{VERSIONS[-1]}" in errors
