"""The machine and its kubelet live, but one or both directions between the kubelet and the API server are cut.

Meaning: the pods there run on and may still serve and write. Kubernetes will start their replacements
elsewhere, so some work may be done twice: never force-delete from such a node.

Told by: a silent Lease, and either the API server's dial to the kubelet is answered (only the kubelet's way to
the API server is cut: load balancer, DNS, an expired client certificate), or that dial times out while another
process of the machine still reaches the API server.

Fix: repair the path: the API server's address in the kubelet's kubeconfig, its client certificate, firewall and
routes.

Source: apimachinery util/proxy/transport.go; pkg/kubelet/certificate.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.failover import faster_failover, keep_hands_off
from kubetriage.values.commands import kubectl

CODE = "NodePartitioned"


def check(case: NodeCase) -> Iterator[Finding]:
    """Match a living machine that the kubelet's heartbeat does not leave."""
    if not case.alone or case.proven_dead or case.probe is None:
        return
    probe, alive = case.probe, case.machine_alive
    one_way = probe.kind in ("answers", "tls", "rejected")
    if not one_way and not (alive is not None and probe.kind in ("timeout", "no-route")):
        return
    if one_way:
        how = "its port answers the API server: only the kubelet's way to the API server is cut"
        advice = (
            "check the server in the kubelet's kubeconfig, DNS for it, and the end of the kubelet's client certificate"
        )
    else:
        words = alive.what if alive else ""
        how = f"the API server cannot reach it, while {words} shows that the machine lives"
        advice = "check routes, firewalls and security groups between the control plane and the node's address"
    evidence = [*case.contact_evidence()]
    if alive is not None:
        evidence.append(case.witness_evidence(alive))
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.LIKELY,
        case.ref,
        f"{case.name} lives but is cut off: silent {case.silence()}, and {how}.",
        evidence=tuple(evidence),
        ruled_out=(
            RuledOut(
                "KubeletDown", "the kubelet's port answers" if one_way else "the dial vanishes, it is not refused"
            ),
            RuledOut("MachineOff", "something on it still answers"),
        ),
        fix=(
            Fix(
                f"On {case.name}: {advice}.",
                actor=Actor.NODE,
                commands=case.machine.lines("api server", "client certificate") if one_way else (),
            ),
            keep_hands_off(case),
            *faster_failover(case),
        ),
        verify=(
            kubectl("get", f"--raw=/api/v1/nodes/{case.name}/proxy/healthz"),
            case.renewal_command,
        ),
    )
