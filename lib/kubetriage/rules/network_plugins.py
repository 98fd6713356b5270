"""Which DaemonSet gives nodes their pod network: in comes a name, out goes the plugin.

The plugins stand in ``data/network_plugins.json``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from kubetriage.data import table
from kubetriage.typed import Any


def network_plugin(name: str) -> Mapping[str, Any] | None:
    """Return the network plugin whose DaemonSet, or pod of it, has this name; None for other workloads."""
    rows = table("network_plugins")["plugins"]
    return next((row for row in rows if re.search(row["pattern"], name)), None)


def serves_nodes(name: str) -> bool:
    """Tell whether nodes or their Services need what has this name: a network plugin, kube-proxy, DNS."""
    return network_plugin(name) is not None or name.startswith(("kube-proxy", "coredns", "konnectivity-agent"))


def usual_namespaces() -> tuple[str, ...]:
    """Return all namespaces in which network plugins run."""
    rows = table("network_plugins")["plugins"]
    return tuple(dict.fromkeys(n for row in rows for n in row["namespaces"]))
