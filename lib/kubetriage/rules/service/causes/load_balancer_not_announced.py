"""A Service has an external address, and nothing announces it to the network.

Meaning: the address is only a number in the status; connections to it time out, or "no route to host", while the
Service works inside the cluster.

Told by: who assigned the address (MetalLB's annotation, event or pool, Cilium's condition) against what would announce
it: MetalLB's L2Advertisement and BGPAdvertisement for the pool, its speaker pods, the nodes that are not excluded;
Cilium's CiliumL2AnnouncementPolicy or BGP configuration. An address that a cloud assigned is announced by the cloud.
So is kube-proxy in mode ipvs without strictARP: other nodes then answer for the address, too.

Fix: create the advertisement for the pool, or take the label off the nodes that should announce.

Source: metallb.io L2Advertisement, BGPAdvertisement (no advertisement, no announcement); Cilium docs, L2 announcements;
node.kubernetes.io/exclude-from-external-load-balancers.
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.readers.events import Events
from kubetriage.readers.pods import Pod
from kubetriage.rules.service.address_pools import pool_holding
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.client_policies import DNS_NAMESPACE
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.load_balancer_state import CILIUM_IPAM, SPEAKERS, LoadBalancerState, addresses_of
from kubetriage.rules.service.pod_lines import lines_of
from kubetriage.rules.service.selector_edits import matches_labels, selector_text
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, condition, flag, labels, mapping, name_of, objects, text, texts
from kubetriage.values.patterns import lazy

CODE = "LoadBalancerNotAnnounced"

_FROM_POOL = ("metallb.io/ip-allocated-from-pool", "metallb.universe.tf/ip-allocated-from-pool")
_EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Service with an address from MetalLB or Cilium."""
    for backend in trace.services:
        if backend.type != "LoadBalancer" or not addresses_of(backend.service):
            continue
        pool = metallb_pool(trace, backend)
        if pool is not None:
            yield from _metallb(trace, backend, pool)
        elif text(condition(backend.service, CILIUM_IPAM), "status") == "True":
            yield from _cilium(trace, backend)


def metallb_pool(trace: Trace, backend: Backend) -> str | None:
    """Return the pool from which MetalLB took the address; empty where it is not told, None where not MetalLB did."""
    marks = labels(backend.service, "metadata", "annotations")
    named = next((marks[k] for k in _FROM_POOL if k in marks), None)
    if named is not None:
        return named
    events = Events.of(trace.snapshot.events(backend.namespace, backend.ref.uid, backend.name, "Service"))
    if any(e.component.startswith("metallb") for e in events.items):
        return ""
    return pool_holding(trace.world, addresses_of(backend.service)[0])


def _metallb(trace: Trace, backend: Backend, pool: str) -> Iterator[Fault]:
    world = trace.world
    lists = [world.listing(p) for p in ("l2advertisements", "bgpadvertisements")]
    by_bgp = [a for a in lists[1].items if _takes_pool(world.listing("ipaddresspools").items, a, pool)]
    if by_bgp and not any(_takes_pool(world.listing("ipaddresspools").items, a, pool) for a in lists[0].items):
        yield from _sessions(trace, backend, world.selected("", SPEAKERS))
    if not all(found.complete for found in lists):
        return
    adverts = [a for found in lists for a in found.items]
    taking = [a for a in adverts if _takes_pool(world.listing("ipaddresspools").items, a, pool)]
    presumed = any(found.presumed for found in lists)
    if not taking:
        have = ", ".join(name_of(a) for a in adverts) or "<none>"
        from_pool = f" of pool {pool}" if pool else ""
        yaml = (
            "apiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nmetadata:\n"
            f"  name: {pool or 'default'}\n  namespace: metallb-system\nspec:\n  ipAddressPools: [{pool or 'POOL'}]\n"
        )
        yield _fault(
            backend,
            f"no L2Advertisement or BGPAdvertisement takes in the addresses{from_pool} of MetalLB",
            Evidence("status", "l2advertisements, bgpadvertisements", have),
            Fix("Create an L2Advertisement for the pool (or a BGPAdvertisement)", actor=Actor.CLUSTER, yaml=yaml),
            Confidence.LIKELY if presumed else Confidence.CONFIRMED,
        )
        return
    nodes = world.listing("nodes")
    excluded = [n for n in nodes.items if _EXCLUDED in labels(n, "metadata", "labels")]
    if nodes.complete and nodes.items and len(excluded) == len(nodes.items):
        commands = tuple(kubectl("label", "node", name_of(n), f"{_EXCLUDED}-") for n in excluded[:5])
        yield _fault(
            backend,
            f"every node carries the label {_EXCLUDED}, and MetalLB announces from none of those",
            Evidence("spec", "nodes metadata.labels", f"{_EXCLUDED} on {len(excluded)} of {len(nodes.items)}"),
            Fix("Take the label off the nodes that should announce", actor=Actor.CLUSTER, commands=commands),
            Confidence.LIKELY,
        )
        return
    chosen = [s for a in taking for s in objects(a, "spec", "nodeSelectors")]
    everywhere = any(not objects(a, "spec", "nodeSelectors") for a in taking)
    fitting = [n for n in nodes.items if any(matches_labels(s, labels(n, "metadata", "labels")) for s in chosen)]
    if nodes.complete and nodes.items and not everywhere and not fitting:
        shown = f"{text(taking[0], 'kind').lower() or 'l2advertisement'}/{name_of(taking[0])}"
        wanted = "; ".join(selector_text(s) for s in chosen[:3])
        yield _fault(
            backend,
            f"{shown} takes only nodes with {wanted}, and no node has these labels",
            Evidence("spec", f"{shown} spec.nodeSelectors", wanted),
            Fix(
                f"Label a node of the network with {wanted}, or correct spec.nodeSelectors of {shown}",
                actor=Actor.CLUSTER,
                commands=("kubectl get nodes --show-labels",),
            ),
            Confidence.CONFIRMED,
        )
        return
    yield from _arp(trace, backend, taking)
    speakers = world.selected("", SPEAKERS)
    if speakers and not any(p.ready for p in speakers):
        one = speakers[0]
        yield _fault(
            backend,
            f"no speaker pod of MetalLB is ready, for example {one.name}",
            one.fact("status", f"pod/{one.name} STATUS", one.status_text()),
            Fix(
                f"Repair pod/{one.name}",
                actor=Actor.CLUSTER,
                commands=(kubectl("why-crash", one.name, namespace=one.namespace),),
            ),
            Confidence.LIKELY,
        )


_PEER = lazy(
    r"\"msg\":\"failed to connect to peer\"|BGP session (?:down|not established)"
    r"|failed to (?:create|establish) BGP session"
)
_AT = lazy(r"\"peer\":\"(\S{3,60}?)\"|peer[ =:]{1,3}\"?([0-9a-f.:]{3,60})")
_WHY = (
    ("connection refused", "nothing listens on its port 179 for this node"),
    ("i/o timeout", "packets to its port 179 are dropped (firewall, route)"),
    ("no route to host", "it is not reached at all"),
    (
        "password|MD5|BGP identifier|ASN|notification",
        "it refuses the session: AS numbers, password or router id differ",
    ),
)


def _sessions(trace: Trace, backend: Backend, speakers: tuple[Pod, ...]) -> Iterator[Fault]:
    """Tell of a BGP peer to which the newest words of a speaker find no session."""
    found: list[tuple[Pod, str, str]] = []
    for pod in speakers:
        for container in pod.containers:
            lines = (x for x in lines_of(trace.snapshot, pod, container.name) if len(x) < _LONGEST_LINE)
            last = next((x for x in lines if _PEER.search(x) or "BGP session established" in x), "")
            if "BGP session established" in last:
                # One node that announces is enough for the address to be reached.
                return
            if not last:
                continue
            found.append((pod, container.name, last))
    for pod, container_name, last in found[:1]:
        match = _AT.search(last)
        peer = next((g for g in match.groups() if g), "its peer") if match else "its peer"
        why = next((w for keys, w in _WHY if any(k in last for k in keys.split("|"))), "")
        host = peer.rpartition(":")[0] or peer
        peers = (p for p in trace.snapshot.others if text(p, "kind") == "BGPPeer")
        owner = next((p for p in peers if text(p, "spec", "peerAddress") in (host, peer)), {})
        shown = f"bgppeer/{name_of(owner)}" if owner else "the BGPPeer"
        yield _fault(
            backend,
            f"pod/{pod.name} of MetalLB on {pod.node or 'its node'} has no BGP session with {peer}"
            + (f": {why}" if why else ""),
            Evidence("log", f"pod/{pod.name} {container_name}", last.strip()),
            Fix(
                f"Let the router {host} take this node as a neighbour (its address, AS numbers, port 179, "
                f"password), and compare peerAddress, peerASN and myASN of {shown} with it",
                actor=Actor.CLUSTER,
                commands=(
                    kubectl("get", "bgppeers.metallb.io", "-o", "yaml", namespace=pod.namespace),
                    kubectl("logs", pod.name, "--tail=100", namespace=pod.namespace),
                ),
            ),
            Confidence.LIKELY,
        )


_LONGEST_LINE = 2000
_STRICT = lazy(r"\bstrictARP: {0,4}(true|false)")
_IPVS = lazy(r"(?m)^mode: {0,4}[\"']?ipvs\b")


def _arp(trace: Trace, backend: Backend, taking: list[Obj]) -> Iterator[Fault]:
    """Tell of kube-proxy in mode ipvs without strictARP: every node answers for the address."""
    found = trace.snapshot.get("configmaps", DNS_NAMESPACE, "kube-proxy")
    words = text(found.obj, "data", "config.conf")
    strict = _STRICT.search(words)
    if not _IPVS.search(words) or (strict is not None and strict[1] == "true"):
        return
    if not any(text(a, "kind") == "L2Advertisement" for a in taking):
        return
    yield _fault(
        backend,
        "kube-proxy runs in mode ipvs without strictARP, so nodes that MetalLB did not choose answer ARP for it, too",
        Evidence("config", "configmap/kube-proxy ipvs.strictARP", strict[1] if strict is not None else "<none>"),
        Fix(
            "Set strictARP: true below ipvs in config.conf of configmap/kube-proxy, then restart kube-proxy",
            actor=Actor.CLUSTER,
            commands=(
                kubectl("edit", "configmap", "kube-proxy", namespace=DNS_NAMESPACE),
                kubectl("rollout", "restart", "daemonset/kube-proxy", namespace=DNS_NAMESPACE),
            ),
        ),
        Confidence.LIKELY,
        Severity.WARNING,
    )


def _takes_pool(pools: tuple[Obj, ...], advert: Obj, pool: str) -> bool:
    """Tell whether an advertisement takes in a pool: by name, by labels, or because it names none."""
    named = texts(advert, "spec", "ipAddressPools")
    selectors = objects(advert, "spec", "ipAddressPoolSelectors")
    if (not named and not selectors) or not pool or pool in named:
        return True
    own = next((labels(p, "metadata", "labels") for p in pools if name_of(p) == pool), None)
    return (own is None and bool(selectors)) or (own is not None and any(matches_labels(s, own) for s in selectors))


def _cilium(trace: Trace, backend: Backend) -> Iterator[Fault]:
    world = trace.world
    l2 = world.listing("ciliuml2announcementpolicies")
    bgp = [world.listing(p) for p in ("ciliumbgpclusterconfigs", "ciliumbgppeeringpolicies")]
    if not l2.complete or not all(b.complete for b in bgp) or any(b.items for b in bgp):
        return
    if LoadBalancerState(backend).wanted == "io.cilium/node":
        return
    own = labels(backend.service, "metadata", "labels")
    taking = [
        p
        for p in l2.items
        if flag(p, "spec", "loadBalancerIPs") is True
        and (not mapping(p, "spec", "serviceSelector") or matches_labels(mapping(p, "spec", "serviceSelector"), own))
    ]
    if taking:
        return
    have = ", ".join(name_of(p) for p in l2.items) or "<none>"
    yaml = (
        "apiVersion: cilium.io/v2alpha1\nkind: CiliumL2AnnouncementPolicy\nmetadata:\n  name: default\n"
        "spec:\n  loadBalancerIPs: true\n  externalIPs: false\n"
    )
    yield _fault(
        backend,
        "Cilium assigned it, and no CiliumL2AnnouncementPolicy with loadBalancerIPs takes in this Service, and no BGP "
        "configuration exists",
        Evidence("status", "ciliuml2announcementpolicies", have),
        Fix(
            "Create a CiliumL2AnnouncementPolicy (Cilium needs l2announcements.enabled), or configure BGP. "
            "Neither is needed where the network itself routes the address to the nodes",
            actor=Actor.CLUSTER,
            yaml=yaml,
        ),
        Confidence.LIKELY,
    )


def _fault(
    backend: Backend,
    why: str,
    proof: Evidence,
    fix: Fix,
    confidence: Confidence,
    severity: Severity = Severity.ERROR,
) -> Fault:
    address = addresses_of(backend.service)[0]
    return fault(
        CODE,
        backend.address_place,
        f"svc/{backend.name} has the address {address}, and "
        + (f"nothing announces it: {why}." if severity is Severity.ERROR else f"it may lead to the wrong node: {why}."),
        severity=severity,
        proof="proven" if confidence is Confidence.CONFIRMED else "inferred",
        confidence=confidence,
        evidence=[Evidence("status", f"service/{backend.name} status.loadBalancer.ingress", address), proof],
        fix=[fix],
        verify=(kubectl("describe", "service", backend.name, namespace=backend.namespace),),
        short=f"{address} is not announced: {why}",
    )
