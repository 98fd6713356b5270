"""Pods that their StatefulSet or DaemonSet leaves with an old template, although it has a newer one by now."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kubetriage.model import Actor, Evidence, Finding, Fix, Severity
from kubetriage.records import replace
from kubetriage.rules.crash.case import Case
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, mapping, number, text


def conclude(case: Case, findings: list[Finding]) -> list[Finding]:
    """Put first that the pod has to go: its template was changed since, and the change does not reach it."""
    told = _old_template(case)
    if told is None:
        return findings
    at = next((i for i, f in enumerate(findings) if f.severity is Severity.ERROR and f.fix), None)
    if at is None:
        return findings
    fix, evidence = told
    made = list(findings)
    template = mapping(case.snapshot.get("statefulsets", case.pod.namespace, case.workload.name).obj, "spec")
    # A patch of what the newest template says already changes nothing.
    rest = (f for f in made[at].fix if not (f.patch and _holds({"spec": template}, f.patch)))
    made[at] = replace(made[at], fix=(fix, *rest), evidence=(*made[at].evidence, evidence))
    return made


def _holds(value: object, patch: object) -> bool:
    """Tell whether an object has all that a strategic merge patch sets; lists of things with names go by name."""
    if isinstance(patch, Mapping):
        return isinstance(value, Mapping) and all(_holds(value.get(k), v) for k, v in patch.items())
    if isinstance(patch, list) and all(isinstance(v, Mapping) and "name" in v for v in patch):
        have = {text(v, "name"): v for v in value} if isinstance(value, list) else {}
        return all(_holds(have.get(text(v, "name")), v) for v in patch)
    return value == patch


def _old_template(case: Case) -> tuple[Fix, Evidence] | None:
    pod, top = case.pod, case.workload
    own = pod.labels.get("controller-revision-hash", "")
    if top.kind != "StatefulSet" or not own or pod.ready or pod.deleting or pod.finished:
        return None
    found = case.snapshot.get("statefulsets", pod.namespace, top.name)
    newest = text(found.obj, "status", "updateRevision") if found.found else ""
    if not newest or newest == own:
        return None
    generation, seen = number(found.obj, "metadata", "generation"), number(found.obj, "status", "observedGeneration")
    waits = _waits(found.obj, pod.name)
    if not waits or (generation is not None and seen is not None and seen < generation):
        return None
    fix = Fix(
        f"Delete the pod: {case.workload_name} has another template by now (revision {newest}; this pod is of {own}), "
        f"and {waits}. Its claims stay.",
        actor=Actor.MANIFEST,
        commands=(kubectl("delete", "pod", pod.name, namespace=pod.namespace),),
    )
    return fix, Evidence("status", f"{case.workload_name} status.updateRevision", f"{newest}, the pod has {own}")


def _waits(raw: Obj, pod: str) -> str:
    """Say why the controller leaves the pod as it is (stateful_set_control.go); empty where it replaces it itself."""
    if text(raw, "spec", "updateStrategy", "type") == "OnDelete":
        return "updateStrategy OnDelete replaces no pod by itself"
    ordinal = re.search(r"-(\d{1,9})\Z", pod)
    partition = number(raw, "spec", "updateStrategy", "rollingUpdate", "partition") or 0
    if ordinal is None or int(ordinal[1]) < partition or text(raw, "spec", "podManagementPolicy") == "Parallel":
        return ""
    return "its controller waits for this one to be ready before it goes on"
