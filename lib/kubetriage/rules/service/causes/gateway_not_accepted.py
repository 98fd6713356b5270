"""The controller refuses the Gateway, or its class.

Meaning: nothing of it is configured.

Told by: condition Accepted with status False on the Gateway or its GatewayClass; its reason and message are the
controller's own. Told apart from a Gateway that nobody has processed (GatewayNotProgrammed).

Fix: what the reason says: unsupported address, invalid listener, invalid parameters.

Source: Gateway API v1 GatewayConditionAccepted (Invalid, InvalidParameters, ListenersNotValid,
UnsupportedAddress), GatewayClassConditionStatusAccepted.
"""

from collections.abc import Iterator

from kubetriage.model import Evidence, Fix
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.values.fields import condition, text

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
                fix=[
                    Fix(
                        f"Correct what the controller names in {shown}: {reason}" + (f" ({message})" if message else "")
                    )
                ],
                verify=(entry.kubectl("describe", "gateway", entry.name),),
                short=f"Accepted False: {reason}",
                details={"reason": reason},
            )
            break
