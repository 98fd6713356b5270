"""OOM kills, signals, success that is restarted, node restarts, hooks."""

import pytest

from kubetriage.model import Confidence, Severity
from support.objects import (
    back_off,
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

DEPLOYMENT = obj("Deployment", "api", spec={"replicas": 1, "selector": {"matchLabels": {"app": "api"}}})
LIMIT = {"resources": {"limits": {"memory": "256Mi"}, "requests": {"memory": "256Mi"}}}


def ended(code, reason, *, spec=None, lived=30, state=None, message="", more=None, **pod_fields):
    last = terminated(code, reason, -60 - lived, -60, message)
    return pod(
        containers=[container(**(spec or {}))],
        statuses=[status(state=state or back_off(), last=last, **(more or {}))],
        owner=DEPLOYMENT,
        **pod_fields,
    )


def find(raw, *objects, **more):
    return crash_findings(raw, DEPLOYMENT, *objects, **more)


# OOMKilled.


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (137, "killed container app at"),
        (0, "child process"),
        (143, "exit code 143"),
        (1, "child process"),
        (255, "child process"),
    ],
)
def test_oom_says_which_process_died(code, said):
    finding = find(ended(code, "OOMKilled", spec=LIMIT))[0]
    assert (finding.cause, finding.confidence) == ("OOMKilled", Confidence.CONFIRMED)
    assert said in finding.message
    # Only SIGKILL of the main process is 137; nothing else may be told as that.
    assert (code == 137) == ("child" not in finding.message)


@pytest.mark.parametrize(
    ("spec", "pod_limit", "killed_by"),
    [
        (LIMIT, None, "container limit"),
        ({}, None, "node"),
        ({}, "512Mi", "pod limit"),
        (LIMIT, "200Mi", "pod limit"),
        (LIMIT, "1Gi", "container limit"),
    ],
)
def test_oom_names_the_limit_that_was_hit(spec, pod_limit, killed_by):
    more = {"resources": {"limits": {"memory": pod_limit}}} if pod_limit else {}
    finding = find(ended(137, "OOMKilled", spec=spec, **more))[0]
    assert finding.details["killedBy"] == killed_by
    # The smaller of two limits is the one that was hit.
    assert {"container limit": "256Mi", "pod limit": str(pod_limit), "node": "node"}[killed_by] in finding.message


def test_oom_quotes_the_limit_that_was_in_force_not_the_one_asked_for_since():
    raw = ended(137, "OOMKilled", spec=LIMIT, more={"resources": {"limits": {"memory": "128Mi"}}})
    finding = find(raw)[0]
    assert "128Mi" in finding.message
    patched = finding.fix[0].patch["spec"]["template"]["spec"]["containers"][0]
    assert patched == {"name": "app", "resources": {"limits": {"memory": "256Mi"}}}


def test_an_init_container_whose_child_was_oom_killed_counts_as_success_but_is_told():
    raw = pod(
        init=[container("migrate", **LIMIT)],
        init_statuses=[status("migrate", terminated(0, "OOMKilled", -90, -60))],
        statuses=[status(state=running(-50), ready=True)],
        ready=True,
    )
    finding = crash_findings(raw)[0]
    assert (finding.cause, finding.severity) == ("OOMKilled", Severity.WARNING)
    assert finding.object.container == "migrate"


def test_a_pod_that_succeeded_with_a_killed_child_is_told():
    raw = pod(statuses=[status(state=terminated(0, "OOMKilled", -90, -60))], phase="Succeeded", restartPolicy="Never")
    assert [f.severity for f in crash_findings(raw)] == [Severity.WARNING]


def test_137_without_the_reason_is_no_oom():
    assert "OOMKilled" not in {c for c, _ in crash_causes(ended(137, "Error", spec=LIMIT), DEPLOYMENT)}


# Signals.


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (139, "Segfault"),
        (134, "Aborted"),
        (143, "TerminatedBySignal"),
        (137, "KilledBySignal"),
        (132, "TerminatedBySignal"),
        (135, "TerminatedBySignal"),
        (136, "TerminatedBySignal"),
        (159, "TerminatedBySignal"),
        (129, "TerminatedBySignal"),
    ],
)
def test_exit_codes_above_128_are_signals_and_never_certain(code, expected):
    finding = find(ended(code, "Error"), logs={"app": ""})[0]
    assert finding.cause == expected
    assert finding.confidence is not Confidence.CONFIRMED


@pytest.mark.parametrize("line", ["Segmentation fault (core dumped)", "Fatal Python error: Segmentation fault"])
def test_a_segfault_that_the_log_tells_is_confirmed(line):
    assert find(ended(139, "Error"), logs={"app": f"working\n{line}"})[0].confidence is Confidence.CONFIRMED


@pytest.mark.parametrize("code", [143, 137, 0, 1, 139])
def test_ends_in_a_rollout_are_quiet(code):
    raw = pod(statuses=[status(state=terminated(code, "Error", -3600, -5))], deletion=20, ready=False)
    assert crash_causes(raw) == []


def test_sigterm_by_the_kubelet_is_told_with_its_words():
    stop = event("Killing", "Container app definition changed, will be restarted", container="app", last=-61)
    finding = find(ended(143, "Error"), stop)[0]
    assert finding.cause == "TerminatedBySignal"
    assert "definition changed" in finding.message


# CompletedButRestarted.


def test_success_under_restart_policy_always():
    got = find(ended(0, "Completed"), logs={"app": "done"})[0]
    assert (got.cause, got.severity) == ("CompletedButRestarted", Severity.ERROR)


@pytest.mark.parametrize(
    "raw",
    [
        pod(statuses=[status(state=terminated(0, "Completed", -9, -5))], restartPolicy="Never", phase="Succeeded"),
        pod(statuses=[status(state=terminated(0, "Completed", -9, -5))], restartPolicy="OnFailure", phase="Succeeded"),
        pod(
            init=[container("setup")],
            init_statuses=[status("setup", terminated(0, "Completed", -9, -5))],
            statuses=[status(state=running(-4), ready=True)],
            ready=True,
        ),
        pod(
            containers=[container(), container("task", restartPolicy="Never")],
            statuses=[
                status(state=running(-400), ready=True),
                status("task", terminated(0, "Completed", -9, -5)),
            ],
            ready=True,
        ),
    ],
)
def test_success_that_is_meant(raw):
    assert crash_causes(raw) == []


def test_a_probe_kill_that_the_program_obeyed_with_success_is_the_probes():
    spec = {"livenessProbe": {"httpGet": {"port": 8080}, "periodSeconds": 10}}
    kill = event("Killing", "Container app failed liveness probe, will be restarted", container="app", last=-61)
    assert find(ended(0, "Completed", spec=spec), kill, logs={"app": ""})[0].cause == "LivenessProbeFailed"


# Nodes.


def test_the_runtime_lost_the_exit_status():
    finding = find(ended(255, "Unknown"))[0]
    assert (finding.cause, finding.confidence) == ("NodeRestarted", Confidence.LIKELY)


def test_a_reboot_event_confirms_it():
    node = obj("Node", "node-1", metadata={"uid": "node-1"})
    reboot = event("Rebooted", "Node node-1 has been rebooted, boot id: 0a", node, last=-40)
    finding = find(ended(255, "Unknown"), node, reboot)[0]
    assert finding.confidence is Confidence.CONFIRMED
    assert any("rebooted" in e.value for e in finding.evidence)


def test_a_pod_that_runs_again_after_a_node_restart_is_well():
    raw = ended(255, "Unknown", state=running(-50), more={"ready": True, "started": True}, ready=True)
    findings = find(raw)
    assert {f.severity for f in findings} == {Severity.NOTE}
    assert findings[0].cause == "NodeRestarted"


def test_exit_255_of_the_program_is_its_own():
    assert "NodeRestarted" not in {c for c, _ in crash_causes(ended(255, "Error"), DEPLOYMENT)}


def test_a_container_that_the_kubelet_lost_is_neither_oom_nor_signal():
    words = "The container could not be located when the pod was terminated"
    raw = pod(
        statuses=[status(state=terminated(137, "ContainerStatusUnknown", None, None, words))],
        phase="Failed",
        restartPolicy="Never",
    )
    finding = crash_findings(raw)[0]
    assert finding.cause == "Unknown"
    assert any(words in e.value for e in finding.evidence)


# Hooks.

HOOK = {"lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", "register"]}}}}


def test_post_start_hook_by_event():
    failed = event("FailedPostStartHook", "PostStartHook failed", container="app", last=-89)
    kill = event("Killing", "FailedPostStartHook", container="app", last=-89, warning=False)
    assert find(ended(137, "Error", spec=HOOK), failed, kill)[0].cause == "PostStartHookFailed"


def test_post_start_hook_by_the_waiting_message():
    words = 'Exec lifecycle hook ([sh -c register]) for Container "app" in Pod "api" failed - error: exit status 7'
    raw = ended(143, "Error", spec=HOOK, state=waiting("PostStartHookError", words))
    finding = find(raw)[0]
    assert (finding.cause, finding.confidence) == ("PostStartHookFailed", Confidence.CONFIRMED)
    assert any("exit status 7" in e.value for e in finding.evidence)


def test_a_post_start_hook_that_does_not_return_holds_the_container():
    raw = pod(containers=[container(**HOOK)], statuses=[status(state=waiting("ContainerCreating"))], phase="Pending")
    started = event("Started", "Started container app", container="app", last=-300, warning=False)
    finding = crash_findings(raw, started)[0]
    assert (finding.cause, finding.object.container) == ("PostStartHookFailed", "app")
    assert "PostStartHookFailed" not in {c for c, _ in crash_causes(raw)}


def test_pre_stop_hook():
    spec = {"lifecycle": {"preStop": {"exec": {"command": ["/drain"]}}}}
    failed = event("FailedPreStopHook", "PreStopHook failed", container="app", last=-20)
    raw = pod(containers=[container(**spec)], statuses=[status(state=running(-900), ready=True)], deletion=10)
    finding = crash_findings(raw, failed)[0]
    assert (finding.cause, finding.severity) == ("PreStopHookFailed", Severity.WARNING)
    assert crash_causes(raw) == []


# Sidecars and restart rules.


def test_a_sidecar_that_ends_badly_at_shutdown_is_expected():
    raw = pod(
        init=[container("proxy", restartPolicy="Always")],
        init_statuses=[status("proxy", terminated(137, "Error", -600, -40))],
        statuses=[status(state=terminated(0, "Completed", -600, -50))],
        restartPolicy="Never",
        phase="Succeeded",
    )
    assert crash_causes(raw) == []


def test_a_sidecar_that_runs_for_days_is_well():
    raw = pod(
        init=[container("proxy", restartPolicy="Always")],
        init_statuses=[status("proxy", running(-900_000), ready=True)],
        statuses=[status(state=running(-900_000), ready=True)],
        ready=True,
        created=-900_100,
    )
    assert crash_causes(raw) == []


def test_a_liveness_kill_of_a_sidecar_is_seen():
    probe = {"httpGet": {"path": "/", "port": 15020}, "periodSeconds": 10}
    raw = pod(
        init=[container("proxy", restartPolicy="Always", livenessProbe=probe)],
        init_statuses=[status("proxy", back_off("proxy"), terminated(137, "Error", -120, -60))],
        statuses=[status(state=running(-900), ready=True)],
    )
    kill = event(
        "Killing",
        "Init container proxy failed liveness probe, will be restarted",
        container="proxy",
        init=True,
        last=-91,
    )
    assert crash_causes(raw, kill, logs={"proxy": ""})[0] == ("LivenessProbeFailed", "proxy")


def test_containers_that_a_restart_rule_of_another_one_ended_are_not_to_blame():
    raw = pod(
        containers=[container(), container("worker", restartPolicy="Never")],
        statuses=[
            status(state=running(-5), last=terminated(143, "RestartingAllContainers", -70, -9), started=True),
            status("worker", running(-5), terminated(139, "Error", -70, -10)),
        ],
    )
    got = crash_causes(raw, previous={"worker": "", "app": ""})
    assert got[0] == ("Segfault", "worker")
    assert "app" not in {c for _, c in got}


@pytest.mark.parametrize(
    ("version", "said"), [("v1.36.2", "singleProcessOOMKill"), ("v1.27.9", "one process"), ("", "")]
)
def test_a_child_that_was_killed_alone_is_explained_by_the_nodes_version(version, said):
    node = obj("Node", "node-1", status={"nodeInfo": {"kubeletVersion": version}})
    lines = {e.at: e.value for e in find(ended(1, "OOMKilled", spec=LIMIT), node)[0].evidence}
    assert said in lines.get("node/node-1 kubeletVersion", "")
    assert ("node/node-1 kubeletVersion" in lines) is bool(said)


@pytest.mark.parametrize(
    ("code", "rules", "expected"),
    [
        (0, [{"action": "Restart", "exitCodes": {"operator": "In", "values": [0]}}], "CompletedButRestarted"),
        (139, [{"action": "Restart", "exitCodes": {"operator": "NotIn", "values": [0]}}], "Segfault"),
        (139, [{"action": "Restart", "exitCodes": "odd"}, {}], "Segfault"),
    ],
)
def test_restart_rules_of_a_container(code, rules, expected):
    raw = pod(
        containers=[container(restartPolicy="Never", restartPolicyRules=rules)],
        statuses=[status(state=back_off(), last=terminated(code, "Error", -64, -60))],
        owner=DEPLOYMENT,
    )
    finding = find(raw, logs={"app": ""})[0]
    assert finding.cause == expected
    told = any("restartPolicyRules[0]" in e.value for e in finding.evidence)
    assert told is (rules[0]["exitCodes"] != "odd")


def test_a_stop_for_a_new_sandbox_says_so():
    stop = event("Killing", "Stopping container app", container="app", last=-61, warning=False)
    sandbox = event("SandboxChanged", "Pod sandbox changed, it will be killed and re-created.", last=-62, warning=False)
    finding = find(ended(143, "Error"), stop, sandbox)[0]
    assert finding.cause == "TerminatedBySignal"
    assert any("sandbox changed" in e.value for e in finding.evidence)
