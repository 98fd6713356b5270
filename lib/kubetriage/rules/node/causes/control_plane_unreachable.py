"""The API server gives no list of nodes, so no node can be judged.

Meaning: Nothing is known about the nodes. What runs on them most likely runs on; the control plane, or the way
from here to it, is the problem to solve first.

Told by: the read of nodes from the API server's watch cache (resourceVersion=0, which answers even while etcd
is down) timed out or ended in an error of the server or of the connection. Told apart from a refusal (403),
which is an error of access and is printed as kubectl prints it.

Fix: look at the control plane: kubectl plane-trace, then the load balancer and the API servers' own host.

Source: apiserver storage/cacher: a list with resourceVersion=0 is answered from memory;
kubernetes.io/docs/reference/using-api/api-concepts.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.needs import Failure
from kubetriage.records import dataclass

CODE = "ControlPlaneUnreachable"


@dataclass(frozen=True)
class Unread:
    """A node, or all of them, of which nothing could be read."""

    ref: Ref
    failure: Failure


def check(case: Unread) -> Iterator[Finding]:
    """Name the control plane when even the cached list of nodes gives nothing."""
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.LIKELY,
        case.ref,
        "The API server gave no list of nodes, so no node can be judged: the control plane, or the way from here to "
        "it, is the trouble.",
        evidence=(Evidence("status", "GET /api/v1/nodes?resourceVersion=0", str(case.failure)),),
        fix=(Fix("Look at the control plane first: kubectl plane-trace, then the load balancer and the API servers."),),
        verify=("kubectl get --raw='/livez?verbose'", "kubectl get --raw='/api/v1/nodes?resourceVersion=0&limit=1'"),
    )
