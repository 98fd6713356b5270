"""The TLS Secret is there and cannot be used.

Meaning: the controller refuses it and serves its default certificate, or the Gateway's listener is not programmed.

Told by: the Secret's type, the keys ``tls.crt`` and ``tls.key``, whether they parse, and the order of the chain.
The API server checks only that the keys are there. Type Opaque with both keys works with several controllers and
is a warning; so is a chain in the wrong order, which strict clients refuse.

Fix: create it anew with ``kubectl create secret tls``, leaf certificate first.

Source: core/v1 SecretTypeTLS; RFC 8446 4.4.2 for the order of the chain.
"""

from collections.abc import Iterator

from kubetriage.model import Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.tls_secrets import SecretUse, create_tls
from kubetriage.values.commands import kubectl

CODE = "TLSSecretInvalid"

_KEYS = {
    "unreadable": "tls.key is no PEM private key",
    "encrypted": "tls.key is encrypted",
}


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each TLS Secret on the way."""
    for use in trace.secrets:
        if not use.lookup.found:
            continue
        missing = [k for k in ("tls.crt", "tls.key") if k not in use.keys]
        broken = use.parsed[1]
        if missing:
            have = ", ".join(use.keys) or "none"
            yield _fault(use, f"lacks {' and '.join(missing)} (its keys: {have})", "data", have, Severity.ERROR)
        elif broken:
            yield _fault(use, f"has a tls.crt that cannot be read: {broken}", "data.tls.crt", broken, Severity.ERROR)
        elif use.key in _KEYS:
            yield _fault(use, f"is unusable: {_KEYS[use.key]}", "data.tls.key", _KEYS[use.key], Severity.ERROR)
        elif use.kind != "kubernetes.io/tls":
            words = f"has type {use.kind} instead of kubernetes.io/tls; some controllers refuse it"
            yield _fault(use, words, "type", use.kind, Severity.WARNING)
        if use.chain_problem:
            words = f"has a chain that clients may refuse: {use.chain_problem}"
            yield _fault(use, words, "data.tls.crt", use.chain_problem, Severity.WARNING)


def _fault(use: SecretUse, words: str, at: str, value: str, severity: Severity) -> Fault:
    namespace, name = use.ref.namespace, use.ref.name
    return fault(
        CODE,
        use.place,
        f"{use.name} of {use.user.kind.lower()}/{use.user.name} {words}.",
        severity=severity,
        evidence=[Evidence("config", f"{use.name} {at}", value)],
        fix=[Fix(f"Replace it: {create_tls(namespace, name)}")],
        verify=(kubectl("describe", "secret", name, namespace=namespace),),
        short=f"{use.name} {words}",
        urgent=severity is Severity.ERROR,
    )
