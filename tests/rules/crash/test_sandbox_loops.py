"""Sandboxes made over and over, networks that are not taken down, arguments of one word, lines told above."""
# ruff: noqa: E501

import pytest

from support.objects import (
    advised,
    back_off,
    container,
    crash_findings,
    event,
    obj,
    pod,
    ready_node,
    status,
    terminated,
    waiting,
)


def looping(code=0, count=41, *more, log="serving\nreceived signal; shutting down\n"):
    raw = pod(
        containers=[container()],
        statuses=[
            status("app", back_off(), terminated(code, "Completed" if code == 0 else "Error", -200, -60), restarts=41)
        ],
    )
    changed = event(
        "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.", count=count, warning=False
    )
    found = crash_findings(raw, ready_node(), changed, *more, logs={"app": log})[0]
    return found.cause, f"{found.message}\n{advised(found)}"


@pytest.mark.parametrize("code", [0, 143, 137])
def test_a_sandbox_that_is_made_again_and_again(code):
    cause, words = looping(code)
    assert cause == "TerminatedBySignal"
    assert "sandbox" in words
    assert "SystemdCgroup" in words
    assert "Job" not in words


def test_one_new_sandbox_or_an_error_of_its_own_is_no_loop():
    assert "41 times" not in looping(0, 1)[1]
    assert looping(1, log="FATAL cannot start\n")[0] != "TerminatedBySignal"
    unhealthy = event("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500", container="app")
    assert "41 times" not in looping(137, 41, unhealthy)[1]


def test_a_network_that_is_not_taken_down_holds_the_pod():
    raw = pod(containers=[container()], statuses=[status("app", terminated(0, "Completed", -9000, -5000))])
    raw["metadata"] |= {"deletionTimestamp": "2026-11-24T10:30:00Z", "deletionGracePeriodSeconds": 30}
    said = 'error killing pod: failed to "KillPodSandbox" for "x" with KillPodSandboxError: "rpc error: code = Unknown desc = failed to destroy network for sandbox \\"abc\\": plugin type=\\"{}\\" failed (delete): {}"'
    calico = crash_findings(
        raw,
        ready_node(),
        event(
            "FailedKillPod",
            said.format("calico", "error getting ClusterInformation: connection is unauthorized: Unauthorized"),
        ),
    )[0]
    assert calico.cause == "StuckTerminating"
    assert "network plugin calico cannot take its network down" in calico.message
    assert "Restart the pod of calico-node on node-1" in advised(calico)
    assert "--force" not in advised(calico)
    other = crash_findings(
        raw, ready_node(), event("FailedKillPod", said.format("aws-cni", "rpc error: connection refused"))
    )[0]
    assert "Repair the network plugin aws-cni" in advised(other)
    assert "--force" in advised(
        crash_findings(raw, ready_node(), event("FailedKillPod", "error killing pod: context deadline exceeded"))[0]
    )


def told(log, *objects, code=1, volumes=(), **spec):
    raw = pod(
        containers=[container(**spec)],
        statuses=[status("app", back_off(), terminated(code, "Error", -80, -60))],
        volumes=list(volumes),
    )
    found = crash_findings(raw, *objects, logs={"app": log})[0]
    return found, f"{found.message}\n{advised(found)}"


@pytest.mark.parametrize(
    ("name", "value", "log", "instead"),
    [
        (
            "JAVA_OPTS",
            "-Xms256m -Xmx512m",
            "Invalid initial heap size: -Xms256m -Xmx512m\nError: Could not create the Java Virtual Machine.\n",
            "JAVA_TOOL_OPTIONS",
        ),
        ("EXTRA_ARGS", "--region=eu --size=3", "error: unknown flag: --region=eu --size=3\n", "an argument of its own"),
    ],
)
def test_a_variable_that_becomes_one_argument(name, value, log, instead):
    env = [{"name": name, "value": value}]
    words = told(log, command=["run"], args=[f"$({name})"], env=env)[1]
    assert f"all of {name} as one argument" in words
    assert instead in words
    assert "as one argument" not in told(log, command=["sh", "-c", f"run ${name}"], env=env)[1]


def test_the_line_that_an_error_before_the_last_one_names():
    log = '2026-11-24 11:58:57.123 GMT [1] LOG:  syntax error in file "/etc/pg/postgresql.conf" line 12, near token "MB"\n2026-11-24 11:58:57.123 GMT [1] FATAL:  configuration file "/etc/pg/postgresql.conf" contains errors\n'
    mounts = [{"name": "config", "mountPath": "/etc/pg"}]
    volumes = [{"name": "config", "configMap": {"name": "pg"}}]
    assert "line 12 of key postgresql.conf of ConfigMap pg" in told(log, volumes=volumes, volumeMounts=mounts)[1]
    alone = log.partition("\n")[2]
    assert "line 12" not in told(alone, volumes=volumes, volumeMounts=mounts)[1]


def test_a_word_whose_follower_would_be_hidden():
    log = "*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***\nReading the configuration file, at line 1\n>>> 'requirepass'\nwrong number of arguments\n"
    made = obj("ConfigMap", "redis", data={"redis.conf": "requirepass \n"})
    words = told(
        log,
        made,
        volumes=[{"name": "c", "configMap": {"name": "redis"}}],
        volumeMounts=[{"name": "c", "mountPath": "/conf"}],
    )[1]
    assert "in key redis.conf of ConfigMap redis" in words
    assert "redacted" not in words


def test_a_file_of_name_servers_that_is_not_there():
    raw = pod(phase="Pending", containers=[container()], statuses=[status("app", waiting("ContainerCreating"))])
    said = event(
        "FailedCreatePodSandBox",
        "Failed to create pod sandbox: open /run/systemd/resolve/resolv.conf: no such file or directory",
    )
    found = crash_findings(raw, ready_node(), said)[0]
    assert found.cause == "SandboxCreateFailed"
    assert "resolvConf" in advised(found)


def test_workload_identity_of_a_bucket():
    raw = pod(
        phase="Pending",
        containers=[container(volumeMounts=[{"name": "gcs", "mountPath": "/data"}])],
        statuses=[status("app", waiting("ContainerCreating"))],
        volumes=[{"name": "gcs", "csi": {"driver": "gcsfuse.csi.storage.gke.io"}}],
    )
    said = event(
        "FailedMount",
        "MountVolume.SetUp failed for volume \"gcs\" : rpc error: code = Unauthenticated desc = failed to prepare storage service: last error: failed to fetch GCP SA token: IAM returned 403 Forbidden: Permission 'iam.serviceAccounts.getAccessToken' denied on resource",
    )
    found = crash_findings(raw, ready_node(), said)[0]
    assert "workloadIdentityUser" in advised(found)
