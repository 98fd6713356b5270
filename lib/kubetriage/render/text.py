"""Diagnoses as text for people: a headline and the diagnosis table of each, made to fit the first screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from kubetriage.model import Diagnosis
from kubetriage.records import dataclass, replace
from kubetriage.render.card import Card, Step, card_of
from kubetriage.render.fold import columns, cut, cut_middle, sentences, wrapped
from kubetriage.render.pieces import INDENT, MARK, PIPE_WIDTH, beside, headline, is_brief, labelled, translated
from kubetriage.render.table import LABEL
from kubetriage.render.terminal import Terminal
from kubetriage.render.words import Words
from kubetriage.values.fields import objects
from kubetriage.values.patterns import lazy

ROWS_USUAL = 18
"""Rows of an answer that leave room for the commands around it."""
ROWS = 23
"""Rows of one answer that stay on a terminal of 24 rows when the prompt is back."""


@dataclass(frozen=True)
class _Much:
    """How much of a card is shown."""

    proof: int = 3
    proof_rows: int = 2
    what_rows: int = 6
    steps: int = 4
    with_commands: int = 4
    """Steps whose commands are shown; of the others the sentence."""
    step_rows: int = 5
    checks: int = 2
    unknown: int = 3
    also: int = 6
    drawn: int = 12
    further_rows: int = 2
    """Rows of a step whose commands are not shown."""
    yaml_rows: int = 99
    commands: int = 9


_USUAL: tuple[Mapping[str, int], ...] = (
    {},
    {"checks": 1},
    {"proof_rows": 1},
    {"further_rows": 1},
    {"with_commands": 2, "steps": 3},
    {"unknown": 1, "also": 4},
    {"proof": 2},
)
"""What gives way, in this order, until an answer has the usual length; ``-o wide`` has all of it."""
_TIGHT: tuple[Mapping[str, int], ...] = (
    {"with_commands": 1},
    {"what_rows": 4, "step_rows": 4},
    {"steps": 2, "step_rows": 3, "drawn": 8},
    {"what_rows": 3, "step_rows": 2, "proof": 1, "drawn": 6, "also": 2},
    {"yaml_rows": 0},
    {"what_rows": 2, "drawn": 4, "also": 1},
    {"commands": 1},
)
"""What gives way beyond that, where the answer would not stay on the screen."""


def prepare() -> None:
    """Import what draws tables; for a thread of its own while others wait for the API server."""
    import tabulate  # noqa: F401
    import wcwidth  # noqa: F401


def render_text(
    diagnoses: Sequence[Diagnosis],
    terminal: Terminal,
    *,
    now: datetime | None = None,
    wide: bool = False,
    headers: bool = True,
    explain: bool = False,
) -> str:
    """Write each diagnosis in full, equal ones of one workload once.

    ``now`` turns times into ages; ``wide`` shows everything, with the times and fields as the API has them.
    """
    blocks = []
    for group in groups(diagnoses):
        if wide:
            from kubetriage.render import whole

            block = list(whole.wide(group, terminal, now, headers))
        else:
            block = list(_first_screen(group, terminal, now))
        if explain:
            from kubetriage.render.whole import by_hand

            block += by_hand(group[0], terminal)
        blocks.append("\n".join(block))
    return terminal.plain("\n\n".join(blocks))


def groups(diagnoses: Sequence[Diagnosis]) -> Iterator[list[Diagnosis]]:
    """Put neighbours with the same verdict together, so that ten equal replicas are one answer."""
    group: list[Diagnosis] = []
    for diagnosis in diagnoses:
        if group and _alike(group[0], diagnosis):
            group.append(diagnosis)
        else:
            if group:
                yield group
            group = [diagnosis]
    if group:
        yield group


def _alike(one: Diagnosis, other: Diagnosis) -> bool:
    def verdict(d: Diagnosis) -> object:
        return (
            d.context,
            d.target.kind,
            d.target.namespace,
            [(f.cause, f.object.container, f.confidence) for f in d.findings],
        )

    return bool(one.findings) and not one.lead and not one.tail and verdict(one) == verdict(other)


# The first screen.


def _first_screen(group: Sequence[Diagnosis], terminal: Terminal, now: datetime | None) -> list[str]:
    card = card_of(group, now, terminal.words, terminal.times)
    much = _Much()
    width = terminal.width or PIPE_WIDTH
    if len(objects(group[0].extra, "roots")) > 1:
        from kubetriage.render.incident import incident_lines

        foot = (
            list(labelled(translated(list(_unknown_rows(card, width - LABEL, 1)), terminal.words), [], terminal))
            if card.unknown
            else []
        )
        foot.append(terminal.paint(terminal.words("-o wide: the proof of each, what it explains, all fixes"), "dim"))
        return [incident_lines(group[0], foot, terminal, now, ROWS)]
    lines: list[str] = []
    for most, ladder in ((ROWS_USUAL, _USUAL), (ROWS, _TIGHT)):
        for changes in ladder:
            much = replace(much, **changes)
            lines = _drawn_card(card, terminal, much, _left_out(card, group[0], much, terminal.words))
            if _rows(lines, width) <= most:
                return lines
        if _rows(lines, width) <= ROWS:
            break
    return lines


def _rows(lines: Sequence[str], width: int) -> int:
    """Count the rows of a terminal that lines take; a longer line takes several."""
    drawn = "\n".join(lines).split("\n")
    return sum(-(-max(columns(_SGR.sub("", line)), 1) // width) for line in drawn)


_SGR = lazy(r"\x1b\[[0-9;]*m")


def _drawn_card(card: Card, terminal: Terminal, much: _Much, left_out: str) -> list[str]:
    width, words = terminal.width or PIPE_WIDTH, terminal.words
    room = width - LABEL
    rows: list[tuple[str, str]] = []
    code: list[str] = []

    def verbatim(line: str) -> str:
        """Keep a line out of the folding: it stands whole in a row of its own."""
        code.append(line)
        return f"{MARK}{len(code) - 1}"

    def step(label: str, shown: Step, number: str, full: bool) -> None:
        actor = f"{shown.actor}: " if shown.actor else ""
        text = sentences(f"{number}{actor}{shown.text}", room, much.step_rows if full else much.further_rows)
        rows.append((label, text))
        if full:
            rows.extend(("", verbatim(beside(line, width))) for line in shown.commands[: much.commands])
            if len(shown.commands) > much.commands:
                rows.append(("", words("and {n} more with -o wide", n=len(shown.commands) - much.commands)))
            if len(shown.yaml.splitlines()) <= much.yaml_rows:
                rows.extend(("", verbatim(INDENT + line)) for line in shown.yaml.splitlines())
            else:
                rows.append(("", words("the lines to change: -o wide")))

    rows.append(("WHAT", sentences(card.what, room, much.what_rows)))
    for drawing in card.drawn:
        most = len(drawing.lines) if len(drawing.lines) <= much.drawn + 1 else much.drawn
        for i, line in enumerate(drawing.lines[:most]):
            label = words.label(drawing.title.upper()) if i == 0 else ""
            if _DRAWN.search(line):
                rows.append((label, verbatim(" " * LABEL + _cut_drawn(line, room))))
            else:
                rows.append((label, _fitting(line, room, much.proof_rows)))
        if most < len(drawing.lines):
            rows.append(("", words("and {n} more with -o wide", n=len(drawing.lines) - most)))
    for i, proof in enumerate(card.proof[: much.proof]):
        rows.append(
            (
                "PROOF" if i == 0 else "",
                _fitting(str(replace(proof, when=words.ages(proof.when))), room, much.proof_rows),
            )
        )
    steps = card.fix[: much.steps]
    if card.act:
        rows.append(("FIX", sentences(card.act, room, much.further_rows)))
    for i, one in enumerate(steps):
        number = f"{i + 1}. " if len(card.fix) > 1 else ""
        step("FIX" if i == 0 and not card.act else "", one, number, i < much.with_commands)
    for i, command in enumerate(card.check[: much.checks]):
        rows.append(("CHECK" if i == 0 else "", verbatim(beside(command, width))))
    for i, (_, cause, message) in enumerate(card.also[: much.also]):
        rows.append(("ALSO" if i == 0 else "", cut(f"{cause}: {message}", room)))
    if len(card.also) > much.also:
        rows.append(("", words("and {n} more with -o wide", n=len(card.also) - much.also)))
    if card.same:
        names = ", ".join(card.same)
        same = words.many(len(card.same), "{names} fails the same way", "{names} fail the same way", names=names)
        rows.append(("SAME", _fitting(same, room, 2)))
    rows += _unknown_rows(card, room, much.unknown)
    drawn = labelled(translated(rows, words), code, terminal)
    lines = [*headline(card, terminal), *drawn]
    if left_out:
        lines.append(terminal.paint(cut(f"-o wide: {left_out}", width), "dim"))
    return lines


def _unknown_rows(card: Card, room: int, most: int) -> Iterator[tuple[str, str]]:
    """Name what was not seen: what could hold a fault one by one, the rest in one line."""
    deciding = [f"{g.what}: {g.why}" for g in card.unknown if g.decides]
    rest = [g.what for g in card.unknown if not g.decides]
    label = "UNKNOWN"
    for line in deciding[:most]:
        yield label, _fitting(line, room, 2)
        label = ""
    rest = [*[g.what for g in card.unknown if g.decides][most:], *rest]
    if rest:
        whys = {g.why for g in card.unknown if g.what in rest}
        why = f" ({whys.pop()})" if len(rest) == 1 else ""
        yield label, cut(f"{'; '.join(rest)}{why}", room)


def _fitting(words: str, room: int, rows: int) -> str:
    """Keep a message to so many rows; its beginning and its end say most."""
    if len(wrapped(words, room).splitlines()) <= rows:
        return words
    # Words are not broken at the end of a row, so a few columns are lost there.
    size = room * rows
    while len(wrapped(shorter := cut_middle(words, size), room).splitlines()) > rows:
        size -= 4
    return shorter


def _left_out(card: Card, diagnosis: Diagnosis, much: _Much, words: Words) -> str:
    """Say what ``-o wide`` shows beyond this."""
    facts, fixes, checks = len(card.proof) - much.proof, len(card.fix) - much.steps, len(card.check) - much.checks
    rivals = sum(len(f.ruled_out) for f in diagnosis.findings)
    hidden = (
        (facts, words.many(facts, "{n} more fact", "{n} more facts")),
        (rivals, words.many(rivals, "{n} cause ruled out", "{n} causes ruled out")),
        (fixes, words.many(fixes, "{n} more fix", "{n} more fixes")),
        (checks, words.many(checks, "{n} more check", "{n} more checks")),
    )
    sections = (s for s in (*diagnosis.lead, *diagnosis.tail) if not is_brief(s) and s.title)
    titles = [words.label(s.title).lower().partition(" (")[0] for s in sections]
    return ", ".join([*(said for n, said in hidden if n > 0), *titles])


_DRAWN = lazy("[█▓▒░▚▞▤▥─├└→]")
"""A line with one of these is a drawing: it is cut where a sentence is folded."""


def _cut_drawn(line: str, room: int) -> str:
    """Cut a drawn line to the terminal; its blanks are part of the drawing."""
    start = line[: len(line) - len(line.lstrip())]
    return line if columns(line) <= room else start + _cut_tail(line[len(start) :], room - len(start))


def _cut_tail(line: str, room: int) -> str:
    end = len(line)
    while end and columns(line[:end]) > room - 1:
        end -= 1
    return f"{line[:end].rstrip()}…"
