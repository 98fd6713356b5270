"""Public incidents whose answer stopped short: what the words tell beyond the code, and what must not be advised."""
# ruff: noqa: E501

import pytest

from kubetriage.rules.crash.cloud_identities import denied_action
from kubetriage.rules.crash.denied_operations import of_the_machine
from support.objects import (
    advised,
    back_off,
    container,
    crash_findings,
    event,
    obj,
    pod,
    running,
    status,
    terminated,
    waiting,
)

CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}}


def told(log, *objects, code=1, env=(), limits=None, reason="Error", volume=CLAIM, mount="/data", **spec):
    made = container(
        env=[{"name": k, "value": v} for k, v in env], volumeMounts=[{"name": "data", "mountPath": mount}], **spec
    )
    made["resources"] = {"limits": limits} if limits else {}
    raw = pod(
        containers=[made],
        statuses=[status("app", back_off(), terminated(code, reason, -80, -60))],
        volumes=[volume],
    )
    found = crash_findings(raw, *objects, logs={"app": log})[0]
    return found, f"{found.message}\n{advised(found)}"


TIMED_OUT = "2024-05-06 09:29:49,355 ERROR [org.keycloak.quarkus.runtime.cli.ExecutionExceptionHandler] (main) ERROR: Failed to obtain JDBC connection\n2024-05-06 09:29:49,355 ERROR [org.keycloak.quarkus.runtime.cli.ExecutionExceptionHandler] (main) ERROR: Acquisition timeout while waiting for new connection\n"


def test_an_error_without_an_address_gets_the_one_that_the_variables_name():
    service = obj("Service", "kc-db", namespace="db", spec={"clusterIP": "10.0.0.9", "ports": [{"port": 5432}]})
    _, said = told(TIMED_OUT, service, env=[("KC_DB_URL", "jdbc:postgresql://kc-db.db.svc:5432/keycloak")])
    assert "variable KC_DB_URL names kc-db.db.svc:5432" in said
    assert "its log names none" not in said


def test_two_databases_in_the_variables_decide_nothing():
    both = [("A_URL", "jdbc:postgresql://a:5432/x"), ("B_URL", "jdbc:postgresql://b:5432/x")]
    assert "its log names none" in told(TIMED_OUT, env=both)[1]
    assert "its log names none" in told(TIMED_OUT, env=[("OTEL_URL", "http://otel:4317")])[1]


def pulled(words, image="registry.example.com/my/app:1"):
    raw = pod(
        containers=[container(image=image)],
        statuses=[status("app", waiting("ImagePullBackOff", f'Back-off pulling image "{image}"'))],
        phase="Pending",
        imagePullSecrets=[{"name": "regcred"}],
    )
    failed = event("Failed", f'Failed to pull image "{image}": {words}', raw, container="app")
    found = crash_findings(
        raw, failed, obj("Secret", "regcred", type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": ""})
    )[0]
    return f"{found.message}\n{advised(found)}"


def test_a_pull_without_a_login_although_there_is_a_secret():
    said = pulled("failed to fetch anonymous token: unexpected status: 403 Forbidden")
    assert "without its login" in said
    assert "--docker-server=registry.example.com" in said
    assert "delete secret" not in said
    assert "without its login" not in pulled("failed to fetch oauth token: unexpected status: 403 Forbidden")


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("Failed to find attribute 'app' in 'wsgi'.", "wsgi"),
        ('ERROR:    Error loading ASGI app. Attribute "app" not found in module "main".', "main"),
        ('ERROR:    Error loading ASGI app. Could not import module "main".', "main"),
        ("Error: Unable to load celery application.\nModule 'proj' has no attribute 'celery'", "proj"),
    ],
)
def test_an_application_object_that_the_command_misspells(line, module):
    found, said = told(f"{line}\n", code=4)
    assert module in said
    assert ("MODULE:NAME" in said) or found.cause == "AppError"


def test_a_replica_that_is_too_far_behind_is_built_anew():
    made = container(readinessProbe={"httpGet": {"path": "/readiness", "port": 8008}})
    raw = pod(containers=[made], statuses=[status("app", running(-7000), started=True)])
    failing = event(
        "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", raw, container="app", count=60
    )
    line = "2021-02-16 09:07:17 UTC [225] FATAL:  could not receive data from WAL stream: ERROR:  requested WAL segment 000000010000000200000053 has already been removed\n"
    assert "patronctl reinit" in advised(crash_findings(raw, failing, logs={"app": line})[0])
    other = '2021-02-16 09:07:17 UTC [225] FATAL:  password authentication failed for user "standby"\n'
    assert "reinit" not in advised(crash_findings(raw, failing, logs={"app": other})[0])


KILLED = "/scratch/2b/.command.sh: line 2:    53 Killed                  STAR --runThreadN 7\n"


def test_a_shell_that_passes_on_its_childs_kill_below_a_limit():
    assert told(KILLED, code=137, limits={"memory": "3Gi"})[0].cause == "ChildOOMKilled"
    assert told(KILLED, code=137)[0].cause == "KilledBySignal"
    assert told("still working\n", code=137, limits={"memory": "3Gi"})[0].cause == "KilledBySignal"


def test_a_damaged_dump_of_redis():
    log = "1:M 10 May 2024 08:00:00.013 # Wrong signature trying to load DB from file\n1:M 10 May 2024 08:00:00.013 # Fatal error loading the DB, check server logs. Exiting.\n"
    found, said = told(log)
    assert found.details["mechanism"] == "data-damaged"
    assert "redis-check-rdb" in said


SOCKET = '{"t":{"$date":"2024-05-10T08:00:00.200+00:00"},"s":"E","c":"NETWORK","id":23024,"ctx":"initandlisten","msg":"Failed to unlink socket file","attr":{"path":"/tmp/mongodb-27017.sock","error":"Operation not permitted"}}\n{"t":{"$date":"2024-05-10T08:00:00.200+00:00"},"s":"F","c":"-","id":23091,"ctx":"initandlisten","msg":"Fatal assertion","attr":{"msgid":40486}}\n'


def test_a_directory_of_the_machine_is_never_given_away():
    found, said = told(SOCKET, code=14, mount="/tmp", volume={"name": "data", "hostPath": {"path": "/tmp"}})
    assert found.cause == "PermissionDenied"
    assert "chown" not in said
    own, said = told(
        "open /data/x: permission denied\n", volume={"name": "data", "hostPath": {"path": "/srv/shop/data"}}
    )
    assert own.cause == "PermissionDenied"
    assert "chown" in said


@pytest.mark.parametrize(
    ("path", "of_it"),
    [
        ("/", True),
        ("/tmp", True),
        ("/var/log", True),
        ("/var/run/docker.sock", True),
        ("/etc/app", True),
        ("/opt/app/data", False),
        ("/var/lib/app", False),
        ("/mnt/disks/1", False),
    ],
)
def test_paths_of_the_machine(path, of_it):
    assert of_the_machine(path) is of_it


def test_data_that_goes_by_way_of_another_version():
    log = "java.lang.IllegalStateException: cannot upgrade a node from version [7.9.3] directly to version [8.4.1], upgrade to version [7.17.0] first.\n\tat org.x.Y.z(Y.java:1)\n"
    found, said = told(log, image="elasticsearch:8.4.1")
    assert found.details["between"] == "7.17.0"
    assert found.fix[0].text.startswith("Run version 7.17.0")
    assert "pin the image to 7.9.3" in said


def test_a_gem_that_the_image_lacks():
    log = "/usr/local/lib/ruby/3.2.0/rubygems.rb:259:in `find_spec_for_exe': Could not find 'bundler' (2.4.10) required by your /app/Gemfile.lock. (Gem::GemNotFoundException)\n\tfrom /usr/local/bin/bundle:25:in `<main>'\n"
    assert "lacks the module bundler." in told(log)[1]


def test_the_policy_of_an_action_that_a_role_may_not_take():
    words = "api error UnauthorizedOperation: User: arn:aws:sts::123456789012:assumed-role/eks-node-role/i-0f00 is not authorized to perform: ec2:AttachVolume on resource: arn:aws:ec2:eu-west-1:1:volume/vol-1"
    denied = denied_action(words)
    assert denied.role == "eks-node-role"
    assert "AmazonEBSCSIDriverPolicy" in denied.fix().text
    assert "role of the machines" in denied.fix().text
    other = denied_action("AccessDenied: not authorized to perform: s3:GetObject on resource")
    assert not other.known
    assert "a policy that allows s3:GetObject" in other.fix().text
    assert denied_action("not authorized") is None


def test_a_volume_that_the_drivers_role_may_not_attach_names_the_policy():
    raw = pod(
        containers=[container(volumeMounts=[{"name": "data", "mountPath": "/data"}])],
        statuses=[status("app", waiting("ContainerCreating"))],
        volumes=[CLAIM],
        phase="Pending",
    )
    message = 'AttachVolume.Attach failed for volume "pvc-1" : rpc error: code = Internal desc = Could not attach volume "vol-1": api error UnauthorizedOperation: You are not authorized to perform this operation. User: arn:aws:sts::123456789012:assumed-role/ebs-csi/x is not authorized to perform: ec2:AttachVolume on resource: arn'
    found = crash_findings(raw, event("FailedAttachVolume", message, raw, component="attachdetach-controller"))[0]
    assert "--role-name ebs-csi" in advised(found)


def test_cephfs_without_a_metadata_server():
    raw = pod(
        containers=[container(volumeMounts=[{"name": "data", "mountPath": "/data"}])],
        statuses=[status("app", waiting("ContainerCreating"))],
        volumes=[CLAIM],
        phase="Pending",
    )
    message = 'MountVolume.MountDevice failed for volume "pvc-1" : rpc error: code = Internal desc = an error (exit status 32) occurred while running mount args: [-t ceph] stderr: mount error: no mds (Metadata Server) is up. The cluster might be laggy, or you may not be authorized'
    assert "rook-ceph-mds" in advised(crash_findings(raw, event("FailedMount", message, raw))[0])


def test_a_windows_container_without_its_network():
    message = "failed to create containerd task: failed to create shim task: hcs::CreateComputeSystem app: The requested operation for attach namespace failed.: unknown"
    raw = pod(containers=[container()], statuses=[status("app", waiting("RunContainerError", message))])
    assert "windows-build" in advised(crash_findings(raw)[0])
