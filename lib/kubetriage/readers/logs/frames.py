"""The place in the program's own code at which an error happened: the nearest frame that is no library's."""

from __future__ import annotations

import re

from kubetriage.readers.logs.text import LastError
from kubetriage.values.patterns import lazy

# Each gives the place; the first pattern that matches a line reads it.
_FRAMES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "java",
        lazy(
            r"\s*at (?:[\w.@-]{1,80}/{1,2})?(?P<name>[\w$.<>]{1,300})"
            r"\((?P<place>[\w$-]{1,120}\.(?:java|kt|scala|groovy|clj):\d{1,7})\)"
        ),
    ),
    ("python", lazy(r"\s*File \"(?P<place>[^\"]{1,400}\", line \d{1,7})")),
    ("node", lazy(r"\s*at (?:(?P<name>[^()\n]{1,200}) \()?(?:file://)?(?P<place>(?:/|[A-Za-z]:\\|webpack)[^()\n]{1,400}:\d{1,7}:\d{1,7})\)?\s*\Z")),
    ("dotnet", lazy(r"\s*at (?P<name>[\w.<>`+$\[\],]{1,300})\([^()\n]{0,300}\) in (?P<place>\S{1,300}:line \d{1,7})")),
    ("dotnet", lazy(r"\s*at (?P<place>(?P<name>[A-Z][\w.<>`+$\[\],]{1,300})\([^()\n]{0,300}\))\s*\Z")),
    ("go", lazy(r"\s+(?P<place>/\S{1,400}\.go:\d{1,7})(?: \+0x[0-9a-f]{1,16})?\s*\Z")),
    ("ruby", lazy(r"\s*(?:from )?(?P<place>/?[\w./-]{1,300}\.rb:\d{1,7}):in ")),
    ("php", lazy(r".{0,2000}? in (?P<place>/\S{1,300}\.php(?::\d{1,7}| on line \d{1,7}))")),
    ("rust", lazy(r"thread '[^']{0,80}' (?:\(\d+\) )?panicked at (?:'.{0,2000}',"
                  r" )?(?P<place>\S{1,300}\.rs:\d{1,7}:\d{1,7})")),
    ("elixir", lazy(r"\s*\((?P<name>[\w.]{1,60}) [\w.]{1,20}\) (?P<place>(?:lib|config"
                    r"|apps)/\S{1,200}\.exs?:\d{1,7})")),
)  # fmt: skip
_LIBRARY = lazy(
    r"\A(?:java|javax|jakarta|jdk|sun|com\.sun|kotlin|scala|groovy|clojure|org\.(?:springframework|hibernate|apache|eclipse"
    r"|jboss|quarkus|slf4j|postgresql|yaml|codehaus|flywaydb|gradle|junit)|io\.(?:netty|micronaut|quarkus|vertx|micrometer"
    r"|grpc|undertow|smallrye)|com\.(?:fasterxml|google|zaxxer|mysql|mongodb|datastax|oracle)|reactor|liquibase|ch\.qos"
    r"|redis\.clients|okhttp3|System|Microsoft|Npgsql|Newtonsoft|Serilog)\."
    r"|node_modules|node:internal|site-packages|dist-packages|/lib/python\d|<frozen|importlib\b|/usr/local/go/src"
    r"|/go/pkg/mod/|/root/go/pkg|/vendor/|/gems/|/lib/ruby/|/rustc/|\.cargo/registry|/var/www/html/vendor"
    # Scripts that pip makes for a package's command.
    r"|/s?bin/[\w-]{1,60}\", line \d"
    r"|\Ainternal/|\A[\w/]{1,200}\.pyx\b|<anonymous>|<string>|<stdin>"
)


def own_frame(error: LastError) -> str:
    """Return ``FILE:LINE`` of the frame nearest to the error that belongs to no library; empty when none is told.

    Frames of a JVM, .NET, Node or Go trace start at the error; those of Python end there.
    """
    found: list[tuple[str, str]] = []
    for line in (*error.lines, error.summary):
        for language, pattern in _FRAMES:
            match = pattern.match(line[:4096])
            if match is None:
                continue
            named = match.groupdict().get("name") or ""
            if not _LIBRARY.search(named) and not _LIBRARY.search(match["place"]):
                found.append((language, match["place"].replace('", line ', ":")))
            break
    if not found:
        return ""
    language = found[0][0]
    mine = [place for lang, place in found if lang == language]
    if language == "java" and (causes := _after_last_cause(error)):
        return causes
    return mine[-1] if language == "python" else mine[0]


def _after_last_cause(error: LastError) -> str:
    """Return the first own frame below the last ``Caused by`` of a JVM trace."""
    at = max((i for i, line in enumerate(error.lines) if line.lstrip().startswith("Caused by: ")), default=-1)
    for line in error.lines[at + 1 :] if at >= 0 else ():
        match = _FRAMES[0][1].match(line[:4096])
        if match is not None and not _LIBRARY.search(match["name"]):
            return match["place"]
    return ""
