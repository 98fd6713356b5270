"""NetworkPolicies admit nobody to the port that the Service forwards to, or not the client that was named.

Meaning: packets are dropped, so clients see a timeout, while the pods are ready (probes of the kubelet are always
admitted) and the Service has endpoints. It holds if the network plugin enforces policies, which no API tells.

Told by: all policies that select the pods, for the pod's port after the Service's translation; for ``--client``
also its egress. A load balancer outside the cluster (of an Ingress, or of the Service itself) is no pod: only an
ipBlock admits it, and the platform's documented ranges are compared. Told apart from policies that admit some peers
(NetworkPolicyRestricts).

Between pods of Istio's ambient mode all arrives on the mesh's port 15008, which the policies must admit as well.

Policies of Cilium, Calico and the policy API are judged alike where their rules are of the common forms. What ``hubble
observe`` printed of denied packets is a fact: it needs no policy that was read.

Fix: add the missing rule to a policy that selects the pods; allow the pod's port, not the Service's.

Source: networking.k8s.io/v1 NetworkPolicy: isolated pods accept only the union of the rules.
"""

import json
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Ref, Severity
from kubetriage.readers.pods import Pod
from kubetriage.records import replace
from kubetriage.rules.service.ambient_policies import HBONE, Shut, policy_name, shut_ports
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.client_policies import (
    Crossing,
    HostCrossing,
    clients,
    crossings,
    dns_crossings,
    host_crossings,
)
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.custom_entrances import ROUTER_NAMESPACE
from kubetriage.rules.service.drop_findings import dropped
from kubetriage.rules.service.foreign_crossings import foreign_crossings, foreign_limits
from kubetriage.rules.service.foreign_findings import foreign_blocked, foreign_nobody
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.network_policies import Verdict, ports_text
from kubetriage.rules.service.outside_clients import OutsideCrossing, outside_crossings, policy_names
from kubetriage.rules.service.policies_around_pods import PortAdmission, admissions, others
from kubetriage.rules.service.service_endpoints import find_port
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, name_of, objects

CODE = "NetworkPolicyBlocks"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Service port against the policies around its pods, then the clients that are known."""
    yield from _without_dns(trace)
    yield from dropped(trace)
    for backend in trace.services:
        closed = [a for a in admissions(backend) if a.admission.nobody]
        for one in closed:
            yield _nobody(trace, backend, one)
        if not closed:
            for crossing in crossings(trace, backend):
                if crossing.blocked:
                    yield _blocked(backend, crossing)
            for meshed in shut_ports(trace, backend):
                yield _ambient(backend, meshed)
            host = next(host_crossings(trace, backend), None)
            if host is not None:
                yield _from_node(backend, host)
            outside = next((c for c in outside_crossings(trace, backend) if c.blocked), None)
            if outside is not None:
                yield _outside(backend, outside)
        blocked = [f for f in foreign_crossings(trace, backend) if f.said.verdict is Verdict.BLOCKED]
        if blocked:
            yield foreign_blocked(backend, blocked)
        else:
            shut = next((x for x in foreign_limits(backend) if x.nobody), None)
            if shut is not None:
                yield foreign_nobody(backend, shut)


def _ambient(backend: Backend, shut: Shut) -> Fault:
    """Tell of a policy that admits the pod's own port and not that of the ambient mesh."""
    name, ref = policy_name(shut), Ref("NetworkPolicy", shut.pod.namespace, name_of(shut.policy))
    who = f"pod/{shut.client.name}" if shut.client is not None else "Clients of the mesh"
    verb = "is" if shut.client is not None else "are"
    why = f"{name} ({shut.direction}) has no rule for {HBONE}/TCP"
    return fault(
        CODE,
        backend.policy_place,
        f"{who} to svc/{backend.name} {verb} blocked, if policies are enforced here: in Istio's ambient mode what one "
        f"meshed pod sends another goes to its port {HBONE}, and {why}.",
        severity=Severity.ERROR if shut.client is not None or shut.logged else Severity.WARNING,
        proof="observed" if shut.logged else "inferred",
        confidence=Confidence.CONFIRMED if shut.logged else Confidence.LIKELY,
        about=ref,
        evidence=[
            Evidence("spec", f"{name} spec.{shut.direction}", f"no port {HBONE}/TCP"),
            *shut.proof,
        ],
        fix=(
            Fix(
                f"Allow {HBONE}/TCP in {name} beside the program's own port, for the same peers; who may do what "
                "inside the mesh is for an AuthorizationPolicy to say",
                {"spec": {shut.direction: shut.rules}},
                ref,
            ),
        ),
        verify=(kubectl("describe", "networkpolicy", ref.name, namespace=ref.namespace),),
        short=f"blocked if enforced: {why}, the port of the ambient mesh",
    )


def _without_dns(trace: Trace) -> Iterator[Fault]:
    """Tell of a client whose own policies do not let it ask the cluster's DNS."""
    shut = next((c for c in dns_crossings(trace) if c.blocked), None) if trace.services else None
    if shut is None:
        return
    found = _blocked(trace.dns, shut)
    yield replace(
        found,
        place=trace.dns_place,
        message=f"{found.message} It finds no Service by name then, whatever else it may reach.",
        short=f"blocked if enforced: {shut.words}",
    )


def _nobody(trace: Trace, backend: Backend, one: PortAdmission) -> Fault:
    policies = one.admission.policies
    names = ", ".join(f"networkpolicy/{name_of(p)}" for p in policies)
    target = f"{one.number}/{one.port.protocol}"
    opened = ", ".join(one.admission.open_ports)
    mistaken = any(p.partition("/")[0] == str(one.port.port) for p in one.admission.open_ports)
    if mistaken and one.port.port != one.number:
        why = f"admits port {opened}, the Service's; policies see the pod's port {target}"
    elif opened:
        why = f"admits only {opened}, not the pod's port {target}"
        unknown = _unknown_names(one)
        if unknown:
            why += f"; no container there has a port named {' or '.join(unknown)}"
    else:
        why = "selects these pods and allows no ingress at all"
    patched, patch = _patch(policies, one)
    share = "" if one.pods == len(backend.pods) else f" (for {one.pods} of {len(backend.pods)} pods)"
    return fault(
        CODE,
        backend.policy_place,
        f"No client may reach the pods of svc/{backend.name} on {target}{share}, if policies are enforced here: "
        f"{names} {why}.",
        severity=Severity.ERROR if not share else Severity.WARNING,
        proof="inferred",
        confidence=Confidence.POSSIBLE if others(backend) else Confidence.LIKELY,
        about=Ref("NetworkPolicy", backend.namespace, name_of(policies[0])),
        evidence=[Evidence("spec", f"networkpolicy/{name_of(p)} spec.ingress", _ingress_text(p)) for p in policies[:3]],
        fix=(_opening(trace, backend, one, patched, patch),),
        verify=(
            backend.kubectl("describe", "networkpolicy", name_of(patched)),
            backend.kubectl("get", "pods", "-l", backend.selector_text, "--show-labels"),
        ),
        short=f"blocked if enforced: {names} {why}",
        details={"openedPorts": list(one.admission.open_ports), "podPort": one.number},
    )


def _known_clients(trace: Trace, backend: Backend) -> list[str]:
    """Return the ``from`` entries, as YAML, of the clients that are known: named ones, and the pods of entrances."""
    spaces = dict.fromkeys(p.namespace for p in (*clients(trace), *trace.entrances) if not p.host_network)
    return [
        "podSelector: {}"
        if space == backend.namespace
        else f"namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {space}}}}}"
        for space in spaces
    ]


def _opening(trace: Trace, backend: Backend, one: PortAdmission, policy: Obj, patch: dict[str, object]) -> Fix:
    """Open the port to those whom the policy admits already; else with a policy of its own, for these pods only.

    A rule without peers in a default-deny policy would open the port of every pod of the namespace to everybody.
    """
    target = f"{one.number}/{one.port.protocol}"
    if any(objects(rule, "from") for rule in objects(policy, "spec", "ingress")):
        ref = Ref("NetworkPolicy", backend.namespace, name_of(policy))
        return Fix(f"Allow {target} in networkpolicy/{ref.name}, from the clients that it admits already", patch, ref)
    pods = ", ".join(f"{key}: {json.dumps(value)}" for key, value in sorted(backend.selector.items()))
    known = _known_clients(trace, backend)
    admitted = (
        f"  - from: [{', '.join('{' + k + '}' for k in known)}]\n"
        if known
        else "  - from: [{podSelector: {}}]  # this namespace; name another with namespaceSelector\n"
    )
    yaml = (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        f"metadata: {{name: {backend.name}-clients, namespace: {backend.namespace}}}\n"
        f"spec:\n  podSelector: {{matchLabels: {{{pods}}}}}\n  policyTypes: [Ingress]\n  ingress:\n"
        f"{admitted}"
        f"    ports: [{{port: {one.number}, protocol: {one.port.protocol}}}]\n"
    )
    words = f"Add a policy that admits the clients of svc/{backend.name} on {target}; {name_of(policy)} stays as it is"
    return Fix(words, actor=Actor.MANIFEST, yaml=yaml)


def _from_node(backend: Backend, crossing: HostCrossing) -> Fault:
    """Tell of a client on the node's network, whose labels no policy sees."""
    one, client = crossing.one, crossing.client
    policy = max(one.admission.policies, key=lambda p: len(objects(p, "spec", "ingress")))
    ref = Ref("NetworkPolicy", backend.namespace, name_of(policy))
    target = f"{one.number}/{one.port.protocol}"
    port = {"protocol": one.port.protocol, "port": one.number}
    patch = None
    if 0 < len(crossing.addresses) <= _NODES_IN_A_PATCH:
        blocks = [{"ipBlock": {"cidr": f"{a}/{128 if ':' in a else 32}"}} for a in crossing.addresses]
        patch = {"spec": {"ingress": [*objects(policy, "spec", "ingress"), {"from": blocks, "ports": [port]}]}}
    return fault(
        CODE,
        backend.policy_place,
        f"pod/{client.name} of {client.namespace} uses the network of its node (hostNetwork), so policies see the "
        f"node's address and not its labels. networkpolicy/{ref.name} has no ipBlock for {target}. Pods on other nodes "
        f"than {client.node or 'its own'} do not let it in, if policies are enforced here.",
        proof="inferred",
        confidence=Confidence.POSSIBLE if others(backend) else Confidence.LIKELY,
        about=ref,
        evidence=[
            client.fact("spec", f"pod/{client.name} spec.hostNetwork", "true"),
            Evidence("spec", f"networkpolicy/{ref.name} spec.ingress from", "; ".join(one.admission.peers[:3])),
        ],
        fix=[
            *_host_network_label(client, ref, policy),
            Fix(
                f"{'Or a' if client.namespace == ROUTER_NAMESPACE else 'A'}dmit the nodes' addresses on "
                f"{target} with an ipBlock in networkpolicy/{ref.name}; their "
                "subnet covers new nodes too. With an overlay add the addresses of the tunnel interfaces",
                patch,
                ref if patch else None,
                Actor.MANIFEST,
            ),
        ],
        verify=(backend.kubectl("describe", "networkpolicy", ref.name), "kubectl get nodes -o wide"),
        short=f"blocked if enforced: pod/{client.name} has its node's address, and no ipBlock admits it",
    )


def _host_network_label(client: Pod, ref: Ref, policy: Obj) -> Iterator[Fix]:
    """OpenShift's network plugin puts what comes from nodes into a namespace with a label of its own."""
    if client.namespace != ROUTER_NAMESPACE:
        return
    peer = {"namespaceSelector": {"matchLabels": {"policy-group.network.openshift.io/host-network": ""}}}
    patch = {"spec": {"ingress": [*objects(policy, "spec", "ingress"), {"from": [peer]}]}}
    yield Fix(
        "Admit the routers on the network of their nodes by OpenShift's label for it, "
        f"policy-group.network.openshift.io/host-network, in networkpolicy/{ref.name}",
        patch,
        ref,
        Actor.MANIFEST,
    )


_NODES_IN_A_PATCH = 5


def _outside(backend: Backend, crossing: OutsideCrossing) -> Fault:
    """Tell of a load balancer outside the cluster, which only an ipBlock can admit."""
    one, client = crossing.admission, crossing.client
    names = policy_names(crossing)
    shown = ", ".join(f"networkpolicy/{n}" for n in names)
    target = f"{one.number}/{one.port.protocol}"
    # Each peer names its policy; that stands before them here.
    who = "; ".join(dict.fromkeys(p.rpartition(" (networkpolicy/")[0] or p for p in one.admission.peers[:3]))
    lack = (
        f"none of its ipBlocks ({', '.join(crossing.blocks)}) covers it"
        if crossing.blocks
        else "no rule has an ipBlock"
    )
    policy = max(one.admission.policies, key=lambda p: len(objects(p, "spec", "ingress")))
    ref = Ref("NetworkPolicy", backend.namespace, name_of(policy))
    ranges = () if client.through_nodes else client.balancer.ranges
    port = {"protocol": one.port.protocol, "port": one.number}
    patch, yaml = None, ""
    if ranges:
        rule = {"from": [{"ipBlock": {"cidr": r}} for r in ranges], "ports": [port]}
        patch = {"spec": {"ingress": [*objects(policy, "spec", "ingress"), rule]}}
    else:
        cidr = "CIDR-OF-THE-NODES" if client.through_nodes else "CIDR-OF-THE-LOAD-BALANCER-SUBNETS"
        yaml = (
            f"# one more entry in spec.ingress of networkpolicy/{ref.name}\n- from:\n  - ipBlock:\n      cidr: {cidr}\n"
            f"  ports:\n  - protocol: {one.port.protocol}\n    port: {one.number}\n"
        )
    fix = Fix(
        f"Admit {client.where} on {target} with an ipBlock in spec.ingress of networkpolicy/{ref.name}",
        patch,
        ref if patch else None,
        Actor.MANIFEST,
        (),
        yaml,
    )
    return fault(
        CODE,
        backend.policy_place,
        f"{client.name[0].upper()}{client.name[1:]} is blocked, if policies are enforced here. {shown} admits only "
        f"{who}, and {lack}. A load balancer is no pod of the cluster; it connects from {client.where}.",
        severity=Severity.ERROR if client.by_ingress else Severity.WARNING,
        proof="inferred",
        confidence=Confidence.POSSIBLE if others(backend) else Confidence.LIKELY,
        about=ref,
        evidence=[
            *(Evidence("spec", f"networkpolicy/{n} spec.ingress from", who) for n in names[:2]),
            Evidence("spec", f"client of port {target}", client.name),
        ],
        fix=[fix],
        verify=(backend.kubectl("describe", "networkpolicy", ref.name),),
        short=f"blocked if enforced: {client.name} ({lack})",
    )


def _unknown_names(one: PortAdmission) -> list[str]:
    """Return the port names in the policies that no container of the pod has."""
    pairs = (words.partition("/") for words in one.admission.open_ports)
    return [
        name
        for name, _, protocol in pairs
        if name != "all" and not name[:1].isdigit() and find_port(one.pod.raw, name, protocol) is None
    ]


def _patch(policies: tuple[Obj, ...], one: PortAdmission) -> tuple[Obj, dict[str, object]]:
    """Add a rule for the pod port to the policy with the most rules, from whom its rules admit already."""
    policy = max(policies, key=lambda p: len(objects(p, "spec", "ingress")))
    rules: list[object] = [dict(r) for r in objects(policy, "spec", "ingress")]
    port = {"port": one.number, "protocol": one.port.protocol}
    peers = [e for r in objects(policy, "spec", "ingress") for e in objects(r, "from")]
    rules.append({"from": peers, "ports": [port]} if peers else {"ports": [port]})
    return policy, {"spec": {"ingress": rules}}


def _ingress_text(policy: Obj) -> str:
    rules = objects(policy, "spec", "ingress")
    if not rules:
        return "<none>"
    ports = [words for rule in rules for words in ports_text(rule)]
    return f"ports {', '.join(ports)}" if ports else f"{len(rules)} rules"


def _blocked(backend: Backend, crossing: Crossing) -> Fault:
    names = ", ".join(f"networkpolicy/{n}" for n in crossing.decision.policies)
    namespace = crossing.isolated.namespace
    policies = backend.world.listing("networkpolicies", namespace).items
    fix: tuple[Fix, ...] = (Fix(f"Allow it in a NetworkPolicy that selects pod/{crossing.isolated.name}"),)
    if crossing.decision.rule is not None and crossing.decision.policies:
        ref = Ref("NetworkPolicy", namespace, crossing.decision.policies[0])
        rule = dict(crossing.decision.rule)
        old = next((p for p in policies if name_of(p) == ref.name), {})
        patch = {"spec": {crossing.direction: [*objects(old, "spec", crossing.direction), rule]}}
        words = f"Add to spec.{crossing.direction} of networkpolicy/{ref.name}: {json.dumps(rule)}"
        fix = (Fix(words, patch, ref),)
    return fault(
        CODE,
        backend.policy_place,
        f"{crossing.words} is blocked, if policies are enforced here, by {names} ({crossing.direction} of "
        f"pod/{crossing.isolated.name}): {crossing.decision.why}.",
        proof="inferred",
        confidence=Confidence.POSSIBLE if others(backend) else Confidence.LIKELY,
        about=Ref("NetworkPolicy", namespace, crossing.decision.policies[0]) if crossing.decision.policies else None,
        evidence=[
            Evidence("spec", f"networkpolicy/{n} spec.{crossing.direction}", crossing.decision.why)
            for n in crossing.decision.policies[:3]
        ],
        fix=fix,
        verify=(kubectl("describe", "networkpolicy", *crossing.decision.policies[:3], namespace=namespace),),
        short=f"blocked if enforced: {names}: {crossing.decision.why}",
    )
