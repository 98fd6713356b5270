"""A machine that was ordered or set up is no Node of the cluster.

Meaning: pods that need it stay Pending, and nothing of it is among the Nodes, so the other causes cannot see it. Either
the cloud gave no machine, or it runs and its kubelet has not registered, or the tool that joins it ended.

Told by: what a recording or pasted text holds: a NodeClaim of Karpenter whose Launched, Registered or Initialized is
not True, a Machine of Cluster API or OpenShift with an error, the log of cluster-autoscaler, or kubeadm's last error.
A live cluster is not asked for these.

Fix: what the words of the cloud or of kubeadm ask for; where nobody says why a kubelet did not register, the machine's
console and its kubelet's log decide.

Source: karpenter.sh/docs/concepts/nodeclaims; cluster-api Machine; data/machine_errors.json, data/kubeadm_errors.json.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding
from kubetriage.rules.node.case import NodeCase

CODES = {
    "MachineNotLaunched": "Nobody gives the machine that was ordered for a node",
    "MachineNotJoined": "A machine was launched and is no ready Node of the cluster",
    "NodeJoinFailed": "kubeadm ended before its machine became a node",
}


def check(_: NodeCase) -> Iterator[Finding]:
    """Find nothing at a Node: these machines have none (see ``ordered_machines`` and ``kubeadm_errors``)."""
    return iter(())
