"""Probe verdicts: what a probe met, whether the start was slow, and what to change."""

import pytest

from kubetriage.model import Confidence, Severity
from kubetriage.readers.events import read_event
from kubetriage.rules.crash.probes import Failure, read_probe_event
from support.objects import (
    at,
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
)

HTTP = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 5, "failureThreshold": 3}
REFUSED = 'Get "http://10.244.0.7:8080/healthz": dial tcp 10.244.0.7:8080: connect: connection refused'
TIMED_OUT = (
    'Get "http://10.244.0.7:8080/healthz": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
)
PORTS = [{"containerPort": 8080, "protocol": "TCP"}]


def unhealthy(kind, words, last=-65, count=3, verdict="failed"):
    return event("Unhealthy", f"{kind} probe {verdict}: {words}", container="app", last=last, count=count)


def kill(kind="liveness", last=-62):
    text = f"Container app failed {kind} probe, will be restarted"
    return event("Killing", text, container="app", last=last, warning=False)


def looping(lived=14, code=143, *, state=None, **spec):
    spec = {"livenessProbe": HTTP, "ports": PORTS, **spec}
    last = terminated(code, "Error", -60 - lived, -60)
    return pod(
        containers=[container(**spec)],
        statuses=[status(state=state or back_off(), last=last)],
        owner=DEPLOYMENT,
    )


DEPLOYMENT = obj("Deployment", "api", spec={"replicas": 1, "selector": {"matchLabels": {"app": "api"}}})


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (f"Liveness probe failed: {REFUSED}", Failure.REFUSED),
        ("Startup probe failed: dial tcp [fd00::7]:8080: connect: connection refused", Failure.REFUSED),
        (f"Readiness probe failed: {TIMED_OUT}", Failure.TIMEOUT),
        ("Liveness probe failed: dial tcp 10.0.0.1:80: i/o timeout", Failure.TIMEOUT),
        ('Liveness probe failed: command "sleep 9" timed out after 1s', Failure.TIMEOUT),
        ('Liveness probe failed: command timed out: "sleep 9" timed out after 1s', Failure.TIMEOUT),
        ('Liveness probe failed: timeout: failed to connect service "10.0.0.1:9" within 1s', Failure.NO_GRPC),
        (
            'Liveness probe failed: timeout: failed to connect service "10.0.0.1:9" within 1s: connection error: '
            'desc = "transport: Error while dialing: dial tcp 10.0.0.1:9: connect: connection refused"',
            Failure.REFUSED,
        ),
        ("Liveness probe failed: timeout: health rpc did not complete within 1s", Failure.OTHER),
        ("Readiness probe failed: HTTP probe failed with statuscode: 503", Failure.STATUS),
        (
            'Liveness probe failed: Get "https://x": http: server gave HTTP response to HTTPS client',
            Failure.WANTS_PLAIN,
        ),
        (
            'Liveness probe failed: Get "http://x": net/http: HTTP/1.x transport connection broken: malformed HTTP '
            'response "\\x15\\x03\\x01\\x00\\x02\\x02"',
            Failure.WANTS_TLS,
        ),
        (
            "Liveness probe failed: error: this server does not implement the grpc health protocol",
            Failure.NO_GRPC_HEALTH,
        ),
        ('Liveness probe failed: service unhealthy (responded with "NOT_SERVING")', Failure.GRPC_STATUS),
        ('Liveness probe failed: Get "http://x": read tcp: connection reset by peer', Failure.RESET),
        ('Liveness probe failed: Get "http://x": dial tcp 10.0.0.1:80: connect: no route to host', Failure.UNROUTABLE),
        ("Liveness probe failed: cat: can't open '/tmp/ok': No such file or directory\n", Failure.OTHER),
        ("Liveness probe failed: ", Failure.OTHER),
    ],
)
def test_what_a_probe_met(message, expected):
    found = read_probe_event(read_event({"reason": "Unhealthy", "message": message}))
    assert found is not None
    assert (found.failure, found.errored) == (expected, False)


@pytest.mark.parametrize(
    "message",
    [
        'Readiness probe errored: rpc error: code = Unknown desc = failed to exec in container: "curl": not found',
        'Readiness probe errored and resulted in unknown state: rpc error: code = NotFound desc = "curl": not found',
    ],
)
def test_an_errored_probe_is_known_in_old_and_new_words(message):
    found = read_probe_event(read_event({"reason": "Unhealthy", "message": message}))
    assert found is not None
    assert found.errored


def test_text_of_something_else_is_no_probe_event():
    assert read_probe_event(read_event({"reason": "Unhealthy", "message": "disk is unhealthy"})) is None


# Liveness.


@pytest.mark.parametrize(
    ("met", "log", "spec", "expected"),
    [
        pytest.param(REFUSED, "loading 3 GB of weights", {}, "LivenessKillsSlowStart", id="under way"),
        pytest.param(
            "HTTP probe failed with statuscode: 503",
            "warming caches",
            {},
            "LivenessKillsSlowStart",
            id="503 while warming",
        ),
        pytest.param(TIMED_OUT, "compiling templates", {}, "LivenessKillsSlowStart", id="time-outs while busy"),
        pytest.param(REFUSED, "Started Api in 48.2 seconds (process 1)", {}, "LivenessKillsSlowStart", id="log has it"),
        pytest.param(REFUSED, "Started Api in 2.1 seconds (process 1)", {}, "LivenessProbeFailed", id="was long up"),
        pytest.param(REFUSED, "", {}, "LivenessProbeFailed", id="silent log proves nothing"),
        pytest.param(REFUSED, "listening on port 3000", {}, "LivenessProbeFailed", id="listens elsewhere"),
        pytest.param(REFUSED, "Listening on http://127.0.0.1:8080", {}, "LivenessProbeFailed", id="loopback only"),
        pytest.param(
            REFUSED, "loading", {"ports": [{"containerPort": 9}]}, "LivenessProbeFailed", id="undeclared port"
        ),
        pytest.param("HTTP probe failed with statuscode: 404", "loading", {}, "LivenessProbeFailed", id="404"),
        pytest.param(
            REFUSED, "ERROR could not connect to db:5432, giving up", {}, "LivenessProbeFailed", id="a failing start"
        ),
    ],
)
def test_a_slow_start_is_told_from_a_wrong_probe(met, log, spec, expected):
    raw = looping(**spec)
    got = crash_causes(raw, DEPLOYMENT, unhealthy("Liveness", met), kill(), logs={"app": log})
    assert got[0] == (expected, "app")


def test_an_instance_that_lived_long_was_up_before_its_probe_failed():
    raw = looping(lived=4000)
    got = crash_causes(raw, DEPLOYMENT, unhealthy("Liveness", TIMED_OUT), kill(), logs={"app": "loading"})
    assert got[0] == ("LivenessProbeFailed", "app")


def test_a_slow_start_gets_a_startup_probe_for_the_workload_with_the_observed_time():
    raw = looping()
    log = {"app": "Started Api in 48.2 seconds (process running for 49.9)"}
    finding = crash_findings(raw, DEPLOYMENT, unhealthy("Liveness", REFUSED), kill(), logs=log)[0]
    made = finding.fix[0].patch["spec"]["template"]["spec"]["containers"][0]
    assert made["name"] == "app"
    budget = made["startupProbe"]["periodSeconds"] * made["startupProbe"]["failureThreshold"]
    assert 90 <= budget <= 120
    assert made["startupProbe"]["httpGet"] == HTTP["httpGet"]
    assert "deployment/api" in finding.fix[0].text


def test_a_replica_that_needed_longer_shows_a_slow_start():
    twin = pod(
        "api-2",
        containers=[container(livenessProbe=HTTP, ports=PORTS)],
        statuses=[status(state=running(-500), ready=True)],
        ready=True,
        owner=DEPLOYMENT,
    )
    twin["status"]["conditions"][0]["lastTransitionTime"] = at(-455)
    raw = looping()
    finding = crash_findings(raw, DEPLOYMENT, twin, unhealthy("Liveness", REFUSED), kill(), logs={"app": ""})[0]
    assert finding.cause == "LivenessKillsSlowStart"
    assert any("api-2" in e.at for e in finding.evidence)


def test_a_port_that_the_container_does_not_declare_is_named_with_the_one_it_does():
    probe = {**HTTP, "httpGet": {"path": "/", "port": 9090}}
    met = 'Get "http://10.244.0.7:9090/": dial tcp 10.244.0.7:9090: connect: connection refused'
    raw = looping(livenessProbe=probe)
    finding = crash_findings(raw, DEPLOYMENT, unhealthy("Liveness", met), kill(), logs={"app": "loading"})[0]
    assert finding.cause == "LivenessProbeFailed"
    patched = finding.fix[0].patch["spec"]["template"]["spec"]["containers"][0]
    assert patched["livenessProbe"]["httpGet"]["port"] == 8080


def test_a_named_port_is_resolved():
    ports = [{"name": "web", "containerPort": 8080}, {"name": "admin", "containerPort": 9090}]
    probe = {**HTTP, "httpGet": {"path": "/healthz", "port": "web"}}
    raw = looping(ports=ports, livenessProbe=probe)
    got = crash_causes(raw, DEPLOYMENT, unhealthy("Liveness", REFUSED), kill(), logs={"app": "warming up"})
    assert got[0][0] == "LivenessKillsSlowStart"


def test_a_liveness_probe_that_fails_now_is_a_warning_before_it_kills():
    raw = pod(
        containers=[container(livenessProbe=HTTP)], statuses=[status(state=running(-900), ready=True)], ready=True
    )
    finding = crash_findings(raw, unhealthy("Liveness", TIMED_OUT, last=-4))[0]
    assert (finding.cause, finding.severity) == ("LivenessProbeFailed", Severity.WARNING)
    assert crash_causes(raw, unhealthy("Liveness", TIMED_OUT, last=-600)) == []


def test_the_grace_period_of_the_probe_wins_over_that_of_the_pod():
    probe = {**HTTP, "terminationGracePeriodSeconds": 5}
    # 10-16 s and 5 s of grace; with the pod's 30 s it could not have ended before 40 s.
    raw = looping(lived=18, code=137, livenessProbe=probe)
    assert crash_causes(raw, DEPLOYMENT, logs={"app": ""})[0][0] == "LivenessProbeFailed"
    assert crash_causes(looping(lived=18, code=137), DEPLOYMENT, logs={"app": ""})[0][0] == "KilledBySignal"


# Startup.


def test_a_startup_probe_that_never_passed():
    raw = looping(code=137, lived=42, startupProbe=HTTP)
    finding = crash_findings(
        raw, DEPLOYMENT, unhealthy("Startup", REFUSED), kill("startup"), logs={"app": "indexing 40 %"}
    )[0]
    assert (finding.cause, finding.confidence) == ("StartupProbeFailed", Confidence.CONFIRMED)
    threshold = finding.fix[0].patch["spec"]["template"]["spec"]["containers"][0]["startupProbe"]["failureThreshold"]
    assert threshold * 5 >= 300


@pytest.mark.parametrize(
    ("words", "log", "severity"),
    [
        (REFUSED, "indexing", Severity.NOTE),
        (REFUSED, "listening on 0.0.0.0:9090", Severity.WARNING),
        ("HTTP probe failed with statuscode: 404", "indexing", Severity.WARNING),
    ],
)
def test_a_startup_probe_with_attempts_left_tells_the_time_of_the_kill(words, log, severity):
    raw = pod(containers=[container(startupProbe=HTTP)], statuses=[status(state=running(-8), started=False)])
    finding = crash_findings(raw, unhealthy("Startup", words, last=-2, count=1), logs={"app": log})[0]
    assert (finding.cause, finding.severity) == ("StartupProbeFailed", severity)
    assert at(8) in finding.message


def test_a_start_that_has_not_failed_a_probe_yet_is_a_note():
    raw = pod(containers=[container(startupProbe=HTTP)], statuses=[status(state=running(-8), started=False)])
    assert [f.severity for f in crash_findings(raw, logs={"app": "indexing"})] == [Severity.NOTE]


def test_a_started_container_has_no_startup_problem():
    raw = pod(
        containers=[container(startupProbe=HTTP)],
        statuses=[status(state=running(-800), ready=True)],
        ready=True,
    )
    assert crash_causes(raw, unhealthy("Startup", REFUSED, last=-780)) == []


# Readiness.


def unready(*events, since=-600, logs=None, others=(), other_statuses=(), **spec):
    raw = pod(
        containers=[container(**{"readinessProbe": HTTP, "ports": PORTS, **spec}), *others],
        statuses=[status(state=running(since), started=True), *other_statuses],
        owner=DEPLOYMENT,
    )
    return crash_findings(raw, DEPLOYMENT, *events, logs=logs or {"app": ""})


@pytest.mark.parametrize(
    ("met", "words"),
    [
        ("HTTP probe failed with statuscode: 404", "/healthz"),
        ("HTTP probe failed with statuscode: 404, body: path: not found", "/healthz"),
        ("HTTP probe failed with statuscode: 503", "503"),
        ("HTTP probe failed with statuscode: 401", "credentials"),
        (TIMED_OUT, "1 s"),
        (REFUSED, "8080"),
    ],
)
def test_a_running_container_that_is_not_ready(met, words):
    finding = unready(unhealthy("Readiness", met, last=-3, count=90))[0]
    assert (finding.cause, finding.severity) == ("ReadinessProbeFailed", Severity.ERROR)
    assert finding.confidence is Confidence.CONFIRMED
    assert words in finding.message


DOWN = "2026-11-24 11:59:50 ERROR health: queue is not reachable\n"


@pytest.mark.parametrize(
    ("met", "log", "told"),
    [
        ("HTTP probe failed with statuscode: 503", DOWN, True),
        (TIMED_OUT, DOWN, True),
        ("HTTP probe failed with statuscode: 503", DOWN + "2026-11-24 11:59:51 INFO served\n" * 30, False),
        ("HTTP probe failed with statuscode: 503", "2026-11-24 11:59:50 WARN health: queue is slow\n", False),
        ("HTTP probe failed with statuscode: 404", DOWN, False),
        (REFUSED, DOWN, False),
    ],
)
def test_a_program_that_is_not_well_says_why_in_its_log(met, log, told):
    finding = unready(unhealthy("Readiness", met, last=-3, count=90), logs={"app": log})[0]
    assert ("the last error in its log is: queue is not reachable" in finding.message) is told
    assert any(e.source == "log" for e in finding.evidence) is told


def test_readiness_without_events_is_told_by_the_status_alone():
    finding = unready()[0]
    assert (finding.cause, finding.confidence) == ("ReadinessProbeFailed", Confidence.LIKELY)


def test_readiness_that_has_hardly_begun_is_no_failure():
    finding = unready(since=-2)[0]
    assert (finding.cause, finding.severity) == ("ReadinessProbeFailed", Severity.NOTE)


@pytest.mark.parametrize(("age", "severity"), [(8, Severity.NOTE), (90, Severity.ERROR)])
def test_a_failed_readiness_probe_right_after_the_start_is_a_note(age, severity):
    finding = unready(unhealthy("Readiness", REFUSED, last=-2, count=1), since=-age)[0]
    assert (finding.cause, finding.severity) == ("ReadinessProbeFailed", severity)


def test_a_ready_container_with_an_old_unhealthy_event_is_well():
    raw = pod(
        containers=[container(readinessProbe=HTTP)], statuses=[status(state=running(-900), ready=True)], ready=True
    )
    assert crash_causes(raw, unhealthy("Readiness", REFUSED, last=-880)) == []


def test_readiness_that_another_container_decides_blames_that_one():
    proxy = container("proxy", ports=[{"containerPort": 15021}])
    probe = {"httpGet": {"path": "/healthz/ready", "port": 15021}}
    met = 'Get "http://10.244.0.7:15021/healthz/ready": dial tcp 10.244.0.7:15021: connect: connection refused'
    crashed = status("proxy", state=terminated(139, "Error", -80, -70), last=terminated(139, "Error", -180, -170))
    findings = unready(
        unhealthy("Readiness", met, last=-3), readinessProbe=probe, others=[proxy], other_statuses=[crashed]
    )
    assert (findings[0].cause, findings[0].object.container) == ("Segfault", "proxy")
    follow = next(f for f in findings if f.cause == "ReadinessProbeFailed")
    assert follow.severity is Severity.WARNING
    assert "proxy" in follow.message


def test_a_crash_is_not_called_a_readiness_failure_while_the_next_instance_starts():
    raw = pod(
        containers=[container(readinessProbe=HTTP)],
        statuses=[status(state=running(-3), last=terminated(139, "Error", -40, -10), started=True)],
    )
    got = crash_causes(raw, unhealthy("Readiness", REFUSED, last=-1), previous={"app": ""})
    assert got[0] == ("Segfault", "app")


# Probes that error.


@pytest.mark.parametrize("verdict", ["errored", "errored and resulted in unknown state"])
def test_an_errored_readiness_probe_can_never_pass(verdict):
    words = 'rpc error: code = Unknown desc = failed to exec: exec: "curl": executable file not found in $PATH'
    findings = unready(
        unhealthy("Readiness", words, last=-3, verdict=verdict), readinessProbe={"exec": {"command": ["curl", "x"]}}
    )
    assert [f.cause for f in findings] == ["ProbeErrored"]
    assert findings[0].severity is Severity.ERROR


def test_an_unknown_port_name_makes_a_probe_error_even_without_events():
    findings = unready(readinessProbe={"httpGet": {"path": "/", "port": "http"}}, ports=[{"name": "web", **PORTS[0]}])
    assert [f.cause for f in findings] == ["ProbeErrored"]
    assert "web" in findings[0].fix[0].text


def test_an_errored_liveness_probe_harms_nothing_now():
    raw = pod(
        containers=[container(livenessProbe={"exec": {"command": ["/probe"]}})],
        statuses=[status(state=running(-900), ready=True)],
        ready=True,
    )
    words = 'rpc error: exec: "/probe": stat /probe: no such file or directory'
    finding = crash_findings(raw, unhealthy("Liveness", words, last=-3, verdict="errored"))[0]
    assert (finding.cause, finding.severity) == ("ProbeErrored", Severity.WARNING)


def test_a_probe_that_errored_once_and_fails_now_is_a_failing_probe():
    findings = unready(
        unhealthy("Readiness", "rpc error: code = Unavailable", last=-300, verdict="errored"),
        unhealthy("Readiness", REFUSED, last=-3),
    )
    assert [f.cause for f in findings] == ["ReadinessProbeFailed"]


def test_a_missing_binary_that_the_runtime_reports_as_exit_126_counts_and_kills():
    # CRI-O and cri-dockerd: the probe fails instead of erroring.
    met = 'OCI runtime exec failed: exec failed: unable to start container process: exec: "/probe": not found: unknown'
    raw = looping(livenessProbe={"exec": {"command": ["/probe"]}, "periodSeconds": 5, "failureThreshold": 3})
    got = crash_causes(raw, DEPLOYMENT, unhealthy("Liveness", met), kill(), logs={"app": "serving"})
    assert got[0] == ("LivenessProbeFailed", "app")


NO_PROGRAM = (
    'time="2026-11-24T11:59:00Z" level=error msg="exec failed: unable to start container process: exec: '
    '\\"/bin/check\\": stat /bin/check: no such file or directory"'
)
TRACEBACK = 'Traceback (most recent call last):\n  File "/h.py", line 3, in <module>\nTimeoutError: queue is stuck\n'


@pytest.mark.parametrize(
    ("met", "words", "fix"),
    [
        (NO_PROGRAM, "the container has no command /bin/check", "Install /bin/check"),
        ("sh: 1: curl: not found\n", "the container has no command curl", "Install curl"),
        (TRACEBACK, "TimeoutError: queue is stuck", "by hand"),
        ("page not found\n", "page not found", "by hand"),
        ("stat: cannot stat '/tmp/ready': No such file or directory\n", "/tmp/ready", "by hand"),
    ],
)
def test_what_the_command_of_a_probe_met(met, words, fix):
    spec = {"exec": {"command": ["/bin/check", "-x"]}, "periodSeconds": 5}
    finding = unready(unhealthy("Readiness", met, last=-3, count=90), readinessProbe=spec)[0]
    assert words in finding.message
    assert fix in "\n".join(f.text for f in finding.fix)


def test_a_port_that_speaks_no_grpc_needs_no_more_time():
    met = 'timeout: failed to connect service "10.0.0.1:8080" within 1s: context deadline exceeded'
    spec = {"grpc": {"port": 8080}, "periodSeconds": 5}
    finding = unready(unhealthy("Readiness", met, last=-3, count=90), readinessProbe=spec)[0]
    told = "\n".join(f.text for f in finding.fix)
    assert "no gRPC connection" in finding.message
    assert "without TLS" in told
    assert "timeoutSeconds" not in told


def test_a_grpc_server_that_is_not_serving_says_so_itself():
    met = 'service unhealthy (responded with "NOT_SERVING")'
    spec = {"grpc": {"port": 8080}, "periodSeconds": 5}
    finding = unready(unhealthy("Readiness", met, last=-3, count=90), readinessProbe=spec)[0]
    assert "NOT_SERVING" in finding.message
    assert "what its health service checks" in finding.fix[0].text


def test_an_instance_that_passed_its_first_probes_did_not_start_slowly():
    # Killed 30 s after the start, when the first three probes would have killed it by 16 s.
    raw = looping(lived=31)
    got = crash_causes(
        raw, DEPLOYMENT, unhealthy("Liveness", REFUSED), kill(last=-61), logs={"app": "importing batch 9"}
    )
    assert got[0][0] == "LivenessProbeFailed"


def test_with_a_startup_probe_that_passed_no_start_is_slow():
    raw = looping(startupProbe={**HTTP, "failureThreshold": 30})
    got = crash_causes(raw, DEPLOYMENT, unhealthy("Liveness", REFUSED), kill(), logs={"app": "loading"})
    assert got[0][0] == "LivenessProbeFailed"


def errored(words, kind="Readiness", last=-3):
    return unhealthy(kind, words, last=last, verdict="errored and resulted in unknown state")


def test_a_probe_that_errored_while_its_container_ended_is_no_finding():
    words = "rpc error: code = Unknown desc = command error: cannot register an exec PID: container is stopping"
    raw = pod(
        containers=[container(readinessProbe={"exec": {"command": ["/ok"]}})],
        statuses=[status(state=running(-900), started=True)],
    )
    assert crash_causes(raw, errored(words)) == [("ReadinessProbeFailed", "app")]


@pytest.mark.parametrize(
    ("kind", "last", "expected"), [("Readiness", -3, 0), ("Liveness", -3, 1), ("Liveness", -900, 0)]
)
def test_a_ready_container_is_warned_of_a_liveness_probe_that_errors_now_only(kind, last, expected):
    spec = {f"{kind.lower()}Probe": {"exec": {"command": ["/ok"]}}}
    raw = pod(containers=[container(**spec)], statuses=[status(state=running(-1800), ready=True)], ready=True)
    got = crash_causes(raw, errored('rpc error: exec: "/ok": not found', kind, last))
    assert len(got) == expected


def test_an_errored_startup_probe_kills_nobody():
    words = (
        "rpc error: code = Unknown desc = failed to exec in container: failed to start exec: OCI runtime exec failed: "
        'exec failed: unable to start container process: exec: "bash": executable file not found in $PATH'
    )
    raw = pod(
        containers=[container(startupProbe={"exec": {"command": ["bash"]}})],
        statuses=[status(state=running(-900), started=False)],
    )
    findings = crash_findings(raw, errored(words, "Startup"), logs={"app": "indexing"})
    assert [f.cause for f in findings] == ["ProbeErrored"]
    assert findings[0].message.endswith(': exec: "bash": executable file not found in $PATH.')


def test_a_time_out_that_the_runtime_reports_as_an_error_is_told_as_one():
    findings = unready(
        errored('command timed out: "/slow-check" timed out after 1s'),
        readinessProbe={"exec": {"command": ["/slow-check"]}},
    )
    assert findings[0].cause == "ProbeErrored"
    assert "timeoutSeconds" in findings[0].fix[0].text


@pytest.mark.parametrize(
    ("log", "ports", "expected"), [("", PORTS, True), ("serving", PORTS, False), ("", [{"containerPort": 9}], False)]
)
def test_a_silent_log_leaves_the_slow_start_open_as_a_rival(log, ports, expected):
    raw = looping(ports=ports)
    finding = crash_findings(raw, DEPLOYMENT, unhealthy("Liveness", REFUSED), kill(), logs={"app": log})[0]
    assert finding.cause == "LivenessProbeFailed"
    assert ("LivenessKillsSlowStart" in {r.cause for r in finding.ruled_out}) is expected
    assert any("startupProbe" in fix.text for fix in finding.fix) is expected


def test_an_instance_that_stays_unready_after_a_crash_is_told_behind_the_crash():
    raw = pod(
        containers=[container(readinessProbe=HTTP)],
        statuses=[status(state=running(-200), last=terminated(139, "Error", -4000, -210), started=True)],
    )
    findings = crash_findings(raw, unhealthy("Readiness", REFUSED, last=-5), previous={"app": ""})
    assert [(f.cause, f.severity) for f in findings] == [
        ("Segfault", Severity.ERROR),
        ("ReadinessProbeFailed", Severity.WARNING),
    ]
