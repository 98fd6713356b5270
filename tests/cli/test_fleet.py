"""Several clusters at once, over real HTTP."""

import json
import os
import subprocess
import sys
import time

import pytest
import yaml

from support.clock import ENOUGH, HANGS, SOON
from support.fake_api import FakeApi
from support.offline import CAPTURES, ROOT

EXECUTABLE = ROOT / "kubectl-plugins" / "kubectl-why_crash"


@pytest.fixture
def fleet(tmp_path):
    """Four contexts: two that answer, one that refuses, one that hangs."""
    with (
        FakeApi(CAPTURES / "oom-limit") as one,
        FakeApi(CAPTURES / "healthy") as two,
        FakeApi(CAPTURES / "healthy") as slow,
    ):
        slow.fault(".*", delay=HANGS)
        servers = {"prod-eu": one.url, "prod-us": two.url, "prod-dead": "http://127.0.0.1:9", "test-slow": slow.url}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": url}} for name, url in servers.items()],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": "u"}} for name in servers],
        }
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        yield path


def run(kubeconfig, *args):
    environment = {"PATH": os.environ["PATH"], "KUBECONFIG": str(kubeconfig), "HOME": "/nonexistent"}
    command = [sys.executable, EXECUTABLE, *args]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=HANGS)


def test_globs_choose_contexts_and_a_column_names_them(fleet):
    done = run(fleet, "-A", "--contexts", "prod-eu,prod-us")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.split()[:3] == ["CONTEXT", "NAMESPACE", "NAME"] for line in lines)
    assert any(line.split()[:3] == ["prod-eu", "oom-limit", "api"] for line in lines)
    assert "context prod-us: No problems found" in done.stdout


def test_a_dead_cluster_is_one_line_and_the_others_answer(fleet):
    done = run(fleet, "-A", "--contexts", "prod-*", "-o", "json")
    assert done.returncode == 1
    assert done.stderr.startswith("context prod-dead: The connection to the server 127.0.0.1:9 was refused")
    items = json.loads(done.stdout)["items"]
    assert [(i["context"], i["cause"]) for i in items] == [("prod-eu", "OOMKilled")]


def test_an_answer_after_a_dead_cluster_begins_on_the_first_line(fleet):
    done = run(fleet, "-A", "--contexts", "prod-dead,prod-eu")
    assert done.stdout.startswith("CONTEXT")


def test_a_slow_cluster_ends_by_its_own_time_limit(fleet):
    begun = time.monotonic()
    done = run(fleet, "-A", "--contexts", "prod-eu,test-*", "--request-timeout", f"{ENOUGH:g}s")
    assert time.monotonic() - begun < SOON
    assert "OOMKilled" in done.stdout
    assert "context test-slow: " in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--contexts", "nope-*"], 'error: no context matches "nope-*"'),
        (["--contexts", ""], 'error: no context matches ""'),
        (["--contexts", ","], 'error: no context matches ","'),
        (["--contexts", "prod-*", "--context", "prod-eu"], "error: --contexts cannot be used with --context"),
    ],
)
def test_usage_errors(fleet, args, words):
    done = run(fleet, *args)
    assert done.returncode == 1
    assert done.stderr.startswith(words)
