"""No node has the labels that the pod asks for.

Meaning: ``nodeSelector`` or required node affinity of the pod matches no node that is otherwise usable.

Told by: ``didn't match Pod's node affinity/selector`` as the scheduler's main reason; the labels of the nodes tell
which requirement is not met, and whether a label or value with a similar name exists.

Fix: correct the selector in the workload's pod template, or label a node.

Source: scheduler plugin NodeAffinity; core/v1 PodSpec.nodeSelector, NodeAffinity.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Evidence, Finding
from kubetriage.rules.crash import scheduling
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.karpenter_words import pools
from kubetriage.rules.crash.scheduling import Block, Requirement, Unscheduled
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.fields import name_of
from kubetriage.values.nearest import nearest

CODE = "UnschedulableNodeSelector"

_OF_THE_KUBELET = frozenset(
    {
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "kubernetes.io/hostname",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "node.kubernetes.io/windows-build",
        "node.kubernetes.io/instance-type",
    }
)
"""Labels that say what a machine is (k8s.io/api well_known_labels): a node that is given another value is none."""

needs = scheduling.needs


def check(case: Case) -> Iterator[Finding]:
    """Name the requirement that no node meets."""
    found = scheduling.unscheduled(case, Block.SELECTOR)
    if found is None:
        return
    wanted = scheduling.node_requirements(case.pod)
    unmet = [w for w in wanted if not _met_somewhere(found, w)]
    choice = scheduling.affinity_terms(case.pod)
    asked = "; ".join(_text(w) for w in (unmet or wanted))
    if len(choice) > 1 and not unmet:
        asked += "; " * bool(asked) + " or ".join(" and ".join(_text(w) for w in term) for term in choice)
    seen = case.snapshot.covers(case.pod.raw, "spec.nodeSelector") or asked
    asked = asked or ("one node by name" if seen else "the pod's node selector or node affinity, which were not seen")
    message = f"No node has {asked}" if unmet else f"No node meets all of: {asked}"
    if not seen or not found.nodes.items:
        message = f"No node matches {asked}"
    near = [_near(found, w) for w in unmet]
    message += "." + "".join(f" {n}" for n in near if n)
    evidence = [Evidence("spec", "spec.nodeSelector", asked)] if wanted else []
    for key in dict.fromkeys(w[0] for w in unmet):
        values = _values(found, key)
        shown = ", ".join(f"{v} ({scheduling.some(nodes)})" for v, nodes in sorted(values.items())[:5])
        if found.nodes.items:
            evidence.append(Evidence("status", f"nodes label {key}", shown or "on no node"))
    own = [k for k, _, _ in unmet if k in _OF_THE_KUBELET]
    label = next((f"{k}={v[0]}" for k, op, v in unmet if op == "In" and v and not own), "")
    node = next((name_of(n) for n in found.nodes.items if not scheduling.taints(n)), "NODE")
    words = f"Correct nodeSelector or node affinity in {case.workload_name}" + (
        f", or label a node: {kubectl('label', 'node', node, label)}."
        if label
        else f", or add a node that has it: the kubelet itself sets {own[0]}."
        if own
        else "."
    )
    pool = next((p for p in pools(case)[0] if p.label and p.label in {w[0] for w in unmet}), None)
    if pool is not None:
        value = next((w[2][0] for w in unmet if w[0] == pool.label and w[1] == "In" and w[2]), placeholder("value"))
        words = (
            f"Correct nodeSelector or node affinity in {case.workload_name}, or give NodePool {pool.name} the label in "
            f"spec.template.metadata.labels ({pool.label}: {value}), so that Karpenter makes nodes that have it."
        )
        fix = case.template_fix(words, _patch(found, unmet), commands=(kubectl("edit", "nodepool", pool.name),))
        yield found.finding(CODE, message, (fix,), tuple(evidence), verify=(kubectl("get", "nodepools,nodeclaims"),))
        return
    yield found.finding(
        CODE,
        message,
        (case.template_fix(words, _patch(found, unmet)),),
        tuple(evidence),
        verify=(kubectl("get", "nodes", "-L", wanted[0][0]),) if wanted else ("kubectl get nodes --show-labels",),
    )


def _text(requirement: Requirement) -> str:
    key, operator, values = requirement
    if operator == "In":
        return f"{key}={values[0]}" if len(values) == 1 else f"{key} in ({', '.join(values)})"
    return f"{key} {operator}" + (f" ({', '.join(values)})" if values else "")


def _met_somewhere(found: Unscheduled, requirement: Requirement) -> bool:
    return any(scheduling.meets(node, requirement) for node in found.nodes.items)


def _values(found: Unscheduled, key: str) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for node in found.nodes.items:
        have = scheduling.node_labels(node)
        if key in have:
            values.setdefault(have[key], []).append(name_of(node))
    return values


def _near(found: Unscheduled, requirement: Requirement) -> str:
    key, _, wanted = requirement
    values = _values(found, key)
    if values:
        close = nearest(wanted[0], values) if wanted else ""
        shown = close or ", ".join(sorted(values)[:3])
        return f"Nodes have {key}={shown}."
    if not found.nodes.items:
        return ""
    keys = {k for n in found.nodes.items for k in scheduling.node_labels(n)}
    close = nearest(key, keys)
    return f"Nodes have the label {close}." if close else ""


def _patch(found: Unscheduled, unmet: list[Requirement]) -> dict[str, object] | None:
    """Correct one mistyped value of a plain node selector."""
    if len(unmet) != 1 or unmet[0][1] != "In" or len(unmet[0][2]) != 1:
        return None
    key, _, wanted = unmet[0]
    close = nearest(wanted[0], _values(found, key))
    own = found.case.pod.raw.get("spec")
    selector = own.get("nodeSelector") if isinstance(own, dict) else None
    if not close or not isinstance(selector, dict) or key not in selector:
        return None
    return {"nodeSelector": {key: close}}
