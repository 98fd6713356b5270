"""The executables as a user meets them, on recorded clusters."""

import json
import os
import pty
import re
import select
import subprocess
import sys

import jsonschema
import pytest
import yaml

from kubetriage.plugins import PLUGINS
from support.fake_api import FakeApi
from support.offline import CAPTURES, ROOT, truths

SCHEMA = json.loads((ROOT / "docs" / "schema" / "diagnosis.json").read_text())


def run(name, *args, env=None, **options):
    executable = ROOT / "kubectl-plugins" / f"kubectl-{name.replace('-', '_')}"
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(env or {})}
    command = [sys.executable, executable, *map(str, args)]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, cwd=ROOT, timeout=60, **options
    )


def arguments(truth):
    target = [truth.target] if truth.target and truth.command != "plane-trace" else []
    return [*target, "--from", CAPTURES / truth.scenario]


CASES = [t for name in PLUGINS for t in truths(name)]


@pytest.mark.parametrize("truth", CASES, ids=lambda t: f"{t.command}-{t.scenario}")
def test_every_capture_gives_its_cause_in_the_contract(truth):
    done = run(truth.command, *arguments(truth), "-o", "json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    jsonschema.validate(document, SCHEMA)
    item = document["items"][0]
    assert item["cause"] in truth.causes
    if truth.container and item["findings"]:
        assert item["findings"][0]["object"].get("container", "") == truth.container
    assert item["healthy"] is (not any(f["severity"] != "note" for f in item["findings"]))
    for finding in item["findings"]:
        assert finding["evidence"], finding
        if finding["severity"] == "error":
            assert finding["verify"], finding
            assert finding["fix"] or finding is not item["findings"][0], finding


def test_yaml_and_json_say_the_same():
    args = ("api", "--from", CAPTURES / "oom-limit")
    assert yaml.safe_load(run("why-crash", *args, "-o", "yaml").stdout) == json.loads(
        run("why-crash", *args, "-o", "json").stdout
    )


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--bogus"], "error: unknown flag: --bogus\nSee 'kubectl why-crash --help' for usage.\n"),
        (["-x"], "error: unknown shorthand flag: 'x' in -x\nSee 'kubectl why-crash --help' for usage.\n"),
        (["-n"], "error: flag needs an argument: 'n' in -n\nSee 'kubectl why-crash --help' for usage.\n"),
        (["--namespace"], "error: flag needs an argument: --namespace\nSee 'kubectl why-crash --help' for usage.\n"),
        (["pod/x", "-A"], "error: a resource cannot be retrieved by name across all namespaces\n"),
        (["x", "-l", "a=b"], "error: name cannot be provided when a selector is specified\n"),
        (["-l", "=="], "error: unable to parse requirement: '=='\n"),
        (["--field-selector", "foo"], "error: invalid selector: 'foo'; can't understand 'foo'\n"),
        (
            ["--field-selector", "status.phse=Running", "--from", "tests/captures/healthy"],
            "error: field label not supported: status.phse\n",
        ),
        (
            ["deploy/api", "-c", "zz", "--from", "tests/captures/deploy-crash"],
            "error: container zz is not valid for pod api-5dd5887564-",
        ),
        (["node/x"], "error: why-crash does not take nodes; it takes pod, deployment, "),
        (["pod/x", "y"], "error: there is no need to specify a resource type as a separate argument"),
        (["pod/x/y"], "error: arguments in resource/name form may not have more than one slash\n"),
        (["pod/"], "error: arguments in resource/name form must have a single resource and name\n"),
        ([""], "error: resource name may not be empty\n"),
        (["pod", ""], "error: resource name may not be empty\n"),
        ([".."], "error: invalid resource name \"..\": [may not be '..']\n"),
        (["a%2fb"], "error: invalid resource name \"a%2fb\": [may not contain '%']\n"),
        (["x", "-n", "a/b"], "error: invalid namespace \"a/b\": [may not contain '/']\n"),
        (["x", "--request-timeout", "soon"], "error: Invalid timeout value. Timeout must be a single integer in"),
        (["x", "--request-timeout", "-5"], "error: Invalid timeout value. Timeout must be a single integer in"),
        (
            ["x", "-o", "table"],
            'error: unable to match a printer suitable for the output format "table", '
            "allowed formats are: html,json,markdown,name,wide,yaml\n",
        ),
        (
            ["--all-namespaces=maybe"],
            'error: invalid argument "maybe" for "-A, --all-namespaces" flag: strconv.ParseBool: parsing "maybe": '
            "invalid syntax\n",
        ),
        (["x", "--from", ""], 'error: invalid argument "" for "--from" flag: it needs a path\n'),
        (["x", "--from", "/nonexistent"], 'error: the path "/nonexistent" does not exist\n'),
        (["x", "--from", "tests/captures/healthy"], 'Error from server (NotFound): pods "x" not found'),
        (["api", "-c", "zz", "--from", "tests/captures/healthy"], "error: container zz is not valid for pod api"),
        (["--explain-cause", "Qqq"], 'error: no cause "Qqq" in why-crash; kubectl why-crash --explain-cause lists all'),
        (["--explain-cause", "OOMKiled"], 'error: no cause "OOMKiled" in why-crash; did you mean OOMKilled?'),
        (["--explain-cause", "999"], "error: no cause has the number 999 on its page"),
    ],
)
def test_errors_are_one_in_kubectls_words(args, words):
    done = run("why-crash", *args)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(words)
    assert "Traceback" not in done.stderr


def test_no_cluster_is_one_line():
    done = run("why-crash", "x", env={"KUBECONFIG": "/nonexistent"})
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [["pod/api"], ["pods/api"], ["po/api"], ["pod", "api"], ["api"], ["pods", "api"], ["Pod/api"]]
)
def test_a_pod_is_named_as_in_kubectl(words):
    done = run("why-crash", *words, "--from", CAPTURES / "oom-limit", "-o", "name")
    assert (done.returncode, done.stdout) == (0, "pod/api\n"), done.stderr


def test_exit_codes():
    broken, well = CAPTURES / "oom-limit", CAPTURES / "healthy"
    assert run("why-crash", "api", "--from", broken).returncode == 0
    assert run("why-crash", "api", "--from", broken, "--exit-code").returncode == 3
    assert run("why-crash", "api", "--from", well, "--exit-code").returncode == 0
    assert run("why-crash", "api", "nope", "--from", broken, "--exit-code").returncode == 1


@pytest.mark.parametrize("words", [["-A=true"], ["--all-namespaces=T", "--no-headers=false"], ["-A", "--all=0"]])
def test_switches_may_have_values_as_in_kubectl(words):
    done = run("why-crash", *words, "--from", CAPTURES / "oom-limit")
    assert (done.returncode, done.stderr) == (0, "")
    assert "OOMKilled" in done.stdout
    assert "\nWHAT " in done.stdout


def test_objects_may_come_through_a_pipe():
    pods = (CAPTURES / "oom-limit" / "oom-limit" / "pods.json").read_text()
    done = run("why-crash", "--from", "-", "-o", "json", input=pods)
    assert done.returncode == 0, done.stderr
    item = json.loads(done.stdout)["items"][0]
    assert item["cause"] == "OOMKilled"
    assert any(gap["what"] == "events of pod/api" for gap in item["notSeen"])
    assert run("why-crash", "--from", "-", input="").stderr == "error: /dev/stdin: a pipe that nobody writes into\n"


def test_a_used_directory_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "x").touch()
    done = run("why-crash", "api", "--from", "/nonexistent", "--record", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f'error: the directory "{tmp_path}" is not empty\n'


def test_a_recording_that_fails_leaves_the_answer():
    done = run("why-crash", "api", "--from", CAPTURES / "oom-limit", "--record", "/dev/null/x")
    assert done.returncode == 1
    assert "OOMKilled" in done.stdout
    assert done.stderr == 'error: cannot record to "/dev/null/x": not a directory\n'


def test_one_missing_target_does_not_hide_the_others():
    done = run("why-crash", "api", "nope", "--from", CAPTURES / "oom-limit")
    assert done.returncode == 1
    assert "OOMKilled" in done.stdout
    assert 'pods "nope" not found' in done.stderr


def test_a_closed_pipe_is_silent():
    executable = ROOT / "kubectl-plugins" / "kubectl-why_crash"
    script = f"'{sys.executable}' '{executable}' api --from '{CAPTURES / 'oom-limit'}' -o json; echo rc $? >&2"
    done = subprocess.run(
        ["bash", "-c", f"( {script} ) | true"], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr
    assert "rc 141" in done.stderr or "rc 0" in done.stderr


def test_a_scan_shows_only_what_is_wrong():
    done = run("why-crash", "--from", CAPTURES / "healthy")
    assert done.returncode == 0
    assert done.stdout == "No problems found in 1 pod in healthy namespace.\n"
    done = run("why-crash", "--all", "--from", CAPTURES / "healthy")
    assert "Healthy" in done.stdout
    done = run("why-crash", "-n", "no-such-namespace", "--from", CAPTURES / "healthy")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "No resources found in no-such-namespace namespace.\n"
    done = run("why-crash", "-A", "-l", "no=such", "--from", CAPTURES / "oom-limit")
    assert done.stderr == "No resources found\n"
    done = run("why-crash", "-A", "--from", CAPTURES / "oom-limit", "-o", "name")
    assert done.stdout == "oom-limit/pod/api\n"
    done = run("why-crash", "-l", "no=such", "--from", CAPTURES / "oom-limit")
    assert done.stderr == "No resources found in oom-limit namespace.\n"


def test_explain_shows_each_command_of_the_path_by_hand():
    done = run("why-crash", "api", "--from", CAPTURES / "oom-limit", "--explain")
    for command in ("describe pod api", "logs api -c app", "get events --field-selector involvedObject.uid="):
        assert f"  kubectl -n oom-limit {command}" in done.stdout


def test_explain_cause_prints_its_page():
    done = run("why-crash", "--explain-cause", "oomkilled")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("OOMKilled\n")
    assert "How to fix it" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_explain_cause_knows_numbers_other_plugins_and_all_causes():
    assert "\nOOMKilled (kubectl why-crash): " in run("why-crash", "--explain-cause", "137").stdout
    assert run("why-crash", "--explain-cause", "SelectorMismatch").stdout.startswith("SelectorMismatch\n")
    listed = run("why-crash", "--explain-cause").stdout.splitlines()
    assert any(line.startswith("OOMKilled: ") for line in listed)


def test_version_names_the_server_only_where_a_context_was_given(tmp_path):
    with FakeApi(CAPTURES / "healthy", tls=True) as api:
        env = {"KUBECONFIG": str(api.kubeconfig(tmp_path))}
        context = yaml.safe_load((tmp_path / "kubeconfig").read_text())["current-context"]
        short = run("why-crash", "--version", env=env)
        long = run("why-crash", "--version", "--context", context, env=env)
    assert re.fullmatch(r"kubectl why-crash \S+\nkubernetes client \S+\nPython \S+\n", short.stdout)
    assert long.stdout == f"{short.stdout}server v1.36.2\n", long.stderr


@pytest.mark.parametrize("name", PLUGINS)
def test_help_begins_with_what_it_does_and_examples(name):
    done = run(name, "--help")
    assert done.returncode == 0
    assert done.stdout.index("Examples:") < done.stdout.index("Options")
    assert f"Usage:\n  kubectl {name} " in done.stdout
    options, _, kubectls = done.stdout.partition("\nOptions of kubectl:")
    for flag in ("--contexts", "--explain-cause", "--version", "--from"):
        assert f"  {flag}" in options
        assert f"  {flag} " not in kubectls
    exits = done.stdout.partition("\nExit codes:\n")[2]
    assert re.findall(r"^  (\d+) ", exits, re.MULTILINE) == ["0", "1", "3", "4", "130", "141"]
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert run(name, "-h").stdout == done.stdout


@pytest.mark.parametrize("name", PLUGINS)
@pytest.mark.parametrize("args", [["--help"], ["--version"], ["--bogus"]])
def test_help_touches_no_third_party_package_but_click(name, args):
    code = (
        "import sys\n"
        "from kubetriage.cli.main import main\n"
        f"main({name!r}, {args!r})\n"
        "heavy = {'kubernetes', 'urllib3', 'yaml', 'tabulate', 'wcwidth', 'requests'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT / "lib")}
    )
    assert done.returncode == 0, done.stderr


def on_terminal(columns, name, *args, **environment):
    """Run on a pseudo-terminal of that width and return what it shows."""
    master, slave = pty.openpty()
    executable = ROOT / "kubectl-plugins" / f"kubectl-{name.replace('-', '_')}"
    env = {"PATH": os.environ["PATH"], "TERM": "xterm", "COLUMNS": str(columns), "LANG": "C.UTF-8", **environment}
    with subprocess.Popen(
        [sys.executable, executable, *map(str, args)], stdout=slave, stderr=slave, env=env, cwd=ROOT
    ) as process:
        os.close(slave)
        shown = b""
        readable = select.poll()
        readable.register(master, select.POLLIN)
        while True:
            ready = readable.poll(30_000)
            try:
                piece = os.read(master, 65536) if ready else b""
            except OSError:
                break
            if not piece:
                break
            shown += piece
    os.close(master)
    assert process.returncode == 0
    return shown.decode().replace("\r\n", "\n")


def test_a_terminal_gets_colour_and_its_width():
    shown = on_terminal(80, "why-crash", "api", "--from", CAPTURES / "oom-limit")
    assert "\x1b[31;1mOOMKilled\x1b[0m" in shown
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    table = plain.split("Verify")[0]
    assert max(map(len, table.splitlines())) <= 80
    assert "\x1b" not in on_terminal(80, "why-crash", "api", "--from", CAPTURES / "oom-limit", NO_COLOR="1")
    assert "\x1b" not in on_terminal(80, "why-crash", "api", "--color", "never", "--from", CAPTURES / "oom-limit")


@pytest.mark.parametrize(("words", "env"), [(["--color=always"], {}), ([], {"FORCE_COLOR": "1"})])
def test_colour_in_a_pipe_only_where_it_was_asked_for(words, env):
    done = run("why-crash", "api", *words, "--from", CAPTURES / "oom-limit", env=env)
    assert "\x1b[31;1mOOMKilled\x1b[0m" in done.stdout


def test_a_pipe_gets_plain_text_of_a_hundred_columns():
    done = run("why-crash", "api", "--from", CAPTURES / "oom-limit")
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].startswith("✗ pod/api  OOMKilled")
    assert all(len(line) <= 100 for line in lines if "kubectl" not in line)


def test_ascii_output_where_the_encoding_carries_no_more():
    env = {"PYTHONIOENCODING": "ascii"}
    for name in (n for n in PLUGINS if truths(n)):
        truth = truths(name)[0]
        done = run(name, *arguments(truth), env=env)
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii()


def test_a_scan_meets_controllers_that_cannot_create_a_pod():
    done = run("why-crash", "--from", CAPTURES / "quota-blocked", "-o", "json")
    items = json.loads(done.stdout)["items"]
    assert [(i["target"]["kind"], i["cause"]) for i in items] == [("Deployment", "QuotaExceeded")]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_no_defect_of_the_program():
    command = [sys.executable, ROOT / "kubectl-plugins" / "kubectl-why_crash", "api", "--from", CAPTURES / "oom-limit"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (1, "error: cannot write: No space left on device\n")
