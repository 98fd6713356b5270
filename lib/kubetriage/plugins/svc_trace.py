"""``kubectl svc-trace``: the first broken hop on the way to a Service, bottom-up."""

from __future__ import annotations

from kubetriage.plugins import Option, Plugin, later
from kubetriage.plugins.svc_trace_access import ACCESS
from kubetriage.rules.service.client_symptoms import SYMPTOMS
from kubetriage.rules.service.gateway_objects import ROUTE_KINDS
from kubetriage.rules.service.named_kinds import MESH_GATEWAYS, ROUTER_PLURALS, TEMPLATED

_PLAN = "kubetriage.plugins.svc_trace_plan"

PLUGIN = Plugin(
    name="svc-trace",
    summary="Find the first broken hop to a Service",
    description=(
        "Follow the way from the pods over the Service and NetworkPolicies to the Ingress, Gateway or the route of a "
        "mesh, "
        "OpenShift, Traefik or Contour, and "
        "name the first hop with proof of a fault, then the other faults, the fix and the commands that verify it. "
        "It reads what 'kubectl describe' of each object and 'kubectl get endpointslices' would show, resolves every "
        "port in every pod as the endpoint controller does, evaluates NetworkPolicies for the pod's port, and reads "
        "certificates. Nothing is connected to unless --probe is given."
    ),
    usage="(SERVICE | TYPE/NAME | URL) ...",
    examples=(
        ("Trace a Service", "kubectl svc-trace web"),
        ("Trace an Ingress or a Route down to its pods", "kubectl svc-trace ingress/web"),
        ("Trace a VirtualService, an OpenShift Route, an HTTPProxy ...", "kubectl svc-trace virtualservice/web"),
        ("What serves this URL, and where does it break?", "kubectl svc-trace https://shop.example.com/cart"),
        ("Which ways should end at this pod?", "kubectl svc-trace pod/web-7dd5758ddc-n67sh"),
        ("Which ways should end at the pods of this workload?", "kubectl svc-trace deploy/web"),
        ("May this client reach it?", "kubectl svc-trace web --client pod/shop-7d9c5b8f6-x2x4q"),
        ("Causes of what the client sees come first", "kubectl svc-trace web --symptom timeout"),
        ("Everything that is broken in all namespaces", "kubectl svc-trace -A"),
        ("Answer again whenever the Service or its pods change", "kubectl svc-trace web --watch"),
        ("Diagnose a dump from a colleague", "kubectl svc-trace web --from ./dump"),
    ),
    default_resource="services",
    resources=("services", "ingresses", *ROUTE_KINDS, "gateways", "pods", *TEMPLATED, *ROUTER_PLURALS, MESH_GATEWAYS),
    accepts_any_kind=True,
    watches=("services", "endpointslices", "pods", "ingresses"),
    plan=later(_PLAN, "plan"),
    diagnose=later(_PLAN, "diagnose"),
    guesses=later("kubetriage.plugins.guesses", "trace_guesses"),
    waits=True,
    explains=later(_PLAN, "explains"),
    known_rules=later("kubetriage.rules.service.registry", "all_rules"),
    accepts_urls=True,
    access=ACCESS,
    options=(
        Option(
            "--client",
            "Judge the way from this client: pod/NAME, pod/NAMESPACE/NAME or namespace/NAME.",
            kind="text",
            default="",
            metavar="CLIENT",
        ),
        Option(
            "--symptom",
            "What the client sees; causes that show so come first.",
            kind="choice",
            default="",
            choices=tuple(SYMPTOMS),
        ),
        Option("--probe", "Connect to the pod ports and through the Service, by the API server (port-forward, proxy)."),
    ),
)
