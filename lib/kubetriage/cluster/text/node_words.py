"""What the kubelet's own journal tells of a node whose table prints no more than NotReady."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kubetriage.cluster.text.found import FoundNodeLog, Raw
from kubetriage.readers.logs.layers import peel
from kubetriage.values.fields import objects, text
from kubetriage.values.patterns import lazy

# The kubelet logs what it then writes into the condition (pkg/kubelet/kubelet.go, nodestatus/setters.go).
_NETWORK = lazy(r"\"Container runtime network not ready\" networkReady=\"((?:[^\"\\]|\\.){1,1000})\"")
_SKIPPED = lazy(r"\"Skipping pod synchronization\" err=\"\[?((?:[^\"\\\]]|\\.){1,1000})")


def tell_nodes(logs: Iterable[FoundNodeLog], nodes: Mapping[str, Raw]) -> None:
    """Give the condition Ready of a node that is not ready the message that its kubelet logged last."""
    for log in logs:
        hosts = {log.node.partition(".")[0]} - {""}
        names = [name for name in nodes if name.partition(".")[0] in hosts] or (
            list(nodes) if len(nodes) == 1 and not log.node else []
        )
        said = _last_words(log.text) if names else ""
        for name in names if said else ():
            for condition in objects(nodes[name], "status", "conditions"):
                unready = condition.get("type") == "Ready" and condition.get("status") == "False"
                if unready and not text(condition, "message") and isinstance(condition, dict):
                    condition.update(reason="KubeletNotReady", message=said)


def _last_words(log: str) -> str:
    for row in reversed(log.split("\n")[-5000:]):
        body = peel(row.lstrip()).body if "ready" in row or "Skipping" in row else ""
        network = _NETWORK.search(body)
        if network is not None:
            return f"container runtime network not ready: {network[1]}"
        if (skipped := _SKIPPED.search(body)) is not None:
            return skipped[1]
    return ""
