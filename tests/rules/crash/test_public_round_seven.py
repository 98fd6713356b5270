"""Public incidents of the seventh round: what a program demands of its pod, owners, read-only program directories."""
# ruff: noqa: E501

import pytest

from support.objects import advised, back_off, container, crash_findings, pod, status, terminated

READ_ONLY = {"readOnlyRootFilesystem": True}


def told(log, *objects, code=1, volumes=(), mounts=(), **spec):
    security = spec.pop("pod_security", None)
    on_host = spec.pop("host_network", None)
    if mounts:
        spec["volumeMounts"] = [{"name": name, "mountPath": path} for name, path in mounts]
    raw = pod(
        containers=[container(**spec)],
        statuses=[status("app", back_off(), terminated(code, "Error", -80, -60))],
        volumes=list(volumes),
    )
    if security:
        raw["spec"]["securityContext"] = security
    if on_host:
        raw["spec"]["hostNetwork"] = True
    found = crash_findings(raw, *objects, logs={"app": log})[0]
    return found, f"{found.message}\n{advised(found)}"


def mechanism(found):
    return found.details.get("mechanism")


# A mount that the program asks for.


@pytest.mark.parametrize(
    "said",
    [
        "/runner should be an emptyDir mount. Please fix the pod spec.",
        "ERROR: '/var/lib/db' must be a mounted volume",
        "Fatal: please mount a volume at /data",
        "Error: /media/library is not a mount point, refusing to start",
    ],
)
def test_a_mount_that_is_asked_for(said):
    found, words = told(f"starting\n{said}\n")
    assert (found.cause, mechanism(found)) == ("AppConfigMissing", "mount-demanded")
    assert found.details["path"] in words
    assert ("emptyDir at /runner" in words) is ("/runner" in said)


def test_a_mount_that_is_there_is_not_asked_for():
    found, _ = told(
        "ERROR: '/data' must be a mounted volume\n",
        mounts=[("data", "/data")],
        volumes=[{"name": "data", "emptyDir": {}}],
    )
    assert mechanism(found) != "mount-demanded"


def test_a_claim_where_an_empty_dir_is_asked_for():
    found, words = told(
        "/runner should be an emptyDir mount. Please fix the pod spec.\n",
        mounts=[("work", "/runner")],
        volumes=[{"name": "work", "persistentVolumeClaim": {"claimName": "work"}}],
    )
    assert mechanism(found) == "mount-demanded"
    assert "PersistentVolumeClaim work" in words


# A demand in other words.


@pytest.mark.parametrize(
    ("said", "demand"),
    [
        ("Error: the value of `session.key` must have 32 bytes", "`session.key` must have 32 bytes"),
        ("ERROR cluster: seed list should contain this node's name (pod-0.svc)", "should contain this node"),
        ("Error: something went wrong", ""),
        # What may destroy data is not passed on.
        ("Error: the directory /data/old must be removed, and `data` must be deleted", ""),
    ],
)
def test_what_must_hold_is_said(said, demand):
    words = told(f"{said}\n")[1]
    assert ("Make true what its log demands" in words) is bool(demand)
    assert demand in words


# Directories on a volume.


def test_laravel_on_an_empty_volume():
    log = "\nIn Compiler.php line 75:\n\n  Please provide a valid cache path.\n\n"
    storage = {"name": "storage", "persistentVolumeClaim": {"claimName": "web"}}
    found, words = told(log, mounts=[("storage", "/srv/app/storage")], volumes=[storage])
    assert mechanism(found) == "laravel-views"
    assert "/srv/app/storage/framework/views" in words
    assert "initContainers" in words
    bare, without = told(log)
    assert mechanism(bare) == "laravel-views"
    assert "initContainers" not in without
    assert mechanism(told(log.replace("cache path", "cache store"))[0]) != "laravel-views"


# Names of Erlang nodes.


def test_an_erlang_name_that_is_taken():
    log = """ERROR: Node name 'emqx@127.0.0.1' is already in use on this machine.
2026-11-29T11:59:00.009310+00:00 [error] crasher: initial call: net_kernel:init/1, pid: <0.1772.0>, registered_name: [], exit: {{badmatch,{error,duplicate_name}},[{gen_server,init_it,6}]}
"""
    env = [{"name": "EMQX_NODE__NAME", "value": "emqx@127.0.0.1"}]
    found, words = told(log, env=env, host_network=True)
    assert mechanism(found) == "erlang-name"
    assert "EMQX_NODE__NAME" in words
    assert "hostNetwork" in words
    alone = told("Protocol 'inet_tcp': the name rabbit@mq-0 seems to be in use by another Erlang node\n")
    assert mechanism(alone[0]) == "erlang-name"
    assert "Take hostNetwork out" not in alone[1]
    # Of a crashed process alone the report is what there is.
    other = told(log.partition("\n")[2])[0]
    assert "duplicate_name" in other.message


# Owners.


OWNER = {"readOnlyRootFilesystem": True, "runAsUser": 0, "capabilities": {"add": ["CHOWN"], "drop": ["ALL"]}}
CHOWN = "chown: /var/lib/grafana/png: Permission denied\nchown: /var/lib/grafana/lost+found: Permission denied\n"
VOLUME = {"name": "storage", "persistentVolumeClaim": {"claimName": "grafana"}}


def test_root_without_its_override_may_not_enter():
    found, words = told(
        CHOWN,
        securityContext=OWNER,
        mounts=[("storage", "/var/lib/grafana")],
        volumes=[VOLUME],
        pod_security={"fsGroup": 472},
    )
    assert found.cause == "PermissionDenied"
    assert "DAC_OVERRIDE" in words
    assert "fsGroup 472" in words
    assert "subPath" not in words


def test_root_with_its_override_is_stopped_by_the_storage():
    security = {**OWNER, "capabilities": {"add": ["CHOWN", "DAC_OVERRIDE"], "drop": ["ALL"]}}
    words = told(CHOWN, securityContext=security, mounts=[("storage", "/var/lib/grafana")], volumes=[VOLUME])[1]
    assert "DAC_OVERRIDE back" not in words


def test_lost_and_found_as_data_keeps_its_advice():
    log = "ERROR: unexpected file in data directory: /var/lib/grafana/lost+found\n"
    found, words = told(log, mounts=[("storage", "/var/lib/grafana")], volumes=[VOLUME])
    assert mechanism(found) == "data-not-empty"
    assert "subPath" in words


# A read-only root.


@pytest.mark.parametrize(
    ("path", "copied"),
    [
        ("/opt/keycloak/lib/quarkus/generated-bytecode.jar", True),
        ("/usr/share/nginx/html/env.js", True),
        ("/app/dist/config.js", True),
        ("/opt/app/lib/.cache/x.bin", False),
        ("/var/lib/app/state.db", False),
        ("/opt/app/work/x.pid", False),
    ],
)
def test_a_mount_over_the_program_is_filled_first(path, copied):
    found, words = told(f"ERROR: {path}: Read-only file system\n", securityContext=READ_ONLY)
    assert found.cause == "ReadOnlyFilesystem"
    assert ("cp -a" in words) is copied
    assert ("--optimized" in words) is ("quarkus" in path)


# The node.


def test_a_kind_of_interface_that_the_kernel_lacks():
    log = "I1129 11:58:59.150310       1 vxlan.go:141] VXLAN config: VNI=1 Port=0\nE1129 11:58:59.152391       1 main.go:353] Error registering network: operation not supported\n"
    found, words = told(log)
    assert (mechanism(found), found.details["module"]) == ("kernel-module", "vxlan")
    assert "modprobe vxlan" in words
    other = told('level=fatal msg="failed to create wireguard interface wg0: operation not supported"\n')[0]
    assert other.details["module"] == "wireguard"
    unnamed = told("E1129 11:58:59.152391       1 main.go:353] Error registering network: operation not supported\n")[0]
    assert mechanism(unnamed) != "kernel-module"


@pytest.mark.parametrize("method", ["interface=eth.*", ""])
def test_a_method_that_finds_no_address_is_not_proposed_again(method):
    log = "2026-11-29 11:58:58.432 [WARNING][9] startup/autodetection_methods.go 99: Unable to auto-detect an IPv4 address using interface regexes [eth.*]: no valid host interfaces found\nCalico node failed to start\n"
    env = [{"name": "IP_AUTODETECTION_METHOD", "value": method}]
    found, words = told(log, env=env if method else [])
    assert mechanism(found) == "own-address"
    assert ("kubernetes-internal-ip" in words) is bool(method)


def registrar(directory, told_path):
    path = f"/var/lib/kubelet/plugins/{told_path}/csi.sock"
    return told(
        f"E1129 11:58:59.431159       1 main.go:103] Registration process failed with error: RegisterPlugin error -- plugin registration failed with err: dial unix {path}: connect: no such file or directory, restarting registration container.\n",
        args=["--csi-address=/csi/csi.sock", f"--kubelet-registration-path={path}"],
        mounts=[("socket-dir", "/csi")],
        volumes=[{"name": "socket-dir", "hostPath": {"path": f"/var/lib/kubelet/plugins/{directory}"}}],
    )


def test_the_socket_that_the_kubelet_is_sent_to():
    found, words = registrar("csi-nfsplugin", "nfs.csi.k8s.io")
    assert mechanism(found) == "registration-socket"
    assert "--kubelet-registration-path=/var/lib/kubelet/plugins/csi-nfsplugin/csi.sock" in words
    assert mechanism(registrar("nfs.csi.k8s.io", "nfs.csi.k8s.io")[0]) != "registration-socket"


# A disk that a program calls low in a line of no error.


@pytest.mark.parametrize(
    ("said", "full"),
    [("Detected low-disk space condition, avoid starting the instance", True), ("free disk space checked", False)],
)
def test_low_disk_space_in_a_routine_line(said, full):
    log = f'{{"level":"info","ts":"2026-11-29T11:58:57.741Z","msg":"{said}","logging_pod":"pg-2"}}\n'
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "pg-2"}}
    found, words = told(log, code=4, mounts=[("data", "/var/lib/postgresql/data")], volumes=[volume])
    assert (found.cause == "DiskFull") is full
    assert ("Enlarge PersistentVolumeClaim pg-2" in words) is full
    assert said in found.message
    assert "logging_pod" not in found.message


def test_the_variable_of_rails():
    log = "/gems/railties/lib/rails/application.rb:694:in `validate_secret_key_base': Missing `secret_key_base` for 'production' environment, set this string with `bin/rails credentials:edit` (ArgumentError)\n"
    found, words = told(log)
    assert (found.cause, found.details["setting"]) == ("AppConfigMissing", "SECRET_KEY_BASE")
    assert "secretKeyRef" in words


# The second set.


def test_kafka_without_zookeeper():
    log = "[2026-11-29 11:58:59,801] ERROR Exiting Kafka due to fatal exception (kafka.Kafka$)\norg.apache.kafka.common.config.ConfigException: Missing required configuration `process.roles` which has no default value.\n\tat kafka.Kafka.main(Kafka.scala)\n"
    found, words = told(log, env=[{"name": "KAFKA_ZOOKEEPER_CONNECT", "value": "zk:2181"}])
    assert (found.cause, mechanism(found)) == ("AppConfigMissing", "kafka-zookeeper")
    assert "KAFKA_PROCESS_ROLES" in words
    other = log.replace("process.roles", "group.id")
    asked = told(other, image="apache/kafka:4.0.0", env=[{"name": "KAFKA_NODE_ID", "value": "1"}])
    assert asked[0].details["setting"] == "group.id"
    assert "KAFKA_GROUP_ID" in asked[1]
    assert "GROUP_ID" not in told(other)[1]


def test_numpy_that_a_module_was_not_built_for():
    log = """A module that was compiled using NumPy 1.x cannot be run in
NumPy 2.0.2 as it may crash.

Traceback (most recent call last):
  File "/app/main.py", line 3, in <module>
    import pyarrow
  File "/usr/local/lib/python3.11/site-packages/pyarrow/__init__.py", line 65, in <module>
    import pyarrow.lib as _lib
  File "pyarrow/lib.pyx", line 36, in init pyarrow.lib
ImportError: numpy.core.multiarray failed to import
"""
    found, words = told(log)
    assert (mechanism(found), found.details["package"]) == ("numpy-abi", "pyarrow")
    assert "numpy<2" in words
    size = 'Traceback (most recent call last):\n  File "/usr/lib/python3/site-packages/pandas/__init__.py", line 4, in <module>\n    x\nValueError: numpy.dtype size changed, may indicate binary incompatibility. Expected 96 from C header, got 88 from PyObject\n'
    assert told(size)[0].details["package"] == "pandas"
    assert (
        mechanism(told(log.replace("numpy.core.multiarray failed to import", "no").partition("Trace")[2])[0])
        != "numpy-abi"
    )


ROOTLESS = "[rootlesskit:parent] error: failed to setup UID/GID map: newuidmap 14 [0 1000 1] failed: newuidmap: write to uid_map failed: Operation not permitted\n: exit status 1\n"


@pytest.mark.parametrize(
    ("security", "patched"),
    [
        ({"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsUser": 1000}, True),
        ({"runAsUser": 1000}, False),
    ],
)
def test_user_namespaces_of_rootless_programs(security, patched):
    found, words = told(ROOTLESS, securityContext=security)
    assert found.cause == "PermissionDenied"
    assert "user namespace" in found.message
    assert ("allowPrivilegeEscalation true" in words) is patched
    assert ("SETUID" in words) is patched
    assert "emptyDir" not in words


@pytest.mark.parametrize(
    ("said", "about_a_file"),
    [
        ("make: /bin/sh: Operation not permitted", True),
        ("fatal: starting the watchdog failed: Operation not permitted", False),
        ("Error: open: permission denied", True),
    ],
)
def test_an_operation_that_is_not_named_is_no_file(said, about_a_file):
    found, words = told(f"{said}\n", securityContext={"capabilities": {"drop": ["ALL"]}})
    assert found.cause == "PermissionDenied"
    assert ("not about a file" in found.message) is not about_a_file
    assert ("--profile=sysadmin" in words and "drop ALL" in words) is not about_a_file


@pytest.mark.parametrize(
    ("said", "settings"),
    [
        ("auto-direct-node-routes cannot be used with tunneling", True),
        ("--tls and --plaintext are mutually exclusive", True),
        ("option replicas requires mode to be set", True),
        ("the tube cannot be bent", False),
    ],
)
def test_settings_that_do_not_go_together(said, settings):
    log = f'time="2026-11-29T11:58:59Z" level=fatal msg="{said}" subsys=daemon\n'
    found, words = told(log, image="quay.io/cilium/cilium:v1.15.6")
    assert ("it refuses its configuration" in found.message) is settings
    assert ("cilium-config" in words) is settings


def test_variables_from_config_maps_are_named_for_a_refused_setting():
    env = [{"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "modes", "key": "mode"}}}]
    assert "ConfigMap modes (env)" in told("FATAL invalid option value: x\n", env=env)[1]


def test_the_sum_of_failures_gives_way_to_the_one_before():
    log = """E1129 11:58:50.210211 1 model_repository_manager.cc:1460] "Poll failed for model directory 'resnet50': failed to open text file for read /models/resnet50/config.pbtxt: No such file or directory"
I1129 11:58:59.000201 1 model_lifecycle.cc:620] "successfully unloaded 'bert' version 1"
error: creating server: Internal - failed to load all models
"""
    volume = {"name": "models", "persistentVolumeClaim": {"claimName": "models"}}
    found, words = told(log, mounts=[("models", "/models")], volumes=[volume])
    assert found.cause == "AppConfigMissing"
    assert "/models/resnet50/config.pbtxt" in words
    assert "PersistentVolumeClaim models" in words
    # Without another error the sum is what there is.
    assert "failed to load all models" in told(log.splitlines()[-1] + "\n")[0].message


SQL = "Unhandled exception. {}Exception (0x80131904): A connection was successfully established with the server, but then an error occurred during the login process.\n ---> System.Security.Authentication.AuthenticationException: The remote certificate was rejected by the provided RemoteCertificateValidationCallback.\n   at Program.<Main>$(String[] args) in /src/Program.cs:line 44\n"


@pytest.mark.parametrize(("client", "sql"), [("Microsoft.Data.SqlClient.Sql", True), ("Acme.Mail.Smtp", False)])
def test_dotnet_rejects_a_certificate(client, sql):
    found, words = told(SQL.format(client), code=134)
    assert (found.cause, found.details["problem"]) == ("CertificateInvalid", "untrusted")
    assert ("TrustServerCertificate=True" in words) is sql


def test_a_rescued_error_of_ruby_stands_above_its_frames():
    frames = "/gems/redis-client-0.22.2/lib/redis_client.rb:748:in `connect'\n/gems/sidekiq-7.2.4/lib/sidekiq/cli.rb:76:in `run'\n"
    found, _ = told(f"NOAUTH Authentication required. (redis://redis-master:6379/0)\n{frames}")
    assert found.cause == "DependencyAuthFailed"
    routine = told(f"2026-11-29T11:58:58.200Z pid=1 INFO: See LICENSE for details.\n{frames}")[0]
    assert "LICENSE" not in routine.message


@pytest.mark.parametrize("said", ['Cannot write into "config" directory!', 'The directory "config" cannot be written'])
def test_a_directory_that_is_told_without_its_path(said):
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "cloud"}}
    found, words = told(
        f"{said}\n", mounts=[("data", "/var/www/html/config")], volumes=[volume], securityContext={"runAsUser": 33}
    )
    assert found.cause == "PermissionDenied"
    assert "/var/www/html/config" in found.message
    assert "fsGroup 33" in words


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("Error: Your database version (1.9.0) is incompatible with your current engine version (1.11.3).", "1.9.0"),
        ("FATAL: storage format version 12 is not supported by this server", "12"),
        ("ERROR: index version 7 is too old", "7"),
        ("ERROR: client version 7 is fine", ""),
    ],
)
def test_versions_of_data_in_any_programs_words(said, version):
    found, words = told(f"{said}\n", image="getmeili/meilisearch:v1.11.3")
    assert (mechanism(found) == "data-version") is bool(version)
    assert version in words


def test_a_set_in_the_log_is_no_command():
    log = "TimeoutError: There are still unapplied migrations after 60 seconds. Migration Head(s) in DB: set() | Migration Head(s) in Source Code: {'5f2621c13b39'}\n"
    found, words = told(log)
    assert "migrations have not run" in found.message
    assert "names the command" not in words


@pytest.mark.parametrize(
    ("said", "account"),
    [("The user name or password is incorrect.", True), ("The requested resource is in use.", False)],
)
def test_a_windows_node_that_may_not_fetch_the_password_of_an_account(said, account):
    message = (
        f"failed to create containerd task: failed to create shim task: hcs::CreateComputeSystem app: {said}: unknown"
    )
    ended = terminated(128, "StartError", -60, -60)
    ended["terminated"]["message"] = message
    raw = pod(containers=[container()], statuses=[status("app", back_off(), ended)])
    found = crash_findings(raw)[0]
    assert found.cause == "StartError"
    assert ("PrincipalsAllowedToRetrieveManagedPassword" in advised(found)) is account


# The third set.


@pytest.mark.parametrize(
    ("said", "parameter", "act"),
    [
        (
            "Could not setup Async I/O: Not enough request capacity in /proc/sys/fs/aio-max-nr. Try increasing that number",
            "fs.aio-max-nr",
            "sysctl -w fs.aio-max-nr=1048576",
        ),
        ("ERROR: net.core.somaxconn must be at least 8192", "net.core.somaxconn", "securityContext.sysctls"),
        (
            "ERROR: kernel.pid_max is too low, increase kernel.pid_max to 65536",
            "kernel.pid_max",
            "kernel.pid_max=65536",
        ),
        ("ERROR: cannot read /proc/sys/fs/aio-max-nr", "", ""),
    ],
)
def test_a_parameter_of_the_kernel_that_is_too_low(said, parameter, act):
    found, words = told(f"{said}\n")
    assert (mechanism(found) == "sysctl-low") is bool(parameter)
    assert found.details.get("parameter", "") == parameter
    assert act in words


def test_a_cassandra_node_that_the_ring_knows():
    log = "java.lang.RuntimeException: A node with address /10.244.3.12:7000 already exists, cancelling join. Use cassandra.replace_address if you want to replace this node.\n\tat org.apache.cassandra.service.StorageService.checkForEndpointCollision(StorageService.java:741)\n"
    found, words = told(log, code=3)
    assert (mechanism(found), found.details["address"]) == ("address-in-ring", "10.244.3.12")
    assert "nodetool status" in words
    assert mechanism(told(log.replace("already exists, cancelling join", "left the ring"))[0]) != "address-in-ring"


@pytest.mark.parametrize(
    ("reason", "module"),
    [
        ("RULE_APPEND failed (No such file or directory): rule in chain DOCKER-ISOLATION-STAGE-1", True),
        ("Could not fetch rule set generation id: Permission denied (you must be root)", False),
    ],
)
def test_iptables_of_another_backend(reason, module):
    log = f'failed to start daemon: Error initializing network controller: failed to register "bridge" driver: (iptables failed: iptables --wait -A X -j RETURN: iptables v1.8.10 (nf_tables):  {reason}\n (exit status 4))\n'
    found, words = told(log, image="docker:27-dind")
    assert (mechanism(found) == "iptables-backend") is module
    assert ("DOCKER_IPTABLES_LEGACY=1" in words) is module


def test_a_disk_that_cannot_be_read_and_a_file_system_without_an_operation():
    osd = "debug 2026-11-29T11:58:59.401+0000 7f3b2c8a1640 -1  ** ERROR: osd init failed: (5) Input/output error\n"
    found, words = told(osd)
    assert mechanism(found) == "input-output-error"
    assert "dmesg" in words
    wired = '{"t":{"$date":"2026-11-29T11:58:59.401+00:00"},"s":"E","c":"WT","id":22435,"msg":"WiredTiger error message","attr":{"error":95,"message":{"msg":"__posix_open_file:815:/data/db/WiredTiger.wt: handle-open: open","error_str":"Operation not supported"}}}\n'
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "mongo-0"}}
    on_claim, act = told(wired, code=14, mounts=[("data", "/data/db")], volumes=[volume])
    assert mechanism(on_claim) == "file-system-operation"
    assert "mongo-0" in on_claim.message
    assert "block volume" in act
    alone = told(wired, code=14)[0]
    assert mechanism(alone) != "file-system-operation"
    assert "Operation not supported" in alone.message


@pytest.mark.parametrize(("zone", "first"), [("Europe/Vienna", "tzdata"), ("CEST5", "Correct the name CEST5")])
def test_a_time_zone_that_is_not_found(zone, first):
    found, _ = told(
        f"panic: unknown time zone {zone}\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:44 +0x1a5\n", code=2
    )
    assert (mechanism(found), found.details["zone"]) == ("time-zones", zone)
    assert first in found.fix[0].text


def test_a_process_of_ray_that_ended():
    log = "2026-11-29 11:58:58,301\tERR scripts.py:1041 -- Some Ray subprocesses exited unexpectedly:\n2026-11-29 11:58:58,302\tERR scripts.py:1045 -- gcs_server [exit code=1]\n2026-11-29 11:58:58,302\tERR scripts.py:1053 -- Remaining processes will be killed.\n"
    found, words = told(log)
    assert (mechanism(found), found.details["process"]) == ("ray-process", "gcs_server")
    assert "/tmp/ray/session_latest/logs/gcs_server.err" in words
    assert mechanism(told(log.replace("gcs_server [", "worker ["))[0]) != "ray-process"


@pytest.mark.parametrize(
    ("log", "quoted"),
    [
        (
            "ERROR Background initialization failed\njava.lang.IllegalStateException: Current version is too old\n\tat a.b.C.d(C.java:44)\nINFO stopped\n",
            True,
        ),
        ("INFO all done\n", False),
    ],
)
def test_a_success_after_an_error_quotes_it(log, quoted):
    raw = pod(containers=[container()], statuses=[status("app", back_off(), terminated(0, "Completed", -80, -60))])
    found = crash_findings(raw, logs={"app": log})[0]
    assert found.cause == "CompletedButRestarted"
    assert ("Current version is too old" in found.message) is quoted


def test_a_mark_before_an_error_is_no_word_of_it():
    found, _ = told(" ⨯ Error: EROFS: read-only file system, open '/app/state/x'\n", securityContext=READ_ONLY)
    assert found.cause == "ReadOnlyFilesystem"
    assert "/app/state/x" in found.message


@pytest.mark.parametrize("name", ["SPRING_KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BROKERS", "GREETING"])
def test_servers_that_a_variable_lists(name):
    log = "Caused by: org.apache.kafka.common.config.ConfigException: No resolvable bootstrap urls given in bootstrap.servers\n\tat a.b.C.d(C.java:44)\n"
    found, _ = told(log, env=[{"name": name, "value": "kafka-0:9092,kafka-1:9092"}])
    assert found.cause == "DependencyUnreachable"
    assert ("kafka-0:9092" in found.message) is (name != "GREETING")


# The fourth set.


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (
            "The POSTGRESQL_PASSWORD environment variable is empty or not set. Set the environment variable ALLOW_EMPTY_PASSWORD=yes",
            "POSTGRESQL_PASSWORD",
        ),
        ("the API_TOKEN env var is missing", "API_TOKEN"),
        ("the API_TOKEN environment variable is set twice", ""),
    ],
)
def test_a_variable_that_is_named_before_its_kind(said, name):
    found, _ = told(f"ERROR ==> {said}\n")
    assert (found.cause == "AppConfigMissing") is bool(name)
    assert found.details.get("setting", "") == name


def test_a_backend_that_fails_gives_way_to_its_configuration():
    log = """[2026/11/29 11:59:00] [error] [config] es: unknown configuration property 'Retry_Limits'. The following properties are allowed: index, type.
[2026/11/29 11:59:00] [ help] try the command: /fluent-bit/bin/fluent-bit -o es -h
[2026/11/29 11:59:00] [error] [engine] engine initialization failed
[2026/11/29 11:59:00] [error] [lib] backend failed
"""
    found, words = told(
        log, code=255, mounts=[("config", "/conf")], volumes=[{"name": "config", "configMap": {"name": "fluent-bit"}}]
    )
    assert "Retry_Limits" in found.message
    assert "ConfigMap fluent-bit" in words
    assert "backend failed" in told(log.splitlines()[-1] + "\n", code=255)[0].message


def test_a_virtual_host_that_is_missing():
    log = "[2026-11-29 11:58:59,001: CRITICAL/MainProcess] Unrecoverable error: NotAllowed(530, \"NOT_ALLOWED - vhost {} not found\", (10, 40), 'Connection.open')\n"
    found, words = told(log.format("shop"))
    assert (mechanism(found), found.details["virtualHost"]) == ("virtual-host-missing", "shop")
    assert "add_vhost shop" in words
    assert mechanism(told(log.replace("vhost {} not found", "access refused"))[0]) != "virtual-host-missing"


# The fifth set.


def test_a_plugin_that_needs_a_newer_host():
    log = "io.jenkins.tools.pluginmanager.impl.PluginManager$PluginInputException: The following plugins do not meet requirements: \nPlugin kubernetes:4302.va_756 (via configuration-as-code) requires a greater version of Jenkins (2.479.1) than 2.462.3\n"
    found, words = told(log)
    assert (mechanism(found), found.details["needs"]) == ("plugin-needs-newer", "2.479.1")
    assert "pin kubernetes" in words
    other = told(log.replace("requires a greater version of Jenkins (2.479.1) than 2.462.3", "was refused by policy"))[
        0
    ]
    assert mechanism(other) != "plugin-needs-newer"
    # What an error announces is said with it.
    assert "was refused by policy" in other.message


def test_broken_parts_of_clickhouse():
    log = "2026.11.29 11:58:58.301010 [ 1 ] {} <Error> Application: DB::Exception: Suspiciously many (14) broken parts to remove: Cannot attach table `shop`.`orders`\n2026.11.29 11:58:59.401010 [ 1 ] {} <Information> Application: shutting down\n"
    found, words = told(log, code=231)
    assert mechanism(found) == "broken-parts"
    assert "max_suspicious_broken_parts" in words
    other = told(log.replace("Suspiciously many (14) broken parts to remove", "Table is read-only mode"), code=231)[0]
    assert mechanism(other) != "broken-parts"
    assert "<Error>" not in other.message


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            'No service with name backend found in namespace ingress: services "backend" not found',
            "Service backend in namespace ingress",
        ),
        ('endpoints "db" not found', "Endpoints db in namespace shop"),
        ("service backend answered", ""),
    ],
)
def test_objects_that_a_program_asked_for(said, shown):
    found, _ = told(f"F1129 11:58:58.201301       7 main.go:96] {said}\n", code=255)
    assert (mechanism(found) == "object-missing") is bool(shown)
    assert shown in found.message
