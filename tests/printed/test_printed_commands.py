"""Every printed kubectl command of every incident, run by the real kubectl against the fake API server.

Commands that write run with a server-side dry run. What needs a shell in a container or a second terminal is not run,
and counted.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections import Counter

import pytest

from kubetriage.plugins import PLUGINS
from kubetriage.render.card import step_of
from support.fake_writes import DryRunApi, dry
from support.incidents import answers, incidents
from support.offline import ROOT
from support.tls import certificates

KUBECTL = shutil.which("kubectl")
SHIM = """#!/bin/bash
# Adds a server-side dry run to what writes. "replace --force" deletes and creates, which has no dry run.
verb= value= args=()
for word in "$@"; do
  if [ -z "$verb" ] && [ -z "$value" ] && [[ "$word" != -* ]]; then verb=$word; fi
  value=; [[ "$word" == -n ]] && value=1
  [ "$word" == --force ] || args+=("$word")
done
case " $* " in *" --dry-run"*) exec {kubectl} "$@" ;; esac
case "$verb" in
  patch|set|label|annotate|delete|scale|cordon|uncordon|taint|expose|autoscale)
    exec {kubectl} "$@" --dry-run=server ;;
  # Its evictions carry the dry run in protobuf.
  drain) exec {kubectl} "$@" --dry-run=client ;;
  create|apply|replace) exec {kubectl} "${{args[@]}}" --dry-run=server --validate=false ;;
  # There is no dry run of it; that its object is there can be asked.
  rollout) if [ "$2" == restart ] || [[ " $* " == *" restart "* ]]; then
      args=("${{args[@]/rollout}}"); args=("${{args[@]/restart/get}}"); set --; for word in "${{args[@]}}"; do
      [ -z "$word" ] || set -- "$@" "$word"; done; exec {kubectl} "$@"; fi
    if [ "$2" == undo ] || [[ " $* " == *" undo "* ]]; then exec {kubectl} "$@" --dry-run=server; fi ;;
esac
exec {kubectl} "$@"
"""
_BY_HAND = re.compile(r"\bkubectl (?:-n \S+ )?(?:exec|debug|port-forward|attach|edit|cp|run|certificate|wait)\b")
_OPEN = re.compile(r"(?<![\w-])[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)*(?![\w-])")
_BLOCKING = re.compile(
    r"\bkubectl\b.*(?: -w\b| --watch\b| logs .*-f\b| --follow\b)|\bport-forward\b|\bdebug\b.* -it?\b"
)
_EXPECTED = (
    "Metrics API not available",
    "doesn't have a resource type",
    "(ServiceUnavailable)",
    "is waiting to start",
    "PEM block type",
    "no matches for kind",
)
"""What any command may meet on a recorded cluster: kinds and metrics that it does not serve, a node that is down."""


_PRESUMED = ("unable to find container named", "panic: runtime error")
"""What kubectl says of an object without containers, which stands for one that the recording leaves out."""


def printed(diagnosis):
    """Yield the commands of each fix in the order in which they are printed, then those of the check."""
    for finding in diagnosis.findings:
        for fix in finding.fix:
            yield "fix", list(step_of(fix).commands)
        for command in finding.verify:
            yield "check", [command]


def of(incident):
    """Return what is printed for an incident, each group once."""
    found = {}
    for answered in answers():
        if answered.incident == incident:
            for diagnosis in answered.diagnoses:
                for kind, commands in printed(diagnosis):
                    found.setdefault(tuple(commands), kind)
    return [(kind, commands) for commands, kind in found.items() if commands]


@pytest.fixture(scope="module")
def counts():
    """Count what ran, and say so at the end."""
    counter = Counter()
    yield counter
    print(f"\nprinted commands: {dict(counter)}")  # noqa: T201  # the figure of the test


@pytest.mark.slow
@pytest.mark.kubectl
@pytest.mark.skipif(KUBECTL is None, reason="no kubectl on PATH")
@pytest.mark.parametrize("incident", incidents(), ids=lambda i: i.name)
def test_printed_commands_run(incident, tmp_path, counts):
    groups = of(incident)
    if not groups:
        return
    tools = tmp_path / "bin"
    tools.mkdir()
    shim = tools / "kubectl"
    shim.write_text(SHIM.format(kubectl=KUBECTL))
    shim.chmod(0o755)
    # The files that commands ask for.
    for name in ("PATH", "FILE"):
        (tmp_path / name).write_text("key: value\n")
    shutil.copy(certificates().server_cert, tmp_path / "tls.crt")
    shutil.copy(certificates().server_key, tmp_path / "tls.key")
    with DryRunApi(incident.folder) as api:
        env = {
            "PATH": f"{tools}:{ROOT / 'kubectl-plugins'}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "PASSWORD": "of-the-registry",
            "KUBECONFIG": str(api.kubeconfig(tmp_path)),
        }
        for kind, commands in groups:
            for command in commands:
                if not command.startswith("kubectl "):
                    counts["not kubectl"] += 1
                elif _BY_HAND.search(command):
                    counts["needs a container or a second terminal"] += 1
                elif "https://" in command and " apply " in command:
                    counts["reads a manifest from the net"] += 1
                elif _OPEN.search(re.sub(r"'[^']*'|jsonpath=\S+|--\S+=\S*", " ", command)):
                    counts["has a word to fill in"] += 1
                else:
                    counts[kind] += 1
                    ran = ["bash", "-o", "pipefail", "-c", command]
                    done = subprocess.run(
                        ran, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=120
                    )
                    asks = kind == "check" or re.match(rf"kubectl (?:-n \S+ )?(?:{'|'.join(PLUGINS)}) ", command)
                    known = (*_EXPECTED, *(["(NotFound)"] if asks else []), *(_PRESUMED if api.presumed else []))
                    expected = any(word in done.stderr for word in known)
                    # grep counts nothing in a log that is not recorded.
                    expected = expected or ("| grep" in command and not done.stdout.strip("0\n"))
                    assert done.returncode == 0 or expected, f"{command}\n{done.stderr}"
        writes = [r for r in api.requests if r.method != "GET" and not dry(r)]
        assert not writes, [(r.method, r.path) for r in writes]


def test_no_check_blocks_or_waits_for_a_second_terminal():
    for answered in answers():
        for diagnosis in answered.diagnoses:
            for finding in diagnosis.findings:
                for command in finding.verify:
                    assert not _BLOCKING.search(command), f"{answered.incident.name}: {command}"


def test_commands_are_words_of_a_shell():
    for answered in answers():
        for diagnosis in answered.diagnoses:
            for _, commands in printed(diagnosis):
                for command in commands:
                    assert shlex.split(command), command
                    assert "\n" not in command
