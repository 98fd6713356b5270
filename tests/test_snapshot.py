from datetime import datetime, timezone

import pytest

from kubetriage.found import Form, State
from kubetriage.needs import Body, Failure, Get, List, Log, Raw, Why
from kubetriage.snapshot import Snapshot

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def obj(name, namespace="ns", uid=""):
    return {"metadata": {"name": name, "namespace": namespace, "uid": uid or f"uid-{name}"}}


def snapshot(**settings):
    return Snapshot(NOW, **settings)


def test_a_whole_list_proves_absence_and_a_chosen_one_does_not():
    one = snapshot()
    one.add_list(List("pods", "ns"), [obj("a")])
    assert one.get("pods", "ns", "a").found
    assert one.get("pods", "ns", "b").state is State.ABSENT
    assert one.get("pods", "other", "b").state is State.UNSEEN
    chosen = snapshot()
    chosen.add_list(List("pods", "ns", "app=x"), [obj("a")])
    assert chosen.get("pods", "ns", "b").unseen
    shaped = snapshot()
    shaped.add_list(
        List("pods", "ns", shape=lambda o: o if o["metadata"]["name"] == "a" else None), [obj("a"), obj("b")]
    )
    assert shaped.get("pods", "ns", "b").unseen
    assert shaped.dropped(List("pods", "ns")) == 1
    assert shaped.knows(List("pods", "ns"))


@pytest.mark.parametrize(
    ("why", "state"),
    [
        (Why.NOT_FOUND, State.ABSENT),
        (Why.FORBIDDEN, State.UNSEEN),
        (Why.TIMEOUT, State.UNSEEN),
        (Why.FAILED, State.UNSEEN),
    ],
)
def test_a_failed_get_is_absent_only_when_the_server_says_so(why, state):
    s = snapshot()
    s.fail(Get("secrets", "ns", "x"), Failure(why, "words"))
    assert s.get("secrets", "ns", "x").state is state
    assert s.knows(Get("secrets", "ns", "x"))


def test_a_denied_list_leaves_its_objects_unseen():
    s = snapshot(presumes_absent=True)
    s.fail(List("secrets", "ns"), Failure(Why.FORBIDDEN, "secrets is forbidden"))
    assert s.get("secrets", "ns", "x").unseen
    listing = s.list("secrets", "ns")
    assert not listing.complete
    assert listing.why == "secrets is forbidden"
    assert [why for _, why in s.unseen([List("secrets", "ns"), Get("secrets", "ns", "x")])] == [
        "secrets is forbidden"
    ] * 2


def test_a_type_that_is_not_served_has_no_objects():
    s = snapshot()
    s.fail(List("gateways"), Failure(Why.NOT_FOUND, "the server doesn't have a resource type"))
    assert s.list("gateways", "ns").complete
    assert s.get("gateways", "ns", "x").absent


def test_a_layout_without_empty_lists_presumes_absence():
    lookup = snapshot(presumes_absent=True).get("secrets", "ns", "x")
    assert lookup.absent
    assert lookup.presumed
    assert snapshot().get("secrets", "ns", "x").unseen


def test_a_namespace_of_which_nothing_was_recorded_is_unseen():
    s = snapshot(presumes_absent=True)
    for name in ("ns", "other"):
        s.add("namespaces", {"metadata": {"name": name}})
    s.add("configmaps", {"metadata": {"namespace": "ns", "name": "kube-root-ca.crt"}})
    assert s.get("services", "ns", "x").presumed
    assert s.get("services", "other", "x").unseen
    assert not s.list("services", "other").complete
    assert s.list("events", "other").complete
    # A namespace that is not there has nothing.
    assert s.get("services", "gone", "x").presumed


def test_node_events_carry_the_name_for_a_uid_and_are_told_once():
    s = Snapshot(NOW)

    def event(name, uid):
        about = {"kind": "Node", "name": "node-1", "uid": uid}
        return {"metadata": {"name": name, "namespace": "default"}, "involvedObject": about}

    s.add_list(
        List("events", "default"), [event("a", "node-1"), event("b", ""), event("c", "uid-1"), event("d", "old")]
    )
    for uid, expected in (("uid-1", ["a", "b", "c"]), ("node-1", ["a", "b"]), ("", ["a", "b"])):
        found = s.events("default", uid, "node-1", "Node").items
        assert sorted(e["metadata"]["name"] for e in found) == expected
    s.add("events", event("e", "uid-1"))
    assert len(s.events("default", "uid-1", "node-1", "Node").items) == 4
    assert s.events("other", "uid-1", "node-1", "Node").items == ()


def test_events_are_chosen_by_uid_because_names_are_reused():
    s = snapshot()
    mine = {**obj("e1"), "involvedObject": {"uid": "new", "name": "db-0", "kind": "Pod"}}
    old = {**obj("e2"), "involvedObject": {"uid": "old", "name": "db-0", "kind": "Pod"}}
    anonymous = {**obj("e3"), "involvedObject": {"name": "db-0", "kind": "Pod"}}
    s.add_list(List("events", "ns"), [mine, old, anonymous])
    listing = s.events("ns", "new", "db-0", "Pod")
    assert [e["metadata"]["name"] for e in listing.items] == ["e1", "e3"]
    assert listing.complete


def test_logs_and_bodies():
    s = snapshot()
    s.add_log(Log("ns", "p", "c", previous=True), "text")
    s.fail(Log("ns", "p", "c"), Failure(Why.NOT_FOUND, "previous terminated container not found"))
    assert s.log("ns", "p", "c", previous=True).text == "text"
    gone = s.log("ns", "p", "c")
    assert not gone.seen
    assert gone.absent
    assert not s.log("ns", "p", "other").seen
    s.add_body(Raw("/version"), Body('{"gitVersion": "v1.31.4-gke.1"}'))
    assert s.version == (1, 31)
    assert s.body("/version", sample=1) is None
    assert [str(n) for n, _ in s.unseen([Raw("/version"), Raw("/version", 1), Log("ns", "p", "other")])] == [
        "/version (sample 2)",
        "log of p/other in namespace ns",
    ]


def _names(snapshot):
    return [pod["metadata"]["name"] for pod in snapshot.list("pods").items]


def test_what_follows_from_the_whole_is_made_once_until_something_is_added():
    made = Snapshot(NOW)
    made.add("pods", {"metadata": {"namespace": "a", "name": "p"}})
    first = made.derived(_names)
    assert first == ["p"]
    assert made.derived(_names) is first
    made.add("pods", {"metadata": {"namespace": "a", "name": "q"}})
    assert made.derived(_names) == ["p", "q"]


def test_logs_of_machines_that_name_no_machine_belong_to_every_question():
    made = Snapshot(NOW)
    made.add_node_log("worker-1", "journal.txt", "one")
    made.add_node_log("worker-2", "journal.txt", "two")
    made.add_node_log("", "dmesg.txt", "three")
    assert [log.text for log in made.node_logs("worker-1")] == ["one", "three"]
    assert len(made.node_logs()) == 3


def test_what_a_printed_form_does_not_show_is_not_covered():
    seen = snapshot()
    pod = {"kind": "Pod", **obj("a")}
    assert seen.covers(pod, "spec.securityContext")
    seen.add_form(pod, Form("kubectl get pods", shows=("status.phase",)))
    assert seen.covers(pod, "status.phase")
    assert not seen.covers(pod, "spec.nodeName")
    seen.add_form(pod, Form("kubectl describe pod", hides=("spec.securityContext",)))
    assert seen.covers(pod, "spec.nodeName")
    assert not seen.covers(pod, "spec.securityContext.fsGroup")
    assert seen.covers(pod, "spec.securityContextual")
    assert [form.name for form in seen.forms(pod)] == ["kubectl get pods", "kubectl describe pod"]


@pytest.mark.parametrize(
    "learn",
    [
        lambda s: s.fail(Get("pods", "ns", "x"), Failure(Why.FORBIDDEN, "forbidden", 403)),
        lambda s: s.add_body(Raw("/livez"), Body("ok")),
        lambda s: s.add_list(List("services", "ns"), []),
        lambda s: s.presume("secrets", "ns"),
    ],
    ids=["failure", "body", "empty list", "presumed"],
)
def test_what_holds_no_object_ends_what_was_derived_too(learn):
    made = snapshot()
    first = made.derived(_held)
    learn(made)
    assert made.derived(_held) is not first


def _held(_):
    return []
