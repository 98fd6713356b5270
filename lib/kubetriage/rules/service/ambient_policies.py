"""NetworkPolicies around pods of Istio's ambient mode: what meshed clients send arrives on the mesh's own port."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kubetriage.model import Evidence
from kubetriage.needs import List, Log, Need
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.client_policies import clients
from kubetriage.rules.service.cluster_view import Backend, World
from kubetriage.rules.service.mesh_policies import ROOT_NAMESPACE
from kubetriage.rules.service.network_policies import Direction, Verdict, admission, decide, isolating, port_matches
from kubetriage.rules.service.pod_lines import newest_lines
from kubetriage.rules.service.policies_around_pods import admissions, peer_of, policies_of
from kubetriage.typed import Any
from kubetriage.values.fields import Obj, labels, name_of, objects, text
from kubetriage.values.patterns import lazy

_AGENT = {"app": "ztunnel"}
HBONE = 15008
"""Port to which ztunnel sends what one meshed pod says to another (istio.io, ambient and NetworkPolicy)."""


@dataclass(frozen=True)
class Shut:
    """A policy that lets the pod's own port pass and not that of the mesh."""

    policy: Obj
    direction: Direction
    pod: Pod
    """The pod that it selects."""
    client: Pod | None
    """The meshed client that was named; None: none was."""
    rules: list[Any]
    """``spec.ingress`` or ``spec.egress`` with the port added."""
    proof: tuple[Evidence, ...]
    """What shows the mode, and what ztunnel says."""
    logged: bool
    """ztunnel says that it does not come through."""


def in_ambient(world: World, pod: Pod) -> str:
    """Say by what a pod is in ambient mode; empty: it is not, as far as was seen."""
    if pod.host_network or any(c.name == "istio-proxy" for c in pod.containers):
        return ""
    own = pod.labels.get("istio.io/dataplane-mode", "")
    if labels(pod.raw, "metadata", "annotations").get("ambient.istio.io/redirection") == "enabled":
        return f"pod/{pod.name} annotation ambient.istio.io/redirection: enabled"
    if own:
        return f"pod/{pod.name} label istio.io/dataplane-mode: ambient" if own == "ambient" else ""
    if (world.namespace_labels(pod.namespace) or {}).get("istio.io/dataplane-mode") == "ambient":
        return f"namespace/{pod.namespace} label istio.io/dataplane-mode: ambient"
    return ""


def ambient_needs(backends: Iterable[Backend]) -> Iterator[Need]:
    """Ask for what ztunnel says on the nodes of meshed pods, where policies isolate them."""
    for backend in backends:
        nodes = {p.node for p in backend.pods if isolating(policies_of(backend), p.raw, "ingress")}
        if not nodes or not any(in_ambient(backend.world, p) for p in backend.pods):
            continue
        yield List("pods", ROOT_NAMESPACE, "app=ztunnel")
        agents = backend.world.selected(ROOT_NAMESPACE, _AGENT)
        for agent in sorted(agents, key=lambda a: a.node not in nodes)[:2]:
            yield from (Log(agent.namespace, agent.name, c.name) for c in agent.containers[:1])
        return


def shut_ports(trace: Trace, backend: Backend) -> Iterator[Shut]:
    """Yield the policies that keep meshed clients from meshed pods of a Service, one for each direction."""
    world = backend.world
    meshed = [c for c in clients(trace) if in_ambient(world, c)]
    if clients(trace) and not meshed:
        # A client outside of the mesh comes on the pod's own port.
        return
    for one in admissions(backend):
        why = in_ambient(world, one.pod)
        if not why or not one.admission.policies or one.admission.nobody or one.port.protocol != "TCP":
            continue
        policies, client = policies_of(backend), meshed[0] if meshed else None
        if client is not None:
            closed = decide(policies, one.pod.raw, "ingress", peer_of(backend, client), HBONE).verdict
            shut = closed is Verdict.BLOCKED
        else:
            shut = admission(policies, one.pod.raw, HBONE).nobody
        if shut:
            yield _shut(trace, one.admission.policies, "ingress", one.pod, client, one.number, why)
            return
    for client in meshed:
        outgoing = world.listing("networkpolicies", client.namespace).items
        for pod in backend.pods[:1]:
            why = in_ambient(world, pod)
            peer = peer_of(backend, pod)
            if why and decide(outgoing, client.raw, "egress", peer, HBONE).verdict is Verdict.BLOCKED:
                number = next((a.number for a in admissions(backend) if a.pod.name == pod.name), 0)
                yield _shut(trace, isolating(outgoing, client.raw, "egress"), "egress", client, client, number, why)
                return


def _shut(
    trace: Trace,
    policies: tuple[Obj, ...],
    direction: Direction,
    pod: Pod,
    client: Pod | None,
    number: int,
    why: str,
) -> Shut:
    port = {"protocol": "TCP", "port": HBONE}
    chosen, rules, done = policies[0], [], False
    for policy in policies:
        mine: list[Any] = []
        for rule in objects(policy, "spec", direction):
            fits = not done and bool(objects(rule, "ports")) and port_matches(rule, pod.raw, number, "TCP")
            mine.append({**rule, "ports": [*objects(rule, "ports"), port]} if fits else rule)
            done = done or fits
        if done:
            chosen, rules = policy, mine
            break
    if not done:
        rules = [*objects(chosen, "spec", direction), {"ports": [port]}]
    said = _said(trace, pod)
    at, _, value = why.partition(": ")
    proof = (Evidence("spec", at, value), *((said,) if said is not None else ()))
    return Shut(chosen, direction, pod, client, rules, proof, said is not None)


_BLOCKED = lazy(r"HBONE port 15008|dst\.addr=\S{1,60}:15008 .{0,900}(?:timed out|deadline|refused)")


def _said(trace: Trace, pod: Pod) -> Evidence | None:
    """Return ztunnel's newest line about a connection on the mesh's port that did not come through."""
    for agent in trace.world.selected(ROOT_NAMESPACE, _AGENT):
        for container, line in newest_lines(trace.snapshot, agent):
            named = f'"{pod.name}"' in line or f"{text(pod.raw, 'status', 'podIP')}:" in line
            if len(line) < _LONGEST and named and _BLOCKED.search(line):
                return Evidence("log", f"pod/{agent.name} {container}", line.strip())
    return None


_LONGEST = 2000


def policy_name(shut: Shut) -> str:
    """Name the policy for people."""
    return f"networkpolicy/{name_of(shut.policy)}"
