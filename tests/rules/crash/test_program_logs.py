"""Whole logs of programs as they end: the cause, and the words that tell it among all the others."""
# ruff: noqa: E501

import pytest

from kubetriage.model import Severity
from support.objects import back_off, container, crash_findings, pod, running, status, terminated

LOGS = [
    pytest.param(
        "AppError",
        "class file version 65.0",
        1,
        """\
Error: LinkageError occurred while loading main class com.acme.Main
\tjava.lang.UnsupportedClassVersionError: com/acme/Main has been compiled by a more recent version of the Java Runtime (class file version 65.0), this version of the Java Runtime only recognizes class file versions up to 61.0
""",
        id="java-class-version",
    ),
    pytest.param(
        "DependencyAuthFailed",
        "kafka.data.svc:9093",
        1,
        """\
[2026-11-23 22:15:01,000] ERROR [Consumer clientId=app, groupId=g] Connection to node -1 (kafka.data.svc/10.96.3.3:9093) failed authentication due to: Authentication failed: Invalid username or password (org.apache.kafka.clients.NetworkClient)
Exception in thread "main" org.apache.kafka.common.errors.SaslAuthenticationException: Authentication failed: Invalid username or password
""",
        id="kafka-streams-auth",
    ),
    pytest.param(
        "AppError",
        "max virtual memory areas vm.max_map_count",
        78,
        """\
{"@timestamp":"2026-11-23T22:15:01.000Z", "log.level": "INFO", "message":"starting ...", "ecs.version": "1.2.0","service.name":"ES_ECS","event.dataset":"elasticsearch.server","process.thread.name":"main","log.logger":"org.elasticsearch.node.Node"}
{"@timestamp":"2026-11-23T22:15:02.000Z", "log.level":"ERROR", "message":"node validation exception\\n[1] bootstrap checks failed. You must address the points described in the following [1] lines before starting Elasticsearch. For more information see [https://www.elastic.co/guide]\\nbootstrap check failure [1] of [1]: max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]; for more information see [https://www.elastic.co/guide]", "ecs.version": "1.2.0","service.name":"ES_ECS","process.thread.name":"main","log.logger":"org.elasticsearch.bootstrap.Elasticsearch"}
{"@timestamp":"2026-11-23T22:15:02.100Z", "log.level": "INFO", "message":"stopping ...", "log.logger":"org.elasticsearch.node.Node"}
{"@timestamp":"2026-11-23T22:15:02.200Z", "log.level": "INFO", "message":"stopped", "log.logger":"org.elasticsearch.node.Node"}
{"@timestamp":"2026-11-23T22:15:02.200Z", "log.level": "INFO", "message":"closing ...", "log.logger":"org.elasticsearch.node.Node"}
{"@timestamp":"2026-11-23T22:15:02.300Z", "log.level": "INFO", "message":"closed", "log.logger":"org.elasticsearch.node.Node"}

ERROR: Elasticsearch did not exit normally - check the logs at /usr/share/elasticsearch/logs/docker-cluster.log

ERROR: Elasticsearch died while starting up, with exit code 78
""",
        id="es-vm-max",
    ),
    pytest.param(
        "AppConfigMissing",
        "app.jwt.secret",
        1,
        """\

  .   ____          _            __ _ _
 /\\\\ / ___'_ __ _ _(_)_ __  __ _ \\ \\ \\ \\
( ( )\\___ | '_ | '_| | '_ \\/ _` | \\ \\ \\ \\
 \\\\/  ___)| |_)| | | | | || (_| |  ) ) ) )
  '  |____| .__|_| |_|_| |_\\__, | / / / /
 =========|_|==============|___/=/_/_/_/

 :: Spring Boot ::                (v3.3.4)

2026-11-23T22:14:58.112Z  INFO 1 --- [orders] [           main] c.acme.orders.OrdersApplication          : Starting OrdersApplication v1.4.2 using Java 21.0.4 with PID 1 (/app/app.jar started by root in /app)
2026-11-23T22:14:58.120Z  INFO 1 --- [orders] [           main] c.acme.orders.OrdersApplication          : No active profile set, falling back to 1 default profile: "default"
2026-11-23T22:15:01.300Z  INFO 1 --- [orders] [           main] com.zaxxer.hikari.HikariDataSource       : HikariPool-1 - Starting...

***************************
APPLICATION FAILED TO START
***************************

Description:

Binding to target org.springframework.boot.context.properties.bind.BindException: Failed to bind properties under 'app.jwt' to com.acme.JwtProperties failed:

    Property: app.jwt.secret
    Value: "null"
    Reason: must not be null


Action:

Update your application's configuration
""",
        id="spring-config-props",
    ),
    pytest.param(
        "AppError",
        "No module named 'flask_cors'",
        3,
        """\
[2026-11-23 22:15:01 +0000] [1] [INFO] Starting gunicorn 22.0.0
[2026-11-23 22:15:01 +0000] [1] [INFO] Listening at: http://0.0.0.0:8000 (1)
[2026-11-23 22:15:01 +0000] [1] [INFO] Using worker: sync
[2026-11-23 22:15:01 +0000] [7] [INFO] Booting worker with pid: 7
[2026-11-23 22:15:02 +0000] [7] [ERROR] Exception in worker process
Traceback (most recent call last):
  File "/usr/local/lib/python3.12/site-packages/gunicorn/arbiter.py", line 609, in spawn_worker
    worker.init_process()
  File "/app/wsgi.py", line 2, in <module>
    from flask_cors import CORS
ModuleNotFoundError: No module named 'flask_cors'
[2026-11-23 22:15:02 +0000] [7] [INFO] Worker exiting (pid: 7)
[2026-11-23 22:15:02 +0000] [1] [ERROR] Worker (pid:7) exited with code 3
[2026-11-23 22:15:02 +0000] [1] [ERROR] Shutting down: Master
[2026-11-23 22:15:02 +0000] [1] [ERROR] Reason: Worker failed to boot.
""",
        id="gunicorn-worker-boot",
    ),
    pytest.param(
        "AppConfigMissing",
        "DATABASE_URL",
        3,
        """\
[2026-11-23 22:15:01 +0000] [1] [INFO] Starting gunicorn 22.0.0
[2026-11-23 22:15:02 +0000] [7] [ERROR] Exception in worker process
Traceback (most recent call last):
  File "/app/settings.py", line 12, in <module>
    DATABASE_URL = config("DATABASE_URL")
  File "/usr/local/lib/python3.12/site-packages/decouple.py", line 92, in get
    raise UndefinedValueError('{} not found. Declare it as envvar or define a default value.'.format(option))
decouple.UndefinedValueError: DATABASE_URL not found. Declare it as envvar or define a default value.
[2026-11-23 22:15:02 +0000] [7] [INFO] Worker exiting (pid: 7)
[2026-11-23 22:15:02 +0000] [1] [ERROR] Worker (pid:7) exited with code 3.
[2026-11-23 22:15:02 +0000] [1] [ERROR] Shutting down: Master
[2026-11-23 22:15:02 +0000] [1] [ERROR] Reason: Worker failed to boot.
""",
        id="gunicorn-config",
    ),
    pytest.param(
        "AppError",
        'Missing script: "start:prod"',
        1,
        """\
npm error Missing script: "start:prod"
npm error
npm error To see a list of scripts, run:
npm error   npm run
npm error A complete log of this run can be found in: /root/.npm/_logs/2026-11-23T22_15_01_000Z-debug-0.log
""",
        id="npm-missing-script",
    ),
    pytest.param(
        "AppError",
        "open '/app/package.json'",
        254,
        """\
npm ERR! code ENOENT
npm ERR! syscall open
npm ERR! path /app/package.json
npm ERR! errno -2
npm ERR! enoent ENOENT: no such file or directory, open '/app/package.json'
npm ERR! enoent This is related to npm not being able to find a file.
npm ERR! enoent\x20

npm ERR! A complete log of this run can be found in:
npm ERR!     /root/.npm/_logs/2026-11-23T22_15_01_000Z-debug-0.log
""",
        id="npm-enoent-package",
    ),
    pytest.param(
        "PermissionDenied",
        "/app/.npm",
        243,
        """\
npm ERR! code EACCES
npm ERR! syscall mkdir
npm ERR! path /app/.npm
npm ERR! errno -13
npm ERR!\x20
npm ERR! Your cache folder contains root-owned files, due to a bug in
npm ERR! previous versions of npm which has since been addressed.
npm ERR! Error: EACCES: permission denied, mkdir '/app/.npm'
npm ERR! A complete log of this run can be found in:
npm ERR!     /root/.npm/_logs/x.log
""",
        id="npm-eacces",
    ),
    pytest.param(
        "AppError",
        "Cannot find module 'dotenv'",
        1,
        """\

> api@1.0.0 start
> node dist/main.js

node:internal/modules/cjs/loader:1228
  throw err;
  ^

Error: Cannot find module 'dotenv'
Require stack:
- /app/dist/main.js
    at Module._resolveFilename (node:internal/modules/cjs/loader:1225:15)
    at Module._load (node:internal/modules/cjs/loader:1051:27) {
  code: 'MODULE_NOT_FOUND',
  requireStack: [ '/app/dist/main.js' ]
}

Node.js v20.18.0
npm error Lifecycle script `start` failed with error:
npm error code 1
npm error path /app
npm error workspace api@1.0.0
npm error location /app
npm error command failed
npm error command sh -c node dist/main.js
npm notice
npm notice New major version of npm available! 10.8.2 -> 11.0.0
npm notice Changelog: https://github.com/npm/cli/releases/tag/v11.0.0
npm notice To update run: npm install -g npm@11.0.0
npm notice
""",
        id="node-npm-modnotfound",
    ),
    pytest.param(
        "AppError",
        "error TS2322",
        1,
        """\
/app/node_modules/ts-node/src/index.ts:859
    return new TSError(diagnosticText, diagnosticCodes, diagnostics);
           ^
TSError: ⨯ Unable to compile TypeScript:
src/main.ts:5:7 - error TS2322: Type 'string' is not assignable to type 'number'.

5 const n: number = "x";
        ~

    at createTSError (/app/node_modules/ts-node/src/index.ts:859:12)
    at Module.m._compile (/app/node_modules/ts-node/src/index.ts:1617:23) {
  diagnosticCodes: [ 2322 ]
}
""",
        id="ts-node",
    ),
    pytest.param(
        "AppError",
        "flag provided but not defined: -confg",
        2,
        """\
flag provided but not defined: -confg
Usage of /app/api:
  -config string
    \tpath (default "/etc/api/config.yaml")
  -v\tverbose, prints errors and failed requests
""",
        id="go-flag",
    ),
    pytest.param(
        "AppError",
        "unknown flag: --metrics-adress",
        1,
        """\
Error: unknown flag: --metrics-adress
Usage:
  controller [flags]

Flags:
  -h, --help                     help for controller
      --metrics-address string   address (default ":8080")
      --kubeconfig string        path to kubeconfig

""",
        id="go-cobra",
    ),
    pytest.param(
        "AppError",
        "--database-url <DATABASE_URL>",
        2,
        """\
error: the following required arguments were not provided:
  --database-url <DATABASE_URL>

Usage: api --database-url <DATABASE_URL>

For more information, try '--help'.
""",
        id="rust-clap",
    ),
    pytest.param(
        "AppError",
        "license expired",
        1,
        """\
2026/11/23 22:10:01 http: panic serving 10.244.0.9:41010: runtime error: index out of range [1] with length 0
goroutine 51 [running]:
net/http.(*conn).serve.func1()
\t/usr/local/go/src/net/http/server.go:1898 +0xbe
panic({0x6f1e20?, 0xc00001a0d8?})
\t/usr/local/go/src/runtime/panic.go:770 +0x132
created by net/http.(*Server).Serve in goroutine 1
\t/usr/local/go/src/net/http/server.go:3285 +0x4b4
2026/11/23 22:10:05 GET /orders 200
2026/11/23 22:10:06 GET /orders 200
2026/11/23 22:15:02 license expired, exiting
""",
        id="go-recovered-http-panic",
    ),
    pytest.param(
        "AppError",
        "could not find expected ':'",
        1,
        """\
2026/11/23 22:15:01 load /etc/api/config.yaml: yaml: line 12: could not find expected ':'
""",
        id="go-config-yaml",
    ),
    pytest.param(
        "AppError",
        "field scrape_intervall not found",
        1,
        """\
time=2026-11-23T22:15:01.000Z level=INFO source=main.go:601 msg="No time or size retention was set so using the default time retention" duration=15d
time=2026-11-23T22:15:01.010Z level=ERROR source=main.go:605 msg="Error loading config (--config.file=/etc/prometheus/prometheus.yml)" file=/etc/prometheus/prometheus.yml err="parsing YAML file /etc/prometheus/prometheus.yml: yaml: unmarshal errors:\\n  line 4: field scrape_intervall not found in type config.plain"
""",
        id="prometheus-config",
    ),
    pytest.param(
        "PermissionDenied",
        "/prometheus/queries.active",
        2,
        """\
ts=2026-11-23T22:15:01.100Z caller=query_logger.go:93 level=error component=activeQueryTracker msg="Error opening query log file" file=/prometheus/queries.active err="open /prometheus/queries.active: permission denied"
panic: Unable to create mmap-ed active query log

goroutine 1 [running]:
github.com/prometheus/prometheus/promql.NewActiveQueryTracker({0x7ffe, 0xb}, 0x14)
\t/app/promql/query_logger.go:123 +0x411
main.main()
\t/app/cmd/prometheus/main.go:645 +0x7812
""",
        id="prometheus-perm",
    ),
    pytest.param(
        "AppError",
        "You must install or update .NET",
        150,
        """\
You must install or update .NET to run this application.

App: /app/Shop.dll
Architecture: x64
Framework: 'Microsoft.AspNetCore.App', version '8.0.0' (x64)
.NET location: /usr/share/dotnet

The following frameworks were found:
  7.0.20 at [/usr/share/dotnet/shared/Microsoft.AspNetCore.App]

Learn more:
https://aka.ms/dotnet/app-launch-failed
""",
        id="dotnet-missing-runtime",
    ),
    pytest.param(
        "AppError",
        "The application 'Shop.dll' does not exist",
        145,
        """\
The command could not be loaded, possibly because:
  * You intended to execute a .NET application:
      The application 'Shop.dll' does not exist.
  * You intended to execute a .NET SDK command:
      No .NET SDKs were found.

Download a .NET SDK:
https://aka.ms/dotnet/download
""",
        id="dotnet-dll-missing",
    ),
    pytest.param(
        "PermissionDenied",
        "could not listen on its port",
        134,
        """\
crit: Microsoft.AspNetCore.Server.Kestrel[0]
      Unable to start Kestrel.
      System.Net.Sockets.SocketException (13): Permission denied
         at System.Net.Sockets.Socket.DoBind(EndPoint endPointSnapshot, SocketAddress socketAddress)
Unhandled exception. System.Net.Sockets.SocketException (13): Permission denied
   at System.Net.Sockets.Socket.DoBind(EndPoint endPointSnapshot, SocketAddress socketAddress)
   at Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets.SocketTransportOptions.CreateDefaultBoundListenSocket(EndPoint endpoint)
""",
        id="dotnet-port80",
    ),
    pytest.param(
        "AppError",
        "Migrations are pending",
        1,
        """\
rails aborted!
ActiveRecord::PendingMigrationError: (ActiveRecord::PendingMigrationError)

Migrations are pending. To resolve this issue, run:

        bin/rails db:migrate
/usr/local/bundle/gems/activerecord-7.1.3/lib/active_record/migration.rb:777:in `check_pending_migrations'
Tasks: TOP => db:seed
(See full trace by running task with --trace)
""",
        id="rails-migrate-pending",
    ),
    pytest.param(
        "AppError",
        "A server is already running",
        1,
        """\
=> Booting Puma
=> Rails 7.1.3 application starting in production\x20
A server is already running (pid: 1, file: /app/tmp/pids/server.pid).
Exiting
""",
        id="rails-pid",
    ),
    pytest.param(
        "DependencyAuthFailed",
        "for user laravel",
        1,
        """\
[23-Nov-2026 22:15:01] NOTICE: fpm is running, pid 1
   Illuminate\\Database\\QueryException\x20

  SQLSTATE[HY000] [1045] Access denied for user 'laravel'@'10.244.0.5' (using password: YES) (Connection: mysql, SQL: select * from information_schema.tables where table_schema = shop and table_name = migrations and table_type = 'BASE TABLE')

  at vendor/laravel/framework/src/Illuminate/Database/Connection.php:829
    825▕         // If an exception occurs when attempting to run a query, we'll format the error
    826▕         // message to include the bindings with SQL, which will make this exception a
  ➜ 829▕             throw new QueryException(
    830▕                 $this->getName(), $query, $this->prepareBindings($bindings), $e

      +37 vendor frames\x20

  38  artisan:35
      Illuminate\\Foundation\\Console\\Kernel::handle(Object(Symfony\\Component\\Console\\Input\\ArgvInput), Object(Symfony\\Component\\Console\\Output\\ConsoleOutput))
""",
        id="php-laravel",
    ),
    pytest.param(
        "DependencyUnreachable",
        "mysql could not be resolved",
        1,
        """\

   Illuminate\\Database\\QueryException\x20

  SQLSTATE[HY000] [2002] php_network_getaddresses: getaddrinfo for mysql failed: Name or service not known (Connection: mysql, SQL: select * from migrations)

  at vendor/laravel/framework/src/Illuminate/Database/Connection.php:829
    825▕         // If an exception occurs

      +37 vendor frames\x20
""",
        id="php-laravel-refused",
    ),
    pytest.param(
        "AppError",
        "please specify user and group other than root",
        78,
        """\
[23-Nov-2026 22:15:01] ERROR: [pool www] please specify user and group other than root
[23-Nov-2026 22:15:01] ERROR: FPM initialization failed
""",
        id="php-fpm-conf",
    ),
    pytest.param(
        "AddressInUse",
        "port 9000",
        78,
        """\
[23-Nov-2026 22:15:01] ERROR: unable to bind listening socket for address '127.0.0.1:9000': Address already in use (98)
[23-Nov-2026 22:15:01] ERROR: FPM initialization failed
""",
        id="php-fpm-bind",
    ),
    pytest.param(
        "CertificateInvalid",
        "certificate has expired",
        60,
        """\
curl: (60) SSL certificate problem: certificate has expired
More details here: https://curl.se/docs/sslcerts.html

curl failed to verify the legitimacy of the server and therefore could not
establish a secure connection to it. To learn more about this situation and
how to fix it, please visit the web page mentioned above.
""",
        id="sh-curl-60",
    ),
    pytest.param(
        "AppConfigMissing",
        "S3_BUCKET",
        2,
        """\
/scripts/backup.sh: 7: S3_BUCKET: set the bucket
""",
        id="sh-paramq",
    ),
    pytest.param(
        "DependencyAuthFailed",
        "could not read Username",
        128,
        """\
Cloning into '/repo'...
fatal: could not read Username for 'https://github.com': No such device or address
""",
        id="sh-git",
    ),
    pytest.param(
        "DependencyAuthFailed",
        "Permission denied (publickey)",
        128,
        """\
Cloning into '/repo'...
git@github.com: Permission denied (publickey).
fatal: Could not read from remote repository.

Please make sure you have the correct access rights
and the repository exists.
""",
        id="sh-git-ssh",
    ),
    pytest.param(
        "DependencyAuthFailed",
        "AccessDenied",
        1,
        """\
fatal error: An error occurred (AccessDenied) when calling the ListObjectsV2 operation: Access Denied
""",
        id="sh-aws",
    ),
    pytest.param(
        "AppConfigMissing",
        "/etc/nginx/tls/tls.crt",
        1,
        """\
nginx: [emerg] cannot load certificate "/etc/nginx/tls/tls.crt": BIO_new_file() failed (SSL: error:80000002:system library::No such file or directory:calling fopen(/etc/nginx/tls/tls.crt, r) error:10000080:BIO routines::no such file)
""",
        id="nginx-certmissing",
    ),
    pytest.param(
        "AppError",
        "Unknown redo log format",
        1,
        """\
2026-11-23T22:15:01.000000Z 0 [System] [MY-010116] [Server] /usr/sbin/mysqld (mysqld 8.4.2) starting as process 1
2026-11-23T22:15:01.100000Z 1 [System] [MY-013576] [InnoDB] InnoDB initialization has started.
2026-11-23T22:15:01.200000Z 1 [ERROR] [MY-012530] [InnoDB] Unknown redo log format (v0). Please follow the instructions at https://dev.mysql.com/doc/refman/8.4/en/upgrading-downgrading.html
2026-11-23T22:15:01.300000Z 1 [ERROR] [MY-012930] [InnoDB] Plugin initialization aborted with error Generic error.
2026-11-23T22:15:01.400000Z 1 [ERROR] [MY-010334] [Server] Failed to initialize DD Storage Engine
2026-11-23T22:15:01.500000Z 0 [ERROR] [MY-010020] [Server] Data Dictionary initialization failed.
2026-11-23T22:15:01.600000Z 0 [ERROR] [MY-010119] [Server] Aborting
2026-11-23T22:15:01.700000Z 0 [System] [MY-010910] [Server] /usr/sbin/mysqld: Shutdown complete (mysqld 8.4.2)  MySQL Community Server - GPL.
""",
        id="mysql-datadir",
    ),
    pytest.param(
        "AppError",
        "maxmemory-polcy",
        1,
        """\
1:C 23 Nov 2026 22:15:01.000 # WARNING Memory overcommit must be enabled!
*** FATAL CONFIG FILE ERROR (Redis 7.2.5) ***
Reading the configuration file, at line 3
>>> 'maxmemory-polcy allkeys-lru'
Bad directive or wrong number of arguments
""",
        id="redis-conf",
    ),
    pytest.param(
        "AddressInUse",
        "port 6379",
        1,
        """\
1:C 23 Nov 2026 22:15:01.000 * oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo
1:M 23 Nov 2026 22:15:01.010 # Warning: Could not create server TCP listening socket *:6379: bind: Address already in use
1:M 23 Nov 2026 22:15:01.010 # Failed listening on port 6379 (tcp), aborting.
""",
        id="redis-port",
    ),
    pytest.param(
        "AppError",
        "mongod.lock",
        100,
        """\
{"t":{"$date":"2026-11-23T22:15:01.000+00:00"},"s":"I",  "c":"CONTROL",  "id":23285,   "ctx":"main","msg":"Automatically disabling TLS 1.0"}
{"t":{"$date":"2026-11-23T22:15:01.500+00:00"},"s":"E",  "c":"CONTROL",  "id":20557,   "ctx":"initandlisten","msg":"DBException in initAndListen, terminating","attr":{"error":"DBPathInUse: Unable to lock the lock file: /data/db/mongod.lock (Resource temporarily unavailable). Another mongod instance is already running on the /data/db directory"}}
{"t":{"$date":"2026-11-23T22:15:01.510+00:00"},"s":"I",  "c":"REPL",     "id":4784900, "ctx":"initandlisten","msg":"Stepping down the ReplicationCoordinator for shutdown","attr":{"waitTimeMillis":15000}}
{"t":{"$date":"2026-11-23T22:15:01.520+00:00"},"s":"I",  "c":"CONTROL",  "id":20565,   "ctx":"initandlisten","msg":"Now exiting"}
{"t":{"$date":"2026-11-23T22:15:01.530+00:00"},"s":"I",  "c":"CONTROL",  "id":23138,   "ctx":"initandlisten","msg":"Shutting down","attr":{"exitCode":100}}
""",
        id="mongo-lock",
    ),
    pytest.param(
        "PermissionDenied",
        "/data/db/journal",
        100,
        """\
{"t":{"$date":"2026-11-23T22:15:01.500+00:00"},"s":"E",  "c":"CONTROL",  "id":20557,   "ctx":"initandlisten","msg":"DBException in initAndListen, terminating","attr":{"error":"boost::filesystem::status: Permission denied [system:13]: \\"/data/db/journal\\""}}
{"t":{"$date":"2026-11-23T22:15:01.530+00:00"},"s":"I",  "c":"CONTROL",  "id":23138,   "ctx":"initandlisten","msg":"Shutting down","attr":{"exitCode":100}}
""",
        id="mongo-perm",
    ),
    pytest.param(
        "AppError",
        "unknown keyword 'blance'",
        1,
        """\
[NOTICE]   (1) : haproxy version is 2.9.7
[ALERT]    (1) : config : parsing [/usr/local/etc/haproxy/haproxy.cfg:12] : unknown keyword 'blance' in 'backend' section
[ALERT]    (1) : config : Error(s) found in configuration file : /usr/local/etc/haproxy/haproxy.cfg
[ALERT]    (1) : config : Fatal errors found in configuration.
""",
        id="haproxy",
    ),
    pytest.param(
        "AddressInUse",
        "port 80",
        1,
        """\
AH00558: httpd: Could not reliably determine the server's fully qualified domain name, using 10.244.0.5. Set the 'ServerName' directive globally to suppress this message
(98)Address already in use: AH00072: make_sock: could not bind to address [::]:80
(98)Address already in use: AH00072: make_sock: could not bind to address 0.0.0.0:80
no listening sockets available, shutting down
AH00015: Unable to open logs
""",
        id="httpd",
    ),
    pytest.param(
        "DependencyUnreachable",
        "keycloak-db:5432",
        1,
        """\
2026-11-23 22:15:01,000 INFO  [org.keycloak.quarkus.runtime.hostname.DefaultHostnameProvider] (main) Hostname settings: FrontEnd: <request>
2026-11-23 22:15:03,000 ERROR [org.keycloak.quarkus.runtime.cli.ExecutionExceptionHandler] (main) ERROR: Failed to start server in (production) mode
2026-11-23 22:15:03,001 ERROR [org.keycloak.quarkus.runtime.cli.ExecutionExceptionHandler] (main) ERROR: Failed to obtain JDBC connection
2026-11-23 22:15:03,002 ERROR [org.keycloak.quarkus.runtime.cli.ExecutionExceptionHandler] (main) ERROR: Connection to keycloak-db:5432 refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections.
2026-11-23 22:15:03,003 ERROR [org.keycloak.quarkus.runtime.cli.ExecutionExceptionHandler] (main) ERROR: Connection refused
2026-11-23 22:15:03,004 ERROR [org.keycloak.quarkus.runtime.cli.ExecutionExceptionHandler] (main) For more details run the same command passing the '--verbose' option. Also you can use '--help' to see the details about the usage of the particular command.
""",
        id="keycloak",
    ),
    pytest.param(
        "AppError",
        "schema_integrity_check_failed",
        1,
        """\
2026-11-23 22:15:01.000000+00:00 [error] <0.229.0>\x20
2026-11-23 22:15:01.000000+00:00 [error] <0.229.0> BOOT FAILED
2026-11-23 22:15:01.000000+00:00 [error] <0.229.0> ===========
2026-11-23 22:15:01.000000+00:00 [error] <0.229.0> Error during startup: {error,
2026-11-23 22:15:01.000000+00:00 [error] <0.229.0>                           {schema_integrity_check_failed,
2026-11-23 22:15:01.000000+00:00 [error] <0.229.0>                            [{table_missing,mnesia_durable_queue}]}}
2026-11-23 22:15:01.000000+00:00 [error] <0.229.0>\x20

BOOT FAILED
===========
Error during startup: {error,{schema_integrity_check_failed,
                                 [{table_missing,mnesia_durable_queue}]}}

2026-11-23 22:15:02.000000+00:00 [error] <0.229.0>   crasher:
Kernel pid terminated (application_controller) ("{application_start_failure,prelaunch,...}")
""",
        id="erlang-rabbit",
    ),
    pytest.param(
        "DependencyUnreachable",
        "kafka:9092",
        1,
        """\
ERROR:kafka.conn:DNS lookup failed for kafka:9092 (AddressFamily.AF_UNSPEC)
Traceback (most recent call last):
  File "/app/main.py", line 5, in <module>
    c = KafkaConsumer("orders", bootstrap_servers="kafka:9092")
  File "/usr/local/lib/python3.12/site-packages/kafka/client_async.py", line 927, in check_version
    raise Errors.NoBrokersAvailable()
kafka.errors.NoBrokersAvailable: NoBrokersAvailable
""",
        id="python-logging-error-exc",
    ),
    pytest.param(
        "DependencyUnreachable",
        "kafka:9092",
        1,
        """\
%3|1795472101.123|FAIL|rdkafka#consumer-1| [thrd:kafka:9092/bootstrap]: kafka:9092/bootstrap: Failed to resolve 'kafka:9092': Name or service not known (after 3ms in state CONNECT)
%3|1795472101.123|ERROR|rdkafka#consumer-1| [thrd:app]: rdkafka#consumer-1: kafka:9092/bootstrap: Failed to resolve 'kafka:9092': Name or service not known (after 3ms in state CONNECT)
Traceback (most recent call last):
  File "/app/c.py", line 9, in <module>
    raise KafkaException(msg.error())
cimpl.KafkaException: KafkaError{code=_ALL_BROKERS_DOWN,val=-187,str="1/1 brokers are down"}
""",
        id="confluent-kafka",
    ),
    pytest.param(
        "DependencyUnreachable",
        "mongodb.data.svc.cluster.local",
        1,
        """\
pymongo.errors.ConfigurationError: The DNS query name does not exist: _mongodb._tcp.mongodb.data.svc.cluster.local.
""",
        id="dns-srv",
    ),
    pytest.param(
        "RuntimeOutOfMemory",
        ".NET could not get more memory",
        137,
        """\
GC heap initialization failed with error 0x8007000E
Failed to create CoreCLR, HRESULT: 0x8007000E
""",
        id="coreclr-oom",
    ),
    pytest.param(
        "PermissionDenied",
        "could not listen on its port",
        1,
        """\
Traceback (most recent call last):
  File "/app/s.py", line 3, in <module>
    HTTPServer(("", 80), H).serve_forever()
  File "/usr/local/lib/python3.12/socketserver.py", line 473, in server_bind
    self.socket.bind(self.server_address)
PermissionError: [Errno 13] Permission denied
""",
        id="py-bind-80",
    ),
    pytest.param(
        "DependencyAuthFailed",
        "permission denied",
        1,
        """\
2026-11-23T22:15:01.000Z [ERROR] agent.auth.handler: error authenticating: error="Error making API request.\\n\\nURL: PUT http://vault:8200/v1/auth/kubernetes/login\\nCode: 403. Errors:\\n\\n* permission denied"
""",
        id="vault-perm",
    ),
    pytest.param(
        "AppError",
        "config parse error: unexpected token",
        1,
        """\
[WARN  tini (7)] Tini is not running as PID 1 and isn't registered as a child subreaper.
config parse error: unexpected token
""",
        id="tini-trailing",
    ),
    pytest.param(
        "AppError",
        "invalid license key",
        1,
        """\
{"level":"fatal","ts":2,"msg":"invalid license key"}
{"level":"error","ts":3,"msg":"traces export: Post \\"http://otel-collector:4318/v1/traces\\": dial tcp: lookup otel-collector on 10.96.0.10:53: no such host"}
""",
        id="otel-noise-after-fatal",
    ),
    pytest.param(
        "AppError",
        "invalid license key",
        1,
        """\
{"level":"error","ts":1,"msg":"traces export: Post \\"http://otel-collector:4318/v1/traces\\": dial tcp: lookup otel-collector on 10.96.0.10:53: no such host"}
{"level":"fatal","ts":2,"msg":"invalid license key"}
""",
        id="error-otel-refused-noise-then-fatal",
    ),
    pytest.param(
        "AppError",
        "missing table [orders]",
        1,
        """\
2026-11-23 22:14:01.000  WARN 1 --- [main] c.a.Cache : redis not reachable, using local cache
java.net.ConnectException: Connection refused
\tat java.base/sun.nio.ch.Net.pollConnect(Native Method)
\tat c.a.Cache.init(Cache.java:10)
2026-11-23 22:14:03.000 ERROR 1 --- [main] o.s.boot.SpringApplication : Application run failed

org.springframework.beans.factory.BeanCreationException: Error creating bean with name 'entityManagerFactory': Schema-validation: missing table [orders]
\tat org.springframework.beans.X.y(X.java:1)
Caused by: org.hibernate.tool.schema.spi.SchemaManagementException: Schema-validation: missing table [orders]
\tat org.hibernate.A.b(A.java:1)
""",
        id="handled-java-trace-middle",
    ),
    pytest.param(
        "AppError",
        "doesn't match stored clusterId",
        1,
        """\
[2026-11-23 22:15:01,123] INFO starting (kafka.server.KafkaServer)
[2026-11-23 22:15:02,456] ERROR Fatal error during KafkaServer startup. Prepare to shutdown (kafka.server.KafkaServer)
kafka.common.InconsistentClusterIdException: The Cluster ID abc doesn't match stored clusterId Some(def) in meta.properties. The broker is trying to join the wrong cluster. Configured zookeeper.connect may be wrong.
\tat kafka.server.KafkaServer.startup(KafkaServer.scala:244)
\tat kafka.Kafka.main(Kafka.scala)
[2026-11-23 22:15:02,460] INFO shutting down (kafka.server.KafkaServer)
[2026-11-23 22:15:02,480] INFO [feature-zk-node-event-process-thread]: Shutting down (kafka.server.FinalizedFeatureChangeListener$ChangeNotificationProcessorThread)
[2026-11-23 22:15:02,490] INFO [ZooKeeperClient Kafka server] Closing. (kafka.zookeeper.ZooKeeperClient)
[2026-11-23 22:15:02,599] INFO shut down completed (kafka.server.KafkaServer)
[2026-11-23 22:15:02,600] ERROR Exiting Kafka due to fatal exception during startup. (kafka.Kafka$)
kafka.common.InconsistentClusterIdException: The Cluster ID abc doesn't match stored clusterId Some(def) in meta.properties. The broker is trying to join the wrong cluster. Configured zookeeper.connect may be wrong.
\tat kafka.server.KafkaServer.startup(KafkaServer.scala:244)
[2026-11-23 22:15:02,610] INFO shutting down (kafka.server.KafkaServer)
""",
        id="kafka-broker-cluster-id",
    ),
    pytest.param(
        "AppError",
        "bad plan",
        1,
        """\
Error: bad plan
    at Object.<anonymous> (/app/a.js:3:9)
(node:1) [DEP0040] DeprecationWarning: The `punycode` module is deprecated. Please use a userland alternative instead.
(Use `node --trace-deprecation ...` to show where the warning was created)
""",
        id="node-deprecation-after",
    ),
    pytest.param(
        "AppError",
        "bad plan",
        1,
        """\
Exception in thread "main" java.lang.IllegalArgumentException: bad plan
\tat a.B.c(B.java:1)
OpenJDK 64-Bit Server VM warning: Sharing is only supported for boot loader classes because bootstrap classpath has been appended
""",
        id="jvm-warning-after",
    ),
    pytest.param(
        "DependencyUnreachable",
        "SQLSTATE[HY000] [2002] Connection refused",
        1,
        """\

In Connection.php line 829:

  SQLSTATE[HY000] [2002] Connection refused (Connection: mysql, SQL: select * from migrations)\x20\x20


In Connector.php line 66:

  SQLSTATE[HY000] [2002] Connection refused\x20\x20


""",
        id="symfony",
    ),
    pytest.param(
        "AppConfigMissing",
        "No application encryption key has been specified",
        1,
        """\

   Illuminate\\Encryption\\MissingAppKeyException\x20

  No application encryption key has been specified.

  at vendor/laravel/framework/src/Illuminate/Encryption/EncryptionServiceProvider.php:79
     75▕      */
     76▕     protected function key(array $config)
  ➜  79▕                 throw new MissingAppKeyException;

      +13 vendor frames\x20
""",
        id="laravel-key",
    ),
    pytest.param(
        "DependencyAuthFailed",
        "username or password not allowed",
        1,
        """\
2026/11/23 22:15:31 Exception (403) Reason: "username or password not allowed"
""",
        id="go-amqp-auth",
    ),
    pytest.param(
        "DependencyAuthFailed",
        "for user shop",
        1,
        """\
2026-11-23T22:15:02.444Z ERROR 1 --- [           main] com.zaxxer.hikari.pool.HikariPool        : HikariPool-1 - Exception during pool initialization.

org.postgresql.util.PSQLException: FATAL: password authentication failed for user "shop"
\tat org.postgresql.core.v3.ConnectionFactoryImpl.doAuthentication(ConnectionFactoryImpl.java:698) ~[postgresql-42.7.4.jar!/:42.7.4]

2026-11-23T22:15:02.450Z  WARN 1 --- [           main] ConfigServletWebServerApplicationContext : Exception encountered during context initialization - cancelling refresh attempt: org.springframework.beans.factory.BeanCreationException: Error creating bean with name 'entityManagerFactory'
2026-11-23T22:15:02.470Z ERROR 1 --- [           main] o.s.boot.SpringApplication               : Application run failed

org.springframework.beans.factory.BeanCreationException: Error creating bean with name 'entityManagerFactory' defined in class path resource [x.class]: [PersistenceUnit: default] Unable to build Hibernate SessionFactory
\tat org.springframework.beans.X.y(X.java:1)
Caused by: jakarta.persistence.PersistenceException: [PersistenceUnit: default] Unable to build Hibernate SessionFactory
\tat org.hibernate.A.b(A.java:1)
Caused by: org.hibernate.HibernateException: Access to DialectResolutionInfo cannot be null when 'hibernate.dialect' not set
\tat org.hibernate.B.c(B.java:1)
""",
        id="java-hikari-auth",
    ),
    pytest.param(
        "DependencyUnreachable",
        "redis could not be resolved",
        1,
        """\
[ioredis] Unhandled error event: Error: getaddrinfo ENOTFOUND redis
    at GetAddrInfoReqWrap.onlookup [as oncomplete] (node:dns:109:26)
/app/node_modules/ioredis/built/redis/event_handler.js:201
      const error = new errors_1.MaxRetriesPerRequestError(maxRetriesPerRequest);
                    ^

MaxRetriesPerRequestError: Reached the max retries per request limit (which is 20). Refer to "maxRetriesPerRequest" option for details.
    at Socket.<anonymous> (/app/node_modules/ioredis/built/redis/event_handler.js:182:37)

Node.js v20.18.0
""",
        id="node-redis",
    ),
    pytest.param(
        "AppError",
        "KeyError: 'tenant'",
        1,
        """\
2026-11-23 22:15:00,100 INFO supervisord started with pid 1
2026-11-23 22:15:01,100 INFO spawned: 'web' with pid 8
Traceback (most recent call last):
  File "/app/main.py", line 3, in <module>
    cfg["tenant"]
KeyError: 'tenant'
2026-11-23 22:15:01,900 WARN exited: web (exit status 1; not expected)
2026-11-23 22:15:05,900 INFO gave up: web entered FATAL state, too many start retries too quickly
2026-11-23 22:15:06,900 WARN received SIGTERM indicating exit request
""",
        id="supervisord",
    ),
    pytest.param(
        "AppError",
        "reading 'url'",
        1,
        """\
2026-11-23T22:15:01: PM2 log: Launching in no daemon mode
2026-11-23T22:15:01: PM2 log: App [api:0] starting in -fork mode-
2026-11-23T22:15:01: PM2 log: App [api:0] online
TypeError: Cannot read properties of undefined (reading 'url')
    at Object.<anonymous> (/app/index.js:3:8)
    at Module._compile (node:internal/modules/cjs/loader:1364:14)
2026-11-23T22:15:02: PM2 log: App [api:0] exited with code [1] via signal [SIGINT]
2026-11-23T22:15:02: PM2 log: Script /app/index.js had too many unstable restarts (16). Stopped. "errored"
2026-11-23T22:15:02: PM2 log: 0 application online, retry = 3
2026-11-23T22:15:10: PM2 log: PM2 has been killed by signal, dumping all managed processes
""",
        id="pm2",
    ),
    pytest.param(
        "AppError",
        "myid file is missing",
        2,
        """\
2026-11-23 22:15:01,000 [myid:] - ERROR [main:QuorumPeerMain@99] - Invalid config, exiting abnormally
org.apache.zookeeper.server.quorum.QuorumPeerConfig$ConfigException: Error processing /conf/zoo.cfg
\tat org.apache.zookeeper.server.quorum.QuorumPeerConfig.parse(QuorumPeerConfig.java:198)
Caused by: java.lang.IllegalArgumentException: myid file is missing
\tat org.apache.zookeeper.server.quorum.QuorumPeerConfig.checkValidity(QuorumPeerConfig.java:741)
\t... 2 more
Invalid config, exiting abnormally
""",
        id="zookeeper",
    ),
    pytest.param(
        "AppError",
        "indentation error",
        1,
        """\
Fluent Bit v3.1.9
[2026/11/23 22:15:01] [error] [config] indentation error in /fluent-bit/etc/fluent-bit.conf:12: invalid indentation level
[2026/11/23 22:15:01] [error] configuration file contains errors, aborting.
""",
        id="fluent-bit",
    ),
    pytest.param(
        "DependencyAuthFailed",
        "Access Key Id",
        1,
        """\
level=error ts=2026-11-23T22:15:01.000Z caller=main.go:121 msg="error running Tempo" err="failed to init module services: error initialising module: store: failed to create store: unexpected error from ListObjects on tempo: The AWS Access Key Id you provided does not exist in our records."
""",
        id="tempo-s3",
    ),
    pytest.param(
        "CertificateInvalid",
        "KEY_VALUES_MISMATCH",
        1,
        """\
[2026-11-23 22:15:01.000][1][critical][main] [source/server/server.cc:137] error initializing configuration '/etc/envoy/envoy.yaml': Failed to load private key from <inline>, Cause: error:0b000074:X.509 certificate routines:OPENSSL_internal:KEY_VALUES_MISMATCH
""",
        id="envoy-cert",
    ),
    pytest.param(
        "AppError",
        "--db-url",
        2,
        """\
Missing required option: '--db-url=<dbUrl>'
Usage: app [-hV] --db-url=<dbUrl>
  -h, --help      Show this help message and exit.
      --db-url=<dbUrl>   required; fails if missing
""",
        id="java-picocli",
    ),
    pytest.param(
        "AppError",
        "WORKER TIMEOUT",
        1,
        """\
[2026-11-23 22:15:02 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:7)
[2026-11-23 22:15:02 +0000] [7] [ERROR] Error handling request /
[2026-11-23 22:15:03 +0000] [1] [ERROR] Worker (pid:7) was sent SIGKILL! Perhaps out of memory?
""",
        id="gunicorn-timeout",
    ),
    pytest.param(
        "RuntimeOutOfMemory",
        "malloc failed",
        128,
        """\
Cloning into '/src'...
fatal: Out of memory, malloc failed (tried to allocate 536870912 bytes)
fatal: fetch-pack: invalid index-pack output
""",
        id="git-malloc",
    ),
    pytest.param(
        "RuntimeOutOfMemory",
        "at least 2000 megabytes",
        1,
        """\
sqlservr: This program requires a machine with at least 2000 megabytes of memory.
/opt/mssql/bin/sqlservr: PAL initialization failed. Error: 107
""",
        id="needs-more-memory",
    ),
    pytest.param(
        "RuntimeOutOfMemory",
        "map another file",
        1,
        """\
Exception in thread "main" java.io.IOException: Map failed
\tat sun.nio.ch.FileChannelImpl.map(FileChannelImpl.java:938)
Caused by: java.lang.OutOfMemoryError: Map failed
""",
        id="java-map-failed",
    ),
    pytest.param(
        "AppError",
        "initial heap is larger",
        1,
        """\
Error occurred during initialization of VM
Initial heap size set to a larger value than the maximum heap size
""",
        id="java-xms-above-xmx",
    ),
    pytest.param(
        "AppError",
        "heap is too small",
        1,
        """\
Error occurred during initialization of VM
Too small maximum heap
""",
        id="java-small-heap",
    ),
    pytest.param(
        "AppError",
        "index version 3 is not supported",
        1,
        """\
2026/11/23 22:15:02 cache evicted 300 entries to avoid out of memory
2026/11/23 22:15:03 fatal: index version 3 is not supported
""",
        id="oom-words-quote",
    ),
]


def ended(log, code=1, message="", reason="Error"):
    raw = pod(statuses=[status(state=back_off(), last=terminated(code, reason, -65, -60, message=message))])
    return crash_findings(raw, logs={"app": log})


@pytest.mark.parametrize(("cause", "words", "code", "log"), LOGS)
def test_the_cause_and_its_words(cause, words, code, log):
    first = ended(log, code)[0]
    assert (first.cause, first.severity) == (cause, Severity.ERROR)
    assert words in " ".join([first.message, *(e.value for e in first.evidence)])
    assert first.fix


SPOKE = "panic: cannot read tenants: dial tcp 10.9.9.9:1: connect: connection refused\n"


def test_a_termination_message_speaks_where_the_log_tells_of_no_error():
    first = ended("INFO heartbeat\n", message=SPOKE)[0]
    assert first.cause == "DependencyUnreachable"
    assert any(e.at.endswith("terminated.message") for e in first.evidence)


@pytest.mark.parametrize("log", ["panic: no quorum\n", "ERROR no quorum\n"])
def test_a_log_with_an_error_speaks_before_the_termination_message(log):
    first = ended(log, message=SPOKE)[0]
    assert first.cause == "AppError"
    assert "no quorum" in first.message


@pytest.mark.parametrize("code", [*range(145, 152), 156])
def test_a_number_of_a_signal_that_ends_nothing_is_the_programs_own(code):
    first = ended("cannot load plugin\n", code)[0]
    assert first.cause == "AppError"
    assert str(code) in first.message


@pytest.mark.parametrize("code", [129, 138, 141, 152, 159])
def test_a_number_of_a_signal_that_ends_a_process_is_no_error_of_its_own(code):
    assert ended("cannot load plugin\n", code)[0].cause == "TerminatedBySignal"


def test_an_error_without_a_reason_has_it_in_the_logged_error_right_above():
    log = 'level=error msg="open /data/x: permission denied"\npanic: cannot open the store\n\ngoroutine 1 [running]:\n'
    first = ended(log)[0]
    assert (first.cause, first.confidence.value) == ("PermissionDenied", "likely")


@pytest.mark.parametrize(
    "log",
    [
        'level=error msg="open /data/x: permission denied"\npanic: cannot open the store: bad header\n',
        'level=error msg="open /data/x: permission denied"\nlevel=info msg=retried\npanic: cannot open the store\n',
        "open /data/x: permission denied, using memory\npanic: cannot open the store\n",
        'level=error msg="open /data/x: permission denied"\nlevel=fatal msg="no tenants"\n',
    ],
)
def test_an_error_before_the_last_one_is_no_reason_by_itself(log):
    assert ended(log)[0].cause == "AppError"


@pytest.mark.parametrize(
    "line",
    [
        "read /etc/app/config.yaml: key tenants not found",
        "parse /etc/app/config.json: could not find closing bracket",
        "/etc/app/app.toml line 3: missing value",
        "user app of /etc/app/users.conf: password missing",
    ],
)
def test_a_file_that_was_read_is_not_missing(line):
    assert ended(f"2026/11/24 11:58:55 {line}\n")[0].cause == "AppError"


@pytest.mark.parametrize(
    "line",
    [
        "config file /etc/app/config.yaml not found",
        "could not find config file /etc/app/config.json",
        "open /etc/app/app.toml: no such file or directory",
        "/etc/app/users.conf does not exist",
    ],
)
def test_a_file_that_is_not_there_is(line):
    first = ended(f"2026/11/24 11:58:55 {line}\n")[0]
    assert (first.cause, first.details["file"]) == ("AppConfigMissing", line[line.index("/") :].split()[0].rstrip(":"))


def test_no_address_is_taken_from_another_failure():
    log = "WARN cache: dial tcp 10.9.9.9:1: i/o timeout\nERROR connection refused\n"
    first = ended(log)[0]
    assert first.cause == "DependencyUnreachable"
    assert "10.9.9.9" not in first.message


REFUSED = "WARN db: dial tcp 10.9.9.9:1: connect: connection refused"


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (f"{REFUSED}, retrying\nFATAL giving up\n", "DependencyUnreachable"),
        (f"{REFUSED}, retrying\nINFO db connected\nFATAL giving up\n", "AppError"),
        (f"{REFUSED}, continuing without it\nFATAL giving up\n", "AppError"),
        (f"{REFUSED}, retrying\nFATAL license check failed, giving up\n", "AppError"),
        ("timed out waiting for db:5432\n", "DependencyUnreachable"),
        ("timed out waiting for the cache\n", "AppError"),
        ("dial tcp 10.1.2.3:443: connect: no route to host\n", "DependencyUnreachable"),
    ],
)
def test_what_a_program_gave_up_on(log, cause):
    assert ended(log)[0].cause == cause


def test_the_message_is_quoted_and_not_the_fields_of_its_object():
    log = (
        "Error: Access denied for user 'shop'@'10.1.0.9' (using password: YES)\n"
        "    at Packet.asError (/app/node_modules/mysql2/packet.js:728:17) {\n"
        "  code: 'ER_ACCESS_DENIED_ERROR',\n  errno: 1045\n}\n\nNode.js v20.1.0\n"
    )
    first = ended(log)[0]
    assert first.cause == "DependencyAuthFailed"
    assert "for user shop" in first.message


def test_a_cause_above_the_last_error_is_quoted_with_it():
    values = [e.value for e in ended(f"{REFUSED}, retrying\nFATAL could not start\n")[0].evidence if e.source == "log"]
    assert any("connection refused" in value for value in values)
    assert values[-1].endswith("could not start")


@pytest.mark.parametrize(
    ("state", "last", "ready", "causes"),
    [
        (
            back_off("proxy"),
            terminated(1, "Error", -65, -64),
            False,
            [("AppError", "proxy", "error"), ("DependencyUnreachable", "app", "warning")],
        ),
        (running(-600), None, True, [("DependencyUnreachable", "app", "error")]),
    ],
)
def test_a_container_that_ended_stands_before_the_one_that_missed_it(state, last, ready, causes):
    raw = pod(
        containers=[container("app"), container("proxy", ports=[{"containerPort": 5432}])],
        statuses=[
            status("app", back_off(), terminated(1, "Error", -62, -60)),
            status("proxy", state, last, ready=ready),
        ],
    )
    logs = {"app": "panic: dial tcp 127.0.0.1:5432: connect: connection refused\n", "proxy": "cannot parse flags\n"}
    found = crash_findings(raw, logs=logs)
    assert [(f.cause, f.object.container, f.severity.value) for f in found] == causes
    assert "container proxy of the same pod" in found[-1].message


def test_an_abort_tells_the_error_and_not_its_last_line():
    log = (
        "#\n# A fatal error has been detected by the Java Runtime Environment:\n#\n#  SIGSEGV (0xb) at pc=0x7f\n#\n"
        "# Problematic frame:\n# C  [libfoo.so+0x12]  foo\n#\nAborted (core dumped)\n"
    )
    first = ended(log, 134)[0]
    assert first.cause == "Aborted"
    assert "SIGSEGV" in first.message
    assert "libfoo.so" in first.message
