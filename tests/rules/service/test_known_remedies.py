"""What controllers say in known words, and what the objects in hand add to the fix."""

import pytest

from kubetriage.model import Severity
from kubetriage.needs import Log
from support import traffic as t
from support.services import (
    causes,
    cluster,
    healthy_web,
    ingress,
    ingress_class,
    meta,
    service,
    trace,
)
from support.traffic import event

NGINX = t.controller("ingress-nginx", "--configmap=$(POD_NAMESPACE)/edge-config", namespace="edge")
SNIPPET = "nginx.ingress.kubernetes.io/configuration-snippet"


def _config(**data):
    return {"kind": "ConfigMap", "metadata": meta("edge-config", "edge"), "data": data}


def _text(found):
    """All that the first finding tells to do."""
    fix = found.findings[0].fix
    return " ".join([f.text for f in fix] + [c for f in fix for c in f.commands] + [str(f.patch or "") for f in fix])


RISKY = """\
I1124 10:00:00.566522       7 store.go:440] "Found valid IngressClass" ingress="shop/web" ingressclass="nginx"
E1124 10:00:00.567357       7 store.go:938] annotation group ConfigurationSnippet contains risky annotation based on x
"""
ANOTHER = RISKY.replace('"shop/web"', '"shop/other"')


@pytest.mark.parametrize(
    ("log", "mark", "data", "expected"),
    [
        (RISKY, SNIPPET, {"allow-snippet-annotations": "true"}, ["IngressRejected"]),
        (
            RISKY.replace("Configuration", "Server"),
            "nginx.ingress.kubernetes.io/server-snippet",
            {},
            ["IngressRejected"],
        ),
        (ANOTHER, SNIPPET, {}, []),
        (RISKY, "nginx.ingress.kubernetes.io/enable-cors", {}, []),
    ],
    ids=["match", "variant: another group", "look-alike: another Ingress", "look-alike: no such annotation"],
)
def test_a_risky_annotation_is_that_of_the_ingress_named_before_the_line(log, mark, data, expected):
    made = ingress(annotations={mark: "more_set_headers 'X: y';"}, address="")
    snapshot = cluster(*healthy_web(), made, ingress_class(), NGINX, _config(**data))
    snapshot.add_log(Log("edge", "ingress-nginx-1", "app"), log)
    found = trace(snapshot, "ingress/web")
    assert causes(found) == expected
    if expected:
        assert "annotations-risk-level" in _text(found)
        assert "allow-snippet-annotations" not in _text(found)
        assert f"{mark}-" in _text(found)


PATH = 'E1124 10:00:00.1       7 store.go:940] "Ignoring ingress" err="ingress contains invalid paths: path {} cannot be used with pathType {}" ingress="shop/web"'  # noqa: E501


def test_a_refused_path_type_is_patched_where_the_path_is_an_expression():
    made = ingress(path="/api(/|$)(.*)", kind="Prefix", address="")
    snapshot = cluster(*healthy_web(), made, ingress_class(), NGINX, _config())
    snapshot.add_log(Log("edge", "ingress-nginx-1", "app"), PATH.format("/api(/|$)(.*)", "Prefix"))
    found = trace(snapshot, "ingress/web")
    assert causes(found) == ["IngressRejected"]
    assert found.findings[0].severity is Severity.ERROR
    assert "store.go" not in found.findings[0].message
    assert '"path": "/spec/rules/0/http/paths/0/pathType", "value": "ImplementationSpecific"' in _text(found)


def test_a_known_refusal_of_a_published_ingress_may_be_of_its_last_change():
    made = ingress(path="/api(/|$)(.*)", kind="Prefix")
    snapshot = cluster(*healthy_web(), made, ingress_class(), NGINX, _config())
    snapshot.add_log(Log("edge", "ingress-nginx-1", "app"), PATH.format("/api(/|$)(.*)", "Prefix"))
    assert trace(snapshot, "ingress/web").findings[0].severity is Severity.WARNING


ALB = ingress_class("alb", controller="ingress.k8s.aws/alb")
DENIED = (
    "Failed deploy model due to AccessDenied: User: arn:aws:sts::1:assumed-role/{}/{} is not authorized to perform: "
    "elasticloadbalancing:AddTags because no identity-based policy allows it"
)


@pytest.mark.parametrize(
    ("message", "says", "silent"),
    [
        (DENIED.format("lbc-role", "1728584470917174269"), "AddTags in the IAM policy of role lbc-role", "nodes' role"),
        (DENIED.format("node-role", "i-04da14584d5839411"), "nodes' role node-role", "iam_policy.json"),
        ("TargetGroup port is empty. When using Instance targets, your service must be of type 'NodePort'",
         "alb.ingress.kubernetes.io/target-type=ip", "Correct what"),
        ("Failed build model due to ingress: shop/web: no certificate found for host: a.example.com",
         "covers a.example.com", "Correct what"),
    ],
    ids=["own role", "variant: the node's role", "target type", "certificate"],
)  # fmt: skip
def test_what_aws_refuses_is_told_with_its_names(message, says, silent):
    made = ingress(cls="alb", address="")
    lbc = t.controller("aws-load-balancer-controller", namespace="kube-system")
    found = trace(cluster(*healthy_web(), made, ALB, lbc, event(made, "FailedDeployModel", message)), "ingress/web")
    assert causes(found) == ["IngressRejected"]
    assert says in _text(found)
    assert silent not in _text(found)


def test_where_the_words_are_not_known_the_parts_that_they_name_are_told():
    made = ingress(cls="kong", annotations={"konghq.com/methods": "GET", "konghq.com/strip-path": "true"})
    said = event(made, "KongConfigurationApplyFailed", "invalid methods: cannot set 'methods' here", who="kong-client")
    kong = ingress_class("kong", controller="ingress-controllers.konghq.com/kong")
    found = trace(cluster(*healthy_web(), made, kong, said), "ingress/web")
    assert "konghq.com/methods (GET)" in _text(found)
    assert "strip-path" not in _text(found)


# Load balancers.


def _balanced(name="web", address="", **marks):
    made = service(name=name, kind="LoadBalancer", ports=[{"port": 80, "targetPort": 8080, "nodePort": 31000}])
    made["metadata"]["annotations"] = marks
    if address:
        made["status"]["loadBalancer"] = {"ingress": [{"ip": address}]}
    return made


def _behind(made):
    return [made, *healthy_web()[1:]]


def _pool(name="pool", addresses=("10.1.0.1-10.1.0.2",), **spec):
    return t.custom("IPAddressPool", "metallb.io/v1beta1", name, "metallb-system", addresses=list(addresses), **spec)


NO_IPS = 'Failed to allocate IP for "shop/web": no available IPs'


@pytest.mark.parametrize(
    ("pool", "marks", "says"),
    [
        (_pool(), {}, "All 2 addresses of pool pool are in use: 10.1.0.1 (svc/a in shop)"),
        (_pool(addresses=["10.1.0.0/31"]), {}, "All 2 addresses of pool pool are in use"),
        (_pool(autoAssign=False), {}, "metallb.io/address-pool=pool"),
        (_pool(), {"metallb.universe.tf/address-pool": "gone"}, "names the pool gone, which does not exist"),
        (_pool(addresses=["10.1.0.0/24"]), {}, "Give the address pool that the controller uses a free address"),
    ],
    ids=["full", "variant: a prefix", "never by itself", "no such pool", "look-alike: addresses are left"],
)
def test_why_metallb_has_no_address_is_read_from_its_pools(pool, marks, says):
    made = _balanced(**marks)
    others = [_balanced("a", "10.1.0.1"), _balanced("b", "10.1.0.0" if "/" in str(pool["spec"]) else "10.1.0.2")]
    said = event(made, "AllocationFailed", NO_IPS, who="metallb-controller")
    found = trace(cluster(*_behind(made), *others, pool, said))
    assert causes(found) == ["LoadBalancerPending"]
    assert says in _text(found)


def test_services_that_share_an_address_need_the_same_key():
    made = _balanced(**{"metallb.io/allow-shared-ip": "dns"})
    holder = _balanced("a", "10.1.0.1", **{"metallb.io/allow-shared-ip": "global"})
    words = (
        'Failed to allocate IP for "shop/web": can\'t change sharing key for "shop/web", address also in use by shop/a'
    )
    said = event(made, "AllocationFailed", words, who="metallb-controller")
    found = trace(cluster(*_behind(made), holder, _pool(), said))
    assert "annotate service web metallb.io/allow-shared-ip=global --overwrite" in _text(found)
    alone = _balanced("a", "10.1.0.1")
    found = trace(cluster(*_behind(made), alone, _pool(), said))
    assert "shares it with nobody" in _text(found)


def test_the_location_of_a_hetzner_load_balancer_is_that_of_the_nodes():
    made = _balanced()
    words = "neither load-balancer.hetzner.cloud/location nor load-balancer.hetzner.cloud/network-zone set"
    said = event(made, "SyncLoadBalancerFailed", words, who="service-controller")
    machine = {"kind": "Node", "metadata": meta("n1", "", labels={"topology.kubernetes.io/region": "fsn1"})}
    found = trace(cluster(*_behind(made), machine, said))
    assert "load-balancer.hetzner.cloud/location=fsn1" in _text(found)
    found = trace(cluster(*_behind(made), said))
    assert "load-balancer.hetzner.cloud/location=LOCATION" in _text(found)


# No address, while others of the class have theirs.


def test_an_ingress_without_an_address_beside_others_that_have_one_was_not_taken():
    other = ingress(name="other", host="b.example.com")
    objects = [*healthy_web(), ingress(address=""), ingress_class(), NGINX]
    found = trace(cluster(*objects, other), "ingress/web")
    assert (causes(found), found.findings[0].severity) == (["IngressRejected"], Severity.WARNING)
    assert "ingress/other in shop" in found.findings[0].message
    # Nobody of the class has one: a controller that publishes none is in order.
    assert causes(trace(cluster(*objects), "ingress/web")) == []
    # Another class.
    assert causes(trace(cluster(*objects, ingress(name="other", cls="traefik")), "ingress/web")) == []
