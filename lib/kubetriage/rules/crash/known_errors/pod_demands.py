"""What a program demands of the pod around it: a mount, directories on a volume, a name of its own."""

from __future__ import annotations

import posixpath
import re

from kubetriage.model import Evidence
from kubetriage.rules.crash.acts import app, manifest, where
from kubetriage.rules.crash.container_spec import mount_of, volume_words
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import shell
from kubetriage.values.fields import flag, objects, text
from kubetriage.values.patterns import lazy


def volume_name(path: str) -> str:
    """Return a name for the volume at a path."""
    return re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-")[:50].rstrip("-") or "data"


def _mount(words: LastWords, said: Said) -> Advice | None:
    path = next(g for g in said.match.groups() if g).rstrip("/.,:'\"`")
    container = words.container
    found = mount_of(container, path)
    scratch = "emptydir" in said.line.lower()
    name = volume_name(path)
    if found is not None and text(found[0], "mountPath").rstrip("/") == path:
        mount, volume = found
        if not scratch or "emptyDir" in volume:
            return None  # it is mounted: the program means something else
        return Advice(
            f"it wants an emptyDir at {path}, which is {volume_words(volume)}",
            (
                manifest(
                    words,
                    f"Make volume {text(mount, 'name')} of {words.case.workload_name} an emptyDir, or mount one at "
                    f"{path} in its place.",
                ),
            ),
            (Evidence("spec", f"{container.spec_path}.volumeMounts[{text(mount, 'name')}]", volume_words(volume)),),
            details={"path": path},
        )
    mounted = [text(m, "mountPath") for m in objects(container.spec, "volumeMounts")]
    evidence = (Evidence("spec", f"{container.spec_path}.volumeMounts", ", ".join(mounted[:8]) or "<none>"),)
    patch = container.patch(
        {"volumeMounts": [{"name": name, "mountPath": path}]}, volumes=[{"name": name, "emptyDir": {}}]
    )
    if scratch:
        fixes = (manifest(words, f"Mount an emptyDir at {path} in {where(words)}.", patch),)
    else:
        fixes = (
            manifest(
                words,
                f"Mount a volume at {path} in {where(words)}: a claim where what it keeps there must outlive the pod, "
                "an emptyDir where not, a ConfigMap or Secret for files that are given to it.",
            ),
        )
    return Advice(f"it wants a volume at {path}, and none is mounted there", fixes, evidence, details={"path": path})


_VIEWS = ("framework/cache/data", "framework/sessions", "framework/views", "logs")


def _laravel(words: LastWords, _: Said) -> Advice:
    container = words.container
    mounts = [
        (m, text(m, "mountPath").rstrip("/"))
        for m in objects(container.spec, "volumeMounts")
        if re.search(r"/(?:storage|framework|views)/?\Z", text(m, "mountPath"))
    ]
    mount, at = mounts[0] if mounts else ({}, "")
    root = at[: at.index("/storage") + len("/storage")] if "/storage" in at else at
    made = [posixpath.join(root or "storage", d) for d in _VIEWS]
    command = shell("mkdir", "-p", *made)
    if not mount:
        return Advice(
            "Laravel finds no directory for compiled views (storage/framework/views): git and .dockerignore leave "
            "empty directories out of an image",
            (
                app(
                    "Make the directories in the image's build, or in the command before php artisan runs, for the "
                    f"user that the program runs as: {command}."
                ),
            ),
            details={"path": "storage/framework/views"},
        )
    volume = (mount_of(container, at) or ({}, {}))[1]
    init = {
        "name": "make-directories",
        "image": container.image,
        "command": ["mkdir", "-p", *made],
        "volumeMounts": [{k: v for k, v in mount.items() if k in ("name", "mountPath", "subPath")}],
    }
    return Advice(
        f"Laravel finds no directory for compiled views ({posixpath.join(root, 'framework/views')}): "
        f"{volume_words(volume)} at {at} hides what the image has there, and is empty",
        (
            manifest(
                words,
                f"Make the directories on the volume in an init container of {words.case.workload_name}: {command}.",
                {"initContainers": [init]},
            ),
        ),
        (
            Evidence(
                "spec", f"{container.spec_path}.volumeMounts[{text(mount, 'name')}]", f"{at} is {volume_words(volume)}"
            ),
        ),
        details={"path": posixpath.join(root, "framework/views")},
    )


def _node_name(words: LastWords, said: Said) -> Advice:
    name = next(g for g in said.match.groups() if g)
    spec = words.case.pod.raw.get("spec")
    on_host = flag(spec, "hostNetwork") is True if isinstance(spec, dict) else False
    held = next(
        (
            e
            for e in objects(words.container.spec, "env")
            if text(e, "value") == name or re.search(r"NODE_*NAME\Z", text(e, "name"))
        ),
        None,
    )
    variable = text(held, "name") if held is not None else "its node name"
    evidence = (Evidence("spec", "spec.hostNetwork", "true"),) if on_host else ()
    shared = (
        "the pod is on the node's network (hostNetwork), where another Erlang program has registered the name"
        if on_host
        else "another process of the pod has registered the name, such as a first copy that its start script left"
    )
    own = manifest(
        words,
        f"Give each pod a name of its own: {variable} of {where(words)} as NAME@$(POD_IP) or with the pod's host name "
        "below its headless Service.",
    )
    free = manifest(words, "Take hostNetwork out of the pod template, or keep its pods on different nodes.")
    return Advice(
        f"the Erlang node name {name} is taken: {shared}",
        (own, free) if on_host else (own,),
        evidence,
        details={"node": name},
    )


ROWS: tuple[Row, ...] = (
    Row(
        "mount-demanded",
        lazy(
            r"(?<![\w/])(/[\w./-]{1,120}[\w/])['\"`]? (?:should|must|needs to|has to|is expected to) be "
            r"(?:an? |the )?(?:\w{1,20} ){0,2}?(?:mount(?:ed|ed volume|point| point)?|volume|emptyDir|bind mount)\b"
            r"|(?:please |you (?:must|need to|have to) |must |forgot to )mount (?:an? |the |your )?(?:\w{1,20} ){0,3}?"
            r"(?:at|on|to|under|into) ['\"`]?(/[\w./-]{1,120}[\w/])"
            r"|(?<![\w/])(/[\w./-]{1,120}[\w/])['\"`]? is not (?:a )?(?:mount(?:ed|point| point)|a mounted volume)\b",
            re.IGNORECASE,
        ),
        _mount,
        "AppConfigMissing",
        beside=True,
    ),
    Row("laravel-views", lazy(r"Please provide a valid cache path"), _laravel, beside=True),
    Row(
        "erlang-name",
        lazy(
            r"[Nn]ode name ['\"]?([\w.@-]{3,120})['\"]? is already in use|the name ([\w.@-]{3,120}) seems to be in use "
            r"by another Erlang node|\bnode with name \"([\w.@-]{1,120})\" (?:is )?already running"
        ),
        _node_name,
        beside=True,
    ),
)
