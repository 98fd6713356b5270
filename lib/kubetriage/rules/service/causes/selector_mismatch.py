"""The Service's selector matches no pod, while pods are there.

Meaning: the Service has no endpoints; connections are refused at once and an ingress controller answers 503.

Told by: no pod of the namespace has all pairs of ``spec.selector``. The nearest pods and pod templates are
compared pair by pair; the smallest edit is offered, and on which side. Told apart from a workload that matches
but has no pods (NoPods).

Fix: change the selector, or the labels of the pod template where other objects use the selector's spelling.

Source: core/v1 ServiceSpec.selector: all pairs must match labels of pods (not of the Deployment) in the Service's
own namespace.
"""

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Fix, Ref
from kubetriage.records import dataclass
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend, template_labels
from kubetriage.rules.service.hop_faults import Fault, fault, plural
from kubetriage.rules.service.selector_edits import Edit, matches_labels, selector_edit, selects
from kubetriage.values.fields import Obj, dig, labels, name_of, uid_of

CODE = "SelectorMismatch"


@dataclass(frozen=True)
class Candidate:
    """A workload or bare pod that the Service may be meant for."""

    ref: Ref
    labels: dict[str, str]
    edit: Edit
    pods: int

    @property
    def name(self) -> str:
        """``deployment/web``."""
        return f"{self.ref.kind.lower()}/{self.ref.name}"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Service whose selector matches no pod."""
    for backend in trace.services:
        if not backend.selector or backend.all_pods or not backend.pod_list.complete:
            continue
        templates = backend.templates()
        if any(selects(backend.selector, template_labels(o)) for _, o in templates):
            continue
        pods = [p for p in backend.world.pods(backend.namespace) if not p.finished]
        if pods or templates:
            yield _mismatch(backend, templates)


def _mismatch(backend: Backend, templates: tuple[tuple[Ref, Obj], ...]) -> Fault:
    found = candidates(backend)
    best = [c for c in found if c.edit.cost == found[0].edit.cost] if found else []
    head = f"svc/{backend.name} selects {backend.selector_text}, which no pod in namespace {backend.namespace} has"
    fix: list[Fix] = []
    evidence = [Evidence("spec", f"service/{backend.name} spec.selector", backend.selector_text)]
    details: dict[str, object] = {}
    misplaced = next((r for r, o in templates if selects(backend.selector, labels(o, "metadata", "labels"))), None)
    if misplaced is not None:
        name = f"{misplaced.kind.lower()}/{misplaced.name}"
        tail = f"the labels are on {name} itself, not on its pod template"
        patch = {"spec": {"template": {"metadata": {"labels": dict(backend.selector)}}}}
        fix.append(Fix(f"Put {backend.selector_text} on the pod template of {name}", patch, misplaced))
    elif len(best) == 1:
        near = best[0]
        change = near.edit.changes[0]
        carries = ",".join(f"{k}={v}" for k, v in sorted(near.labels.items()))
        own = ", ".join(f"{c.new_key}={c.new_value}" for c in near.edit.changes if c.new_key) or f"no {change.key}"
        who = f"the {plural(near.pods, 'pod')} of {near.name}" if near.pods else near.name
        verb = "carries" if near.pods == 1 or not near.pods else "carry"
        tail = f"{who} {verb} {own}"
        evidence.append(Evidence("spec", f"{near.name} pod labels", carries))
        details.update(nearest=near.name, edit=str(near.edit))
        fix.append(_fix(backend, near))
    elif best:
        tail = "equally near: " + "; ".join(f"{c.name} ({c.edit})" for c in best[:3])
    else:
        tail = _elsewhere(backend)
    if not fix:
        fix.append(Fix(f"Set the selector of svc/{backend.name} to labels of the pods that it is meant for"))
    return fault(
        CODE,
        backend.place,
        f"{head}; {tail}.",
        confidence=Confidence.LIKELY if backend.pod_list.presumed else Confidence.CONFIRMED,
        evidence=evidence,
        fix=fix,
        verify=(
            backend.kubectl("get", "pods", "--show-labels"),
            backend.kubectl("get", "endpointslices", "-l", f"kubernetes.io/service-name={backend.name}"),
        ),
        short=f"selector {backend.selector_text} matches no pod; {tail}",
        details=details,
    )


def candidates(backend: Backend) -> list[Candidate]:
    """Return what the selector may be meant for, the nearest first."""
    found: dict[Ref, Candidate] = {}
    for pod in backend.world.pods(backend.namespace):
        if pod.finished:
            continue
        edit = selector_edit(backend.selector, pod.labels)
        if edit is None:
            continue
        ref = backend.workload(pod)
        known = found.get(ref)
        if known is None or edit.cost < known.edit.cost:
            found[ref] = Candidate(ref, _user_labels(pod.labels), edit, (known.pods if known else 0) + 1)
        else:
            found[ref] = Candidate(ref, known.labels, known.edit, known.pods + 1)
    for ref, workload in backend.templates():
        have = template_labels(workload)
        edit = selector_edit(backend.selector, have)
        if edit is not None and not any(r.kind == ref.kind and r.name == ref.name for r in found):
            found[ref] = Candidate(ref, _user_labels(have), edit, 0)
    return sorted(found.values(), key=lambda c: (c.edit.cost, -c.pods, c.name))


def _user_labels(have: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in have.items() if not k.endswith(("-hash", "template-generation"))}


def _fix(backend: Backend, near: Candidate) -> Fix:
    if _others_use_selector(backend, near) and near.ref.kind not in ("Pod", "Job"):
        patch = {"spec": {"template": {"metadata": {"labels": dict(backend.selector)}}}}
        words = f"Label the pod template of {near.name} {backend.selector_text}: other objects select it by that"
        return Fix(words, patch, near.ref)
    words = f"Change the selector of svc/{backend.name}: {near.edit}"
    return Fix(words, {"spec": {"selector": near.edit.patch}}, backend.ref)


def _others_use_selector(backend: Backend, near: Candidate) -> bool:
    """Tell whether other Services and NetworkPolicies spell it as this Service does, and none as the pods do."""
    wanted = {**near.labels, **backend.selector}
    spelled = theirs = 0
    for other in backend.world.listing("services", backend.namespace).items:
        if uid_of(other) == backend.ref.uid or name_of(other) == backend.name:
            continue
        selector = labels(other, "spec", "selector")
        theirs += selects(selector, near.labels)
        spelled += selects(selector, wanted) and not selects(selector, near.labels)
    for policy in backend.world.listing("networkpolicies", backend.namespace).items:
        chosen = dig(policy, "spec", "podSelector")
        if not chosen:
            continue
        theirs += matches_labels(chosen, near.labels)
        spelled += matches_labels(chosen, wanted) and not matches_labels(chosen, near.labels)
    return spelled > 0 and theirs == 0


def _elsewhere(backend: Backend) -> str:
    spaces = backend.namespaces_elsewhere
    if spaces:
        return f"pods with these labels run in namespace {', '.join(spaces[:3])}"
    return "no pod or workload there comes near it"
