"""The rules of node-triage, in their order."""

from __future__ import annotations

from types import ModuleType

from kubetriage.rules.node.causes import (
    all_nodes_lost,
    container_runtime_down,
    container_runtime_slow,
    control_plane_unreachable,
    cordoned,
    disk_pressure,
    drain_blocked,
    failover_too_slow,
    kernel_log,
    kubelet_down,
    kubelet_log,
    kubelet_not_ready,
    kubelet_unreachable,
    machine_config_degraded,
    machine_not_joined,
    memory_pressure,
    network_plugin_not_ready,
    node_flapping,
    node_never_ready,
    node_partitioned,
    node_problem,
    node_shutdown,
    node_uninitialized,
    pid_pressure,
    serving_certificate_pending,
    status_frozen,
    zone_outage,
)

RULES: tuple[ModuleType, ...] = (
    # Is what the cluster shows current at all?
    status_frozen,
    # Is it a Node at all?
    machine_not_joined,
    # Did the node ever exist, or was it stopped on purpose?
    node_never_ready,
    node_shutdown,
    # Many at once.
    all_nodes_lost,
    zone_outage,
    # What an agent on the machine found: it may explain all that follows.
    node_problem,
    # What the machine itself says of why.
    kubelet_log,
    kernel_log,
    # Why a kubelet that says nothing more does not start, or its own word.
    container_runtime_down,
    # Lost contact with this one: the kubelet, the path, or not known.
    kubelet_down,
    node_partitioned,
    kubelet_unreachable,
    # The kubelet's own word.
    container_runtime_slow,
    network_plugin_not_ready,
    kubelet_not_ready,
    disk_pressure,
    memory_pressure,
    pid_pressure,
    # Ready, and takes nothing.
    node_uninitialized,
    # Ready just now.
    node_flapping,
    # Ready, and not reached.
    serving_certificate_pending,
    # Held back by what configures it.
    machine_config_degraded,
    # Nothing is broken.
    cordoned,
    drain_blocked,
)

AUDIT_RULES: tuple[ModuleType, ...] = (failover_too_slow,)
"""Rules about what would happen, asked by ``--tolerations`` only."""

UNREAD_RULES: tuple[ModuleType, ...] = (control_plane_unreachable,)
"""Rules for nodes of which nothing could be read."""


def all_rules() -> tuple[ModuleType, ...]:
    """Return all rule modules, in the order of the documentation."""
    return (*UNREAD_RULES, *RULES, *AUDIT_RULES)
