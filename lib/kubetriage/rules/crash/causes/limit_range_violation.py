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
from kubetriage.rules.crash.admission_refusals import Refused, refusals
from kubetriage.rules.crash.case import ControllerCase
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import name_of
from kubetriage.values.patterns import lazy

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
