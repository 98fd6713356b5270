"""Pods that read ready on a node that does not report: no plugin calls them healthy, and each says why."""

from collections.abc import Iterable
from datetime import timedelta

import pytest

from kubetriage.cli.collect import collect
from kubetriage.model import Severity
from kubetriage.needs import Failure, Get, List, Need, Why
from kubetriage.plugins import Answer, Request, Target, load
from kubetriage.snapshot import Snapshot
from support import nodes
from support.nodes import LOST, READY, lease
from support.services import NOW, NS, cluster, pod, service, slice_of

PODS = (pod("web-1", node="n1"), pod("web-2", node="n2", ip="10.0.0.2"))
for one in PODS:
    one["spec"]["containers"][0]["resources"] = {"limits": {"memory": "256Mi"}}
WEB = service(ports=({"port": 80, "targetPort": 8080},))
DOWN = ("False", "KubeletNotReady", "container runtime is down")
DENIED = Failure(Why.FORBIDDEN, "forbidden", 403)
AT_WORK = ("why-crash", "oom-budget", "svc-trace")


class Live:
    """Answers each need from a whole cluster, shaped, as a live reader does; may refuse some resources."""

    def __init__(self, *objects, denied: tuple[str, ...] = ()) -> None:
        made = [
            {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", **o} if "spec" in o and "kind" not in o else o
            for o in objects
        ]
        self.whole, self.denied, self.asked = cluster(*made), denied, list[Need]()

    def open(self) -> Snapshot:
        return Snapshot(NOW)

    def fetch(self, needs: Iterable[Need], snapshot: Snapshot) -> None:
        for need in needs:
            self.asked.append(need)
            if getattr(need, "resource", "") in self.denied:
                snapshot.fail(need, DENIED)
            elif isinstance(need, List):
                snapshot.add_list(need, self.whole.list(need.resource, need.namespace).items)
            elif isinstance(need, Get):
                found = self.whole.get(need.resource, need.namespace, need.name)
                if found.found:
                    snapshot.add(need.resource, found.obj)
                else:
                    snapshot.fail(need, Failure(Why.NOT_FOUND, "not found", 404))
            else:
                snapshot.fail(need, Failure(Why.NOT_FOUND, "not found", 404))


def ask(command: str, reader: Live, *targets: str) -> Answer:
    plugin = load(command)
    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    named = tuple(Target(*t.split("/")) for t in targets)
    return collect(plugin, Request(targets=named, namespace=NS, options=options, fold=not named), reader)[1]


def state(first: dict, *leases: dict, **more) -> Live:
    """Make a cluster of two nodes, of which the first is as given and the second is fine."""
    beats = leases or (lease("n1", -3),)
    return Live(*PODS, WEB, slice_of(WEB, *PODS), first, nodes.node("n2"), *beats, lease("n2", -4), **more)


def target_of(command: str) -> str:
    return "services/web" if command == "svc-trace" else "pods/web-1"


def gaps(answer: Answer) -> str:
    return "\n".join(
        f"{g.what}: {g.why}" for g in (*answer.not_seen, *(n for d in answer.diagnoses for n in d.not_seen))
    )


SILENT = {
    "two renewals missed": (nodes.node("n1"), lease("n1", -25)),
    "three renewals missed": (nodes.node("n1"), lease("n1", -38)),
    "past the grace period": (nodes.node("n1"), lease("n1", -55)),
    "marked lost": (nodes.node("n1", LOST, changed=-10), lease("n1", -65)),
    "runtime down": (nodes.node("n1", DOWN, changed=-26), lease("n1", -3)),
    "gone": (nodes.node("n3"), lease("n3", -3)),
}


@pytest.mark.parametrize("named", [False, True], ids=["scan", "named"])
@pytest.mark.parametrize("command", AT_WORK)
@pytest.mark.parametrize("silent", SILENT)
def test_a_silent_node_is_no_all_clear(command: str, named: bool, silent: str) -> None:
    got = ask(command, state(*SILENT[silent]), *((target_of(command),) if named else ()))
    assert not got.errors
    unseen = (*got.not_seen, *(g for d in got.diagnoses for g in d.not_seen))
    errors = [f for d in got.diagnoses for f in d.findings if f.severity is Severity.ERROR]
    # A warning alone would leave the exit code of an answer without a fault.
    assert errors or any(g.decides for g in unseen)
    assert "n1" in gaps(got) + "".join(d.summary for d in got.diagnoses)
    assert "n2" not in gaps(got)


@pytest.mark.parametrize("named", [False, True], ids=["scan", "named"])
@pytest.mark.parametrize("command", AT_WORK)
def test_nodes_that_report_are_an_all_clear(command: str, named: bool) -> None:
    got = ask(command, state(nodes.node("n1")), *((target_of(command),) if named else ()))
    assert all(d.healthy for d in got.diagnoses), gaps(got)
    assert not any(g.decides for g in got.not_seen)
    assert bool(got.diagnoses) == named


@pytest.mark.parametrize(
    ("silent", "cause", "severity", "confidence"),
    [
        ("two renewals missed", "Unknown", "", ""),
        ("three renewals missed", "NodeNotReady", "warning", "possible"),
        ("past the grace period", "NodeNotReady", "warning", "possible"),
        ("marked lost", "NodeNotReady", "error", "confirmed"),
        ("runtime down", "NodeNotReady", "error", "confirmed"),
        ("gone", "NodeNotReady", "error", "confirmed"),
    ],
)
def test_why_crash_names_the_node_of_a_ready_pod(silent: str, cause: str, severity: str, confidence: str) -> None:
    one = ask("why-crash", state(*SILENT[silent]), "pods/web-1").diagnoses[0]
    assert one.cause == cause
    assert [(f.severity.value, f.confidence.value) for f in one.findings] == (
        [(severity, confidence)] if severity else []
    )
    scanned = ask("why-crash", state(*SILENT[silent]))
    assert [(d.target.kind, d.target.name, d.cause) for d in scanned.diagnoses] == (
        [("Node", "n1", cause)] if severity else []
    )
    assert scanned.checked == len(PODS)


def test_a_late_node_tells_when_it_is_marked_and_where_to_look() -> None:
    found = ask("why-crash", state(*SILENT["three renewals missed"]), "pods/web-1").diagnoses[0].findings[0]
    assert "turns not ready at 2026-11-24T12:00:12Z" in found.message
    assert [str(c) for c in found.fix[0].commands] == ["kubectl node-triage n1"]


def test_a_runtime_that_does_not_answer_shows_before_the_node_turns() -> None:
    mute = nodes.node("n1")
    mute["status"]["nodeInfo"]["containerRuntimeVersion"] = "cri-o://Unknown"
    found = ask("why-crash", state(mute), "pods/web-1").diagnoses[0].findings[0]
    assert (found.cause, found.severity.value) == ("NodeNotReady", "warning")
    assert "ri-o on node n1 does not answer" in found.message
    assert "cri-o does not answer" in gaps(ask("svc-trace", state(mute), "services/web"))


def test_a_clock_that_is_behind_is_no_silence() -> None:
    # Written after the other node's, which was renewed just now.
    behind = (lease("n1", -45, rv=9999), lease("n3", -5, rv=9000), lease("n4", -6, rv=9001))
    reader = Live(*PODS, WEB, nodes.node("n1"), nodes.node("n2"), *behind, lease("n2", -4, rv=9002))
    assert ask("why-crash", reader, "pods/web-1").diagnoses[0].cause == "Healthy"
    assert any(isinstance(n, List) and n.resource == "leases" for n in reader.asked)


def test_where_no_node_renews_it_is_the_control_plane() -> None:
    frozen = Live(*PODS, nodes.node("n1"), nodes.node("n2"), lease("n1", -45), lease("n2", -44))
    got = ask("why-crash", frozen)
    assert got.diagnoses == ()
    assert "no node renews its Lease; run: kubectl plane-trace" in gaps(got)


def test_a_node_without_a_lease_is_judged_by_its_condition() -> None:
    virtual = Live(*PODS, nodes.node("n1"), nodes.node("n2"))
    assert ask("why-crash", virtual, "pods/web-1").diagnoses[0].cause == "Healthy"


@pytest.mark.parametrize("command", AT_WORK)
@pytest.mark.parametrize("named", [False, True], ids=["scan", "named"])
def test_who_may_not_read_nodes_is_told_so(command: str, named: bool) -> None:
    denied = state(nodes.node("n1"), denied=("nodes", "leases"))
    got = ask(command, denied, *((target_of(command),) if named else ()))
    assert any(g.decides for g in got.not_seen) or all(d.cause == "Unknown" for d in got.diagnoses)
    assert "node" in gaps(got)


def test_pods_of_few_nodes_ask_for_these_alone_and_of_many_for_all() -> None:
    few = state(nodes.node("n1"))
    ask("why-crash", few)
    assert {n.resource for n in few.asked if isinstance(n, Get)} == {"nodes", "leases"}
    names = [f"n{i}" for i in range(40)]
    many = Live(
        *(pod(f"web-{n}", node=n) for n in names), *(nodes.node(n) for n in names), *(lease(n, -3) for n in names)
    )
    got = ask("why-crash", many)
    assert got.checked == len(names)
    assert [n for n in many.asked if isinstance(n, Get)] == []
    assert [n.resource for n in many.asked if isinstance(n, List) and n.resource in ("leases", "nodes")] == [
        "nodes",
        "leases",
    ]


def test_pods_that_have_ended_or_wait_need_no_node() -> None:
    ended = pod("web-1", node="n1", phase="Succeeded", ready=False)
    reader = Live(ended, nodes.node("n1", LOST), lease("n1", -90))
    assert ask("why-crash", reader).diagnoses == ()


def test_a_lost_pod_is_told_once() -> None:
    unready = pod("web-1", node="n1", ready=False)
    reader = Live(unready, pod("web-3", node="n1"), nodes.node("n1", LOST, changed=-20), lease("n1", -75))
    told = [(d.target.kind, d.cause) for d in ask("why-crash", reader).diagnoses]
    assert told == [("Pod", "NodeNotReady")]


def test_triage_tells_of_a_silent_node_once() -> None:
    got = ask("triage", state(*SILENT["runtime down"]))
    assert [f.cause for d in got.diagnoses for f in d.findings if f.object.kind == "Node"] == ["ContainerRuntimeDown"]


def test_what_the_grace_period_is_follows_the_version() -> None:
    old = nodes.node("n1", READY, version="v1.28.15")
    found = ask("why-crash", state(old, lease("n1", -35)), "pods/web-1").diagnoses[0].findings[0]
    ends = NOW - timedelta(seconds=35) + timedelta(seconds=40)
    assert ends.strftime("%H:%M:%SZ") in found.message
