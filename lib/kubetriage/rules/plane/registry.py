"""The rules of plane-trace in the order of the chain."""

from __future__ import annotations

from types import ModuleType

from kubetriage.rules.plane.causes import (
    api_server_overloaded,
    api_server_unready,
    api_service_unavailable,
    authentication_failing,
    certificate_expiring,
    certificate_rejected,
    cluster_operator_degraded,
    control_plane_errors,
    control_plane_restarts,
    controllers_down,
    encryption_key_missing,
    etcd_corrupt,
    etcd_down,
    etcd_fragmented,
    etcd_leader_flapping,
    etcd_near_quota,
    etcd_no_space,
    etcd_quorum_lost,
    etcd_slow_disk,
    etcd_slow_network,
    nodes_lost_contact,
    scheduler_down,
    webhook_blocking,
)

RULES: tuple[ModuleType, ...] = (
    # Whether what is stored is right at all.
    etcd_corrupt,
    # What everything waits for.
    etcd_slow_disk,
    # Whether etcd commits at all; a member down explains a lost quorum, so it is asked first.
    etcd_down,
    etcd_quorum_lost,
    etcd_leader_flapping,
    etcd_slow_network,
    # Whether etcd accepts writes; full comes before nearly full, and that before loose.
    etcd_no_space,
    etcd_near_quota,
    etcd_fragmented,
    # The API server itself, then who presses on it.
    api_server_unready,
    encryption_key_missing,
    certificate_expiring,
    certificate_rejected,
    authentication_failing,
    api_server_overloaded,
    # What it passes on to others.
    api_service_unavailable,
    # Those who live by it.
    controllers_down,
    scheduler_down,
    webhook_blocking,
    nodes_lost_contact,
    # What runs just now, and not for long.
    control_plane_restarts,
    # What an operator of OpenShift says of its part.
    cluster_operator_degraded,
    # What it says, where nothing above knows it.
    control_plane_errors,
)


def all_rules() -> tuple[ModuleType, ...]:
    """Return all rule modules, in the order of the documentation."""
    return RULES
