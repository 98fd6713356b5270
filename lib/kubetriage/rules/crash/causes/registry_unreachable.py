"""The node could not reach the registry: name resolution, connection, proxy or TLS failed.

Meaning: no registry answered the kubelet's runtime. This is the node's view, not the pod's: the node's DNS, routes,
proxy and trusted certificates count.

Told by: the words of Go's net, net/http and crypto/x509 packages in the pull error: ``no such host``, ``connection
refused``, ``i/o timeout``, ``x509: ...``, ``server gave HTTP response to HTTPS client``. Any HTTP status means that
the registry was reached, so it is another cause.

Fix: correct the registry's host name in the image, or the node's DNS, firewall, proxy or CA certificates.

Source: Go net, net/http, crypto/x509; kubelet RegistryUnavailable (CRI error).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Finding, Fix
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.image_pulls import Pull, PullFailure, pull_failures
from kubetriage.rules.crash.moved_images import moved, moved_evidence, moved_fixes, moved_message
from kubetriage.values.patterns import lazy

CODE = "RegistryUnreachable"

_LOOKUP = lazy(r"lookup (?P<host>[^\s:]+)(?: on (?P<server>[^\s]+?))?: ")
_PROXY = lazy(r"proxyconnect tcp: dial tcp (?P<address>\[[0-9a-f:]+\]:\d+|[^\s:]+:\d+)")
_DIAL = lazy(r"dial (?:tcp|udp) (?P<address>\[[0-9a-f:]+\]:\d+|[^\s:]+:\d+): ")


def check(case: Case) -> Iterator[Finding]:
    """Name registries that do not answer."""
    for failure in pull_failures(case, Pull.NETWORK, Pull.TLS):
        move = moved(failure.parsed)
        if move is not None and failure.kind is Pull.NETWORK:
            fixes, evidence = moved_fixes(failure, move), [moved_evidence(move)]
            yield failure.finding(CODE, moved_message(failure, move), fixes, evidence=evidence)
            continue
        message, words = _tls(failure) if failure.kind is Pull.TLS else _network(failure)
        yield failure.finding(CODE, message, [Fix(words, actor=Actor.NODE)])


def _tls(failure: PullFailure) -> tuple[str, str]:
    registry, error = failure.parsed.registry, failure.error
    if "HTTP response to HTTPS" in error:
        return (
            f"{registry} speaks plain HTTP, and the runtime asked with HTTPS.",
            f"Serve {registry} with TLS, or declare it on each node: containerd "
            f'/etc/containerd/certs.d/{registry}/hosts.toml with server = "http://{registry}" (config_path must name '
            f"that folder); k3s and RKE2 registries.yaml, mirrors with endpoint http://{registry}; CRI-O "
            f"registries.conf "
            "insecure = true.",
        )
    if "unknown authority" in error or "certificate signed by" in error:
        words = (
            f"Install the CA certificate of {registry} on each node: containerd "
            f'/etc/containerd/certs.d/{registry}/hosts.toml with ca = "/path/ca.crt", or the node\'s trust store '
            "(update-ca-certificates) and a restart of the runtime; k3s and RKE2 registries.yaml, configs with "
            "tls.ca_file; OpenShift additionalTrustedCA."
        )
    elif "expired" in error or "not yet valid" in error:
        words = f"Renew the certificate of {registry}, and check the clock of the node."
    else:
        words = f"Use a host name that the certificate of {registry} is valid for."
    return f"The node does not trust the TLS certificate of {registry}: {error[max(error.find('x509: '), 0) :]}.", words


def _network(failure: PullFailure) -> tuple[str, str]:
    registry, error = failure.parsed.registry, failure.error
    node = failure.container.pod.node or "the node"
    if "Proxy Authentication Required" in error:
        return (
            f"The proxy between {node} and {registry} wants a login: {error.rpartition(': ')[2]}.",
            f"Give the runtime of {node} the proxy's user and password (HTTPS_PROXY of its service), or exempt "
            f"{registry} (NO_PROXY).",
        )
    proxy = _PROXY.search(error)
    if proxy:
        return (
            f"The proxy {proxy['address']}, which the runtime of {node} uses to reach {registry}, does not answer: "
            f"{error.rpartition(': ')[2]}.",
            f"Bring the proxy up, or correct HTTPS_PROXY and NO_PROXY of the runtime on {node} "
            "(/etc/systemd/system/containerd.service.d/http-proxy.conf), then systemctl daemon-reload and restart the "
            f"runtime; {registry} belongs into NO_PROXY if no proxy is needed.",
        )
    lookup, dial = _LOOKUP.search(error), _DIAL.search(error)
    if lookup:
        host = lookup["host"]
        asked = f" (asked {lookup['server']})" if lookup["server"] else ""
        slip = "" if host == registry.split(":")[0] else f", which serves {registry},"
        return (
            f"{node} cannot resolve {host}{slip}{asked}: {error.rpartition(': ')[2]}.",
            f"Correct the registry in {failure.image}, or the DNS of {node}: {host} has no address there.",
        )
    if dial:
        return (
            f"{node} gets no connection to {registry} at {dial['address']}: {error.rpartition(': ')[2]}.",
            f"Open the way from {node} to {dial['address']} (firewall, route, proxy), or start the registry.",
        )
    return (
        f"{node} gets no answer from {registry}: {error or 'the registry is unavailable'}.",
        f"Check the network, proxy and registry mirror of {node}, and that {registry} is up.",
    )
