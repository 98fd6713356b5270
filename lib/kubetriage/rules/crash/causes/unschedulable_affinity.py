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
from kubetriage.readers.pods import Pod
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
        shunning = _shunning(case)
        if shunning:
            names = ", ".join(f"{p.namespace}/{p.name} on {p.node}" for p, _ in shunning[:3])
            message += f" These do: {names} ({_text(shunning[0][1])})."
            evidence = tuple(
                Evidence("spec", f"pod {p.name} spec.affinity.podAntiAffinity", _text(rule)) for p, rule in shunning[:3]
            )
        words = (
            "Narrow the podAntiAffinity of those pods to their own replicas, or change the labels of "
            f"{case.workload_name} that it matches; else add nodes."
            if shunning
            else "Look for required podAntiAffinity that matches this pod's labels, and relax it, or add nodes."
        )
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


def _shunning(case: Case) -> list[tuple[Pod, Obj]]:
    """Return pods of nodes whose required anti-affinity matches this pod's labels, with the rule."""
    found = []
    for raw in case.snapshot.list("pods").items:
        pod = Pod(raw)
        if not pod.node or pod.finished or pod.uid == case.pod.uid:
            continue
        for rule in objects(
            raw, "spec", "affinity", "podAntiAffinity", "requiredDuringSchedulingIgnoredDuringExecution"
        ):
            places = texts(rule, "namespaces") or [pod.namespace]
            wanted = labels(rule, "labelSelector", "matchLabels")
            # A rule with expressions or a selector of namespaces is not judged here.
            plain = not objects(mapping(rule, "labelSelector"), "matchExpressions") and "namespaceSelector" not in rule
            if plain and wanted and case.pod.namespace in places and wanted.items() <= case.pod.labels.items():
                found.append((pod, rule))
                break
    return found


def _count(nodes: int, total: int) -> str:
    return "every node" if nodes == total else f"{nodes} of {total} nodes"


def _text(rule: Obj) -> str:
    pairs = [f"{k}={v}" for k, v in sorted(labels(rule, "labelSelector", "matchLabels").items())]
    for term in objects(mapping(rule, "labelSelector"), "matchExpressions"):
        pairs.append(f"{text(term, 'key')} {text(term, 'operator')} ({', '.join(texts(term, 'values'))})")
    return f"{', '.join(pairs) or 'all pods'} by {text(rule, 'topologyKey')}"
