"""Who would wait how long for a replacement, before any node is lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kubetriage.needs import Failure, List, Why
from kubetriage.plugins import Request, load
from kubetriage.rules.node.failover_audit import audit, parse_wanted
from kubetriage.snapshot import Snapshot
from support.nodes import FOR_EVER, pod, tolerate
from support.objects import NOW

GRACE = timedelta(seconds=50)


def fates(*pods: Any) -> dict[str, str]:
    return {w.name: w.fate(GRACE) for w in audit(pods, NOW)}


@pytest.mark.parametrize(
    ("raw", "fate"),
    [
        (pod(), "gets a new pod after 355s"),
        (pod(tolerations=[tolerate("unreachable", 30)]), "gets a new pod after 85s"),
        (pod(tolerations=[]), "gets a new pod after 55s"),
        (pod(tolerations=FOR_EVER), "is never evicted: it tolerates the loss for ever"),
        (pod("db-0", owner=("StatefulSet", "db")), "waits until the node answers or is fenced: one pod per name"),
        (pod("bare", owner=None), "is deleted and never comes back: no controller"),
        (pod("agent-x", owner=("DaemonSet", "agent")), "belongs to its node"),
    ],
)
def test_each_kind_of_workload(raw, fate):
    assert list(fates(raw).values()) == [fate]


def test_pods_that_ended_or_have_no_node_do_not_count():
    assert fates(pod(phase="Succeeded"), pod("p", where="")) == {}


def ask(*pods: Any, **options: Any) -> Any:
    snapshot = Snapshot(NOW)
    snapshot.add_list(List("pods"), pods)
    return load("node-triage").diagnose(snapshot, Request(options={"tolerations": True, **options}))


def test_a_patch_for_what_is_critical_and_what_it_costs():
    raw = pod(
        labels={"tier": "frontend", "pod-template-hash": "5d8c"}, tolerations=[tolerate("unreachable"), {"key": "gpu"}]
    )
    got = ask(raw, critical=("tier=frontend=30s",)).diagnoses[0].findings[0]
    assert got.cause == "FailoverTooSlow"
    written = got.fix[0].patch["spec"]["template"]["spec"]["tolerations"]
    assert {t.get("tolerationSeconds") for t in written if t["key"] != "gpu"} == {30}
    assert {"key": "gpu"} in written
    assert "Price: any loss of contact over 85s" in got.fix[0].text


def test_short_times_are_not_advised_for_a_stateful_set_and_a_bare_pod():
    marks = {"app": "db"}
    sts, bare = pod("db-0", owner=("StatefulSet", "db"), labels=marks), pod("one", owner=None, labels=marks)
    found = ask(sts, bare, critical=("app=db=10s",)).diagnoses[0].findings
    assert all(f.patch is None for x in found for f in x.fix)
    assert len(found) == 2


def test_what_is_fast_enough_or_not_critical_is_no_finding():
    fast = pod(labels={"app": "a"}, tolerations=[tolerate("unreachable", 10)])
    assert not ask(fast, pod("b"), critical=("app=a=30s",)).diagnoses[0].findings


@pytest.mark.parametrize("words", ["tier=frontend", "30s", "=30s", "a=b=c"])
def test_an_argument_that_is_none_is_refused(words):
    assert parse_wanted([words])[1] == words
    assert "SELECTOR=DURATION" in ask(critical=(words,)).errors[0]


def test_without_the_list_of_pods_there_is_no_all_clear():
    snapshot = Snapshot(NOW)
    snapshot.fail(List("pods"), Failure(Why.FORBIDDEN, "forbidden", 403))
    got = load("node-triage").diagnose(snapshot, Request(options={"tolerations": True})).diagnoses[0]
    assert got.cause == "Unknown"
