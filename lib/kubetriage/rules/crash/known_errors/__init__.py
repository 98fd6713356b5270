"""Last errors that are known: what each means and what ends it. Adding one is a row.

A row stands before the general rules about logs: it is reported in the cause that it names, and no other rule about
the output of that instance speaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from kubetriage.model import Confidence, Finding
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.known_errors import (
    add_ons,
    cloud_metadata,
    cluster_dns,
    container_restarts,
    data_access,
    data_identity,
    data_versions,
    database_access,
    file_modes,
    foreign_memory,
    invisible_characters,
    kernel_limits,
    kubernetes_clients,
    language_runtimes,
    missing_parts,
    mounted_files,
    node_agents,
    node_settings,
    pod_demands,
    program_demands,
    refused_calls,
    releases,
    renamed_settings,
    runtime_options,
    schema_migrations,
    server_members,
    service_links,
    settings,
    stored_data,
)
from kubetriage.rules.crash.known_errors.row import OTHER_REASON, Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Output, Said, ended_by_itself, last_words, words_of

ROWS: tuple[Row, ...] = (
    *foreign_memory.ROWS,
    *kernel_limits.ROWS,
    *file_modes.ROWS,
    *service_links.ROWS,
    *invisible_characters.ROWS,
    *server_members.ROWS,
    *data_versions.ROWS,
    *schema_migrations.ROWS,
    *data_identity.ROWS,
    *data_access.ROWS,
    *stored_data.ROWS,
    *node_agents.ROWS,
    *node_settings.ROWS,
    *releases.ROWS,
    *add_ons.ROWS,
    *cloud_metadata.ROWS,
    *cluster_dns.ROWS,
    *database_access.ROWS,
    *pod_demands.ROWS,
    *program_demands.ROWS,
    *container_restarts.ROWS,
    *refused_calls.ROWS,
    *mounted_files.ROWS,
    *runtime_options.ROWS,
    *language_runtimes.ROWS,
    *missing_parts.ROWS,
    *kubernetes_clients.ROWS,
    *renamed_settings.ROWS,
    *settings.ROWS,
)
"""All known errors; the first that matches the last error counts, then the first that matches beside it."""

_OWN_CODES = frozenset(code for row in ROWS for code in row.codes)

_CLOSE = 20
"""Lines that may follow the error of a program that ends with success all the same."""
_FAULTS = (4, 5, 7, 8, 11)
"""Signals of faults, before which a runtime may have said what happened."""


@lru_cache(maxsize=32)
def _matches(output: str) -> tuple[tuple[Row, Said], ...]:
    """Return the rows that match an output, the best first."""
    read = Output(output)
    own = [(row, said) for row in ROWS if (said := read.find(row.pattern)) is not None]
    near = [(row, said) for row in ROWS if row.beside and (said := read.beside(row.pattern)) is not None]
    return (*own, *near)


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
    if words.end.exit_code not in _OWN_CODES or words.end.reason != "Error":
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
