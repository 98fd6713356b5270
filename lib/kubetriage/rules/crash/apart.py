"""What the one replica that fails has apart from those that run: its node, or its own claim."""

from __future__ import annotations

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.container_spec import claims
from kubetriage.rules.crash.crash_context import split_of
from kubetriage.rules.crash.program_output import LastWords
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import labels, text

_FACTS = (
    ("kernel", "kernelVersion"),
    ("operating system", "osImage"),
    ("runtime", "containerRuntimeVersion"),
    ("kubelet", "kubeletVersion"),
    ("architecture", "architecture"),
)
_LABELS = (
    ("instance type", "node.kubernetes.io/instance-type"),
    ("GPU", "nvidia.com/gpu.product"),
)


def apart(words: LastWords) -> tuple[Fix, ...]:
    """Return what to do about a replica that fails where others of the same template run; nothing otherwise."""
    case = words.case
    split = split_of(case, words.container)
    if split is None or not split.well or any(_hash(p) != _hash(case.pod) for p in split.well):
        return ()
    places = {p.node for p in split.same if p.node}
    others = {p.node for p in split.well if p.node}
    if len(places) != 1 or not case.pod.node or places & others:
        return ()
    own = [c for c in claims(words.container) if all(c not in _claims_of(p, words.container.name) for p in split.well)]
    found: list[Fix] = []
    differs = differences(case, sorted(others))
    if differs:
        found.append(_by_node(words, differs))
    if own:
        found.append(_by_claim(words, own[0]))
    if not found:
        found.append(_by_node(words, ""))
    return tuple(found)


def _hash(pod: Pod) -> str:
    return pod.labels.get("pod-template-hash") or pod.labels.get("controller-revision-hash", "")


def _claims_of(pod: Pod, name: str) -> list[str]:
    twin = pod.container(name)
    return claims(twin) if twin is not None else []


def differences(case: Case, others: list[str]) -> str:
    """Say what the node of a pod has apart from other nodes, as far as those were read; empty for nothing."""
    mine = case.node.obj
    nodes = [found.obj for name in others if (found := case.snapshot.get("nodes", "", name)).found]
    if not mine or not nodes:
        return ""
    told = []
    for word, field in _FACTS:
        own = text(mine, "status", "nodeInfo", field)
        theirs = sorted({text(n, "status", "nodeInfo", field) for n in nodes} - {""})
        if own and theirs and own not in theirs:
            told.append(f"{word} {own} (the others: {', '.join(theirs[:3])})")
    for word, label in _LABELS:
        own = labels(mine, "metadata", "labels").get(label, "")
        theirs = sorted({labels(n, "metadata", "labels").get(label, "") for n in nodes} - {""})
        if own and theirs and own not in theirs:
            told.append(f"{word} {own} (the others: {', '.join(theirs[:3])})")
    return "; ".join(told[:3])


def _by_node(words: LastWords, differs: str) -> Fix:
    case, node = words.case, words.case.pod.node
    why = f" has {differs}" if differs else " is what is seen to differ"
    delete = kubectl("delete", "pod", case.pod.name, namespace=case.pod.namespace)
    if case.workload.kind == "DaemonSet":
        return Fix(
            f"Only the pod on node {node} fails, the others of the same template run: {node}{why}. Bring {node} in "
            f"line "
            f"with the others, or keep {case.workload_name} from it (a label and nodeAffinity).",
            actor=Actor.NODE,
            commands=(kubectl("get", "nodes", "-o", "wide"),),
        )
    return Fix(
        f"Only the pod on node {node} fails, the others of the same template run: {node}{why}. Move it: cordon {node} "
        "and delete the pod; then bring the node in line with the others.",
        actor=Actor.NODE,
        commands=(kubectl("cordon", node), delete, kubectl("get", "nodes", "-o", "wide")),
    )


def _by_claim(words: LastWords, claim: str) -> Fix:
    case = words.case
    return Fix(
        f"Only {case.pod.name} fails, the others of the same template run: its data on claim {claim} is its own. Keep "
        f"a "
        "copy of it (VolumeSnapshot), then let the program rebuild it from the other replicas, or restore a backup.",
        actor=Actor.APP,
        commands=(kubectl("get", "pvc", claim, namespace=case.pod.namespace),),
    )


def apart_evidence(words: LastWords) -> tuple[Evidence, ...]:
    """Quote what the node has apart."""
    split = split_of(words.case, words.container)
    if split is None or not split.well:
        return ()
    differs = differences(words.case, sorted({p.node for p in split.well if p.node}))
    return (Evidence("status", f"node/{words.case.pod.node}", differs),) if differs else ()


def rebuild(words: LastWords) -> tuple[Fix, ...]:
    """Return the way over the other replicas for data of one that is damaged; nothing where they do not run."""
    split = split_of(words.case, words.container)
    if split is None or not split.well or len(split.same) > 1 or words.case.workload.kind != "StatefulSet":
        return ()
    own = [c for c in claims(words.container) if all(c not in _claims_of(p, words.container.name) for p in split.well)]
    return (_by_claim(words, own[0]),) if own else ()
