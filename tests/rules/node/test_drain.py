"""Drains: the arithmetic of budgets, what the eviction subresource refuses and lets through, and what was not seen."""

from __future__ import annotations

from typing import Any

import pytest

from kubetriage.needs import Failure, List, Why
from kubetriage.plugins import Request, Target, load
from kubetriage.snapshot import Snapshot
from support.nodes import LEADERS, lease, node, pod, taint, world

OTHERS = [node(f"w{i}") for i in range(2)]
WEB = {"app": "web", "pod-template-hash": "5d8c"}
READY = ({"type": "Ready", "status": "True"},)


def budget(name: str = "web", selector: Any = None, policy: str = "", seen: int = 1, **counts: int) -> Any:
    counts = {"expectedPods": 2, "desiredHealthy": 2, "currentHealthy": 2, "disruptionsAllowed": 0, **counts}
    spec = {"minAvailable": counts["desiredHealthy"], "selector": {"matchLabels": {"app": "web"}}}
    if selector is not None:
        spec["selector"] = selector or None
    if policy:
        spec["unhealthyPodEvictionPolicy"] = policy
    meta = {"name": name, "namespace": "shop", "generation": 1}
    return {"metadata": meta, "spec": spec, "status": {**counts, "observedGeneration": seen}}


def web(name: str = "web-1", where: str = "n1", ready: bool = True, **rest: Any) -> Any:
    return pod(name, where, labels=WEB, conditions=READY if ready else (), **rest)


def triaged(pods: list[Any], budgets: list[Any] | None, *, cordoned: bool = True, drain: bool = False) -> Any:
    first = node(unschedulable=True) if cordoned else node()
    snapshot = world([first, *OTHERS], [lease("n1", -5), lease("w0", -5), lease("w1", -5), *LEADERS], pods=pods)
    if budgets is None:
        snapshot.fail(List("poddisruptionbudgets", cached=True, timeout=3.0), Failure(Why.FORBIDDEN, "not allowed"))
    else:
        snapshot.add_list(List("poddisruptionbudgets"), budgets)
    return ask(snapshot, drain=drain)


def ask(snapshot: Snapshot, *, drain: bool = False) -> Any:
    request = Request(targets=(Target("nodes", "n1"),), options={"drain": True} if drain else {})
    return load("node-triage").diagnose(snapshot, request).diagnoses[0]


def blocked(answer: Any) -> Any:
    return next((f for f in answer.findings if f.cause == "DrainBlocked"), None)


def words(finding: Any) -> str:
    return " ".join([finding.message, *(f.text for f in finding.fix), *(c for f in finding.fix for c in f.commands)])


@pytest.mark.parametrize(
    ("pods", "budgets", "says"),
    [
        ([web()], [budget(expectedPods=1, desiredHealthy=1, currentHealthy=1)], "scale deployment/web --replicas=2"),
        ([web()], [budget()], "disruptionsAllowed 0"),
        ([web(), web("web-2", "w0", ready=False)], [budget(desiredHealthy=1, currentHealthy=1)], "why-crash web-2"),
        ([web(ready=False)], [budget(currentHealthy=1)], "AlwaysAllow"),
        ([web()], [budget("a", disruptionsAllowed=1), budget("b", disruptionsAllowed=1)], "shop/a and shop/b"),
        ([web()], [budget(seen=0)], "not counted yet"),
        (
            [web()],
            [budget(selector={"matchExpressions": [{"key": "app", "operator": "Exists"}]})],
            "refuses shop/web-1",
        ),
        ([web()], [budget(desiredHealthy=1)], "Another eviction is under way"),
        ([web(deleted=-4000, finalizers=["example.com/guard"])], [], "finalizer example.com/guard"),
        ([web(deleted=-4000)], [], "do not end"),
    ],
)
def test_what_holds_a_drain_up_is_named_with_its_arithmetic(pods, budgets, says):
    found = blocked(triaged(pods, budgets))
    assert found.severity.value == "warning"
    assert says in words(found)


@pytest.mark.parametrize(
    ("pods", "budgets"),
    [
        ([web()], [budget(desiredHealthy=1, disruptionsAllowed=1)]),
        ([web(ready=False)], [budget(policy="AlwaysAllow", currentHealthy=1)]),
        ([web(ready=False)], [budget(desiredHealthy=1, currentHealthy=1)]),
        ([web(phase="Succeeded")], [budget()]),
        ([web(phase="Pending")], [budget()]),
        ([web(deleted=-4)], [budget()]),
        ([web()], [budget(selector={})]),
        ([pod("db-1", labels={"app": "db"}, conditions=READY)], [budget()]),
        ([pod("kube-proxy-1", owner=("DaemonSet", "kube-proxy"))], [budget()]),
    ],
)
def test_what_the_eviction_subresource_lets_through_holds_nothing_up(pods, budgets):
    assert blocked(triaged(pods, budgets)) is None


def test_pods_that_a_drain_loses_need_flags_and_are_only_a_note():
    kept = web("web-1", volumes=[{"name": "cache", "emptyDir": {}}])
    daemon = pod("kube-proxy-1", owner=("DaemonSet", "kube-proxy"))
    found = blocked(triaged([pod("tmp", owner=None, conditions=READY), kept, daemon], []))
    assert found.severity.value == "note"
    assert "kubectl drain n1 --ignore-daemonsets --delete-emptydir-data --force" in words(found)
    assert "shop/tmp" in found.message
    assert "get pod tmp -o yaml" in words(found)


def test_a_mirror_pod_is_no_pod_without_a_controller():
    static = pod("etcd-n1", owner=None, annotations={"kubernetes.io/config.mirror": "x"})
    assert blocked(triaged([static], [])) is None


def test_an_uncordoned_node_is_judged_only_when_asked():
    assert blocked(triaged([web()], [budget()], cordoned=False)) is None
    assert blocked(triaged([web()], [budget()], cordoned=False, drain=True)) is not None


def test_a_drain_that_finishes_is_said_with_its_command():
    loose = budget(desiredHealthy=1, disruptionsAllowed=1)
    answer = triaged([web(), web("web-2")], [loose], cordoned=False, drain=True)
    assert "A drain moves 2 pods (kubectl drain n1)" in answer.summary
    assert "lets 1 of 2 pods here go at a time" in answer.summary


def test_budgets_that_were_not_seen_are_not_absent():
    answer = triaged([web()], None, cordoned=False, drain=True)
    assert "A drain moves" not in answer.summary
    assert any("poddisruptionbudgets" in gap.what and gap.decides for gap in answer.not_seen)


def test_a_scan_shows_cordoned_nodes_only_where_their_drain_is_held_up():
    def scanned(budgets: list[Any]) -> list[str]:
        beats = [lease("n1", -5), lease("w0", -5), lease("w1", -5)]
        snapshot = world([node(unschedulable=True), *OTHERS], [*beats, *LEADERS], pods=[web()])
        snapshot.add_list(List("poddisruptionbudgets"), budgets)
        return [d.cause for d in load("node-triage").diagnose(snapshot, Request()).diagnoses]

    assert scanned([budget()]) == ["DrainBlocked"]
    assert scanned([]) == []


@pytest.mark.parametrize(("since", "severity"), [(-5, "note"), (-3600, "warning")])
def test_a_fresh_cordon_may_be_all_that_was_wanted(since, severity):
    marks = [taint("unschedulable", "NoSchedule", since)]
    beats = [lease("n1", -5), lease("w0", -5), lease("w1", -5)]
    snapshot = world([node(unschedulable=True, taints=marks), *OTHERS], [*beats, *LEADERS], pods=[web()])
    snapshot.add_list(List("poddisruptionbudgets"), [budget()])
    answer = ask(snapshot)
    assert blocked(answer).severity.value == severity
    assert answer.cause == ("Cordoned" if severity == "note" else "DrainBlocked")
