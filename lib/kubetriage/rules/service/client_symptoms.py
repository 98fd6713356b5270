"""Which causes fit what the client sees, and which hops that excludes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Symptom:
    """What a client sees."""

    causes: frozenset[str]
    """Causes that show so."""
    excludes: str
    """Which hops it clears, and why."""


_NOTHING_BEHIND = (
    "NoPods",
    "PodsCrashing",
    "PodsNotReady",
    "PodsTerminating",
    "SomePodsNotReady",
    "SelectorMismatch",
    "NoEndpoints",
    "TargetPortNameNotFound",
)
_CERTIFICATES = (
    "TLSSecretNotFound",
    "TLSSecretInvalid",
    "TLSKeyMismatch",
    "TLSCertificateExpired",
    "TLSCertificateExpiringSoon",
    "TLSCertificateNotYetValid",
    "TLSHostMismatch",
)
_NOT_ROUTED = (
    "IngressClassNotFound",
    "IngressClassNotSet",
    "IngressControllerNotFound",
    "HostPathConflict",
    "GatewayClassNotFound",
    "GatewayNotFound",
    "GatewayNotProgrammed",
    "GatewayNotAccepted",
    "RouteNotAccepted",
    "RouteHostnameMismatch",
)

SYMPTOMS: dict[str, Symptom] = {
    "refused": Symptom(
        frozenset((*_NOTHING_BEHIND, "TargetPortMismatch", "ProtocolMismatch", "SelectorTooBroad")),
        "A refusal is an answer: name resolution works and no NetworkPolicy or Local traffic policy drops the packets "
        "(that is a timeout).",
    ),
    "timeout": Symptom(
        frozenset(
            ("NetworkPolicyBlocks", "NetworkPolicyRestricts", "NoLocalEndpoints", "LoadBalancerPending", "DNSNotReady")
        ),
        "A timeout excludes a wrong targetPort, a closed port and a Service without endpoints: those are refused at "
        "once.",
    ),
    "nxdomain": Symptom(
        frozenset(("ServiceNotFound", "ExternalNameInvalid", "DNSNotReady", "NoEndpoints", "NoPods")),
        "The name does not resolve, so no hop after DNS was reached; a ClusterIP Service resolves even without "
        "endpoints.",
    ),
    "404": Symptom(
        frozenset((*_NOT_ROUTED, "ExternalNameInvalid", "SelectorTooBroad")),
        "A 404 is an HTTP answer: network and DNS work; no rule matched, the wrong rule did, or the program said it.",
    ),
    "502": Symptom(
        frozenset(("TargetPortMismatch", "ProtocolMismatch", "SelectorTooBroad", "PodsCrashing", "MeshMTLSMismatch")),
        "The proxy in front has an endpoint and could not speak with it: host, path and Service were found.",
    ),
    "503": Symptom(
        frozenset((*_NOTHING_BEHIND, "BackendServiceNotFound", "BackendPortNotFound", "MeshMTLSMismatch")),
        "The proxy in front found the rule and no endpoint to use: host, path, class and certificate are right.",
    ),
    "504": Symptom(
        frozenset(("NetworkPolicyBlocks", "NetworkPolicyRestricts", "NoLocalEndpoints")),
        "The proxy in front has an endpoint that does not answer in time: refused ports are a 502, missing endpoints "
        "a 503.",
    ),
    "tls": Symptom(
        frozenset((*_CERTIFICATES, "MeshMTLSMismatch", "ExternalNameInvalid", "HostPathConflict")),
        "The handshake fails at the entrance, before any Service or pod is asked.",
    ),
    "reset": Symptom(
        frozenset(("MeshMTLSMismatch", "PodsCrashing", "SomePodsNotReady", "ProtocolMismatch", "PodsTerminating")),
        "A reset comes from an open connection: DNS, routing and policies let it through.",
    ),
}
"""By the value of ``--symptom``."""


def fits(symptom: str, cause: str) -> bool:
    """Tell whether a cause shows as this symptom; everything fits no symptom."""
    known = SYMPTOMS.get(symptom)
    return known is None or cause in known.causes
