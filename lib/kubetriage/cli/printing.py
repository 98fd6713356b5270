"""Prints what was answered: rows, cards, names, documents and pages on stdout, words about the reading on stderr."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

import kubetriage
from kubetriage.cli.outcome import Outcome
from kubetriage.cli.reader import terminal_of
from kubetriage.cli.usage import UsageError, echo
from kubetriage.model import Diagnosis
from kubetriage.plugins import Answer, Plugin, Request
from kubetriage.records import replace
from kubetriage.render.terminal import Terminal
from kubetriage.render.words import ENGLISH, Words
from kubetriage.typed import TYPE_CHECKING, Any
from kubetriage.values.resources import BY_PLURAL

if TYPE_CHECKING:
    from kubetriage.rules.incident.changes import Changes


class Printer:
    """Prints the outcomes of one invocation."""

    def __init__(self, plugin: Plugin, values: Mapping[str, Any]) -> None:
        """Remember the plugin and the values of the flags."""
        self._plugin = plugin
        self._values = values

    @property
    def is_document(self) -> bool:
        """The output is one document, whatever the number of clusters."""
        return self._values["output"] in ("json", "yaml", "markdown", "html")

    def print(self, outcomes: Sequence[Outcome], first: bool = True) -> None:
        """Print outcomes; ``first``: nothing stands above them."""
        from kubetriage.render.sanitize import sanitized

        several = bool(self._values["contexts"])
        diagnoses: list[Diagnosis] = []
        for outcome in outcomes:
            named = (replace(d, context=outcome.context) if several else d for d in outcome.answer.diagnoses)
            diagnoses += [sanitized(d) for d in named]
        if self.is_document:
            self._print_document(outcomes, diagnoses)
        else:
            for outcome in outcomes:
                self._print_text(outcome, diagnoses, first)
            since = self._changes(diagnoses)
            if since is not None and self._values["output"] != "name":
                echo("\n".join(f"since {self._values['since']}: {sanitized(line)}" for line in since.lines()))
        for outcome in outcomes:
            if outcome.snapshot is not None and outcome.snapshot.interrupted and not outcome.errors:
                echo("interrupted: this is what was read until then", err=True)
            for line in (*outcome.errors, *outcome.notes):
                where = f"context {outcome.context}: " if several else ""
                echo(sanitized(where + line), err=True)

    def _changes(self, diagnoses: Sequence[Diagnosis]) -> Changes | None:
        """Compare with the earlier answer of --since; None without the flag."""
        file = self._values["since"]
        if file is None:
            return None
        from pathlib import Path

        from kubetriage.rules.incident.changes import changes

        try:
            return changes(json.loads(Path(file).read_text(encoding="utf-8")), diagnoses)
        except (OSError, ValueError) as error:
            raise UsageError(f"--since {file}: {error}") from error

    def _print_document(self, outcomes: Sequence[Outcome], diagnoses: Sequence[Diagnosis]) -> None:
        from kubetriage.render import document
        from kubetriage.render.sanitize import sanitized
        from kubetriage.render.scan import gap_words

        seen = [o.snapshot.now for o in outcomes if o.snapshot is not None]
        if not seen:
            return
        gaps = tuple(dict.fromkeys(sanitized(g) for o in outcomes for g in o.answer.not_seen))
        since = self._changes(diagnoses)
        if self._values["output"] in ("markdown", "html"):
            asked = [o for o in outcomes if o.snapshot is not None]
            nothing = [nothing_found(self._plugin, o.request, o.answer) for o in asked] if not diagnoses else []
            unseen = [f"Could not see: {gap_words(gaps)}."] if gaps and diagnoses else []
            self._print_page(diagnoses, max(seen), (*nothing, *unseen))
            return
        content = document.document(diagnoses, max(seen), gaps)
        if len(outcomes) == 1:
            content.update(sanitized(outcomes[0].answer.document))
        if since is not None:
            content["changes"] = since.document()
        echo(document.as_json(content) if self._values["output"] == "json" else document.as_yaml(content))

    def _print_page(self, diagnoses: Sequence[Diagnosis], moment: datetime, notes: Sequence[str]) -> None:
        if self._values["output"] == "markdown":
            from kubetriage.render.markdown import render_markdown

            echo(render_markdown(diagnoses, moment, kubetriage.__version__, notes))
        else:
            from kubetriage.render.html import render_html

            echo(render_html(diagnoses, moment, kubetriage.__version__, notes))

    def _print_text(self, outcome: Outcome, diagnoses: Sequence[Diagnosis], first: bool) -> None:
        request, answer = outcome.request, outcome.answer
        several = bool(self._values["contexts"])
        if request.is_scan and self._plugin.takes_targets and not diagnoses and not outcome.errors:
            interrupted = outcome.snapshot is not None and outcome.snapshot.interrupted
            where = f"context {outcome.context}: " if several else ""
            if not interrupted and (tables := self.tables(outcome)):
                echo(tables, nl=False)
            # In a pipe stdout is for rows and names only.
            bare = self._values["output"] == "name" or self._values["no_headers"]
            echo(where + self.nothing(outcome), err=bare or not answer.checked)
            return
        if self._values["output"] == "name":
            for d in diagnoses:
                place = f"{d.target.namespace}/" if request.all_namespaces and d.target.namespace else ""
                echo(f"{place}{d.target.kind.lower()}/{d.target.name}")
            return
        if not diagnoses:
            return
        text = self.text(outcome, diagnoses)
        if not first:
            echo("")
        # The terminal was decided on already; click would take the colours out again where it sees none.
        echo(text)
        if self._is_overview(request, diagnoses) and not self._values["no_headers"]:
            self._tell_scan(outcome, diagnoses)

    def _tell_scan(self, outcome: Outcome, diagnoses: Sequence[Diagnosis]) -> None:
        """Write the counts and the gaps of a scan below its rows; in a pipe they go to stderr, away from the rows."""
        from kubetriage.render.pieces import PIPE_WIDTH
        from kubetriage.render.sanitize import sanitized
        from kubetriage.render.scan import scan_note

        request, terminal = outcome.request, self.terminal()
        resource = BY_PLURAL[self._plugin.default_resource]
        place = ""
        if resource.namespaced:
            place = "-n NAMESPACE " if request.all_namespaces else f"-n {request.namespace} "
        gaps = (*outcome.answer.not_seen, *(g for d in diagnoses for g in d.not_seen))
        lines = scan_note(
            self._plugin.name,
            diagnoses,
            outcome.answer.checked,
            resource.plural,
            place,
            [sanitized(g) for g in dict.fromkeys(gaps)],
            terminal.width or PIPE_WIDTH,
            terminal.words,
        )
        for line in lines:
            echo(terminal.plain(line), err=terminal.width is None)

    def text(self, outcome: Outcome, diagnoses: Sequence[Diagnosis]) -> str:
        """Write an answer for people."""
        terminal = self.terminal()
        diagnoses = [terminal.times.placed(d) for d in diagnoses]
        wide, headers = self._values["output"] == "wide", not self._values["no_headers"]
        tables = self.tables(outcome)
        now = outcome.snapshot.clock if outcome.snapshot is not None else None
        if self._is_overview(outcome.request, diagnoses):
            from kubetriage.render.scan import render_scan

            everywhere = outcome.request.all_namespaces
            return tables + render_scan(diagnoses, terminal, headers=headers, namespaces=everywhere, now=now)
        from kubetriage.render.text import render_text

        explain = self._values["explain"]
        return tables + render_text(diagnoses, terminal, now=now, wide=wide, headers=headers, explain=explain)

    def tables(self, outcome: Outcome) -> str:
        """Draw the tables about all objects of a scan, with an empty line behind each."""
        terminal, headers = self.terminal(), not self._values["no_headers"]
        if terminal.width is None and self._values["output"] != "wide":
            return ""  # in a pipe stdout is for the rows of what was found
        if not outcome.answer.overview:
            return ""
        from kubetriage.render.overview import render_table
        from kubetriage.render.sanitize import sanitized

        drawn = (
            render_table(terminal.times.placed(sanitized(t)), terminal, headers=headers)
            for t in outcome.answer.overview
        )
        return "".join(f"{table}\n\n" for table in drawn)

    def _is_overview(self, request: Request, diagnoses: Sequence[Diagnosis]) -> bool:
        """Tell whether the answer is a list of many objects, one line each."""
        several = len(diagnoses) > 1 or bool(self._values["contexts"])
        return request.is_scan and several and self._values["output"] != "wide"

    def nothing(self, outcome: Outcome) -> str:
        """Say that a scan has nothing to show."""
        interrupted = outcome.snapshot is not None and outcome.snapshot.interrupted
        return nothing_found(self._plugin, outcome.request, outcome.answer, interrupted, self.terminal().words)

    def terminal(self) -> Terminal:
        """Return the place that text is written to."""
        return terminal_of(self._values)


def nothing_found(
    plugin: Plugin, request: Request, answer: Answer, interrupted: bool = False, words: Words = ENGLISH
) -> str:
    """Say that a scan has nothing to show; kubectl's words where there is nothing at all and everything was seen."""
    from kubetriage.render.sanitize import sanitized
    from kubetriage.render.scan import gap_words

    resource = BY_PLURAL[plugin.default_resource]
    placed = resource.namespaced
    named = placed and not request.all_namespaces
    where = words(" in {namespace} namespace", namespace=request.namespace) if named else ""
    if interrupted:
        return words("No problem was seen{where} before the interruption; what was not read is not known.", where=where)
    gaps = [sanitized(gap) for gap in answer.not_seen if gap.decides]
    if not answer.checked and not gaps:
        # kubectl's own words.
        return f"No resources found in {request.namespace} namespace." if named else "No resources found"
    count = f"{answer.checked or 'no'} {resource.plural if answer.checked != 1 else resource.kind.lower()}"
    if gaps:
        return words(
            "No problems found in {count}{where}; could not see: {gaps}.",
            count=count,
            where=where,
            gaps=gap_words(gaps),
        )
    return words("No problems found in {count}{where}.", count=count, where=where)
