"""Names as people type them: workloads, beginnings, slips, lists, and what an earlier answer printed."""

import os
import subprocess
import sys

import pytest

from kubetriage.cli.install import install_completion
from support.offline import CAPTURES, ROOT


def run(name, *args):
    command = [sys.executable, ROOT / "kubectl-plugins" / f"kubectl-{name.replace('-', '_')}", *map(str, args)]
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=60)


def asked(capture, *words, plugin="why-crash"):
    return run(plugin, *words, "-n", capture, "--from", CAPTURES / capture)


def test_a_name_that_is_no_pod_but_a_workload_is_the_workload():
    done = asked("deploy-crash", "api", "-o", "name")
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["pod/api-5dd5887564-884p8", "pod/api-5dd5887564-9t6dh"]
    assert done.stderr == ""


def test_a_service_name_that_is_only_an_ingress_is_the_ingress():
    done = asked("ing-class-missing", "web", plugin="svc-trace")
    assert "service/web" in done.stdout


def test_the_only_beginning_is_taken_and_said():
    done = asked("oom-limit", "ap", "-o", "name")
    assert (done.returncode, done.stdout) == (0, "pod/api\n")
    assert done.stderr == 'note: "ap" is taken as pod/api\n'


@pytest.mark.parametrize("word", ["apx", "deploy/apx"])
def test_a_slip_is_an_error_with_what_comes_near(word):
    done = asked("deploy-crash", word)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1] == "did you mean deployment/api?"


@pytest.mark.parametrize("words", [["pods/api", "po/api"], ["api", "api"], ["api,api"], ["pod", "api,api"]])
def test_what_is_named_twice_is_answered_once(words):
    assert asked("oom-limit", *words, "-o", "name").stdout == "pod/api\n"


@pytest.mark.parametrize("words", [["pod,deploy"], ["deploy"], ["jobs"], ["pods"]])
def test_types_alone_scan(words):
    assert asked("oom-limit", *words, "-o", "name").stdout == "pod/api\n"


def test_names_of_all_namespaces_can_be_fed_back():
    names = run("why-crash", "-A", "--from", CAPTURES / "svc-pods-crash", "-o", "name").stdout.split()
    assert names[0].startswith("svc-pods-crash/pod/web-")
    back = run("why-crash", *names, "--from", CAPTURES / "svc-pods-crash", "-o", "name")
    assert back.returncode == 0, back.stderr
    assert [f"svc-pods-crash/{line}" for line in back.stdout.split()] == names


@pytest.mark.parametrize("flags", [["-o", "name"], ["--no-headers"]])
def test_nothing_but_names_and_rows_stands_on_stdout(flags):
    done = run("why-crash", "-n", "healthy", "--from", CAPTURES / "healthy", *flags)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr


def test_help_and_version_are_words_too():
    assert run("why-crash", "help").stdout == run("why-crash", "--help").stdout
    assert run("why-crash", "version").stdout == run("why-crash", "--version").stdout


def test_completion_is_linked_beside_the_plugins(tmp_path, monkeypatch):
    plugin = tmp_path / "kubectl-why_crash"
    plugin.write_text("#!/bin/sh\n")
    plugin.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (line,) = install_completion()
    link = tmp_path / "kubectl_complete-why_crash"
    assert line == f"{link} -> kubectl-why_crash"
    assert os.readlink(link) == "kubectl-why_crash"
    assert list(install_completion()) == [f"{link} is there already"]
