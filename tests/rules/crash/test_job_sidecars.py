"""Jobs whose work is done while a helper keeps the pod from ending."""

import pytest

from kubetriage.model import Severity
from kubetriage.plugins import Request, load
from support.objects import (
    NAMESPACE,
    advised,
    cluster,
    container,
    crash_causes,
    crash_findings,
    obj,
    pod,
    running,
    status,
    terminated,
)


def job(*names):
    template = {"spec": {"containers": [{"name": n} for n in names]}}
    return obj("Job", "report", spec={"template": template}, status={"active": 1})


def half_done(helper="istio-proxy", *, ended=-600, owner=None, code=0, policy="Never", **more):
    return pod(
        "report-x",
        containers=[container("task"), container(helper)],
        statuses=[
            status("task", terminated(code, "Completed" if code == 0 else "Error", -900, ended)),
            status(helper, running(-900), ready=True),
        ],
        owner=owner if owner is not None else job("task"),
        restartPolicy=policy,
        **more,
    )


@pytest.mark.parametrize(
    ("helper", "word"),
    [
        ("istio-proxy", 'sidecar.istio.io/inject: "false"'),
        ("linkerd-proxy", "linkerd.io/inject: disabled"),
        ("consul-dataplane", 'consul.hashicorp.com/connect-inject: "false"'),
        ("daprd", 'dapr.io/enabled: "false"'),
        ("kuma-sidecar", "kuma.io/sidecar-injection: disabled"),
    ],
)
def test_an_injected_container_that_never_ends(helper, word):
    found = crash_findings(half_done(helper), job("task"))[0]
    assert (found.cause, found.severity, found.object.container) == ("JobBlockedBySidecar", Severity.ERROR, helper)
    assert "Job report never completes" in found.message
    assert word in advised(found)


def test_what_the_jobs_template_does_not_have_was_injected():
    found = crash_findings(half_done("corp-audit"), job("task"))[0]
    assert (found.cause, found.severity) == ("JobBlockedBySidecar", Severity.ERROR)
    assert "mutatingwebhookconfigurations" in advised(found)


def test_a_second_worker_of_the_template_is_no_fault():
    both = job("task", "upload")
    found = crash_findings(half_done("upload", owner=both), both)[0]
    assert found.severity is Severity.NOTE
    assert "completes once upload has ended" in found.message


def test_a_known_helper_of_the_template_becomes_a_native_sidecar():
    both = job("task", "cloud-sql-proxy")
    found = crash_findings(half_done("cloud-sql-proxy", owner=both, ended=-900 + 100), both)[0]
    assert found.severity is Severity.ERROR
    assert "native sidecar" in found.fix[0].text


def test_a_helper_gets_its_grace_period():
    assert crash_findings(half_done(ended=-20), job("task"))[0].severity is Severity.NOTE


@pytest.mark.parametrize("more", [{"code": 1}, {"policy": "Always"}])
def test_a_failed_task_and_a_server_are_others(more):
    assert "JobBlockedBySidecar" not in [c for c, _ in crash_causes(half_done(**more), job("task"))]


def test_a_scan_finds_it():
    answer = load("why-crash").diagnose(cluster(half_done(), job("task")), Request(namespace=NAMESPACE))
    assert [d.cause for d in answer.diagnoses] == ["JobBlockedBySidecar"]


def test_the_proxys_own_command_ends_this_run():
    words = advised(crash_findings(half_done(), job("task"))[0])
    assert "kubectl -n shop exec report-x -c istio-proxy -- pilot-agent request POST quitquitquit" in words
    assert "kubectl -n shop delete job report" in advised(crash_findings(half_done("linkerd-proxy"), job("task"))[0])
