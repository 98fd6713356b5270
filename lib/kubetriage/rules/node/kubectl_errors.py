"""What an error line of kubectl logs, exec or top says of the API server's way to a kubelet.

The API server dials the kubelet for these, by itself or through a tunnel (konnectivity, k3s). The line tells what
became of the dial and at which address, not the node's name or whether it is Ready; where that decides, both readings
are given.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.records import dataclass
from kubetriage.rules.machine import named
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.patterns import lazy

_OF_KUBELETS = lazy(
    r":10250\b|error dialing backend|dialing backend:|/containerLogs/|unable to upgrade connection|proxy error from"
    r"|too many open files|subresource=(?:proxy|log|stats|metrics)"
)
_HOST = (
    lazy(r"while dialing (?P<host>\[[0-9a-f:]{2,45}\]|[\w.-]{1,253}):10250"),
    lazy(r"https://(?P<host>\[[0-9a-f:]{2,45}\]|[\w.-]{1,253}):10250"),
    lazy(r"dial tcp (?P<host>\[[0-9a-f:]{2,45}\]|[\w.-]{1,253}):10250"),
    lazy(r"lookup (?P<host>[\w.-]{1,253})(?: on |: )"),
    lazy(r"[Ss]ession for client (?P<host>[\w.-]{1,253})"),
)
_NODES = kubectl("get", "nodes", "-o", "wide")


def _finding(
    code: str, host: str, line: str, message: str, fix: tuple[Fix, ...], *, confidence: Confidence = Confidence.LIKELY
) -> Finding:
    evidence = (Evidence("status", "kubectl", line),)
    node = Ref("Node", "", host)
    return Finding(code, Severity.ERROR, confidence, node, message, evidence, (), fix, (_NODES,), {"dialled": host})


def _silent(host: str, line: str) -> Finding:
    return _finding(
        "KubeletUnreachable",
        host,
        line,
        f"The API server's packets to the kubelet at {host}:10250 get no answer: the node is off or cut off, or,"
        " where it is Ready, something between drops port 10250.",
        (
            Fix(
                f"See whether the node with the address {host} is Ready. If it is not: look at the node.",
                actor=Actor.NODE,
                commands=(_NODES, kubectl("node-triage", "NODE")),
            ),
            Fix(
                f"If it is Ready: open port 10250 from the control plane to {host} (security group, firewall, ufw or"
                " firewalld of the node, network policy of the provider). With several networks, the kubelet's"
                " --node-ip must be the address that the control plane reaches.",
                actor=Actor.CLOUD,
            ),
        ),
    )


def _refused(host: str, line: str) -> Finding:
    machine = named("")
    return _finding(
        "KubeletDown",
        host,
        line,
        f"The machine at {host} answers and nothing listens on the kubelet's port 10250: the kubelet is stopped or"
        " restarts, or a firewall rejects.",
        (
            Fix(
                "On that node: see why the kubelet is not up, then start it. Its containers run on meanwhile.",
                actor=Actor.NODE,
                commands=(_NODES, *machine.lines("kubelet status", "kubelet log")),
            ),
        ),
    )


def _no_certificate(host: str, line: str) -> Finding:
    return _finding(
        "ServingCertificatePending",
        host,
        line,
        f"The kubelet at {host} ends the TLS handshake: it has no serving certificate, its request for one waits for"
        " approval. The node and its pods run; logs, exec and metrics fail.",
        (
            Fix(
                "Look at who asks for which names, and approve the pending requests of signer"
                " kubernetes.io/kubelet-serving. Nothing in Kubernetes approves them by itself: install an approver.",
                actor=Actor.CLUSTER,
                commands=(kubectl("get", "csr"), kubectl("certificate", "approve", "CSR")),
            ),
        ),
    )


def _bad_certificate(host: str, line: str) -> Finding:
    return _finding(
        "KubeletUnreachable",
        host,
        line,
        f"The API server does not accept the serving certificate of the kubelet at {host}. The node runs; logs, exec"
        " and metrics fail.",
        (
            Fix(
                "Give the kubelet a new serving certificate: with serverTLSBootstrap approve its request; without, move"
                " its kubelet.crt and kubelet.key away and restart it.",
                actor=Actor.NODE,
                commands=(
                    shell("sudo", "openssl", "x509", "-noout", "-dates", "-ext", "subjectAltName", "-in",
                          "/var/lib/kubelet/pki/kubelet.crt"),
                    kubectl("get", "csr"),
                ),
            ),
            Fix(
                "Where it is self-signed by design, the API server's --kubelet-certificate-authority must not be set,"
                " or must name the CA that signed it.",
                actor=Actor.CLUSTER,
            ),
        ),
    )  # fmt: skip


def _no_name(host: str, line: str) -> Finding:
    return _finding(
        "KubeletUnreachable",
        host,
        line,
        f"The API server dials the node by its name {host}, which its machine does not resolve.",
        (
            Fix(
                "Let the API server use the nodes' addresses:"
                " --kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname in its manifest, or give the name to"
                " the DNS that its machine asks.",
                actor=Actor.CLUSTER,
                commands=(_NODES,),
            ),
        ),
        confidence=Confidence.CONFIRMED,
    )


def _tunnel(host: str, line: str) -> Finding:
    agents = ("-n", "kube-system", "-l", "k8s-app=konnectivity-agent", "-o", "wide")
    return _finding(
        "KubeletUnreachable",
        host,
        line,
        "The tunnel through which the API server reaches nodes failed; the line says nothing about the node itself.",
        (
            Fix(
                "With konnectivity: its agents must run on Ready nodes and reach the control plane (firewall, also to"
                " port 8132). Their logs come through the same tunnel: read them on the node.",
                actor=Actor.CLUSTER,
                commands=(shell("kubectl", "get", "pods", *agents), _NODES),
            ),
            Fix(
                "With k3s and RKE2: the node's agent keeps the tunnel to each server (ports 6443 and 9345): restart the"
                " agent whose node it is, and see that it reaches every server.",
                actor=Actor.NODE,
                commands=(shell("sudo", "systemctl", "restart", "k3s-agent"),),
            ),
        ),
        confidence=Confidence.POSSIBLE,
    )


def _unknown_client(host: str, line: str) -> Finding:
    return _finding(
        "KubeletUnreachable",
        host,
        line,
        f"The kubelet at {host} answers and does not know the API server's client certificate (401).",
        (
            Fix(
                "The API server's --kubelet-client-certificate must be signed by the CA in the kubelet's clientCAFile:"
                " after a new CA, renew the one and restart the other.",
                actor=Actor.CLUSTER,
                commands=(shell("sudo", "kubeadm", "certs", "renew", "apiserver-kubelet-client"),),
            ),
        ),
    )


def _no_rights(host: str, line: str) -> Finding:
    user = _USER.search(line)
    name = user["user"] if user is not None else "kube-apiserver-kubelet-client"
    return _finding(
        "KubeletUnreachable",
        host,
        line,
        f"The kubelet answers and refuses user {name}, as whom the API server comes: it has no right to nodes/proxy.",
        (
            Fix(
                f"Bind user {name} to ClusterRole system:kubelet-api-admin.",
                actor=Actor.CLUSTER,
                commands=(
                    kubectl(
                        "create", "clusterrolebinding", "kube-apiserver-kubelet-api-admin",
                        "--clusterrole=system:kubelet-api-admin", f"--user={name}",
                    ),
                ),
            ),
        ),
        confidence=Confidence.CONFIRMED,
    )  # fmt: skip


def _watches(host: str, line: str) -> Finding:
    return _finding(
        "InotifyLimitReached",
        host,
        line,
        "The node has no inotify instance left for following a log (fs.inotify.max_user_instances, often 128). Pods"
        " that watch files fail on it, too.",
        (
            Fix(
                "Raise it on the node, for good in /etc/sysctl.d.",
                actor=Actor.NODE,
                commands=(
                    shell("sudo", "sysctl", "-w", "fs.inotify.max_user_instances=8192",
                          "fs.inotify.max_user_watches=524288"),
                ),
            ),
        ),
        confidence=Confidence.CONFIRMED,
    )  # fmt: skip


_USER = lazy(r"Forbidden \(user=(?P<user>[^,)]{1,253}),")


@dataclass(frozen=True)
class Row:
    """Words of an error line, and what they mean."""

    words: re.Pattern[str]
    explain: Callable[[str, str], Finding]


ROWS: tuple[Row, ...] = (
    Row(lazy(r"(?:fsnotify|inotify|watch(?:er|ing)?): too many open files"), _watches),
    Row(lazy(r"Forbidden \(user="), _no_rights),
    Row(lazy(r"remote error: tls: internal error|tls: internal error"), _no_certificate),
    Row(lazy(r"x509: "), _bad_certificate),
    Row(lazy(r"no such host|server misbehaving"), _no_name),
    Row(lazy(r"No agent available|[Ss]ession for client|proxy error from|Failed to get a backend"), _tunnel),
    Row(lazy(r"connection refused"), _refused),
    Row(lazy(r"i/o timeout|no route to host|deadline exceeded|connection timed out|network is unreachable"), _silent),
    Row(lazy(r"Unauthorized"), _unknown_client),
)
"""In the order in which their words are looked for."""


def explain(line: str) -> Finding | None:
    """Say what an error line of kubectl means for a node; None where it is about something else."""
    if not _OF_KUBELETS.search(line):
        return None
    named_by = next((m for m in (pattern.search(line) for pattern in _HOST) if m is not None), None)
    host = named_by["host"].strip("[]") if named_by is not None else "NODE"
    row = next((row for row in ROWS if row.words.search(line)), None)
    return row.explain(host, line) if row is not None else None
