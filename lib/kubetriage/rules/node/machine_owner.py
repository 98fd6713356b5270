"""Whose machine a Node stands for: in comes the Node, out goes the object to look at when the machine may be gone."""

from __future__ import annotations

from kubetriage.model import Actor, Fix
from kubetriage.records import dataclass
from kubetriage.values.commands import Command, kubectl, shell
from kubetriage.values.fields import Obj, labels, name_of, objects, text

DELETING = ("ToBeDeletedByClusterAutoscaler", "DeletionCandidateOfClusterAutoscaler", "karpenter.sh/disrupted")
"""Taints of autoscalers on nodes that they are about to remove."""


@dataclass(frozen=True)
class Owner:
    """Who made a machine and may take it away."""

    title: str
    look: tuple[Command, ...]


def owners(node: Obj) -> tuple[Owner, ...]:
    """Return who owns the machine, the nearest first; empty when the Node names nobody."""
    marks, notes = labels(node, "metadata", "labels"), labels(node, "metadata", "annotations")
    name, provider = name_of(node), text(node, "spec", "providerID")
    found = []
    if any(k.startswith("karpenter.sh/") for k in marks):
        found.append(Owner("Karpenter", (kubectl("get", "nodeclaims", "-o", "wide"),)))
    if machine := notes.get("machine.openshift.io/machine"):
        where, _, what = machine.partition("/")
        found.append(
            Owner("OpenShift's Machine API", (shell("oc", "-n", where, "get", "machine", what, "-o", "wide"),))
        )
    if machine := notes.get("cluster.x-k8s.io/machine"):
        where = notes.get("cluster.x-k8s.io/cluster-namespace", "")
        found.append(
            Owner(
                "Cluster API (in its management cluster)",
                (kubectl("get", "machine", machine, "-o", "wide", namespace=where),),
            )
        )
    scheme, _, path = provider.partition("://")
    last = path.rpartition("/")[2]
    cloud = {
        "aws": Owner("AWS", (shell("aws", "ec2", "describe-instances", "--instance-ids", last),)),
        "gce": Owner("Google Cloud", (shell("gcloud", "compute", "instances", "describe", last),)),
        "azure": Owner("Azure", (shell("az", "resource", "show", "--ids", path),)),
        "openstack": Owner("OpenStack", (shell("openstack", "server", "show", last),)),
        "hcloud": Owner("Hetzner Cloud", (shell("hcloud", "server", "describe", last),)),
        "digitalocean": Owner("DigitalOcean", (shell("doctl", "compute", "droplet", "get", last),)),
        "vsphere": Owner("vSphere", (shell("govc", "vm.info", "-vm.uuid", last),)),
    }.get(scheme)
    if cloud is not None and last:
        found.append(cloud)
    if any(text(t, "key") in DELETING for t in objects(node, "spec", "taints")):
        found.insert(0, Owner("the autoscaler, which is removing it", (kubectl("describe", "node", name),)))
    return tuple(found)


def still_a_machine(node: Obj, *, left_over: bool) -> tuple[Fix, ...]:
    """Ask whether the machine still exists, where somebody may have taken it away."""
    found = owners(node)
    if not found:
        return ()
    doubt = (
        " Several silent nodes fell silent at different times: they may be left over from machines that are gone."
        if left_over
        else ""
    )
    return (
        Fix(
            f"Ask whether the machine still exists: {found[0].title} made it.{doubt}"
            " If it is gone for good, delete the Node object.",
            actor=Actor.CLOUD,
            commands=tuple(c for owner in found for c in owner.look),
        ),
    )
