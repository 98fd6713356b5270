"""Values that carry more than is seen, servers that do not know themselves, and what a pod's surroundings decide."""
# ruff: noqa: E501

import re

import pytest

from kubetriage.model import Confidence, Severity
from support.objects import (
    advised,
    back_off,
    container,
    crash_findings,
    event,
    obj,
    pod,
    ready_node,
    running,
    status,
    terminated,
    waiting,
)

CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}}
DSN = [{"name": "DB_DSN", "valueFrom": {"secretKeyRef": {"name": "db", "key": "dsn"}}}]


def told(log, *objects, code=1, metadata=None, owner=None, volumes=(), pod_spec=None, **spec):
    """Return the first error about a container that ended with a log."""
    made = container(**spec)
    raw = pod(
        containers=[made],
        statuses=[status(made["name"], back_off(), terminated(code, "Error", -65, -60))],
        metadata=metadata,
        owner=owner,
        **(pod_spec or {}),
    )
    if volumes:
        raw["spec"]["volumes"] = list(volumes)
    found = crash_findings(raw, *objects, logs={made["name"]: log})
    return next(f for f in found if f.severity is Severity.ERROR)


LINE_ENDS = [
    'level=fatal msg="Unable to open" error="parse postgres://u@db/app\\n: net/url: invalid control character in URL"\n',
    "ValueError: invalid literal for int() with base 10: '5432\\n'\n",
    'panic: strconv.Atoi: parsing "5432\\r": invalid syntax\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:9\n',
    'TypeError [ERR_INVALID_CHAR]: Invalid character in header content ["authorization"]\n    at ClientRequest.setHeader (node:_http_outgoing:652:3)\n    at file:///app/index.js:4:3\n\nNode.js v20.11.0\n',
    "Error: getaddrinfo ENOTFOUND postgres\\n\n",
]


@pytest.mark.parametrize("log", LINE_ENDS)
def test_a_line_end_in_a_value_is_looked_for_where_the_value_comes_from(log):
    found = told(log, env=DSN)
    assert (found.cause, found.details["mechanism"]) == ("AppError", "line-end-in-value")
    assert found.confidence is not Confidence.CONFIRMED
    assert "get secret db" in advised(found)
    assert "stringData" in advised(found)


@pytest.mark.parametrize(
    "log",
    [
        "ValueError: invalid literal for int() with base 10: 'fifty'\n",
        "Error: getaddrinfo ENOTFOUND postgres\n    at GetAddrInfoReqWrap.onlookup [as oncomplete] (node:dns:107:26)\n",
        "Error: unexpected line '\\n' in answer of peer\n",
    ],
)
def test_other_values_have_no_line_end(log):
    assert told(log, env=DSN).details.get("mechanism") != "line-end-in-value"


def test_a_byte_order_mark_is_told():
    log = 'SyntaxError: Unexpected token \'\ufeff\', "\ufeff{"port""... is not valid JSON\n    at JSON.parse (<anonymous>)\n    at file:///app/index.js:3:10\n'
    assert told(log).details["mechanism"] == "byte-order-mark"
    assert (
        told("SyntaxError: Unexpected token } in JSON\n    at JSON.parse (<anonymous>)\n").details.get("mechanism")
        != "byte-order-mark"
    )


NO_ID = (
    "2026-06-08 10:13:04,442 [myid:] - ERROR [main:QuorumPeerMain@98] - Invalid config, exiting abnormally\n"
    "org.apache.zookeeper.server.quorum.QuorumPeerConfig$ConfigException: Error processing /conf/zoo.cfg\n"
    "\tat org.apache.zookeeper.server.quorum.QuorumPeerMain.main(QuorumPeerMain.java:90)\n"
    "Caused by: java.lang.IllegalArgumentException: myid file is missing\n"
    "\tat org.apache.zookeeper.server.quorum.QuorumPeerConfig.checkValidity(QuorumPeerConfig.java:791)\n"
    "Invalid config, exiting abnormally\n"
    "2026-06-08 10:13:04,446 [myid:] - ERROR [main:ServiceUtils@42] - Exiting JVM with code 2\n"
)


def test_a_member_without_its_id():
    mount = [{"name": "data", "mountPath": "/bitnami/zookeeper"}]
    found = told(NO_ID, code=2, image="bitnami/zookeeper:3.8", volumeMounts=mount, volumes=[CLAIM])
    assert "myid file is missing" in "\n".join(e.value for e in found.evidence)
    assert "/bitnami/zookeeper/myid" in advised(found)
    assert "ZOO_SERVER_ID" in advised(found)


def test_a_member_that_the_list_does_not_name():
    log = "java.lang.RuntimeException: My id 2 not in the peer list\n\tat org.apache.zookeeper.server.quorum.QuorumPeer.start(QuorumPeer.java:1073)\n"
    found = told(log)
    assert "no server.2" in found.message
    assert "reconfig -add" in advised(found)
    assert (
        told("java.lang.RuntimeException: peer 2 left the list\n\tat a.B.c(B.java:1)\n").details.get("mechanism")
        != "member-not-listed"
    )


@pytest.mark.parametrize(
    ("log", "first"),
    [
        (
            "ERROR Unable to use the drive /data: Drive /data: found backend type fs, expected xl or xl-single: Invalid arguments specified\n",
            "RELEASE.2022-10-24",
        ),
        ("FATAL Unable to use the drive /data: drive not found: Invalid arguments specified\n", "format.json"),
    ],
)
def test_a_drive_of_the_old_mode_is_copied_not_emptied(log, first):
    found = told(
        log, image="minio/minio:latest", volumeMounts=[{"name": "data", "mountPath": "/data"}], volumes=[CLAIM]
    )
    assert first in "\n".join((found.fix[0].text, *found.fix[0].commands))
    assert "mc mirror" in advised(found)
    assert not re.search(r"\bdelete\b|\bempty it\b", advised(found))


def test_a_drive_that_is_full_is_no_old_drive():
    log = "FATAL Unable to use the drive /data: no space left on device\n"
    assert told(log, volumeMounts=[{"name": "data", "mountPath": "/data"}], volumes=[CLAIM]).cause == "DiskFull"


@pytest.mark.parametrize(
    ("log", "module"),
    [
        (
            "AH00526: Syntax error on line 3 of /etc/apache2/sites-enabled/app.conf:\nInvalid command 'RewriteEngine', perhaps misspelled or defined by a module not included in the server configuration\n",
            "a2enmod rewrite",
        ),
        (
            "httpd: Syntax error on line 66 of /usr/local/apache2/conf/httpd.conf: Cannot load modules/mod_auth_openidc.so into server: modules/mod_auth_openidc.so: cannot open shared object file: No such file or directory\n",
            "auth_openidc",
        ),
    ],
)
def test_a_directive_needs_its_module(log, module):
    assert module in advised(told(log, image="httpd:2.4"))


def test_a_directive_in_the_wrong_place_has_its_module():
    log = "AH00526: Syntax error on line 3 of /etc/apache2/apache2.conf:\n<Directory> directive requires additional arguments\n"
    assert told(log).details.get("mechanism") != "apache-module"


def test_all_missing_fields_are_named_however_the_paste_is_indented():
    log = (
        "Traceback (most recent call last):\n"
        '   File "/app/main.py", line 3, in <module>\n'
        "     settings = Settings()\n"
        " pydantic_core._pydantic_core.ValidationError: 2 validation errors for Settings\n"
        " app_name\n"
        "   Field required [type=missing, input_value={}, input_type=dict]\n"
        "     For further information visit https://errors.pydantic.dev/2.5/v/missing\n"
        " DB_PORT\n"
        "   Field required [type=missing, input_value={}, input_type=dict]\n"
    )
    found = told(log)
    assert (found.cause, found.details["setting"]) == ("AppConfigMissing", "APP_NAME")
    assert "missing as well: DB_PORT" in found.message


def service(name):
    return obj("Service", name, spec={"clusterIP": "10.43.20.11", "ports": [{"port": 5006}]})


PORT = "Error: port: ports must be within range 0 - 65535\n    at Object.validate (/app/node_modules/convict/src/main.js:679:17)\n    at file:///app/src/load-config.js:276:14\n\nNode.js v18.20.8\n"


def test_a_port_that_is_refused_unseen_may_be_a_service_link():
    found = told(PORT, service("app"))
    assert (found.cause, found.details["setting"]) == ("AppConfigMissing", "APP_PORT")
    assert found.confidence is Confidence.LIKELY


@pytest.mark.parametrize(
    ("objects", "env", "log"),
    [
        ((), [], PORT),
        ((service("app"),), [{"name": "PORT", "value": "99999"}], PORT),
        ((service("app"),), [], PORT.replace("65535", "65535, got 99999")),
    ],
)
def test_a_port_that_is_wrong_in_itself_is_no_service_link(objects, env, log):
    assert told(log, *objects, env=env).details.get("mechanism") != "service-link"


# A rollout is to be undone only where an older revision is seen to run.


def revisions(ready):
    top = obj("Deployment", "api", spec={"selector": {"matchLabels": {"app": "api"}}})
    made = []
    for number, image, running_pods in ((1, "registry.example/api:1.3", ready), (2, "registry.example/api:1.4", 0)):
        made.append(
            obj(
                "ReplicaSet",
                f"api-{number}",
                owner=top,
                metadata={"annotations": {"deployment.kubernetes.io/revision": str(number)}},
                spec={"template": {"spec": {"containers": [container(image=image)]}}},
                status={"readyReplicas": running_pods},
            )
        )
    return top, *made


@pytest.mark.parametrize(
    "log", ["boom\n", "invalid value for option foo in section bar\n", 'KeyError\n  File "/app/x.py", line 3\n']
)
@pytest.mark.parametrize("ready", [0, 2])
def test_a_rollout_is_undone_only_for_a_revision_that_runs(log, ready):
    top, old, new = revisions(ready)
    said = advised(told(log, top, old, new, owner=new))
    assert ("rollout undo" in said) <= bool(ready)
    if ready and "revision" in said:
        assert "ReplicaSet api-1" in said


# OpenShift gives pods a user that no image knows.

SCC = {"annotations": {"openshift.io/scc": "restricted-v2"}}


def test_a_file_at_the_root_is_a_missing_home_under_openshift():
    log = "cp: cannot create regular file '//ca-bundle.crt.original': Permission denied\n"
    found = told(log, metadata=SCC)
    assert "HOME" in found.fix[0].text
    assert "/ca-bundle.crt.original" in found.message
    assert "//ca" not in found.message
    assert "add-scc-to-user anyuid" in advised(found)
    assert "-z default" not in advised(found)
    assert "anyuid" not in advised(told(log))


def test_a_path_that_nobody_names_is_not_made_up():
    log = '[2026-06-08T14:52:55.195Z ERROR startup] Can\'t create Snapshots directory: Os { code: 13, kind: PermissionDenied, message: "Permission denied" }\n'
    found = told(log, metadata=SCC, pod_spec={"serviceAccountName": "qdrant"})
    assert "names no path" in advised(found)
    assert "-z qdrant" in advised(found)
    assert "user of the image" not in "\n".join(e.value for e in found.evidence)


def test_a_temporary_directory_gets_a_volume_first():
    found = told("log: cannot create log: open /tmp/app.INFO: permission denied\n", code=2)
    assert "emptyDir at /tmp" in found.fix[0].text


def test_read_only_mounts_come_before_a_damaged_disk():
    log = "Unhandled exception. System.IO.IOException: Read-only file system\n   at System.IO.File.Open(String path, FileMode mode)\n   at Web.Program.Main(String[] args) in /src/Program.cs:line 22\n"
    mounts = [{"name": "cert", "mountPath": "/https"}]
    volumes = [{"name": "cert", "secret": {"secretName": "pfx"}}]
    found = told(log, code=134, volumeMounts=mounts, volumes=volumes)
    assert "/https" in found.message
    assert "dmesg" not in advised(found)
    assert "dmesg" in advised(told(log, code=134))


# The volume ties the pod to a node that another rule leaves out.


def local_volume(key="kubernetes.io/hostname", value="n3"):
    rule = {"key": key, "operator": "In", "values": [value]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}}
    claim = obj("PersistentVolumeClaim", "data-0", spec={"volumeName": "pv-3"}, status={"phase": "Bound"})
    return claim, obj("PersistentVolume", "pv-3", spec={"nodeAffinity": affinity})


def pending(why, *objects):
    raw = pod(phase="Pending", node="")
    raw["spec"]["volumes"] = [CLAIM]
    said = event("FailedScheduling", f"0/3 nodes are available: {why}.")
    return crash_findings(raw, said, *objects)[0]


def labelled(name):
    made = ready_node(name)
    made["metadata"]["labels"] = {"kubernetes.io/hostname": name}
    return made


NODES = tuple(labelled(n) for n in ("n1", "n2", "n3"))
CONFLICT = "2 node(s) had volume node affinity conflict"


@pytest.mark.parametrize(
    ("why", "act"),
    [
        (f"1 node(s) didn't match pod anti-affinity rules, {CONFLICT}", "may not stand beside"),
        (f"1 Insufficient memory, {CONFLICT}", "Make room on n3"),
    ],
)
def test_the_node_of_the_volume_is_there_and_refuses_for_another_reason(why, act):
    found = pending(why, *local_volume(), *NODES)
    assert found.cause == "UnschedulableTopology"
    assert "node n3" in found.message
    assert act in advised(found)
    assert "bring that node back" not in advised(found)


def test_a_node_of_the_volume_that_is_gone_is_to_come_back():
    found = pending(f"1 Insufficient memory, {CONFLICT}", *local_volume(), *NODES[:2])
    assert "bring that node back" in advised(found)


# Nodes that cannot unpack an image; programs that may not be run.


@pytest.mark.parametrize(
    ("error", "act"),
    [
        (
            'failed to extract layer sha256:61: mount callback failed on /tmp/m: failed to Lchown "/" for UID 0, GID 0: lchown /: permission denied: unknown',
            "user namespace",
        ),
        (
            "failed to register layer: Error processing tar file(exit status 1): Container ID 345018 cannot be mapped to a host ID",
            "user namespace",
        ),
        ("failed to extract layer sha256:61: unexpected EOF", "crictl rmi"),
        ("failed to extract layer sha256:61: failed to mount /tmp/x: invalid argument: unknown", "snapshotter"),
    ],
)
def test_a_layer_that_the_node_cannot_unpack_is_no_refused_pull(error, act):
    raw = pod(
        phase="Pending",
        statuses=[status(state=waiting("ErrImagePull", f'failed to pull and unpack image "docker.io/x/y:1": {error}'))],
    )
    found = crash_findings(raw)[0]
    assert found.cause == "RegistryError"
    assert act in advised(found)
    assert "pull secret" not in advised(found)


@pytest.mark.parametrize("scc", [True, False])
def test_a_program_that_the_namespaces_user_may_not_run(scc):
    said = 'container create failed: time="2026-06-08T12:16:22Z" level=error msg="runc create failed: unable to start container process: eaccess /atlas: permission denied"'
    raw = pod(
        phase="Pending", statuses=[status(state=waiting("CreateContainerError", said))], metadata=SCC if scc else {}
    )
    found = crash_findings(raw)[0]
    assert found.cause == "CommandNotExecutable"
    assert "/atlas" in found.message
    assert ("anyuid" in advised(found)) is scc


# A waiting init container that says what refuses it.

REFUSED = (
    "2026-06-08T10:13:01.391Z [ERROR] auth.handler: error authenticating:\n  error=\n  | Error making API request.\n  | \n"
    "  | URL: PUT http://vault.vault.svc:8200/v1/auth/kubernetes/login\n  | Code: 403. Errors:\n  | \n  | * permission denied\n   backoff=1s\n"
)


def init_waits(log, **metadata):
    raw = pod(
        init=[container("vault-agent-init")],
        init_statuses=[status("vault-agent-init", running(-600))],
        statuses=[status(state=waiting("PodInitializing"))],
        phase="Pending",
        metadata=metadata,
    )
    return crash_findings(raw, logs={"vault-agent-init": log})[0]


def test_vault_that_answers_is_there_and_its_role_refuses():
    found = init_waits(REFUSED, annotations={"vault.hashicorp.com/role": "pay"})
    assert "refuses the login of ServiceAccount default" in found.message
    assert "vault read auth/kubernetes/role/pay" in advised(found)
    assert "Create Service" not in advised(found)


def test_vault_that_does_not_answer_is_missing():
    log = '2026-06-08T10:13:01Z [ERROR] auth.handler: error authenticating: error="Put http://vault.vault.svc:8200/v1/auth/kubernetes/login: dial tcp: lookup vault.vault.svc: no such host"\n'
    found = init_waits(log)
    assert "refuses the login" not in found.message
    assert "vault" in found.message


def test_a_vault_agent_that_gave_up_says_the_same():
    found = told(
        REFUSED
        + '2026-06-08T10:13:09.391Z [ERROR] auth.handler: error authenticating: error="URL: PUT http://vault.vault.svc:8200/v1/auth/kubernetes/login Code: 403. Errors: * permission denied"\n'
    )
    assert found.cause == "DependencyAuthFailed"
    assert "bound_service_account_names" in advised(found)


def test_what_offers_the_gpus_asks_for_none():
    log = "E0401 23:26:45.145674       1 main.go:123] error starting plugins: Failed to initialize NVML: could not load NVML library.\n"
    found = told(log, image="nvcr.io/nvidia/k8s-device-plugin:v0.14.5")
    assert "nvidia.com/gpu: 1" not in advised(found)
    assert "runtimeClassName: nvidia" in found.fix[0].text
    assert "nvidia.com/gpu: 1" in advised(told(log, image="acme/train:1"))


def test_an_old_java_runtime_is_told_by_its_frames():
    log = (
        'Exception in thread "main" java.lang.NullPointerException\n'
        "\tat java.base/jdk.internal.platform.cgroupv2.CgroupV2Subsystem.getInstance(CgroupV2Subsystem.java:80)\n"
        "\tat org.acme.Main.main(Main.java:7)\n"
    )
    assert told(log).details["mechanism"] == "jvm-cgroup"
    assert (
        told(log.replace("jdk.internal.platform.cgroupv2.CgroupV2Subsystem", "org.acme.Cgroups")).details.get(
            "mechanism"
        )
        != "jvm-cgroup"
    )


# What is left from an earlier start, what a node lacks for it, and what the checks of known programs print.

AGAIN = 'level=fatal msg="ARGOCD_GNUPGHOME at /app/config/gpg/keys already initialized, can\'t initialize again."\n'


@pytest.mark.parametrize(
    ("volume", "left"), [({"emptyDir": {}}, True), ({"persistentVolumeClaim": {"claimName": "c"}}, False)]
)
def test_what_an_empty_dir_kept_goes_with_the_pod(volume, left):
    mounts = [{"name": "keys", "mountPath": "/app/config/gpg/keys"}]
    made = container(volumeMounts=mounts)
    raw = pod(containers=[made], statuses=[status("app", back_off(), terminated(1, "Error", -65, -60), restarts=4)])
    raw["spec"]["volumes"] = [{"name": "keys", **volume}]
    found = crash_findings(raw, logs={"app": AGAIN})[0]
    assert ("delete pod api" in advised(found)) is left
    assert (found.details.get("mechanism") == "left-on-empty-dir") is left


def test_gpg_without_its_agent_looks_at_the_old_node():
    log = 'time="2026-06-08T03:06:58Z" level=fatal msg="`gpg --no-permission-warning --batch --gen-key /tmp/recipe1` failed exit status 2"\n'
    old = ready_node(nodeInfo={"kernelVersion": "3.10.0-1160", "containerRuntimeVersion": "docker://19.3.8"})
    found = told(log, old, securityContext={"seccompProfile": {"type": "RuntimeDefault"}})
    assert found.confidence is Confidence.LIKELY
    assert "3.10.0-1160" in advised(found)
    assert "Unconfined" in advised(found)
    assert "Unconfined" not in advised(told(log))
    assert told("gpg: key imported\nboom: no license\n").details.get("mechanism") != "gpg-agent"


def test_a_resolver_file_without_a_server():
    found = told("plugin/forward: no nameservers found\n", pod_spec={"dnsPolicy": "Default"})
    assert found.details["mechanism"] == "dns-no-servers"
    assert "/etc/resolv.conf of node node-1" in advised(found)
    assert told("plugin/forward: not an IP address or file: x\n").details.get("mechanism") != "dns-no-servers"


def not_ready(output, command=("check",), log=""):
    probe = {"exec": {"command": list(command)}, "periodSeconds": 10}
    raw = pod(containers=[container(readinessProbe=probe)], statuses=[status("app", running(-900), started=True)])
    said = event("Unhealthy", f"Readiness probe failed: {output}", container="app")
    return crash_findings(raw, said, logs={"app": log})[0]


@pytest.mark.parametrize(
    ("output", "act"),
    [
        ("calico/node is not ready: BIRD is not ready: BGP not established with 10.0.0.12", "TCP 179"),
        ("MongoServerError: Our replica set config is invalid or we are not a member of it", "rs.reconfig"),
        ("/var/run/postgresql:5432 - rejecting connections", "recovery"),
        ("127.0.0.1:5432 - no response", "whether the server starts"),
        ("LOADING Redis is loading the dataset in memory", "Wait while it loads"),
        ("stat: can't stat '/tmp/operator-sdk-ready': No such file or directory", "of its own release"),
        ("Key    Value\nSealed    true", "vault operator unseal"),
    ],
)
def test_what_a_known_check_prints_has_its_act(output, act):
    found = not_ready(output)
    assert found.cause == "ReadinessProbeFailed"
    assert act in advised(found)


def test_a_check_of_its_own_is_tried_by_hand_with_the_last_error_beside_it():
    found = not_ready("boom", log="2026-06-08 10:13:04 ERROR no leader elected\n")
    assert "by hand" in advised(found)
    assert "no leader elected" in found.message


@pytest.mark.parametrize(
    ("image", "role"),
    [
        ("123456789012.dkr.ecr.us-west-2.amazonaws.com/api:3", "AmazonEC2ContainerRegistryReadOnly"),
        ("acme.azurecr.io/api:3", "--attach-acr"),
        ("europe-docker.pkg.dev/p/r/api:3", "artifactregistry.reader"),
    ],
)
def test_a_registry_of_a_cloud_lets_the_nodes_in(image, role):
    said = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": authorization failed: no basic auth credentials'
    raw = pod(
        containers=[container(image=image)], phase="Pending", statuses=[status(state=waiting("ErrImagePull", said))]
    )
    raw["spec"]["imagePullSecrets"] = []
    assert role in crash_findings(raw)[0].fix[0].text
    raw["spec"]["imagePullSecrets"] = [{"name": "login"}]
    assert "login" in crash_findings(raw)[0].fix[0].text or "login" in crash_findings(raw)[0].message


def test_a_sub_path_on_nfs_is_made_by_root():
    said = 'failed to prepare subPath for volumeMount "data" of container "app"'
    mounts = [{"name": "data", "mountPath": "/data", "subPath": "wp"}]
    raw = pod(
        containers=[container(volumeMounts=mounts)],
        phase="Pending",
        statuses=[status(state=waiting("CreateContainerConfigError", said))],
    )
    raw["spec"]["volumes"] = [{"name": "data", "nfs": {"server": "10.1.1.1", "path": "/x"}}]
    assert "root squash" in advised(crash_findings(raw)[0])
    raw["spec"]["volumes"] = [{"name": "data", "emptyDir": {}}]
    assert "root squash" not in advised(crash_findings(raw)[0])


# What keeps a program from running, what is waited for, and what the servers of a cluster say of each other.


@pytest.mark.parametrize(
    ("log", "capabilities"),
    [
        ('standard_init_linux.go:178: exec user process caused "operation not permitted"\n', True),
        ("exec /usr/sbin/nginx: permission denied\n", False),
    ],
)
def test_a_file_with_capabilities_that_the_container_does_not_get(log, capabilities):
    context = {"capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": False}
    found = told(log, securityContext=context)
    assert found.cause == "CommandNotExecutable"
    assert ("NET_BIND_SERVICE" in advised(found)) is capabilities


def test_a_job_that_is_waited_for_and_gone_is_made_again():
    log = 'Error from server (NotFound): jobs.batch "migrate" not found\n'
    raw = pod(
        init=[container("wait")],
        init_statuses=[status("wait", back_off("wait"), terminated(1, "Error", -65, -60))],
        statuses=[status(state=waiting("PodInitializing"))],
        phase="Pending",
    )
    found = crash_findings(raw, logs={"wait": log})[0]
    assert found.cause == "InitContainerFailed"
    assert "ttlSecondsAfterFinished" in advised(found)
    assert told(log.replace("jobs.batch", "cronjobs.batch")).details.get("mechanism") != "job-missing"


@pytest.mark.parametrize(("name", "first"), [("app-tls", "Certificate"), ("database", "Create Secret")])
def test_a_secret_that_an_operator_makes_is_looked_for_there(name, first):
    volumes = [{"name": "v", "secret": {"secretName": name}}]
    said = event("FailedMount", f'MountVolume.SetUp failed for volume "v" : secret "{name}" not found')
    raw = pod(phase="Pending", statuses=[status(state=waiting("ContainerCreating"))])
    raw["spec"]["volumes"] = volumes
    raw["spec"]["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
    found = next(f for f in crash_findings(raw, said) if f.cause == "SecretNotFound")
    assert first in found.fix[0].text
    assert "externalsecrets" in advised(found)


def test_a_driver_of_two_versions_wants_a_restart():
    words = "error running hook: exit status 1, stdout: , stderr: nvidia-container-cli: initialization error: nvml error: driver/library version mismatch: unknown"
    raw = pod(statuses=[status(state=back_off(), last=terminated(128, "StartError", -61, -60, message=words))])
    assert "restart it" in advised(crash_findings(raw)[0])


def test_a_member_that_lost_its_log_joins_again():
    log = "panic: tocommit(12) is out of range [lastIndex(3)]. Was the raft log corrupted, truncated, or lost?\n\ngoroutine 146 [running]:\nmain.main()\n\t/src/main.go:9\n"
    said = advised(told(log, code=2, volumeMounts=[{"name": "data", "mountPath": "/data"}], volumes=[CLAIM]))
    assert "member remove" in said


@pytest.mark.parametrize(
    ("path", "own"), [("/actuator/health", True), ("/actuator/health/liveness", False), ("/healthz", False)]
)
def test_a_liveness_check_asks_no_dependencies(path, own):
    probe = {"httpGet": {"path": path, "port": 8080}, "periodSeconds": 10, "failureThreshold": 3}
    ended = terminated(143, "Error", -900, -100)
    raw = pod(containers=[container(livenessProbe=probe)], statuses=[status("app", running(-99), ended, started=True)])
    said = event(
        "Unhealthy",
        "Liveness probe failed: HTTP probe failed with statuscode: 503",
        container="app",
        last=-105,
        count=9,
    )
    killed = event("Killing", "Container app failed liveness probe, will be restarted", container="app", last=-101)
    found = next(f for f in crash_findings(raw, said, killed) if f.cause == "LivenessProbeFailed")
    assert ("Point the livenessProbe" in found.fix[0].text) is own


def test_a_storage_daemon_asks_for_its_monitors():
    found = told("failed to fetch mon config (--no-mon-config to skip)\n")
    assert found.details["mechanism"] == "ceph-monitors"
    assert "quorum" in advised(found)
    assert told("failed to fetch remote config (--offline to skip)\n").details.get("mechanism") != "ceph-monitors"


def test_a_directory_of_the_node_behind_a_claim_is_given_to_the_user():
    log = "mkdir: cannot create directory '/data/db': Permission denied\n"
    claim = obj("PersistentVolumeClaim", "data-0", spec={"volumeName": "pv-1"}, status={"phase": "Bound"})
    spec = {"volumeMounts": [{"name": "data", "mountPath": "/data"}], "securityContext": {"runAsUser": 1001}}
    local = obj("PersistentVolume", "pv-1", spec={"hostPath": {"path": "/srv/pv-1"}})
    assert "chown -R 1001:1001 /srv/pv-1" in advised(told(log, claim, local, volumes=[CLAIM], **spec))
    disk = obj("PersistentVolume", "pv-1", spec={"csi": {"driver": "ebs.csi.aws.com"}})
    assert "fsGroup 1001" in advised(told(log, claim, disk, volumes=[CLAIM], **spec))


# Configuration that a program refuses, listeners that it may not have, and clouds that it does not reach.

CONFIG = {"name": "config", "configMap": {"name": "loki"}}
CONFIG_MOUNT = [{"name": "config", "mountPath": "/etc/loki"}]


def test_all_fields_that_a_program_does_not_know_are_named():
    log = (
        "failed parsing config: /etc/loki/config.yaml: yaml: unmarshal errors:\n"
        "  line 7: field chunk_encode_gzip not found in type ingester.Config\n"
        "  line 45: field shared_store not found in type boltdb.IndexCfg. Use `-config.expand-env=true` flag if you want to expand environment variables in your config file\n"
    )
    found = told(log, volumeMounts=CONFIG_MOUNT, volumes=[CONFIG])
    assert "chunk_encode_gzip, shared_store" in found.message
    assert "Correct line 7 of key config.yaml in ConfigMap loki" in advised(found)
    assert "expand-env" not in advised(found)


def test_a_time_of_day_is_no_line_number():
    log = 'level=error ts=2026-06-08T12:36:27.607Z caller=main.go:46 msg="error loading config" filename=/etc/loki/config.yaml err="parsing time \\"0\\" as \\"2006-01-02\\": cannot parse \\"0\\" as \\"2006\\""\n'
    found = told(log, volumeMounts=CONFIG_MOUNT, volumes=[CONFIG])
    assert "config.yaml: 0 is no date or time" in found.message
    assert "2024-01-31" in advised(found)
    other = log.replace("2006-01-02", "15:04:05")
    assert "a time like 15:04:05" in advised(told(other, volumeMounts=CONFIG_MOUNT, volumes=[CONFIG]))


@pytest.mark.parametrize(
    ("said", "context", "likely"),
    [
        ("port 80 is already in use. Please check the flag --http-port", {"allowPrivilegeEscalation": False}, True),
        ("port 80 is already in use. Please check the flag --http-port", {"capabilities": {"drop": ["ALL"]}}, True),
        ("port 80 is already in use. Please check the flag --http-port", {}, False),
        ("port 8080 is already in use", {"allowPrivilegeEscalation": False}, False),
        ("bind() to 0.0.0.0:80 failed (98: Address already in use)", {"allowPrivilegeEscalation": False}, False),
    ],
)
def test_a_low_port_that_the_program_alone_calls_taken_may_be_forbidden(said, context, likely):
    found = told(f"F0306 12:00:00.000000       7 main.go:64] {said}\n", securityContext={"runAsUser": 101, **context})
    assert found.cause == "AddressInUse"
    assert ("may not bind" in found.message) is likely
    assert (found.confidence is Confidence.LIKELY) is likely
    root = told(f"F0306 12:00:00.000000       7 main.go:64] {said}\n", securityContext={"runAsUser": 0, **context})
    assert "may not bind" not in root.message


def test_a_listener_on_ipv6_is_taken_out_where_it_is_set():
    log = "nginx: [emerg] bind() to [::1]:8444 failed (99: Cannot assign requested address)\n"
    env = [{"name": "KONG_ADMIN_LISTEN", "value": "127.0.0.1:8444 ssl, [::1]:8444 ssl"}]
    found = told(log, env=env)
    assert "IPv6 is switched off" in found.message
    assert "variable KONG_ADMIN_LISTEN" in advised(found)
    assert "IPv6" not in told(log.replace("[::1]", "10.9.9.9"), env=env).message


def test_an_api_of_aws_that_does_not_answer_wants_an_endpoint():
    log = (
        "F0829 15:22:43.422519       1 provider.go:369] Failed to generate: WebIdentityErr: failed to retrieve credentials\n"
        "caused by: RequestError: send request failed\n"
        'caused by: Post "https://sts.amazonaws.com/": dial tcp 209.54.177.164:443: i/o timeout\n'
    )
    found = told(log, code=255)
    assert found.cause == "DependencyUnreachable"
    assert "an address of sts.amazonaws.com" in found.message
    assert "AWS_STS_REGIONAL_ENDPOINTS" in advised(found)
    regional = told(log.replace("sts.amazonaws.com", "ec2.us-west-2.amazonaws.com"), code=255)
    assert "interface endpoint for ec2 in region us-west-2" in advised(regional)
    assert "REGIONAL_ENDPOINTS" not in advised(regional)
    assert "interface endpoint" not in advised(told(log.replace("sts.amazonaws.com", "api.example.com"), code=255))


def test_a_metadata_service_that_refuses_pods_is_told():
    log = '{"level":"error","msg":"unable to initialize AWS cloud","error":"failed to introspect vpcID from EC2Metadata: EC2MetadataError: failed to make EC2Metadata request\\n\\n\\tstatus code: 401, request id: "}\n'
    assert "hop limit" in advised(told(log))


def test_a_galera_cluster_begins_with_its_newest_member():
    log = "2026-04-08  0:04:03 0 [ERROR] WSREP: It may not be safe to bootstrap the cluster from this node. It was not the last one to leave the cluster.\n2026-04-08  0:04:03 0 [ERROR] Aborting\n"
    mount = [{"name": "data", "mountPath": "/bitnami/mariadb"}]
    found = told(log, volumeMounts=mount, volumes=[CLAIM])
    assert found.details["mechanism"] == "galera-bootstrap"
    assert "highest seqno" in found.fix[0].text
    other = log.replace("It may not be safe to bootstrap the cluster from this node", "gcomm: no peer answers")
    assert told(other).details.get("mechanism") != "galera-bootstrap"


def test_an_account_without_its_role_is_told_by_the_program():
    log = "F0406 12:37:09.405544       7 main.go:87] The cluster seems to be running with a restrictive Authorization mode and the Ingress controller does not have the required permissions to operate normally.\n"
    found = told(log, code=255)
    assert (found.cause, found.details["mechanism"]) == ("PermissionDenied", "account-without-role")
    assert "ServiceAccount default" in advised(found)


@pytest.mark.parametrize(
    ("volume", "before", "words"),
    [
        ({"emptyDir": {}}, True, "see what copy copied"),
        ({"emptyDir": {}}, False, "no container mounts it before"),
        ({"persistentVolumeClaim": {"claimName": "c"}}, True, "covers the image's"),
    ],
)
def test_a_program_in_an_empty_dir_is_put_there_by_an_earlier_container(volume, before, words):
    mounts = [{"name": "bin", "mountPath": "/workspace"}]
    said = 'exec: "/workspace/tini": stat /workspace/tini: no such file or directory: unknown'
    first = container("copy", volumeMounts=mounts if before else [])
    raw = pod(
        init=[first, container("check", command=["/workspace/tini"], volumeMounts=mounts)],
        init_statuses=[
            status("copy", terminated(0, "Completed", -70, -69)),
            status("check", terminated(128, "StartError", -61, -60, message=said)),
        ],
        statuses=[status(state=waiting("PodInitializing"))],
        phase="Pending",
    )
    raw["spec"]["volumes"] = [{"name": "bin", **volume}]
    found = next(f for f in crash_findings(raw) if f.cause == "CommandNotFound")
    assert words in found.message + advised(found)


def test_a_proxy_without_configuration_asks_for_istiod():
    probe = {"httpGet": {"path": "/healthz/ready", "port": 15021}, "periodSeconds": 2}
    log = "2026-04-29T14:43:54.323650Z\tinfo\tEnvoy proxy is NOT ready: config not received from Pilot (is Pilot running?): cds updates: 0 successful, 0 rejected\n"
    said = event(
        "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", container="istio-proxy", count=9
    )
    for text, asks in ((log, True), ("serving\n", False)):
        raw = pod(
            containers=[container("istio-proxy", readinessProbe=probe)],
            statuses=[status("istio-proxy", running(-600), ready=False, started=True)],
        )
        found = next(
            f for f in crash_findings(raw, said, logs={"istio-proxy": text}) if f.cause == "ReadinessProbeFailed"
        )
        assert ("istiod" in advised(found)) is asks


def test_a_disk_that_azure_did_not_finish_detaching_is_named():
    words = 'AttachVolume.Attach failed for volume "pvc-1" : Code="AttachDiskWhileBeingDetached" Message="Cannot attach data disk \'other\' to VM \'vm_0\' because the disk is currently being detached or the last detach operation failed."'
    raw = pod(phase="Pending", statuses=[status(state=waiting("ContainerCreating"))])
    raw["spec"]["volumes"] = [CLAIM]
    found = next(f for f in crash_findings(raw, event("FailedAttachVolume", words)) if f.cause == "VolumeAttachFailed")
    assert "az vmss disk detach" in advised(found)
