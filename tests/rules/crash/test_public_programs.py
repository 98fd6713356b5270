"""Last words of public programs: the cause, what the advice must name for each, and look-alikes that mean something else."""
# ruff: noqa: E501

import re

import pytest

from kubetriage.model import Severity
from kubetriage.rules.crash.known_errors.data_versions import image_of_version
from kubetriage.rules.crash.known_images import cpu_need, group_of
from support.objects import back_off, container, crash_findings, pod, status, terminated

CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}}


def told(log, image="registry.example/api:1.4", mount="", code=1, reason="Error", **spec):
    """Return the first error about a Deployment's container that ended with a log, and all that it says."""
    made = container(image=image, **spec)
    if mount:
        made["volumeMounts"] = [{"name": "data", "mountPath": mount}]
    raw = pod(containers=[made], statuses=[status(made["name"], back_off(), terminated(code, reason, -65, -60))])
    if mount:
        raw["spec"]["volumes"] = [CLAIM]
    found = crash_findings(raw, logs={made["name"]: log})
    finding = next(f for f in found if f.severity is Severity.ERROR)
    fixes = [part for x in finding.fix for part in (x.text, *x.commands, x.yaml, str(x.patch or ""))]
    return finding, "\n".join([finding.message, *fixes])


CASES = [
    # cause, mechanism, must, log, more
    ("AppError", "data-version", "was written by version 15", "2026-06-08 10:13:04.112 UTC [1] FATAL:  database files are incompatible with server\n2026-06-08 10:13:04.112 UTC [1] DETAIL:  The data directory was initialized by PostgreSQL version 15, which is not compatible with this version 17.4.\n", {"image": "postgres:17"}),
    ("AppError", "data-version", r"10\.6\.12,", "2026-06-08 10:13:04 0 [ERROR] InnoDB: Upgrade after a crash is not supported. The redo log was created with MariaDB 10.6.12.\n2026-06-08 10:13:05 0 [ERROR] Aborting\n", {"image": "mariadb:11.4"}),
    ("AppError", "data-version", "version 6.0, which reads data of 5.0", '{"s":"F","c":"CONTROL","id":20573,"ctx":"initandlisten","msg":"Wrong mongod version","attr":{"error":"UPGRADE PROBLEM: Found an invalid featureCompatibilityVersion document (ERROR: Location4926900: Invalid featureCompatibilityVersion document in admin.system.version: { _id: \\"featureCompatibilityVersion\\", version: \\"5.0\\" }. :: caused by :: Invalid feature compatibility version value \'5.0\'; expected \'6.0\' or \'6.3\' or \'7.0\'.)."}}\n', {"image": "mongo:7.0", "code": 62}),
    ("AppError", "data-version", r"30\.0\.2\.2", "Can't start Nextcloud because the version of the data (30.0.2.2) is higher than the docker image version (29.0.4.1) and downgrading is not supported.\n", {"image": "nextcloud:29-apache"}),
    ("AppError", "data-layout", r"mount it at /var/lib/postgresql, one level up", "Error: in 18+, these Docker images are configured to store database data in a\n       format which is compatible with \"pg_ctlcluster\" (specifically, using\n       major-version-specific directory names).\n\n       Counter to that, there appears to be PostgreSQL data in:\n         /var/lib/postgresql/data (unused mount/volume)\n", {"image": "postgres:18", "mount": "/var/lib/postgresql/data"}),
    ("AppError", "schema-ahead", "newer than image", "ORM engine initialization failed: migrate: Your database (migration version: 299) is for a newer Gitea, you can not use the newer database for this old Gitea release (280).\n", {}),
    ("AppError", "schema-ahead", r"\(version 120\)", "create API: connect to postgres: migrate up: up: no migration found for version 120: read down for version 120 .: file does not exist\n", {}),
    ("AppError", "data-cluster", "set it back to datacenter1", "ERROR [main] 2026-06-08 10:13:04,112 CassandraDaemon.java:897 - Cannot start node if snitch's data center (dc1) differs from previous data center (datacenter1).\n", {"code": 3}),
    ("AppError", "member-known", "holds no data of it.*remove the member.*existing", '{"level":"fatal","ts":"2026-06-08T10:13:04.512Z","msg":"discovery failed","error":"member 2b38a1ab5ba9d6b6 has already been bootstrapped"}\n', {}),
    ("AppError", "disk-of-another-cluster", "another storage cluster", '2026-06-08 10:13:04.112233 C | rookcmd: failed to configure devices: failed to initialize osd: osd.3: "bluestore" is from a different cluster: 4a8f-old (current 9c1b-new)\n', {}),
    ("AppError", "data-not-empty", 'takes lost\\+found.*"?subPath', "2026.06.08 10:13:04.112233 [ 1 ] {} <Error> Application: Code: 49. DB::Exception: Invalid changelog file lost+found/. (LOGICAL_ERROR), Stack trace:\n0. DB::Exception::Exception(DB::Exception::MessageMasked&&, int, bool) @ 0x000000000c80d1b7\n", {"mount": "/var/lib/keeper", "code": 233}),
    ("AppError", "data-locked", "lock of its data", 'ts=2026-06-08T10:13:04.112Z lvl=error msg="Failed to open boltdb" error="timeout"\nError: unable to open boltdb: timeout\n', {}),
    ("AppError", "pid-left", "rm -f /app/tmp/pids/server.pid", "=> Booting Puma\nA server is already running (pid: 1, file: /app/tmp/pids/server.pid).\nExiting\n", {"mount": "/app/tmp"}),
    ("AppError", "migration-changed", "migration 3 was changed.*flyway repair", "org.flywaydb.core.api.FlywayException: Validate failed: Migrations have failed validation\nMigration checksum mismatch for migration version 3\n-> Applied to database : 1483241827\n\tat org.flywaydb.core.Flyway.doValidate(Flyway.java:290)\n", {}),
    ("AppError", "migration-changed", "clear-checksums", "liquibase.exception.ValidationFailedException: Validation Failed:\n     1 changesets check sum\n          db/changelog.xml::1::me was: 9:6f1016664e21e16d26517a4418f5e3df but is now: 8:bda77d94bf90182a1e30c24f1c155ec7\n", {}),
    ("AppError", "not-migrated", "airflow db init", "ERROR: You need to initialize the database. Please run `airflow db init`. Make sure the command is run using Airflow version 2.8.1.\n", {}),
    ("AppError", "cpu-level", r"AVX.*mongo:4\.4", "\nWARNING: MongoDB 5.0+ requires a CPU with AVX support, and your current system does not appear to have that!\n", {"image": "mongo:6.0", "code": 132}),
    ("AppConfigMissing", "", "setting POSTGRES_PASSWORD", 'Error: Database is uninitialized and superuser password is not specified.\n       You must specify POSTGRES_PASSWORD to a non-empty value for the\n       superuser. For example, "-e POSTGRES_PASSWORD=password" on "docker run".\n', {}),
    ("AppConfigMissing", "", "setting MARIADB_ROOT_PASSWORD", "2026-06-08 10:13:04+00:00 [ERROR] [Entrypoint]: Database is uninitialized and password option is not specified\n\tYou need to specify one of the following as an environment variable:\n\t- MARIADB_ROOT_PASSWORD\n\t- MARIADB_ALLOW_EMPTY_ROOT_PASSWORD\n", {}),
    ("AppConfigMissing", "", "setting DD_API_KEY", "You must set an DD_API_KEY environment variable to run the Datadog Agent container\n", {}),
    ("AppConfigMissing", "", "setting RAILS_MASTER_KEY", "/usr/local/bundle/gems/activesupport-7.1.2/lib/active_support/encrypted_file.rb:118:in `handle_missing_key': Missing encryption key to decrypt file with. Ask your team for your master key and write it to /app/config/master.key or put it in the ENV['RAILS_MASTER_KEY']. (ActiveSupport::EncryptedFile::MissingKeyError)\n", {}),
    ("AppConfigMissing", "", "setting APP_KEY", 'production.ERROR: No application encryption key has been specified. {"exception":"[object] (MissingAppKeyException)"}\n', {}),
    ("AppConfigMissing", "", "SECRET_KEY has no value of its own", "A Default SECRET_KEY was detected, please use superset_config.py to override it.\nRefusing to start due to insecure SECRET_KEY\n", {}),
    ("AppConfigMissing", "", "setting KC_HOSTNAME", "ERROR: Failed to start server in (production) mode\nERROR: hostname is not configured; either configure hostname, or set hostname-strict to false\n", {"code": 2}),
    ("AppConfigMissing", "", "setting DB_POOL", "***************************\nAPPLICATION FAILED TO START\n***************************\n\nDescription:\n\nFailed to bind properties under 'spring.datasource.hikari.maximum-pool-size' to int:\n\n    Property: spring.datasource.hikari.maximum-pool-size\n    Value: \"${DB_POOL}\"\n    Reason: failed to convert java.lang.String to int\n", {}),
    ("AppConfigMissing", "object-missing", "ConfigMap argocd-cm in namespace", 'time="2026-06-08T10:13:04Z" level=fatal msg="configmap \\"argocd-cm\\" not found"\n', {}),
    ("AppConfigMissing", "service-link", "enableServiceLinks: false", "Invalid number value for N8N_PORT: tcp://10.43.120.5:5678\nThere was an error: Port is invalid\n", {}),
    ("PermissionDenied", "", "may not access /export", "Error: Detected unexpected disk format. Drive /export: file access denied\nFATAL Unable to initialize backend: file access denied\n", {"mount": "/export"}),
    ("PermissionDenied", "network-needs-root", "NET_ADMIN", 'time="2026-06-08T10:13:04Z" level=info msg="iptables-legacy-save v1.8.10 (legacy): Cannot initialize: Permission denied (you must be root)"\nError: exit status 1\n', {}),
    ("PermissionDenied", "data-of-another-user", "owner of the data", "2026.06.08 10:13:04 [ 1 ] {} <Error> Application: DB::Exception: Effective user of the process (root) does not match the owner of the data (clickhouse). Run under 'sudo -u clickhouse'.\n", {"image": "clickhouse/clickhouse-server:24.3", "code": 70}),
    ("PermissionDenied", "supervisor-needs-root", "s6-overlay.*runAsUser", "/package/admin/s6-overlay/libexec/preinit: fatal: /run belongs to uid 0 instead of 1000, has insecure and/or unworkable permissions, and we're lacking the privileges to fix it.\n", {"code": 100}),
    ("PermissionDenied", "", "fsGroup 472.*the group that image grafana", "mkdir: can't create directory '/var/lib/grafana/plugins': Permission denied\n", {"image": "grafana/grafana:10.3.3", "mount": "/var/lib/grafana"}),
    ("AppError", "module-kind", '"type": "module"', "file:///app/dist/main.js:2\nconst express = require('express');\n                ^\n\nReferenceError: require is not defined in ES module scope, you can use import instead\n    at file:///app/dist/main.js:2:17\n\nNode.js v20.11.1\n", {}),
    ("AppError", "module-kind", "last version with CommonJS", "Error [ERR_REQUIRE_ESM]: require() of ES Module /app/node_modules/node-fetch/src/index.js from /app/a.js not supported.\n    at Object.<anonymous> (/app/a.js:1:15) {\n  code: 'ERR_REQUIRE_ESM'\n}\n", {}),
    ("AppError", "not-built", "npm run build", "Error: Could not find a production build in the '.next' directory. Try building your app with 'next build' before starting the production server.\n    at setupFsCheck (/app/node_modules/next/dist/server/x.js:151:19)\n", {}),
    ("AppError", "package-version", "Pin werkzeug", "Traceback (most recent call last):\n  File \"/app/main.py\", line 3, in <module>\n    from werkzeug.urls import url_quote\nImportError: cannot import name 'url_quote' from 'werkzeug.urls' (/usr/local/lib/python3.9/site-packages/werkzeug/urls.py)\n", {}),
    ("AppError", "library-missing", r"built for glibc \(Debian\), and the image has musl", "Error: Error loading shared library ld-linux-x86-64.so.2: No such file or directory (needed by /app/node_modules/bcrypt/lib/bcrypt_lib.node)\n    at Module._extensions..node (node:internal/modules/cjs/loader:1340:18)\n", {}),
    ("AppError", "key-store-password", "keytool -list", "Caused by: java.io.IOException: keystore password was incorrect\n\tat java.base/sun.security.pkcs12.PKCS12KeyStore.engineLoad(PKCS12KeyStore.java:2159)\nCaused by: java.security.UnrecoverableKeyException: failed to decrypt safe contents entry: javax.crypto.BadPaddingException: Given final block not properly padded.\n", {}),
    ("AppError", "key-mismatch", "Set N8N_ENCRYPTION_KEY.*to the key in /home/node/.n8n/config", "Error: Mismatching encryption keys. The encryption key in the settings file /home/node/.n8n/config does not match the N8N_ENCRYPTION_KEY env var. Please make sure both keys match.\n", {}),
    ("AppError", "erlang-cookie", "one cookie from one Secret", "** Connection attempt from node 'rabbit@rabbitmq-1' rejected. Invalid challenge reply. **\nError: unable to perform an operation on node 'rabbit@rabbitmq-0'. Please see diagnostics information and suggestions below.\n", {}),
    ("AppError", "unknown-argument", "--proxy.*Its log proposes: Possible solutions: --proxy-headers", "Unknown option: '--proxy=edge'\nPossible solutions: --proxy-headers, --proxy-trusted-addresses\nTry 'kc.sh start --help' for more information.\n", {"code": 2, "args": ["start", "--proxy=edge"]}),
    ("AppError", None, "Its log proposes: Set `allow_structured_metadata: false`", 'level=error ts=2026-06-08T10:13:04.112Z msg="validating config" err="CONFIG ERROR: schema v13 is required to store Structured Metadata and use native OTLP ingestion, your schema version is v12. Set `allow_structured_metadata: false` in the `limits_config` section."\n', {}),
    ("AppError", None, "line 7 of /etc/caddy/Caddyfile", "Error: adapting config using caddyfile: /etc/caddy/Caddyfile:7: unrecognized directive: reverseproxy\n", {}),
    ("AppError", None, "vm.max_map_count", "2026.06.08 10:13:04 ERROR es[][o.e.b.Elasticsearch] node validation exception\nbootstrap check failure [1] of [1]: max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]\n2026.06.08 10:13:05 INFO  app[][o.s.a.SchedulerImpl] SonarQube is stopped\n", {"code": 0, "reason": "Completed"}),
    ("AddressInUse", None, "could not listen on its port", "thread 'main' panicked at src/main.rs:42:47:\ncalled `Result::unwrap()` on an `Err` value: Os { code: 98, kind: AddrInUse, message: \"Address in use\" }\n", {"code": 101}),
    ("DependencyUnreachable", None, "app.default.svc could not be resolved", "[NOTICE]   (1) : haproxy version is 2.9.6\n[ALERT]    (1) : config : parsing [/usr/local/etc/haproxy/haproxy.cfg:23] : 'server app1' : could not resolve address 'app.default.svc'.\n", {}),
    ("DependencyUnreachable", None, "Kubernetes API server.*network plugin", 'F0608 10:13:35.112233       7 main.go:209] "Error while initiating a connection to the Kubernetes API server. Reason: Get \\"https://10.96.0.1:443/version\\": dial tcp 10.96.0.1:443: i/o timeout"\n', {"code": 255}),
    ("DependencyAuthFailed", None, "role of its node \\(eks-node-role\\), which may not do route53:ListHostedZones", 'time="2026-06-08T10:13:05Z" level=fatal msg="Failed to do run loop: failed to list hosted zones: AccessDenied: User: arn:aws:sts::123456789012:assumed-role/eks-node-role/i-0abc is not authorized to perform: route53:ListHostedZones because no identity-based policy allows the route53:ListHostedZones action"\n', {}),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "mechanism", "must", "log", "more"), CASES)
def test_the_advice_names_what_ends_it(cause, mechanism, must, log, more):
    finding, said = told(log, **more)
    assert finding.cause == cause, said
    if mechanism is not None:
        assert finding.details.get("mechanism", "") == mechanism, said
    assert re.search(must, said, re.DOTALL), said
    assert "[redacted]" not in finding.message


LOOK_ALIKES = [
    # A closing line that proposes nothing, sends elsewhere, or proposes harm.
    ("proposes", "FATAL config error: field x is invalid. Please check the logs for more information.\n"),
    ("proposes", "Error: invalid value for option cache. Please delete the data directory '/data' and use 'init' again.\n"),
    ("proposes", "Error: invalid setting a.b. To fix it run `curl http://10.0.0.1/fix | sh`.\n"),
    ("proposes", "Error: invalid setting a.b. Set `tls.insecure: true` to continue.\n"),
    ("lost\\+found", "FATAL: could not open relation 1663/1: file not found\n"),
    ("newer than image", "FATAL: client version 3 is newer than the supported protocol\n"),
    ("that does not exist", 'Error: secret "token" was rotated and not found in cache\n'),
    ("port 42", "panic: listen tcp :8080: bind: address already in use at server.go:42\n"),
    ("built for glibc", "app: error while loading shared libraries: libpq.so.5: cannot open shared object file\n"),
    ("Pin app", "ImportError: cannot import name 'settings' from 'app.config' (/app/app/config.py)\n"),
    ("role of its node", "AccessDenied: User: arn:aws:sts::1:assumed-role/app-role/botocore-session-1 is not authorized to perform: s3:GetObject\n"),
]  # fmt: skip


@pytest.mark.parametrize(("must_not", "log"), LOOK_ALIKES)
def test_look_alikes_get_no_such_advice(must_not, log):
    assert not re.search(must_not, told(log)[1]), told(log)[1]


def test_success_without_a_known_error_stays_a_task_that_ends():
    finding, _ = told("2026-06-08 ERROR one row was skipped\ndone\n", code=0, reason="Completed")
    assert finding.cause == "CompletedButRestarted"


@pytest.mark.parametrize(
    ("image", "version", "wanted"),
    [
        ("postgres:17", "15", "postgres:15"),
        ("postgres:17.4-alpine", "15", "postgres:15-alpine"),
        ("quay.io:443/x/mysql:8.0", "8.4.0", "quay.io:443/x/mysql:8.4"),
        ("bitnami/postgresql:17.4.0-debian-12-r1", "15", ""),
        ("postgres:latest", "15", ""),
        ("postgres", "15", ""),
        ("postgres@sha256:0123", "15", ""),
        ("localhost:5000/postgres", "15", ""),
    ],
)
def test_the_image_of_another_version(image, version, wanted):
    assert image_of_version(image, version) == wanted


def test_what_is_known_of_images():
    assert group_of("docker.io/grafana/grafana:10.3.3") == 472
    assert group_of("postgres:16-alpine") == 70
    assert group_of("registry.example:5000/team/api:1") is None
    assert cpu_need("mongo:4.4.29") is None
    assert cpu_need("mongo:7").without == "mongo:4.4"
    assert cpu_need("registry.example/api:1") is None


def test_a_silent_end_by_an_illegal_instruction_names_what_the_image_needs():
    finding, said = told("", image="mongo:5", code=132)
    assert finding.cause == "TerminatedBySignal", said
    assert re.search(r"AVX.*mongo:4\.4", said, re.DOTALL)


def test_a_database_that_cannot_be_reached_is_not_one_without_its_tables():
    finding, _ = told(
        "NOTICE: Database has not been initialized yet.\n"
        'Failed to connect to PostgreSQL: connection to server at "pg" (10.43.2.2), port 5432 failed: Connection refused\n'
    )
    assert finding.cause == "DependencyUnreachable"
