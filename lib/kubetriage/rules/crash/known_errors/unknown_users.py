"""Users and groups that a program is to take on and that its image does not have."""

from __future__ import annotations

import re

from kubetriage.model import Evidence, Fix
from kubetriage.rules.crash.acts import image, manifest, restart, where
from kubetriage.rules.crash.container_spec import security
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.pod_settings import mounted_files
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.patterns import lazy

_DIRECTIVE = lazy(r"(?:user|group|owner|runas|uid|gid)", re.IGNORECASE)


def _place(words: LastWords, name: str) -> tuple[str, str, str, int] | None:
    """Return ConfigMap, key, directive and line that set the name, where one line of a mounted file does."""
    found = [
        (config_map, key, line.strip()[:80], n)
        for config_map, key, _, content in mounted_files(words.case, words.container)
        for n, line in enumerate(content.split("\n"), 1)
        if name in line and _DIRECTIVE.search(line) and re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", line)
    ]
    return found[0] if len(found) == 1 else None


def _unknown(words: LastWords, said: Said) -> Advice:
    name = next((g for g in said.match.groups() if g), "").rstrip(".:,")
    kind = "group" if re.search(r"gid|group|getgrnam", said.match[0]) else "user"
    own = words.container.image
    held = _place(words, name)
    user = security(words.container, "runAsUser")[0]
    runs = f"; the container runs as user {user} already, so the directive may go" if user not in (None, 0) else ""
    fixes: list[Fix] = []
    evidence: tuple[Evidence, ...] = ()
    if held is not None:
        config_map, key, line, number = held
        evidence = (Evidence("config", f"configmaps[{config_map}].data[{key}]", f"line {number}: {line}"),)
        fixes.append(
            manifest(
                words,
                f"Name a {kind} that image {own} has in line {number} of key {key} of ConfigMap {config_map} "
                f"({line}){runs}; then restart.",
                None,
                kubectl("edit", "configmap", config_map, namespace=words.case.pod.namespace),
                *restart(words),
            )
        )
    else:
        fixes.append(
            manifest(words, f"Name a {kind} that image {own} has in the configuration of {where(words)}{runs}.")
        )
    file = "/etc/group" if kind == "group" else "/etc/passwd"
    fixes.append(
        image(
            f"Or add {kind} {name} to image {own} ({'addgroup' if kind == 'group' else 'adduser'}); {file} of the "
            f"image "
            "lists those it has.",
            shell("docker", "run", "--rm", "--entrypoint", "cat", own, file),
        )
    )
    return Advice(
        f"image {own} has no {kind} {name}, which its configuration names",
        tuple(fixes),
        evidence,
        details={kind: name},
    )


ROWS: tuple[Row, ...] = (
    Row(
        "unknown-user",
        lazy(
            # PHP-FPM, nginx, HAProxy, Apache, coreutils, Dovecot and others.
            r"cannot get [ug]id for (?:user|group) '([\w.-]{1,60})'"
            r"|(?:getpwnam|getgrnam)\(\"([\w.-]{1,60})\"\) failed"
            r"|cannot find (?:user|group) id for '([\w.-]{1,60})'"
            r"|bad (?:user|group) name ([\w.-]{1,60})"
            r"|(?:chown|chgrp|install|su|su-exec|gosu)[^\n]{0,60}(?:unknown user|unknown group|invalid user"
            r"|invalid group|unable"
            r" to find (?:user|group)):?[^\n\w]{0,3}['\"‘]?([\w.-]{1,60})"
            r"|(?:user|group) ['\"]([\w.-]{1,60})['\"] (?:does not exist|not found|unknown)(?! in (?:database|realm))"
        ),
        _unknown,
        beside=True,
    ),
)
