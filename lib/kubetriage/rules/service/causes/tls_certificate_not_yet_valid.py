"""The certificate of the host is not valid yet.

Meaning: every client that verifies refuses the connection until then.

Told by: ``notBefore`` of the first certificate in ``tls.crt`` against the clock of the observation, which is the
cluster's or the recording's. A clock that is wrong on the issuer's side shows the same.

Fix: wait, or use a certificate that is valid now; check the clock of the machine that issued it.

Source: RFC 5280 4.1.2.5.
"""

from collections.abc import Iterator

from kubetriage.model import Evidence, Fix
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.values.times import format_time, human_duration

CODE = "TLSCertificateNotYetValid"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each certificate on the way."""
    for use in trace.secrets:
        leaf = use.leaf
        if leaf is None or leaf.not_before <= trace.now:
            continue
        wait = human_duration(leaf.not_before - trace.now)
        yield fault(
            CODE,
            use.place,
            f"The certificate of {use.name} becomes valid in {wait}, on {format_time(leaf.not_before)}.",
            evidence=[Evidence("config", f"{use.name} tls.crt notBefore", format_time(leaf.not_before))],
            fix=[Fix(f"Put a certificate that is valid now into {use.name} of namespace {use.ref.namespace}")],
            verify=(use.get_command,),
            short=f"{use.name}: valid only from {format_time(leaf.not_before)}",
        )
