"""The TLS Secret that an Ingress or Gateway names does not exist.

Meaning: ingress controllers answer with their own default ("fake") certificate, so browsers warn; a Gateway's
listener is not programmed.

Told by: ``secretName`` (or ``certificateRefs``) against the Secrets of the namespace that it is looked for in. A
Secret of nearly that name, or of that name in another namespace, is offered. A Secret that may not be read is not
seen, never absent.

Where a Certificate of cert-manager is to fill it, the deepest object that is not done says why: Certificate,
CertificateRequest, Order, Challenge. Where an annotation asks cert-manager for it and no Certificate was made, its
arguments and its log say why.

Fix: create the Secret there, or name the right one; cert-manager creates it when its Certificate becomes Ready, so
repair what its Challenge names.

Source: networking.k8s.io/v1 IngressTLS.secretName: a Secret in the Ingress's own namespace.
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.certificate_issuance import Issuance, Unasked, issuance, unasked
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.tls_secrets import SecretUse, create_tls
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, name_of, namespace_of, text
from kubetriage.values.nearest import nearest

CODE = "TLSSecretNotFound"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each TLS Secret on the way."""
    for use in trace.secrets:
        if not use.lookup.absent:
            continue
        namespace, name = use.ref.namespace, use.ref.name
        known = trace.world.listing("secrets").items
        tls = [name_of(s) for s in known if namespace_of(s) == namespace and text(s, "type") == "kubernetes.io/tls"]
        elsewhere = sorted({namespace_of(s) for s in known if name_of(s) == name and namespace_of(s) != namespace})
        near = nearest(name, tls)
        hint = ""
        if near:
            hint = f" Nearest there: secret/{near}."
        elif elsewhere:
            hint = f" Namespace {', '.join(elsewhere[:3])} has one of that name, which does not count here."
        chain: Issuance | Unasked | None = issuance(trace.world, namespace, name)
        if chain is None and not near:
            chain = unasked(trace.world, namespace, name, use.user, _user_of(trace, use))
        user = f"{use.user.kind.lower()}/{use.user.name}"
        yield fault(
            CODE,
            use.place,
            f"{user} takes its certificate from secret/{name}, which does not exist in namespace {namespace}."
            f"{chain.words if chain is not None else hint}",
            confidence=Confidence.LIKELY if use.lookup.presumed else Confidence.CONFIRMED,
            evidence=[
                Evidence("spec", f"{user} {use.at}", name),
                Evidence("status", f"secrets in {namespace}", use.lookup.why or "not among them"),
                *(chain.evidence if chain is not None else ()),
            ],
            fix=[
                chain.fix
                if chain is not None
                else Fix(f"Set {use.at} of {user} to {near}")
                if near
                else Fix(
                    f"Copy secret/{name} of namespace {elsewhere[0]} to {namespace}: an Ingress or Route reads "
                    "Secrets of its own namespace only. Let a program that mirrors Secrets keep the copy, or "
                    f"cert-manager issue one there. By hand: {create_tls(namespace, name)}",
                    actor=Actor.MANIFEST,
                )
                if elsewhere
                else Fix(f"Create it: {create_tls(namespace, name)}")
            ],
            verify=(
                *((chain.verify,) if isinstance(chain, Issuance) else ()),
                kubectl("get", "secret", name, namespace=namespace),
            ),
            short=f"secret/{name} does not exist" + (f"; nearest: secret/{near}" if near else ""),
        )


def _user_of(trace: Trace, use: SecretUse) -> Obj:
    """Return the Ingress or Gateway that names a Secret."""
    users = [(e.ref, e.ingress.raw) for e in trace.ingresses] + [(e.ref, e.gateway.raw) for e in trace.gateways]
    wanted = (use.user.kind, use.user.namespace, use.user.name)
    return next((raw for ref, raw in users if (ref.kind, ref.namespace, ref.name) == wanted), {})
