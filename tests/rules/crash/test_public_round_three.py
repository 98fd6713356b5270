"""Public incidents of the third round: what stands before a closing word, who fills a Secret, the API server's names."""
# ruff: noqa: E501

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
)

CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}}


def told(log, *objects, code=1, volume=CLAIM, mount="/data", **spec):
    made = container(volumeMounts=[{"name": "data", "mountPath": mount}], **spec)
    raw = pod(
        containers=[made], statuses=[status("app", back_off(), terminated(code, "Error", -80, -60))], volumes=[volume]
    )
    found = crash_findings(raw, *objects, logs={"app": log})[0]
    return found, f"{found.message}\n{advised(found)}"


def test_a_directory_that_is_said_to_be_not_writable():
    log = "org.apache.cassandra.exceptions.ConfigurationException: commitlog directory '/data/commitlog' or, if it does not already exist, an existing parent directory of it, is not readable and writable for the DSE. Check file system and configuration.\n\tat a.B.c(B.java:1)\n"
    found, said = told(log)
    assert found.cause == "PermissionDenied"
    assert "/data/commitlog" in said
    other, _ = told("org.x.ConfigurationException: data directory '/data' is not set\n\tat a.B.c(B.java:1)\n")
    assert other.cause != "PermissionDenied"


def test_a_database_file_that_cannot_be_opened_comes_before_the_migration_that_failed():
    log = "ERROR [Db] PrismaClientInitializationError: Error querying the database: Error code 14: Unable to open the database file\nERROR [Db] Prisma migration failed\n"
    assert told(log)[0].cause == "PermissionDenied"
    alone, _ = told("ERROR [Db] Prisma migration failed\n")
    assert alone.details["mechanism"] == "migration-failed"


def test_a_long_path_that_could_not_be_spawned():
    path = "/app/node_modules/.prisma/client/query-engine-debian-openssl-1.1.x"
    log = f"Error: spawn {path} {{}}\n    at ChildProcess._handle.onexit (node:internal/child_process:286:19)\n\nNode.js v20.11.0\n"
    assert told(log.format("EAGAIN"))[0].details["mechanism"] == "thread-limit"
    assert told(log.format("ENOENT"))[0].details.get("mechanism") != "thread-limit"


def test_a_closing_word_of_a_launcher_gives_way_to_its_cause():
    log = "Last error:\nError while creating shared memory segment /dev/shm/nccl-Xv3wKt (size 9637888)\nError: ShardCannotStart\n"
    assert told(log)[0].cause == "DiskFull"


def test_what_could_not_be_fetched_gives_way_to_the_address():
    log = "org.apache.http.conn.ConnectTimeoutException: Connect to updates.jenkins.io:443 [updates.jenkins.io/52.2.5.1] failed: connect timed out\n\tat a.B.c(B.java:1)\nio.jenkins.UpdateCenterInfoRetrievalException: Error getting update center json\n"
    found, said = told(log)
    assert found.cause == "DependencyUnreachable"
    assert "updates.jenkins.io:443" in said


def test_a_kind_that_does_not_sync():
    found, said = told(
        'time="2021-06-28T09:01:00Z" level=fatal msg="failed to sync *v1.Ingress: context deadline exceeded"\n'
    )
    assert found.details["mechanism"] == "kind-not-synced"
    assert "auth can-i list ingress" in said
    forbidden, _ = told(
        'time="2021-06-28T09:00:00Z" level=error msg="ingresses.networking.k8s.io is forbidden: User \\"system:serviceaccount:shop:default\\" cannot list resource \\"ingresses\\" in API group \\"networking.k8s.io\\" at the cluster scope"\ntime="2021-06-28T09:01:00Z" level=fatal msg="failed to sync *v1.Ingress: context deadline exceeded"\n'
    )
    assert forbidden.details.get("mechanism") != "kind-not-synced"


SECRET = {"name": "data", "secret": {"secretName": "hook"}}
NO_FILE = (
    '{"level":"error","msg":"unable to validate certs","error":"open /certs/tls.crt: no such file or directory"}\n'
)


def test_a_secret_that_nobody_has_filled_is_not_to_be_filled_by_hand():
    _, said = told(NO_FILE, obj("Secret", "hook", data={}), volume=SECRET, mount="/certs")
    assert "which is empty" in said
    assert "Find who fills Secret hook" in said
    assert "Put the file" not in said
    _, unseen = told(NO_FILE, volume={"name": "data", "emptyDir": {}}, mount="/certs")
    assert "Find who fills" not in unseen


CERT = 'F0510 08:00:00.100000       1 main.go:9] Get "https://{}/apis/apps/v1/deployments": tls: failed to verify certificate: x509: certificate is valid for 10.43.0.1, 127.0.0.1, not 10.96.0.1\n'


def test_the_api_servers_certificate_without_its_service_address():
    found, said = told(CERT.format("10.96.0.1:443"))
    assert found.cause == "CertificateInvalid"
    assert "kubeadm init phase certs apiserver" in said
    _, other = told(CERT.format("10.96.0.1:443").replace("/apis/apps/v1/deployments", "/login"))
    assert "kubeadm" not in other


def test_a_log_of_transactions_that_is_damaged():
    log = "2022-07-04 21:03:07 0 [ERROR] Bad magic header in tc log\n2022-07-04 21:03:07 0 [ERROR] Can't init tc log\n2022-07-04 21:03:07 0 [ERROR] Aborting\n"
    assert "--tc-heuristic-recover" in told(log)[1]


def test_metrics_server_that_does_not_trust_the_kubelets():
    made = container(readinessProbe={"httpGet": {"path": "/readyz", "port": 10250, "scheme": "HTTPS"}})
    raw = pod(containers=[made], statuses=[status("app", running(-900), started=True)])
    failing = event(
        "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 500", raw, container="app", count=80
    )
    line = 'E0510 08:00:00.100000       1 scraper.go:149] "Failed to scrape node" err="Get \\"https://192.168.1.10:10250/metrics/resource\\": {}" node="node-1"\n'
    trust = "tls: failed to verify certificate: x509: cannot validate certificate for 192.168.1.10 because it doesn't contain any IP SANs"
    assert "serverTLSBootstrap" in advised(crash_findings(raw, failing, logs={"app": line.format(trust)})[0])
    silent = "dial tcp 192.168.1.10:10250: i/o timeout"
    assert "serverTLSBootstrap" not in advised(crash_findings(raw, failing, logs={"app": line.format(silent)})[0])
