"""Data that another version of the program wrote: which one, and the image that reads it."""

from __future__ import annotations

import re

from kubetriage.model import Evidence, Fix
from kubetriage.rules.crash.acts import app, manifest, where
from kubetriage.rules.crash.container_spec import claims, mount_of
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.next_looks import rollback
from kubetriage.rules.crash.program_output import LastWords, Said, path_near
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy


def held_data(words: LastWords) -> str:
    """Name where the data is, in a sentence."""
    found = claims(words.container)
    return f"PersistentVolumeClaim {found[0]}" if found else "the data volume"


def all_said(words: LastWords, said: Said) -> str:
    """Return the line and the lines of its error, where the versions stand."""
    error = words.error
    return " ".join([said.line, *((error.summary, *error.lines) if error is not None else ())])[:4096]


_TAG = lazy(r"(?P<v>v?)(?P<numbers>\d{1,5}(?:\.\d{1,5}){0,3})(?P<rest>(?:-[A-Za-z][\w.]{0,40}){0,3})")
# Suffixes that name a variant of the image, which each version has; others (builds, revisions) belong to one version.
_VARIANT = lazy(
    r"(?:-(?:alpine|slim|bookworm|bullseye|trixie|jammy|noble|focal|debian|ubuntu|ubi\d?|apache|fpm|management|rootless"
    r"|ce|ee|oss|community|enterprise|jdk\d{1,2})(?:[\d.]{0,6}))*"
)


def image_of_version(image: str, version: str) -> str:
    """Return an image with the tag of another version, as exact as its own tag; empty where tags tell no version.

    ``postgres:17.4-alpine`` and ``15`` give ``postgres:15-alpine``; a digest, ``latest`` or a tag with a build number
    give nothing.
    """
    repository, colon, tag = image.rpartition(":")
    found = _TAG.fullmatch(tag) if colon and "/" not in tag and "@" not in image else None
    numbers = version.strip(".").split(".")
    if found is None or not _VARIANT.fullmatch(found["rest"]) or not all(n.isdigit() for n in numbers):
        return ""
    kept = ".".join(numbers[: found["numbers"].count(".") + 1])
    return "" if kept == found["numbers"] else f"{repository}:{found['v']}{kept}{found['rest']}"


def pin_image(words: LastWords, version: str, sentence: str) -> Fix:
    """Make the fix that goes back to the image of a version: by name where the tag tells versions, else by words."""
    case, container = words.case, words.container
    image = image_of_version(container.image, version) if version else ""
    top = case.workload
    settable = top.kind in ("Deployment", "StatefulSet", "DaemonSet")
    if not image or not settable:
        return manifest(words, sentence, None, *(rollback(words) if not image else ()))
    command = kubectl(
        "set", "image", f"{top.kind.lower()}/{top.name}", f"{container.name}={image}", namespace=case.pod.namespace
    )
    return manifest(words, f"{sentence.rstrip('.')}: {image}.", None, command)


def _version_in(words: LastWords, said: Said, whole: str) -> str:
    """Return the version that wrote the data, as the log tells it; empty when it does not."""
    compatible = _COMPATIBLE.search(whole)
    if compatible is not None:
        # MongoDB: the value that the data carries; the lowest that this server accepts is one step from it.
        return compatible[1]
    groups = [g for g in said.match.groups() if g]
    old = groups[0] if groups else ""
    if not old:
        initialized = _INITIALIZED.search(whole) or _INITIALIZED.search(words.text[-65536:])
        old = next((g for g in initialized.groups() if g), "") if initialized is not None else ""
    if old.isdigit() and len(old) in (5, 6):  # MySQL: 80018 is 8.0.18
        old = f"{int(old[:-4])}.{int(old[-4:-2])}.{int(old[-2:])}"
    if "RDB format" in whole:
        old = f"RDB format {old}"
    return old.rstrip(".")


_COMPATIBLE = lazy(
    r"(?i)invalid feature ?compatibility ?version (?:value|document)[^\n]{0,240}?['\"](\d{1,2}\.\d)\\?['\"]"
)
_EXPECTED = lazy(r"expected '(\d{1,2}\.\d)'")


def _other_version(words: LastWords, said: Said) -> Advice:
    whole = all_said(words, said)
    old = _version_in(words, said, whole)
    of = f"version {old}" if old and "RDB" not in old else f"a newer server ({old})" if old else "another version"
    server, migrate = next((v for k, v in _MIGRATIONS.items() if k in whole.lower()), _MIGRATIONS[""])
    image_now = words.container.image
    pin = old if old and "RDB" not in old else ""
    between = _FIRST.search(whole)
    if between is not None and old and "RDB" not in old:
        return _by_way_of(words, old, between[1], server)
    lowest = _EXPECTED.search(whole) if _COMPATIBLE.search(whole) else None
    steps = ""
    if lowest is not None and _numbers(old) < _numbers(lowest[1]):
        # The release between reads the old value too, and can raise it.
        pin = lowest[1]
        steps = (
            f" In it, raise the value: db.adminCommand({{setFeatureCompatibilityVersion: '{lowest[1]}', "
            f"confirm: true}})"
            " (confirm from 7.0 on), then update the image again."
        )
    shown = (
        f"version {pin}, which reads data of {old}"
        if steps
        else f"the version that wrote the data ({old or 'see the log'})"
    )
    return Advice(
        f"the data on {held_data(words)} was written by {of}, and {server} of image {image_now} cannot read it",
        (
            pin_image(words, pin, f"Pin the image of {where(words)} to {shown}; the data stays as it is."),
            app(f"Then migrate on purpose, with a backup first: {migrate}.{steps}"),
        ),
        (Evidence("spec", f"{words.container.spec_path}.image", image_now),),
        details={"dataVersion": old} if old else {},
    )


_FIRST = lazy(r"(?i)(?:upgrade|migrate|update) to (?:version )?\[?v?(\d{1,3}(?:\.\d{1,3}){0,2})\]? first")


def _by_way_of(words: LastWords, old: str, between: str, server: str) -> Advice:
    """Judge data that a release reads only after another one between has opened it."""
    return Advice(
        f"the data on {held_data(words)} was written by version {old}, and {server} of image "
        f"{words.container.image} takes "
        f"it only from {between} on",
        (
            pin_image(
                words,
                between,
                f"Run version {between} in {where(words)} first: it reads the data of {old} and brings it on. Take a "
                "snapshot before; there is no way back from it.",
            ),
            app(f"When all members run {between} and are healthy, update to the new version again."),
            manifest(words, f"To stay where it was: pin the image to {old}, which reads its data as it is."),
        ),
        (Evidence("spec", f"{words.container.spec_path}.image", words.container.image),),
        details={"dataVersion": old, "between": between},
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:3])


def _schema_ahead(words: LastWords, said: Said) -> Advice:
    """Judge a database whose schema is newer than the release that starts: nothing is damaged, the image is too old."""
    version = next((g for g in said.match.groups() if g), "")
    of = f" (version {version})" if version else ""
    return Advice(
        f"the schema of its database{of} is newer than image {words.container.image} knows: a later release has "
        "migrated it already",
        (
            manifest(
                words,
                f"Run the release that migrated the database, or a later one, in {where(words)}; most programs cannot "
                "migrate down.",
            ),
            app(
                "To stay on this release, restore the backup from before the update; do not edit the schema "
                "version. If no "
                "later release ran, it connects to the database of another branch or program: compare the "
                "connection settings."
            ),
        ),
        (Evidence("spec", f"{words.container.spec_path}.image", words.container.image),),
        details={"schemaVersion": version} if version else {},
    )


def _layout(words: LastWords, _: Said) -> Advice:
    """Judge the image of PostgreSQL 18, whose data directory carries the major version."""
    mounts = [
        path for path in (path_near(line, 0) for line in words.text[-8192:].split("\n")) if path.startswith("/var/lib")
    ]
    old = next((p for p in mounts if p != "/var/lib/postgresql"), "/var/lib/postgresql/data")
    found = mount_of(words.container, old)
    name = text(found[0], "name") if found is not None else "data"
    return Advice(
        f"images of PostgreSQL 18 and later keep their data below /var/lib/postgresql/MAJOR, and a volume with data of "
        f"an older version is mounted at {old}",
        (
            manifest(
                words,
                f"Old data: pin the image of {where(words)} to the major version that wrote it (file PG_VERSION in "
                f"{old}, at most 17); it stays as it is there.",
            ),
            app("Then migrate with a backup first: pg_dumpall with the old image and restore into 18, or pg_upgrade."),
            manifest(
                words,
                "New, empty volume: mount it at /var/lib/postgresql, one level up, and leave PGDATA unset.",
                words.container.patch({"volumeMounts": [{"name": name, "mountPath": "/var/lib/postgresql"}]}),
            ),
        ),
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
    "meilisearch": ("Meilisearch", "make a dump with the old image and start the new one with --import-dump"),
    "docker image version": ("the program", "one major version at a time, each started once"),
    "": ("the server", "follow the upgrade path of its documentation, version by version"),
}


ROWS: tuple[Row, ...] = (
    Row(
        "data-layout",
        lazy(r"in 18\+, these Docker images are configured to store database data"),
        _layout,
        beside=True,
    ),
    Row(
        "data-version",
        lazy(
            r"database files are incompatible with server|not recognized by setlocale"
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
            r"|version of the data \((\d[\d.]{0,20})\) is higher than"
            r"|(?i:(?:database|data|storage|store|index|disk|on-disk|file)(?: files?| format| schema)? version:?"
            r" [('\"]{0,2}v?)(\d[\w.]{0,20}?)[)'\"]{0,2} (?i:is (?:incompatible|not compatible|not supported"
            r"|unsupported|too (?:old|new)|newer|older|higher|lower)|(?:does not|doesn't) match"
            r"|cannot be (?:read|opened))",
        ),
        _other_version,
        beside=True,
    ),
    Row(
        "schema-ahead",
        lazy(
            r"(?i)database (?:schema )?(?:\((?:migration )?)?version:? ?\(?(\d{1,16})\)? is (?:for a )?(?:newer|higher)"
            r"|no migration found for version (\d{1,16})"
            r"|(?:database|schema)[^\n]{0,60}\bis (?:for |from )?a (?:newer|later|future) \w+"
            r"|schema version (\d{1,16}) is (?:newer|greater|higher) than"
            r"|Can't locate revision identified by '(\w{1,40})'"
        ),
        _schema_ahead,
        beside=True,
        whole=True,
    ),
)
