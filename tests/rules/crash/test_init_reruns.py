"""Init containers that run a second time in a pod that is up."""

import pytest

from support.objects import advised, back_off, container, crash_findings, pod, running, status, terminated

CHAIN = "+ iptables -t nat -N ISTIO_REDIRECT\niptables: Chain already exists.\n+ dump\n"


def again(log=CHAIN, *, apps=-90000, name="istio-init", **more):
    return crash_findings(
        pod(
            containers=[container("app")],
            statuses=[status("app", running(apps), ready=True, started=True)],
            init=[container(name)],
            init_statuses=[status(name, back_off(name), terminated(1, "Error", -40, -35), restarts=9)],
            **more,
        ),
        previous={name: log},
        logs={name: log},
    )


@pytest.mark.parametrize(
    ("name", "log"),
    [
        ("istio-init", CHAIN),
        ("linkerd-init", "iptables v1.6.1: Chain already exists: PROXY_INIT_REDIRECT\n"),
        ("copyutil", "cp: cannot create regular file '/shared/argocd': Text file busy\n"),
        ("prepare", "mkdir: cannot create directory '/data/x': File exists\n"),
    ],
)
def test_the_second_run_is_told_with_who_makes_the_kubelet_do_it(name, log):
    (found,) = again(log, name=name)
    assert (found.cause, found.object.container) == ("InitContainerFailed", name)
    assert "ran again" in found.message
    assert "cannot start" not in found.message
    assert "kubectl -n shop delete pod api" in advised(found)
    assert "docker system prune" in advised(found)
    assert "NET_ADMIN" not in advised(found)


def test_a_first_run_that_fails_still_blocks_the_pod():
    target = pod(
        containers=[container("app")],
        statuses=[status("app", {"waiting": {"reason": "PodInitializing"}})],
        init=[container("istio-init")],
        init_statuses=[status("istio-init", back_off("istio-init"), terminated(1, "Error", -40, -35), restarts=9)],
    )
    found = crash_findings(target, logs={"istio-init": "boom\n"}, previous={"istio-init": "boom\n"})[0]
    assert "app cannot start" in found.message
    assert "ran again" not in found.message


def test_apps_that_started_after_it_prove_no_first_run():
    assert "ran again" not in again(apps=-10)[0].message
