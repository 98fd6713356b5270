"""What programs say about their stored data: another version's, another cluster's, locked, damaged, not empty."""

from __future__ import annotations

from kubetriage.model import Evidence, Fix
from kubetriage.rules.crash.acts import app, cloud, manifest, where
from kubetriage.rules.crash.container_spec import claims, mount_of, volume_words
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said, path_near
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import number, text
from kubetriage.values.patterns import lazy


def _held(words: LastWords) -> str:
    """Name where the data is, in a sentence."""
    found = claims(words.container)
    return f"PersistentVolumeClaim {found[0]}" if found else "the data volume"


def _all_said(words: LastWords, said: Said) -> str:
    """Return the line and the lines of its error, where the versions stand."""
    error = words.error
    return " ".join([said.line, *((error.summary, *error.lines) if error is not None else ())])[:4096]


def _undo(words: LastWords) -> tuple[str, ...]:
    top = words.case.workload
    if top.kind not in ("Deployment", "StatefulSet", "DaemonSet"):
        return ()
    return (kubectl("rollout", "undo", f"{top.kind.lower()}/{top.name}", namespace=words.case.pod.namespace),)


def _other_version(words: LastWords, said: Said) -> Advice:
    whole = _all_said(words, said)
    groups = [g for g in said.match.groups() if g]
    old = groups[0] if groups else ""
    if not old:
        initialized = _INITIALIZED.search(whole) or _INITIALIZED.search(words.text[-65536:])
        old = next((g for g in initialized.groups() if g), "") if initialized is not None else ""
    if old.isdigit() and len(old) in (5, 6):  # MySQL: 80018 is 8.0.18
        old = f"{int(old[:-4])}.{int(old[-4:-2])}.{int(old[-2:])}"
    if "RDB format" in whole:
        old = f"RDB format {old}"
    of = f"version {old}" if old and "RDB" not in old else f"a newer server ({old})" if old else "another version"
    server, migrate = next((v for k, v in _MIGRATIONS.items() if k in whole.lower()), _MIGRATIONS[""])
    image_now = words.container.image
    return Advice(
        f"the data on {_held(words)} was written by {of}, and {server} of image {image_now} cannot read it",
        (
            manifest(
                words,
                f"Pin the image of {where(words)} to the version that wrote the data "
                f"({old or 'see the log'}); the data "
                "stays as it is.",
                None,
                *_undo(words),
            ),
            app(f"Then migrate on purpose, with a backup first: {migrate}."),
        ),
        (Evidence("spec", f"{words.container.spec_path}.image", image_now),),
        details={"dataVersion": old} if old else {},
    )


_INITIALIZED = lazy(
    r"initialized by PostgreSQL version (\d{1,2}(?:\.\d{1,2})?)|from version \[?(\d[\w.]{0,20})"
    r"|determined-cluster-version\W{1,4}(\d[\w.]{0,20})",
    0,
)
# What brings each server's data to the new version; found by a word of the log.
_MIGRATIONS = {
    "postgres": ("PostgreSQL", "pg_upgrade, or pg_dumpall with the old image and restore into an empty volume"),
    "database files are incompatible": (
        "PostgreSQL",
        "pg_upgrade, or pg_dumpall with the old image and restore into an empty volume",
    ),
    "mariadb": ("MariaDB", "start the old version, shut it down cleanly, then the new one and mariadb-upgrade"),
    "innodb": ("MySQL", "step through each LTS release (8.0, 8.4, 9.x), or dump with the old image and restore"),
    "mysql": ("MySQL", "step through each LTS release (8.0, 8.4, 9.x), or dump with the old image and restore"),
    "rdb format": ("Redis", "run the newer Redis or Valkey that wrote the file; an older one cannot read it"),
    "featurecompatibilityversion": (
        "MongoDB",
        "go through each major version and set featureCompatibilityVersion with setFeatureCompatibilityVersion in it",
    ),
    "mongod": ("MongoDB", "go through each major version and set featureCompatibilityVersion in each"),
    "elasticsearch": ("Elasticsearch", "indices go forward only: run the newer version, or restore a snapshot"),
    "opensearch": ("OpenSearch", "indices go forward only: run the newer version, or restore a snapshot"),
    "downgrade a node": ("Elasticsearch", "indices go forward only: run the newer version, or restore a snapshot"),
    "cluster-version": ("etcd", "run the newer etcd; go back only with etcdctl downgrade, or restore a snapshot"),
    "etcd": ("etcd", "run the newer etcd; go back only with etcdctl downgrade, or restore a snapshot"),
    "feature flag": (
        "RabbitMQ",
        "start the old version, enable all feature flags (rabbitmqctl enable_feature_flag all)",
    ),
    "metadata.version": ("Kafka", "run the newer Kafka; downgrade metadata.version with kafka-features first"),
    "": ("the server", "follow the upgrade path of its documentation, version by version"),
}


def _other_cluster(words: LastWords, _: Said) -> Advice:
    return Advice(
        f"the data on {_held(words)} belongs to another cluster or member than the configuration names",
        (
            manifest(
                words,
                f"If the data is wanted, give {where(words)} the ids that it was made with "
                "(meta.properties, member id). "
                "The quorum or ZooKeeper must be the same too.",
            ),
            app(
                f"If this is a new cluster, {_held(words)} is left from an old one: start with an "
                "empty one. Keep a backup until it runs."
            ),
        ),
    )


def _locked(words: LastWords, said: Said) -> Advice:
    case = words.case
    path = path_near(said.line, said.match.start())
    found = mount_of(words.container, path) if path else None
    held = volume_words(found[1]) if found is not None else _held(words)
    many = [p.name for p in case.replicas if p.name != case.pod.name and not p.finished]
    fixes: list[Fix] = []
    if case.workload.kind == "Deployment":
        fixes.append(
            manifest(
                words,
                f"Set strategy Recreate in {case.workload_name}: a rolling update starts the new pod while the old one "
                "still holds the lock.",
                None,
                kubectl(
                    "patch",
                    "deployment",
                    case.workload.name,
                    "--type=merge",
                    "-p",
                    '{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}',
                    namespace=case.pod.namespace,
                ),
            )
        )
    other = f"pods {', '.join(many[:3])} use it too" if many else "another process or pod may use it"
    fixes.append(
        manifest(
            words,
            "Let one pod use the data: replicas 1, or a StatefulSet with a claim per pod; delete a pod that hangs in "
            "Terminating.",
            None,
            kubectl("get", "pods", "-o", "wide", namespace=case.pod.namespace),
        )
    )
    fixes.append(
        app(
            f"If no other pod uses {held}, the lock is left from a killed one, or the storage (NFS) "
            "does not lock: check "
            "that it is writable, then remove the lock file."
        )
    )
    return Advice(f"the lock of its data is held ({held}); {other}", tuple(fixes))


def _database_lock(words: LastWords, _: Said) -> Advice:
    return Advice(
        "a migration of another instance holds the change log lock, or died while it held it",
        (
            app(
                "See who holds it: select * from DATABASECHANGELOGLOCK. If that pod is gone, release it with liquibase "
                "release-locks (update DATABASECHANGELOGLOCK set locked=false)."
            ),
            manifest(
                words,
                f"So that it does not come back: run the migration in a Job or init container, and give {where(words)} "
                "a startupProbe that does not kill it in mid-migration.",
            ),
        ),
    )


def _dirty(_: LastWords, said: Said) -> Advice:
    version = next((g for g in said.match.groups() if g), "")
    return Advice(
        f"an earlier migration stopped half-way: the schema is marked dirty at version {version or '(see log)'}",
        (
            app(
                f"Look at what migration {version} did, finish or undo it by hand, then set the version: migrate force "
                f"{version or 'VERSION'} (the one before, if it was undone)."
            ),
            app("Find why it stopped first: an error in its SQL, a pod that was killed, two instances at once."),
        ),
        details={"schemaVersion": number({"v": int(version)}, "v")} if version.isdigit() else {},
    )


def _migration(words: LastWords, _: Said) -> Advice:
    return Advice(
        "a migration of its database failed; the schema on the volume or server does not fit this version",
        (
            manifest(
                words,
                f"Go back to the image that last ran against this database, if {where(words)} was just updated.",
                None,
                *_undo(words),
            ),
            app(
                "Take a backup, then run the migration again and mend what its error names (a "
                "duplicate, a missing column)."
            ),
        ),
    )


def _damaged(words: LastWords, said: Said) -> Advice:
    low = _all_said(words, said).lower()
    remedy = next((r for k, r in _REPAIRS.items() if k in low), "restore the newest backup into an empty volume")
    return Advice(
        f"its data on {_held(words)} is damaged or cut off, as after a kill, a full disk or a lost volume",
        (
            app(f"Keep a copy of the volume (VolumeSnapshot or backup) before anything else; then {remedy}."),
            cloud(
                "See whether the disk was full or had I/O errors before: the kernel log of the node, "
                "the storage's own events."
            ),
        ),
    )


_REPAIRS = {
    "append only file": "run redis-check-aof --fix on the file that the log names; it drops the cut-off end",
    "aof": "run redis-check-aof --fix on the file that the log names; it drops the cut-off end",
    "checkpoint record": "restore the newest backup; pg_resetwal is the last resort and loses transactions",
    "wal": "move the damaged wal segments (or the whole wal directory) away; what was not compacted is lost",
    "innodb": "start with innodb_force_recovery=1 (then 2, 3), dump everything, and restore into an empty volume",
    "tsm": "move the damaged shard away, or restore a backup",
    "mnesia": "remove the node from the cluster, empty its mnesia directory and let it join again",
    "crc mismatch": "remove the member and add it again with an empty data directory (etcdctl member remove, add)",
    "sqlite": "recover it with sqlite3 FILE .recover, or restore a backup",
}


def _not_empty(words: LastWords, said: Said) -> Advice:
    path = path_near(said.line, said.match.start()) or path_near(said.line, len(said.line))
    container = words.container
    postgres = "initdb" in _all_said(words, said) or "postgres" in container.image
    found = mount_of(container, path) if path else None
    name = text(found[0], "name") if found is not None else ""
    mount = text(found[0], "mountPath") if found is not None else path
    fixes: list[Fix] = []
    if postgres:
        directory = f"{(mount or '/var/lib/postgresql/data').rstrip('/')}/pgdata"
        fixes.append(
            manifest(
                words,
                f"Set PGDATA of {where(words)} to a subdirectory of the mount.",
                container.patch({"env": [{"name": "PGDATA", "value": directory}]}),
            )
        )
    if name:
        fixes.append(
            manifest(
                words,
                "Or mount a subdirectory of the volume: set subPath on the volumeMount."
                if fixes
                else "Mount a subdirectory of the volume, so that lost+found stays outside: set "
                "subPath on the volumeMount.",
                container.patch({"volumeMounts": [{"name": name, "mountPath": mount, "subPath": "data"}]}),
            )
        )
    fixes.append(
        app(
            "If it holds more than lost+found, an earlier initialization stopped half-way: look into it, and empty it "
            "only if nothing in it is wanted."
        )
    )
    return Advice(
        f"its data directory {path or ''} is not empty when it is to be initialized (lost+found of a "
        "fresh volume, or an "
        "interrupted first start)".replace("  ", " "),
        tuple(fixes),
    )


def _sqlite(words: LastWords, _: Said) -> Advice:
    return Advice(
        f"another process or pod holds a lock on its SQLite database ({_held(words)})",
        (
            manifest(words, "Run one replica with strategy Recreate: SQLite on one volume takes one writer."),
            cloud(
                "Keep SQLite on a block volume: file locks on NFS, SMB or EFS (network file systems) are not reliable."
            ),
        ),
    )


def _left_pid(words: LastWords, _: Said) -> Advice:
    return Advice(
        "a pid file of an earlier run lies in its directory, so it takes itself for running",
        (
            manifest(
                words,
                f"Remove it before the start of {where(words)}: rm -f tmp/pids/server.pid && exec ... in the command.",
            ),
            manifest(
                words,
                "Or keep it off the volume: an emptyDir at its directory does not help, /tmp in the container does.",
            ),
        ),
    )


def _not_formatted(words: LastWords, _: Said) -> Advice:
    return Advice(
        f"the storage on {_held(words)} is not formatted for KRaft, or the volume is not mounted at log.dirs",
        (
            app("Format it once with the cluster's id: kafka-storage.sh format -t CLUSTER-ID -c server.properties."),
            manifest(
                words,
                f"Or mount the claim of {where(words)} where log.dirs points to; a new path looks like an empty disk.",
            ),
        ),
    )


ROWS: tuple[Row, ...] = (
    Row(
        "data-version",
        lazy(
            r"database files are incompatible with server|not recognized by setlocale"
            r"|Can't locate revision identified by"
            r"|Cannot (?:upgrade|downgrade) from (\d{5,6}|\d[\d.]{2,12}) to \d"
            r""
            r"|Can't handle RDB format version (\d{1,3})"
            r"|cannot (?:downgrade|upgrade) a node from version \[?(\d[\w.-]{1,20})"
            r"|Invalid featureCompatibilityVersion document[^\n]{0,200}?version: \\?\"(\d[\d.]{1,8})"
            r"|(?i:invalid feature ?compatibility ?version)|UPGRADE PROBLEM"
            r"|Upgrade after a crash is not supported\. The redo log was created with (?:MariaDB )?(\d[\d.]{1,12})"
            r"|redo log (?:was created with"
            r"|format)[^\n]{0,40}?(\d+\.\d[\d.]{0,10})?[^\n]{0,60}(?:not supported|unsupported)"
            r"|invalid downgrade; server version is lower than determined cluster version"
            r"|data (?:directory|files?)[^\n]{0,80}(?:created|initialized|written) by (?:a )?(?:newer"
            r"|another|different|older)"
            r"|(?:index|data|cluster|schema|store)[^\n]{0,60}(?:is|was created with) (?:a )?(?:newer"
            r"|later|future) version"
            r"|created with version \[?(\d[\w.]{1,12})\]?[^\n]{0,80}minimum compatible version"
            r"|incompatible data format|unsupported (?:data|storage|file) (?:format )?version"
            r"|required feature flag not enabled|feature flags? [^\n]{0,80}(?:not supported|required)"
            r"|metadata\.version \d+ is (?:not|un)supported"
            r"|database (?:schema )?version \(?\d+\)? is (?:newer|higher) than",
        ),
        _other_version,
        beside=True,
    ),
    Row(
        "data-cluster",
        lazy(
            r"InconsistentClusterIdException|InconsistentBrokerIdException|trying to join the wrong cluster"
            r"|doesn't match stored (?:clusterId|brokerId|nodeId)|[Ss]tored node id \d+ doesn't match"
            r"|member [0-9a-f]{6,20} has already been bootstrapped|request (?:sent was ignored|cluster ID mismatch)"
            r"|cluster ID mismatch|removed from the cluster|local node name does not match",
        ),
        _other_cluster,
        beside=True,
    ),
    Row(
        "change-log-lock",
        lazy(r"(?i)could not acquire change ?log lock|waiting for changelog lock"),
        _database_lock,
        beside=True,
        whole=False,
    ),
    Row("migration-dirty", lazy(r"(?i)dirty database version (\d{1,18})|schema is dirty"), _dirty, beside=True),
    Row(
        "data-locked",
        lazy(
            r"(?i)(?:lock DB directory|failed to obtain node locks?|unable to lock (?:the )?(?:data"
            r"|store|file|database)"
            r"|could not lock (?:the )?(?:data|store|file|database|pid)|cannot (?:acquire|obtain"
            r"|get) (?:directory )?lock"
            r"|failed to (?:acquire|obtain|get) (?:the )?(?:directory |file |store |database )?lock\b"
            r"|Unable to lock \./ibdata1|Could not acquire lock on|store lock|lock file \"[^\"]{1,200}\" already exists"
            r"|another (?:instance|process|\w{1,20}) is (?:already )?(?:running|using)"
            r"|database is already (?:open|in use)"
            r"|Unable to acquire exclusive lock|timeout acquiring exclusive lock|cannot open lock file)",
        ),
        _locked,
        beside=True,
        whole=False,
    ),
    Row("pid-left", lazy(r"server is already running\. Check |pid ?file [^\n]{0,80}already exists"), _left_pid),
    Row(
        "storage-not-formatted",
        lazy(r"No readable meta\.properties|storage (?:directory )?is not formatted"),
        _not_formatted,
    ),
    Row("sqlite-locked", lazy(r"database (?:table )?is locked|SQLITE_BUSY"), _sqlite),
    Row(
        "data-damaged",
        lazy(
            r"(?i)bad file format reading the append only file|corrupted cluster config file"
            r"|could not locate a valid checkpoint record"
            r"|invalid (?:primary )?checkpoint record|(?:repair )?corrupt(?:ed)? WAL"
            r"|wal[^\n]{0,60}(?:corrupt|crc mismatch)"
            r"|crc mismatch|unexpected end of file reading the append only|database disk image is malformed"
            r"|(?:page|tablespace|data ?file|segment|chunk|index|block)[^\n]{0,60}\bcorrupt"
            r"|truncated (?:record|segment|aof|rdb)|Short read or OOM loading DB|unexpected EOF reading",
        ),
        _damaged,
        beside=True,
    ),
    Row(
        "data-not-empty",
        lazy(
            r"--initialize specified but the data directory has files in it|data directory[^\n]{0,60}is unusable"
            r"|directory \"[^\"\n]{1,300}\" exists but is not empty|contains? a lost\+found directory",
        ),
        _not_empty,
        beside=True,
    ),
    Row(
        "migration-failed",
        lazy(
            r"(?i)(?:migrations? (?:\S{1,80} )?failed|failed to (?:run|apply|execute) (?:\w+ ){0,3}migrations?"
            r"|executing migration failed|validate failed: migration|migration checksum mismatch"
            r"|could not (?:run|apply) (?:\w+ ){0,2}migrations?"
            r"|relation \"\S{1,80}\" already exists)",
        ),
        _migration,
        whole=False,
    ),
)
