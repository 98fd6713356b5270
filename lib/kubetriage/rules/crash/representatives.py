"""Which pods of a scan are looked at in full: pods go in, a few of each workload and symptom come out.

Pods of one workload that look alike in their status have one cause. Three of them are enough to see whether that
holds, on different nodes and of different revisions first; a scan then costs by the number of faults, not of pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kubetriage.model import Diagnosis, Ref
from kubetriage.readers.pods import Pod
from kubetriage.values.fields import condition, labels, text
from kubetriage.values.patterns import lazy

MOST = 3
"""Pods of one workload with one symptom that are looked at."""
_FEWER = ((20, MOST), (60, 2))
"""Up to so many symptoms, so many pods of each; of more symptoms one pod each: the reads of a scan stay bounded."""
# containerd, CRI-O and cri-dockerd name the registry's answer in the kubelet's message since Kubernetes 1.31, and with
# ErrImagePull before: what is not in the registry is there for no namespace.
_OF_THE_IMAGE = lazy(r"not found|manifest unknown|no such host|connection refused|i/o timeout|no matching manifest")
_PULLS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName"})

_HASH = "pod-template-hash"


def representatives(pods: Iterable[Pod]) -> list[tuple[Pod, tuple[Pod, ...]]]:
    """Choose the pods to look at, each with the others that it stands for; the order of the first is kept."""
    groups: dict[object, list[Pod]] = {}
    for pod in pods:
        groups.setdefault(_symptom(pod), []).append(pod)
    most = next((number for symptoms, number in _FEWER if len(groups) <= symptoms), 1)
    found: list[tuple[Pod, tuple[Pod, ...]]] = []
    for alike in groups.values():
        chosen = _spread(alike, most)
        others = tuple(p for i, p in enumerate(alike) if i not in chosen)
        found += [(alike[i], others if number == 0 else ()) for number, i in enumerate(chosen)]
    return found


def joined(
    found: Iterable[Diagnosis], alike: Mapping[Ref, tuple[Ref, ...]], pods: Iterable[Pod], unknown: str
) -> tuple[list[Diagnosis], dict[Ref, tuple[Ref, ...]]]:
    """Let a pod stand for those that look like it of which too little was seen to know (cause ``unknown``).

    Pods of one revision only, and only where all that are known have one cause.
    """
    looks: dict[Ref, object] = {p.ref: (_symptom(p), p.labels.get(_HASH, "")) for p in pods if p.controller}
    causes: dict[object, dict[str, Diagnosis]] = {}
    diagnoses = list(found)
    for one in diagnoses:
        if one.findings and one.cause != unknown and one.target in looks:
            causes.setdefault(looks[one.target], {}).setdefault(one.cause, one)
    kept: list[Diagnosis] = []
    stands: dict[Ref, tuple[Ref, ...]] = dict(alike)
    for one in diagnoses:
        known = causes.get(looks[one.target], {}) if one.target in looks and one.cause == unknown else {}
        if len(known) != 1 or not one.findings:
            kept.append(one)
            continue
        head = next(iter(known.values())).target
        stands[head] = (*stands.get(head, ()), one.target, *stands.pop(one.target, ()))
    return kept, stands


def _spread(alike: list[Pod], most: int) -> list[int]:
    """Take pods of nodes and revisions that were not taken yet, then any; their numbers are returned."""
    chosen: list[int] = []
    seen: set[tuple[str, str]] = set()
    for number, pod in enumerate(alike):
        place = ("node", pod.node), ("revision", pod.labels.get(_HASH, ""))
        if len(chosen) < most and (not chosen or any(p not in seen for p in place)):
            chosen.append(number)
            seen.update(place)
    left = (i for i in range(len(alike)) if i not in chosen)
    while len(chosen) < min(most, len(alike)):
        chosen.append(next(left))
    return sorted(chosen)


def _waits_for(pod: Pod) -> object:
    """Return what the containers of a pod that never started wait for, in the kubelet's words; None for others."""
    waiting = [c for c in pod.containers if c.waiting_reason not in ("", "PodInitializing", "ContainerCreating")]
    if len(waiting) != 1 or not pod.controller or pod.deleting or waiting[0].restarts:
        return None
    (container,) = waiting
    message = text(container.status, "state", "waiting", "message")
    if container.waiting_reason in _PULLS:
        place = "" if _OF_THE_IMAGE.search(message) else pod.namespace
        return ("image", place, container.image, container.waiting_reason if place else "")
    if container.waiting_reason == "CreateContainerConfigError" and message:
        return ("configuration", pod.namespace, message)
    return None


def _symptom(pod: Pod) -> object:
    """Return what is equal for pods of one workload that look alike; a pod without owner is like no other.

    Pods that wait for one image, or for one object that is missing, look alike whatever workload they belong to.
    """
    shared = _waits_for(pod)
    if shared is not None:
        return shared
    owner = pod.controller
    name = text(owner, "name")
    revision = pod.labels.get(_HASH, "")
    if revision and name.endswith(f"-{revision}"):
        name = name.removesuffix(f"-{revision}")
    workload = (text(owner, "kind"), name) if name else ("Pod", pod.name)
    states = tuple(
        (
            c.name,
            c.waiting_reason,
            c.ready,
            c.running,
            (c.termination.exit_code, c.termination.reason) if c.termination is not None else None,
        )
        for c in pod.containers
    )
    scheduled = condition(pod.raw, "PodScheduled")
    marks = labels(pod.raw, "metadata", "annotations").get("kubernetes.io/config.mirror", "")
    return (
        pod.namespace,
        workload,
        pod.phase,
        pod.reason,
        pod.deleting,
        text(scheduled, "reason"),
        text(scheduled, "message"),
        bool(pod.node),
        bool(marks),
        states,
    )
