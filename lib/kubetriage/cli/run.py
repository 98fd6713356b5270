"""One invocation with its parsed options: ask one cluster or several, print, and choose the exit code."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

import kubetriage
from kubetriage.cli.collect import collect
from kubetriage.cli.exit_codes import Exit
from kubetriage.cli.names import meant
from kubetriage.cli.progress import Progress
from kubetriage.cli.sources import Sources, tracer
from kubetriage.cli.target import by_namespace, parse_targets, segment_flaw
from kubetriage.cluster.errors import ClusterError
from kubetriage.model import Diagnosis, Severity
from kubetriage.needs import Raw
from kubetriage.plugins import Answer, Plugin, Request
from kubetriage.render.terminal import Terminal, carries_drawings, wants_color
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import text
from kubetriage.values.resources import BY_PLURAL
from kubetriage.values.selectors import parse_label_selector, unsupported_field
from kubetriage.values.times import format_time

if TYPE_CHECKING:
    from kubetriage.rules.incident.changes import Changes

    pass

CLUSTERS_AT_ONCE = 8
_PATHS = {"--from": "dump", "--record": "record"}
LOOKS_KEPT = 20
"""Former looks of --watch whose numbers are kept: ten minutes at the usual pace."""
_NOT_WITH_WATCH = {"--from": "dump", "--record": "record", "--contexts": "contexts"}
"""Flags by the names of their values."""


@dataclass(frozen=True)
class Outcome:
    """What one cluster answered, or why it did not."""

    context: str
    request: Request
    snapshot: Snapshot | None = None
    answer: Answer = field(default_factory=Answer)
    error: str = ""
    notes: tuple[str, ...] = ()
    """What a name was taken for, or what comes near it: lines for stderr that are no errors."""

    @property
    def errors(self) -> tuple[str, ...]:
        """Lines for stderr."""
        return (*self.answer.errors, self.error) if self.error else self.answer.errors


@dataclass
class Run:
    """One invocation."""

    plugin: Plugin
    values: dict[str, Any]
    _interrupted: bool = False
    """The user did not wait for all clusters of a fleet."""

    def __post_init__(self) -> None:
        """Prepare to read."""
        self._sources = Sources(self.plugin, self.values)

    def execute(self) -> int:
        """Answer the question and print it."""
        if self.values["version"]:
            return self._print_versions()
        request = self._request()
        if self.plugin.prints is not None and (printed := self.plugin.prints(request)):
            click.echo(printed)
            return Exit.ANSWERED
        if self.values["record"]:
            from pathlib import Path

            from kubetriage.cluster.record import refuse_used

            refuse_used(Path(self.values["record"]))
        if self.values.get("watch"):
            return self._watch(request)
        if self.values.get("wait") is not None:
            return self._wait(request)
        patterns = self.values["contexts"]
        if patterns is None:
            return self._answer_all([self._ask(r, self.values["context"] or "") for r in self._requests(request)])
        if self.values["context"] or self.values["dump"] or self.values["record"]:
            raise click.UsageError("--contexts cannot be used with --context, --from or --record")
        outcomes = self._ask_all(request, self._sources.contexts(patterns))
        return self._answer_all(sorted(outcomes, key=lambda o: o.context) if self._is_document else outcomes)

    def _wait(self, request: Request) -> int:
        """Follow the named objects, print the last answer, and say in the exit code what came of it."""
        if self.values["contexts"] or self.values["dump"] or request.is_scan:
            raise click.UsageError("--wait needs a named object of a live cluster, without --contexts")
        from kubetriage.cli.wait import follow
        from kubetriage.redact import clean

        last: list[Outcome] = []

        def look() -> tuple[Snapshot, Request, Answer]:
            last[:] = [self._ask(request, self.values["context"] or "")]
            assert last[0].snapshot is not None
            return last[0].snapshot, last[0].request, last[0].answer

        judged = follow(look, self.values["wait"], lambda words: click.echo(clean(f"waiting: {words}"), err=True))
        self._print(last)
        if last[0].errors:
            return Exit.ERROR
        return {"healthy": Exit.ANSWERED, "hopeless": Exit.FOUND, "undecided": Exit.UNDECIDED}[judged.value]

    def _answer_all(self, outcomes: Iterable[Outcome]) -> int:
        """Print each outcome as it comes, or all of them in one document."""
        if self._is_document:
            done = list(outcomes)
            self._print(done)
            return self._exit_code(done)
        done = []
        for outcome in outcomes:
            self._print([outcome], first=not any(o.answer.diagnoses for o in done))
            done.append(outcome)
        return self._exit_code(done)

    def _print_versions(self) -> int:
        import platform
        from importlib import metadata

        click.echo(f"kubectl {self.plugin.name} {kubetriage.__version__}")
        click.echo(f"kubernetes client {metadata.version('kubernetes')}")
        click.echo(f"Python {platform.python_version()}")
        if self.values["context"]:
            with Progress(sys.stderr, False) as silent:
                reader, snapshot, _ = self._sources.reader(Request(), self.values["context"], silent)
                need = Raw("/version")
                reader.fetch([need], snapshot)
            body = snapshot.body(need.path)
            if body is None:
                raise ClusterError(f"Unable to connect to the server: {snapshot.failure(need)}")
            try:
                version = text(json.loads(body.text), "gitVersion")
            except ValueError:
                version = ""
            click.echo(f"server {version or 'unknown'}")
        return Exit.ANSWERED

    # Asking.

    def _requests(self, request: Request) -> list[Request]:
        """Part a request whose words name several namespaces (NAMESPACE/TYPE/NAME) into one for each."""
        places = by_namespace(self.values["words"])
        if set(places) <= {""}:
            return [request]
        return [
            replace(request, targets=parse_targets(words, self.plugin), namespace=place or request.namespace)
            for place, words in places.items()
        ]

    def _request(self) -> Request:
        v, plugin = self.values, self.plugin
        for flag, name in _PATHS.items():
            if v[name] == "":
                # Most likely a variable that is not set; it must not mean the live cluster.
                raise click.UsageError(f'invalid argument "" for "{flag}" flag: it needs a path')
        words = [word for place in by_namespace(v["words"]).values() for word in place]
        targets = parse_targets(words, plugin)
        everywhere = bool(v.get("all_namespaces"))
        selector, fields = v.get("selector") or "", v.get("field_selector") or ""
        if targets and everywhere:
            raise click.UsageError("a resource cannot be retrieved by name across all namespaces")
        if targets and (selector or fields):
            raise click.UsageError("name cannot be provided when a selector is specified")
        if not (targets or selector or fields or everywhere or plugin.scan_without_target):
            raise click.UsageError(f"name or selector required: kubectl {plugin.name} {plugin.usage}")
        for what, name in [("resource name", t.name) for t in targets if t.resource != "url"] + [
            ("namespace", v["namespace"] or "")
        ]:
            if flaw := segment_flaw(name):
                raise click.UsageError(f'invalid {what} "{name}": [{flaw}]')
        try:
            parse_label_selector(selector)
            # A dump has no server that would refuse it.
            unknown = unsupported_field(plugin.default_resource, fields)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        if unknown and v["dump"] is not None:
            raise click.UsageError(f"field label not supported: {unknown}")
        own = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
        return Request(
            targets=targets,
            namespace="" if everywhere else v["namespace"] or "",
            all_namespaces=everywhere,
            selector=selector,
            field_selector=fields,
            container=v.get("container") or "",
            show_all=bool(v.get("show_all")),
            fold=not v.get("no_fold") and not v.get("watch"),
            options={name: default if v[name] is None else v[name] for name, default in own.items()},
        )

    def _ask(self, request: Request, context: str, progress: Progress | None = None) -> Outcome:
        with progress or Progress(sys.stderr, sys.stderr.isatty()) as shown:
            reader, snapshot, request = self._sources.reader(request, context, shown)
            if not self._is_document and not self.values["dump"]:
                # While the main thread and the workers wait for the API server.
                threading.Thread(target=_import_renderer, daemon=True).start()
            notes: tuple[str, ...] = ()
            try:
                snapshot, answer = collect(self.plugin, request, reader, snapshot)
                better, notes = meant(self.plugin, request, reader, snapshot)
                if better != request:
                    request = better
                    snapshot, answer = collect(self.plugin, request, reader, snapshot)
            except ClusterError as failed:
                if self.plugin.no_answer is None or self.values["dump"]:
                    raise
                told = self.plugin.no_answer(str(failed), self._sources.session(context).server)
                return Outcome(context, request, snapshot, Answer((told,), (str(failed),)))
        error = ""
        if self.values["record"]:
            from pathlib import Path

            from kubetriage.cluster.record import record

            try:
                record(snapshot, Path(self.values["record"]))
            except ClusterError as failed:
                # The answer is there all the same.
                error = str(failed)
        return Outcome(context, request, snapshot, answer, error, notes)

    def _ask_all(self, request: Request, contexts: Sequence[str]) -> Iterator[Outcome]:
        """Ask several clusters at once; yield each answer as it comes, so that a dead cluster holds nobody back."""
        waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        answered: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        for context in contexts:
            waiting.put(context)

        def work() -> None:
            while True:
                try:
                    context = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    answered.put(self._ask(request, context, Progress(sys.stderr, False)))
                except ClusterError as error:
                    answered.put(Outcome(context, request, error=str(error)))
                except BaseException as error:  # handed to the thread that prints
                    answered.put(error)

        for _ in range(min(CLUSTERS_AT_ONCE, len(contexts))):
            threading.Thread(target=work, daemon=True).start()
        left = dict.fromkeys(contexts)
        while left:
            try:
                outcome = answered.get()
            except KeyboardInterrupt:
                self._interrupted = True
                yield from (Outcome(context, request, error="interrupted") for context in left)
                return
            if isinstance(outcome, BaseException):
                raise outcome
            del left[outcome.context]
            yield outcome

    # Following.

    def _watch(self, request: Request) -> int:
        v = self.values
        refused = next((f for f, n in _NOT_WITH_WATCH.items() if v[n]), "")
        if v["output"] not in (None, "wide"):
            refused = f"-o {v['output']}"
        if refused:
            raise click.UsageError(f"--watch cannot be used with {refused}")
        from kubetriage.cli.watch import Look, watch
        from kubetriage.cluster.watch import Contact, Follower, lists_to_follow
        from kubetriage.render.sanitize import sanitized

        context = v["context"] or ""
        seen: list[Outcome] = []

        def tell(line: str) -> None:
            click.echo(sanitized(line), err=True)

        earlier: list[tuple[datetime, Mapping[Any, int]]] = []

        def look() -> Look:
            outcome = self._ask(replace(request, earlier=tuple(earlier)), context)
            assert outcome.snapshot is not None
            if outcome.answer.measured:
                earlier.append((outcome.snapshot.now, outcome.answer.measured))
                del earlier[:-LOOKS_KEPT]
            if outcome.snapshot.interrupted:
                raise KeyboardInterrupt
            seen[:] = [outcome]
            diagnoses = tuple(sanitized(d) for d in outcome.answer.diagnoses)
            text = self._text(outcome, diagnoses)
            if not diagnoses and not outcome.errors:
                text = self._tables(outcome) + _nothing(self.plugin, outcome.request, outcome.answer)
            moment = format_time(outcome.snapshot.now)
            return Look(diagnoses, tuple(sanitized(e) for e in outcome.errors), moment, text)

        def follow() -> None:
            snapshot = seen[0].snapshot
            assert snapshot is not None
            follower.follow(lists_to_follow(self.plugin.plan(snapshot, seen[0].request), self.plugin.watches))

        contact = Contact(tell)
        follower = Follower(self._sources.session(context), contact, tell, tracer("") if v["verbosity"] else None)
        return Exit.ANSWERED if watch(look, follow, follower, contact) else Exit.ERROR

    # Printing.

    @property
    def _is_document(self) -> bool:
        return self.values["output"] in ("json", "yaml", "markdown", "html")

    def _print(self, outcomes: Sequence[Outcome], first: bool = True) -> None:
        from kubetriage.render.sanitize import sanitized

        several = bool(self.values["contexts"])
        diagnoses: list[Diagnosis] = []
        for outcome in outcomes:
            named = (replace(d, context=outcome.context) if several else d for d in outcome.answer.diagnoses)
            diagnoses += [sanitized(d) for d in named]
        if self._is_document:
            self._print_document(outcomes, diagnoses)
        else:
            for outcome in outcomes:
                self._print_text(outcome, diagnoses, first)
            since = self._changes(diagnoses)
            if since is not None and self.values["output"] != "name":
                click.echo("\n".join(f"since {self.values['since']}: {sanitized(line)}" for line in since.lines()))
        for outcome in outcomes:
            if outcome.snapshot is not None and outcome.snapshot.interrupted and not outcome.errors:
                click.echo("interrupted: this is what was read until then", err=True)
            for line in (*outcome.errors, *outcome.notes):
                where = f"context {outcome.context}: " if several else ""
                click.echo(sanitized(where + line), err=True)

    def _changes(self, diagnoses: Sequence[Diagnosis]) -> Changes | None:
        """Compare with the earlier answer of --since; None without the flag."""
        file = self.values["since"]
        if file is None:
            return None
        from pathlib import Path

        from kubetriage.rules.incident.changes import changes

        try:
            return changes(json.loads(Path(file).read_text(encoding="utf-8")), diagnoses)
        except (OSError, ValueError) as error:
            raise click.UsageError(f"--since {file}: {error}") from error

    def _print_document(self, outcomes: Sequence[Outcome], diagnoses: Sequence[Diagnosis]) -> None:
        from kubetriage.render import document
        from kubetriage.render.sanitize import sanitized
        from kubetriage.render.scan import gap_words

        seen = [o.snapshot.now for o in outcomes if o.snapshot is not None]
        if not seen:
            return
        gaps = tuple(dict.fromkeys(sanitized(g) for o in outcomes for g in o.answer.not_seen))
        since = self._changes(diagnoses)
        if self.values["output"] in ("markdown", "html"):
            asked = [o for o in outcomes if o.snapshot is not None]
            nothing = [_nothing(self.plugin, o.request, o.answer) for o in asked] if not diagnoses else []
            unseen = [f"Could not see: {gap_words(gaps)}."] if gaps and diagnoses else []
            self._print_page(diagnoses, max(seen), (*nothing, *unseen))
            return
        content = document.document(diagnoses, max(seen), gaps)
        if since is not None:
            content["changes"] = since.document()
        click.echo(document.as_json(content) if self.values["output"] == "json" else document.as_yaml(content))

    def _print_page(self, diagnoses: Sequence[Diagnosis], moment: datetime, notes: Sequence[str]) -> None:
        if self.values["output"] == "markdown":
            from kubetriage.render.markdown import render_markdown

            click.echo(render_markdown(diagnoses, moment, kubetriage.__version__, notes))
        else:
            from kubetriage.render.html import render_html

            click.echo(render_html(diagnoses, moment, kubetriage.__version__, notes))

    def _print_text(self, outcome: Outcome, diagnoses: Sequence[Diagnosis], first: bool) -> None:
        request, answer = outcome.request, outcome.answer
        several = bool(self.values["contexts"])
        if request.is_scan and self.plugin.takes_targets and not diagnoses and not outcome.errors:
            interrupted = outcome.snapshot is not None and outcome.snapshot.interrupted
            words = _nothing(self.plugin, request, answer, interrupted)
            where = f"context {outcome.context}: " if several else ""
            if not interrupted and (tables := self._tables(outcome)):
                click.echo(tables, color=True, nl=False)
            # In a pipe stdout is for rows and names only.
            bare = self.values["output"] == "name" or self.values["no_headers"]
            click.echo(where + words, err=bare or not answer.checked)
            return
        if self.values["output"] == "name":
            for d in diagnoses:
                place = f"{d.target.namespace}/" if request.all_namespaces and d.target.namespace else ""
                click.echo(f"{place}{d.target.kind.lower()}/{d.target.name}")
            return
        if not diagnoses:
            return
        text = self._text(outcome, diagnoses)
        if not first:
            click.echo("")
        # The terminal was decided on already; click would take the colours out again where it sees none.
        click.echo(text, color=True)
        if self._is_overview(request, diagnoses) and not self.values["no_headers"]:
            self._tell_scan(outcome, diagnoses)

    def _tell_scan(self, outcome: Outcome, diagnoses: Sequence[Diagnosis]) -> None:
        """Write the counts and the gaps of a scan below its rows; in a pipe they go to stderr, away from the rows."""
        from kubetriage.render.sanitize import sanitized
        from kubetriage.render.scan import scan_note
        from kubetriage.render.text import PIPE_WIDTH

        request, terminal = outcome.request, self._terminal()
        resource = BY_PLURAL[self.plugin.default_resource]
        place = ""
        if resource.namespaced:
            place = "-n NAMESPACE " if request.all_namespaces else f"-n {request.namespace} "
        gaps = (*outcome.answer.not_seen, *(g for d in diagnoses for g in d.not_seen))
        lines = scan_note(
            self.plugin.name,
            diagnoses,
            outcome.answer.checked,
            resource.plural,
            place,
            [sanitized(g) for g in dict.fromkeys(gaps)],
            terminal.width or PIPE_WIDTH,
        )
        for line in lines:
            click.echo(terminal.plain(line), err=terminal.width is None)

    def _text(self, outcome: Outcome, diagnoses: Sequence[Diagnosis]) -> str:
        from kubetriage.render.scan import render_scan
        from kubetriage.render.text import render_text

        wide, headers = self.values["output"] == "wide", not self.values["no_headers"]
        tables = self._tables(outcome)
        if self._is_overview(outcome.request, diagnoses):
            everywhere = outcome.request.all_namespaces
            return tables + render_scan(diagnoses, self._terminal(), headers=headers, namespaces=everywhere)
        now = outcome.snapshot.clock if outcome.snapshot is not None else None
        explain = self.values["explain"]
        return tables + render_text(diagnoses, self._terminal(), now=now, wide=wide, headers=headers, explain=explain)

    def _tables(self, outcome: Outcome) -> str:
        """Draw the tables about all objects of a scan, with an empty line behind each."""
        from kubetriage.render.overview import render_table
        from kubetriage.render.sanitize import sanitized

        terminal, headers = self._terminal(), not self.values["no_headers"]
        if terminal.width is None and self.values["output"] != "wide":
            return ""  # in a pipe stdout is for the rows of what was found
        drawn = (render_table(sanitized(t), terminal, headers=headers) for t in outcome.answer.overview)
        return "".join(f"{table}\n\n" for table in drawn)

    def _is_overview(self, request: Request, diagnoses: Sequence[Diagnosis]) -> bool:
        """Tell whether the answer is a list of many objects, one line each."""
        several = len(diagnoses) > 1 or bool(self.values["contexts"])
        return request.is_scan and several and self.values["output"] != "wide"

    def _terminal(self) -> Terminal:
        on_terminal, width = sys.stdout.isatty(), None
        if on_terminal:
            from shutil import get_terminal_size

            width = get_terminal_size().columns
        color = wants_color(self.values["color"], os.environ, on_terminal)
        return Terminal(width, color, carries_drawings(sys.stdout.encoding, os.environ))

    def _exit_code(self, outcomes: Sequence[Outcome]) -> int:
        if self._interrupted or any(o.snapshot is not None and o.snapshot.interrupted for o in outcomes):
            return Exit.INTERRUPTED
        if any(o.errors for o in outcomes):
            return Exit.ERROR
        findings = (f for o in outcomes for d in o.answer.diagnoses for f in d.findings)
        broken = any(f.severity is Severity.ERROR for f in findings)
        if not self.values["exit_code"]:
            return Exit.ANSWERED
        return Exit.FOUND if broken else Exit.UNDECIDED if any(map(_undecided, outcomes)) else Exit.ANSWERED


def _import_renderer() -> None:
    from kubetriage.render.text import prepare

    prepare()


def _undecided(outcome: Outcome) -> bool:
    """Tell whether a fault could hide in what one cluster did not show."""
    gaps = (*outcome.answer.not_seen, *(g for d in outcome.answer.diagnoses for g in d.not_seen))
    return any(gap.decides for gap in gaps)


def _nothing(plugin: Plugin, request: Request, answer: Answer, interrupted: bool = False) -> str:
    """Say that a scan has nothing to show; kubectl's words where there is nothing at all and everything was seen."""
    from kubetriage.render.sanitize import sanitized
    from kubetriage.render.scan import gap_words

    resource = BY_PLURAL[plugin.default_resource]
    placed = resource.namespaced
    where = f" in {request.namespace} namespace" if placed and not request.all_namespaces else ""
    if interrupted:
        return f"No problem was seen{where} before the interruption; what was not read is not known."
    gaps = [sanitized(gap) for gap in answer.not_seen if gap.decides]
    if not answer.checked and not gaps:
        return f"No resources found{where}." if where else "No resources found"
    count = f"{answer.checked or 'no'} {resource.plural if answer.checked != 1 else resource.kind.lower()}"
    unseen = f"; could not see: {gap_words(gaps)}" if gaps else ""
    return f"No problems found in {count}{where}{unseen}."
