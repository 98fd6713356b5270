"""Runs one plugin: parse, read, diagnose, print, and turn every error into kubectl's words and an exit code."""

from __future__ import annotations

import enum
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

import kubetriage
from kubetriage.cli.collect import collect
from kubetriage.cli.options import connection_options, normalized, plugin_option, shared_options
from kubetriage.cli.target import parse_targets
from kubetriage.cluster.errors import ClusterError
from kubetriage.fields import name_of, namespace_of
from kubetriage.model import Severity
from kubetriage.plugins import Answer, Plugin, Request, codes, load
from kubetriage.render.terminal import Terminal, wants_color
from kubetriage.resources import BY_PLURAL
from kubetriage.selectors import parse_label_selector
from kubetriage.snapshot import Reader, Snapshot


class Exit(enum.IntEnum):
    """Exit codes."""

    ANSWERED = 0
    """The question was answered, whatever the answer."""
    ERROR = 1
    """No answer: usage, connection, not found, forbidden (kubectl has only this code for errors)."""
    FOUND = 3
    """With ``--exit-code``: something with severity error was found."""
    INTERRUPTED = 130
    BROKEN_PIPE = 141


def main(name: str, args: Sequence[str] | None = None) -> int:
    """Run the plugin called ``name`` and return its exit code."""
    try:
        return _run(load(name), list(sys.argv[1:] if args is None else args))
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader of the pipe left; what is still buffered must not raise again at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BROKEN_PIPE


def console() -> int:
    """Run the plugin that this executable is named after (``kubectl-why_crash`` is why-crash).

    Under the name ``kubectl_complete-why_crash`` it answers kubectl's completion.
    """
    role, _, name = Path(sys.argv[0]).stem.partition("-")
    name = name.replace("_", "-")
    if role == "kubectl_complete":
        from kubetriage.cli.completion import complete

        click.echo(complete(load(name), sys.argv[1:]), nl=False)
        return Exit.ANSWERED
    return main(name)


def _run(plugin: Plugin, args: list[str]) -> int:
    command = build(plugin)
    try:
        with command.make_context(f"kubectl {plugin.name}", normalized(args)) as context:
            outcome = command.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as request:
        return request.exit_code
    except click.UsageError as error:
        for line in usage_words(error, plugin):
            click.echo(line, err=True)
        return Exit.ERROR
    except click.ClickException as error:
        click.echo(f"error: {error.format_message()}", err=True)
        return Exit.ERROR
    except ClusterError as error:
        click.echo(str(error), err=True)
        return Exit.ERROR
    return int(outcome or 0)


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
            ["--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_print_version,
            help="Print the version.",
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
    if not code:
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


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    from importlib import metadata

    click.echo(f"kubectl {ctx.command.name} {kubetriage.__version__}")
    click.echo(f"kubernetes client {metadata.version('kubernetes')}")
    click.echo(f"Python {platform.python_version()}")
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
        shared = {o.name for o in shared_options(self.plugin)}
        groups: tuple[tuple[str, list[click.Parameter]], ...] = (
            (f"Options of {self.plugin.name}", [p for p in self.params if own & set(p.opts)]),
            ("Options", [p for p in self.params if p.name in shared]),
            (
                "Options of kubectl",
                [p for p in self.get_params(ctx) if not own & set(p.opts) and p.name not in shared],
            ),
        )
        for title, members in groups:
            options = [p for p in members if isinstance(p, click.Option)]
            records = [r for p in options if (r := p.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
        formatter.write_paragraph()
        formatter.write(f"Usage:\n  kubectl {self.plugin.name} {self.plugin.usage} [flags]\n")


@dataclass
class Run:
    """One invocation with its parsed options."""

    plugin: Plugin
    values: dict[str, Any]

    def execute(self) -> int:
        """Answer the question and print it."""
        request = self._request()
        reader, snapshot, namespace = self._reader(request)
        request = _in_namespace(request, namespace)
        snapshot, answer = collect(self.plugin, request, reader, snapshot)
        self._print(request, snapshot, answer)
        for line in answer.errors:
            click.echo(line, err=True)
        if answer.errors:
            return Exit.ERROR
        broken = any(f.severity is Severity.ERROR for d in answer.diagnoses for f in d.findings)
        return Exit.FOUND if broken and self.values["exit_code"] else Exit.ANSWERED

    def _request(self) -> Request:
        v, plugin = self.values, self.plugin
        targets = parse_targets(v["words"], plugin)
        everywhere = bool(v.get("all_namespaces"))
        selector, fields = v.get("selector") or "", v.get("field_selector") or ""
        if targets and everywhere:
            raise click.UsageError("a resource cannot be retrieved by name across all namespaces")
        if targets and (selector or fields):
            raise click.UsageError("name cannot be provided when a selector is specified")
        if not (targets or selector or fields or everywhere or plugin.scan_without_target):
            raise click.UsageError(f"name or selector required: kubectl {plugin.name} {plugin.usage}")
        try:
            parse_label_selector(selector)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        own = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
        return Request(
            targets=targets,
            namespace="" if everywhere else v["namespace"] or "",
            all_namespaces=everywhere,
            selector=selector,
            field_selector=fields,
            container=v.get("container") or "",
            show_all=bool(v.get("show_all")),
            options={name: default if v[name] is None else v[name] for name, default in own.items()},
        )

    def _reader(self, request: Request) -> tuple[Reader, Snapshot, str]:
        """Return the reader, its opened snapshot, and the namespace to use where the user gave none."""
        if self.values["dump"]:
            from kubetriage.cluster.recorded import RecordedReader

            recorded = RecordedReader(Path(self.values["dump"]))
            snapshot = recorded.open()
            return recorded, snapshot, _namespace_of_dump(snapshot, request)
        if any(
            o.kind == "manifest" and request.options.get(o.flag.removeprefix("--").replace("-", "_"))
            for o in self.plugin.options
        ):
            from kubetriage.cluster.manifest import NoCluster

            nobody = NoCluster()
            return nobody, nobody.open(), "default"
        from kubetriage.cluster.connect import Connection, connect
        from kubetriage.cluster.live import LiveReader

        v = self.values
        session = connect(
            Connection(
                kubeconfig=v["kubeconfig"] or "",
                context=v["context"] or "",
                cluster=v["cluster"] or "",
                user=v["user"] or "",
                namespace=v["namespace"] or "",
                as_=v["as_user"] or "",
                as_uid=v["as_uid"] or "",
                as_groups=tuple(v["as_group"]),
                request_timeout=v["request_timeout"],
                server=v["server"] or "",
                token=v["token"] or "",
                insecure_skip_tls_verify=v["insecure_skip_tls_verify"],
                certificate_authority=v["certificate_authority"] or "",
                client_certificate=v["client_certificate"] or "",
                client_key=v["client_key"] or "",
                tls_server_name=v["tls_server_name"] or "",
            ),
            os.environ,
        )
        interval, deadline = request.options.get("interval"), request.options.get("deadline")
        live = LiveReader(
            session,
            # The samples are the interval apart; the deadline is for everything else.
            deadline=deadline + (interval or 0.0) if deadline else None,
            trace=_trace if v["verbosity"] else None,
            **({} if interval is None else {"interval": interval}),
        )
        return live, live.open(), session.namespace

    def _print(self, request: Request, snapshot: Snapshot, answer: Answer) -> None:
        from kubetriage.render.sanitize import sanitized

        diagnoses = [sanitized(d) for d in answer.diagnoses]
        output = self.values["output"]
        if output in ("json", "yaml"):
            from kubetriage.render import document

            content = document.document(diagnoses, snapshot.now)
            click.echo(document.as_json(content) if output == "json" else document.as_yaml(content))
            return
        if request.is_scan and self.plugin.takes_targets and not diagnoses and not answer.errors:
            click.echo(_nothing(self.plugin, request, answer), err=not answer.checked)
            return
        if output == "name":
            for d in diagnoses:
                click.echo(f"{d.target.kind.lower()}/{d.target.name}")
            return
        if not diagnoses:
            return
        from kubetriage.render.text import render_text

        text = render_text(
            diagnoses,
            self._terminal(),
            wide=output == "wide",
            headers=not self.values["no_headers"],
            explain=self.values["explain"],
            scan=request.is_scan and len(diagnoses) > 1,
            namespaces=request.all_namespaces,
        )
        click.echo(text)

    def _terminal(self) -> Terminal:
        on_terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if on_terminal else None
        encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
        return Terminal(width, wants_color(self.values["color"], os.environ, on_terminal), encoding.startswith("utf"))


def _trace(line: str) -> None:
    click.echo(line, err=True)


def _in_namespace(request: Request, namespace: str) -> Request:
    if request.namespace or request.all_namespaces:
        return request
    return replace(request, namespace=namespace)


def _namespace_of_dump(snapshot: Snapshot, request: Request) -> str:
    """Choose the namespace of a dump where the user gave none: the only one that holds the named objects."""
    places = set[str]()
    for target in request.targets:
        if target.resource in BY_PLURAL:
            places |= {namespace_of(o) for o in snapshot.list(target.resource).items if name_of(o) == target.name}
    if not request.targets:
        places = {namespace_of(o) for o in snapshot.list("pods").items} - {"kube-system"}
    return places.pop() if len(places) == 1 else "default"


def _nothing(plugin: Plugin, request: Request, answer: Answer) -> str:
    """Say that a scan has nothing to show; kubectl's words where there is nothing at all."""
    placed = BY_PLURAL[plugin.default_resource].namespaced
    where = f" in {request.namespace} namespace" if placed and not request.all_namespaces else ""
    if not answer.checked:
        return f"No resources found{where}."
    return f"Nothing is wrong: {answer.checked} looked at{where}."
