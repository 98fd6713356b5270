"""Why cert-manager has not issued the certificate of a Secret: Certificate, CertificateRequest, Order, Challenge."""

from __future__ import annotations

import re
from functools import cache

from kubetriage.data import table
from kubetriage.model import Actor, Evidence, Fix, Ref
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.cluster_view import World
from kubetriage.rules.service.entrance_controllers import words_of
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, condition, labels, mapping, name_of, namespace_of, objects, text, uid_of
from kubetriage.values.patterns import lazy

CHAIN = ("certificaterequests", "orders", "challenges")
_KINDS = {"certificates": "Certificate", "certificaterequests": "CertificateRequest", "orders": "Order"}
_OPEN = ("pending", "processing", "invalid", "errored", "expired", "ready", "")


@dataclass(frozen=True)
class Issuance:
    """How far a certificate has come."""

    certificate: Ref
    words: str
    """What the deepest object that is not done says."""
    evidence: tuple[Evidence, ...]
    fix: Fix
    verify: str


def certificate_for(world: World, namespace: str, secret: str) -> Obj:
    """Return the Certificate that fills a Secret, or an empty object."""
    for raw in world.listing("certificates", namespace).items:
        if text(raw, "spec", "secretName") == secret:
            return raw
    return {}


def is_issued(certificate: Obj) -> bool:
    """Tell whether a Certificate is Ready."""
    return text(condition(certificate, "Ready"), "status") == "True"


def issuance(world: World, namespace: str, secret: str) -> Issuance | None:
    """Return why the Certificate of a Secret is not issued; None where there is none, or it is."""
    certificate = certificate_for(world, namespace, secret)
    if not certificate or is_issued(certificate):
        return None
    ref = Ref("Certificate", namespace, name_of(certificate), uid_of(certificate))
    ready = condition(certificate, "Ready")
    said = text(ready, "message") or text(ready, "reason") or "it has no condition Ready yet"
    proof = [Evidence("status", f"certificate/{ref.name} Ready", f"{text(ready, 'status') or '<none>'}: {said}")]
    issuing = condition(certificate, "Issuing")
    if text(issuing, "status") == "False" and text(issuing, "message"):
        # Ready only says that there is no certificate; this one, why the last attempt failed.
        said = text(issuing, "message")
        proof.append(Evidence("status", f"certificate/{ref.name} Issuing", f"False: {said}"))
    last, owner = ("certificate", ref.name), certificate
    for plural in CHAIN:
        child = _newest_of(world, namespace, plural, owner)
        if not child and world.listing(plural, namespace).complete and world.snapshot.source == "cluster":
            break
        if not child:
            # What people paste leaves links out; the names go on, and the deepest object says most.
            continue
        owner = child
        kind = plural.removesuffix("s")
        found = _state(child)
        if found:
            last, said = (kind, name_of(child)), found
            proof.append(Evidence("status", f"{kind}/{name_of(child)} status", found))
    shown = f"{last[0]}/{last[1]}"
    words = f" cert-manager has not issued it: {shown} says {said.strip().rstrip('.')}."
    known = _advice(said)
    other = _other_issuer(world, certificate)
    if other:
        # The message says that it is not there; an issuer of that name of the other kind is.
        known = (f"Set spec.issuerRef.kind of certificate/{ref.name} to {other}: there is one of that name", "manifest")
    elif (lost := _class_of_nobody(world, owner)) is not None:
        known = lost
    elif (issuer := _own_issuer(world, certificate)) is not None and (bad := _not_ready(issuer)):
        # The request only waits: what keeps it stands in the issuer.
        name = f"{text(issuer, 'kind').lower()}/{name_of(issuer)}"
        words = f" cert-manager has not issued it: {name} is not ready: {bad.strip().rstrip('.')}."
        proof.append(Evidence("status", f"{name} Ready", f"False: {bad}"))
        known = _advice(bad) or (
            f"Repair {name} by its own words; cert-manager then issues the certificate by itself",
            "cluster",
        )
    text_of_fix = known[0] if known else f"Fix what {shown} names; cert-manager then issues the certificate by itself"
    actor = Actor(known[1]) if known else Actor.CLUSTER
    verify = kubectl("describe", *last, namespace=namespace)
    return Issuance(ref, words, tuple(proof), Fix(text_of_fix, actor=actor, commands=(verify,)), verify)


_ASKS = ("cert-manager.io/cluster-issuer", "cert-manager.io/issuer", "kubernetes.io/tls-acme")
CONTROLLER = "app.kubernetes.io/name in (cert-manager)"
"""Label selector of cert-manager's pods, by its chart and its manifests."""
_GATEWAYS = lazy(r"(?i)--enable-gateway-api(?!=false)|GatewayAPISupport=true|--config[= ]\S")


@dataclass(frozen=True)
class Unasked:
    """Why no Certificate stands for a Secret that cert-manager is to fill by an annotation."""

    words: str
    fix: Fix
    evidence: tuple[Evidence, ...]


def unasked(world: World, namespace: str, secret: str, user: Ref, raw: Obj) -> Unasked | None:
    """Return why cert-manager has made no Certificate for an annotated Ingress or Gateway; None where it has."""
    notes = labels(raw, "metadata", "annotations")
    key = next((k for k in _ASKS if k in notes), "")
    if not key or certificate_for(world, namespace, secret):
        return None
    shown = f"{user.kind.lower()}/{user.name}"
    asked = Evidence("spec", f"{shown} annotation {key}", notes[key])
    words = f" Its annotation {key} asks cert-manager for it, and no Certificate for it was seen."
    pods = [p for p in world.pods("") if p.labels.get("app.kubernetes.io/name") == "cert-manager" and _runs(p)]
    log = (
        kubectl("logs", pods[0].name, "--tail=200", namespace=pods[0].namespace)
        if pods
        else kubectl("logs", "-l", "app.kubernetes.io/name=cert-manager", "--tail=200", namespace="cert-manager")
    )
    if user.kind == "Gateway" and pods and not _GATEWAYS.search(words_of(pods[0])):
        args = Evidence("spec", f"pod/{pods[0].name} args --enable-gateway-api", "<none>")
        return Unasked(
            f"{words} cert-manager runs without --enable-gateway-api, so it does not look at Gateways.",
            Fix(
                "Start cert-manager with --enable-gateway-api (Helm: config.enableGatewayAPI=true; before 1.15"
                " --feature-gates=ExperimentalGatewayAPISupport=true), and restart it once the Gateway API's CRDs are"
                f" there. It then makes the Certificate and secret/{secret} by itself",
                actor=Actor.CLUSTER,
                commands=(log,),
            ),
            (asked, args),
        )
    more = (
        " A Gateway's listener also needs a hostname and tls.mode Terminate, and cert-manager the option"
        " --enable-gateway-api."
        if user.kind == "Gateway"
        else ""
    )
    gone = not pods and world.listing("pods").complete
    return Unasked(
        f"{words} No pod of cert-manager was seen." if gone else words,
        Fix(
            f"Install cert-manager, or make secret/{secret} by hand"
            if gone
            else f"Read what cert-manager says of {shown}: an issuer that does not exist, a host that is missing, or"
            f" rights that it lacks.{more}",
            actor=Actor.CLUSTER,
            commands=(kubectl("get", "certificates,issuers,clusterissuers", namespace=namespace), log),
        ),
        (asked,),
    )


def _runs(pod: Pod) -> bool:
    return pod.labels.get("app.kubernetes.io/component", "controller") == "controller" and not pod.finished


def _own_issuer(world: World, certificate: Obj) -> Obj | None:
    """Return the issuer that a Certificate names, where it was seen."""
    name, kind = text(certificate, "spec", "issuerRef", "name"), text(certificate, "spec", "issuerRef", "kind")
    for raw in world.snapshot.others:
        here = namespace_of(raw) in ("", namespace_of(certificate))
        if text(raw, "kind") == (kind or "Issuer") and name_of(raw) == name and here:
            return raw
    return None


def _not_ready(issuer: Obj) -> str:
    found = condition(issuer, "Ready")
    return (text(found, "message") or text(found, "reason")) if text(found, "status") == "False" else ""


def _class_of_nobody(world: World, challenge: Obj) -> tuple[str, str] | None:
    """Return what to do about a solver whose Ingress gets a class that nobody serves."""
    solver = mapping(challenge, "spec", "solver", "http01", "ingress")
    asked = text(solver, "ingressClassName") or text(solver, "class")
    classes = world.listing("ingressclasses")
    have = sorted(name_of(c) for c in classes.items)
    if not asked or not have or not classes.complete or asked in have:
        return None
    issuer = text(challenge, "spec", "issuerRef", "name") or "the issuer"
    return (
        f"The solver of {issuer} makes Ingresses of class {asked}, which nobody serves here; the classes are "
        f"{', '.join(have)}. Set ingressClassName in spec.acme.solvers[].http01.ingress of the issuer to the class of "
        "your Ingress, then delete the Order: cert-manager makes it anew",
        "manifest",
    )


def _other_issuer(world: World, certificate: Obj) -> str:
    """Return the kind of issuer that exists by the name in issuerRef where the named kind has none; else empty."""
    name, kind = (
        text(certificate, "spec", "issuerRef", "name"),
        text(certificate, "spec", "issuerRef", "kind") or "Issuer",
    )
    own = namespace_of(certificate)
    found = {
        text(o, "kind")
        for o in world.snapshot.others
        if text(o, "kind") in ("Issuer", "ClusterIssuer") and name_of(o) == name and namespace_of(o) in ("", own)
    }
    return next(iter(found), "") if found and kind not in found else ""


def _newest_of(world: World, namespace: str, plural: str, owner: Obj) -> Obj:
    """Return the newest object of a kind that another one owns."""
    uid, name = uid_of(owner), name_of(owner)

    def owned(raw: Obj) -> bool:
        owners = objects(raw, "metadata", "ownerReferences")
        if not owners:
            # Pasted objects lack them; cert-manager begins the name of a child with its owner's.
            return name_of(raw).startswith(f"{name}-")
        return any((text(o, "uid") == uid if uid else text(o, "name") == name) for o in owners)

    found = [raw for raw in world.listing(plural, namespace).items if namespace_of(raw) == namespace and owned(raw)]
    # Of several Challenges the one that is stuck decides.
    found.sort(key=lambda o: (text(o, "status", "state") != "valid", text(o, "metadata", "creationTimestamp")))
    return found[-1] if found else {}


def _state(raw: Obj) -> str:
    """Return what keeps a CertificateRequest, Order or Challenge; empty when it is done."""
    state, reason = text(raw, "status", "state"), text(raw, "status", "reason")
    if state in ("valid",):
        return ""
    if reason:
        return f"{state}: {reason}" if state else reason
    for kind in ("InvalidRequest", "Denied", "Ready"):
        found = condition(raw, kind)
        status = text(found, "status")
        if (kind == "Ready" and status == "False") or (kind != "Ready" and status == "True"):
            return f"{text(found, 'reason')}: {text(found, 'message')}".strip(": ")
    return state if state in _OPEN and state else ""


def _advice(said: str) -> tuple[str, str] | None:
    for row in table("acme_errors")["errors"]:
        match = _compiled(row["match"]).search(said)
        if match is not None:
            words = row["fix"]
            for key, value in match.groupdict().items():
                words = words.replace("{" + key + "}", (value or "").rstrip(".,;"))
            return words, row["actor"]
    return None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)
