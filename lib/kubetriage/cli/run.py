"""One invocation with its parsed options: ask one cluster or several, print, and choose the exit code."""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property

import kubetriage
from kubetriage.cli.exit_codes import Exit
from kubetriage.cli.outcome import Outcome
from kubetriage.cli.progress import Progress
from kubetriage.cli.sources import ExplainedError, Sources, tracer
from kubetriage.cli.target import by_namespace, parse_targets, segment_flaw
from kubetriage.cli.usage import UsageError, echo
from kubetriage.cluster.errors import ClusterError
from kubetriage.model import Severity
from kubetriage.needs import Raw
from kubetriage.plugins import Answer, Plugin, Request
from kubetriage.records import dataclass, replace
from kubetriage.typed import TYPE_CHECKING, Any
from kubetriage.values.fields import text
from kubetriage.values.selectors import parse_label_selector, unsupported_field
from kubetriage.values.times import format_time

if TYPE_CHECKING:
    from kubetriage.cli.printing import Printer
    from kubetriage.snapshot import Snapshot

CLUSTERS_AT_ONCE = 8
_PATHS = {"--from": "dump", "--record": "record"}
LOOKS_KEPT = 20
"""Former looks of --watch whose numbers are kept: ten minutes at the usual pace."""
_NOT_WITH_WATCH = {"--from": "dump", "--record": "record", "--contexts": "contexts"}
"""Flags by the names of their values."""


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

    @cached_property
    def _printer(self) -> Printer:
        from kubetriage.cli.printing import Printer

        return Printer(self.plugin, self.values)

    def execute(self) -> int:
        """Answer the question and print it."""
        if self.values["version"]:
            return self._print_versions()
        request = self._request()
        if self.plugin.prints is not None and (printed := self.plugin.prints(request)):
            echo(printed)
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
            raise UsageError("--contexts cannot be used with --context, --from or --record")
        outcomes = self._ask_all(request, self._sources.contexts(patterns))
        return self._answer_all(sorted(outcomes, key=lambda o: o.context) if self._printer.is_document else outcomes)

    def _wait(self, request: Request) -> int:
        """Follow the named objects, print the last answer, and say in the exit code what came of it."""
        if self.values["contexts"] or self.values["dump"] or request.is_scan:
            raise UsageError("--wait needs a named object of a live cluster, without --contexts")
        from kubetriage.cli.wait import follow
        from kubetriage.redact import clean

        last: list[Outcome] = []

        def look() -> tuple[Snapshot, Request, Answer]:
            last[:] = [self._ask(request, self.values["context"] or "")]
            assert last[0].snapshot is not None
            return last[0].snapshot, last[0].request, last[0].answer

        judged = follow(look, self.values["wait"], lambda words: echo(clean(f"waiting: {words}"), err=True))
        self._printer.print(last)
        if last[0].errors:
            return Exit.ERROR
        return {"healthy": Exit.ANSWERED, "hopeless": Exit.FOUND, "undecided": Exit.UNDECIDED}[judged.value]

    def _answer_all(self, outcomes: Iterable[Outcome]) -> int:
        """Print each outcome as it comes, or all of them in one document."""
        if self._printer.is_document:
            done = list(outcomes)
            self._printer.print(done)
            return self._exit_code(done)
        done = []
        for outcome in outcomes:
            self._printer.print([outcome], first=not any(o.answer.diagnoses for o in done))
            done.append(outcome)
        return self._exit_code(done)

    def _print_versions(self) -> int:
        import platform
        from importlib import metadata

        echo(f"kubectl {self.plugin.name} {kubetriage.__version__}")
        echo(f"kubernetes client {metadata.version('kubernetes')}")
        echo(f"Python {platform.python_version()}")
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
            echo(f"server {version or 'unknown'}")
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
                raise UsageError(f'invalid argument "" for "{flag}" flag: it needs a path')
        words = [word for place in by_namespace(v["words"]).values() for word in place]
        targets = parse_targets(words, plugin)
        everywhere = bool(v.get("all_namespaces"))
        selector, fields = v.get("selector") or "", v.get("field_selector") or ""
        if targets and everywhere:
            raise UsageError("a resource cannot be retrieved by name across all namespaces")
        if targets and (selector or fields):
            raise UsageError("name cannot be provided when a selector is specified")
        if not (targets or selector or fields or everywhere or plugin.scan_without_target):
            raise UsageError(f"name or selector required: kubectl {plugin.name} {plugin.usage}")
        for what, name in [("resource name", t.name) for t in targets if t.resource != "url"] + [
            ("namespace", v["namespace"] or "")
        ]:
            if flaw := segment_flaw(name):
                raise UsageError(f'invalid {what} "{name}": [{flaw}]')
        try:
            parse_label_selector(selector)
            # A dump has no server that would refuse it.
            unknown = unsupported_field(plugin.default_resource, fields)
        except ValueError as error:
            raise UsageError(str(error)) from error
        if unknown and v["dump"] is not None:
            raise UsageError(f"field label not supported: {unknown}")
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
            try:
                reader, snapshot, request = self._sources.reader(request, context, shown)
            except ExplainedError as said:
                return Outcome(context, request, said.snapshot, Answer((said.answer,)))
            request = replace(request, tell=shown.tell)
            if not self._printer.is_document and not self.values["dump"]:
                # While the main thread and the workers wait for the API server.
                threading.Thread(target=_import_renderer, args=(request.is_scan,), daemon=True).start()
            notes: tuple[str, ...] = ()
            from kubetriage.cli.collect import collect
            from kubetriage.cli.names import meant

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
                # In naps: Ctrl-C that comes in the instant before a wait begins is only seen when it ends.
                outcome = answered.get(timeout=1)
            except queue.Empty:
                continue
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
            raise UsageError(f"--watch cannot be used with {refused}")
        from kubetriage.cli.watch import Look, watch
        from kubetriage.cluster.watch import Contact, Follower, lists_to_follow
        from kubetriage.render.sanitize import sanitized

        context = v["context"] or ""
        seen: list[Outcome] = []

        def tell(line: str) -> None:
            echo(sanitized(line), err=True)

        earlier: list[tuple[datetime, Mapping[Any, int]]] = []

        def look() -> Look:
            outcome = self._ask(replace(request, earlier=tuple(earlier), follows=True), context)
            assert outcome.snapshot is not None
            if outcome.answer.measured:
                earlier.append((outcome.snapshot.now, outcome.answer.measured))
                del earlier[:-LOOKS_KEPT]
            if outcome.snapshot.interrupted:
                raise KeyboardInterrupt
            seen[:] = [outcome]
            diagnoses = tuple(sanitized(d) for d in outcome.answer.diagnoses)
            text = self._printer.text(outcome, diagnoses)
            if not diagnoses and not outcome.errors:
                text = self._printer.tables(outcome) + self._printer.nothing(outcome)
            moment = self._printer.terminal().times.placed(format_time(outcome.snapshot.now))
            return Look(diagnoses, tuple(sanitized(e) for e in outcome.errors), moment, text)

        def follow() -> None:
            snapshot = seen[0].snapshot
            assert snapshot is not None
            follower.follow(lists_to_follow(self.plugin.plan(snapshot, seen[0].request), self.plugin.watches))

        contact = Contact(tell)
        follower = Follower(self._sources.session(context), contact, tell, tracer("") if v["verbosity"] else None)
        return Exit.ANSWERED if watch(look, follow, follower, contact) else Exit.ERROR

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


def _import_renderer(tables: bool) -> None:
    from kubetriage.render.text import prepare

    if tables:
        prepare()


def _undecided(outcome: Outcome) -> bool:
    """Tell whether a fault could hide in what one cluster did not show."""
    gaps = (*outcome.answer.not_seen, *(g for d in outcome.answer.diagnoses for g in d.not_seen))
    return any(gap.decides for gap in gaps)
