"""What ``kubectl top`` prints, as the API of metrics answers it: for pods that the rest of a text shows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from kubetriage.cluster.text.found import Raw
from kubetriage.cluster.text.paste import ObjectKey
from kubetriage.needs import Body
from kubetriage.needs import Raw as RawNeed
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import dig, objects, text

_API = "/apis/metrics.k8s.io/v1beta1"


def tell_running(rows: Iterable[tuple[str, str, str, str]], known: Mapping[ObjectKey, Raw], default: str) -> None:
    """Let the containers run of pods that use memory, where nothing else tells their state."""
    for namespace, pod, _, _ in rows:
        there = known.get(("pods", namespace or default, pod))
        if there is None or dig(there, "status", "phase") or objects(there, "status", "containerStatuses"):
            continue
        names = [text(c, "name") for c in objects(there, "spec", "containers")]
        running = [{"name": name, "ready": True, "state": {"running": {}}} for name in names]
        there["status"] = {
            **(there.get("status") or {}),
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": running,
        }


def add_usage(
    rows: Iterable[tuple[str, str, str, str]], known: Mapping[ObjectKey, Raw], default: str, snapshot: Snapshot
) -> None:
    """Add the samples of rows: namespace, pod, container (empty: the pod's own sum), memory."""
    used: dict[tuple[str, str], list[Raw]] = {}
    for namespace, pod, container, memory in rows:
        place = namespace or default
        there = known.get(("pods", place, pod))
        if there is None:
            continue
        names = [text(c, "name") for c in objects(there, "spec", "containers")]
        # A pod's sum is that of its container where it has one.
        name = container or (names[0] if len(names) == 1 else "")
        if name:
            used.setdefault((place, pod), []).append({"name": name, "usage": {"memory": memory}})
    listed: dict[str, list[Raw]] = {}
    for (place, pod), containers in used.items():
        sample: Raw = {"metadata": {"name": pod, "namespace": place}, "containers": containers}
        snapshot.add_body(RawNeed(f"{_API}/namespaces/{place}/pods/{pod}"), Body(json.dumps(sample)))
        listed.setdefault(place, []).append(sample)
    for place, items in listed.items():
        snapshot.add_body(RawNeed(f"{_API}/namespaces/{place}/pods"), Body(json.dumps({"items": items})))
