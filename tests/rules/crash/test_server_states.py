"""What a server answers its client when its own state forbids the request: each with what looks like it."""
# ruff: noqa: E501

from __future__ import annotations

import pytest

from kubetriage.model import Severity
from support.budgets import resources
from support.objects import back_off, container, crash_findings, pod, status, terminated


def first(log: str, image: str = "acme/worker:5"):
    """Return the first finding about a container that ended with a log."""
    spec = container(image=image, resources=resources("1Gi"))
    raw = pod(containers=[spec], statuses=[status(spec["name"], back_off(), terminated(1, "Error", -65, -60))])
    found = crash_findings(raw, logs={spec["name"]: log})
    return next(f for f in found if f.severity is Severity.ERROR)


MATCHES = [
    ("Redis", "ReplyError: MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled\n    at parseError (/app/node_modules/redis-parser/lib/parser.js:179:12)\n"),
    ("Redis", "redis.exceptions.ReadOnlyError: READONLY You can't write against a read only replica.\n"),
    ("Redis", "panic: READONLY You can't write against a read only slave.\n\ngoroutine 1 [running]:\n"),
    ("Redis", "redis.exceptions.BusyLoadingError: LOADING Redis is loading the dataset in memory\n"),
    ("Redis", "Redis::CommandError: CLUSTERDOWN Hash slot not served (redis://redis:6379)\n"),
    ("Elasticsearch", "elasticsearch.AuthorizationException: AuthorizationException(403, 'cluster_block_exception', 'index [logs] blocked by: [FORBIDDEN/12/index read-only / allow delete (api)];')\n"),
    ("Elasticsearch", "ResponseError: cluster_block_exception: index [app] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];\n"),
    ("Elasticsearch", "Error: validation_exception: this action would add [2] shards, but this cluster currently has [1000]/[1000] maximum normal shards open;\n"),
    ("PostgreSQL", "psycopg2.errors.ReadOnlySqlTransaction: cannot execute INSERT in a read-only transaction\n"),
    ("PostgreSQL", "org.postgresql.util.PSQLException: ERROR: cannot execute CREATE TABLE in a read-only transaction\n"),
    ("PostgreSQL", "error: the database system is in recovery mode\n"),
    ("MySQL", "Error 1290 (HY000): The MySQL server is running with the --super-read-only option so it cannot execute this statement\n"),
    ("MySQL", "ERROR 1129 (HY000): Host '10.244.3.7' is blocked because of many connection errors; unblock with 'mysqladmin flush-hosts'\n"),
    ("MongoDB", "MongoServerError: not primary\n    at Connection.onMessage (/app/x.js:1:1) { code: 10107, codeName: 'NotWritablePrimary' }\n"),
    ("MongoDB", "pymongo.errors.NotPrimaryError: not primary and secondaryOk=false, full error: {'code': 13435, 'codeName': 'NotPrimaryNoSecondaryOk'}\n"),
    ("Kafka", "org.apache.kafka.common.errors.InvalidReplicationFactorException: Replication factor: 3 larger than available brokers: 1.\n"),
    ("RabbitMQ", "amqp.exceptions.PreconditionFailed: Queue.declare: (406) PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'jobs' in vhost '/': received 'true' but current is 'false'\n"),
    ("ClickHouse", "fatal: code: 252, message: Too many parts (300). Merges are processing significantly slower than inserts\n"),
    ("Consul", "Error: Unexpected response code: 500 (No cluster leader)\n"),
]  # fmt: skip


@pytest.mark.parametrize(("server", "log"), MATCHES)
def test_each_in_its_own_words(server, log):
    found = first(log)
    assert found.details.get("mechanism") == "server-state", (found.cause, found.message)
    assert found.details["server"].startswith(server)
    assert "Look there first" in found.fix[0].text


LOOK_ALIKES = [
    ("redis:7.2", "Error: READONLY You can't write against a read only replica.\n"),
    ("postgres:16", "FATAL:  the database system is starting up\n"),
    ("acme/worker:5", "OSError: [Errno 30] Read-only file system: '/data/queue'\n"),
    ("acme/worker:5", "fatal: the primary key of table parts is not unique\n"),
    ("acme/worker:5", "Error: too many connections to broker, giving up\n"),
    ("acme/worker:5", "FATAL: sorry, too many clients already (SQLSTATE 53300)\n"),
    ("acme/worker:5", 'FATAL: password authentication failed for user "app"\n'),
    ("acme/worker:5", "Error: this node is not primary\n"),
]  # fmt: skip


@pytest.mark.parametrize(("image", "log"), LOOK_ALIKES)
def test_what_only_looks_like_it(image, log):
    assert first(log, image).details.get("mechanism") != "server-state"
