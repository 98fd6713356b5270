"""A file that the program opens and that is a directory: a subPath or hostPath whose file does not exist."""

from __future__ import annotations

import posixpath

from kubetriage.model import Evidence
from kubetriage.rules.crash.acts import app, image, manifest, node, on_node, place, where
from kubetriage.rules.crash.container_spec import mount_of, volume_words
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said, path_near
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, mapping, objects, text
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy


def _mount(words: LastWords, said: Said) -> tuple[Obj, Obj] | None:
    """Return the mount of the path that the line names, else the only mount that puts one file in place."""
    path = path_near(said.line, said.match.start())
    found = mount_of(words.container, path) if path else None
    if found is not None:
        return found
    volumes = {text(v, "name"): v for v in objects(words.case.pod.raw, "spec", "volumes")}
    single = [
        (m, volumes.get(text(m, "name"), {}))
        for m in objects(words.container.spec, "volumeMounts")
        if text(m, "subPath") or "hostPath" in volumes.get(text(m, "name"), {})
    ]
    return single[0] if len(single) == 1 and not path else None


def _directory(words: LastWords, said: Said) -> Advice | None:
    case = words.case
    found = _mount(words, said)
    if found is None:
        return None
    mount, volume = found
    at, sub = text(mount, "mountPath"), text(mount, "subPath")
    evidence = [
        Evidence(
            "spec",
            f"{words.container.spec_path}.volumeMounts[{text(mount, 'name')}]",
            f"{at} is {volume_words(volume)}" + (f", subPath {sub}" if sub else ""),
        )
    ]
    kind, name = (
        ("ConfigMap", text(volume, "configMap", "name"))
        if "configMap" in volume
        else ("Secret", text(volume, "secret", "secretName"))
    )
    if sub and name:
        looked = case.snapshot.get(f"{kind.lower()}s", case.pod.namespace, name)
        items = [text(i, "path") for i in objects(volume, "configMap" if kind == "ConfigMap" else "secret", "items")]
        keys = items or (
            sorted({*mapping(looked.obj, "data"), *mapping(looked.obj, "binaryData")}) if looked.found else []
        )
        if keys and sub in keys:
            return None
        close = nearest(sub, keys)
        held = f"it has {', '.join(keys[:6])}" if keys else "whether it has the key was not seen"
        if keys:
            evidence.append(Evidence("config", f"{kind.lower()}s[{name}].data", ", ".join(keys[:12])))
        fixes = [
            manifest(
                words,
                f"Set subPath {close} in the mount at {at} of {where(words)}, or rename the key to {sub}."
                if close
                else f"Add the key {sub} to {kind} {name}, or correct subPath in the mount at {at} of {where(words)}.",
                words.container.patch(
                    {"volumeMounts": [{"name": text(mount, "name"), "mountPath": at, "subPath": close}]}
                )
                if close
                else None,
                kubectl("get", kind.lower(), name, "-o", "yaml", namespace=case.pod.namespace),
            )
        ]
        return Advice(
            f"{at} is an empty directory: {kind} {name} has no key {sub} for the subPath ({held})",
            tuple(fixes),
            tuple(evidence),
            details={"file": at, "key": sub, **({"suggestion": close} if close else {})},
        )
    if "hostPath" in volume:
        host = text(volume, "hostPath", "path")
        return Advice(
            f"{at} is a directory: hostPath {host} is no file on {place(words)}",
            (
                node(f"Put the file to {host} on {place(words)}.", on_node(words, "ls", "-ld", host)),
                manifest(
                    words,
                    f"Set type: File on the hostPath volume {text(volume, 'name')}, so that a missing file is an error "
                    "and no directory is made.",
                ),
            ),
            tuple(evidence),
            details={"file": at},
        )
    path = path_near(said.line, said.match.start()).rstrip("/")
    if path and path != at.rstrip("/"):
        return Advice(
            f"{path} is a directory and is to be a file: something made a directory of that name in "
            f"{volume_words(volume)}, as a mount or a copy of a file that did not exist does",
            (
                manifest(
                    words,
                    f"Mount the file itself at {path} in {where(words)} (subPath with the key's name), or correct what "
                    "puts it there: an init container, another mount.",
                ),
                app(
                    f"If the volume keeps the directory over restarts: look into it, and remove {path} from it when it "
                    "is empty.",
                    kubectl(
                        *("debug", case.pod.name, "-it", f"--copy-to={case.pod.name}-debug"),
                        *(f"--container={words.container.name}", "--", "ls", "-la", posixpath.dirname(path)),
                        namespace=case.pod.namespace,
                    ),
                ),
            ),
            tuple(evidence),
            details={"file": path},
        )
    return Advice(
        f"it opens {path or at} as a file, and it is a directory ({volume_words(volume)})",
        (
            manifest(
                words,
                f"Name a file below {posixpath.normpath(path or at)} in the settings of "
                f"{where(words)}, or mount one file with subPath.",
            ),
            image("Or let the program read all files of the directory."),
        ),
        tuple(evidence),
        details={"file": path or at},
    )


ROWS: tuple[Row, ...] = (
    Row(
        "file-is-directory",
        lazy(r"[Ii]s a directory|is of type \|?directory|\bEISDIR\b|IsADirectoryError|os error 21\b"),
        _directory,
        "AppConfigMissing",
        beside=True,
    ),
)
