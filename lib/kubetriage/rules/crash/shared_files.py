"""Files on a volume that another container of the pod writes: who that is, and what it makes them of."""

from __future__ import annotations

import posixpath
import re

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.readers.pods import Container
from kubetriage.records import dataclass
from kubetriage.rules.crash.acts import restart
from kubetriage.rules.crash.container_spec import mount_of, volume_words
from kubetriage.rules.crash.node_commands import in_copy
from kubetriage.rules.crash.program_output import LastWords
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, flag, objects, text
from kubetriage.values.patterns import lazy


@dataclass(frozen=True)
class Writer:
    """A container that writes into a directory of another one, and the label of the objects that it copies there."""

    container: Container
    mount: str
    """The directory, in the container that reads it."""
    label: str = ""
    """``grafana_datasource=1``; empty where it makes the files in another way."""
    kinds: str = "configmaps,secrets"


def writers(words: LastWords) -> list[Writer]:
    """Return who else may write into the emptyDirs of a container, init containers first."""
    reader, pod = words.container, words.case.pod
    shared = {text(v, "name"): v for v in objects(pod.raw, "spec", "volumes") if isinstance(v.get("emptyDir"), dict)}
    found = []
    for mount in objects(reader.spec, "volumeMounts"):
        name = text(mount, "name")
        if name not in shared:
            continue
        for other in pod.containers:
            if other.name == reader.name or other.kind == "ephemeral":
                continue
            theirs = next((m for m in objects(other.spec, "volumeMounts") if text(m, "name") == name), None)
            if theirs is None or flag(theirs, "readOnly") is True:
                continue
            label, kinds = _collects(other, theirs)
            found.append(Writer(other, text(mount, "mountPath").rstrip("/") or "/", label, kinds))
    return sorted(found, key=lambda w: ("init", "sidecar", "app").index(w.container.kind))


def writers_of(words: LastWords, path: str) -> list[Writer]:
    """Return who else may write a path of a container."""
    return [w for w in writers(words) if path == w.mount or path.startswith(f"{w.mount}/")]


def _collects(container: Container, mount: Obj) -> tuple[str, str]:
    """Return the label of the objects that a sidecar copies into a folder (kiwigrid/k8s-sidecar: LABEL, FOLDER)."""
    given = container.environment()
    folder, label = given.get("FOLDER", ""), given.get("LABEL", "")
    here = text(mount, "mountPath").rstrip("/")
    if not label or not (folder == here or folder.startswith(f"{here}/")):
        return "", ""
    value = given.get("LABEL_VALUE", "")
    kinds = {"both": "configmaps,secrets", "secret": "secrets"}.get(given.get("RESOURCE", "").lower(), "configmaps")
    return f"{label}={value}" if value else label, kinds


_WORD = lazy(r"[a-z]{5,40}")


def collected(words: LastWords) -> Writer | None:
    """Return the sidecar whose files the last error is about: by its folder, or by what the folder is called."""
    said = words.error.summary if words.error is not None else ""
    lower = said[:2000].lower()
    found = []
    for writer in writers(words):
        if not writer.label:
            continue
        named = writer.mount in said
        about = posixpath.basename(writer.mount).lower().rstrip("s")
        if named or (len(about) >= 5 and about in {w.rstrip("s") for w in _WORD.findall(lower)}):
            found.append(writer)
    return found[0] if len(found) == 1 else None


_DEFAULTS = lazy(r"only one datasource[^\n]{0,60}default", re.IGNORECASE)


def collected_hint(writer: Writer) -> str:
    """Say in a clause where the files come from."""
    return f"; {writer.container.name} fills {writer.mount} from objects with the label {writer.label}"


def collected_evidence(writer: Writer) -> Evidence:
    """Quote the label."""
    return Evidence("spec", f"{writer.container.spec_path}.env[LABEL]", f"{writer.label} -> {writer.mount}")


def collected_fixes(words: LastWords, writer: Writer) -> tuple[Fix, ...]:
    """Say where to correct a file that a sidecar copies: in one of the labelled objects, whoever made it."""
    namespace = words.case.pod.namespace
    given = writer.container.environment()
    places = given.get("NAMESPACE", "")
    everywhere = places.upper() == "ALL"
    look = kubectl(
        "get",
        writer.kinds,
        "-l",
        writer.label,
        *(("-A",) if everywhere else ()),
        "-o",
        "yaml",
        namespace="" if everywhere else namespace,
    )
    two = words.error is not None and _DEFAULTS.search(words.error.summary) is not None
    what = (
        "leave isDefault: true in one of them and set it to false in the others"
        if two
        else "correct the one that the error is about"
    )
    return (
        Fix(
            f"Look through the ConfigMaps and Secrets with label {writer.label}, which {writer.container.name} copies "
            f"to {writer.mount}, and {what}; each may belong to another chart. Then restart.",
            actor=Actor.MANIFEST,
            commands=(look, *restart(words)),
        ),
    )


def writer_fix(words: LastWords, path: str) -> Fix | None:
    """Name who has to write a file that is missing or wrong on a shared emptyDir; None where nobody else does."""
    found = writers_of(words, path)
    if not found:
        return None
    first = found[0]
    pod = words.case.pod
    kind = "init container" if first.container.kind == "init" else "container"
    more = f" from objects with the label {first.label}" if first.label else ""
    return Fix(
        f"{path} lies on an emptyDir that {kind} {first.container.name} fills{more}: see in its log why the file is "
        "not there, and correct what it makes.",
        actor=Actor.MANIFEST,
        commands=(kubectl("logs", pod.name, "-c", first.container.name, namespace=pod.namespace),),
    )


def kept_file_fix(words: LastWords, path: str, at_line: str = "") -> Fix:
    """Say where to correct a file that lies on a volume which is no ConfigMap or Secret: not in the image."""
    found = mount_of(words.container, path)
    pod = words.case.pod
    volume = found[1] if found is not None else {}
    written = writers_of(words, path)
    if written:
        first = written[0].container
        return Fix(
            f"Correct{f'{at_line} of' if at_line else ''} {path} where container {first.name} makes it: both share "
            f"{volume_words(volume)}.",
            actor=Actor.MANIFEST,
            commands=(kubectl("logs", pod.name, "-c", first.name, namespace=pod.namespace),),
        )
    return Fix(
        f"Correct{f'{at_line} of' if at_line else ''} {path} on {volume_words(volume)}, which keeps it over restarts "
        "and new images: open it in a copy of the pod.",
        actor=Actor.APP,
        commands=(in_copy(pod, words.container.name, "sh"),),
    )
