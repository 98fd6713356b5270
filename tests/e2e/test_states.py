"""plane-trace on a real control plane whose etcd is bad, from five points of sight, live and from its own recording."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.binaries import VERSIONS, CannotRunError
from e2e.results import Results
from e2e.states import EXTERNAL, FORWARDED, MANAGED, PLAIN, SIGHTS, STATES, Planes, State, start

_QUORUM, _DISK, _HEALTH = "etcd quorum and leader", "etcd disk", "API server health"


@pytest.fixture(scope="module", params=[(v, size) for v in VERSIONS for size in (3, 1)], ids=lambda p: f"{p[0]}-{p[1]}")
def planes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planes]:
    """Start etcd with three members or one, and three API servers before it."""
    version, size = request.param
    made = start(version, tmp_path_factory.mktemp(f"{version}-{size}"), size)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("state", STATES, ids=lambda s: s.name.replace(" ", "-"))
def test_the_first_cause_of_a_bad_etcd(planes: Planes, state: State, results: Results, tmp_path: Path) -> None:
    if state.size != len(planes.etcd.members):
        pytest.skip(f"a state of {state.size}")
    version = planes.seen.plane.version
    try:
        with state.made(planes):
            time.sleep(state.lasts)
            answers = planes.answers(tmp_path)
    except CannotRunError as error:
        pytest.skip(str(error))
    finally:
        if not state.final:
            planes.recover()
    for sight, found in answers.items():
        bad = bool(list(_faults(state, sight, found)))
        results.add(version, "states", state.name, found, sight, wrong=bad)
    wrong = [f"{sight}: {words}" for sight, found in answers.items() for words in _faults(state, sight, found)]
    again = {sight: _replayed(planes, tmp_path / sight) for sight in SIGHTS}
    wrong += [
        f"{sight}: the recording says {again[sight]}, live it was {_causes(found)}"
        for sight, found in answers.items()
        if again[sight] != _causes(found)
    ]
    # Reads that hang are answered now and then: who had more logs of members answered may know more.
    alike = _logs_unseen(answers[FORWARDED]) <= _logs_unseen(answers[PLAIN])
    if alike and _rank(answers[FORWARDED]) < _rank(answers[PLAIN]):
        wrong.append(f"--etcd made it worse: {answers[FORWARDED]['summary']}")
    assert not wrong, "\n".join(wrong)


def _faults(state: State, sight: str, found: dict[str, Any]) -> Iterator[str]:
    right = state.right.get(sight, state.right[""])
    errors = [f["cause"] for f in found["findings"] if f["severity"] == "error"]
    if right and found["cause"] not in right:
        yield f"{found['cause']} ({found['summary']})"
    if not right and errors:
        yield f"{errors} without a fault to be seen"
    links = {link["link"]: link for link in found["links"]}
    if found["cause"] in ("EtcdDown", "EtcdQuorumLost") and errors and links[_QUORUM]["state"] == "ok":
        yield f"the quorum is ok beside {found['cause']}: {links[_QUORUM]['evidence']}"
    if "slow disk" in state.name and links[_DISK]["state"] == "ok":
        yield f"the disk is ok: {links[_DISK]['evidence']}"
    if (
        "check passes and" not in links[_QUORUM]["evidence"]
        and "check passes" in links[_QUORUM]["evidence"]
        and "etcd" in links[_HEALTH].get("evidence", "").split("(")[0]
    ):
        yield f"contradiction: {links[_QUORUM]['evidence']} / {links[_HEALTH]['evidence']}"
    if sight not in (EXTERNAL, MANAGED) and state.right[""] and found["healthy"]:
        yield "an all-clear"


def _logs_unseen(found: dict[str, Any]) -> int:
    return sum(gap["what"].startswith("log of etcd member") for gap in found["notSeen"])


def _causes(found: dict[str, Any]) -> list[str]:
    return [f["cause"] for f in found["findings"] if f["severity"] != "note"]


def _replayed(planes: Planes, folder: Path) -> list[str]:
    # What --etcd read stands in the recording, so nothing is asked of a cluster.
    flags = ["--etcd"] if folder.name == FORWARDED else []
    done = planes.seen.kubectl("plane-trace", *flags, "--from", str(folder), "-o", "json")
    assert done.stdout, done.stderr
    return _causes(json.loads(done.stdout)["items"][0])


def _rank(found: dict[str, Any]) -> int:
    """Rank what an answer is worth: nothing named, a cause that is possible, likely, confirmed."""
    order = ("possible", "likely", "confirmed")
    first = found["findings"][0] if found["findings"] else None
    return order.index(first["confidence"]) + 1 if first and first["cause"].startswith("Etcd") else 0
