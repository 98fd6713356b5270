"""What follows from all findings together: init containers, recovered pods, unknown causes, circumstances."""

import pytest

from kubetriage.model import Confidence, Severity
from kubetriage.needs import Get, List
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import evaluation
from kubetriage.rules.crash.causes.init_container_waiting import services_named
from kubetriage.rules.crash.crash_context import edited_after, template_changes
from kubetriage.values.times import parse_time
from support.objects import (
    advised,
    at,
    back_off,
    cluster,
    container,
    crash_causes,
    crash_findings,
    event,
    obj,
    pod,
    running,
    status,
    terminated,
    waiting,
)

DEPLOYMENT = obj("Deployment", "api", spec={"replicas": 3, "selector": {"matchLabels": {"app": "api"}}})


def with_init(state, last=None, *, spec=None, **pod_fields):
    return pod(
        init=[container("migrate", **(spec or {}))],
        init_statuses=[status("migrate", state, last)],
        statuses=[status(state=waiting("PodInitializing"))],
        phase=pod_fields.pop("phase", "Pending"),
        **pod_fields,
    )


# InitContainerFailed.


@pytest.mark.parametrize(
    ("state", "last"),
    [
        (terminated(3, "Error", -9, -8), terminated(3, "Error", -99, -98)),
        (back_off("migrate"), terminated(3, "Error", -99, -98)),
        (running(-1), terminated(3, "Error", -99, -60)),
    ],
)
def test_an_init_container_that_fails_heads_with_its_own_words(state, last):
    raw = with_init(state, last)
    words = {"migrate": "relation users does not exist"}
    finding = crash_findings(raw, logs=words, previous=words)[0]
    assert (finding.cause, finding.object.container) == ("InitContainerFailed", "migrate")
    assert "relation users does not exist" in finding.message
    assert "AppError" not in {c for c, _ in crash_causes(raw, logs=words, previous=words)}


def test_a_specific_cause_of_an_init_container_heads_and_the_failure_follows():
    raw = with_init(back_off("migrate"), terminated(137, "OOMKilled", -99, -98))
    got = crash_causes(raw, logs={"migrate": "migrating"})
    assert got[:2] == [("OOMKilled", "migrate"), ("InitContainerFailed", "migrate")]


def test_an_init_container_that_succeeded_in_the_end_is_no_failure():
    raw = pod(
        init=[container("migrate")],
        init_statuses=[status("migrate", terminated(0, "Completed", -99, -95), terminated(1, "Error", -199, -198))],
        statuses=[status(state=running(-90), ready=True)],
        ready=True,
    )
    assert crash_causes(raw) == []


# InitContainerWaiting.


def test_an_init_container_that_blocks_names_what_it_waits_for():
    spec = {"command": ["sh", "-c", "until nslookup db.data.svc.cluster.local; do echo waiting for db; sleep 2; done"]}
    raw = with_init(running(-600), spec=spec)
    finding = crash_findings(raw, logs={"migrate": "waiting for db"})[0]
    assert (finding.cause, finding.severity) == ("InitContainerWaiting", Severity.ERROR)
    assert "Service db does not exist in namespace data" in finding.message


def test_an_init_container_at_work_is_a_note():
    finding = crash_findings(with_init(running(-20)), logs={"migrate": "copying"})[0]
    assert (finding.cause, finding.severity) == ("InitContainerWaiting", Severity.NOTE)
    assert "copying" in finding.message


@pytest.mark.parametrize(("complete", "severity"), [("True", Severity.NOTE), ("False", Severity.ERROR)])
def test_a_failed_try_of_a_job_that_succeeded_is_history(complete, severity):
    job = obj("Job", "report", status={"conditions": [{"type": "Complete", "status": complete}]})
    raw = pod(
        statuses=[status(state=terminated(1, "Error", -70, -60))], phase="Failed", owner=job, restartPolicy="Never"
    )
    finding = crash_findings(raw, job, logs={"app": "ValueError: no"})[0]
    assert (finding.cause, finding.severity) == ("AppError", severity)


@pytest.mark.parametrize(("ready", "said"), [(True, False), (None, False), (False, True)])
def test_a_service_that_exists_is_judged_by_its_endpoints(ready, said):
    spec = {"command": ["sh", "-c", "until nc -z db 5432; do sleep 1; done"]}
    raw = with_init(running(-600), spec=spec)
    service = obj("Service", "db", spec={"ports": [{"port": 5432}]})
    endpoints = obj(
        "EndpointSlice",
        "db-x1",
        metadata={"labels": {"kubernetes.io/service-name": "db"}},
        endpoints=[{"addresses": ["10.0.0.9"], "conditions": {} if ready is None else {"ready": ready}}],
    )
    message = crash_findings(raw, service, endpoints)[0].message
    assert "does not exist" not in message
    assert ("no ready endpoint" in message) is said
    denied = crash_findings(raw, service, denied=("endpointslices",))[0].message
    assert "no ready endpoint" not in denied


def test_services_that_may_not_be_read_are_not_called_missing():
    spec = {"command": ["sh", "-c", "until nc -z db 5432; do sleep 1; done"]}
    raw = with_init(running(-600), spec=spec)
    assert "does not exist" not in crash_findings(raw, denied=("services",))[0].message


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("until nc -z -w 2 db 5432; do sleep 1; done", ["db"]),
        ("pg_isready -h pg.data -p 5432", ["pg.data"]),
        ("curl -sf http://config:8888/health", ["config"]),
        ("/wait-for redis:6379 -- true", ["redis"]),
        ("psql postgres://u:p@pg/app -c 'select 1'", ["pg"]),
        ("chown 1000:1000 /data", []),
        ("cp -r /app/static /shared; date +%H:%M", []),
    ],
)
def test_hosts_in_commands(command, expected):
    raw = with_init(running(-600), spec={"command": ["sh", "-c", command]})
    assert services_named(Pod(raw).containers[0]) == expected


# RestartedThenStable.


def ready_again(code=1, *, restarts=1, lived=5, quiet=400, created=-900, reason="Error"):
    last = terminated(code, reason, -quiet - 2 - lived, -quiet - 2)
    return pod(
        statuses=[status(state=running(-quiet), last=last, ready=True, restarts=restarts)], ready=True, created=created
    )


@pytest.mark.parametrize(
    "raw",
    [
        ready_again(),
        ready_again(139),
        ready_again(137, reason="OOMKilled"),
        ready_again(137),
        ready_again(quiet=90 * 86400, created=-91 * 86400),
        ready_again(restarts=5, quiet=3000, created=-3900),
    ],
)
def test_a_crash_that_is_over_is_a_note(raw):
    findings = crash_findings(raw, logs={"app": ""}, previous={"app": "boom"})
    assert findings[0].cause == "RestartedThenStable"
    assert {f.severity for f in findings} == {Severity.NOTE}


def test_the_note_tells_the_old_cause_too():
    findings = crash_findings(ready_again(139), previous={"app": ""})
    assert [f.cause for f in findings] == ["RestartedThenStable", "Segfault"]


def test_a_container_that_has_just_started_again_still_crashes():
    findings = crash_findings(ready_again(139, lived=30, quiet=10, restarts=4), previous={"app": ""})
    assert (findings[0].cause, findings[0].severity) == ("Segfault", Severity.ERROR)


def test_a_leak_that_kills_every_six_hours_is_a_warning_although_the_pod_is_ready():
    raw = ready_again(137, reason="OOMKilled", restarts=24, lived=6 * 3600, quiet=3600, created=-6 * 86400)
    finding = crash_findings(raw)[0]
    assert (finding.cause, finding.severity) == ("OOMKilled", Severity.WARNING)


def test_an_unready_container_with_an_old_crash_is_reported_for_its_readiness():
    probe = {"httpGet": {"path": "/", "port": 80}}
    raw = pod(
        containers=[container(readinessProbe=probe)],
        statuses=[status(state=running(-4000), last=terminated(139, "Error", -5000, -4002), started=True)],
    )
    assert crash_causes(raw, previous={"app": ""})[0] == ("ReadinessProbeFailed", "app")


# Unknown.


def test_denied_events_and_logs_leave_the_cause_unknown_and_name_the_gaps():
    raw = pod(phase="Pending", node="", created=-600, conditions=[{"type": "PodScheduled", "status": "True"}])
    finding = crash_findings(raw, denied=("events", "pods/log"))[0]
    assert (finding.cause, finding.confidence) == ("Unknown", Confidence.POSSIBLE)
    assert "events" in finding.message


def test_a_young_pod_is_not_called_broken():
    raw = pod(phase="Pending", created=-5, statuses=[status(state=waiting("ContainerCreating"))])
    assert {f.severity for f in crash_findings(raw)} == {Severity.NOTE}


@pytest.mark.parametrize("scheduler", ["default-scheduler", "volcano"])
def test_a_pod_that_no_scheduler_looked_at_names_the_scheduler(scheduler):
    finding = crash_findings(pod(phase="Pending", node="", created=-600, schedulerName=scheduler))[0]
    assert finding.cause == "Unknown"
    assert finding.message == f"No scheduler has taken up the pod; it waits for the one named {scheduler}."


def test_a_pod_that_its_kubelet_did_not_take_up_points_at_the_node():
    raw = pod(phase="Pending", conditions=[{"type": "PodScheduled", "status": "True", "lastTransitionTime": at(-230)}])
    finding = crash_findings(raw)[0]
    assert "assigned to node-1, and the kubelet there has not taken it up" in finding.message
    assert "node-triage node-1" in advised(finding)


def test_a_pod_that_its_kubelet_took_up_is_not_called_untouched():
    conditions = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": at(-230)}]
    raw = pod(phase="Pending", conditions=conditions, more_status={"startTime": at(-229)})
    assert "taken it up" not in crash_findings(raw)[0].message


@pytest.mark.parametrize(
    "denied", [(), ("events",), ("pods/log",), ("nodes",), ("secrets", "events", "pods/log", "nodes")]
)
@pytest.mark.parametrize(
    ("code", "reason", "allowed"),
    [
        (137, "Error", {"KilledBySignal", "LivenessProbeFailed"}),
        (137, "OOMKilled", {"OOMKilled"}),
        (139, "Error", {"Segfault"}),
        (0, "Completed", {"CompletedButRestarted"}),
        (255, "Unknown", {"NodeRestarted"}),
    ],
)
def test_denied_reads_never_turn_a_cause_into_a_wrong_one(denied, code, reason, allowed):
    raw = pod(
        containers=[container(livenessProbe={"httpGet": {"port": 80}})],
        statuses=[status(state=back_off(), last=terminated(code, reason, -700, -60))],
    )
    findings = crash_findings(raw, denied=denied, logs={"app": ""})
    assert findings[0].cause in allowed


# Circumstances.


def shown(raw, *objects, **more):
    finding = crash_findings(raw, *objects, **more)[0]
    return {e.at: e.value for e in finding.evidence}


def crashing(name="api", *, node="node-1", labels=None, owner=DEPLOYMENT, restarts=6, state=None, last=None):
    return pod(
        name,
        statuses=[
            status(
                state=state or back_off(delay="5m0s"),
                last=last or terminated(139, "Error", -64, -60),
                restarts=restarts,
            )
        ],
        owner=owner,
        node=node,
        labels=labels,
    )


def well(name, node="node-1", labels=None, owner=DEPLOYMENT):
    return pod(
        name, statuses=[status(state=running(-800), ready=True)], ready=True, owner=owner, node=node, labels=labels
    )


def test_the_next_start_is_the_end_plus_the_back_off_in_the_message():
    lines = shown(crashing(), DEPLOYMENT)
    assert at(240) in lines["status.containerStatuses[app].restartCount"]


def test_the_message_is_trusted_and_not_the_restart_count():
    # A probe kill lags behind: three restarts and still 20 s.
    raw = crashing(restarts=3, state=back_off(delay="20s"), last=terminated(139, "Error", -14, -10))
    assert at(10) in shown(raw, DEPLOYMENT)["status.containerStatuses[app].restartCount"]


def test_without_a_message_only_the_latest_time_is_told():
    # 1.35 and newer leave the terminated state current while the back-off runs.
    raw = crashing(state=terminated(139, "Error", -64, -60), last=terminated(139, "Error", -364, -360))
    lines = shown(raw, DEPLOYMENT)
    assert at(240) in lines["status.containerStatuses[app].restartCount"]
    assert "both visible instances lived 4s" in lines["status.containerStatuses[app].restartCount"]


def test_all_replicas_alike_point_away_from_the_node():
    lines = shown(crashing(), crashing("api-2", node="node-2"), DEPLOYMENT)
    assert "all 2 replicas" in lines["pods of deployment/api"]


def test_replicas_of_one_node_point_at_the_node():
    lines = shown(
        crashing(node="node-3"), crashing("api-2", node="node-3"), well("api-3"), well("api-4", "node-2"), DEPLOYMENT
    )
    assert "only node node-3" in lines["pods of deployment/api"]


def test_replicas_of_one_revision_point_at_the_change():
    new, old = {"app": "api", "pod-template-hash": "bbb"}, {"app": "api", "pod-template-hash": "aaa"}
    lines = shown(crashing(labels=new), well("api-2", labels=old), DEPLOYMENT)
    assert "only revision bbb" in lines["pods of deployment/api"]
    assert "not the node" in lines["pods of deployment/api"]


def test_siblings_are_not_counted_when_they_could_not_all_be_read():
    made = cluster(crashing(), DEPLOYMENT, denied=("pods",))
    assert List("pods", "shop", "app=api") in list(evaluation.pod_needs(made, Pod(crashing())))
    found = evaluation.diagnose_pod(made, Pod(crashing()))[0]
    assert "pods of deployment/api" not in {e.at for e in found.evidence}


def test_what_the_last_revision_changed():
    def revision(name, number, spec, ready):
        return obj(
            "ReplicaSet",
            name,
            owner=DEPLOYMENT,
            metadata={"annotations": {"deployment.kubernetes.io/revision": str(number)}},
            spec={"selector": {"matchLabels": {"app": "api"}}, "template": {"spec": {"containers": [spec]}}},
            status={"readyReplicas": ready},
        )

    old = revision("api-aaa", 1, container(image="api:1.3", env=[{"name": "DB", "value": "pg"}]), 2)
    broken = revision("api-bbb", 2, container(image="api:1.4-rc"), 0)
    new = revision("api-ccc", 3, container(image="api:1.4", env=[{"name": "DB_URL", "value": "pg"}]), 0)
    lines = shown(crashing(owner=new), old, broken, new, DEPLOYMENT)
    change = lines["api-aaa -> api-ccc"]
    assert "api:1.3 -> api:1.4" in change
    assert "env DB removed" in change
    assert "env DB_URL added" in change


def test_what_a_stateful_set_changed():
    owner = obj("StatefulSet", "db", spec={"selector": {"matchLabels": {"app": "db"}}})

    def revision(name, number, image):
        data = {"spec": {"template": {"spec": {"containers": [container(image=image)]}}}}
        return obj("ControllerRevision", name, owner=owner, data=data, revision=number)

    raw = crashing(owner=owner, labels={"app": "db", "controller-revision-hash": "db-2"})
    lines = shown(raw, owner, revision("db-1", 1, "pg:15"), revision("db-2", 2, "pg:16"))
    assert "pg:15 -> pg:16" in lines["db-1 -> db-2"]


def test_unchanged_templates_say_nothing():
    spec = {"containers": [container()]}
    assert list(template_changes(spec, spec)) == []


def test_an_edit_is_dated_by_managed_fields_without_status_writes():
    edited = {
        "metadata": {
            "managedFields": [
                {"manager": "kubectl-edit", "time": at(-100)},
                {"manager": "controller", "time": at(-1), "subresource": "status"},
            ]
        }
    }
    assert edited_after(edited, parse_time(at(-200))) == (parse_time(at(-100)), "kubectl-edit")
    assert edited_after(edited, parse_time(at(-50))) is None


def test_a_second_container_gets_its_own_rhythm():
    raw = pod(
        containers=[container(), container("worker")],
        statuses=[
            status(state=back_off(), last=terminated(139, "Error", -64, -60)),
            status("worker", back_off("worker", "40s"), terminated(134, "Error", -34, -30)),
        ],
        owner=DEPLOYMENT,
    )
    findings = crash_findings(raw, DEPLOYMENT, logs={"app": "", "worker": ""})
    assert [f.object.container for f in findings] == ["app", "worker"]
    assert any(at(10) in e.value for e in findings[1].evidence)


def test_an_event_never_silences_a_finding():
    raw = crashing()
    assert crash_causes(raw, DEPLOYMENT, event("BackOff", "Back-off restarting failed container"))[0][0] == "Segfault"


@pytest.mark.parametrize(("edited", "expected"), [(-100, True), (-2000, False)])
def test_a_config_map_edited_after_the_pod_was_made_is_told(edited, expected):
    raw = pod(
        containers=[container(envFrom=[{"configMapRef": {"name": "settings"}}])],
        statuses=[status(state=back_off(), last=terminated(139, "Error", -64, -60))],
        created=-900,
    )
    settings = obj(
        "ConfigMap", "settings", metadata={"managedFields": [{"manager": "kubectl-edit", "time": at(edited)}]}, data={}
    )
    lines = shown(raw, settings, logs={"app": ""})
    assert ("configmaps/settings" in lines) is expected


def test_an_init_container_that_cannot_reach_a_service_names_it_from_its_log():
    raw = with_init(running(-600))
    log = {"migrate": "dial tcp: lookup orders-db on 10.96.0.10:53: no such host\nretrying in 5s"}
    assert "Service orders-db does not exist in namespace shop" in crash_findings(raw, logs=log)[0].message


def test_replicas_of_one_zone_point_at_the_zone():
    nodes = [
        obj("Node", name, metadata={"labels": {"topology.kubernetes.io/zone": zone}})
        for name, zone in (("n1", "eu-1a"), ("n2", "eu-1a"), ("n3", "eu-1b"))
    ]
    broken = crashing(node="n1")
    lines = shown(broken, crashing("api-2", node="n2"), well("api-3", node="n3"), DEPLOYMENT, *nodes)
    assert "only zone eu-1a" in lines["pods of deployment/api"]
    made = cluster(broken, crashing("api-2", node="n2"), well("api-3", node="n3"), DEPLOYMENT)
    assert {
        n.name for n in evaluation.pod_needs(made, Pod(broken)) if isinstance(n, Get) and n.resource == "nodes"
    } == {
        "n1",
        "n2",
        "n3",
    }


def test_a_changed_secret_value_is_not_shown():
    old = {"containers": [container(env=[{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "MODE", "value": "a"}])]}
    new = {"containers": [container(env=[{"name": "DB_PASSWORD", "value": "hunter3"}, {"name": "MODE", "value": "b"}])]}
    told = " ".join(template_changes(old, new))
    assert "DB_PASSWORD" in told
    assert "hunter" not in told
    assert "a -> b" in told


@pytest.mark.parametrize(("after", "causes"), [(2, []), (400, ["StuckTerminating"])])
def test_a_deleted_pod_gets_a_moment_after_its_grace_period(after, causes):
    raw = pod(statuses=[status(state=terminated(137, "Error", -9000, -after))], deletion=-after, created=-9100)
    assert [f.cause for f in crash_findings(raw)] == causes


def unplaced(**more):
    return pod(phase="Pending", node="", created=-600, **more)


def test_words_of_the_scheduler_that_are_no_known_reason_are_quoted():
    said = "0/2 nodes are available: 2 csi.example CSI driver is not installed on the node"
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}
    (found,) = crash_findings(unplaced(conditions=[condition]))
    assert found.cause == "Unknown"
    assert said in found.message


@pytest.mark.parametrize(
    ("scheduler", "words"), [("batch-scheduler", "drop schedulerName"), ("default-scheduler", "runs")]
)
def test_a_pod_that_no_scheduler_took_up(scheduler, words):
    (found,) = crash_findings(unplaced(schedulerName=scheduler), denied=("events",))
    assert f"waits for the one named {scheduler}" in found.message
    assert words in found.fix[0].text


CREATING = {"phase": "Pending", "created": -1300, "statuses": [status(state=waiting("ContainerCreating"))]}


def test_a_pull_that_goes_on_is_told_with_its_age():
    begun = event("Pulling", 'Pulling image "big:1"', container="app", last=-1200, warning=False)
    (found,) = crash_findings(pod(**CREATING), begun)
    assert "has been pulling big:1 for 20m" in found.message
    done = event("Pulled", "Successfully pulled", container="app", last=-1100, warning=False)
    assert "pulling" not in crash_findings(pod(**CREATING), begun, done)[0].message


def test_the_newest_warning_is_quoted_where_nothing_else_tells():
    warned = event(
        "FailedMount", 'MountVolume.SetUp failed for volume "cfg" : failed to sync configmap cache: timed out'
    )
    (found,) = crash_findings(pod(**CREATING), warned)
    assert "failed to sync configmap cache" in found.message


def test_a_pod_that_its_kubelet_has_not_taken_up():
    (found,) = crash_findings(pod(phase="Pending"), denied=("events",))
    assert "has not taken it up" in found.message
    assert "events could not be read" in found.message


def test_what_the_scheduler_said_before_it_found_a_node_is_over():
    said = event("FailedScheduling", "0/2 nodes are available: 2 Too many pods.", component="default-scheduler")
    (found,) = crash_findings(pod(phase="Pending"), said)
    assert "Too many pods" not in found.message
    assert "has not taken it up" in found.message
