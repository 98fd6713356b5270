"""The causes that a crashed program tells in its log: each found where it is said, and only there."""
# ruff: noqa: E501

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubetriage.model import Confidence, Severity
from kubetriage.needs import Get, List, Log
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import evaluation
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.causes import (
    address_in_use,
    app_config_missing,
    app_error,
    certificate_invalid,
    dependency_auth_failed,
    dependency_unreachable,
    disk_full,
    permission_denied,
    rbac_forbidden,
    read_only_filesystem,
    runtime_out_of_memory,
)
from support.objects import (
    NAMESPACE,
    back_off,
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
from support.offline import diagnosis


def crashed(code=1, *, spec=None, reason="Error", **more):
    """Make a pod whose container ended with ``code`` after five seconds."""
    made = spec or container()
    return pod(
        containers=[made], statuses=[status(made["name"], back_off(), terminated(code, reason, -65, -60))], **more
    )


def only(log, raw=None, *objects, **more):
    found = crash_findings(raw or crashed(), *objects, logs={"app": log}, **more)
    errors = [f for f in found if f.severity is Severity.ERROR]
    assert len(errors) == 1, [(f.cause, f.message) for f in errors]
    return errors[0]


FATAL = "2026/11/23 22:15:22 starting\n"

MATCHES = [
    ("AddressInUse", "Error: listen EADDRINUSE: address already in use :::3000\n    at Server.setupListenHandle [as _listen2] (node:net:1817:16) {\n  code: 'EADDRINUSE',\n  port: 3000\n}\n\nNode.js v20.11.0\n"),
    ("AddressInUse", "2026/11/23 22:15:22 listen tcp :8080: bind: address already in use\n"),
    ("AddressInUse", "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)\n"),
    ("AddressInUse", "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)\nnginx: [emerg] still could not bind()\n"),
    ("RuntimeOutOfMemory", "Out of memory.\n"),
    ("AddressInUse", "APPLICATION FAILED TO START\n\nDescription:\n\nWeb server failed to start. Port 8080 was already in use.\n\nAction:\n\nIdentify and stop the process\n"),
    ("AddressInUse", "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    s.bind(('', 80))\nOSError: [Errno 98] Address already in use\n"),
    ("DiskFull", "OSError: [Errno 28] No space left on device: '/data/x'\n"),
    ("DiskFull", "panic: write /data/wal: no space left on device\n\ngoroutine 1 [running]:\nmain.main()\n"),
    ("DiskFull", "Error: ENOSPC: System limit for number of file watchers reached, watch '/app'\n    at FSWatcher (node:fs:1:1)\n"),
    ("DiskFull", "java.io.IOException: No space left on device\n\tat java.base/sun.nio.ch.FileDispatcherImpl.write0(Native Method)\n"),
    ("ReadOnlyFilesystem", "sh: can't create /var/cache.db: Read-only file system\nstarting\n"),
    ("ReadOnlyFilesystem", "Error: EROFS: read-only file system, open '/app/x.log'\n    at Object.openSync (node:fs:601:3) {\n  code: 'EROFS'\n}\n\nNode.js v20.11.0\n"),
    ("ReadOnlyFilesystem", "nginx: [emerg] mkdir() \"/var/cache/nginx/client_temp\" failed (30: Read-only file system)\n"),
    ("RBACForbidden", 'F1123 22:15:22.123456       1 main.go:17] pods is forbidden: User "system:serviceaccount:shop:api" cannot list resource "pods" in API group "" in the namespace "shop"\n'),
    ("RBACForbidden", '{"level":"fatal","msg":"cannot start","error":"leases.coordination.k8s.io \\"x\\" is forbidden: User \\"system:serviceaccount:shop:api\\" cannot get resource \\"leases\\" in API group \\"coordination.k8s.io\\" in the namespace \\"shop\\""}\n'),
    ("CertificateInvalid", 'panic: Get "https://api/": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-11-23T22:15:22Z is after 2026-01-01T00:00:00Z\n\ngoroutine 1 [running]:\nmain.main()\n'),
    ("CertificateInvalid", "javax.net.ssl.SSLHandshakeException: PKIX path building failed\n\tat a.B.c(B.java:1)\nCaused by: sun.security.provider.certpath.SunCertPathBuilderException: unable to find valid certification path to requested target\n\tat a.B.c(B.java:1)\n"),
    ("CertificateInvalid", "requests.exceptions.SSLError: HTTPSConnectionPool(host='api', port=443): Max retries exceeded (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)')))\n"),
    ("CertificateInvalid", "2026/11/23 22:15:22 tls: private key does not match public key\n"),
    ("CertificateInvalid", "Error: Hostname/IP does not match certificate's altnames: Host: db. is not in the cert's altnames\n    at x (node:tls:1:1) {\n  code: 'ERR_TLS_CERT_ALTNAME_INVALID'\n}\n\nNode.js v20\n"),
    ("DependencyAuthFailed", 'psycopg2.OperationalError: connection to server at "db" (10.0.0.1), port 5432 failed: FATAL:  password authentication failed for user "app"\n'),
    ("DependencyAuthFailed", "ERROR 1045 (28000): Access denied for user 'app'@'10.0.0.7' (using password: YES)\n"),
    ("DependencyAuthFailed", "redis.exceptions.AuthenticationError: WRONGPASS invalid username-password pair or user is disabled.\n"),
    ("DependencyAuthFailed", "pymongo.errors.OperationFailure: Authentication failed., full error: {'code': 18}\n"),
    ("DependencyAuthFailed", "panic: pq: password authentication failed for user \"app\"\n\ngoroutine 1 [running]:\nmain.main()\n"),
    ("DependencyUnreachable", "panic: dial tcp 10.96.0.9:5432: connect: connection refused\n\ngoroutine 1 [running]:\nmain.main()\n"),
    ("DependencyUnreachable", "FATAL could not connect to redis after 5 attempts\n"),
    ("PermissionDenied", "2026/11/23 22:15:22 listen tcp :80: bind: permission denied\n"),
    ("PermissionDenied", "PermissionError: [Errno 13] Permission denied: '/data/app.log'\n"),
    ("PermissionDenied", "mkdir: cannot create directory '/data/db': Permission denied\n"),
    ("PermissionDenied", "chown: /var/lib/postgresql/data: Operation not permitted\n"),
    ("PermissionDenied", "java.nio.file.AccessDeniedException: /data/index\n\tat java.base/sun.nio.fs.UnixException.translateToIOException(UnixException.java:90)\n"),
    ("AppConfigMissing", "Error: missing required environment variable DATABASE_URL\n"),
    ("AppConfigMissing", 'env: required environment variable "DATABASE_URL" is not set\n'),
    ("AppConfigMissing", "2026/11/23 22:15:22 DATABASE_URL must be set\n"),
    ("AppConfigMissing", "thread 'main' panicked at src/main.rs:7:10:\nDATABASE_URL must be set: NotPresent\n"),
    ("AppConfigMissing", "/entrypoint.sh: line 3: DATABASE_URL: unbound variable\n"),
    ("AppConfigMissing", "/entrypoint.sh: 3: DATABASE_URL: parameter not set\n"),
    ("AppConfigMissing", "java.lang.IllegalArgumentException: Could not resolve placeholder 'db.url' in value \"${db.url}\"\n\tat a.B.c(B.java:1)\n"),
    ("AppConfigMissing", "required key DATABASE_URL missing value\n"),
    ("AppConfigMissing", "decouple.UndefinedValueError: DATABASE_URL not found. Declare it as envvar or define a default value.\n"),
    ("AppConfigMissing", "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    s = Settings()\npydantic_core._pydantic_core.ValidationError: 1 validation error for Settings\ndatabase_url\n  Field required [type=missing, input_value={}, input_type=dict]\n"),
    ("AppConfigMissing", "Error: Database is uninitialized and superuser password is not specified.\n       You must specify POSTGRES_PASSWORD to a non-empty value\n"),
    ("AppConfigMissing", "panic: open /etc/shop/config.yaml: no such file or directory\n\ngoroutine 1 [running]:\nmain.main()\n"),
    ("AppConfigMissing", "FileNotFoundError: [Errno 2] No such file or directory: '/etc/shop/config.toml'\n"),
    ("AppConfigMissing", 'panic: Config File "config" Not Found in "[/etc/shop]"\n\ngoroutine 1 [running]:\nmain.main()\n'),
    ("AppError", "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    os.environ['DATABASE_URL']\nKeyError: 'DATABASE_URL'\n"),
    ("AppError", "panic: no config\n"),
    ("AppError", "FATAL no license\n"),
    ("AppError", "cannot open input.csv\n"),
    ("AppError", "ERROR: permission denied for table users\n"),
    ("AppError", "Error: Cannot find module '/app/dist/main.js'\n    at Module._resolveFilename (node:internal/modules/cjs/loader:1077:15) {\n  code: 'MODULE_NOT_FOUND'\n}\n\nNode.js v18.19.0\n"),
    ("AppError", "done\n"),
    ("AppError", ""),
    ("RuntimeOutOfMemory", 'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space\n\tat a.B.c(B.java:1)\n'),
    ("RuntimeOutOfMemory", "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    x = bytearray(10**12)\nMemoryError\n"),
    ("RuntimeOutOfMemory", "PHP Fatal error:  Allowed memory size of 134217728 bytes exhausted (tried to allocate 20480 bytes) in /app/x.php on line 3\n"),
    ("RuntimeOutOfMemory", "fatal error: runtime: out of memory\n\nruntime stack:\nruntime.throw()\n\ngoroutine 1 [running]:\nmain.main()\n"),
    ("RuntimeOutOfMemory", "Unhandled exception. System.OutOfMemoryException: Exception of type 'System.OutOfMemoryException' was thrown.\n   at A.B.C(String s)\n"),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "log"), MATCHES)
def test_the_cause_is_what_the_program_said(cause, log):
    finding = only(log)
    assert finding.cause == cause
    assert finding.object.container == "app"
    assert any(e.source == "status" for e in finding.evidence)
    assert finding.fix
    if log.strip():
        quoted = [e for e in finding.evidence if e.source == "log"]
        assert quoted
        assert all(e.at == "app" for e in quoted)


SURVIVED = [
    "2026-11-23 22:14:00 ERROR db: dial tcp 10.96.0.9:5432: connect: connection refused\n",
    "2026-11-23 22:14:00 WARN disk: write /tmp/x: no space left on device\n",
    "2026-11-23 22:14:00 ERROR tls: x509: certificate has expired or is not yet valid\n",
    "2026-11-23 22:14:00 ERROR redis: WRONGPASS invalid username-password pair\n",
    "2026-11-23 22:14:00 ERROR open /data/x: permission denied\n",
    "2026-11-23 22:14:00 WARN listen tcp :9090: bind: address already in use\n",
    "2026-11-23 22:14:00 ERROR read-only file system\n",
    "2026-11-23 22:14:00 WARN FEATURE_FLAG is not set\n",
    '2026-11-23 22:14:00 ERROR pods is forbidden: User "system:serviceaccount:shop:api" cannot list resource "pods" in API group "" in the namespace "shop"\n',
]


@pytest.mark.parametrize("line", SURVIVED)
def test_an_error_that_the_program_survived_is_no_cause(line):
    log = (
        line
        + "2026-11-23 22:14:01 INFO reconnected\n" * 20
        + "panic: index out of range\n\ngoroutine 1 [running]:\nmain.main()\n"
    )
    assert only(log).cause == "AppError"


@pytest.mark.parametrize("line", SURVIVED)
def test_a_running_container_with_errors_in_its_log_is_no_finding(line):
    raw = pod(statuses=[status(state=running(-900), ready=True)], ready=True)
    assert crash_causes(raw, logs={"app": line}) == []


@pytest.mark.parametrize("line", SURVIVED)
@pytest.mark.parametrize(("code", "reason"), [(137, "Error"), (143, "Error"), (139, "Error"), (137, "OOMKilled")])
def test_a_killed_program_did_not_end_because_of_what_it_logged(line, code, reason):
    causes = [c for c, _ in crash_causes(crashed(code, reason=reason), logs={"app": line})]
    assert not {"AppError", "DependencyUnreachable", "DiskFull", "PermissionDenied", "AppConfigMissing"} & set(causes)


def test_bind_permission_denied_is_not_a_command_that_cannot_run():
    raw = crashed(spec=container(securityContext={"runAsUser": 1000}))
    finding = only("2026/11/23 22:15:22 listen tcp :80: bind: permission denied\n", raw)
    assert finding.cause == "PermissionDenied"
    assert "port 80" in finding.message
    assert "CommandNotExecutable" in {r.cause for r in finding.ruled_out}


@pytest.mark.parametrize(
    ("log", "confidence"),
    [
        (
            "panic: dial tcp 10.9.9.9:1: connect: connection refused\n\ngoroutine 1 [running]:\nmain.main()\n",
            Confidence.CONFIRMED,
        ),
        ("ERROR dial tcp 10.9.9.9:1: connect: connection refused\n", Confidence.LIKELY),
        (
            "ERROR dial tcp 10.9.9.9:1: connect: connection refused\n" + "INFO served a request\n" * 9,
            Confidence.POSSIBLE,
        ),
        ("WARN dial tcp 10.9.9.9:1: connect: connection refused, retrying\nFATAL giving up\n", Confidence.LIKELY),
    ],
)
def test_confidence_follows_the_place_of_the_error(log, confidence):
    finding = only(log)
    assert finding.cause == "DependencyUnreachable"
    assert finding.confidence is confidence


def test_only_the_crashed_instance_counts():
    raw = pod(
        statuses=[status(state=running(-20), last=terminated(1, "Error", -65, -60), restarts=1)],
    )
    found = crash_findings(
        raw,
        logs={"app": "panic: dial tcp 10.9.9.9:1: connect: connection refused\n"},
        previous={"app": "panic: no quorum\n"},
    )
    assert found[0].cause == "AppError"
    assert "no quorum" in found[0].message


def test_the_container_that_spoke_is_the_one_that_is_named():
    raw = pod(
        containers=[container("app"), container("proxy")],
        statuses=[
            status("app", running(-900), ready=True),
            status("proxy", back_off("proxy"), terminated(1, "Error", -65, -60)),
        ],
    )
    logs = {"app": "panic: dial tcp 10.9.9.9:1: connect: connection refused\n", "proxy": "proxy: cannot load xds\n"}
    assert crash_causes(raw, logs=logs) == [("AppError", "proxy")]


# The log was not seen.


def test_a_denied_log_lowers_the_confidence_and_is_said():
    finding = crash_findings(crashed(), logs={"app": "x"}, denied=["pods/log"])[0]
    assert (finding.cause, finding.confidence) == ("AppError", Confidence.POSSIBLE)
    assert "not seen" in finding.message


def test_the_termination_message_speaks_when_the_log_is_denied():
    last = terminated(1, "Error", -65, -60, message="panic: dial tcp 10.9.9.9:1: connect: connection refused\n")
    raw = pod(statuses=[status(state=back_off(), last=last)])
    finding = crash_findings(raw, logs={"app": "x"}, denied=["pods/log"])[0]
    assert finding.cause == "DependencyUnreachable"
    assert any(e.at.endswith("lastState.terminated.message") for e in finding.evidence)


def test_secrets_of_the_log_are_not_in_the_evidence():
    log = "ERROR cannot connect to postgres://app:hunter2X@db:5432/shop?password=hunter2X: connection refused\n"
    finding = only(log)
    assert "hunter2X" not in str(finding)
    assert finding.cause == "DependencyUnreachable"


# The look-up behind an address.

REFUSED = "panic: dial tcp: connect to {}: connection refused\n"


def service(name="db", namespace=NAMESPACE, port=5432, **spec):
    return obj(
        "Service",
        name,
        namespace=namespace,
        spec={"clusterIP": "10.96.3.3", "ports": [{"port": port}], "selector": {"app": name}, **spec},
    )


def endpoints(name="db", namespace=NAMESPACE, ready=(), port=5432):
    return obj(
        "EndpointSlice",
        f"{name}-abc",
        namespace=namespace,
        metadata={"labels": {"kubernetes.io/service-name": name}},
        ports=[{"port": port}],
        endpoints=[{"addresses": [f"10.1.0.{i}"], "conditions": {"ready": r}} for i, r in enumerate(ready)],
    )


@pytest.mark.parametrize(
    ("log", "objects", "words"),
    [
        pytest.param(
            "dial tcp: lookup db on 10.96.0.10:53: no such host",
            [],
            "no Service db exists in namespace shop",
            id="no service",
        ),
        pytest.param(
            "dial tcp: lookup db on 10.96.0.10:53: no such host",
            [service(namespace="data")],
            "db exists in namespace data",
            id="other namespace",
        ),
        pytest.param(
            "dial tcp: lookup orders on 10.96.0.10:53: no such host",
            [service("orders-db")],
            "orders-db does",
            id="near name",
        ),
        pytest.param("connect to db:5432: connection refused", [service()], "no endpoints", id="no endpoints"),
        pytest.param(
            "connect to db:5432: connection refused",
            [service(), endpoints(ready=(False, False))],
            "none of its 2 endpoints is ready",
            id="not ready",
        ),
        pytest.param(
            "connect to db:5433: connection refused",
            [service(), endpoints(ready=(True,))],
            "no port 5433, it has 5432",
            id="wrong port",
        ),
        pytest.param(
            "connect to db:5432: connection refused",
            [service(), endpoints(ready=(True,))],
            "has 1 ready endpoint now",
            id="ready now",
        ),
        pytest.param(
            "connect to db.shop.svc.cluster.local:5432: connection refused",
            [service(), endpoints(ready=(False,))],
            "its endpoint is not ready",
            id="long name",
        ),
        pytest.param(
            "connect to db.data:5432: connection refused",
            [service(namespace="data")],
            "in namespace data",
            id="name.namespace",
        ),
        pytest.param("connect to 10.96.3.3:5432: connection refused", [service()], "Service db", id="cluster IP"),
        pytest.param(
            "dial tcp: lookup db on 10.96.0.10:53: read udp 10.1.0.7:4->10.96.0.10:53: i/o timeout",
            [service(), endpoints(ready=(True,))],
            "the cluster's DNS did not answer",
            id="resolver",
        ),
        pytest.param(
            "dial tcp: lookup db-1.db on 10.96.0.10:53: no such host",
            [service(clusterIP="None"), endpoints(ready=(True,))],
            "it publishes no ready pod db-1",
            id="pod of a headless Service",
        ),
        pytest.param(
            'Get "https://10.96.0.1:443/api/v1/namespaces/shop/pods": dial tcp 10.96.0.1:443: i/o timeout',
            [],
            "the Kubernetes API server",
            id="API server",
        ),
        pytest.param(
            'Get "https://10.96.3.3:443/api/v1/orders": dial tcp 10.96.3.3:443: i/o timeout',
            [service(port=443)],
            "Service db",
            id="an API of its own",
        ),
        pytest.param(
            'Get "http://169.254.169.254/latest": dial tcp 169.254.169.254:80: i/o timeout',
            [],
            "the metadata service of the cloud",
            id="metadata",
        ),
        pytest.param("dial tcp 52.1.2.3:443: i/o timeout", [], "outside of the cluster", id="public address"),
        pytest.param("dial tcp 10.1.2.3:443: connect: no route to host", [], "no Service has", id="private address"),
        pytest.param(
            "connect to 10.77.0.1:5432: connection refused", [service()], "no Service has this address", id="foreign IP"
        ),
        pytest.param(
            "connect to db.example.com:5432: connection refused",
            [service()],
            "not a name of this cluster",
            id="foreign name",
        ),
        pytest.param(
            "connect to db:5432: connection refused",
            [obj("Service", "db", spec={"type": "ExternalName", "externalName": "db.example.com"})],
            "alias of db.example.com",
            id="ExternalName",
        ),
        pytest.param("dial tcp: lookup db on 10.96.0.10:53: no such host", [service()], "DNS did not answer", id="dns"),
        pytest.param("connect to 127.0.0.1:6379: connection refused", [], "the pod itself", id="loopback"),
        pytest.param(
            "connect to db:5432: connection timed out",
            [service(), endpoints(ready=(True,)), obj("NetworkPolicy", "deny-all", spec={"podSelector": {}})],
            "NetworkPolicies",
            id="policy",
        ),
    ],
)
def test_the_address_is_looked_up(log, objects, words):
    finding = only(f"FATAL {log}\n", None, *objects)
    assert finding.cause == "DependencyUnreachable"
    assert words in finding.message


def test_a_service_in_another_namespace_becomes_a_patch():
    owner = obj("StatefulSet", "api", spec={})
    raw = crashed(spec=container(env=[{"name": "DB_URL", "value": "postgres://db:5432/shop"}]), owner=owner)
    finding = only("FATAL dial tcp: lookup db on 10.96.0.10:53: no such host\n", raw, owner, service(namespace="data"))
    patch = next(f.patch for f in finding.fix if f.patch)
    assert patch["spec"]["template"]["spec"]["containers"] == [
        {"name": "app", "env": [{"name": "DB_URL", "value": "postgres://db.data:5432/shop"}]}
    ]


def test_denied_services_are_a_gap_not_an_absence():
    finding = only("FATAL dial tcp: lookup db on 10.96.0.10:53: no such host\n", denied=["services"])
    assert "no Service" not in finding.message
    assert "not seen" in finding.message


def test_the_look_up_asks_for_what_it_needs_and_no_more():
    raw = crashed()
    made = cluster(raw, logs={"app": "FATAL connect to db:5432: connection refused\n"})
    wanted = set(evaluation.pod_needs(made, Pod(raw)))
    assert Get("services", NAMESPACE, "db") in wanted
    quiet = cluster(raw, logs={"app": "FATAL no license\n"})
    assert not {
        n for n in evaluation.pod_needs(quiet, Pod(raw)) if isinstance(n, Get | List) and n.resource == "services"
    }
    assert Log(NAMESPACE, "api", "app") in wanted


# Details of the other causes.


def test_the_rival_of_a_port_is_named():
    raw = pod(
        containers=[container(), container("sidecar", ports=[{"containerPort": 3000}])],
        statuses=[
            status(state=back_off(), last=terminated(1, "Error", -65, -60)),
            status("sidecar", running(-900), ready=True),
        ],
    )
    finding = crash_findings(raw, logs={"app": "Error: listen EADDRINUSE: address already in use :::3000\n"})[0]
    assert finding.cause == "AddressInUse"
    assert "sidecar" in finding.message
    assert finding.details["port"] == 3000


def test_a_forbidden_account_gets_its_role():
    raw = crashed(serviceAccountName="api")
    log = (
        'E1123 22:15:21.1       1 reflector.go:1] failed to list: deployments.apps is forbidden: User "system:serviceaccount:shop:api" '
        'cannot list resource "deployments" in API group "apps" at the cluster scope\n'
        "F1123 22:15:22.1       1 main.go:1] timed out waiting for caches to sync\n"
    )
    finding = only(log, raw)
    assert finding.cause == "RBACForbidden"
    role, binding = finding.fix[0].commands
    assert role == "kubectl create clusterrole api-deployments --verb=list,watch --resource=deployments.apps"
    assert binding.endswith("--serviceaccount=shop:api")
    assert any("auth can-i list deployments.apps" in v for v in finding.verify)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("x509: certificate has expired or is not yet valid", "expired"),
        ("x509: certificate is valid for a.example, not b.example", "mismatch"),
        ("x509: cannot validate certificate for 10.0.0.1 because it doesn't contain any IP SANs", "mismatch"),
        ("x509: certificate signed by unknown authority", "untrusted"),
        ("tls: failed to find any PEM data in certificate input", "unreadable"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired", "expired"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch", "mismatch"),
        ("CERT_HAS_EXPIRED", "expired"),
        ("DEPTH_ZERO_SELF_SIGNED_CERT self-signed certificate", "untrusted"),
    ],
)
def test_what_is_wrong_with_a_certificate(line, problem):
    assert only(f"FATAL {line}\n").details["problem"] == problem


def test_credentials_are_traced_to_their_secret():
    env = [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db-credentials", "key": "password"}}}]
    finding = only('FATAL pq: password authentication failed for user "app"\n', crashed(spec=container(env=env)))
    assert finding.cause == "DependencyAuthFailed"
    assert "Secret db-credentials" in finding.message
    assert "app" in finding.message


@pytest.mark.parametrize(
    ("volumes", "mounts", "context", "words"),
    [
        ([], [], {"readOnlyRootFilesystem": True}, "readOnlyRootFilesystem"),
        (
            [{"name": "c", "configMap": {"name": "conf"}}],
            [{"name": "c", "mountPath": "/var/cache/app"}],
            {},
            "always read-only",
        ),
        (
            [{"name": "c", "emptyDir": {}}],
            [{"name": "c", "mountPath": "/var/cache/app", "readOnly": True}],
            {},
            "readOnly",
        ),
        ([], [], {}, "does not ask for that"),
    ],
)
def test_why_a_file_system_is_read_only(volumes, mounts, context, words):
    raw = crashed(spec=container(volumeMounts=mounts, securityContext=context), volumes=volumes)
    finding = only("sh: can't create /var/cache/app/x.db: Read-only file system\n", raw)
    assert finding.cause == "ReadOnlyFilesystem"
    assert words in finding.message


def test_a_writable_directory_becomes_a_patch():
    owner = obj("StatefulSet", "api", spec={})
    raw = crashed(spec=container(securityContext={"readOnlyRootFilesystem": True}), owner=owner)
    finding = only("sh: can't create /var/cache/app/x.db: Read-only file system\n", raw, owner)
    spec = finding.fix[0].patch["spec"]["template"]["spec"]
    assert spec["containers"][0]["volumeMounts"][0]["mountPath"] == "/var/cache/app"
    assert spec["volumes"][0]["name"] == spec["containers"][0]["volumeMounts"][0]["name"]


def test_a_volume_without_fs_group_gets_one():
    owner = obj("StatefulSet", "api", spec={})
    raw = crashed(
        spec=container(
            volumeMounts=[{"name": "data", "mountPath": "/data"}],
            securityContext={"runAsUser": 1000, "runAsGroup": 2000},
        ),
        volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}}],
        owner=owner,
    )
    finding = only("PermissionError: [Errno 13] Permission denied: '/data/app.log'\n", raw, owner)
    assert "PersistentVolumeClaim data-0" in finding.message
    assert finding.fix[0].patch == {"spec": {"template": {"spec": {"securityContext": {"fsGroup": 2000}}}}}


def test_a_missing_variable_is_compared_with_the_declared_ones():
    raw = crashed(spec=container(env=[{"name": "DATABASE_URI", "value": "x"}]))
    finding = only("DATABASE_URL must be set\n", raw)
    assert finding.cause == "AppConfigMissing"
    assert "DATABASE_URI" in finding.fix[0].text


def test_a_missing_file_is_compared_with_the_keys_that_are_mounted():
    raw = crashed(
        spec=container(volumeMounts=[{"name": "conf", "mountPath": "/etc/shop"}]),
        volumes=[{"name": "conf", "configMap": {"name": "shop-config"}}],
    )
    held = obj("ConfigMap", "shop-config", data={"config.yml": "a: b"})
    finding = only("panic: open /etc/shop/config.yaml: no such file or directory\n", raw, held)
    assert finding.cause == "AppConfigMissing"
    assert "config.yml" in finding.message
    assert "shop-config" in finding.fix[0].text


def test_a_bare_lookup_that_failed_says_whether_the_variable_is_declared():
    finding = only(
        "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\nKeyError: 'DATABASE_URL'\n"
    )
    assert finding.cause == "AppError"
    assert "DATABASE_URL is not declared in the pod" in finding.message


@pytest.mark.parametrize(
    ("code", "log", "words"),
    [
        (101, "", "Rust panic"),
        (255, "", "PHP fatal error"),
        (2, "", "Go panic"),
        (3, "", "ExitOnOutOfMemoryError"),
    ],
)
def test_exit_codes_are_explained_by_convention(code, log, words):
    finding = only(log, crashed(code))
    assert any(words in e.value for e in finding.evidence)


def test_a_convention_of_another_language_is_not_quoted():
    log = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nValueError: x\n'
    finding = only(log, crashed(2))
    assert not any("convention" in e.value for e in finding.evidence)


def test_an_unhandled_exception_of_dotnet_is_the_programs_error():
    log = "Unhandled exception. System.InvalidOperationException: no clock\n   at Shop.Program.Main(String[] args)\n"
    finding = only(log, crashed(134))
    assert finding.cause == "AppError"
    assert "no clock" in finding.message


def test_a_jvm_that_kills_itself_is_out_of_memory():
    log = 'java.lang.OutOfMemoryError: Java heap space\n# -XX:OnOutOfMemoryError="kill -9 %p"\n#   Executing /bin/sh -c "kill -9 1"...\n'
    finding = only(log, crashed(137))
    assert (finding.cause, finding.confidence) == ("RuntimeOutOfMemory", Confidence.LIKELY)


def test_node_gets_a_heap_within_its_limit():
    owner = obj("StatefulSet", "api", spec={})
    raw = crashed(134, spec=container(resources={"limits": {"memory": "512Mi"}}), owner=owner)
    finding = only("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n", raw, owner)
    env = finding.fix[0].patch["spec"]["template"]["spec"]["containers"][0]["env"]
    assert env == [{"name": "NODE_OPTIONS", "value": "--max-old-space-size=384"}]


@pytest.mark.parametrize(
    ("scenario", "cause", "container_name", "words"),
    [
        ("py-refused", "DependencyUnreachable", "app", "127.0.0.1:5439"),
        ("py-keyerror", "AppError", "app", "KeyError: 'DATABASE_URL'"),
        ("java-npe", "AppError", "app", "NullPointerException"),
        ("go-panic", "AppError", "app", "index out of range"),
        ("node-heap", "RuntimeOutOfMemory", "app", "heap"),
        ("readonly-fs", "ReadOnlyFilesystem", "app", "/var/cache.db"),
        ("sidecar-crash", "AppError", "proxy", "cannot load xds"),
        ("exit1-silent", "AppError", "app", "wrote nothing"),
        ("init-fail", "InitContainerFailed", "migrate", "relation users does not exist"),
    ],
)
def test_recorded_crashes(scenario, cause, container_name, words):
    found = diagnosis("why-crash", "pod/api", capture=scenario).findings[0]
    assert (found.cause, found.object.container) == (cause, container_name)
    assert words in found.message


def test_a_deployment_of_crashing_pods():
    assert diagnosis("why-crash", "deploy/api", capture="deploy-crash").cause == "AppError"


def test_no_patch_holds_a_secret_that_would_be_redacted():
    owner = obj("StatefulSet", "api", spec={})
    raw = crashed(
        spec=container(env=[{"name": "DB_URL", "value": "postgres://app:hunter2X@db:5432/shop"}]), owner=owner
    )
    finding = only("FATAL dial tcp: lookup db on 10.96.0.10:53: no such host\n", raw, owner, service(namespace="data"))
    assert "db.data" in finding.fix[0].text
    assert finding.fix[0].patch is None


_RULES = (
    address_in_use,
    app_config_missing,
    app_error,
    certificate_invalid,
    dependency_auth_failed,
    dependency_unreachable,
    disk_full,
    permission_denied,
    rbac_forbidden,
    read_only_filesystem,
    runtime_out_of_memory,
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8) | st.sampled_from(["app", "data", "/data", "db"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["name", "env", "value", "valueFrom", "secretKeyRef", "envFrom", "configMapRef", "volumeMounts", "mountPath", "readOnly",
             "securityContext", "runAsUser", "capabilities", "drop", "resources", "limits", "memory", "ports", "containerPort", "command", "args"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(
    st.lists(
        st.sampled_from([row for _, log in MATCHES for row in log.split("\n")] + SURVIVED) | st.text(max_size=40),
        max_size=12,
    ),
    st.dictionaries(
        st.sampled_from(["env", "envFrom", "volumeMounts", "securityContext", "resources", "ports", "command", "args"]),
        _JSON,
    ),
    st.dictionaries(
        st.sampled_from(["volumes", "securityContext", "hostNetwork", "dnsPolicy", "serviceAccountName"]), _JSON
    ),
    st.lists(
        st.builds(lambda spec, ends: obj("Service", "db", spec=spec, metadata={"labels": ends}), _JSON, _JSON),
        max_size=1,
    ),
)
@settings(max_examples=100, deadline=None)
def test_no_rule_raises_whatever_the_log_and_the_spec_hold(rows, spec, pod_spec, objects):
    raw = crashed(spec=container(**spec), **pod_spec)
    made = cluster(raw, *objects, logs={"app": "\n".join(rows)})
    case = Case(Pod(raw), made)
    for rule in _RULES:
        found = list(rule.check(case))
        assert all(f.cause == rule.CODE for f in found)
        list(rule.needs(case) if hasattr(rule, "needs") else ())


def test_a_large_log_is_read_once_and_quickly():
    log = (
        "2026-11-23T22:15:22.123Z ERROR c.a.Orders - dial tcp 10.96.0.9:5432: connect: connection refused, retrying\n"
        * 6000
    )[: 512 * 1024]
    raw = crashed()
    made = cluster(raw, logs={"app": log})
    start = time.process_time()
    evaluation.diagnose_pod(made, Pod(raw))
    list(evaluation.pod_needs(made, Pod(raw)))
    assert time.process_time() - start < 20


@pytest.mark.parametrize(
    ("spec", "cause"),
    [
        ({"args": ["--db=$(DATABASE_URL)"]}, "AppConfigMissing"),
        # The program's own syntax, and a variable that Kubernetes did fill in.
        ({"args": ["--db=default"]}, "AppError"),
    ],
)
def test_a_reference_that_kubernetes_left_as_it_stands(spec, cause):
    made = crashed(spec=container(**spec))
    found = only("fatal: cannot parse database URL '$(DATABASE_URL)'\n", made)
    assert found.cause == cause
    if cause == "AppConfigMissing":
        assert "DATABASE_URL is not declared" in found.message


def test_the_only_advice_does_not_begin_with_or():
    dropped = container(securityContext={"capabilities": {"drop": ["ALL"]}})
    found = only("chown: /tmp/f: Operation not permitted\n", crashed(spec=dropped))
    assert not found.fix[0].text.startswith("Or ")
