"""The Route attaches to a Gateway that does not exist.

Meaning: the Route is served by nobody.

For a VirtualService of Istio a name without a namespace means the VirtualService's own namespace.

Told by: ``spec.parentRefs`` of kind Gateway against the Gateways of the named namespace (the Route's own when none
is named). A Gateway of that name in another namespace, or of nearly that name, is offered.

Fix: name the right Gateway and its namespace.

Source: Gateway API v1 ParentReference; Istio VirtualService.gateways.
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.custom_entrances import CustomEntrance
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.mesh_gateways import MeshGateway, mesh_gateways_of
from kubetriage.rules.service.named_kinds import MESH_GATEWAYS
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import name_of, namespace_of, texts
from kubetriage.values.nearest import nearest

CODE = "GatewayNotFound"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the parents of each Route, and the Gateways of each VirtualService."""
    for custom in trace.customs:
        for written, gateway in mesh_gateways_of(trace.world, custom):
            if gateway.lookup.absent:
                yield _of_mesh(trace, custom, written, gateway)
    for route in trace.routes:
        for parent, entry in route.parents:
            if not entry.lookup.absent:
                continue
            known = trace.world.listing("gateways").items
            here = [name_of(g) for g in known if namespace_of(g) == entry.namespace]
            elsewhere = sorted({namespace_of(g) for g in known if name_of(g) == entry.name})
            near = nearest(entry.name, here)
            hint = ""
            fix: tuple[Fix, ...] = (Fix(f"Name an existing Gateway and its namespace in {parent.at} of {route.shown}"),)
            if near:
                hint = f" Nearest there: gateway/{near}."
                fix = (Fix(f"Set {parent.at}.name of {route.shown} to {near}"),)
            elif elsewhere:
                hint = f" Namespace {', '.join(elsewhere[:3])} has one of that name."
                fix = (Fix(f"Set {parent.at}.namespace of {route.shown} to {elsewhere[0]}"),)
            yield fault(
                CODE,
                entry.place,
                f"{route.shown} attaches to gateway/{entry.name}, which does not exist in namespace "
                f"{entry.namespace}.{hint}",
                about=route.ref,
                confidence=Confidence.LIKELY if entry.lookup.presumed and not here else Confidence.CONFIRMED,
                evidence=[
                    Evidence("spec", f"{route.shown} {parent.at}.name", entry.name),
                    Evidence("status", f"gateways in {entry.namespace}", ", ".join(sorted(here)) or "<none>"),
                ],
                fix=fix,
                verify=("kubectl get gateways -A",),
                short=f"gateway/{entry.name} does not exist in namespace {entry.namespace}",
            )


def _of_mesh(trace: Trace, custom: CustomEntrance, written: str, gateway: MeshGateway) -> Fault:
    known = trace.world.listing(MESH_GATEWAYS).items
    here = sorted(name_of(g) for g in known if namespace_of(g) == gateway.namespace)
    elsewhere = sorted({namespace_of(g) for g in known if name_of(g) == gateway.name})
    near = nearest(gateway.name, here)
    means = f" A name without a namespace means {gateway.namespace}/{gateway.name}." if "/" not in written else ""
    right = f"{elsewhere[0]}/{gateway.name}" if len(elsewhere) == 1 else ""
    if not right and near:
        right = f"{gateway.namespace}/{near}"
    if right:
        hint = f" There is {right}." if elsewhere else f" Nearest there: {right}."
        gateways = [right if g == written else g for g in texts(custom.raw, "spec", "gateways")]
        patch = {"spec": {"gateways": gateways}}
        fix = Fix(f"Write {right} in spec.gateways of {custom.shown}", patch, custom.ref, Actor.MANIFEST)
    else:
        several = ", ".join(f"{space}/{gateway.name}" for space in elsewhere)
        hint = f" There are {several}." if several else ""
        fix = Fix(
            f"Name an existing Gateway as NAMESPACE/NAME in spec.gateways of {custom.shown}, or create "
            f"{gateway.namespace}/{gateway.name}",
            actor=Actor.MANIFEST,
        )
    all_known = ", ".join(sorted(f"{namespace_of(g)}/{name_of(g)}" for g in known))
    return fault(
        CODE,
        gateway.place,
        f"{custom.shown} binds to gateway {written}, which does not exist in namespace {gateway.namespace}."
        f"{means}{hint}",
        about=custom.ref,
        confidence=Confidence.LIKELY if gateway.lookup.presumed and not known else Confidence.CONFIRMED,
        evidence=[
            Evidence("spec", f"{custom.shown} spec.gateways", written),
            Evidence("status", MESH_GATEWAYS, all_known or "<none>"),
        ],
        fix=[fix],
        verify=(kubectl("get", MESH_GATEWAYS, "-A"),),
        short=f"gateway {gateway.namespace}/{gateway.name} does not exist",
    )
