"""Hiding anything of a recorded trouble never makes the answer greener, and hiding all of it is no all-clear."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.needs import Failure, List, Log, Need, Raw, Why
from kubetriage.plugins import Request, Target, load
from kubetriage.snapshot import Snapshot

HERE = Path(__file__).parent.parent
DENIED = Failure(Why.FORBIDDEN, "forbidden", 403)
RECORDINGS = sorted(
    p.parent
    for pattern in ("captures/*/truth.json", "cases/node/*/truth.json", "cases/live/*/truth.json")
    for p in HERE.glob(pattern)
    if json.loads(p.read_text())["command"] in ("node-triage", "plane-trace")
)


class Hiding:
    """A recording of which some lists, paths and logs may not be read."""

    def __init__(self, folder: Path, hidden: frozenset[str] = frozenset()) -> None:
        self._reader = RecordedReader(folder)
        self._hidden = hidden
        self.full = self._reader.open()

    def pieces(self) -> list[str]:
        """Name everything that may be hidden by itself."""
        lists = {f"list {need.resource}" for need, _ in self.full.lists}
        paths = {f"path {need.path}" for need, _ in self.full.bodies if isinstance(need, Raw)}
        logs = {f"log {key[1]}/{key[2]}" for key in self.full._offered}
        return sorted(lists | paths | logs)

    def open(self) -> Snapshot:
        full = self.full
        made = Snapshot(full.now, full.source, full.presumes_absent, full.lag)
        for need, dropped in full.lists:
            if f"list {need.resource}" in self._hidden:
                made.fail(need, DENIED)
                made.fail(List(need.resource), DENIED)
                continue
            items = [o for r, o in full.objects if r == need.resource and _in(o, need.namespace)]
            made.add_shaped(need, items, dropped)
        for need, body in full.bodies:
            if isinstance(need, Raw) and f"path {need.path}" in self._hidden:
                made.fail(need, DENIED)
            else:
                made.add_body(need, body)
        made.offer_logs(key for key in full._offered if f"log {key[1]}/{key[2]}" not in self._hidden)
        return made

    def fetch(self, needs: Iterable[Need], snapshot: Snapshot) -> None:
        for need in needs:
            if isinstance(need, Log) and f"log {need.pod}/{need.container}" in self._hidden:
                snapshot.fail(need, DENIED)
            else:
                self._reader.fetch([need], snapshot)


def _in(obj: dict, namespace: str) -> bool:
    return not namespace or obj["metadata"].get("namespace", "") == namespace


def answer(folder: Path, *hidden: str):
    truth = json.loads((folder / "truth.json").read_text())
    target = truth.get("target", "")
    targets = (Target("nodes", target.partition("/")[2]),) if target.startswith("node/") else ()
    _, got = collect(load(truth["command"]), Request(targets=targets), Hiding(folder, frozenset(hidden)))
    return got


def green(got) -> bool:
    return bool(got.diagnoses) and all(d.healthy for d in got.diagnoses)


@pytest.mark.slow
@pytest.mark.parametrize("folder", RECORDINGS, ids=lambda p: p.name)
def test_hiding_one_thing_or_all_never_makes_it_greener(folder):
    whole = answer(folder)
    pieces = Hiding(folder).pieces()
    assert pieces
    if not green(whole):
        for piece in pieces:
            assert not green(answer(folder, piece)), piece
    blind = answer(folder, *pieces)
    assert not green(blind)
    assert not any(d.cause == "Healthy" for d in blind.diagnoses)
