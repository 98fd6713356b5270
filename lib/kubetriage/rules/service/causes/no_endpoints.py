"""The Service has no endpoint, although nothing below it is at fault.

Meaning: the pods (or the addresses written by hand) do not arrive in the EndpointSlices, so nothing is forwarded.

Told by: the slices with the Service's label. Six faults look alike: no slice at all (no selector and none written by
hand, or the controller does not run), a slice without endpoints (no pod with that label), ready pods that are missing
from it (no pod IP, address family, node object gone, controller behind), a hand-made slice whose port name is not the
Service's, one whose addresses are of a family that the Service lacks, and one whose endpoints are not ready. A missing
pod IP is the kubelet's and network plugin's doing; a pod with an IP that is missing is the endpoint slice controller's.

Fix: label the hand-made slice and name its port like the Service's, or repair the controller.

Source: k8s.io/endpointslice reconciler.go and utils.go (ShouldPodBeInEndpoints); discovery/v1 well_known_labels.go.
"""

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Fix, Ref, Severity
from kubetriage.rules.service import service_endpoints as eps
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.hop_faults import Fault, age_of, fault, plural
from kubetriage.rules.service.load_balancer_state import is_owned
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import dig, labels, name_of, objects, text
from kubetriage.values.times import parse_time

CODE = "NoEndpoints"

_LAG = timedelta(seconds=15)
"""A pod that became ready later than this may just not be in the slices yet."""


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Service that should have endpoints."""
    for backend in trace.services:
        if backend.is_external or not backend.endpoints.read:
            continue
        if not backend.selector and not trace.snapshot.covers(backend.service, "spec.selector"):
            # Of the cluster's DNS its own rule says more.
            if backend.ref != trace.dns.ref:
                yield from _of_unseen_selector(backend)
        elif not backend.selector:
            yield from _by_hand(trace, backend)
        elif not backend.pod_list.complete:
            yield from _without_pods(backend)
        elif backend.ready_pods:
            yield from _missing(trace, backend)
            yield from _family(backend)


def _of_unseen_selector(backend: Backend) -> Iterator[Fault]:
    """Tell of a Service that was only printed: whom it should select is not known."""
    if any(e.takes_traffic for e in backend.endpoints.items):
        return
    state = "no ready endpoint" if backend.endpoints.items else "no endpoint"
    yield fault(
        CODE,
        backend.place,
        f"svc/{backend.name} has {state}. Its selector was not seen, so neither was which pods it waits for.",
        confidence=Confidence.LIKELY,
        evidence=[Evidence("status", f"endpoints/{backend.name}", state)],
        fix=[
            Fix(
                "Look whom it selects, then at these pods: none is there, or none is ready",
                commands=(backend.kubectl("get", "service", backend.name, "-o", "wide"),),
            )
        ],
        verify=(backend.kubectl("get", "endpointslices", "-l", f"{eps.SERVICE_NAME_LABEL}={backend.name}"),),
        short=f"{state}; selector not seen",
    )


def _by_hand(trace: Trace, backend: Backend) -> Iterator[Fault]:
    view = backend.endpoints
    if not view.items:
        yield from _unwritten(trace, backend)
        return
    if not any(e.takes_traffic for e in view.items):
        source = _written(backend, view.items[0].source)
        yield fault(
            CODE,
            backend.place,
            f"svc/{backend.name} has no selector, and {source}, written by hand, says of no endpoint that it is ready.",
            evidence=[Evidence("status", f"{source} endpoints[].conditions.ready", "false")],
            fix=[
                Fix(
                    f"Move the address to addresses in {source}, once it answers"
                    if source.startswith("endpoints/")
                    else f"Set conditions.ready in {source} to true, or leave it out, once the address answers",
                    actor=Actor.MANIFEST,
                )
            ],
            verify=(backend.kubectl("get", source, "-o", "yaml"),),
            short=f"{source}: no endpoint is ready",
        )
        return
    families = _families(backend)
    serving = [e for e in view.items if e.takes_traffic]
    if families and not any(e.family in families or e.family not in ("IPv4", "IPv6") for e in serving):
        yield _other_family(backend, families, serving[0])
        return
    for count in backend.counts:
        if count.without and not (count.ready or count.fallback or count.unready):
            ports = {f"{p.name or '<unnamed>'}/{p.protocol}" for e in count.without for p in e.ports}
            have = ", ".join(sorted(ports)) or "<none>"
            wanted = f"{count.port.name or '<unnamed>'}/{count.port.protocol}"
            source = _written(backend, count.without[0].source)
            yield fault(
                CODE,
                backend.port_place(count.port),
                f"The endpoints of svc/{backend.name} carry the port {have}, but port {count.port.port} of the Service "
                f"is {wanted}: name and protocol must be equal.",
                evidence=[Evidence("spec", f"{count.without[0].source} ports[]", have)],
                fix=tuple(_name_fixes(backend, count.port, source)),
                verify=(kubectl("get", source, "-o", "yaml", namespace=backend.namespace),),
                short=f"no endpoint has a port {wanted}, only {have}",
            )


def _other_family(backend: Backend, families: list[str], found: eps.Endpoint) -> Fault:
    """Tell of a Service without a selector whose addresses are all of a family that it does not have."""
    wanted = ", ".join(families)
    return fault(
        CODE,
        backend.place,
        f"svc/{backend.name} has only {wanted} addresses, and its endpoints are {found.family}: kube-proxy uses "
        "none of them, and connections are refused.",
        evidence=[
            Evidence("spec", f"service/{backend.name} spec.ipFamilies", wanted),
            Evidence("spec", f"{found.source} addressType", found.family),
        ],
        fix=[
            Fix(
                f"Make svc/{backend.name} anew with ipFamilies {found.family}: the first family cannot be changed. "
                "Where an operator writes it, set the family there, or let its program advertise its address of family "
                f"{wanted}",
                actor=Actor.MANIFEST,
                commands=(backend.kubectl("get", "service", backend.name, "-o", "yaml"),),
            )
        ],
        verify=(
            backend.kubectl("get", "endpointslices", "-l", f"{eps.SERVICE_NAME_LABEL}={backend.name}", "-o", "wide"),
        ),
        short=f"ipFamilies {wanted}, endpoints {found.family}",
    )


_MIRROR = "endpointslicemirroring-controller.k8s.io"


def _written(backend: Backend, source: str) -> str:
    """Return the object that a person wrote: of a mirrored EndpointSlice the Endpoints object."""
    for raw in backend.world.slices(backend.namespace, backend.name):
        if f"endpointslice/{name_of(raw)}" == source and (
            labels(raw, "metadata", "labels").get("endpointslice.kubernetes.io/managed-by") == _MIRROR
            or any(text(o, "kind") == "Endpoints" for o in objects(raw, "metadata", "ownerReferences"))
        ):
            return f"endpoints/{backend.name}"
    return source


def _name_fixes(backend: Backend, port: eps.ServicePort, source: str) -> Iterator[Fix]:
    """Say how the port of hand-made endpoints and of the Service get one name and protocol."""
    named = f"name {port.name}" if port.name else "no name"
    mirror = "; its EndpointSlice is a mirror, and an edit there is undone" if source.startswith("endpoints/") else ""
    patch, on = None, None
    found = backend.world.snapshot.get("endpoints", backend.namespace, backend.name)
    subsets = objects(found.obj, "subsets")
    if mirror and len(subsets) == 1 and len(objects(subsets[0], "ports")) == 1:
        own = {k: v for k, v in objects(subsets[0], "ports")[0].items() if k != "name"}
        ports = [{**({"name": port.name} if port.name else {}), **own, "protocol": port.protocol}]
        patch, on = {"subsets": [{**subsets[0], "ports": ports}]}, Ref("Endpoints", backend.namespace, backend.name)
    where = "subsets[].ports[]" if mirror else "ports[]"
    yield Fix(
        f"Give the port in {where} of {source} {named} and protocol {port.protocol}, as the Service has it{mirror}",
        patch,
        on,
        Actor.MANIFEST,
    )
    if port.name and len(backend.ports) == 1:
        yield Fix(f"Or remove the name {port.name} from the port of svc/{backend.name}", actor=Actor.MANIFEST)


def _unwritten(trace: Trace, backend: Backend) -> Iterator[Fault]:
    """Tell of a Service without a selector for which nobody wrote endpoints, or none with its label."""
    view = backend.endpoints
    if is_owned(backend.service):
        # A Gateway's or Ingress's own Service: its controller carries the traffic by other means.
        return
    age = age_of(backend.service, trace.now)
    near = next(
        (
            s
            for s in backend.world.listing("endpointslices", backend.namespace).items
            if eps.SERVICE_NAME_LABEL not in labels(s, "metadata", "labels") and name_of(s).startswith(backend.name)
        ),
        None,
    )
    label = f"{eps.SERVICE_NAME_LABEL}={backend.name}"
    hint = ""
    fix: tuple[Fix, ...] = (Fix(f"Write an EndpointSlice with the label {label}, or give the Service a selector"),)
    if near is not None:
        hint = f" endpointslice/{name_of(near)} lacks the label {label}."
        ref = Ref("EndpointSlice", backend.namespace, name_of(near))
        patch = {"metadata": {"labels": {eps.SERVICE_NAME_LABEL: backend.name}}}
        fix = (Fix(f"Label endpointslice/{name_of(near)} {label}", patch, ref),)
    yield fault(
        CODE,
        backend.place,
        f"svc/{backend.name} has no selector and no endpoints were written for it.{hint}",
        confidence=Confidence.LIKELY if view.presumed else Confidence.CONFIRMED,
        severity=Severity.WARNING if age is not None and age < _LAG else Severity.ERROR,
        evidence=[Evidence("spec", f"service/{backend.name} spec.selector", "<none>")],
        fix=fix,
        verify=(backend.kubectl("get", "endpointslices", "-l", label),),
        short="no selector and no endpoints",
    )


def _without_pods(backend: Backend) -> Iterator[Fault]:
    # Nobody knows whether the pods or the selector are at fault; the row of the pods is the lower one.
    view = backend.endpoints
    if view.source == "slices" and view.slices and not view.items:
        yield fault(
            CODE,
            backend.pods_place,
            f"The EndpointSlice of svc/{backend.name} is empty: no pod that has an address and has not ended carries "
            f"{backend.selector_text}. The pods could not be read, so which of the two is not known.",
            confidence=Confidence.LIKELY,
            evidence=[Evidence("status", "endpointslices endpoints", "<none>")],
            fix=[Fix(f"Bring up pods with {backend.selector_text}, or correct the selector")],
            verify=(backend.kubectl("get", "pods", "--show-labels"),),
            short="the EndpointSlice is empty",
        )
    elif view.items and not any(e.takes_traffic for e in view.items):
        yield fault(
            CODE,
            backend.pods_place,
            f"None of the {plural(len(view.items), 'endpoint')} of svc/{backend.name} is ready; "
            "the pods could not be read, so why is not known.",
            confidence=Confidence.LIKELY,
            evidence=[Evidence("status", f"{view.items[0].source} endpoints[].conditions.ready", "false")],
            fix=[Fix("Repair the pods first; kubectl why-crash tells why they are not ready")],
            verify=(backend.kubectl("get", "pods", "-l", backend.selector_text),),
            short=f"0 of {plural(len(view.items), 'endpoint')} ready",
        )


def _missing(trace: Trace, backend: Backend) -> Iterator[Fault]:
    view = backend.endpoints
    serving = [e for e in view.items if e.takes_traffic or not e.ports]
    uids = {e.uid for e in serving if e.uid}
    names = {e.pod for e in serving if e.pod}
    absent = [p for p in backend.ready_pods if p.uid not in uids and p.name not in names]
    if view.source == "endpoints" or not view.items:
        # Without a port that resolves in it a pod serves nothing; that is another cause's business.
        absent = [p for p in absent if any(eps.find_port(p.raw, x.target, x.protocol) for x in backend.ports)]
    if not absent:
        return
    late = [p for p in absent if _just_ready(trace, p.condition("Ready"))]
    every = len(absent) == len(backend.ready_pods) and not any(e.takes_traffic for e in view.items)
    pod = absent[0]
    node = trace.snapshot.get("nodes", "", pod.node)
    families = ", ".join(_families(backend))
    controller = "the endpoint slice controller (kube-controller-manager)"
    fix = "Bring the kube-controller-manager back to work; kubectl plane-trace names what stops it"
    if not eps.becomes_endpoint(pod.raw):
        why = "it has no pod IP: its network was not set up (kubelet, network plugin)"
        fix = f"Repair the network plugin or the kubelet of {pod.node or 'its node'}"
    elif view.slices == 0 and view.source == "slices":
        why = f"there is no EndpointSlice at all: {controller} does not run"
    elif not _family_fits(backend, pod.raw):
        why = f"it has no address of the Service's family {families}"
        fix = (
            f"Give the pods an address of {families} (the network plugin's dual stack), or make svc/{backend.name} "
            "anew with the family that they have: the first of spec.ipFamilies cannot be changed"
        )
    elif node.absent and not node.presumed:
        why = f"its node {pod.node} no longer exists"
        fix = f"Delete the pods of node {pod.node}, so that they are replaced, or let the node register again"
    else:
        why = f"{controller} has not listed it"
    weak = view.presumed or bool(late)
    yield fault(
        CODE,
        backend.place,
        f"{plural(len(absent), 'ready pod')} of svc/{backend.name} "
        f"{'is' if len(absent) == 1 else 'are'} not among its endpoints, for example {pod.name}: {why}.",
        severity=Severity.ERROR if every and not late else Severity.WARNING,
        confidence=Confidence.LIKELY if weak else Confidence.CONFIRMED,
        proof="inferred" if weak else "proven",
        evidence=[
            pod.fact("status", f"pod/{pod.name} status.podIP", dig(pod.raw, "status", "podIP") or "<none>"),
            Evidence("status", "endpointslices endpoints", plural(len(view.items), "endpoint")),
        ],
        fix=[Fix(fix)],
        verify=(
            backend.kubectl("get", "endpointslices", "-l", f"{eps.SERVICE_NAME_LABEL}={backend.name}", "-o", "wide"),
            backend.kubectl("get", "pods", "-l", backend.selector_text, "-o", "wide"),
        ),
        short=f"{len(absent)} of {plural(len(backend.ready_pods), 'ready pod')} not among the endpoints",
    )


def _family(backend: Backend) -> Iterator[Fault]:
    """Judge a dual-stack Service, one family of which nothing serves."""
    view = backend.endpoints
    have = {e.family for e in view.items if e.takes_traffic}
    missing = [f for f in _families(backend) if f not in have]
    if view.source != "slices" or not have or not missing:
        return
    family, pod = missing[0], backend.ready_pods[0]
    addresses = ", ".join(str(dig(i, "ip")) for i in dig(pod.raw, "status", "podIPs") or []) or "<none>"
    yield fault(
        CODE,
        backend.place,
        f"svc/{backend.name} has an {family} address and no {family} endpoint: clients that try {family} first are "
        "refused or wait.",
        severity=Severity.WARNING,
        evidence=[
            Evidence("spec", f"service/{backend.name} spec.ipFamilies", ", ".join(_families(backend))),
            pod.fact("status", f"pod/{pod.name} status.podIPs", addresses),
        ],
        fix=[Fix(f"Give the pods an {family} address, or set ipFamilyPolicy of svc/{backend.name} to SingleStack")],
        verify=(backend.kubectl("get", "endpointslices", "-l", f"{eps.SERVICE_NAME_LABEL}={backend.name}"),),
        short=f"no {family} endpoint",
    )


def _just_ready(trace: Trace, condition: object) -> bool:
    since = parse_time(dig(condition, "lastTransitionTime"))
    return since is not None and trace.now - since < _LAG


def _families(backend: Backend) -> list[str]:
    found = dig(backend.service, "spec", "ipFamilies")
    return [f for f in found if isinstance(f, str)] if isinstance(found, list) else []


def _family_fits(backend: Backend, pod: object) -> bool:
    families = _families(backend)
    addresses = [dig(i, "ip") for i in dig(pod, "status", "podIPs") or []] or [dig(pod, "status", "podIP")]
    have = {"IPv6" if ":" in str(a) else "IPv4" for a in addresses if a}
    return not families or bool(have & set(families))
