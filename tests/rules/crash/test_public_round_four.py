"""Public incidents of the fourth round: what databases say at the login, names that do not resolve, certificates."""
# ruff: noqa: E501

import pytest

from support.objects import (
    advised,
    back_off,
    container,
    crash_findings,
    obj,
    pod,
    status,
    terminated,
)

CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}}
DATA = "/var/lib/postgresql/data"


def told(log, *objects, code=1, volumes=(CLAIM,), mount=DATA, **spec):
    made = container(volumeMounts=[{"name": "data", "mountPath": mount}] if volumes else [], **spec)
    raw = pod(
        containers=[made],
        statuses=[status("app", back_off(), terminated(code, "Error", -80, -60))],
        volumes=list(volumes),
    )
    found = crash_findings(raw, *objects, logs={"app": log})[0]
    return found, f"{found.message}\n{advised(found)}"


def test_a_schema_that_is_not_empty_and_has_no_history_of_migrations():
    log = "org.flywaydb.core.api.FlywayException: Found non-empty schema(s) {} but no schema history table. Use baseline() or set baselineOnMigrate to true to initialize the schema history table.\n\tat a.B.c(B.java:1)\n"
    found, said = told(log.format('"public"'))
    assert found.details["mechanism"] == "schema-not-empty"
    assert found.details["schema"] == "public"
    assert "baseline-on-migrate" in said
    prisma, _ = told(
        "Error: P3005\n\nThe database schema is not empty. Read more about how to baseline an existing production database: https://pris.ly/d/migrate-baseline\n"
    )
    assert prisma.details["mechanism"] == "schema-not-empty"
    other, _ = told(
        "org.flywaydb.core.api.FlywayException: Found more than one migration with version 3\n\tat a.B.c(B.java:1)\n"
    )
    assert other.details.get("mechanism") != "schema-not-empty"


@pytest.mark.parametrize(
    "log",
    [
        'psycopg2.OperationalError: connection to server at "pg" (10.96.3.4), port 5432 failed: FATAL:  database "shopp" does not exist\n',
        "pymysql.err.OperationalError: (1049, \"Unknown database 'shopp'\")\n",
        'panic: failed to connect to `user=shop database=shopp`: server error: FATAL: database "shopp" does not exist (SQLSTATE 3D000)\n\ngoroutine 1 [running]:\n',
        'Microsoft.Data.SqlClient.SqlException (0x80131904): Cannot open database "shopp" requested by the login. The login failed.\n',
    ],
)
def test_a_database_that_does_not_exist_is_made_or_named_rightly(log):
    found, said = told(log, env=[{"name": "DB_NAME", "value": "shopp"}])
    assert found.details["mechanism"] == "database-missing"
    assert "variable DB_NAME" in said
    assert "CREATE DATABASE shopp" in said


def test_the_database_is_made_in_a_pod_of_its_service_and_a_missing_table_is_no_missing_database():
    log = 'psycopg2.OperationalError: connection to server at "pg" (10.96.3.4), port 5432 failed: FATAL:  database "shopp" does not exist\n'
    service = obj("Service", "pg", spec={"ports": [{"port": 5432}]})
    assert "svc/pg -- psql -U postgres -c" in told(log, service)[1]
    other, _ = told('psycopg2.errors.UndefinedTable: relation "orders" does not exist\n')
    assert other.details.get("mechanism") != "database-missing"
    role, _ = told('psycopg2.OperationalError: FATAL:  role "shopp" does not exist\n')
    assert role.details.get("mechanism") != "database-missing"


def test_an_executor_of_airflow_without_a_server_of_its_own():
    log = "airflow.exceptions.AirflowConfigException: error: cannot use SQLite with the {}\n"
    found, said = told(
        log.format("KubernetesExecutor"), env=[{"name": "AIRFLOW__CORE__EXECUTOR", "value": "KubernetesExecutor"}]
    )
    assert found.details["mechanism"] == "airflow-sqlite"
    assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in said
    assert told(log.format("CeleryExecutor"))[0].details["mechanism"] == "airflow-sqlite"
    other, _ = told("airflow.exceptions.AirflowConfigException: The executor `Celery` is not known\n")
    assert other.details.get("mechanism") != "airflow-sqlite"


def test_zookeepers_client_says_that_a_name_does_not_resolve():
    log = "java.lang.IllegalArgumentException: Unable to canonicalize address {} because it's not resolvable\n\tat a.B.c(B.java:1)\n"
    found, said = told(log.format("zookeper:2181"), obj("Service", "zookeeper", spec={"ports": [{"port": 2181}]}))
    assert found.cause == "DependencyUnreachable"
    assert "zookeeper" in said
    other, _ = told("java.lang.IllegalArgumentException: property is not resolvable: a.b\n\tat a.B.c(B.java:1)\n")
    assert other.cause != "DependencyUnreachable"


def test_a_certificate_that_is_missing_comes_from_a_secret():
    log = "Error initializing listener of type tcp: error loading TLS cert: open {}: no such file or directory\n"
    said = told(log.format("/vault/userconfig/vault-tls/tls.crt"), volumes=())[1]
    assert "create secret tls" in said
    assert "configmap" not in said.lower()
    other = told("Error: open /etc/app/app.yaml: no such file or directory\n", volumes=())[1]
    assert "create configmap" in other
    store = told("Error: open /etc/keys/store.p12: no such file or directory\n", volumes=())[1]
    assert "create secret generic" in store
    assert "--from-file=store.p12" in store


def test_a_google_identity_that_may_not_look_up_the_instance():
    first = "2024/05/10 08:00:01 [acme:europe-west1:db] could not connect to Cloud SQL instance: failed to get instance: Refresh error: googleapi: Error 403: {}\n"
    last = "2024/05/10 08:00:01 The proxy has encountered a terminal error: unable to start: [acme:europe-west1:db] Unable to mount socket: failed to connect to instance\n"
    denied = "boss::NOT_AUTHORIZED: Not authorized to access resource. Possibly missing permission cloudsql.instances.get on resource instances/db., forbidden"
    account = obj("ServiceAccount", "default")
    account["metadata"]["annotations"] = {"iam.gke.io/gcp-service-account": "shop@acme.iam.gserviceaccount.com"}
    found, said = told(first.format(denied) + last, account)
    assert found.cause == "DependencyAuthFailed"
    assert "roles/cloudsql.client" in said
    disabled = "Cloud SQL Admin API has not been used in project 42 before or it is disabled., accessNotConfigured"
    assert "gcloud services enable sqladmin.googleapis.com" in told(first.format(disabled) + last)[1]
    assert told(last)[0].cause == "DependencyUnreachable"


def test_kestrel_is_to_listen_on_https_without_a_certificate():
    log = "Unhandled exception. System.InvalidOperationException: Unable to configure HTTPS endpoint. {}.\n   at Microsoft.AspNetCore.Hosting.UseHttps(ListenOptions listenOptions)\n"
    none = "No server certificate was specified, and the default developer certificate could not be found or is out of date"
    found, said = told(
        log.format(none), code=134, env=[{"name": "ASPNETCORE_URLS", "value": "https://+:443;http://+:80"}]
    )
    assert found.details["mechanism"] == "https-without-certificate"
    assert "ASPNETCORE_URLS=http://+:80" in said
    ports = told(log.format(none), code=134, env=[{"name": "ASPNETCORE_HTTPS_PORTS", "value": "8443"}])[1]
    assert "take ASPNETCORE_HTTPS_PORTS out" in ports
    other, _ = told(log.format("The certificate has expired"), code=134)
    assert other.details.get("mechanism") != "https-without-certificate"


def test_a_file_of_the_data_directory_is_looked_up_on_its_volume():
    log = '2024-05-10 08:00:00.300 UTC [28] FATAL:  could not open file "{}": Permission denied\n2024-05-10 08:00:00.310 UTC [1] LOG:  startup process (PID 28) exited with exit code 1\n'
    found, said = told(log.format("pg_wal/000000010000000000000012"))
    assert found.cause == "PermissionDenied"
    assert found.details["path"] == f"{DATA}/pg_wal/000000010000000000000012"
    assert "fsGroup" in said
    placed, _ = told(log.format("postmaster.pid"), env=[{"name": "PGDATA", "value": f"{DATA}/pgdata"}])
    assert placed.details["path"] == f"{DATA}/pgdata/postmaster.pid"
    other, _ = told(log.format("cache/x"))
    assert "path" not in other.details
