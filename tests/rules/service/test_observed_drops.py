"""What hubble observe printed of denied packets: at which end, on which port, and the rule that has the wrong one."""

import pytest

from kubetriage.needs import Log
from support import traffic as t
from support.services import answer, causes, cluster, container, healthy_web, pod, problems, trace

FLOW = "Sep 12 09:14:02.117: edge/client:54746 (ID:3) {arrow} shop/{to} (ID:4) {event} (TCP Flags: SYN)\n"
DENIED = "policy-verdict:none {side} DENIED"
DROPPED = "Policy denied DROPPED"


def flows(*rows, to="web-1:8080", arrow="<>"):
    return "".join(FLOW.format(event=row, to=to, arrow=arrow) for row in rows)


def seen(text, *objects, target="svc/web"):
    snapshot = cluster(*healthy_web(), *objects)
    snapshot.source = "dump"
    snapshot.add_log(Log("kube-system", "hubble", "hubble"), text)
    return trace(snapshot, target) if target else answer(snapshot)


def first_pod():
    return next(o["metadata"]["name"] for o in healthy_web() if o["kind"] == "Pod")


@pytest.mark.parametrize("side", ["EGRESS", "INGRESS"])
def test_a_denied_packet_to_a_pod_of_the_service_is_a_fact(side):
    found = seen(flows(DENIED.format(side=side), DROPPED, to=f"{first_pod()}:8080"))
    fault = problems(found)[0]
    assert (fault.cause, fault.confidence.value) == ("NetworkPolicyBlocks", "confirmed")
    assert f"at its {side.lower()}" in fault.message
    end = "pod/client of edge" if side == "EGRESS" else f"pod/{first_pod()} of shop"
    assert f"selects {end}" in fault.fix[0].text


def test_the_services_port_in_a_rule_is_told_from_a_rule_that_lacks():
    ports = [{"ports": [{"port": "80", "protocol": "TCP"}]}]
    rule = {"toEndpoints": [{"matchLabels": {"app": "web"}}], "toPorts": ports}
    policy = t.custom("CiliumNetworkPolicy", "cilium.io/v2", "out", "edge", egress=[rule], endpointSelector={})
    found = seen(flows(DENIED.format(side="EGRESS"), to=f"{first_pod()}:8080"), policy)
    fault = next(f for f in problems(found) if "hubble observe" in {e.at for e in f.evidence})
    assert 'Write port "8080" in place of "80" in spec.egress[0].toPorts' in fault.fix[0].text


def test_a_connection_that_passed_later_and_other_verdicts_are_no_fault():
    to = f"{first_pod()}:8080"
    assert "NetworkPolicyBlocks" not in causes(seen(flows(DROPPED, "to-endpoint FORWARDED", to=to)))
    assert "NetworkPolicyBlocks" not in causes(seen(flows("Stale or unroutable IP DROPPED", to=to)))
    assert "NetworkPolicyBlocks" not in causes(seen(flows(DROPPED, to="other-7:8080")))


def test_a_scan_tells_of_pods_that_no_service_stands_for():
    lone = pod("other-7", container(name="app"), labels={"app": "other"}, ip="10.0.0.77")
    found = seen(flows(DROPPED, to="other-7:9000"), lone, target="").diagnoses
    told = [d for d in found if d.target.name == "other-7"]
    assert [d.findings[0].cause for d in told] == ["NetworkPolicyBlocks"]
    assert "does not say" in told[0].findings[0].message
