"""What programs say about their stored data: another cluster's, locked, damaged, not empty."""

from __future__ import annotations

import posixpath

from kubetriage.model import Fix
from kubetriage.rules.crash.acts import app, cloud, image, manifest, node, on_node, place, where
from kubetriage.rules.crash.apart import rebuild
from kubetriage.rules.crash.container_spec import mount_of, volume_words
from kubetriage.rules.crash.known_errors.data_versions import all_said, held_data
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said, path_near
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.fields import objects, text
from kubetriage.values.patterns import lazy


def _other_disk(words: LastWords, _: Said) -> Advice:
    return Advice(
        "the disk holds the data of another storage cluster, so it is not taken",
        (
            app(
                "See which disk it is, and that nobody needs the old cluster's data; nothing brings it back afterwards."
            ),
            node(
                f"If it is not wanted, clean that disk on {place(words)} by the storage system's guide (for Ceph: wipe "
                "its first and last part), and let the operator try again.",
                on_node(words, "lsblk", "-f"),
            ),
        ),
    )


def _member_known(words: LastWords, _: Said) -> Advice:
    """Judge an etcd member that starts without its data: the cluster knows it, the volume does not."""
    return Advice(
        f"the cluster knows this etcd member already, and {held_data(words)} holds no data of it: the volume is new or "
        "was emptied",
        (
            app(
                "While the others have quorum, let it join anew: remove the member, add it again, and start it with "
                "--initial-cluster-state=existing (ETCD_INITIAL_CLUSTER_STATE).",
                kubectl(
                    "exec",
                    placeholder("running-etcd-pod"),
                    "--",
                    "etcdctl",
                    "member",
                    "list",
                    namespace=words.case.pod.namespace,
                ),
            ),
            manifest(
                words,
                f"If the data should be there, see whether {where(words)} mounts the right claim at its --data-dir.",
            ),
            app("Without quorum restore a snapshot (etcdutl snapshot restore) into all members."),
        ),
    )


def _damaged(words: LastWords, said: Said) -> Advice:
    low = all_said(words, said).lower()
    remedy = next((r for k, r in _REPAIRS.items() if k in low), "restore the newest backup into an empty volume")
    rebuilt = rebuild(words)
    return Advice(
        f"its data on {held_data(words)} is damaged or cut off, as after a kill, a full disk or a lost volume",
        (
            *rebuilt,
            app(f"Keep a copy of the volume (VolumeSnapshot or backup) before anything else; then {remedy}."),
            cloud(
                "See whether the disk was full or had I/O errors before: the kernel log of the node, "
                "the storage's own events."
            ),
        ),
    )


_REPAIRS = {
    "tc log": "delete tc.log on the volume and start once with --tc-heuristic-recover=rollback (or commit): it decides "
    "about transactions that the crash left prepared; then start as before",
    "tocommit": "while the other members have quorum, remove this one and add it again with an empty data directory "
    "(etcdctl member remove, member add; ETCD_INITIAL_CLUSTER_STATE=existing): it takes the data over from them. "
    "Restore "
    "a snapshot only where quorum is lost",
    "append only file": "run redis-check-aof --fix on the file that the log names; it drops the cut-off end",
    "aof": "run redis-check-aof --fix on the file that the log names; it drops the cut-off end",
    "loading the db": "check it with redis-check-rdb (in a copy of the pod); a file that is cut off or is no RDB "
    "is not "
    "read: restore dump.rdb from a backup or a replica, or move it away and start empty",
    "checkpoint record": "restore the newest backup; pg_resetwal is the last resort and loses transactions",
    "wal": "move the damaged wal segments (or the whole wal directory) away; what was not compacted is lost",
    "innodb": "start with innodb_force_recovery=1 (then 2, 3), dump everything, and restore into an empty volume",
    "tsm": "move the damaged shard away, or restore a backup",
    "mnesia": "remove the node from the cluster, empty its mnesia directory and let it join again",
    "crc mismatch": "remove the member and add it again with an empty data directory (etcdctl member remove, add)",
    "sqlite": "recover it with sqlite3 FILE .recover, or restore a backup",
}


def _data_path(words: LastWords) -> str:
    """Return where the only claim of a container is mounted; empty when there are several or none."""
    volumes = {text(v, "name") for v in objects(words.case.pod.raw, "spec", "volumes") if "persistentVolumeClaim" in v}
    held = [text(m, "mountPath") for m in objects(words.container.spec, "volumeMounts") if text(m, "name") in volumes]
    return held[0] if len(held) == 1 else ""


_CHANGES_OWNER = lazy(r"\b(?:chown|chgrp|chmod)\b|changing owner|change owner")


def _not_empty(words: LastWords, said: Said) -> Advice | None:
    if _CHANGES_OWNER.search(said.line):
        return None  # a change of owners comes by it as by any other directory
    path = path_near(said.line, said.match.start()) or path_near(said.line, len(said.line))
    container = words.container
    if "lost+found" in said.line:
        path = path.removesuffix("/").removesuffix("/lost+found") or _data_path(words)
    postgres = "initdb" in all_said(words, said) or "postgres" in container.image
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
    if "lost+found" in said.line and not postgres:
        return Advice(
            f"it takes lost+found, which every fresh ext4 volume has at its root, for data of its own ({path})",
            (
                *fixes[:-1],
                *(
                    ()
                    if name
                    else (
                        app(
                            "Let it keep its data in a subdirectory of the volume (subPath).",
                        ),
                    )
                ),
            ),
        )
    return Advice(
        f"its data directory {path or ''} is not empty when it is to be initialized (lost+found of a "
        "fresh volume, or an "
        "interrupted first start)".replace("  ", " "),
        tuple(fixes),
    )


def _sqlite(words: LastWords, _: Said) -> Advice:
    return Advice(
        f"another process or pod holds a lock on its SQLite database ({held_data(words)})",
        (
            manifest(words, "Run one replica with strategy Recreate: SQLite on one volume takes one writer."),
            cloud(
                "Keep SQLite on a block volume: file locks on NFS, SMB or EFS (network file systems) are not reliable."
            ),
        ),
    )


def _left_pid(words: LastWords, said: Said) -> Advice:
    path = path_near(said.line, len(said.line))
    file = path or "its pid file"
    found = mount_of(words.container, path) if path else None
    on = f" on {volume_words(found[1])}" if found is not None else ""
    fixes = [
        manifest(
            words,
            f"Remove {file} before the program starts, in the command of {where(words)}: "
            f"sh -c 'rm -f {path or 'PIDFILE'} && exec PROGRAM'.",
        )
    ]
    if found is not None:
        fixes.append(
            manifest(words, f"Or keep {posixpath.dirname(path)} off the volume, so that it ends with the container.")
        )
    else:
        fixes.append(
            image(f"Or see that image {words.container.image} was not built with {file} in it (.dockerignore).")
        )
    return Advice(f"{file}{on} is left from an earlier run, so it takes itself for running", tuple(fixes))


def _not_formatted(words: LastWords, _: Said) -> Advice:
    return Advice(
        f"the storage on {held_data(words)} is not formatted for KRaft, or the volume is not mounted at log.dirs",
        (
            app("Format it once with the cluster's id: kafka-storage.sh format -t CLUSTER-ID -c server.properties."),
            manifest(
                words,
                f"Or mount the claim of {where(words)} where log.dirs points to; a new path looks like an empty disk.",
            ),
        ),
    )


def _fixed(words: LastWords, said: Said) -> Advice:
    """Judge a setting that is chosen when the data is made, and may not change while there is data."""
    groups = {k: v for k, v in said.match.groupdict().items() if v}
    kept = groups.get("kept", "") or groups.get("tokens", "")
    name = groups.get("name") or ("num_tokens" if "tokens" in groups else "innodb_page_size")
    back = (
        f"Set {name} back to {kept} in {where(words)}" if kept else f"Set {name} in {where(words)} back to what it was"
    )
    return Advice(
        f"{name} is fixed when the data is first made, and {held_data(words)} was made with another value"
        + (f" ({kept})" if kept else ""),
        (
            manifest(words, f"{back}; it may not change with data in place."),
            app(
                f"To change {name}: dump the data, initialize an empty volume with the new value, and load the "
                f"dump there. "
                "Keep the old volume until that runs."
            ),
        ),
        details={"setting": name, **({"stored": kept} if kept else {})},
    )


ROWS: tuple[Row, ...] = (
    Row(
        "fixed-with-data",
        lazy(
            r"Different (?P<name>lower_case_table_names) settings for server \('?\d'?\) and data dictionary "
            r"\('?(?P<kept>\d)'?\)"
            r"|Cannot change the number of tokens from (?P<tokens>\d{1,5}) to"
            r"|[Ii]nnodb_page_size[^\n]{0,80}(?:differ|mismatch|not match)"
        ),
        _fixed,
        beside=True,
    ),
    Row(
        "member-known",
        lazy(r"member [0-9a-f]{6,20} has already been bootstrapped"),
        _member_known,
        beside=True,
    ),
    Row("disk-of-another-cluster", lazy(r"\bis from a different cluster:"), _other_disk, beside=True),
    Row(
        "pid-left",
        lazy(
            r"server is already running(?:\. Check | \(pid)|(?i:pid ?file[^\n]{0,120}already exists)"
            r"|httpd \(pid \d{1,7}\) already running|pidfile[^\n]{0,80}exists, (?:process|daemon) "
        ),
        _left_pid,
    ),
    Row(
        "storage-not-formatted",
        lazy(r"No readable meta\.properties|storage (?:directory )?is not formatted"),
        _not_formatted,
    ),
    Row("sqlite-locked", lazy(r"database (?:table )?is locked|SQLITE_BUSY"), _sqlite),
    Row(
        "data-damaged",
        lazy(
            r"(?i)bad magic header in tc log|can't init tc log|wrong signature trying to load DB"
            r"|bad file format reading the append only file"
            r"|corrupted cluster config file"
            r"|could not locate a valid checkpoint record"
            r"|invalid (?:primary )?checkpoint record|(?:repair )?corrupt(?:ed)? WAL"
            r"|wal[^\n]{0,60}(?:corrupt|crc mismatch)"
            r"|crc mismatch|unexpected end of file reading the append only|database disk image is malformed"
            r"|(?:page|tablespace|data ?file|segment|chunk|index|block)[^\n]{0,60}\bcorrupt"
            r"|\bCorruption: |RocksDB[^\n]{0,80}(?:corrupt|bad table magic)|bad magic number|invalid magic"
            r"|truncated (?:record|segment|aof|rdb)|Short read or OOM loading DB|unexpected EOF reading",
        ),
        _damaged,
        beside=True,
    ),
    Row(
        "data-not-empty",
        lazy(
            r"--initialize specified but the data directory has files in it|data directory[^\n]{0,60}is unusable"
            r"|directory \"[^\"\n]{1,300}\" exists but is not empty|contains? a lost\+found directory|lost\+found",
        ),
        _not_empty,
        beside=True,
    ),
)
