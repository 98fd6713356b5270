"""What a program wants agreed to, or left to it, before it runs: a license, a change of users."""

from __future__ import annotations

from kubetriage.model import Evidence
from kubetriage.rules.crash.acts import app, manifest, where
from kubetriage.rules.crash.container_spec import security
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.patterns import lazy

_CONSENT = lazy(
    r"(?<![\w-])(?P<name>(?:ACCEPT_)?[A-Z_]{0,40}(?:EULA|LICEN[SC]E)[A-Z_]{0,40})(?:=(?P<value>\w{1,10}))?(?![\w-])"
)
_ACCEPTS = {"ACCEPT_EULA": "Y", "EULA": "TRUE", "LICENSE": "accept", "LICENCE": "accept"}
"""Variables by which images take consent: SQL Server and Redpanda, Minecraft, IBM's images (their own pages)."""


def _consent(words: LastWords, _: Said) -> Advice:
    found = [m for m in _CONSENT.finditer(words.text[-8192:]) if "_" in m["name"] or m["value"]]
    name = found[0]["name"] if found else ""
    if not name:
        image = words.container.image.lower()
        name = "EULA" if "minecraft" in image else "LICENSE" if "ibm" in image or "icr.io" in image else "ACCEPT_EULA"
    value = next((m["value"] for m in found if m["value"]), None) or _ACCEPTS.get(name, "true")
    return Advice(
        "its license terms are not accepted, without which it does not start",
        (
            manifest(
                words,
                f"If you accept the terms, say so in {where(words)}: {name}={value}.",
                words.container.patch({"env": [{"name": name, "value": value}]}),
            ),
        ),
        details={"setting": name},
    )


def _change_of_user(words: LastWords, _: Said) -> Advice:
    user, at = security(words.container, "runAsUser")
    shown = f"user {user}" if user is not None else "a user other than root"
    return Advice(
        f"its configuration names a user to change to, and {shown} may change to nobody",
        (
            app(
                "Take the user setting out of its configuration (supervisord: user= in [supervisord] and in the "
                "programs; nginx, php-fpm: user and group): the pod already starts as that user."
            ),
            manifest(
                words,
                f"Or let {where(words)} start as root and change the user itself, where the policy of the namespace "
                "lets it.",
                words.container.patch({"securityContext": {"runAsUser": 0, "runAsNonRoot": False}}),
            ),
        ),
        (Evidence("spec", at, str(user)),) if user is not None else (),
    )


ROWS: tuple[Row, ...] = (
    Row(
        "license-consent",
        lazy(
            r"(?i)(?:EULA|license (?:agreement|terms)|licen[sc]e)[^\n]{0,80}\b(?:must be|(?:needs?|has|have) to be"
            r"|(?:was|is|were|are) not|not been) (?:accepted|agreed)"
            r"|(?:need|must|have) to (?:agree to|accept) the (?:EULA|license|licence)"
            r"|You must accept [^\n]{0,60}licen[sc]e"
        ),
        _consent,
        "AppConfigMissing",
        beside=True,
    ),
    Row(
        "user-change-refused",
        lazy(r"(?i)can(?:'?t|not) drop privileges? as (?:a )?non-?root"),
        _change_of_user,
        "PermissionDenied",
        beside=True,
    ),
)
