"""The host port that the pod wants is taken on every node that could take it.

Meaning: a ``hostPort`` (or any port of a pod with ``hostNetwork``) can be used once per node.

Told by: ``didn't have free ports for the requested pod ports`` as the scheduler's main reason.

Fix: drop the hostPort (a Service of type NodePort or LoadBalancer does not need one), choose another, or run no more
replicas than nodes; a rolling update needs room for one more or maxSurge 0.

Source: scheduler plugin NodePorts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from kubetriage.model import Actor, Finding, Fix
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import scheduling
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.scheduling import Block
from kubetriage.rules.workloads import controller_ref
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import dig, number, objects

CODE = "UnschedulableHostPort"

REVISION = "pod-template-hash"
"""Label that a Deployment gives the pods of one revision."""

needs = scheduling.needs


def check(case: Case) -> Iterator[Finding]:
    """Name the ports, and the pods of the namespace that hold them."""
    found = scheduling.unscheduled(case, Block.PORT)
    if found is None:
        return
    ports = host_ports(case.pod)
    held = [
        p
        for p in map(Pod, case.snapshot.list("pods", case.pod.namespace).items)
        if p.uid != case.pod.uid and p.node and not p.finished and host_ports(p) & ports
    ]
    holders = [p.name for p in held]
    shown = ", ".join(str(p) for p in sorted(ports)) or "that it asks for"
    message = f"Host port {shown} is taken on {found.head.nodes} of {found.total} nodes."
    if holders:
        message += f" {scheduling.some(holders)} holds it."
    evidence = tuple(
        c.fact("spec", "ports.hostPort", number(p, "hostPort"))
        for c in case.containers
        for p in objects(c.spec, "ports")
        if number(p, "hostPort")
    )
    own = [p for p in held if controller_ref(case.snapshot, p.raw) == case.workload]
    if own and case.workload.kind == "Deployment" and _of_another_revision(case.pod, own):
        # The new pod waits for the old one, and the rollout deletes the old one only when the new one is ready.
        words = (
            f"{own[0].name} of the revision before holds the port: let {case.workload_name} end an old pod before it "
            "starts a new one (maxSurge 0)."
        )
        rolling = {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}}}
        patch = json.dumps(rolling, separators=(",", ":"))
        command = kubectl("patch", case.workload_name, "-p", patch, namespace=case.pod.namespace)
        yield found.finding(CODE, message, (Fix(words, actor=Actor.MANIFEST, commands=(command,)),), evidence)
        return
    words = f"Drop hostPort {shown} from {case.workload_name}, choose another, or run no more replicas than nodes."
    yield found.finding(CODE, message, (case.template_fix(words),), evidence)


def _of_another_revision(pod: Pod, others: list[Pod]) -> bool:
    return all(p.labels.get(REVISION) != pod.labels.get(REVISION) for p in others)


def host_ports(pod: Pod) -> set[int]:
    """Return the ports of the node that the pod takes."""
    own = dig(pod.raw, "spec", "hostNetwork") is True
    ports = (p for c in pod.containers if c.kind != "init" for p in objects(c.spec, "ports"))
    return {n for p in ports for n in (number(p, "hostPort") or (number(p, "containerPort") if own else None),) if n}
