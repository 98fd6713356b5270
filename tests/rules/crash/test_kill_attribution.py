"""Who ended an instance: the matrix of reason, exit code, events and lifetime."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubetriage.model import Confidence
from kubetriage.readers.pods import Container, Pod
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.kill_attribution import Killer, attribute
from kubetriage.rules.crash.probes import Probe
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

LIVENESS = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 5, "failureThreshold": 3}
"""Kills between 10 and 16 s; with the grace of 30 s SIGKILL comes between 40 and 46 s."""


def killed(code, reason, *events, lived=42.0, spec=None, denied=(), **pod_fields):
    """Attribute the end of the container of a crash-looping pod."""
    raw = pod(
        containers=[container(**(spec or {}))],
        statuses=[status(state=back_off(), last=terminated(code, reason, -60 - lived, -60))],
        **pod_fields,
    )
    case = Case(Pod(raw), cluster(raw, *events, denied=denied))
    return attribute(case, case.containers[0])


def killing(text, last, count=1):
    return event("Killing", text, container="app", last=last, count=count, warning=False)


def started(last=-102):
    return event("Started", "Container started", container="app", last=last, warning=False)


@pytest.mark.parametrize(
    ("code", "reason", "text", "expected"),
    [
        (137, "OOMKilled", "", Killer.OOM),
        (0, "OOMKilled", "", Killer.OOM),
        (143, "OOMKilled", "", Killer.OOM),
        (1, "OOMKilled", "", Killer.OOM),
        (137, "OOMKilled", "Container app failed liveness probe, will be restarted", Killer.OOM),
        (137, "Error", "Container app failed liveness probe, will be restarted", Killer.LIVENESS),
        (143, "Error", "Container app failed liveness probe, will be restarted", Killer.LIVENESS),
        (0, "Completed", "Container app failed liveness probe, will be restarted", Killer.LIVENESS),
        (1, "Error", "Container app failed liveness probe, will be restarted", Killer.LIVENESS),
        (137, "Error", "Container app failed liveness probe", Killer.LIVENESS),
        (137, "Error", "Container app failed startup probe, will be restarted", Killer.STARTUP),
        (137, "Error", "FailedPostStartHook", Killer.POST_START),
        (137, "Error", "Stopping container app", Killer.STOPPED),
        (143, "Error", "Container app definition changed, will be restarted", Killer.STOPPED),
        (137, "Error", "", Killer.UNKNOWN),
        (143, "Error", "", Killer.UNKNOWN),
        (137, "ContainerStatusUnknown", "", Killer.LOST),
        (255, "Unknown", "", Killer.LOST),
        (255, "Error", "", None),
        (1, "Error", "", None),
        (0, "Completed", "", None),
    ],
)
def test_the_matrix_of_reason_code_and_event(code, reason, text, expected):
    events = [started()] + ([killing(text, -61)] if text else [])
    verdict = killed(code, reason, *events)
    assert (verdict and verdict.killer) == expected


def test_an_event_in_the_life_of_the_instance_confirms():
    verdict = killed(137, "Error", killing("Container app failed liveness probe, will be restarted", -91))
    assert verdict.confidence is Confidence.CONFIRMED
    assert [r.cause for r in verdict.ruled_out] == ["OOMKilled"]


def test_a_kill_long_before_the_instance_does_not_speak_for_it():
    old = killing("Container app failed liveness probe, will be restarted", -3000)
    assert killed(137, "Error", old, lived=400.0, spec={"livenessProbe": LIVENESS}).killer is Killer.UNKNOWN


def test_a_kill_of_an_earlier_instance_speaks_for_one_that_ended_at_the_same_age():
    # The recorder dropped the newest event, as it does for busy pods.
    old = killing("Container app failed liveness probe, will be restarted", -300, count=4)
    verdict = killed(137, "Error", old, lived=42.0, spec={"livenessProbe": LIVENESS})
    assert verdict.killer is Killer.LIVENESS
    assert verdict.confidence is Confidence.CONFIRMED


@pytest.mark.parametrize("denied", [(), ("events",)])
@pytest.mark.parametrize(
    ("code", "lived", "expected"),
    [(137, 42.0, Killer.LIVENESS), (143, 14.0, Killer.LIVENESS), (0, 14.0, Killer.LIVENESS), (0, 35.0, None)],
)
def test_without_events_the_lifetime_is_judged_and_never_confirms(denied, code, lived, expected):
    reason = "Completed" if code == 0 else "Error"
    verdict = killed(code, reason, lived=lived, spec={"livenessProbe": LIVENESS}, denied=denied)
    assert (verdict and verdict.killer) == expected
    if verdict is not None:
        assert verdict.confidence is not Confidence.CONFIRMED


@pytest.mark.parametrize("lived", [5.0, 20.0, 70.0, 4000.0])
def test_a_lifetime_outside_the_window_is_not_a_probe_kill(lived):
    assert killed(137, "Error", lived=lived, spec={"livenessProbe": LIVENESS}).killer is Killer.UNKNOWN


def test_events_of_the_time_without_a_killing_rule_the_probe_out():
    verdict = killed(137, "Error", started(), lived=42.0, spec={"livenessProbe": LIVENESS})
    assert verdict.killer is Killer.UNKNOWN
    assert "LivenessProbeFailed" in [r.cause for r in verdict.ruled_out]
    assert "LivenessProbeFailed" not in [r.cause for r in verdict.still_possible]


@pytest.mark.parametrize(
    ("probe", "grace", "lived", "code"),
    [
        # Observed instances: delay, period, threshold, grace, life, exit code.
        ({"initialDelaySeconds": 1, "periodSeconds": 3, "failureThreshold": 3}, 30, 11, 0),
        ({"initialDelaySeconds": 1, "periodSeconds": 2, "failureThreshold": 2}, 1, 7, 137),
        ({"periodSeconds": 2, "failureThreshold": 2}, 2, 4, 137),
        ({"initialDelaySeconds": 5, "periodSeconds": 5, "failureThreshold": 3}, 2, 18, 137),
        ({"periodSeconds": 3, "failureThreshold": 2}, 5, 9, 137),
    ],
)
def test_observed_kills_fit_the_window(probe, grace, lived, code):
    assert _fits(probe, grace, lived, code)


def _fits(probe, grace, lived, code):
    raw = pod(
        containers=[container(livenessProbe=probe)],
        statuses=[status(state=back_off(), last=terminated(code, "Error", -100 - lived, -100))],
        terminationGracePeriodSeconds=grace,
    )
    it = Pod(raw).containers[0]
    life = it.termination.lifetime
    return Probe(it, "liveness", probe).fits(life, code)


@settings(max_examples=80, deadline=None)
@given(
    delay=st.integers(0, 60),
    period=st.integers(1, 30),
    timeout=st.integers(1, 10),
    threshold=st.integers(1, 6),
    grace=st.integers(0, 60),
    phase=st.floats(0, 1),
    slow=st.floats(0, 1),
    obeys=st.booleans(),
)
def test_every_kill_that_the_kubelet_can_make_fits_the_window(
    delay, period, timeout, threshold, grace, phase, slow, obeys
):
    probe = {
        "initialDelaySeconds": delay,
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": threshold,
    }
    # The first probe after the delay comes within one period; each takes up to its timeout, which delays the next.
    decided = delay + phase * period + (threshold - 1) * max(period, timeout * slow) + timeout * slow
    life = decided + (grace * slow if obeys else max(grace, 2))
    code = 143 if obeys else 137
    assert _fits(probe, grace, life, code)


def test_rivals_of_an_unattributed_sigkill_are_listed():
    raw = pod(statuses=[status(state=back_off(), last=terminated(137, "Error", -102, -60))])
    finding = crash_findings(raw, started())[0]
    assert finding.cause == "KilledBySignal"
    causes = {r.cause for r in finding.ruled_out}
    assert {"OOMKilled", "LivenessProbeFailed", "StartupProbeFailed", "Evicted", "PostStartHookFailed"} <= causes
    # Without a memory limit the node's OOM killer stays possible, so this is no certain answer.
    assert finding.confidence is Confidence.POSSIBLE


def test_a_system_oom_of_the_node_is_shown_with_an_unattributed_sigkill():
    node = obj("Node", "node-1", metadata={"uid": "node-1"})
    oom = event("SystemOOM", "System OOM encountered, victim process: java, pid: 77", node, last=-61)
    raw = pod(statuses=[status(state=back_off(), last=terminated(137, "Error", -102, -60))])
    finding = crash_findings(raw, node, oom)[0]
    assert finding.cause == "KilledBySignal"
    assert any("victim process: java" in e.value for e in finding.evidence)
    assert "node node-1 ran out of memory" in finding.message


def test_a_system_oom_of_another_time_is_not_told():
    node = obj("Node", "node-1", metadata={"uid": "node-1"})
    oom = event("SystemOOM", "System OOM encountered, victim process: java, pid: 77", node, last=-3000)
    raw = pod(statuses=[status(state=back_off(), last=terminated(137, "Error", -102, -60))])
    assert "out of memory" not in crash_findings(raw, node, oom)[0].message


def test_a_shell_that_reports_a_killed_child_is_told():
    raw = pod(statuses=[status(state=back_off(), last=terminated(137, "Error", -102, -60))])
    told, untold = (crash_findings(raw, logs={"app": f"epoch 1\n{line}\n"})[0] for line in ("Killed", "epoch 2"))
    assert "a child was killed" in told.message
    assert "a child was killed" not in untold.message


HOOKED = {"lifecycle": {"postStart": {"exec": {"command": ["/hook"]}}}}
HOOK_FAILED = event("FailedPostStartHook", "PostStartHook failed", container="app", last=-100)


def test_the_failed_hook_itself_tells_of_the_kill_when_the_kill_was_dropped():
    verdict = killed(137, "Error", started(), HOOK_FAILED, spec=HOOKED)
    assert (verdict.killer, verdict.confidence) == (Killer.POST_START, Confidence.CONFIRMED)


@pytest.mark.parametrize(
    ("code", "log", "cause"),
    [
        (1, "panic: no config\n\ngoroutine 1 [running]:\n", "AppError"),
        (1, "stopping\n", "PostStartHookFailed"),
        (137, "panic: no config\n\ngoroutine 1 [running]:\n", "PostStartHookFailed"),
    ],
)
def test_a_hook_fails_in_a_container_that_ended_by_itself(code, log, cause):
    last = terminated(code, "Error", -101, -100)
    raw = pod(containers=[container(**HOOKED)], statuses=[status(state=back_off(), last=last)])
    found = crash_causes(raw, HOOK_FAILED, killing("FailedPostStartHook", -100), logs={"app": log})
    assert found == [(cause, "app")]


@pytest.mark.parametrize("words", ["Container app resize requires restart", "Container app definition changed"])
def test_a_restart_for_a_change_of_the_pod_is_no_crash(words):
    last = terminated(143, "Error", -9000, -60)
    again = status(state=running(-59), last=last, restarts=1, ready=True)
    assert crash_causes(pod(statuses=[again], ready=True), killing(words, -61)) == []
    assert crash_causes(pod(statuses=[again], ready=True), killing(words, -9100)) == [("TerminatedBySignal", "app")]


@pytest.mark.parametrize(
    ("state", "last", "expected"),
    [
        # 1.35 and newer: the terminated state is still current and no back-off message is there.
        (terminated(137, "Error", -102, -60), terminated(137, "Error", -302, -260), "LivenessProbeFailed"),
        # Up to 1.34: waiting, the crash in lastState.
        (back_off(), terminated(137, "Error", -102, -60), "LivenessProbeFailed"),
        # A new instance runs; its log is not the crashed one's.
        (running(-10), terminated(137, "Error", -102, -60), "LivenessProbeFailed"),
        # cri-dockerd and CRI-O write the same code with their own reason.
        (waiting("CrashLoopBackOff"), terminated(137, "Error", -102, -60, signal=9), "LivenessProbeFailed"),
    ],
)
def test_the_same_kill_in_the_words_of_several_versions(state, last, expected):
    unhealthy = event(
        "Unhealthy",
        'Liveness probe failed: Get "http://10.244.0.7:8080/healthz": context deadline exceeded '
        "(Client.Timeout exceeded while awaiting headers)",
        container="app",
        last=-91,
        count=3,
    )
    raw = pod(
        containers=[container(livenessProbe=LIVENESS, ports=[{"containerPort": 8080}])],
        statuses=[status(state=state, last=last)],
    )
    kill = killing("Container app failed liveness probe, will be restarted", -90)
    got = crash_causes(raw, unhealthy, kill, logs={"app": "listening on :8080"}, previous={"app": "listening on :8080"})
    assert got[0] == (expected, "app")


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 300) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["state", "lastState", "livenessProbe", "startupProbe", "lifecycle", "resources", "ports", "restartCount", "ready"]
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(FIELDS, json_like, max_size=4), st.dictionaries(FIELDS, json_like, max_size=4), json_like)
def test_odd_objects_never_raise(spec, stat, extra):
    raw = pod(
        containers=[{**container(), **spec}],
        statuses=[{**status(state=back_off(), last=terminated(137, "Error", -9, -5)), **stat}],
        more_status={"conditions": extra, "reason": extra},
    )
    assert isinstance(crash_causes(raw, started()), list)
    assert isinstance(Pod(raw).containers[0], Container)


def test_a_server_that_hangs_later_each_time_is_still_the_probes_when_events_are_dropped():
    # Healthy for a minute, then killed: the lifetime fits no window from the start, and the newest Killing event
    # fell to the recorder's limit.
    spec = {"livenessProbe": LIVENESS}
    old = killing("Container app failed liveness probe, will be restarted", -400, count=6)
    noise = event("BackOff", "Back-off restarting failed container app", container="app", last=-10, count=30)
    verdict = killed(137, "Error", old, noise, lived=100.0, spec=spec)
    assert (verdict.killer, verdict.confidence) == (Killer.LIVENESS, Confidence.LIKELY)
    failing = event(
        "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500", container="app", last=-95
    )
    assert killed(137, "Error", old, noise, failing, lived=100.0, spec=spec).confidence is Confidence.CONFIRMED
    # An instance that ended before the probe could have killed it is another matter.
    assert killed(137, "Error", old, noise, lived=3.0, spec=spec).killer is Killer.UNKNOWN


@pytest.mark.parametrize(("count", "last", "expected"), [(3, -92, Killer.LIVENESS), (1, -92, Killer.UNKNOWN)])
def test_enough_failures_right_before_a_kill_speak_where_its_event_was_dropped(count, last, expected):
    noise = event("BackOff", "Back-off restarting failed container app", container="app", last=-10, count=30)
    words = "Liveness probe failed: HTTP probe failed with statuscode: 500"
    failing = event("Unhealthy", words, container="app", last=last, count=count)
    verdict = killed(137, "Error", noise, failing, lived=4000.0, spec={"livenessProbe": LIVENESS})
    assert verdict.killer is expected
    assert verdict.confidence is not Confidence.CONFIRMED
