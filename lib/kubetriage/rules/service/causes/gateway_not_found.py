"""The Route attaches to a Gateway that does not exist.

Meaning: the Route is served by nobody.

Told by: ``spec.parentRefs`` of kind Gateway against the Gateways of the named namespace (the Route's own when none
is named). A Gateway of that name in another namespace, or of nearly that name, is offered.

Fix: name the right Gateway and its namespace.

Source: Gateway API v1 ParentReference.
"""

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Fix
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.values.fields import name_of, namespace_of
from kubetriage.values.nearest import nearest

CODE = "GatewayNotFound"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the parents of each Route."""
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
