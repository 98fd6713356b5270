"""The kubelet reports DiskPressure.

Meaning: less disk space or fewer inodes are free than the kubelet's eviction threshold asks. It deletes dead
containers and unused images, then evicts pods by their use of ephemeral storage.

Told by: condition DiskPressure=True, which the kubelet writes. Thresholds and free amounts come from its
configuration and statistics where nodes/proxy may be read. DiskPressure=Unknown says nothing: the node
controller set it when contact was lost. The condition stays True for evictionPressureTransitionPeriod (5m)
after the pressure has gone.

Fix: free the disk: images, logs, emptyDirs; set ephemeral-storage limits; enlarge the disk.

Source: pkg/kubelet/nodestatus/setters.go and pkg/kubelet/eviction.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.pressure_conditions import Pressure, pressure

CODE = "DiskPressure"

_ABOUT = Pressure(
    CODE,
    "disk",
    (
        "nodefs.available",
        "nodefs.inodesFree",
        "imagefs.available",
        "imagefs.inodesFree",
    ),
    ("ephemeral-storage", "usedBytes"),
    "Free the disk: images, logs, emptyDirs; set ephemeral-storage limits; enlarge the disk.",
    r"(ephemeral-storage|nodefs|imagefs|inodes)",
)


def check(case: NodeCase) -> Iterator[Finding]:
    """Match the condition, with numbers where the kubelet's figures were seen."""
    yield from pressure(case, _ABOUT)
