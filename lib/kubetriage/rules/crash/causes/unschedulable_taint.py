"""Every node that could take the pod has a taint that it does not tolerate, or is cordoned.

Meaning: the nodes are reserved, being drained, or not ready: the control plane taints nodes that it lost, too.

Told by: ``untolerated taint`` (in older schedulers with the taint itself) or ``were unschedulable`` as the
scheduler's main reason; the nodes' own taints, compared with the pod's tolerations, name which. It is the main reason,
too, when only nodes with a taint have the labels or devices that the pod asks for, however few they are. A taint that
a controller takes off (cloud provider, network or storage agent, Karpenter, autoscaler) leads to that controller's
pods and to their own cause.

Fix: uncordon or repair the node, repair the controller that takes the taint off, or, for nodes that are reserved, add
a toleration to the workload's pod template when the pod belongs there.

Source: scheduler plugins TaintToleration, NodeUnschedulable; well-known taints node.kubernetes.io/*.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Finding, Fix
from kubetriage.needs import Need
from kubetriage.readers.pods import Pod
from kubetriage.readers.taint_controllers import controller_of_taint
from kubetriage.records import replace
from kubetriage.rules.crash import managed_taints, scheduling
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.managed_taints import ManagedTaint
from kubetriage.rules.crash.scheduling import Block, Unscheduled
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.fields import name_of, text
from kubetriage.values.patterns import lazy

CODE = "UnschedulableTaint"


def needs(case: Case) -> Iterator[Need]:
    """Ask for the nodes, and for the pods of the controllers that own their taints."""
    yield from scheduling.needs(case)
    yield from managed_taints.needs(list(_keys(case)))


def leads_to(case: Case) -> Iterator[Pod]:
    """Yield the pods of the controllers that own the nodes' taints."""
    yield from managed_taints.leads_to(case, _keys(case))


def _keys(case: Case) -> dict[str, list[str]]:
    """Return the keys of the taints that keep the pod away, each with its nodes."""
    found = scheduling.unscheduled(case, Block.TAINT)
    if found is None:
        return {}
    named = _NAMED.search(found.head.words)
    by_taint = _untolerated(found) or ({named["taint"].partition(":")[0]: []} if named else {})
    return {taint.partition(":")[0].partition("=")[0]: nodes for taint, nodes in by_taint.items()}


# "{key: value}" of schedulers that name the taint themselves.
_NAMED = lazy(r"taint \{(?P<taint>[^{}]{0,400})\}")
_LOST = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")
_PRESSURE = (
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/pid-pressure",
)


def check(case: Case) -> Iterator[Finding]:
    """Name the taints, and what each of them means."""
    found = scheduling.unscheduled(case, Block.TAINT)
    if found is None:
        return
    by_taint = _untolerated(found)
    evidence = [Evidence("spec", f"node/{', '.join(nodes[:3])} taint", taint) for taint, nodes in by_taint.items()]
    total = f"{found.head.nodes} of {found.total} nodes" if found.total > 1 else "The only node"
    if not by_taint:
        yield _unseen(found, total)
        return
    parts = [f"{taint} ({scheduling.some(nodes)})" for taint, nodes in by_taint.items()]
    meaning = _meaning(list(by_taint))
    message = f"{total} {'have' if found.total > 1 else 'has'} a taint that the pod does not tolerate: "
    if found.reserved:
        names = scheduling.some([name_of(n) for n in found.reserved])
        message = f"Only {names} would fit the pod, which does not tolerate the taint there: "
    message += "; ".join(parts[:3]) + "."
    owned = _owned(case, by_taint)
    if owned is not None:
        yield _waits_for(found, message, owned, tuple(evidence))
        return
    message += f" {meaning}" if meaning else ""
    yield found.finding(CODE, message, (_fix(case, by_taint),), tuple(evidence), verify=("kubectl describe nodes",))


def _owned(case: Case, by_taint: dict[str, list[str]]) -> ManagedTaint | None:
    """Return the taint of a controller that keeps the pod from most nodes, unless nodes have another one as well."""
    for taint, nodes in by_taint.items():
        found = managed_taints.managed(case, taint, nodes)
        if found is not None:
            others = {n for t, names in by_taint.items() if t != taint and not _same_chain(t) for n in names}
            return found if set(nodes) - others else None
        if not _usual(taint):
            return None
    return None


def _same_chain(taint: str) -> bool:
    """Tell whether a taint goes when the node is set up: another controller's, or that of a node not ready yet."""
    key = taint.partition(":")[0].partition("=")[0]
    return controller_of_taint(key) is not None or key in _LOST


def _usual(taint: str) -> bool:
    return taint.partition(":")[0].partition("=")[0] in scheduling.CONTROL_PLANE_TAINTS or _same_chain(taint)


def _waits_for(found: Unscheduled, message: str, owned: ManagedTaint, evidence: tuple[Evidence, ...]) -> Finding:
    """Name the controller at the end of the chain; its cause leads the message."""
    if owned.root is not None:
        root = owned.root
        message = (
            f"{owned.controller.subject} ({root.kind.lower()} {root.namespace}/{root.name}, {root.cause}) "
            "does not work, "
            f"so {scheduling.some(list(owned.nodes))} keep{'s' if len(owned.nodes) == 1 else ''} its taint "
            f"{owned.taint}. "
            f"{root.message}"
        )
    else:
        message += f" {owned.message}"
    made = found.finding(CODE, message, (owned.fix,), (*evidence, *owned.evidence), verify=("kubectl describe nodes",))
    return replace(made, details={**made.details, "root": owned.root.details}) if owned.root is not None else made


def _unseen(found: Unscheduled, total: str) -> Finding:
    """Say what the scheduler's words alone tell: the taint in older versions, only that there is one in newer."""
    case, many = found.case, found.total > 1
    if "unschedulable" in found.head.words:
        message = f"{total} {'are' if many else 'is'} cordoned."
        fix = Fix(
            "Make a node schedulable again, once the reason why it was cordoned is gone.",
            actor=Actor.CLUSTER,
            commands=(kubectl("uncordon", placeholder("node")),),
        )
        return found.finding(CODE, message, (fix,))
    named = _NAMED.search(found.head.words)
    key, _, value = named["taint"].partition(":") if named else ("", "", "")
    value = value.strip()
    taint = f" {key}{'=' + value if value else ''}" if key else ""
    meaning = _meaning([key])
    message = f"{total} {'have' if many else 'has'} taint{taint}, and the pod does not tolerate it. {meaning}".strip()
    owned = managed_taints.managed(case, key, []) if key else None
    if owned is not None:
        return _waits_for(found, message, owned, ())
    words = f"Tolerate it in {case.workload_name} if its pods belong there, or use other nodes."
    if key in _LOST or key in _PRESSURE:
        words = "Repair the nodes; the taint goes when they are ready and no longer short of resources."
        fix = Fix(words, actor=Actor.NODE, commands=(kubectl("node-triage"),))
        return found.finding(CODE, message, (fix,), verify=("kubectl describe nodes",))
    return found.finding(CODE, message, (case.template_fix(words),), verify=("kubectl describe nodes",))


def _untolerated(found: Unscheduled) -> dict[str, list[str]]:
    """Return the taints that keep the pod away, each with its nodes, the commonest first."""
    by_taint: dict[str, list[str]] = {}
    for node in found.reserved or found.nodes.items:
        for taint in scheduling.untolerated(found.case.pod, node):
            by_taint.setdefault(scheduling.taint_text(taint), []).append(name_of(node))
    return dict(sorted(by_taint.items(), key=lambda item: -len(item[1])))


def _meaning(taints: list[str]) -> str:
    keys = {t.split(":")[0].split("=")[0] for t in taints}
    if keys & set(_LOST):
        return "The control plane has lost such a node or its kubelet is not ready."
    if scheduling.CORDON in keys:
        return "Such a node is cordoned."
    if keys & set(_PRESSURE):
        return "Such a node is short of memory, disk or process ids."
    return ""


def _fix(case: Case, by_taint: dict[str, list[str]]) -> Fix:
    taint, nodes = next(iter(by_taint.items()))
    key, _, effect = taint.rpartition(":")
    key, _, value = key.partition("=")
    some = scheduling.some(nodes)
    if key in _LOST:
        look = tuple(kubectl("node-triage", node) for node in nodes[:2])
        return Fix(f"Repair {some}: node-triage shows the fault there.", actor=Actor.NODE, commands=look)
    if key == scheduling.CORDON:
        words = f"Make {nodes[0]} schedulable again, once the reason why it was cordoned is gone."
        return Fix(words, actor=Actor.CLUSTER, commands=(kubectl("uncordon", nodes[0]),))
    if key in _PRESSURE:
        return Fix(f"Free resources on {some}; the taint goes with the pressure.", actor=Actor.NODE)
    toleration = {"key": key, "operator": "Equal" if value else "Exists", "effect": effect}
    if value:
        toleration["value"] = value
    kept = [dict(t) for t in _own_tolerations(case)]
    return case.template_fix(
        f"Tolerate {taint} in {case.workload_name} if its pods belong there. Or remove the taint from {nodes[0]} if "
        "no team reserved it.",
        # Tolerations have no merge key: the patch holds the whole list.
        {"tolerations": [*kept, toleration]},
        commands=(kubectl("taint", "node", nodes[0], f"{key}:{effect}-"),),
    )


def _own_tolerations(case: Case) -> list[dict[str, object]]:
    """Return the tolerations of the pod without those that admission added (300 s for lost nodes)."""
    spec = case.pod.raw.get("spec")
    given = spec.get("tolerations") if isinstance(spec, dict) else None
    found = [dict(t) for t in given if isinstance(t, dict)] if isinstance(given, list) else []
    return [t for t in found if not (text(t, "key") in _LOST and t.get("tolerationSeconds") == 300)]
