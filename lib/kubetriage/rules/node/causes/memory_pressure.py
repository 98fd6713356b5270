"""The kubelet reports MemoryPressure.

Meaning: less memory is free than the kubelet's eviction threshold asks. It evicts pods, those over their
requests first, and takes no BestEffort pods.

Told by: condition MemoryPressure=True, which the kubelet writes. Thresholds and free amounts come from its
configuration and statistics where nodes/proxy may be read. MemoryPressure=Unknown says nothing: the node
controller set it when contact was lost. The condition stays True for evictionPressureTransitionPeriod (5m)
after the pressure has gone.

Fix: find what uses the memory and give it a limit or another node; raise requests so that the scheduler spreads
the load.

Source: pkg/kubelet/nodestatus/setters.go and pkg/kubelet/eviction.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.pressure_conditions import Pressure, pressure

CODE = "MemoryPressure"

_ABOUT = Pressure(
    CODE,
    "memory",
    ("memory.available",),
    ("memory", "workingSetBytes"),
    "Give what uses the memory a request that covers it and a limit; the scheduler then spreads the load.",
    r"memory",
    "free -m; ps -eo rss,cgroup:90,comm --sort=-rss | head -15",
)


def check(case: NodeCase) -> Iterator[Finding]:
    """Match the condition, with numbers where the kubelet's figures were seen."""
    yield from pressure(case, _ABOUT)
