"""Counts the rows of every answer on a terminal of 80 columns: a table by plugin; -v names the longest ones."""

import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "lib"), str(ROOT / "tests")]

from tabulate import tabulate  # noqa: E402

from kubetriage.render.fold import columns  # noqa: E402
from kubetriage.render.terminal import Terminal  # noqa: E402
from kubetriage.render.text import ROWS, groups, render_text  # noqa: E402
from support.incidents import Answered, answers  # noqa: E402


def rows_of(answered: Answered) -> list[int]:
    """Return the rows that each block of an answer takes."""
    snapshot = answered.outcome.snapshot
    assert snapshot is not None
    return [
        sum(max(1, -(-columns(line) // 80)) for line in text.splitlines())
        for group in groups(answered.diagnoses)
        for text in [render_text(group, Terminal(width=80), now=snapshot.now)]
    ]


def main() -> None:
    """Print the table."""
    counted: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for answered in answers():
        part = "cases" if "/" in answered.incident.name else "captures"
        counts = counted.setdefault((answered.command, part), [])
        counts += [(rows, answered.incident.name) for rows in rows_of(answered)]
    table = []
    for (command, part), counts in sorted(counted.items()):
        rows = [n for n, _ in counts]
        fits = sum(n <= ROWS for n in rows)
        table.append((command, part, len(rows), statistics.median(rows), max(rows), fits))
    every = [n for counts in counted.values() for n, _ in counts]
    fits = sum(n <= ROWS for n in every)
    table.append(("all", "", len(every), statistics.median(every), max(every), fits))
    titles = ["PLUGIN", "OF", "ANSWERS", "MEDIAN ROWS", "MOST", f"FIT {ROWS}"]
    print(tabulate(table, titles, tablefmt="github"))
    if "-v" in sys.argv[1:]:
        for n, name in sorted((pair for counts in counted.values() for pair in counts), reverse=True)[:20]:
            print(f"{n:3} {name}")


if __name__ == "__main__":
    main()
