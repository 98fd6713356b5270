"""No running controller of the Ingress's class was found, and the Ingress has no address.

Meaning: nobody turns the Ingress into a proxy configuration. It may also be that the controller runs under another
name, or outside the cluster: no API tells, so this is never more than a suspicion.

Told by: ``spec.controller`` of the class against labels, arguments and environment of all pods, and an empty
``status.loadBalancer``. An Ingress with an address was taken up by somebody. Controllers of cloud providers run
outside the cluster and are not looked for.

Fix: start the controller, or use the class of one that runs.

Source: networking.k8s.io/v1 IngressClassSpec.controller.
"""

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.case import Fault, Trace, age_of, fault, plural
from kubetriage.rules.service.entrances import PROVIDER_CONTROLLERS
from kubetriage.times import human_duration

CODE = "IngressControllerNotFound"

_PATIENCE = timedelta(minutes=1)


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Ingress without an address."""
    for entrance in trace.ingresses:
        if entrance.ingress.addresses or not entrance.controller:
            continue
        if entrance.controller.startswith(PROVIDER_CONTROLLERS):
            continue
        age = age_of(entrance.ingress.raw, trace.now)
        waited = human_duration(age) if age is not None else "an unknown time"
        pods = entrance.controller_pods
        ready = [p for p in pods if p.ready]
        if ready:
            continue
        name = f"ingressclass/{entrance.ingress.any_class}"
        if pods:
            yield fault(
                CODE,
                entrance.class_place,
                f"None of the {plural(len(pods), 'pod')} of the controller {entrance.controller} is ready, and "
                f"{entrance.name} has had no address for {waited}.",
                proof="proven",
                about=pods[0].ref,
                evidence=[p.fact("status", f"pod/{p.name} STATUS", p.status_text()) for p in pods[:3]],
                fix=[Fix(f"Repair pod/{pods[0].name} in namespace {pods[0].namespace}; kubectl why-crash tells why")],
                verify=(f"kubectl -n {pods[0].namespace} describe pod {pods[0].name}",),
                short=f"controller {entrance.controller}: 0/{plural(len(pods), 'pod')} ready",
            )
            continue
        young = age is None or age < _PATIENCE
        yield fault(
            CODE,
            entrance.class_place,
            f"No pod of the controller {entrance.controller} ({name}) was found, and {entrance.name} has had no "
            f"address for {waited}. It may run under another name.",
            severity=Severity.NOTE if young else Severity.WARNING,
            proof="inferred",
            confidence=Confidence.POSSIBLE,
            evidence=[
                Evidence("spec", f"{name} spec.controller", entrance.controller),
                Evidence("status", f"{entrance.name} status.loadBalancer.ingress", "<none>"),
            ],
            fix=[Fix(f"Start the controller {entrance.controller}, or use the class of one that runs")],
            verify=(
                f"kubectl get pods -A -o yaml | grep -n {entrance.controller}",
                f"{entrance.command} describe ingress {entrance.ingress.name}",
            ),
            short=f"no pod of controller {entrance.controller} found; no address for {waited}",
        )
