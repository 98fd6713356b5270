"""An aggregated API does not answer: metrics, custom metrics or another API that a pod of the cluster serves.

Meaning: kubectl top, HorizontalPodAutoscalers and whatever asks that API fail; discovery is incomplete, so namespaces
stay Terminating (NamespaceDeletionDiscoveryFailure), and controllers that list every API stop.

Told by: APIService with Available=False and its reason, the API server's log about that API, and what stands in the
way: no endpoint behind its service, no konnectivity agent (No agent available), a time-out (network policy, firewall,
host network), 403 or 401 (authentication delegation), a certificate that the caBundle does not vouch for.

Fix: mend that way; delete the APIService only when what served it is gone for good. A namespace that is stuck
Terminating ends by itself afterwards.

Source: kube-aggregator pkg/controllers/status (FailedDiscoveryCheck, MissingEndpoints, ServiceNotFound); konnectivity.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, RuledOut, Severity
from kubetriage.needs import List
from kubetriage.rules.plane.api_backends import backend_fix, backend_words
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.component_log import Remark
from kubetriage.rules.plane.figure_format import names
from kubetriage.rules.plane.tunnel_agents import agents_evidence, agents_fix, agents_state
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, condition, mapping, name_of, text
from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time, parse_time

CODE = "APIServiceUnavailable"
LINK = "aggregated APIs"

SERVICES = List("apiservices", cached=True, timeout=5.0)
NAMESPACES = List("namespaces", cached=True, timeout=5.0)

_WAYS = (
    ("tunnel", lazy(r"[Nn]o agent available|Failed to get a backend|proxy error from .*konnectivity")),
    ("endpoints", lazy(r"MissingEndpoints|EndpointsNotFound|have no addresses|no endpoints available")),
    ("service", lazy(r"ServiceNotFound|service/\S{1,253} .{0,100}is not present|service .{0,300} not found")),
    ("rights", lazy(r"bad status from \S+: (?:401|403)|Unauthorized|[Ff]orbidden")),
    ("certificate", lazy(r"x509|tls:|certificate")),
    ("refused", lazy(r"connection refused")),
    ("timeout", lazy(r"i/o timeout|deadline exceeded|Client\.Timeout|no route to host|timed out")),
    ("absent", lazy(r"bad status from \S+: 404|could not find the requested resource")),
)


def check(case: Case) -> Iterator[Finding]:
    """Report all APIs that do not answer for one reason in one finding."""
    down: dict[str, list[tuple[str, Obj, str]]] = {}
    tunnel = case.lately("no agent", 600.0)
    for api in case.snapshot.list("apiservices").items:
        available = condition(api, "Available")
        if not mapping(api, "spec", "service") or text(available, "status") != "False":
            continue
        words = f"{text(available, 'reason')}: {text(available, 'message')}"
        down.setdefault(_way(words, bool(tunnel)), []).append((name_of(api), api, words))
    listed = case.snapshot.list("apiservices").items
    if not listed:
        for remark in case.lately("aggregated api", 600.0):
            way = _way(remark.words, bool(tunnel))
            known = down.setdefault(way, [])
            if remark.about not in [name for name, _, _ in known]:
                known.append((remark.about, {}, remark.words))
        for name, words in _undiscovered(case):
            known = down.setdefault(_way(words, bool(tunnel)), [])
            if all(name != other for apis in down.values() for other, _, _ in apis):
                known.append((name, {}, words))
        down = {way: apis for way, apis in down.items() if apis}
    for way, apis in down.items():
        yield _finding(case, way, apis)
    if tunnel and not down:
        yield _tunnel(case, tunnel[-1])


def _tunnel(case: Case, last: Remark) -> Finding:
    """Report a tunnel without agents where no APIService was seen: logs, exec and webhooks fail by it too."""
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.LIKELY,
        CLUSTER,
        "No konnectivity agent is connected, so the API server has no tunnel into the cluster's network: logs, exec,"
        f" webhooks and aggregated APIs fail.{agents_state(case.snapshot)}",
        (Evidence("log", last.source, last.words, format_time(last.at)), *agents_evidence(case.snapshot)),
        (),
        (agents_fix(case.snapshot, case.machine),),
        ("kubectl get apiservices",),
        {"link": LINK, "since": format_time(case.lately("no agent", 600.0)[0].at)},
    )


def _way(words: str, tunnel: bool) -> str:
    kind = next((kind for kind, pattern in _WAYS if pattern.search(words)), "")
    return "tunnel" if tunnel and kind in ("", "timeout") else kind


def _finding(case: Case, way: str, apis: list[tuple[str, Obj, str]]) -> Finding:
    shown = names([name for name, _, _ in apis])
    first = apis[0]
    service = mapping(first[1], "spec", "service")
    where, name = text(service, "namespace") or "kube-system", text(service, "name")
    starts = [t for _, a, _ in apis if (t := parse_time(text(condition(a, "Available"), "lastTransitionTime")))]
    evidence = [
        Evidence("status", f"apiservice {n}", words, text(condition(a, "Available"), "lastTransitionTime"))
        for n, a, words in apis[:3]
    ]
    evidence += [Evidence("log", r.source, r.words, format_time(r.at)) for r in case.lately("no agent", 600.0)[-1:]]
    evidence += [
        Evidence("log", r.source, r.words, format_time(r.at)) for r in case.lately("aggregated api", 600.0)[-1:]
    ]
    stuck = [name_of(n) for n in case.snapshot.list("namespaces").items if _stuck(n)]
    words = (
        backend_words(first[1], case.snapshot) if first[1] and way in ("endpoints", "", "refused", "absent") else None
    )
    if words is not None:
        evidence.append(words)
    own = backend_fix(words.value, where, name, case.machine) if words is not None else None
    effects = [_effect([n for n, _, _ in apis])]
    if stuck:
        effects.append(f"namespace {names(stuck)}, which stays Terminating")
        evidence += [Evidence("status", f"namespace {n}", "NamespaceDeletionDiscoveryFailure") for n in stuck[:2]]
    told = f" Its pod says: {words.value.rstrip('.')[:220]}." if words is not None else ""
    if way == "tunnel":
        evidence += agents_evidence(case.snapshot)
        told = agents_state(case.snapshot)
        fixes: tuple[Fix, ...] = (agents_fix(case.snapshot, case.machine), *((_WAIT,) if stuck else ()))
    else:
        fixes = _fixes(way, where, name, first[0], stuck=bool(stuck))
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED if first[1] else Confidence.LIKELY,
        Ref("APIService", "", first[0]) if len(apis) == 1 else CLUSTER,
        f"Aggregated API {shown} does not answer: {_REASONS.get(way, first[2][:200])}. It fails"
        f" {' and '.join(effects)}.{told}",
        tuple(evidence),
        (RuledOut("metrics-server itself", "no request reaches it as long as the tunnel has no agent"),)
        if way == "tunnel"
        else (),
        (own, *fixes) if own is not None else fixes,
        ("kubectl get apiservices", kubectl("get", "--raw", f"/apis/{first[0].partition('.')[2]}")),
        {
            "link": LINK,
            "apis": [n for n, _, _ in apis],
            **({"since": format_time(min(starts))} if starts else {}),
            **({"namespaces": stuck} if stuck else {}),
        },
    )


# k8s.io/client-go/discovery, quoted by the namespace controller: GROUP/VERSION: WHY, or a stale group.
_UNDISCOVERED = lazy(
    r"(?P<group>[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,10})/(?P<version>v\d\w{0,15}): (?P<why>[^,]{1,300})"
    r"|stale GroupVersion discovery: (?P<stale>[a-z0-9.-]{1,253})/(?P<of>v\d\w{0,15})"
)


def _undiscovered(case: Case) -> Iterator[tuple[str, str]]:
    """Yield the APIs that a namespace which is being deleted waits for, as ``VERSION.GROUP``, and why."""
    for namespace in case.snapshot.list("namespaces").items:
        said = condition(namespace, "NamespaceDeletionDiscoveryFailure")
        for match in _UNDISCOVERED.finditer(text(said, "message")) if text(said, "status") == "True" else ():
            if match["stale"]:
                yield f"{match['of']}.{match['stale']}", f"namespace {name_of(namespace)}: {match[0]}"
            else:
                yield f"{match['version']}.{match['group']}", f"namespace {name_of(namespace)}: {match['why'].strip()}"


_METRICS = "v1beta1.metrics.k8s.io"


def _effect(apis: list[str]) -> str:
    """Say who fails by an API: that of metrics-server, or one of an adapter for autoscalers."""
    if any(a.endswith(".metrics.k8s.io") and a.count(".") == _METRICS.count(".") for a in apis):
        return "kubectl top and HorizontalPodAutoscalers"
    return "HorizontalPodAutoscalers" if any("metrics" in a for a in apis) else "its clients"


def _stuck(namespace: Obj) -> bool:
    return text(condition(namespace, "NamespaceDeletionDiscoveryFailure"), "status") == "True"


_REASONS = {
    "tunnel": "no konnectivity agent is connected, so the API server has no tunnel into the cluster's network",
    "endpoints": "no ready pod stands behind its service",
    "service": "its service does not exist",
    "rights": "its pod refuses the API server's identity (401 or 403)",
    "certificate": "its certificate is not vouched for by the APIService's caBundle",
    "refused": "its pod refuses the connection: it does not listen on that port",
    "timeout": "connections to its pod time out: a network policy, a firewall, or the way to the pod network",
    "absent": "its pod answers, but does not serve this API",
}


_WAIT = Fix(
    "Leave the stuck namespace as it is: it ends by itself once the API is served or deleted; keep its finalizers."
)


_REPAIRS = {
    "endpoints": "Bring back the pods behind it.",
    "timeout": "Open the way from the API server's machines to its pods: network policies, firewall, or hostNetwork "
    "where the control plane is not in the pod network.",
    "refused": "Its pod must listen on the port that the Service leads to.",
}
"""By the way that is blocked, where the Service is not known."""


def _fixes(way: str, where: str, name: str, api: str, *, stuck: bool) -> tuple[Fix, ...]:
    if not name and api.partition(".")[2] != "metrics.k8s.io" and way in ("endpoints", "timeout", "refused", ""):
        # Who serves it was not seen, and may be anybody.
        look = kubectl("get", "apiservice", api, "-o", "jsonpath={.spec.service}")
        words = f"Look at what serves {api}: its spec.service names the Service. {_REPAIRS.get(way, '')}".strip()
        return (Fix(words, actor=Actor.CLUSTER, commands=(look,)), *((_WAIT,) if stuck else ()))
    service = name or "metrics-server"
    pods = kubectl("get", "pods,endpointslices", "-o", "wide", namespace=where)
    logs = kubectl("logs", f"service/{service}", "--tail=50", namespace=where)
    first = {
        "endpoints": Fix(
            f"Bring back the pods behind service {where}/{service}.", actor=Actor.CLUSTER, commands=(pods, logs)
        ),
        "rights": Fix(
            f"Give its ServiceAccount back the binding to extension-apiserver-authentication-reader and"
            f" system:auth-delegator, then restart it in {where}.",
            actor=Actor.CLUSTER,
            commands=(logs,),
        ),
        "certificate": Fix(
            f"Let its operator write the caBundle of {api} anew, or renew the serving certificate.",
            actor=Actor.CLUSTER,
            commands=(kubectl("get", "apiservice", api, "-o", "yaml"),),
        ),
        "timeout": Fix(
            f"Open the way from the API server's machines to the pods of {where}/{service}: network policies, firewall,"
            " or hostNetwork where the control plane is not in the pod network.",
            actor=Actor.CLUSTER,
            commands=(pods, kubectl("get", "networkpolicies", namespace=where)),
        ),
    }.get(way, Fix(f"Look at what serves it: service {where}/{service}.", actor=Actor.CLUSTER, commands=(pods, logs)))
    if way == "service":
        return (
            Fix(
                f"If what served {api} is gone for good: delete the APIService.",
                actor=Actor.CLUSTER,
                commands=(kubectl("delete", "apiservice", api),),
            ),
            Fix(
                f"If it is still wanted: install it again, so that service {where}/{service} exists.",
                actor=Actor.CLUSTER,
                commands=(kubectl("get", "service,deployments", namespace=where),),
            ),
            *((_WAIT,) if stuck else ()),
        )
    gone = (
        Fix(
            f"Only if what served {api} was removed for good: delete the APIService.",
            actor=Actor.CLUSTER,
            commands=(kubectl("delete", "apiservice", api),),
        ),
    )
    wait = (_WAIT,) if stuck else ()
    return (first, *wait, *(gone if way in ("endpoints", "absent", "") else ()))
