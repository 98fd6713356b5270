"""What triage makes of incidents with a known root, compared with what is true of them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.model import Diagnosis
from kubetriage.plugins import Request, load
from kubetriage.render.sanitize import sanitized
from kubetriage.render.terminal import Terminal
from kubetriage.render.text import render_text
from kubetriage.snapshot import Snapshot
from support.combined import Combined, Expected, Name, combine
from support.combined_incidents import all_made
from support.offline import CAPTURES, truth

Obj = dict[str, Any]


def ask(folder: Path) -> tuple[Snapshot, Diagnosis]:
    """Ask triage about a whole dump."""
    request = Request(namespace="", all_namespaces=True, options={"alert": None})
    snapshot, got = collect(load("triage"), request, RecordedReader(folder))
    assert not got.errors
    return snapshot, got.diagnoses[0]


@dataclass(frozen=True)
class Score:
    """How an answer compares with what is true."""

    roots: int
    """Expected roots that are named."""
    first: bool
    """They stand before all others."""
    others: tuple[str, ...]
    """Roots of errors that are none."""
    victims: int
    missing: frozenset[Name]
    foreign: frozenset[Name]


def score(incident: Combined, told: list[Obj]) -> Score:
    """Compare the roots that are named with what is true of an incident."""
    mine: dict[int, Expected] = {}
    for wanted in incident.expected:
        for place, root in enumerate(told):
            if root["cause"] in wanted.causes and root["object"]["name"].startswith(wanted.object):
                mine[place] = wanted
                break
    missing, foreign = set(), set()
    for place, wanted in mine.items():
        said = _victims(told[place])
        missing |= wanted.victims - said
        foreign |= said - wanted.victims
    others = tuple(r["cause"] for i, r in enumerate(told) if i not in mine and r["severity"] == "error")
    victims = sum(len(e.victims) for e in incident.expected)
    first = sorted(mine) == list(range(len(mine)))
    return Score(len(mine), first, others, victims, frozenset(missing), frozenset(foreign))


@lru_cache(maxsize=1)
def results() -> dict[str, tuple[Combined, Score, str]]:
    """Ask triage about every incident, once for all tests of a process: its score, and the screen of 80 columns."""
    found = {}
    for incident in all_made():
        with tempfile.TemporaryDirectory() as folder:
            incident.write(Path(folder))
            snapshot, told = ask(Path(folder))
        screen = render_text([sanitized(told)], Terminal(80), now=snapshot.clock)
        found[incident.name] = (incident, score(incident, told.extra["roots"]), screen.replace(folder, "./dump"))
    return found


def page() -> str:
    """Write docs/incidents.md."""
    rows, screens = [], []
    for name, (incident, got, screen) in results().items():
        wanted = len(incident.expected)
        victims = f"{got.victims - len(got.missing)} of {got.victims}"
        first = "yes" if got.first and not got.others else "no"
        rows.append(f"| {name} | {got.roots} of {wanted} | {first} | {victims} | {len(got.foreign)} |")
        screens.append(
            f"## {name[:1].upper()}{name[1:]}\n\n```console\n$ kubectl triage -A --from ./dump\n{screen}\n```\n"
        )
    head = "| incident | roots named | first | victims explained | foreign |"
    table = "\n".join([head, "| --- " * 5 + "|", *rows])
    return _HEAD.format(table=table, pairs=len(RECORDED)) + "\n".join(screens)


_HEAD = """# Incidents with a known root

`kubectl triage` is asked about clusters in which all is healthy but for one fault, or two, and what fails because of
them. Of each it is known what is at the root and which pods, workloads, Services, Ingresses and nodes are its victims.
*First*: the roots stand before everything else, and no other error is called a root. *Foreign*: objects that are called
victims and are none. `tests/support/combined_incidents.py` makes them, `make snapshots` writes this page.

{table}

Beside these, each of {pairs} recorded incidents is put into one cluster with another one: the answer has the roots and
the victims of both as for each alone, and joins nothing of one to the other (`tests/rules/incident/test_combined.py`).

A dump of objects alone shows nothing of the control plane, so each answer says so under UNKNOWN.

"""


def _victims(root: Obj) -> frozenset[Name]:
    said = [(o["kind"], o.get("namespace", ""), o["name"]) for part in ("shows", "explains") for o in root[part]]
    # The control plane itself is no object.
    return frozenset(name for name in said if name[0] != "Cluster")


def _broken() -> list[str]:
    """Return the captures in which something is wrong, with what triage alone says wrong of it."""
    causes = {p.parent.name: truth(p.parent.name).causes[0] for p in sorted(CAPTURES.glob("*/truth.json"))}
    # Of a recording that says which lists failed the other one's lists would be missing, too.
    whole = (name for name in causes if not (CAPTURES / name / "coverage.json").exists())
    return [name for name in whole if causes[name] not in _NO_FAULT]


_NO_FAULT = ("Healthy", "Cordoned", "RestartedThenStable")
_CLUSTERWIDE = ("cp-", "node-")
"""Captures whose faults are seen in what is not part of a namespace: they come first."""
RECORDED = _broken()


def two_at_once(number: int, folder: Path) -> str:
    """Put a capture and another one into one cluster; say in what its roots differ from those of each alone."""
    first = RECORDED[number]
    others = [name for name in RECORDED if name != first and not name.startswith(_CLUSTERWIDE)]
    second = others[(number * 7 + 3) % len(others)]
    combine(first, second, folder)
    alone = {**_roots(CAPTURES / first), **_roots(CAPTURES / second, other=True)}
    both = _roots(folder)
    if both == alone:
        return ""
    differ = [str(k) for k in both.keys() | alone.keys() if both.get(k) != alone.get(k)]
    return f"{first} and {second}: {', '.join(differ)}"


def _roots(folder: Path, other: bool = False) -> dict[tuple[str, ...], frozenset[Name]]:
    """Return the victims of each root; ``other``: on the machine that the second capture has in a combined cluster."""

    def named(name: str) -> str:
        return name.replace("node-1", "node-9") if other else name

    return {
        (r["object"]["kind"], r["object"].get("namespace", ""), named(r["object"]["name"]), r["cause"]): frozenset(
            (kind, namespace, named(name)) for kind, namespace, name in _victims(r)
        )
        for r in ask(folder)[1].extra["roots"]
    }
