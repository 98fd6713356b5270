"""What changed since an earlier answer, and whether waiting helps."""

from __future__ import annotations

import pytest

from kubetriage.model import Confidence, Diagnosis, Finding, Ref, Severity
from kubetriage.render.document import document
from kubetriage.rules.crash.rollout import progress
from kubetriage.rules.incident.changes import changes
from kubetriage.rules.incident.patience import Prospect, prospect
from support.objects import NOW, obj, pod, running, status


def told(name, *causes, severity=Severity.ERROR, confidence=Confidence.CONFIRMED):
    ref = Ref("Pod", "shop", name)
    findings = tuple(Finding(c, severity, confidence, ref, "it happened") for c in causes)
    return Diagnosis("why-crash", ref, "it happened", findings)


def since(*diagnoses):
    return document(diagnoses, NOW)


def test_new_gone_worse_and_the_same():
    earlier = since(told("a", "AppError"), told("b", "OOMKilled"), told("c", "AppError"), told("e"))
    got = changes(earlier, [told("b"), told("a", "AppError"), told("c", "OOMKilled"), told("d", "AppError")])
    assert got.new == ("shop/pod/d: AppError",)
    assert got.gone == ("shop/pod/b: OOMKilled",)
    assert got.worse == ("shop/pod/c: OOMKilled (was AppError)",)


def test_roots_of_an_incident_are_compared_one_by_one():
    def incident(*roots):
        told_roots = [
            {"cause": cause, "severity": "error", "object": {"kind": "Node", "name": name}} for name, cause in roots
        ]
        return Diagnosis("triage", Ref("Cluster", "", "all-namespaces"), "", extra={"roots": told_roots})

    earlier = since(incident(("n1", "KubeletDown"), ("n2", "DiskPressure")))
    got = changes(earlier, [incident(("n2", "DiskPressure"), ("n3", "KubeletDown"))])
    assert got.new == ("node/n3: KubeletDown",)
    assert got.gone == ("node/n1: KubeletDown",)
    assert not got.worse


def test_a_row_of_several_objects_is_the_same_with_another_example():
    def row(name):
        fold = {"root": {"kind": "Secret", "namespace": "shop", "name": "db"}}
        return Diagnosis(
            "why-crash", Ref("Pod", "shop", name), "", told(name, "SecretNotFound").findings, extra={"fold": fold}
        )

    assert not changes(since(row("a")), [row("b")]).new


def test_an_object_that_is_not_in_the_new_answer_is_gone():
    assert changes(since(told("a", "AppError")), []).gone == ("shop/pod/a: AppError",)


def test_a_warning_that_became_an_error_is_worse():
    earlier = since(told("a", "AppError", severity=Severity.WARNING))
    assert changes(earlier, [told("a", "AppError")]).worse


def test_notes_do_not_count():
    assert not changes(since(told("a", "X", severity=Severity.NOTE)), [told("b", "Y", severity=Severity.NOTE)]).new


@pytest.mark.parametrize("other", [{}, {"kind": "PodList"}, {"kind": "DiagnosisList", "items": 3}])
def test_another_document_is_refused_or_empty(other):
    if other.get("kind") == "DiagnosisList":
        assert changes(other, []) == changes(since(), [])
    else:
        with pytest.raises(ValueError, match="not an answer of kubetriage"):
            changes(other, [])


@pytest.mark.parametrize(
    ("diagnoses", "done", "expected"),
    [
        ([told("a")], True, Prospect.HEALTHY),
        ([told("a")], False, Prospect.UNDECIDED),
        ([told("a", "ImageNotFound")], False, Prospect.HOPELESS),
        ([told("a", "ImageNotFound", confidence=Confidence.POSSIBLE)], False, Prospect.UNDECIDED),
        ([told("a", "ReadinessProbeFailed")], False, Prospect.UNDECIDED),
        ([told("a", "UnschedulableResources"), told("b", "SecretNotFound")], False, Prospect.HOPELESS),
        ([told("a", "AppError", severity=Severity.WARNING)], True, Prospect.HEALTHY),
    ],
)
def test_whether_waiting_helps(diagnoses, done, expected):
    assert prospect(diagnoses, done) is expected


def workload(kind, spec=None, generation=2, observed=2, **state):
    meta = {"generation": generation}
    return obj(kind, "api", metadata=meta, spec=spec or {}, status={"observedGeneration": observed, **state})


@pytest.mark.parametrize(
    ("raw", "done", "words"),
    [
        (workload("Deployment", {"replicas": 2}, observed=1), False, "not seen the change"),
        (workload("Deployment", {"replicas": 2}, replicas=2, updatedReplicas=1), False, "1 of 2 updated"),
        (
            workload("Deployment", {"replicas": 2}, replicas=3, updatedReplicas=2, availableReplicas=2),
            False,
            "1 old pod",
        ),
        (workload("Deployment", {"replicas": 2}, replicas=2, updatedReplicas=2, availableReplicas=2), True, "all 2"),
        (workload("Deployment", {"replicas": 0}), True, "scaled to zero"),
        (workload("DaemonSet", desiredNumberScheduled=3, updatedNumberScheduled=3, numberAvailable=2), False, "2 of 3"),
        (
            workload(
                "StatefulSet",
                {"replicas": 3},
                updatedReplicas=1,
                readyReplicas=3,
                updateRevision="b",
                currentRevision="a",
            ),
            False,
            "1 of 3 updated",
        ),
        (
            workload("StatefulSet", {"replicas": 3}, readyReplicas=3, updateRevision="a", currentRevision="a"),
            True,
            "all 3",
        ),
        (obj("Job", "j", spec={}, status={"conditions": [{"type": "Complete", "status": "True"}]}), True, "complete"),
        (obj("Job", "j", spec={"completions": 3}, status={"succeeded": 1}), False, "1 of 3"),
        (pod(statuses=[status(state=running(-5), ready=True)], ready=True), True, "Running"),
        (pod(statuses=[status(state=running(-5))]), False, "0/1"),
    ],
)
def test_how_far_a_rollout_is(raw, done, words):
    got = progress(raw["kind"], raw)
    assert got.done is done
    assert words in got.words
