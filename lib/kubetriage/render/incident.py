"""An incident with several root causes on one screen: what each explains, since when, the first act, and who acts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from kubetriage.model import Diagnosis
from kubetriage.render.card import SIGNS
from kubetriage.render.fold import columns, cut, sentences, wrapped
from kubetriage.render.terminal import Terminal
from kubetriage.values.fields import Obj, mapping, number, objects, text, texts
from kubetriage.values.times import human_duration, parse_time

_INDENT = "    "
_LEVELS = 4
"""How much is told of a root: all, one line of the act, counts beside the name, the name and the command alone."""


def roots_of(diagnosis: Diagnosis) -> list[Obj]:
    """Return the root causes of an incident; empty for any other answer."""
    return objects(diagnosis.extra, "roots")


def incident_lines(diagnosis: Diagnosis, foot: list[str], terminal: Terminal, now: datetime | None, rows: int) -> str:
    """Draw the roots so that they stay within ``rows`` with the lines of ``foot`` below them."""
    width = terminal.width or 100
    roots = roots_of(diagnosis)
    words = terminal.words
    count = words("{n} root causes", n=len(roots))
    head = [cut(f"{SIGNS[_worst(roots)]} {_name(diagnosis)}  {count}", width)]
    room = rows - len(head) - sum(_height(line, width) for line in foot)
    blocks: list[list[str]] = []
    for level in range(_LEVELS):
        blocks = [list(_block(i + 1, r, level, terminal, now, width)) for i, r in enumerate(roots)]
        if sum(_height(line, width) for block in blocks for line in block) <= room:
            break
    shown: list[str] = []
    for place, block in enumerate(blocks):
        last = place == len(blocks) - 1
        if sum(_height(line, width) for line in (*shown, *block)) > room - (0 if last else 1):
            shown.append(words("and {n} more root causes with -o wide", n=len(blocks) - place))
            break
        shown += block
    return "\n".join([terminal.paint(head[0], "bold"), *shown, *foot])


def _height(line: str, width: int) -> int:
    return -(-max(columns(line), 1) // width)


def _block(place: int, root: Obj, level: int, terminal: Terminal, now: datetime | None, width: int) -> Iterator[str]:
    room, words = width - len(_INDENT), terminal.words
    counts = ", ".join(_counted(kind, count) for kind, count in _victims(root))
    yield _headline(place, root, counts if level == 2 else "", terminal, now, width)
    kept_by = mapping(root, "keptBy")
    if level < 2 and (counts or kept_by):
        said = words("explains {counts}", counts=counts) if counts else ""
        owner = f"{text(kept_by, 'kind')} {text(kept_by, 'name')}" if kept_by else ""
        yield _INDENT + cut("; ".join(part for part in (said, owner) if part), room)
    act = mapping(root, "act")
    if level < 3 and act:
        actor = f"{words.label(text(root, 'actor'))}: " if text(root, "actor") else ""
        said = sentences(
            f"{actor}{words.sentence(text(root, 'cause'), text(act, 'text'))}", room, 2 if level == 0 else 1
        )
        yield from (f"{_INDENT}{line}" for line in wrapped(said, room).splitlines())
    if level == 0:
        yield from (_beside(command, width) for command in texts(act, "commands")[:1])
        near = [f"{text(o, 'kind').lower()}/{text(o, 'name')} {text(o, 'cause')}" for o in objects(root, "possible")]
        if near:
            related = ", ".join(near[:3])
            yield _INDENT + cut(words("began at the same time, possibly related: {objects}", objects=related), room)
    yield _beside(text(root, "detail"), width)


def _headline(place: int, root: Obj, counts: str, terminal: Terminal, now: datetime | None, width: int) -> str:
    tone = text(root, "severity")
    words = [] if tone == "error" else [tone]
    words += [] if text(root, "confidence") == "confirmed" else [text(root, "confidence")]
    doubts = f" ({', '.join(terminal.words.label(word) for word in words)})" if words else ""
    began = parse_time(text(root, "since"))
    since = ""
    if now is not None and began is not None and began <= now:
        since = terminal.words("for {age}", age=human_duration(now - began))
    title = terminal.words.title(text(root, "cause"))
    where = text(root, "object", "namespace")
    name = f"{text(root, 'object', 'kind').lower()}/{text(root, 'object', 'name')}"
    name = terminal.words("control plane") if text(root, "object", "kind") == "Cluster" else name
    cause = f"{text(root, 'cause')}{doubts}"
    placed = terminal.words("{object} in {namespace}", object=name, namespace=where) if where else name
    left = f"{place} {SIGNS[tone]} {placed}  {cause}"
    left += f"  {title}" if title and columns(f"{left}  {title}  {counts}  {since}") <= width else ""
    tail = "  ".join(word for word in (counts, since) if word)
    gap = width - columns(left) - columns(tail)
    line = f"{left}{' ' * gap}{tail}" if tail and gap >= 2 else cut(f"{left}  {tail}".rstrip(), width)
    return line.replace(cause, terminal.paint(cause, tone), 1)


def _beside(command: str, width: int) -> str:
    return (_INDENT if columns(command) + len(_INDENT) <= width else "") + command


def _victims(root: Obj) -> list[tuple[str, int]]:
    """Return how many objects fail because of a root, beside the one that is at fault itself."""
    counts = {kind: number(root, "counts", kind) or 0 for kind in mapping(root, "counts")}
    own = objects(root, "shows")
    if len(own) == 1 and counts.get(text(own[0], "kind")):
        counts[text(own[0], "kind")] -= 1
    return sorted(((kind, count) for kind, count in counts.items() if count), key=lambda entry: -entry[1])


def _counted(kind: str, count: int) -> str:
    name = kind.lower()
    if count == 1:
        return f"1 {name}"
    plural = f"{name}es" if name.endswith("s") else f"{name[:-1]}ies" if name.endswith("cy") else f"{name}s"
    return f"{count} {plural}"


def _worst(roots: list[Obj]) -> str:
    return min((text(r, "severity") for r in roots), key=lambda tone: list(SIGNS).index(tone))


def _name(diagnosis: Diagnosis) -> str:
    target = diagnosis.target
    return f"{target.kind.lower()}/{target.name}"
