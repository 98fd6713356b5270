"""The flags as options of click, which reads and refuses what is no plain command line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

import click

from kubetriage.cli.flags import Flag, seconds
from kubetriage.typed import Any, NoReturn
from kubetriage.values.times import parse_time


class Duration(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.2
    """kubectl's duration: ``5s``, ``1m30s``, or a plain number of seconds; ``0`` is none."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, int | float):
            return float(value)
        found = seconds(value)
        if found is None:
            self.fail(f'time: invalid duration "{value}"', param, ctx)
        return found


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


def click_option(flag: Flag) -> click.Option:
    """Turn a flag into a click option."""
    if flag.kind == "flag":
        return click.Option([*flag.names, flag.name], is_flag=True, help=flag.help, default=flag.default)
    settings: dict[str, Any] = {"metavar": flag.metavar} if flag.metavar else {}
    settings["type"] = _type(flag)
    return click.Option(
        [*flag.names, flag.name], default=flag.default, help=flag.help, multiple=flag.multiple, **settings
    )


def _type(flag: Flag) -> Any:
    if flag.kind == "choice":
        return click.Choice(flag.choices)
    kinds: dict[str, Any] = {
        "integer": int,
        "number": float,
        "duration": DURATION,
        "timeout": RequestTimeout(),
        "time": MOMENT,
        "language": Language(),
        "output": Output(flag.choices),
        "text": str,
        "file": FileText(),
        "manifest": Manifest(),
    }
    return kinds[flag.kind]


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
