"""What came of the API server's dial to a kubelet's port."""

from __future__ import annotations

import json
import re

from kubetriage.needs import Raw, Why
from kubetriage.records import dataclass
from kubetriage.snapshot import Snapshot
from kubetriage.typed import Literal
from kubetriage.values.fields import text

Dialled = Literal["answers", "refused", "timeout", "no-route", "tls", "rejected", "tunnel", "forbidden", "error"]


@dataclass(frozen=True)
class Probe:
    """What came of the API server's dial to the kubelet's port."""

    kind: Dialled
    words: str
    at: str


READINGS: dict[Dialled, str] = {
    "answers": "the kubelet runs and the API server reaches it: only the way back is cut",
    "refused": "the host answers, nothing listens on the kubelet's port",
    "timeout": "packets vanish: powered off, cut off, firewalled or frozen",
    "no-route": "no neighbour answers for the address: powered off or cut off on layer 2",
    "tls": "the host and the kubelet's port answer, the certificate is refused",
    "rejected": "the kubelet runs and rejects the API server's identity",
    "tunnel": "the tunnel of the control plane failed; it says nothing about the node",
    "forbidden": "not allowed to ask (nodes/proxy)",
    "error": "an answer that tells neither way",
}
# In the words of Go 1.2x's net and crypto packages, and of konnectivity.
_DIALS: tuple[tuple[str, Dialled], ...] = (
    # apimachinery util/proxy/transport.go wraps Go's net errors as "error trying to reach service: ...".
    (r"No agent available|error dialing backend", "tunnel"),
    (r"connection refused", "refused"),
    (r"no route to host|host is unreachable|EHOSTUNREACH", "no-route"),
    (r"x509:|tls: ", "tls"),
    (r"i/o timeout|deadline exceeded|Client\.Timeout|connection timed out", "timeout"),
    (r"Unauthorized|Forbidden \(user=", "rejected"),
)


def read_dial(words: str, status: int) -> Dialled:
    """Classify the answer of the API server's proxy to the kubelet."""
    if status == 200:
        return "answers"
    if status == 403 and "Forbidden (user=" not in words:
        return "forbidden"
    kind = next((kind for pattern, kind in _DIALS if re.search(pattern, words)), None)
    if kind is not None:
        return kind
    return "rejected" if status == 401 else "error"


def kubelet_path(node: str, what: str) -> str:
    """Return the URL path of a kubelet endpoint through the API server's proxy."""
    return f"/api/v1/nodes/{node}/proxy/{what}"


def _status_message(body: str) -> str:
    """Return the message of an API Status, where the body is one."""
    try:
        return text(json.loads(body), "message") if body.lstrip().startswith("{") else ""
    except (ValueError, RecursionError):
        return ""


def read_probe(snapshot: Snapshot, node: str) -> Probe | None:
    """Return what the dial to the kubelet gave; None when nobody tried, or the API server itself is too slow to tell.

    The API server dials for up to 30 s, so packets that vanish end in our own, shorter time limit.
    """
    need = Raw(kubelet_path(node, "healthz"))
    body, failure = snapshot.body(need.path), snapshot.failure(need)
    if body is not None:
        words = _status_message(body.text) or body.text.strip()[:300] or f"HTTP {body.status}"
        return Probe(read_dial(words, body.status), words, need.path)
    if failure is None or failure.why is Why.NOT_IN_DUMP:
        return None
    if failure.why is Why.TIMEOUT and failure.status == 0:
        slow = any(
            f.why is Why.TIMEOUT for n, f in snapshot.failures if not (isinstance(n, Raw) and "/proxy/" in n.path)
        )
        return None if slow else Probe("timeout", f"no answer: {failure}", need.path)
    if failure.why is Why.FORBIDDEN and failure.status != 401:
        return Probe(read_dial(failure.message, 403), str(failure), need.path)
    return Probe(read_dial(failure.message, failure.status or 503), str(failure), need.path)
