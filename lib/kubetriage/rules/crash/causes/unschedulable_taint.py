"""Every node that could take the pod has a taint that it does not tolerate, or is cordoned.

Meaning: the nodes are reserved, being drained, or not ready: the control plane taints nodes that it lost, too.

Told by: ``untolerated taint`` (in older schedulers with the taint itself) or ``were unschedulable`` as the
scheduler's main reason; the nodes' own taints, compared with the pod's tolerations, name which. It is the main reason,
too, when only nodes with a taint have the labels or devices that the pod asks for, however few they are.

Fix: uncordon or repair the node, remove the taint, or add a toleration to the workload's pod template when the pod
belongs there.

Source: scheduler plugins TaintToleration, NodeUnschedulable; well-known taints node.kubernetes.io/*.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Evidence, Finding, Fix
from kubetriage.rules.crash import scheduling
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.scheduling import Block, Unscheduled
from kubetriage.values.fields import name_of, text
from kubetriage.values.patterns import lazy

CODE = "UnschedulableTaint"

needs = scheduling.needs

# "{key: value}" of schedulers that name the taint themselves.
_NAMED = lazy(r"taint \{(?P<taint>[^}]*)\}")
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
    message += "; ".join(parts[:3]) + "." + (f" {meaning}" if meaning else "")
    yield found.finding(CODE, message, (_fix(case, by_taint),), tuple(evidence), verify=("kubectl describe nodes",))


def _unseen(found: Unscheduled, total: str) -> Finding:
    """Say what the scheduler's words alone tell: the taint in older versions, only that there is one in newer."""
    case, many = found.case, found.total > 1
    if "unschedulable" in found.head.words:
        message = f"{total} {'are' if many else 'is'} cordoned."
        return found.finding(CODE, message, (Fix("Make a node schedulable again: kubectl uncordon NODE."),))
    named = _NAMED.search(found.head.words)
    key, _, value = named["taint"].partition(":") if named else ("", "", "")
    value = value.strip()
    taint = f" {key}{'=' + value if value else ''}" if key else ""
    meaning = _meaning([key])
    message = f"{total} {'have' if many else 'has'} taint{taint}, and the pod does not tolerate it. {meaning}".strip()
    words = f"Tolerate it in {case.workload_name} if its pods belong there, or use other nodes."
    if key in _LOST or key in _PRESSURE:
        words = "Repair the nodes; the taint goes when they are well (kubectl node-triage)."
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
    if key in _LOST:
        return Fix(f"Repair {scheduling.some(nodes)}; kubectl node-triage {nodes[0]} tells what is wrong there.")
    if key == scheduling.CORDON:
        return Fix(f"Make a node schedulable again: kubectl uncordon {nodes[0]}.")
    if key in _PRESSURE:
        return Fix(f"Free resources on {scheduling.some(nodes)}; the taint goes with the pressure.")
    toleration = {"key": key, "operator": "Equal" if value else "Exists", "effect": effect}
    if value:
        toleration["value"] = value
    kept = [dict(t) for t in _own_tolerations(case)]
    return case.template_fix(
        f"Tolerate {taint} in {case.workload_name} if its pods belong there, or remove the taint: kubectl taint node "
        f"{nodes[0]} {key}:{effect}-.",
        # Tolerations have no merge key: the patch holds the whole list.
        {"tolerations": [*kept, toleration]},
    )


def _own_tolerations(case: Case) -> list[dict[str, object]]:
    """Return the tolerations of the pod without those that admission added (300 s for lost nodes)."""
    spec = case.pod.raw.get("spec")
    given = spec.get("tolerations") if isinstance(spec, dict) else None
    found = [dict(t) for t in given if isinstance(t, dict)] if isinstance(given, list) else []
    return [t for t in found if not (text(t, "key") in _LOST and t.get("tolerationSeconds") == 300)]
