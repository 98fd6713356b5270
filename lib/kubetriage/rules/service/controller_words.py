"""What controllers themselves say of an object: their events, the conditions that they write, their log lines.

A Warning counts while no later success of the same component supersedes it: a controller that tries again and
succeeds says so with a Normal event of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache

from kubetriage.data import table
from kubetriage.model import Actor, Evidence, Ref
from kubetriage.readers.events import Event, Events
from kubetriage.readers.logs.text import read_json
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.pod_lines import lines_of, newest_lines
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, labels, mapping, objects, text
from kubetriage.values.fields import condition as condition_of
from kubetriage.values.patterns import lazy
from kubetriage.values.times import parse_time


@dataclass(frozen=True)
class Complaint:
    """One thing that a controller says is not in order with an object."""

    who: str
    """The component, or the words for it."""
    reason: str
    message: str
    """Whole, as known words are looked for in it; :attr:`told` is for people."""
    evidence: Evidence
    logged: bool = False
    """Only its log says so."""
    mild: bool = False
    """It applied the object with a warning."""

    @property
    def words(self) -> str:
        """Reason and message, for people."""
        told = self.told
        return f"{self.reason}: {told}" if self.reason and told else told or self.reason

    @property
    def told(self) -> str:
        """The message on one line: of an answer of a cloud's API, what its JSON says instead of the whole answer."""
        return one_line(self.message)


_RULE = lazy(r"-{8,400}|={8,400}")
_INNER = lazy(r"\"message\": ?\"((?:[^\"\\]|\\.){3,600})\"")
_CODE = lazy(r"\"(?:code|reason|status)\": ?\"([\w.-]{3,100})\"")


def one_line(message: str) -> str:
    """Return a message on one line; an answer of a cloud that is pasted into it is cut to its code and message."""
    head, brace, tail = message.partition("{")
    said = [m[1] for m in _INNER.finditer(tail)] if brace else []
    if said:
        code = _CODE.search(tail)
        head = _RULE.split(head, 1)[0]
        told = said[0].replace('\\"', '"').replace("\\n", " ")
        message = f"{head.strip().rstrip(':')}: {f'{code[1]}, ' if code and code[1] not in told else ''}{told}"
    return " ".join(_RULE.sub(" ", message).split()).rstrip(".")


@dataclass(frozen=True)
class Advice:
    """What ends an incident whose words are known."""

    text: str
    actor: Actor
    action: str = ""
    """Name of what a rule does beyond the text."""


def event_complaints(snapshot: Snapshot, about: Ref) -> tuple[Complaint, ...]:
    """Return the newest Warning of each component about an object that no later success of it supersedes."""
    events = Events.of(snapshot.events(about.namespace, about.uid, about.name, about.kind))
    newest: dict[str, Event] = {}
    for event in events.items:
        if event.warning and not _matches("harmless", f"{event.reason}: {event.message}"):
            newest[event.component] = event
        elif not event.warning and event.reason not in _beginnings():
            last = newest.get(event.component)
            if last is None or last.reason != _NO_TARGET or _has_target(snapshot):
                newest.pop(event.component, None)
    return tuple(
        Complaint(
            e.component or "the controller",
            e.reason,
            e.message,
            e.evidence(),
            mild="withwarning" in e.reason.lower(),
        )
        for e in reversed(newest.values())
    )


_NO_TARGET = "UnAvailableLoadBalancer"
"""The service controller of a cloud goes on after it and reports a success all the same."""


def _has_target(snapshot: Snapshot) -> bool:
    """Tell whether a node that was read may be a target of a cloud's load balancer; none was read: it may."""
    nodes = snapshot.list("nodes").items
    excluded = "node.kubernetes.io/exclude-from-external-load-balancers"
    return not nodes or any(
        excluded not in labels(n, "metadata", "labels") and text(condition_of(n, "Ready"), "status") == "True"
        for n in nodes
    )


_BAD_WHEN_TRUE = lazy(
    r"Error|Fail(?:ed|ure)?|Degraded|Conflict|Stalled|Invalid|Denied|Unhealthy|Overlapping|Exceeded|Unavailable"
)
_NO_VERDICT = lazy(r"Progressing|Issuing|Pending|Reconciling|Paused|Deleting|Refreshed|Detached|Active\Z|Disabled")
"""Conditions that are False in the best order."""
_BAD_STATES = ("error", "invalid", "rejected", "failed", "inactive", "warning", "orphaned", "unhealthy")


def condition_complaints(
    raw: Obj, *, but: frozenset[str] = frozenset(), waited: datetime | None = None
) -> tuple[Complaint, ...]:
    """Return what the status of an object says against it; ``but`` are condition types that another rule judges.

    With ``waited`` a condition Ready that has been Unknown since before that time counts too: somebody still waits.
    """
    found = []
    for at, condition in _conditions(raw):
        kind, status = text(condition, "type"), text(condition, "status")
        if kind in but or _NO_VERDICT.search(kind):
            continue
        since = parse_time(text(condition, "lastTransitionTime"))
        waits = waited is not None and kind == "Ready" and status == "Unknown" and since is not None and since < waited
        if waits or status == ("True" if _BAD_WHEN_TRUE.search(kind) else "False"):
            reason, message = text(condition, "reason"), text(condition, "message")
            details = "; ".join(dict.fromkeys(_details(condition)))
            message = f"{message} ({details})" if message and details and details not in message else message or details
            when = text(condition, "lastTransitionTime")
            value = f"{status}, {reason}: {message}".rstrip(": ,")
            found.append(Complaint("status", reason or kind, message, Evidence("status", f"{at}[{kind}]", value, when)))
    if not found:
        found += _states(raw)
    return tuple(found)


def _conditions(raw: Obj) -> Iterator[tuple[str, Obj]]:
    for condition in objects(raw, "status", "conditions"):
        yield "status.conditions", condition
    for key in ("ingress", "ancestors", "parents"):
        for i, entry in enumerate(objects(raw, "status", key)):
            for condition in objects(entry, "conditions"):
                yield f"status.{key}[{i}].conditions", condition


def _details(condition: Obj) -> Iterator[str]:
    """Yield the messages of Contour's ``errors`` and ``warnings`` inside a condition."""
    for key in ("errors", "warnings"):
        for entry in objects(condition, key):
            yield text(entry, "message") or text(entry, "reason")


def _states(raw: Obj) -> Iterator[Complaint]:
    """Read the one word of status that some controllers write instead of conditions."""
    status = mapping(raw, "status")
    for key in ("state", "currentStatus", "phase"):
        word = text(status, key)
        if word.lower() in _BAD_STATES:
            message = next(
                (m for k in ("message", "description", "errorReason", "reason") if (m := text(status, k))), ""
            )
            reason = text(status, "reason") if text(status, "reason") != message else word
            yield Complaint(
                "status",
                reason or word,
                message,
                Evidence("status", f"status.{key}", f"{word}: {message}".rstrip(": ")),
                mild=word.lower() == "warning",
            )


# The log of the controller's pods.

_TROUBLE = lazy(
    r"\A[EW]\d{4} |level=(?:error|warn)|\"level\":\s*\"(?:error|warn)|\[(?:error|warn)[^\]]*\]"
    r"|\b(?:ERR|WRN|ERROR|WARN)\b"
)
_ENDPOINTS = lazy(r"(?i)\bendpoints?\b.{0,60}(?:not found|available)|active endpoint|no endpoints|obtaining endpoints")
"""What follows from pods that are not ready; those rows say why."""
_LONGEST_LINE = 1200
_UNNAMED = lazy(r"[^a-z0-9]+")


def _normal_hosts(snapshot: Snapshot, about: Ref) -> str:
    """Return the hosts of an Ingress as Traefik writes them into names, as alternatives."""
    raw = snapshot.get("ingresses", about.namespace, about.name).obj if about.kind == "Ingress" else {}
    hosts = (text(rule, "host").lower() for rule in objects(raw, "spec", "rules"))
    return "|".join(_UNNAMED.sub("-", h).strip("-") for h in hosts if h) or "(?!)"


def log_complaint(snapshot: Snapshot, pods: tuple[Pod, ...], about: Ref) -> Complaint | None:
    """Return what the newest line of a controller's log about an object says, where it is a warning or an error."""
    named = re.compile(
        rf"(?<![\w./-])(?:{re.escape(about.namespace)}/{re.escape(about.name)})(?![\w-])"
        rf"|{re.escape(about.name)}\"?[^\n]{{0,80}}namespace\W{{1,5}}{re.escape(about.namespace)}(?![\w-])"
        rf"|namespace\W{{1,5}}{re.escape(about.namespace)}\"[^\n]{{0,80}}name\W{{1,5}}{re.escape(about.name)}(?![\w-])"
        # Traefik names the router that it makes: NAMESPACE-NAME-HASH@kubernetescrd, NAMESPACE-NAME-HOST...@kubernetes.
        rf"|(?<![\w-]){re.escape(about.namespace)}-{re.escape(about.name)}-(?:[0-9a-f]{{16,24}}@kubernetescrd"
        rf"|(?:{_normal_hosts(snapshot, about)})[\w-]{{0,200}}@kubernetes(?!\w))"
    )
    for pod in pods:
        for container in pod.containers:
            for line in lines_of(snapshot, pod, container.name):
                if len(line) > _LONGEST_LINE or not named.search(line):
                    continue
                if not _TROUBLE.search(line) or _ENDPOINTS.search(line):
                    break
                at = f"pod/{pod.name} {container.name}"
                words = plain_words(line)
                return Complaint(f"pod/{pod.name}", "", words, Evidence("log", at, line.strip()), logged=True)
    return None


def log_trouble(snapshot: Snapshot, pods: tuple[Pod, ...]) -> Complaint | None:
    """Return the newest line of a controller's log in known words, whatever object it is about."""
    for pod in pods:
        for container, line in newest_lines(snapshot, pod):
            if len(line) > 3 * _LONGEST_LINE or not _TROUBLE.search(line) or _ENDPOINTS.search(line):
                continue
            said = Evidence("log", f"pod/{pod.name} {container}", line.strip())
            found = Complaint(f"pod/{pod.name}", "", plain_words(line), said, logged=True)
            if advice_for(found) is not None:
                return found
    return None


_HEADER = lazy(r"\A[IWEF]\d{4} [\d:.]+\s+\d+ [\w.-]+:\d+\] ?|\A\d{4}[-/]\d\d[-/]\d\d[T ][\d:.,+Z-]+\s+")
_ERROR_FIELD = lazy(r"(?:err|error)=\"((?:[^\"\\]|\\.){1,500})\"")

_MESSAGE_FIELD = lazy(r"\bmsg=\"((?:[^\"\\]|\\.){1,500})\"")


def plain_words(line: str) -> str:
    """Return what a log line says without its header: the error of a structured line, else its message."""
    line = line.strip()
    entry = read_json(line)
    if entry:
        words = [text(entry, k) for k in ("msg", "message", "error", "err")]
        return ": ".join(dict.fromkeys(w for w in words if w)) or line
    body = _HEADER.sub("", line, count=1)
    found = _ERROR_FIELD.search(body) or _MESSAGE_FIELD.search(body)
    if found is not None:
        return found[1].replace('\\"', '"')
    # A console line of zap ends with its fields as JSON: LEVEL, logger, caller, message, fields.
    head, brace, tail = body.partition("{")
    fields = read_json(brace + tail) if brace else {}
    said = [text(fields, k) for k in ("error", "err", "errorCauses") if text(fields, k)]
    message = head.strip().rpartition("\t")[2].strip() if fields else ""
    return said[0] if said else message or body


_VALID_CLASS = lazy(r"Found valid IngressClass\"? ingress=\"?([\w./-]+)")
_RISKY = lazy(r"annotation group \w+ contains risky annotation")


def risk_complaint(snapshot: Snapshot, pods: tuple[Pod, ...], about: Ref) -> Complaint | None:
    """Return what ingress-nginx says of a risky annotation: its line names no Ingress, the one before it does."""
    name = f"{about.namespace}/{about.name}"
    for pod in pods:
        for container in pod.containers:
            log = snapshot.log(pod.namespace, pod.name, container.name)
            spoken, found = "", ""
            for line in log.text.splitlines() if log.seen else ():
                match = _VALID_CLASS.search(line)
                if match is not None:
                    spoken = match[1]
                elif _RISKY.search(line) and spoken == name:
                    found = line
                elif spoken == name and f'"{name}"' in line:
                    found = ""
            if found:
                at = f"pod/{pod.name} {container.name}"
                return Complaint(
                    f"pod/{pod.name}", "", plain_words(found), Evidence("log", at, found.strip()), logged=True
                )
    return None


# Known words.


def advice_for(complaint: Complaint) -> Advice | None:
    """Return what ends an incident with these words; None where they are not known."""
    said = f"{complaint.reason}: {complaint.message}"
    for row in table("controller_words")["advice"]:
        match = _compiled(row["match"]).search(said)
        if match is not None:
            words = row["fix"]
            for key, value in match.groupdict().items():
                words = words.replace("{" + key + "}", (value or "").rstrip(".,;"))
            return Advice(words, Actor(row["actor"]), row.get("action", ""))
    return None


def shape_of(said: str, shown: str) -> Advice | None:
    """Return what words that are not known ask for, by their shape; ``shown`` is the object that they are about."""
    for row in table("controller_words")["shapes"]:
        match = _compiled(row["match"]).search(said)
        if match is not None:
            words = row["fix"].replace("{object}", shown)
            for key, value in match.groupdict().items():
                words = words.replace("{" + key + "}", (value or "").rstrip(".,;/"))
            return Advice(words.replace(" )", ")"), Actor(row["actor"]))
    return None


def _matches(part: str, words: str) -> bool:
    return any(_compiled(row["match"]).search(words) for row in table("controller_words")[part])


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


@cache
def _beginnings() -> frozenset[str]:
    return frozenset(row["reason"] for row in table("controller_words")["beginnings"])
