"""The certificate of the host ends within three weeks.

Meaning: it works today. An automatic renewal would have replaced it 30 days before its end, so it probably fails.

Told by: ``notAfter`` of the first certificate against the clock; certificates that live less than 60 days (ACME
short-lived profiles) are told only in their last fifth.

Fix: renew it, and repair what should have renewed it.

Source: RFC 5280 4.1.2.5; cert-manager renews at two thirds of the lifetime.
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.certificate_issuance import issuance
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.tls_secrets import LONG_LIVED, SOON
from kubetriage.values.times import format_time, human_duration

CODE = "TLSCertificateExpiringSoon"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each certificate on the way."""
    for use in trace.secrets:
        leaf = use.leaf
        if leaf is None or leaf.not_after <= trace.now or leaf.not_before > trace.now:
            continue
        left = leaf.not_after - trace.now
        life = leaf.not_after - leaf.not_before
        if left > (SOON if life >= LONG_LIVED else life / 5):
            continue
        chain = issuance(trace.world, use.ref.namespace, use.ref.name)
        told = chain.words if chain is not None else ""
        yield fault(
            CODE,
            use.place,
            f"The certificate of {use.name} ends in {human_duration(left)}, on {format_time(leaf.not_after)}.{told}",
            severity=Severity.WARNING,
            urgent=False,
            evidence=[
                Evidence("config", f"{use.name} tls.crt notAfter", format_time(leaf.not_after)),
                *(chain.evidence if chain is not None else ()),
            ],
            fix=[
                chain.fix
                if chain is not None
                else Fix(f"Renew the certificate in {use.name} of namespace {use.ref.namespace}", actor=Actor.MANIFEST)
            ],
            verify=(use.get_command,),
            short=f"{use.name}: ends in {human_duration(left)}",
        )
