"""The pod of the network plugin is not ready on the node of a pod behind the Service.

Meaning: that pod is ready by its probes, which come from its own node, and pods on other nodes may not reach it, or it
may not reach them: some requests time out, by the pod that they meet.

Told by: the pods of the plugins in ``data/network_plugins.json`` on the nodes of the ready pods, their Ready condition,
and what the crash rules say of them.

Fix: that of the plugin's pod. Calico without BGP sessions: TCP 179 between the nodes, and the node's right address.

Source: DaemonSets of Calico, Cilium, Flannel and the clouds' plugins; calico/node readiness (BIRD).
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.readers.events import Events
from kubetriage.readers.pods import Pod
from kubetriage.rules.network_plugins import network_plugin, usual_namespaces
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.values.commands import kubectl

CODE = "NetworkPluginNotReady"

_SHOWN_BY = ("timeout", "502", "503", "504", "refused", "reset")
_BGP = "BGP not established"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the plugin's pod on each node of the ready pods, once for a trace."""
    for backend in trace.services:
        nodes = {p.node for p in backend.ready_pods if p.node and not p.host_network}
        down = [p for p in plugin_pods(trace) if p.node in nodes and not p.ready and not p.deleting and not p.finished]
        if down:
            yield _fault(trace, backend, down[0], len(nodes))
            return


def plugin_pods(trace: Trace) -> tuple[Pod, ...]:
    """Return the pods of network plugins that were read."""
    spaces = usual_namespaces()
    found = (p for p in trace.world.pods("") if p.namespace in spaces)
    return trace.world.kept(
        "network plugin pods", lambda: tuple(p for p in found if network_plugin(p.name) is not None)
    )


def _fault(trace: Trace, backend: Backend, pod: Pod, nodes: int) -> Fault:
    said = next((f for f in trace.world.crash(pod) if f.severity is not Severity.NOTE), None)
    probed = Events.of(trace.snapshot.events(pod.namespace, pod.uid, pod.name, "Pod")).select("Unhealthy")
    why = (
        f": {probed[-1].message.rstrip('.')}" if probed else f": {said.message.rstrip('.')}" if said is not None else ""
    )
    # The kubelet's own words of its probe come before what is made of the pod's status.
    fixes = list(said.fix) if said is not None and not probed else []
    if _BGP in why:
        fixes.insert(
            0,
            Fix(
                f"Open TCP 179 between the nodes (firewall, security group), or let calico-node take the right address "
                f"of node {pod.node} (IP_AUTODETECTION_METHOD, for example kubernetes-internal-ip)",
                actor=Actor.CLUSTER,
                commands=(
                    kubectl(
                        *("set", "env", "daemonset/calico-node", "IP_AUTODETECTION_METHOD=kubernetes-internal-ip"),
                        namespace=pod.namespace,
                    ),
                ),
            ),
        )
    elif not fixes:
        fixes.append(
            Fix(
                f"Repair pod/{pod.name}: its log says what it lacks on node {pod.node}",
                actor=Actor.CLUSTER,
                commands=(kubectl("logs", pod.name, "--tail=50", namespace=pod.namespace),),
            )
        )
    seen = trace.options.symptom in _SHOWN_BY
    return fault(
        CODE,
        backend.policy_place,
        f"The network plugin's pod {pod.name} on node {pod.node} is not ready{why}. Pods behind svc/{backend.name} on "
        f"that node may not be reached from other nodes.",
        severity=Severity.ERROR if seen or nodes == 1 else Severity.WARNING,
        proof="observed",
        confidence=Confidence.LIKELY,
        about=pod.ref,
        evidence=[
            pod.fact("status", f"pod/{pod.name} STATUS", f"{pod.status_text()}, {pod.ready_text()} ready"),
            *([probed[-1].evidence()] if probed else said.evidence[:2] if said is not None else ()),
            Evidence("status", f"node of pods behind svc/{backend.name}", pod.node),
        ],
        fix=fixes,
        verify=(
            kubectl(
                *("get", "pods", "-o", "wide", "--field-selector", f"spec.nodeName={pod.node}"), namespace=pod.namespace
            ),
        ),
        short=f"{pod.name} on node {pod.node} is not ready",
    )
