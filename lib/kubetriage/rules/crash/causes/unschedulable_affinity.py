"""Required pod affinity or anti-affinity leaves no node.

Meaning: the pod must run beside pods that are nowhere (affinity), or must not run where each node already has a pod
that it shuns, or that shuns it (anti-affinity). One replica more than nodes is the usual case.

Told by: ``didn't match pod (anti-)affinity rules`` as the scheduler's main reason.

Fix: use preferredDuringScheduling, a wider topologyKey, fewer replicas or more nodes; correct the label selector of a
pod affinity.

Source: scheduler plugin InterPodAffinity; core/v1 PodAffinity, PodAntiAffinity.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Evidence, Finding
from kubetriage.rules.crash import scheduling
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.scheduling import Block
from kubetriage.values.fields import Obj, labels, mapping, objects, text, texts

CODE = "UnschedulableAffinity"

needs = scheduling.needs


def check(case: Case) -> Iterator[Finding]:
    """Name the rule that leaves no node."""
    found = scheduling.unscheduled(case, Block.AFFINITY)
    if found is None:
        return
    anti = "anti-affinity" in found.head.words or "affinity/anti-affinity" in found.head.words
    field = "podAntiAffinity" if anti else "podAffinity"
    rules = objects(case.pod.raw, "spec", "affinity", field, "requiredDuringSchedulingIgnoredDuringExecution")
    evidence = tuple(Evidence("spec", f"spec.affinity.{field}", _text(r)) for r in rules)
    shown = _text(rules[0]) if rules else ""
    if "existing pods" in found.head.words or (anti and not rules):
        message = f"On {_count(found.head.nodes, found.total)} runs a pod whose anti-affinity shuns this one."
        words = "Look for required podAntiAffinity that matches this pod's labels, and relax it, or add nodes."
    elif anti:
        message = f"On {_count(found.head.nodes, found.total)} runs a pod that this one must not be beside ({shown})."
        words = (
            f"Run no more replicas of {case.workload_name} than there are nodes, add nodes, or use "
            "preferredDuringSchedulingIgnoredDuringExecution."
        )
    else:
        message = f"No node runs a pod that this one must be beside ({shown or 'required podAffinity'})."
        words = f"Start the pods that it wants, or correct the label selector of podAffinity in {case.workload_name}."
    yield found.finding(CODE, message, (case.template_fix(words),), evidence)


def _count(nodes: int, total: int) -> str:
    return "every node" if nodes == total else f"{nodes} of {total} nodes"


def _text(rule: Obj) -> str:
    pairs = [f"{k}={v}" for k, v in sorted(labels(rule, "labelSelector", "matchLabels").items())]
    for term in objects(mapping(rule, "labelSelector"), "matchExpressions"):
        pairs.append(f"{text(term, 'key')} {text(term, 'operator')} ({', '.join(texts(term, 'values'))})")
    return f"{', '.join(pairs) or 'all pods'} by {text(rule, 'topologyKey')}"
