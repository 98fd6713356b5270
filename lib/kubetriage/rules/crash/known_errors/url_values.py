"""Connection URLs that cannot be taken apart: mostly a password with characters that end a part of a URL."""

from __future__ import annotations

import re

from kubetriage.model import Evidence
from kubetriage.rules.crash.acts import app, manifest, restart, where
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.pod_settings import Setting, settings_of
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy

_SCHEME = lazy(r"\b(?P<scheme>[a-z][a-z0-9+.-]{1,20})://")


def _held(words: LastWords, said: Said) -> list[Setting]:
    """Return the settings that may hold the URL, those of its own scheme first."""
    found = [
        s
        for s in settings_of(words.case, words.container)
        if "://" in s.value or (not s.value and re.search(r"(?i)url|uri|dsn|connection", s.name))
    ]
    told = _SCHEME.search(said.line)
    of_it = [s for s in found if told is not None and s.value.startswith(told[0])]
    return of_it or [s for s in found if not s.value] or found


def _malformed(words: LastWords, said: Said) -> Advice:
    held = _held(words, said)
    one = held[0] if len({s.name for s in held}) == 1 else None
    place = (
        f"{one.source}, which is {one.called} of {where(words)}"
        if one is not None and one.source
        else f"{one.called} of {where(words)}"
        if one is not None
        else f"the URL in {', '.join(s.name for s in held[:3])} of {where(words)}"
        if held
        else f"the URL that {where(words)} is given"
    )
    namespace = words.case.pod.namespace
    look = (
        (kubectl("edit" if one.resource == "configmap" else "describe", one.resource, one.holder, namespace=namespace),)
        if one is not None and one.holder
        else ()
    )
    return Advice(
        "a connection URL that it is given cannot be taken apart: mostly a password in it has a character that ends a "
        "part of a URL (@ : / ? # % or a blank)",
        (
            manifest(
                words,
                f"Write such characters of the password percent-encoded in {place} (@ is %40, : %3A, / %2F, # %23, ? "
                f"%3F, "
                "% %25), or choose a password of letters and digits; no quotes and no line end around the URL.",
                None,
                *look,
                *restart(words),
            ),
            app(
                "A chart that joins the URL of parts mostly encodes nothing: give it the whole URL, or an encoded part."
            ),
        ),
        (Evidence("spec", one.at, f"{one.name}: {one.source or 'a literal value'}"),) if one is not None else (),
        details={"setting": one.name} if one is not None else {},
        sure=False,
    )


ROWS: tuple[Row, ...] = (
    Row(
        "url-not-encoded",
        lazy(
            # Go net/url, Python urllib, Ruby URI, Prisma, JDBC, libpq, pymongo.
            r"invalid port \\{0,3}\":[^\n]{1,260}\" after host|net/url: invalid userinfo|invalid URL escape \\{0,3}\"%"
            r"|Port could not be cast to integer value|invalid port number in (?:database URL|connection string)"
            r"|bad URI\((?:is not URI|absolute but no path)|(?:the scheme|scheme) is not recognized in database URL"
            r"|Malformed database URL, failed to parse"
            r"|invalid integer value \\{0,3}\"[^\n\"]{1,200}\" for connection option"
            r"|Username and password must be escaped according to RFC 3986|must be percent-encoded"
            r"|[Pp]assword contains unescaped characters|contains an invalid percent-encoded"
        ),
        _malformed,
        beside=True,
    ),
)
