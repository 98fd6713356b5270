"""The node was shut down or rebooted in order, and the kubelet ended its pods first.

Meaning: nothing is wrong with the pod. The kubelet got a delay from the system (graceful node shutdown), ended the
pod, and the pod stays Failed until its controller or the garbage collector removes it.

Told by: ``status.message`` "Pod was terminated in response to imminent node shutdown." (reason Terminated) or the
refusal of a node that is shutting down (reason NodeShutdown).

Fix: delete the old pod if nobody does; when shutdowns surprise, look at who reboots the nodes (spot instances,
update managers).

Source: kubelet pkg/kubelet/nodeshutdown; feature GracefulNodeShutdown (beta since 1.21).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Finding, Fix, Severity
from kubetriage.rules.crash.case import Case
from kubetriage.values.commands import kubectl

CODE = "NodeShutdown"

_REASONS = ("NodeShutdown", "Shutdown")
_WORDS = "node shutdown"


def check(case: Case) -> Iterator[Finding]:
    """Say that the node went down in order."""
    pod = case.pod
    ended = pod.phase == "Failed" and (
        pod.reason in _REASONS or (pod.reason == "Terminated" and _WORDS in pod.message) or _WORDS in pod.message
    )
    if not ended:
        return
    refused = "rejected" in pod.message
    what = "refused the pod, because it was shutting down" if refused else "was shut down, and ended the pod gracefully"
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        pod.ref,
        f"{pod.node or 'The node'} {what}; the pod itself has no fault.",
        (pod.fact("status", "status.reason", f"{pod.reason}: {pod.message}".removesuffix(": ")),),
        fix=(
            Fix(
                "Delete the pod that is left over"
                + ("." if pod.controller else "; it has no controller, so create it again."),
                actor=Actor.CLUSTER,
                commands=(kubectl("delete", "pod", pod.name, namespace=pod.namespace),),
            ),
        ),
        verify=(kubectl("describe", "node", pod.node),) if pod.node else (),
    )
