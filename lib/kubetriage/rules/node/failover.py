"""How pods of a lost node are freed or moved: in comes a node's case, out go fixes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kubetriage.model import Fix, Ref
from kubetriage.readers.pods import Pod
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.node_taints import LOSS_TAINTS, OUT_OF_SERVICE, taint
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import (
    objects,
    text,
)


def deployment_of(pod: Pod) -> str:
    """Return the name of the Deployment of a pod, by its ReplicaSet's name; empty when it has none."""
    owner, hashed = pod.controller, pod.labels.get("pod-template-hash", "")
    name = text(owner, "name")
    if text(owner, "kind") != "ReplicaSet" or not hashed or not name.endswith(f"-{hashed}"):
        return ""
    return name.removesuffix(f"-{hashed}")


def tolerate(pod: Pod, seconds: int) -> Mapping[str, object]:
    """Write the patch; the list of tolerations is replaced as a whole, so the pod's other ones are kept."""
    kept = [dict(t) for t in objects(pod.raw, "spec", "tolerations") if text(t, "key") not in LOSS_TAINTS]
    added = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds} for key in LOSS_TAINTS
    ]
    return {"spec": {"template": {"spec": {"tolerations": [*kept, *added]}}}}


def waiting_pods(case: NodeCase) -> str:
    """Say in a sentence which pods wait for this node; empty when none does."""
    stuck = case.stuck
    if not stuck:
        return ""
    held = [f"{text(r.pod.controller, 'kind')} pod {r.pod.name}" for r in stuck if r.waits_for_node]
    more = f" and {len(held) - 2} more" if len(held) > 2 else ""
    kept = f", with no replacement for {', '.join(held[:2])}{more} before that" if held else ""
    count = f"{len(stuck)} pods are" if len(stuck) > 1 else "1 pod is"
    return f" {count} stuck Terminating until it answers{kept}."


def keep_hands_off(case: NodeCase) -> Fix:
    """Warn against force deletion while the machine may still run the pods."""
    names = [f"{r.pod.namespace}/{r.pod.name}" for r in case.timetable if r.waits_for_node][:3]
    about = f" ({', '.join(names)})" if names else ""
    return Fix(
        f"Do not force-delete pods{about} and do not set the out-of-service taint: {case.name} is not proven dead, "
        "and a second copy could write the same data. Prove first that the machine is off."
    )


def fencing(case: NodeCase) -> Iterator[Fix]:
    """Free the pods of a machine that is proven to be off."""
    if case.proven_dead is None:
        return
    if not taint(case.node, OUT_OF_SERVICE):
        yield Fix(
            f"{case.name} is off ({case.proven_dead.detail}), so its pods and volumes may be freed without its "
            f"kubelet: {kubectl('taint', 'nodes', case.name, f'{OUT_OF_SERVICE}=nodeshutdown:NoExecute')} "
            "(remove the taint before the machine comes back)."
        )


def faster_failover(case: NodeCase) -> Iterator[Fix]:
    """Offer shorter tolerations to Deployments whose pods wait out the default time."""
    offered: set[str] = set()
    for row in case.timetable:
        eviction = row.eviction
        name = deployment_of(row.pod)
        key = f"{row.pod.namespace}/{name}"
        if not name or key in offered or row.fate != "due" or eviction is None or eviction.seconds < 300:
            continue
        offered.add(key)
        yield Fix(
            f"If Deployment {key} must move sooner next time, let its pods tolerate a lost node for 30s instead of "
            f"{eviction.seconds}s. Cost: any loss of contact over {30 + int(case.contact.grace.total_seconds())}s "
            "moves them, also when only the kubelet restarts, and the old pods run on until the node is back. With "
            "-o wide the patch is shown.",
            patch=tolerate(row.pod, 30),
            on=Ref("Deployment", row.pod.namespace, name),
        )
        if len(offered) == 2:
            return
