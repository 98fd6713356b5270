"""An error about a program's configuration in its own words: where the settings come from, and what changed."""

from __future__ import annotations

import re

from kubetriage.model import Fix
from kubetriage.readers.logs import bodies
from kubetriage.rules.crash.acts import image, manifest, restart, where
from kubetriage.rules.crash.container_spec import env_sources, mount_of
from kubetriage.rules.crash.crash_context import changes, older_runs
from kubetriage.rules.crash.next_looks import history, rollback
from kubetriage.rules.crash.pod_settings import settings_of
from kubetriage.rules.crash.program_output import LastWords
from kubetriage.rules.crash.shared_files import kept_file_fix
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import mapping, objects, text
from kubetriage.values.patterns import lazy

_CONFIGURATION = lazy(
    r"\bconfig(?:uration|ured|ure)?\b|\bsettings?\b|\bdirective\b|\bplugin name\b|field not found"
    r"|\b(?:unknown|invalid|unsupported|unrecognized|unexpected|bad"
    r"|wrong|missing) (?:\w+ ){0,2}(?:type|field|plugin|option|key|parameter|property|value|section"
    r"|argument|format)s?\b"
    r"|field \S{1,80} not found|wrong number of arguments|ImproperlyConfigured|ValidationError|is not a number"
    # Two settings that do not go together.
    r"|(?:cannot|can't|can not|must not|may not) be (?:used|combined|enabled|set|specified) (?:with|together"
    r"|at the same|when|if|while|without|unless)|mutually exclusive|(?:is|are) (?:incompatible|not compatible) with"
    r"|requires? [\w.=-]{2,60} to be (?:set|enabled|disabled|true|false)|conflicts? with (?:option|flag|setting|--)"
    r"|must be (?:one of|set|a|an|between|greater|less|at least)\b|\.(?:ya?ml|toml|conf|cfg|ini|properties)\b",
    re.IGNORECASE,
)


def about_settings(summary: str) -> bool:
    """Tell whether an error is about the program's configuration."""
    return _CONFIGURATION.search(summary) is not None


_FILE = lazy(
    r"(?<![\w./-])(?P<path>/(?:[\w.@%+-]{1,100}/){1,12}(?:[\w.@%+-]{1,100}\.(?:ya?ml|json|toml|conf|cfg|cnf|ini|hcl|properties"
    r"|xml|env)|[A-Z][a-z]{3,20}file))(?::(?P<line>\d{1,6})|: At (?P<at>\d{1,6}):\d{1,6})?"
)


def _named_file(words: LastWords) -> str | None:
    """Name the configuration file of an error and the line in it."""
    found = _FILE.search(words.error.summary) if words.error is not None else None
    if found is None:
        return None
    line = found["line"] or found["at"]
    return f"line {line} of {found['path']}" if line else found["path"]


def _kept_file(words: LastWords) -> Fix | None:
    """Return where to correct the file of an error that lies on a volume; None for one of the image."""
    found = _FILE.search(words.error.summary) if words.error is not None else None
    if found is None or mount_of(words.container, found["path"]) is None:
        return None
    line = found["line"] or found["at"]
    return kept_file_fix(words, found["path"], f" line {line}" if line else "")


# A file that an argument or a variable names: --config=/etc/app/app.yaml.
_GIVEN_FILE = lazy(r"(?:\A|=|file:)(?P<path>/[\w.@%+-]{1,100}(?:/[\w.@%+-]{1,100}){1,12})\Z")


def _held_key(words: LastWords) -> tuple[str, str, str, str] | None:
    """Return kind, object, key and line of the file that an error is about, where a ConfigMap or Secret brings it.

    The error names the file, else one argument or variable of the container does.
    """
    told = _FILE.search(words.error.summary) if words.error is not None else None
    if told is not None:
        found = _key_at(words, told["path"])
        return (*found, told["line"] or told["at"] or _line_above(words, told["path"])) if found is not None else None
    given = {
        found
        for s in settings_of(words.case, words.container)
        if (m := _GIVEN_FILE.search(s.value)) is not None and (found := _key_at(words, m["path"])) is not None
    }
    return (*next(iter(given)), "") if len(given) == 1 else None


_NEAR = 20
_LINE = lazy(r"\bline (?P<line>\d{1,6})\b")


def _line_above(words: LastWords, path: str) -> str:
    """Return the line of a file that an error before the last one names; the last may only say that it has errors."""
    error = words.error
    for row in reversed(bodies(words.text)[max(error.at - _NEAR, 0) : error.at]) if error is not None else ():
        found = _LINE.search(row[:2000]) if path in row[:2000] else None
        if found is not None:
            return found["line"]
    return ""


def _key_at(words: LastWords, path: str) -> tuple[str, str, str] | None:
    """Return kind, object and key of the file at a path of the container; None for what no object brings."""
    mount = mount_of(words.container, path)
    if mount is None:
        return None
    at, volume = mount
    kind, source = (
        ("configmap", mapping(volume, "configMap")) if "configMap" in volume else ("secret", mapping(volume, "secret"))
    )
    name = text(source, "name") or text(source, "secretName")
    inside = text(at, "subPath") or path[len(text(at, "mountPath").rstrip("/")) + 1 :]
    keys = {text(i, "path"): text(i, "key") for i in objects(source, "items")}
    file = keys.get(inside, "" if keys else inside)
    return (kind, name, file) if name and file and "/" not in file else None


_READ_BY_API = {"cilium/cilium": "cilium-config", "cilium/operator": "cilium-config"}
"""ConfigMaps that a program reads over the API, so that no mount names them, by a part of the image."""


def settings_fixes(words: LastWords) -> tuple[Fix, ...]:
    """Return where to correct a refused setting: its objects, the newest change, the image."""
    case, container = words.case, words.container
    volumes = {text(v, "name"): v for v in objects(case.pod.raw, "spec", "volumes")}
    held: list[tuple[str, str, str]] = []
    for mount in objects(container.spec, "volumeMounts"):
        volume = volumes.get(text(mount, "name"), {})
        for kind, name in (
            ("configmap", text(volume, "configMap", "name")),
            ("secret", text(volume, "secret", "secretName")),
        ):
            if name:
                held.append((kind, name, text(mount, "mountPath")))
    for source in env_sources(container):
        kind, _, name = source.partition(" ")
        held.append((kind.lower(), name, "envFrom"))
    for entry in objects(container.spec, "env"):
        name = text(entry, "valueFrom", "configMapKeyRef", "name")
        if name and ("configmap", name, "env") not in held:
            held.append(("configmap", name, "env"))
    if not held and (own := next((m for i, m in _READ_BY_API.items() if i in container.image), "")):
        held.append(("configmap", own, "read over the API"))
    changed = next(iter(changes(case)), None)
    fixes: list[Fix] = []
    key = _held_key(words)
    if key is not None:
        kind, name, held_file, line = key
        label = "ConfigMap" if kind == "configmap" else "Secret"
        fixes.append(
            manifest(
                words,
                f"Correct the setting that the line names in {f'line {line} of ' if line else ''}key {held_file} of "
                f"{label} "
                f"{name}, then restart: files and variables are read at the start.",
                None,
                kubectl("edit" if kind == "configmap" else "describe", kind, name, namespace=case.pod.namespace),
                *restart(words),
            )
        )
    elif held:
        shown = ", ".join(f"{'ConfigMap' if k == 'configmap' else 'Secret'} {n} ({at})" for k, n, at in held[:3])
        first = next((h for h in held if h[0] == "configmap"), held[0])
        fixes.append(
            manifest(
                words,
                f"Correct the setting that the line names in {shown}, then restart: files and "
                "variables are read at the start.",
                None,
                kubectl("edit", first[0], first[1], namespace=case.pod.namespace)
                if first[0] == "configmap"
                else kubectl("describe", first[0], first[1], namespace=case.pod.namespace),
                *restart(words),
            )
        )
    elif (kept := _kept_file(words)) is not None:
        fixes.append(kept)
    elif (file := _named_file(words)) is not None:
        fixes.append(image(f"Correct {file} in image {container.image}, or mount a corrected file over it."))
    else:
        fixes.append(
            manifest(
                words,
                f"Correct the setting that the line names in the args and env of {where(words)}; no "
                "ConfigMap is mounted.",
                None,
                kubectl(
                    "set", "env", f"pod/{case.pod.name}", "-c", container.name, "--list", namespace=case.pod.namespace
                ),
            )
        )
    if changed is not None and history(words):
        brief = changed.value if len(changed.value) <= 120 else changed.value[:117] + "..."
        until = (
            f"{ran} of an older revision is ready: go back until the setting fits"
            if (ran := older_runs(case))
            else "settings that the line names may belong to the one before"
        )
        fixes.append(
            manifest(
                words,
                f"The newest revision changed {brief}: {until}.",
                None,
                *(rollback(words) or history(words)),
            )
        )
    else:
        fixes.append(
            manifest(
                words,
                f"If only the image changed ({container.image}), its release notes name settings that "
                "were renamed or removed.",
            )
        )
    return tuple(fixes)
