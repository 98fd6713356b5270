"""What people paste of a control plane: tables of aggregated APIs, requests and operators, and health checks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubetriage.cli.main import main


def ask(tmp_path: Any, capsys: Any, plugin: str, text: str, *names: str) -> Any:
    file = tmp_path / "paste.txt"
    file.write_text(text, encoding="utf-8")
    main(plugin, ["--from", str(file), "-o", "json", *names])
    return json.loads(capsys.readouterr().out)["items"][0]


APIS = """$ kubectl get apiservices
NAME                     SERVICE                      AVAILABLE                  AGE
v1.apps                  Local                        True                       300d
v1beta1.metrics.k8s.io   kube-system/metrics-server   {}   300d
"""


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        ("False (MissingEndpoints)", "APIServiceUnavailable"),
        ("False (ServiceNotFound) ", "APIServiceUnavailable"),
        ("True                    ", "Unknown"),
    ],
)
def test_a_table_of_aggregated_apis(tmp_path, capsys, state, cause):
    assert ask(tmp_path, capsys, "plane-trace", APIS.format(state))["cause"] == cause


CHECKS = """$ kubectl get --raw='/readyz?verbose'
[+]ping ok
[{}]etcd {}
readyz check {}
"""


@pytest.mark.parametrize(
    ("checks", "causes"),
    [
        (("-", "failed: reason withheld", "failed"), ("EtcdDown", "ApiServerUnready")),
        (("+", "ok", "passed"), ("Unknown",)),
    ],
)
def test_health_checks_as_they_were_printed(tmp_path, capsys, checks, causes):
    assert ask(tmp_path, capsys, "plane-trace", CHECKS.format(*checks))["cause"] in causes


NODES = """$ oc get nodes
NAME       STATUS     ROLES    AGE    VERSION
master-0   NotReady   master   400d   v1.27.11+749fe1d
$ oc get csr
NAME        AGE   SIGNERNAME                                    REQUESTOR                          CONDITION
csr-2k9xl   12m   kubernetes.io/kube-apiserver-client-kubelet   system:serviceaccount:x:bootstrap  {}
"""


@pytest.mark.parametrize(("condition", "approves"), [("Pending", True), ("Approved,Issued", False)])
def test_a_table_of_signing_requests(tmp_path, capsys, condition, approves):
    item = ask(tmp_path, capsys, "node-triage", NODES.format(condition), "master-0")
    assert ("certificate approve csr-2k9xl" in json.dumps(item)) is approves
