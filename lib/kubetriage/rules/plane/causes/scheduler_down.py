"""No scheduler leads.

Meaning: new pods stay Pending without a FailedScheduling event; running pods are not touched.

Told by: the age of the lease kube-system/kube-scheduler, which its leader renews every 2 s, judged as that of the
controller-manager. Pods with another schedulerName are not concerned.

Fix: look at its pods and logs.

Source: component-base/config (leader election defaults); kube-scheduler server.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding
from kubetriage.rules.plane.case import Case
from kubetriage.rules.plane.leader_lease import leaderless
from kubetriage.rules.plane.leases import SCHEDULER

CODE = "SchedulerDown"
LINK = "scheduler"


def check(case: Case) -> Iterator[Finding]:
    """Judge the leader lease of the scheduler."""
    yield from leaderless(case, SCHEDULER, CODE, LINK, "new pods stay Pending without an event")
