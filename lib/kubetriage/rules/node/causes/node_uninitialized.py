"""A node is Ready and takes no pods: a taint stays that a controller must remove.

Meaning: the kubelet works, and whoever had to prepare the node has not done so: the cloud controller manager has not
given it providerID and addresses, a CSI driver, a network agent or Karpenter has not reported. Every pod without a
matching toleration stays Pending.

Told by: a taint that only a controller removes (data/taints.json), older
than two minutes, beside Ready=True; that
controller's pods and the last error of its log.

Fix: mend the controller in its own words (credentials, rights, name of the instance, network). Taking the taint off by
hand leaves a node without providerID, on which volumes and load balancers fail.

Source: kubernetes.io cloud-controller-manager administration; data/taints.json.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.pods import Pod
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.waiting_taints import (
    Waiting,
    complaint_kind,
    controller_pods,
    last_complaint,
    waiting_taints,
)
from kubetriage.values.commands import PIPE, kubectl
from kubetriage.values.fields import condition, text
from kubetriage.values.times import format_time, human_duration

CODE = "NodeUninitialized"

YOUNG = timedelta(minutes=2)
"""A new node carries such a taint for so long."""


def check(case: NodeCase) -> Iterator[Finding]:
    """Match a waiting taint beside a Ready kubelet."""
    if case.contact.ready != "True" or case.contact.silent:
        return
    for waiting in waiting_taints(case.node):
        # The condition of the same name says why, in its writer's own words.
        if waiting.key.endswith("/network-unavailable") and condition(case.node, "NetworkUnavailable"):
            continue
        yield _finding(case, waiting)


def _finding(case: NodeCase, waiting: Waiting) -> Finding:
    since = waiting.added or case.contact.created
    age = case.now - since if since else None
    young = age is not None and age < YOUNG
    pods = controller_pods(waiting, case.snapshot, case.name)
    words = next((w for p in pods if (w := last_complaint(case.snapshot, p, case.name))), "")
    evidence = [Evidence("spec", "spec.taints", f"{waiting.key}:{waiting.effect}", format_time(since) if since else "")]
    evidence += [Evidence("status", f"pod {p.namespace}/{p.name}", p.status_text()) for p in pods[:2]]
    if words:
        evidence.append(Evidence("log", f"{pods[0].namespace}/{pods[0].name}", words))
    if not text(case.node, "spec", "providerID") and "providerID" in waiting.by.missing:
        evidence.append(Evidence("spec", "spec.providerID", "not set"))
    others = case.cluster.taints.get(waiting.key, 0)
    reach = f" {others} of {len(case.cluster.nodes)} nodes have it." if others > 1 else ""
    span = f" for {human_duration(age)}" if age is not None else ""
    return Finding(
        CODE,
        Severity.NOTE if young else Severity.ERROR,
        Confidence.CONFIRMED if words or pods else Confidence.LIKELY,
        case.ref,
        f"{case.name} is Ready and takes no pods{span}: taint {waiting.key} waits for {waiting.by.name}."
        f" Missing until then: {waiting.by.missing}. {_state(pods, words, case, waiting)}{reach}",
        tuple(evidence),
        (RuledOut("KubeletNotReady", "the kubelet posts Ready"),),
        () if young else tuple(_fixes(case, waiting, pods, words)),
        (
            kubectl("get", "node", case.name, "-o", "jsonpath={.spec.providerID}{.spec.taints}"),
            kubectl("get", "pods", "-A", "-o", "wide", PIPE, "grep", waiting.by.word),
        ),
        {"taint": waiting.key, **({"reason": complaint_kind(words)} if complaint_kind(words) else {})},
    )


def _state(pods: list[Pod], words: str, case: NodeCase, waiting: Waiting) -> str:
    if words:
        return f"Its pod {pods[0].namespace}/{pods[0].name} says: {words.rstrip('.')}."
    if pods:
        return f"Its pod {pods[0].namespace}/{pods[0].name} is {pods[0].status_text()}."
    if _known_absent(case, waiting):
        return f"No pod of it is in {', '.join(waiting.by.namespaces)}."
    return "Its pods were not seen."


def _known_absent(case: NodeCase, waiting: Waiting) -> bool:
    """Tell whether the pods of the controller were looked for and are not there."""
    listing = case.snapshot.list("pods", waiting.by.namespaces[0])
    return listing.complete and not listing.presumed


def _fixes(case: NodeCase, waiting: Waiting, pods: list[Pod], words: str) -> Iterator[Fix]:
    where = pods[0].namespace if pods else waiting.by.namespaces[0]
    who = waiting.by.name
    secret = waiting.by.secret
    log = (
        kubectl("logs", pods[0].name, "--tail=100", namespace=where)
        if pods
        else kubectl("get", "pods", namespace=where)
    )
    kind = complaint_kind(words)
    if kind == "credentials":
        commands = (kubectl("get", "secret", secret, namespace=where),) if secret else ()
        yield Fix(
            f"Mend the credentials with which {who} authenticates (its cloud configuration or Secret), then restart"
            " it.",
            actor=Actor.CLUSTER,
            commands=(*commands, log, *_restart(pods)),
        )
    elif kind == "rights":
        yield Fix(
            f"Give {who} the rights that its log names, then restart it.",
            actor=Actor.CLOUD,
            commands=(log, *_restart(pods)),
        )
    elif kind == "identity":
        yield Fix(
            f"Let the Node's name be the instance's name, or give the kubelet its provider ID: {who} does not find the"
            " instance of this node.",
            actor=Actor.NODE,
            commands=(log,),
        )
    elif kind == "network":
        yield Fix(f"Open the way from {who} to what its log names.", actor=Actor.CLUSTER, commands=(log,))
    elif pods and not pods[0].ready:
        yield Fix(
            f"Bring {who} up: why-crash tells why its pod does not run.",
            actor=Actor.CLUSTER,
            commands=(kubectl("why-crash", pods[0].name, namespace=where), log),
        )
    elif not pods and not _known_absent(case, waiting):
        yield Fix(
            f"See whether {who} runs, and what its log says of this node"
            + (f" and of {waiting.by.asks}." if waiting.by.asks else "."),
            actor=Actor.CLUSTER,
            commands=(log, *(kubectl(*words) for words in waiting.by.look)),
        )
    elif not pods:
        yield Fix(
            f"Install {who}"
            + (
                ", or start kubelets without the flag that asks for it (--cloud-provider=external)."
                if "cloudprovider" in waiting.key
                else "."
            ),
            actor=Actor.CLUSTER,
            commands=(log,),
        )
    else:
        yield Fix(f"Read the log of {who} for this node's name.", actor=Actor.CLUSTER, commands=(log, *_restart(pods)))
    yield Fix(f"Leave the taint to its controller: taken off by hand, the node stays without {waiting.by.missing}.")


def _restart(pods: list[Pod]) -> tuple[str, ...]:
    owner = pods[0].controller if pods else {}
    kind, name = text(owner, "kind"), text(owner, "name")
    if kind in ("DaemonSet", "StatefulSet"):
        return (kubectl("rollout", "restart", f"{kind.lower()}/{name}", namespace=pods[0].namespace),)
    return (kubectl("delete", "pod", pods[0].name, namespace=pods[0].namespace),) if owner else ()
