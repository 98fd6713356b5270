"""What a load balancer outside the cluster asks to see whether a backend is healthy, foreseen from the objects.

A readiness probe is the kubelet's. Few load balancers take its path over; the others ask their own default path, and
send nothing where the program answers it with 404, 401 or a redirect.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Evidence
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.attached_policies import attached_policies
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend, Place, World
from kubetriage.rules.service.entrance_controllers import is_controller, known_controller
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.load_balancer_state import addresses_of
from kubetriage.rules.service.proxy_protocol import controllers_of, senders
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import labels, mapping, name_of, text

_AZURE = "service.beta.kubernetes.io/azure-load-balancer-health-probe-"
_AZURE_PATH = f"{_AZURE}request-path"
_PROXY_PATH = "/healthz"
"""Where ingress-nginx answers 200 on its HTTP and HTTPS ports."""


@dataclass(frozen=True)
class Check:
    """A health check that the backend may not pass."""

    place: Place
    words: str
    fix: str
    evidence: tuple[Evidence, ...]
    look: str
    commands: tuple[str, ...] = ()
    yaml: str = ""
    known: bool = False
    """What answers there is known, and it is no 200."""


def foreseen_checks(trace: Trace) -> Iterator[Check]:
    """Yield the health checks of load balancers on the way whose answer is not that of the readiness probe."""
    yield from _azure(trace)
    for entrance in trace.ingresses:
        kind = entrance.known.balancer if entrance.known is not None else ""
        for backend in dict.fromkeys(b for p in entrance.paths if (b := entrance.backend(p)) is not None):
            probe = _probe(backend) if backend.lookup.found else None
            if probe is None:
                continue
            if kind == "aws":
                yield from _aws(entrance, backend, *probe)
            elif kind == "azure" and not probe[0]:
                yield from _application_gateway(entrance, backend)
    yield from _gke_gateway(trace)


def _probe(backend: Backend) -> tuple[str, Pod] | None:
    """Return the HTTP path of the readiness probe of the pods (empty: none), and a pod; None without pods."""
    for pod in backend.ready_pods[:1]:
        for container in pod.containers:
            asked = mapping(container.spec, "readinessProbe", "httpGet")
            if asked:
                return text(asked, "path") or "/", pod
        return "", pod
    return None


def _shown(pod: Pod, path: str) -> Evidence:
    return pod.fact("spec", f"pod/{pod.name} readinessProbe", f"GET {path}" if path else "no httpGet")


def _aws(entrance: Entrance, backend: Backend, path: str, pod: Pod) -> Iterator[Check]:
    key = "alb.ingress.kubernetes.io/healthcheck-path"
    marks = {**entrance.ingress.annotations, **labels(backend.service, "metadata", "annotations")}
    if key in marks or path == "/":
        return
    wanted = path or "/PATH"
    yield Check(
        entrance.place,
        f"the target group of {entrance.name} asks GET / of svc/{backend.name} and wants 200; the readiness probe asks "
        f"{path or 'nothing by HTTP'}. Where GET / answers otherwise (404, 401, a redirect), every target is unhealthy",
        f"Let the health check ask what the program answers with 200: {key}: {wanted} on svc/{backend.name} "
        "(alb.ingress.kubernetes.io/success-codes for other codes)",
        (Evidence("spec", f"{entrance.name} annotation {key}", "<none>"), _shown(pod, path)),
        entrance.kubectl("describe", "ingress", entrance.ingress.name),
        (backend.kubectl("annotate", "service", backend.name, f"{key}={wanted}", "--overwrite"),),
    )


def _application_gateway(entrance: Entrance, backend: Backend) -> Iterator[Check]:
    key = "appgw.ingress.kubernetes.io/health-probe-path"
    pod = backend.ready_pods[0]
    liveness = any(mapping(c.spec, "livenessProbe", "httpGet") for c in pod.containers)
    if key in entrance.ingress.annotations or liveness:
        return
    yield Check(
        entrance.place,
        f"the pods of svc/{backend.name} have no probe by HTTP, so the health probe of the Application Gateway asks "
        "GET / and wants 200 to 399. Where the program answers 404 or 401 there, the gateway answers 502",
        f"Give the container a readinessProbe with httpGet on the port that svc/{backend.name} leads to (the gateway "
        f"takes its path over), or name the path: {key}: /PATH on {entrance.name}. What Azure sees: az network "
        "application-gateway show-backend-health",
        (Evidence("spec", f"{entrance.name} annotation {key}", "<none>"), _shown(pod, "")),
        entrance.kubectl("describe", "ingress", entrance.ingress.name),
        (entrance.kubectl("annotate", "ingress", entrance.ingress.name, f"{key}=/PATH", "--overwrite"),),
    )


def _gke_gateway(trace: Trace) -> Iterator[Check]:
    if not any(
        text(g.class_lookup.obj, "spec", "controllerName").startswith("networking.gke.io/") for g in trace.gateways
    ):
        return
    checked = {
        (p.target.namespace, p.target.name) for p in attached_policies(trace) if p.ref.kind == "HealthCheckPolicy"
    }
    for backend in trace.services:
        probe = _probe(backend)
        if probe is None or probe[0] == "/" or (backend.namespace, backend.name) in checked:
            continue
        path = probe[0] or "/PATH"
        yaml = (
            "apiVersion: networking.gke.io/v1\nkind: HealthCheckPolicy\n"
            f"metadata: {{name: {backend.name}, namespace: {backend.namespace}}}\n"
            f'spec:\n  targetRef: {{group: "", kind: Service, name: {backend.name}}}\n'
            f"  default:\n    config: {{type: HTTP, httpHealthCheck: {{requestPath: {path}}}}}\n"
        )
        yield Check(
            backend.place,
            f"the load balancer of a GKE Gateway asks GET / of svc/{backend.name} and wants 200; it does not take the "
            f"readiness probe over ({probe[0] or 'no httpGet'}). Where GET / answers otherwise, it has no healthy "
            "backend and answers 503",
            f"Name the path in a HealthCheckPolicy for svc/{backend.name}",
            (Evidence("status", f"HealthCheckPolicy for svc/{backend.name}", "<none>"), _shown(probe[1], probe[0])),
            backend.kubectl("get", "healthcheckpolicies.networking.gke.io", "-o", "wide"),
            yaml=yaml,
        )


def _azure(trace: Trace) -> Iterator[Check]:
    """Foresee the probe of an Azure load balancer: by HTTP on GET / where the port's appProtocol says so (1.24 on)."""
    if not trace.world.kept("on Azure", lambda: _on_azure(trace.world)):
        return
    fronts = [s.service for pod in controllers_of(trace) for s in senders(trace, pod)]
    fronts += [b for b in trace.services if b.type == "LoadBalancer"]
    for front in dict.fromkeys(fronts):
        marks = labels(front.service, "metadata", "annotations")
        spoken = [p for p in front.ports if p.app_protocol in ("http", "https")]
        local = text(front.service, "spec", "externalTrafficPolicy") == "Local"
        named = any(k.startswith(_AZURE) or "health-probe" in k for k in marks)
        nginx = known_controller("k8s.io/ingress-nginx")
        proxies = [p for p in front.pods if is_controller(p, "k8s.io/ingress-nginx", nginx)]
        if not spoken or local or named or not proxies or not addresses_of(front.service):
            continue
        if _serves_root(trace):
            continue
        mark = f"{_AZURE_PATH}={_PROXY_PATH}"
        yield Check(
            front.address_place if front in trace.services else next(e.place for e in trace.ingresses),
            f"Azure's load balancer probes svc/{front.name} in {front.namespace} with GET / (its ports say appProtocol "
            f"{spoken[0].app_protocol}), ingress-nginx answers 404 there, so no node is healthy and connections time "
            "out",
            f"Let the probe ask {_PROXY_PATH} of ingress-nginx",
            (
                Evidence(
                    "spec",
                    f"service/{front.name} spec.ports[{spoken[0].port}].appProtocol",
                    str(spoken[0].app_protocol),
                ),
                Evidence("spec", f"service/{front.name} annotation {_AZURE_PATH}", "<none>"),
            ),
            kubectl("describe", "service", front.name, namespace=front.namespace),
            (kubectl("annotate", "service", front.name, mark, "--overwrite", namespace=front.namespace),),
            known=True,
        )


def _on_azure(world: World) -> bool:
    nodes = world.listing("nodes").items
    return any(text(n, "spec", "providerID").startswith("azure://") for n in nodes)


def _serves_root(trace: Trace) -> bool:
    """Tell whether an Ingress without a host answers GET /, whatever it answers."""
    for raw in trace.world.listing("ingresses").items:
        spec = mapping(raw, "spec")
        rules = spec.get("rules") or []
        if spec.get("defaultBackend") or any(isinstance(r, dict) and not text(r, "host") for r in rules):
            return bool(name_of(raw))
    return False
