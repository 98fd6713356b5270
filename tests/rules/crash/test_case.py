"""Which ends of an instance need an explanation at all."""

import pytest

from kubetriage.readers.pods import Pod
from kubetriage.rules.crash.case import Case
from kubetriage.rules.workloads import owner_needs
from support.objects import (
    NOW,
    back_off,
    cluster,
    container,
    crash_causes,
    pod,
    ready_node,
    running,
    status,
    terminated,
)

OK = terminated(0, "Completed", -60, -50)
BAD = terminated(1, "Error", -60, -50)


def case(raw):
    return Case(Pod(raw), cluster(raw))


def crash(raw, name="app"):
    it = case(raw)
    found = it.pod.container(name)
    assert found is not None
    return it.crash(found)


@pytest.mark.parametrize(
    ("raw", "name", "expected"),
    [
        pytest.param(pod(statuses=[status(state=back_off(), last=BAD)]), "app", 1, id="crash loop"),
        pytest.param(pod(statuses=[status(state=BAD, last=OK)]), "app", 1, id="the newest instance counts"),
        pytest.param(pod(statuses=[status(state=OK, last=BAD)]), "app", 0, id="success that will be restarted"),
        pytest.param(pod(statuses=[status(state=OK)], restartPolicy="Never"), "app", None, id="ran to completion"),
        pytest.param(pod(statuses=[status(state=BAD)], restartPolicy="Never"), "app", 1, id="failed run"),
        pytest.param(
            pod(init=[container("setup")], init_statuses=[status("setup", OK, BAD)]), "setup", None, id="init done"
        ),
        pytest.param(
            pod(statuses=[status(state=terminated(137, "Error", -60, -5))], deletion=10), "app", None, id="deleted"
        ),
        pytest.param(
            pod(statuses=[status(state=terminated(137, "Error", -60, -40))], deletion=10), "app", 137, id="before it"
        ),
        pytest.param(
            pod(
                init=[container("proxy", restartPolicy="Always")],
                init_statuses=[status("proxy", terminated(2, "Error", -60, -49))],
                statuses=[status(state=OK)],
                restartPolicy="Never",
                phase="Running",
            ),
            "proxy",
            None,
            id="sidecar stopped at the end",
        ),
        pytest.param(
            pod(
                init=[container("proxy", restartPolicy="Always")],
                init_statuses=[status("proxy", terminated(2, "Error", -60, -55))],
                statuses=[status(state=running(-58))],
            ),
            "proxy",
            2,
            id="sidecar that crashed",
        ),
        pytest.param(
            pod(statuses=[status(state=running(-5), last=terminated(143, "RestartingAllContainers", -60, -9))]),
            "app",
            None,
            id="another container restarted all",
        ),
    ],
)
def test_ends_that_need_an_explanation(raw, name, expected):
    end = crash(raw, name)
    assert (end and end.exit_code) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (status(state=running(-5)), True),
        (status(state=running(-30), last=terminated(1, "Error", -100, -50)), False),
        (status(state=running(-300), last=terminated(1, "Error", -350, -345)), True),
        (status(state=running(-700), last=terminated(1, "Error", -9000, -705)), True),
        (status(state=back_off(), last=BAD), False),
    ],
)
def test_an_instance_outlives_the_crash_before_it(raw, expected):
    it = case(pod(statuses=[raw]))
    assert it.outlived(it.containers[0]) is expected


def test_the_builders_make_a_pod_that_the_rules_can_read():
    raw = pod(statuses=[status(state=running(-3600), ready=True)], ready=True)
    assert Pod(raw).status_text() == "Running"
    assert Pod(raw).age_text(NOW) == "15m"
    assert crash_causes(raw) == []


def test_a_static_pod_is_its_own_workload():
    target = pod("etcd-node-1", metadata={"annotations": {"kubernetes.io/config.mirror": "0a"}}, owner=ready_node())
    case = Case(Pod(target), cluster(target))
    assert case.workload_name == "pod/etcd-node-1"
    assert "manifest" in case.template_fix("Raise it.").text
    assert not any(n.resource == "nodes" for n in owner_needs(case.snapshot, target))


@pytest.mark.parametrize(
    ("spec", "fixed"),
    [
        ({"containers": [{"name": "app", "image": "x:2"}]}, False),
        ({"containers": [{"name": "app", "resources": {}}]}, True),
        ({"volumes": []}, True),
        (None, False),
    ],
)
def test_a_bare_pods_spec_is_fixed_but_for_images(spec, fixed):
    target = pod()
    fix = Case(Pod(target), cluster(target)).template_fix("Change it.", spec)
    assert ("create it" in fix.text) is fixed
    assert fix.patch is None
