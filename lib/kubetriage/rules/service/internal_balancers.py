"""Load balancers on the way that only their own network reaches."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.data import table
from kubetriage.model import NotSeen
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.load_balancer_state import addresses_of
from kubetriage.values.fields import Obj, labels


def internal_balancers(trace: Trace) -> Iterator[NotSeen]:
    """Say of each internal load balancer that a client elsewhere gets no answer from it."""
    for backend in trace.services:
        if backend.type == "LoadBalancer":
            yield from _of(f"svc/{backend.name}", backend.service, addresses_of(backend.service))
    for entrance in trace.ingresses:
        yield from _of(entrance.name, entrance.ingress.raw, entrance.ingress.addresses)


def _of(shown: str, raw: Obj, addresses: tuple[str, ...]) -> Iterator[NotSeen]:
    if not addresses:
        return
    mark = _mark(raw)
    private = [a for a in addresses if _is_private(a)]
    if not mark and len(private) < len(addresses):
        return
    why = f"{shown} asks for an internal load balancer ({mark})" if mark else f"{private[0]} is a private address"
    yield NotSeen(
        f"whether the client is in the network of {addresses[0]}",
        f"{why}: from the internet nothing answers there. Ask from the same network (peered, VPN), or give {shown} a "
        "public load balancer",
    )


def _mark(raw: Obj) -> str:
    own = labels(raw, "metadata", "annotations")
    for row in table("internal_balancers")["annotations"]:
        value = own.get(row["key"], "").lower()
        if value in row["values"] or (not row["values"] and value not in ("", "false")):
            return f"{row['key']}: {own[row['key']]}"
    return ""


def _is_private(address: str) -> bool:
    # What is reserved for documentation is no network's.
    import ipaddress

    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in map(ipaddress.ip_network, _PRIVATE) if network.version == found.version)


_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
