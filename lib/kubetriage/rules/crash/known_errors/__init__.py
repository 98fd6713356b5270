"""Last errors that are known: what each means and what ends it. Adding one is a row.

A row stands before the general rules about logs: it is reported in the cause that it names, and no other rule about
the output of that instance speaks. ``make generate`` writes down which words tell that a module may have a row for a
log; without it a new row is not found.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module

from kubetriage.model import Confidence, Finding
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.known_errors.literals import LITERALS
from kubetriage.rules.crash.known_errors.row import OTHER_REASON, Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Output, Said, ended_by_itself, last_words, words_of
from kubetriage.values.patterns import may_match

MODULES = (
    "foreign_memory",
    "server_states",
    "kernel_limits",
    "kernel_features",
    "file_modes",
    "service_links",
    "invisible_characters",
    "server_members",
    "data_versions",
    "schema_migrations",
    "data_identity",
    "data_access",
    "stored_data",
    "node_agents",
    "node_settings",
    "releases",
    "add_ons",
    "cloud_settings",
    "advertised_addresses",
    "cloud_metadata",
    "cluster_dns",
    "database_access",
    "pod_demands",
    "program_demands",
    "demanded_consents",
    "container_restarts",
    "refused_calls",
    "mounted_files",
    "runtime_options",
    "gpu_counts",
    "language_runtimes",
    "php_extensions",
    "hidden_files",
    "unknown_users",
    "missing_parts",
    "absent_files",
    "kubernetes_clients",
    "renamed_settings",
    "plugins",
    "url_values",
    "settings",
    "config_syntax",
    "relative_files",
)
"""Where the known errors stand; the first that matches the last error counts, then the first that matches beside it."""

_CLOSE = 20
"""Lines that may follow the error of a program that ends with success all the same."""
_FAULTS = (4, 5, 7, 8, 11)
"""Signals of faults, before which a runtime may have said what happened."""


def rows_of(module: str) -> tuple[Row, ...]:
    """Return the rows of one of the modules."""
    rows: tuple[Row, ...] = import_module(f"{__name__}.{module}").ROWS
    return rows


@lru_cache(maxsize=32)
def _matches(output: str) -> tuple[tuple[Row, Said], ...]:
    """Return the rows that match an output, the best first."""
    read = Output(output)
    # Few outputs hold the words of any row: importing them all takes a run as long as what else it asks of a log.
    near = read.searched
    rows = [row for module in MODULES if may_match(LITERALS.get(module, ("",)), near) for row in rows_of(module)]
    own = [(row, said) for row in rows if (said := read.find(row.pattern)) is not None]
    beside = [(row, said) for row in rows if row.beside and (said := read.beside(row.pattern)) is not None]
    return (*own, *beside)


def known_error(words: LastWords) -> tuple[Row, Said, Advice] | None:
    """Return what is known about the last error of an instance, or None."""
    for row, said in _matches(words.text) if words.text else ():
        summary = words.error.summary if words.error is not None else ""
        if not row.whole and OTHER_REASON.search(f"{said.line}\n{summary}"):
            continue
        advice = row.advise(words, said)
        if advice is not None:
            return row, said, advice
    return None


def known_findings(case: Case, code: str) -> Iterator[Finding]:
    """Yield a finding for each container whose last error is known and reported in this cause."""
    for container in case.containers:
        end = case.crash(container)
        if end is None or not end.ran:
            continue
        words = words_of(case, container, end)
        own = ended_by_itself(end) or own_code(words)
        if not (end.untold or own or end.signal in _FAULTS or failed_with_success(words)):
            continue
        known = known_error(words)
        if known is None or known[0].code != code:
            continue
        row, said, advice = known
        yield words.finding(
            code,
            said.confidence if advice.sure else max(said.confidence, Confidence.LIKELY, key=lambda c: c.rank),
            f"{container.name} ended because {advice.what}.",
            quoted=(said.line,),
            evidence=advice.evidence,
            ruled_out=advice.ruled_out,
            fix=advice.fix,
            verify=advice.verify,
            details={"mechanism": row.name, **advice.details},
        )


def own_code(words: LastWords) -> bool:
    """Tell whether a program chose an exit code that reads like a signal, as its last error shows."""
    if (words.end.exit_code or 0) <= 128 or words.end.reason != "Error":
        return False
    known = known_error(words)
    return known is not None and words.end.exit_code in known[0].codes


def failed_with_success(words: LastWords) -> bool:
    """Tell whether an instance ended with exit code 0 although its log ends with a known error, as supervisors do."""
    error = words.error
    if words.end.exit_code != 0 or words.end.reason != "Completed" or error is None:
        return False
    return error.weight != "weak" and error.trailing <= _CLOSE and known_error(words) is not None


def unknown_words(case: Case, *, shells: bool = False, kills: bool = False) -> Iterator[LastWords]:
    """Yield the output of the crashed instances whose last error is not among the known ones (see ``last_words``)."""
    for words in last_words(case, shells=shells, kills=kills):
        if known_error(words) is None:
            yield words
