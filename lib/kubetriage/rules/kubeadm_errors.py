"""What the last line of kubeadm means for a machine that is to join: in comes the line, out goes what ends it.

The rows stand in ``data/kubeadm_errors.json``; each is for the plugin that it names.
"""

from __future__ import annotations

from kubetriage.data import table
from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.values.commands import shell
from kubetriage.values.patterns import compiled_pattern

_NODE = Ref("Node", "", "NODE")


def explain(line: str, part: str, about: Ref = _NODE) -> Finding | None:
    """Say what a line of kubeadm means; None where no row of this part of the product knows it."""
    if "error execution phase" not in line and "[ERROR " not in line and "kubelet-check" not in line:
        return None
    for row in table("kubeadm_errors")["errors"]:
        found = compiled_pattern(row["match"]).search(line) if row["part"] == part else None
        if found is None:
            continue
        words = {name: (value or "").strip("[]") for name, value in found.groupdict().items()}
        fix = tuple(
            Fix(
                given["text"].format_map(words),
                actor=Actor(given["actor"]),
                commands=tuple(shell(*(w.format_map(words) for w in c)) for c in given.get("commands", ())),
            )
            for given in row["fix"]
        )
        return Finding(
            row["code"],
            Severity.ERROR,
            Confidence(row.get("confidence", "confirmed")),
            about,
            row["message"].format_map(words),
            (Evidence("status", "kubeadm", line),),
            (),
            fix,
            (shell("kubectl", "get", "nodes", "-o", "wide"),),
            {"link": row["link"]} if "link" in row else {},
        )
    return None
