"""A pod's page of details in Lens and its kin (OpenLens, Freelens), copied: a label and its value take turns."""

from __future__ import annotations

from collections.abc import Sequence

from kubetriage.cluster.text.ages import api_time
from kubetriage.cluster.text.found import Finds, Found, Raw
from kubetriage.found import Form
from kubetriage.values.patterns import lazy

# packages/core/src/renderer/components/workloads-pods, 4.0 to 6.10.
_ENDED = lazy(r"Reason: ?([A-Z]\w{1,60}|unknown)? ?- exit code: ?(-?\d{1,11})\Z")
_STATE = lazy(
    r"(waiting|running|terminated)(?:, ?([A-Za-z]\w{0,60}))?(?: ?- ?([A-Z]\w{1,60}) \(exit code: ?(-?\d{1,11})\))?\Z"
)
_MEMORY = lazy(r"[Mm]emory: ?(\d[\w.]{0,20})")
_IN_MOMENT = lazy(r"(Started|Finished) at: ?(\S{10,40}(?: \S{1,20}){0,3})\Z")
_LABELS = frozenset(
    {"Name", "Namespace", "Node", "Controlled By", "Pod IP", "QoS Class", "Image", "Requests", "Limits"}
)
_FORM = "the details of a viewer"


def read_details(rows: Sequence[str], finds: Finds, line: int) -> bool:
    """Take the pod of a page with the endings of its containers; return False for anything else."""
    words = [part.strip() for row in rows[:2000] for part in row.split("\t") if part.strip()]
    if "Containers" not in words or not any(_ENDED.match(w) or _STATE.match(w) for w in words):
        return False
    at = words.index("Containers")
    about = {words[i]: words[i + 1] for i in range(at - 1) if words[i] in _LABELS and words[i + 1] not in _LABELS}
    containers, statuses = _containers(words[at + 1 :])
    if not statuses:
        return False
    metadata: Raw = {k: about[label] for k, label in (("name", "Name"), ("namespace", "Namespace")) if label in about}
    spec: Raw = {"containers": containers, **({"nodeName": about["Node"]} if "Node" in about else {})}
    made: Raw = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    made["status"] = {"phase": "Running", "containerStatuses": statuses}
    kind, _, owner = about.get("Controlled By", "").partition(" ")
    if owner:
        metadata["ownerReferences"] = [{"kind": kind, "name": owner, "controller": True}]
    shows = ["metadata.name", "metadata.ownerReferences", "status.phase", "status.containerStatuses", "spec.nodeName"]
    if any("resources" in c for c in containers):
        shows.append("spec.containers.resources")
    finds.objects.append(Found("pods", made, Form(_FORM, shows=tuple(shows)), line, described=True))
    return True


def _containers(words: Sequence[str]) -> tuple[list[Raw], list[Raw]]:
    containers: list[Raw] = []
    statuses: list[Raw] = []
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else ""
        if word == "Status" and at and (state := _STATE.match(following)) is not None:
            containers.append({"name": words[at - 1]})
            statuses.append({"name": words[at - 1], "ready": "ready" in following.split(", ")})
            statuses[-1]["state"] = _state(state[1], state[2] or state[3] or "", state[4])
        elif word == "Last Status" and statuses:
            statuses[-1]["lastState"] = {"terminated": _ending(words[at + 1 : at + 5])}
        elif word == "Image" and containers:
            containers[-1]["image"] = following
        elif word in ("Limits", "Requests") and containers and (size := _MEMORY.search(following)) is not None:
            containers[-1].setdefault("resources", {})[word.lower()] = {"memory": size[1]}
    return containers, statuses


def _state(kind: str, reason: str, code: str | None) -> Raw:
    if kind == "running":
        return {"running": {}}
    if kind == "waiting":
        return {"waiting": {"reason": reason}}
    return {"terminated": {"reason": reason, **({"exitCode": int(code)} if code else {})}}


def _ending(words: Sequence[str]) -> Raw:
    made: Raw = {}
    for word in words:
        ended, moment = _ENDED.match(word), _IN_MOMENT.match(word)
        if ended is not None:
            made |= {"reason": ended[1] or "", "exitCode": int(ended[2])}
        elif moment is not None and (time := api_time(moment[2])):
            made["startedAt" if moment[1] == "Started" else "finishedAt"] = time
    return made
