"""Files of a program that its image does not have, where no volume could bring them."""

from __future__ import annotations

import posixpath

from kubetriage.model import Evidence
from kubetriage.rules.crash.acts import image, manifest, where
from kubetriage.rules.crash.config_files import missing_file
from kubetriage.rules.crash.container_spec import mount_of
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.next_looks import rollback
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import shell
from kubetriage.values.fields import texts
from kubetriage.values.patterns import lazy

# Where images keep programs. What stands elsewhere is data, or made by the system.
_OF_IMAGE = lazy(r"\A/(?:app|srv|code|workspace|www|var/www|opt|home|root|usr/(?:src|local|lib|share)|htdocs|site)/")
_NOT_OF_IMAGE = lazy(r"\.(?:sock|pid|lock|log|db|sqlite3?|token)\Z|/(?:tmp|cache|run|logs?|data|secrets?|mnt)/")


def _absent(words: LastWords, said: Said) -> Advice | None:
    """Judge a file where images keep programs and nothing is mounted: only the image could have it."""
    path = next((g for g in said.match.groups() if g), "").rstrip(".:,)'\"")
    container = words.container
    if not _OF_IMAGE.match(path) or _NOT_OF_IMAGE.search(path) or mount_of(container, path) is not None:
        return None
    if missing_file(words) is not None:
        return None
    directory = posixpath.dirname(path)
    given = [*texts(container.spec, "command"), *texts(container.spec, "args")]
    named = next((v for v in given if path in v or posixpath.basename(path) in v.split("/")), "")
    fixes = [
        image(
            f"Put {path} into the image (COPY in its last stage, .dockerignore, the step of the build that makes it), "
            "and deploy the new tag. What it has there now:",
            shell("docker", "run", "--rm", "--entrypoint", "ls", container.image, "-la", directory),
        ),
        manifest(
            words,
            "If the image has it elsewhere: correct "
            + (f"{named!r} in command and args" if named else "workingDir, command and args")
            + f" of {where(words)}.",
        ),
    ]
    if back := rollback(words):
        fixes.insert(0, manifest(words, "Go back to the revision before, whose pods run.", None, *back))
    proof = (Evidence("spec", f"{container.spec_path}.volumeMounts", f"nothing is mounted at {directory}"),)
    return Advice(
        f"image {container.image} does not have {path}, and no volume brings it",
        tuple(fixes),
        proof,
        details={"file": path},
        sure=False,
    )


_MISSING = (
    r"(?:ENOENT|[Nn]o such file or directory)[^\n]{0,60}?['\" ](/[\w./@+-]{2,200})"
    r"|(?<![\w.])(/[\w./@+-]{2,200})['\"]?:? (?:No such file or directory|[Nn]ot found|does not exist)"
)

ROWS: tuple[Row, ...] = (
    Row(
        "file-not-in-image",
        lazy(
            r"Could not open input file: (/[\w./@+-]{2,200})|Failed opening required '(/[\w./@+-]{2,200})'"
            r"|can't open file '(/[\w./@+-]{2,200})'"
            rf"|{_MISSING}"
        ),
        _absent,
    ),
)
