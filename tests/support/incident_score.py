"""What triage makes of incidents with a known root, compared with what is true of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.plugins import Request, load
from support.combined import Combined, Expected, Name, combine
from support.offline import CAPTURES, truth

Obj = dict[str, Any]


def ask(folder: Path) -> Obj:
    """Ask triage about a whole dump; return the item of the JSON contract that holds its roots."""
    request = Request(namespace="", all_namespaces=True, options={"alert": None})
    _, got = collect(load("triage"), request, RecordedReader(folder))
    assert not got.errors
    return dict(got.diagnoses[0].extra)


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


def score(incident: Combined, folder: Path) -> Score:
    """Compare the answer about an incident with what is true of it."""
    told = ask(folder)["roots"]
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


def _victims(root: Obj) -> frozenset[Name]:
    said = [(o["kind"], o.get("namespace", ""), o["name"]) for part in ("shows", "explains") for o in root[part]]
    # The control plane itself is no object.
    return frozenset(name for name in said if name[0] != "Cluster")


def _broken() -> list[str]:
    """Return the captures in which something is wrong, with what triage alone says wrong of it."""
    causes = {p.parent.name: truth(p.parent.name).causes[0] for p in sorted(CAPTURES.glob("*/truth.json"))}
    return [name for name, cause in causes.items() if cause not in _NO_FAULT]


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
        for r in ask(folder)["roots"]
    }
