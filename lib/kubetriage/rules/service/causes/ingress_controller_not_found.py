"""No pod of the controller of the Ingress's class is ready, or none was found and the Ingress has no address.

Meaning: nobody turns the Ingress into a proxy configuration. Where no pod was found, the controller may also run
under another name, or outside the cluster: no API tells, so that is never more than a suspicion.

Told by: ``spec.controller`` of the class against labels, arguments and environment of all pods, and their Ready
condition. Without any pod an Ingress with an address was taken up by somebody. Controllers of cloud providers run
outside the cluster and are not looked for. A controller that runs and was told by its arguments to watch other
namespaces, or to serve another class (ingress-nginx, Traefik, HAProxy, Kong), is told too.

Fix: start the controller, or use the class of one that runs.

Source: networking.k8s.io/v1 IngressClassSpec.controller.
"""

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.readers.pods import Pod
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.entrance_controllers import named_class, served_class, watched_namespaces
from kubetriage.rules.service.hop_faults import Fault, age_of, fault, plural
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.values.commands import PIPE, kubectl
from kubetriage.values.times import human_duration

CODE = "IngressControllerNotFound"

_PATIENCE = timedelta(minutes=1)


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the controller of each Ingress."""
    for entrance in trace.ingresses:
        known = entrance.known
        if not entrance.controller or (known is not None and known.managed) or not _looked_for(trace, entrance):
            continue
        age = age_of(entrance.ingress.raw, trace.now)
        waited = human_duration(age) if age is not None else "an unknown time"
        pods = entrance.controller_pods
        name = f"ingressclass/{entrance.ingress.any_class}"
        if pods and not any(p.ready for p in pods):
            yield _down(entrance, pods)
        yield from _elsewhere(entrance, pods)
        if pods or entrance.ingress.addresses:
            # Without a pod an address tells that some controller took it up, under a name that is not known here.
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
            fix=[_use_of_another(entrance) or Fix(f"Start the controller {entrance.controller}")],
            verify=(
                kubectl("get", "pods", "-A", "-o", "yaml", PIPE, "grep", "-n", entrance.controller),
                entrance.kubectl("describe", "ingress", entrance.ingress.name),
            ),
            short=f"no pod of controller {entrance.controller} found; no address for {waited}",
        )


def _use_of_another(entrance: Entrance) -> Fix | None:
    """Name a class whose controller runs here; None where none was found."""
    for name, controller in entrance.classes_that_run():
        ingress = entrance.ingress
        return Fix(
            f"Name ingressclass/{name} in {entrance.name}: its controller {controller} runs here. Or start one that "
            f"serves spec.controller {entrance.controller}",
            {"spec": {"ingressClassName": name}},
            ingress.ref,
            Actor.MANIFEST,
        )
    return None


def _elsewhere(entrance: Entrance, pods: tuple[Pod, ...]) -> Iterator[Fault]:
    """Tell of controllers that run and were told to serve other namespaces, or another class."""
    ready = [p for p in pods if p.ready]
    spaces = {p.name: watched_namespaces(p) for p in ready}
    classes = {p.name: served_class(p) for p in ready}
    names = {p.name: named_class(p, entrance.controller) for p in ready}
    own, mine = entrance.ingress.namespace, entrance.ingress.any_class
    if ready and all(s and own not in s for s in spaces.values()):
        what, value = "watches only namespace " + ", ".join(spaces[ready[0].name]), ", ".join(spaces[ready[0].name])
        at, fix = "--watch-namespace", f"Let it watch namespace {own} too, or move {entrance.name}"
    elif ready and all(c and c != entrance.controller for c in classes.values()):
        value = classes[ready[0].name]
        what, at = f"serves the controller class {value}, not {entrance.controller}", "--controller-class"
        fix = f"Name an IngressClass with spec.controller {value} in {entrance.name}, or start it with the class"
    elif ready and mine and all(n and n != mine and not entrance.controller.endswith(f"/{n}") for n in names.values()):
        # HAProxy holds its argument against the end of spec.controller, Traefik and Kong against the class's name.
        value = names[ready[0].name]
        what, at = f"serves only the class {value}, not {mine}", "class"
        fix = f"Name the class {value} in {entrance.name}, or start the controller with the class {mine}"
    else:
        return
    pod = ready[0]
    yield fault(
        CODE,
        entrance.class_place,
        f"The controller in pod/{pod.name} of namespace {pod.namespace} {what}, so nobody serves {entrance.name}.",
        severity=Severity.WARNING if entrance.ingress.addresses else Severity.ERROR,
        about=pod.ref,
        evidence=[pod.fact("spec", f"pod/{pod.name} args {at}", value)],
        fix=[Fix(fix, actor=Actor.CLUSTER)],
        verify=(kubectl("get", "pod", pod.name, "-o", "yaml", namespace=pod.namespace),),
        short=f"the controller {what}",
    )


def _looked_for(trace: Trace, entrance: Entrance) -> bool:
    """Tell whether pods outside the Ingress's namespace were seen at all: a dump of one namespace shows none."""
    if trace.snapshot.source == "cluster":
        return True
    return any(p.namespace != entrance.ingress.namespace for p in trace.world.pods(""))


def _down(entrance: Entrance, pods: tuple[Pod, ...]) -> Fault:
    one = pods[0]
    subject = "The only pod" if len(pods) == 1 else f"None of the {len(pods)} pods"
    verb = "is not" if len(pods) == 1 else "is"
    # Where the proxy is another program, or outside the cluster, it goes on with what it was last told.
    serves = bool(entrance.ingress.addresses) and not (entrance.known is not None and entrance.known.own_proxy)
    effect = f"no change of {entrance.name} takes effect" if serves else f"nobody serves {entrance.name}"
    return fault(
        CODE,
        entrance.class_place,
        f"{subject} of the controller {entrance.controller} {verb} ready, so {effect}.",
        severity=Severity.WARNING if serves else Severity.ERROR,
        about=one.ref,
        evidence=[p.fact("status", f"pod/{p.name} STATUS", p.status_text()) for p in pods[:3]],
        fix=[Fix(f"Repair pod/{one.name}; what ails it: {kubectl('why-crash', '-n', one.namespace, one.name)}")],
        verify=(kubectl("get", "pod", one.name, namespace=one.namespace),),
        short=f"controller {entrance.controller}: 0/{plural(len(pods), 'pod')} ready",
    )
