"""kubectl's own completion protocol, through the real kubectl and the fake API server."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from support.fake_api import FakeApi
from support.offline import CAPTURES, ROOT

KUBECTL = shutil.which("kubectl")


def kubectl_minor():
    """Return the minor version of kubectl, 0 where there is none."""
    if KUBECTL is None:
        return 0
    command = [KUBECTL, "version", "--client", "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    version = json.loads(done.stdout)["clientVersion"]["gitVersion"]
    return int(re.match(r"v1\.(\d+)", version)[1])


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A PATH with the executables and a kubeconfig of a cluster that answers."""
    folder = tmp_path_factory.mktemp("complete")
    with FakeApi(CAPTURES / "deploy-crash", tls=True) as api:
        yield {
            "PATH": f"{ROOT / 'kubectl-plugins'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "KUBECONFIG": str(api.kubeconfig(folder)),
        }


def complete(environment, *words):
    """Return the candidates that ``kubectl __complete`` prints, and its directive."""
    done = subprocess.run(
        [KUBECTL, "__complete", *words], capture_output=True, text=True, env=environment, check=False, timeout=60
    )
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    assert lines[-1].startswith(":"), done.stdout
    return [line.partition("\t")[0] for line in lines[:-1]], int(lines[-1][1:])


NAMESPACE = "deploy-crash"
requires_kubectl = pytest.mark.skipif(
    kubectl_minor() < 26, reason="no kubectl of 1.26 or newer, the first that completes plugins; see CONTRIBUTING.md"
)


@requires_kubectl
@pytest.mark.kubectl
@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["why-crash", "-n", NAMESPACE, ""], "api-"),
        (["why-crash", "-n", NAMESPACE, "ap"], "api-"),
        (["why-crash", "-n", NAMESPACE, "pod/ap"], "pod/api-"),
        (["why-crash", "-n", NAMESPACE, "deploy/"], "deploy/api"),
        (["why-crash", "-n", NAMESPACE, "deployment", ""], "api"),
        (["why-crash", "-n", "dep"], "deploy-crash"),
        (["node-triage", ""], "node-1"),
        (["node-triage", "node/"], "node/node-1"),
        (["why-crash", "-n", NAMESPACE, "deploy/api", "-c", ""], "app"),
        (["why-crash", "-o", ""], "wide"),
        (["why-crash", "--output=j"], "--output=json"),
        (["why-crash", "--cont"], "--container"),
        (["why-crash", "--context", ""], "fake"),
        (["why-crash", "--contexts", "f"], "fake"),
        (["why-crash", "--contexts", "other,f"], "other,fake"),
        (["why-crash", "--cluster", ""], "fake"),
        (["why-crash", "--user", ""], "fake"),
        (["why-crash", "--explain-cause", "OOM"], "OOMKilled"),
    ],
)
def test_completes_through_kubectl(environment, words, begins):
    found, directive = complete(environment, *words)
    assert any(c.startswith(begins) for c in found), found
    assert directive == 4


@requires_kubectl
@pytest.mark.kubectl
@pytest.mark.parametrize("flag", [["--explain-cause", "OOMKilled"], ["--install-completion"], ["--help"]])
def test_flags_that_act_at_once_do_not_act_in_completion(environment, flag):
    found, _ = complete(environment, "why-crash", *flag, "-n", NAMESPACE, "")
    assert all(name.startswith("api-") for name in found), found


@requires_kubectl
@pytest.mark.kubectl
def test_files_follow_flags_that_name_files(environment):
    assert complete(environment, "why-crash", "--from", "") == ([], 0)


@requires_kubectl
@pytest.mark.kubectl
def test_a_dead_cluster_completes_nothing_without_an_error(environment, tmp_path):
    dead = tmp_path / "kubeconfig"
    dead.write_text("apiVersion: v1\nkind: Config\n")
    found, directive = complete({**environment, "KUBECONFIG": str(dead)}, "why-crash", "")
    assert (found, directive) == ([], 4)


def test_flags_are_answered_without_third_party_packages_but_click():
    code = (
        "import sys\n"
        "from kubetriage.cli.completion import complete\n"
        "from kubetriage.plugins import load\n"
        "print(complete(load('why-crash'), ['--na']))\n"
        "heavy = {'kubernetes', 'urllib3', 'yaml', 'tabulate', 'requests'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT / "lib")}
    )
    assert done.returncode == 0, done.stderr
    assert "--namespace\t" in done.stdout
