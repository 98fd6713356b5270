"""The recorded clusters get the right answer from node-triage, with nothing invented for healthy nodes."""

import json

import pytest
from jsonschema import Draft202012Validator

from kubetriage.render.document import document
from support.offline import CAPTURES, Truth, answer, diagnosis, run, truths

SCHEMA = json.loads((CAPTURES.parent.parent / "docs" / "schema" / "diagnosis.json").read_text())


@pytest.mark.parametrize("expected", truths("node-triage"), ids=lambda t: t.scenario)
def test_the_right_cause_comes_first(expected: Truth):
    got = diagnosis("node-triage", expected.target, capture=expected.scenario)
    assert got.cause in expected.causes
    assert got.healthy == (expected.causes[0] in ("Healthy", "Cordoned"))


@pytest.mark.parametrize("expected", truths("node-triage"), ids=lambda t: t.scenario)
def test_the_json_follows_the_contract(expected: Truth):
    snapshot, got = run("node-triage", expected.target, capture=expected.scenario)
    content = document(got.diagnoses, snapshot.now)
    Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(content)))


def test_a_scan_tells_every_node_that_is_not_well_and_the_zone_first():
    got = answer("node-triage", capture="node-zone-outage")
    causes = {d.target.name: d.cause for d in got.diagnoses}
    assert causes == {
        "a-1": "ZoneOutage",
        "a-2": "ZoneOutage",
        "a-3": "ZoneOutage",
        "b-2": "StatusFrozen",
        "node-1": "KubeletDown",
    }
    assert [d.target.name for d in got.diagnoses][:3] == ["a-1", "a-2", "a-3"]
    assert got.checked == 10


@pytest.mark.parametrize("scenario", ["node-healthy", "node-cordoned"])
def test_a_scan_of_well_nodes_tells_nothing(scenario: str):
    got = answer("node-triage", capture=scenario)
    assert got.diagnoses == ()
    assert got.checked == 1


def test_all_shows_well_nodes_too():
    got = answer("node-triage", capture="node-kubelet-stopped-6m", show_all=True)
    assert len(got.diagnoses) == 10


def test_the_timetable_of_the_lost_node_matches_what_the_cluster_did_later():
    """node-zone-outage was recorded 33 s before the evictions that node-kubelet-stopped-6m shows as done."""
    before = diagnosis("node-triage", "node/node-1", capture="node-zone-outage")
    due = {r["pod"]["name"]: r["at"] for r in before.extra["timetable"] if r["fate"] == "due"}
    assert due == dict.fromkeys(
        ("bare", "db-0", "web-7f9d4b546c-h8hqd", "web-7f9d4b546c-m7xfl"), "2026-11-23T22:50:46Z"
    )
    pods = json.loads((CAPTURES / "node-kubelet-stopped-6m" / "shop" / "pods.json").read_text())["items"]
    done = {
        pod["metadata"]["name"]: condition["lastTransitionTime"]
        for pod in pods
        for condition in pod["status"]["conditions"]
        if condition["type"] == "DisruptionTarget" and pod["metadata"]["name"] in due
    }
    assert done == due


def test_stuck_pods_are_told_apart_by_their_owner():
    got = diagnosis("node-triage", "node/node-1", capture="node-kubelet-stopped-6m")
    rows = {r["pod"]["name"]: r for r in got.extra["timetable"]}
    assert rows["db-0"]["stuck"]
    assert rows["db-0"]["replacedBy"] == []
    assert rows["checkout-798756bfc9-gjf2w"]["replacedBy"] == ["checkout-798756bfc9-rtdt9 (Pending on c-2)"]
    assert len(rows["web-7f9d4b546c-h8hqd"]["replacedBy"]) == 2
    assert rows["agent-gcmhz"]["fate"] == "never"
    assert "PodDisruptionBudget" in {r.cause for r in got.findings[0].ruled_out}


def test_force_deletion_is_never_offered_for_a_kubelet_that_only_stopped():
    got = diagnosis("node-triage", "node/node-1", capture="node-kubelet-stopped-6m")
    fixes = " ".join(f.text for f in got.findings[0].fix)
    assert "--force" not in fixes
    assert "kubectl taint" not in fixes
    assert "Do not force-delete" in fixes


def test_memory_pressure_comes_with_threshold_and_free_memory():
    got = diagnosis("node-triage", "node/node-1", capture="node-memory-pressure")
    metrics = [e.value for e in got.findings[0].evidence if e.source == "metric"]
    assert metrics == ["memory.available 20.9Gi, evicts below 23Gi"]


def test_a_controller_manager_that_is_silent_freezes_the_ready_column():
    got = diagnosis("node-triage", capture="cp-controllers-down")
    assert got.cause == "StatusFrozen"
    assert got.healthy
    assert got.target.kind == "Cluster"
    assert got.lead[0].title == "READY COLUMN NOT UPDATED"
    named = diagnosis("node-triage", "node/node-1", capture="cp-controllers-down")
    assert named.cause == "StatusFrozen"
    assert named.healthy


def test_a_node_that_is_not_there_is_an_error_in_kubectls_words():
    got = answer("node-triage", "node/ghost", capture="node-healthy")
    assert got.diagnoses == ()
    assert got.errors[0].startswith('Error from server (NotFound): nodes "ghost" not found')
