"""What a living kubelet says of itself in the message of Ready=False."""

from __future__ import annotations

import re

from kubetriage.records import dataclass
from kubetriage.typed import Literal
from kubetriage.values.patterns import lazy

Report = Literal[
    "runtime-down", "runtime-slow", "network", "shutdown", "starting", "csi", "capacity", "overload", "other"
]


@dataclass(frozen=True)
class SelfReport:
    """One reason that a kubelet gives for not being ready."""

    kind: Report
    words: str


_GRAMMAR: tuple[tuple[str, Report], ...] = (
    # pkg/kubelet/runtime.go, kubelet.go, pleg/, volume/csi/csi_plugin.go, nodestatus/setters.go; 1.18 to 1.37.
    ("container runtime status check may not have completed yet", "runtime-down"),
    ("container runtime is down", "runtime-down"),
    ("container runtime not ready:", "runtime-down"),
    ("PLEG is not healthy: pleg has yet to be successful", "starting"),
    ("PLEG is not healthy:", "runtime-slow"),
    ("EventedPLEG is not healthy:", "runtime-slow"),
    ("container runtime network not ready:", "network"),
    # Until about 1.21 without the first word; OpenShift's and CRI-O's sentences stand behind it.
    ("runtime network not ready:", "network"),
    ("cni config uninitialized", "network"),
    ("no CNI configuration file in", "network"),
    ("network state unknown", "network"),
    ("CSINode is not yet initialized", "csi"),
    ("failed to initialize CSINode", "csi"),
    # 1.16 and 1.17 wrote it so.
    ("Failed to initialize CSINode", "csi"),
    ("CSINodeInfo is not yet initialized", "csi"),
    ("Failed to initialize CSINodeInfo", "csi"),
    ("node is shutting down", "shutdown"),
    ("missing node capacity for resources:", "capacity"),
)
# The kubelet joins several errors as "[a, b]" (NewAggregate) although the errors themselves hold ", ".
_BREAK = lazy(", (?=" + "|".join(re.escape(words) for words, _ in _GRAMMAR) + ")")


def parse_self_report(message: str) -> tuple[SelfReport, ...]:
    """Split the message of Ready=False (reason KubeletNotReady) into its reasons, in the kubelet's fixed order."""
    words = message.partition(". WARNING:")[0].strip()
    if words.startswith("[") and words.endswith("]"):
        words = words[1:-1]
    reports = []
    for part in _BREAK.split(words) if words else ():
        kind: Report = next((kind for start, kind in _GRAMMAR if part.startswith(start)), "other")
        reports.append(SelfReport(kind, part))
    return tuple(reports)


def first_word(words: str) -> bool:
    """Tell whether a kubelet says this before it has asked its runtime at all; it stays while something holds it up."""
    return words.startswith("container runtime status check")
