"""Runs one plugin: parse, read, diagnose, print, and turn every error into kubectl's words and an exit code."""

from __future__ import annotations

import atexit
import gc
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from kubetriage.cli.options import connection_options, normalized, plugin_option, shared_options
from kubetriage.cli.run import EXIT_MEANINGS, Exit, Run
from kubetriage.cluster.errors import ClusterError
from kubetriage.plugins import Plugin, codes, load


def main(name: str, args: Sequence[str] | None = None) -> int:
    """Run the plugin called ``name`` and return its exit code."""
    words = list(sys.argv[1:] if args is None else args)
    try:
        return _run(load(name), words)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader of the pipe left; what is still buffered must not raise again at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BROKEN_PIPE
    except Exception as error:  # the last resort: a defect of ours ends in a line, too
        _tell_defect(error, words)
        return Exit.ERROR


def _tell_defect(error: Exception, words: list[str]) -> None:
    """Say where a defect is in one line, with ``-v`` the whole way there; the values in it may be anybody's."""
    import traceback

    from kubetriage.redact import clean

    frames = traceback.extract_tb(error.__traceback__)
    where = f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "start"
    said = " ".join(clean(str(error)[:2000]).split())[:200]
    shown = any(re.match(r"--?v(=|\d|$)", word) for word in words)
    if shown:
        click.echo(clean("".join(traceback.format_list(frames))), err=True, nl=False)
    hint = "" if shown else "; -v shows the way there"
    click.echo(f"error: internal error: {type(error).__name__} at {where}: {said}{hint}", err=True)


def console() -> NoReturn:
    """Run the plugin that this executable is named after (``kubectl-why_crash`` is why-crash), and end the process.

    Under the name ``kubectl_complete-why_crash`` it answers kubectl's completion.
    """
    # A run allocates much and drops little of it: the collector would look at all of it again and again.
    gc.set_threshold(100_000, 50, 100)
    # What is imported while others wait for the API server must not hold them up when it answers.
    sys.setswitchinterval(0.0005)
    role, _, name = os.path.splitext(os.path.basename(sys.argv[0]))[0].partition("-")
    name = name.replace("_", "-")
    if role == "kubectl_complete":
        from kubetriage.cli.completion import complete

        click.echo(complete(load(name), sys.argv[1:]), nl=False)
        _leave(Exit.ANSWERED)
    _leave(main(name))


def _leave(code: int) -> NoReturn:
    """End the process at once, instead of having the interpreter take apart what ends with it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            code = Exit.BROKEN_PIPE
        except (OSError, ValueError):
            code = code or Exit.ERROR
    # Folders that unpacked archives left.
    atexit._run_exitfuncs()
    os._exit(code)


def _run(plugin: Plugin, args: list[str]) -> int:
    command = build(plugin)
    try:
        with command.make_context(f"kubectl {plugin.name}", normalized(args, command.params)) as context:
            outcome = command.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as request:
        return request.exit_code
    except click.UsageError as error:
        for line in usage_words(error, plugin):
            _tell(line)
        return Exit.ERROR
    except click.ClickException as error:
        _tell(f"error: {error.format_message()}")
        return Exit.ERROR
    except ClusterError as error:
        _tell(str(error))
        return Exit.ERROR
    return int(outcome or 0)


def _tell(line: str) -> None:
    """Print an error; names in it may come from a kubeconfig or a server."""
    from kubetriage.redact import clean

    click.echo(clean(line), err=True)


def usage_words(error: click.UsageError, plugin: Plugin) -> tuple[str, ...]:
    """Say a usage error in kubectl's words."""
    see = f"See 'kubectl {plugin.name} --help' for usage."
    if isinstance(error, click.NoSuchOption):
        flag = error.option_name
        if flag.startswith("--"):
            return f"error: unknown flag: {flag}", see
        return f"error: unknown shorthand flag: '{flag.lstrip('-')[:1]}' in {flag}", see
    if isinstance(error, click.BadOptionUsage) and "requires an argument" in error.message:
        flag = error.option_name
        words = flag if flag.startswith("--") else f"'{flag.lstrip('-')}' in {flag}"
        return f"error: flag needs an argument: {words}", see
    if isinstance(error, click.BadParameter) and error.param is not None:
        flags = ", ".join(error.param.opts)
        return f'error: invalid argument for "{flags}" flag: {error.message}', see
    return (f"error: {error.message}",)


def build(plugin: Plugin) -> click.Command:
    """Return the click command of a plugin."""

    def invoke(**values: Any) -> int:
        return Run(plugin, values).execute()

    params: list[click.Parameter] = [click.Argument(["words"], nargs=-1, metavar=plugin.usage)]
    params += [plugin_option(o) for o in plugin.options]
    params += shared_options(plugin)
    params += connection_options()
    params.append(
        click.Option(
            ["--explain-cause"],
            metavar="CODE",
            expose_value=False,
            is_eager=True,
            callback=_explain_cause,
            help="Print the page of a cause: what it means, how it is told, how to fix it.",
        )
    )
    params.append(
        click.Option(
            ["--version", "version"],
            is_flag=True,
            help="Print the versions of the plugin, the client library and Python; with --context the server's too.",
        )
    )
    return KubectlCommand(
        plugin.name,
        callback=invoke,
        params=params,
        help=plugin.description,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        plugin=plugin,
    )


def _explain_cause(ctx: click.Context, _param: click.Parameter, code: str | None) -> None:
    if code is None:
        return
    from kubetriage.render.causes import cause_page

    assert isinstance(ctx.command, KubectlCommand)
    rules = [r for r in ctx.command.plugin.rules if code.lower() in [c.lower() for c in codes(r)]]
    if not rules:
        known = ", ".join(sorted(c for r in ctx.command.plugin.rules for c in codes(r)))
        raise click.UsageError(f'no cause "{code}" in {ctx.command.plugin.name}; it knows {known}')
    named = next(c for c in codes(rules[0]) if c.lower() == code.lower())
    click.echo(cause_page(named, [(ctx.command.plugin.name, r) for r in rules]), nl=False)
    ctx.exit()


class KubectlCommand(click.Command):
    """A command whose help looks like kubectl's: what it does, examples first, then options and usage."""

    def __init__(self, *args: Any, plugin: Plugin, **settings: Any) -> None:
        """Remember the plugin for its examples and causes."""
        super().__init__(*args, **settings)
        self.plugin = plugin

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help page."""
        formatter.write_text(self.plugin.description)
        formatter.write("\nExamples:\n")
        formatter.write("\n".join(f"  # {comment}\n  {line}\n" for comment, line in self.plugin.examples))
        own = {o.flag for o in self.plugin.options}
        connection = {o.name for o in connection_options()}
        others = [p for p in self.get_params(ctx) if not own & set(p.opts)]
        groups: tuple[tuple[str, list[click.Parameter]], ...] = (
            (f"Options of {self.plugin.name}", [p for p in self.params if own & set(p.opts)]),
            ("Options", [p for p in others if p.name not in connection]),
            ("Options of kubectl", [p for p in others if p.name in connection]),
        )
        for title, members in groups:
            options = [p for p in members if isinstance(p, click.Option)]
            records = [r for p in options if (r := p.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in EXIT_MEANINGS.items()])
        formatter.write_paragraph()
        words = ("kubectl", self.plugin.name, self.plugin.usage, "[flags]")
        formatter.write(f"Usage:\n  {' '.join(word for word in words if word)}\n")
