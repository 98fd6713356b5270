"""Rows of events: the table at the end of a describe, and ``kubectl get events``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubetriage.cluster.text.ages import api_time, parse_age, parse_event_age
from kubetriage.cluster.text.found import FoundEvent
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import find_resource

_AGE = r"(?:<unknown>|<invalid>|[0-9][0-9ydhms]{0,20})(?: \(x\d{1,9} over [^)\s]{1,20}\))?"
# Type, reason, age, component (with its host in old versions), message.
_DESCRIBED = lazy(
    r"(Normal|Warning)\s+([A-Za-z][\w.-]{0,127})\s+(" + _AGE + r")\s+"
    r"([\w./-]{1,253}(?:, [\w.-]{1,253})?|)\s*(?:\s(.*))?\Z"
)
# kubectl up to 1.6 and old oc: first seen, last seen, count, from, subobject, type, reason, message.
_OLD = lazy(
    r"(" + _AGE + r")\s+(" + _AGE + r")\s+(\d{1,9})\s+(\{?[\w./ -]{1,200}?\}?)\s+(?:(spec\.\S{1,200})\s+)?"
    r"(Normal|Warning)\s+([A-Za-z][\w.-]{0,127})\s+(.*)\Z"
)
# LAST SEEN, [COUNT,] TYPE, REASON, OBJECT, [SUBOBJECT, SOURCE,] MESSAGE
_LISTED = lazy(
    r"(?:(\S{1,63})\s+)?(" + _AGE + r"|\d{4}-\d\d-\d\dT\S{1,30})\s+(Normal|Warning)\s+([A-Za-z][\w.-]{0,127})\s+"
    r"([A-Za-z][\w.-]{0,100}/\S{1,253})\s+(.*)\Z"
)
_OLD_LISTED = lazy(
    r"(?:(\S{1,63})\s+)?(" + _AGE + r")\s+(" + _AGE + r")\s+(\d{1,9})\s+(\S{1,300})\s+([A-Z]\w{1,60})\s+"
    r"(?:(spec\.\S{1,200})\s+)?(Normal|Warning)\s+(\w{1,128})\s+(\S{1,200}(?:, \S{1,200})?)\s+(.*)\Z"
)
# -o wide puts the part of the object and the source between object and message, and the times behind it.
_WIDE = lazy(
    r"(?:(spec\.\w{1,40}\{[^}]{1,100}\})\s+)?([a-z][\w.-]{0,80}(?:, [\w.-]{1,253})?)\s{2,}(.*?)"
    r"\s{2,}(" + _AGE + r")\s{2,}(\d{1,9})\s{2,}(\S{1,300})\s*\Z"
)
_CONTAINER_WORDS = lazy(
    r"(?:container(?: |=\"?)|Container )\"?([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)\"?"
    r"(?: in pod | failed (?:liveness|readiness|startup)|,? will be restarted| of pod | pod=|$)"
)
_PART = lazy(r"(spec\.\w{1,40}\{[^}]{1,100}\}): ")
MAX_EVENTS = 20_000


def described_events(rows: Iterable[str], kind: str, namespace: str, name: str) -> list[FoundEvent]:
    """Read the rows below ``Events:`` of a describe; a row without a type goes on with the message before it."""
    found: list[FoundEvent] = []
    for raw in rows:
        row = raw.strip()
        if not row or row.startswith(("----", "Type ", "FirstSeen", "LastSeen")):
            continue
        match = _DESCRIBED.match(row)
        if match is not None:
            age, count, first = parse_event_age(match[3])
            event = _event(kind, name, namespace, match[1], match[2], match[5] or "", age, first, count, match[4])
            event.printed_age = match[3].partition(" ")[0]
            found.append(event)
        elif (old := _OLD.match(row)) is not None:
            event = _event(
                kind,
                name,
                namespace,
                old[6],
                old[7],
                old[8],
                parse_age(old[2]),
                parse_age(old[1]),
                int(old[3]),
                old[4].strip("{} "),
            )
            event.container_path, event.printed_age = old[5] or "", old[2]
            found.append(event)
        elif found and not row.startswith("..."):
            found[-1].message = f"{found[-1].message} {row}".strip()[:8192]
        if len(found) >= MAX_EVENTS:
            break
    for event in found:
        # From kubectl 1.36 on the part of the object stands before the message.
        part = _PART.match(event.message)
        if part is not None:
            event.container_path, event.message = part[1], event.message[part.end() :]
        event.container_path = event.container_path or container_path(event.message)
    return found


def listed_events(header: str, rows: Sequence[str], namespace: str) -> tuple[list[FoundEvent], int]:
    """Read the rows of ``kubectl get events``; return them with the number of rows that are none."""
    wide = "SUBOBJECT" in header and "SOURCE" in header
    spaced = header.lstrip().startswith("NAMESPACE")
    found: list[FoundEvent] = []
    strange = 0
    for raw in rows[:MAX_EVENTS]:
        row = raw.strip()
        match = _LISTED.match(row)
        if match is not None and bool(match[1]) == spaced:
            age, count, first = parse_event_age(match[2])
            kind, _, name = match[5].partition("/")
            event = _event(
                _kind(kind), name, match[1] or namespace, match[3], match[4], match[6], age, first, count, ""
            )
            event.at = api_time(match[2])
            event.printed_age = "" if event.at else match[2].partition(" ")[0]
            if wide and (more := _WIDE.match(match[6])) is not None:
                event.container_path, event.component, event.message = more[1] or "", more[2], more[3].strip()
                event.first, event.count = parse_age(more[4]), int(more[5])
            found.append(event)
        elif (old := _OLD_LISTED.match(row)) is not None:
            event = _event(
                old[6], old[5].rpartition(".")[0] or old[5], old[1] or namespace, old[8], old[9], old[11],
                parse_age(old[2]), parse_age(old[3]), int(old[4]), old[10],
            )  # fmt: skip
            event.container_path, event.printed_age = old[7] or "", old[2]
            found.append(event)
        elif found and row and not row.startswith("..."):
            found[-1].message = f"{found[-1].message} {row}".strip()[:8192]
        else:
            strange += 1
    for event in found:
        event.listed = True
        event.container_path = event.container_path or container_path(event.message)
    return found, strange


def is_listed(row: str) -> bool:
    """Tell whether a line is a row of ``kubectl get events`` of one namespace."""
    match = _LISTED.match(row.strip())
    return match is not None and not match[1]


def container_path(message: str) -> str:
    """Return the field path of the container that a message names; empty when it names none."""
    match = _CONTAINER_WORDS.search(message[:600])
    return f"spec.containers{{{match[1]}}}" if match else ""


def _event(
    kind: str,
    name: str,
    namespace: str,
    type_: str,
    reason: str,
    message: str,
    age: object,
    first: object,
    count: int,
    component: str,
) -> FoundEvent:
    from datetime import timedelta

    return FoundEvent(
        kind=kind,
        name=name,
        namespace=namespace,
        warning=type_ == "Warning",
        reason=reason,
        message=message.strip(),
        age=age if isinstance(age, timedelta) else None,
        first=first if isinstance(first, timedelta) else None,
        count=count,
        component=component.partition(",")[0].strip(),
    )


def _kind(word: str) -> str:
    resource = find_resource(word)
    return resource.kind if resource is not None else word
