"""What stands around a machine's log: in comes the case of its node, out goes what its lines are held against."""

from __future__ import annotations

from kubetriage.rules.machine import SERVER_ROLES
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.word_findings import Stage
from kubetriage.values.fields import dig, labels, objects, text


def stage_of(case: NodeCase) -> Stage:
    """Return the stage of a node that was seen."""
    addresses: dict[str, str] = {}
    plane = ""
    for name, node in case.cluster.nodes.items():
        own = [text(a, "address") for a in objects(node, "status", "addresses")]
        addresses.update(dict.fromkeys(own, name))
        contact = case.cluster.contacts[name]
        roles = labels(node, "metadata", "labels")
        if not plane and name != case.name and not contact.silent and any(r in roles for r in SERVER_ROLES):
            plane = next((a for a in own if a), name)
    contacts = case.cluster.contacts.values()
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
        addresses,
        sum(c.silent for c in contacts),
        len(case.cluster.nodes),
        {pod.uid: f"{pod.namespace}/{pod.name}" for pod in case.pods},
        {server: tuple(pods) for server, pods in mounts.items()},
    )
