"""The controller refuses the Gateway, or its class.

Meaning: nothing of it is configured.

Told by: condition Accepted with status False on the Gateway or its GatewayClass; its reason and message are the
controller's own. Told apart from a Gateway that nobody has processed (GatewayNotProgrammed).

Where it only says that no listener is valid, the listener's own condition tells (GatewayNotProgrammed).

Fix: what the reason says: unsupported address, invalid parameters with the object that holds them.

Source: Gateway API v1 GatewayConditionAccepted (Invalid, InvalidParameters, ListenersNotValid,
UnsupportedAddress), GatewayClassConditionStatusAccepted.
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.gateway_objects import bad_condition
from kubetriage.rules.service.gateway_routes import Entry
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, condition, mapping, text
from kubetriage.values.patterns import lazy

CODE = "GatewayNotAccepted"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Gateway and its class."""
    for entry in trace.gateways:
        own = entry.gateway.condition("Accepted")
        theirs = condition(entry.class_lookup.obj, "Accepted")
        name = f"gatewayclass/{entry.gateway.class_name}"
        judged = ((own, entry.place, entry.shown), (theirs, entry.class_place, name))
        for found, place, shown in judged:
            if text(found, "status") != "False":
                continue
            reason, message = text(found, "reason"), text(found, "message")
            if reason == "ListenersNotValid" and any(bad_condition(x)[0] for x in entry.gateway.listeners):
                # It says no more than that a listener does not work, and GatewayNotProgrammed tells why.
                break
            yield fault(
                CODE,
                place,
                f"The controller does not accept {shown}: {reason}" + (f", {message}" if message else "") + ".",
                evidence=[
                    Evidence(
                        "status",
                        f"{shown} status.conditions[Accepted]",
                        f"False, {reason}: {message}",
                        text(found, "lastTransitionTime"),
                    )
                ],
                fix=[_parameters_fix(entry, shown, found)]
                if reason == "InvalidParameters"
                else [
                    Fix(
                        f"Correct what the controller names in {shown}: {reason}" + (f" ({message})" if message else "")
                    )
                ],
                verify=(entry.kubectl("describe", "gateway", entry.name),),
                short=f"Accepted False: {reason}",
                details={"reason": reason},
            )
            break


def _parameters_fix(entry: Entry, shown: str, found: Obj) -> Fix:
    """Name the object that holds the parameters, which the class or the infrastructure of the Gateway refers to."""
    own = shown == entry.shown
    raw = entry.gateway.raw if own else entry.class_lookup.obj
    at = "spec.infrastructure.parametersRef" if own else "spec.parametersRef"
    ref = mapping(raw, *at.split("."))
    kind, name = text(ref, "kind"), text(ref, "name")
    if not name:
        return Fix(f"Correct the parameters that {shown} refers to: {text(found, 'message')}")
    where = text(ref, "namespace") or (entry.namespace if own else "")
    group = text(ref, "group")
    typed = f"{kind.lower()}.{group}" if group else kind.lower()
    place = f" in namespace {where}" if where else ""
    lost = LOST.search(text(found, "message"))
    return Fix(
        f"Create {kind} {name}{place}, or correct {at} of {shown}: it names one that does not exist"
        if lost
        else f"Correct {kind} {name}{place}, which {at} of {shown} names: {text(found, 'message')}",
        actor=Actor.CLUSTER,
        commands=(kubectl("get", typed, "-A") if lost else kubectl("get", typed, name, "-o", "yaml", namespace=where),),
    )


LOST = lazy(
    r"(?i)not found|no such|does(?: not|n't) exist|failed to (?:find|get)|could not (?:find|get)|unable to find"
)
"""Words that say that what is referred to is not there."""
