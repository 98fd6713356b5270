"""Damaged objects of the custom kinds: whatever stands in a field, svc-trace answers."""

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest

from kubetriage.model import Diagnosis
from support import traffic as t
from support.services import NS, answer, cluster, ingress, ingress_class, meta, namespace, pod, policy, service

JUNK: tuple[Any, ...] = (
    None,
    "",
    "x",
    -1,
    True,
    3.5,
    [],
    {},
    ["a"],
    [None],
    {"a": None},
    [{"name": 7}],
    "\u202e",
    {"x": [[]]},
)
READY = t.condition("Ready", "False")
BACKENDS = {"ingress.kubernetes.io/backends": "{}"}
TLS = [{"hosts": ["shop.example.com"], "secretName": "s"}]
SUBJECTS: dict[str, list[dict[str, Any]]] = {
    "OpenShift": [t.openshift_route(port={"targetPort": 8080}, tls={"termination": "edge"})],
    "Istio": [
        t.virtual_service(subset="v1", port=80),
        t.istio_gateway(),
        t.istio_proxy(),
        t.destination_rule({"app": "web"}, tls={"mode": "DISABLE"}),
        t.custom("ServiceEntry", t.ISTIO, "x", hosts=["a.b"]),
    ],
    "authorization": [
        *t.meshed_web()[1:],
        t.custom(
            "AuthorizationPolicy",
            "security.istio.io/v1",
            rules=[
                {
                    "from": [{"source": {"principals": ["a*"], "notNamespaces": ["b"], "ipBlocks": ["10.0.0.0/8"]}}],
                    "to": [{"operation": {"ports": ["80"], "methods": ["GET"]}}],
                    "when": [{"key": "k", "values": ["v"]}],
                }
            ],
        ),
    ],
    "Traefik": [t.ingress_route(middlewares=[{"name": "m"}]), t.TRAEFIK],
    "Contour": [t.http_proxy("False", [{"message": "x"}]), t.controller("contour", "--ingress-class-name=contour")],
    "Gateway API": [*t.layer_four("TCPRoute", "TCP"), t.backend_tls_policy("False")],
    "any kind": [t.custom("Mapping", "getambassador.io/v2", status={"state": "Error"}, service="web:80", host="a")],
    "policies": [
        t.custom("CiliumNetworkPolicy", "cilium.io/v2", endpointSelector={"matchLabels": {"app": "web"}}, ingress=[{}]),
        t.custom("NetworkPolicy", "crd.projectcalico.org/v1", selector="app == 'web'", ingress=[{"action": "Deny"}]),
        policy(ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]),
    ],
    "load balancer": [
        service("web", kind="LoadBalancer"),
        t.custom("IPAddressPool", "metallb.io/v1beta1", addresses=["10.0.0.0/24"]),
        t.custom("CiliumLoadBalancerIPPool", "cilium.io/v2", place="", blocks=[{"cidr": "10.0.0.0/24"}]),
        pod("svclb-web-1", namespace="kube-system", labels={"svccontroller.k3s.cattle.io/svcname": "web"}, ready=False),
    ],
    "certificates": [
        ingress(tls=TLS, annotations=BACKENDS),
        ingress_class(),
        t.custom("Certificate", "cert-manager.io/v1", secretName="s", status={"conditions": [READY]}),
        {"kind": "ConfigMap", "metadata": meta("cfg", "edge"), "data": {"use-proxy-protocol": "true"}},
        t.controller("ingress-nginx", "--configmap=edge/cfg"),
    ],
}  # fmt: skip
EVERY = 25
"""Damaged variants of each subject."""


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every member below spec, status, data and metadata's maps."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in inner:
        if at or key in ("spec", "status", "data"):
            yield (*at, key)
        yield from places(member, (*at, key) if at or key in ("spec", "status", "data") else ())


def damaged(obj: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return a copy with junk in one or two places."""
    made = copy.deepcopy(obj)
    for _ in range(chance.choice((1, 1, 2))):
        found = list(places(made))
        if not found:
            continue
        *way, last = chance.choice(found)
        node: Any = made
        for step in way:
            node = node[step]
        node[last] = copy.deepcopy(chance.choice(JUNK))
    return made


@pytest.mark.parametrize("subject", SUBJECTS)
def test_no_damage_of_a_field_ends_the_answer(subject: str) -> None:
    chance = random.Random(subject)
    objects = SUBJECTS[subject]
    for _ in range(EVERY):
        broken = [damaged(o, chance) if chance.random() < 0.6 else o for o in objects]
        seen = cluster(*t.base(), namespace("kube-system"), *broken)
        targets = [
            "svc/web",
            *(f"{o['kind'].lower()}/{o['metadata']['name']}" for o in objects[:1] if o["kind"] in KINDS),
        ]
        for target in targets:
            got = answer(seen, target, symptom="503", client="namespace/shop", namespace=NS)
            assert got.errors or all(isinstance(d, Diagnosis) for d in got.diagnoses)
        assert answer(seen, namespace=NS).checked


KINDS = ("Route", "VirtualService", "IngressRoute", "HTTPProxy", "Ingress")
