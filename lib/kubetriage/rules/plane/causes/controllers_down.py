"""No controller-manager leads.

Meaning: nothing reconciles: no ReplicaSet grows, no endpoint changes, no node is marked NotReady, nothing is
evicted or collected. What runs goes on running, so it is noticed late.

Told by: the age of the lease kube-system/kube-controller-manager, which its leader renews every 2 s, while other
leases are fresh; a release (empty holder) means that it was shut down in order. A second read, an election event or
work of its user between the samples clears it. While nobody can write at all this is a consequence, and shown so.

Fix: look at its pods and logs; it exits when it cannot renew for 10 s and its kubelet starts it again.

Source: component-base/config (leader election defaults); client-go/tools/leaderelection.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding
from kubetriage.rules.plane.case import Case
from kubetriage.rules.plane.leader_lease import leaderless
from kubetriage.rules.plane.leases import CONTROLLER_MANAGER

CODE = "ControllersDown"
LINK = "controller-manager"


def check(case: Case) -> Iterator[Finding]:
    """Judge the leader lease of the controller-manager."""
    yield from leaderless(
        case,
        CONTROLLER_MANAGER,
        CODE,
        LINK,
        "controllers do not run: nothing is created, replaced or evicted, and no node is marked NotReady",
    )
