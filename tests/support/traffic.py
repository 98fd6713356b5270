"""Makes objects of the custom kinds that lead traffic to Services, each in a working and a broken form."""

from __future__ import annotations

from typing import Any

from support.services import NS, OLD, container, healthy_web, machines, meta, namespace, pod, service, slice_of

Object = dict[str, Any]


def custom(kind: str, api_version: str, name: str = "web", place: str = NS, status: Any = None, **spec: Any) -> Object:
    """Make an object of any kind."""
    made: Object = {"apiVersion": api_version, "kind": kind, "metadata": meta(name, place), "spec": spec}
    return {**made, "status": status} if status is not None else made


def condition(kind: str, status: str, reason: str = "", message: str = "") -> Object:
    """Make a status condition."""
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": OLD}


def controller(
    name: str, *args: str, image: str = "acme/edge:1", component: str = "", namespace: str = "edge"
) -> Object:
    """Make a ready pod of an ingress controller with the recommended name label."""
    labels = {"app.kubernetes.io/name": name, **({"app.kubernetes.io/component": component} if component else {})}
    made = container(80, image=image, args=list(args))
    return pod(f"{name}-1", made, namespace=namespace, labels=labels, ip="10.9.0.1")


def event(
    about: Object,
    reason: str,
    message: str,
    *,
    kind: str = "Warning",
    who: str = "ingress",
    last: str = "2026-11-24T11:50:00Z",
) -> Object:
    """Make an event about an object."""
    place = about["metadata"].get("namespace", "")
    ref = {"kind": about["kind"], "name": about["metadata"]["name"], "namespace": place}
    return {
        "kind": "Event",
        "metadata": meta(f"{ref['name']}.{reason}.{last[11:19]}", place),
        "involvedObject": {**ref, "uid": about["metadata"]["uid"]},
        "type": kind,
        "reason": reason,
        "message": message,
        "source": {"component": who},
        "count": 3,
        "lastTimestamp": last,
    }


# OpenShift.


def openshift_route(
    name: str = "web", admitted: str = "True", reason: str = "", message: str = "", **spec: Any
) -> Object:
    """Make a Route to svc/web, admitted unless told otherwise."""
    said = condition("Admitted", admitted, reason, message)
    body = {"host": "shop.example.com", "to": {"kind": "Service", "name": "web", "weight": 100}, **spec}
    status = {"ingress": [{"host": "shop.example.com", "routerName": "default", "conditions": [said]}]}
    return custom("Route", "route.openshift.io/v1", name, status=status, **body)


# Istio.

ISTIO = "networking.istio.io/v1"


def istio_gateway(name: str = "edge", place: str = "istio-system", hosts: tuple[str, ...] = ("*",)) -> Object:
    """Make an Istio Gateway on port 80."""
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": list(hosts)}
    return custom("Gateway", ISTIO, name, place, selector={"istio": "ingressgateway"}, servers=[server])


def istio_proxy() -> Object:
    """Make the pod that carries the Gateways of istio-system."""
    sidecar = container(8080, name="istio-proxy")
    return pod("gw-1", sidecar, namespace="istio-system", labels={"istio": "ingressgateway"}, ip="10.9.0.3")


def virtual_service(host: str = "web", gateways: tuple[str, ...] = ("istio-system/edge",), **more: Any) -> Object:
    """Make a VirtualService that sends shop.example.com to a host; ``port`` and ``subset`` go to the destination."""
    destination: Object = {"host": host}
    if "port" in more:
        destination["port"] = {"number": more["port"]}
    if "subset" in more:
        destination["subset"] = more["subset"]
    return custom(
        "VirtualService",
        ISTIO,
        hosts=["shop.example.com"],
        gateways=list(gateways),
        http=[{"route": [{"destination": destination}]}],
    )


def destination_rule(subset_labels: Object, **policy: Any) -> Object:
    """Make a DestinationRule for svc/web with subset v1."""
    return custom(
        "DestinationRule", ISTIO, host="web", subsets=[{"name": "v1", "labels": subset_labels}], trafficPolicy=policy
    )


def meshed_web() -> list[Object]:
    """Return a Service with two ready pods that have a sidecar."""
    svc = service()
    pods = [
        pod(f"web-{i}", container(("http", 8080), probe=8080), container(name="istio-proxy"), ip=f"10.0.0.{i}")
        for i in (1, 2)
    ]
    return [svc, *pods, slice_of(svc, *pods)]


# Traefik and Contour.


def ingress_route(kind: str = "IngressRoute", group: str = "traefik.io", port: Any = 80, **route: Any) -> Object:
    """Make an IngressRoute of any of the three kinds to svc/web."""
    entry: Object = {"services": [{"name": "web", "port": port}], **route}
    if kind != "IngressRouteUDP":
        entry["match"] = "HostSNI(`*`)" if kind == "IngressRouteTCP" else "Host(`shop.example.com`)"
    return custom(kind, f"{group}/v1alpha1", entryPoints=["web"], routes=[entry])


TRAEFIK = controller("traefik", "--entryPoints.web.address=:8000/tcp", image="traefik:v3.1", namespace="traefik")


def http_proxy(valid: str = "True", errors: Any = None, cls: str = "", service_port: int = 80) -> Object:
    """Make an HTTPProxy to svc/web, valid unless told otherwise."""
    said = condition("Valid", valid, "Valid" if valid == "True" else "ErrorPresent", "")
    if errors:
        said["errors"] = errors
    status = {"currentStatus": "valid" if valid == "True" else "invalid", "conditions": [said]}
    body: Object = {
        "virtualhost": {"fqdn": "shop.example.com"},
        "routes": [{"services": [{"name": "web", "port": service_port}]}],
    }
    if cls:
        body["ingressClassName"] = cls
    return custom("HTTPProxy", "projectcontour.io/v1", status=status, **body)


# Gateway API.

GATEWAY_API = "gateway.networking.k8s.io"


def layer_four(kind: str, protocol: str, port: int = 80, **spec: Any) -> list[Object]:
    """Return a class, a Gateway with one listener of a protocol, and a Route of a kind to svc/web."""
    parents = [{"name": "edge", "kind": "Gateway", "group": GATEWAY_API}]
    said = [condition("Accepted", "True", "Accepted"), condition("ResolvedRefs", "True", "ResolvedRefs")]
    listener: Object = {"name": "l4", "port": 5432, "protocol": protocol}
    if protocol == "TLS":
        listener["tls"] = {"mode": "Passthrough"}
    programmed = [condition("Accepted", "True"), condition("Programmed", "True")]
    return [
        {
            **custom("GatewayClass", f"{GATEWAY_API}/v1", "edge", "", controllerName="acme.io/edge"),
            "status": {"conditions": [condition("Accepted", "True")]},
        },
        custom(
            "Gateway",
            f"{GATEWAY_API}/v1",
            "edge",
            status={
                "addresses": [{"value": "203.0.113.9"}],
                "conditions": programmed,
                "listeners": [{"name": "l4", "attachedRoutes": 1, "conditions": programmed}],
            },
            gatewayClassName="edge",
            listeners=[listener],
        ),
        custom(
            kind,
            f"{GATEWAY_API}/v1alpha2",
            status={"parents": [{"parentRef": parents[0], "controllerName": "acme.io/edge", "conditions": said}]},
            parentRefs=parents,
            rules=[{"backendRefs": [{"kind": "Service", "name": "web", "port": port, "weight": 1}]}],
            **spec,
        ),
    ]


def backend_tls_policy(resolved: str = "True") -> Object:
    """Make a BackendTLSPolicy for svc/web."""
    words = ("ResolvedRefs", "") if resolved == "True" else ("InvalidCACertificateRef", "configmap ca does not exist")
    return custom(
        "BackendTLSPolicy",
        f"{GATEWAY_API}/v1",
        status={
            "ancestors": [
                {
                    "ancestorRef": {"name": "edge"},
                    "controllerName": "acme.io/edge",
                    "conditions": [condition("ResolvedRefs", resolved, *words)],
                }
            ]
        },
        targetRefs=[{"group": "", "kind": "Service", "name": "web"}],
        validation={"hostname": "web", "caCertificateRefs": [{"kind": "ConfigMap", "name": "ca"}]},
    )


def base(*objects: Object, meshed: bool = False) -> list[Object]:
    """Return svc/web with two ready pods, its namespace, and more objects."""
    return [*machines(), namespace(NS), *(meshed_web() if meshed else healthy_web()), *objects]
