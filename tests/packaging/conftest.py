import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from support.offline import ROOT


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """Build the release archive once; the directory that ``make package`` writes."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, ROOT / "krew-manifests" / "package.py", "--out", out], check=True)
    return out


@pytest.fixture(scope="session")
def archive(package):
    return next(package.glob("*.tar.gz"))


@pytest.fixture(scope="session")
def unpacked(archive, tmp_path_factory):
    """Unpack the archive where nothing else of the project is near."""
    target = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data") if hasattr(tarfile, "data_filter") else tar.extractall(target)
    return next(target.iterdir())


@pytest.fixture(scope="session")
def krew(tmp_path_factory):
    """Build the pinned krew and its manifest validator; the directory of the two binaries."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not on PATH; CONTRIBUTING.md says how to get it")
    binaries = tmp_path_factory.mktemp("krew")
    commands = [f"sigs.k8s.io/krew/cmd/{name}" for name in ("krew", "validate-krew-manifest")]
    for _ in range(3):
        # Go does not try again by itself what a network did not bring.
        done = subprocess.run(
            [go, "build", "-o", f"{binaries}/", *commands],
            cwd=Path(__file__).parent / "krew",
            capture_output=True,
            text=True,
            check=False,
        )
        if not done.returncode:
            break
    else:
        pytest.fail(f"krew does not build: {done.stderr[-2000:]}")
    return binaries
