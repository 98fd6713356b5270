"""The memory of many containers on one screen."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from kubetriage.needs import Body, List, Raw
from kubetriage.plugins import Request, Target, load
from kubetriage.readers.pods import Pod
from kubetriage.render.overview import render_table
from kubetriage.render.terminal import Terminal
from kubetriage.rules.memory import dashboard
from kubetriage.rules.memory.ergonomics import GIB, MIB
from support.budgets import case, java, node, resources
from support.objects import NOW, at, cluster, container, obj, pod, running, status, terminated
from support.reviewed import compare

SNAPSHOTS = Path(__file__).parent / "snapshots"


def one(name, limit, spec=None, last=None, owner=None, node_name="node-1"):
    spec = spec or container(resources=resources(limit) if limit else {})
    shown = [status(spec["name"], running(-3600), last, ready=True)]
    made = pod(name, containers=[spec], statuses=shown, ready=True, owner=owner)
    made["spec"]["nodeName"] = node_name
    return made


def fleet():
    web = obj("ReplicaSet", "web-6c5d7f9b8")
    return [
        one("api-7d9c5b8f6-x2x4q", "512Mi"),
        one("orders-0", "4Gi", java(limit="4Gi")),
        one("cache-0", "1Gi", last=terminated(137, "OOMKilled", -14400, -3600)),
        one("a-pod-with-a-very-long-name-of-a-generated-workload-5b8f6d9c7-x2x4q", "256Mi"),
        one("web-6c5d7f9b8-aaaaa", "", owner=web),
        one("web-6c5d7f9b8-bbbbb", "", owner=web),
    ]


EARLIER = NOW - timedelta(minutes=5)
USED = {"api": 496, "orders": 2900, "cache": 300, "a-pod": 64, "web": 150}


def metrics(pods, used):
    items = []
    for made in pods:
        name = made["metadata"]["name"]
        size = next(v for k, v in used.items() if name.startswith(k))
        items.append(
            {
                "metadata": {"name": name, "namespace": "shop"},
                "timestamp": at(-10),
                "containers": [{"name": "app", "usage": {"memory": f"{size}Mi"}}],
            }
        )
    return Body(json.dumps({"items": items}))


def seen(used=None):
    pods = fleet()
    made = cluster(*pods, node("8Gi"))
    if used is not None:
        made.add_body(Raw("/apis/metrics.k8s.io/v1beta1/pods"), metrics(pods, used))
    return made


def answer(made, **more):
    return load("oom-budget").diagnose(made, Request(namespace="", all_namespaces=True, **more))


def table_of(made, earlier=(), **more):
    return answer(made, earlier=tuple(earlier), **more).overview[0]


@pytest.mark.parametrize("width", [80, 120])
def test_the_screen_looks_as_reviewed(width):
    earlier = [(EARLIER, {("shop", "api-7d9c5b8f6-x2x4q", "app"): 416 * MIB})]
    tables = answer(seen(USED), earlier=tuple(earlier)).overview
    drawn = "\n\n".join(render_table(t, Terminal(width=width)) for t in tables)
    assert max(map(len, drawn.splitlines())) <= width
    compare(SNAPSHOTS / f"dashboard-{width}.txt", drawn + "\n")


def test_the_worst_stands_first_and_those_without_a_limit_are_folded():
    names = [r[0] for r in table_of(seen(USED)).rows]
    assert names[0] == "shop/api-7d9c5b8f6-x2x4q/app"
    assert names[-1] == "shop/2 of replicaset/web-6c5d7f9b8/app"


def test_growth_between_two_looks_tells_when_the_limit_is_met():
    key = ("shop", "api-7d9c5b8f6-x2x4q", "app")
    limited, _ = dashboard.rows(seen(USED), [Pod(fleet()[0])], [(EARLIER, {key: 488 * MIB})])
    (row,) = limited
    assert row.trend == pytest.approx(8 * MIB / 5)
    assert row.full_in.total_seconds() / 60 == pytest.approx(10)


@pytest.mark.parametrize("before", [496, 500])
def test_what_does_not_grow_meets_nothing(before):
    key = ("shop", "api-7d9c5b8f6-x2x4q", "app")
    limited, _ = dashboard.rows(seen(USED), [Pod(fleet()[0])], [(EARLIER, {key: before * MIB})])
    assert limited[0].full_in is None


def test_the_life_before_a_kill_tells_the_next_one():
    limited, _ = dashboard.rows(seen(USED), [Pod(fleet()[2])])
    assert limited[0].full_in.total_seconds() == pytest.approx(14400 - 3600 - 3600, abs=5)


def test_replicas_get_their_budget_once():
    limited, _ = dashboard.rows(seen(USED), [Pod(fleet()[1])])
    (row,) = dashboard.with_budgets(seen(USED), limited)
    assert row.ceiling > row.expected > 3 * GIB


def test_absent_metrics_are_said_once():
    got = answer(seen())
    assert "in use: not seen" in got.overview[0].title
    said = [g.what for g in got.not_seen]
    assert said.count("memory in use (metrics.k8s.io and the kubelets)") == 1


def test_a_scan_says_what_it_does_not_look_for():
    assert any("children killed" in g.what for g in answer(seen(USED)).not_seen)


def test_a_budget_over_by_assumed_threads_is_no_finding_of_a_scan():
    spec = java("java", "-Xmx256m", "-XX:MaxDirectMemorySize=16m", "-XX:ReservedCodeCacheSize=48m", "-jar", "a.jar")
    for megabytes in range(380, 520, 4):
        asked = case(one_pod := one("thin-0", "", {**spec, "resources": resources(f"{megabytes}Mi")}))
        if asked.budget.decisive_assumption:
            break
    else:
        pytest.fail("no limit where the threads decide")
    made = cluster(one_pod, node("8Gi"))
    named = load("oom-budget").diagnose(made, Request(targets=(Target("pods", "thin-0"),), namespace="shop"))
    assert "BudgetExceedsLimit" in [f.cause for f in named.diagnoses[0].findings]
    scanned = answer(made)
    assert "BudgetExceedsLimit" not in [f.cause for d in scanned.diagnoses for f in d.findings]


def test_the_kubelet_stands_in_and_is_named():
    made = seen()
    entry = {"podRef": {"name": "api-7d9c5b8f6-x2x4q", "namespace": "shop", "uid": ""}}
    entry["containers"] = [{"name": "app", "memory": {"workingSetBytes": 400 * MIB, "time": at(-5)}}]
    made.add_body(Raw("/api/v1/nodes/node-1/proxy/stats/summary"), Body(json.dumps({"pods": [entry]})))
    assert "in use: kubelet stats/summary" in table_of(made).title


def test_nodes_tell_what_cannot_be_reached():
    (_, nodes) = answer(seen(USED)).overview
    assert nodes.rows == (("node-1", "8Gi", "72%", "72%", "-", "2"),)


def test_a_scan_keeps_little_of_the_pods_it_does_not_judge():
    plugin = load("oom-budget")
    request = Request(namespace="", all_namespaces=True)
    (listed,) = [n for n in plugin.plan(seen(USED), request) if isinstance(n, List) and n.resource == "pods"]
    kept = listed.shape(one("calm-0", "64Gi", container(resources=resources("64Gi", "64Gi"))))
    assert set(kept) == {"metadata", "spec", "status", "kubetriage.slim"}
    assert set(kept["spec"]["containers"][0]) == {"name", "image", "resources"}
    assert dashboard.rows(seen(), [Pod(kept)])[0][0].limit == 64 * GIB


# The rows as a document, and a workload that is followed.


def asked(earlier=(), *targets, follows=False):
    pods = fleet()
    made = cluster(*pods, node("8Gi"))
    made.add_body(Raw("/apis/metrics.k8s.io/v1beta1/pods"), metrics(pods, USED))
    made.add_body(Raw("/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods"), metrics(pods, USED))
    place = {"namespace": "shop"} if targets else {"namespace": "", "all_namespaces": True}
    plugin = load("oom-budget")
    return plugin.diagnose(made, Request(targets=targets, earlier=tuple(earlier), follows=follows, **place))


def test_the_document_has_every_row_in_bytes():
    told = asked([(EARLIER, {("shop", "api-7d9c5b8f6-x2x4q", "app"): 416 * MIB})]).document["memory"]
    first = told["containers"][0]
    assert (first["pod"], first["usedBytes"], first["limitBytes"]) == ("api-7d9c5b8f6-x2x4q", 496 * MIB, 512 * MIB)
    assert first["bytesPerMinute"] == 16 * MIB
    assert first["fullInSeconds"] == 60
    assert [row["count"] for row in told["containers"]] == [1, 1, 1, 1, 2]
    assert told["nodes"][0]["allocatableBytes"] == 8 * GIB


def test_the_largest_look_is_the_peak_where_no_counter_was_read():
    before = [(EARLIER, {("shop", "orders-0", "app"): 3500 * MIB})]
    rows = {row["pod"]: row for row in asked(before).document["memory"]["containers"]}
    assert rows["orders-0"]["peakBytes"] == 3500 * MIB
    assert "peakBytes" not in asked().document["memory"]["containers"][0]


def test_a_followed_pod_has_its_row_with_the_trend():
    target = Target("pods", "api-7d9c5b8f6-x2x4q")
    before = [(EARLIER, {("shop", "api-7d9c5b8f6-x2x4q", "app"): 416 * MIB})]
    answer = asked(before, target, follows=True)
    (table,) = answer.overview
    assert [row[0] for row in table.rows] == ["api-7d9c5b8f6-x2x4q/app"]
    assert "+16Mi/m" in table.rows[0]
    assert answer.measured


def test_a_pod_that_is_asked_once_has_no_table_above_it():
    assert not asked((), Target("pods", "api-7d9c5b8f6-x2x4q")).overview
