"""Machines that were ordered and are no Nodes: in come NodeClaims and Machines of a recording, out go findings.

Karpenter's NodeClaims (karpenter.sh) go through Launched, Registered and Initialized; the Machines of Cluster API and
of OpenShift have a phase and an error.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, RuledOut, Severity
from kubetriage.records import dataclass
from kubetriage.rules.node.machine_owner import owners
from kubetriage.rules.node.machine_refusals import JOINED, LAUNCHED, known
from kubetriage.snapshot import Snapshot
from kubetriage.values.commands import Command, kubectl, shell
from kubetriage.values.fields import Obj, condition, labels, name_of, namespace_of, text
from kubetriage.values.times import parse_time

_GROUPS = ("karpenter.sh", "cluster.x-k8s.io", "machine.openshift.io")
_DONE = ("Running", "Provisioned", "Deleting", "Deleted")
_YOUNG = 300.0
"""Seconds in which a cloud boots a machine."""


@dataclass(frozen=True)
class Failing:
    """One step of a machine that is not done."""

    code: str
    what: str
    """What did not happen, in words."""
    reason: str
    message: str
    at: str
    """Where it stands."""


def ordered(snapshot: Snapshot) -> tuple[Obj, ...]:
    """Return the orders of machines that a dump or text holds."""
    return tuple(
        o
        for o in snapshot.others
        if text(o, "apiVersion").rpartition("/")[0] in _GROUPS and text(o, "kind") in ("NodeClaim", "Machine")
    )


def order_findings(snapshot: Snapshot) -> Iterator[Finding]:
    """Judge each order that is not done."""
    for order in ordered(snapshot):
        failing = _step(order)
        if failing is not None:
            yield _finding(snapshot, order, failing)


def _step(order: Obj) -> Failing | None:
    if text(order, "kind") == "NodeClaim":
        return _claim_step(order)
    phase = text(order, "status", "phase")
    said = text(order, "status", "errorMessage") or text(order, "status", "failureMessage")
    reason = text(order, "status", "errorReason") or text(order, "status", "failureReason")
    if said or phase == "Failed":
        return Failing(
            LAUNCHED, "was not made", reason or phase, said, "status.errorMessage" if said else "status.phase"
        )
    ready = next(
        (c for k in ("InfrastructureReady", "Ready") if text(c := condition(order, k), "status") == "False"), {}
    )
    if ready and phase not in _DONE:
        at = f"status.conditions[{text(ready, 'type')}]"
        return Failing(LAUNCHED, "is not made", text(ready, "reason"), text(ready, "message"), at)
    return None


_STEPS = (
    ("Launched", LAUNCHED, "was not launched"),
    ("Registered", JOINED, "was launched and has not joined the cluster"),
    ("Initialized", JOINED, "has joined and is not ready for pods"),
)
"""Conditions of a NodeClaim (karpenter.sh/v1beta1 and v1) in their order."""


def _claim_step(order: Obj) -> Failing | None:
    for kind, code, what in _STEPS:
        found = condition(order, kind)
        if found and text(found, "status") != "True":
            at = f"status.conditions[{kind}]"
            return Failing(code, what, text(found, "reason"), text(found, "message"), at)
    return None


def _finding(snapshot: Snapshot, order: Obj, failing: Failing) -> Finding:
    kind, name, place = text(order, "kind"), name_of(order), namespace_of(order)
    shown = f"{kind.lower()}/{name}"
    ref = Ref(kind, place, name)
    said = ": ".join(part for part in (failing.reason, failing.message) if part)
    row, ends = known(said)
    state = f"{shown} {failing.what}" + (f": {row['why']}" if row else "")
    look = kubectl("describe", f"{kind.lower()}.{text(order, 'apiVersion').rpartition('/')[0]}", name, namespace=place)
    fix: tuple[Fix, ...]
    if row:
        fix = (Fix(ends, actor=Actor(row["actor"]), commands=_of_pool(order)),)
    elif failing.code == JOINED:
        fix = _joining(order)
    else:
        fix = (Fix(f"Act on what the maker of {shown} says", actor=Actor.CLOUD, commands=(look, *_of_pool(order))),)
    made = parse_time(text(order, "metadata", "creationTimestamp"))
    age = (snapshot.now - made).total_seconds() if made is not None else _YOUNG
    young = snapshot.dated and 0 <= age < _YOUNG and not row
    return Finding(
        failing.code,
        Severity.NOTE if young else Severity.ERROR,
        Confidence.CONFIRMED if row or failing.code == JOINED else Confidence.LIKELY,
        ref,
        f"{state}." + (f" Its maker says: {said.rstrip('.')}." if said else ""),
        (Evidence("status", f"{shown} {failing.at}", said or "not True"),),
        (RuledOut("NodeNotReady", "there is no Node of it that could be"),) if failing.what != _STEPS[2][2] else (),
        fix,
        (kubectl("get", kind.lower() + "s", "-o", "wide", namespace=place),),
        {"reason": failing.reason} if failing.reason else {},
    )


def _joining(order: Obj) -> tuple[Fix, ...]:
    """Say how to find out why a kubelet never registered, and what ends each of the usual reasons."""
    provider = text(order, "status", "providerID") or text(order, "spec", "providerID")
    instance = provider.rpartition("/")[2]
    aws = provider.startswith("aws:")
    looks: tuple[Command, ...] = tuple(c for o in owners({"spec": {"providerID": provider}}) for c in o.look)
    if aws and instance:
        looks = (
            shell("aws", "ec2", "get-console-output", "--instance-id", instance, "--latest", "--output", "text"),
            shell("aws", "ssm", "start-session", "--target", instance),
        )
    admit = (
        "give the nodes' role an access entry of type EC2_LINUX (or a line in ConfigMap aws-auth)"
        if aws
        else "give the machine a valid bootstrap token or identity"
    )
    return (
        Fix(
            "Read the machine's console and its kubelet's log (journalctl -u kubelet), and give that to kubectl"
            " node-triage --from. The order alone does not tell why the kubelet never registered.",
            actor=Actor.NODE,
            commands=looks,
        ),
        Fix(
            f"Unauthorized in that log: {admit}. A timeout or a name that does not resolve: open the way from its"
            " subnet to the API server's endpoint (route, security group, private endpoint). No kubelet at all: the"
            " image or its userData is not for this cluster or version.",
            actor=Actor.CLOUD,
        ),
    )


def _of_pool(order: Obj) -> tuple[Command, ...]:
    pool = labels(order, "metadata", "labels").get("karpenter.sh/nodepool", "")
    kind = text(order, "spec", "nodeClassRef", "kind").lower()
    name = text(order, "spec", "nodeClassRef", "name")
    return (
        *((kubectl("get", "nodepool", pool, "-o", "yaml"),) if pool else ()),
        *((kubectl("describe", kind, name),) if kind and name else ()),
    )
