"""A real API server as users meet it: narrow rights, recordings, several clusters, a restart under --watch."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from e2e.conftest import Real
from support.offline import CAPTURES, ROOT

ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "pods-only"},
    "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
}
BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "pods-only"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "pods-only"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "viewers"}],
}


@pytest.fixture
def narrow(real: Real) -> Path:
    """Give the group of ``viewer`` pods and nothing else."""
    for plural, body in (("clusterroles", ROLE), ("clusterrolebindings", BINDING)):
        done = real.kubectl("get", plural, "pods-only")
        if done.returncode:
            real.api.send("POST", f"/apis/rbac.authorization.k8s.io/v1/{plural}", body)
    return real.plane.viewer


@pytest.mark.parametrize("scenario", ["secret-missing-env", "img-not-found", "oom-limit", "liveness-kill-137"])
def test_who_may_read_only_pods_gets_the_cause_and_is_told_what_was_not_seen(
    real: Real, narrow: Path, scenario: str
) -> None:
    real.replay.apply(CAPTURES / scenario)
    whole = real.item("why-crash", "api", "-n", scenario)
    found = real.item("why-crash", "api", "-n", scenario, config=narrow)
    assert found["cause"] in (whole["cause"], "Unknown", "KilledBySignal")
    assert found["notSeen"]
    assert not found["healthy"]


def test_a_scan_with_narrow_rights_gives_no_all_clear(real: Real, narrow: Path) -> None:
    real.replay.apply(CAPTURES / "healthy")
    done = real.kubectl("svc-trace", "-n", "healthy", "--exit-code", config=narrow)
    assert done.returncode != 0
    assert "forbidden" in (done.stdout + done.stderr).lower()


@pytest.mark.parametrize("scenario", ["py-keyerror", "svc-selector-typo", "ing-tls-expired", "unsched-memory"])
def test_a_recording_gives_the_same_answer(real: Real, scenario: str, tmp_path: Path) -> None:
    truth = json.loads((CAPTURES / scenario / "truth.json").read_text())
    real.replay.apply(CAPTURES / scenario)
    question = (truth["command"], truth["target"], "-n", scenario)
    live = real.item(*question, "--record", str(tmp_path / "dump"))
    again = real.item(*question, "--from", str(tmp_path / "dump"))
    assert live["cause"] in (truth["cause"], *truth.get("accept", ()))
    assert [f["cause"] for f in again["findings"]] == [f["cause"] for f in live["findings"]]
    assert [f["fix"] for f in again["findings"]] == [f["fix"] for f in live["findings"]]


def test_what_kubectl_describes_gives_the_same_cause(real: Real) -> None:
    real.replay.apply(CAPTURES / "secret-missing-env")
    told = real.kubectl("describe", "pod", "api", "-n", "secret-missing-env").stdout
    done = subprocess.run(
        ["kubectl", "why-crash", "--from", "-", "-o", "json"],
        env={"PATH": f"{ROOT / 'kubectl-plugins'}:/usr/local/bin:/usr/bin:/bin", "HOME": str(real.plane.folder)},
        input=told,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert json.loads(done.stdout)["items"][0]["cause"] == "SecretNotFound"


def test_watch_survives_a_restart_of_the_api_server(real: Real) -> None:
    real.replay.apply(CAPTURES / "secret-missing-env")
    env = {
        "PATH": f"{ROOT / 'kubectl-plugins'}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(real.plane.folder),
        "KUBECONFIG": str(real.plane.kubeconfig),
    }
    words = ["kubectl", "why-crash", "api", "-n", "secret-missing-env", "--watch"]
    out = real.plane.folder / "watch.txt"
    with out.open("w") as file, subprocess.Popen(words, env=env, stdout=file, stderr=subprocess.STDOUT) as watching:
        try:
            _until(out, "SecretNotFound")
            real.plane.stop("kube-apiserver")
            real.plane.start("kube-apiserver")
            real.plane.wait_ready()
            place = "/api/v1/namespaces/secret-missing-env"
            secret = {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "db-credential"},
                "data": {"password": "eA=="},
            }
            real.api.send("POST", f"{place}/secrets", secret)
            pod = real.api.send("GET", f"{place}/pods/api")
            for status in pod["status"]["containerStatuses"]:
                status.update(
                    {"state": {"running": {"startedAt": pod["metadata"]["creationTimestamp"]}}, "ready": True}
                )
            for condition in pod["status"]["conditions"]:
                condition["status"] = "True"
            real.api.send("PUT", f"{place}/pods/api/status", {**pod, "status": {**pod["status"], "phase": "Running"}})
            _until(out, "Healthy")
        finally:
            watching.terminate()
            real.kubectl("delete", "secret", "db-credential", "-n", "secret-missing-env", "--ignore-not-found")
            real.kubectl("delete", "pod", "api", "-n", "secret-missing-env", "--force", "--grace-period=0")


def _until(file: Path, words: str, seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if words in file.read_text():
            return
        time.sleep(0.3)
    raise AssertionError(f"{words} did not come: {file.read_text()[-2000:]}")


@pytest.mark.parametrize("how", ["frozen", "killed"])
@pytest.mark.parametrize(
    ("scenario", "question", "cause"),
    [
        ("secret-missing-env", ("why-crash", "api"), "SecretNotFound"),
        ("secret-missing-env", ("why-crash",), "SecretNotFound"),
        ("svc-selector-typo", ("svc-trace", "web"), "SelectorMismatch"),
        ("oom-limit", ("oom-budget", "api"), "OOMKilled"),
        ("healthy", ("why-crash", "api"), "Unknown"),
    ],
    ids=lambda v: "-".join(v) if isinstance(v, tuple) else None,
)
def test_without_etcd_the_api_servers_memory_answers_within_seconds(
    real: Real, how: str, scenario: str, question: tuple[str, ...], cause: str
) -> None:
    real.replay.apply(CAPTURES / scenario)
    words = (*question, "-n", scenario)
    before = real.item(*words)
    assert before["cause"] in (cause, "Healthy")
    real.plane.lose_store(how)
    try:
        begun = time.monotonic()
        done = real.kubectl(*words, "-o", "json")
        took = time.monotonic() - begun
    finally:
        real.plane.find_store(how)
        real.plane.wait_ready()
    told = json.loads(done.stdout or "{}")
    assert told.get("items"), done.stderr
    found = told["items"][0]
    assert found["cause"] == cause
    assert not found["healthy"]
    gaps = [gap for gap in (*found["notSeen"], *told["notSeen"]) if "watch cache" in gap["what"]]
    assert gaps, told
    assert "plane-trace" in gaps[0]["why"]
    assert took < 25
