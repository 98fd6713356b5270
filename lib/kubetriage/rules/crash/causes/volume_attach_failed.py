"""A volume cannot be attached to the pod's node.

Meaning: a block device is attached to one node at a time. Another node still holds it (after a rollout, a lost node),
or the storage driver refuses.

Told by: the ``FailedAttachVolume`` event while the pod waits for its volumes: ``Multi-Attach error`` with or without
the pods that use the volume, or the driver's own words. The VolumeAttachment and the pods of the claim name who
holds it, and on which node.

Fix: end the pod that holds the volume, or repair its node; a ReadWriteOnce claim needs strategy Recreate (or a
StatefulSet) when a Deployment rolls.

Source: attach-detach controller reconciler.go; storage.k8s.io VolumeAttachment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.needs import Get, List, Need
from kubetriage.readers.events import Event
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import storage_drivers
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.cloud_identities import denied_action
from kubetriage.rules.crash.config_references import volumes_pending
from kubetriage.rules.crash.root_causes import Root, repair
from kubetriage.rules.crash.storage_errors import attach_error
from kubetriage.rules.crash.volume_claims import claim_names, claim_of
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.fields import condition, flag, text
from kubetriage.values.patterns import lazy

CODE = "VolumeAttachFailed"

_MULTI = lazy(r'Multi-Attach error for volume "(?P<volume>[^"]+)"')
_USED_BY = lazy(r"already used by pod\(s\) (?P<pods>.+?)\s*\Z", re.S)
# csi_attacher.go: the driver has not registered with the kubelet of the node.
_NO_DRIVER = lazy(r"CSINode \S+ does not contain driver (?P<driver>\S+)")
# csi_attacher.go: nobody has answered the VolumeAttachment.
_ATTACHER = lazy(r"external-attacher of (?P<driver>\S+) CSI driver")
_FAILED = lazy(r'AttachVolume\.Attach failed for volume "(?P<volume>[^"]+)" : (?P<why>.*)', re.S)


def needs(case: Case) -> Iterator[Need]:
    """Ask who holds the volume: its claims, attachments, and the pods beside."""
    event = _event(case)
    if event is None:
        return
    namespace = case.pod.namespace
    for name in claim_names(case.pod):
        yield Get("persistentvolumeclaims", namespace, name)
    if _MULTI.search(event.message):
        yield List("pods", namespace)
        yield List("volumeattachments")
    for node in _holding_nodes(case, event):
        yield Get("nodes", "", node)
    yield from storage_drivers.needs(_driver(event))


def leads_to(case: Case) -> Iterator[Pod]:
    """Yield the driver's pods: those on the node that lacks it, else its controller's."""
    event = _event(case)
    if event is not None and _driver(event):
        there = case.pod.node if _NO_DRIVER.search(event.message) else ""
        yield from storage_drivers.driver_pods(case, _driver(event), there)


def _driver(event: Event) -> str:
    """Return the driver that a refusal names; empty when it names none."""
    told = _NO_DRIVER.search(event.message) or _ATTACHER.search(event.message)
    return told["driver"] if told else ""


def _event(case: Case) -> Event | None:
    if not volumes_pending(case):
        return None
    event = case.events.last("FailedAttachVolume")
    done = case.events.last("SuccessfulAttachVolume")
    if event is None or (done is not None and done.last and event.last and done.last > event.last):
        return None
    return event


def check(case: Case) -> Iterator[Finding]:
    """Name who holds the volume."""
    event = _event(case)
    if event is None:
        return
    root: Root | None = None
    multi, failed = _MULTI.search(event.message), _FAILED.search(event.message)
    volume = multi["volume"] if multi else failed["volume"] if failed else ""
    claim = claim_of(case, volume)
    what = f"Volume {volume or 'of the pod'}" + (f" (claim {claim})" if claim else "")
    pods = _holders(case, claim, event)
    nodes = _holding_nodes(case, event)
    evidence = [event.evidence(), *(Evidence("spec", f"pod/{p.name} spec.nodeName", p.node) for p in pods)]
    if not multi:
        why = " ".join((failed["why"] if failed else event.message).split())
        message, fix = _refused(case, what, volume, claim, why)
        there = case.pod.node if _NO_DRIVER.search(event.message) else ""
        root = storage_drivers.driver_root(case, _driver(event), there) if _driver(event) else None
        if root is not None:
            message = f"{what} is not attached, because driver {_driver(event)} does not work: {root.words}"
            fix = repair(root, "The volume is then attached by itself.")
    else:
        message = f"{what} is attached to another node, and can be attached to one only."
        named = _USED_BY.search(event.message)
        if pods:
            message += " It is used by " + ", ".join(f"pod {p.name} on {p.node}" for p in pods[:3]) + "."
        elif named and named["pods"] == case.pod.name:
            message += " It is still held for the earlier pod of this name, on the node where that one ran."
        elif named:
            # Pods of other namespaces are counted without their names.
            message += f" It is used by pod {named['pods']}."
        elif nodes:
            message += f" It is attached to {', '.join(nodes)}."
        lost = [
            n for n in nodes if text(condition(case.snapshot.get("nodes", "", n).obj, "Ready"), "status") in _NOT_READY
        ]
        if lost:
            message += f" {lost[0]} is not ready, so it cannot let go of the volume."
            taint = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
            fix = Fix(
                f"Repair {lost[0]}, or if it is surely off, declare it so: the volume is then detached at "
                "once. Take that "
                "taint off when the node is back.",
                actor=Actor.NODE,
                commands=(kubectl("node-triage", lost[0]), kubectl("taint", "node", lost[0], taint)),
            )
            evidence.append(Evidence("status", f"node/{lost[0]} Ready", "not True"))
        elif pods:
            fix = case.template_fix(
                f"End {pods[0].name}, or use strategy Recreate in {case.workload_name}, so that the old pod is gone "
                "before the new one starts.",
            )
        elif named and named["pods"] == case.pod.name:
            fix = Fix(
                "See which node holds it. If that node runs, the volume is detached within six minutes of the end of "
                "the earlier pod; if it is off for good, delete the Node or taint it as out of service.",
                actor=Actor.NODE,
                commands=(
                    kubectl("get", "volumeattachments"),
                    kubectl("get", "nodes"),
                    kubectl(
                        "taint", "node", placeholder("NODE"), "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
                    ),
                ),
            )
        elif named:
            several = case.workload.kind == "Deployment"
            fix = case.template_fix(
                f"End pod {named['pods']}, which still uses the volume on another node"
                + (
                    f"; so that a rollout does not meet it again, set strategy Recreate in "
                    f"{case.workload_name}. More than one "
                    "replica needs a claim each, or access mode ReadWriteMany."
                    if several
                    else "."
                ),
                commands=(kubectl("get", "pods", "-A", "-o", "wide"), kubectl("get", "volumeattachments")),
            )
        else:
            fix = Fix(
                "The controller detaches it within six minutes once no pod uses it; otherwise end that pod.",
                actor=Actor.CLUSTER,
                commands=(kubectl("get", "volumeattachments"),),
            )
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        case.pod.ref,
        message,
        tuple(evidence),
        fix=(fix,),
        verify=("kubectl get volumeattachment", case.kubectl("get", "pods", "-o", "wide")),
        details={
            "volume": volume,
            "claim": claim,
            "nodes": list(nodes),
            **({"root": root.details} if root is not None else {}),
        },
    )


_NOT_READY = ("Unknown", "False")


def _refused(case: Case, what: str, volume: str, claim: str, why: str) -> tuple[str, Fix]:
    """Read the driver's or the cloud's refusal."""
    node = case.pod.node
    look = (
        kubectl("get", "volumeattachments"),
        *((kubectl("describe", "persistentvolume", volume),) if volume else ()),
    )
    driver = _NO_DRIVER.search(why)
    if driver:
        words = f"Bring the node pod of driver {driver['driver']} up on {node}: it registers the driver there."
        return f"{what} cannot be attached to {node}: {why}", Fix(
            words, actor=Actor.CLUSTER, commands=(kubectl("get", "csinode", node, "-o", "yaml"),)
        )
    known = attach_error(why)
    if known is not None:
        names = {"node": node, "volume": volume or "the volume", "claim": claim}
        fix = Fix(known.act.format_map(names), actor=known.actor, commands=look)
        denied = denied_action(why)
        if denied is not None:
            fix = denied.fix(look)
        return f"{what} {known.meaning.format_map(names)}: {why}", fix
    words = (
        "This message is not known here. Read the log of the driver's controller (csi-attacher) for "
        f"{volume or 'the volume'}, and the state of the disk at the cloud or storage."
    )
    return f"{what} cannot be attached to {node}: {why}", Fix(words, actor=Actor.CLUSTER, commands=look)


def _holders(case: Case, claim: str, event: Event) -> list[Pod]:
    """Return the other pods that use the claim on another node."""
    named = _USED_BY.search(event.message)
    names = {n.strip() for n in named["pods"].split(",")} if named else set()
    found = []
    for raw in case.snapshot.list("pods", case.pod.namespace).items:
        pod = Pod(raw)
        if pod.uid == case.pod.uid or not pod.node or pod.node == case.pod.node or pod.finished:
            continue
        if pod.name in names or (claim and claim in claim_names(pod)):
            found.append(pod)
    return found


def _holding_nodes(case: Case, event: Event) -> tuple[str, ...]:
    multi = _MULTI.search(event.message)
    if multi is None:
        return ()
    nodes = [p.node for p in _holders(case, claim_of(case, multi["volume"]), event)]
    for attachment in case.snapshot.list("volumeattachments").items:
        same = text(attachment, "spec", "source", "persistentVolumeName") == multi["volume"]
        if same and flag(attachment, "status", "attached") and text(attachment, "spec", "nodeName") != case.pod.node:
            nodes.append(text(attachment, "spec", "nodeName"))
    return tuple(dict.fromkeys(n for n in nodes if n))
