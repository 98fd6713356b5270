"""The entrance admits only some client addresses, and the client comes with another one.

Meaning: the controller answers 403, the program sees nothing. Often the address that the controller sees is not the
client's: a load balancer or a node has put its own in its place.

Told by: a line of the controller's error log (``access forbidden by rule``) that names a host of the Ingress; the
ranges of its annotation; the client's address in the line, against the cluster's own addresses.
With a symptom that fits also by spec.loadBalancerSourceRanges of the Service.

Fix: where the address is one of the cluster's, let the controller see the client's (externalTrafficPolicy Local, the
PROXY protocol or X-Forwarded-For from a proxy in front). Else add the client's range.

Source: ingress-nginx annotations whitelist-source-range, allowlist-source-range, denylist-source-range.
"""

import ipaddress
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.proxy_protocol import senders
from kubetriage.rules.service.request_errors import RequestError, request_errors
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import labels, name_of, objects, text, texts

CODE = "ClientAddressDenied"

_RANGES = ("whitelist-source-range", "allowlist-source-range", "denylist-source-range")


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the refused clients in the log of the controllers on the way."""
    for error in request_errors(trace, "address"):
        marks = labels(error.entrance.ingress.raw, "metadata", "annotations")
        own = next(((k, v) for k, v in marks.items() if k.rpartition("/")[2] in _RANGES), None)
        if own is not None and not _admits(own[1], error.client):
            yield _fault(trace, error, *own)
    if trace.options.symptom in ("timeout", "refused", "reset"):
        for backend in trace.services:
            ranges = texts(backend.service, "spec", "loadBalancerSourceRanges")
            if backend.type == "LoadBalancer" and ranges and not any(r.endswith("/0") for r in ranges):
                yield _ranged(backend, ranges)


def _ranged(backend: Backend, ranges: list[str]) -> Fault:
    shown = ", ".join(ranges[:4])
    patch = {"spec": {"loadBalancerSourceRanges": [*ranges, "CLIENT-ADDRESS/32"]}}
    return fault(
        CODE,
        backend.address_place,
        f"The load balancer of svc/{backend.name} takes connections from {shown} only; those of others are dropped. "
        "Whether the client is in there is not seen from here.",
        severity=Severity.WARNING,
        confidence=Confidence.POSSIBLE,
        evidence=[Evidence("spec", f"service/{backend.name} spec.loadBalancerSourceRanges", shown)],
        fix=[
            Fix(
                "Compare it with the address with which the client leaves its network. Add that address where no range "
                "covers it",
                patch,
                backend.ref,
                Actor.MANIFEST,
            )
        ],
        verify=(backend.kubectl("get", "service", backend.name, "-o", "yaml"),),
        short=f"admits only {shown}",
    )


def _admits(ranges: str, client: str) -> bool:
    """Tell whether the ranges of today hold the client; a range that cannot be read holds nobody."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    for words in ranges.split(","):
        try:
            if address in ipaddress.ip_network(words.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False


def _whose(trace: Trace, address: str) -> str:
    """Say whose address it is, where it is one of the cluster's own or a private one."""
    for node in trace.world.listing("nodes").items:
        if any(text(a, "address") == address for a in objects(node, "status", "addresses")):
            return f"node {name_of(node)}"
    try:
        private = ipaddress.ip_address(address).is_private
    except ValueError:
        return ""
    return "a private network: a node, a pod network or a load balancer" if private else ""


def _fault(trace: Trace, error: RequestError, key: str, ranges: str) -> Fault:
    entrance, client = error.entrance, error.client
    ingress = entrance.ingress
    whose = _whose(trace, client)
    told = f", which is of {whose}" if whose else ""
    return fault(
        CODE,
        entrance.place,
        f"The controller of {entrance.name} refuses {client or 'a client'} with 403{told}: {key} is {ranges}.",
        proof="observed",
        about=entrance.ref,
        evidence=[error.evidence, Evidence("spec", f"{entrance.name} annotation {key}", ranges)],
        fix=list(_fixes(trace, error, key, ranges, whose)),
        verify=(
            kubectl("describe", "ingress", ingress.name, namespace=ingress.namespace),
            kubectl("logs", error.pod.name, "--tail=200", namespace=error.pod.namespace),
        ),
        short=f"403 to {client or 'a client'}: {key} is {ranges}",
    )


def _fixes(trace: Trace, error: RequestError, key: str, ranges: str, whose: str) -> Iterator[Fix]:
    ingress = error.entrance.ingress
    if whose:
        for sender in senders(trace, error.pod):
            service = sender.service
            if text(service.service, "spec", "externalTrafficPolicy") != "Local":
                yield Fix(
                    f"Let the controller see the clients' own addresses: svc/{service.name} has "
                    "externalTrafficPolicy Cluster, so a node puts its address in their place. With Local only nodes "
                    "with a pod of the controller take traffic",
                    {"spec": {"externalTrafficPolicy": "Local"}},
                    service.ref,
                    Actor.CLUSTER,
                )
                break
        yield Fix(
            "Where a proxy or load balancer stands before the controller, take the client's address from it: the "
            "PROXY protocol on both sides, or use-forwarded-headers in the controller's ConfigMap",
            actor=Actor.CLUSTER,
        )
        return
    wider = f"{key}={ranges},{error.client}/{128 if ':' in error.client else 32}"
    yield Fix(
        f"Add {error.client} to {key} of ingress/{ingress.name}, where this client is wanted",
        actor=Actor.MANIFEST,
        commands=(kubectl("annotate", "ingress", ingress.name, wider, "--overwrite", namespace=ingress.namespace),)
        if key.rpartition("/")[2] != "denylist-source-range"
        else (kubectl("edit", "ingress", ingress.name, namespace=ingress.namespace),),
    )
