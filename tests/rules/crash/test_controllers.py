# ruff: noqa: E501  (the API server's words stand on one line)
"""Controllers that cannot create their pods, and Jobs that gave up."""

import pytest

from kubetriage.model import Confidence, Severity
from kubetriage.plugins import Request, Target, load
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import evaluation
from kubetriage.rules.crash.case import ControllerCase
from kubetriage.values.resources import BY_KIND
from support.objects import NAMESPACE, advised, at, cluster, event, obj, pod, status, terminated
from support.offline import diagnosis


def deployment(replicas=2, have=0, conditions=(), **template):
    spec = {"containers": [{"name": "app", "image": "x"}], **template}
    top = obj("Deployment", "api", spec={"replicas": replicas, "template": {"spec": spec}}, status={})
    below = obj(
        "ReplicaSet",
        "api-1",
        owner=top,
        spec={"replicas": replicas, "template": {"spec": spec}},
        status={"replicas": have, "conditions": list(conditions)},
    )
    return top, below


def refused(message, *objects, kind="ReplicaSet", **more):
    top, below = deployment(**more)
    about = below if kind == "ReplicaSet" else top
    said = event("FailedCreate", f"Error creating: {message}", about, component="replicaset-controller")
    return findings(top, below, said, *objects)


def findings(top, *objects, pods=(), **more):
    made = cluster(top, *objects, *pods, **more)
    return evaluation.diagnose_controller(ControllerCase(top, top["kind"], made, tuple(Pod(p) for p in pods)))


QUOTA = 'pods "api-1-x" is forbidden: exceeded quota: q, requested: limits.memory=1Gi,pods=1, used: limits.memory=4Gi,pods=3, limited: limits.memory=4Gi,pods=3'
MUST = 'pods "api-1-x" is forbidden: failed quota: q: must specify limits.cpu for: app; limits.memory for: app'
REFUSALS = [
    (QUOTA, "QuotaExceeded", "limits.memory: 4Gi of 4Gi used"),
    (MUST, "QuotaExceeded", "limits.cpu, limits.memory"),
    (
        'pods "api-1-x" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi',
        "LimitRangeViolation",
        "memory limit 2Gi (maximum per Container 1Gi)",
    ),
    (
        'pods "api-1-x" is forbidden: [minimum cpu usage per Container is 100m, but request is 10m, maximum memory usage per Pod is 1Gi, but limit is 4Gi]',
        "LimitRangeViolation",
        "cpu request 10m",
    ),
    (
        'pods "api-1-x" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 8.000000',
        "LimitRangeViolation",
        "ratio",
    ),
    (
        'pods "api-1-x" is forbidden: error looking up service account shop/builder: serviceaccount "builder" not found',
        "ServiceAccountNotFound",
        "builder",
    ),
    (
        'pods "api-1-x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "app" must set securityContext.allowPrivilegeEscalation=false)',
        "AdmissionDenied",
        "level restricted",
    ),
    ('admission webhook "policy.example" denied the request: no owner label', "AdmissionDenied", "no owner label"),
    (
        'Internal error occurred: failed calling webhook "inject.example": failed to call webhook: Post "https://x.svc": dial tcp 10.0.0.1:443: connect: connection refused',
        "AdmissionDenied",
        "does not answer",
    ),
    (
        "pods \"api-1-x\" is forbidden: ValidatingAdmissionPolicy 'images' with binding 'images' denied request: image must come from registry.example",
        "AdmissionDenied",
        "images",
    ),
    ('pods "api-1-x" is forbidden: no PriorityClass with name hihg was found', "AdmissionDenied", "high exists"),
    ('pods "api-1-x" is forbidden: pod rejected: RuntimeClass "kata" not found', "AdmissionDenied", "kata"),
    (
        'pods "api-1-x" is forbidden: unable to validate against any security context constraint: [provider "x": Forbidden]',
        "AdmissionDenied",
        "constraint",
    ),
    (
        'pods "api-1-x" is forbidden: unable to create new content in namespace shop because it is being terminated',
        "AdmissionDenied",
        "terminated",
    ),
]


@pytest.mark.parametrize(("message", "cause", "word"), REFUSALS)
def test_refusals(message, cause, word):
    (found,) = refused(message, obj("PriorityClass", "high"))
    assert (found.cause, found.object.kind, found.object.name) == (cause, "Deployment", "api")
    assert word in found.message


@pytest.mark.parametrize(("message", "cause", "word"), REFUSALS)
def test_the_condition_outlives_the_events(message, cause, word):
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    top, below = deployment(conditions=[condition])
    (found,) = findings(top, below, obj("PriorityClass", "high"), denied=["events"])
    assert found.cause == cause
    assert word in found.message


@pytest.mark.parametrize(
    "lead",
    [
        "Error creating: ",
        "create Pod api-0 in StatefulSet api failed error: ",
        "(combined from similar events): Error creating: ",
    ],
)
def test_other_controllers_and_folded_events(lead):
    top = obj("StatefulSet", "api", spec={"replicas": 1, "template": {"spec": {}}}, status={"replicas": 0})
    said = event("FailedCreate", lead + QUOTA, top)
    assert [f.cause for f in findings(top, said)] == ["QuotaExceeded"]


def test_a_job_that_may_not_create_its_pod():
    top = obj("Job", "report", spec={"template": {"spec": {}}}, status={})
    assert [f.cause for f in findings(top, event("FailedCreate", f"Error creating: {QUOTA}", top))] == ["QuotaExceeded"]


def test_an_old_refusal_is_over():
    top, below = deployment(have=2)
    said = event("FailedCreate", f"Error creating: {QUOTA}", below, last=-600)
    assert {f.cause for f in findings(top, below, said)} <= {"Unknown"}
    top, below = deployment(have=1)
    made = event("SuccessfulCreate", "Created pod: api-1-x", below, last=-30, warning=False)
    assert {f.cause for f in findings(top, below, said, made)} <= {"Unknown"}


def test_the_quotas_own_numbers_are_evidence():
    quota = obj("ResourceQuota", "q", status={"hard": {"pods": "3"}, "used": {"pods": "3"}})
    (found,) = refused(QUOTA, quota)
    assert "used 3 of 3" in [e.value for e in found.evidence]


def test_the_nearest_service_account_with_a_patch():
    message = REFUSALS[5][0]
    (found,) = refused(message, obj("ServiceAccount", "builders"))
    assert found.fix[0].patch == {"spec": {"template": {"spec": {"serviceAccountName": "builders"}}}}


def test_a_token_that_the_kubelet_does_not_get():
    why = 'failed to fetch token: serviceaccounts "builder" not found'
    said = event("FailedMount", f'MountVolume.SetUp failed for volume "kube-api-access-x" : {why}')
    target = pod(
        phase="Pending",
        statuses=[status(state={"waiting": {"reason": "ContainerCreating"}})],
        serviceAccountName="builder",
        volumes=[{"name": "kube-api-access-x", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}],
    )
    made = cluster(target, said, obj("ServiceAccount", "default"))
    (found,) = evaluation.diagnose_pod(made, Pod(target))
    assert found.cause == "ServiceAccountNotFound"


def job(reason, message="", **fields):
    condition = {
        "type": "Failed",
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": at(-30),
    }
    spec = {"backoffLimit": 1, "template": {"spec": {}}, **fields.pop("spec", {})}
    return obj("Job", "report", spec=spec, status={"conditions": [condition], "failed": 2}, **fields)


@pytest.mark.parametrize(
    "reason", ["BackoffLimitExceeded", "PodFailurePolicy", "FailedIndexes", "MaxFailedIndexesExceeded"]
)
def test_a_job_that_gave_up_names_the_newest_failure(reason):
    top = job(reason, "words of the controller")
    pods = [
        pod(
            f"report-{n}",
            owner=top,
            phase="Failed",
            statuses=[status("work", terminated(n, "Error", -100 * n, -90 * n))],
        )
        for n in (1, 2)
    ]
    (found,) = findings(top, pods=pods, logs={"work": "cannot open input.csv\n"}, pod_name="report-1")
    assert (found.cause, found.object.kind, found.object.container) == ("JobBackoffLimitExceeded", "Job", "work")
    assert "report-1" in found.message
    assert "cannot open input.csv" in found.message


@pytest.mark.parametrize("end", ["INFO work: exiting with code 42", "ERROR work: column 'currency' is missing"])
def test_a_job_quotes_the_error_before_a_farewell(end):
    top = job("PodFailurePolicy", "words of the controller")
    failed = pod("report-1", owner=top, phase="Failed", statuses=[status("work", terminated(42, "Error", -100, -90))])
    log = f"ERROR work: column 'currency' is missing\n{end}\n"
    (found,) = findings(top, pods=[failed], logs={"work": log}, pod_name="report-1")
    assert "column 'currency' is missing" in found.message
    assert "exiting" not in found.message


def test_a_job_whose_pods_are_gone():
    (found,) = findings(job("BackoffLimitExceeded"))
    assert (found.cause, found.confidence, found.object.container) == (
        "JobBackoffLimitExceeded",
        Confidence.CONFIRMED,
        "",
    )


@pytest.mark.parametrize(("policy", "keeps"), [("OnFailure", False), ("Never", True)])
def test_a_job_whose_last_pod_was_deleted_with_its_log(policy, keeps):
    spec = {"backoffLimit": 1, "template": {"spec": {"restartPolicy": policy}}}
    (found,) = findings(job("BackoffLimitExceeded", spec=spec))
    assert ("restartPolicy: Never" in found.fix[0].text) == (not keeps)
    assert ("their own cause follows" in found.fix[0].text) == keeps


def test_a_job_out_of_time():
    (found,) = findings(job("DeadlineExceeded", spec={"activeDeadlineSeconds": 60}))
    assert found.cause == "JobDeadlineExceeded"
    assert "60 s" in found.message


def test_only_the_newest_job_of_a_cron_job_counts():
    top = obj("CronJob", "nightly", spec={})
    old = job("BackoffLimitExceeded", owner=top)
    new = obj(
        "Job",
        "report-2",
        owner=top,
        metadata={"creationTimestamp": at(-60)},
        status={"conditions": [{"type": "Complete", "status": "True"}]},
    )
    assert findings(top, old, new) == ()
    assert [f.cause for f in findings(top, old)] == ["JobBackoffLimitExceeded"]


def test_a_job_that_completed_is_no_finding():
    top = obj("Job", "report", spec={}, status={"conditions": [{"type": "Complete", "status": "True"}], "succeeded": 1})
    assert findings(top) == ()


def test_asks_only_for_what_the_refusal_is_about():
    top, below = deployment()
    said = event("FailedCreate", f"Error creating: {QUOTA}", below)
    made = cluster(top, below, said)
    asked = {
        (n.resource, getattr(n, "name", ""))
        for n in evaluation.controller_needs(ControllerCase(top, "Deployment", made))
    }
    assert asked == {("resourcequotas", "q")}


def test_recorded():
    found = diagnosis("why-crash", "deploy/api", capture="quota-blocked").findings
    assert [(f.cause, f.object.kind) for f in found] == [("QuotaExceeded", "Deployment")]
    first = diagnosis("why-crash", "job/report", capture="job-backoff").findings[0]
    assert (first.cause, first.object.container) == ("JobBackoffLimitExceeded", "app")


def test_a_deployment_speaks_for_a_replica_set_that_may_not_be_read():
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": QUOTA}
    top, below = deployment()
    top["status"]["conditions"] = [condition]
    assert [f.cause for f in findings(top, below, denied=["replicasets", "events"])] == ["QuotaExceeded"]


@pytest.mark.parametrize("denied", [(), ("events",), ("pods",), ("pods", "events", "replicasets")])
def test_wanted_pods_that_nobody_explains_are_not_healthy(denied):
    top, below = deployment()
    (found,) = findings(top, below, denied=denied)
    assert (found.cause, found.confidence) == ("Unknown", Confidence.POSSIBLE)
    assert all(word in found.message for word in ("could not be listed",) if "pods" in denied)


def test_a_controller_with_all_it_wants_needs_no_explanation():
    top, below = deployment(replicas=0)
    assert findings(top, below) == ()
    top, below = deployment()
    top["status"]["readyReplicas"] = 2
    assert findings(top, below, denied=["pods"]) == ()


@pytest.mark.parametrize(("reason", "found"), [("DeadlineExceeded", ["JobDeadlineExceeded"]), ("", [])])
def test_a_scan_meets_a_job_whose_pods_its_deadline_deleted(reason, found):
    ends = (
        [{"type": "Failed", "status": "True", "reason": reason, "message": "longer than specified"}] if reason else []
    )
    status = {"conditions": ends or [{"type": "Complete", "status": "True"}]}
    job = obj("Job", "report", spec={"activeDeadlineSeconds": 60}, status=status)
    told = event("DeadlineExceeded", "Job was active longer than specified deadline", job, component="job-controller")
    answer = load("why-crash").diagnose(cluster(job, told), Request(namespace=NAMESPACE))
    assert [(d.target.kind, d.cause) for d in answer.diagnoses] == [("Job", c) for c in found]


def test_a_quota_of_the_priority_class_is_missing():
    words = 'pods "api-1-x" is forbidden: insufficient quota to match these scopes: [{PriorityClass In [system-cluster-critical]}]'
    (found,) = refused(words)
    assert found.cause == "QuotaExceeded"
    assert "scopeSelector PriorityClass" in found.fix[0].text


def test_what_the_constraints_of_openshift_object_to():
    words = (
        'pods "api-1-x" is forbidden: unable to validate against any security context constraint: [provider "anyuid": '
        "Forbidden: not usable by user or serviceaccount, spec.containers[0].securityContext.runAsUser: Invalid value: 0: "
        "must be in the ranges: [1000650000, 1000659999], provider restricted-v2: x]"
    )
    (found,) = refused(words)
    assert "runAsUser: Invalid value: 0: must be in the ranges: [1000650000, 1000659999]" in found.message
    assert "anyuid" not in found.message


def test_a_claim_of_a_stateful_set_that_its_quota_refuses():
    top = obj("StatefulSet", "db", spec={"replicas": 1}, status={"replicas": 0})
    words = (
        'create Claim data-db-0 for Pod db-0 in StatefulSet db failed error: persistentvolumeclaims "data-db-0" is forbidden: '
        "exceeded quota: q, requested: requests.storage=9Gi, used: requests.storage=0, limited: requests.storage=5Gi"
    )
    (found,) = findings(top, event("FailedCreate", words, top))
    assert found.cause == "QuotaExceeded"
    assert "cannot create its claims: quota q has no room" in found.message


def test_replica_sets_that_may_not_be_listed_are_a_gap():
    top, below = deployment()
    (found,) = findings(top, below, denied=["replicasets"])
    assert found.cause == "Unknown"
    assert "its ReplicaSets, whose events would tell, could not be listed" in found.message


def test_a_paused_deployment_is_resumed():
    top, below = deployment()
    top["spec"]["paused"] = True
    (found,) = findings(top, below)
    assert "rollout resume deployment api" in advised(found)


@pytest.mark.parametrize(
    ("reason", "message", "severity", "word"),
    [
        ("UnknownTimeZone", 'invalid timeZone: "Europe/Zurch"', Severity.ERROR, "never starts a job"),
        ("UnparseableSchedule", "unparseable schedule: x", Severity.ERROR, "never starts a job"),
        ("MissSchedule", "Missed scheduled time to start a job", Severity.WARNING, "missed its time"),
        ("JobAlreadyActive", "Not starting job because prior execution is running", Severity.NOTE, "left out a run"),
    ],
)
def test_a_cron_job_that_does_not_start_its_jobs(reason, message, severity, word):
    top = obj("CronJob", "nightly", spec={"schedule": "0 3 * * *"}, status={"active": [{"name": "nightly-1"}]})
    said = event(reason, message, top, last=-60)
    (found,) = findings(top, said)
    assert (found.cause, found.severity) == ("Unknown", severity)
    assert word in found.message
    assert ("job/nightly-1" in found.fix[0].text) is (reason == "JobAlreadyActive")
    assert findings(top, said, event("SuccessfulCreate", "Created job nightly-2", top, last=-5)) == ()


def test_a_daemon_set_that_no_node_matches():
    spec = {"template": {"spec": {"nodeSelector": {"gpu": "yes"}}}}
    top = obj("DaemonSet", "agent", spec=spec, status={"desiredNumberScheduled": 0})
    request = Request(targets=(Target("daemonsets", "agent"),), namespace=NAMESPACE)
    (answer,) = load("why-crash").diagnose(cluster(top), request).diagnoses
    assert "no node matches it (nodeSelector gpu=yes)" in answer.summary


@pytest.mark.parametrize(
    ("kind", "spec", "state", "words"),
    [
        ("Job", {"suspend": True}, {}, "The Job is suspended: it starts no pods."),
        ("CronJob", {"suspend": True}, {}, "The CronJob is suspended: it starts no jobs."),
        ("CronJob", {}, {}, "has not started a job yet"),
        ("CronJob", {}, {"lastScheduleTime": at(-900)}, "none of its events tells of a failure"),
        ("Job", {}, {"conditions": [{"type": "Complete", "status": "True"}]}, "The Job is complete"),
        ("Deployment", {"replicas": 0}, {}, "scaled to zero"),
    ],
)
def test_why_a_controller_has_no_pods_and_nothing_is_wrong(kind, spec, state, words):
    top = obj(kind, "x", spec=spec, status=state)
    request = Request(targets=(Target(BY_KIND[kind].plural, "x"),), namespace=NAMESPACE)
    (answer,) = load("why-crash").diagnose(cluster(top), request).diagnoses
    assert answer.healthy
    assert words in answer.summary


@pytest.mark.parametrize(("reason", "word"), [("BackoffLimitExceeded", "error"), ("DeadlineExceeded", "longer")])
def test_how_to_run_a_job_again(reason, word):
    failed = {"conditions": [{"type": "Failed", "status": "True", "reason": reason, "message": "m"}]}
    nightly = obj("CronJob", "nightly", spec={})
    alone = obj("Job", "report", spec={"activeDeadlineSeconds": 60}, status=failed)
    (found,) = findings(alone)
    assert word in found.fix[0].text
    assert "kubectl -n shop delete job report" in advised(found)
    if reason == "BackoffLimitExceeded":
        (found,) = findings(nightly, obj("Job", "nightly-1", owner=nightly, status=failed))
        assert "create job nightly-1-again --from=cronjob/nightly" in advised(found)
