"""--wait follows a workload until it is ready, hopeless, or the time is over; --since tells what changed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kubetriage.cli import wait
from kubetriage.plugins import Answer, Request, Target
from kubetriage.rules.incident.patience import Prospect
from support.fake_api import FakeApi
from support.objects import cluster, obj, pod, running, status
from support.offline import CAPTURES, ROOT


def deployment(available):
    meta = {"generation": 1}
    state = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": available}
    return obj("Deployment", "api", metadata=meta, spec={"replicas": 2}, status=state)


def follow(looks, seconds=10.0):
    """Follow a workload through prepared looks with a clock of our own."""
    told, moment = [], [0.0]
    request = Request(targets=(Target("deployments", "api"),), namespace="shop")

    def look():
        objects = looks.pop(0) if len(looks) > 1 else looks[0]
        return cluster(*objects), request, Answer()

    def pause(span):
        moment[0] += span

    judged = wait.follow(look, seconds, told.append, pause, lambda: moment[0])
    return judged, told, moment[0]


def test_it_ends_when_everything_is_there():
    judged, told, took = follow([[deployment(0)], [deployment(1)], [deployment(2)]])
    assert judged is Prospect.HEALTHY
    assert told == ["deployment/api: 0 of 2 available", "deployment/api: 1 of 2 available"]
    assert took == 2 * wait.PAUSE


def test_it_ends_undecided_when_the_time_is_over():
    judged, told, took = follow([[deployment(1)]], seconds=5.0)
    assert judged is Prospect.UNDECIDED
    assert told == ["deployment/api: 1 of 2 available"]
    assert took == 5.0


def run(*words, home: Path):
    executable = ROOT / "kubectl-plugins" / "kubectl-why-crash"
    env = {"PATH": "/usr/bin:/bin", "HOME": str(home), "KUBECONFIG": str(home / "kubeconfig")}
    return subprocess.run(
        [sys.executable, executable, *words], env=env, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(("scenario", "code"), [("img-not-found", 3), ("healthy", 0), ("unsched-memory", 4)])
def test_exit_codes_for_scripts(tmp_path, scenario, code):
    with FakeApi(CAPTURES / scenario) as api:
        api.kubeconfig(tmp_path)
        done = run("api", "-n", scenario, "--wait", "1s", home=tmp_path)
    assert done.returncode == code, done.stdout + done.stderr
    assert "pod/api" in done.stdout


def test_a_pod_that_gets_ready_meanwhile_ends_the_wait(tmp_path):
    starting = pod("web", statuses=[status(state=running(-5))], namespace="healthy", labels={"app": "web"})
    ready = pod("web", statuses=[status(state=running(-5), ready=True)], namespace="healthy", ready=True)
    with FakeApi(CAPTURES / "healthy") as api:
        api.kubeconfig(tmp_path)
        api.put(starting)
        threading.Thread(target=_once_asked, args=(api, ready), daemon=True).start()
        done = run("web", "-n", "healthy", "--wait", "60s", home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "waiting: pod/web: Running, 0/1 ready" in done.stderr


def _once_asked(api, ready):
    """Change the pod after the first look at it."""
    while len(api.asked("/pods/web$")) < 2:
        time.sleep(0.1)
    api.put(ready)


@pytest.mark.parametrize("words", [("--wait", "5s"), ("api", "--wait", "5s", "--from", "x"), ("api", "--wait", "x")])
def test_what_makes_no_sense_is_a_usage_error(tmp_path, words):
    done = run(*words, home=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")


def test_since_tells_what_is_new_and_gone(tmp_path):
    earlier = run("-A", "--from", str(CAPTURES / "deploy-crash"), "-o", "json", home=tmp_path).stdout
    file = tmp_path / "earlier.json"
    file.write_text(earlier)
    now = ("-A", "--from", str(CAPTURES / "oom-limit"), "--since", str(file))
    document = json.loads(run(*now, "-o", "json", home=tmp_path).stdout)
    assert document["changes"]["new"] == ["oom-limit/pod/api: OOMKilled"]
    assert len(document["changes"]["gone"]) == 1
    shown = run(*now, home=tmp_path).stdout
    assert f"since {file}: new   oom-limit/pod/api: OOMKilled" in shown
    same = json.loads(
        run("-A", "--from", str(CAPTURES / "deploy-crash"), "--since", str(file), "-o", "json", home=tmp_path).stdout
    )
    assert same["changes"] == {"new": [], "gone": [], "worse": []}


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"kind": "PodList"}'])
def test_since_refuses_what_is_no_answer(tmp_path, content):
    file = tmp_path / "x.json"
    file.write_text(content)
    done = run("-A", "--from", str(CAPTURES / "oom-limit"), "--since", str(file), home=tmp_path)
    assert done.returncode == 1
    assert f"error: --since {file}" in done.stderr
