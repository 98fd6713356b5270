"""Certificate and private key of the TLS Secret do not belong together.

Meaning: no server can use the pair; controllers log it and serve their default certificate.

Told by: the public key of the first certificate against that of the private key, compared in memory as the Secret
arrived. Only the verdict is kept. Dumps hold no keys, so there it is not seen.

Fix: put the certificate that was issued for this key into the Secret, leaf first.

Source: Go crypto/tls X509KeyPair ("private key does not match public key"), OpenSSL KEY_VALUES_MISMATCH.
"""

from collections.abc import Iterator

from kubetriage.model import Evidence, Fix
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.tls_secrets import create_tls

CODE = "TLSKeyMismatch"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each TLS Secret on the way."""
    for use in trace.secrets:
        if use.key != "mismatch":
            continue
        namespace, name = use.ref.namespace, use.ref.name
        subject = use.leaf.subject if use.leaf else "the first certificate"
        yield fault(
            CODE,
            use.place,
            f"tls.key of {use.name} is not the key of its certificate ({subject}).",
            evidence=[Evidence("config", f"{use.name} data.tls.key", "does not match the public key of tls.crt")],
            fix=[Fix(f"Replace it: {create_tls(namespace, name)}")],
            verify=(use.get_command.replace("-dates -ext subjectAltName", "-pubkey"),),
            short=f"{use.name}: key and certificate do not match",
        )
