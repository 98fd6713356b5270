"""Why a node is not well: the node itself, or only the contact with it.

The order of :data:`RULES` is meaning: what stands above explains what stands below. The rules about contact
exclude each other; a problem that an agent reports stands before the lost contact that it may explain.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from types import ModuleType
from typing import cast

from kubetriage.model import Finding, RuledOut, ordered
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.causes import (
    all_nodes_lost,
    container_runtime_down,
    container_runtime_slow,
    control_plane_unreachable,
    cordoned,
    disk_pressure,
    kubelet_down,
    kubelet_not_ready,
    kubelet_unreachable,
    memory_pressure,
    network_plugin_not_ready,
    node_never_ready,
    node_partitioned,
    node_problem,
    node_shutdown,
    pid_pressure,
    status_frozen,
    zone_outage,
)
from kubetriage.values.times import human_duration

RULES: tuple[ModuleType, ...] = (
    # Is what the cluster shows current at all?
    status_frozen,
    # Did the node ever exist, or was it stopped on purpose?
    node_never_ready,
    node_shutdown,
    # Many at once.
    all_nodes_lost,
    zone_outage,
    # What an agent on the machine found: it may explain all that follows.
    node_problem,
    # Lost contact with this one: the kubelet, the path, or not known.
    kubelet_down,
    node_partitioned,
    kubelet_unreachable,
    # The kubelet's own word.
    container_runtime_down,
    container_runtime_slow,
    network_plugin_not_ready,
    kubelet_not_ready,
    disk_pressure,
    memory_pressure,
    pid_pressure,
    # Nothing is broken.
    cordoned,
)

CONTACT = frozenset(m.CODE for m in (node_shutdown, all_nodes_lost, zone_outage, kubelet_down, node_partitioned))
"""Codes that explain a lost contact, so that KubeletUnreachable adds nothing."""

OWN_WORD = frozenset(
    m.CODE
    for m in (
        status_frozen,
        container_runtime_down,
        container_runtime_slow,
        network_plugin_not_ready,
        kubelet_not_ready,
    )
)
"""Codes of a living kubelet's trouble, which a boot just before explains."""
RECENT_BOOT = timedelta(minutes=15)

UNREAD_RULES: tuple[ModuleType, ...] = (control_plane_unreachable,)
"""Rules for nodes of which nothing could be read."""


_BUDGET = RuledOut("PodDisruptionBudget", "taint eviction deletes pods itself; budgets hold back drains only")


def all_rules() -> tuple[ModuleType, ...]:
    """Return all rule modules, in the order of the documentation."""
    return (*UNREAD_RULES, *RULES)


def diagnose_node(case: NodeCase) -> tuple[Finding, ...]:
    """Return all findings of one node, the root cause first."""
    found: list[Finding] = []
    for rule in RULES:
        for finding in cast("Iterable[Finding]", rule.check(case)):
            if finding.cause == kubelet_unreachable.CODE and any(f.cause in CONTACT for f in found):
                continue
            if finding.cause in CONTACT and any(f.cause == node_shutdown.CODE for f in found):
                continue
            if case.contact.silent and case.stuck and finding.cause in (*CONTACT, kubelet_unreachable.CODE):
                finding = replace(
                    finding,
                    message=finding.message + case.waiting_pods(),
                    ruled_out=(*finding.ruled_out, _BUDGET),
                )
            if finding.cause in OWN_WORD:
                finding = _after_boot(case, finding)
            found.append(finding)
    return ordered(found)


def _after_boot(case: NodeCase, finding: Finding) -> Finding:
    """Add that the machine booted just before, where the event says so."""
    booted = case.events.last("Rebooted")
    if booted is None or booted.last is None or case.now - booted.last > RECENT_BOOT:
        return finding
    message = f"{finding.message} The machine booted {human_duration(case.now - booted.last)} ago."
    return replace(finding, message=message, evidence=(*finding.evidence, booted.evidence()))
