"""An admission webhook that must be asked does not answer, so requests are rejected or slow.

Meaning: with failurePolicy Fail every request that the webhook intercepts is rejected when the call fails, and waits
up to timeoutSeconds when it is slow. One that intercepts pods stops all new pods; one that intercepts leases or nodes
breaks controllers and kubelets.

Told by: failed calls between two samples (`apiserver_admission_webhook_rejection_count` with
error_type="calling_webhook_error"), events that quote "failed calling webhook", no ready endpoint behind its
service, or a mean call time above 1 s. A webhook that answers "no" does its work and is not reported.

Fix: bring its pods back; until then narrow it with a namespaceSelector or set failurePolicy Ignore, if its absence is
less harmful than the outage.

Source: apiserver/pkg/admission/plugin/webhook (errors, metrics); admissionregistration.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.rules.plane.admission_webhooks import (
    Calls,
    Webhook,
    calls,
    configuration_path,
    configurations_seen,
    failed_by_webhook,
    failed_calls,
    ready_endpoints,
)
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.figure_format import count, metric, names, span
from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time

CODE = "WebhookBlocking"
LINK = "admission webhooks"

# The API server calls a service by https://NAME.NAMESPACE.svc:PORT (apiserver/pkg/util/webhook, all versions).
_SERVICE_URL = lazy(r"https://([^./\s]+)\.([^./\s]+)\.svc[:/]")
_RECENT = 600.0
"""Seconds for which an event of a failed call speaks of the present: controllers back off up to minutes."""


def check(case: Case) -> Iterator[Finding]:
    """Judge each webhook that fails closed by its calls, its events and its backends."""
    quoted: dict[str, list[Evidence]] = {}
    for name, event in failed_calls(case.snapshot):
        if event.last is None or (case.now - event.last).total_seconds() <= _RECENT:
            quoted.setdefault(name, []).append(event.evidence())
    for remark in case.lately("webhook", _RECENT):
        words = Evidence("log", "kube-apiserver", remark.words, format_time(remark.at))
        quoted.setdefault(remark.about, []).append(words)
    for hook in case.webhooks:
        seen = calls(case.api, hook.name)
        ready = ready_endpoints(hook, case.snapshot)
        failed = seen.failing if seen else 0.0
        events = quoted.get(hook.name, [])
        if hook.closed and (failed >= case.limits.webhook_errors or events or ready == 0):
            yield _broken(hook, failed, bool(seen and seen.since_start), events, ready)
        elif seen and seen.mean is not None and seen.mean >= case.limits.webhook_slow:
            yield _slow(hook, seen.mean, seen)
    if not configurations_seen(case.snapshot):
        known = {hook.name for hook in case.webhooks}
        failed_by_name = failed_by_webhook(case.api)
        for name in sorted({*quoted, *failed_by_name} - known):
            failed = failed_by_name.get(name, 0.0)
            if failed >= case.limits.webhook_errors or name in quoted:
                yield _unlisted(name, calls(case.api, name), quoted.get(name, []))


def _failures(name: str, failed: float, since_start: bool) -> list[Evidence]:
    words = f"{failed:.0f} failed calls" + (" since the API server started" if since_start else "")
    return [metric("apiserver_admission_webhook_rejection_count", words, name)] if failed else []


def _broken(hook: Webhook, failed: float, since_start: bool, events: list[Evidence], ready: int | None) -> Finding:
    service = f"{hook.service[0]}/{hook.service[1]}" if hook.service else hook.url
    evidence = _failures(hook.name, failed, since_start)
    evidence += sorted(events, key=lambda e: e.time)[-2:]
    if ready is not None:
        evidence.append(Evidence("status", f"endpointslices of service {service}", f"{count(ready, 'ready endpoint')}"))
    evidence.append(
        Evidence("config", f"{hook.kind}/{hook.configuration}", f"failurePolicy Fail, timeoutSeconds {hook.timeout}")
    )
    because = f"its service {service} has no ready endpoint" if ready == 0 else "calls to it fail"
    since = min((e.time for e in events if e.time), default="")
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED if events or (failed and not since_start) else Confidence.LIKELY,
        Ref(hook.kind, "", hook.configuration),
        f"Webhook {hook.name} rejects every request for {_targets(hook)}: {because}, and its failurePolicy is Fail.",
        tuple(evidence),
        (),
        (
            Fix(f"Bring back the pods behind {service}.")
            if hook.service
            else Fix(f"Bring back what answers at {service}, and the way from the API server to it."),
            Fix(
                f"Until then, if its absence does less harm: set failurePolicy: Ignore of webhook {hook.name} in"
                f" {configuration_path(hook)}, or exclude kube-system with a namespaceSelector."
            ),
        ),
        tuple(
            command
            for command in (
                f"kubectl -n {hook.service[0]} get endpointslices -l kubernetes.io/service-name={hook.service[1]}"
                if hook.service
                else "",
                "kubectl get events -A --field-selector reason=FailedCreate",
            )
            if command
        ),
        {"link": LINK, "resources": sorted(hook.resources), **({"since": since} if since else {})},
    )


def _unlisted(name: str, seen: Calls | None, events: list[Evidence]) -> Finding:
    """Report a webhook whose configuration was not seen: only calls that fail closed are counted and quoted."""
    failed, since_start = (seen.failing, seen.since_start) if seen else (0.0, False)
    evidence = _failures(name, failed, since_start)
    evidence += sorted(events, key=lambda e: e.time)[-2:]
    called = next((m for e in events if (m := _SERVICE_URL.search(e.value))), None)
    behind = f"service {called[2]}/{called[1]}" if called else "it"
    since = min((e.time for e in events if e.time), default="")
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED if events or not since_start else Confidence.LIKELY,
        CLUSTER,
        f"Webhook {name} rejects requests: calls to it fail, and its failurePolicy is Fail. What it intercepts was not"
        " seen.",
        tuple(evidence),
        (),
        (
            Fix(f"Bring back the pods behind {behind}."),
            Fix("Until then, if its absence does less harm: set its failurePolicy to Ignore in its configuration."),
        ),
        (
            f"kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o yaml | grep -B30 {name}",
            "kubectl get events -A --field-selector reason=FailedCreate",
        ),
        {"link": LINK, "resources": [], **({"since": since} if since else {})},
    )


def _slow(hook: Webhook, mean: float, seen: Calls) -> Finding:
    return Finding(
        CODE,
        Severity.WARNING,
        Confidence.LIKELY if seen.since_start else Confidence.CONFIRMED,
        Ref(hook.kind, "", hook.configuration),
        f"Webhook {hook.name} takes {span(mean)} per call and delays every request for {_targets(hook)}"
        f" (it may take up to {hook.timeout} s).",
        (
            metric(
                "apiserver_admission_webhook_admission_duration_seconds",
                f"mean {span(mean)} over {seen.count:.0f}"
                + (" since the API server started" if seen.since_start else ""),
                hook.name,
            ),
        ),
        (),
        (
            Fix(
                f"Give its pods more CPU or replicas, or lower timeoutSeconds (now {hook.timeout}) in"
                f" {configuration_path(hook)}."
            ),
        ),
        ("kubectl get --raw /metrics | grep apiserver_admission_webhook_admission_duration_seconds_sum",),
        {"link": LINK, "resources": sorted(hook.resources)},
    )


def _targets(hook: Webhook) -> str:
    operations = (
        ""
        if not hook.operations or "*" in hook.operations
        else f" ({names(sorted(o.lower() for o in hook.operations))})"
    )
    return (names(sorted(hook.resources)) or "its resources") + operations


def blocks(finding: Finding, *resources: str) -> bool:
    """Tell whether a blocking webhook intercepts one of these resources."""
    taken = finding.details.get("resources")
    return isinstance(taken, list) and any(r in taken for r in (*resources, "*", "*/*"))
