"""The Gateway names a GatewayClass that does not exist.

Meaning: no controller takes the Gateway up; it gets no address and no Route behind it works.

Told by: ``spec.gatewayClassName`` against the GatewayClasses. Not told when they may not be read.

Fix: use an existing class, or install the controller that brings this one.

Source: Gateway API v1 GatewaySpec.gatewayClassName.
"""

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Fix
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.values.fields import name_of
from kubetriage.values.nearest import nearest

CODE = "GatewayClassNotFound"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the class of each Gateway."""
    for entry in trace.gateways:
        if not entry.lookup.found or not entry.class_lookup.absent:
            continue
        wanted = entry.gateway.class_name
        have = sorted(name_of(c) for c in trace.world.listing("gatewayclasses").items)
        slip = nearest(wanted, have)
        near = slip or (have[0] if len(have) == 1 else "")
        install = f"install the controller that brings GatewayClass {wanted}"
        tail = f"the cluster has {', '.join(have[:5])}" if have else "the cluster has none"
        patch = {"spec": {"gatewayClassName": near}}
        yield fault(
            CODE,
            entry.class_place,
            f"{entry.shown} asks for GatewayClass {wanted}, which does not exist; {tail}.",
            about=entry.ref,
            confidence=Confidence.LIKELY if entry.class_lookup.presumed and not have else Confidence.CONFIRMED,
            evidence=[
                Evidence("spec", f"{entry.shown} spec.gatewayClassName", wanted),
                Evidence("status", "gatewayclasses", ", ".join(have) or "<none>"),
            ],
            fix=[
                *([Fix(f"Set spec.gatewayClassName of {entry.shown} to {near}", patch, entry.ref)] if near else []),
                *(
                    []
                    if slip
                    else [
                        Fix(
                            f"Or {install}" if near else f"{install[0].upper()}{install[1:]}, or name an existing class"
                        )
                    ]
                ),
            ],
            verify=("kubectl get gatewayclasses",),
            short=f"gatewayclass/{wanted} does not exist; {tail}",
            details={"nearest": near} if near else {},
        )
