"""What anybody can write into a pod, and how many pods crash, makes a run longer as it grows and not faster."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

import pytest

from kubetriage.cli.collect import collect
from kubetriage.plugins import Answer, Request, Target, load
from kubetriage.snapshot import Snapshot
from support.clock import least
from support.objects import NOW
from support.offline import CAPTURES

GROWING = pytest.mark.attack("work that grows with the input, not faster")
SIZES = (8_000, 32_000)
"""Characters of a text; rules read no more than 32 KiB of one."""
WAITING = "back-off {} restarting failed container=app pod=api_shop(1)"
PULL = 'Failed to pull image "{}": rpc error: code = NotFound desc = {}'
PUMPS = ("0", "1m", "1.", "a: ", " ", "(", ": ", '"', "/x", "exit status 1: ", "\n", "10.0.0.1:80 ", "a=b,", "desc = ")
STATE = ("status", "containerStatuses", 0)
PLACES: dict[str, tuple[str, tuple[str | int, ...], str]] = {
    "back-off": ("exit1-silent", (*STATE, "state", "waiting", "message"), WAITING),
    "waiting": ("img-not-found", (*STATE, "state", "waiting", "message"), PULL),
    "image": ("img-not-found", (*STATE, "image"), "registry.example.com/{}"),
    "container ID": ("exit1-silent", (*STATE, "containerID"), "containerd://{}"),
    "last words": ("exit1-silent", (*STATE, "lastState", "terminated", "message"), "fatal: {}"),
    "status message": ("exit1-silent", ("status", "message"), "The node was low on resource: {}"),
    "condition": ("unsched-memory", ("status", "conditions", 0, "message"), "0/3 nodes are available: {}"),
    "annotation": ("exit1-silent", ("metadata", "annotations", "a/b"), "{}"),
    "start": ("exit1-silent", (*STATE, "lastState", "terminated", "startedAt"), "{}"),
}
"""A capture, the field of its pod that grows, and what stands around that."""


def pod_of(capture: str) -> dict[str, Any]:
    file = next(CAPTURES.glob(f"{capture}/*/pods.json"))
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["items"][0]
    return found


def put(value: Any, path: tuple[str | int, ...], content: str) -> None:
    for step in path[:-1]:
        value = value[step] if isinstance(value, list) else value.setdefault(step, {})
    value[path[-1]] = content


def ask(objects: list[dict[str, Any]], *targets: Target, fold: bool = True, **more: Any) -> Answer:
    snapshot = Snapshot(NOW, source="a file")
    for one in objects:
        snapshot.add("pods", one)
    plugin = load("why-crash")
    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    place = objects[0]["metadata"]["namespace"]
    request = Request(targets=targets, namespace=place, all_namespaces=not targets, options=options, fold=fold, **more)
    return collect(plugin, request, Given(snapshot))[1]


class Given:
    """Has the objects, and nothing else."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def open(self) -> Snapshot:
        return self._snapshot

    def fetch(self, needs: object, snapshot: Snapshot) -> None:
        """Give no more than that."""


def seconds(place: str, pump: str, size: int) -> float:
    capture, path, around = PLACES[place]
    pod = pod_of(capture)
    put(pod, path, around.replace("{}", pump * (size // len(pump))))
    begun = time.process_time()
    assert ask([pod], Target("pods", pod["metadata"]["name"])).diagnoses
    return time.process_time() - begun


def growth(place: str, pump: str) -> float:
    few = min(seconds(place, pump, SIZES[0]) for _ in range(2))
    return seconds(place, pump, SIZES[1]) / max(few, 0.01)


@GROWING
@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_text_of_a_pod_takes_no_more_than_linear_time(
    place: str, record_property: Callable[[str, object], None]
) -> None:
    ask([pod_of("exit1-silent")])
    record_property("tried", len(PUMPS))
    # The square would be 16 times.
    slow = {pump: took for pump in PUMPS if (took := least(partial(growth, place, pump), 9)) >= 9}
    assert not slow


@GROWING
@pytest.mark.slow
def test_of_a_message_without_end_no_more_is_read_than_says_it_all() -> None:
    ask([pod_of("exit1-silent")])
    assert least(lambda: seconds("waiting", "a: ", 640_000) / seconds("waiting", "a: ", 64_000), 3) < 3


def crashing(count: int, *, alone: bool) -> Iterator[dict[str, Any]]:
    """Make pods that crash: of one workload, or each of its own with words of its own."""
    pod = pod_of("exit1-silent")
    for i in range(count):
        made = json.loads(json.dumps(pod))
        owner = f"app-{i}" if alone else "app"
        made["metadata"] |= {
            "name": f"{owner}-7dd5758ddc-{i:05}",
            "uid": f"u-{i}",
            "ownerReferences": [
                {"kind": "ReplicaSet", "name": f"{owner}-7dd5758ddc", "uid": owner, "controller": True}
            ],
        }
        if alone:
            put(made, (*STATE, "lastState", "terminated", "message"), f"fatal: no such table users_{i}")
        yield made


def calls(count: int, *, alone: bool, fold: bool) -> tuple[int, Answer]:
    """Count the calls of functions: the same number on every machine."""
    counted = 0

    def note(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal counted
        counted += event == "call"

    pods = list(crashing(count, alone=alone))
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        answer = ask(pods, fold=fold)
    finally:
        sys.setprofile(before)
    return counted, answer


@GROWING
@pytest.mark.slow
@pytest.mark.parametrize("fold", [True, False], ids=["folded", "one by one"])
def test_a_scan_of_crashing_pods_takes_no_more_than_linear_time(fold: bool) -> None:
    calls(4, alone=True, fold=fold)
    # What was read of the last pods is kept; from here on each costs the same.
    (few, _), (many, found) = (calls(n, alone=True, fold=fold) for n in (50, 150))
    assert many < 3.3 * few
    assert len(found.diagnoses) == 150


@GROWING
def test_crashing_pods_of_one_workload_cost_by_their_number_only_what_it_takes_to_see_that_they_are_alike() -> None:
    calls(4, alone=False, fold=True)
    (few, _), (many, found) = (calls(n, alone=False, fold=True) for n in (50, 200))
    each = calls(50, alone=False, fold=False)[0] / 50
    assert len(found.diagnoses) == 1
    assert many < 4 * few
    assert (many - few) / 150 < each / 10


@pytest.mark.parametrize("fold", [False, True])
def test_who_waits_for_the_diagnosis_of_many_pods_is_told_how_far_it_is(fold: bool) -> None:
    told: list[tuple[str, int, int | None]] = []
    pods = list(crashing(8, alone=True))
    ask(pods, fold=fold, tell=lambda *words: told.append(words))
    assert ("pods diagnosed", 7, 8) in told
    assert [come for _, come, total in told if total == 8] == list(range(8))
