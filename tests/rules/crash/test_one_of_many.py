"""One replica of many, settings by their noun, files that cannot be opened, servers as init containers."""
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
    running,
    status,
    terminated,
    waiting,
)

# One replica fails where the others run.


def replicas(
    log, *, kind="StatefulSet", kernels=("5.15", "5.15", "4.18"), claims=True, hashes=("r1", "r1", "r1"), bad=2
):
    owner = obj(
        kind,
        "store",
        spec={"selector": {"matchLabels": {"app": "store"}}, "template": {}},
        status={"updateRevision": hashes[bad]},
    )
    made = []
    for i in range(3):
        node = obj(
            "Node",
            f"node-{i}",
            namespace="",
            status={"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kernelVersion": kernels[i]}},
        )
        one = pod(
            f"store-{i}",
            owner=owner,
            node=f"node-{i}",
            labels={"app": "store", "controller-revision-hash": hashes[i]},
            containers=[container(volumeMounts=[{"name": "data", "mountPath": "/data"}] if claims else [])],
            statuses=[
                status("app", back_off(pod=f"store-{i}"), terminated(1, "Error", -80, -60))
                if i == bad
                else status("app", running(-900), ready=True)
            ],
            volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": f"data-store-{i}"}}] if claims else [],
            ready=i != bad,
        )
        made += [node, one]
    target = next(o for o in made if o["metadata"]["name"] == f"store-{bad}")
    found = crash_findings(target, owner, *made, logs={"app": log})[0]
    return found, f"{found.message}\n{advised(found)}"


ODD = "Error: the frobnicator is sad\n"


def test_a_replica_that_fails_alone_is_told_by_its_node_and_its_claim():
    words = replicas(ODD)[1]
    assert "kernel 4.18 (the others: 5.15)" in words
    assert "kubectl cordon node-2" in words
    assert "claim data-store-2 is its own" in words
    same = replicas(ODD, kernels=("5.15", "5.15", "5.15"), claims=False)[1]
    assert "is what is seen to differ" in same


def test_a_daemon_set_is_not_moved():
    words = replicas(ODD, kind="DaemonSet", claims=False)[1]
    assert "cordon" not in words
    assert "keep daemonset/store from it" in words


def test_a_replica_of_another_revision_is_not_told_by_its_node():
    assert "the others of the same template run" not in replicas(ODD, hashes=("r0", "r0", "r1"))[1]


def test_damaged_data_of_one_replica_is_rebuilt_from_the_others():
    log = (
        "Error: Failed to load local shard: RocksDB open error: Corruption: Corrupt or unsupported format_version: 0\n"
    )
    found, words = replicas(log)
    assert found.details["mechanism"] == "data-damaged"
    assert "rebuild it from the other replicas" in found.fix[0].text
    assert "data-store-2" in words


def test_a_kernel_without_type_information():
    found, words = replicas("Error: [libscap]: libbpf: BTF is required, but is missing or corrupted.\n")
    assert found.details["mechanism"] == "kernel-without-btf"
    assert "kernel 4.18 of node node-2" in words


# Settings by their noun, in fields and in source lines.


def told(log, *objects, code=1, **spec):
    raw = pod(containers=[container(**spec)], statuses=[status("app", back_off(), terminated(code, "Error", -80, -60))])
    found = crash_findings(raw, *objects, logs={"app": log})[0]
    return found, f"{found.message}\n{advised(found)}"


def secret(name, key):
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": "held", "key": key}}}


NODE = "TypeError: Invalid URL\n    at new URL (node:internal/url:797:36)\n    at Object.<anonymous> (/app/dist/redis.js:8:13) {\n  code: 'ERR_INVALID_URL',\n  input: 'redis-master:6379'\n}\n"
PYTHON = 'Traceback (most recent call last):\n  File "/app/main.py", line 12, in <module>\n    engine = create_engine(os.environ["STORE_DSN"])\n  File "/usr/lib/python3.12/site-packages/sqlalchemy/engine/url.py", line 922, in _parse_url\n    raise exc.ArgumentError(\nsqlalchemy.exc.ArgumentError: Could not parse SQLAlchemy URL from given URL string\n'


def test_a_value_in_a_field_of_the_error():
    words = told(NODE, env=[{"name": "CACHE", "value": "redis-master:6379"}, secret("DB_URL", "url")])[1]
    assert "redis-master:6379 is the value of variable CACHE" in words
    assert "begins with its scheme" in words


def test_a_variable_in_a_line_of_source():
    words = told(PYTHON, env=[secret("STORE_DSN", "dsn"), secret("OTHER_URL", "url")])[1]
    assert "variable STORE_DSN, which comes from key dsn of Secret held" in words
    assert "proposes" not in words


@pytest.mark.parametrize(
    ("log", "names", "found"),
    [
        ("Error: malformed DSN\n", ("STORE_DSN", "PORT_NAME"), "STORE_DSN"),
        ("Error: invalid connection string\n", ("DB_URL", "PORT_NAME"), "DB_URL"),
        ("Error: unknown region\n", ("AWS_REGION", "DB_URL"), "AWS_REGION"),
        # Two that fit, a URL that is shown, a word that is no noun of a setting.
        ("Error: malformed URL\n", ("DB_URL", "CACHE_URL"), ""),
        ("Error: unexpected answer of URL http://a.b/c\n", ("DB_URL",), ""),
        ("Error: mmap of an unexpected memory region\n", ("AWS_REGION",), ""),
        ("SyntaxError: Unexpected token < in JSON at position 0\n", ("API_TOKEN",), ""),
    ],
)
def test_a_setting_by_its_noun(log, names, found):
    words = told(log, env=[secret(n, "key") for n in names])[1]
    assert (f"about variable {found}," in words) is bool(found)


def test_a_setting_by_the_end_of_its_name():
    log = "ERROR: invalid configuration: cookie_secret must be 16, 24, or 32 bytes, but is 44 bytes\n"
    words = told(
        log, env=[secret("OAUTH2_PROXY_COOKIE_SECRET", "cookie"), secret("OAUTH2_PROXY_CLIENT_SECRET", "client")]
    )[1]
    assert "OAUTH2_PROXY_COOKIE_SECRET, which comes from key cookie of Secret held" in words


def test_a_license_by_its_variable():
    words = told("FATAL license key expired on 2025-11-01\n", env=[secret("APP_LICENSE_KEY", "key")])[1]
    assert "put it into key key of Secret held" in words


def test_a_variable_that_the_log_asks_for():
    log = "If a password is not provided, the setup will quit.\nNo custom admin password found. Please provide a password via the environment variable STORE_ADMIN_PASSWORD.\n"
    words = told(log)[1]
    assert "asks for the variable STORE_ADMIN_PASSWORD" in words
    assert "--from-literal=STORE_ADMIN_PASSWORD=VALUE" in words
    assert "asks for" not in told(log, env=[secret("STORE_ADMIN_PASSWORD", "key")])[1]


# Files that cannot be opened.


@pytest.mark.parametrize(
    "said",
    [
        'Error: Unable to open pwfile "/mosquitto/config/password.txt".',
        "ERROR could not load token file /run/app/token",
        "Failed to open /srv/app/routes.lst",
    ],
)
def test_a_file_that_cannot_be_opened_and_that_nothing_brings(said):
    found, words = told(f"{said}\n")
    assert found.cause == "AppConfigMissing"
    assert "cannot be opened" in words
    assert ("create secret generic" in words) is ("routes" not in said)


def test_a_device_or_a_mounted_file_is_no_missing_configuration():
    assert told("Failed to open /dev/fuse\n")[0].cause != "AppConfigMissing"
    mounted = told("Failed to open /data/routes.lst\n", volumeMounts=[{"name": "data", "mountPath": "/data"}])[0]
    assert mounted.cause != "AppConfigMissing"


# Servers as init containers, claims in two volumes.


def initial(log, version="v1.33.0"):
    raw = pod(
        phase="Pending",
        init=[container("proxy")],
        containers=[container()],
        statuses=[status("app", waiting("PodInitializing"))],
        init_statuses=[status("proxy", running(-7200))],
    )
    node = obj(
        "Node",
        "node-1",
        namespace="",
        status={"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": version}},
    )
    found = crash_findings(raw, node, logs={"proxy": log})[0]
    return found.cause, f"{found.message}\n{advised(found)}"


@pytest.mark.parametrize(
    "log",
    [
        "[info][main] starting main dispatch loop\n",
        "INFO: Uvicorn running on http://0.0.0.0:80\n",
        "server listening on :8080\n",
    ],
)
def test_a_server_as_an_init_container(log):
    cause, words = initial(log)
    assert cause == "InitContainerWaiting"
    assert "never ends" in words
    assert "restartPolicy: Always" in words
    assert "restartPolicy: Always" not in initial(log, "v1.27.4")[1]
    assert "Move proxy to containers" in initial(log, "v1.27.4")[1]


def test_an_init_container_that_waits_is_no_server():
    assert "never ends" not in initial("waiting for db:5432\n")[1]
    assert "never ends" not in initial("server listening on :80\nERROR cannot reach db\n")[1]


def mounted(*names):
    raw = pod(
        phase="Pending",
        containers=[container(volumeMounts=[{"name": f"vol{i}", "mountPath": f"/mnt/{i}"} for i in range(len(names))])],
        statuses=[status("app", waiting("ContainerCreating"))],
        volumes=[{"name": f"vol{i}", "persistentVolumeClaim": {"claimName": name}} for i, name in enumerate(names)],
    )
    said = event(
        "FailedMount",
        "Unable to attach or mount volumes: unmounted volumes=[vol1], unattached volumes=[vol0 vol1]: timed out waiting for the condition",
    )
    found = crash_findings(
        raw, said, *(obj("PersistentVolumeClaim", n, status={"phase": "Bound"}) for n in set(names))
    )[0]
    return f"{found.message}\n{advised(found)}"


def test_a_claim_in_two_volumes():
    assert "Volumes vol0 and vol1 are the same claim store" in mounted("store", "store")
    assert "same claim" not in mounted("store", "other")
