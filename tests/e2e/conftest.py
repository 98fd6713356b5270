"""One real control plane per version and process; tests are skipped with a word where none can run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.binaries import VERSIONS, CannotRunError, programs
from e2e.kubelet import KubeletPort
from e2e.plane import ControlPlane
from e2e.replay import Api, Replay
from e2e.results import Results
from support.offline import ROOT


@dataclass
class Cluster:
    """A cluster of one version, asked by kubectl with the plugins."""

    version: str
    folder: Path
    kubeconfig: Path

    def kubectl(
        self, *words: str, config: Path | str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl with the plugins of this checkout on PATH."""
        env = {
            "PATH": f"{ROOT / 'kubectl-plugins'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "KUBECONFIG": str(config or self.kubeconfig),
        }
        return subprocess.run(
            ["kubectl", *words], env=env, capture_output=True, text=True, timeout=timeout, check=False
        )

    @property
    def minor(self) -> int:
        """The minor version."""
        return int(self.version.split(".")[1])

    def item(self, *words: str, config: Path | None = None) -> dict[str, Any]:
        """Ask a plugin for a document and return its first item."""
        done = self.kubectl(*words, "-o", "json", config=config)
        assert done.stdout, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)["items"][0]
        return found


@dataclass
class Real(Cluster):
    """A cluster whose API server these tests start and stop."""

    plane: ControlPlane
    kubelet: KubeletPort
    replay: Replay
    api: Api


def built(version: str) -> dict[str, Path]:
    """Return the programs of a version; skip with a word where this machine cannot run them."""
    if os.environ.get("KUBETRIAGE_E2E") != "1":
        pytest.skip("real clusters are started by make e2e")
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH")
    try:
        return programs(version)
    except CannotRunError as error:
        pytest.skip(str(error))


def prepared(version: str, folder: Path, **options: Any) -> Real:
    """Prepare an API server of a version; ``options`` are those of the plane."""
    plane = ControlPlane(version, built(version), folder, **options)
    kubelet = KubeletPort(plane.authority.folder)
    return Real(version, folder, plane.kubeconfig, plane, kubelet, Replay(plane, kubelet), Api(plane))


@pytest.fixture(scope="session")
def results() -> Iterator[Results]:
    """Collect what was answered; ``KUBETRIAGE_E2E_WRITE=1`` keeps it for the tables of docs/real-clusters.md."""
    collected = Results()
    yield collected
    if os.environ.get("KUBETRIAGE_E2E_WRITE") == "1":
        collected.write()


@pytest.fixture(scope="session", params=VERSIONS)
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """Start etcd and the API server of a version, empty."""
    made = prepared(request.param, tmp_path_factory.mktemp(request.param))
    try:
        made.plane.start_store()
        yield made
    finally:
        made.plane.close()
        made.kubelet.close()
