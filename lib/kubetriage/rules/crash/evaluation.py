"""Runs the rules of why-crash in the order of the registry: what to read of a pod or controller, what it means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from types import ModuleType

from kubetriage.model import Finding, Severity, ordered
from kubetriage.needs import Get, List, Log, Need
from kubetriage.readers.container_logs import ended_log_need
from kubetriage.readers.pods import Pod
from kubetriage.records import replace
from kubetriage.rules.crash import CONCLUSIONS, TIERS, crash_context
from kubetriage.rules.crash.case import Case, ControllerCase
from kubetriage.rules.crash.causes import restarted_then_stable
from kubetriage.rules.crash.gated import Gated
from kubetriage.rules.crash.root_causes import Explain, suspects
from kubetriage.rules.node_contact import carrier, contact_needs
from kubetriage.rules.workloads import owner_needs
from kubetriage.snapshot import Snapshot
from kubetriage.typed import cast

RECENT = timedelta(hours=1)
"""A ready pod that crashed within this time is looked at in full; the default lifetime of events."""


LONGEST_CHAIN = 3
"""Pods that one chain goes through: the pod, its controller's pod, and one that keeps that one down."""


def _explain(snapshot: Snapshot, trail: frozenset[str]) -> Explain:
    """Return what diagnoses the next pod of a chain; nothing for a pod of the chain itself or beyond its end."""

    def explain(pod: Pod) -> tuple[Finding, ...]:
        if pod.uid in trail or len(trail) >= LONGEST_CHAIN:
            return ()
        # Many pods of a scan wait for the same controller.
        known = snapshot.derived(_explained)
        key = (pod.namespace, pod.name, len(trail))
        if key not in known:
            known[key] = diagnose_pod(snapshot, pod, trail)
        return known[key]

    return explain


def _explained(_: Snapshot) -> dict[tuple[str, str, int], tuple[Finding, ...]]:
    """Hold the findings of pods at which chains end, by namespace, name and place in the chain."""
    return {}


def diagnose_pod(snapshot: Snapshot, pod: Pod, trail: frozenset[str] = frozenset()) -> tuple[Finding, ...]:
    """Return all findings of one pod, the root cause first; ``trail`` holds the uids of a chain that leads here."""
    case = Case(pod, snapshot, _explain(snapshot, trail | {pod.uid}))
    found: list[Finding] = []
    explained: set[str] = set()
    for tier in TIERS:
        settled = set(explained)
        if "" in settled:
            break
        told = [f for rule in tier for f in cast("Iterable[Finding]", rule.check(case))]
        # Within a tier what the cluster says itself stands before what only fits.
        for finding in sorted(told, key=lambda f: f.confidence.rank):
            if finding.object.container in settled:
                continue
            found.append(finding)
            if finding.severity is Severity.ERROR:
                explained.add(finding.object.container)
    for conclusion in CONCLUSIONS:
        found = cast("list[Finding]", conclusion.conclude(case, found))
    return ordered(found)


def diagnose_controller(case: ControllerCase) -> tuple[Finding, ...]:
    """Return what a controller itself has to say."""
    case = replace(case, explain=_explain(case.snapshot, frozenset()))
    found: list[Finding] = []
    for rule in _controller_rules():
        found.extend(cast("Iterable[Finding]", rule.check_controller(case)))
    if not found:
        from kubetriage.rules.crash.causes import unknown

        found.extend(unknown.check_controller(case))
    return ordered(found)


def controller_needs(case: ControllerCase) -> Iterator[Need]:
    """Say what to read about a controller beyond itself, the controllers below it, and their events."""
    for rule in _controller_rules():
        ask = getattr(rule, "controller_needs", None)
        if ask is not None:
            yield from ask(case)
            yield from _chain_needs(case.snapshot, rule, case, frozenset())


def _controller_rules() -> tuple[ModuleType, ...]:
    """Return the rules about controllers, which a look at a pod does without."""
    from kubetriage.rules.crash.controller_rules import CONTROLLER_RULES

    return CONTROLLER_RULES


def needs_full_look(snapshot: Snapshot, pod: Pod) -> bool:
    """Tell whether events, logs and references of this pod are worth reading."""
    if pod.is_troubled or pod.crashed_since(snapshot.now - RECENT):
        return True
    case = Case(pod, snapshot)
    return any(restarted_then_stable.recurring(case, c) for c in pod.containers if c.kind in ("app", "sidecar"))


def recorded_logs(snapshot: Snapshot, pod: Pod) -> Iterator[Need]:
    """Ask for the running instances' logs that a recording has: they cost nothing, and only they tell of children."""
    known = (Log(pod.namespace, pod.name, c.name) for c in pod.containers if c.running)
    yield from (need for need in known if snapshot.has_log(need))


def pod_needs(
    snapshot: Snapshot,
    pod: Pod,
    *,
    events: bool = True,
    replicas: bool = True,
    trail: frozenset[str] = frozenset(),
) -> Iterator[Need]:
    """Say what to read about one pod that is known.

    With ``events`` False the caller has asked for the namespace's events at once (a scan). With ``replicas`` False
    it does not compare the pod with others of its workload. ``trail`` holds the uids of a chain that leads here.
    """
    case = Case(pod, snapshot)
    if events:
        yield List("events", pod.namespace, fields=f"involvedObject.uid={pod.uid}")
    if not needs_full_look(snapshot, pod):
        # All that says so is a status: whether anybody still writes it is up to the node.
        yield from contact_needs(snapshot, (carrier(pod),))
        return
    for container in pod.containers:
        ended = container.termination is not None and (container.termination.ran or not case.shows_states)
        unready = container.running and not container.ready and container.kind in ("app", "sidecar")
        if ended or unready:
            yield ended_log_need(snapshot, container)
    yield from owner_needs(snapshot, pod.raw)
    if pod.node:
        yield Get("nodes", "", pod.node)
        if not pod.is_troubled:
            yield from contact_needs(snapshot, (carrier(pod),))
    for rule in dict.fromkeys((*(rule for tier in TIERS for rule in tier), *CONCLUSIONS)):
        ask = getattr(rule, "needs", None)
        if ask is not None and (replicas or rule is not crash_context):
            yield from ask(case)
        yield from _chain_needs(snapshot, rule, case, trail | {pod.uid})


def _chain_needs(
    snapshot: Snapshot, rule: ModuleType | Gated, case: Case | ControllerCase, trail: frozenset[str]
) -> Iterator[Need]:
    """Ask for what tells why the pods at the next step of a chain do not do their work."""
    lead = getattr(rule, "leads_to", None)
    if lead is None or len(trail) >= LONGEST_CHAIN:
        return
    for pod in suspects(cast("Iterable[Pod]", lead(case))):
        if pod.uid not in trail:
            yield from pod_needs(snapshot, pod, trail=trail)
