"""Answers kubectl's completion: ``kubectl __complete why-crash ...`` runs ``kubectl_complete-why_crash ...``.

The protocol: the words typed so far are the arguments, the last one is the word to complete (perhaps empty). Each
line of the answer is a candidate, with a description after a tab; the last line ``:N`` is cobra's directive (0: file
names may follow, 4: they may not). Names come from kubectl itself, which is faster than a client of ours and
knows how to reach the cluster.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence

import click

from kubetriage.cli.command import build
from kubetriage.cli.options import normalized
from kubetriage.plugins import Plugin, codes
from kubetriage.values.resources import BY_PLURAL, find_resource

FILES, NO_FILES, NO_SPACE = 0, 4, 6
"""Cobra's ShellCompDirective values; 6 is NoFileComp with NoSpace."""

_PASSED_ON = ("namespace", "context", "kubeconfig", "cluster", "user", "server", "token", "certificate_authority",
              "client_certificate", "client_key", "tls_server_name")  # fmt: skip
_PATHS = {"kubeconfig", "dump", "record", "certificate_authority", "client_certificate", "client_key"}
_SECONDS = 5.0
"""A completion that takes longer helps nobody."""


def complete(plugin: Plugin, words: Sequence[str]) -> str:
    """Return the answer to kubectl for the words typed so far."""
    command = build(plugin)
    *before, incomplete = words or [""]
    flag = _open_flag(command, before)
    prefix = ""
    if flag is None and incomplete.startswith("-") and "=" in incomplete:
        name, _, incomplete = incomplete.partition("=")
        prefix = f"{name}="
        flag = _option(command, name)
        if flag is None:
            return _answer([], NO_FILES)
    values = _values(command, before if flag is None or prefix else before[:-1])
    if flag is not None:
        candidates, directive = _flag_values(plugin, flag, values, incomplete)
        return _answer([prefix + c for c in candidates if c.startswith(incomplete)], directive)
    if incomplete.startswith("-"):
        return _answer(_flags(command, incomplete), NO_FILES)
    return _answer(*_objects(plugin, values, incomplete))


def _answer(candidates: Iterable[str], directive: int) -> str:
    return "".join(f"{c}\n" for c in candidates) + f":{directive}\n"


def _option(command: click.Command, word: str) -> click.Option | None:
    options = [p for p in command.params if isinstance(p, click.Option)]
    return next((o for o in options if word in o.opts and not o.is_flag), None)


def _open_flag(command: click.Command, before: list[str]) -> click.Option | None:
    """Return the flag whose value is being typed, if the last whole word is one that waits for its value."""
    return _option(command, before[-1]) if before and before[-1].startswith("-") else None


def _values(command: click.Command, before: list[str]) -> dict[str, object]:
    try:
        context = command.make_context(command.name, normalized(before, command.params), resilient_parsing=True)
    except click.ClickException:
        return {}
    return context.params


def _flags(command: click.Command, incomplete: str) -> list[str]:
    found = []
    for option in command.params:
        if isinstance(option, click.Option):
            summary = (option.help or "").split(". ")[0].rstrip(".")
            found += [f"{name}\t{summary}" for name in option.opts if name.startswith(incomplete)]
    return sorted(found)


def _flag_values(
    plugin: Plugin, flag: click.Option, values: dict[str, object], incomplete: str
) -> tuple[list[str], int]:
    if isinstance(flag.type, click.Choice):
        return [str(choice) for choice in flag.type.choices], NO_FILES
    if flag.name == "lang":
        from kubetriage.render.catalog import languages

        return languages(), NO_FILES
    if flag.name in _PATHS:
        return [], FILES
    if flag.name == "namespace":
        return _names("namespaces", {**values, "namespace": None}, incomplete), NO_FILES
    if flag.name == "context":
        return _contexts(values), NO_FILES
    if flag.name == "contexts":
        *chosen, _ = incomplete.split(",")
        return [",".join([*chosen, name]) for name in _contexts(values) if name not in chosen], NO_FILES
    if flag.name in ("cluster", "user"):
        # The first line is a header.
        return _kubectl(["config", f"get-{flag.name}s"], {**values, flag.name: None})[1:], NO_FILES
    if flag.name == "explain_cause":
        return sorted(code for rule in plugin.rules for code in codes(rule)), NO_FILES
    if flag.name == "container":
        return _containers(plugin, values), NO_FILES
    return [], NO_FILES


def _contexts(values: dict[str, object]) -> list[str]:
    return _kubectl(["config", "get-contexts", "-o", "name"], values)


def _containers(plugin: Plugin, values: dict[str, object]) -> list[str]:
    words = values.get("words")
    given = words if isinstance(words, tuple) else ()
    if not given:
        return []
    target = given[-1] if "/" in given[-1] else f"{plugin.default_resource}/{given[-1]}"
    resource = find_resource(target.partition("/")[0])
    template = {"pods": "{.spec", "cronjobs": "{.spec.jobTemplate.spec.template.spec"}.get(
        resource.plural if resource else "", "{.spec.template.spec"
    )
    path = f"{template}.initContainers[*].name}} {template}.containers[*].name}}"
    return " ".join(_kubectl(["get", target, "-o", f"jsonpath={path}"], values)).split()


def _objects(plugin: Plugin, values: dict[str, object], incomplete: str) -> tuple[list[str], int]:
    if not plugin.takes_targets:
        return [], NO_FILES
    words = values.get("words")
    given = list(words) if isinstance(words, tuple) else []
    kind, slash, name = incomplete.partition("/")
    if slash:
        resource = find_resource(kind)
        if resource is None and plugin.accepts_any_kind and kind:
            # The server knows what it is.
            return [f"{kind}/{found}" for found in _names(kind, values, name)], NO_FILES
        if resource is None or resource.plural not in plugin.resources:
            return [], NO_FILES
        return [f"{kind}/{found}" for found in _names(resource.plural, values, name)], NO_FILES
    first = find_resource(given[0]) if given else None
    if first is not None and first.plural in plugin.resources:
        return [n for n in _names(first.plural, values, incomplete) if n not in given], NO_FILES
    found = [n for n in _names(plugin.default_resource, values, incomplete) if n not in given]
    types = [BY_PLURAL[r].kind.lower() + "/" for r in plugin.resources]
    matching = [t for t in types if t.startswith(incomplete)] if incomplete else []
    return [*found, *matching], NO_SPACE if matching and not found else NO_FILES


def _names(plural: str, values: dict[str, object], incomplete: str) -> list[str]:
    lines = _kubectl(["__complete", "get", plural], values, [incomplete])
    return [line.partition("\t")[0] for line in lines if line and not line.startswith((":", "_activeHelp_"))]


def _kubectl(command: list[str], values: dict[str, object], rest: Sequence[str] = ()) -> list[str]:
    flags = [f"--{k.replace('_', '-')}={values[k]}" for k in _PASSED_ON if values.get(k)]
    try:
        done = subprocess.run(  # noqa: S603  # kubectl called us, and every word is an argument of its own
            ["kubectl", *command, *flags, *rest],  # noqa: S607  # the kubectl that the user runs is the one on PATH
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []
