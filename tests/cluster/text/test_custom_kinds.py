"""Describes of kinds that no table knows, and texts that hold nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubetriage.cli.main import main

CLAIM = """$ kubectl describe nodeclaim pool-x
Name:         pool-x
Namespace:
Labels:       karpenter.sh/nodepool=pool
API Version:  karpenter.sh/v1
Kind:         NodeClaim
Metadata:
  Creation Timestamp:  2025-02-14T07:15:25Z
Status:
  Conditions:
    Last Transition Time:  2025-02-14T07:15:25Z
    Message:               Node not registered with cluster
    Reason:                NodeNotFound
    Status:                Unknown
    Type:                  Registered
    Last Transition Time:  2025-02-14T07:15:27Z
    Message:
    Reason:                Launched
    Status:                True
    Type:                  Launched
  Provider ID:             aws:///eu-1a/i-0e593f835ff381a22
Events:                    <none>
"""
ROUTE = """Name:         web
Namespace:    shop
API Version:  apisix.apache.org/v2
Kind:         ApisixRoute
Spec:
  Http:
    Backends:
      Service Name:  web
      Service Port:  80
    Match:
      Hosts:
        shop.example.com
Status:
  Conditions:
    Message:  no default ingress class found
    Reason:   InvalidSpec
    Status:   False
    Type:     Accepted
Events:       <none>
"""
REFUSED = """$ kubectl logs -n edge deploy/traefik
E0612 08:21:44.913363 1 reflector.go:158] "Unhandled Error" err="failed to list *v1.Node: nodes is forbidden: User \
\\"system:serviceaccount:edge:traefik\\" cannot list resource \\"nodes\\" in API group \\"\\" at the cluster scope"
$ kubectl get pods -n edge
NAME                       READY   STATUS    RESTARTS   AGE
traefik-6d8f7b5c9d-7q2lk   1/1     Running   0          11m
$ kubectl get ingress -n shop
NAME   CLASS     HOSTS              ADDRESS   PORTS   AGE
shop   traefik   shop.example.com             80      40d
"""


def ask(command: str, content: str, tmp_path: Any, capsys: Any) -> Any:
    file = tmp_path / "ticket.txt"
    file.write_text(content)
    main(command, ["--from", str(file), "-o", "json"])
    out = capsys.readouterr().out
    return json.loads(out)["items"][0] if out.strip() else {}


def test_a_described_claim_is_about_a_machine(tmp_path, capsys):
    answer = ask("node-triage", CLAIM, tmp_path, capsys)
    assert (answer["cause"], answer["target"]["name"]) == ("MachineNotJoined", "pool-x")
    assert "namespace" not in answer["target"] or not answer["target"]["namespace"]


def test_a_described_route_of_another_kind_is_read_with_its_conditions(tmp_path, capsys):
    answer = ask("svc-trace", ROUTE, tmp_path, capsys)
    assert answer["target"]["kind"] == "ApisixRoute"
    assert "no default ingress class found" in json.dumps(answer["findings"])


def test_an_entrance_is_judged_though_no_service_was_shown(tmp_path, capsys):
    answer = ask("svc-trace", REFUSED, tmp_path, capsys)
    assert (answer["cause"], answer["target"]["name"]) == ("ControllerForbidden", "shop")


def test_the_api_servers_own_words_name_it(tmp_path, capsys):
    words = "I0424 03:22:10.091253 1 server.go:560] external host was not specified, using 192.168.1.10\n"
    last = 'Error: error while parsing encryption provider configuration file "/e.yaml": no such key\n'
    assert ask("plane-trace", words + last, tmp_path, capsys)["cause"] == "ApiServerUnready"
    k3s = 'time="2026-04-24T03:22:10Z" level=info msg="Starting k3s v1.31.1+k3s1"\n'
    assert ask("plane-trace", k3s + words, tmp_path, capsys).get("cause") != "ApiServerUnready"


def test_a_kubelets_last_line_behind_talosctls_prefix_is_a_machines(tmp_path, capsys):
    row = (
        'node1.example: E1104 20:19:27.746089 9887 server.go:294] "Failed to run kubelet" err="failed to run Kubelet:'
        ' bad --node-ip \\"10.8.12.20,10.8.12.5\\"; must contain either a single IP or a dual-stack pair of IPs"\n'
    )
    answer = ask("node-triage", row, tmp_path, capsys)
    assert (answer["cause"], answer["target"]["name"]) == ("NodeAddressInvalid", "node1.example")
    assert "validSubnets" in answer["findings"][0]["fix"][0]["text"]


FLOWS = """It times out, and hubble says:

Sep 12 09:14:02.117: edge/client:54746 (ID:31207) <> shop/api-6c5f4b7d9-2xk8p:4245 (ID:1) policy-verdict:none EGRESS \
DENIED (TCP Flags: SYN)
Sep 12 09:14:02.117: edge/client:54746 (ID:31207) <> shop/api-6c5f4b7d9-2xk8p:4245 (ID:1) Policy denied DROPPED (TCP \
Flags: SYN)
"""


def test_what_hubble_printed_alone_names_both_ends(tmp_path, capsys):
    answer = ask("svc-trace", FLOWS, tmp_path, capsys)
    assert (answer["cause"], answer["target"]["name"]) == ("NetworkPolicyBlocks", "api-6c5f4b7d9-2xk8p")
    assert "pod/client of edge" in answer["findings"][0]["message"]


CUT = """$ kubectl describe gateway edge -n web | grep -A20 Conditions
    Last Transition Time:  2025-02-20T16:30:09Z
    Message:               Gateway successfully scheduled
    Reason:                Accepted
    Status:                True
    Type:                  Accepted
    Last Transition Time:  2025-02-20T16:30:09Z
    Message:               {message}
    Reason:                {reason}
    Status:                {status}
    Type:                  ResolvedRefs
"""


@pytest.mark.parametrize("command", ["svc-trace", "triage"])
def test_conditions_that_grep_left_of_a_gateway_name_its_listener(command, tmp_path, capsys):
    text = CUT.format(message="Secret web/tls does not exist", reason="InvalidCertificateRef", status="False")
    answer = ask(command, text, tmp_path, capsys)
    assert (answer["cause"], answer["findings"][0]["object"]["name"]) == ("GatewayNotProgrammed", "edge")
    assert "web/tls does not exist" in answer["findings"][0]["message"]
    assert "tls.certificateRefs" in answer["findings"][0]["fix"][0]["text"]


def test_conditions_that_are_all_true_name_no_listener(tmp_path, capsys):
    answer = ask("svc-trace", CUT.format(message="", reason="ResolvedRefs", status="True"), tmp_path, capsys)
    assert "LISTENER" not in json.dumps(answer.get("findings", []))


def test_such_rows_of_a_pod_are_no_gateway(tmp_path, capsys):
    text = CUT.format(message="x", reason="InvalidCertificateRef", status="False")
    answer = ask("svc-trace", text.replace("gateway edge", "pod edge"), tmp_path, capsys)
    assert answer.get("cause") != "GatewayNotProgrammed"
