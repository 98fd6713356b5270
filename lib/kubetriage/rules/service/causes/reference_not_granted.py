"""A Route or Gateway refers to an object in another namespace, and no ReferenceGrant there allows it.

Meaning: the Gateway answers 500 for that backend, or does not program the listener with that certificate.

Told by: the namespaces of ``backendRefs`` and ``certificateRefs`` against the ReferenceGrants of the target
namespace; one grant must hold both the ``from`` and the ``to``. Attaching to a Gateway in another namespace needs
none. Not told when ReferenceGrants may not be read, unless the controller says RefNotPermitted of the Route or of
the listener.

Fix: create the ReferenceGrant in the target's namespace.

Source: Gateway API ReferenceGrant; ResolvedRefs reason RefNotPermitted.
"""

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Fix, Ref
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Place
from kubetriage.rules.service.gateway_objects import grant_yaml, granted
from kubetriage.rules.service.gateway_routes import Entry, Path, controller_says
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.values.commands import PIPE, kubectl, shell
from kubetriage.values.fields import Obj, text
from kubetriage.values.patterns import lazy

CODE = "ReferenceNotGranted"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each reference that crosses namespaces."""
    for route in trace.routes:
        if not route.backends:
            yield from _told(route)
        for ref in route.backends:
            verdict = route.is_granted(ref)
            if verdict is True:
                continue
            said = [controller_says(route.route.parent_status(parent), "ResolvedRefs") for parent, _ in route.parents]
            refused = next((s for s in said if _refuses(s)), {})
            if verdict is False or refused:
                yield _fault(
                    route.place,
                    route.ref,
                    ref.at,
                    (ref.kind, ref.namespace, ref.name),
                    refused,
                    presumed=not refused and trace.world.listing("referencegrants", ref.namespace).presumed,
                )
    for entry in trace.gateways:
        for use in entry.secrets:
            if use.ref.namespace == entry.namespace:
                continue
            grants = trace.world.listing("referencegrants", use.ref.namespace)
            allowed = granted(grants.items, "Gateway", entry.namespace, "Secret", use.ref.namespace, use.ref.name)
            refused = {} if allowed else _refused(entry, use.ref)
            if refused or (grants.complete and not allowed):
                target = ("Secret", use.ref.namespace, use.ref.name)
                yield _fault(entry.place, entry.ref, use.at, target, refused, presumed=not refused and grants.presumed)


def _refuses(said: Obj) -> bool:
    """Tell whether a condition says that a reference is not permitted."""
    return text(said, "status") == "False" and text(said, "reason") == "RefNotPermitted"


def _refused(entry: Entry, secret: Ref) -> Obj:
    """Return the condition of a listener with this one foreign certificate that says that it may not be used."""
    for listener in entry.gateway.listeners:
        said = listener.condition("ResolvedRefs")
        foreign = {(place, name) for place, name in listener.certificates if place not in ("", entry.namespace)}
        # With several foreign certificates it does not say which one it means.
        if _refuses(said) and foreign == {(secret.namespace, secret.name)}:
            return said
    return {}


# "Service payments/api not permitted", "backendRef payments/api not accessible".
_TARGET = lazy(r"(?<![\w./-])([a-z0-9][a-z0-9-]{0,62})/([a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?)(?![\w/])")


def _told(route: Path) -> Iterator[Fault]:
    """Take the controller's word where the rules of the Route were not seen."""
    for parent, _ in route.parents:
        said = controller_says(route.route.parent_status(parent), "ResolvedRefs")
        if not _refuses(said):
            continue
        message = text(said, "message").strip().rstrip(".")
        target = _TARGET.search(message)
        evidence = Evidence("status", f"{route.shown} ResolvedRefs", f"False, RefNotPermitted: {message}")
        if target is not None and target[1] != route.route.namespace:
            object_ = ("Service", target[1], target[2])
            yield _fault(route.place, route.ref, "", object_, said, presumed=False)
            return
        look = route.kubectl("get", route.shown, "-o", "yaml")
        yield fault(
            CODE,
            route.place,
            f"{route.shown} refers to an object in another namespace, and no ReferenceGrant there allows it: "
            f"{message}.",
            evidence=[evidence],
            fix=[
                Fix(
                    "Create a ReferenceGrant in the namespace of the object that its backendRefs name, from "
                    f"{route.route.kind}s of namespace {route.route.namespace}",
                    commands=(look,),
                )
            ],
            verify=(look,),
            short="no ReferenceGrant for a reference to another namespace",
        )
        return


def _fault(place: Place, source: Ref, at: str, target: tuple[str, str, str], refused: Obj, *, presumed: bool) -> Fault:
    kind, namespace, name = target
    shown = f"{source.kind.lower()}/{source.name}"
    manifest = grant_yaml(source.kind, source.namespace, kind, namespace, name)
    return fault(
        CODE,
        place,
        f"{shown} in namespace {source.namespace} refers to {kind.lower()}/{name} in namespace {namespace}, and no "
        "ReferenceGrant there allows it.",
        confidence=Confidence.LIKELY if presumed else Confidence.CONFIRMED,
        evidence=[
            *((Evidence("spec", f"{shown} {at}", f"{namespace}/{name}"),) if at else ()),
            Evidence("status", f"{shown} condition ResolvedRefs", f"False, RefNotPermitted: {text(refused, 'message')}")
            if refused
            else Evidence("status", f"referencegrants in {namespace}", "none with this from and to"),
        ],
        fix=[
            Fix(
                f"Create a ReferenceGrant in namespace {namespace} that lets {source.kind}s of namespace "
                f"{source.namespace} use {kind.lower()}/{name}"
            ),
            Fix(shell("echo", manifest, PIPE, "kubectl", "apply", "--filename=-")),
        ],
        verify=(kubectl("get", "referencegrants", "-o", "yaml", namespace=namespace),),
        short=f"no ReferenceGrant in {namespace} for {kind.lower()}/{name}",
    )
