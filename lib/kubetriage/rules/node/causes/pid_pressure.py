"""The kubelet reports PIDPressure.

Meaning: fewer process ids are free than the kubelet's eviction threshold asks. It evicts pods.

Told by: condition PIDPressure=True, which the kubelet writes. Thresholds and free amounts come from its
configuration and statistics where nodes/proxy may be read. PIDPressure=Unknown says nothing: the node
controller set it when contact was lost. The condition stays True for evictionPressureTransitionPeriod (5m)
after the pressure has gone.

Fix: find the pod that forks; set podPidsLimit.

Source: pkg/kubelet/nodestatus/setters.go and pkg/kubelet/eviction.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.pressure_conditions import Pressure, pressure

CODE = "PIDPressure"

_ABOUT = Pressure(
    CODE,
    "process ids",
    ("pid.available",),
    ("process_stats", "process_count"),
    "Find the pod that forks; set podPidsLimit, so that one pod cannot use up the node's.",
    r"pids?\b",
    "cat /proc/sys/kernel/pid_max; ps -eLo cgroup:90= | sort | uniq -c | sort -rn | head",
)


def check(case: NodeCase) -> Iterator[Finding]:
    """Match the condition, with numbers where the kubelet's figures were seen."""
    yield from pressure(case, _ABOUT)
