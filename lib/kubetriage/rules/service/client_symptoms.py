"""Which causes fit what the client sees, and which hops that excludes."""

from __future__ import annotations

from kubetriage.records import dataclass

_CONTROLLER_LOG = (
    "the log of the proxy in front (ingress controller, gateway, router) at the time of a request names the upstream "
    "and the error"
)
_OUTSIDE = "ask once from a pod of the cluster and once from a node: what differs is outside (firewall, route, DNS)"
_HANDSHAKE = "openssl s_client -connect HOST:443 -servername HOST shows who answers and with which certificate"
_WHOSE = "the access log of the proxy in front shows whether the program answered so itself (the upstream's own status)"
_DNS_LOOK = "ask for the full name from the client's own pod, and look at its /etc/resolv.conf and dnsPolicy"


@dataclass(frozen=True)
class Symptom:
    """What a client sees."""

    causes: frozenset[str]
    """Causes that show so."""
    excludes: str
    """Which hops it clears, and why."""
    headless: frozenset[str] = frozenset()
    """Causes that show so only where a headless Service is on the way."""
    look: str = _CONTROLLER_LOG
    """Where to look when nothing that was seen explains it."""
    name: str = ""
    """The symptom as a noun; empty: as it is."""


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
    "TLSCertificateNotIssued",
)
_REFUSED_OR_LOST = (
    "IngressRejected",
    "MeshRouteInvalid",
)
_NOT_ROUTED = (
    *_REFUSED_OR_LOST,
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
        frozenset(
            (*_NOTHING_BEHIND, "TargetPortMismatch", "ProtocolMismatch", "SelectorTooBroad", "KubeProxyNotReady")
        ),
        "A refusal is an answer: name resolution works and no NetworkPolicy or Local traffic policy drops the packets "
        "(that is a timeout).",
        look=_OUTSIDE,
        name="refusal",
    ),
    "timeout": Symptom(
        frozenset(
            (
                "NetworkPolicyBlocks",
                "NetworkPolicyRestricts",
                "NoLocalEndpoints",
                "LoadBalancerPending",
                "LoadBalancerNotAnnounced",
                "ProxyProtocolMismatch",
                "DNSNotReady",
                "ClusterDNSNotAsked",
                # Of the policies of a client that shut it out from the DNS.
                "NetworkPolicyBlocks",
                "NetworkPluginNotReady",
                "ClientAddressDenied",
                "KubeProxyNotReady",
                "BackendConnectionFailed",
                "LoadBalancerHealthCheckFailed",
            )
        ),
        "A timeout excludes a wrong targetPort, a closed port and a Service without endpoints: those are refused at "
        "once.",
        look=_OUTSIDE,
    ),
    "nxdomain": Symptom(
        frozenset(
            (
                "ServiceNotFound",
                "ExternalNameInvalid",
                "DNSNotReady",
                "ClusterDNSNotAsked",
                "NoEndpoints",
                "NoPods",
                "IngressRejected",
            )
        ),
        "The name does not resolve, so no hop after DNS was reached; a ClusterIP Service resolves even without "
        "endpoints, a headless one and its pods only while they are ready.",
        frozenset(("PodsNotReady", "PodsCrashing", "SomePodsNotReady", "PodsTerminating", "SelectorMismatch")),
        look=_DNS_LOOK,
        name="NXDOMAIN",
    ),
    "404": Symptom(
        frozenset(
            (
                *_NOT_ROUTED,
                # Traefik and Contour drop a rule whose Service, port or endpoints they cannot find.
                "BackendServiceNotFound",
                "BackendPortNotFound",
                "NoEndpoints",
                "ExternalNameInvalid",
                "SelectorTooBroad",
            )
        ),
        "A 404 is an HTTP answer: network and DNS work; no rule matched, the wrong rule did, or the program said it.",
        look=_WHOSE,
    ),
    "502": Symptom(
        frozenset(
            (
                "TargetPortMismatch",
                "ProtocolMismatch",
                "SelectorTooBroad",
                "PodsCrashing",
                "MeshMTLSMismatch",
                "LoadBalancerHealthCheckFailed",
                "NetworkPolicyBlocks",
                "NetworkPluginNotReady",
                "ProxyLimitExceeded",
                "BackendConnectionFailed",
            )
        ),
        "The proxy in front has an endpoint and could not speak with it: host, path and Service were found.",
    ),
    "503": Symptom(
        frozenset(
            (
                *_NOTHING_BEHIND,
                *_REFUSED_OR_LOST,
                "BackendServiceNotFound",
                "BackendPortNotFound",
                "MeshMTLSMismatch",
                "MeshSubsetNotFound",
                "LoadBalancerHealthCheckFailed",
                "ExternalAuthFailed",
                "ProxyLimitExceeded",
            )
        ),
        "The proxy in front found the rule and no endpoint to use: host, path, class and certificate are right.",
    ),
    "504": Symptom(
        frozenset(
            (
                "NetworkPolicyBlocks",
                "NetworkPolicyRestricts",
                "NetworkPluginNotReady",
                "NoLocalEndpoints",
                "ProxyLimitExceeded",
                "BackendConnectionFailed",
            )
        ),
        "The proxy in front has an endpoint that does not answer in time: refused ports are a 502, missing endpoints "
        "a 503.",
    ),
    "tls": Symptom(
        frozenset(
            (
                *_CERTIFICATES,
                "MeshMTLSMismatch",
                "ExternalNameInvalid",
                "HostPathConflict",
                "ProxyProtocolMismatch",
                "ProtocolMismatch",
                "IngressRejected",
            )
        ),
        "The handshake fails at the entrance, before any Service or pod is asked.",
        look=_HANDSHAKE,
        name="TLS error",
    ),
    "reset": Symptom(
        frozenset(
            (
                "MeshMTLSMismatch",
                "MeshAuthorizationDenied",
                "PodsCrashing",
                "SomePodsNotReady",
                "ProtocolMismatch",
                "PodsTerminating",
                "ProxyProtocolMismatch",
                "ProxyLimitExceeded",
                "BackendConnectionFailed",
            )
        ),
        "A reset comes from an open connection: DNS, routing and policies let it through.",
        look=_CONTROLLER_LOG,
    ),
    "400": Symptom(
        frozenset(
            (
                "ProxyProtocolMismatch",
                "ProtocolMismatch",
                "TargetPortMismatch",
                "SelectorTooBroad",
                "ProxyLimitExceeded",
                "SessionNotKept",
            )
        ),
        "A 400 comes from a server that cannot read the request: plain HTTP on a TLS port, an unexpected PROXY header, "
        "or the program's own check. The way to that server works.",
        look=_WHOSE,
    ),
    "403": Symptom(
        frozenset(
            (
                "MeshAuthorizationDenied",
                "ClientAddressDenied",
                "IngressRejected",
                "SelectorTooBroad",
                "HostPathConflict",
            )
        ),
        "A 403 is an HTTP answer: a proxy's authorization or the program said it. NetworkPolicies drop packets, they "
        "answer nothing.",
        look=_WHOSE,
    ),
    "413": Symptom(
        frozenset(("ProxyLimitExceeded",)),
        "A 413 is an HTTP answer: a proxy on the way, or the program, admits no body of that size. The way works.",
        look=_WHOSE,
    ),
    "429": Symptom(
        frozenset(("ProxyLimitExceeded",)),
        "A 429 is an HTTP answer: a proxy on the way, or the program, limits the rate of requests. The way works.",
        look=_WHOSE,
    ),
    "500": Symptom(
        frozenset(("ExternalAuthFailed", "MeshAuthorizationDenied", "IngressRejected", "BackendConnectionFailed")),
        "A 500 is an HTTP answer: the program said it, or the proxy in front could not ask for leave. The way works.",
        look=_WHOSE,
    ),
    "421": Symptom(
        frozenset(
            ("TLSHostMismatch", "HostPathConflict", "RouteHostnameMismatch", "MeshRouteInvalid", "ExternalNameInvalid")
        ),
        "A 421 says that the request's host is not one of this connection: hosts that share a certificate or address "
        "while another rule serves them, or the wrong host name sent on.",
        look=_HANDSHAKE,
    ),
    "499": Symptom(
        frozenset(
            (
                "NetworkPolicyBlocks",
                "NetworkPolicyRestricts",
                "NoLocalEndpoints",
                "SomePodsNotReady",
                "SelectorTooBroad",
                "TargetPortMismatch",
            )
        ),
        "A 499 is the proxy's note that the client left before the answer came: the backend was slow, or its packets "
        "were dropped, for longer than the client waits.",
    ),
}
"""By the value of ``--symptom``."""


def fits(symptom: str, cause: str, *, headless: bool = False) -> bool:
    """Tell whether a cause shows as this symptom; everything fits no symptom."""
    known = SYMPTOMS.get(symptom)
    return known is None or cause in known.causes or (headless and cause in known.headless)
