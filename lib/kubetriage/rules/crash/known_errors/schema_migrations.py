"""Migrations of a database's schema: held by a lock, stopped half-way, changed after they ran, failed."""

from __future__ import annotations

import re

from kubetriage.rules.crash.acts import app, image, manifest, where
from kubetriage.rules.crash.known_errors.data_versions import all_said
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.next_looks import rollback
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.fields import number
from kubetriage.values.patterns import lazy


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
                *rollback(words),
            ),
            app(
                "Take a backup, then run the migration again and mend what its error names (a "
                "duplicate, a missing column)."
            ),
        ),
    )


def _not_empty(words: LastWords, said: Said) -> Advice:
    schema = next((g for g in said.match.groups() if g), "")
    where_to = f"schema {schema}" if schema else "the schema"
    return Advice(
        f"{where_to} already has tables and no history of migrations: it was made without the migration tool, or this "
        "is another program's schema",
        (
            app(
                "See what is in it, then choose. If it is this program's own: set the baseline once (flyway baseline "
                "or spring.flyway.baseline-on-migrate=true, baseline-version at the migration that it stands at; "
                "prisma migrate resolve --applied)."
            ),
            manifest(
                words,
                f"If it belongs to another program: give {where(words)} a database or schema of its own (its "
                "connection URL).",
            ),
        ),
        details={"schema": schema} if schema else {},
    )


def _checksums(words: LastWords, said: Said) -> Advice:
    version = re.search(r"migration version (\d[\w.]{0,40})", all_said(words, said))
    which = f" {version[1]}" if version is not None else ""
    return Advice(
        f"migration{which} was changed after it had run: its checksum in the database is another than in image "
        f"{words.container.image}",
        (
            image(
                f"Put the migration{which} back as it was applied, and bring the change as a new migration; or "
                f"go back to "
                "the image that applied it.",
                *rollback(words),
            ),
            app(
                "If only its form changed (line ends, comments), take the new checksum over once: flyway repair; "
                "liquibase clear-checksums."
            ),
        ),
    )


def _unfinished(words: LastWords, _: Said) -> Advice:
    back = rollback(words)
    return Advice(
        "a background migration of the release before has not ended, and this release needs it done",
        (
            manifest(
                words,
                "Go back to the version that ran before, and wait until its background migrations are finished "
                "(GitLab: "
                "Admin, Monitoring, Background migrations); then upgrade again, over each required stop of the upgrade "
                "path.",
                None,
                *back,
            ),
            app(
                "Or end it by hand with the command that the log prints, in the toolbox pod of the version that "
                "runs; it "
                "may take hours."
            ),
        ),
    )


ROWS: tuple[Row, ...] = (
    Row(
        "background-migration",
        lazy(
            r"[Bb]ackground migration[^\n]{0,120}(?:to be marked as 'finished'|not (?:finished|complete)|still "
            r"(?:active|running))"
        ),
        _unfinished,
        beside=True,
    ),
    Row(
        "change-log-lock",
        lazy(r"(?i)could not acquire change ?log lock|waiting for changelog lock"),
        _database_lock,
        beside=True,
        whole=False,
    ),
    Row(
        "schema-not-empty",
        lazy(
            r"Found non-empty schema(?:\(s\))? [\"'`]?(?P<name>[\w.-]{1,80})?[^\n]{0,200}\b(?:no |without )(?:schema "
            r"history|metadata) table|\bP3005\b|The database schema is not empty"
        ),
        _not_empty,
        beside=True,
    ),
    Row("migration-dirty", lazy(r"(?i)dirty database version (\d{1,18})|schema is dirty"), _dirty, beside=True),
    Row(
        "migration-changed",
        lazy(
            r"(?i)migration checksum mismatch(?: for migration version [\w.]{1,40})?|migrations? have failed validation"
            r"|changesets? check sum|\bwas: \d{1,2}:[0-9a-f]{32} but is now: "
        ),
        _checksums,
        beside=True,
    ),
    Row(
        "migration-failed",
        lazy(
            r"(?i)(?:migrations? (?:\S{1,80} )?failed|failed to (?:run|apply|execute) (?:\w+ ){0,3}migrations?"
            r"|executing migration failed|validate failed: migration"
            r"|could not (?:run|apply) (?:\w+ ){0,2}migrations?"
            r"|relation \"\S{1,80}\" already exists)",
        ),
        _migration,
        whole=False,
    ),
)
