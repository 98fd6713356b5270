"""An admission webhook that must be asked does not answer, so requests are rejected or slow.

Meaning: with failurePolicy Fail every request that the webhook intercepts is rejected when the call fails, and waits
up to timeoutSeconds when it is slow. One that intercepts pods stops all new pods; one that intercepts leases or nodes
breaks controllers and kubelets.

Told by: failed calls between two samples (`apiserver_admission_webhook_rejection_count` with
error_type="calling_webhook_error"), events that quote "failed calling webhook", no ready endpoint behind its
service, or a mean call time above 1 s. A webhook that answers "no" does its work and is not reported.

A conversion webhook of a CRD that does not answer stops every list of its objects: the garbage collector, the deletion
of namespaces, and controllers. It is told by the lines in which they quote it.

A deadlock is told apart: what the webhook blocks (a network plugin's DaemonSet, kube-proxy, its own pods) is needed by
the pods that would answer it, or no node is Ready.

Fix: bring its pods back; until then narrow it with a namespaceSelector or set failurePolicy Ignore, if its absence is
less harmful than the outage. In a deadlock only the second helps: let it fail open, or delete its configuration.

Source: apiserver/pkg/admission/plugin/webhook (errors, metrics); admissionregistration.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.readers.events import Event
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
from kubetriage.rules.plane.conversion_webhooks import conversion_findings
from kubetriage.rules.plane.figure_format import count, metric, names, span
from kubetriage.rules.plane.webhook_deadlock import deadlock
from kubetriage.values.commands import TO, kubectl, shell
from kubetriage.values.fields import text
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
    yield from conversion_findings(case, CODE, LINK)
    quoted: dict[str, list[Evidence]] = {}
    about: dict[str, list[Event]] = {}
    for name, event in failed_calls(case.snapshot):
        if event.last is None or (case.now - event.last).total_seconds() <= _RECENT:
            quoted.setdefault(name, []).append(event.evidence())
            about.setdefault(name, []).append(event)
    for remark in case.lately("webhook", _RECENT):
        words = Evidence("log", remark.source, remark.words, format_time(remark.at))
        quoted.setdefault(remark.about, []).append(words)
    for hook in case.webhooks:
        seen = calls(case.api, hook.name)
        ready = ready_endpoints(hook, case.snapshot)
        failed = seen.failing if seen else 0.0
        events = quoted.get(hook.name, [])
        if hook.closed and (failed >= case.limits.webhook_errors or events or ready == 0):
            evidence = _failures(hook.name, failed, bool(seen and seen.since_start))
            sure = bool(events or (failed and not (seen and seen.since_start)))
            yield _broken(hook, case, evidence, events, about.get(hook.name, []), ready, sure)
        elif seen and seen.mean is not None and seen.mean >= case.limits.webhook_slow:
            yield _slow(hook, seen.mean, seen)
    if not configurations_seen(case.snapshot):
        known = {hook.name for hook in case.webhooks}
        failed_by_name = failed_by_webhook(case.api)
        for name in sorted({*quoted, *failed_by_name} - known):
            failed = failed_by_name.get(name, 0.0)
            if failed >= case.limits.webhook_errors or name in quoted:
                yield _unlisted(name, case, calls(case.api, name), quoted.get(name, []), about.get(name, []))


def _failures(name: str, failed: float, since_start: bool) -> list[Evidence]:
    words = f"{failed:.0f} failed calls" + (" since the API server started" if since_start else "")
    return [metric("apiserver_admission_webhook_rejection_count", words, name)] if failed else []


def _broken(
    hook: Webhook,
    case: Case,
    evidence: list[Evidence],
    events: list[Evidence],
    about: list[Event],
    ready: int | None,
    sure: bool,
) -> Finding:
    service = f"{hook.service[0]}/{hook.service[1]}" if hook.service else hook.url
    evidence = [*evidence, *sorted(events, key=lambda e: e.time)[-2:]]
    if ready is not None:
        evidence.append(Evidence("status", f"endpointslices of service {service}", f"{count(ready, 'ready endpoint')}"))
    evidence.append(
        Evidence("config", f"{hook.kind}/{hook.configuration}", f"failurePolicy Fail, timeoutSeconds {hook.timeout}")
    )
    reason = _reason(events)
    # A service without endpoints is refused at once, in other words: the API server had somebody to call.
    vanish = bool(_TIMED_OUT.search(reason))
    if ready == 0 and vanish:
        ready = None
    because = f"its service {service} has no ready endpoint" if ready == 0 else reason or "calls to it fail"
    began = (format_time(e.first) for e in about if e.first is not None)
    since = min((*began, *(e.time for e in events if e.time)), default="")
    knot = deadlock(case, about, hook.service[0] if hook.service else "", None if vanish else hook)
    narrow = bool(hook.only) and "kube-system" not in hook.only
    return Finding(
        CODE,
        Severity.WARNING if narrow and not knot else Severity.ERROR,
        Confidence.CONFIRMED if sure else Confidence.LIKELY,
        Ref(hook.kind, "", hook.configuration),
        f"Webhook {hook.name} rejects {_reach(hook)}: {because}, and its failurePolicy is Fail.{knot}",
        tuple(evidence),
        (),
        (*_open_first(hook, about), *_serve_again(hook, service, waits=True))
        if knot
        else (_trust_again(hook.name, service), *_open_first(hook, []))
        if _DISTRUST.search(reason)
        else (*_let_through(hook, service), *_open_first(hook, []))
        if hook.service and vanish
        else (*_serve_again(hook, service, waits=False), *_open_first(hook, [])),
        tuple(
            command
            for command in (
                kubectl(
                    "get",
                    "endpointslices",
                    "-l",
                    f"kubernetes.io/service-name={hook.service[1]}",
                    namespace=hook.service[0],
                )
                if hook.service
                else "",
                "kubectl get events -A --field-selector reason=FailedCreate",
            )
            if command
        ),
        {"link": LINK, "resources": sorted(hook.resources), **({"since": since} if since else {})},
    )


def _reach(hook: Webhook) -> str:
    """Say which requests pass through it, in which namespaces."""
    where = f" in namespace {names(list(hook.only))}" if hook.only else ""
    some = "requests" if hook.narrowed or (hook.namespaces and not hook.only) else "every request"
    chosen = " of the objects and namespaces that its selectors take in" if some == "requests" and not where else ""
    return f"{some} for {_targets(hook)}{where}{chosen}"


def _open_first(hook: Webhook, about: list[Event]) -> tuple[Fix, ...]:
    """Let it fail open, with the exact commands."""
    kind, name = hook.kind.lower(), hook.configuration
    change = f'[{{"op":"replace","path":"/webhooks/{hook.index}/failurePolicy","value":"Ignore"}}]'
    commands = (
        shell("kubectl", "get", kind, name, "-o", "yaml", TO, f"{name}.yaml"),
        kubectl("patch", kind, name, "--type=json", "-p", change),
        *_retry(about),
    )
    head = "Open it first: let" if about else "Until then, if its absence does less harm: let"
    return (
        Fix(
            f"{head} webhook {hook.name} fail open (failurePolicy: Ignore) in {configuration_path(hook)}, or delete the"
            " configuration. Its controller may set it back: stop that one then.",
            actor=Actor.CLUSTER,
            commands=commands,
        ),
    )


def _serve_again(hook: Webhook, service: str, *, waits: bool) -> tuple[Fix, ...]:
    """Bring back what answers, and keep the webhook away from what serves it."""
    if not waits:
        text_of = (
            f"Bring back the pods behind {service}."
            if hook.service
            else f"Bring back what answers at {service}, and the way from the API server to it."
        )
        look = (kubectl("get", "pods", "-o", "wide", namespace=hook.service[0]),) if hook.service else ()
        return (Fix(text_of, actor=Actor.CLUSTER, commands=look),)
    where = [hook.service[0]] if hook.service else []
    return (
        Fix(
            f"Set it back to Fail once {service} has ready endpoints, and exclude"
            f" {names(list(dict.fromkeys(['kube-system', *where])))} with a namespaceSelector.",
            actor=Actor.CLUSTER,
        ),
    )


def _trust_again(name: str, service: str) -> Fix:
    """Mend the trust between the API server and a webhook whose pods answer."""
    namespace, _, _ = service.removeprefix("service ").partition("/")
    return Fix(
        f"Let the caBundle of {name} hold the CA of the certificate that {service} shows, a"
        " certificate for NAME.NAMESPACE.svc: cert-manager or its operator makes both anew. Its pods do answer.",
        actor=Actor.CLUSTER,
        commands=(
            kubectl("get", "secrets,pods", namespace=namespace) if "/" in service else kubectl("get", "secrets", "-A"),
        ),
    )


_DISTRUST = lazy(r"x509: |tls: ")


def _retry(about: list[Event]) -> tuple[str, ...]:
    """Let the controllers that were refused try again at once."""
    found = []
    for event in about:
        kind, name = text(event.raw, "involvedObject", "kind"), text(event.raw, "involvedObject", "name")
        if kind in ("DaemonSet", "Deployment", "StatefulSet"):
            where = text(event.raw, "involvedObject", "namespace")
            found.append(kubectl("rollout", "restart", f"{kind.lower()}/{name}", namespace=where))
    return tuple(dict.fromkeys(found))


def _reason(events: list[Evidence]) -> str:
    """Return the reason of a failed call in the API server's words, without what repeats the webhook's name."""
    for event in reversed(events):
        found = _WHY.search(event.value)
        if found:
            return f"calls to it fail ({found[1].strip()[:160]})"
    return ""


_TIMED_OUT = lazy(r"deadline exceeded|i/o timeout")


def _let_through(hook: Webhook, service: str) -> Iterator[Fix]:
    """Open the API server's way to a webhook whose pods run: its calls vanish, nothing refuses them."""
    namespace, name = hook.service or ("", "")
    yield Fix(
        f"Open the way from the API server to the pods of {service}, on the container's port and not the service's: a"
        " firewall of the control plane's network (private GKE, EKS security groups), a NetworkPolicy, an overlay that"
        " the control plane is not in, a tunnel (konnectivity). If it is open, the pods answer too slowly.",
        actor=Actor.CLOUD,
        commands=(
            kubectl("get", "service", name, "-o", "yaml", namespace=namespace),
            kubectl("get", "endpointslices,networkpolicies", "-o", "wide", namespace=namespace),
            kubectl("get", "pods", "-o", "wide", namespace=namespace),
        ),
    )


_WHY = lazy(
    r"(no endpoints available for service \S+|x509: [^\n]{1,140}|connect: connection refused|context deadline exceeded"
    r"|i/o timeout|no such host|service \S+ not found|the server could not find the requested resource|EOF"
    r"|No agent available|tls: [^\n]{1,100})"
)


def _unlisted(name: str, case: Case, seen: Calls | None, events: list[Evidence], about: list[Event]) -> Finding:
    """Report a webhook whose configuration was not seen: only calls that fail closed are counted and quoted."""
    failed, since_start = (seen.failing, seen.since_start) if seen else (0.0, False)
    evidence = _failures(name, failed, since_start)
    evidence += sorted(events, key=lambda e: e.time)[-2:]
    called = next((m for e in events if (m := _SERVICE_URL.search(e.value))), None)
    behind = f"service {called[2]}/{called[1]}" if called else "it"
    began = (format_time(e.first) for e in about if e.first is not None)
    since = min((*began, *(e.time for e in events if e.time)), default="")
    knot = deadlock(case, about, called[2] if called else "", None)
    blocked = names(sorted({_object(e) for e in about}))
    what = f"It keeps {blocked} from creating pods." if blocked else "Its configuration was not seen."
    kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations"
    find = kubectl("get", kinds, "-o", "custom-columns=KIND:.kind,NAME:.metadata.name,WEBHOOKS:.webhooks[*].name")
    open_it = Fix(
        ("Open it first: find" if knot else "Until then, if its absence does less harm: find")
        + f" the configuration that holds {name}, save it, and delete it, or set its failurePolicy to Ignore."
        " Such objects pass no webhook themselves.",
        actor=Actor.CLUSTER,
        commands=(
            find,
            shell("kubectl", "get", "mutatingwebhookconfiguration", "NAME", "-o", "yaml", TO, "NAME.yaml"),
            kubectl("delete", "mutatingwebhookconfiguration", "NAME"),
            *_retry(about),
        ),
    )
    serve = (
        Fix(
            f"Put it back once {behind} has ready endpoints, with a namespaceSelector that excludes kube-system"
            + (f" and {called[2]}." if called else "."),
            actor=Actor.CLUSTER,
        )
        if knot
        else _trust_again(name, behind)
        if _DISTRUST.search(_reason(events))
        else Fix(f"Bring back the pods behind {behind}.", actor=Actor.CLUSTER)
    )
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED if events or not since_start else Confidence.LIKELY,
        CLUSTER,
        f"Webhook {name} rejects requests: {_reason(events) or 'calls to it fail'}, and its failurePolicy is Fail."
        f" {what}{knot}",
        tuple(evidence),
        (),
        (open_it, serve) if knot else (serve, open_it),
        ("kubectl get events -A --field-selector reason=FailedCreate",),
        {"link": LINK, "resources": ["pods"] if about else [], **({"since": since} if since else {})},
    )


def _object(event: Event) -> str:
    about = event.raw.get("involvedObject")
    return f"{text(about, 'kind')} {text(about, 'namespace')}/{text(about, 'name')}"


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
