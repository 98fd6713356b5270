"""The certificate of the host has expired.

Meaning: every client that verifies refuses the connection.

Told by: ``notAfter`` of the first certificate in ``tls.crt`` against the clock of the observation. An expired
intermediate in the same file counts too.

Fix: renew it; with cert-manager look at the Certificate and its CertificateRequest first.

Source: RFC 5280 4.1.2.5.
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.certificate_issuance import issuance
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.values.times import format_time, human_duration

CODE = "TLSCertificateExpired"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each certificate on the way."""
    for use in trace.secrets:
        for i, certificate in enumerate(use.chain):
            # A root in the file is not sent for trust, and clients have their own.
            if certificate.not_after > trace.now or (i and certificate.self_signed):
                continue
            which = "certificate" if i == 0 else f"intermediate certificate {certificate.subject}"
            ago = human_duration(trace.now - certificate.not_after)
            hosts = ", ".join(use.hosts[:3]) or "all hosts"
            chain = issuance(trace.world, use.ref.namespace, use.ref.name) if i == 0 else None
            told = chain.words if chain is not None else ""
            yield fault(
                CODE,
                use.place,
                f"The {which} of {use.name} for {hosts} expired {ago} ago, on {format_time(certificate.not_after)}."
                f"{told}",
                evidence=[
                    Evidence(
                        "config",
                        f"{use.name} tls.crt[{i}] notAfter",
                        f"{format_time(certificate.not_after)} ({certificate.subject or 'no subject'})",
                    ),
                    *(chain.evidence if chain is not None else ()),
                ],
                fix=[
                    chain.fix
                    if chain is not None
                    else Fix(
                        f"Renew the certificate in {use.name} of namespace {use.ref.namespace}", actor=Actor.MANIFEST
                    )
                ],
                verify=(*((chain.verify,) if chain is not None else ()), use.get_command),
                short=f"{use.name}: expired {ago} ago ({format_time(certificate.not_after)})",
            )
            break
