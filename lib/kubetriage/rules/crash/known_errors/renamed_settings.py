"""Settings that a newer release of a well-known program no longer has, as an error about them shows."""

from __future__ import annotations

import re

from kubetriage.data import table
from kubetriage.model import Evidence
from kubetriage.rules.crash.acts import manifest, restart, where
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.next_looks import rollback
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import objects, text, texts
from kubetriage.values.patterns import lazy


def _gone(words: LastWords, said: Said) -> Advice | None:
    image = words.container.image.partition("@")[0]
    # Without the tag, and without the quoted value of another setting.
    path = image.rpartition(":")[0] or image
    told = said.line[:2000]
    for row in table("renamed_settings")["rows"]:
        if re.search(row["image"], path) and (named := re.search(row["setting"], told)) is not None:
            return _advice(words, row["program"], named[0].strip("'\""), row["now"], row["since"])
    return None


def _advice(words: LastWords, program: str, setting: str, now: str, since: str) -> Advice:
    container, namespace = words.container, words.case.pod.namespace
    volumes = {text(v, "name"): text(v, "configMap", "name") for v in objects(words.case.pod.raw, "spec", "volumes")}
    maps = [n for m in objects(container.spec, "volumeMounts") if (n := volumes.get(text(m, "name"), ""))]
    plain = setting.lstrip("-")
    at = next(
        (
            f"{field}[{i}]"
            for field in ("args", "command")
            for i, v in enumerate(texts(container.spec, field))
            if plain in v
        ),
        "",
    )
    place = f"{at} of {where(words)}" if at else f"ConfigMap {maps[0]}" if maps else f"the settings of {where(words)}"
    act = (
        f"Replace {setting} by {now} in {place}." if now else f"Take {setting} out of {place}; nothing takes its place."
    )
    edit = (kubectl("edit", "configmap", maps[0], namespace=namespace),) if maps and not at else ()
    fixes = [manifest(words, act, None, *edit, *(restart(words) if edit else ()))]
    if back := rollback(words):
        fixes.append(manifest(words, "Or go back to the release before until the settings fit.", None, *back))
    return Advice(
        f"{program} has no {setting} since {since}" + (f": {now} took its place" if now else ""),
        tuple(fixes),
        (Evidence("spec", f"{container.spec_path}.image", container.image),),
        details={"setting": setting, "since": since, **({"now": now} if now else {})},
    )


ROWS: tuple[Row, ...] = (
    Row(
        "setting-gone",
        lazy(
            r"\b(?:unknown|unrecogni[sz]ed|unexpected|invalid|unsupported|removed|undefined|not (?:found|defined|valid"
            r"|supported|recogni[sz]ed|allowed)|no (?:such|longer)|does not (?:exist|support)|has no)\b",
            re.IGNORECASE,
        ),
        _gone,
        beside=True,
    ),
)
