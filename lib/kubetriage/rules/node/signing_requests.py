"""CertificateSigningRequests of kubelets: in come the requests, out go those that a silent node may be waiting for."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from kubetriage.model import Evidence
from kubetriage.needs import List
from kubetriage.records import dataclass
from kubetriage.snapshot import Snapshot
from kubetriage.typed import Literal
from kubetriage.values.fields import Obj, name_of, objects, text
from kubetriage.values.times import format_time, parse_time

REQUESTS = List("certificatesigningrequests", cached=True, timeout=3.0)
CLIENT, SERVING = "kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/kubelet-serving"

State = Literal["pending", "denied", "failed", "approved, not issued", "issued"]


@dataclass(frozen=True)
class SigningRequest:
    """One request of a kubelet."""

    name: str
    state: State
    signer: str
    requestor: str
    node: str
    """Name of the node in its subject or requestor; empty when neither tells it."""
    created: datetime | None

    def evidence(self) -> Evidence:
        """Quote it."""
        what = "client certificate" if self.signer == CLIENT else "serving certificate"
        words = f"{self.state}: {what}, by {self.requestor}" + (f" for {self.node}" if self.node else "")
        at = format_time(self.created) if self.created else ""
        return Evidence("status", f"certificatesigningrequest {self.name}", words, at)


# The subject of a kubelet's certificate is system:node:NAME (certificates.k8s.io signers); so is a kubelet's own user.
_NODE = re.compile(rb"system:node:([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)")


def _subject(raw: Obj) -> str:
    """Return the node named in the request's subject; the DER of a PKCS#10 request holds it as plain bytes."""
    try:
        pem = base64.b64decode(text(raw, "spec", "request")[:16384], validate=True)
        body = b"".join(line for line in pem.splitlines() if not line.startswith(b"-----"))
        found = _NODE.search(base64.b64decode(body, validate=True))
    except (binascii.Error, ValueError):
        return ""
    return found[1].decode() if found else ""


def _state(raw: Obj) -> State:
    kinds = {text(c, "type") for c in objects(raw, "status", "conditions")}
    if "Denied" in kinds:
        return "denied"
    if "Failed" in kinds:
        return "failed"
    if text(raw, "status", "certificate"):
        return "issued"
    return "approved, not issued" if "Approved" in kinds else "pending"


def read_requests(snapshot: Snapshot) -> tuple[SigningRequest, ...]:
    """Read all requests of kubelets that were seen, oldest first."""
    found = []
    for raw in snapshot.list("certificatesigningrequests").items:
        signer, requestor = text(raw, "spec", "signerName"), text(raw, "spec", "username")
        if signer not in (CLIENT, SERVING):
            continue
        own = _NODE.fullmatch(requestor.encode("utf-8", "replace"))
        node = _subject(raw) or (own[1].decode() if own else "")
        created = parse_time(text(raw, "metadata", "creationTimestamp"))
        found.append(SigningRequest(name_of(raw), _state(raw), signer, requestor, node, created))
    return tuple(sorted(found, key=lambda r: r.created.timestamp() if r.created else 0.0))


def waiting_requests(snapshot: Snapshot, node: str) -> tuple[SigningRequest, ...]:
    """Return the requests for client certificates that are not issued and may be this node's.

    A request of a bootstrap identity (node-bootstrapper, ``system:bootstrap:TOKEN``) names no node outside its subject.
    """
    waiting = snapshot.derived(_waiting_by_node)
    found = (*waiting.get(node, ()), *waiting.get("", ())) if node else waiting.get("", ())
    return tuple(request for _, request in sorted(found, key=lambda pair: pair[0]))


def _waiting_by_node(snapshot: Snapshot) -> Mapping[str, Sequence[tuple[int, SigningRequest]]]:
    """Sort the requests for client certificates that are not issued by node, each with its place in time."""
    found: dict[str, list[tuple[int, SigningRequest]]] = {}
    for place, request in enumerate(snapshot.derived(read_requests)):
        if request.signer == CLIENT and request.state != "issued":
            found.setdefault(request.node, []).append((place, request))
    return found


def serving_requests(snapshot: Snapshot, node: str) -> tuple[SigningRequest, ...]:
    """Return the requests of this node's kubelet for a serving certificate that are not issued."""
    wanted = (r for r in snapshot.derived(read_requests) if r.signer == SERVING and r.node == node)
    found = tuple(wanted)
    # The newest request counts; older ones of a kubelet that asked again stay pending until they are collected.
    return found[-1:] if found and found[-1].state != "issued" else ()
