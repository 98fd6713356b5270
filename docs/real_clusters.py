"""Writes the tables of docs/real-clusters.md from what the last runs of ``make e2e`` answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_RESULTS = Path(__file__).resolve().parent.parent / "tests" / "e2e" / "results.json"
_PARTS = {
    "recorded": "recorded states in a real API server",
    "controllers": "manifests and real controllers",
    "containers": "manifests, a real kubelet and containerd",
    "nodes": "a real node, its daemons stopped",
    "states": "a real etcd in a bad state, by point of sight",
}


def tables() -> dict[str, str]:
    """Return the content of each marked place of the page."""
    results: dict[str, Any] = json.loads(_RESULTS.read_text(encoding="utf-8"))
    versions = sorted(results, key=lambda v: [int(n) for n in v.removeprefix("v").split(".")], reverse=True)
    return {
        "counts": _counts(results, versions),
        "states": _states(results, versions),
        "containers": _scenarios(results, versions, ("containers", "nodes")),
        "controllers": _scenarios(results, versions, ("controllers",)),
    }


def _answers(results: dict[str, Any], version: str, part: str) -> dict[str, Any]:
    found: dict[str, Any] = results[version].get(part, {}).get("answers", {})
    return found


def _number(answers: dict[str, Any]) -> int:
    return sum(1 if "cause" in a else sum("wrong" not in x for x in a.values()) for a in answers.values())


def _counts(results: dict[str, Any], versions: list[str]) -> str:
    rows = [("scenarios", *versions)]
    sums = dict.fromkeys(versions, 0)
    for part, words in _PARTS.items():
        cells = [words]
        for version in versions:
            number = _number(_answers(results, version, part))
            sums[version] += number
            ran = results[version].get(part, {}).get("ran", "")
            cells.append(f"{number} ({ran})" if number else "-")
        rows.append(tuple(cells))
    rows.append(("together", *(str(sums[v]) for v in versions)))
    return _table(rows)


def _states(results: dict[str, Any], versions: list[str]) -> str:
    names = list(dict.fromkeys(n for v in versions for n in _answers(results, v, "states")))
    sights = ("pods, logs, --etcd", "pods, logs", "pods only (RBAC)", "external", "managed")
    lines = []
    for version in versions:
        rows = [(f"state ({version})", *sights)]
        for name in sorted(names, key=_order):
            of_state = _answers(results, version, "states").get(name, {})
            rows.append((name, *(_cell(of_state.get(sight)) for sight in sights)))
        lines.append(_table(rows))
    return "\n".join(lines)


def _order(name: str) -> tuple[bool, bool, str]:
    return ("only" in name or "full" in name, name != "healthy", name)


def _scenarios(results: dict[str, Any], versions: list[str], parts: tuple[str, ...]) -> str:
    rows = [("scenario", *versions)]
    for part in parts:
        for name in dict.fromkeys(n for v in versions for n in _answers(results, v, part)):
            rows.append((name, *(_cell(_answers(results, v, part).get(name)) for v in versions)))
    return _table(rows)


def _cell(answer: dict[str, str] | None) -> str:
    if answer is None:
        return "-"
    confidence = answer.get("confidence", "")
    return (
        ("wrong: " if "wrong" in answer else "")
        + answer["cause"]
        + (f" ({confidence})" if confidence and confidence != "confirmed" else "")
    )


def _table(rows: list[tuple[str, ...]]) -> str:
    head, *body = rows
    lines = [head, ("---",) * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
