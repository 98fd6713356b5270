"""Logs as public threads show them, each with the cause and what an answer must say and must not say."""
# ruff: noqa: E501

from dataclasses import dataclass, field
from typing import Any

from support.objects import container, obj


@dataclass(frozen=True)
class Incident:
    """One crashed container: its log, its surroundings, and what a good answer holds."""

    name: str
    causes: tuple[str, ...]
    log: str
    must: tuple[str, ...]
    """Regular expressions, any case, over message, fixes, commands, YAML, patches and details."""
    must_not: tuple[str, ...] = ()
    code: int = 1
    spec: dict[str, Any] = field(default_factory=dict)
    """Of the container."""
    pod: dict[str, Any] = field(default_factory=dict)
    """Of the pod."""
    objects: tuple[dict[str, Any], ...] = ()


def _i(name: str, causes: str, log: str, *must: str, no: tuple[str, ...] = (), **more: Any) -> Incident:
    return Incident(name, tuple(causes.split("|")), log, must, no, **more)


def _mount(path: str, volume: dict[str, Any], **pod: Any) -> dict[str, Any]:
    """Make the arguments of a pod with one mounted volume."""
    return {
        "spec": container(volumeMounts=[{"name": "data", "mountPath": path}]),
        "pod": {"volumes": [{"name": "data", **volume}], **pod},
    }


_CLAIM = {"persistentVolumeClaim": {"claimName": "data-db-0"}}
_SERVICE = obj(
    "Service",
    "frontend",
    spec={"clusterIP": "10.96.14.7", "ports": [{"port": 5000, "name": "http"}], "selector": {"app": "frontend"}},
)


def _claim_of(driver: str, **source: Any) -> tuple[dict[str, Any], ...]:
    csi = {"csi": {"driver": driver, "volumeHandle": "h"}} if driver else source
    return (
        obj("PersistentVolumeClaim", "data-db-0", spec={"volumeName": "pv-1", "storageClassName": "shared"}),
        obj("PersistentVolume", "pv-1", spec={"storageClassName": "shared", "capacity": {"storage": "8Gi"}, **csi}),
    )


_NO_MEMORY = r"raise the memory limit"
_GO_MAIN = "\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:42 +0x1d\n"

INCIDENTS = (
    # -- allocation words without a shortage ----------------------------------------------------------------------
    _i(
        "jemalloc-16k",
        "AppError|Aborted",
        "<jemalloc>: Unsupported system page size\n<jemalloc>: Unsupported system page size\nmemory allocation of 8 bytes failed\n",
        "page size",
        r"built|image",
        no=(_NO_MEMORY,),
        code=134,
    ),
    _i(
        "jemalloc-stamped",
        "AppError|Aborted",
        "2025-01-02T03:04:05Z <jemalloc>: Unsupported system page size\n2025-01-02T03:04:05Z terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n",
        "page size",
        no=(_NO_MEMORY,),
        code=134,
    ),
    _i(
        "tcmalloc-page",
        "AppError|Aborted",
        "src/tcmalloc.cc:284] CHECK in Init: FATAL ERROR: Out of memory trying to allocate internal tcmalloc data (bytes, object-size); kernel page size 65536 is not supported\n",
        "page size",
        code=134,
    ),
    _i(
        "go-newosproc",
        "AppError",
        "runtime: failed to create new OS thread (have 9 already; errno=11)\nruntime: may need to increase max user processes (ulimit -u)\nfatal error: newosproc\n\nruntime stack:\nruntime.throw({0x1c, 0x9})\n\ngoroutine 1 [runnable]:\nmain.main()\n",
        r"pids?\b|podPidsLimit|process",
        r"thread",
        no=(_NO_MEMORY, r"Fix fatal error: newosproc"),
        code=2,
    ),
    _i(
        "python-cant-start-thread",
        "AppError",
        'Traceback (most recent call last):\n  File "/app/main.py", line 3, in <module>\n    t.start()\n  File "/usr/lib/python3.11/threading.py", line 971, in start\nRuntimeError: can\'t start new thread\n',
        r"podPidsLimit|pids",
        "thread",
        no=(_NO_MEMORY,),
    ),
    _i(
        "java-native-thread",
        "RuntimeOutOfMemory|AppError",
        'Exception in thread "main" java.lang.OutOfMemoryError: unable to create native thread: possibly out of memory or process/resource limits reached\n\tat java.base/java.lang.Thread.start0(Native Method)\n',
        r"podPidsLimit|pid limit",
        no=(_NO_MEMORY,),
    ),
    _i(
        "fork-eagain",
        "AppError",
        "/entrypoint.sh: fork: retry: Resource temporarily unavailable\n/entrypoint.sh: fork: Resource temporarily unavailable\n",
        r"podPidsLimit|pids|processes",
    ),
    _i(
        "pg-hugepages",
        "AppError|Aborted",
        "2024-05-01 10:00:00.000 UTC [1] FATAL:  could not map anonymous shared memory: Cannot allocate memory\n2024-05-01 10:00:00.000 UTC [1] HINT:  This error usually means that PostgreSQL's request for a shared memory segment exceeded available memory, swap space, or huge pages. To reduce the request size, reduce PostgreSQL's shared memory usage.\n",
        r"shared_buffers|huge",
    ),
    # -- EPERM and EACCES by the operation ------------------------------------------------------------------------
    _i(
        "openblas-eperm",
        "PermissionDenied",
        "OpenBLAS blas_thread_init: pthread_create failed for thread 1 of 8: Operation not permitted\nOpenBLAS blas_thread_init: RLIMIT_NPROC -1 current, -1 max\n",
        "seccomp|system call",
        "runtime|libseccomp|Unconfined",
        no=(r"may not access a file", r"emptyDir"),
    ),
    _i(
        "rust-spawn-eperm",
        "PermissionDenied",
        "thread 'main' panicked at src/main.rs:3:5:\nOS can't spawn worker thread: Operation not permitted (os error 1)\n",
        "seccomp",
        no=(r"may not access a file",),
        code=101,
    ),
    _i("make-eperm", "PermissionDenied", "make: /bin/sh: Operation not permitted\n", "seccomp", no=(r"chown",), code=2),
    _i(
        "go-pthread-eperm",
        "PermissionDenied|Aborted|AppError",
        "runtime/cgo: pthread_create failed: Operation not permitted\nSIGABRT: abort\nPC=0x7f8 m=0 sigcode=18446744073709551610\n\ngoroutine 0 [idle]:\n",
        "seccomp",
        no=(r"may not access a file",),
        code=2,
    ),
    _i(
        "mount-eperm",
        "PermissionDenied",
        "mount: /mnt/data: permission denied.\n       dmesg(1) may have more information after failed mount system call.\n",
        "SYS_ADMIN|privileged",
    ),
    _i(
        "efs-chown",
        "PermissionDenied",
        "chown: changing ownership of '/bitnami/mysql/data': Operation not permitted\n",
        r"EFS|access point|uid",
        no=(r"capabilit\w+ CHOWN",),
        **_mount("/bitnami/mysql", _CLAIM),
        objects=_claim_of("efs.csi.aws.com"),
    ),
    _i(
        "nfs-chown",
        "PermissionDenied",
        "chown: /var/lib/postgresql/data: Operation not permitted\nchown: /var/lib/postgresql/data/base: Operation not permitted\n",
        r"root.?squash",
        no=(r"give container app.*CHOWN",),
        **_mount("/var/lib/postgresql/data", {"nfs": {"server": "10.0.0.9", "path": "/exports/pg"}}),
    ),
    _i(
        "azurefile-chmod",
        "PermissionDenied",
        'initdb: error: could not change permissions of directory "/var/lib/postgresql/data": Operation not permitted\n',
        r"mountOptions|uid=|dir_mode",
        **_mount("/var/lib/postgresql/data", _CLAIM),
        objects=_claim_of("file.csi.azure.com"),
    ),
    _i(
        "smb-chown",
        "PermissionDenied",
        "install: cannot change owner and permissions of '/var/www/html/data': Operation not permitted\n",
        r"mountOptions|uid=",
        **_mount("/var/www/html", _CLAIM),
        objects=_claim_of("smb.csi.k8s.io"),
    ),
    _i(
        "chown-capability",
        "PermissionDenied",
        "chown: changing ownership of '/var/lib/mysql': Operation not permitted\n",
        "CHOWN|fsGroup",
        spec=container(
            volumeMounts=[{"name": "data", "mountPath": "/var/lib/mysql"}],
            securityContext={"capabilities": {"drop": ["ALL"]}},
        ),
        pod={"volumes": [{"name": "data", **_CLAIM}]},
    ),
    _i(
        "bind-80",
        "PermissionDenied",
        "2024/03/01 10:00:00 [emerg] 1#1: bind() to 0.0.0.0:80 failed (13: Permission denied)\nnginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)\n",
        "NET_BIND_SERVICE|1024|8080",
        spec=container(securityContext={"runAsUser": 101}),
    ),
    _i(
        "iptables-legacy",
        "PermissionDenied",
        "iptables v1.8.9 (legacy): can't initialize iptables table `nat': Permission denied (you must be root)\nPerhaps iptables or your kernel needs to be upgraded.\n",
        "NET_ADMIN",
    ),
    _i(
        "iptables-has-cap",
        "PermissionDenied",
        "iptables v1.8.7 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)\n",
        r"user 0|root|runAsUser|SELinux|module",
        no=(r"give container app[^.]*the capability NET_ADMIN",),
        spec=container(securityContext={"capabilities": {"add": ["NET_ADMIN"]}, "runAsUser": 1337}),
    ),
    _i(
        "gosu-setuid",
        "PermissionDenied",
        'error: failed switching to "redis": operation not permitted\n',
        "SETUID",
        spec=container(securityContext={"capabilities": {"drop": ["ALL"]}}),
    ),
    _i(
        "vault-mlock",
        "PermissionDenied|AppError",
        "Error initializing core: Failed to lock memory: cannot allocate memory\n\nThis usually means that the mlock syscall is not available.\n",
        "IPC_LOCK|disable_mlock",
    ),
    _i(
        "node-cache-root-home",
        "PermissionDenied",
        "Error: EACCES: permission denied, mkdir '/.npm'\n    at Object.mkdirSync (node:fs:1391:3) {\n  errno: -13,\n  code: 'EACCES',\n  syscall: 'mkdir',\n  path: '/.npm'\n}\n\nNode.js v20.11.0\n",
        r"\bHOME\b",
        spec=container(securityContext={"runAsUser": 1000}),
    ),
    _i(
        "fsgroup-set-already",
        "PermissionDenied",
        "mkdir: cannot create directory '/data/db': Permission denied\n",
        r"/data",
        no=(r"Set fsGroup",),
        **_mount("/data", _CLAIM, securityContext={"runAsUser": 1000, "fsGroup": 1000}),
    ),
    _i(
        "hostpath-9p",
        "PermissionDenied",
        "chmod: changing permissions of '/var/lib/postgresql/data': Operation not permitted\n",
        r"hostPath",
        **_mount("/var/lib/postgresql/data", {"hostPath": {"path": "/mnt/c/pg"}}),
    ),
    # -- file modes ----------------------------------------------------------------------------------------------
    _i(
        "pg-data-mode",
        "PermissionDenied",
        '2024-05-01 10:00:00.000 UTC [1] FATAL:  data directory "/var/lib/postgresql/data" has invalid permissions\n2024-05-01 10:00:00.000 UTC [1] DETAIL:  Permissions should be u=rwx (0700) or u=rwx,g=rx (0750).\n',
        "fsGroup",
        "OnRootMismatch|0700|chmod",
        **_mount("/var/lib/postgresql/data", _CLAIM, securityContext={"fsGroup": 999}),
    ),
    _i(
        "pg-key-mode",
        "PermissionDenied",
        '2024-05-01 10:00:00.000 UTC [1] FATAL:  private key file "/certs/tls.key" has group or world access\n2024-05-01 10:00:00.000 UTC [1] DETAIL:  File must have permissions u=rw (0600) or less if owned by the database user, or permissions u=rw,g=r (0640) or less if owned by root.\n',
        "defaultMode",
        **_mount("/certs", {"secret": {"secretName": "pg-tls"}}),
    ),
    _i(
        "ssh-key-mode",
        "PermissionDenied",
        "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\n@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @\n@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\nPermissions 0644 for '/etc/git-secret/ssh' are too open.\nIt is required that your private key files are NOT accessible by others.\nThis private key will be ignored.\nLoad key \"/etc/git-secret/ssh\": bad permissions\ngit@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.\n",
        "defaultMode",
        "0?[46]00",
        no=("rejected its credentials",),
        code=128,
        **_mount("/etc/git-secret", {"secret": {"secretName": "git-creds"}}),
    ),
    _i(
        "mongo-keyfile",
        "PermissionDenied",
        '{"t":{"$date":"2024-05-01T10:00:00.000+00:00"},"s":"I",  "c":"ACCESS",   "id":20254,   "ctx":"main","msg":"Read security file failed","attr":{"error":{"code":30,"codeName":"InvalidPath","errmsg":"permissions on /etc/mongo/keyfile are too open"}}}\n',
        "defaultMode|0?400",
        no=("tells of no error",),
        **_mount("/etc/mongo", {"secret": {"secretName": "mongo-key"}}),
    ),
    _i(
        "erlang-cookie",
        "PermissionDenied",
        "14:02:11.123 [error] Cookie file /var/lib/rabbitmq/.erlang.cookie must be accessible by owner only\n",
        "fsGroup",
        "OnRootMismatch|chmod",
        **_mount("/var/lib/rabbitmq", _CLAIM, securityContext={"fsGroup": 999}),
    ),
    _i(
        "mysql-world-writable",
        "PermissionDenied|AppError",
        "mysqld: [Warning] World-writable config file '/etc/mysql/conf.d/my.cnf' is ignored.\n2024-05-01T10:00:00.000000Z 0 [ERROR] [MY-010119] [Server] Aborting\n",
        "defaultMode|writable",
        **_mount("/etc/mysql/conf.d", {"configMap": {"name": "my-cnf", "defaultMode": 511}}),
    ),
    _i(
        "script-not-executable",
        "PermissionDenied|CommandNotExecutable",
        "/bin/sh: 1: /scripts/start.sh: Permission denied\n",
        "defaultMode|0?755|mode",
        code=126,
        **_mount("/scripts", {"configMap": {"name": "scripts"}}),
    ),
    # -- service links -------------------------------------------------------------------------------------------
    _i(
        "svclink-gunicorn",
        "AppConfigMissing|AppError",
        "Error: '10.96.14.7' is not a valid port number.\n",
        "FRONTEND_PORT",
        "enableServiceLinks",
        objects=(_SERVICE,),
    ),
    _i(
        "svclink-tcp",
        "AppConfigMissing|AppError",
        "Error: 'tcp' is not a valid port number.\n",
        "enableServiceLinks",
        objects=(_SERVICE,),
    ),
    _i(
        "svclink-go",
        "AppConfigMissing|AppError",
        "2024/05/01 10:00:00 listen tcp: address tcp://10.96.14.7:5000: too many colons in address\n",
        "FRONTEND_PORT",
        "enableServiceLinks",
        no=("tells of no error",),
        objects=(_SERVICE,),
    ),
    _i(
        "svclink-elixir",
        "AppConfigMissing|AppError",
        '** (ArgumentError) errors were found at the given arguments:\n\n  * 1st argument: not a textual representation of an integer\n\n    :erlang.binary_to_integer("tcp://10.96.14.7:5000")\n    (app 0.1.0) config/runtime.exs:12: (file)\n',
        "FRONTEND",
        "enableServiceLinks",
        objects=(_SERVICE,),
    ),
    _i(
        "svclink-node",
        "AppConfigMissing|AppError",
        "RangeError [ERR_SOCKET_BAD_PORT]: options.port should be >= 0 and < 65536. Received type string ('tcp://10.96.14.7:5000').\n    at validatePort (node:internal/validators:410:11)\n    at Server.listen (node:net:2018:5) {\n  code: 'ERR_SOCKET_BAD_PORT'\n}\n\nNode.js v18.19.0\n",
        "FRONTEND_PORT",
        "enableServiceLinks",
        objects=(_SERVICE,),
    ),
    _i(
        "svclink-spring",
        "AppConfigMissing|AppError",
        '***************************\nAPPLICATION FAILED TO START\n***************************\n\nDescription:\n\nFailed to bind properties under \'frontend.port\' to java.lang.Integer:\n\n    Property: frontend.port\n    Value: "tcp://10.96.14.7:5000"\n    Origin: System Environment Property "FRONTEND_PORT"\n    Reason: failed to convert java.lang.String to java.lang.Integer\n\nAction:\n\nUpdate your application\'s configuration\n',
        "FRONTEND_PORT",
        "enableServiceLinks",
        objects=(_SERVICE,),
    ),
    _i(
        "svclink-no-service-seen",
        "AppConfigMissing|AppError",
        'panic: strconv.Atoi: parsing "tcp://10.43.9.9:6379": invalid syntax\n' + _GO_MAIN,
        "enableServiceLinks",
        code=2,
    ),
    # -- limits of the node --------------------------------------------------------------------------------------
    _i(
        "inotify-go",
        "AppError",
        "2024/05/01 10:00:00 failed to create fsnotify watcher: too many open files\n",
        "max_user_instances",
        "node",
        no=(r"\bulimit -n\b",),
    ),
    _i(
        "inotify-ca-cert",
        "AppError",
        "panic: failed to new ca-cert watcher: too many open files\n" + _GO_MAIN,
        "max_user_instances",
        code=2,
    ),
    _i(
        "inotify-dotnet",
        "AppError",
        "Unhandled exception. System.IO.IOException: The configured user limit (128) on the number of inotify instances has been reached, or the per-process limit on the number of open file descriptors has been reached.\n   at System.IO.FileSystemWatcher.StartRaisingEvents()\n   at Program.<Main>$(String[] args)\n",
        "max_user_instances",
        "DOTNET_|reloadOnChange|sysctl",
        code=134,
    ),
    _i(
        "inotify-serve",
        "AppError",
        "E0501 10:00:00.000000       1 manager.go:109] Failed to serve gpu.intel.com/i915: too many open files\nF0501 10:00:00.000000       1 main.go:55] Unable to create watcher: too many open files\n",
        "max_user_instances",
        code=255,
    ),
    _i(
        "emfile-accept",
        "AppError",
        "2024/05/01 10:00:00 http: Accept error: accept tcp [::]:8080: accept4: too many open files; retrying in 1s\n2024/05/01 10:00:01 fatal: accept4: too many open files\n",
        r"open.files? limit|LimitNOFILE|descriptors",
        no=("max_user_instances",),
    ),
    _i(
        "es-max-map-count",
        "AppError",
        '{"@timestamp":"2024-05-01T10:00:00Z","log.level":"ERROR","message":"node validation exception\\n[1] bootstrap checks failed. You must address the points described in the following [1] lines before starting Elasticsearch.\\nbootstrap check failure [1] of [1]: max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]","service.name":"ES_ECS"}\nERROR: Elasticsearch did not exit normally - check the logs at /usr/share/elasticsearch/logs/docker-cluster.log\n',
        "vm.max_map_count",
        "262144",
        code=78,
    ),
    _i(
        "x86-64-v2",
        "WrongArchitecture|AppError",
        "Fatal glibc error: CPU does not support x86-64-v2\n",
        r"CPU",
        "image|node",
        code=127,
    ),
    # -- data of another version ---------------------------------------------------------------------------------
    _i(
        "pg-version",
        "AppError|DataVersionMismatch",
        "2024-05-01 10:00:00.000 UTC [1] FATAL:  database files are incompatible with server\n2024-05-01 10:00:00.000 UTC [1] DETAIL:  The data directory was initialized by PostgreSQL version 13, which is not compatible with this version 16.2 (Debian 16.2-1.pgdg120+2).\n",
        r"\b13\b",
        "pg_upgrade|dump",
        "image|tag",
        **_mount("/var/lib/postgresql/data", _CLAIM),
    ),
    _i(
        "cnpg-json",
        "AppError|DataVersionMismatch",
        '{"level":"info","ts":"2024-05-01T10:00:00Z","logger":"postgres","msg":"2024-05-01 10:00:00.000 UTC [29] FATAL:  database files are incompatible with server","pipe":"stderr"}\n{"level":"info","ts":"2024-05-01T10:00:00Z","logger":"postgres","msg":"2024-05-01 10:00:00.000 UTC [29] DETAIL:  The data directory was initialized by PostgreSQL version 16, which is not compatible with this version 17.4.","pipe":"stderr"}\n{"level":"info","ts":"2024-05-01T10:00:01Z","msg":"postmaster exited","postmasterExitStatus":"exit status 1"}\n',
        r"\b16\b",
        "image|tag",
        no=("tells of no error",),
    ),
    _i(
        "mysql-downgrade",
        "AppError|DataVersionMismatch",
        "2024-05-01T10:00:00.000000Z 1 [ERROR] [MY-014060] [Server] Invalid MySQL server upgrade: Cannot upgrade from 80018 to 90000. Upgrade to next major version is only allowed from the last LTS release, which version 80018 is not.\n2024-05-01T10:00:00.000000Z 0 [ERROR] [MY-010020] [Server] Data Dictionary initialization failed.\n2024-05-01T10:00:00.000000Z 0 [ERROR] [MY-010119] [Server] Aborting\n",
        "8\\.0\\.18|80018",
        "image|tag",
    ),
    _i(
        "redis-rdb",
        "AppError|DataVersionMismatch",
        "1:M 01 May 2024 10:00:00.000 # Can't handle RDB format version 12\n1:M 01 May 2024 10:00:00.000 # Fatal error loading the DB, check server logs. Exiting.\n",
        "RDB",
        "newer|image|tag",
    ),
    _i(
        "es-downgrade",
        "AppError|DataVersionMismatch",
        '{"@timestamp":"2024-05-01T10:00:00Z","log.level":"ERROR","message":"fatal exception while booting Elasticsearch","error.type":"java.lang.IllegalStateException","error.message":"cannot downgrade a node from version [8.13.0] to version [8.11.1]"}\n',
        "8.13.0",
        "image|tag",
    ),
    _i(
        "mongo-fcv",
        "AppError|DataVersionMismatch",
        '{"t":{"$date":"2024-05-01T10:00:00.000+00:00"},"s":"F",  "c":"STORAGE",  "id":20573,   "ctx":"initandlisten","msg":"Wrong mongod version","attr":{"error":"UPGRADE PROBLEM: Found an invalid featureCompatibilityVersion document (ERROR: Location4926900: Invalid featureCompatibilityVersion document in admin.system.version: { _id: \\"featureCompatibilityVersion\\", version: \\"4.2\\" }. If the current featureCompatibilityVersion is below 4.4, see the documentation on upgrading.)"}}\n',
        "featureCompatibilityVersion",
        "4\\.2|image|tag",
        code=62,
    ),
    _i(
        "mariadb-redo",
        "AppError|DataVersionMismatch",
        "2024-05-01 10:00:00 0 [ERROR] InnoDB: Upgrade after a crash is not supported. The redo log was created with MariaDB 10.5.8.\n2024-05-01 10:00:00 0 [ERROR] Plugin 'InnoDB' init function returned error.\n2024-05-01 10:00:00 0 [ERROR] Aborting\n",
        "10\\.5\\.8",
        "image|tag|version",
    ),
    _i(
        "kafka-meta",
        "AppError|DataVersionMismatch",
        "[2024-05-01 10:00:00,000] ERROR Exiting Kafka due to fatal exception (kafka.Kafka$)\nkafka.common.InconsistentClusterIdException: The Cluster ID abc doesn't match stored clusterId Some(xyz) in meta.properties. The broker is trying to join the wrong cluster. Configured zookeeper.connect may be wrong.\n\tat kafka.server.KafkaServer.startup(KafkaServer.scala:218)\n",
        "meta.properties",
        "volume|claim|data",
    ),
    _i(
        "etcd-downgrade",
        "AppError|DataVersionMismatch",
        '{"level":"fatal","ts":"2024-05-01T10:00:00.000Z","caller":"membership/downgrade.go:77","msg":"invalid downgrade; server version is lower than determined cluster version","current-server-version":"3.4.13","determined-cluster-version":"3.5"}\n',
        "3\\.5",
        "image|tag|version",
    ),
    _i(
        "grafana-migration",
        "AppError|DataVersionMismatch",
        'logger=migrator t=2024-05-01T10:00:00Z level=error msg="Executing migration failed" id="add unique index" error="UNIQUE constraint failed"\nError: ✗ migration failed (id = add unique index): UNIQUE constraint failed\n',
        "migrat",
        "back ?up|image|rollback|undo|version",
    ),
    _i(
        "mysql-lost-found",
        "AppError",
        "2024-05-01T10:00:00.000000Z 0 [ERROR] [MY-010457] [Server] --initialize specified but the data directory has files in it. Aborting.\n2024-05-01T10:00:00.000000Z 0 [ERROR] [MY-013236] [Server] The designated data directory /var/lib/mysql/ is unusable. You can remove all files that the server added to it.\n2024-05-01T10:00:00.000000Z 0 [ERROR] [MY-010119] [Server] Aborting\n",
        "subPath|subdirectory|lost\\+found",
        **_mount("/var/lib/mysql", _CLAIM),
    ),
    _i(
        "pg-lost-found",
        "AppError",
        'initdb: error: directory "/var/lib/postgresql/data" exists but is not empty\ninitdb: detail: It contains a lost+found directory, perhaps due to it being a mount point.\ninitdb: hint: Using a mount point directly as the data directory is not recommended.\nCreate a subdirectory under the mount point.\n',
        "PGDATA|subPath",
        **_mount("/var/lib/postgresql/data", _CLAIM),
    ),
    # -- locks, damaged data, other hands on the volume -----------------------------------------------------------
    _i(
        "prom-lock",
        "AppError",
        'ts=2024-05-01T10:00:00Z caller=main.go:1190 level=error err="opening storage failed: lock DB directory: resource temporarily unavailable"\n',
        "lock",
        "other|another|second|Recreate",
        **_mount("/prometheus", _CLAIM),
    ),
    _i(
        "es-lock",
        "AppError",
        "java.lang.IllegalStateException: failed to obtain node locks, tried [/usr/share/elasticsearch/data]; maybe these locations are not writable or multiple nodes were started on the same data path?\n\tat org.elasticsearch.env.NodeEnvironment.<init>(NodeEnvironment.java:297)\n",
        "lock",
        "other|another|second|writable",
    ),
    _i(
        "redis-aof",
        "AppError",
        "1:M 01 May 2024 10:00:00.000 # Bad file format reading the append only file appendonly.aof.1.incr.aof: make a backup of your AOF file, then use ./redis-check-aof --fix <filename.manifest>\n",
        "redis-check-aof",
        "back ?up",
    ),
    _i(
        "prom-wal",
        "AppError",
        'level=error ts=2024-05-01T10:00:00Z caller=main.go:787 err="opening storage failed: repair corrupted WAL: cannot handle error: open WAL segment: 12: open /prometheus/wal/00000012: no such file or directory"\n',
        "wal|corrupt|damaged",
    ),
    _i(
        "pg-checkpoint",
        "AppError",
        "2024-05-01 10:00:00.000 UTC [25] LOG:  invalid primary checkpoint record\n2024-05-01 10:00:00.000 UTC [25] PANIC:  could not locate a valid checkpoint record\n2024-05-01 10:00:00.000 UTC [1] LOG:  startup process (PID 25) was terminated by signal 6: Aborted\n2024-05-01 10:00:00.000 UTC [1] LOG:  aborting startup due to startup process failure\n",
        "backup|restore|damaged",
        no=("pg_resetwal -f",),
    ),
    _i(
        "liquibase-lock",
        "AppError",
        "liquibase.exception.LockException: Could not acquire change log lock.  Currently locked by api-7d9f (10.1.2.3) since 5/1/24, 10:00 AM\n\tat liquibase.lockservice.StandardLockService.waitForLock(StandardLockService.java:275)\n",
        "DATABASECHANGELOGLOCK",
        "release",
    ),
    _i(
        "go-migrate-dirty",
        "AppError",
        "2024/05/01 10:00:00 error: Dirty database version 17. Fix and force version.\n",
        "17",
        "force|migrat",
    ),
    _i(
        "sqlite-locked",
        "AppError",
        "sqlite3.OperationalError: database is locked\n",
        "lock",
        "replica|other|one|NFS|network",
    ),
    # -- what the image lacks ------------------------------------------------------------------------------------
    _i(
        "python-module",
        "AppError",
        "Traceback (most recent call last):\n  File \"/app/main.py\", line 1, in <module>\n    import flask\nModuleNotFoundError: No module named 'flask'\n",
        "flask",
        "image",
    ),
    _i(
        "shared-library",
        "AppError|CommandNotFound",
        "/app/server: error while loading shared libraries: libpq.so.5: cannot open shared object file: No such file or directory\n",
        "libpq",
        "image",
        code=127,
    ),
    _i(
        "glibc-version",
        "AppError",
        "/app/server: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by /app/server)\n",
        "glibc|2\\.34",
        "image|build",
    ),
    _i(
        "java-class-version",
        "AppError",
        'Exception in thread "main" java.lang.UnsupportedClassVersionError: com/shop/Main has been compiled by a more recent version of the Java Runtime (class file version 65.0), this version of the Java Runtime only recognizes class file versions up to 61.0\n\tat java.base/java.lang.ClassLoader.defineClass1(Native Method)\n',
        "Java 21",
        "Java 17",
        "image|base",
    ),
    _i(
        "dotnet-icu",
        "AppError",
        "Process terminated. Couldn't find a valid ICU package installed on the system. Please install libicu (or icu-libs) using your package manager and try again.\n   at System.Environment.FailFast(System.String)\n",
        "INVARIANT|icu",
        code=134,
    ),
    _i(
        "dotnet-framework",
        "AppError",
        "You must install or update .NET to run this application.\n\nApp: /app/api.dll\nArchitecture: x64\nFramework: 'Microsoft.AspNetCore.App', version '8.0.0' (x64)\n",
        "8\\.0",
        "image",
        code=150,
    ),
    _i(
        "node-openssl",
        "AppError",
        "Error: error:0308010C:digital envelope routines::unsupported\n    at new Hash (node:internal/crypto/hash:71:19)\n    at Object.createHash (node:crypto:133:10) {\n  code: 'ERR_OSSL_EVP_UNSUPPORTED'\n}\n\nNode.js v18.19.0\n",
        "openssl-legacy-provider|Node",
    ),
    _i(
        "crlf-script",
        "CommandNotFound|AppError",
        "env: 'bash\\r': No such file or directory\n",
        "line end|CRLF|carriage|dos2unix",
        code=127,
    ),
    _i(
        "jvm-cgroup-v2",
        "AppError",
        'Exception in thread "main" java.lang.NullPointerException: Cannot invoke "jdk.internal.platform.CgroupInfo.getMountPoint()" because "anyController" is null\n\tat java.base/jdk.internal.platform.cgroupv2.CgroupV2Subsystem.getInstance(CgroupV2Subsystem.java:81)\n',
        "cgroup",
        "JDK|Java|image",
    ),
    _i(
        "pg-root",
        "AppError|RunAsNonRootViolation",
        '"root" execution of the PostgreSQL server is not permitted.\nThe server must be started under an unprivileged user ID to prevent\npossible system security compromises.\n',
        "runAsUser|root",
    ),
    _i(
        "uid-no-passwd",
        "AppError",
        "Traceback (most recent call last):\n  File \"/app/main.py\", line 9, in <module>\n    getpass.getuser()\nKeyError: 'getpwuid(): uid not found: 1000650000'\n",
        "HOME|USER|passwd|user",
    ),
    # -- arguments and configuration -------------------------------------------------------------------------------
    _i(
        "unknown-flag",
        "AppError",
        "Error: unknown flag: --enable-leader-elect\nUsage:\n  manager [flags]\n\nFlags:\n  -h, --help   help for manager\n",
        "--enable-leader-elect",
        "args|command",
        spec=container(args=["--enable-leader-elect", "--v=2"]),
    ),
    _i(
        "argparse",
        "AppError",
        "usage: serve.py [-h] [--port PORT]\nserve.py: error: unrecognized arguments: --workers 4\n",
        "--workers",
        "args",
        code=2,
        spec=container(command=["python", "serve.py"], args=["--workers", "4"]),
    ),
    _i(
        "nginx-directive",
        "AppError",
        '2024/05/01 10:00:00 [emerg] 1#1: unknown directive "proxy_passs" in /etc/nginx/conf.d/default.conf:12\nnginx: [emerg] unknown directive "proxy_passs" in /etc/nginx/conf.d/default.conf:12\n',
        "ConfigMap web-conf",
        "line 12|:12",
        **_mount("/etc/nginx/conf.d", {"configMap": {"name": "web-conf"}}),
    ),
    _i(
        "yaml-parse",
        "AppError",
        "panic: error parsing /etc/app/config.yaml: yaml: line 14: did not find expected key\n" + _GO_MAIN,
        "ConfigMap app-conf",
        "line 14",
        code=2,
        **_mount("/etc/app", {"configMap": {"name": "app-conf"}}),
    ),
    _i(
        "crd-missing",
        "AppError",
        'E0501 10:00:00.000000       1 kind.go:66] "if kind is a CRD, it should be installed before calling Start" err="no matches for kind \\"Issuer\\" in version \\"cert-manager.io/v1\\"" logger="controller-runtime.source.EventHandler" kind="Issuer.cert-manager.io"\nE0501 10:00:01.000000       1 main.go:210] "problem running manager" err="no matches for kind \\"Issuer\\" in version \\"cert-manager.io/v1\\"" logger="setup"\n',
        "CRD|CustomResourceDefinition",
        "Issuer",
    ),
    _i(
        "leader-lost",
        "AppError",
        "I0501 10:00:00.000000       1 leaderelection.go:285] failed to renew lease kube-system/x: timed out waiting for the condition\nE0501 10:00:00.000000       1 leaderelection.go:308] Failed to release lock: resource name may not be empty\nF0501 10:00:00.000000       1 main.go:100] leaderelection lost\n",
        "API server",
        "etcd|slow|latency|load",
    ),
    _i(
        "in-cluster-config",
        "AppError",
        "panic: open /var/run/secrets/kubernetes.io/serviceaccount/token: no such file or directory\n" + _GO_MAIN,
        "automountServiceAccountToken",
        code=2,
    ),
    _i(
        "nginx-ipv6",
        "AppError",
        "nginx: [emerg] socket() [::]:80 failed (97: Address family not supported by protocol)\n",
        "IPv6",
        "listen",
    ),
    _i(
        "bind-not-local",
        "AppError|AddressInUse",
        "2024/05/01 10:00:00 listen tcp 10.20.30.40:8080: bind: cannot assign requested address\n",
        "0\\.0\\.0\\.0|status\\.podIP",
        no=("tells of no error",),
    ),
    _i(
        "gpu-driver",
        "AppError",
        "RuntimeError: The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver by downloading and installing a new version.\n",
        "driver",
        "node",
    ),
    _i(
        "gpu-none",
        "AppError",
        "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver\n",
        "nvidia\\.com/gpu",
    ),
    # -- credentials and certificates by server -----------------------------------------------------------------
    _i(
        "pg-password",
        "DependencyAuthFailed",
        'sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) connection to server at "db" (10.96.3.4), port 5432 failed: FATAL:  password authentication failed for user "app"\n',
        "ALTER (?:USER|ROLE)",
        "volume|initiali[sz]",
        spec=container(
            env=[{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db-creds", "key": "password"}}}]
        ),
    ),
    _i(
        "pg-hba",
        "DependencyAuthFailed",
        'FATAL:  no pg_hba.conf entry for host "10.1.2.3", user "app", database "shop", no encryption\n',
        "pg_hba",
        "sslmode|SSL",
    ),
    _i(
        "mysql-denied",
        "DependencyAuthFailed",
        "ERROR 1045 (28000): Access denied for user 'app'@'10.1.2.3' (using password: YES)\n",
        "ALTER USER|GRANT",
    ),
    _i(
        "redis-noauth",
        "DependencyAuthFailed",
        "redis.exceptions.AuthenticationError: NOAUTH Authentication required.\n",
        "no password|without a password|sends none|password is missing",
    ),
    _i(
        "kafka-sasl",
        "DependencyAuthFailed",
        "org.apache.kafka.common.errors.SaslAuthenticationException: Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512\n",
        "SASL|SCRAM|sasl\\.mechanism",
    ),
    _i(
        "aws-irsa",
        "DependencyAuthFailed",
        "botocore.exceptions.ClientError: An error occurred (AccessDenied) when calling the AssumeRoleWithWebIdentity operation: Not authorized to perform sts:AssumeRoleWithWebIdentity\n",
        "role-arn|trust",
        "ServiceAccount",
    ),
    _i(
        "x509-unknown",
        "CertificateInvalid",
        'panic: Get "https://vault.shop.svc:8200/v1/sys/health": tls: failed to verify certificate: x509: certificate signed by unknown authority\n'
        + _GO_MAIN,
        "vault\\.shop\\.svc",
        "CA|ca\\.crt",
        code=2,
    ),
    _i(
        "x509-name",
        "CertificateInvalid",
        'panic: Get "https://10.96.9.9:8443/": tls: failed to verify certificate: x509: cannot validate certificate for 10.96.9.9 because it doesn\'t contain any IP SANs\n'
        + _GO_MAIN,
        "10\\.96\\.9\\.9",
        "name",
        code=2,
    ),
    _i(
        "x509-expired-clock",
        "CertificateInvalid",
        'panic: Get "https://api.shop.svc/": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-11-23T22:15:22Z is after 2026-01-01T00:00:00Z\n'
        + _GO_MAIN,
        "2026-01-01",
        "renew",
        code=2,
    ),
    # -- other languages and structured logs --------------------------------------------------------------------
    _i(
        "korean",
        "DependencyUnreachable|AppError",
        "2024-05-01 10:00:00 [오류] 데이터베이스 연결에 실패했습니다: db:5432\n프로그램을 종료합니다\n",
        "db:5432",
        no=("tells of no error",),
    ),
    _i(
        "german-perm",
        "PermissionDenied",
        "mkdir: Verzeichnis '/data/cache' kann nicht angelegt werden: Keine Berechtigung\n",
        "/data",
    ),
    _i(
        "french-nofile",
        "AppConfigMissing|AppError",
        "cat: /etc/app/config.yaml: Aucun fichier ou dossier de ce type\n",
        "/etc/app/config.yaml",
    ),
    _i("spanish-space", "DiskFull", "error al escribir /data/x: No queda espacio en el dispositivo\n", "/data"),
    _i(
        "japanese",
        "AppError",
        "2024-05-01 10:00:00 エラー: 設定の読み込みに失敗しました\n",
        "失敗",
        no=("tells of no error",),
    ),
    _i(
        "chinese",
        "AppError|DependencyUnreachable",
        "2024-05-01 10:00:00 启动失败: 无法连接到数据库\n",
        "启动失败",
        no=("tells of no error",),
    ),
    _i(
        "portuguese-refused",
        "DependencyUnreachable",
        "Erro fatal: não foi possível conectar a db:5432: Conexão recusada\n",
        "db:5432",
    ),
    _i(
        "pino-nested",
        "AppError",
        '{"level":60,"time":1714557600000,"pid":1,"hostname":"x","err":{"type":"TypeError","message":"Cannot read properties of undefined (reading \'id\')","stack":"TypeError: Cannot read properties of undefined (reading \'id\')\\n    at load (/app/src/boot.js:14:20)"},"msg":"boot"}\n',
        "boot\\.js:14",
    ),
    _i(
        "serilog",
        "AppError",
        '{"@t":"2024-05-01T10:00:00Z","@mt":"Host terminated unexpectedly","@l":"Fatal","@x":"System.InvalidOperationException: Unable to resolve service for type \'IClock\' while attempting to activate \'Shop.Orders\'.\\n   at Microsoft.Extensions.DependencyInjection.CallSiteFactory.Create()\\n   at Program.Main()"}\n',
        "IClock",
        code=134,
    ),
    _i(
        "log4j-json",
        "AppError",
        '{"instant":{"epochSecond":1714557600,"nanoOfSecond":0},"thread":"main","level":"FATAL","loggerName":"com.shop.Main","message":"Startup failed","thrown":{"commonElementCount":0,"message":"ratio must be positive","name":"java.lang.IllegalArgumentException","extendedStackTrace":"java.lang.IllegalArgumentException: ratio must be positive\\n\\tat com.shop.Rates.load(Rates.java:31)\\n"}}\n',
        "ratio must be positive",
        "Rates\\.java:31|Rates\\.load",
    ),
    _i(
        "journald",
        "DependencyUnreachable",
        '{"PRIORITY":"3","SYSLOG_IDENTIFIER":"api","MESSAGE":"dial tcp 10.96.0.9:5432: connect: connection refused"}\n',
        "10\\.96\\.0\\.9:5432",
        no=("tells of no error",),
    ),
    _i(
        "fatal-in-info",
        "AppError",
        '{"level":"info","ts":1714557600.1,"msg":"2024-05-01 10:00:00 UTC FATAL:  configuration file \\"/pgdata/postgresql.conf\\" contains errors"}\n{"level":"info","ts":1714557600.2,"msg":"process ended"}\n',
        "postgresql.conf",
        no=("tells of no error",),
    ),
    # -- the program's own fault, and words that nobody knows -------------------------------------------------------
    _i(
        "npe",
        "AppError",
        'Exception in thread "main" java.lang.NullPointerException: Cannot invoke "String.length()" because "s" is null\n\tat com.shop.orders.Loader.load(Loader.java:42)\n\tat com.shop.Main.main(Main.java:7)\n',
        "Loader\\.java:42",
        no=("Fix what",),
    ),
    _i("unknown-words", "AppError", "the flux capacitor misaligned, aborting\n", "debug", "logs", no=("Fix what",)),
    _i("silent-loop", "AppError", "", "debug|terminal", no=("Fix what",)),
    # -- addresses -------------------------------------------------------------------------------------------------
    _i(
        "dns-servfail",
        "DependencyUnreachable",
        "panic: dial tcp: lookup db.shop.svc.cluster.local on 10.96.0.10:53: server misbehaving\n" + _GO_MAIN,
        "DNS",
        code=2,
    ),
    _i(
        "dns-no-namespace",
        "DependencyUnreachable",
        "getaddrinfo ENOTFOUND redis.cache.svc.cluster.local\nError: getaddrinfo ENOTFOUND redis.cache.svc.cluster.local\n    at GetAddrInfoReqWrap.onlookup [as oncomplete] (node:dns:107:26) {\n  code: 'ENOTFOUND',\n  hostname: 'redis.cache.svc.cluster.local'\n}\n\nNode.js v20\n",
        "namespace cache",
    ),
    _i(
        "address-in-use",
        "AddressInUse",
        "Error: listen EADDRINUSE: address already in use :::9113\n    at Server.setupListenHandle [as _listen2] (node:net:1817:16) {\n  code: 'EADDRINUSE',\n  port: 9113\n}\n\nNode.js v20.11.0\n",
        "9113",
    ),
)
