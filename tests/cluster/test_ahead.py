"""Guesses: what is begun before the plan asks for it answers the same, sooner, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cli.flags import plain_values
from kubetriage.cli.progress import Progress
from kubetriage.cli.sources import Sources
from kubetriage.cluster.connect import Session
from kubetriage.cluster.live import LiveReader
from kubetriage.needs import Get, List, Log
from kubetriage.plugins import Answer, Request, Target, load, no_guesses
from kubetriage.plugins.guesses import pod_guesses
from kubetriage.records import replace
from kubetriage.render.document import document
from kubetriage.snapshot import Snapshot
from support.clock import ENOUGH, HANGS, SOON
from support.fake_api import Request as Asked
from support.live import Read, Serve, ask
from support.offline import Truth, target, truths

EMPTY = Snapshot(datetime(2026, 1, 1, tzinfo=timezone.utc))
NAMED = [t for name in ("svc-trace", "node-triage") for t in truths(name) if "/" in t.target]
ABOUT_PODS = [t for t in truths("why-crash") if t.target.startswith("pod/")]


def look(reader: LiveReader, namespace: str, pod: str, *, guessing: bool = True) -> tuple[Snapshot, Answer]:
    plugin = load("why-crash")
    asked = Request(targets=(Target("pods", pod),), namespace=namespace, options={"max_logs": 50})
    return collect(plugin if guessing else replace(plugin, guesses=no_guesses), asked, reader)


def said(found: tuple[Snapshot, Answer]) -> Any:
    return document(found[1].diagnoses, found[0].now, found[1].not_seen)["items"]


@pytest.mark.parametrize(
    "denied", [(), ("pods/log",), ("events",), ("replicasets", "deployments")], ids=lambda d: "+".join(d)
)
@pytest.mark.parametrize("known", ABOUT_PODS, ids=lambda t: t.scenario)
def test_the_answer_is_the_one_without_guesses(serve: Serve, read: Read, known: Truth, denied: tuple[str, ...]) -> None:
    pod = known.target.partition("/")[2]
    api = serve(known.scenario)
    api.deny(*denied)
    plain = look(read(api), known.namespace, pod, guessing=False)
    ahead = look(read(api), known.namespace, pod)
    assert said(ahead) == said(plain)
    assert {need for need, _ in ahead[0].lists} == {need for need, _ in plain[0].lists}
    assert dict(ahead[0].logs) == dict(plain[0].logs)
    assert dict(ahead[0].failures) == dict(plain[0].failures)


@pytest.mark.parametrize("denied", [(), ("services", "pods"), ("replicasets", "events")], ids=lambda d: "+".join(d))
@pytest.mark.parametrize("known", NAMED, ids=lambda t: t.scenario)
def test_so_are_those_about_services_and_nodes(serve: Serve, read: Read, known: Truth, denied: tuple[str, ...]) -> None:
    api = serve(known.scenario)
    api.deny(*denied)
    plugin = load(known.command)
    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    asked = Request(targets=(target(known.target),), namespace=known.namespace or "default", options=options)
    plain = collect(replace(plugin, guesses=no_guesses), asked, read(api))
    ahead = collect(plugin, asked, read(api))
    assert said(ahead) == said(plain)
    assert {need for need, _ in ahead[0].lists} == {need for need, _ in plain[0].lists}
    assert dict(ahead[0].failures) == dict(plain[0].failures)


def waves(requests: Iterable[Asked]) -> int:
    """Return how many requests came one after another, each after the answer to the one before."""
    count, answered = 0, 0.0
    for one in sorted(requests, key=lambda r: r.ended):
        if one.begun >= answered:
            count, answered = count + 1, one.ended
    return count


@pytest.mark.parametrize(
    ("scenario", "most"), [("svc-notready", 3), ("ing-port-mismatch", 3), ("node-kubelet-stopped-6m", 2)]
)
def test_few_waves_lie_between_question_and_answer(serve: Serve, read: Read, scenario: str, most: int) -> None:
    api = serve(scenario)
    ask(scenario, read(api))  # what is imported now takes no time later
    seen = len(api.requests)
    api.fault("", delay=1.0)
    ask(scenario, read(api))
    assert waves(api.requests[seen:]) <= most, "without guesses it was more"


def test_a_pod_of_a_deployment_takes_two_waves(serve: Serve, read: Read) -> None:
    """Each wave waits for the slowest of its reads: everything that the names tell is in the first."""
    api = serve("deploy-crash")
    pod = next(iter(n for _, n in api.store["pods"]))
    look(read(api), "deploy-crash", pod)  # what is imported now takes no time later
    api.requests.clear()
    api.fault("", delay=1.0)
    look(read(api), "deploy-crash", pod)
    assert waves(api.requests) == 2, "the pod with all that its name tells, then what these name"
    asked = [(r.path, tuple(sorted(r.query.items()))) for r in api.asked()]
    assert len(set(asked)) == len(asked), "nothing is asked twice"
    lists = [dict(query).get("labelSelector") for path, query in asked if path.endswith(("/pods", "/replicasets"))]
    assert lists == ["app=api"] * 2, "only by the selector of the Deployment"
    assert len([path for path, _ in asked if path.endswith("/log")]) == 2, "of the instance before, and of this one"


def test_one_of_several_containers_is_asked_by_name(serve: Serve, read: Read) -> None:
    api = serve("java-npe")
    ((key, pod),) = api.store["pods"].items()
    more = {**pod["spec"]["containers"][0], "name": "beside"}
    api.add({**pod, "spec": {**pod["spec"], "containers": [*pod["spec"]["containers"], more]}})
    snapshot, answer = look(read(api), *key)
    assert answer.diagnoses[0].findings
    assert all(log.container for log, _ in snapshot.logs)
    assert any(r.query.get("container") for r in api.asked(r"/log$"))


def test_events_of_a_former_pod_of_that_name_are_not_taken(serve: Serve, read: Read) -> None:
    api = serve("java-npe")
    event = next(iter(api.store["events"].values()))
    foreign = {
        **event,
        "metadata": {**event["metadata"], "name": "of-the-former"},
        "involvedObject": {**event["involvedObject"], "uid": "former"},
        "message": "of the former pod",
    }
    api.add(foreign)
    snapshot, _ = look(read(api), *next(iter(api.store["pods"])))
    uid = event["involvedObject"]["uid"]
    listing = snapshot.events("java-npe", uid)
    assert listing.complete
    assert listing.items
    assert "of the former pod" not in [e["message"] for e in listing.items]


def test_a_guess_that_hangs_holds_nobody_up_who_does_not_ask_for_it(serve: Serve, read: Read) -> None:
    api = serve("java-npe")
    api.fault(r"/log\?(?!.*container=).*previous=true", delay=HANGS)
    begun = time.monotonic()
    _, answer = look(read(api), *next(iter(api.store["pods"])))
    assert answer.diagnoses[0].findings
    assert time.monotonic() - begun < SOON


def test_a_guess_that_is_asked_for_is_given_up_at_its_time_limit(serve: Serve, read: Read) -> None:
    api = serve("java-npe")
    api.fault(r"/log\?", delay=HANGS)
    begun = time.monotonic()
    snapshot, _ = look(read(api, {"request_timeout": ENOUGH}), *next(iter(api.store["pods"])))
    assert time.monotonic() - begun < SOON
    assert any(isinstance(need, Log) for need, _ in snapshot.failures)


@pytest.mark.parametrize(
    ("pod", "owners"),
    [
        ("api-5dd5887564-884p8", [("replicasets", "api-5dd5887564"), ("deployments", "api")]),
        ("my-web-api-7c9f-4kx2z", []),
        ("db-0", [("statefulsets", "db")]),
        ("agent-x2x4q", []),
        ("api", []),
    ],
)
def test_who_made_a_pod_is_guessed_from_its_name(pod: str, owners: list[tuple[str, str]]) -> None:
    needs = list(pod_guesses(Request(targets=(Target("pods", pod),), namespace="shop"), EMPTY))
    assert [(n.resource, n.name) for n in needs if isinstance(n, Get) and n.resource != "pods"] == owners
    assert [n.namespace for n in needs if isinstance(n, Log)] == ["shop", "shop"]
    assert [n.fields for n in needs if isinstance(n, List)] == [f"involvedObject.kind=Pod,involvedObject.name={pod}"]


def test_nothing_is_guessed_of_a_controller_but_itself() -> None:
    needs = list(
        pod_guesses(Request(targets=(Target("deployments", "api-5dd5887564-884p8"),), namespace="shop"), EMPTY)
    )
    assert [type(n).__name__ for n in needs] == ["Raw", "Get"]


SLOW = "cAdvisor's counters"


def budget(reader: LiveReader, namespace: str, pod: str) -> tuple[Snapshot, Answer]:
    asked = Request(targets=(Target("pods", pod),), namespace=namespace)
    return collect(load("oom-budget"), asked, reader)


def gaps(answer: Answer) -> dict[str, str]:
    return {g.what: g.why for d in answer.diagnoses for g in d.not_seen}


def test_a_kill_that_the_status_tells_does_not_wait_for_cadvisor(serve: Serve, read: Read) -> None:
    api = serve("oom-limit")
    usual = budget(read(api), "oom-limit", "api")[1]
    api.fault("metrics/cadvisor", delay=HANGS)
    begun = time.monotonic()
    early = budget(read(api), "oom-limit", "api")[1]
    assert time.monotonic() - begun < SOON
    (slow,) = (why for what, why in gaps(early).items() if what.startswith(SLOW))
    assert slow == "too slow: everything else was answered before"
    assert not any(what.startswith(SLOW) for what in gaps(usual))
    assert [(f.cause, f.severity) for d in early.diagnoses for f in d.findings] == [
        (f.cause, f.severity) for d in usual.diagnoses for f in d.findings
    ]


def test_without_a_known_kill_cadvisor_has_all_its_time(serve: Serve, read: Read) -> None:
    api = serve("go-panic")
    api.fault("metrics/cadvisor", delay=1.0)
    _, answer = budget(read(api), "go-panic", next(iter(n for _, n in api.store["pods"])))
    assert not any(what.startswith(SLOW) for what in gaps(answer))
    assert any("/metrics/cadvisor" in r.path for r in api.asked())


def test_only_the_first_look_opens_connections_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    monkeypatch.setattr(Session, "dial", lambda _, count: opened.append(count))
    plugin = load("why-crash")
    values = plain_values(plugin, ["api", "--server", "http://127.0.0.1:1"])
    assert values is not None
    sources = Sources(plugin, values)
    for _ in range(3):
        with Progress(sys.stderr, False) as silent:
            sources.reader(Request(targets=(Target("pods", "api"),), namespace="shop"), "", silent)
    assert opened == [7]
