"""Known errors of programs: each in other words, each beside a look-alike that is none, and held against the spec."""
# ruff: noqa: E501

import re
import sys
import time

import pytest

from kubetriage.data import table
from kubetriage.model import Actor, Confidence, Severity
from kubetriage.rules.crash.known_errors import MODULES, rows_of
from kubetriage.rules.crash.known_errors.literals import LITERALS
from kubetriage.rules.crash.program_output import Output
from kubetriage.rules.crash.windows_exits import windows_exit
from kubetriage.values.patterns import may_match
from support.objects import (
    NAMESPACE,
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
from support.offline import ROOT

sys.path.append(str(ROOT / "docs"))
import pattern_literals


class Recorder:
    """Stands for a pattern that matches nothing, and keeps what it is looked for in."""

    def __init__(self, looked):
        self.looked = looked

    def search(self, text):
        self.looked.append(text)


def first(log="", *objects, code=1, spec=None, lived=5, **more):
    """Return the first error about a pod whose container ended with a log."""
    spec = spec or container()
    ends = terminated(code, "Error", -60 - lived, -60)
    raw = pod(containers=[spec], statuses=[status(spec["name"], back_off(), ends)], **more)
    found = crash_findings(raw, *objects, logs={spec["name"]: log})
    return next(f for f in found if f.severity is Severity.ERROR)


def words(finding):
    """Return the message and all fixes as one text."""
    return "\n".join(
        [finding.message, *(part for x in finding.fix for part in (x.text, *x.commands, x.yaml, str(x.patch or "")))]
    )


VARIANTS = [
    (
        "page-size",
        "error: page size mismatch: compiled for 4k pages, kernel has 64k\nmemory allocation of 8 bytes failed\n",
    ),
    (
        "thread-limit",
        "thread 'main' panicked at library/std/src/thread/mod.rs:727:29:\nfailed to spawn thread: Os { code: 11, kind: WouldBlock, message: \"Resource temporarily unavailable\" }\n",
    ),
    ("thread-limit", "ERROR: fork failed: Resource temporarily unavailable\n"),
    (
        "inotify-instances",
        "Error: EMFILE: too many open files, watch '/app/src'\n    at FSWatcher.<computed> (node:internal/fs/watchers:247:19) {\n  code: 'EMFILE'\n}\n\nNode.js v20\n",
    ),
    (
        "open-files",
        "java.net.SocketException: Too many open files\n\tat java.base/sun.nio.ch.Net.accept(Native Method)\n",
    ),
    (
        "max-map-count",
        "ERROR: [1] bootstrap checks failed\n[1]: max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]\n",
    ),
    ("mode-too-open", 'pg_ctl: FATAL:  data directory "/data/pg" has group or world access\n'),
    ("mode-too-open", "fatal: insecure file permissions on /etc/app/key.pem\n"),
    ("service-link", 'Error: For input string: "tcp://10.0.113.21:9042"\n'),
    ("service-link", "ValueError: invalid literal for int() with base 10: 'tcp://172.20.4.4:8080'\n"),
    ("data-version", "FATAL: data directory was initialized by a newer version of this server\n"),
    (
        "data-cluster",
        "[2024-05-01 10:00:00,000] ERROR Exiting Kafka due to fatal exception (kafka.Kafka$)\njava.lang.RuntimeException: Stored node id 1 doesn't match previous node id 2 in meta.properties\n\tat kafka.server.X.y(X.scala:1)\n",
    ),
    ("data-locked", 'FATAL:  lock file "postmaster.pid" already exists\n'),
    ("data-damaged", "sqlite3.DatabaseError: database disk image is malformed\n"),
    ("data-not-empty", 'initdb: error: directory "/bitnami/postgresql/data" exists but is not empty\n'),
    (
        "seccomp-thread",
        "terminate called after throwing an instance of 'std::system_error'\n  what():  std::thread: Operation not permitted\n",
    ),
    (
        "module-missing",
        "Error: Cannot find module 'express'\nRequire stack:\n- /app/index.js\n    at Module._resolveFilename (node:internal/modules/cjs/loader:1077:15) {\n  code: 'MODULE_NOT_FOUND'\n}\n\nNode.js v18\n",
    ),
    ("unknown-argument", "flag provided but not defined: -metrics-addr\nUsage of /manager:\n  -v int\n"),
    ("unknown-argument", "error: Found argument '--workers' which wasn't expected, or isn't valid in this context\n"),
    (
        "config-syntax",
        "[ALERT] 121/100000 (1) : parsing [/usr/local/etc/haproxy/haproxy.cfg:12] : unknown keyword 'defaultz' out of section.\n",
    ),
    (
        "kind-not-served",
        'F0501 10:00:00.000000       1 main.go:88] no matches for kind "VolumeSnapshot" in version "snapshot.storage.k8s.io/v1"\n',
    ),
    ("leader-lost", 'E0501 10:00:00.000000       1 app.go:10] "leaderelection lost"\n'),
    (
        "token-not-mounted",
        "Error: ENOENT: no such file or directory, open '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt'\n    at Object.openSync (node:fs:601:3) {\n  code: 'ENOENT'\n}\n\nNode.js v20\n",
    ),
    ("address-not-local", "OSError: [Errno 99] Cannot assign requested address: bind ('10.9.9.9', 80)\n"),
    (
        "dns-loop",
        '[FATAL] plugin/loop: Loop (127.0.0.1:37926 -> :53) detected for zone ".", see https://coredns.io/plugins/loop#troubleshooting. Query: "HINFO 66876.35023."\n',
    ),
    ("dns-loop", '2018/10/09 10:42:05 [FATAL] plugin/loop: Seen "HINFO IN 1.2." more than twice, loop detected\n'),
    (
        "no-pod-range",
        'E0501 10:00:00.000000       1 main.go:327] Error registering network: failed to acquire lease: node "n1" pod cidr not assigned\n',
    ),
    (
        "own-address",
        "2024-05-01 10:00:00.000 [WARNING][9] startup/startup.go 710: Unable to auto-detect an IPv4 address: no valid IPv4 addresses found on the host interfaces\nCalico node failed to start\n",
    ),
    (
        "conntrack-limit",
        "F0501 10:00:00.000000       1 server.go:490] open /proc/sys/net/netfilter/nf_conntrack_max: permission denied\n",
    ),
    (
        "kernel-module",
        "iptables v1.8.4 (legacy): can't initialize iptables table `nat': Table does not exist (do you need to insmod?)\nPerhaps iptables or your kernel needs to be upgraded.\n",
    ),
    (
        "iscsi-tools",
        'time="2024-05-01T10:00:00Z" level=fatal msg="Error starting manager: Failed environment check, please make sure you have iscsiadm/open-iscsi installed on the host"\n',
    ),
    (
        "docker-socket",
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n",
    ),
    (
        "cloud-metadata",
        '{"level":"error","ts":"2024-05-01T10:00:00Z","logger":"setup","msg":"unable to initialize AWS cloud","error":"failed to get VPC ID: failed to fetch VPC ID from instance metadata: EC2MetadataError"}\n',
    ),
    (
        "waiting-for-tables",
        "{error,{timeout_waiting_for_tables,[rabbit@rabbit-0],[rabbit_user]}}\n[error] Waiting for Mnesia tables for 30000 ms, 0 retries left\n",
    ),
    ("connection-limit", "psycopg2.OperationalError: FATAL:  sorry, too many clients already\n"),
    (
        "not-migrated",
        "TimeoutError: There are still unapplied migrations after 60 seconds. MigrationHead(s) in DB: set()\n",
    ),
    ("not-migrated", 'ERROR: relation "django_session" does not exist at character 15\n'),
    ("license", "FATAL: license has expired on 2024-01-01\n"),
    ("no-new-privileges", 'sudo: The "no new privileges" flag is set, which prevents sudo from running as root.\n'),
    (
        "kind-not-served",
        'F0501 10:00:00.000000       1 main.go:88] no matches for kind "PodDisruptionBudget" in version "policy/v1beta1"\n',
    ),
    (
        "data-version",
        'FATAL:  database locale is incompatible with operating system\nDETAIL:  The database was initialized with LC_COLLATE "en_US.utf8",  which is not recognized by setlocale().\n',
    ),
    (
        "gpu-memory",
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 14.58 GiB\n",
    ),
    ("key-mismatch", "airflow.exceptions.AirflowException: Could not create Fernet object: Incorrect padding\n"),
    (
        "key-mismatch",
        "Error: Mismatching encryption keys. The encryption key in the settings file does not match N8N_ENCRYPTION_KEY\n",
    ),
    ("pid-left", "A server is already running. Check /app/tmp/pids/server.pid.\nExiting\n"),
    (
        "storage-not-formatted",
        'Exception in thread "main" java.lang.RuntimeException: No readable meta.properties files found.\n\tat a.B.c(B.java:4)\n',
    ),
    (
        "kernel-old",
        'level=fatal msg="Minimal kernel version not met; minimal version: 4.19.57" subsys=linux-datapath\n',
    ),
    ("refuses-root", "[F] Gitea is not supposed to be run as root. Sorry.\n"),
    (
        "not-migrated",
        "Unable to start server. Error: sql schema version compatibility check failed: version mismatch for keyspace/database\n",
    ),
    (
        "native-module",
        'PrismaClientInitializationError: Prisma Client could not locate the Query Engine for runtime "linux-musl"\n',
    ),
    ("sqlite-not-writable", "sqlite3.OperationalError: attempt to write a readonly database\n"),
    ("sqlite-not-writable", "Error: SQLITE_CANTOPEN: unable to open database file\n"),
    (
        "mesh-not-redirected",
        "ERROR linkerd_network_validator: Failed to validate networking configuration. Please ensure iptables rules are rewriting traffic as expected. timeout=10s\n",
    ),
    (
        "kernel-module",
        "iptables-restore v1.8.4 (legacy): iptables-restore: unable to initialize table 'nat'\n\nError occurred at line: 1\n",
    ),
    (
        "module-missing",
        'npm ERR! Missing script: "start"\nnpm ERR! \nnpm ERR! To see a list of scripts, run:\nnpm ERR!   npm run\n',
    ),
    (
        "module-missing",
        "PHP Fatal error:  Uncaught Error: Call to undefined function acme_boot() in /var/www/html/db.php:3\nStack trace:\n#0 {main}\n  thrown in /var/www/html/db.php on line 3\n",
    ),
    ("php-extension", 'PHP Fatal error:  Uncaught Error: Class "Redis" not found in /var/www/html/a.php:3\n'),
    ("php-extension", "PHP Fatal error:  Uncaught PDOException: could not find driver in /app/Db.php:9\n"),
    (
        "data-locked",
        "[2026-03-03T10:00:00,000][FATAL][logstash.runner] Logstash could not be started because there is already another instance using the configured data directory.\n",
    ),
    (
        "mode-too-open",
        "2026/03/03 10:00:00 command traefik error: unable to get ACME account: permissions 660 for /data/acme.json are too open, please use 600\n",
    ),
    (
        "native-module",
        'PrismaClientInitializationError: Query engine library for current platform "linux-musl" could not be found.\n',
    ),
    (
        "php-extension",
        "PHP Fatal error:  Uncaught Error: Call to undefined function mysqli_connect() in /var/www/html/db.php:3\nStack trace:\n#0 {main}\n  thrown in /var/www/html/db.php on line 3\n",
    ),
    ("schema-ahead", "alembic.util.exc.CommandError: Can't locate revision identified by 'ae1027a6acf'\n"),
]


@pytest.mark.parametrize(("name", "log"), VARIANTS)
def test_the_same_error_in_other_words(name, log):
    finding = first(log)
    assert finding.details.get("mechanism") == name, (finding.cause, finding.message)
    assert not re.search(r"\{\w*\(?words|\{where|\{place", words(finding))
    assert all(fix.actor is not None for fix in finding.fix)


LOOK_ALIKES = [
    # Survived or only mentioned: the program ended because of something else.
    ("page-size", "2024-05-01 10:00:00 INFO page size is 20 rows\n2024-05-01 10:00:01 FATAL no license\n"),
    ("inotify-instances", "2024/05/01 10:00:00 accept tcp [::]:80: accept4: too many open files\n"),
    ("mode-too-open", "mkdir: cannot create directory '/data/db': Permission denied\n"),
    (
        "service-link",
        "panic: dial tcp 10.96.0.9:5432: connect: connection refused\n\ngoroutine 1 [running]:\nmain.main()\n",
    ),
    ("data-version", "FATAL: unsupported protocol version 2\n"),
    ("data-locked", "deadlock: all goroutines are asleep\n"),
    ("seccomp-thread", "chown: /data: Operation not permitted\n"),
    ("unknown-argument", "FATAL invalid option value in row 7\n"),
    ("few-bytes", "memory allocation of 8589934592 bytes failed\n"),
    ("user-unknown", 'FATAL: role "app" does not exist\n'),
]


@pytest.mark.parametrize(("name", "log"), LOOK_ALIKES)
def test_a_look_alike_is_another_error(name, log):
    assert first(log).details.get("mechanism") != name


PASSED_ON = [
    (
        "DependencyUnreachable",
        "panic: failed to run migrations: dial tcp 10.96.0.9:5432: connect: connection refused\n",
    ),
    ("AppConfigMissing", "panic: failed to load config: open /etc/app/config.yaml: no such file or directory\n"),
    (
        "PermissionDenied",
        "java.lang.IllegalStateException: failed to obtain node locks, tried [/data]\n\tat a.B.c(B.java:1)\nCaused by: java.nio.file.AccessDeniedException: /data/node.lock\n\tat a.B.c(B.java:1)\n",
    ),
    ("DependencyAuthFailed", 'Error: migration failed: pq: password authentication failed for user "app"\n'),
    ("DiskFull", "FATAL: could not lock file: write /data/lock: no space left on device\n"),
]


@pytest.mark.parametrize(("cause", "log"), PASSED_ON)
def test_an_error_that_passes_on_a_reason_gives_way_to_it(cause, log):
    assert first(log).cause == cause


def test_every_row_has_a_name_and_a_cause_that_exists():
    rows = [row for module in MODULES for row in rows_of(module)]
    assert {row.code for row in rows} <= {
        "AppError",
        "PermissionDenied",
        "AppConfigMissing",
        "CommandNotFound",
        "DependencyAuthFailed",
        "ReadOnlyFilesystem",
    }
    assert all(re.fullmatch(r"[a-z0-9-]+", row.name) for row in rows)


NO_FILE = "npm ERR! code ENOENT\nnpm ERR! syscall open\nnpm ERR! path /app/package.json\nnpm ERR! enoent ENOENT: no such file or directory, open '/app/package.json'\n"


def test_a_file_that_only_the_image_could_have():
    finding = first(NO_FILE)
    assert finding.details["mechanism"] == "file-not-in-image"
    assert finding.fix[0].commands[0].endswith("-la /app")


@pytest.mark.parametrize(
    "log",
    [
        "Error: ENOENT: no such file or directory, open '/app/run/app.sock'\n",
        "Error: ENOENT: no such file or directory, open '/data/state.db'\n",
        "Error: ENOENT: no such file or directory, open '/app/config/app.yaml'\n",
    ],
    ids=["socket", "data", "configuration"],
)
def test_a_file_that_something_else_brings_is_not_asked_of_the_image(log):
    assert first(log).details.get("mechanism") != "file-not-in-image"


def test_a_file_below_a_mount_is_not_asked_of_the_image():
    spec = container(volumeMounts=[{"name": "d", "mountPath": "/app"}])
    finding = first(NO_FILE, spec=spec, volumes=[{"name": "d", "emptyDir": {}}])
    assert finding.details.get("mechanism") != "file-not-in-image"


def test_the_build_line_of_a_php_extension_is_the_one_that_builds_it():
    """What does not come with PHP's source is built by pecl."""
    assert "docker-php-ext-install mysqli" in words(
        first("PHP Fatal error: Call to undefined function mysqli_query()\n")
    )
    assert "pecl install redis" in words(
        first('PHP Fatal error: Uncaught Error: Class "Redis" not found in /a.php:3\n')
    )


def test_a_mode_that_only_the_image_can_set_is_no_second_choice():
    log = "13:01:01.123 [error] Cookie file /var/lib/rabbitmq/.erlang.cookie must be accessible by owner only\n"
    assert first(log).fix[0].text.startswith("Set the mode in image")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_passed_over_only_where_none_of_its_rows_can_match(module):
    """The table is as generated, and no row needs less than the module's words."""
    assert LITERALS[module] == pattern_literals.module_literals(module), "run make generate"
    for row in rows_of(module):
        own = pattern_literals.literals(row.pattern.pattern, row.pattern.flags)
        assert LITERALS[module] == ("",) or (own and all(may_match(LITERALS[module], word) for word in own))


def test_what_is_looked_through_for_words_of_a_row_is_all_that_rows_are_looked_for_in():
    """Lines before an error that only closes the program, those beside it, and an output without any error."""
    for log in ("exec format error\n", "a line\nb line\npanic: no\n\ngoroutine 1 [running]:\nmain.main()\n", "", "\n"):
        read = Output(log)
        looked: list[str] = []
        read.find(Recorder(looked))
        read.beside(Recorder(looked))
        assert all(line in read.searched for line in looked)
        assert looked or not log.strip()


@pytest.mark.parametrize(
    "pump",
    ["a: " * 30000, "tcp://" * 15000, "0" * 90000, "(" * 90000, " is not a" * 9000, "/x" * 40000, "line 1 " * 12000],
)
def test_no_pattern_takes_more_than_linear_time(pump):
    began = time.process_time()
    first(f"ERROR {pump}\nfailed to parse {pump}\n")
    assert time.process_time() - began < 20


# -- Held against the spec ----------------------------------------------------------------------------------------


def test_service_links_that_are_off_are_not_blamed():
    finding = first("Error: 'tcp://10.96.14.7:5000' is not a valid port number.\n", enableServiceLinks=False)
    assert finding.details.get("mechanism") != "service-link"


def test_a_variable_of_the_pod_is_not_a_service_link():
    service = obj("Service", "web", spec={"clusterIP": "10.96.14.7", "ports": [{"port": 5000}]})
    log = "Error: 'tcp://10.96.14.7:5000' is not a valid port number.\n"
    own = container(env=[{"name": "WEB_PORT", "value": "5000"}])
    assert first(log, service, spec=own).details.get("mechanism") != "service-link"
    found = first(log, service)
    assert (found.cause, found.details["setting"]) == ("AppConfigMissing", "WEB_PORT")
    assert found.fix[0].actor is Actor.MANIFEST


def test_a_granted_capability_is_not_offered_again():
    log = "iptables: can't initialize iptables table `nat': Permission denied (you must be root)\n"
    has = container(securityContext={"capabilities": {"add": ["NET_ADMIN"]}, "runAsUser": 1000})
    got = words(first(log, spec=has))
    assert "although NET_ADMIN is granted" in got
    assert "runAsUser" in got
    assert "Give container app" in words(first(log))


def test_a_small_allocation_with_a_limit_may_be_a_shortage():
    limited = container(resources={"limits": {"memory": "64Mi"}})
    log = "memory allocation of 16 bytes failed\n"
    assert first(log, spec=limited, lived=0.5).cause == "RuntimeOutOfMemory"
    assert first(log, lived=0.5).cause == "AppError"
    assert first(log, lived=300).cause == "RuntimeOutOfMemory"


def test_what_the_allocator_says_stands_before_the_size_that_it_refused():
    found = first("<jemalloc>: Unsupported system page size\nmemory allocation of 16 bytes failed\n", lived=0.5)
    assert found.details["mechanism"] == "page-size"


def test_a_config_map_key_of_another_name_is_offered_for_a_sub_path():
    spec = container(volumeMounts=[{"name": "conf", "mountPath": "/etc/app.yaml", "subPath": "app.yaml"}])
    volumes = [{"name": "conf", "configMap": {"name": "app-conf"}}]
    log = "open /etc/app.yaml: is a directory\n"
    config = obj("ConfigMap", "app-conf", data={"app.yml": "a: 1"})
    found = first(log, config, spec=spec, volumes=volumes)
    assert (found.cause, found.details["reference"]["nearest"]) == ("ConfigMapKeyNotFound", "app.yml")
    right = obj("ConfigMap", "app-conf", data={"app.yaml": "a: 1"})
    assert first(log, right, spec=spec, volumes=volumes).details.get("mechanism") is None


def test_a_missing_variable_is_taken_from_an_object_that_has_it():
    spec = container(envFrom=[{"configMapRef": {"name": "settings"}}])
    config = obj("ConfigMap", "settings", data={"DATABASE_URI": "postgres://db/shop"})
    found = first("Error: missing required environment variable DATABASE_URL\n", config, spec=spec)
    assert "ConfigMap settings" in found.fix[0].text
    assert "DATABASE_URI" in words(found)


def test_an_unknown_mode_says_what_it_does_not_know():
    found = first("the flux capacitor misaligned, aborting\n")
    assert (found.cause, found.confidence, len(found.fix)) == ("AppError", Confidence.POSSIBLE, 3)
    assert "this message names no known cause" in found.message
    assert all(fix.commands for fix in found.fix)


CONFIGURATION = [
    'ERR Command error error="failed to decode configuration from flags: field not found, node: http3"\n',
    "/etc/coredns/Corefile:5 - Error during parsing: Unknown directive 'kubernets'\n",
    "2024/05/01 10:00:00 collector server run finished with error: failed to get config: unknown type: jaeger\n",
    "*** FATAL CONFIG FILE ERROR (Redis 7.0.0) ***\nReading the configuration file, at line 3\n>>> 'requirepass'\nwrong number of arguments\n",
]


@pytest.mark.parametrize("log", CONFIGURATION)
def test_words_about_configuration_lead_to_where_it_comes_from(log):
    spec = container(volumeMounts=[{"name": "conf", "mountPath": "/etc/app"}])
    found = first(log, spec=spec, volumes=[{"name": "conf", "configMap": {"name": "app-conf"}}])
    assert found.cause == "AppError"
    assert "refuses its configuration" in found.message
    assert "ConfigMap app-conf" in found.fix[0].text
    assert found.fix[0].commands[0].endswith("edit configmap app-conf")


def test_words_about_nothing_known_are_not_taken_for_configuration():
    assert "configuration" not in first("the flux capacitor misaligned, aborting\n").message


def test_only_a_log_that_was_understood_tells_of_no_error():
    assert "it tells of no error" in first('{"level":"info","msg":"bye"}\n').message
    assert "no line of its log is known as an error" in first("lorem ipsum dolor\n").message


def test_a_removed_beta_version_is_no_missing_definition():
    gone = first('FATAL no matches for kind "CronJob" in version "batch/v1beta1"\n')
    assert "CRD" not in words(gone)
    own = first('FATAL no matches for kind "Certificate" in version "cert-manager.io/v1"\n')
    assert "CRD" in words(own)


# -- Windows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (-1073741510, "STATUS_CONTROL_C_EXIT"),
        (3221225477, "STATUS_ACCESS_VIOLATION"),
        (-1073741819, "STATUS_ACCESS_VIOLATION"),
        (-532462766, "CLR exception"),
        (-1073741515, "STATUS_DLL_NOT_FOUND"),
        (-2147450730, "FrameworkMissingFailure"),
    ],
)
def test_exit_codes_of_windows_have_names(code, name):
    found = first("", code=code)
    assert found.cause == "AppError"
    assert name in found.message
    assert found.fix[0].actor is not None


@pytest.mark.parametrize("code", [0, 1, 134, 139, 255])
def test_codes_of_linux_are_not_those_of_windows(code):
    assert windows_exit(code) is None


def test_an_unknown_windows_code_is_shown_in_hexadecimal():
    found = first("", code=-1073740771)
    assert any("0XC000041D" in e.value.upper() for e in found.evidence)


def test_each_row_of_the_data_files_names_its_source():
    for name, key in (("windows_exit_codes", "codes"), ("mesh_sidecars", "sidecars"), ("foreign_errors", "strerror")):
        assert all(row["source"] for row in table(name)[key])


# -- Init containers that ran again -------------------------------------------------------------------------------


def _rerun(app_state, *, app_last=None, log="cp: can't create '/shared/tool': Text file busy\n", events=(), **more):
    raw = pod(
        containers=[container()],
        statuses=[status("app", app_state, app_last)],
        init=[container("copy")],
        init_statuses=[status("copy", back_off("copy"), terminated(1, "Error", -61, -60))],
        **more,
    )
    found = crash_findings(raw, *events, logs={"copy": log})
    return next(f for f in found if f.cause == "InitContainerFailed")


def test_a_new_sandbox_runs_all_init_containers_again():
    changed = event("SandboxChanged", "Pod sandbox changed, it will be killed and re-created.", warning=False)
    found = _rerun(waiting("PodInitializing"), app_last=terminated(255, "Unknown", -9000, -300), events=(changed,))
    assert "new sandbox" in found.message
    assert found.fix[0].commands == (f"kubectl -n {NAMESPACE} delete pod api",)
    assert Actor.NODE in [fix.actor for fix in found.fix]


def test_a_first_failure_of_an_init_container_is_no_second_run():
    found = _rerun(waiting("PodInitializing"))
    assert "cannot start" in found.message
    assert "ran again" not in found.message


# -- The chain behind an address ----------------------------------------------------------------------------------

REFUSED = (
    "panic: dial tcp: db:5432: connect: connection refused: dial tcp db:5432\n\ngoroutine 1 [running]:\nmain.main()\n"
)


def _database(*states, ready=False):
    service = obj(
        "Service", "db", spec={"clusterIP": "10.96.3.4", "ports": [{"port": 5432}], "selector": {"app": "db"}}
    )
    behind = pod("db-0", statuses=states, labels={"app": "db"}, ready=ready)
    slice_ = obj(
        "EndpointSlice",
        "db-x",
        metadata={"labels": {"kubernetes.io/service-name": "db"}},
        endpoints=[
            {"addresses": ["10.1.0.9"], "conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "name": "db-0"}}
        ],
    )
    return service, behind, slice_


def test_the_root_is_the_pod_behind_the_service_with_its_own_state():
    found = first(REFUSED, *_database(status("app", back_off("app", pod="db-0"), terminated(1, "Error", -65, -60))))
    assert found.cause == "DependencyUnreachable"
    assert found.details["root"]["name"] == "db-0"
    assert "CrashLoopBackOff" in found.details["root"]["reason"]
    assert found.fix[0].commands == (f"kubectl why-crash pod/db-0 -n {NAMESPACE}",)


def test_a_proxy_that_is_not_up_yet_refuses_for_a_healthy_service():
    things = _database(status("app", running(-900), ready=True), ready=True)
    mesh = [container(), container("istio-proxy")]
    raw = pod(
        containers=mesh,
        statuses=[
            status("app", back_off(), terminated(2, "Error", -63, -60)),
            status("istio-proxy", running(-61), ready=True),
        ],
    )
    found = next(f for f in crash_findings(raw, *things, logs={"app": REFUSED}) if f.cause == "DependencyUnreachable")
    assert "istio-proxy" in found.message
    assert "holdApplicationUntilProxyStarts" in found.fix[0].yaml
    late = pod(
        containers=mesh,
        statuses=[
            status("app", back_off(), terminated(2, "Error", -4000, -60)),
            status("istio-proxy", running(-4000), ready=True),
        ],
    )
    again = next(f for f in crash_findings(late, *things, logs={"app": REFUSED}) if f.cause == "DependencyUnreachable")
    assert "not up yet" not in again.message


# -- The end of a program against its last words ------------------------------------------------------------------


@pytest.mark.parametrize("code", [132, 134, 135, 139])
def test_last_words_of_a_runtime_stand_before_the_signal(code):
    found = first("Fatal glibc error: CPU does not support x86-64-v3\n", code=code)
    assert found.details.get("mechanism") == "cpu-level"


@pytest.mark.parametrize(
    ("code", "cause"), [(134, "Aborted"), (139, "Segfault"), (135, "TerminatedBySignal"), (132, "TerminatedBySignal")]
)
def test_a_signal_without_last_words_names_what_decides(code, cause):
    found = first("started\n", code=code)
    assert found.cause == cause
    assert all(fix.actor is not None for fix in found.fix)
    assert any(fix.commands for fix in found.fix)


def test_a_success_of_a_static_pod_is_the_kubelets_doing():
    mirror = {"annotations": {"kubernetes.io/config.mirror": "x"}}
    raw = pod(statuses=[status("app", back_off(), terminated(0, "Completed", -90, -60), restarts=9)], metadata=mirror)
    found = next(
        f for f in crash_findings(raw, ready_node(), logs={"app": "stopping\n"}) if f.cause == "CompletedButRestarted"
    )
    assert found.fix[0].actor is Actor.NODE
    assert "kubelet" in found.fix[0].text


# -- Ports and file systems that something else holds --------------------------------------------------------------


def test_the_nodes_own_port_is_named_on_the_host_network():
    found = first("listen tcp 0.0.0.0:10250: bind: address already in use\n", hostNetwork=True)
    assert (found.cause, found.details["port"]) == ("AddressInUse", 10250)
    assert "the kubelet has it" in found.message
    assert "Recreate" in words(found)


def test_a_port_of_the_mesh_is_named_where_no_container_shows_it():
    found = first("Error: listen EADDRINUSE: address already in use :::15008\n")
    assert "Istio" in found.message
    assert "another port" in found.fix[0].text


def test_nginx_gets_all_directories_that_it_writes_to():
    read_only = container(securityContext={"readOnlyRootFilesystem": True})
    log = 'nginx: [emerg] mkdir() "/var/cache/nginx/client_temp" failed (30: Read-only file system)\n'
    owner = obj("Deployment", "web", spec={})
    raw = pod(
        containers=[read_only], statuses=[status("app", back_off(), terminated(1, "Error", -65, -60))], owner=owner
    )
    found = next(f for f in crash_findings(raw, owner, logs={"app": log}) if f.severity is Severity.ERROR)
    assert found.cause == "ReadOnlyFilesystem"
    mounts = found.fix[0].patch["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert [m["mountPath"] for m in mounts] == ["/var/cache/nginx", "/var/run", "/tmp"]
