"""Both names of every executable run, alone and through kubectl: the user's, and the one that kubectl looks for."""

import configparser
import os
import shutil
import subprocess
import sys

import pytest

from kubetriage.plugins import PLUGINS
from support.offline import ROOT

FOLDER = ROOT / "kubectl-plugins"
ROLES = ("kubectl", "kubectl_complete")


def both(name):
    return name, name.replace("-", "_")


def version(executable):
    command = [executable, "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", PLUGINS)
def test_the_name_for_kubectl_is_a_link_to_the_users(name, role):
    given, sought = (FOLDER / f"{role}-{n}" for n in both(name))
    assert given.is_file()
    assert not given.is_symlink()
    assert os.access(given, os.X_OK)
    # A name without a dash is the same for both.
    assert given == sought or os.readlink(sought) == given.name


@pytest.mark.parametrize("name", PLUGINS)
def test_both_names_run_from_a_checkout(name):
    answers = {version(FOLDER / f"kubectl-{n}") for n in both(name)}
    assert len(answers) == 1
    assert answers.pop().startswith(f"kubectl {name} ")


@pytest.mark.kubectl
@pytest.mark.parametrize("name", PLUGINS)
def test_both_names_run_through_kubectl(name, tmp_path):
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH; CONTRIBUTING.md says how to get it")
    given, sought = both(name)
    # kubectl reads a dash in a file name as a blank between two words, an underscore as a dash.
    for file, words in {sought: [name], given: name.split("-")}.items():
        alone = tmp_path / file
        alone.mkdir()
        (alone / f"kubectl-{file}").symlink_to(FOLDER / f"kubectl-{file}")
        environment = {**os.environ, "PATH": f"{alone}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["kubectl", *words, "--version"], capture_output=True, text=True, check=False, env=environment, timeout=60
        )
        assert done.stdout.startswith(f"kubectl {name} "), (words, done.stderr)


def test_pip_gets_both_names():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    lines = settings["options.entry_points"]["console_scripts"].split("\n")
    assert {line.partition(" = ")[0] for line in lines if line} == {
        f"{role}-{n}" for name in PLUGINS for n in both(name) for role in ROLES
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", PLUGINS)
def test_the_archive_holds_both_names_as_files(name, unpacked):
    for role in ROLES:
        files = [unpacked / "kubectl-plugins" / f"{role}-{n}" for n in both(name)]
        assert not any(file.is_symlink() for file in files)
        assert len({file.read_bytes() for file in files}) == 1
    for n in both(name):
        command = [sys.executable, "-I", "-S", "-B", unpacked / "kubectl-plugins" / f"kubectl-{n}", "--help"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert f"kubectl {name}" in done.stdout
