"""A drain of the node does not finish, or needs more flags.

Meaning: an eviction that a PodDisruptionBudget refuses is tried again every 5 s, for ever; a deletion that does not
finish is waited for. A pod without a controller or with an emptyDir makes kubectl drain stop before it begins.

Told by: the status of the budgets over the pods of this node (expectedPods, desiredHealthy, currentHealthy,
disruptionsAllowed), held against the rules of the eviction subresource; pods whose deletion is overdue; owners and
volumes of the pods. Looked at for a cordoned node, and for any with --drain.

Fix: by what refuses: make the unhealthy pods healthy, scale up or loosen the budget where it can never allow anything,
part budgets that overlap, end what hangs. Deleting a pod goes past its budget and is an outage.

Source: kubernetes pkg/registry/core/pod/storage/eviction.go, pkg/controller/disruption; kubectl pkg/drain;
kubernetes.io/docs/tasks/run-application/configure-pdb.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.pods import Pod
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.drain import Block, Drain, drain_at
from kubetriage.rules.node.eviction_timetable import Row
from kubetriage.rules.node.failover import deployment_of
from kubetriage.rules.node.kept_budgets import keeper_of
from kubetriage.rules.node.node_taints import taint
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text, texts
from kubetriage.values.patterns import lazy
from kubetriage.values.times import human_duration, parse_time

CODE = "DrainBlocked"

_TAKES = timedelta(minutes=10)
"""A drain that nothing holds up is done by then; before, the cordon may be all that was wanted."""


def check(case: NodeCase) -> Iterator[Finding]:
    """Match what refuses an eviction, hangs, or needs a flag."""
    drain = drain_at(case)
    if drain is None or not (drain.blocks or drain.stuck or drain.lonely or drain.local):
        return
    blocked = bool(drain.blocks or drain.stuck)
    under_way = case.drain or bool(drain.stuck or case.remediations) or _held(case)
    ends = "does not finish" if under_way else "would not finish"
    head = f"A drain of {case.name} {ends if blocked else 'needs flags'}."
    said = " ".join((head, *map(_block, drain.blocks[:3]), *_hangs(case, drain), *_losses(drain)))
    evidence = [b.evidence() for block in drain.blocks[:4] for b in block.budgets]
    evidence += [_refusal(b) for block in drain.blocks for b in block.budgets if b.refusal]
    evidence += [_stuck_evidence(row) for row in drain.stuck[:3]]
    evidence += [Evidence("spec", f"pod {_name(p)}", "no controller") for p in drain.lonely[:3]]
    evidence += [Evidence("spec", f"pod {_name(p)} spec.volumes", "emptyDir") for p in drain.local[:3]]
    yield Finding(
        CODE,
        Severity.WARNING if blocked and under_way else Severity.NOTE,
        Confidence.CONFIRMED,
        case.ref,
        said,
        tuple(evidence),
        (RuledOut("DaemonSet", f"{len(drain.daemons)} pods of DaemonSets stay and hold nothing up"),)
        if drain.daemons
        else (),
        tuple(_fixes(case, drain)),
        (
            kubectl("get", "pods", "-A", "--field-selector", f"spec.nodeName={case.name}"),
            *(kubectl("get", "poddisruptionbudgets", namespace=b.pods[0].namespace) for b in drain.blocks[:1]),
        ),
        {
            "refused": sum(len(b.pods) for b in drain.blocks),
            "withoutController": len(drain.lonely),
            "emptyDir": len(drain.local),
            "stuck": len(drain.stuck),
        },
    )


def _held(case: NodeCase) -> bool:
    """Tell whether the cordon is older than a drain takes; one of which the time is not known counts as old."""
    added = parse_time(taint(case.node, "node.kubernetes.io/unschedulable").get("timeAdded"))
    return added is None or case.now - added > _TAKES


def _name(pod: Pod) -> str:
    return f"{pod.namespace}/{pod.name}"


def _names(pods: Sequence[Pod]) -> str:
    more = f" and {len(pods) - 2} more" if len(pods) > 2 else ""
    return f"{', '.join(map(_name, pods[:2]))}{more}"


def _block(block: Block) -> str:
    """Say why evictions are refused, with the arithmetic."""
    budget, pods = block.budget, _names(block.pods)
    if block.kind == "overlap":
        names = " and ".join(b.name for b in block.budgets)
        return f"More than one PodDisruptionBudget covers {pods}: {names}. The API server refuses that as an error."
    if block.kind == "uncounted":
        return f"PodDisruptionBudget {budget.name} over {pods} allows nothing: its controller cannot count its pods."
    if block.kind == "unread":
        return f"PodDisruptionBudget {budget.name} over {pods} was changed and is not counted yet."
    why = {
        "never": " All are healthy: it can never allow one.",
        "unhealthy": f" Not healthy: {_names(block.unhealthy)}." if block.unhealthy else "",
        "busy": " Another eviction is under way.",
    }[block.kind]
    return f"PodDisruptionBudget {budget.name} refuses {pods}. {budget.arithmetic()}.{why}"


def _refusal(budget: object) -> Evidence:
    name, words = getattr(budget, "name", ""), getattr(budget, "refusal", "")
    return Evidence("status", f"poddisruptionbudget {name} condition DisruptionAllowed", words)


def _hangs(case: NodeCase, drain: Drain) -> Iterator[str]:
    if drain.stuck:
        yield f"Deletion hangs: {', '.join(f'{_name(r.pod)} ({_why(case, r)})' for r in drain.stuck[:3])}."


def _why(case: NodeCase, row: Row) -> str:
    if finalizers := texts(row.pod.raw, "metadata", "finalizers"):
        return f"finalizer {finalizers[0]}"
    return "its kubelet is silent" if case.contact.silent else "its containers do not end"


def _stuck_evidence(row: Row) -> Evidence:
    pod = row.pod
    finalizers = ", ".join(texts(pod.raw, "metadata", "finalizers"))
    words = f"deleted {text(pod.raw, 'metadata', 'deletionTimestamp')}" + (f", {finalizers}" if finalizers else "")
    return Evidence("status", f"pod {_name(pod)} metadata", words, text(pod.raw, "metadata", "deletionTimestamp"))


def _losses(drain: Drain) -> Iterator[str]:
    if drain.lonely:
        yield f"Without a controller, so lost for good: {_names(drain.lonely)}."
    if drain.local:
        yield f"Data in emptyDir is lost: {_names(drain.local)}."


def _fixes(case: NodeCase, drain: Drain) -> Iterator[Fix]:
    for block in drain.blocks[:3]:
        yield from _loosen(case, block)
    for row in drain.stuck[:2]:
        yield _free(case, row)
    if drain.lonely:
        pod = drain.lonely[0]
        yield Fix(
            "Nothing makes a pod without a controller again: keep its manifest first, or ask its owner.",
            actor=Actor.MANIFEST,
            commands=(kubectl("get", "pod", pod.name, "-o", "yaml", namespace=pod.namespace),),
        )
    if drain.blocks:
        yield Fix(
            "Do not use kubectl delete pod or --disable-eviction instead: both go past the budget, so the service that"
            " it guards may stop."
        )
    then = "Then drain" if drain.blocks or drain.stuck else "Drain"
    lost = " It deletes what is named above as lost." if drain.lonely or drain.local else ""
    yield Fix(f"{then}: the command ends when all have left.{lost}", actor=Actor.CLUSTER, commands=(drain.command,))


def _loosen(case: NodeCase, block: Block) -> Iterator[Fix]:
    budget = block.budget
    namespace, _, name = budget.name.partition("/")
    show = kubectl(
        "get",
        "poddisruptionbudget",
        *(b.name.partition("/")[2] for b in block.budgets),
        "-o",
        "yaml",
        namespace=namespace,
    )
    loose = kubectl(
        *("patch", "poddisruptionbudget", name, "--type=merge", "-p"),
        '{"spec":{"minAvailable":null,"maxUnavailable":1}}',
        namespace=namespace,
    )
    if block.kind == "overlap":
        yield Fix(
            "Let one budget only select these pods: narrow or delete the other.", actor=Actor.MANIFEST, commands=(show,)
        )
    elif block.kind == "unhealthy" and block.unhealthy:
        sick = block.unhealthy[0]
        yield Fix(
            f"Make {_names(block.unhealthy)} healthy: then the budget allows evictions again.",
            actor=Actor.APP,
            commands=(kubectl("why-crash", sick.name, "-n", sick.namespace),),
        )
        if budget.policy != "AlwaysAllow" and any(p.node == case.name for p in block.unhealthy):
            patch = '{"spec":{"unhealthyPodEvictionPolicy":"AlwaysAllow"}}'
            yield Fix(
                "Or let pods that are not ready leave at once: unhealthyPodEvictionPolicy AlwaysAllow.",
                actor=Actor.MANIFEST,
                commands=(
                    kubectl("patch", "poddisruptionbudget", name, "--type=merge", "-p", patch, namespace=namespace),
                ),
            )
    elif block.kind == "never" and (kept := keeper_of(budget.name)) is not None:
        yield Fix(f"{kept.says} {kept.fix}", actor=Actor.CLUSTER, commands=kept.commands)
    elif block.kind == "never":
        yield from _never(block, loose)
    elif block.kind == "uncounted":
        yield Fix(
            f"Mend what its controller says: {budget.refusal.rstrip('.')}. Pods whose controller has no scale"
            " subresource need minAvailable as a number.",
            actor=Actor.MANIFEST,
            commands=(show,),
        )
    elif block.kind == "unread":
        yield Fix("See that the controller-manager runs: it counts budgets.", commands=(kubectl("plane-trace"),))
    else:
        yield Fix("Wait for the other eviction: its replacement must be ready first.", commands=(show,))


def _never(block: Block, loose: str) -> Iterator[Fix]:
    pod, expected = block.pods[0], block.budget.count("expectedPods")
    kind, name = text(pod.controller, "kind"), text(pod.controller, "name")
    if deployment := deployment_of(pod):
        kind, name = "Deployment", deployment
    # A percentage of all rises with the number of pods; a number does not.
    rises = "100%" in block.budget.asks or block.budget.asks.endswith(" 0") or block.budget.asks.endswith(" 0%")
    enough = _enough(block.budget.asks, expected)
    if kind in ("Deployment", "StatefulSet", "ReplicaSet") and not rises and enough:
        scale = kubectl("scale", f"{kind.lower()}/{name}", f"--replicas={enough}", namespace=pod.namespace)
        more = "one more" if enough == expected + 1 else f"{enough - expected} more"
        yield Fix(
            f"Run {more} while it drains, if the program may run {enough} times; scale back after it.",
            actor=Actor.APP,
            commands=(scale,),
        )
        start = "Or let"
    else:
        start = "Let"
    outage = " With one replica each eviction is a short outage." if expected == 1 else ""
    yield Fix(
        f"{start} the budget allow one at a time: {block.budget.asks} keeps every pod for ever.{outage}",
        actor=Actor.MANIFEST,
        commands=(loose,),
    )


_PERCENT = lazy(r"minAvailable (\d{1,2})%")
_MANY = 6
"""Pods up to which scaling for a drain is a sane proposal."""


def _enough(asks: str, expected: int) -> int:
    """Return how many pods a budget needs to let one go; 0 where that would be too many. Percentages round up."""
    percent = _PERCENT.search(asks)
    if percent is None:
        return expected + 1
    fits = (n for n in range(expected + 1, _MANY + 1) if n - -(-n * int(percent[1]) // 100) >= 1)
    return next(fits, 0)


def _free(case: NodeCase, row: Row) -> Fix:
    pod = row.pod
    show = kubectl("get", "pod", pod.name, "-o", "yaml", namespace=pod.namespace)
    if finalizers := texts(pod.raw, "metadata", "finalizers"):
        return Fix(
            f"{_name(pod)} waits for the controller of finalizer {finalizers[0]}: bring that back. Taken off by hand,"
            " what it cleans up stays.",
            actor=Actor.CLUSTER,
            commands=(show,),
        )
    if case.contact.silent:
        return Fix(
            f"{_name(pod)} goes when its kubelet answers or the machine is proven off: see the lost contact first.",
            actor=Actor.NODE,
            commands=(kubectl("node-triage", case.name),),
        )
    over = f" It is {human_duration(case.now - row.at)} over its time." if row.at and row.at < case.now else ""
    return Fix(
        f"See why the containers of {_name(pod)} do not end: a preStop hook, a volume that does not unmount, a hanging"
        f" runtime.{over}",
        actor=Actor.NODE,
        commands=(kubectl("why-crash", pod.name, "-n", pod.namespace), *case.machine.lines("containers")),
    )
