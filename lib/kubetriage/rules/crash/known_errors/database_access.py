"""What a database says before any table is read: it does not exist, is of another kind, or may not be looked up."""

from __future__ import annotations

import re

from kubetriage.model import Evidence
from kubetriage.rules.crash.acts import app, cloud, manifest, where
from kubetriage.rules.crash.dependency_lookup import service_names
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.named_values import origin, origin_evidence
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import kubectl, placeholder, shell
from kubetriage.values.fields import labels, objects, text
from kubetriage.values.patterns import lazy

_SERVERS = {"pg": "createdb", "mysql": "mysql"}


def _no_database(words: LastWords, said: Said) -> Advice:
    groups = said.match.groupdict()
    kind = next((k for k in ("pg", "mysql") if groups.get(k)), "other")
    name = next((v for v in groups.values() if v), "")
    inside: tuple[str, ...] = ()
    host = next((a.host for a, _ in words.failed_addresses() if a.host), "") or _host(f"{said.line} {words.text}")
    for service, namespace in service_names(words.case, host) if host else ():
        if words.case.snapshot.get("services", namespace, service).found and kind in _SERVERS:
            make = (
                ("psql", "-U", "postgres", "-c", f'CREATE DATABASE "{name}"')
                if kind == "pg"
                else ("mysql", "-u", "root", "-p", "-e", f"CREATE DATABASE `{name}`")
            )
            inside = (kubectl("exec", "-it", f"svc/{service}", "--", *make, namespace=namespace),)
            break
    one = origin(words)
    held = one.words if one is not None else "the connection settings"
    variable = (
        " POSTGRES_DB (POSTGRESQL_DATABASE)"
        if kind == "pg"
        else " MYSQL_DATABASE (MARIADB_DATABASE)"
        if kind == "mysql"
        else " The variable for it"
    )
    return Advice(
        f"the server has no database {name}: it answers and accepts the login"
        + (
            f"; {name} is the value of {held}"
            if one is not None and one.setting is not None and one.setting.value == name
            else ""
        ),
        (
            manifest(words, f"Correct the name of the database in {held} of {where(words)}, if {name} is not meant."),
            app(
                f"Or make it: CREATE DATABASE {name}, owned by the user that logs in, then run the program's "
                f"migrations.{variable} of the server's image makes one only when it initializes an empty volume.",
                *inside,
            ),
        ),
        (origin_evidence(one),) if one is not None else (),
        details={"database": name},
    )


_PG_SERVER = lazy(r"connection to server at \"(?P<host>[\w.-]{1,253})\"")


def _host(said: str) -> str:
    match = _PG_SERVER.search(said)
    return match["host"] if match is not None else ""


def _sqlite_executor(words: LastWords, said: Said) -> Advice:
    executor = next((g for g in said.match.groups() if g), "this executor")
    return Advice(
        f"Airflow has no other database than the SQLite file of its default, and {executor} needs a server",
        (
            manifest(
                words,
                f"Set AIRFLOW__DATABASE__SQL_ALCHEMY_CONN of {where(words)} (before Airflow 2.3: "
                "AIRFLOW__CORE__SQL_ALCHEMY_CONN) to a PostgreSQL or MySQL server, from a Secret; every component "
                "needs the same one.",
            ),
            app("Then make its tables once: airflow db migrate (before 2.7: airflow db init)."),
        ),
        details={"setting": "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"},
    )


_PERMISSION = lazy(r"missing permission (?P<permission>[a-z]{2,30}\.[A-Za-z.]{2,80})")
_ROLES = {"cloudsql": "roles/cloudsql.client", "alloydb": "roles/alloydb.client"}
_DISABLED = lazy(r"accessNotConfigured|SERVICE_DISABLED|API has not been used|it is disabled")


def _cloud_sql(words: LastWords, said: Said) -> Advice:
    permission = found["permission"] if (found := _PERMISSION.search(words.text)) is not None else ""
    if _DISABLED.search(words.text):
        return Advice(
            "the Cloud SQL Admin API is not enabled in the project of the instance",
            (
                cloud(
                    "Enable it there, and wait a few minutes.",
                    shell("gcloud", "services", "enable", "sqladmin.googleapis.com"),
                ),
            ),
        )
    service = permission.partition(".")[0] or "cloudsql"
    role = _ROLES.get(service, "roles/cloudsql.client")
    case = words.case
    account = text(case.pod.raw, "spec", "serviceAccountName") or "default"
    looked = case.snapshot.get("serviceaccounts", case.pod.namespace, account)
    google = labels(looked.obj, "metadata", "annotations").get("iam.gke.io/gcp-service-account", "")
    who = f"Google service account {google}" if google else "the Google service account that the proxy acts as"
    instance = found["instance"] if (found := re.search(r"\[(?P<instance>[\w.:-]{3,200})\]", said.line)) else ""
    project = instance.rpartition(":")[0].rpartition(":")[0]
    return Advice(
        f"its Google identity may not look up the instance{f' {instance}' if instance else ''}"
        + (f" (permission {permission})" if permission else ""),
        (
            cloud(
                f"Give {who} {role} in the project of the instance.",
                shell(
                    *("gcloud", "projects", "add-iam-policy-binding", project or placeholder("project")),
                    "--member",
                    f"serviceAccount:{google or placeholder('google-account')}",
                    "--role",
                    role,
                ),
            ),
            manifest(
                words,
                f"See as whom it acts: annotation iam.gke.io/gcp-service-account of ServiceAccount {account}; without "
                "one the pod acts as the service account of its node.",
                None,
                kubectl("get", "serviceaccount", account, "-o", "yaml", namespace=case.pod.namespace),
            ),
            app("If the role is there: correct the instance's name (PROJECT:REGION:INSTANCE) in the arguments."),
        ),
        details={k: v for k, v in (("permission", permission), ("role", role)) if v},
    )


def _https_without_certificate(words: LastWords, _: Said) -> Advice:
    container = words.container
    held = next(
        (
            e
            for e in objects(container.spec, "env")
            if text(e, "name") in ("ASPNETCORE_URLS", "DOTNET_URLS", "URLS", "ASPNETCORE_HTTPS_PORTS")
            and ("https" in text(e, "value") or "HTTPS" in text(e, "name"))
        ),
        None,
    )
    name = text(held, "name") if held is not None else "ASPNETCORE_URLS"
    urls = [u for u in re.split(r"[;,\s]+", text(held, "value")) if u.startswith("http:")] if held is not None else []
    plain = ";".join(urls) or "http://+:8080"
    first = manifest(
        words,
        f"If TLS ends before the pod (Ingress, mesh), take https out: {name}={plain} in {where(words)}."
        if name != "ASPNETCORE_HTTPS_PORTS"
        else f"If TLS ends before the pod (Ingress, mesh), take {name} out of {where(words)}.",
        container.patch({"env": [{"name": name, "value": plain}]}) if name == "ASPNETCORE_URLS" else None,
    )
    second = manifest(
        words,
        "Or give it a certificate: mount one from a Secret, and set ASPNETCORE_Kestrel__Certificates__Default__Path "
        "and __KeyPath (a .pfx: __Password) to it; images have no developer certificate.",
    )
    evidence = (
        (Evidence("spec", f"{container.spec_path}.env[{name}]", f"{name}={text(held, 'value')}"),)
        if held is not None
        else ()
    )
    return Advice("Kestrel is to listen on https, and has no certificate for it", (first, second), evidence)


def _virtual_host(words: LastWords, said: Said) -> Advice:
    name = said.match["vhost"].strip("'\"/") or "/"
    one = origin(words)
    variable = one.setting if one is not None and one.setting is not None and one.setting.kind != "args" else None
    held = variable.called if variable is not None else "the broker's URL"
    return Advice(
        f"RabbitMQ has no virtual host {name}",
        (
            app(
                "Make it, and give the user its rights there (the operator's Vhost and Permission, the chart's "
                "definitions, or by hand in a pod of the broker).",
                shell("rabbitmqctl", "add_vhost", name),
                shell("rabbitmqctl", "set_permissions", "-p", name, placeholder("user"), ".*", ".*", ".*"),
            ),
            manifest(
                words,
                f"Or correct what stands behind the last slash of {held} in {where(words)}: the default virtual host "
                "is %2F there, and a name with a slash before it is another one.",
                None,
                kubectl(
                    *("set", "env", f"pod/{words.case.pod.name}", "-c", words.container.name, "--list"),
                    namespace=words.case.pod.namespace,
                ),
            ),
        ),
        (origin_evidence(one),) if one is not None else (),
        details={"virtualHost": name},
    )


ROWS: tuple[Row, ...] = (
    Row(
        "virtual-host-missing",
        lazy(r"NOT_ALLOWED - vhost (?P<vhost>\S{1,80}) not found"),
        _virtual_host,
        beside=True,
    ),
    Row(
        "database-missing",
        lazy(
            r"FATAL: {1,2}database \"(?P<pg>[^\"\n]{1,80})\" does not exist"
            r"|\bUnknown database '(?P<mysql>[^'\n]{1,80})'"
            r"|Cannot open database \"(?P<mssql>[^\"\n]{1,80})\" requested by the login"
        ),
        _no_database,
        beside=True,
    ),
    Row(
        "airflow-sqlite",
        lazy(r"cannot use SQLite with the (\w{1,60}Executor)|[Ee]rror: cannot use [Ss][Qq][Ll]ite with"),
        _sqlite_executor,
        beside=True,
    ),
    Row(
        "cloud-sql-denied",
        lazy(
            r"(?:failed to get instance|Cloud SQL|cloudsql|alloydb)[^\n]{0,400}\b(?:NOT_AUTHORIZED|Error 403|403:)"
            r"|Error 403[^\n]{0,300}cloudsql\.instances\.\w{1,30}"
        ),
        _cloud_sql,
        "DependencyAuthFailed",
        beside=True,
    ),
    Row(
        "https-without-certificate",
        lazy(r"Unable to configure HTTPS endpoint\. No server certificate was specified"),
        _https_without_certificate,
        beside=True,
    ),
)
