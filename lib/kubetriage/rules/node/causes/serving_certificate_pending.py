"""A kubelet waits for its serving certificate: the node works, logs, exec and metrics do not.

Meaning: with serverTLSBootstrap the kubelet asks for its serving certificate by a CSR that Kubernetes itself approves
never. Until it is issued the API server cannot open TLS to the kubelet: kubectl logs and exec fail ("tls: internal
error"), and so does metrics-server.

Told by: the newest CSR of signer kubernetes.io/kubelet-serving by system:node:NAME, pending, denied or approved without
a certificate, beside a Ready node.

Fix: approve it; let something approve such CSRs in future.

Source: kubernetes.io kubelet-tls-bootstrapping; certificates.k8s.io signers.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.signing_requests import serving_requests
from kubetriage.values.commands import kubectl, shell

CODE = "ServingCertificatePending"


def check(case: NodeCase) -> Iterator[Finding]:
    """Match an unanswered request for a serving certificate."""
    if case.contact.silent or case.contact.never:
        return
    for request in serving_requests(case.snapshot, case.name):
        tool = ("oc", "adm") if case.machine.name == "openshift" else ("kubectl",)
        approve = shell(*tool, "certificate", "approve", request.name)
        yield Finding(
            CODE,
            Severity.WARNING,
            Confidence.CONFIRMED,
            case.ref,
            f"The kubelet of {case.name} has no serving certificate: CSR {request.name} is {request.state}. kubectl"
            " logs and"
            " exec on it fail, and metrics of its pods are missing.",
            (request.evidence(),),
            (RuledOut("KubeletUnreachable", "the kubelet renews its Lease"),),
            (
                Fix(
                    "Approve it after a look at who asks for which names; an approver for kubelet-serving does so in"
                    " future.",
                    actor=Actor.CLUSTER,
                    commands=(kubectl("describe", "csr", request.name), approve)
                    if request.state == "pending"
                    else (kubectl("describe", "csr", request.name),),
                ),
            ),
            (kubectl("get", f"--raw=/api/v1/nodes/{case.name}/proxy/healthz"),),
        )
