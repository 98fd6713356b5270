"""Every cause of svc-trace: a cluster that has it, and a near one that has not."""

import base64
import datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from kubetriage.cluster.secrets import strip_secret
from kubetriage.model import Confidence, Severity
from kubetriage.plugins import load
from kubetriage.rules.service.registry import all_rules
from support import certificates
from support.services import (
    NOW,
    NS,
    OLD,
    answer,
    causes,
    cluster,
    container,
    healthy_web,
    ingress,
    ingress_class,
    meta,
    namespace,
    node,
    pod,
    policy,
    problems,
    service,
    slice_of,
    states,
    trace,
    workload,
)

RS = ("ReplicaSet", "web-77")


def behind(svc, *pods, ports=({"name": "", "port": 8080},), **conditions):
    return [svc, *pods, slice_of(svc, *pods, ports=ports, **conditions)]


def event(obj, reason, message, kind="Warning"):
    about = obj["metadata"]
    return {
        "kind": "Event",
        "metadata": meta(f"e-{reason}"),
        "type": kind,
        "reason": reason,
        "message": message,
        "involvedObject": {"kind": obj["kind"], "name": about["name"], "uid": about["uid"]},
        "lastTimestamp": "2026-11-24T11:59:00Z",
    }


# Pods.

CRASHING = pod("web-1", ready=False, waiting="CrashLoopBackOff", restarts=5, owner=RS)
PENDING = pod("web-1", ready=False, ip="", phase="Pending", waiting="ContainerCreating", owner=RS)
DELETED = pod("web-1", ready=False, deleting=True)
LB = service(kind="LoadBalancer", ports=[{"port": 80, "targetPort": 8080, "nodePort": 30080}])
YOUNG = {**LB, "metadata": {**LB["metadata"], "creationTimestamp": "2026-11-24T11:59:40Z"}}
LOCAL = service(internalTrafficPolicy="Local")
BY_HAND = service(selector={}, ports=[{"name": "http", "port": 80}])

POD_AND_SERVICE = {
    "NoPods scaled to zero": ([service(), slice_of(service(), ports=None), workload(replicas=0)], "NoPods"),
    "NoPods empty namespace": ([service(), slice_of(service(), ports=None)], "NoPods"),
    "NoPods all ended": (
        [*behind(service(), ports=None), pod("web-1", phase="Succeeded", ready=False), workload()],
        "NoPods",
    ),
    "PodsCrashing": (behind(service(), CRASHING), "PodsCrashing"),
    "PodsNotReady": (behind(service(), pod("web-1", ready=False)), "PodsNotReady"),
    "PodsNotReady pending": (behind(service(), PENDING), "PodsNotReady"),
    "SomePodsNotReady": (behind(service(), pod("web-1"), pod("web-2", ready=False, ip="10.0.0.2")), "SomePodsNotReady"),
    "PodsTerminating": (behind(service(), DELETED), "PodsTerminating"),
    "SelectorMismatch": ([service(selector={"app": "wbe"}), pod("web-1"), workload()], "SelectorMismatch"),
    "NoEndpoints no slice": ([service(), pod("web-1"), workload()], "NoEndpoints"),
    "NoEndpoints no pod IP": ([*behind(service(), ports=None), pod("web-1", ip="")], "NoEndpoints"),
    "NoEndpoints by hand": ([BY_HAND], "NoEndpoints"),
    "NoEndpoints other port name": (
        [BY_HAND, slice_of(BY_HAND, pod("x"), ports=[{"name": "web", "port": 8080}])],
        "NoEndpoints",
    ),
    "TargetPortNameNotFound": (
        behind(service(ports=[{"port": 80, "targetPort": "web"}]), pod("web-1"), ports=None),
        "TargetPortNameNotFound",
    ),
    "TargetPortNameNotFound init container": (
        behind(
            service(ports=[{"port": 80, "targetPort": "http"}]),
            pod("web-1", container(), init=[container(("http", 8080), name="setup")]),
            ports=None,
        ),
        "TargetPortNameNotFound",
    ),
    "ProtocolMismatch": (
        behind(
            service(ports=[{"port": 53, "targetPort": "dns"}]), pod("web-1", container(("dns", 53, "UDP"))), ports=None
        ),
        "ProtocolMismatch",
    ),
    "TargetPortMismatch": (
        behind(service(ports=[{"port": 80, "targetPort": 80}]), pod("web-1"), ports=[{"name": "", "port": 80}]),
        "TargetPortMismatch",
    ),
    "LoadBalancerPending": (behind(LB, pod("web-1")), "LoadBalancerPending"),
    "ExternalNameInvalid address": (
        [service(selector={}, kind="ExternalName", externalName="10.1.2.3")],
        "ExternalNameInvalid",
    ),
    "ExternalNameInvalid itself": (
        [service(selector={}, kind="ExternalName", externalName=f"web.{NS}.svc.cluster.local")],
        "ExternalNameInvalid",
    ),
    "ExternalNameInvalid loop": (
        [
            service(selector={}, kind="ExternalName", externalName=f"b.{NS}.svc.cluster.local"),
            service("b", selector={}, kind="ExternalName", externalName=f"web.{NS}.svc"),
        ],
        "ExternalNameInvalid",
    ),
    "ExternalNameInvalid gone": (
        [service(selector={}, kind="ExternalName", externalName="db.data.svc.cluster.local")],
        "ExternalNameInvalid",
    ),
    "NoLocalEndpoints": ([*behind(LOCAL, pod("web-1")), node("n1"), node("n2")], "NoLocalEndpoints"),
    "SelectorTooBroad": (
        behind(
            service(),
            pod("web-1", owner=RS),
            pod("search-1", container(("q", 5000), image="acme/search:1"), ip="10.0.0.2", owner=("ReplicaSet", "s-1")),
        ),
        "SelectorTooBroad",
    ),
    "ServiceNotFound": ([service("webb"), workload()], "ServiceNotFound"),
    "NetworkPolicyBlocks": ([*healthy_web(), policy()], "NetworkPolicyBlocks"),
    "NetworkPolicyBlocks service port": (
        [*healthy_web(), policy(ingress=[{"ports": [{"port": 80}]}])],
        "NetworkPolicyBlocks",
    ),
    "NetworkPolicyRestricts": (
        [*healthy_web(), policy(ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "shop"}}}]}])],
        "NetworkPolicyRestricts",
    ),
}


@pytest.mark.parametrize(("objects", "cause"), POD_AND_SERVICE.values(), ids=POD_AND_SERVICE)
def test_the_service_and_what_is_below(objects, cause):
    found = trace(cluster(*objects))
    assert causes(found)[0] == cause


HEALTHY = {
    "two pods": healthy_web(),
    "native sidecar declares the port": behind(
        service(ports=[{"port": 80, "targetPort": "http"}]),
        pod("web-1", container(), init=[container(("http", 8080), name="proxy", restartPolicy="Always")]),
    ),
    "publishes unready pods of a StatefulSet": behind(service(publishNotReadyAddresses=True), pod("web-1")),
    "headless without ports": behind(service(ports=(), clusterIP="None"), pod("web-1"), ports=None),
    "headless ignores targetPort": behind(
        service(ports=[{"port": 80, "targetPort": 81}], clusterIP="None"), pod("web-1"), ports=[{"port": 81}]
    ),
    "written by hand": [BY_HAND, slice_of(BY_HAND, pod("x", ip="10.1.1.1"), ports=[{"name": "http", "port": 8080}])],
    "alias": [service(selector={}, kind="ExternalName", externalName="db.example.com")],
    "alias into the cluster": [
        service("b"),
        *behind(service("b"), pod("web-1")),
        service(selector={}, kind="ExternalName", externalName=f"b.{NS}.svc.cluster.local"),
    ],
    "probes on the target": behind(
        service(ports=[{"port": 80, "targetPort": 9000}]),
        pod("web-1", container(("metrics", 8080), probe=9000)),
        ports=[{"port": 9000}],
    ),
    "a canary with the same ports": behind(
        service(), pod("web-1", owner=RS), pod("canary-1", ip="10.0.0.2", owner=("ReplicaSet", "canary-1"))
    ),
    "two generations with other numbers": [
        service(ports=[{"name": "http", "port": 80, "targetPort": "http"}]),
        pod("web-1"),
        pod("web-2", container(("http", 9090), probe=9090), ip="10.0.0.2"),
        slice_of(service(), pod("web-1"), ports=[{"name": "http", "port": 8080}]),
        slice_of(service(), pod("web-2", ip="10.0.0.2"), ports=[{"name": "http", "port": 9090}], name="web-y"),
    ],
    "local policy, and a control plane node": [
        *behind(LOCAL, pod("web-1")),
        node("n1"),
        {
            **node("cp"),
            "spec": {"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]},
        },
    ],
    "local policy with a pod on every node": [*behind(LOCAL, pod("web-1")), node("n1")],
    "load balancer with an address": [
        *behind({**LB, "status": {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}}}, pod("web-1"))
    ],
    "just created load balancer": behind(YOUNG, pod("web-1")),
    "policy that admits everybody on the pod port": [*healthy_web(), policy(ingress=[{"ports": [{"port": 8080}]}])],
    "policy by port name": [*healthy_web(), policy(ingress=[{"ports": [{"port": "http"}]}])],
    "policy by port range": [*healthy_web(), policy(ingress=[{"ports": [{"port": 8000, "endPort": 8100}]}])],
    "policy for other pods": [*healthy_web(), policy(selector={"matchLabels": {"app": "db"}})],
    "policy that allows all": [*healthy_web(), policy(ingress=[{}])],
    "job pods that have ended": [
        *healthy_web(),
        pod("web-job", phase="Succeeded", ready=False, ip="", owner=("Job", "web-job")),
    ],
}


@pytest.mark.parametrize("objects", HEALTHY.values(), ids=HEALTHY)
def test_what_works_has_no_broken_row(objects):
    found = trace(cluster(*objects))
    assert causes(found) == []
    assert {s for _, s in states(found)} == {"ok"}


def test_some_pods_without_the_name_degrade_the_port():
    svc = service(ports=[{"name": "http", "port": 80, "targetPort": "http"}])
    new = [pod(f"new-{i}", container(("web", 8080)), ip=f"10.0.1.{i}") for i in (1, 2, 3)]
    old = [pod(f"old-{i}", ip=f"10.0.0.{i}") for i in (1, 2)]
    slices = [
        slice_of(svc, *old, ports=[{"name": "http", "port": 8080}]),
        slice_of(svc, *new, ports=None, name="web-y"),
    ]
    found = trace(cluster(svc, *new, *old, *slices))
    (first, *_) = problems(found)
    assert (first.cause, first.severity) == ("TargetPortNameNotFound", Severity.WARNING)
    assert "3 of 5 pods" in first.message
    row = next(h for h in found.extra["hops"] if h["object"] == "svc/web:80")
    assert row["state"] == "degraded"


def test_serving_terminating_pods_are_degraded_not_broken():
    svc = service()
    leaving = pod("web-1", deleting=True)
    found = trace(cluster(*behind(svc, leaving)))
    assert causes(found) == ["PodsTerminating"]
    assert problems(found)[0].severity is Severity.WARNING


def test_the_misspelt_selector_is_patched_on_the_side_that_is_alone():
    svc = service(selector={"app": "web"})
    odd = workload(name="web", labels={"app": "webb"})
    pods = [pod("web-1", labels={"app": "webb"}, owner=("Deployment", "web"))]
    alone = problems(trace(cluster(svc, odd, *pods)))[0]
    assert alone.fix[0].patch == {"spec": {"selector": {"app": "webb"}}}
    other = service("web-admin", selector={"app": "web"})
    together = problems(trace(cluster(svc, other, odd, *pods)))[0]
    assert together.fix[0].patch == {"spec": {"template": {"metadata": {"labels": {"app": "web"}}}}}


def test_labels_on_the_deployment_itself_are_told():
    found = trace(cluster(service(selector={"tier": "front"}), workload(own={"tier": "front"}), pod("web-1")))
    assert causes(found)[0] == "SelectorMismatch"
    assert "not on its pod template" in problems(found)[0].message


def test_two_equally_near_workloads_are_both_named_without_a_patch():
    svc = service(selector={"app": "web"})
    found = trace(
        cluster(
            svc,
            pod("a", labels={"app": "wea"}, owner=("Deployment", "wea")),
            pod("b", labels={"app": "wed"}, owner=("Deployment", "wed")),
        )
    )
    (first, *_) = problems(found)
    assert "deployment/wea" in first.message
    assert "deployment/wed" in first.message
    assert first.fix[0].patch is None


def test_pods_of_another_namespace_are_pointed_at():
    found = trace(
        cluster(
            service(), workload(labels={"app": "db"}), pod("db-1", labels={"app": "db"}), pod("w", namespace="other")
        )
    )
    assert "other" in problems(found)[0].message


def test_a_failed_load_balancer_is_proven_with_its_words():
    quota = event(LB, "SyncLoadBalancerFailed", "Error syncing load balancer: quota exceeded")
    (first, *_) = problems(trace(cluster(*behind(LB, pod("web-1")), quota)))
    assert first.confidence is Confidence.CONFIRMED
    assert "quota exceeded" in first.message


def test_a_program_on_the_loopback_address_is_found_by_its_log():
    svc = service(ports=[{"port": 80, "targetPort": 3000}])
    deaf = pod("web-1", container(("http", 3000)))
    snapshot = cluster(*behind(svc, deaf, ports=[{"port": 3000}]))
    snapshot._logs[NS, "web-1", "app", False] = "server listening on http://127.0.0.1:3000\n"
    (first, *_) = problems(trace(snapshot))
    assert first.cause == "TargetPortMismatch"
    assert "127.0.0.1:3000" in first.message


def test_an_argument_acquits_an_undeclared_port():
    svc = service(ports=[{"port": 80, "targetPort": 9000}])
    told = pod("web-1", container(("metrics", 8080), probe=8080, args=["--listen", "0.0.0.0:9000"]))
    assert causes(trace(cluster(*behind(svc, told, ports=[{"port": 9000}])))) == []


# Symptoms.


def two_faults():
    svc = service(ports=[{"port": 80, "targetPort": 80}])
    return cluster(*behind(svc, pod("web-1"), ports=[{"name": "", "port": 80}]), policy())


@pytest.mark.parametrize(
    ("symptom", "first"),
    [("", "TargetPortMismatch"), ("refused", "TargetPortMismatch"), ("timeout", "NetworkPolicyBlocks")],
)
def test_the_symptom_orders_the_causes(symptom, first):
    assert causes(trace(two_faults(), symptom=symptom))[0] == first


def test_an_impossible_symptom_is_said():
    found = trace(cluster(*healthy_web()), symptom="tls")
    assert any("Nothing that was seen explains it" in line for s in found.tail for line in s.lines)


def test_every_symptom_names_causes_that_exist():
    from kubetriage.rules.service.client_symptoms import SYMPTOMS

    codes = {r.CODE for r in all_rules()}
    for symptom in SYMPTOMS.values():
        assert symptom.causes <= codes


# Clients.

CLIENT = pod("shop-1", labels={"app": "shop"}, ip="10.0.9.9", node="n2")
FROM_SHOP = {"podSelector": {"matchLabels": {"app": "shop"}}}


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ([policy(selector={"matchLabels": {"app": "web"}}, ingress=[{"from": [FROM_SHOP]}])], []),
        (
            [
                policy(
                    selector={"matchLabels": {"app": "web"}},
                    ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "x"}}}]}],
                )
            ],
            ["NetworkPolicyBlocks"],
        ),
        (
            [policy("out", selector={"matchLabels": {"app": "shop"}}, policyTypes=["Egress"])],
            ["NetworkPolicyBlocks"],
        ),
        (
            [
                policy(
                    "out",
                    selector={"matchLabels": {"app": "shop"}},
                    policyTypes=["Egress"],
                    egress=[{"to": [{"podSelector": {}}], "ports": [{"port": "http"}]}],
                )
            ],
            [],
        ),
    ],
)
def test_a_client_is_judged_in_both_directions(policies, expected):
    found = trace(cluster(*healthy_web(), CLIENT, namespace(NS), *policies), client="pod/shop-1")
    assert causes(found) == expected


def test_a_client_namespace():
    only = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}}
    rule = policy(selector={"matchLabels": {"app": "web"}}, ingress=[{"from": [only]}])
    inside = pod("gw", namespace="edge", labels={"app": "gw"}, ip="10.9.0.1")
    outside = pod("x", namespace="other", labels={"app": "gw"}, ip="10.9.0.2")
    known = cluster(*healthy_web(), inside, outside, namespace("edge"), namespace("other"), rule)
    assert causes(trace(known, client="namespace/edge")) == []
    assert causes(trace(known, client="namespace/other")) == ["NetworkPolicyBlocks"]


def test_a_client_that_is_not_there_is_an_error():
    got = answer(cluster(*healthy_web()), "svc/web", client="pod/gone")
    assert 'pods "gone" not found' in got.errors[0]
    assert "pod/NAME" in answer(cluster(*healthy_web()), "svc/web", client="service/x").errors[0]


def test_a_client_on_a_node_without_endpoint_is_dropped():
    known = cluster(*behind(LOCAL, pod("web-1")), node("n1"), node("n2"), CLIENT)
    (first, *_) = problems(trace(known, client="pod/shop-1"))
    assert (first.cause, first.severity) == ("NoLocalEndpoints", Severity.ERROR)


def test_backends_that_may_not_ask_dns_are_told():
    quiet = policy("quiet", policyTypes=["Egress"])
    found = trace(cluster(*healthy_web(), quiet))
    assert causes(found) == ["NetworkPolicyRestricts"]
    dns = {"to": [{"namespaceSelector": {}}], "ports": [{"port": 53, "protocol": "UDP"}]}
    assert causes(trace(cluster(*healthy_web(), policy("dns", policyTypes=["Egress"], egress=[dns])))) == []


def test_policies_of_other_apis_lower_the_confidence():
    cilium = {"kind": "CiliumNetworkPolicy", "metadata": meta("deny"), "spec": {}}
    (first, *_) = problems(trace(cluster(*healthy_web(), policy(), cilium)))
    assert first.confidence is Confidence.POSSIBLE


def test_the_ingress_controller_is_a_client():
    controller = pod(
        "nginx-1",
        namespace="ingress-nginx",
        ip="10.9.9.9",
        labels={"app.kubernetes.io/name": "ingress-nginx", "app.kubernetes.io/component": "controller"},
    )
    same = policy(ingress=[{"from": [{"podSelector": {}}]}])
    known = cluster(*healthy_web(), ingress(), ingress_class(), controller, namespace("ingress-nginx"), same)
    found = trace(known, "ingress/web")
    assert causes(found) == ["NetworkPolicyBlocks"]
    assert "nginx-1" in problems(found)[0].message


# Ingress.

TLS = [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}]
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


def secret(name="shop-tls", *, crt=None, key=None, kind="kubernetes.io/tls", space=NS, data=None, **how):
    names = how.pop("names", ("shop.example.com",))
    content = certificates.certificate(KEY, *names, **how) if crt is None else crt
    private = certificates.key_pem(KEY) if key is None else key
    values = {"tls.crt": content, "tls.key": private} if data is None else data
    encoded = {k: base64.b64encode(v).decode() for k, v in values.items()}
    return strip_secret({"kind": "Secret", "type": kind, "metadata": meta(name, space), "data": encoded})


def day(offset):
    return NOW + datetime.timedelta(days=offset)


def web(*more, **how):
    return [*healthy_web(), ingress_class(), ingress(**how), *more]


def to(svc="web", **port):
    return {"service": {"name": svc, "port": port or {"number": 80}}}


TWICE = [
    {"host": "shop.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": leads}]}}
    for leads in (to(), to("kept"))
]

INGRESS = {
    "BackendServiceNotFound": (web(backend=to("webb")), ["BackendServiceNotFound"]),
    "BackendServiceNotFound default backend": (
        web(rules=None, defaultBackend=to("gone")),
        ["BackendServiceNotFound"],
    ),
    "BackendPortNotFound number": (web(backend=to(number=8081)), ["BackendPortNotFound"]),
    "BackendPortNotFound name": (web(backend=to(name="http")), ["BackendPortNotFound"]),
    "resource backend": (web(backend={"resource": {"kind": "Bucket", "name": "static"}}), []),
    "action of the AWS controller": (web(backend=to("ssl-redirect", name="use-annotation")), []),
    "IngressClassNotFound": (web(cls="traefik", address=""), ["IngressClassNotFound"]),
    "IngressClassNotSet": (web(cls="", address=""), ["IngressClassNotSet"]),
    "classless but served": (web(cls=""), []),
    "IngressControllerNotFound": (web(address=""), ["IngressControllerNotFound"]),
    "HostPathConflict": (
        web(ingress("first", "other", created="2026-01-01T00:00:00Z")),
        ["HostPathConflict"],
    ),
    "canary shares the path": (
        web(
            ingress(
                "canary", created="2026-01-01T00:00:00Z", annotations={"nginx.ingress.kubernetes.io/canary": "true"}
            )
        ),
        [],
    ),
    "another class": (web(ingress("first", "other", cls="internal", created="2026-01-01T00:00:00Z")), []),
    "HostPathConflict, and it wins": (
        web(ingress("later", "other", created="2026-11-23T00:00:00Z")),
        [],
    ),
    "a load balancer each": (
        web(ingress("first", "other", address="203.0.113.2", created="2026-01-01T00:00:00Z")),
        [],
    ),
    "Traefik's other entry point": (
        web(
            ingress(
                "first",
                "other",
                created="2026-01-01T00:00:00Z",
                annotations={"traefik.ingress.kubernetes.io/router.entrypoints": "web"},
            ),
            annotations={"traefik.ingress.kubernetes.io/router.entrypoints": "websecure"},
        ),
        [],
    ),
    "HostPathConflict inside one Ingress": (
        web(service("kept", selector={"app": "web"}), slice_of(service("kept"), *healthy_web()[1:3]), rules=TWICE),
        ["HostPathConflict"],
    ),
    "TLS good": (web(secret(), tls=TLS), []),
    "TLS wildcard": (web(secret(names=("*.example.com",)), tls=TLS), []),
    "TLSSecretNotFound": (web(tls=TLS), ["TLSSecretNotFound"]),
    "TLSSecretNotFound other namespace": (web(secret(space="other"), tls=TLS), ["TLSSecretNotFound"]),
    "TLS without a Secret": (web(tls=[{"hosts": ["shop.example.com"]}]), []),
    "TLSSecretInvalid keys": (web(secret(data={"ca.crt": b"x"}), tls=TLS), ["TLSSecretInvalid"]),
    "TLSSecretInvalid parse": (web(secret(crt=b"garbage"), tls=TLS), ["TLSSecretInvalid"]),
    "TLSSecretInvalid key": (web(secret(key=b"garbage"), tls=TLS), ["TLSSecretInvalid"]),
    "TLSSecretInvalid type": (web(secret(kind="Opaque"), tls=TLS), ["TLSSecretInvalid"]),
    "TLSKeyMismatch": (web(secret(key=certificates.key_pem(OTHER)), tls=TLS), ["TLSKeyMismatch"]),
    "TLSCertificateExpired": (web(secret(start=day(-90), end=day(-1)), tls=TLS), ["TLSCertificateExpired"]),
    "TLSCertificateNotYetValid": (web(secret(start=day(1), end=day(90)), tls=TLS), ["TLSCertificateNotYetValid"]),
    "TLSCertificateExpiringSoon": (web(secret(start=day(-300), end=day(5)), tls=TLS), ["TLSCertificateExpiringSoon"]),
    "70 days, 17 left": (web(secret(start=day(-53), end=day(17)), tls=TLS), ["TLSCertificateExpiringSoon"]),
    "90 days, 31 left": (web(secret(start=day(-59), end=day(31)), tls=TLS), []),
    "47 days, 15 left": (web(secret(start=day(-32), end=day(15)), tls=TLS), []),
    "short-lived certificate": (web(secret(start=day(-2), end=day(4)), tls=TLS), []),
    "TLSHostMismatch": (web(secret(names=("other.example.com",)), tls=TLS), ["TLSHostMismatch"]),
    "TLSHostMismatch deeper name": (
        web(
            secret(names=("*.example.com",)),
            host="a.b.example.com",
            tls=[{"hosts": ["a.b.example.com"], "secretName": "shop-tls"}],
        ),
        ["TLSHostMismatch"],
    ),
}


@pytest.mark.parametrize(("objects", "expected"), INGRESS.values(), ids=INGRESS)
def test_the_ingress(objects, expected):
    assert causes(trace(cluster(*objects), "ingress/web")) == expected


def test_a_wrong_chain_order_is_told():
    root = certificates.make(OTHER, issuer="root", subject="root", ca=True)
    leaf = certificates.make(KEY, "shop.example.com", issuer="root", signer=OTHER)
    turned = secret(crt=certificates.pem(leaf, leaf, root))
    assert causes(trace(cluster(*web(turned, tls=TLS)), "ingress/web")) == ["TLSSecretInvalid"]
    right = secret(crt=certificates.pem(leaf, root))
    assert causes(trace(cluster(*web(right, tls=TLS)), "ingress/web")) == []


def test_several_default_classes_name_the_newest():
    classes = [ingress_class("a", default=True), ingress_class("b", default=True, created="2026-11-23T00:00:00Z")]
    found = trace(cluster(*healthy_web(), *classes, ingress(cls="", address="")), "ingress/web")
    assert causes(found) == ["IngressClassNotSet"]
    assert "the newest, b," in problems(found)[0].message


def test_old_ingress_objects_of_dumps_are_read():
    old = ingress()
    old["apiVersion"] = "extensions/v1beta1"
    path = {"path": "/", "backend": {"serviceName": "web", "servicePort": 80}}
    old["spec"]["rules"] = [{"host": "shop.example.com", "http": {"paths": [path]}}]
    assert causes(trace(cluster(*healthy_web(), old, ingress_class()), "ingress/web")) == []
    path["backend"]["servicePort"] = "http"
    assert causes(trace(cluster(*healthy_web(), old, ingress_class()), "ingress/web")) == ["BackendPortNotFound"]


def test_an_infirm_controller_is_proven():
    down = pod("nginx-1", namespace="i", ready=False, labels={"app.kubernetes.io/name": "ingress-nginx"})
    (first, *_) = problems(trace(cluster(*web(down, address="")), "ingress/web"))
    assert (first.cause, first.confidence) == ("IngressControllerNotFound", Confidence.CONFIRMED)


def test_a_hint_where_the_class_has_no_controller_is_no_headline_before_a_proven_fault():
    found = trace(cluster(*web(address="", tls=TLS)), "ingress/web")
    assert causes(found) == ["TLSSecretNotFound", "IngressControllerNotFound"]


# Gateways.

GROUP = "gateway.networking.k8s.io"


def conditions(**states_):
    return [{"type": t, "status": s, "reason": r, "message": m} for t, (s, r, m) in states_.items()]


TRUE = ("True", "Accepted", "")
UP = {"conditions": conditions(Accepted=TRUE, Programmed=TRUE)}


def gateway(*listeners, status=None, cls="istio", space=NS, created=OLD):
    ears = listeners or ({"name": "http", "port": 80, "protocol": "HTTP"},)
    return {
        "kind": "Gateway",
        "metadata": meta("edge", space, created),
        "spec": {"gatewayClassName": cls, "listeners": list(ears)},
        "status": UP if status is None else status,
    }


def route(
    *,
    hosts=(),
    space=NS,
    to_space="",
    port=80,
    name="web",
    accepted=TRUE,
    section="",
    parent_space="",
    kind="HTTPRoute",
):
    parent = {
        "name": "edge",
        **({"sectionName": section} if section else {}),
        **({"namespace": parent_space} if parent_space else {}),
    }
    backend = {"name": name, "port": port, **({"namespace": to_space} if to_space else {})}
    status = {"parents": [{"parentRef": parent, "conditions": conditions(Accepted=accepted)}]} if accepted else {}
    return {
        "kind": kind,
        "metadata": meta("web", space),
        "spec": {"parentRefs": [parent], "hostnames": list(hosts), "rules": [{"backendRefs": [backend]}]},
        "status": status,
    }


def gateway_class(status=None):
    known = {"conditions": conditions(Accepted=TRUE)} if status is None else status
    return {
        "kind": "GatewayClass",
        "metadata": meta("istio", ""),
        "spec": {"controllerName": "istio.io/g"},
        "status": known,
    }


def grant(kind="HTTPRoute", from_space=NS, to_kind="Service", space="data"):
    return {
        "kind": "ReferenceGrant",
        "metadata": meta("allow", space),
        "spec": {
            "from": [{"group": GROUP, "kind": kind, "namespace": from_space}],
            "to": [{"group": "", "kind": to_kind}],
        },
    }


def edge(*more, gw=None, rt=None, cls=None):
    return [*healthy_web(), gw or gateway(), rt or route(), cls or gateway_class(), namespace(NS), *more]


SHOP_ONLY = {"name": "http", "port": 80, "protocol": "HTTP", "hostname": "*.example.com"}
PENDING_GATEWAY = {"conditions": conditions(Accepted=("Unknown", "Pending", "Waiting for controller"))}
REFUSED = {"conditions": conditions(Accepted=("False", "InvalidParameters", "no such ConfigMap"))}
UNPROGRAMMED = {"conditions": conditions(Accepted=TRUE, Programmed=("False", "AddressNotAssigned", "no address"))}
HTTPS = {
    "name": "https",
    "port": 443,
    "protocol": "HTTPS",
    "hostname": "shop.example.com",
    "tls": {"certificateRefs": [{"kind": "Secret", "group": "", "name": "shop-tls"}]},
}
FAR = behind(service(namespace="data"), pod("web-9", namespace="data", ip="10.4.0.1"))

GATEWAY = {
    "all well": (edge(), []),
    "wildcard of any depth": (edge(gw=gateway(SHOP_ONLY), rt=route(hosts=["a.b.example.com"])), []),
    "GatewayNotFound": ([*healthy_web(), route(), gateway_class()], ["GatewayNotFound"]),
    "GatewayClassNotFound": (
        [*healthy_web(), gateway(cls="envoy"), route(), gateway_class()],
        ["GatewayClassNotFound"],
    ),
    "GatewayNotProgrammed waiting": (
        edge(gw=gateway(status=PENDING_GATEWAY), rt=route(accepted=None)),
        ["GatewayNotProgrammed"],
    ),
    "GatewayNotProgrammed": (edge(gw=gateway(status=UNPROGRAMMED)), ["GatewayNotProgrammed"]),
    "GatewayNotAccepted": (edge(gw=gateway(status=REFUSED)), ["GatewayNotAccepted"]),
    "GatewayNotAccepted class": (edge(cls=gateway_class(REFUSED)), ["GatewayNotAccepted"]),
    "a route behind a listener that is down follows": (
        edge(gw=gateway(status=UNPROGRAMMED), rt=route(accepted=("False", "NoReadyListeners", "none is ready"))),
        ["GatewayNotProgrammed"],
    ),
    "RouteNotAccepted without such a listener": (
        edge(rt=route(accepted=("False", "NoReadyListeners", "none is ready"))),
        ["RouteNotAccepted"],
    ),
    "RouteNotAccepted section": (edge(rt=route(section="https", accepted=None)), ["RouteNotAccepted"]),
    "RouteNotAccepted namespace": (
        [
            *healthy_web(),
            gateway(space="infra"),
            route(parent_space="infra", accepted=None),
            gateway_class(),
            namespace(NS),
        ],
        ["RouteNotAccepted"],
    ),
    "RouteNotAccepted kinds": (
        edge(
            gw=gateway(
                {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"kinds": [{"kind": "GRPCRoute"}]}}
            )
        ),
        ["RouteNotAccepted"],
    ),
    "RouteNotAccepted by the controller": (
        edge(rt=route(accepted=("False", "UnsupportedValue", "filter"))),
        ["RouteNotAccepted"],
    ),
    "RouteNotAccepted nobody looked": (edge(rt=route(accepted=None)), ["RouteNotAccepted"]),
    "RouteHostnameMismatch": (
        edge(gw=gateway(SHOP_ONLY), rt=route(hosts=["shop.example.org"])),
        ["RouteHostnameMismatch"],
    ),
    "RouteHostnameMismatch apex": (
        edge(gw=gateway(SHOP_ONLY), rt=route(hosts=["example.com"])),
        ["RouteHostnameMismatch"],
    ),
    "ReferenceNotGranted": (edge(*FAR, rt=route(to_space="data")), ["ReferenceNotGranted"]),
    "granted": (edge(*FAR, grant(), rt=route(to_space="data")), []),
    "granted to another kind": (
        edge(*FAR, grant(to_kind="Secret"), rt=route(to_space="data")),
        ["ReferenceNotGranted"],
    ),
    "BackendServiceNotFound": (edge(rt=route(name="webb")), ["BackendServiceNotFound"]),
    "BackendPortNotFound": (edge(rt=route(port=8080)), ["BackendPortNotFound"]),
    "GRPCRoute": (edge(rt=route(kind="GRPCRoute")), []),
    "listener certificate": (edge(secret(), gw=gateway(HTTPS)), []),
    "listener certificate missing": (edge(gw=gateway(HTTPS)), ["TLSSecretNotFound"]),
    "listener certificate of another host": (
        edge(secret(names=("x.example.com",)), gw=gateway(HTTPS)),
        ["TLSHostMismatch"],
    ),
}


@pytest.mark.parametrize(("objects", "expected"), GATEWAY.values(), ids=GATEWAY)
def test_the_gateway(objects, expected):
    kind = next(o["kind"] for o in objects if o["kind"].endswith("Route"))
    assert causes(trace(cluster(*objects), f"{kind.lower()}/web")) == expected


def test_a_gateway_is_a_target():
    found = trace(cluster(*edge(gw=gateway(status=UNPROGRAMMED))), "gateway/edge")
    assert causes(found)[0] == "GatewayNotProgrammed"
    assert ("Route", "blocked") in states(found)


def test_spec_and_status_that_differ_are_both_said():
    liar = route(section="https")
    (first, *_) = problems(trace(cluster(*edge(rt=liar)), "httproute/web"))
    assert first.severity is Severity.WARNING
    assert (first.details["reason"], first.details["predicted"]) == ("Accepted", "NoMatchingParent")


# The other ways in.


def test_a_url_finds_the_rule_that_serves_it():
    api = ingress("api", path="/api", backend=to("api"))
    known = cluster(
        *web(api, service("api", selector={"app": "api"}), pod("api-1", labels={"app": "api"}, ready=False))
    )
    assert trace(known, "https://shop.example.com/").target.name == "web"
    found = trace(known, "https://shop.example.com:443/api/v1")
    assert (found.target.name, causes(found)[0]) == ("api", "PodsNotReady")
    assert "no Ingress or Route serves" in answer(known, "nowhere.example.com").errors[0]
    assert trace(known, f"web.{NS}.svc.cluster.local:80").target.kind == "Service"
    assert trace(cluster(*edge(rt=route(hosts=["r.example.com"]))), "r.example.com").target.kind == "HTTPRoute"


def test_a_pod_leads_back_to_its_services_and_ingresses():
    found = trace(cluster(*web()), "pod/web-1")
    assert causes(found) == []
    assert {"svc/web", "ingress/web"} <= {h["object"] for h in found.extra["hops"]}
    lonely = trace(cluster(*web(), pod("db-1", labels={"app": "db"})), "pod/db-1")
    assert "No Service selects" in lonely.summary
    nearly = trace(cluster(service(selector={"app": "wbe"}), pod("web-1")), "pod/web-1")
    assert causes(nearly)[0] == "SelectorMismatch"


def test_a_service_shows_the_way_from_outside():
    found = trace(cluster(*web(cls="gone", address="")))
    assert causes(found) == ["IngressClassNotFound"]
    assert any("ingress/web → svc/web:80 → 2/2 pods:8080" in line for s in found.lead[:1] for line in s.lines)


def test_the_break_is_marked_under_the_chain():
    chain = trace(cluster(*behind(service(), pod("web-1", ready=False)))).lead[0].lines
    assert chain[0] == "svc/web:80 → 0/1 pod:8080"
    assert chain[1].index("^") == chain[0].index("0/1")


# DNS and mesh.


def test_dns_without_endpoints():
    dns = service("kube-dns", "kube-system", selector={"k8s-app": "kube-dns"}, ports=[{"name": "dns", "port": 53}])
    found = trace(cluster(*healthy_web(), dns, slice_of(dns, ports=None)))
    assert causes(found) == ["DNSNotReady"]
    coredns = pod("coredns-1", namespace="kube-system", labels={"k8s-app": "kube-dns"})
    up = slice_of(dns, coredns, ports=[{"name": "dns", "port": 53}])
    assert causes(trace(cluster(*healthy_web(), dns, coredns, up))) == []


PROXY = container(name="istio-proxy")


@pytest.mark.parametrize(
    ("mode", "client", "expected"),
    [
        ("STRICT", CLIENT, ["MeshMTLSMismatch"]),
        ("PERMISSIVE", CLIENT, []),
        ("STRICT", pod("shop-1", container(), PROXY, labels={"app": "shop"}, ip="10.0.9.9"), []),
    ],
)
def test_strict_mtls_refuses_a_client_without_proxy(mode, client, expected):
    svc = service()
    meshed = pod("web-1", container(("http", 8080), probe=8080), PROXY)
    rule = {"kind": "PeerAuthentication", "metadata": meta("default"), "spec": {"mtls": {"mode": mode}}}
    found = trace(cluster(*behind(svc, meshed), rule, client), client="pod/shop-1")
    assert causes(found) == expected


def test_every_code_is_in_the_table_of_causes_and_has_a_test_here():
    tested = set()
    for table in (POD_AND_SERVICE,):
        tested |= {cause for _, cause in table.values()}
    for table in (INGRESS, GATEWAY):
        tested |= {c for _, expected in table.values() for c in expected}
    elsewhere = {
        # test_the_way.py and the modules of the custom kinds, controllers, load balancers and the mesh beside this one.
        "BackendConnectionFailed",
        "ClientAddressDenied",
        "ControllerForbidden",
        "DNSNotReady",
        "ExternalAuthFailed",
        "IngressRejected",
        "KubeProxyNotReady",
        "LoadBalancerHealthCheckFailed",
        "LoadBalancerNotAnnounced",
        "MeshAuthorizationDenied",
        "MeshMTLSMismatch",
        "MeshRouteInvalid",
        "MeshSubsetNotFound",
        "NotEvaluated",
        "ProxyLimitExceeded",
        "ProxyProtocolMismatch",
        "SessionNotKept",
        "ClusterDNSNotAsked",
        "NetworkPluginNotReady",
        "TLSCertificateNotIssued",
    }
    assert {r.CODE for r in load("svc-trace").rules} - tested == elsewhere


def test_alike_pods_are_read_once_and_counted_together():
    from kubetriage.needs import List
    from kubetriage.plugins import Request
    from support.offline import target

    svc = service()
    down = [
        pod(f"web-{i}", ready=False, waiting="CrashLoopBackOff", restarts=3, ip=f"10.0.0.{i}", owner=RS)
        for i in range(1, 9)
    ]
    known = cluster(*behind(svc, *down))
    (first, *_) = problems(trace(known))
    assert sum(first.details["podCauses"].values()) == 8
    assert len(first.details["podCauses"]) == 1
    request = Request((target("svc/web"),), NS, options={"client": "", "symptom": "", "probe": False})
    events = {n for n in load("svc-trace").plan(known, request) if isinstance(n, List) and n.resource == "events"}
    assert len(events) == 1


def test_the_missing_rule_is_a_patch():
    rule = policy(ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "x"}}}]}])
    (first, *_) = problems(trace(cluster(*healthy_web(), CLIENT, rule), client="pod/shop-1"))
    patched = policy(ingress=first.fix[0].patch["spec"]["ingress"])
    assert causes(trace(cluster(*healthy_web(), CLIENT, patched), client="pod/shop-1")) == []


def test_a_family_without_endpoints_is_a_warning():
    svc = service(ipFamilies=["IPv4", "IPv6"])
    (first, *_) = problems(trace(cluster(*behind(svc, pod("web-1")))))
    assert (first.cause, first.severity) == ("NoEndpoints", Severity.WARNING)
    six = slice_of(svc, pod("web-1", ip="fd00::1"), family="IPv6", ports=[{"port": 8080}])
    assert causes(trace(cluster(*behind(svc, pod("web-1")), six))) == []


def test_what_policies_leave_open_is_not_judged():
    block = policy(ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}])
    found = trace(cluster(*healthy_web(), CLIENT, block), client="pod/shop-1")
    row = next(h for h in found.extra["hops"] if h["hop"] == "NetworkPolicy")
    assert "NetworkPolicyBlocks" not in causes(found)
    assert row["state"] in ("not seen", "degraded")


def test_a_job_with_the_same_labels_is_not_meant():
    helper = pod("web-init", ip="10.0.0.2", owner=("Job", "web-init"))
    assert causes(trace(cluster(*behind(service(), pod("web-1", owner=RS), helper)))) == ["SelectorTooBroad"]


def test_strangers_without_the_named_port_are_the_selectors_fault():
    svc = service(ports=[{"name": "http", "port": 80, "targetPort": "http"}])
    mine, stranger = (
        pod("web-1", owner=RS),
        pod("db-1", container(("pg", 5432)), ip="10.0.0.2", owner=("StatefulSet", "db")),
    )
    slices = [
        slice_of(svc, mine, ports=[{"name": "http", "port": 8080}]),
        slice_of(svc, stranger, ports=None, name="web-y"),
    ]
    assert causes(trace(cluster(svc, mine, stranger, *slices))) == ["SelectorTooBroad", "TargetPortNameNotFound"]


def test_what_is_proven_comes_before_what_is_inferred_and_what_works_today_comes_late():
    expiring = secret(start=day(-300), end=day(5))
    found = trace(cluster(*web(expiring, policy(), tls=TLS)), "ingress/web")
    assert causes(found) == ["NetworkPolicyBlocks", "TLSCertificateExpiringSoon"]
    found = trace(cluster(*web(policy(), tls=TLS)), "ingress/web")
    assert causes(found) == ["TLSSecretNotFound", "NetworkPolicyBlocks"]


def test_the_lowest_proven_hop_comes_first():
    down = [service(), pod("web-1", ready=False), slice_of(service(), pod("web-1", ready=False))]
    found = trace(cluster(*down, ingress(cls="gone", address="", tls=TLS), ingress_class()), "ingress/web")
    assert causes(found) == ["PodsNotReady", "IngressClassNotFound", "TLSSecretNotFound"]
    assert found.extra["hops"][0]["state"] == "broken"


def test_a_default_deny_policy_is_not_opened_for_everybody():
    import yaml

    from support.offline import diagnosis

    found = diagnosis("svc-trace", "service/web", capture="np-deny-all").findings[0]
    fix = found.fix[0]
    assert fix.patch is None
    policy = yaml.safe_load(fix.yaml)
    assert policy["kind"] == "NetworkPolicy"
    assert policy["spec"]["podSelector"] == {"matchLabels": {"app": "web"}}
    assert policy["spec"]["ingress"] == [{"from": [{"podSelector": {}}], "ports": [{"port": 8080, "protocol": "TCP"}]}]


def test_a_route_of_layer_four_gets_a_listener_of_its_protocol():
    web = edge(rt=route(kind="TLSRoute", hosts=["shop.example.com"], accepted=None))
    found = trace(cluster(*web), "tlsroute/web").findings[0]
    assert found.cause == "RouteNotAccepted"
    assert "protocol: TLS" in found.fix[0].yaml
    assert "mode: Passthrough" in found.fix[0].yaml
    assert "allowedRoutes.kinds of a listener" not in found.fix[0].text
