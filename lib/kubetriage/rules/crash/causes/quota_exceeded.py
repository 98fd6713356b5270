"""A ResourceQuota of the namespace leaves no room for the pod, or demands requests that it does not set.

Meaning: the API server refuses to create the pod, so there is none to look at: the controller's events are the only
trace. Quotas count requests and limits of all pods of the namespace, used or not.

Told by: ``exceeded quota: NAME, requested: ..., used: ..., limited: ...``, ``failed quota: NAME: must specify ...`` or
``insufficient quota to match these scopes`` in the FailedCreate event or the ReplicaFailure condition of the
controller.

Fix: free quota, have it raised, or lower what the template asks; set the requests and limits that the quota demands.

Source: apiserver admission plugin ResourceQuota.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Finding, Fix
from kubetriage.needs import Get, Need
from kubetriage.rules.crash.admission_refusals import Refusal, Refused, refusals
from kubetriage.rules.crash.case import ControllerCase
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import labels, objects, text
from kubetriage.values.manifest_text import yaml_text
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import parse_quantity

CODE = "QuotaExceeded"

_EXCEEDED = lazy(
    r"exceeded quota: (?P<quota>[^,]{1,253}), requested: (?P<asked>.+?), used: (?P<used>.+?), "
    r"limited: (?P<limit>.+?)\s*\Z",
    re.S,
)
_MUST = lazy(r"failed quota: (?P<quota>[^:]{1,253}): must specify (?P<what>.+?)\s*\Z", re.S)


def controller_needs(case: ControllerCase) -> Iterator[Need]:
    """Ask for the quota, whose state may have changed since the refusal."""
    for refusal in refusals(case, Refused.QUOTA):
        name = _name(refusal)
        if name:
            yield Get("resourcequotas", case.ref.namespace, name)


def check_controller(case: ControllerCase) -> Iterator[Finding]:
    """Name the quota and what is short."""
    for refusal in refusals(case, Refused.QUOTA):
        yield _must(refusal) or _exceeded(refusal)


def _name(refusal: Refusal) -> str:
    match = _EXCEEDED.search(refusal.words) or _MUST.search(refusal.words)
    return match["quota"].strip() if match else ""


def _pairs(listed: str) -> dict[str, str]:
    found = (part.partition("=") for part in listed.split(","))
    return {key.strip(): value.strip() for key, _, value in found if value}


def _scoped(priority: str, namespace: str) -> str:
    """Write a quota for the pods of one priority class, as GKE and others demand for system-critical ones."""
    scope = {"operator": "In", "scopeName": "PriorityClass", "values": [priority]}
    return yaml_text(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": f"{priority}-pods", "namespace": namespace},
            "spec": {"hard": {"pods": "100"}, "scopeSelector": {"matchExpressions": [scope]}},
        }
    )


def _exceeded(refusal: Refusal) -> Finding:
    match = _EXCEEDED.search(refusal.words)
    if "to match these scopes" in refusal.words:
        own = text(refusal.pod_spec, "priorityClassName")
        return refusal.finding(
            CODE,
            f"{refusal.blocked}: pods of {f'priority class {own}' if own else 'their priority class'} need a quota of "
            f"their own here, and namespace {refusal.case.ref.namespace} has none.",
            Fix(
                f"Create a ResourceQuota with scopeSelector PriorityClass In [{own or 'its class'}] in namespace "
                f"{refusal.case.ref.namespace}, or set another priorityClassName in {refusal.target}.",
                actor=Actor.CLUSTER,
                yaml=_scoped(own, refusal.case.ref.namespace) if own else "",
            ),
            verify=(kubectl("get", "resourcequota", namespace=refusal.case.ref.namespace),),
        )
    if match is None:
        return refusal.finding(
            CODE,
            f"{refusal.blocked}: {refusal.words}",
            Fix(
                f"Free quota in namespace {refusal.case.ref.namespace}, or have it raised.",
                actor=Actor.CLUSTER,
                commands=(kubectl("describe", "resourcequota", namespace=refusal.case.ref.namespace),),
            ),
        )
    quota, namespace = match["quota"].strip(), refusal.case.ref.namespace
    asked, used, limit = (_pairs(match[g]) for g in ("asked", "used", "limit"))
    short = [f"{key}: {used.get(key, '?')} of {limit[key]} used, {asked.get(key, '?')} more needed" for key in limit]
    found = refusal.case.snapshot.get("resourcequotas", namespace, quota).obj
    hard, now = labels(found, "status", "hard"), labels(found, "status", "used")
    evidence = tuple(
        Evidence("status", f"resourcequota/{quota} {key}", f"used {now.get(key, '?')} of {hard[key]}")
        for key in limit
        if key in hard
    )
    return refusal.finding(
        CODE,
        f"{refusal.blocked}: quota {quota} has no room for them ({'; '.join(short)}).",
        _raise(refusal, quota, asked, used, limit),
        evidence=evidence,
        verify=(kubectl("describe", "resourcequota", quota, namespace=namespace),),
        details={"quota": quota, "resources": sorted(limit)},
    )


def _raise(refusal: Refusal, quota: str, asked: dict[str, str], used: dict[str, str], limit: dict[str, str]) -> Fix:
    """Say what makes room, and write the quota that would do."""
    hard = {k: v for k in limit if (v := _sum(used.get(k, ""), asked.get(k, "")))}
    patch = json.dumps({"spec": {"hard": hard}}, separators=(",", ":"))
    namespace = refusal.case.ref.namespace
    raised = kubectl("patch", "resourcequota", quota, "--type=merge", "-p", patch, namespace=namespace)
    commands: tuple[str, ...] = (raised,) if hard and len(hard) == len(limit) else ()
    if "finished pods" in (words := _words(refusal, quota, asked, limit)):
        phases = ("Succeeded", "Failed")
        commands = tuple(
            kubectl("delete", "pods", "--field-selector", f"status.phase={p}", namespace=namespace) for p in phases
        )
    return Fix(words, actor=Actor.CLUSTER, commands=commands)


def _sum(used: str, asked: str) -> str:
    """Add two amounts of one resource, in the larger one's plain form; empty when one cannot be read."""
    one, other = parse_quantity(used), parse_quantity(asked)
    if one is None or other is None:
        return ""
    total = one + other
    binary = used.endswith("i") or asked.endswith("i")
    for unit, size in (("Gi", 2**30), ("Mi", 2**20)):
        if binary and not total % size:
            return f"{int(total // size)}{unit}"
    return str(int(total)) if total.denominator == 1 else f"{int(total * 1000)}m"


def _words(refusal: Refusal, quota: str, asked: dict[str, str], limit: dict[str, str]) -> str:
    namespace = refusal.case.ref.namespace
    least = [f"{key} {asked[key]}" for key in limit if _more(asked.get(key), limit[key])]
    if least:
        return f"Have quota {quota} raised to at least {', '.join(least)}; one pod alone needs more than it allows."
    done = [
        p
        for p in refusal.case.snapshot.list("pods", namespace).items
        if text(p, "status", "phase") in ("Succeeded", "Failed")
    ]
    if done and any(key in limit for key in ("count/pods", "count/jobs.batch")):
        return (
            f"Delete the finished pods of namespace {namespace}, which count/pods counts too ({len(done)} are there; "
            "quota pods does not count them), and let Jobs clean up: ttlSecondsAfterFinished. Or have quota "
            f"{quota} raised."
        )
    amounts = [key for key in limit if key != "pods" and not key.startswith("count/")]
    lower = f", lower {', '.join(amounts)} of {refusal.target}" if amounts else ""
    return f"Remove {refusal.product} of namespace {namespace}{lower}, or have quota {quota} raised."


def _more(asked: str | None, limit: str) -> bool:
    """Tell whether one pod alone asks for more than the whole quota."""
    wanted, most = parse_quantity(asked), parse_quantity(limit)
    return wanted is not None and most is not None and wanted > most


def _must(refusal: Refusal) -> Finding | None:
    match = _MUST.search(refusal.words)
    if match is None:
        return None
    quota, what = match["quota"].strip(), match["what"]
    resources = ", ".join(part.partition(" for:")[0].strip() for part in what.split(";"))
    # Newer API servers name the containers; without these and a template no name is known.
    told = [n.strip() for part in what.split(";") for n in part.partition(" for:")[2].split(",") if n.strip()]
    containers = list(dict.fromkeys(told)) or [text(c, "name") for c in objects(refusal.pod_spec, "containers")]
    where = f"container {', '.join(containers)}" if containers else "its containers"
    return refusal.finding(
        CODE,
        f"{refusal.blocked}: quota {quota} demands {resources}, and they do not set it.",
        refusal.fix(
            f"Set {resources} for {where} in {refusal.target}, or add a LimitRange with defaults to the namespace."
        ),
        verify=(kubectl("describe", "resourcequota", quota, namespace=refusal.case.ref.namespace),),
        details={"quota": quota},
    )
