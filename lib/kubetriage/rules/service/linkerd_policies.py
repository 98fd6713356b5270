"""What Linkerd's Server and AuthorizationPolicy objects say of one client on the ports of a Service's pods.

A Server closes its port to all that no AuthorizationPolicy (or the older ServerAuthorization) admits. The client's
identity is that of its ServiceAccount, and only a pod with Linkerd's proxy has one. Policies of single routes decide
nothing here. Live the objects beside the Server are not read, so nothing is decided.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service import service_endpoints as eps
from kubetriage.rules.service.cluster_view import Backend, World
from kubetriage.rules.service.selector_edits import matches_labels
from kubetriage.values.fields import Obj, flag, labels, mapping, name_of, namespace_of, objects, text, texts

_GROUP = "policy.linkerd.io/"
PROXY = "linkerd-proxy"
_IDENTITY = "serviceaccount.identity.linkerd.cluster.local"


@dataclass(frozen=True)
class LinkerdRuling:
    """The outcome for one client on one port."""

    server: Obj
    port: eps.ServicePort
    number: int
    client: Pod
    allowed: bool | None
    """None: it cannot be told."""
    policies: tuple[str, ...]
    """``KIND/NAME`` of those that speak of the Server."""


def _of_kind(world: World, kind: str) -> Iterator[Obj]:
    for raw in world.snapshot.others:
        if text(raw, "kind") == kind and text(raw, "apiVersion").startswith(_GROUP):
            yield raw


def identity_of(pod: Pod) -> str:
    """Return the identity of a client in the mesh; empty: it has none."""
    if not any(c.name == PROXY for c in pod.containers):
        return ""
    account = text(pod.raw, "spec", "serviceAccountName") or "default"
    return f"{account}.{pod.namespace}.{_IDENTITY}"


def linkerd_rulings(backend: Backend, clients: Iterable[Pod]) -> tuple[LinkerdRuling, ...]:
    """Judge each client on each port for which a Server selects a pod of the Service."""
    world, found = backend.world, []
    pod = next((p for p in backend.pods if any(c.name == PROXY for c in p.containers)), None)
    if pod is None or world.snapshot.source == "cluster":
        return ()
    for port in backend.ports:
        number = eps.find_port(pod.raw, port.target, port.protocol)
        server = next((s for s in _of_kind(world, "Server") if _serves(s, pod, number)), None)
        if server is None or number is None:
            continue
        for client in clients:
            allowed, policies = _ruled(world, server, client)
            found.append(LinkerdRuling(server, port, number, client, allowed, policies))
    return tuple(found)


def _serves(server: Obj, pod: Pod, number: int | None) -> bool:
    port = mapping(server, "spec").get("port")
    wanted = eps.find_port(pod.raw, port, "TCP") if isinstance(port, str) else port
    chosen = mapping(server, "spec", "podSelector")
    return namespace_of(server) == pod.namespace and wanted == number and matches_labels(chosen, pod.labels)


def _ruled(world: World, server: Obj, client: Pod) -> tuple[bool | None, tuple[str, ...]]:
    own = identity_of(client)
    access = text(server, "spec", "accessPolicy")
    if access in ("all-unauthenticated", "audit") or (access == "all-authenticated" and own):
        return True, ()
    if access.startswith("cluster-"):
        return None, ()
    answers: list[bool | None] = []
    names: list[str] = []
    place, name = namespace_of(server), name_of(server)
    for raw in _of_kind(world, "AuthorizationPolicy"):
        target = mapping(raw, "spec", "targetRef")
        if namespace_of(raw) != place:
            continue
        if text(target, "kind") in ("HTTPRoute", "GRPCRoute"):
            answers.append(None)
        elif (text(target, "kind"), text(target, "name")) in (("Server", name), ("Namespace", place)):
            names.append(f"AuthorizationPolicy/{name_of(raw)}")
            refs = objects(raw, "spec", "requiredAuthenticationRefs")
            answers.append(_all(_satisfied(world, r, place, client, own) for r in refs))
    for raw in _of_kind(world, "ServerAuthorization"):
        chosen = mapping(raw, "spec", "server")
        meant = text(chosen, "name") == name or (
            "selector" in chosen and matches_labels(mapping(chosen, "selector"), labels(server, "metadata", "labels"))
        )
        if namespace_of(raw) == place and meant:
            names.append(f"ServerAuthorization/{name_of(raw)}")
            answers.append(_old_form(mapping(raw, "spec", "client"), place, client, own))
    return (True if True in answers else None if None in answers else False), tuple(names)


def _satisfied(world: World, ref: Obj, place: str, client: Pod, own: str) -> bool | None:
    kind, name, space = text(ref, "kind"), text(ref, "name"), text(ref, "namespace") or place
    if kind == "ServiceAccount":
        return own == f"{name}.{space}.{_IDENTITY}"
    raw = next((o for o in _of_kind(world, kind) if (namespace_of(o), name_of(o)) == (space, name)), None)
    if raw is None:
        # One that does not exist admits nobody; one that was not handed over may.
        return None
    if kind == "MeshTLSAuthentication":
        refs = objects(raw, "spec", "identityRefs")
        return _named(texts(raw, "spec", "identities"), own) or any(_referred(r, space, client, own) for r in refs)
    if kind == "NetworkAuthentication":
        return _inside([text(n, "cidr") for n in objects(raw, "spec", "networks")], client)
    return None


def _named(identities: list[str], own: str) -> bool:
    def matches(wanted: str) -> bool:
        return wanted == "*" or own == wanted or (wanted.startswith("*.") and own.endswith(wanted[1:]))

    return bool(own) and any(matches(w) for w in identities)


def _referred(ref: Obj, place: str, client: Pod, own: str) -> bool:
    space = text(ref, "namespace") or place
    if text(ref, "kind") == "Namespace":
        return bool(own) and client.namespace == text(ref, "name")
    return own == f"{text(ref, 'name')}.{space}.{_IDENTITY}"


def _old_form(client: Obj, place: str, pod: Pod, own: str) -> bool | None:
    networks = [text(n, "cidr") for n in objects(client, "networks")]
    if networks and _inside(networks, pod) is not True:
        return _inside(networks, pod)
    if flag(client, "unauthenticated"):
        return True
    tls = mapping(client, "meshTLS")
    if flag(tls, "unauthenticatedTLS"):
        return bool(own)
    accounts = objects(tls, "serviceAccounts")
    named = any(own == f"{text(a, 'name')}.{text(a, 'namespace') or place}.{_IDENTITY}" for a in accounts)
    return bool(own) and (named or _named(texts(tls, "identities"), own))


def _inside(networks: list[str], pod: Pod) -> bool | None:
    try:
        address = ipaddress.ip_address(text(pod.raw, "status", "podIP"))
        return any(address in ipaddress.ip_network(n, strict=False) for n in networks)
    except ValueError:
        return None


def _all(answers: Iterable[bool | None]) -> bool | None:
    known = list(answers)
    return False if False in known else None if None in known else True
