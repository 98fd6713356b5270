"""Events that components write into their own logs as well, where an event recorder logs what it records."""

from __future__ import annotations

from collections.abc import Sequence

from kubetriage.cluster.text.found import FoundEvent
from kubetriage.values.patterns import lazy

# client-go tools/record StartStructuredLogging (1.19 on) and StartLogging; controllers, autoscalers, kubelets.
_STRUCTURED = lazy(
    r"\"Event occurred\" object=\"(?P<object>[^\"]{1,320})\".{0,160}? kind=\"(?P<kind>\w{1,60})\".{0,160}?"
    r" type=\"(?P<type>Normal|Warning)\" reason=\"(?P<reason>\w{1,100})\""
    r" message=\"(?P<message>(?:[^\"\\]|\\.){0,4000})"
)
_PRINTED = lazy(
    r"Event\(v1\.ObjectReference\{Kind:\"(?P<kind>\w{1,60})\", Namespace:\"(?P<space>[^\"]{0,63})\","
    r" Name:\"(?P<name>[^\"]{1,253})\".{0,600}?\}\): type: '(?P<type>Normal|Warning)' reason: '(?P<reason>\w{1,100})'"
    r" (?P<message>.{0,4000})"
)
_MOST = 500
"""Events of one log, the newest; a controller writes thousands."""


def logged_events(rows: Sequence[str]) -> list[FoundEvent]:
    """Return the events that the lines of a log record, the same one once."""
    found: dict[tuple[str, str, str, str, str], FoundEvent] = {}
    for row in rows:
        match = _STRUCTURED.search(row)
        if match is not None:
            space, _, name = match["object"].rpartition("/")
            message = match["message"].replace('\\"', '"')
        else:
            match = _PRINTED.search(row)
            if match is None:
                continue
            space, name, message = match["space"], match["name"], match["message"].strip()
        key = (match["kind"], space, name, match["reason"], message)
        warning = match["type"] == "Warning"
        count = found.pop(key).count + 1 if key in found else 1
        found[key] = FoundEvent(match["kind"], name, space, warning, match["reason"], message, None, None, count)
    return list(found.values())[-_MOST:]
