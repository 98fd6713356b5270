"""The last error, addresses, listeners and start-up times, in logs as the real runtimes write them."""
# ruff: noqa: E501

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubetriage.readers.logs import addresses, last_error, last_line, listening, startup_seconds

CAPTURES = Path(__file__).parents[1] / "captures"

JAVA_SPRING_CHAIN = """\
2026-11-23T22:15:19.001Z  INFO 1 --- [           main] c.a.orders.OrdersApplication             : Starting OrdersApplication v1.4.2
2026-11-23T22:15:22.481Z  WARN 1 --- [           main] ConfigServletWebServerApplicationContext : Exception encountered during context initialization - cancelling refresh attempt
2026-11-23T22:15:22.490Z ERROR 1 --- [           main] o.s.boot.SpringApplication               : Application run failed

org.springframework.beans.factory.BeanCreationException: Error creating bean with name 'entityManagerFactory': Unable to open JDBC Connection
\tat org.springframework.beans.factory.support.AbstractBeanFactory.doGetBean(AbstractBeanFactory.java:333) ~[spring-beans-6.1.3.jar!/:6.1.3]
\tat com.acme.orders.OrdersApplication.main(OrdersApplication.java:12) ~[!/:1.4.2]
Caused by: org.hibernate.exception.JDBCConnectionException: Unable to open JDBC Connection for DDL execution [The connection attempt failed.]
\tat org.hibernate.exception.internal.SQLStateConversionDelegate.convert(SQLStateConversionDelegate.java:100)
\t... 16 common frames omitted
Caused by: java.net.UnknownHostException: orders-db
\tat java.base/sun.nio.ch.NioSocketImpl.connect(NioSocketImpl.java:567) ~[na:na]
\tat java.base/java.net.Socket.connect(Socket.java:633) ~[na:na]
\t... 27 common frames omitted
2026-11-23T22:15:22.600Z  INFO 1 --- [           main] com.zaxxer.hikari.HikariDataSource       : HikariPool-1 - Shutdown completed.
"""
JAVA_SPRING_BANNER = """\
2026-11-23 22:15:22.490 ERROR 1 --- [           main] o.s.b.d.LoggingFailureAnalysisReporter   :

***************************
APPLICATION FAILED TO START
***************************

Description:

Failed to configure a DataSource: 'url' attribute is not specified and no embedded datasource could be configured.

Reason: Failed to determine a suitable driver class


Action:

Consider the following:
\tIf you want an embedded database (H2, HSQL or Derby), please put it on the classpath.
"""
JAVA_SUPPRESSED = """\
Exception in thread "main" java.lang.IllegalStateException: start failed
\tat com.acme.App.main(App.java:9)
\tSuppressed: java.io.IOException: close failed
\t\tat com.acme.Res.close(Res.java:5)
\tCaused by: java.lang.RuntimeException: inside suppressed
\t\t... 1 more
Caused by: java.lang.IllegalArgumentException: port out of range:99999
\tat java.base/java.net.InetSocketAddress.checkPort(InetSocketAddress.java:152)
\t... 1 more
"""
JAVA_MULTILINE_MESSAGE = """\
Exception in thread "main" org.flywaydb.core.internal.command.DbMigrate$FlywayMigrateException: Migration V3__add_users.sql failed
-----------------------------------
SQL State  : 42P07
Message    : ERROR: relation "users" already exists

\tat org.flywaydb.core.internal.command.DbMigrate.doMigrateGroup(DbMigrate.java:385)
\tat com.acme.App.main(App.java:9)
"""
KOTLIN = """\
Exception in thread "main" kotlin.UninitializedPropertyAccessException: lateinit property config has not been initialized
\tat com.acme.AppKt.main(App.kt:14)
"""
SCALA = """\
22:15:22.123 [main] ERROR akka.actor.ActorSystemImpl - Uncaught error from thread [app-1]
com.typesafe.config.ConfigException$Missing: application.conf: No configuration setting found for key 'db.url'
\tat com.typesafe.config.impl.SimpleConfig.findKey(SimpleConfig.java:156)
\tat com.acme.Main$.main(Main.scala:11)
"""
JVM_NO_CLASS = """\
Error: Could not find or load main class com.acme.Main
Caused by: java.lang.ClassNotFoundException: com.acme.Main
"""
JVM_HEAP = """\
Exception in thread "http-nio-8080-exec-1" java.lang.OutOfMemoryError: Java heap space
\tat java.base/java.util.Arrays.copyOf(Arrays.java:3541)
\tat com.acme.Cache.grow(Cache.java:51)
Terminating due to java.lang.OutOfMemoryError: Java heap space
"""
JVM_CRASH = """\
#
# A fatal error has been detected by the Java Runtime Environment:
#
#  SIGSEGV (0xb) at pc=0x00007f5c1c0b1f3c, pid=1, tid=7
#
# JRE version: OpenJDK Runtime Environment (17.0.9+9) (build 17.0.9+9)
"""
JVM_INIT = """\
Error occurred during initialization of VM
Initial heap size set to a larger value than the maximum heap size
"""
LOG4J = """\
2026-11-23 22:15:22,123 ERROR [main] kafka.Kafka$: Exiting Kafka due to fatal exception
java.lang.RuntimeException: Invalid cluster.id in: /data/meta.properties. Expected AAA, but read BBB
\tat kafka.server.KafkaServer.startup(KafkaServer.scala:222)
\tat kafka.Kafka.main(Kafka.scala)
2026-11-23 22:15:22,140 INFO [kafka-shutdown-hook] kafka.server.KafkaServer: [KafkaServer id=1] shutting down
2026-11-23 22:15:22,150 INFO [kafka-shutdown-hook] kafka.server.KafkaServer: [KafkaServer id=1] shut down completed
"""
PY_CHAIN = """\
Traceback (most recent call last):
  File "/app/.venv/lib/python3.12/site-packages/sqlalchemy/engine/base.py", line 146, in __init__
    self._dbapi_connection = engine.raw_connection()
psycopg2.OperationalError: connection to server at "orders-db" (10.96.4.7), port 5432 failed: Connection refused
\tIs the server running on that host and accepting TCP/IP connections?


The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/main.py", line 20, in <module>
    run()
sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) connection to server at "orders-db" (10.96.4.7), port 5432 failed: Connection refused
\tIs the server running on that host and accepting TCP/IP connections?

(Background on this error at: https://sqlalche.me/e/20/e3q8)
"""
PY_PYDANTIC = """\
Traceback (most recent call last):
  File "/app/main.py", line 3, in <module>
    settings = Settings()
pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings
database_url
  Field required [type=missing, input_value={}, input_type=dict]
    For further information visit https://errors.pydantic.dev/2.5/v/missing
"""
PY_GUNICORN = """\
[2026-11-23 22:15:22 +0000] [1] [INFO] Starting gunicorn 21.2.0
[2026-11-23 22:15:22 +0000] [7] [ERROR] Exception in worker process
Traceback (most recent call last):
  File "/usr/local/lib/python3.12/site-packages/gunicorn/arbiter.py", line 609, in spawn_worker
    worker.init_process()
ModuleNotFoundError: No module named 'shop'
[2026-11-23 22:15:22 +0000] [7] [INFO] Worker exiting (pid: 7)
[2026-11-23 22:15:23 +0000] [1] [ERROR] Shutting down: Master
[2026-11-23 22:15:23 +0000] [1] [ERROR] Reason: Worker failed to boot.
"""
PY_LOGGING = "2026-11-23 22:15:22,123 - shop.db - ERROR - migration 0042 is not applied\n"
PY_EXIT = "starting\nconfiguration file /etc/shop/config.toml is missing\n"
PY_CONTEXT = """\
Traceback (most recent call last):
  File "/app/a.py", line 2, in load
    return cache[key]
KeyError: 'region'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/a.py", line 6, in <module>
    load("region")
ValueError: region must be one of eu, us
"""
PY_INTERLEAVED = """\
Traceback (most recent call last):
  File "/app/a.py", line 2, in load
2026-11-23 22:15:22 INFO worker-2 heartbeat
    return int(value)
ValueError: invalid literal for int() with base 10: 'x'
"""
PY_SYNTAX = """\
  File "/app/main.py", line 3
    def x(
         ^
SyntaxError: '(' was never closed
"""
NODE_UNCAUGHT = """\
> shop@1.0.0 start
> node server.js

node:events:497
      throw er; // Unhandled 'error' event
      ^

Error: connect ECONNREFUSED 10.96.14.2:6379
    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1555:16)
Emitted 'error' event on RedisClient instance at:
    at Socket.<anonymous> (/app/node_modules/redis/client.js:1:2) {
  errno: -111,
  code: 'ECONNREFUSED',
  syscall: 'connect',
  address: '10.96.14.2',
  port: 6379
}

Node.js v20.11.0
npm ERR! code ELIFECYCLE
npm ERR! errno 1
npm ERR! shop@1.0.0 start: `node server.js`
npm ERR! Exit status 1
npm ERR! A complete log of this run can be found in: /root/.npm/_logs/x.log
"""
NODE_CAUSE = """\
/app/dist/main.js:14
    throw new Error("could not load settings", { cause: err });
    ^

Error: could not load settings
    at load (/app/dist/main.js:14:11)
    at Module._compile (node:internal/modules/cjs/loader:1376:14) {
  [cause]: Error: ENOENT: no such file or directory, open '/etc/shop/settings.json'
      at Object.openSync (node:fs:601:3)
      at load (/app/dist/main.js:12:15) {
    errno: -2,
    syscall: 'open',
    code: 'ENOENT',
    path: '/etc/shop/settings.json'
  }
}

Node.js v20.11.0
"""
NODE_REJECTION = """\
node:internal/process/promises:288
            triggerUncaughtException(err, true /* fromPromise */);
            ^

[UnhandledPromiseRejection: This error originated either by throwing inside of an async function without a catch block, or by rejecting a promise which was not handled with .catch(). The promise rejected with the reason "license expired".] {
  code: 'ERR_UNHANDLED_REJECTION'
}

Node.js v18.19.0
"""
NODE_MODULE = """\
node:internal/modules/cjs/loader:1080
  throw err;
  ^

Error: Cannot find module '/app/dist/main.js'
    at Module._resolveFilename (node:internal/modules/cjs/loader:1077:15)
    at Module._load (node:internal/modules/cjs/loader:922:27) {
  code: 'MODULE_NOT_FOUND',
  requireStack: []
}

Node.js v18.19.0
"""
NODE_TYPE = """\
/app/server.js:3
console.log(config.db.host)
                      ^

TypeError: Cannot read properties of undefined (reading 'host')
    at Object.<anonymous> (/app/server.js:3:23)
    at node:internal/main/run_main_module:28:49

Node.js v20.11.0
"""
GO_NIL = """\
2026/11/23 22:15:22 starting
panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x18 pc=0x6a1f2e]

goroutine 1 [running]:
main.(*Server).Run(0x0)
\t/src/main.go:42 +0x2e
main.main()
\t/src/main.go:17 +0x1d

goroutine 18 [chan receive]:
main.worker()
\t/src/w.go:9 +0x1
exit status 2
"""
GO_RECOVERED = """\
panic: config: missing key "db" [recovered]
\tpanic: startup failed: config: missing key "db"

goroutine 1 [running]:
main.main()
\t/src/main.go:17 +0x1d
"""
GO_FATAL_LOG = (
    "2026/11/23 22:15:22 listening\n2026/11/23 22:15:22 open /etc/shop/config.yaml: no such file or directory\n"
)
GO_MAPS = """\
fatal error: concurrent map writes

goroutine 34 [running]:
main.handle()
\t/src/main.go:42 +0x2e
"""
KLOG = """\
I1123 22:15:21.000001       1 main.go:10] starting
F1123 22:15:22.123456       1 server.go:172] error loading kubeconfig: stat /etc/kube/config: no such file or directory
"""
KLOG_STRUCTURED = """\
E1123 22:15:22.123456       1 run.go:74] "command failed" err="failed to load audit policy: yaml: line 3: mapping values are not allowed"
"""
ZAP_JSON = """\
{"level":"info","ts":1732400122.1,"caller":"app/main.go:10","msg":"starting"}
{"level":"fatal","ts":"2026-11-23T22:15:22.123Z","caller":"app/main.go:21","msg":"cannot open store","error":"dial tcp 10.96.0.5:5432: connect: connection refused","stacktrace":"main.main\\n\\t/src/main.go:21"}
"""
ZAP_CONSOLE = '2026-11-23T22:15:22.123Z\tFATAL\tapp/main.go:21\tcannot open store\t{"error": "EOF"}\n'
SLOG_JSON = '{"time":"2026-11-23T22:15:22.123Z","level":"ERROR","msg":"start","err":"bind: address already in use"}\n'
LOGRUS = 'time="2026-11-23T22:15:22Z" level=fatal msg="cannot read certificate" error="open /tls/tls.crt: permission denied"\n'
LOGRUS_TTY = "INFO[0000] starting\nFATA[0001] no license found\n"
ZEROLOG = '10:15PM INF starting\n10:15PM FTL cannot start error="bad port"\n'
PINO = """\
{"level":30,"time":1732400122000,"pid":1,"hostname":"x","msg":"starting"}
{"level":60,"time":1732400122001,"pid":1,"hostname":"x","err":{"type":"Error","message":"connect ECONNREFUSED 10.0.0.9:27017","stack":"Error: connect ECONNREFUSED 10.0.0.9:27017\\n    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1555:16)","code":"ECONNREFUSED"},"msg":"mongo failed"}
"""
BUNYAN = '{"name":"api","hostname":"x","pid":1,"level":50,"err":{"message":"bad token","name":"JsonWebTokenError","stack":"JsonWebTokenError: bad token\\n    at f (/app/x.js:1:2)"},"msg":"bad token","time":"2026-11-23T22:15:22.1Z","v":0}\n'
ECS = '{"@timestamp":"2026-11-23T22:15:22.123Z","log.level":"ERROR","message":"Application run failed","error.type":"java.lang.IllegalStateException","error.message":"no port","error.stack_trace":"java.lang.IllegalStateException: outer\\n\\tat com.acme.A.b(A.java:1)\\nCaused by: java.io.IOException: no port\\n\\tat com.acme.C.d(C.java:2)\\n"}\n'
GCP = '{"severity":"CRITICAL","message":"cannot reach ledger","timestamp":"2026-11-23T22:15:22Z"}\n'
SERILOG = '{"@t":"2026-11-23T22:15:22.123Z","@mt":"Host terminated unexpectedly","@l":"Fatal","@x":"System.InvalidOperationException: No connection string\\n   at Shop.Program.Main(String[] args) in /src/Program.cs:line 12"}\n'
DOTNET = """\
Unhandled exception. System.AggregateException: One or more hosted services failed to start. (Connection refused (db:5432))
 ---> System.Net.Sockets.SocketException (111): Connection refused
   at System.Net.Sockets.Socket.AwaitableSocketAsyncEventArgs.ThrowException(SocketError error, CancellationToken cancellationToken)
   --- End of inner exception stack trace ---
   at Microsoft.Extensions.Hosting.Internal.Host.StartAsync(CancellationToken cancellationToken)
   at Shop.Program.Main(String[] args) in /src/Program.cs:line 12
"""
DOTNET_LOGGER = """\
info: Microsoft.Hosting.Lifetime[14]
      Now listening on: http://[::]:8080
crit: Microsoft.AspNetCore.Hosting.Diagnostics[6]
      Application startup exception
      System.InvalidOperationException: Unable to resolve service for type 'Shop.IClock'
         at Microsoft.Extensions.DependencyInjection.ServiceProvider.GetService(Type t)
"""
RUBY = """\
/app/config/boot.rb:4:in `require': cannot load such file -- bootsnap/setup (LoadError)
\tfrom /app/config/boot.rb:4:in `<top (required)>'
\tfrom bin/rails:3:in `require_relative'
"""
RUBY_34 = """\
app.rb:3:in 'Object#connect': no route (RuntimeError)
\tfrom app.rb:7:in '<main>'
app.rb:2:in 'Object#dial': port is nil (ArgumentError)
\tfrom app.rb:3:in 'Object#connect'
"""
RAILS = """\
rails aborted!
ActiveRecord::PendingMigrationError: Migrations are pending. To resolve this issue, run: bin/rails db:migrate
/app/config/environment.rb:5:in `<main>'
"""
RUST_OLD = """\
thread 'main' panicked at 'called `Result::unwrap()` on an `Err` value: Os { code: 2, kind: NotFound, message: "No such file or directory" }', src/main.rs:7:10
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""
RUST_NEW = """\
2026-11-23T22:15:22.123456Z  INFO app: starting

thread 'main' panicked at src/main.rs:7:10:
DATABASE_URL must be set: NotPresent
stack backtrace:
   0: rust_begin_unwind
             at /rustc/x/library/std/src/panicking.rs:645:5
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
"""
ANYHOW = """\
Error: could not start the server

Caused by:
    0: could not read /etc/app/config.toml
    1: No such file or directory (os error 2)
"""
PHP = """\
PHP Fatal error:  Uncaught PDOException: SQLSTATE[HY000] [2002] Connection refused in /var/www/html/db.php:5
Stack trace:
#0 /var/www/html/db.php(5): PDO->__construct('mysql:host=db;d...', 'root', Object(SensitiveParameterValue))
#1 {main}

Next RuntimeException: no database in /var/www/html/index.php:9
Stack trace:
#0 {main}
  thrown in /var/www/html/index.php on line 9
"""
PERL = "Can't open config: No such file or directory at /app/run.pl line 12.\n"
PERL_MODULE = """\
Can't locate DBI.pm in @INC (you may need to install the DBI module) (@INC contains: /etc/perl) at /app/run.pl line 3.
BEGIN failed--compilation aborted at /app/run.pl line 3.
"""
ELIXIR = "** (RuntimeError) environment variable SECRET_KEY_BASE is missing.\n    /app/releases/0.1.0/runtime.exs:14: (file)\n"
SHELL = "/entrypoint.sh: line 12: CONFIG: unbound variable\n"
NGINX = """\
/docker-entrypoint.sh: Configuration complete; ready for start up
2026/11/23 22:15:22 [emerg] 1#1: host not found in upstream "api.shop" in /etc/nginx/conf.d/default.conf:3
nginx: [emerg] host not found in upstream "api.shop" in /etc/nginx/conf.d/default.conf:3
"""
POSTGRES = """\
2026-11-23 22:15:22.123 UTC [1] LOG:  starting PostgreSQL 16.1
2026-11-23 22:15:22.130 UTC [1] FATAL:  data directory "/var/lib/postgresql/data" has wrong ownership
2026-11-23 22:15:22.130 UTC [1] HINT:  The server must be started by the user that owns the data directory.
"""
MYSQL = """\
2026-11-23T22:15:22.123456Z 0 [System] [MY-010116] [Server] /usr/sbin/mysqld (mysqld 8.0.35) starting as process 1
2026-11-23T22:15:22.223456Z 0 [ERROR] [MY-010119] [Server] Aborting
2026-11-23T22:15:22.323456Z 0 [ERROR] [MY-010457] [Server] --initialize specified but the data directory has files in it. Aborting.
"""
REDIS = "1:M 23 Nov 2026 22:15:22.123 # Fatal error loading the DB: Invalid argument. Exiting.\n"
RUBY_LOGGER = "F, [2026-11-23T22:15:22.123456 #1] FATAL -- : no queue configured\n"
ENVOY = "[2026-11-23 22:15:22.123][1][critical][main] [source/server/server.cc:131] error initializing config '/etc/envoy.yaml': bad listener\n"
MONOLOG = '[2026-11-23T22:15:22.123456+00:00] app.CRITICAL: Uncaught Error: no kernel {"exception":"[object]"} []\n'
MIDDLE_WARNING = """\
2026-11-23 22:15:01 ERROR cache miss storm, retrying
2026-11-23 22:15:22 FATAL cannot bind
2026-11-23 22:15:22 INFO shutting down
2026-11-23 22:15:22 INFO bye
"""
CELERY = """\
[2026-11-23 22:15:22,123: ERROR/MainProcess] consumer: Cannot connect to amqp://guest:**@rabbitmq:5672//: [Errno 111] Connection refused.
"""
DOTNET_FRAMEWORK = """\
Unhandled Exception: System.TypeInitializationException: The type initializer for 'Npgsql.PoolManager' threw an exception. ---> System.InvalidOperationException: Host can't be null
   at Npgsql.NpgsqlConnectionStringBuilder.Validate()
   --- End of inner exception stack trace ---
   at Shop.Program.Main()
"""
SERILOG_TEXT = """\
[22:15:22 INF] Starting host
[22:15:23 FTL] Host terminated unexpectedly
System.Net.Sockets.SocketException (00000005, 0xFFFDFFFF): Name or service not known
   at System.Net.Dns.GetHostEntryOrAddressesCore(String hostName, Boolean justAddresses)
"""
CPP = """\
terminate called after throwing an instance of 'std::runtime_error'
  what():  cannot open model.bin
"""
UVICORN = """\
INFO:     Waiting for application startup.
ERROR:    Traceback (most recent call last):
  File "/app/main.py", line 12, in lifespan
    await db.connect()
asyncpg.exceptions.InvalidPasswordError: password authentication failed for user "app"

ERROR:    Application startup failed. Exiting.
"""
NEST = """\
[Nest] 17  - 11/23/2026, 10:15:22 PM     LOG [NestFactory] Starting Nest application...
[Nest] 17  - 11/23/2026, 10:15:22 PM   ERROR [ExceptionHandler] Nest can't resolve dependencies of the AppService (?).
Error: Nest can't resolve dependencies of the AppService (?).
    at Injector.lookupComponentInParentModules (/app/node_modules/@nestjs/core/injector/injector.js:247:19)
error Command failed with exit code 1.
info Visit https://yarnpkg.com/en/docs/cli/run for documentation about this command.
"""

CASES = [
    (JAVA_SPRING_CHAIN, "java", "java.net.UnknownHostException", "java.net.UnknownHostException: orders-db"),
    (JAVA_SPRING_BANNER, "java", "ApplicationFailedToStart", "Failed to configure a DataSource: 'url' attribute"),
    (JAVA_SUPPRESSED, "java", "java.lang.IllegalArgumentException", "port out of range:99999"),
    (
        JAVA_MULTILINE_MESSAGE,
        "java",
        "org.flywaydb.core.internal.command.DbMigrate$FlywayMigrateException",
        "V3__add_users.sql failed",
    ),
    (KOTLIN, "java", "kotlin.UninitializedPropertyAccessException", "lateinit property config"),
    (SCALA, "java", "com.typesafe.config.ConfigException$Missing", "No configuration setting found for key 'db.url'"),
    (JVM_NO_CLASS, "java", "java.lang.ClassNotFoundException", "Could not find or load main class com.acme.Main"),
    (JVM_HEAP, "java", "java.lang.OutOfMemoryError", "Java heap space"),
    (JVM_CRASH, "java", "", "SIGSEGV (0xb)"),
    (JVM_INIT, "java", "", "Initial heap size set to a larger value than the maximum heap size"),
    (LOG4J, "java", "java.lang.RuntimeException", "Invalid cluster.id"),
    (PY_CHAIN, "python", "OperationalError", "port 5432 failed: Connection refused"),
    (PY_PYDANTIC, "python", "ValidationError", "database_url Field required"),
    (PY_GUNICORN, "python", "ModuleNotFoundError", "No module named 'shop'"),
    (PY_LOGGING, "text", "", "migration 0042 is not applied"),
    (PY_EXIT, "text", "", "configuration file /etc/shop/config.toml is missing"),
    (PY_CONTEXT, "python", "ValueError", "region must be one of eu, us"),
    (PY_INTERLEAVED, "python", "ValueError", "invalid literal for int()"),
    (PY_SYNTAX, "text", "SyntaxError", "'(' was never closed"),
    (NODE_UNCAUGHT, "node", "ECONNREFUSED", "connect ECONNREFUSED 10.96.14.2:6379"),
    (NODE_CAUSE, "node", "Error", "ENOENT: no such file or directory, open '/etc/shop/settings.json'"),
    (NODE_REJECTION, "node", "", "license expired"),
    (NODE_MODULE, "node", "MODULE_NOT_FOUND", "Cannot find module '/app/dist/main.js'"),
    (NODE_TYPE, "node", "TypeError", "Cannot read properties of undefined (reading 'host')"),
    (GO_NIL, "go", "panic", "invalid memory address or nil pointer dereference"),
    (GO_RECOVERED, "go", "panic", 'startup failed: config: missing key "db"'),
    (GO_FATAL_LOG, "go", "", "open /etc/shop/config.yaml: no such file or directory"),
    (GO_MAPS, "go", "fatal error", "concurrent map writes"),
    (KLOG, "go", "klog", "error loading kubeconfig"),
    (KLOG_STRUCTURED, "go", "klog", "command failed: failed to load audit policy"),
    (ZAP_JSON, "json", "", "cannot open store: dial tcp 10.96.0.5:5432: connect: connection refused"),
    (ZAP_CONSOLE, "text", "", "cannot open store"),
    (SLOG_JSON, "json", "", "start: bind: address already in use"),
    (LOGRUS, "logfmt", "", "cannot read certificate: open /tls/tls.crt: permission denied"),
    (LOGRUS_TTY, "text", "", "no license found"),
    (ZEROLOG, "text", "", "cannot start"),
    (PINO, "node", "ECONNREFUSED", "mongo failed: connect ECONNREFUSED 10.0.0.9:27017"),
    (BUNYAN, "node", "JsonWebTokenError", "bad token"),
    (ECS, "java", "java.io.IOException", "no port"),
    (GCP, "json", "", "cannot reach ledger"),
    (SERILOG, "dotnet", "System.InvalidOperationException", "No connection string"),
    (DOTNET, "dotnet", "System.Net.Sockets.SocketException", "Connection refused"),
    (DOTNET_LOGGER, "dotnet", "System.InvalidOperationException", "Unable to resolve service for type 'Shop.IClock'"),
    (RUBY, "ruby", "LoadError", "cannot load such file -- bootsnap/setup"),
    (RUBY_34, "ruby", "ArgumentError", "port is nil"),
    (RAILS, "ruby", "ActiveRecord::PendingMigrationError", "Migrations are pending"),
    (RUST_OLD, "rust", "panic", 'message: "No such file or directory"'),
    (RUST_NEW, "rust", "panic", "DATABASE_URL must be set: NotPresent"),
    (ANYHOW, "rust", "Error", "could not read /etc/app/config.toml: No such file or directory (os error 2)"),
    (PHP, "php", "RuntimeException", "no database"),
    (PERL, "perl", "", "Can't open config: No such file or directory"),
    (PERL_MODULE, "perl", "", "Can't locate DBI.pm in @INC"),
    (ELIXIR, "elixir", "RuntimeError", "SECRET_KEY_BASE is missing"),
    (SHELL, "shell", "unbound variable", "/entrypoint.sh: line 12: CONFIG: unbound variable"),
    (NGINX, "nginx", "emerg", 'host not found in upstream "api.shop"'),
    (POSTGRES, "text", "", 'data directory "/var/lib/postgresql/data" has wrong ownership'),
    (MYSQL, "text", "", "the data directory has files in it"),
    (REDIS, "text", "", "Fatal error loading the DB: Invalid argument"),
    (RUBY_LOGGER, "text", "", "no queue configured"),
    (ENVOY, "text", "", "bad listener"),
    (MONOLOG, "text", "Error", "Uncaught Error: no kernel"),
    (MIDDLE_WARNING, "text", "", "cannot bind"),
    (CELERY, "text", "", "Cannot connect to amqp://"),
    (DOTNET_FRAMEWORK, "dotnet", "System.InvalidOperationException", "Host can't be null"),
    (SERILOG_TEXT, "dotnet", "System.Net.Sockets.SocketException", "Name or service not known"),
    (CPP, "cpp", "std::runtime_error", "std::runtime_error: cannot open model.bin"),
    (UVICORN, "python", "InvalidPasswordError", "password authentication failed"),
    (NEST, "node", "Error", "Nest can't resolve dependencies"),
]


def _names() -> list[str]:
    known = {id(v): k for k, v in globals().items() if isinstance(v, str)}
    return [known.get(id(case[0]), str(i)).lower() for i, case in enumerate(CASES)]


@pytest.mark.parametrize(("log", "language", "name", "words"), CASES, ids=_names())
def test_last_error(log: str, language: str, name: str | None, words: str) -> None:
    error = last_error(log)
    assert error is not None
    assert words in error.summary
    assert error.language == language
    if name is not None:
        assert error.name == name


def _cri(log: str) -> str:
    rows = log.rstrip("\n").split("\n")
    return "".join(f"2026-11-23T22:15:{22 + i // 40:02}.{i:09}Z stderr F {row}\n" for i, row in enumerate(rows))


def _docker(log: str) -> str:
    rows = log.rstrip("\n").split("\n")
    return "".join(
        json.dumps({"log": row + "\n", "stream": "stderr", "time": "2026-11-23T22:15:22.1Z"}) + "\n" for row in rows
    )


def _timestamps(log: str) -> str:
    return "".join(f"2026-11-23T22:15:22.000000001Z {row}\n" for row in log.rstrip("\n").split("\n"))


def _coloured(log: str) -> str:
    return (
        log.replace("ERROR", "\x1b[31mERROR\x1b[39m")
        .replace("INFO", "\x1b[32mINFO\x1b[0m")
        .replace("Error", "\x1b[1mError\x1b[22m")
    )


def _crlf(log: str) -> str:
    return log.replace("\n", "\r\n")


@pytest.mark.parametrize("wrap", [_cri, _docker, _timestamps, _coloured, _crlf], ids=lambda f: f.__name__)
@pytest.mark.parametrize(("log", "language", "name", "words"), CASES, ids=_names())
def test_prefixes_and_colours_change_nothing(
    log: str, language: str, name: str | None, words: str, wrap: object
) -> None:
    assert callable(wrap)
    error = last_error(wrap(log))
    assert error is not None
    assert words in error.summary
    assert error.language == language


@pytest.mark.parametrize(("log", "language", "name", "words"), CASES, ids=_names())
def test_what_was_written_before_and_after_does_not_win(log: str, language: str, name: str | None, words: str) -> None:
    noise = "2026-11-23 22:15:00 WARN failed to refresh cache, retrying\n" * 3
    after = "2026-11-23 22:15:23 INFO Shutting down\n2026-11-23 22:15:23 INFO Shutdown completed.\n"
    error = last_error(noise + log + after)
    assert error is not None
    assert words in error.summary


@pytest.mark.parametrize(
    "log",
    [
        "",
        "\n\n",
        "starting\nserving on :8080\n",
        "2026-11-23 22:15:22 INFO ready\n",
        '{"level":"info","msg":"ready","errors":0}\n',
        "compiled with 0 errors and 0 warnings\n",
        '{"level":30,"msg":"ok"}\n',
        "loading model...\n",
    ],
)
def test_no_error_is_none(log: str) -> None:
    assert last_error(log) is None


@pytest.mark.parametrize(
    ("scenario", "language", "words"),
    [
        ("py-refused/py-refused/api/app.log", "python", "ConnectionRefusedError: [Errno 111] Connection refused"),
        ("py-keyerror/py-keyerror/api/app.log", "python", "KeyError: 'DATABASE_URL'"),
        ("java-npe/java-npe/api/app.log", "java", "java.lang.NullPointerException: Cannot invoke"),
        ("go-panic/go-panic/api/app.log", "go", "panic: runtime error: index out of range [3] with length 0"),
        ("node-heap/node-heap/api/app.log", "node", "FATAL ERROR: Reached heap limit"),
        ("readonly-fs/readonly-fs/api/app.log", "shell", "sh: can't create /var/cache.db: Read-only file system"),
        ("sidecar-crash/sidecar-crash/api/proxy.log", "text", "proxy: cannot load xds"),
        ("init-fail/init-fail/api/migrate.log", "text", "relation users does not exist"),
        ("cmd-not-found-shell/cmd-not-found-shell/api/app.log", "shell", "sh: run-server: not found"),
        ("deploy-crash/deploy-crash/api-5dd5887564-9t6dh/app.log", "go", "panic: no config"),
    ],
)
def test_recorded_logs(scenario: str, language: str, words: str) -> None:
    error = last_error((CAPTURES / scenario).read_text())
    assert error is not None
    assert words in error.summary
    assert error.language == language


def test_the_time_is_that_of_the_error() -> None:
    error = last_error(SLOG_JSON)
    assert error is not None
    assert error.time == "2026-11-23T22:15:22.123Z"
    error = last_error(_cri(KOTLIN))
    assert error is not None
    assert error.time.startswith("2026-11-23T22:15:22.0")


def test_a_fatal_error_long_before_the_end_gives_way() -> None:
    log = GO_MAPS + "2026-11-23 22:15:22 INFO served\n" * 80 + "2026-11-23 22:16:00 ERROR queue closed by broker\n"
    error = last_error(log)
    assert error is not None
    assert error.summary == "queue closed by broker"


def test_partial_lines_are_joined() -> None:
    log = "2026-11-23T22:15:22.1Z stderr P panic: no \n2026-11-23T22:15:22.1Z stderr F config\n"
    error = last_error(log)
    assert error is not None
    assert error.summary == "panic: no config"


def test_last_line() -> None:
    assert last_line("a\n\x1b[31mb\x1b[0m\n\n") == "b"
    assert last_line("") == ""


ADDRESSES = [
    (PY_CHAIN, [("orders-db", 5432, "refused")]),
    (NODE_UNCAUGHT, [("10.96.14.2", 6379, "refused")]),
    (JAVA_SPRING_CHAIN, [("orders-db", None, "unresolved")]),
    (NGINX, [("api.shop", None, "unresolved")]),
    (ZAP_JSON, [("10.96.0.5", 5432, "refused")]),
    (DOTNET, [("db", 5432, "refused")]),
    ('s = socket.create_connection(("127.0.0.1", 5439))', []),
    ("dial tcp: lookup db.shop.svc on 10.96.0.10:53: no such host", [("db.shop.svc", None, "unresolved")]),
    ('Get "http://db:8080/x": dial tcp: lookup db on 10.96.0.10:53: server misbehaving', [("db", 8080, "unresolved")]),
    ("dial tcp [::1]:5432: connect: connection refused", [("::1", 5432, "refused")]),
    ("dial tcp 10.1.2.3:443: i/o timeout", [("10.1.2.3", 443, "timeout")]),
    ("Error: getaddrinfo ENOTFOUND orders-db", [("orders-db", None, "unresolved")]),
    ("Error: getaddrinfo EAI_AGAIN redis", [("redis", None, "unresolved")]),
    ("Error: connect ECONNREFUSED ::1:5432", [("::1", 5432, "refused")]),
    ("java.net.UnknownHostException: kafka: Name or service not known", [("kafka", None, "unresolved")]),
    (
        "org.postgresql.util.PSQLException: Connection to db.shop:5432 refused. Check that the hostname",
        [("db.shop", 5432, "refused")],
    ),
    (
        "org.apache.http.conn.HttpHostConnectException: Connect to api:8080 [api/10.0.0.1] failed: Connection refused",
        [("api", 8080, "refused")],
    ),
    (
        "io.netty.channel.AbstractChannel$AnnotatedConnectException: Connection refused: redis/10.96.3.1:6379",
        [("redis", 6379, "refused")],
    ),
    (
        "[Producer clientId=p] Connection to node -1 (kafka/10.0.0.1:9092) could not be established. Node may not be available.",
        [("kafka", 9092, "refused")],
    ),
    (
        "org.apache.kafka.common.config.ConfigException: No resolvable bootstrap urls given in bootstrap.servers kafka:9092",
        [("kafka", 9092, "unresolved")],
    ),
    (
        'psycopg2.OperationalError: could not translate host name "orders-db" to address: Name or service not known',
        [("orders-db", None, "unresolved")],
    ),
    (
        'could not connect to server: Connection refused\n\tIs the server running on host "db" (10.0.0.1) and accepting\n\tTCP/IP connections on port 5432?',
        [("db", 5432, "refused")],
    ),
    (
        "pymysql.err.OperationalError: (2003, \"Can't connect to MySQL server on 'mysql' ([Errno 111] Connection refused)\")",
        [("mysql", None, "refused")],
    ),
    ("ERROR 2005 (HY000): Unknown MySQL server host 'mysql' (-2)", [("mysql", None, "unresolved")]),
    ("ERROR 1045 (28000): Access denied for user 'app'@'10.0.0.7' (using password: YES)", [("", None, "unauthorized")]),
    (
        "redis.exceptions.ConnectionError: Error 111 connecting to redis:6379. Connection refused.",
        [("redis", 6379, "refused")],
    ),
    (
        "redis.exceptions.ConnectionError: Error -2 connecting to redis:6379. Name or service not known.",
        [("redis", 6379, "unresolved")],
    ),
    (
        "requests.exceptions.ConnectionError: HTTPConnectionPool(host='api', port=8080): Max retries exceeded with url: /x (Caused by NewConnectionError('<urllib3.connection.HTTPConnection object at 0x7f>: Failed to establish a new connection: [Errno 111] Connection refused'))",
        [("api", 8080, "refused")],
    ),
    (
        "aiohttp.client_exceptions.ClientConnectorError: Cannot connect to host api:8080 ssl:default [Connection refused]",
        [("api", 8080, "refused")],
    ),
    ("System.Net.Http.HttpRequestException: No such host is known. (api:443)", [("api", 443, "unresolved")]),
    (
        "Npgsql.NpgsqlException (0x80004005): Failed to connect to 10.0.0.4:5432\n ---> System.Net.Sockets.SocketException (111): Connection refused",
        [("10.0.0.4", 5432, "refused")],
    ),
    (
        "PDOException: SQLSTATE[HY000] [2002] php_network_getaddresses: getaddrinfo for db failed: Name or service not known",
        [("db", None, "unresolved")],
    ),
    (
        'Errno::ECONNREFUSED: Failed to open TCP connection to api:80 (Connection refused - connect(2) for "api" port 80)',
        [("api", 80, "refused")],
    ),
    ("curl: (7) Failed to connect to api port 80 after 0 ms: Connection refused", [("api", 80, "refused")]),
    ("curl: (6) Could not resolve host: db", [("db", None, "unresolved")]),
    ("wget: bad address 'db:80'", [("db", 80, "unresolved")]),
    ("wget: can't connect to remote host (10.0.0.1): Connection refused", [("10.0.0.1", None, "refused")]),
    ("nc: db (10.0.0.1:5432): Connection refused", [("10.0.0.1", 5432, "refused")]),
    ("MongoServerSelectionError: getaddrinfo ENOTFOUND mongo", [("mongo", None, "unresolved")]),
    (
        "pymongo.errors.ServerSelectionTimeoutError: mongo:27017: [Errno 111] Connection refused, Timeout: 30s",
        [("mongo", 27017, "refused")],
    ),
    (
        'rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial tcp 10.96.7.7:50051: connect: connection refused"',
        [("10.96.7.7", 50051, "refused")],
    ),
    ('I/O error on GET request for "http://pricing/v1": Connection refused', [("pricing", 80, "refused")]),
    (
        "failed to connect to postgres://app:x@db.data.svc.cluster.local/orders: connection refused",
        [("db.data.svc.cluster.local", 5432, "refused")],
    ),
    ("Error: connect ETIMEDOUT 10.2.3.4:443", [("10.2.3.4", 443, "timeout")]),
    ("NOAUTH Authentication required.", [("", None, "unauthorized")]),
    (
        'connect() failed (111: Connection refused) while connecting to upstream, upstream: "http://10.0.0.1:8080/"',
        [("10.0.0.1", 8080, "refused")],
    ),
    ("java.net.NoRouteToHostException: No route to host (Host unreachable)", [("", None, "unreachable")]),
    ("dial tcp 10.0.0.1:5432: connect: no route to host", [("10.0.0.1", 5432, "unreachable")]),
    ("main.go:17: listening", []),
    ("GET /x 200 in 12:30:11", []),
]


@pytest.mark.parametrize(("log", "expected"), ADDRESSES)
def test_addresses(log: str, expected: list[tuple[str, int | None, str]]) -> None:
    assert [(a.host, a.port, a.kind) for a in addresses(log)] == expected


def test_the_address_may_stand_in_the_source_line_of_a_traceback() -> None:
    found = addresses((CAPTURES / "py-refused/py-refused/api/app.log").read_text())
    assert [(a.host, a.port, a.kind) for a in found] == [("127.0.0.1", 5439, "refused")]


@pytest.mark.parametrize(
    ("log", "seconds"),
    [
        ("Started OrdersApplication in 42.3 seconds (process running for 43.1)", 43.1),
        ("Started OrdersApplication in 42.3 seconds (JVM running for 44)", 44),
        ("shop 1.0 on JVM (powered by Quarkus 3.6.0) started in 1.234s. Listening on: http://0.0.0.0:8080", 1.234),
        ("Server startup in [1234] milliseconds", 1.234),
        ("oejs.Server:main: Started Server@1b2c{STARTING}[11.0.18] @2345ms", 2.345),
        ("Startup completed in 987ms. Server Running: http://x:8080", 0.987),
        ("2026-11-23T22:15:00Z boot\n2026-11-23T22:15:12Z listening on :8080\n", 12),
        ('{"ts":"2026-11-23T22:15:00Z","msg":"boot"}\n{"ts":"2026-11-23T22:15:07Z","msg":"ready to serve"}\n', 7),
        ("hello\n", None),
        ("", None),
    ],
)
def test_startup_seconds(log: str, seconds: float | None) -> None:
    assert startup_seconds(log) == seconds


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("listening on 127.0.0.1:3000", [("127.0.0.1", 3000)]),
        ("Server listening on http://0.0.0.0:8080", [("*", 8080)]),
        ("2026/11/23 22:15:22 Listening and serving HTTP on :8080", [("*", 8080)]),
        ("Tomcat started on port 8080 (http) with context path ''", [("", 8080)]),
        ("Tomcat started on port(s): 8080 (http)", [("", 8080)]),
        ("INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)", [("127.0.0.1", 8000)]),
        ("[2026-11-23 22:15:22 +0000] [1] [INFO] Listening at: http://0.0.0.0:8000 (1)", [("*", 8000)]),
        (" * Running on http://127.0.0.1:5000", [("127.0.0.1", 5000)]),
        ("      Now listening on: http://[::]:8080", [("*", 8080)]),
        ("* Listening on tcp://0.0.0.0:3000", [("*", 3000)]),
        ("Serving HTTP on 0.0.0.0 port 8000 (http://0.0.0.0:8000/) ...", [("*", 8000)]),
        ('LOG:  listening on IPv4 address "0.0.0.0", port 5432', [("*", 5432)]),
        ("ready - started server on 0.0.0.0:3000, url: http://localhost:3000", [("*", 3000)]),
        ('{"level":"info","msg":"listening","addr":"127.0.0.1:9000"}', [("127.0.0.1", 9000)]),
        ("Example app listening on port 3000", [("", 3000)]),
        ("⇨ http server started on [::]:1323", [("*", 1323)]),
        ("Starting development server at http://127.0.0.1:8000/", [("127.0.0.1", 8000)]),
        ("listen tcp :8080: bind: address already in use", []),
        ("nothing here", []),
    ],
)
def test_listening(log: str, expected: list[tuple[str, int]]) -> None:
    assert [(found.host, found.port) for found in listening(log)] == expected


def test_a_loopback_listener_is_known() -> None:
    assert listening("listening on localhost:3000")[0].loopback
    assert not listening("listening on 0.0.0.0:3000")[0].loopback


def test_a_log_may_end_with_the_head_of_an_error() -> None:
    error = last_error("rails aborted!")
    assert error is not None
    assert error.language == "ruby"


_ROWS = st.sampled_from(
    [row for case in CASES for row in case[0].split("\n")] + [row for case in ADDRESSES for row in case[0].split("\n")]
)


@given(st.lists(st.one_of(_ROWS, st.text(max_size=60)), max_size=40).map("\n".join))
@settings(max_examples=100, deadline=None)
def test_nothing_raises_and_everything_is_bounded(log: str) -> None:
    error = last_error(log)
    addresses(log)
    startup_seconds(log)
    listening(log)
    if error is not None:
        assert len(error.summary) <= 600
        assert len(error.lines) <= 61
        assert all(len(row) <= 2000 for row in error.lines)


@pytest.mark.parametrize(
    "unit",
    [
        "x" * 80 + "\n",
        "Traceback (most recent call last):\n",
        "  at f (/x.js:1:2)\n",
        "Caused by: a.B: c\n",
        "panic: x\n",
        '{"level":"error","msg":"x"}\n',
        "Error: x\n",
        "ERROR ",
        "connection refused ",
        "a.b.c.D: ",
        "dial tcp ",
        "\n",
        "goroutine 1 [running]:\n",
        " ---> System.X: y\n",
        "listening :1 ",
        "a: b: c: ",
        "[",
        "Error:\n",
        "/x:1\n  ^\n",
        "thread 'main' panicked at ",
        "x.y:80 ",
        "PHP Fatal error:  Uncaught x\n",
        "a:1:in `b': c (D)\n",
        "npm ERR! x\n",
        "  A\\B\n\n  x\n\n  at x:1\n",
        "In a.php line 1:\n\n  x\n",
        "usage:\n",
        "*** FATAL ***\n",
        "failed to start ",
        "error  .(-",
        "x: 1: A: ",
    ],
)
def test_a_hostile_log_is_read_quickly(unit: str) -> None:
    log = unit * (512 * 1024 // len(unit))
    start = time.process_time()
    last_error(log)
    addresses(log)
    listening(log)
    startup_seconds(log)
    assert time.process_time() - start < 20
