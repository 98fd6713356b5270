"""The ResourceClaims of a pod (dynamic resource allocation): by name, or made from a template."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.found import Lookup
from kubetriage.records import dataclass
from kubetriage.rules.crash.case import Case
from kubetriage.values.fields import mapping, objects, text


@dataclass(frozen=True)
class PodClaim:
    """One entry of ``spec.resourceClaims``."""

    entry: str
    """Name of the entry in the pod."""
    claim: str
    """Name of the ResourceClaim; empty while none was made from the template."""
    template: str
    """Name of the ResourceClaimTemplate; empty for a claim by name."""

    @property
    def at(self) -> str:
        """Where the pod names it."""
        field = "resourceClaimTemplateName" if self.template else "resourceClaimName"
        return f"spec.resourceClaims[{self.entry}].{field}"


def pod_claims(case: Case) -> Iterator[PodClaim]:
    """Yield the claims of a pod that waits for a node; before 1.31 the names stood in ``source``."""
    pod = case.pod
    if pod.node or pod.finished or pod.deleting:
        return
    made = {text(s, "name"): text(s, "resourceClaimName") for s in objects(pod.raw, "status", "resourceClaimStatuses")}
    for raw in objects(pod.raw, "spec", "resourceClaims"):
        old = mapping(raw, "source")
        template = text(raw, "resourceClaimTemplateName") or text(old, "resourceClaimTemplateName")
        claim = text(raw, "resourceClaimName") or text(old, "resourceClaimName")
        name = text(raw, "name")
        yield PodClaim(name, claim or made.get(name, ""), template)


def claim_of_pod(case: Case, one: PodClaim) -> Lookup:
    """Look the ResourceClaim up."""
    return case.snapshot.get("resourceclaims", case.pod.namespace, one.claim)


def template_of_pod(case: Case, one: PodClaim) -> Lookup:
    """Look the ResourceClaimTemplate up."""
    return case.snapshot.get("resourceclaimtemplates", case.pod.namespace, one.template)
