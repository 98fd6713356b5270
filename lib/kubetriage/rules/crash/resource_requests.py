"""What a pod asks of a node."""

from __future__ import annotations

from fractions import Fraction

from kubetriage.readers.pods import Pod
from kubetriage.values.fields import dig, mapping, objects, text
from kubetriage.values.quantity import format_bytes, parse_quantity

BYTES = ("memory", "ephemeral-storage")


def pod_request(pod: Pod, resource: str) -> Fraction:
    """Return the effective request as the scheduler adds it up (resourcehelper.PodRequests).

    Containers and sidecars together, or the largest init container with the sidecars started before it, whichever
    is more, and the overhead; a pod-level request replaces the containers'. One of ``pods`` is always 1.
    """
    if resource == "pods":
        return Fraction(1)
    whole = parse_quantity(dig(pod.raw, "spec", "resources", "requests", resource))
    overhead = parse_quantity(dig(pod.raw, "spec", "overhead", resource)) or Fraction(0)
    if whole is not None:
        return whole + overhead
    total = sum((_of(c, resource) for c in objects(pod.raw, "spec", "containers")), Fraction(0))
    sidecars = peak = Fraction(0)
    for init in objects(pod.raw, "spec", "initContainers"):
        amount = _of(init, resource)
        if text(init, "restartPolicy") == "Always":
            sidecars += amount
            peak = max(peak, sidecars)
        else:
            peak = max(peak, sidecars + amount)
    return max(total + sidecars, peak) + overhead


def requested_resources(pod: Pod) -> frozenset[str]:
    """Return the names of the resources that the pod asks for, in any container or as a whole."""
    spec = pod.raw.get("spec")
    parts = [spec, *objects(spec, "containers"), *objects(spec, "initContainers")]
    return frozenset(r for p in parts for field in ("requests", "limits") for r in mapping(p, "resources", field))


def _of(container: object, resource: str) -> Fraction:
    # The API server copies a limit without a request into the request.
    for part in ("requests", "limits"):
        amount = parse_quantity(mapping(container, "resources", part).get(resource))
        if amount is not None:
            return amount
    return Fraction(0)


def amount_text(resource: str, amount: Fraction) -> str:
    """Write an amount of a resource (``200Gi``, ``2 CPU``, ``1500m CPU``, ``3``)."""
    if resource in BYTES or resource.startswith("hugepages-"):
        return format_bytes(int(amount))
    if resource == "cpu":
        return f"{int(amount)} CPU" if amount.denominator == 1 else f"{int(amount * 1000)}m CPU"
    return str(int(amount))
