"""A PersistentVolumeClaim of the pod is not bound to a volume, so the scheduler cannot place the pod.

Meaning: nobody has made or found a volume for the claim: no StorageClass fits, its provisioner fails or does not
run, or the volume that it had is gone. A claim that waits for its first consumer (WaitForFirstConsumer) is as it
should be while the pod has no node for another reason.

Told by: ``unbound immediate PersistentVolumeClaims`` and its relatives from the scheduler, the claim's phase, its
StorageClass, the other pods of a ReadWriteOncePod claim, and the claim's own events (``ProvisioningFailed``,
``FailedBinding``, ``ExternalProvisioning``).

Fix: name an existing StorageClass (the field cannot be changed: recreate the claim), repair the provisioner, or
create a PersistentVolume that fits.

Source: scheduler plugin VolumeBinding; persistentvolume controller pv_controller.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.needs import Get, List, Need
from kubetriage.readers.events import Event, Events
from kubetriage.readers.pods import Pod
from kubetriage.records import replace
from kubetriage.rules.crash import scheduling, storage_drivers
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.root_causes import repair
from kubetriage.rules.crash.scheduling import Block, Unscheduled
from kubetriage.rules.crash.volume_claims import claim_names, waiting_for_storage
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.fields import Obj, dig, labels, mapping, name_of, text, texts, uid_of
from kubetriage.values.manifest_text import yaml_text
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy

CODE = "PersistentVolumeClaimPending"

_DEFAULT = "storageclass.kubernetes.io/is-default-class"
PROVISIONING = timedelta(seconds=60)
"""Time that a healthy storage driver takes at most to make a volume."""
_NO_PROVISIONER = "kubernetes.io/no-provisioner"


def needs(case: Case) -> Iterator[Need]:
    """Ask for the claims, and for class and events of those that are not bound."""
    if not waiting_for_storage(case):
        return
    found = scheduling.unscheduled(case)
    if found is not None and "ReadWriteOncePod" in found.head.words:
        yield List("pods", case.pod.namespace)
    for claim in _open_claims(case):
        yield List("events", case.pod.namespace, fields=f"involvedObject.uid={uid_of(claim)}")
        name = _class_name(claim)
        if name:
            yield Get("storageclasses", "", name)
        if not name or case.snapshot.get("storageclasses", "", name).absent:
            yield List("storageclasses")
        yield from storage_drivers.needs(_driver(case, claim))


def leads_to(case: Case) -> Iterator[Pod]:
    """Yield the pods of the drivers that are to make the volumes."""
    if waiting_for_storage(case):
        for claim in _open_claims(case):
            yield from storage_drivers.driver_pods(case, _driver(case, claim))


def _driver(case: Case, claim: Obj) -> str:
    """Return the provisioner of a claim's class; empty when it is not known."""
    name = _class_name(claim)
    return text(case.snapshot.get("storageclasses", "", name).obj, "provisioner") if name else ""


def _open_claims(case: Case) -> Iterator[Obj]:
    for name in claim_names(case.pod):
        claim = case.snapshot.get("persistentvolumeclaims", case.pod.namespace, name)
        if claim.found and (text(claim.obj, "status", "phase") != "Bound" or _deleting(claim.obj)):
            yield claim.obj


def _class_name(claim: Obj) -> str:
    return text(claim, "spec", "storageClassName") or labels(claim, "metadata", "annotations").get(
        "volume.beta.kubernetes.io/storage-class", ""
    )


def _deleting(claim: Obj) -> bool:
    return bool(dig(claim, "metadata", "deletionTimestamp"))


def check(case: Case) -> Iterator[Finding]:
    """Say for each claim why it has no volume."""
    if not waiting_for_storage(case):
        return
    found = scheduling.unscheduled(case)
    blamed = found is not None and found.head.block is Block.CLAIM
    if found is not None and not blamed:
        return
    told = False
    for claim in _open_claims(case):
        events = Events.of(case.snapshot.events(case.pod.namespace, uid_of(claim), name_of(claim), CLAIM))
        failure = events.last("ProvisioningFailed", "FailedBinding")
        class_missing = _class_missing(case, claim)
        # The scheduler says nothing while it waits for the volume of a claim that it gave a node.
        waits = found is None and events.last("ExternalProvisioning") is not None and _waited(case)
        if blamed or failure is not None or class_missing or waits:
            told = True
            yield _finding(case, claim, found, events)
    if blamed and found is not None and not told:
        yield _in_use(case, found) if "ReadWriteOncePod" in found.head.words else _unexplained(case, found)


def _by_event(case: Case, found: Unscheduled) -> Finding | None:
    """Judge a claim that was not seen itself by its events: a ticket often holds them alone."""
    for name in claim_names(case.pod):
        events = _events_of_unseen(case, name)
        failure = events.last("ProvisioningFailed", "FailedBinding")
        if failure is not None:
            said = failure.message
            if failure.reason == "ProvisioningFailed":
                driver = _PROVISIONER.search(said)
                fix = _provisioning(case, driver[1] if driver is not None else "", said, name)
                why = _end(said)
            else:
                claim: Obj = {"metadata": {"name": name}, "status": {"phase": "Pending"}}
                why, fix, _ = _why(case, claim, None, events)
            return found.finding(
                CODE, f"PersistentVolumeClaim {name} is not bound: {why}", (fix,), (failure.evidence(),)
            )
    return None


def _events_of_unseen(case: Case, name: str) -> Events:
    """Return the events about a claim whose uid is not known, because the claim itself was not seen."""
    listing = case.snapshot.list("events", case.pod.namespace)
    about = [
        e
        for e in listing.items
        if text(e, "involvedObject", "kind") == CLAIM and text(e, "involvedObject", "name") == name
    ]
    return Events.of(replace(listing, items=tuple(about)))


_PROVISIONER = lazy(r"\b([a-z0-9-]{1,60}(?:\.[a-z0-9-]{1,60}){1,6}/?[a-z0-9-]{0,60}): (?:rpc|failed)")


def _unexplained(case: Case, found: Unscheduled) -> Finding:
    by_event = _by_event(case, found)
    if by_event is not None:
        return by_event
    claims = claim_names(case.pod)
    names = ", ".join(claims)
    look = case.kubectl("describe", "persistentvolumeclaim", *claims)
    return found.finding(
        CODE,
        f"PersistentVolumeClaim {names or 'of the pod'} keeps the pod from every node: {found.head.words}.",
        (Fix("Look at the claim, its class and its events.", actor=Actor.CLUSTER, commands=(look,)),),
    )


def _in_use(case: Case, found: Unscheduled) -> Finding:
    """Name the pod that uses a ReadWriteOncePod claim: one pod at a time may, anywhere."""
    claims = [
        name
        for name in claim_names(case.pod)
        if "ReadWriteOncePod"
        in texts(case.snapshot.get("persistentvolumeclaims", case.pod.namespace, name).obj, "spec", "accessModes")
    ] or list(claim_names(case.pod))
    holders = [
        p
        for p in map(Pod, case.snapshot.list("pods", case.pod.namespace).items)
        if p.uid != case.pod.uid and p.node and not p.finished and set(claims) & set(claim_names(p))
    ]
    by = f"pod {holders[0].name} on {holders[0].node}" if holders else "another pod"
    end = f"End pod {holders[0].name}" if holders else "End the pod that uses it"
    if case.workload.kind == "Deployment":
        end += f", or use strategy Recreate in {case.workload_name} so that the old pod goes first"
    return found.finding(
        CODE,
        f"PersistentVolumeClaim {', '.join(claims)} has access mode ReadWriteOncePod and is in use by {by}.",
        (case.template_fix(f"{end}; a claim for several pods needs access mode ReadWriteOnce or ReadWriteMany."),),
        tuple(Evidence("spec", f"pod/{p.name} spec.volumes claim", ", ".join(claim_names(p))) for p in holders[:3]),
    )


CLAIM = "PersistentVolumeClaim"


# The volume controller's words; they tell it where classes may not be read (pkg/controller/volume/persistentvolume).
_NO_CLASS = lazy(r"storageclass\.storage\.k8s\.io \"[^\"]{1,253}\" not found")


def _class_missing(case: Case, claim: Obj) -> bool:
    return bool(_class_name(claim)) and case.snapshot.get("storageclasses", "", _class_name(claim)).absent


def _waited(case: Case) -> bool:
    return case.pod.created is not None and case.now - case.pod.created > PROVISIONING


def _finding(case: Case, claim: Obj, found: Unscheduled | None, events: Events) -> Finding:
    name, phase = name_of(claim), text(claim, "status", "phase") or "Pending"
    why, fix, more = _why(case, claim, found, events)
    failure = events.last("ProvisioningFailed", "FailedBinding")
    newest = failure or events.last("ExternalProvisioning")
    evidence = [
        *(found.evidence if found else ()),
        Evidence("status", f"persistentvolumeclaim/{name} status.phase", phase),
        Evidence("spec", f"persistentvolumeclaim/{name} spec.storageClassName", _class_name(claim) or "<none>"),
        *([newest.evidence()] if newest else []),
        *more,
    ]
    pod = case.pod
    driver = _driver(case, claim)
    root = storage_drivers.driver_root(case, driver) if newest is not None or driver else None
    if root is not None and not _deleting(claim) and phase == "Pending":
        why = f"the controller of {driver} does not work: {root.words}"
        fix = repair(root, f"It then makes the volume of claim {name}.")
        evidence += root.evidence
    else:
        root = None
    # What the class or its provisioner owes, every claim of the class waits for.
    of_class = phase == "Pending" and not _deleting(claim) and (newest is not None or _class_missing(case, claim))
    wanted = _class_name(claim) if of_class and root is None else ""
    return Finding(
        cause=CODE,
        severity=Severity.ERROR,
        confidence=Confidence.CONFIRMED if found or failure else Confidence.LIKELY,
        object=pod.ref,
        message=f"PersistentVolumeClaim {name} is {phase}: {why}",
        evidence=tuple(evidence),
        fix=(fix,),
        verify=(case.kubectl("describe", "persistentvolumeclaim", name), "kubectl get storageclass"),
        details={
            "claim": name,
            **({"storageClass": wanted} if wanted else {}),
            **({"root": root.details} if root is not None else {}),
        },
    )


def _why(case: Case, claim: Obj, scheduler: Unscheduled | None, events: Events) -> tuple[str, Fix, list[Evidence]]:
    name, wanted = name_of(claim), _class_name(claim)
    size = text(claim, "spec", "resources", "requests", "storage")
    if scheduler is not None and "enough free storage" in scheduler.head.words:
        words = f"Free or add storage behind StorageClass {wanted}, or recreate claim {name} with a smaller size."
        return f"no node has {size or 'its size'} of free storage in StorageClass {wanted}.", _cloud(words), []
    failure: Event | None = events.last("ProvisioningFailed", "FailedBinding")
    if _deleting(claim):
        return "it is being deleted.", case.template_fix(f"Create claim {name} again once it is gone."), []
    if text(claim, "status", "phase") == "Lost":
        volume = text(claim, "spec", "volumeName")
        words = f"Restore PersistentVolume {volume} from its manifest, or recreate claim {name} and restore its data."
        return f"its volume {volume} is gone.", _cloud(words), []
    classes = case.snapshot.list("storageclasses")
    found = case.snapshot.get("storageclasses", "", wanted) if wanted else None
    names = sorted(name_of(c) for c in classes.items)
    said = failure is not None and _NO_CLASS.search(failure.message)
    if found is not None and (found.absent or (said and not found.found)):
        close = nearest(wanted, names) or (names[0] if len(names) == 1 else "")
        there = f" Existing: {', '.join(names[:4])}." if names else " There is none at all." if classes.complete else ""
        words = f"Recreate claim {name} with storageClassName {close} (it cannot be changed)."
        if not close:
            words = (
                f"Create StorageClass {wanted}, which the claim then uses by itself, or recreate claim {name} with the"
                " storageClassName of a class that exists (it cannot be changed)."
            )
        return f"StorageClass {wanted} does not exist.{there}", _recreate(case, claim, words, close), []
    if not wanted and not text(claim, "spec", "volumeName"):
        default = [c for c in names if _is_default(case, c)]
        if not default and classes.complete:
            there = f" Existing: {', '.join(names[:4])}." if names else ""
            words = f"Make a class the default ({_DEFAULT}: true), or recreate claim {name} with a storageClassName."
            chosen = names[0] if names else placeholder("class")
            mark = kubectl("annotate", "storageclass", chosen, f"{_DEFAULT}=true")
            fix = Fix(words, actor=Actor.CLUSTER, commands=(mark,))
            return f"it names no StorageClass and no class is the default.{there}", fix, []
    provisioner = text(found.obj, "provisioner") if found else ""
    if failure is not None and failure.reason == "ProvisioningFailed":
        return f"{_end(failure.message)}", _provisioning(case, provisioner, failure.message, name), []
    if failure is not None and "no storage class is set" in failure.message and not wanted:
        chosen = names[0] if names else placeholder("class")
        fix = Fix(
            f"Mark a StorageClass as the default (from 1.28 on, waiting claims without a class then get it), or "
            f"recreate claim "
            f"{name} with a storageClassName. Without any provisioner: create a PersistentVolume that fits it.",
            actor=Actor.CLUSTER,
            commands=(kubectl("get", "storageclass"), kubectl("annotate", "storageclass", chosen, f"{_DEFAULT}=true")),
        )
        return "it names no StorageClass, no class is the default, and no volume fits it.", fix, []
    modes = texts(claim, "spec", "accessModes")
    if failure is not None or provisioner == _NO_PROVISIONER:
        words = (
            f"Create a PersistentVolume of at least {size or 'its size'} with {', '.join(modes) or 'its access modes'}"
        )
        words += f" and class {wanted}" if wanted else ""
        where = " on a node that may run the pod" if provisioner == _NO_PROVISIONER else ""
        fix = Fix(
            f"{words}{where}, or free one that is Released.", actor=Actor.CLUSTER, commands=(kubectl("get", "pv"),)
        )
        if failure is not None:
            return f"{_end(failure.message)}", fix, []
        return f"StorageClass {wanted} makes no volumes (no-provisioner), and no free one fits.", fix, []
    waits = events.last("ExternalProvisioning")
    if waits is not None or provisioner:
        driver = provisioner or "the external provisioner"
        words = (
            f"Bring the controller of {driver} up, and read its log for claim {name}: no driver has "
            "answered the request."
        )
        fix = Fix(words, actor=Actor.CLUSTER, commands=(kubectl("get", "pods", "-A"), kubectl("get", "csidrivers")))
        return f"{driver} has not made its volume.", fix, []
    look = kubectl("describe", "persistentvolumeclaim", name, namespace=case.pod.namespace)
    fix = Fix(
        f"Compare claim {name} with StorageClass and volumes; its events tell the rest.",
        actor=Actor.CLUSTER,
        commands=(look,),
    )
    return "no volume was found or made for it.", fix, []


def _cloud(words: str) -> Fix:
    return Fix(words, actor=Actor.CLOUD)


def _recreate(case: Case, claim: Obj, words: str, good: str) -> Fix:
    """Make the fix of a claim's immutable field: the claim anew, with the class that is right."""
    spec = {k: v for k, v in mapping(claim, "spec").items() if k != "volumeName"}
    manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name_of(claim), "namespace": case.pod.namespace},
        "spec": {**spec, "storageClassName": good},
    }
    delete = kubectl("delete", "persistentvolumeclaim", name_of(claim), namespace=case.pod.namespace)
    return Fix(
        words,
        actor=Actor.MANIFEST,
        commands=(delete,) if good else (kubectl("get", "storageclass"),),
        yaml=yaml_text(manifest) if good else "",
    )


# Refusals of clouds and storage through their provisioners.
_REFUSALS: tuple[tuple[re.Pattern[str], str, Actor], ...] = (
    (
        lazy(r"Unauthorized|AccessDenied|AuthorizationFailed|forbidden|permission|\b403\b|not authorized", re.I),
        "Give the identity of {driver}'s controller the rights to make volumes (and to use the key that "
        "encrypts them): the role of its ServiceAccount (IRSA, Pod Identity, workload identity), which a driver "
        "without "
        "one takes from the node.",
        Actor.CLOUD,
    ),
    (
        lazy(r"quota|limit ?exceeded|LimitExceeded|insufficient|not enough|no space|capacity", re.I),
        "Have the quota behind {driver} raised, free volumes there, or ask for less in claim {claim}.",
        Actor.CLOUD,
    ),
    (
        lazy(r"topology|zone|no (?:available|matching) nodes?|error generating accessibility", re.I),
        "Let {driver} know a place for the volume: a node with its topology label must run its node plugin, and "
        "volumeBindingMode WaitForFirstConsumer lets the scheduler choose it first.",
        Actor.CLUSTER,
    ),
    (
        lazy(r"invalid|unsupported|not supported|unknown parameter|InvalidArgument", re.I),
        "Correct the parameters of the StorageClass, or the access modes and size of claim {claim}, that "
        "{driver} refuses.",
        Actor.CLUSTER,
    ),
    (
        lazy(r"dial tcp|timed? ?out|deadline|no such host|connection refused|Unavailable", re.I),
        "Let the controller of {driver} reach its storage API: address, DNS, firewall and credentials.",
        Actor.CLOUD,
    ),
    (
        lazy(r"secret|credential|authentic|login", re.I),
        "Correct the Secret that the StorageClass names for {driver} (csi.storage.k8s.io/provisioner-secret-name).",
        Actor.CLUSTER,
    ),
)


def _provisioning(case: Case, provisioner: str, said: str, claim: str) -> Fix:
    """Say what to do about a provisioner's refusal, by class of its words."""
    driver = provisioner or "the provisioner"
    look = kubectl("describe", "persistentvolumeclaim", claim, namespace=case.pod.namespace)
    for pattern, act, actor in _REFUSALS:
        if pattern.search(said):
            return Fix(act.format_map({"driver": driver, "claim": claim}), actor=actor, commands=(look,))
    words = f"This message is not known here. Read the log of {driver}'s controller for claim {claim}."
    return Fix(words, actor=Actor.CLUSTER, commands=(look, kubectl("get", "pods", "-A")))


def _is_default(case: Case, name: str) -> bool:
    obj = case.snapshot.get("storageclasses", "", name).obj
    return labels(obj, "metadata", "annotations").get(_DEFAULT) == "true"


def _end(words: str) -> str:
    return words.strip().rstrip(".") + "."
