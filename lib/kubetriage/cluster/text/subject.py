"""Which pod the parts of a paste are about that do not say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kubetriage.cluster.text.found import Found, Raw
from kubetriage.cluster.text.paste import ObjectKey
from kubetriage.values.fields import dig, labels, name_of, objects

NO_POD = "POD"
"""Stands for a pod that the texts do not name; kubectl's own help writes it so."""
_WELL = frozenset({"Running", "Completed", "Succeeded"})


def only_pod(pods: Mapping[ObjectKey, Raw], described: Sequence[ObjectKey]) -> ObjectKey | None:
    """Return the pod that a part without a name is about: the one described, else the only one that is not well.

    None when several may be meant. Pods of one workload that are all not well count as one: the first stands for all.
    """
    for keys in ([key for key in pods if key in described], list(pods)):
        if len(keys) == 1:
            return keys[0]
    unwell = [key for key, pod in pods.items() if is_unwell(pod)]
    return unwell[0] if len({(key[1], _workload(key[2])) for key in unwell}) == 1 else None


def name_for_parts(found: Iterable[Found]) -> str:
    """Return the name of the pod that parts of a describe or of YAML without a name are of; empty when unknown."""
    pods = [o for o in found if o.resource == "pods" and name_of(o.obj)]
    for chosen in ([o for o in pods if o.described], pods, [o for o in pods if _is_printed_unwell(o.obj)]):
        names = list(dict.fromkeys(name_of(o.obj) for o in chosen))
        if names and (len(names) == 1 or (chosen is not pods and len(set(map(_workload, names))) == 1)):
            return names[0]
    return ""


def _workload(name: str) -> str:
    """Return what the names of the pods of one ReplicaSet or StatefulSet begin with."""
    return name.rpartition("-")[0] or name


def _is_printed_unwell(pod: Raw) -> bool:
    printed = pod.get("x-printed")
    if not isinstance(printed, Mapping):
        return False
    ready, total = printed["ready"]
    return printed["status"] not in _WELL or (printed["status"] == "Running" and ready < total)


def is_unwell(pod: Raw) -> bool:
    """Tell whether a pod is not as it should be by what its table or describe prints."""
    if dig(pod, "status", "phase") in ("Pending", "Failed", "Unknown") or _is_printed_unwell(pod):
        return True
    ready = next((c for c in objects(pod, "status", "conditions") if c.get("type") == "Ready"), {})
    return dig(pod, "status", "phase") != "Succeeded" and ready.get("status") == "False"


def alike_of(about: tuple[str, str], pods: Mapping[ObjectKey, Raw]) -> list[str]:
    """Return the other pods of one workload that are not well in the same way: what is said of one holds for all."""
    place, name = about
    own = pods.get(("pods", place, name))
    if own is None or not is_unwell(own):
        return []
    return [
        key[2]
        for key, pod in pods.items()
        if key[0] == "pods"
        and key[1] == place
        and key[2] != name
        and _workload(key[2]) == _workload(name)
        and is_unwell(pod)
        and _looks(pod) == _looks(own)
    ]


def _looks(pod: Raw) -> object:
    """Return what tells how a pod is not well: the word of its table, else its phase and what containers wait for."""
    printed = pod.get("x-printed")
    if isinstance(printed, Mapping):
        return printed["status"]
    waits = [dig(c, "state", "waiting", "reason") for c in objects(pod, "status", "containerStatuses")]
    return dig(pod, "status", "phase"), tuple(map(str, waits))


def pods_of(pods: Mapping[ObjectKey, Raw], namespace: str, workload: str) -> list[ObjectKey]:
    """Return the pods that bear the name of a workload, the ones that are not well first."""
    mine = [
        key
        for key, pod in pods.items()
        if (not namespace or key[1] == namespace)
        and (key[2].startswith(f"{workload}-") or workload in labels(pod, "metadata", "labels").values())
    ]
    return sorted(mine, key=lambda key: not is_unwell(pods[key]))
