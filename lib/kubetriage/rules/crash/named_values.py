"""A value or a setting that an error names, and where in the pod's spec it comes from."""

from __future__ import annotations

import re

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.records import dataclass
from kubetriage.redact import clean
from kubetriage.rules.crash.program_output import LastWords
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.fields import objects, text, texts
from kubetriage.values.patterns import lazy

_LEAST = 4
"""Letters of a value, or of a word in a variable's name, that are too telling to stand in an error by chance."""
_COMMON = frozenset({
    "true", "false", "none", "null", "info", "debug", "warn", "error", "enabled", "disabled", "default", "latest",
    "production", "staging", "prod", "test", "local", "main", "root", "admin", "localhost", "http", "https",
    "server", "client", "user", "host", "port", "path", "name", "type", "value", "config", "data", "service", "app",
})  # fmt: skip
"""Words that stand in many errors, and prove nothing."""


@dataclass(frozen=True)
class Origin:
    """A variable or argument that holds what an error names."""

    kind: str
    """``env`` or ``args``."""
    name: str
    value: str
    at: str


def origin(words: LastWords) -> Origin | None:
    """Return the only variable or argument whose value the last error names; None where several do."""
    said = words.error.summary if words.error is not None else ""
    if not said:
        return None
    held = [
        Origin("env", text(e, "name"), text(e, "value"), f"{words.container.spec_path}.env[{text(e, 'name')}]")
        for e in objects(words.container.spec, "env")
        if text(e, "value")
    ]
    for field in ("args", "command"):
        for i, word in enumerate(texts(words.container.spec, field)):
            flag, equals, value = word.partition("=")
            if equals and flag.startswith("-"):
                held.append(Origin("args", flag, value, f"{words.container.spec_path}.{field}[{i}]"))
    # A variable that is called by its name, or that holds the flag which the error is about, comes before a value.
    called = [o for o in held if o.kind == "env" and _called(o, said)]
    found = called or [o for o in held if _named(o, said)]
    return found[0] if len(found) == 1 else None


_FLAG = lazy(r"(?<![\w-])--[a-z][\w-]{3,60}")


def _called(one: Origin, said: str) -> bool:
    """Tell whether an error names a variable, or a flag that stands in it."""
    if clean(one.value) != one.value:
        return False
    by_name = "_" in one.name and re.search(rf"(?<![\w.-]){re.escape(one.name)}(?![\w-])", said) is not None
    return by_name or any(flag in re.split(r"[\s=]", one.value) for flag in _FLAG.findall(said))


def _named(one: Origin, said: str) -> bool:
    """Tell whether an error names a value; a short or common one counts with a word of its setting's name alone."""
    value = one.value.strip()
    if not value or len(value) > 200 or clean(value) != value:
        return False
    if re.search(rf"(?<![\w./-]){re.escape(value)}(?![\w/-]|\.\w)", said) is None:
        return False
    if len(value) >= _LEAST and value.lower() not in _COMMON and not value.isdigit():
        return True
    name = [w.lower().rstrip("s") for w in re.split(r"[\W_]+", one.name) if len(w) >= _LEAST]
    return any(w in said.lower() for w in name if w not in _COMMON)


def origin_hint(one: Origin) -> str:
    """Say in a clause where the value comes from."""
    if len(one.value) > 40 or " " in one.value:
        return f"; it is about {'variable' if one.kind == 'env' else 'argument'} {one.name}"
    return f"; {one.value} is the value of {'variable' if one.kind == 'env' else 'argument'} {one.name}"


def origin_evidence(one: Origin) -> Evidence:
    """Quote the field."""
    return Evidence("spec", one.at, f"{one.name}={one.value}")


def origin_fix(words: LastWords, one: Origin) -> Fix:
    """Correct the value where it stands; where the error speaks against two values, the other may be the wrong one."""
    case, name = words.case, words.container.name
    top = case.workload
    commands: tuple[str, ...] = ()
    if one.kind == "env" and case.keeper is None and top.kind in ("Deployment", "StatefulSet", "DaemonSet"):
        kind = f"{top.kind.lower()}/{top.name}"
        value = f"{one.name}={placeholder('value')}"
        commands = (kubectl("set", "env", kind, "-c", name, value, namespace=case.pod.namespace),)
    what = "variable" if one.kind == "env" else "argument"
    return Fix(
        f"Correct {what} {one.name} ({one.value}) of container {name} in {case.workload_name} to a value that the "
        "error allows, or bring what it is compared with in line.",
        actor=Actor.MANIFEST,
        commands=commands,
    )
