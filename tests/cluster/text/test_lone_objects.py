"""Texts that hold one kind of object that nothing else leads to, or a controller's log beside what it serves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubetriage.cli.main import main

CERTIFICATE = """$ kubectl get certificate shop-tls -n shop -o yaml
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: shop-tls
  namespace: shop
spec:
  secretName: shop-tls
  dnsNames: [shop.example.com]
  issuerRef: {kind: ClusterIssuer, name: le}
status:
  conditions:
  - {type: Ready, status: "READY", reason: DoesNotExist, message: Issuing certificate as Secret does not exist}
---
apiVersion: acme.cert-manager.io/v1
kind: Challenge
metadata:
  name: shop-tls-1-382-123
  namespace: shop
spec: {dnsName: shop.example.com, type: DNS-01}
status: {state: pending, reason: "Cloudflare API Error for GET /zones: Error: 9109: Invalid access token"}
"""
NAMESPACE = """$ kubectl get ns stuck -o yaml
apiVersion: v1
kind: Namespace
metadata: {name: stuck, deletionTimestamp: "2024-03-01T10:00:00Z"}
status:
  phase: Terminating
  conditions:
  - type: NamespaceDeletionDiscoveryFailure
    status: "True"
    reason: DiscoveryFailed
    message: 'Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: MESSAGE'
"""
UNABLE = "{0}: the server is currently unable to handle the request"
STALE = "stale GroupVersion discovery: {0}"
NGINX = """$ kubectl logs -n ingress-nginx deploy/ingress-nginx-controller | tail -1
W0415 11:12:13.200000 7 controller.go:1387] Unexpected error validating SSL certificate "shop/shop-tls" for server \
"HOST": x509: certificate is valid for *.internal.example.com, not HOST
$ kubectl get ingress -n shop
NAME   CLASS   HOSTS              ADDRESS       PORTS     AGE
shop   nginx   shop.example.com   203.0.113.9   80, 443   2d
"""


def ask(command: str, content: str, tmp_path: Any, capsys: Any) -> Any:
    file = tmp_path / "ticket.txt"
    file.write_text(content)
    main(command, ["--from", str(file), "-o", "json"])
    out = capsys.readouterr().out
    return json.loads(out)["items"][0] if out.strip() and json.loads(out)["items"] else {}


@pytest.mark.parametrize("command", ["svc-trace", "triage"])
def test_a_certificate_alone_is_asked_why_it_is_not_issued(command, tmp_path, capsys):
    answer = ask(command, CERTIFICATE.replace("READY", "False"), tmp_path, capsys)
    finding = answer["findings"][0]
    assert (answer["cause"], finding["object"]["name"]) == ("TLSCertificateNotIssued", "shop-tls")
    assert "Invalid access token" in finding["message"]
    assert "token" in finding["fix"][0]["text"]


def test_an_issued_certificate_is_no_fault(tmp_path, capsys):
    answer = ask("svc-trace", CERTIFICATE.replace("READY", "True"), tmp_path, capsys)
    assert answer.get("cause") != "TLSCertificateNotIssued"


@pytest.mark.parametrize("form", [UNABLE, STALE])
@pytest.mark.parametrize(
    ("api", "named", "told"),
    [
        ("custom.metrics.k8s.io/v1beta1", "v1beta1.custom.metrics.k8s.io", "spec.service"),
        ("metrics.k8s.io/v1beta1", "v1beta1.metrics.k8s.io", "metrics-server"),
    ],
)
def test_a_namespace_that_waits_for_an_api_names_it(form, api, named, told, tmp_path, capsys):
    answer = ask("plane-trace", NAMESPACE.replace("MESSAGE", form.format(api)), tmp_path, capsys)
    finding = answer["findings"][0]
    assert answer["cause"] == "APIServiceUnavailable"
    assert named in finding["message"]
    assert told in finding["fix"][0]["text"]
    assert ("kubectl top" in finding["message"]) == (told == "metrics-server")
    assert "keep its finalizers" in " ".join(f["text"] for f in finding["fix"])


def test_a_namespace_that_waits_for_nothing_names_no_api(tmp_path, capsys):
    text = NAMESPACE.replace('status: "True"', 'status: "False"').replace("MESSAGE", UNABLE.format("a.b.io/v1"))
    assert ask("plane-trace", text, tmp_path, capsys).get("cause") != "APIServiceUnavailable"


@pytest.mark.parametrize("command", ["svc-trace", "triage"])
def test_a_certificate_of_which_the_controller_speaks_is_judged_by_its_words(command, tmp_path, capsys):
    answer = ask(command, NGINX.replace("HOST", "shop.example.com"), tmp_path, capsys)
    causes = json.dumps([f["cause"] for f in answer["findings"]])
    assert "TLSHostMismatch" in causes
    assert "CertificateInvalid" not in causes


def test_the_certificate_of_another_host_is_not_that_of_this_ingress(tmp_path, capsys):
    answer = ask("svc-trace", NGINX.replace("HOST", "other.example.com"), tmp_path, capsys)
    assert answer.get("cause") != "TLSHostMismatch"


EVENTS = """$ kubectl describe node w1 | tail -4
Events:
  Type     Reason     Age    From             Message
  ----     ------     ----   ----             -------
  Warning  {reason}   90s    {source}   {message}
"""
HUNG = "INFO: task containerd:1563 blocked for more than 300 seconds."


def test_the_kernels_words_in_a_nodes_events_are_its_log(tmp_path, capsys):
    text = EVENTS.format(reason="TaskHung", source="kernel-monitor", message=HUNG)
    answer = ask("node-triage", text, tmp_path, capsys)
    assert (answer["cause"], answer["target"]["name"]) == ("KernelDeadlock", "w1")


def test_such_words_of_another_agent_are_not_the_kernels(tmp_path, capsys):
    text = EVENTS.format(reason="TaskHung", source="some-exporter", message=HUNG)
    assert ask("node-triage", text, tmp_path, capsys).get("cause") != "KernelDeadlock"


TABLES = """$ kubectl get svc,pods -o wide
NAME          TYPE        CLUSTER-IP      EXTERNAL-IP   PORT(S)        AGE    SELECTOR
service/web   NodePort    10.100.53.100   <none>        80:30080/TCP   12m    app=web

NAME                       READY   STATUS    RESTARTS   AGE   IP           NODE       NOMINATED NODE   READINESS GATES
pod/web-6b7f5b9c4d-9k2xz   1/1     Running   0          12m   10.244.0.9   minikube   <none>           <none>
"""


def test_a_table_without_labels_does_not_say_whom_a_selector_selects(tmp_path, capsys):
    assert ask("svc-trace", TABLES, tmp_path, capsys).get("cause") not in ("SelectorMismatch", "NoPods", "NoEndpoints")
