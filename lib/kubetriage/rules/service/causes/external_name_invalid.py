"""The ExternalName Service cannot resolve to anything useful.

Meaning: the Service is only a DNS alias (CNAME); with this value clients get NXDOMAIN, a loop, or themselves.

Told by: ``spec.externalName``: an IP address (taken as a name by DNS), not a host name, a loop of aliases inside
the cluster, the loopback host, or a Service of this cluster that does not exist. Names outside the cluster are not
resolved by this command.

Fix: put a resolvable host name there; for an address use a Service without selector and an EndpointSlice.

Source: core/v1 ServiceSpec.externalName (RFC 1123 host name, no proxying); kubernetes/dns specification.md.
"""

import ipaddress
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.external_names import follow, in_cluster_target
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.values.patterns import lazy

CODE = "ExternalNameInvalid"

_HOST = lazy(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?\Z")

_SCHEME = lazy(r"\A[a-z][a-z0-9+.-]{0,20}://")


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each ExternalName Service."""
    for backend in trace.services:
        if not backend.is_external:
            continue
        value = backend.external_name
        chain, loops = follow(backend)
        confidence, severity = Confidence.CONFIRMED, Severity.ERROR
        why = ""
        if not value:
            why = "is empty"
        elif _is_address(value):
            why = f"is the address {value}; DNS takes it for a name, which does not resolve"
        elif value.rstrip(".").lower() in ("localhost", "localhost.localdomain"):
            why = f"is {value}: each client connects to itself"
        elif not _HOST.match(value) or len(value) > 253:
            why = f"is {value!r}, which is no host name"
        elif "." not in value.rstrip(".") and not value.endswith("."):
            # The alias is resolved as it stands: a resolver applies its search domains to the name asked, not to
            # the target of a CNAME (RFC 1034 section 3.6.2).
            why = f"is {value}, a name without a domain; the search domains of pods do not apply to it"
            confidence = Confidence.LIKELY
        elif loops:
            why = "comes back to itself: " + " -> ".join(f"svc/{b.name}.{b.namespace}" for b in chain)
        elif in_cluster_target(chain[0].external_name) and chain[-1].lookup.absent:
            last = chain[-1]
            why = f"leads to svc/{last.name} in namespace {last.namespace}, which does not exist"
            confidence = Confidence.LIKELY if last.lookup.presumed else Confidence.CONFIRMED
        if why:
            yield fault(
                CODE,
                backend.place,
                f"The externalName of svc/{backend.name} {why}.",
                severity=severity,
                confidence=confidence,
                evidence=[Evidence("spec", f"service/{backend.name} spec.externalName", value or "<none>")],
                fix=[_fix(backend, value)],
                verify=(backend.kubectl("get", "service", backend.name, "-o", "yaml"),),
                short=f"externalName {why}",
            )


def _fix(backend: Backend, value: str) -> Fix:
    bare = _SCHEME.sub("", value).partition("/")[0].partition(":")[0]
    if bare != value and _HOST.match(bare) and "." in bare:
        patch = {"spec": {"externalName": bare}}
        return Fix(
            f"Set spec.externalName of svc/{backend.name} to {bare}: a host name alone, without scheme, port or path",
            patch,
            backend.ref,
            Actor.MANIFEST,
        )
    if not _is_address(value):
        return Fix(f"Set spec.externalName of svc/{backend.name} to a host name that resolves")
    address = value.rstrip(".").strip("[]")
    port = next((p.port for p in backend.ports), None)
    number = str(port) if port is not None else "PORT"
    family = "IPv6" if ":" in address else "IPv4"
    yaml = (
        f"apiVersion: v1\nkind: Service\nmetadata: {{name: {backend.name}, namespace: {backend.namespace}}}\n"
        f"spec:\n  ports: [{{port: {number}}}]  # no selector\n---\n"
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
        f"metadata: {{name: {backend.name}-1, namespace: {backend.namespace}, "
        f"labels: {{kubernetes.io/service-name: {backend.name}}}}}\n"
        f"addressType: {family}\nendpoints: [{{addresses: ['{address}']}}]\nports: [{{port: {number}}}]\n"
    )
    return Fix(
        f"Delete svc/{backend.name} and make it anew as a Service without a selector, with an EndpointSlice for "
        f"{address}: an address is no name",
        actor=Actor.MANIFEST,
        yaml=yaml,
    )


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value.rstrip(".").strip("[]"))
    except ValueError:
        return False
    return True
