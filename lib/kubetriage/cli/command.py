"""The click command of a plugin: its parameters, its help page in kubectl's shape, and the page of a cause."""

from __future__ import annotations

import click

from kubetriage.cli.exit_codes import EXIT_MEANINGS
from kubetriage.cli.flags import CONNECTION, own_flags, shared_flags
from kubetriage.cli.options import click_option, normalized
from kubetriage.cli.run import Run
from kubetriage.cli.usage import UsageError
from kubetriage.plugins import Plugin
from kubetriage.typed import Any


def build(plugin: Plugin) -> click.Command:
    """Return the click command of a plugin."""

    def invoke(**values: Any) -> int:
        # An object of that name can still be asked for as TYPE/NAME.
        if values["words"] == ("help",):
            click.echo(click.get_current_context().get_help())
            return 0
        if values["words"] == ("version",):
            values = {**values, "words": (), "version": True}
        return Run(plugin, values).execute()

    params: list[click.Parameter] = [click.Argument(["words"], nargs=-1, metavar=plugin.usage)]
    params += [click_option(flag) for flag in (*own_flags(plugin), *shared_flags(plugin), *CONNECTION)]
    params.append(
        click.Option(
            ["--explain-cause"],
            metavar="CODE",
            is_flag=False,
            flag_value="list",
            expose_value=False,
            is_eager=True,
            callback=_explain_cause,
            help="Explain a cause, or an exit code such as 137: what it means, how it is detected, how to fix it. "
            "Without a value, list all causes.",
        )
    )
    params.append(
        click.Option(
            ["--install-completion"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_install_completion,
            help="Link the files that kubectl's completion looks for beside the installed plugins.",
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


def run(plugin: Plugin, args: list[str]) -> int:
    """Read any command line and do what it says; return the exit code.

    Raises UsageError in kubectl's words.
    """
    command = build(plugin)
    try:
        with command.make_context(f"kubectl {plugin.name}", normalized(args, command.params)) as context:
            return int(command.invoke(context) or 0)
    except click.exceptions.Exit as request:
        return request.exit_code
    except click.UsageError as error:
        raise _in_words_of_kubectl(error, plugin) from error


def _in_words_of_kubectl(error: click.UsageError, plugin: Plugin) -> UsageError:
    see = f"See 'kubectl {plugin.name} --help' for usage."
    if isinstance(error, click.NoSuchOption):
        flag = error.option_name
        if flag.startswith("--"):
            return UsageError(f"unknown flag: {flag}", see)
        return UsageError(f"unknown shorthand flag: '{flag.lstrip('-')[:1]}' in {flag}", see)
    if isinstance(error, click.BadOptionUsage) and "requires an argument" in error.message:
        flag = error.option_name
        words = flag if flag.startswith("--") else f"'{flag.lstrip('-')}' in {flag}"
        return UsageError(f"flag needs an argument: {words}", see)
    if isinstance(error, click.BadParameter) and error.param is not None:
        flags = ", ".join(error.param.opts)
        return UsageError(f'invalid argument for "{flags}" flag: {error.message}', see)
    return UsageError(error.message)


def _explain_cause(ctx: click.Context, _param: click.Parameter, word: str | None) -> None:
    if word is None or ctx.resilient_parsing:
        return
    from shutil import get_terminal_size

    from kubetriage.cli.explain import explanation

    assert isinstance(ctx.command, KubectlCommand)
    click.echo(explanation(ctx.command.plugin, word, min(get_terminal_size().columns, 100)), nl=False)
    ctx.exit()


def _install_completion(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from kubetriage.cli.install import install_completion

    for line in install_completion():
        click.echo(line)
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
        connection = {flag.name for flag in CONNECTION}
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
        formatter.write(
            f"kubectl takes no flags before a plugin's name:\n  kubectl {self.plugin.name} --context NAME ...\n\n"
        )
        words = ("kubectl", self.plugin.name, self.plugin.usage, "[flags]")
        formatter.write(f"Usage:\n  {' '.join(word for word in words if word)}\n")
