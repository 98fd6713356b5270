"""The flags that all plugins share, with kubectl's names and meanings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NoReturn

import click

from kubetriage.plugins import Option, Plugin
from kubetriage.render.times import CHOICES as TIMES
from kubetriage.values.times import parse_go_duration, parse_time

OUTPUTS = ("wide", "json", "yaml", "name", "markdown", "html")


class Duration(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.2
    """kubectl's duration: ``5s``, ``1m30s``, or a plain number of seconds; ``0`` is none."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, int | float):
            return float(value)
        if re.fullmatch(r"\d+", value):
            return float(value)
        span = parse_go_duration(value)
        if span is None or span.total_seconds() < 0:
            self.fail(f'time: invalid duration "{value}"', param, ctx)
        return span.total_seconds()


DURATION = Duration()


class Moment(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.2
    """A time as the API writes it."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the moment."""
        found = value if isinstance(value, datetime) else parse_time(value)
        if found is None:
            self.fail(f'"{value}" is no time as 2026-01-02T15:04:05Z', param, ctx)
        return found


MOMENT = Moment()


class RequestTimeout(Duration):
    """kubectl's ``--request-timeout``, with its own words for what is none."""

    def fail(self, message: str, param: click.Parameter | None = None, ctx: click.Context | None = None) -> NoReturn:
        """Refuse in kubectl's words."""
        del message, param
        raise click.UsageError(
            "Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a "
            "corresponding time unit (e.g. 1s | 2m | 3h)",
            ctx,
        )


class Language(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.2
    """A language that there is a catalogue for, as ``ko`` or as in a locale: ``ko_KR.UTF-8``."""

    name = "language"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the language's code."""
        from kubetriage.render.catalog import languages
        from kubetriage.render.words import language_of

        language = language_of(value)
        if not value or language not in languages():
            self.fail(f'"{value}" is not one of {", ".join(languages())}', param, ctx)
        return language


class Output(click.Choice):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.2
    """An output format."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse other formats in kubectl's words."""
        if value not in self.choices:
            allowed = ",".join(sorted(self.choices))
            raise click.UsageError(
                f'unable to match a printer suitable for the output format "{value}", allowed formats are: {allowed}',
                ctx,
            )
        return super().convert(value, param, ctx)


class FileText(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.2
    """The text of a file, or of stdin for ``-``."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the file."""
        try:
            with click.open_file(value, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            raise click.UsageError(f'the path "{value}" does not exist', ctx) from None
        except OSError as error:
            self.fail(f"{value}: {error.strerror}", param, ctx)


class Manifest(FileText):
    """The documents of a YAML or JSON file, or of stdin for ``-``."""

    name = "manifest"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[Any]:
        """Read and parse the file."""
        from kubetriage.cluster.manifest import parse_manifest

        try:
            return parse_manifest(super().convert(value, param, ctx))
        except ValueError as error:
            self.fail(f"{value}: {error}", param, ctx)


def shared_options(plugin: Plugin) -> list[click.Option]:
    """Return the options of what to look at and how to print it."""
    options = []
    if plugin.takes_targets:
        options += [
            click.Option(
                ["-A", "--all-namespaces", "all_namespaces"],
                is_flag=True,
                help="Look at all namespaces.",
            ),
            click.Option(["-l", "--selector"], default="", metavar="SELECTOR", help="Choose objects by label."),
            click.Option(["--field-selector"], default="", metavar="SELECTOR", help="Choose objects by field."),
            click.Option(["--all", "show_all"], is_flag=True, help="Include healthy objects in a scan."),
            click.Option(["--no-fold", "no_fold"], is_flag=True, help="In a scan, one row per object, not per fault."),
        ]
    if plugin.default_resource == "pods":
        options.append(click.Option(["-c", "--container"], default="", help="Look at this container only."))
    if plugin.waits:
        options.append(
            click.Option(
                ["--wait"],
                type=DURATION,
                metavar="DURATION",
                help="Follow the named workloads until they are ready or have a cause that waiting does not cure; exit "
                "codes 0 (ready), 3 (a cause), 4 (still undecided).",
            )
        )
    options.append(
        click.Option(
            ["--since"],
            metavar="FILE",
            help="Say what is new, gone and worse since an earlier answer (-o json) in FILE.",
        )
    )
    if plugin.watches:
        options.append(
            click.Option(
                ["-w", "--watch"],
                is_flag=True,
                help="Answer again on every change, until Ctrl-C; in a pipe, one line per changed verdict.",
            )
        )
    options += [
        click.Option(
            ["-o", "--output"],
            type=Output(OUTPUTS),
            metavar="|".join(OUTPUTS),
            help="Output format; a diagnosis table for people when omitted. markdown is for tickets, html is one page "
            "to keep; for jsonpath use -o json with jq.",
        ),
        click.Option(["--no-headers"], is_flag=True, help="Print tables without headers."),
        click.Option(["--explain"], is_flag=True, help="Show the kubectl steps behind this answer."),
        click.Option(
            ["--from", "dump"],
            metavar="PATH",
            help="Read a recorded cluster or pasted text (directory, archive, file, or - for stdin), not a live one.",
        ),
        click.Option(
            ["--now"],
            type=MOMENT,
            default=None,
            metavar="TIME",
            help="With --from: when it was recorded or printed (RFC 3339); ages count from there.",
        ),
        click.Option(
            ["--record"],
            metavar="DIR",
            help="Write what was read, redacted, so that --from DIR gives the same diagnosis.",
        ),
        click.Option(
            ["--contexts"],
            default=None,
            metavar="PATTERNS",
            help="Ask several clusters at once: contexts by name or glob, separated by commas (prod-*,test).",
        ),
        click.Option(
            ["--color"],
            type=click.Choice(("auto", "always", "never")),
            default="auto",
            help="When to use colour; NO_COLOR turns it off.",
        ),
        click.Option(
            ["--lang"],
            type=Language(),
            metavar="LANGUAGE",
            help="Language of text, such as ko; that of LC_ALL, LC_MESSAGES or LANG when omitted. Documents are in "
            "English.",
        ),
        click.Option(
            ["--timestamps"],
            type=click.Choice(TIMES),
            help="Times in text: relative (2m ago), utc, or local; the usual is relative, and utc with -o wide.",
        ),
        click.Option(["--exit-code"], is_flag=True, help="Exit with 3 when something is wrong."),
        click.Option(["-v", "--v", "verbosity"], type=int, default=0, metavar="N", help="Debug trail on stderr."),
    ]
    return options


def connection_options() -> list[click.Option]:
    """Return kubectl's global options of how to reach the cluster."""
    return [
        click.Option(["-n", "--namespace"], default=None, help="Namespace; that of the context when omitted."),
        click.Option(["--context"], default=None, help="Context of the kubeconfig to use."),
        click.Option(["--kubeconfig"], default=None, metavar="PATH", help="Kubeconfig to use."),
        click.Option(["--cluster"], default=None, help="Cluster of the kubeconfig to use."),
        click.Option(["--user"], default=None, help="User of the kubeconfig to use."),
        click.Option(["--as", "as_user"], default=None, metavar="USER", help="User to impersonate."),
        click.Option(["--as-group"], multiple=True, metavar="GROUP", help="Group to impersonate; may be repeated."),
        click.Option(["--as-uid"], default=None, metavar="UID", help="UID to impersonate."),
        click.Option(
            ["--request-timeout"],
            type=RequestTimeout(),
            default=30.0,
            metavar="DURATION",
            help="Time for one request (5s, 1m, or seconds; default 30s); 0 is no limit.",
        ),
        click.Option(["-s", "--server"], default=None, metavar="URL", help="Address of the API server."),
        click.Option(["--token"], default=None, help="Bearer token."),
        click.Option(["--certificate-authority"], default=None, metavar="PATH", help="Certificate of the authority."),
        click.Option(["--client-certificate"], default=None, metavar="PATH", help="Client certificate."),
        click.Option(["--client-key"], default=None, metavar="PATH", help="Client key."),
        click.Option(["--tls-server-name"], default=None, help="Name to check the server's certificate against."),
        click.Option(
            ["--insecure-skip-tls-verify"], is_flag=True, help="Do not check the server's certificate (insecure)."
        ),
    ]


def plugin_option(option: Option) -> click.Option:
    """Turn a plugin's own flag into a click option."""
    kinds: dict[str, Any] = {
        "integer": int,
        "number": float,
        "duration": DURATION,
        "text": str,
        "file": FileText(),
        "manifest": Manifest(),
    }
    settings: dict[str, Any] = {"help": option.help, "multiple": option.multiple}
    if option.metavar:
        settings["metavar"] = option.metavar
    if option.kind == "flag":
        return click.Option([option.flag], is_flag=True, help=option.help, default=bool(option.default))
    settings["type"] = click.Choice(option.choices) if option.kind == "choice" else kinds[option.kind]
    default = () if option.multiple and option.default is None else option.default
    if option.kind == "choice" and not option.multiple and default not in option.choices:
        default = None
    return click.Option([*([option.short] if option.short else []), option.flag], default=default, **settings)


_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")
"""What Go's strconv.ParseBool takes."""


def normalized(args: list[str], params: Iterable[click.Parameter]) -> list[str]:
    """Read what kubectl reads and click does not: ``-v=6``, ``-A=true``, ``--all=false``; ``-v`` alone is level 6.

    Raises click.UsageError with kubectl's words.
    """
    switches = {name: p for p in params if isinstance(p, click.Option) and p.is_flag for name in p.opts}
    done: list[str] = []
    for position, word in enumerate(args):
        if word == "--":
            return done + args[position:]
        following = args[position + 1] if position + 1 < len(args) else ""
        if word in ("-v", "--v") and not re.fullmatch(r"\d+", following):
            done += ["-v", "6"]
        elif (match := re.fullmatch(r"(--?[a-z-]+)=(.*)", word, re.DOTALL | re.IGNORECASE)) and match[1] in switches:
            if match[2] in _TRUE:
                done.append(match[1])
            elif match[2] not in _FALSE:
                flags = ", ".join(switches[match[1]].opts)
                raise click.UsageError(
                    f'invalid argument "{match[2]}" for "{flags}" flag: strconv.ParseBool: parsing "{match[2]}": '
                    "invalid syntax"
                )
        elif match := re.fullmatch(r"(-[a-zA-Z])=(.*)", word, re.DOTALL):
            done += [match[1], match[2]]
        else:
            done.append(word)
    return done
