"""What stands around a machine's log: in comes the case of its node, out goes what its lines are held against."""

from __future__ import annotations

from kubetriage.needs import List
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.word_findings import Stage
from kubetriage.values.fields import dig, name_of, objects, text

HOOKS = tuple(
    List(kind, cached=True, timeout=5.0)
    for kind in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")
)
"""What tells whose webhook a kubelet's log names."""


def stage_of(case: NodeCase) -> Stage:
    """Return the stage of a node that was seen."""
    plane = next((address for name, address in case.cluster.live_planes.items() if name != case.name), "")
    mounts: dict[str, list[str]] = {}
    for pod in case.pods:
        for volume in objects(pod.raw, "spec", "volumes"):
            server = dig(volume, "nfs", "server")
            if isinstance(server, str):
                mounts.setdefault(server, []).append(f"{pod.namespace}/{pod.name}")
    return Stage(
        case.ref,
        case.machine,
        case.contact.ready == "True" and not case.contact.silent,
        case.words,
        plane,
        case.cluster.addresses,
        case.cluster.silent,
        len(case.cluster.nodes),
        {pod.uid: f"{pod.namespace}/{pod.name}" for pod in case.pods},
        {server: tuple(pods) for server, pods in mounts.items()},
        _hooks(case) if case.words.of("webhook") else {},
    )


def _hooks(case: NodeCase) -> dict[str, tuple[str, str, int]]:
    return {
        text(hook, "name"): (need.resource.removesuffix("s"), name_of(configuration), i)
        for need in HOOKS
        for configuration in case.snapshot.list(need.resource).items
        for i, hook in enumerate(objects(configuration, "webhooks"))
    }
