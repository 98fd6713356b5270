"""Answers again whenever something changes: redrawn in place on a terminal, a line per changed verdict in a pipe."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable

import click

from kubetriage.cluster.errors import ClusterError
from kubetriage.cluster.watch import Contact, Follower
from kubetriage.model import Diagnosis, Ref
from kubetriage.records import dataclass, field

DEBOUNCE = 0.5
"""Seconds to wait for more after a change: a container that dies writes its pod and several events."""
REFRESH = 30.0
"""Seconds after which the answer is made anew without a change: ages grow, and grace periods end."""
_RETRY = (1.0, 15.0)
"""First and longest pause in seconds after an answer that could not be made."""
_HOME_AND_CLEAR = "\x1b[H\x1b[2J"

Verdict = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Look:
    """One answer, cleaned and ready to show."""

    diagnoses: tuple[Diagnosis, ...]
    errors: tuple[str, ...]
    moment: str
    """When it was made, by the API server's clock."""
    text: str
    """What is printed without ``--watch``."""


@dataclass
class Changes:
    """Finds the lines to print for what is not as it was."""

    _known: dict[Ref, Verdict] = field(default_factory=dict)
    _errors: tuple[str, ...] = ()

    def lines(self, moment: str, diagnoses: Iterable[Diagnosis], errors: tuple[str, ...]) -> list[str]:
        """Return ``TIME NAME CAUSE message`` for each verdict that is new; of an error, only the first time."""
        said = []
        now: dict[Ref, Verdict] = {}
        for d in diagnoses:
            now[d.target] = tuple((f.cause, f.object.container, f.severity.value) for f in d.findings)
            if self._known.get(d.target) != now[d.target]:
                said.append(f"{moment} {_name(d.target)} {d.cause} {_one_line(d.summary)}")
        said += [f"{moment} {_name(ref)} - is no longer there" for ref in self._known if ref not in now]
        said += [f"{moment} - - {_one_line(error)}" for error in errors if error not in self._errors]
        self._known, self._errors = now, errors
        return said


def _name(ref: Ref) -> str:
    return f"{ref.kind.lower()}/{ref.name}"


def _one_line(words: str) -> str:
    return " ".join(words.split())


def watch(look: Callable[[], Look], follow: Callable[[], None], follower: Follower, contact: Contact) -> bool:
    """Show the answer, and again on each change, until KeyboardInterrupt; False when there is nothing to answer.

    ``follow`` points the follower at what the last answer rested on. Raises ClusterError when the first answer
    cannot be made.
    """
    changes = Changes()
    on_terminal = sys.stdout.isatty()
    answers = failures = 0
    try:
        while True:
            follower.taken()
            began = time.monotonic()
            try:
                seen = look()
            except ClusterError as error:
                if not answers:
                    raise
                contact.lost(str(error))
                least, most = _RETRY
                _pause(min(least * 2**failures, most))
                failures += 1
                continue
            took, failures = time.monotonic() - began, 0
            if not answers and seen.errors and not seen.diagnoses:
                for line in seen.errors:
                    click.echo(line, err=True)
                return False
            answers += 1
            contact.back()
            _show(seen, changes, on_terminal)
            follow()
            follower.wait(REFRESH)
            # An answer that takes long (a scan of a large cluster) is made at most half of the time.
            _pause(max(DEBOUNCE, took))
    finally:
        follower.close()


def _pause(seconds: float) -> None:
    """Sleep in naps: Ctrl-C that comes in the instant before a sleep begins is only seen when it ends."""
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        time.sleep(min(left, DEBOUNCE))


def fitting(rows: list[str], size: os.terminal_size) -> list[str]:
    """Cut off what would scroll the beginning away; a row that is wider than the terminal takes several lines."""
    from wcwidth import wcswidth

    heights = [max(1, -(-max(wcswidth(click.unstyle(row)), 0) // max(size.columns, 1))) for row in rows]
    if sum(heights) < size.lines:
        return rows
    # One line for what is said instead of the rest, one for the cursor.
    room, shown = size.lines - 2, 0
    while shown < len(rows) and heights[shown] <= room:
        room -= heights[shown]
        shown += 1
    return [*rows[:shown], f"... {len(rows) - shown} more lines than the terminal has"]


def _show(seen: Look, changes: Changes, on_terminal: bool) -> None:
    lines = changes.lines(seen.moment, seen.diagnoses, seen.errors)
    if on_terminal:
        rows = [f"{seen.moment}, followed until Ctrl-C", "", *seen.text.splitlines(), *seen.errors]
        lines = [_HOME_AND_CLEAR + "\n".join(fitting(rows, shutil.get_terminal_size()))]
    for line in lines:
        click.echo(line, color=True)
    sys.stdout.flush()
