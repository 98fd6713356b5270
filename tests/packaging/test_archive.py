import hashlib
import json
import marshal
import os
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kubetriage import precompiled
from kubetriage.plugins import PLUGINS
from support.offline import ROOT

sys.path.append(str(ROOT / "docs"))
import pattern_literals

pytestmark = pytest.mark.slow
CAPTURE = ROOT / "tests" / "captures" / "oom-limit"


def pythons():
    found = {f"3.{minor}": shutil.which(f"python3.{minor}") for minor in range(10, 15)}
    usable = {
        version: path
        for version, path in found.items()
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0
    }
    return usable or {"this": sys.executable}


def run(python, executable, *args, **options):
    # -I -S: nothing of the machine's site-packages, nothing of the environment. -B: the tree stays as it was built.
    command = [python, "-I", "-S", "-B", executable, *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)


@pytest.mark.parametrize("version", list(pythons()))
def test_runs_on_every_python_without_any_installed_package(version, unpacked):
    python = pythons()[version]
    executable = unpacked / "kubectl-plugins" / "kubectl-why_crash"
    done = run(python, executable, "api", "--from", str(CAPTURE), "-o", "yaml")
    assert done.returncode == 0, done.stderr
    assert "cause: OOMKilled" in done.stdout
    done = run(python, executable, "api", "--context", "none", "--kubeconfig", "/nonexistent/kubeconfig")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", PLUGINS)
def test_every_executable_answers_through_a_link(name, unpacked, tmp_path):
    link = tmp_path / f"kubectl-{name.replace('-', '_')}"
    link.symlink_to(unpacked / "kubectl-plugins" / link.name)
    done = run(sys.executable, link, "--help")
    assert done.returncode == 0, done.stderr
    assert f"kubectl {name}" in done.stdout


def test_an_old_python_is_refused_in_one_line(unpacked, tmp_path):
    source = (unpacked / "kubectl-plugins" / "kubectl-why_crash").read_text()
    # No older Python need be here: pretend that the oldest that will do is far away.
    patched = tmp_path / "kubectl-why_crash"
    patched.write_text(source.replace("(3, 10)", "(9, 0)").replace("(14, 13, 12, 11, 10)", "()"))
    done = run(sys.executable, patched)
    assert done.returncode == 1
    assert done.stderr.startswith("error: kubectl-why_crash needs Python 3.10 or newer; this is ")
    assert done.stderr.count("\n") == 1


def test_a_version_manager_in_front_is_not_asked_for_the_interpreter(unpacked, tmp_path):
    """Its script takes as long as an answer; without a real interpreter on PATH it is asked all the same."""
    shims, real = tmp_path / "shims", tmp_path / "bin"
    for folder, body in (
        (shims, f"echo asked >> {tmp_path}/log; exec {sys.executable}"),
        (real, f"exec {sys.executable}"),
    ):
        folder.mkdir()
        (folder / "python3").write_text(f'#!/bin/sh\n{body} "$@"\n')
        (folder / "python3").chmod(0o755)
    plugin = unpacked / "kubectl-plugins" / "kubectl-why_crash"
    for path, asked in ((f"{shims}:{real}", False), (f"{shims}:/nowhere", True)):
        done = subprocess.run([plugin, "--version"], capture_output=True, text=True, check=True, env={"PATH": path})
        assert done.stdout.startswith("kubectl why-crash ")
        assert (tmp_path / "log").exists() is asked


def test_arguments_reach_the_plugin_as_they_are(unpacked):
    plugin = unpacked / "kubectl-plugins" / "kubectl-why_crash"
    done = subprocess.run([plugin, "a *b'c\"$d", "--from", str(CAPTURE)], capture_output=True, text=True, check=False)
    assert "a *b'c\"$d" in done.stderr


def test_the_executable_parses_on_old_pythons():
    """No syntax newer than Python 2.7 stands in the executable."""
    source = (ROOT / "docs" / "executable.py.in").read_text()
    assert not re.search(r"\bf[\"']|:=|->|\bprint \w|nonlocal", source)


def test_two_builds_are_equal(archive, tmp_path):
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    command = [sys.executable, ROOT / "krew-manifests" / "package.py", "--out", tmp_path]
    subprocess.run(command, check=True, env=environment)
    again = next(tmp_path.glob("*.tar.gz"))
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(archive.read_bytes()).digest()


def test_every_dependency_comes_with_its_licence(unpacked):
    infos = list((unpacked / "vendor").glob("*.dist-info"))
    assert {i.name.split("-")[0].lower() for i in infos} >= {"kubernetes", "click", "tabulate", "urllib3", "pyyaml"}
    for info in infos:
        texts = [f for f in info.rglob("*") if re.match(r"(?i)(licen[cs]e|copying|notice)", f.name)]
        assert texts or "License" in (info / "METADATA").read_text()


def test_the_archive_is_pure_and_has_byte_code_that_needs_no_file_times(unpacked):
    assert not list(unpacked.rglob("*.so"))
    compiled = list(unpacked.rglob("*.pyc"))
    assert compiled
    for file in compiled:
        flags = int.from_bytes(file.read_bytes()[4:8], "little")
        assert flags == 0b11  # PEP 552: hash-based, checked, so that a patched module runs


def modules(executable, *before):
    """Run the plugin; tell by each module of the project whether it came from the one file of byte code."""
    told = "{m: type(s.loader).__name__ for m, v in sys.modules.items() if (s := getattr(v, '__spec__', None))}"
    code = (
        "import atexit, json, runpy, sys; "
        f"atexit.register(lambda: print(json.dumps({told}), file=sys.stderr, flush=True)); "
        f"sys.argv = ['kubectl-why_crash', 'api', '--from', {str(CAPTURE)!r}]; "
        f"runpy.run_path({str(executable)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-B", "-c", code], capture_output=True, text=True, check=True)
    assert "OOMKilled" in done.stdout
    return {m: loader for m, loader in json.loads(done.stderr).items() if m.split(".")[0] == "kubetriage"}


def test_all_modules_come_from_the_one_file_of_byte_code(unpacked):
    loaders = modules(unpacked / "kubectl-plugins" / "kubectl-why_crash")
    assert len(loaders) > 150
    others = {m for m, loader in loaders.items() if loader != "Precompiled"}
    assert others == {"kubetriage", "kubetriage.precompiled"}


@pytest.mark.parametrize("harm", ["cut", "of another Python", "older", "gone"])
def test_byte_code_that_does_not_fit_is_not_used(unpacked, tmp_path, harm):
    copy = tmp_path / "store"
    shutil.copytree(unpacked, copy)
    for file in (copy / "precompiled").iterdir():
        content = file.read_bytes()
        if harm == "cut":
            file.write_bytes(content[:10])
        elif harm == "of another Python":
            file.write_bytes(content.replace(b"byte code 2\n", b"byte code 2\nXY", 1))
        elif harm == "older":
            os.utime(file, (0, 0))
        else:
            file.unlink()
    assert "Precompiled" not in modules(copy / "kubectl-plugins" / "kubectl-why_crash").values()


PATTERNS = """
import json, re, sys
sys.path[0:0] = [{lib!r}]
compiled, usual = [], re.compile
from kubetriage import precompiled
precompiled.install({stored!r}, {lib!r})
from kubetriage.values.patterns import compiled_pattern
wanted = json.load(sys.stdin)
re.compile = lambda *pattern: compiled.append(pattern) or usual(*pattern)
# Patterns are equal when their code is.
differ = [p for p, flags in wanted if compiled_pattern(p, flags) != usual(p, flags)]
other = compiled_pattern("another [a-z]{{3}}", re.I) == usual("another [a-z]{{3}}", re.I)
print(json.dumps([len(compiled), differ, other]))
"""


@pytest.mark.parametrize("version", list(pythons()))
def test_the_stored_patterns_are_what_that_python_compiles(version, unpacked):
    lib = str(unpacked / "lib")
    tag = f"cpython-{version.replace('.', '')}" if version != "this" else sys.implementation.cache_tag
    code = PATTERNS.format(lib=lib, stored=str(unpacked / "precompiled" / f"{tag}.bin"))
    known = sorted(pattern_literals.all_patterns().items())
    assert len(known) > 1_000
    done = subprocess.run(
        [pythons()[version], "-I", "-S", "-B", "-c", code],
        input=json.dumps(known),
        capture_output=True,
        text=True,
        check=True,
    )
    compiled, differ, other = json.loads(done.stdout)
    assert differ == []
    assert other
    assert compiled == 1, "only the pattern that no module holds is compiled"


def patterns_begin(file, version, table):
    """Return where the patterns begin in a file that holds them only, in the order of the table."""
    places, at = {}, 0
    for key, code in table.items():
        places[key] = (at, at + len(code))
        at += len(code)
    return file.read_bytes().rindex(marshal.dumps((version, places), 2)) - 8


def test_patterns_of_another_release_of_python_are_not_used(tmp_path):
    version, table = marshal.loads(precompiled.pattern_table([("a[b-z]+", 0)]))
    for given, found in ((version, True), (version + 1, False)):
        file = tmp_path / "stored"
        file.write_bytes(precompiled.packed(b"", {}, (given, table)))
        begin = patterns_begin(file, given, table)
        with file.open("rb") as opened:
            stored = precompiled.StoredPatterns(opened.fileno(), begin)
            assert (stored.find("a[b-z]+", 0) == re.compile("a[b-z]+")) is found
            assert stored.find("a[b-z]+", re.IGNORECASE) is None


def test_threads_that_ask_for_their_first_pattern_at_once_get_it(tmp_path, monkeypatch):
    """Reads end while others wait for theirs: what one thread leaves must not move what another one reads."""
    version, table = marshal.loads(precompiled.pattern_table([("a[b-z]+", 0), ("c[d-z]+", 0)]))
    file = tmp_path / "stored"
    file.write_bytes(precompiled.packed(b"", {}, (version, table)))
    begin = patterns_begin(file, version, table)
    together = threading.Barrier(2, timeout=10)
    usual = os.pread

    def pread(number, size, at):
        if (size, at) == (8, begin):
            together.wait()
        return usual(number, size, at)

    monkeypatch.setattr(precompiled.os, "pread", pread)
    with file.open("rb") as opened, ThreadPoolExecutor(2) as pool:
        stored = precompiled.StoredPatterns(opened.fileno(), begin)
        found = list(pool.map(lambda pattern: stored.find(pattern, 0), ("a[b-z]+", "c[d-z]+")))
        assert found == [re.compile("a[b-z]+"), re.compile("c[d-z]+")]
        assert stored.find("a[b-z]+", 0) == re.compile("a[b-z]+")


@pytest.mark.parametrize(
    ("module", "old", "new", "said"),
    [
        ("__init__", r'__version__ = "[^"]+"', '__version__ = "9.9.9"', "kubectl why-crash 9.9.9"),
        ("cli/run", r'f"kubectl \{self', 'f"patched {self', "patched why-crash "),
        # Of the same length: its time tells.
        ("cli/run", r'f"kubectl \{self', 'f"KUBECTL {self', "KUBECTL why-crash "),
    ],
)
def test_a_module_that_is_patched_in_place_runs(unpacked, tmp_path, module, old, new, said):
    copy = tmp_path / "store"
    shutil.copytree(unpacked, copy)
    file = copy / "lib" / "kubetriage" / f"{module}.py"
    content, found = re.subn(old, new, file.read_text())
    assert found
    file.write_text(content)
    done = run(sys.executable, copy / "kubectl-plugins" / "kubectl-why-crash", "--version")
    assert done.stdout.startswith(said)


def test_the_bill_of_materials_names_every_dependency(package, unpacked):
    (bill,) = package.glob("*.cdx.json")
    named = {(c["name"].lower().replace("_", "-"), c["version"]) for c in json.loads(bill.read_text())["components"]}
    vendored = {
        tuple(i.name.removesuffix(".dist-info").rsplit("-", 1)) for i in (unpacked / "vendor").glob("*.dist-info")
    }
    assert named == {(name.lower().replace("_", "-"), version) for name, version in vendored}


def test_a_read_only_copy_runs(unpacked, tmp_path):
    copy = tmp_path / "store"
    shutil.copytree(unpacked, copy)
    for path in [*copy.rglob("*"), copy]:
        path.chmod(0o555 if path.is_dir() or path.parent.name == "kubectl-plugins" else 0o444)
    before = {p: p.stat().st_mtime_ns for p in copy.rglob("*")}
    done = run(sys.executable, copy / "kubectl-plugins" / "kubectl-why_crash", "api", "--from", str(CAPTURE))
    assert done.returncode == 0, done.stderr
    assert {p: p.stat().st_mtime_ns for p in copy.rglob("*")} == before or os.geteuid() == 0


def test_a_wheel_installs_the_commands(tmp_path):
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    source = tmp_path / "source"
    ignore = shutil.ignore_patterns(".git", ".venv", "*.egg-info", "__pycache__", "captures", "dist", "build")
    shutil.copytree(ROOT, source, ignore=ignore)
    # Byte code of the whole client would take longer to write than all that is tested here.
    options = ["--quiet", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([python, "-m", "pip", "install", *options, source], check=True)
    for name, file in [(n, file) for n in PLUGINS for file in (n, n.replace("-", "_"))]:
        command = environment / "bin" / f"kubectl-{file}"
        done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True, cwd=tmp_path)
        assert done.stdout.startswith(f"kubectl {name} ")
    where = subprocess.run(
        [python, "-c", "import kubetriage; print(kubetriage.__file__)"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert Path(where.stdout.strip()).is_relative_to(environment)
