"""Files of a program that its image has and a volume hides: a claim or an empty directory is mounted over them."""

from __future__ import annotations

import posixpath

from kubetriage.model import Evidence
from kubetriage.rules.crash.acts import image, manifest, where
from kubetriage.rules.crash.container_spec import mount_of, volume_words
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy

# What a program runs or loads; its data and its configuration may well be on a volume.
_CODE = lazy(
    r"\.(?:php|phar|py|pyc|js|mjs|cjs|ts|rb|pl|jar|war|dll|sh|lua|exs?|beam)\Z"
    r"|/(?:vendor|node_modules|site-packages|dist|build|bin|_build|public)/"
)
_FILLED = ("persistentVolumeClaim", "emptyDir", "hostPath", "nfs", "csi", "ephemeral")


def _hidden(words: LastWords, said: Said) -> Advice | None:
    path = next((g for g in said.match.groups() if g), "").rstrip(".:,)'\"")
    container = words.container
    found = mount_of(container, path)
    if found is None or not _CODE.search(path):
        return None
    mount, volume = found
    at = text(mount, "mountPath").rstrip("/")
    if text(mount, "subPath") or not any(kind in volume for kind in _FILLED) or len(at) < 2:
        return None
    name = text(mount, "name")
    held = volume_words(volume)
    copy = f"cp -a -n {at}/. /fill/"
    spec = {
        "initContainers": [
            {
                "name": "fill",
                "image": container.image,
                "command": ["sh", "-c", copy],
                "volumeMounts": [{"name": name, "mountPath": "/fill"}],
            }
        ]
    }
    return Advice(
        f"{path} is missing: {held} is mounted over {at}, which hides what image {container.image} has there",
        (
            manifest(
                words,
                f"Mount {held} in {where(words)} only where the program keeps its data (a directory below {at}, such "
                f"as "
                f"{posixpath.join(at, 'storage')}), so that the image's files show again.",
            ),
            manifest(
                words,
                f"Or fill the volume from the image first, where the program must have {at} on it: an init container "
                f"of "
                "the same image copies what is not there yet. After an upgrade the volume still has the old files.",
                spec,
            ),
            image(f"If {path} is made by an installation step (composer install, npm ci), do that in the image."),
        ),
        (Evidence("spec", f"{container.spec_path}.volumeMounts[{name}]", f"{at} is {held}"),),
        details={"file": path},
        sure=False,
    )


ROWS: tuple[Row, ...] = (
    Row(
        "file-hidden-by-volume",
        lazy(
            r"Failed opening required '(/[\w./@+-]{2,200})'"
            r"|Could not open input file: (/[\w./@+-]{2,200})"
            r"|can't open file '(/[\w./@+-]{2,200})'"
            r"|Cannot find module '(/[\w./@+-]{2,200})'"
            r"|Unable to access jarfile (/[\w./@+-]{2,200})"
            r"|(?:cannot load such file|cannot open|LoadError:?) (?:-- )?(/[\w./@+-]{2,200})"
            r"|(?:ENOENT|[Nn]o such file or directory)[^\n]{0,60}?['\" ](/[\w./@+-]{2,200})"
            r"|(?<![\w.])(/[\w./@+-]{2,200})['\"]?:? (?:No such file or directory|[Nn]ot found|does not exist)"
        ),
        _hidden,
        beside=True,
    ),
)
