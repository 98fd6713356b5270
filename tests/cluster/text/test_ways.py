"""Ways to Services out of pasted text: what a form does not print is unseen, and what it prints is used."""

from __future__ import annotations

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.plugins import Request, Target, load

TABLES = """\
$ kubectl -n shop get svc,endpoints
NAME          TYPE        CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE
service/web   ClusterIP   10.96.0.9    <none>        80/TCP    40m

NAME            ENDPOINTS   AGE
endpoints/web   {endpoints}      40m
"""
PODS = """\
$ kubectl -n kube-system get pods --show-labels
NAME        READY   STATUS             RESTARTS       AGE   LABELS
coredns-1   0/1     CrashLoopBackOff   12 (2m ago)    40m   k8s-app=kube-dns
"""
CERTIFICATE = """\
$ kubectl -n shop get ingress web -o yaml
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec:
  tls: [{hosts: [shop.example.com], secretName: web-tls}]
  rules:
  - host: shop.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
$ kubectl -n shop get certificate,challenge -o yaml
apiVersion: v1
kind: List
items:
- apiVersion: cert-manager.io/v1
  kind: Certificate
  metadata: {name: web-tls, namespace: shop}
  spec: {secretName: web-tls}
  status: {conditions: [{type: Ready, status: "False", reason: DoesNotExist, message: Secret does not exist}]}
- apiVersion: acme.cert-manager.io/v1
  kind: Challenge
  metadata: {name: NAME-1-12-34, namespace: shop}
  status: {state: pending, reason: "Found no Zones for domain shop.example.com."}
$ kubectl -n shop get secret web-tls
Error from server (NotFound): secrets "web-tls" not found
"""
INTENTIONS = """\
apiVersion: v1
kind: List
items:
- apiVersion: consul.hashicorp.com/v1alpha1
  kind: ServiceIntentions
  metadata: {name: web, namespace: shop}
  spec: {destination: {name: web}}
"""


def asked(tmp_path, content, target="services", name="web", namespace="shop"):
    file = tmp_path / "paste.txt"
    file.write_text(content)
    plugin = load("svc-trace")
    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    request = Request((Target(target, name),), namespace=namespace, options=options)
    return collect(plugin, request, RecordedReader(file))


def test_a_table_without_selectors_proves_no_service_without_one(tmp_path):
    _, found = asked(tmp_path, TABLES.format(endpoints="      "))
    head = found.diagnoses[0].findings[0]
    assert head.cause == "NoEndpoints"
    assert "selector was not seen" in head.message
    assert "no selector" not in head.message
    assert "Write an EndpointSlice" not in head.fix[0].text


def test_endpoints_of_a_service_whose_selector_was_not_seen_are_not_called_written_by_hand(tmp_path):
    _, found = asked(tmp_path, TABLES.format(endpoints="10.0.0.1:8080"))
    assert "written by hand" not in str(found.diagnoses[0].extra)


def test_of_the_clusters_dns_its_own_rule_speaks(tmp_path):
    content = TABLES.format(endpoints="      ").replace("shop", "kube-system").replace("web", "kube-dns") + PODS
    _, found = asked(tmp_path, content, name="kube-dns", namespace="kube-system")
    assert found.diagnoses[0].cause == "DNSNotReady"


def test_a_challenge_tells_without_the_request_and_the_order_between(tmp_path):
    _, found = asked(tmp_path, CERTIFICATE.replace("NAME", "web-tls"), "ingresses")
    assert "challenge/web-tls-1-12-34 says pending: Found no Zones" in found.diagnoses[0].findings[0].message


def test_a_challenge_of_another_certificate_tells_nothing(tmp_path):
    _, found = asked(tmp_path, CERTIFICATE.replace("NAME", "other"), "ingresses")
    assert "Found no Zones" not in found.diagnoses[0].findings[0].message


def test_custom_kinds_of_a_list_are_read(tmp_path):
    snapshot, _ = asked(tmp_path, TABLES.format(endpoints="10.0.0.1:8080") + INTENTIONS)
    assert [o["kind"] for o in snapshot.others] == ["ServiceIntentions"]
