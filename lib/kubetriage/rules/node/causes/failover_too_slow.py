"""A workload that is called critical would wait too long for a replacement if its node were lost.

Meaning: nothing is broken. When a node is lost its pods are deleted after the grace period of the node controller and
their tolerated time (300 s by default), and only then does a controller make new ones. A pod of a StatefulSet is not
replaced before its node answers or is fenced; a pod without controller never is.

Told by: `node-triage --tolerations --critical SELECTOR=DURATION`, from the tolerations of the running pods.

Fix: shorter tolerationSeconds for exactly these workloads, and more replicas on several nodes. The price of short
times: each loss of contact that is longer moves the pods, also when only a kubelet restarts, and the old ones run on
meanwhile.

Source: kubernetes pkg/controller/tainteviction; admission plugin DefaultTolerationSeconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.rules.node.failover import tolerate
from kubetriage.rules.node.failover_audit import Wanted, Workload
from kubetriage.values.commands import PIPE, kubectl

CODE = "FailoverTooSlow"


def check(workloads: Sequence[Workload], wanted: Sequence[Wanted], grace: timedelta) -> Iterator[Finding]:
    """Compare what critical workloads tolerate with what they may."""
    # What a patch mends stands first.
    for workload in sorted(workloads, key=lambda w: w.kind == "StatefulSet" or w.kind == "Pod"):
        limits = [w for w in wanted if w.takes(workload)]
        if not limits or workload.stays:
            continue
        limit = min(limits, key=lambda w: w.seconds)
        movable = workload.kind in ("Deployment", "ReplicaSet", "ReplicationController", "Job")
        if movable and workload.seconds is not None and workload.seconds <= limit.seconds:
            continue
        yield _finding(workload, limit, grace, movable=movable)


def _finding(workload: Workload, limit: Wanted, grace: timedelta, *, movable: bool) -> Finding:
    ref = Ref(workload.kind, workload.namespace, workload.name)
    total = int(grace.total_seconds()) + 5 + limit.seconds
    fixes: tuple[Fix, ...]
    if movable:
        fixes = (
            Fix(
                f"Let its pods tolerate a lost node for {limit.seconds}s. Price: any loss of contact over {total}s"
                " moves"
                " them, also when only a kubelet restarts, and the old pods run on until their node is back.",
                patch=tolerate(workload.example, limit.seconds),
                on=ref,
                actor=Actor.MANIFEST,
            ),
            Fix(
                "Run at least two replicas on several nodes: then nobody waits for the first one.", actor=Actor.MANIFEST
            ),
        )
    elif workload.kind == "StatefulSet":
        fixes = (
            Fix(
                "Shorter times do not help: a StatefulSet waits until the node answers or carries the out-of-service"
                " taint."
                " Let something fence lost nodes (cloud, remediation), or replicate inside the application.",
                actor=Actor.CLUSTER,
            ),
        )
    else:
        fixes = (Fix("Put the pod under a Deployment, so that something makes a new one.", actor=Actor.MANIFEST),)
    return Finding(
        CODE,
        Severity.WARNING,
        Confidence.CONFIRMED,
        ref,
        f"{workload.kind} {workload.namespace}/{workload.name} is called critical ({limit.selector},"
        f" {limit.seconds}s): if"
        f" its node is lost, it {workload.fate(grace)}.",
        (
            Evidence(
                "spec",
                f"tolerations of pod {workload.example.namespace}/{workload.example.name}",
                "for ever" if workload.seconds is None else f"{workload.seconds}s",
            ),
        ),
        (),
        fixes,
        (kubectl("get", "pods", "-o", "yaml", PIPE, "grep", "-A3", "unreachable", namespace=workload.namespace),),
    )
