"""What to do about a kubelet's unanswered CSR: in comes a node's case, out go the fix and a sentence."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Fix
from kubetriage.rules.node.case import NodeCase
from kubetriage.values.commands import kubectl, shell


def approve(case: NodeCase) -> Iterator[Fix]:
    """Approve what waits, after a look at who asks for which name."""
    pending = [r.name for r in case.requests if r.state == "pending"]
    refused = [r.name for r in case.requests if r.state in ("denied", "failed")]
    stuck = [r.name for r in case.requests if r.state == "approved, not issued"]
    tool = ("oc", "adm") if case.machine.name == "openshift" else ("kubectl",)
    if pending:
        # Newer requests of one kubelet replace its older ones.
        first = pending[-6:]
        yield Fix(
            f"Approve the kubelets' pending CSRs after a look at who asks: {len(pending)} wait for a client"
            " certificate."
            " A second round (signer kubelet-serving) follows a minute later; approve it too, or logs and exec fail.",
            actor=Actor.CLUSTER,
            commands=(
                kubectl("get", "csr"),
                kubectl("describe", "csr", first[-1]),
                shell(*tool, "certificate", "approve", *first),
            ),
        )
    if refused:
        yield Fix(
            f"CSR {refused[-1]} was denied or failed: find who denies it, delete it, and restart the kubelet.",
            actor=Actor.CLUSTER,
            commands=(kubectl("describe", "csr", refused[-1]), kubectl("delete", "csr", refused[-1])),
        )
    if stuck:
        yield Fix(
            f"CSR {stuck[-1]} is approved and has no certificate: the signer in the controller-manager does not run"
            " (--cluster-signing-cert-file, its lease).",
            actor=Actor.CLUSTER,
            commands=(kubectl("-n", "kube-system", "get", "lease", "kube-controller-manager", "-o", "yaml"),),
        )


def requests_sentence(case: NodeCase) -> str:
    """Say what the CSRs tell; empty where none waits."""
    if not case.requests:
        return ""
    states = sorted({r.state for r in case.requests})
    count = len(case.requests)
    what = f"{count} CSR{'' if count == 1 else 's'} of kubelets for client certificates {'is' if count == 1 else 'are'}"
    return f" {what} {', '.join(states)}: the kubelets reach the API server and wait for a certificate."
