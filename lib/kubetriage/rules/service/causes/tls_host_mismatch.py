"""The certificate does not stand for a host that is served with it.

Meaning: clients refuse the connection for that host (or the controller serves its default certificate for it).

Told by: the subject alternative names of the first certificate against the hosts of ``spec.tls`` and of the rules
that use it; a wildcard stands for exactly one label, the common name does not count. Also told: a rule host that no
``spec.tls`` entry covers, as a note. Of a Secret that was not seen, what the log of ingress-nginx says of it.

Fix: issue the certificate for the host, or use the Secret that has it.

Source: RFC 6125 6.4.3, RFC 2818; browsers and Go ignore the common name.
"""

from collections.abc import Iterator

from kubetriage.model import Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.ingress_objects import secret_for
from kubetriage.rules.service.logged_certificates import Served, complaints
from kubetriage.values.commands import kubectl

CODE = "TLSHostMismatch"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each certificate on the way against its hosts."""
    for use in trace.secrets:
        leaf = use.leaf
        bad = use.uncovered
        if leaf is None or not bad:
            continue
        names = ", ".join(leaf.names[:5]) or f"no alternative name (only CN {leaf.common_name or '<none>'})"
        every = len(bad) == len(use.hosts)
        yield fault(
            CODE,
            use.place,
            f"The certificate of {use.name} is for {names}, not for {', '.join(bad[:3])}.",
            severity=Severity.ERROR if every else Severity.WARNING,
            evidence=[
                Evidence("config", f"{use.name} tls.crt subjectAltName", names),
                Evidence("spec", f"{use.user.kind.lower()}/{use.user.name} hosts", ", ".join(use.hosts[:5])),
            ],
            fix=[Fix(f"Put a certificate for {', '.join(bad[:3])} into {use.name} of namespace {use.ref.namespace}")],
            verify=(use.get_command,),
            short=f"{use.name} is for {names}, not {', '.join(bad[:3])}",
        )
    for told in complaints(trace):
        if told.host:
            yield _logged(told)
    for entrance in trace.ingresses:
        ingress = entrance.ingress
        bare = [h for h in ingress.hosts if ingress.tls and secret_for(ingress, h) is None]
        if bare:
            yield fault(
                CODE,
                entrance.place,
                f"{entrance.name} serves {', '.join(bare[:3])} without a spec.tls entry: plain HTTP, "
                "or the controller's default certificate.",
                severity=Severity.NOTE,
                evidence=[Evidence("spec", f"{entrance.name} spec.tls", f"no entry for {', '.join(bare[:3])}")],
                verify=(entrance.kubectl("get", "ingress", ingress.name, "-o", "yaml"),),
                short=f"no spec.tls entry for {', '.join(bare[:3])}",
            )


def _logged(told: Served) -> Fault:
    """Tell what the controller says of a certificate that was not seen itself."""
    stands = f" is for {told.names}, not for" if told.names else " has no alternative name for"
    shown = f"secret/{told.secret}"
    return fault(
        CODE,
        told.entrance.place,
        f"The certificate of {shown}{stands} {told.host}, says the controller of {told.entrance.name}.",
        proof="observed",
        evidence=[told.evidence],
        fix=[Fix(f"Put a certificate for {told.host} into {shown} of namespace {told.namespace}")],
        verify=(kubectl("get", "secret", told.secret, "-o", "jsonpath={.data.tls\\.crt}", namespace=told.namespace),),
        short=f"{shown}{stands} {told.host}",
    )
