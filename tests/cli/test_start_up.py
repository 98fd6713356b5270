"""What a run imports: nothing heavy before it is needed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from kubetriage.rules.crash import TIERS
from kubetriage.rules.crash.gated import Gated
from support.fake_api import FakeApi
from support.offline import CAPTURES, ROOT

HEAVY = {"kubernetes", "urllib3", "yaml", "tabulate", "wcwidth", "requests", "http.client", "websocket"}


def imported(*args, name="kubectl-why_crash", env=None):
    """Run a plugin in a fresh interpreter; return the modules that it imported."""
    code = (
        "import os, sys\n"
        f"sys.argv = {[name, *args]!r}\n"
        "from kubetriage.cli import main\n"
        "main._leave = lambda code: None\n"
        "main.console()\n"
        "sys.stderr.write('MODULES ' + ' '.join(sorted(sys.modules)))\n"
    )
    known = {**os.environ, "PYTHONPATH": str(ROOT / "lib"), **(env or {})}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=known)
    assert "MODULES " in done.stderr, done.stderr
    return set(done.stderr.rpartition("MODULES ")[2].split())


@pytest.mark.parametrize("plugin", ["why_crash", "oom_budget", "svc_trace", "node_triage", "plane_trace"])
def test_help_imports_no_third_party_package_but_click(plugin):
    assert not imported("--help", name=f"kubectl-{plugin}") & HEAVY


def test_completion_of_flags_imports_no_third_party_package_but_click():
    assert not imported("--na", name="kubectl_complete-why_crash") & HEAVY


def kubeconfig_of(api, folder):
    """Write a kubeconfig as tools do, which needs no YAML parser."""
    config = folder / "config"
    config.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: it\n"
        f"clusters:\n- cluster:\n    certificate-authority: {api.ca}\n    server: {api.url}\n  name: it\n"
        "contexts:\n- context:\n    cluster: it\n    user: it\n  name: it\n"
        "users:\n- name: it\n  user:\n    token: fake\n"
    )
    return config


def test_a_dump_needs_nobody_who_speaks_http():
    assert "http.client" not in imported("api", "-n", "oom-limit", "--from", str(CAPTURES / "oom-limit"))


def test_a_crash_that_is_not_about_memory_does_not_import_the_memory_model(tmp_path):
    with FakeApi(CAPTURES / "deploy-crash", tls=True) as api:
        config = kubeconfig_of(api, tmp_path)
        found = imported("api-5dd5887564-884p8", "-n", "deploy-crash", env={"KUBECONFIG": str(config)})
        assert api.asked("/log")
    assert not [m for m in found if m.startswith("kubetriage.rules.memory")]
    # Of the known errors those only of which the log holds a word.
    assert len([m for m in found if m.startswith("kubetriage.rules.crash.known_errors.")]) < 12


def test_a_plain_run_does_not_import_the_client(tmp_path):
    with FakeApi(CAPTURES / "oom-limit", tls=True) as api:
        config = kubeconfig_of(api, tmp_path)
        found = imported("api", "-n", "oom-limit", env={"KUBECONFIG": str(config)})
        assert len(api.asked()) <= 8, [r.path for r in api.asked()]
    unwanted = found & (HEAVY - {"http.client"} | {"oauthlib", "logging", "dataclasses", "typing"})
    assert not unwanted
    assert len([m for m in found if m.startswith("kubetriage.")]) < 320
    assert not found & {rule.module.__name__ for tier in TIERS for rule in tier if isinstance(rule, Gated)}
    assert not found & {"pathlib", "signal"}
    # The memory model speaks with a container that was killed for memory.
    families = ("service", "node", "plane")
    assert not [m for m in found if any(m.startswith(f"kubetriage.rules.{f}.causes.") for f in families)]
