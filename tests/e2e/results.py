"""What the plugins answered on real clusters, by version and part: the source of docs/real-clusters.md."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("results.json")


class Results:
    """Answers of one run."""

    def __init__(self) -> None:
        """Start with none."""
        self._added: dict[str, dict[str, dict[str, Any]]] = {}

    def add(
        self, version: str, part: str, name: str, found: dict[str, Any], sight: str = "", *, wrong: bool = False
    ) -> None:
        """Keep the first cause of an answer; ``sight`` tells apart who asked."""
        first = found["findings"][0] if found["findings"] else {}
        kept = {"cause": found["cause"]}
        if first.get("cause") == found["cause"]:
            kept |= {"severity": first["severity"], "confidence": first["confidence"]}
        if wrong:
            kept["wrong"] = "yes"
        of_part = self._added.setdefault(version, {}).setdefault(part, {})
        if sight:
            of_part.setdefault(name, {})[sight] = kept
        else:
            of_part[name] = kept

    def write(self) -> None:
        """Merge this run into the file, each part of a version with the day on which it ran."""
        known: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
        today = datetime.now(timezone.utc).strftime("%Y-%m-%d")
        for version, parts in self._added.items():
            for part, answers in parts.items():
                old = known.setdefault(version, {}).setdefault(part, {"ran": "", "answers": {}})
                old["answers"].update(answers)
                old["ran"] = today
        FILE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
