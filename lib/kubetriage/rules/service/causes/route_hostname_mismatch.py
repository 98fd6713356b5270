"""No hostname of the Route meets a hostname of the Gateway's listeners.

Meaning: the Route is not attached; requests for its hosts get 404, or another certificate.

Told by: the intersection of ``spec.hostnames`` and the listeners' ``hostname``, where ``*.x`` stands for any depth
below x, and condition Accepted with reason NoMatchingListenerHostname.

Fix: give the Route a host that the listener serves, or the listener a wider hostname.

Source: Gateway API v1 HTTPRouteSpec.hostnames, RouteReasonNoMatchingListenerHostname.
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.gateway_objects import ParentRef
from kubetriage.rules.service.gateway_routes import Entry, Path, controller_says
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.values.fields import text

CODE = "RouteHostnameMismatch"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each parent of each Route."""
    for route in trace.routes:
        for parent, entry in route.parents:
            if not entry.lookup.found:
                yield from _by_status(route, parent, entry)
                continue
            predicted = route.attachment(parent, entry)
            said = controller_says(route.route.parent_status(parent), "Accepted")
            named = text(said, "status") == "False" and text(said, "reason") == "NoMatchingListenerHostname"
            if not named and predicted.reason != "NoMatchingListenerHostname":
                continue
            listeners = ", ".join(sorted({x.hostname or "*" for x in entry.gateway.listeners}))
            hosts = ", ".join(route.route.hostnames) or "*"
            yield fault(
                CODE,
                route.place,
                f"{route.shown} is for {hosts}, but the listeners of {entry.shown} take {listeners}.",
                evidence=[
                    Evidence("spec", f"{route.shown} spec.hostnames", hosts),
                    Evidence("spec", f"{entry.shown} spec.listeners[].hostname", listeners),
                ],
                fix=[Fix(f"Give {route.shown} a host of {listeners}, or {entry.shown} a listener for {hosts}")],
                verify=(
                    route.kubectl("get", route.shown, "-o", "yaml"),
                    entry.kubectl("get", "gateway", entry.name, "-o", "yaml"),
                ),
                short=f"{hosts} is none of {entry.shown}'s {listeners}",
                details={"reason": text(said, "reason"), "predicted": predicted.reason},
            )


def _by_status(route: Path, parent: ParentRef, entry: Entry) -> Iterator[Fault]:
    """Tell what the controller says of a Route whose Gateway was not seen."""
    said = controller_says(route.route.parent_status(parent), "Accepted")
    refused = text(said, "status") == "False" and text(said, "reason") == "NoMatchingListenerHostname"
    if not refused or entry.lookup.absent:
        return
    hosts = ", ".join(route.route.hostnames) or "*"
    listener = f"listener {parent.section}" if parent.section else "a listener"
    yield fault(
        CODE,
        route.place,
        f"{route.shown} is for {hosts}, and no listener of {entry.shown} that it attaches to takes that.",
        evidence=[
            Evidence("status", f"{route.shown} condition Accepted", f"False, {text(said, 'message')}"),
            Evidence("spec", f"{route.shown} spec.hostnames", hosts),
        ],
        fix=[
            Fix(
                f"Compare {hosts} with the hostname of {listener} of {entry.shown}: give {route.shown} a host that it"
                f" covers, or the listener a wider one (*.DOMAIN stands for every host below), or attach to another",
                actor=Actor.MANIFEST,
                commands=(entry.kubectl("get", "gateway", entry.name, "-o", "yaml"),),
            )
        ],
        verify=(route.kubectl("get", route.shown, "-o", "yaml"),),
        short=f"{hosts} fits no listener of {entry.shown}",
        details={"reason": text(said, "reason")},
    )
