"""Logs of the control plane that come without a name: the head and the words of their lines tell whose they are."""

from __future__ import annotations

import json

import pytest

from kubetriage.cli.main import main
from kubetriage.cluster.text.component_lines import component_of
from kubetriage.readers.logs.layers import peel_rows

FAILED = 'E1129 10:00:01.000000       1 run.go:72] "command failed" err="{}"'
LINES = [
    (FAILED.format("[service-account-issuer is a required flag]"), "kube-apiserver"),
    (FAILED.format("loading audit policy file: open /etc/audit/p.yaml: no such file or directory"), "kube-apiserver"),
    (FAILED.format("failed to create listener: failed to listen on 0.0.0.0:6443: listen tcp: bind"), "kube-apiserver"),
    ("Error: unknown flag: --insecure-port", "kube-apiserver"),
    ("E1129 10:00:01.000000       1 cacher.go:450] cacher (secrets): unexpected ListAndWatch error", "kube-apiserver"),
    (FAILED.format('no kind \\"KubeSchedulerConfiguration\\" is registered'), "kube-scheduler"),
    (
        "E1129 10:00:01.000000       1 leaderelection.go:436] error retrieving resource lock "
        "kube-system/kube-scheduler: Unauthorized",
        "kube-scheduler",
    ),
    (
        'E1129 10:00:01.000000       1 range_allocator.go:249] "Failed to allocate CIDR" node="worker-9"',
        "kube-controller-manager",
    ),
    ("Error: unknown flag: --pod-eviction-timeout", "kube-controller-manager"),
    # Of any program that is built on the same libraries.
    (FAILED.format("open /etc/app/config.yaml: no such file or directory"), ""),
    ("E1129 10:00:01.000000       1 leaderelection.go:436] error retrieving resource lock acme/lock: Unauthorized", ""),
    ("Error: unknown flag: --enable-leader-election", ""),
    ("2026-11-29 10:00:01 ERROR kubescheduler.config.k8s.io is not what we read", ""),
    ("", ""),
]


@pytest.mark.parametrize(("line", "part"), LINES)
def test_a_line_tells_its_program(line, part):
    assert component_of(peel_rows([line])) == part
    assert component_of(peel_rows([f"{line}\r" if line else ""])) == part


def test_lines_of_two_programs_tell_nobody():
    assert component_of(peel_rows([LINES[4][0], LINES[7][0]])) == ""


def test_a_line_among_others_is_a_quotation():
    assert component_of(peel_rows(["starting", "our scheduler says:", LINES[6][0]])) == ""


@pytest.mark.parametrize("command", ["triage", "plane-trace"])
def test_the_plane_answers_for_its_own_log(command, tmp_path, capsys):
    file = tmp_path / "part.txt"
    file.write_text(LINES[0][0] + "\n")
    main(command, ["--from", str(file), "-o", "json"])
    first = json.loads(capsys.readouterr().out)["items"][0]["findings"][0]
    assert first["cause"] == "ApiServerUnready"
    assert "--service-account-issuer" in first["fix"][0]["text"]


@pytest.mark.parametrize("command", ["triage", "plane-trace"])
@pytest.mark.parametrize("line", [LINES[6][0], LINES[7][0]])
def test_a_picked_line_that_no_rule_knows_is_no_all_clear(command, line, tmp_path, capsys):
    file = tmp_path / "part.txt"
    file.write_text(line + "\n")
    main(command, ["--from", str(file), "-o", "json"])
    (answer,) = json.loads(capsys.readouterr().out)["items"][:1]
    assert not answer["healthy"]
    assert answer["findings"][0]["cause"] == "ControlPlaneErrors"
    assert "logs an error" in answer["findings"][0]["message"]


def test_one_line_of_a_long_log_is_noise(tmp_path, capsys):
    file = tmp_path / "part.txt"
    quiet = "I1129 10:00:01.000000       1 range_allocator.go:170] Starting range CIDR allocator\n"
    file.write_text(quiet * 40 + LINES[7][0] + "\n")
    main("plane-trace", ["--from", str(file), "-o", "json"])
    assert not json.loads(capsys.readouterr().out)["items"][0]["findings"]
