"""The alert rules say what the thresholds say, and Prometheus reads them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from kubetriage.plugins import Request, codes, load
from kubetriage.rules.plane.alert_rules import prometheus_rule, rule_file, rules
from kubetriage.rules.plane.registry import RULES
from kubetriage.rules.plane.thresholds import Limits

PROMTOOL = Path(__file__).parent / "promtool"


def printed(form: str, **options: float) -> dict:
    return yaml.safe_load(load("plane-trace").prints(Request(options={"alerts": form, **options})))


def test_every_rule_names_a_cause_of_the_plugin():
    known = {code for rule in RULES for code in codes(rule)}
    assert {r["labels"]["cause"] for r in rules(Limits())} <= known


def test_thresholds_are_those_of_the_run():
    usual = {r["alert"]: r["expr"] for r in rules(Limits())}
    assert usual["EtcdDiskSlow"].endswith("> 0.5")
    changed = printed("rules", fsync_alert=0.2)["groups"][0]["rules"]
    assert next(r["expr"] for r in changed if r["alert"] == "EtcdDiskSlow").endswith("> 0.2")


def test_both_forms_hold_the_same_rules():
    assert printed("prometheusrule") == prometheus_rule(Limits())
    assert printed("prometheusrule")["spec"] == printed("rules") == rule_file(Limits())


def test_without_the_option_the_cluster_is_asked():
    assert load("plane-trace").prints(Request()) == ""


@pytest.fixture(scope="session")
def promtool(tmp_path_factory):
    """Build the rule checker of Prometheus from its Go module."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go on this machine, so promtool cannot be built")
    out = tmp_path_factory.mktemp("promtool") / "check-rules"
    env = {**os.environ, "GOFLAGS": "-buildvcs=false -mod=mod"}
    done = subprocess.run(
        [go, "build", "-o", out, "."], cwd=PROMTOOL, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"promtool does not build here: {done.stderr[-300:]}")
    return out


@pytest.mark.promtool
@pytest.mark.slow
def test_prometheus_reads_the_rules(promtool, tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text(load("plane-trace").prints(Request(options={"alerts": "rules"})))
    done = subprocess.run([promtool, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    file.write_text(file.read_text().replace("rate(", "rat(", 1))
    assert subprocess.run([promtool, file], capture_output=True, check=False).returncode == 1
