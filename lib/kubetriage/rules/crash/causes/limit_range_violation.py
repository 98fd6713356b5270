"""A LimitRange of the namespace forbids the requests or limits of the pod.

Meaning: the API server refuses to create the pod: one of its containers asks for more or less than a LimitRange
allows, or its request is above the default limit that a LimitRange fills in.

Told by: ``maximum RESOURCE usage per Container is M, but limit is L``, ``minimum ...``, ``max limit to request ratio
...`` or ``must be less than or equal to RESOURCE limit`` in the FailedCreate event or ReplicaFailure condition.

Fix: bring requests and limits of the template into the range, or have the LimitRange changed.

Source: apiserver admission plugin LimitRanger.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding
from kubetriage.needs import List, Need
from kubetriage.records import dataclass
from kubetriage.rules.crash.admission_refusals import Refusal, Refused, refusals
from kubetriage.rules.crash.case import ControllerCase
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import name_of, objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import parse_quantity

CODE = "LimitRangeViolation"

_RANGE = lazy(
    r"(?P<edge>maximum|minimum) (?P<resource>\S+) usage per (?P<per>\w+) is (?P<limit>[^,]+), but "
    r"(?P<what>limit|request) is (?P<asked>[^,\]]+)"
)


def controller_needs(case: ControllerCase) -> Iterator[Need]:
    """Ask for the ranges: the refusal does not name which one."""
    if any(refusals(case, Refused.LIMIT_RANGE)):
        yield List("limitranges", case.ref.namespace)


def check_controller(case: ControllerCase) -> Iterator[Finding]:
    """Name the bound and the value."""
    namespace = case.ref.namespace
    for refusal in refusals(case, Refused.LIMIT_RANGE):
        names = [name_of(r) for r in case.snapshot.list("limitranges", namespace).items]
        which = f"LimitRange {', '.join(names)}" if names else "the LimitRange of the namespace"
        matches = list(_RANGE.finditer(refusal.words))
        if matches:
            parts = [
                f"{m['resource']} {m['what']} {m['asked'].strip(' .')} ({m['edge']} per {m['per']} {m['limit']})"
                for m in matches
            ]
            message = f"{refusal.blocked}: {which} forbids {'; '.join(parts)}."
            sure = Confidence.CONFIRMED
        elif (clash := _clash(refusal)) is not None:
            yield _contradiction(refusal, clash)
            continue
        else:
            message = f"{refusal.blocked}: {refusal.words}"
            # Without a LimitRange the template contradicts itself.
            sure = Confidence.CONFIRMED if "ratio" in refusal.words else Confidence.LIKELY
        yield refusal.finding(
            CODE,
            message,
            refusal.fix(f"Bring the resources of {refusal.target} within {which}, or have that changed."),
            evidence=tuple(Evidence("config", "limitrange", n) for n in names),
            verify=(kubectl("describe", "limitrange", namespace=namespace),),
            confidence=sure,
        )


# apimachinery validation of a container's resources, after LimitRanger has filled in its defaults.
_ABOVE = lazy(
    r"spec\.(?P<list>initContainers|containers)\[(?P<at>\d{1,3})\]\.resources\.requests: Invalid value: "
    r'"(?P<asked>[^"]{1,40})": must be less than or equal to (?P<resource>\S+) limit of (?P<limit>\S+?)[.,]?(?:\s|\Z)'
)


@dataclass(frozen=True)
class _Clash:
    """A container whose request is above its limit."""

    container: str
    which: str
    """The list that it stands in."""
    resource: str
    asked: str
    limit: str
    own: str
    """The limit that the template sets; empty where it sets none."""


def _clash(refusal: Refusal) -> _Clash | None:
    found = _ABOVE.search(refusal.words)
    if found is None:
        return None
    listed = objects(refusal.pod_spec, found["list"])
    spec = listed[int(found["at"])] if int(found["at"]) < len(listed) else {}
    own = text(spec, "resources", "limits", found["resource"])
    name = text(spec, "name") or f"number {int(found['at']) + 1}"
    return _Clash(name, found["list"], found["resource"], found["asked"], found["limit"], own)


def _contradiction(refusal: Refusal, clash: _Clash) -> Finding:
    """Judge a request above its limit: the template's own, or the default that a LimitRange fills in."""
    ranges = refusal.case.snapshot.list("limitranges", refusal.case.ref.namespace).items
    rows = [(r, item) for r in ranges for item in objects(r, "spec", "limits") if text(item, "type") == "Container"]
    filled = next((r for r, item in rows if text(item, "default", clash.resource) == clash.limit), None)
    most = next((text(item, "max", clash.resource) for _, item in rows if text(item, "max", clash.resource)), "")
    what = f"container {clash.container} requests {clash.resource} {clash.asked}, above its limit {clash.limit}"
    if clash.own:
        what += ", both in the template"
    elif filled is not None:
        what += f", which is the default of LimitRange {name_of(filled)}: the template sets no limit"
    else:
        what += "; the template sets none, so a LimitRange of the namespace filled it in"
    too_much = most and (parse_quantity(most) or 0) < (parse_quantity(clash.asked) or 0)
    wanted = (
        {"requests": {clash.resource: most}, "limits": {clash.resource: most}}
        if too_much
        else {"limits": {clash.resource: clash.asked}}
    )
    words = (
        f"Lower the request of {clash.container} in {refusal.target} to {most}, the maximum of the LimitRange, or have "
        "that raised."
        if too_much
        else f"Set limits.{clash.resource} of {clash.container} in {refusal.target} to {clash.asked} or more, or lower "
        f"its request to {clash.limit}."
    )
    patch = {clash.which: [{"name": clash.container, "resources": wanted}]}
    known = not clash.container.startswith("number ")
    return refusal.finding(
        CODE,
        f"{refusal.blocked}: {what}.",
        refusal.fix(words, patch if known else None),
        evidence=tuple(Evidence("config", "limitrange", name_of(r)) for r in ranges),
        verify=(kubectl("describe", "limitrange", namespace=refusal.case.ref.namespace),),
        confidence=Confidence.CONFIRMED,
    )
