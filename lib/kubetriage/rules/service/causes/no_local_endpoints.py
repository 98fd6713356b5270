"""A traffic policy of Local leaves nodes without an endpoint, and those drop the traffic.

Meaning: with ``internalTrafficPolicy: Local`` clients on a node without a ready endpoint are dropped (a timeout,
not a refusal); with ``externalTrafficPolicy: Local`` the same happens to node ports, while a load balancer takes
such nodes out by their health check.

Told by: the nodes of the ready endpoints against all nodes, and against the node of ``--client``. Told apart from
a Service without any endpoint.

Fix: run a pod on every node (DaemonSet), or set the policy to Cluster.

Source: core/v1 ServiceSpec.internalTrafficPolicy and externalTrafficPolicy; kubernetes pkg/proxy/topology.go.
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.readers.pods import Pod
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.hop_faults import Fault, fault, plural
from kubetriage.rules.service.load_balancer_state import CILIUM_IPAM
from kubetriage.values.fields import Obj, condition, flag, labels, name_of, number, objects, text

CODE = "NoLocalEndpoints"

_EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Service with a Local policy."""
    for backend in trace.services:
        policies = backend.local_policies
        serving = {e.node for e in backend.endpoints.items if e.takes_traffic}
        if not policies or not serving:
            continue
        nodes = backend.world.listing("nodes")
        if not nodes.complete:
            continue
        without = [n for n in nodes.items if name_of(n) not in serving and not _is_control_plane(n)]
        if without:
            for policy in policies:
                yield from _judge(trace, backend, policy, serving, without, len(nodes.items))


def _health_check(backend: Backend) -> Fix | None:
    """Say what a load balancer must ask of each node, and from where; None where no port was allocated for it."""
    port = number(backend.service, "spec", "healthCheckNodePort")
    if not port:
        return None
    return Fix(
        f"Let the load balancer's health check ask port {port}, path /healthz, of each node: kube-proxy answers 200 "
        "where an endpoint is, 503 elsewhere. Open that port for the checker in firewalls and security groups. A check "
        "of another port or path, or one that is blocked, keeps nodes in that drop everything, or takes all out",
        actor=Actor.CLOUD,
        commands=(backend.kubectl("describe", "service", backend.name),),
    )


def _announced_anywhere(backend: Backend) -> bool:
    """Tell whether Cilium announces the address from any node that its policy selects, with or without a pod."""
    given = text(condition(backend.service, CILIUM_IPAM), "status") == "True"
    policies = backend.world.listing("ciliuml2announcementpolicies").items
    return given and any(flag(p, "spec", "loadBalancerIPs") is True for p in policies)


def _is_control_plane(node: Obj) -> bool:
    """Tell whether ordinary pods, and so clients, are kept off a node."""
    keys = {text(t, "key") for t in objects(node, "spec", "taints") if text(t, "effect") in ("NoSchedule", "NoExecute")}
    return bool(keys & {"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"})


def _judge(
    trace: Trace, backend: Backend, policy: str, serving: set[str], without: list[Obj], total: int
) -> Iterator[Fault]:
    names = sorted(name_of(n) for n in without)
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    severity, tail, check = Severity.WARNING, "", None
    client = trace.options.client
    if policy == "internalTrafficPolicy":
        where = "Clients inside the cluster"
        if not any(name_of(n) in serving for n in backend.world.listing("nodes").items):
            severity = Severity.ERROR
        if client is not None and client.kind == "Pod":
            node = Pod(trace.snapshot.get("pods", client.namespace, client.name).obj).node
            if node and node in serving:
                return
            if node:
                severity, tail = Severity.ERROR, f" pod/{client.name} runs on {node}, one of them."
    else:
        where = "Connections to a node port"
        if backend.type == "LoadBalancer":
            severity = Severity.NOTE
            tail = " A load balancer takes these nodes out by their health check."
            if all(_EXCLUDED in labels(n, "metadata", "labels") for n in without):
                return
            if _announced_anywhere(backend):
                severity = Severity.WARNING
                tail = (
                    " Cilium's L2 announcements do not look where pods are: the node that announces the address may be "
                    "one of these, and then everything is dropped."
                )
            elif trace.options.symptom == "timeout":
                severity, check = Severity.WARNING, _health_check(backend)
    fix = []
    if check is not None:
        tail += " It can only where its health check asks the port that tells them apart."
        fix.append(check)
    instead = "run a pod on every node" if backend.selector else "name the nodes in endpoints[].nodeName of its slice"
    yield fault(
        CODE,
        backend.place,
        f"{where} are dropped on {len(without)} of {plural(total, 'node')} ({shown}): svc/{backend.name} has "
        f"{policy} Local and no ready endpoint there.{tail}",
        severity=severity,
        evidence=[
            Evidence("spec", f"service/{backend.name} spec.{policy}", "Local"),
            Evidence("status", "endpoints[].nodeName", ", ".join(sorted(filter(None, serving))[:6]) or "<none>"),
        ],
        proof="inferred" if check is not None else "proven",
        confidence=Confidence.POSSIBLE if check is not None else None,
        fix=(
            *fix,
            Fix(
                f"{'Or set' if fix else 'Set'} {policy} of svc/{backend.name} to Cluster, or {instead}",
                {"spec": {policy: "Cluster"}},
                backend.ref,
            ),
        ),
        verify=(
            backend.kubectl("get", "endpointslices", "-l", f"kubernetes.io/service-name={backend.name}", "-o", "wide"),
            "kubectl get nodes",
        ),
        short=f"{policy} Local: no endpoint on {len(without)} of {plural(total, 'node')}",
    )
