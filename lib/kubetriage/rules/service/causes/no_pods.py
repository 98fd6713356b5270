"""There is no pod for the Service to send to.

Meaning: the selector fits a workload that wants no pods (scaled to zero), or whose pods could not be created, or
there is nothing at all in the namespace that it could fit.

Told by: the pod list has no pod with the selector's labels while a workload's pod template has them
(``spec.replicas: 0``, or events of its controller), or the pods with them have ended and no workload
replaces them, or the namespace has neither pods nor workloads. Told apart
from a selector that misses pods that are there (SelectorMismatch): then no template matches either.

Fix: scale the workload up, repair what keeps its controller from creating pods, or deploy it here.

Source: Service selectors match pods of their own namespace only (core/v1 ServiceSpec.selector).
"""

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Fix, Ref
from kubetriage.rules.crash import evaluation
from kubetriage.rules.crash.case import ControllerCase
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend, template_labels
from kubetriage.rules.service.hop_faults import Fault, fault, plural
from kubetriage.rules.service.selector_edits import selects
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, number

CODE = "NoPods"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Service whose selector matches no pod."""
    for backend in trace.services:
        if not backend.selector or backend.pods or not backend.pod_list.complete:
            continue
        workloads = [(r, o) for r, o in backend.templates() if selects(backend.selector, template_labels(o))]
        if workloads:
            ref, obj = workloads[0]
            yield _of_workload(trace, backend, ref, obj)
        elif backend.all_pods:
            yield _ended(backend)
        elif _namespace_is_empty(backend):
            yield _of_namespace(backend)


def _of_workload(trace: Trace, backend: Backend, ref: Ref, obj: Obj) -> Fault:
    name = f"{ref.kind.lower()}/{ref.name}"
    replicas = number(obj, "spec", "replicas")
    evidence = [Evidence("spec", f"{name} spec.replicas", str(replicas))] if replicas is not None else []
    fix: tuple[Fix, ...]
    fix = (Fix(f"Find out why {name} has no running pods; its events tell"),)
    verify = [backend.kubectl("get", name), backend.kubectl("get", "pods", "-l", backend.selector_text)]
    short = f"{name} has no pods"
    if backend.all_pods:
        message = f"Every pod that svc/{backend.name} selects has ended; {name} runs none now."
        short = f"{name} runs no pod now, all have ended"
    elif replicas == 0:
        message = f"{name} is scaled to 0, so svc/{backend.name} ({backend.selector_text}) has no pods."
        short = f"no pods: {name} is scaled to 0"
        fix = (Fix(f"Scale it up: {backend.kubectl('scale', name, '--replicas=1')}", {"spec": {"replicas": 1}}, ref),)
    else:
        found = evaluation.diagnose_controller(ControllerCase(obj, ref.kind, trace.snapshot))
        if found:
            message = f"{name} has no pods for svc/{backend.name}: {found[0].message}"
            short += f": {found[0].cause}"
            evidence.extend(found[0].evidence)
            fix = found[0].fix or fix
        else:
            message = f"{name} has no pods for svc/{backend.name}, and nothing that was read says why."
            verify.append(backend.kubectl("describe", name))
    return fault(
        CODE,
        backend.pods_place,
        message,
        about=ref,
        confidence=_confidence(backend),
        evidence=evidence,
        fix=fix,
        verify=verify,
        short=short,
    )


def _ended(backend: Backend) -> Fault:
    """Tell of bare pods, and of pods of a deleted workload, that have ended; a Service leaves such pods out."""
    pods = backend.all_pods
    states = ", ".join(sorted({p.status_text() for p in pods}))
    verb = "has" if len(pods) == 1 else "have"
    return fault(
        CODE,
        backend.pods_place,
        f"{plural(len(pods), 'pod')} with {backend.selector_text} {verb} ended ({states}) and no workload replaces "
        f"{'it' if len(pods) == 1 else 'them'}, so svc/{backend.name} has none to send to.",
        about=backend.ref,
        confidence=_confidence(backend),
        evidence=[p.fact("status", f"pod/{p.name} status.phase", p.phase) for p in pods[:3]],
        fix=[
            Fix(f"Run the program under a Deployment with the labels {backend.selector_text}, which replaces its pods")
        ],
        verify=(backend.kubectl("get", "pods", "-l", backend.selector_text),),
        short=f"{plural(len(pods), 'pod')}, all ended ({states})",
    )


def _namespace_is_empty(backend: Backend) -> bool:
    pods = backend.world.listing("pods", backend.namespace)
    return (
        pods.complete
        and not any(p for p in backend.world.pods(backend.namespace) if not p.finished)
        and not backend.templates()
        # Without the workloads, only a list of pods that was read whole tells that there is none.
        and (backend.world.listing("deployments", backend.namespace).complete or not pods.presumed)
    )


def _of_namespace(backend: Backend) -> Fault:
    elsewhere = backend.namespaces_elsewhere
    hint = f" Pods with these labels run in namespace {', '.join(elsewhere[:3])}." if elsewhere else ""
    return fault(
        CODE,
        backend.pods_place,
        f"Namespace {backend.namespace} has no running pods, so svc/{backend.name} "
        f"({backend.selector_text}) has none to send to.{hint}",
        about=backend.ref,
        confidence=_confidence(backend),
        evidence=[Evidence("spec", f"service/{backend.name} spec.selector", backend.selector_text)],
        fix=[Fix(f"Deploy the program into namespace {backend.namespace}, or use the Service where its pods run")],
        verify=(kubectl("get", "pods", "-A", "-l", backend.selector_text),),
        short="no pods in the namespace",
    )


def _confidence(backend: Backend) -> Confidence:
    """Let an empty slice of the controller bear out a pod list that is only presumed empty."""
    empty_slice = backend.endpoints.slices > 0 and not backend.endpoints.items
    return Confidence.LIKELY if backend.pod_list.presumed and not empty_slice else Confidence.CONFIRMED
