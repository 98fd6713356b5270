"""Why cert-manager has not issued a certificate, and one host in two Ingresses of a controller that does not merge."""

import pytest

from kubetriage.model import Actor, Severity
from support import traffic as t
from support.services import NS, causes, cluster, healthy_web, ingress, ingress_class, problems, trace

TLS = [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}]
ISSUER = "cert-manager.io/v1"
ACME = "acme.cert-manager.io/v1"


def owned(made, owner):
    """Make an object that another one owns."""
    reference = {"kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
    made["metadata"]["ownerReferences"] = [{**reference, "controller": True}]
    return made


def chain(reason="", state="pending", *, ready="False", deep=True, request="", secret="shop-tls"):
    """Make a Certificate with what cert-manager made for it, down to the Challenge."""
    said = [t.condition("Ready", ready, "DoesNotExist", "Issuing certificate as Secret does not exist")]
    certificate = t.custom("Certificate", ISSUER, "shop", status={"conditions": said}, secretName=secret)
    conditions = [
        t.condition("Ready", "False", "Pending", request or "Waiting on certificate issuance from order shop/o")
    ]
    asked = owned(t.custom("CertificateRequest", ISSUER, "shop-1", status={"conditions": conditions}), certificate)
    if not deep:
        return [certificate, asked]
    order = owned(t.custom("Order", ACME, "shop-1-1", status={"state": "pending"}), asked)
    challenge = owned(t.custom("Challenge", ACME, "shop-1-1-1", status={"state": state, "reason": reason}), order)
    return [certificate, asked, order, challenge]


def secured(*objects):
    """Return the first problem of an Ingress whose TLS Secret is missing."""
    (first, *_) = problems(trace(cluster(*healthy_web(), ingress(tls=TLS), ingress_class(), *objects), "ingress/web"))
    assert first.cause == "TLSSecretNotFound"
    return first


@pytest.mark.parametrize(
    ("reason", "words", "actor"),
    [
        (
            "Waiting for HTTP-01 challenge propagation: wrong status code '404', expected '200'",
            "solver",
            Actor.MANIFEST,
        ),
        ("Get http://shop.example.com/.well-known/x: dial tcp: lookup x: no such host", "DNS record", Actor.CLOUD),
        ("Get http://shop.example.com/: context deadline exceeded", "hairpin", Actor.CLUSTER),
        (
            "Waiting for HTTP-01 challenge propagation: failed to perform self check GET request "
            "'http://shop.example.com/.well-known/x': Get \"http://shop.example.com/.well-known/x\": EOF",
            "PROXY protocol",
            Actor.CLUSTER,
        ),
        (
            "AccessDenied: User: arn:aws:sts::1:assumed-role/workers/i-0ab1 is not authorized to perform: "
            "route53:ListHostedZonesByName",
            "nodes' role workers",
            Actor.CLOUD,
        ),
        (
            "AccessDenied: User: arn:aws:sts::1:assumed-role/dns-solver/1749 is not authorized to perform: "
            "route53:GetChange",
            "Allow route53:GetChange in the IAM policy of dns-solver",
            Actor.CLOUD,
        ),
        (
            "acme: authorization error for shop.example.com: 403 urn:ietf:params:acme:error:unauthorized: Invalid "
            "response from http://shop.example.com/.well-known/x: 404",
            "leads to this entrance",
            Actor.MANIFEST,
        ),
        ('DNS record for "shop.example.com" not yet propagated', "delegated", Actor.CLOUD),
        ("no configured challenge solvers can be used for this challenge", "dnsZones", Actor.MANIFEST),
        ("429 urn:ietf:params:acme:error:rateLimited: too many certificates", "rate limit", Actor.MANIFEST),
    ],
)
def test_the_reason_of_the_challenge_is_quoted(reason, words, actor):
    found = secured(*chain(reason))
    assert reason.rstrip(".") in found.message
    assert words in found.fix[0].text
    assert found.fix[0].actor is actor
    assert found.verify[0] == f"kubectl -n {NS} describe challenge shop-1-1-1"


def test_without_an_order_the_request_says_it():
    words = 'Referenced "ClusterIssuer" not found: clusterissuer.cert-manager.io "letsencrypt" not found'
    found = secured(*chain(deep=False, request=words))
    assert "Create ClusterIssuer letsencrypt, or correct the name" in found.fix[0].text


@pytest.mark.parametrize("objects", [[], chain("x", secret="other"), chain("x", ready="True")])
def test_without_a_certificate_that_waits_the_secret_is_to_be_made(objects):
    assert "create secret tls shop-tls" in secured(*objects).fix[0].text


# One host, two Ingresses.

NGINX_INC = ingress_class(controller="nginx.org/ingress-controller")
OTHER_PATH = ingress("api", path="/api", created="2026-11-21T00:00:00Z")
SOLVER = ingress("cm-acme-http-solver-x", path="/.well-known/acme-challenge/t", created="2026-11-24T11:00:00Z")


def test_a_controller_that_does_not_merge_gives_the_host_to_the_oldest():
    seen = cluster(*healthy_web(), ingress(), OTHER_PATH, NGINX_INC)
    (lost,) = problems(trace(seen, "ingress/api"))
    assert (lost.cause, lost.details["winner"]["name"]) == ("HostPathConflict", "web")
    assert causes(trace(seen, "ingress/web")) == []
    assert trace(seen, "ingress/web").findings[0].severity is Severity.NOTE


def test_a_controller_that_merges_and_mergeable_ingresses_are_fine():
    assert causes(trace(cluster(*healthy_web(), ingress(), OTHER_PATH, ingress_class()), "ingress/api")) == []
    minion = {"nginx.org/mergeable-ingress-type": "minion"}
    objects = [
        ingress(annotations={"nginx.org/mergeable-ingress-type": "master"}),
        ingress("api", path="/api", annotations=minion),
    ]
    assert causes(trace(cluster(*healthy_web(), *objects, NGINX_INC), "ingress/api")) == []


def test_the_solver_of_cert_manager_is_named_as_the_loser():
    (found,) = problems(trace(cluster(*healthy_web(), ingress(), SOLVER, NGINX_INC), "ingress/web"))
    assert "cert-manager's solver" in found.message
    assert "http01-edit-in-place" in found.fix[0].text


def test_many_rivals_make_one_finding_with_one_winner():
    rivals = [ingress(f"r{i}", f"space{i}", created=f"2026-11-2{i}T00:00:00Z") for i in range(1, 4)]
    oldest = ingress("oldest", "first", created="2026-01-01T00:00:00Z")
    seen = cluster(*healthy_web(), ingress(created="2026-11-10T00:00:00Z"), oldest, *rivals, ingress_class())
    (found,) = [f for f in trace(seen, "ingress/web").findings if f.cause == "HostPathConflict"]
    assert found.details["winner"] == {"namespace": "first", "name": "oldest"}
    assert len(found.details["losers"]) == 4
    (won,) = [f for f in trace(seen, "ingress/oldest", namespace="first").findings if f.cause == "HostPathConflict"]
    assert (won.severity, won.details["winner"]["name"]) == (Severity.NOTE, "oldest")


@pytest.mark.parametrize("kind", ["ClusterIssuer", "Issuer"], ids=["of the other kind", "look-alike: of the same kind"])
def test_an_issuer_of_the_other_kind_is_named(kind):
    certificate, asked = chain('Referenced "Issuer" not found: issuer.cert-manager.io "le" not found')[:2]
    certificate["spec"]["issuerRef"] = {"name": "le", "kind": "Issuer"}
    issuer = t.custom(kind, "cert-manager.io/v1", "le", "" if kind == "ClusterIssuer" else NS)
    found = secured(certificate, asked, issuer)
    assert ("to ClusterIssuer" in found.fix[0].text) is (kind == "ClusterIssuer")
