"""The flags that all plugins share, with kubectl's names and meanings, and the plain command lines made of them.

A plain command line is read here: words, known flags and values of theirs that need no explanation. Everything else is
click's (``cli/options.py`` makes its options of the same flags), which takes longer to import than reading a pod does.
"""

from __future__ import annotations

from collections.abc import Sequence

from kubetriage.plugins import Option, Plugin
from kubetriage.records import dataclass
from kubetriage.render.times import CHOICES as TIMES
from kubetriage.typed import Any
from kubetriage.values.times import parse_go_duration

OUTPUTS = ("wide", "json", "yaml", "name", "markdown", "html")


@dataclass(frozen=True)
class Flag:
    """A flag of the command line."""

    names: tuple[str, ...]
    """As they are typed, the short one first."""
    help: str
    kind: str = "text"
    """That of :class:`kubetriage.plugins.Option`, or ``output``, ``language``, ``time`` or ``timeout``."""
    default: Any = None
    metavar: str = ""
    choices: tuple[str, ...] = ()
    multiple: bool = False
    called: str = ""
    """Name of the value, where it is not the long name with ``_`` for ``-``."""

    @property
    def name(self) -> str:
        """Name of the value."""
        return self.called or self.names[-1].removeprefix("--").replace("-", "_")


def own_flags(plugin: Plugin) -> list[Flag]:
    """Return the flags of one plugin."""
    return [_own(option) for option in plugin.options]


def _own(option: Option) -> Flag:
    default = () if option.multiple and option.default is None else option.default
    if option.kind == "flag":
        default = bool(default)
    if option.kind == "choice" and not option.multiple and default not in option.choices:
        default = None
    names = (*([option.short] if option.short else []), option.flag)
    return Flag(names, option.help, option.kind, default, option.metavar, option.choices, option.multiple)


def shared_flags(plugin: Plugin) -> list[Flag]:
    """Return the flags of what to look at and how to print it."""
    flags = []
    if plugin.takes_targets:
        flags += [
            Flag(("-A", "--all-namespaces"), "Look at all namespaces.", "flag", False),
            Flag(("-l", "--selector"), "Choose objects by label.", default="", metavar="SELECTOR"),
            Flag(("--field-selector",), "Choose objects by field.", default="", metavar="SELECTOR"),
            Flag(("--all",), "Include healthy objects in a scan.", "flag", False, called="show_all"),
            Flag(("--no-fold",), "In a scan, one row per object, not per fault.", "flag", False),
        ]
    if plugin.default_resource == "pods":
        flags.append(Flag(("-c", "--container"), "Look at this container only.", default=""))
    if plugin.waits:
        flags.append(
            Flag(
                ("--wait",),
                "Follow the named workloads until they are ready or have a cause that waiting does not cure; exit "
                "codes 0 (ready), 3 (a cause), 4 (still undecided).",
                "duration",
                metavar="DURATION",
            )
        )
    flags.append(
        Flag(("--since",), "Say what is new, gone and worse since an earlier answer (-o json) in FILE.", metavar="FILE")
    )
    if plugin.watches:
        flags.append(
            Flag(
                ("-w", "--watch"),
                "Answer again on every change, until Ctrl-C; in a pipe, one line per changed verdict.",
                "flag",
                False,
            )
        )
    return [*flags, *_PRINTING]


_PRINTING = (
    Flag(
        ("-o", "--output"),
        "Output format; a diagnosis table for people when omitted. markdown is for tickets, html is one page to keep; "
        "for jsonpath use -o json with jq.",
        "output",
        metavar="|".join(OUTPUTS),
        choices=OUTPUTS,
    ),
    Flag(("--no-headers",), "Print tables without headers.", "flag", False),
    Flag(("--explain",), "Show the kubectl steps behind this answer.", "flag", False),
    Flag(
        ("--from",),
        "Read a recorded cluster or pasted text (directory, archive, file, or - for stdin), not a live one.",
        metavar="PATH",
        called="dump",
    ),
    Flag(
        ("--now",),
        "With --from: when it was recorded or printed (RFC 3339); ages count from there.",
        "time",
        metavar="TIME",
    ),
    Flag(("--record",), "Write what was read, redacted, so that --from DIR gives the same diagnosis.", metavar="DIR"),
    Flag(
        ("--contexts",),
        "Ask several clusters at once: contexts by name or glob, separated by commas (prod-*,test).",
        metavar="PATTERNS",
    ),
    Flag(
        ("--color",),
        "When to use colour; NO_COLOR turns it off.",
        "choice",
        "auto",
        choices=("auto", "always", "never"),
    ),
    Flag(
        ("--lang",),
        "Language of text, such as ko; that of LC_ALL, LC_MESSAGES or LANG when omitted. Documents are in English.",
        "language",
        metavar="LANGUAGE",
    ),
    Flag(
        ("--timestamps",),
        "Times in text: relative (2m ago), utc, or local; the usual is relative, and utc with -o wide.",
        "choice",
        choices=TIMES,
    ),
    Flag(("--exit-code",), "Exit with 3 when something is wrong.", "flag", False),
    Flag(("-v", "--v"), "Debug trail on stderr.", "integer", 0, metavar="N", called="verbosity"),
)

CONNECTION = (
    Flag(("-n", "--namespace"), "Namespace; that of the context when omitted."),
    Flag(("--context",), "Context of the kubeconfig to use."),
    Flag(("--kubeconfig",), "Kubeconfig to use.", metavar="PATH"),
    Flag(("--cluster",), "Cluster of the kubeconfig to use."),
    Flag(("--user",), "User of the kubeconfig to use."),
    Flag(("--as",), "User to impersonate.", metavar="USER", called="as_user"),
    Flag(("--as-group",), "Group to impersonate; may be repeated.", default=(), metavar="GROUP", multiple=True),
    Flag(("--as-uid",), "UID to impersonate.", metavar="UID"),
    Flag(
        ("--request-timeout",),
        "Time for one request (5s, 1m, or seconds; default 30s); 0 is no limit.",
        "timeout",
        30.0,
        metavar="DURATION",
    ),
    Flag(("-s", "--server"), "Address of the API server.", metavar="URL"),
    Flag(("--token",), "Bearer token."),
    Flag(("--certificate-authority",), "Certificate of the authority.", metavar="PATH"),
    Flag(("--client-certificate",), "Client certificate.", metavar="PATH"),
    Flag(("--client-key",), "Client key.", metavar="PATH"),
    Flag(("--tls-server-name",), "Name to check the server's certificate against."),
    Flag(("--insecure-skip-tls-verify",), "Do not check the server's certificate (insecure).", "flag", False),
)
"""kubectl's global flags of how to reach the cluster."""


def seconds(value: str) -> float | None:
    """Read kubectl's duration: ``5s``, ``1m30s``, or a plain number of seconds; None for anything else."""
    if value.isascii() and value.isdigit():
        return float(value)
    span = parse_go_duration(value)
    return None if span is None or span.total_seconds() < 0 else span.total_seconds()


def plain_values(plugin: Plugin, args: Sequence[str]) -> dict[str, Any] | None:
    """Return the values of a plain command line by their names; None for one that click has to read or refuse."""
    flags = (*own_flags(plugin), *shared_flags(plugin), *CONNECTION)
    values: dict[str, Any] = {flag.name: flag.default for flag in flags}
    by_name = {name: flag for flag in flags for name in flag.names}
    words: list[str] = []
    left = list(reversed(args))
    while left:
        word = left.pop()
        if not word.startswith("-"):
            words.append(word)
            continue
        name, is_joined, given = word.partition("=")
        flag = by_name.get(name)
        if flag is None or flag.called == "verbosity":
            return None
        if flag.kind == "flag":
            if is_joined:
                return None
            values[flag.name] = True
            continue
        if not is_joined:
            if not left or left[-1].startswith("-"):
                return None
            given = left.pop()
        value = _read(flag, given)
        if value is None:
            return None
        values[flag.name] = (*values[flag.name], value) if flag.multiple else value
    if words in (["help"], ["version"]):
        return None
    return {**values, "words": tuple(words), "version": False}


def _read(flag: Flag, given: str) -> Any:
    """Return what the value of a flag means; None where that takes more than a look."""
    if flag.kind == "text":
        return given
    if flag.kind in ("choice", "output"):
        return given if given in flag.choices else None
    if flag.kind == "integer":
        return int(given) if given.isascii() and given.isdigit() else None
    if flag.kind in ("duration", "timeout"):
        return seconds(given)
    return None
