"""The rules of svc-trace in the order of the hops; those behind a gate are imported for the ways that may need them."""

from __future__ import annotations

from types import ModuleType

from kubetriage.rules.service.causes import (
    backend_connection_failed,
    client_address_denied,
    cluster_dns_not_asked,
    dns_not_ready,
    external_auth_failed,
    external_name_invalid,
    ingress_rejected,
    kube_proxy_not_ready,
    load_balancer_health_check_failed,
    mesh_authorization_denied,
    mesh_mtls_mismatch,
    mesh_route_invalid,
    network_plugin_not_ready,
    network_policy_blocks,
    network_policy_restricts,
    no_endpoints,
    no_local_endpoints,
    not_evaluated,
    pods_crashing,
    pods_not_ready,
    pods_terminating,
    protocol_mismatch,
    proxy_limit_exceeded,
    proxy_protocol_mismatch,
    selector_too_broad,
    service_not_found,
    session_not_kept,
    some_pods_not_ready,
    target_port_mismatch,
    target_port_name_not_found,
)
from kubetriage.rules.service.gated import (
    Gated,
    of_addresses,
    of_certificates,
    of_entrances,
    of_gateways,
    of_ingresses,
    of_issuance,
    of_served,
    without_pods,
)

RULES: tuple[ModuleType | Gated, ...] = (
    # Pods: are there any, do they run, are they ready.
    *without_pods("no_pods"),
    pods_crashing,
    pods_not_ready,
    pods_terminating,
    some_pods_not_ready,
    # The Service: does it exist, whom does it select, what are its endpoints.
    service_not_found,
    external_name_invalid,
    *without_pods("selector_mismatch"),
    no_endpoints,
    # Its ports, resolved in each pod.
    target_port_name_not_found,
    protocol_mismatch,
    target_port_mismatch,
    # Which pods and nodes take part.
    no_local_endpoints,
    selector_too_broad,
    session_not_kept,
    kube_proxy_not_ready,
    network_plugin_not_ready,
    # The way from the client to the pod.
    network_policy_blocks,
    network_policy_restricts,
    mesh_mtls_mismatch,
    mesh_authorization_denied,
    # The rules of Ingresses and Routes: their backends, then who else claims their hosts. A controller asks for the
    # grant before it looks for the Service.
    *of_gateways("reference_not_granted"),
    *of_entrances("backend_service_not_found", "backend_port_not_found"),
    mesh_route_invalid,
    *of_gateways("mesh_subset_not_found"),
    *of_entrances("host_path_conflict"),
    *of_gateways("route_hostname_mismatch", "route_not_accepted"),
    # What their controllers say of them, and what is not judged.
    *of_entrances("controller_forbidden"),
    ingress_rejected,
    load_balancer_health_check_failed,
    external_auth_failed,
    client_address_denied,
    proxy_limit_exceeded,
    backend_connection_failed,
    not_evaluated,
    # Who serves them.
    *of_ingresses("ingress_class_not_found"),
    *of_entrances("ingress_class_not_set"),
    *of_ingresses("ingress_controller_not_found"),
    *of_gateways("gateway_not_found", "gateway_class_not_found", "gateway_not_accepted", "gateway_not_programmed"),
    # Certificates.
    *of_certificates("tls_secret_not_found"),
    *of_issuance("tls_certificate_not_issued"),
    *of_certificates(
        "tls_secret_invalid",
        "tls_key_mismatch",
        "tls_certificate_expired",
        "tls_certificate_not_yet_valid",
    ),
    *of_served("tls_host_mismatch"),
    *of_certificates("tls_certificate_expiring_soon"),
    # From outside, and by name.
    *of_addresses("load_balancer_pending", "load_balancer_not_announced"),
    proxy_protocol_mismatch,
    dns_not_ready,
    cluster_dns_not_asked,
)
"""All rules, bottom-up."""


def all_rules() -> tuple[ModuleType, ...]:
    """Return every rule module, bottom-up."""
    return tuple(rule.module if isinstance(rule, Gated) else rule for rule in RULES)
