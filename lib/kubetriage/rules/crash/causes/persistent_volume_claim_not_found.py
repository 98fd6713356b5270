"""A PersistentVolumeClaim that the pod uses does not exist in its namespace.

Meaning: the scheduler does not place the pod before the claim is there.

Told by: ``persistentvolumeclaim "NAME" not found`` from the scheduler (or the kubelet), or a lookup of the claims of
a pod without a node.

Fix: create the claim, or correct ``claimName`` in the workload's pod template. A StatefulSet makes the claims of its
volumeClaimTemplates itself.

Source: scheduler plugin VolumeBinding; core/v1 PersistentVolumeClaimVolumeSource.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Severity
from kubetriage.needs import Get, List, Need
from kubetriage.rules.crash import scheduling
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.volume_claims import claim_names, volume_of_claim, waiting_for_storage
from kubetriage.values.fields import mapping, name_of, namespace_of, text
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy

CODE = "PersistentVolumeClaimNotFound"

# volumebinding; the kubelet writes it into FailedMount for pods that were bound by hand.
_WORDS = lazy(r'persistentvolumeclaim "(?P<name>[^"]+)" not found')


def needs(case: Case) -> Iterator[Need]:
    """Ask for the claims, and for all of them once one is missing."""
    if not waiting_for_storage(case):
        return
    for name in claim_names(case.pod):
        yield Get("persistentvolumeclaims", case.pod.namespace, name)
        if case.snapshot.get("persistentvolumeclaims", case.pod.namespace, name).absent:
            yield List("persistentvolumeclaims", case.pod.namespace)


def check(case: Case) -> Iterator[Finding]:
    """Name missing claims."""
    if not waiting_for_storage(case):
        return
    found = scheduling.unscheduled(case)
    told = {m["name"] for m in _WORDS.finditer(found.message)} if found else set()
    for name in dict.fromkeys((*sorted(told), *claim_names(case.pod))):
        lookup = case.snapshot.get("persistentvolumeclaims", case.pod.namespace, name)
        if lookup.found or not (name in told or lookup.absent):
            continue
        if lookup.presumed and name not in told and found is not None and found.message:
            # The scheduler looks for the claims before it looks at a node: a verdict about nodes has met them.
            continue
        sure = name in told or not lookup.presumed
        evidence = found.evidence if found and name in told else ()
        yield _finding(case, name, evidence, Confidence.CONFIRMED if sure else Confidence.LIKELY)


def _finding(case: Case, name: str, said: tuple[Evidence, ...], confidence: Confidence) -> Finding:
    pod, volume = case.pod, volume_of_claim(case.pod, name)
    claims = case.snapshot.list("persistentvolumeclaims").items
    here = [name_of(c) for c in claims if namespace_of(c) == pod.namespace]
    close = nearest(name, here)
    message = (
        f"PersistentVolumeClaim {name} does not exist in namespace {pod.namespace}; volume {volume or name} needs it."
    )
    if close:
        phase = text(next(c for c in claims if name_of(c) == close), "status", "phase")
        message += f" {close} exists{' and is ' + phase if phase else ''}."
    elsewhere = [namespace_of(c) for c in claims if name_of(c) == name and namespace_of(c) != pod.namespace]
    if elsewhere:
        message += f" One of that name exists in namespace {elsewhere[0]}; pods cannot use it from there."
    words = f"Create PersistentVolumeClaim {name}"
    words += f", or name {close} in {case.workload_name}." if close else f", or correct it in {case.workload_name}."
    patch = None
    if close and volume and not _is_ephemeral(case, volume):
        patch = {"volumes": [{"name": volume, "persistentVolumeClaim": {"claimName": close}}]}
    return Finding(
        cause=CODE,
        severity=Severity.ERROR,
        confidence=confidence,
        object=pod.ref,
        message=message,
        evidence=(*said, Evidence("spec", f"spec.volumes[{volume}].persistentVolumeClaim.claimName", name)),
        fix=(case.template_fix(words, patch),),
        verify=(case.kubectl("get", "persistentvolumeclaim"),),
        details={"reference": {"kind": "PersistentVolumeClaim", "name": name, **({"nearest": close} if close else {})}},
    )


def _is_ephemeral(case: Case, volume: str) -> bool:
    spec = case.pod.raw.get("spec")
    volumes = spec.get("volumes") if isinstance(spec, dict) else None
    listed = volumes if isinstance(volumes, list) else []
    return any(text(v, "name") == volume and bool(mapping(v, "ephemeral")) for v in listed)
