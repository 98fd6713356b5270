"""``--wait``: ask again until a workload is ready, has a cause that waiting does not cure, or the time is over."""

from __future__ import annotations

import time
from collections.abc import Callable

from kubetriage.model import Diagnosis
from kubetriage.plugins import ANY_KIND, Answer, Request
from kubetriage.rules import custom_workloads
from kubetriage.rules.crash.rollout import progress
from kubetriage.rules.incident.patience import Prospect, prospect
from kubetriage.snapshot import Snapshot
from kubetriage.values.resources import BY_PLURAL

PAUSE = 2.0
"""Seconds between two looks."""


def follow(
    look: Callable[[], tuple[Snapshot, Request, Answer]],
    seconds: float,
    tell: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Prospect:
    """Look again and again; ``tell`` gets what is missing whenever that changes. Returns the last judgement."""
    ends = clock() + seconds
    told = ""
    while True:
        snapshot, request, answer = look()
        done, words = _progress(snapshot, request, answer)
        judged = prospect(answer.diagnoses, done)
        if judged is not Prospect.UNDECIDED or clock() >= ends or answer.errors:
            return judged
        if words != told:
            tell(words)
            told = words
        pause(min(PAUSE, max(ends - clock(), 0.0)))


def _progress(snapshot: Snapshot, request: Request, answer: Answer) -> tuple[bool, str]:
    """Say whether all named objects have what their specs ask for, and what is missing."""
    missing = []
    for target in request.targets:
        if target.resource == ANY_KIND:
            raw = custom_workloads.find(snapshot, request.namespace, target.kind, target.name)
            if raw is not None and (lacks := custom_workloads.lacking(snapshot, raw)):
                missing.append(f"{target.kind}/{target.name}: {lacks}")
            continue
        resource = BY_PLURAL.get(target.resource)
        if resource is None:
            continue
        found = snapshot.get(target.resource, request.namespace if resource.namespaced else "", target.name)
        if not found.found or target.resource in ("services", "ingresses", "nodes"):
            # Of what has no rollout the diagnosis is the judgement.
            continue
        one = progress(resource.kind, found.obj)
        if not one.done:
            missing.append(f"{resource.kind.lower()}/{target.name}: {one.words}")
    if not missing and any(_hides(d) for d in answer.diagnoses):
        missing.append("something that could hold a fault was not seen")
    return not missing, "; ".join(missing) or "not healthy yet"


def _hides(diagnosis: Diagnosis) -> bool:
    """Tell whether waiting is undecided; who may not read nodes goes by what the pods' own statuses say."""
    return diagnosis.undecided and any(gap.decides and not gap.contact for gap in diagnosis.not_seen)
