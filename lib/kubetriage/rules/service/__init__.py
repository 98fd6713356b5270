"""Why requests do not reach a program, hop by hop.

A rule is a module with ``CODE``, a docstring that is its manual page, and
``check(trace) -> Iterator[Fault]``. The order of :data:`RULES` is the order of the hops, bottom-up: within one row
of the table the first rule that speaks heads it.
"""

from __future__ import annotations

from types import ModuleType

from kubetriage.rules.service.causes import (
    backend_connection_failed,
    backend_port_not_found,
    backend_service_not_found,
    client_address_denied,
    cluster_dns_not_asked,
    dns_not_ready,
    external_auth_failed,
    external_name_invalid,
    gateway_class_not_found,
    gateway_not_accepted,
    gateway_not_found,
    gateway_not_programmed,
    host_path_conflict,
    ingress_class_not_found,
    ingress_class_not_set,
    ingress_controller_not_found,
    ingress_rejected,
    kube_proxy_not_ready,
    load_balancer_health_check_failed,
    load_balancer_not_announced,
    load_balancer_pending,
    mesh_authorization_denied,
    mesh_mtls_mismatch,
    mesh_route_invalid,
    mesh_subset_not_found,
    network_plugin_not_ready,
    network_policy_blocks,
    network_policy_restricts,
    no_endpoints,
    no_local_endpoints,
    no_pods,
    not_evaluated,
    pods_crashing,
    pods_not_ready,
    pods_terminating,
    protocol_mismatch,
    proxy_limit_exceeded,
    proxy_protocol_mismatch,
    reference_not_granted,
    route_hostname_mismatch,
    route_not_accepted,
    selector_mismatch,
    selector_too_broad,
    service_not_found,
    session_not_kept,
    some_pods_not_ready,
    target_port_mismatch,
    target_port_name_not_found,
    tls_certificate_expired,
    tls_certificate_expiring_soon,
    tls_certificate_not_issued,
    tls_certificate_not_yet_valid,
    tls_host_mismatch,
    tls_key_mismatch,
    tls_secret_invalid,
    tls_secret_not_found,
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
    reference_not_granted,
    backend_service_not_found,
    backend_port_not_found,
    mesh_route_invalid,
    mesh_subset_not_found,
    host_path_conflict,
    route_hostname_mismatch,
    route_not_accepted,
    # What their controllers say of them, and what is not judged.
    ingress_rejected,
    load_balancer_health_check_failed,
    external_auth_failed,
    client_address_denied,
    proxy_limit_exceeded,
    backend_connection_failed,
    not_evaluated,
    # Who serves them.
    ingress_class_not_found,
    ingress_class_not_set,
    ingress_controller_not_found,
    gateway_not_found,
    gateway_class_not_found,
    gateway_not_accepted,
    gateway_not_programmed,
    # Certificates.
    tls_secret_not_found,
    tls_certificate_not_issued,
    tls_secret_invalid,
    tls_key_mismatch,
    tls_certificate_expired,
    tls_certificate_not_yet_valid,
    tls_host_mismatch,
    tls_certificate_expiring_soon,
    # From outside, and by name.
    load_balancer_pending,
    load_balancer_not_announced,
    proxy_protocol_mismatch,
    dns_not_ready,
    cluster_dns_not_asked,
)
"""All rules, bottom-up."""
