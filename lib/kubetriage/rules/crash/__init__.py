"""Why a pod crashes, does not start, or never gets ready.

A rule is a module with ``CODE``, ``TITLE``, a docstring that is its manual page, and

* ``check(case: Case) -> Iterable[Finding]`` for pods,
* ``check_controller(case: ControllerCase) -> Iterable[Finding]`` for what a controller says itself,
* ``needs(case: Case) -> Iterable[Need]`` for reads beyond the pod, its events, logs, owners and node.

A rule about an instance that ended asks ``case.crash(container)``, which leaves out the ends that are as they
should be; ``container.termination`` holds those too.

The order of :data:`TIERS` is meaning: what stands in a tier explains what stands below it. Within a tier all
findings stand, in the order of its modules. Once a container has an error from one tier, the tiers below are
silent about that container; an error about the whole pod silences them altogether.

A module of :data:`CONCLUSIONS` has ``conclude(case, findings) -> list[Finding]`` instead: it sees what all rules
found and adds, orders or weakens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from types import ModuleType
from typing import cast

from kubetriage.model import Finding, Severity, ordered
from kubetriage.pods import Pod
from kubetriage.rules.crash import (
    aborted,
    completed_but_restarted,
    context,
    init_container_failed,
    init_container_waiting,
    killed_by_signal,
    liveness_kills_slow_start,
    liveness_probe_failed,
    node_restarted,
    oom_killed,
    post_start_hook_failed,
    pre_stop_hook_failed,
    probe_errored,
    readiness_probe_failed,
    restarted_then_stable,
    segfault,
    startup_probe_failed,
    terminated_by_signal,
    unknown,
)
from kubetriage.rules.crash.case import Case, ControllerCase, log_need, owner_needs
from kubetriage.snapshot import Get, List, Need, Snapshot

TIERS: tuple[tuple[ModuleType, ...], ...] = (
    # The node.
    (),
    # Deletion and eviction.
    (),
    # Scheduling.
    (),
    # Sandbox and volumes.
    (),
    # Image.
    (),
    # References and configuration.
    (),
    # Start errors.
    (),
    # Who ended the instance, where the kubelet or the runtime says it; probes and hooks.
    (
        oom_killed,
        node_restarted,
        post_start_hook_failed,
        startup_probe_failed,
        liveness_kills_slow_start,
        liveness_probe_failed,
        probe_errored,
        readiness_probe_failed,
        init_container_waiting,
        pre_stop_hook_failed,
    ),
    # The log names the cause, before a kill whose sender nobody names.
    (),
    # A signal of which only the exit code tells.
    (killed_by_signal, segfault, aborted, terminated_by_signal, completed_but_restarted),
    # The program ended by itself.
    (),
)
"""Causes of pods, the deepest first."""

CONCLUSIONS: tuple[ModuleType, ...] = (init_container_failed, restarted_then_stable, unknown, context)
"""What follows from all findings of a pod together, in this order."""

CONTROLLER_RULES: tuple[ModuleType, ...] = ()
"""Causes that a controller reports itself, because it has no pod or has given up."""

RECENT = timedelta(hours=1)
"""A ready pod that crashed within this time is looked at in full; the default lifetime of events."""


def all_rules() -> tuple[ModuleType, ...]:
    """Return every rule module once, in the order of the tiers, controllers' own last."""
    return tuple(dict.fromkeys([*(rule for tier in TIERS for rule in tier), *CONTROLLER_RULES]))


def diagnose_pod(snapshot: Snapshot, pod: Pod) -> tuple[Finding, ...]:
    """Return all findings of one pod, the root cause first."""
    case = Case(pod, snapshot)
    found: list[Finding] = []
    explained: set[str] = set()
    for tier in TIERS:
        settled = set(explained)
        if "" in settled:
            break
        for rule in tier:
            for finding in cast("Iterable[Finding]", rule.check(case)):
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
    found: list[Finding] = []
    for rule in CONTROLLER_RULES:
        found.extend(cast("Iterable[Finding]", rule.check_controller(case)))
    return ordered(found)


def needs_full_look(snapshot: Snapshot, pod: Pod) -> bool:
    """Tell whether events, logs and references of this pod are worth reading."""
    return pod.is_troubled or pod.crashed_since(snapshot.now - RECENT)


def pod_needs(snapshot: Snapshot, pod: Pod, *, events: bool = True) -> Iterator[Need]:
    """Say what to read about one pod that is known.

    With ``events`` False the caller has asked for the namespace's events at once (a scan).
    """
    case = Case(pod, snapshot)
    if events:
        yield List("events", pod.namespace, fields=f"involvedObject.uid={pod.uid}")
    if not needs_full_look(snapshot, pod):
        return
    for container in pod.containers:
        ended = container.termination is not None and container.termination.started is not None
        unready = container.running and not container.ready and container.kind in ("app", "sidecar")
        if ended or unready:
            yield log_need(container)
    yield from owner_needs(snapshot, pod.raw)
    if pod.node:
        yield Get("nodes", "", pod.node)
    for rule in (*(rule for tier in TIERS for rule in tier), *CONCLUSIONS):
        ask = getattr(rule, "needs", None)
        if ask is not None:
            yield from ask(case)
