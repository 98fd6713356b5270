"""Why requests do not reach a program, hop by hop.

A rule is a module with ``CODE``, ``TITLE``, a docstring that is its manual page, and
``check(trace) -> Iterator[Fault]``. The order of :data:`RULES` is the order of the hops, bottom-up: within one row
of the table the first rule that speaks heads it.
"""

from __future__ import annotations

from types import ModuleType

from kubetriage.rules.service import (
    external_name_invalid,
    load_balancer_pending,
    network_policy_blocks,
    network_policy_restricts,
    no_endpoints,
    no_local_endpoints,
    no_pods,
    pods_crashing,
    pods_not_ready,
    pods_terminating,
    protocol_mismatch,
    selector_mismatch,
    selector_too_broad,
    service_not_found,
    some_pods_not_ready,
    target_port_mismatch,
    target_port_name_not_found,
)

RULES: tuple[ModuleType, ...] = (
    # Pods: are there any, do they run, are they ready.
    no_pods,
    pods_crashing,
    pods_not_ready,
    pods_terminating,
    some_pods_not_ready,
    # The Service: does it exist, whom does it select, what are its endpoints.
    service_not_found,
    external_name_invalid,
    selector_mismatch,
    no_endpoints,
    # Its ports, resolved in each pod.
    target_port_name_not_found,
    protocol_mismatch,
    target_port_mismatch,
    # Which pods and nodes take part.
    no_local_endpoints,
    selector_too_broad,
    # The way from the client to the pod.
    network_policy_blocks,
    network_policy_restricts,
    # From outside.
    load_balancer_pending,
)
"""All rules, bottom-up."""
