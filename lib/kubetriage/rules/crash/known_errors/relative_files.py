"""Files that a program looks for beside itself: a relative path, and another working directory than the image's."""

from __future__ import annotations

from kubetriage.model import Evidence, Fix
from kubetriage.rules.crash.acts import image, manifest, where
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import shell
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy

# Configuration is judged by what mounts it, modules and libraries by what installs them.
_OTHERS = lazy(r"\.(?:ya?ml|json|toml|conf|cfg|cnf|ini|properties|env|hcl|config|xml|so|dll|node|jar|crt|key|pem)\Z")


def _relative(words: LastWords, said: Said) -> Advice | None:
    path = next((g for g in said.match.groups() if g), "")
    if not path or _OTHERS.search(path):
        return None
    container = words.container
    own = text(container.spec, "workingDir")
    at = f"{container.spec_path}.workingDir"
    look = shell("docker", "run", "--rm", "--entrypoint", "sh", container.image, "-c", f"pwd; find / -path '*/{path}'")
    first: Fix = (
        manifest(
            words,
            f"Remove workingDir {own} of {where(words)}, or set it to the directory above {path}: it replaces the "
            f"WORKDIR "
            "of the image.",
        )
        if own
        else image(f"Copy {path} into the last stage of image {container.image}, below its WORKDIR.", look)
    )
    second = (
        image(f"If it is missing there as well, copy {path} into the last stage of the image, below its WORKDIR.", look)
        if own
        else manifest(words, f"Or set workingDir of {where(words)} to the directory above it, or give it a whole path.")
    )
    place = f"workingDir {own}, which the pod sets" if own else f"the working directory of image {container.image}"
    return Advice(
        f"{path.removeprefix('./')} is not there: a relative path is looked up in {place}",
        (first, second),
        (Evidence("spec", at, own),) if own else (),
        details={"file": path},
    )


_PATH = r"((?:\.{1,2}/)?[\w@+-][\w.@+-]{0,80}(?:/[\w.@+-]{1,80}){1,12})"

ROWS: tuple[Row, ...] = (
    Row(
        "relative-file-missing",
        lazy(
            rf"\b(?:open|stat|lstat|read|load|chdir|fopen"
            rf"|readFile)\b:?\(? ?['\"]?{_PATH}['\"]?\)?: no such file or directory"
            rf"|No such file or directory: ['\"]{_PATH}['\"]"
            rf"|No such file or directory @ \w{{3,30}} - {_PATH}"
            rf"|ENOENT: no such file or directory, \w{{3,20}} ['\"]{_PATH}['\"]"
        ),
        _relative,
    ),
)
