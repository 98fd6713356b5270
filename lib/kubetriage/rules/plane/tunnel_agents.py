"""The agents of the API server's tunnel into the cluster's network: in come pods, out go their state and what to do.

Where the control plane is not in the network of the nodes (AKS, GKE, k0s, hosted control planes), logs, exec, webhooks
and aggregated APIs go through agents that run as pods and dial out to it.
"""

from __future__ import annotations

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.readers.pods import Pod
from kubetriage.rules.machine import Machine
from kubetriage.rules.plane.figure_format import count
from kubetriage.snapshot import Snapshot
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, name_of, objects, text
from kubetriage.values.patterns import lazy

_AGENT = lazy(r"(konnectivity-agent|proxy-agent|tunnelfront|aks-link)-[a-z0-9]")
"""Names of such pods: konnectivity (1.18 and later), and what AKS ran before."""


def is_agent(pod: Obj) -> bool:
    """Tell whether a pod is such an agent."""
    return _AGENT.match(name_of(pod)) is not None


def _agents(snapshot: Snapshot) -> list[Obj]:
    return [p for p in snapshot.list("pods", "kube-system").items if is_agent(p)]


def _trouble(pod: Obj) -> str:
    """Say why an agent does not run; empty when it runs."""
    for status in objects(pod, "status", "containerStatuses"):
        if reason := text(status, "state", "waiting", "reason"):
            return reason
    phase = text(pod, "status", "phase")
    return "" if phase == "Running" and Pod(pod).ready else "not ready" if phase == "Running" else phase


def agents_state(snapshot: Snapshot) -> str:
    """Say how many agents run, with a blank before; empty where none was seen."""
    agents = _agents(snapshot)
    if not agents:
        return ""
    ill = [t for p in agents if (t := _trouble(p))]
    if not ill:
        return f" {count(len(agents), 'agent pod')} run, so their way out to the control plane is cut."
    return f" {len(ill)} of {count(len(agents), 'agent pod')} do not run ({ill[0]})."


def agents_evidence(snapshot: Snapshot) -> tuple[Evidence, ...]:
    """Quote the states of agents that do not run."""
    ill = [(p, t) for p in _agents(snapshot) if (t := _trouble(p))]
    return tuple(Evidence("status", f"pod kube-system/{name_of(p)}", t) for p, t in ill[:2])


def agents_fix(snapshot: Snapshot, machine: Machine) -> Fix:
    """Say how the agents come back: the pods first, else their way to the control plane."""
    agents = _agents(snapshot)
    ill = [p for p in agents if _trouble(p)]
    where = " (k0s: port 8132 of spec.api.externalAddress)" if machine.name in ("k0s", "") and not agents else ""
    if ill:
        name = name_of(ill[0])
        return Fix(
            f"Bring the konnectivity agents back: see why {name} does not run. They dial out from the nodes to the"
            " API server's public address, past firewalls and egress policies; their log says whether they reach it.",
            actor=Actor.CLUSTER,
            commands=(
                kubectl("why-crash", name, namespace="kube-system"),
                kubectl("logs", name, "--previous", "--tail=50", namespace="kube-system"),
            ),
        )
    selector = ("-l", "k8s-app=konnectivity-agent")
    return Fix(
        f"Bring the konnectivity agents back: they must run on a Ready node and reach every controller{where}.",
        actor=Actor.CLUSTER,
        commands=(
            kubectl("get", "pods", "-o", "wide", *selector, namespace="kube-system"),
            kubectl("logs", *selector, "--tail=50", namespace="kube-system"),
            kubectl("rollout", "restart", f"{_owner(agents)}/konnectivity-agent", namespace="kube-system"),
        ),
    )


def _owner(agents: list[Obj]) -> str:
    owners = {text(o, "kind") for p in agents for o in objects(p, "metadata", "ownerReferences")}
    return "deployment" if "ReplicaSet" in owners else "daemonset"
