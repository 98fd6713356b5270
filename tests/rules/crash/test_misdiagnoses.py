"""Mistakes that other tools make, each checked in their source: we answer these right.

The numbers of the tests follow the list of verified misdiagnoses that this suite was started from.
"""

import pytest

from kubetriage.model import Severity
from kubetriage.needs import Log
from kubetriage.readers.events import read_event
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import evaluation
from support.objects import (
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

PROBE = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 5, "failureThreshold": 3}
KILL = "Container app failed liveness probe, will be restarted"


# 1. Exit code 137 alone is not out of memory.


@pytest.mark.parametrize(
    ("reason", "events", "fields", "expected"),
    [
        pytest.param("Error", [("Killing", KILL)], {}, "LivenessProbeFailed", id="liveness kill"),
        pytest.param("Error", [], {}, "KilledBySignal", id="kill from outside"),
        pytest.param("ContainerStatusUnknown", [], {}, "Unknown", id="made up by the kubelet"),
        pytest.param("OOMKilled", [], {}, "OOMKilled", id="really out of memory"),
    ],
)
def test_01_137_is_attributed(reason, events, fields, expected):
    raw = pod(
        containers=[container(livenessProbe=PROBE)],
        statuses=[status(state=back_off(), last=terminated(137, reason, -102, -60))],
        **fields,
    )
    seen = [event(r, m, container="app", last=-61, warning=False) for r, m in events]
    seen.append(event("Started", "Started container app", container="app", last=-102, warning=False))
    assert crash_causes(raw, *seen, logs={"app": ""})[0][0] == expected


def test_01_a_grace_kill_on_deletion_is_no_cause():
    raw = pod(statuses=[status(state=terminated(137, "Error", -900, -2))], deletion=-2)
    assert "OOMKilled" not in {c for c, _ in crash_causes(raw)}


# 2. Any Unhealthy event left in the list is no cause, and the first unready container is not to blame.


def test_02_an_old_unhealthy_event_does_not_hide_a_segfault():
    raw = pod(
        containers=[container(readinessProbe=PROBE)],
        statuses=[status(state=back_off(), last=terminated(139, "Error", -64, -60))],
    )
    old = event(
        "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", container="app", last=-63
    )
    assert crash_causes(raw, old, logs={"app": ""})[0] == ("Segfault", "app")


def test_02_an_event_belongs_to_its_own_container():
    raw = pod(
        containers=[container("web", readinessProbe=PROBE), container("cache", readinessProbe=PROBE)],
        statuses=[
            status("web", running(-900), started=True),
            status("cache", running(-900), started=True),
        ],
    )
    told = event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 500", container="cache")
    findings = {f.object.container: f for f in crash_findings(raw, told)}
    assert "500" in findings["cache"].message
    assert "500" not in findings["web"].message


# 3. Native sidecars are not init containers; an old crash of a ready pod is not news; waiting is diagnosed too.


def test_03_a_sidecar_that_has_run_for_an_hour_is_not_stuck():
    raw = pod(
        init=[container("proxy", restartPolicy="Always")],
        init_statuses=[status("proxy", running(-3600), ready=True)],
        statuses=[status(state=running(-3590), ready=True)],
        ready=True,
        created=-3610,
    )
    assert crash_causes(raw) == []


def test_03_a_liveness_kill_of_a_sidecar_is_its_own():
    raw = pod(
        init=[container("proxy", restartPolicy="Always", livenessProbe=PROBE)],
        init_statuses=[status("proxy", back_off("proxy"), terminated(137, "Error", -102, -60))],
        statuses=[status(state=running(-900), ready=True)],
    )
    words = "Container proxy failed liveness probe, will be restarted"
    seen = event("Killing", words, container="proxy", init=True, last=-61, warning=False)
    assert crash_causes(raw, seen, logs={"proxy": ""})[0] == ("LivenessProbeFailed", "proxy")


def test_03_a_crash_three_months_ago_is_a_note():
    last = terminated(1, "Error", -90 * 86400 - 9, -90 * 86400 - 2)
    raw = pod(
        statuses=[status(state=running(-90 * 86400), last=last, ready=True, restarts=1)],
        ready=True,
        created=-91 * 86400,
    )
    findings = crash_findings(raw)
    assert findings[0].cause == "RestartedThenStable"
    assert {f.severity for f in findings} == {Severity.NOTE}


@pytest.mark.parametrize(
    "reason", ["RunContainerError", "CreateContainerError", "InvalidImageName", "ErrImageNeverPull", "ImagePullBackOff"]
)
def test_03_a_container_that_never_ran_is_diagnosed(reason):
    raw = pod(statuses=[status(state=waiting(reason, "something went wrong"))], phase="Pending")
    findings = crash_findings(raw)
    assert findings
    assert findings[0].severity is Severity.ERROR


# 4. "Stopping container" is how every stop begins.


def test_04_a_normal_stop_is_no_probe_kill():
    raw = pod(
        containers=[container(livenessProbe=PROBE)],
        statuses=[status(state=running(-20), last=terminated(137, "Error", -500, -25))],
    )
    stop = event("Killing", "Stopping container app", container="app", last=-30, warning=False)
    assert "LivenessProbeFailed" not in {c for c, _ in crash_causes(raw, stop, previous={"app": ""})}


# 5. A FailedMount from before the start is over once the container has run.


def test_05_an_old_mount_failure_does_not_explain_a_crash():
    raw = pod(statuses=[status(state=back_off(), last=terminated(139, "Error", -64, -60))])
    old = event(
        "FailedMount",
        'MountVolume.SetUp failed for volume "cfg" : failed to sync configmap cache: timed out',
        last=-800,
    )
    assert crash_causes(raw, old, logs={"app": ""})[0] == ("Segfault", "app")


# 6. A log line of a running program does not say that its command never ran.


@pytest.mark.parametrize(
    "line",
    [
        "listen tcp :80: bind: permission denied",
        "open /etc/app/config.yaml: no such file or directory",
    ],
)
def test_06_words_in_the_log_do_not_make_a_start_error(line):
    raw = pod(statuses=[status(state=back_off(), last=terminated(1, "Error", -64, -60))])
    causes = {c for c, _ in crash_causes(raw, logs={"app": f"starting up\n{line}"})}
    assert not causes & {"CommandNotFound", "CommandNotExecutable", "StartError"}


# 7. An eviction for an emptyDir limit is not the node's memory.


def test_07_an_empty_dir_over_its_limit_is_not_out_of_memory():
    words = 'Usage of EmptyDir volume "scratch" exceeds the limit "20Mi". '
    raw = pod(
        statuses=[status(state=terminated(137, "Error", -900, -60))],
        phase="Failed",
        more_status={"reason": "Evicted", "message": words},
    )
    findings = crash_findings(raw)
    assert "OOMKilled" not in {f.cause for f in findings}
    assert "memory" not in findings[0].message.lower()


# 8. A liveness kill after days is no slow start, and another container's probe is not this one's.


@pytest.mark.parametrize(("lived", "expected"), [(14, "LivenessKillsSlowStart"), (86400 * 3, "LivenessProbeFailed")])
def test_08_a_slow_start_needs_a_short_life(lived, expected):
    raw = pod(
        containers=[container(livenessProbe=PROBE, ports=[{"containerPort": 8080}])],
        statuses=[status(state=back_off(), last=terminated(143, "Error", -60 - lived, -60))],
        created=-86400 * 4,
    )
    kill = event("Killing", KILL, container="app", last=-61, warning=False)
    assert crash_causes(raw, kill, logs={"app": "warming up"})[0][0] == expected


def test_08_a_probe_kill_is_that_of_its_container():
    raw = pod(
        containers=[container("web", livenessProbe=PROBE), container("worker")],
        statuses=[
            status("web", back_off("web"), terminated(137, "Error", -102, -60)),
            status("worker", back_off("worker"), terminated(139, "Error", -102, -60)),
        ],
    )
    words = "Container web failed liveness probe, will be restarted"
    kill = event("Killing", words, container="web", last=-61, warning=False)
    got = crash_causes(raw, kill, logs={"web": "", "worker": ""})
    assert set(got[:2]) == {("LivenessProbeFailed", "web"), ("Segfault", "worker")}


# 9. Events of the events.k8s.io shape have no lastTimestamp; the exit code survives the back-off; a finished pod whose
#    sidecar ended with 255 is finished.


def test_09_both_shapes_of_events_are_dated_and_read_together():
    new = event("Killing", KILL, container="app", last=-61, warning=False)
    new.update(lastTimestamp=None, firstTimestamp=None, count=0, eventTime="2026-11-24T11:58:59.123456Z")
    assert read_event(new).last is not None
    raw = pod(
        containers=[container(livenessProbe=PROBE)],
        statuses=[status(state=back_off(), last=terminated(137, "Error", -102, -60))],
    )
    newer = event("BackOff", "Back-off restarting failed container app in pod api", container="app", last=-5)
    assert crash_causes(raw, newer, new, logs={"app": ""})[0][0] == "LivenessProbeFailed"


def test_09_the_exit_code_is_told_during_the_back_off():
    raw = pod(statuses=[status(state=back_off(), last=terminated(42, "Error", -64, -60))])
    finding = crash_findings(raw, logs={"app": ""})[0]
    assert any("42" in e.value for e in finding.evidence)


def test_09_a_completed_pod_with_a_stopped_sidecar_is_well():
    raw = pod(
        init=[container("proxy", restartPolicy="Always")],
        init_statuses=[status("proxy", terminated(255, "Error", -600, -49))],
        statuses=[status(state=terminated(0, "Completed", -600, -50))],
        restartPolicy="Never",
        phase="Succeeded",
    )
    assert crash_causes(raw) == []


# 10. A crash under restartPolicy Never is a crash.


def test_10_a_crashed_pod_that_is_never_restarted_is_diagnosed():
    raw = pod(
        statuses=[status(state=terminated(139, "Error", -64, -60))], restartPolicy="Never", phase="Failed", ready=False
    )
    assert crash_causes(raw, logs={"app": ""})[0] == ("Segfault", "app")


# 11. Init containers have their own logs, and logs are read with a bound.


def test_11_the_log_of_the_failing_init_container_is_asked_for_and_bounded():
    raw = pod(
        init=[container("migrate")],
        init_statuses=[status("migrate", back_off("migrate"), terminated(1, "Error", -64, -60))],
        statuses=[status(state=waiting("PodInitializing"))],
        phase="Pending",
    )
    logs = [n for n in evaluation.pod_needs(cluster(raw), Pod(raw)) if isinstance(n, Log)]
    assert [n.container for n in logs] == ["migrate"]
    assert 0 < logs[0].tail_lines <= 1000
    assert 0 < logs[0].limit_bytes <= 2**20


# 12. The failing container's log is read, not the default container's.


def test_12_the_log_of_the_failing_sidecar_is_asked_for():
    raw = pod(
        containers=[container("web"), container("worker")],
        statuses=[
            status("web", running(-900), ready=True),
            status("worker", back_off("worker"), terminated(1, "Error", -64, -60)),
        ],
    )
    logs = [n.container for n in evaluation.pod_needs(cluster(raw), Pod(raw)) if isinstance(n, Log)]
    assert logs == ["worker"]


@pytest.mark.parametrize(
    ("state", "previous"),
    [(back_off(), False), (terminated(1, "Error", -64, -60), False), (running(-5), True)],
)
def test_12_the_log_is_that_of_the_instance_that_crashed(state, previous):
    raw = pod(statuses=[status(state=state, last=terminated(1, "Error", -94, -90))])
    logs = [n for n in evaluation.pod_needs(cluster(raw), Pod(raw)) if isinstance(n, Log)]
    assert previous in [n.previous for n in logs]
    assert not (previous is False and any(n.previous for n in logs))


# 13. Texts of one version only.


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("node(s) had untolerated taint {dedicated: db}", "UnschedulableTaint"),
        ("node(s) had untolerated taint(s)", "UnschedulableTaint"),
        ("node(s) didn't match Pod's node affinity/selector", "UnschedulableNodeSelector"),
        ("Insufficient memory", "UnschedulableResources"),
    ],
)
def test_13_the_scheduler_in_old_and_new_words(words, expected):
    message = f"0/3 nodes are available: 3 {words}. preemption: 0/3 nodes are available: 3 Preemption is not helpful."
    node = obj("Node", "node-1", spec={"taints": [{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]})
    raw = pod(
        node="",
        phase="Pending",
        nodeSelector={"disk": "ssd"},
        conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}],
    )
    told = event("FailedScheduling", message, component="default-scheduler")
    assert crash_causes(raw, node, told)[0][0] == expected


# 14. The cause, not a page of status: the first finding names it, whatever else the pod carries.


def test_14_the_cause_comes_first_in_a_noisy_pod():
    raw = pod(
        init=[container("proxy", restartPolicy="Always"), container("setup")],
        init_statuses=[
            status("proxy", running(-3600), ready=True),
            status("setup", terminated(0, "Completed", -3600, -3590), terminated(1, "Error", -3650, -3640)),
        ],
        containers=[container(livenessProbe=PROBE, readinessProbe=PROBE), container("worker")],
        statuses=[
            status(state=running(-3580), ready=True),
            status("worker", back_off("worker", "5m0s"), terminated(137, "OOMKilled", -100, -60), restarts=12),
        ],
        created=-3700,
    )
    noise = [
        event(
            "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", container="app", last=-3570
        ),
        event("FailedMount", 'MountVolume.SetUp failed for volume "x" : timed out', last=-3690),
        event(
            "BackOff", "Back-off restarting failed container worker in pod api", container="worker", last=-5, count=99
        ),
    ]
    assert crash_causes(raw, *noise, logs={"worker": ""})[0] == ("OOMKilled", "worker")
