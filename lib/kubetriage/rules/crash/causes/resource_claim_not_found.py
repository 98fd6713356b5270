"""The pod names a ResourceClaim or ResourceClaimTemplate that does not exist in its namespace.

Meaning: the scheduler holds such a pod back before its queue, so the pod is Pending without a condition and without an
event: no scheduler is at fault. The pod is taken up as soon as the claim is there.

Told by: ``spec.resourceClaims`` of a pod without a node, with a name that the namespace does not have; or the
scheduler's or the claim controller's words that it was not found.

Fix: create the claim or template in the pod's namespace, or correct the name in the pod template.

Source: scheduler plugin DynamicResources (PreEnqueue); resource.k8s.io ResourceClaim, stable in 1.34.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.needs import Get, List, Need
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.resource_claims import PodClaim, claim_of_pod, pod_claims, template_of_pod
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.fields import name_of
from kubetriage.values.manifest_text import yaml_text
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy

CODE = "ResourceClaimNotFound"

_TEMPLATES = "resourceclaimtemplates"
_TOLD = lazy(r'resourceclaim(?:template)?\S{0,80} \\?"(?P<name>[^"\\]+)\\?" not found')


def needs(case: Case) -> Iterator[Need]:
    """Ask for the claims and templates, and for their neighbours once one is missing."""
    namespace = case.pod.namespace
    for one in pod_claims(case):
        for resource, name in (("resourceclaims", one.claim), (_TEMPLATES, one.template)):
            if name:
                yield Get(resource, namespace, name)
                if case.snapshot.get(resource, namespace, name).absent:
                    yield List(resource, namespace)
                    yield List(_TEMPLATES, namespace)
                    yield List("deviceclasses")


def check(case: Case) -> Iterator[Finding]:
    """Name what does not exist."""
    for one in pod_claims(case):
        told = _event(case, one)
        made = not one.template or bool(one.claim)
        lookup = claim_of_pod(case, one) if made else template_of_pod(case, one)
        kind, plural = ("ResourceClaim", "resourceclaims") if made else ("ResourceClaimTemplate", _TEMPLATES)
        name = one.claim if made else one.template
        if name and (lookup.absent or (told is not None and not lookup.found)):
            sure = told is not None or not lookup.presumed
            yield _finding(case, one, kind, plural, name, told, sure)
            return


def _event(case: Case, one: PodClaim) -> Evidence | None:
    for event in reversed(case.events.items):
        match = _TOLD.search(event.message)
        if match and match["name"] in (one.claim, one.template):
            return event.evidence()
    condition = case.pod.condition("PodScheduled")
    match = _TOLD.search(str(condition.get("message", "")))
    if match and match["name"] in (one.claim, one.template):
        return case.pod.fact("status", "status.conditions[PodScheduled]", condition["message"])
    return None


def _finding(
    case: Case, one: PodClaim, kind: str, plural: str, name: str, told: Evidence | None, sure: bool
) -> Finding:
    pod, namespace = case.pod, case.pod.namespace
    here = [name_of(o) for o in case.snapshot.list(plural, namespace).items]
    templates = [name_of(o) for o in case.snapshot.list(_TEMPLATES, namespace).items]
    close = nearest(name, here)
    message = f"{kind} {name} does not exist in namespace {namespace}, so the scheduler does not take the pod up."
    if close:
        message += f" {close} exists."
    elif kind == "ResourceClaim" and name in templates:
        message += f" A ResourceClaimTemplate {name} exists: the pod must name it as resourceClaimTemplateName."
    where = f"{one.at} of {case.workload_name}"
    fix = case.template_fix(f"Name {close} in {where}, or create {kind} {name}.") if close else None
    classes = [name_of(c) for c in case.snapshot.list("deviceclasses").items]
    chosen = classes[0] if len(classes) == 1 else placeholder("device class")
    request = {"devices": {"requests": [{"name": one.entry or "device", "exactly": {"deviceClassName": chosen}}]}}
    body = {"spec": {"spec": request}} if kind == "ResourceClaimTemplate" else {"spec": request}
    manifest = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        **body,
    }
    if fix is None:
        words = f"Create {kind} {name} in namespace {namespace}, or correct {where}."
        if not classes:
            words += " It must name a DeviceClass that the driver of the device brings."
        look = (
            kubectl("get", f"{plural},resourceclaimtemplates", namespace=namespace),
            kubectl("get", "deviceclasses"),
        )
        fix = Fix(words, actor=Actor.MANIFEST, commands=look, yaml=yaml_text(manifest))
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED if sure else Confidence.LIKELY,
        pod.ref,
        message,
        (*((told,) if told else ()), pod.fact("spec", one.at, name)),
        fix=(fix,),
        verify=(case.kubectl("get", plural), case.kubectl("get", "pod", pod.name)),
        details={"reference": {"kind": kind, "name": name, **({"nearest": close} if close else {})}},
    )
