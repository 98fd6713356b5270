"""A certificate that was asked for is not issued: by the platform for an Ingress, or by cert-manager.

Meaning: HTTP may work; every HTTPS connection fails at the handshake or is refused, or meets an older certificate.

Told by: ManagedCertificate objects that the annotation ``networking.gke.io/managed-certificates`` names: one that does
not exist, or whose status is not Active; the state of each domain says why. A Certificate of cert-manager that was
asked about, or that no entrance of a text names: the deepest of its request, order and challenges says why.

Fix: let the domain's A record name the address of the Ingress (and no AAAA record another one), without a proxy or CAA
record in the way, then wait: the check is repeated, and a certificate takes up to an hour.

Source: Google Cloud managed certificates, domain status (FailedNotVisible, FailedCaaChecking, FailedCaaForbidden,
FailedRateLimited).
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.certificate_issuance import issuance
from kubetriage.rules.service.cluster_view import Place
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, labels, name_of, namespace_of, objects, text, texts

CODE = "TLSCertificateNotIssued"

_ANNOTATION = "networking.gke.io/managed-certificates"
_WHY = {
    "FailedNotVisible": "no public DNS record of it leads here, or the certificate is not attached yet",
    "FailedCaaChecking": "its CAA records could not be read",
    "FailedCaaForbidden": "a CAA record forbids the authority (pki.goog, letsencrypt.org)",
    "FailedRateLimited": "the authority's rate limit was reached",
}


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the managed certificates that each Ingress names, and a Certificate that the trace is about."""
    if trace.target.kind == "Certificate":
        yield from _asked(trace)
    for entrance in trace.ingresses:
        named = labels(entrance.ingress.raw, "metadata", "annotations").get(_ANNOTATION, "")
        known = {name_of(o): o for o in _certificates(trace, entrance.ingress.namespace)}
        for name in (n.strip() for n in named.split(",") if n.strip()):
            found = known.get(name)
            state = text(found, "status", "certificateStatus") if found else ""
            if found is not None and state != "Active":
                yield _open(entrance, name, found, state or "<none>")
            elif found is None and known:
                yield _lost(entrance, name, sorted(known))


def _asked(trace: Trace) -> Iterator[Fault]:
    """Tell why a Certificate of cert-manager is not issued."""
    raw = trace.world.lookup("certificates", trace.target.namespace, trace.target.name).obj
    secret = text(raw, "spec", "secretName")
    why = issuance(trace.world, trace.target.namespace, secret) if secret else None
    if why is not None:
        yield fault(
            CODE,
            Place("Ingress", trace.target),
            f"certificate/{trace.target.name} for secret/{secret} is not issued.{why.words}",
            about=why.certificate,
            evidence=why.evidence,
            fix=[why.fix],
            verify=(why.verify, kubectl("get", "certificate", trace.target.name, namespace=trace.target.namespace)),
            short=f"certificate/{trace.target.name} is not issued",
        )


def _certificates(trace: Trace, namespace: str) -> Iterator[Obj]:
    for raw in trace.snapshot.others:
        if text(raw, "kind") == "ManagedCertificate" and namespace_of(raw) == namespace:
            yield raw


def _open(entrance: Entrance, name: str, raw: Obj, state: str) -> Fault:
    domains = [(text(d, "domain"), text(d, "status")) for d in objects(raw, "status", "domainStatus")]
    bad = [(d, s) for d, s in domains if s != "Active"]
    why = "; ".join(f"{d} is {s}" + (f" ({_WHY[s]})" if s in _WHY else "") for d, s in bad[:3])
    addresses = ", ".join(entrance.ingress.addresses)
    wanted = [d for d in texts(raw, "spec", "domains") if entrance.ingress.hosts and d not in entrance.ingress.hosts]
    odd = f" The Ingress has no rule for {', '.join(wanted[:2])}." if wanted else ""
    failed = any(s.startswith("Failed") for _, s in bad)
    names = ", ".join(d for d, _ in bad[:3]) or "each domain of it"
    where = f"the address of the Ingress ({addresses})" if addresses else "the address of the Ingress, once it has one"
    return fault(
        CODE,
        entrance.place,
        f"managedcertificate/{name} of {entrance.name} is {state}, not Active{': ' + why if why else ''}.{odd} "
        "The load balancer has no certificate for HTTPS.",
        severity=Severity.ERROR if failed else Severity.WARNING,
        about=entrance.ref,
        evidence=[
            Evidence("status", f"managedcertificate/{name} status.certificateStatus", state),
            *(Evidence("status", f"managedcertificate/{name} domain {d}", s) for d, s in bad[:3]),
        ],
        fix=[
            Fix(
                f"Point the public A record of {names} to {where}. Remove an AAAA record or a proxy that leads "
                "elsewhere, then wait: the check is repeated, and it takes up to an hour",
                actor=Actor.CLOUD,
            )
        ],
        verify=(kubectl("describe", "managedcertificate", name, namespace=entrance.ingress.namespace),),
        short=f"managedcertificate/{name} is {state}{': ' + why if why else ''}",
    )


def _lost(entrance: Entrance, name: str, known: list[str]) -> Fault:
    return fault(
        CODE,
        entrance.place,
        f"{entrance.name} names the managed certificate {name}, which does not exist; there is {', '.join(known[:3])}.",
        about=entrance.ref,
        evidence=[Evidence("spec", f"{entrance.name} annotation {_ANNOTATION}", name)],
        fix=[
            Fix(f"Correct {_ANNOTATION} of {entrance.name}, or create ManagedCertificate {name}", actor=Actor.MANIFEST)
        ],
        verify=(kubectl("get", "managedcertificates", namespace=entrance.ingress.namespace),),
        short=f"managed certificate {name} does not exist",
    )
