"""No name in a cluster, a dump or a message makes a printed command do anything else than it says."""

import shlex
import subprocess

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.plugins import Request, Target, load
from kubetriage.render.sanitize import LEFT_OUT, sanitized
from kubetriage.values.commands import is_plain
from support.offline import CAPTURES, target, truth

SCENARIOS = sorted(path.parent.name for path in CAPTURES.glob("*/truth.json"))
HOSTILE = [
    "x;touch pwned",
    "x$(touch pwned)",
    "x`touch pwned`",
    "x|sh",
    "x\ntouch pwned",
    "x>~/.profile",
    "x&touch pwned&",
    "-x'\"",
    "x y",
]


class Renamed(RecordedReader):
    """A recording in which every name ends in something hostile; what a rogue server may send, too."""

    def __init__(self, path, suffix):
        super().__init__(path)
        self._suffix = suffix

    def open(self):
        whole = super().open()
        self.names = {
            value
            for _, obj in whole.objects
            for value in (obj["metadata"]["name"], obj["metadata"].get("namespace", ""))
            if value
        }
        objects = [(resource, self._renamed(obj)) for resource, obj in whole.objects]
        lists = list(whole.lists)
        seen = type(whole)(now=whole.now, source=whole.source, presumes_absent=whole.presumes_absent)
        for need, _ in lists:
            seen.add_list(need, [])
        for resource, obj in objects:
            seen.add(resource, obj)
        for need, body in whole.bodies:
            seen.add_body(need, body)
        return seen

    def _renamed(self, value, key=""):
        if isinstance(value, dict):
            return {k: self._renamed(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [self._renamed(v, key) for v in value]
        ends = key in ("name", "namespace", "nodeName", "secretName", "claimName", "image", "serviceName")
        return value + self._suffix if isinstance(value, str) and value and (ends or value in self.names) else value


def commands(scenario, suffix):
    right = truth(scenario)
    plugin = load(right.command)
    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    namespace = (right.namespace or "default") + suffix
    targets = ()
    if "/" in right.target and plugin.takes_targets:
        named = target(right.target)
        targets = (Target(named.resource, named.name + suffix),)
    request = Request(targets=targets, namespace=namespace, options=options)
    answer = collect(plugin, request, Renamed(CAPTURES / scenario, suffix))[1]
    for diagnosis in map(sanitized, answer.diagnoses):
        yield from (line for line, *_ in diagnosis.manual if line.startswith("kubectl "))
    for finding in (f for d in answer.diagnoses for f in sanitized(d).findings):
        yield from finding.verify
        yield from (line for fix in finding.fix for line in fix.commands)


@pytest.mark.slow
@pytest.mark.attack("printed commands with shell text in every name")
@pytest.mark.parametrize("suffix", HOSTILE)
def test_hostile_names_reach_no_shell(suffix, tmp_path, record_property):
    part = SCENARIOS[HOSTILE.index(suffix) :: len(HOSTILE)]
    lines = {line for scenario in part for line in commands(scenario, suffix)}
    record_property("tried", len(lines))
    assert lines
    for line in lines:
        assert line == LEFT_OUT or is_plain(line), line
        # What the shell reads are whole names: each word with a part of the suffix has all of it.
        shown = "".join(c for c in suffix if c.isprintable())
        for word in shlex.split(line):
            assert line == LEFT_OUT or shown[1:] not in word or shown in word, line
    # Names are quoted; a line is only left out where a message or a patch was put into it.
    assert sum(line == LEFT_OUT for line in lines) <= 1
    script = "\n".join(sorted(lines))
    done = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_commands_of_the_captures_are_all_shown():
    lines = [line for scenario in SCENARIOS[::4] for line in commands(scenario, "")]
    assert len(lines) > 40
    assert LEFT_OUT not in lines


@pytest.mark.attack("printed commands with shell text in every name")
@pytest.mark.parametrize(
    "line",
    [
        "kubectl -n x;id get pod", "kubectl -n $(id) get pod", "kubectl -n `id` get",
        "kubectl get pod | sh", "kubectl a & b",
        'kubectl "$(id)"', "kubectl get pod > /etc/passwd", "kubectl get pod > ~/x", "kubectl 'x", "kubectl get pod |",
        "kubectl a\nid", "kubectl a <b", "kubectl a >> b", "kubectl a || b",
    ],
)  # fmt: skip
def test_lines_with_other_syntax_are_left_out(line):
    assert not is_plain(line)
