"""The Gateway is not configured in the data plane, often because no controller has processed it.

Meaning: it has no working listener; whatever its Routes say is not served.

Told by: condition Programmed of the Gateway (or of the listener that the Route uses) is False, or still Unknown
with the API server's "Waiting for controller": then no controller of its class runs. The row of the class is the
broken one where no controller has accepted the class either. Told apart from a Gateway that
its controller refuses (GatewayNotAccepted).

Fix: start the controller of the class, or repair what the reason names (address, certificate, listener conflict).

Source: Gateway API v1 GatewayConditionProgrammed; the CRD's default conditions (reason Pending, message "Waiting
for controller").
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from kubetriage.data import table
from kubetriage.model import Actor, Evidence, Fix, Severity
from kubetriage.readers.pods import Pod
from kubetriage.records import replace
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Place
from kubetriage.rules.service.controller_words import shape_of
from kubetriage.rules.service.entrance_controllers import words_of
from kubetriage.rules.service.gateway_agents import standstill
from kubetriage.rules.service.gateway_objects import bad_condition
from kubetriage.rules.service.gateway_routes import Entry
from kubetriage.rules.service.hop_faults import Fault, age_of, fault
from kubetriage.rules.service.load_balancer_state import addresses_of, carriers_of_gateway
from kubetriage.typed import Any
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, condition, text
from kubetriage.values.times import human_duration

CODE = "GatewayNotProgrammed"

_PATIENCE = timedelta(minutes=1)


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Gateway of an existing class."""
    for entry in trace.gateways:
        if not entry.lookup.found or entry.class_lookup.absent:
            continue
        accepted, programmed = entry.gateway.condition("Accepted"), entry.gateway.condition("Programmed")
        if text(accepted, "status") == "False":
            if text(accepted, "reason") == "ListenersNotValid":
                yield from _listeners(entry)
            continue
        if text(condition(entry.class_lookup.obj, "Accepted"), "status") == "False":
            # Its controller runs: it has refused the class, which GatewayNotAccepted tells.
            continue
        status = text(programmed, "status")
        if status == "True":
            yield from _listeners(entry)
        elif status == "False":
            reason, message = text(programmed, "reason"), text(programmed, "message")
            told = list(_listeners(entry)) if not message or reason in _NOT_VALID else []
            if told:
                # It says no more than that a listener does not work, and the listener says why.
                yield from told
                continue
            if not reason and not trace.snapshot.covers(entry.gateway.raw, "status.conditions"):
                yield _untold(entry, programmed)
                continue
            words = f"is not programmed: {reason}" + (f", {message}" if message else "")
            # Where its own Service waits for an address, that is told with its reason, and this only follows.
            follows = reason == "AddressNotAssigned" and any(
                not addresses_of(c.service) for c in carriers_of_gateway(trace.world, entry.namespace, entry.name)
            )
            found = _fault(entry, words, programmed, Severity.ERROR, f"Programmed False: {reason}")
            yield replace(found, proof="inferred") if follows else found
        elif not trace.snapshot.covers(entry.gateway.raw, "status.conditions"):
            # A part of it, of which only some conditions are there.
            yield from _listeners(entry)
        elif text(accepted, "status") != "True" or not (programmed or entry.gateway.addresses):
            # A controller that judged the listeners has processed it.
            told = list(_listeners(entry))
            yield from told or [_waiting(trace, entry, programmed or accepted)]


_NOT_VALID = ("Invalid", "ListenersNotValid")
"""Reasons of a Gateway that only point to its listeners."""
_REASONS = {
    "ProtocolConflict": "Give each listener of one port the same protocol, or the HTTPS listener of {entry} a port "
    "of its own (443)",
    "HostnameConflict": "Give each listener of one port and protocol in {entry} another hostname, or delete one",
    "PortUnavailable": "Give the listener a port that its controller can open, or let the controller open this one: "
    "something else has it, or the controller was not told to listen there (of Kong the proxy's own listens decide)",
    "UnsupportedProtocol": "Use a protocol of the listener that the controller supports (HTTP, HTTPS, TLS, TCP, UDP), "
    "or let its proxy listen for this one (of Kong proxy_listen and stream_listen decide)",
    "InvalidRouteKinds": "Correct allowedRoutes.kinds of the listener: it names a kind that does not fit its protocol",
    "InvalidCertificateRef": "Create the Secret that tls.certificateRefs names, of type kubernetes.io/tls with a pair",
    "RefNotPermitted": "Create a ReferenceGrant in the namespace of the Secret that lets {entry} use it",
    "AddressNotUsable": "Take spec.addresses out of {entry}, or name an address that the infrastructure has free",
    "AddressNotAssigned": "Let something give the Service of {entry} an address: a load balancer controller with a "
    "free pool, or the type that its parameters set",
    "UnsupportedAddress": "Name another type of address in spec.addresses of {entry}, or none",
    "NoResources": "Give the infrastructure of the Gateway what it lacks: the message names it",
}
"""By the reason of a condition (gateway.networking.k8s.io/v1); {entry} is the Gateway."""


def _untold(entry: Entry, found: Obj) -> Fault:
    """Tell of a Gateway of which only a table says that it is not programmed."""
    told = _fault(entry, "is not programmed; why, was not seen", found, Severity.ERROR, "Programmed False")
    words = f"Read the conditions of {entry.shown} and of its listeners: their reason and message say why"
    look = kubectl("describe", "gateway", entry.name, namespace=entry.namespace)
    return replace(told, fix=(Fix(words, actor=Actor.CLUSTER, commands=(look,)),))


def _waiting(trace: Trace, entry: Entry, found: Obj) -> Fault:
    age = age_of(entry.gateway.raw, trace.now)
    waited = human_duration(age) if age is not None else "an unknown time"
    controller = text(entry.class_lookup.obj, "spec", "controllerName")
    words = f"has waited {waited} for a controller"
    place, short = entry.place, f"no controller has processed it for {waited}"
    if not entry.class_judged and entry.class_lookup.found:
        words += f"; none has accepted gatewayclass/{entry.gateway.class_name} either"
        place, short = entry.class_place, f"no controller {controller} has accepted it for {waited}"
    if controller:
        words += f" ({controller})"
    young = age is not None and age < _PATIENCE
    told = _fault(entry, words, found, Severity.NOTE if young else Severity.ERROR, short, place)
    asleep = _switched_off(trace, controller)
    if asleep is None:
        stands = standstill(trace, controller, entry.shown) if not entry.class_judged else None
        if stands is None:
            return told
        return replace(
            told,
            message=f"{told.message} {stands.words}",
            evidence=(*told.evidence, *stands.evidence),
            fix=(stands.fix,),
        )
    pod, row = asleep
    return replace(
        told,
        message=f"{told.message} pod/{pod.name} of that controller runs without {row['flag']}, so it does not look at "
        "the Gateway API.",
        evidence=(*told.evidence, Evidence("spec", f"pod/{pod.name} args {row['flag']}", "<none>")),
        fix=(Fix(f"{row['fix']}, then restart it", actor=Actor.CLUSTER),),
    )


def _switched_off(trace: Trace, controller: str) -> tuple[Pod, Mapping[str, Any]] | None:
    """Return a pod of the controller of a class that runs without the option for the Gateway API, and its row."""
    for row in table("gateway_options")["controllers"] if controller else ():
        if not controller.startswith(row["controller"]):
            continue
        for pod in trace.world.pods(""):
            words = words_of(pod).lower()
            own = row["labels"].items() <= pod.labels.items()
            if own and pod.ready and words and row["flag"].lower() not in words:
                return pod, row
    return None


def _listeners(entry: Entry) -> Iterator[Fault]:
    """Tell of each listener that does not work, by its own conditions."""
    for listener in entry.gateway.listeners:
        found, bad = bad_condition(listener)
        if found:
            kind, reason = text(found, "type"), text(found, "reason")
            words = f"has a listener {listener.name} with {kind} {bad}: {reason}, {text(found, 'message')}".rstrip(", ")
            # A Gateway with other listeners that work is not lost with one.
            lone = len(entry.gateway.listeners) == 1
            severity = Severity.ERROR if lone else Severity.WARNING
            yield _fault(entry, words, found, severity, f"listener {listener.name}: {kind} {bad}, {reason}")


def _fault(entry: Entry, words: str, found: Obj, severity: Severity, short: str, place: Place | None = None) -> Fault:
    reason = text(found, "reason")
    controller = text(entry.class_lookup.obj, "spec", "controllerName")
    if reason in ("", "Pending", "Waiting"):
        who = f"the controller {controller}" if controller else "the controller"
        served = (
            f"gatewayclass/{entry.gateway.class_name}" if entry.gateway.class_name else f"the class of {entry.shown}"
        )
        fix = f"Start {who} that serves {served}"
    else:
        shape = shape_of(text(found, "message"), entry.shown)
        known = _REASONS.get(reason, "") or (shape.text if shape is not None else "")
        fix = known.format(entry=entry.shown) if known else f"Correct {entry.shown} by the controller's words: {reason}"
    kind = text(found, "type") or "Programmed"
    value = f"{text(found, 'status') or '<none>'}, {text(found, 'reason')}: {text(found, 'message')}"
    return fault(
        CODE,
        place or entry.place,
        f"{entry.shown} {words}.",
        severity=severity,
        about=entry.ref,
        evidence=[Evidence("status", f"{entry.shown} status.conditions[{kind}]", value)],
        fix=[Fix(fix)],
        verify=(
            entry.kubectl("describe", "gateway", entry.name),
            *((kubectl("describe", "gatewayclass", entry.gateway.class_name),) if entry.gateway.class_name else ()),
        ),
        short=short,
        details={"reason": text(found, "reason")},
    )
