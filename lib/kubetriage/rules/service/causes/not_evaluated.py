"""Something that was seen on the way is not judged, so the way may still be broken there.

Meaning: the kind is not one whose rules this command knows (Kong, APISIX, Knative, a mapping of another gateway). It
names a Service of the trace; what its controller makes of it is shown as far as its status says so. Or it is a policy
of Cilium, Calico, Linkerd or the policy API that selects the pods. No all-clear is given over it.

Told by: an object of a custom kind that names a Service of the trace, in the cluster's own lists or in the dump; a
policy of another API with ingress rules whose selector takes in the pods, or cannot be read, where its rules are not of
the forms that are judged (tiers, layer 7, entities, passed-on rules).

Fix: read its status and its controller's log; the Services that it names are traced as any other.

Source: CustomResourceDefinition status conventions (conditions with type, status, reason, message).
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.custom_entrances import CustomEntrance
from kubetriage.rules.service.foreign_crossings import unresolved
from kubetriage.rules.service.foreign_findings import look_at
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.other_policies import OtherPolicy
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import labels, objects, text

CODE = "NotEvaluated"


_VISIBILITY = "networking.knative.dev/visibility"


def check(trace: Trace) -> Iterator[Fault]:
    """Name each object of a kind that is not judged."""
    for custom in trace.customs:
        if not custom.judged:
            yield _note(custom)
    for backend in trace.services:
        for policy in unresolved(trace, backend):
            yield _policy(backend, policy)


def _policy(backend: Backend, policy: OtherPolicy) -> Fault:
    said = f" Its rules: {policy.admits}." if policy.admits else ""
    return fault(
        CODE,
        backend.policy_place,
        f"{policy.shown} may rule who reaches the pods of svc/{backend.name}, and is not evaluated.{said}",
        severity=Severity.NOTE,
        proof="inferred",
        evidence=[Evidence("spec", f"{policy.shown} spec", policy.admits or "ingress rules")],
        verify=(look_at(policy),),
        short=f"not evaluated: {policy.shown}",
    )


def _note(custom: CustomEntrance) -> Fault:
    conditions = objects(custom.raw, "status", "conditions")
    said = ", ".join(f"{text(c, 'type')} {text(c, 'status')}" for c in conditions[:5])
    names = ", ".join(dict.fromkeys(f"svc/{r.name}" for r, _ in custom.backends)) or "no Service that was seen"
    state = f" Its conditions: {said}." if said else " It has no conditions."
    private = labels(custom.raw, "metadata", "labels").get(_VISIBILITY) == "cluster-local"
    if private:
        state += f" By its label {_VISIBILITY}: cluster-local it has an address inside the cluster only."
    return fault(
        CODE,
        custom.place,
        f"{custom.kind}/{custom.name} leads to {names} and is not evaluated: its rules are not known here.{state}",
        severity=Severity.NOTE,
        proof="inferred",
        evidence=[
            Evidence("spec", f"{custom.shown} {r.at}", f"{r.name}" + (f":{r.port}" if r.port is not None else ""))
            for r, _ in custom.backends[:3]
        ]
        or [Evidence("spec", custom.shown, custom.kind)],
        fix=(
            Fix(
                f"To reach it from outside, remove the label {_VISIBILITY} from {custom.typed}/{custom.name}",
                actor=Actor.MANIFEST,
                commands=(custom.kubectl("label", custom.typed, custom.name, f"{_VISIBILITY}-"),),
            ),
        )
        if private
        else (),
        verify=(kubectl("describe", custom.typed, custom.name, namespace=custom.namespace),),
        short=f"not evaluated: {custom.kind}/{custom.name}",
    )
