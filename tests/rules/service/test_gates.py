"""Behind a shut gate a rule has nothing to say of a way."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.plugins import Request, load
from kubetriage.plugins.svc_trace_scan import _scan_traces
from kubetriage.rules.service.case import Options, Trace
from kubetriage.rules.service.cluster_view import World
from kubetriage.rules.service.gated import Gated
from kubetriage.rules.service.registry import RULES
from support.offline import CAPTURES

HERE = Path(__file__).parents[2]
RECORDINGS = sorted(p.parent for p in (*CAPTURES.glob("*/truth.json"), *HERE.glob("cases/service/**/truth.json")))
GATED = [rule for rule in RULES if isinstance(rule, Gated)]


@cache
def ways() -> tuple[Trace, ...]:
    """Return the ways to each Service of each recording, and those through each entrance."""
    plugin = load("svc-trace")
    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    request = Request(all_namespaces=True, namespace="", options=options)
    found: list[Trace] = []
    for folder in RECORDINGS:
        snapshot, _ = collect(plugin, request, RecordedReader(folder))
        found += (trace for trace, _ in _scan_traces(World(snapshot), request, Options()))
    return tuple(found)


def test_nothing_is_missed_behind_a_shut_gate() -> None:
    for trace in ways():
        for rule in GATED:
            if not rule.gate(trace):
                assert not list(rule.module.check(trace)), f"{rule.name}: {trace.snapshot.source} {trace.target}"


@pytest.mark.parametrize("rule", GATED, ids=lambda r: r.name)
def test_the_recordings_open_each_gate(rule: Gated) -> None:
    assert any(rule.gate(trace) for trace in ways())
