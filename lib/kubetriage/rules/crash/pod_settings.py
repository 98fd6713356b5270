"""What a pod gives a program as settings: variables, arguments, and the files of ConfigMaps that are mounted."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.readers.pods import Container
from kubetriage.records import dataclass
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.container_spec import env_sources
from kubetriage.values.fields import Obj, mapping, objects, text, texts
from kubetriage.values.patterns import lazy

_MOST_WORDS = 400
"""Words of a command line that are looked at."""
_LONGEST_FILE = 262_144


@dataclass(frozen=True)
class Setting:
    """One setting of a container, and where it stands."""

    kind: str
    """``env``, ``envFrom`` or ``args``."""
    name: str
    value: str
    """Empty where it comes from an object or a field of the pod."""
    at: str
    source: str = ""
    """The object's key that holds it, in words: ``key user of Secret db``."""
    resource: str = ""
    """``configmap`` or ``secret``."""
    holder: str = ""
    """Name of that object."""

    @property
    def called(self) -> str:
        """The setting in a sentence."""
        return f"{'argument' if self.kind == 'args' else 'variable'} {self.name}"


def settings_of(case: Case, container: Container) -> list[Setting]:
    """Return the settings of a container, variables first."""
    return [*_variables(container), *_loaded(case, container), *_arguments(container)]


def _variables(container: Container) -> Iterator[Setting]:
    for entry in objects(container.spec, "env"):
        name = text(entry, "name")
        at = f"{container.spec_path}.env[{name}]"
        if "valueFrom" not in entry:
            yield Setting("env", name, text(entry, "value"), at)
            continue
        for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
            ref = mapping(entry, "valueFrom", field)
            if ref:
                words = f"key {text(ref, 'key')} of {kind} {text(ref, 'name')}"
                yield Setting("env", name, "", at, words, kind.lower(), text(ref, "name"))
                break
        else:
            yield Setting("env", name, "", at, "a field of the pod")


def _loaded(case: Case, container: Container) -> Iterator[Setting]:
    """Yield the variables of ``envFrom`` whose objects were read; the values of Secrets are not kept."""
    prefixes = {
        text(source, key, "name"): text(source, "prefix")
        for source in objects(container.spec, "envFrom")
        for key in ("configMapRef", "secretRef")
        if text(source, key, "name")
    }
    own = {text(e, "name") for e in objects(container.spec, "env")}
    for source in env_sources(container):
        kind, _, name = source.partition(" ")
        looked = case.snapshot.get(f"{kind.lower()}s", case.pod.namespace, name)
        data = mapping(looked.obj, "data") if looked.found else {}
        for key in sorted(data):
            variable = f"{prefixes.get(name, '')}{key}"
            if variable not in own:
                value = str(data[key]) if kind == "ConfigMap" else ""
                words = f"key {key} of {source}"
                yield Setting(
                    "envFrom", variable, value, f"{container.spec_path}.envFrom[{name}]", words, kind.lower(), name
                )


_WORD = lazy(r"[^\s'\"]{1,400}|'[^']{0,400}'|\"[^\"]{0,400}\"")
_FLAG = lazy(r"-{1,2}[A-Za-z][\w.-]{1,80}\Z")


def _arguments(container: Container) -> Iterator[Setting]:
    """Yield flags with their values: ``--flag=value``, ``--flag value``, ``-Dname=value``, also in a shell's line."""
    for field in ("command", "args"):
        words: list[tuple[int, str]] = []
        for i, word in enumerate(texts(container.spec, field)):
            if any(c.isspace() for c in word):
                words += [(i, w.strip("'\"")) for w in _WORD.findall(word[:8192])]
            else:
                words.append((i, word))
        words = words[:_MOST_WORDS]
        for n, (i, word) in enumerate(words):
            at = f"{container.spec_path}.{field}[{i}]"
            flag, equals, value = word.partition("=")
            if not _FLAG.match(flag):
                continue
            if equals:
                yield Setting("args", flag, value, at)
                continue
            following = words[n + 1][1] if n + 1 < len(words) else ""
            yield Setting("args", flag, following if following and not following.startswith("-") else "", at)


@dataclass(frozen=True)
class FileLines:
    """Lines of one key of a mounted ConfigMap that hold a word."""

    config_map: str
    key: str
    path: str
    word: str
    lines: tuple[int, ...]


def lines_with(case: Case, container: Container, word: str) -> list[FileLines]:
    """Return the keys of mounted ConfigMaps whose content holds a word, with the numbers of the lines."""
    # Most names of settings are found by the plain search; the pattern only looks at its ends.
    whole = re.compile(rf"(?<![\w.-]){re.escape(word)}(?![\w-]|\.\w)")
    found = []
    for config_map, key, path, content in mounted_files(case, container):
        if word not in content:
            continue
        lines = tuple(n for n, line in enumerate(content.split("\n"), 1) if word in line and whole.search(line))
        if lines:
            found.append(FileLines(config_map, key, path, word, lines))
    return found


def mounted_files(case: Case, container: Container) -> Iterator[tuple[str, str, str, str]]:
    """Yield ConfigMap, key, path in the container, and content of each file that a read ConfigMap brings."""
    volumes = {text(v, "name"): v for v in objects(case.pod.raw, "spec", "volumes")}
    seen: set[tuple[str, str]] = set()
    for mount in objects(container.spec, "volumeMounts"):
        for source in _config_maps(volumes.get(text(mount, "name"), {})):
            name = text(source, "name")
            looked = case.snapshot.get("configmaps", case.pod.namespace, name) if name else None
            if looked is None or not looked.found:
                continue
            paths = {text(item, "key"): text(item, "path") for item in objects(source, "items")}
            for key, content in sorted(mapping(looked.obj, "data").items()):
                file = paths.get(key, "") if paths else key
                part = text(mount, "subPath")
                if not isinstance(content, str) or not file or (part and part != file) or (name, key) in seen:
                    continue
                seen.add((name, key))
                base = text(mount, "mountPath").rstrip("/")
                yield name, key, base if part else f"{base}/{file}", content[:_LONGEST_FILE]


def _config_maps(volume: Obj) -> Iterator[Obj]:
    if mapping(volume, "configMap"):
        yield mapping(volume, "configMap")
    for source in objects(volume, "projected", "sources"):
        if mapping(source, "configMap"):
            yield mapping(source, "configMap")


_WHOLE_VARIABLE = lazy(r"\$\((?P<name>[A-Za-z_][A-Za-z0-9_.-]{0,100})\)\Z")


def one_word(container: Container, said: str) -> tuple[str, str, str] | None:
    """Return the variable, its value and the place of an argument that Kubernetes passes as one word.

    ``args: ["$(JAVA_OPTS)"]`` becomes one argument, whatever spaces the value has: no shell splits it.
    """
    given = container.environment()
    for field in ("command", "args"):
        for i, word in enumerate(texts(container.spec, field)):
            match = _WHOLE_VARIABLE.match(word)
            value = given.get(match["name"], "").strip() if match is not None else ""
            if match is not None and " " in value and (value in said or value.split()[0] in said):
                return match["name"], value, f"{container.spec_path}.{field}[{i}]"
    return None
