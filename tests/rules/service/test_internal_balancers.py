"""An internal load balancer is named to who gets no answer, unless the client is in the cluster."""

from __future__ import annotations

import pytest

from support.services import cluster, pod, service, slice_of
from support.services import trace as traced

AZURE = {"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}


def told(address="10.240.0.42", marks=None, symptom="timeout", **options):
    svc, one = service(type="LoadBalancer"), pod("web-1", ip="10.0.0.1")
    svc["metadata"]["annotations"] = marks or {}
    svc["status"] = {
        "loadBalancer": {"ingress": [{"hostname" if "." in address and address[0] > "9" else "ip": address}]}
    }
    client = pod("shop-1", ip="10.0.0.2", labels={"app": "shop"})
    found = traced(cluster(svc, one, slice_of(svc, one), client), symptom=symptom, **options)
    return [f"{gap.what}: {gap.why}" for gap in found.not_seen]


@pytest.mark.parametrize(
    ("address", "marks", "says"),
    [
        ("10.240.0.42", AZURE, "azure-load-balancer-internal: true"),
        ("10.240.0.42", {}, "10.240.0.42 is a private address"),
        (
            "internal-x.eu.elb.amazonaws.com",
            {"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"},
            "scheme",
        ),
        (
            "internal-x.eu.elb.amazonaws.com",
            {"service.beta.kubernetes.io/aws-load-balancer-internal": "0.0.0.0/0"},
            "0.0.0.0/0",
        ),
    ],
)
def test_it_is_what_causes_a_timeout_from_elsewhere(address, marks, says):
    assert any(says in gap and gap.startswith("what causes the timeout") for gap in told(address, marks))
    assert any("is in the network of" in gap for gap in told(address, marks))


@pytest.mark.parametrize(
    ("address", "marks", "more"),
    [
        ("203.0.113.9", {}, {}),
        ("203.0.113.9", {"service.beta.kubernetes.io/aws-load-balancer-internal": "false"}, {}),
        ("10.240.0.42", AZURE, {"symptom": "404"}),
        ("10.240.0.42", AZURE, {"client": "pod/shop-1"}),
    ],
)
def test_others_are_not_called_internal(address, marks, more):
    assert not any("internal" in gap or "private" in gap for gap in told(address, marks, **more))
