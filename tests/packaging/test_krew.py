"""The real krew installs the real archive, and the real kubectl runs what it installed."""

import functools
import json
import os
import re
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kubetriage.plugins import PLUGINS
from support.fake_api import FakeApi
from support.offline import ROOT

pytestmark = [pytest.mark.krew, pytest.mark.kubectl, pytest.mark.slow]
CAPTURES = ROOT / "tests" / "captures"


class Krew:
    def __init__(self, krew, home):
        self.binary = krew / "krew"
        self.root = home / "krew"
        for folder in ("index/default/plugins", "receipts", "store", "bin"):
            (self.root / folder).mkdir(parents=True)
        # krew wants an index that is a clone; an empty repository of its own is one.
        index = self.root / "index" / "default"
        for command in (["init", "-q"], ["remote", "add", "origin", "https://example.invalid/index.git"]):
            subprocess.run(["git", *command], cwd=index, check=True)
        self.env = {
            "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
            "HOME": str(home),
            "KREW_ROOT": str(self.root),
            "KREW_NO_UPGRADE_CHECK": "1",
        }

    def run(self, *args):
        done = subprocess.run([self.binary, *args], capture_output=True, text=True, env=self.env, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def kubectl(self, *args, **env):
        command = [shutil.which("kubectl"), *args]
        return subprocess.run(
            command, capture_output=True, text=True, env={**self.env, **env}, check=False, timeout=120
        )


@pytest.fixture
def store(krew, tmp_path):
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH; CONTRIBUTING.md says how to get it")
    return Krew(krew, tmp_path)


def install(store, package, archive, name):
    return store.run("install", f"--manifest={package / 'krew-manifests' / name}.yaml", f"--archive={archive}")


def test_installs_all_and_runs_them_through_kubectl(store, package, archive, tmp_path):
    for name in PLUGINS:
        assert f"Installed plugin: {name}" in install(store, package, archive, name)
    for name in PLUGINS:
        done = store.kubectl(name, "--help")
        assert done.returncode == 0, done.stderr
        assert f"kubectl {name}" in done.stdout
        version = store.kubectl(name, "--version")
        assert version.stdout.startswith(f"kubectl {name} ")
        (installed,) = (store.root / "store" / name).glob("v*/*/kubectl-plugins")
        for file in (name, name.replace("-", "_")):
            alone = subprocess.run(
                [installed / f"kubectl-{file}", "--version"], capture_output=True, text=True, check=True
            )
            assert alone.stdout == version.stdout
    listed = store.kubectl("plugin", "list")
    for name in PLUGINS:
        assert f"kubectl-{name.replace('-', '_')}" in listed.stdout
    with FakeApi(CAPTURES / "oom-limit", tls=True) as api:
        kubeconfig = str(api.kubeconfig(tmp_path))
        done = store.kubectl("why-crash", "api", "-n", "oom-limit", "-o", "json", KUBECONFIG=kubeconfig)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["items"][0]["cause"] == "OOMKilled"


def test_upgrades_and_uninstalls(store, package, archive):
    index = store.root / "index" / "default" / "plugins" / "why-crash.yaml"
    manifest = (package / "krew-manifests" / "why-crash.yaml").read_text()
    handler = functools.partial(QuietHandler, directory=archive.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        local = re.sub(r"uri: \S+", f"uri: http://127.0.0.1:{server.server_port}/{archive.name}", manifest)
        index.write_text(local)
        store.run("install", "--no-update-index", "why-crash")
        index.write_text(re.sub(r"^  version: v.*$", "  version: v99.0.0", local, flags=re.MULTILINE))
        store.run("upgrade", "--no-update-index", "why-crash")
        server.shutdown()
    assert "version: v99.0.0" in (store.root / "receipts" / "why-crash.yaml").read_text()
    assert store.kubectl("why-crash", "--version").returncode == 0
    store.run("uninstall", "why-crash")
    assert not (store.root / "bin" / "kubectl-why_crash").exists()
    assert store.kubectl("why-crash", "--version").returncode != 0


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.mark.parametrize("name", PLUGINS)
def test_krews_own_validation_accepts_the_manifests(krew, package, name):
    manifest = package / "krew-manifests" / f"{name}.yaml"
    for file in (manifest, ROOT / "krew-manifests" / f"{name}.yaml"):
        done = subprocess.run(
            [krew / "validate-krew-manifest", "-manifest", file, "-skip-install"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
