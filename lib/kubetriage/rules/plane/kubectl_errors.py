"""What a line in which kubectl reported an error says of the control plane, where nothing else of the cluster is known.

The line is the API server's own word where the server answered, so what it states is sure; why it came so far is not in
it. A finding therefore names what is broken, and the look that decides between its causes.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.records import dataclass
from kubetriage.rules.machine import named
from kubetriage.rules.plane import stored_keys
from kubetriage.rules.plane.case import CLUSTER
from kubetriage.rules.plane.no_answer import no_answer
from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy

_QUORUM = named("").lines("etcd status", "etcd alarm")
_HEALTH = kubectl("get", "--raw", "/readyz?verbose")


def _finding(
    code: str,
    link: str,
    line: str,
    message: str,
    fix: tuple[Fix, ...],
    verify: str,
    *,
    confidence: Confidence = Confidence.CONFIRMED,
    about: Ref = CLUSTER,
) -> Finding:
    evidence = (Evidence("status", "kubectl", line),)
    return Finding(code, Severity.ERROR, confidence, about, message, evidence, (), fix, (verify,), {"link": link})


def _no_space(line: str, _: re.Match[str]) -> Finding:
    machine = named("")
    return _finding(
        "EtcdNoSpace",
        "etcd space",
        line,
        "etcd's database is full (NOSPACE): every write of the cluster is refused, reads still work.",
        (
            Fix(
                "On a control-plane machine: compact to the present revision, then defragment each member, the leader"
                " last.",
                actor=Actor.CLUSTER,
                commands=machine.lines("etcd status", "etcd compact", "etcd defrag"),
            ),
            Fix(
                "Then disarm the alarm: writes stay refused until then.",
                actor=Actor.CLUSTER,
                commands=machine.lines("etcd disarm"),
            ),
            Fix("Find what filled it, events first, or raise --quota-backend-bytes (8 GiB at most)."),
        ),
        kubectl("plane-trace", "--etcd"),
    )


def _no_leader(line: str, _: re.Match[str]) -> Finding:
    return _finding(
        "EtcdQuorumLost",
        "etcd quorum and leader",
        line,
        "etcd has no leader: a majority of its members is missing or cannot reach each other, so nothing is written.",
        (
            Fix(
                "See which members answer, and bring the missing ones back (etcd's process, its disk, port 2380 between"
                " members). Restore from a snapshot only when a majority is lost for good.",
                actor=Actor.CLUSTER,
                commands=_QUORUM,
            ),
        ),
        kubectl("plane-trace", "--etcd"),
    )


def _leader_changed(line: str, _: re.Match[str]) -> Finding:
    return _finding(
        "EtcdLeaderFlapping",
        "etcd quorum and leader",
        line,
        "etcd elected another leader while this request was under way. Once is no fault; again and again means a slow"
        " disk or network between members.",
        (
            Fix("Repeat the request, then see whether leaders still change.", actor=Actor.CLUSTER, commands=_QUORUM),
            Fix("If they do: the disk of the member that loses the lead comes first.", actor=Actor.NODE),
        ),
        kubectl("plane-trace", "--etcd"),
        confidence=Confidence.POSSIBLE,
    )


def _slow_etcd(line: str, _: re.Match[str]) -> Finding:
    return _finding(
        "EtcdSlowDisk",
        "etcd disk",
        line,
        "etcd took a request and did not finish it in time (7 s): its disk is too slow, or it just lost its leader or a"
        " majority of its members. The line does not tell which.",
        (
            Fix(
                "Tell them apart: a member without a leader, or one that is missing here, is a lost quorum. If all"
                " have one, it is the disk: look for slow fdatasync in etcd's log, and for other writers on that"
                " disk.",
                actor=Actor.CLUSTER,
                commands=(*_QUORUM, kubectl("plane-trace", "--etcd")),
            ),
        ),
        _HEALTH,
        confidence=Confidence.POSSIBLE,
    )


def _webhook(line: str, said: re.Match[str]) -> Finding:
    hook, why = said["hook"], said["why"]
    service = _SERVICE.search(why)
    behind = f"service {service['namespace']}/{service['name']}" if service else "it"
    return _finding(
        "WebhookBlocking",
        "admission webhooks",
        line,
        f"Admission webhook {hook} does not answer, so the API server refuses the request: "
        f"{_POST.sub('', why).strip().rstrip('.')[:200]}.",
        (
            _served(why, service, behind),
            Fix(
                f"Until then, if its absence does less harm: find the configuration that holds {hook}, save it, and"
                " set failurePolicy to Ignore, or delete it where nothing serves it any more.",
                actor=Actor.CLUSTER,
                commands=(
                    kubectl(
                        "get",
                        "mutatingwebhookconfigurations,validatingwebhookconfigurations",
                        "-o",
                        "custom-columns=KIND:.kind,NAME:.metadata.name,WEBHOOKS:.webhooks[*].name",
                    ),
                ),
            ),
        ),
        kubectl("get", "endpointslices", "-o", "wide", namespace=service["namespace"] if service else "NAMESPACE"),
        about=Ref("Service", service["namespace"], service["name"]) if service else CLUSTER,
    )


def _served(why: str, service: re.Match[str] | None, behind: str) -> Fix:
    """Say what lets the webhook answer again, by what became of the call."""
    namespace, name = (service["namespace"], service["name"]) if service else ("NAMESPACE", "SERVICE")
    look = kubectl("get", "service,endpointslices,pods", "-o", "wide", namespace=namespace)
    if re.search(r"service \"?[\w./-]+\"? not found", why):
        return Fix(
            f"Install {behind} again; if nothing is to serve the webhook any more, delete its configuration: it is"
            " left over.",
            actor=Actor.CLUSTER,
            commands=(look,),
        )
    if re.search(r"no endpoints available", why):
        return Fix(
            f"Bring up the pods of {behind}: none is ready.",
            actor=Actor.CLUSTER,
            commands=(look, kubectl("why-crash", namespace=namespace)),
        )
    if re.search(r"x509|certificate|tls:", why):
        return Fix(
            f"Renew the certificate of {behind}, or let its operator (cert-manager's cainjector) write caBundle anew:"
            " restart that operator.",
            actor=Actor.CLUSTER,
            commands=(kubectl("get", "pods,secrets", namespace=namespace),),
        )
    if re.search(r"deadline exceeded|i/o timeout|Client\.Timeout|no route to host|No agent available", why):
        return Fix(
            f"If the pods of {behind} are Ready, open the API server's way to them, on the container's port: the"
            " firewall of a private control plane (GKE, EKS), a NetworkPolicy, an overlay that it is not in"
            " (hostNetwork helps), its tunnel. If they are not, bring them up.",
            actor=Actor.CLUSTER,
            commands=(look, kubectl("get", "service", name, "-o", "yaml", namespace=namespace)),
        )
    return Fix(
        f"Let {behind} answer: its pods Ready, and its targetPort the port on which they serve TLS.",
        actor=Actor.CLUSTER,
        commands=(look, kubectl("get", "service", name, "-o", "yaml", namespace=namespace)),
    )


def _aggregated(line: str, said: re.Match[str]) -> Finding:
    group = said["group"] or said["of"] or said["asked"]
    version = said["version"] or ""
    api = f"{version}.{group}" if version else f"*.{group}"
    look = kubectl("get", "apiservice", api) if version else kubectl("get", "apiservices")
    metrics = group == "metrics.k8s.io"
    serves = "metrics-server in kube-system" if metrics else "what serves it"
    more = (kubectl("get", "pods", "-o", "wide", "-l", "k8s-app=metrics-server", namespace="kube-system"),)
    return _finding(
        "APIServiceUnavailable",
        "aggregated APIs",
        line,
        f"Aggregated API {group} does not answer: the API server forwards it to a service whose pods are not ready, not"
        " reached, or gone. The API server itself is well.",
        (
            Fix(
                f"Read the reason in the APIService (MissingEndpoints, FailedDiscoveryCheck, ServiceNotFound) and mend"
                f" {serves}.",
                actor=Actor.CLUSTER,
                commands=(look, *(more if metrics else ())),
            ),
            Fix("Only if what served it was removed for good: delete the APIService.", actor=Actor.CLUSTER),
        ),
        kubectl("plane-trace"),
        about=Ref("APIService", "", api) if version else CLUSTER,
    )


def _unavailable(line: str, _: re.Match[str]) -> Finding:
    return _finding(
        "ApiServerUnready",
        "API server health",
        line,
        "The API server answers 503: it cannot serve this request now, because its own checks fail (etcd most of the"
        " time), or because an aggregated API that was asked does not answer. The line does not tell which.",
        (
            Fix(
                "Look at its own checks, then at the APIServices.",
                actor=Actor.CLUSTER,
                commands=(_HEALTH, kubectl("get", "apiservices"), kubectl("plane-trace")),
            ),
        ),
        _HEALTH,
        confidence=Confidence.LIKELY,
    )


def _no_metrics(line: str, _: re.Match[str]) -> Finding:
    pods = kubectl("get", "deployment,pods", "-l", "k8s-app=metrics-server", namespace="kube-system")
    return _finding(
        "APIServiceUnavailable",
        "aggregated APIs",
        line,
        "The metrics API (metrics.k8s.io) is not there: metrics-server is not installed, or not ready. kubectl top and"
        " HorizontalPodAutoscalers fail by it, pods do not.",
        (
            Fix(
                "Install metrics-server if nothing is found here; else mend its pod: its log names a kubelet's"
                " certificate or a port that it does not reach most of the time.",
                actor=Actor.CLUSTER,
                commands=(
                    kubectl("get", "apiservice", "v1beta1.metrics.k8s.io"),
                    pods,
                    kubectl("logs", "deployment/metrics-server", "--tail=30", namespace="kube-system"),
                ),
            ),
        ),
        kubectl("plane-trace"),
    )


def _unreadable(line: str, said: re.Match[str]) -> Finding:
    what, why = stored_keys.told(said)
    return _finding(
        "EncryptionKeyMissing",
        "API server health",
        line,
        stored_keys.meaning(what, why),
        stored_keys.fixes(named("kubeadm"), what, why),
        stored_keys.check(),
    )


def _overloaded(line: str, _: re.Match[str]) -> Finding:
    return _finding(
        "ApiServerOverloaded",
        "API server load",
        line,
        "The API server turned the request away: it has more requests than seats (429).",
        (
            Fix(
                "See which level is full and who fills it, then stop that client.",
                actor=Actor.CLUSTER,
                commands=(
                    kubectl("get", "--raw", "/debug/api_priority_and_fairness/dump_priority_levels"),
                    kubectl("plane-trace", "-o", "wide"),
                ),
            ),
        ),
        _HEALTH,
        confidence=Confidence.LIKELY,
    )


def _slow(line: str, _: re.Match[str]) -> Finding:
    return _finding(
        "ApiServerOverloaded",
        "API server load",
        line,
        "The API server took the request and did not finish it in time: etcd is slow, the list is very large, a webhook"
        " is slow, or it is overloaded. The line does not tell which.",
        (
            Fix(
                "Look at its own checks first: a failing etcd check means etcd.",
                actor=Actor.CLUSTER,
                commands=(_HEALTH, kubectl("plane-trace", "--etcd")),
            ),
        ),
        _HEALTH,
        confidence=Confidence.POSSIBLE,
    )


_PARTS = {
    "scheduler": ("kube-scheduler", "SchedulerDown", "scheduler", "10251", "10259"),
    "controller-manager": ("kube-controller-manager", "ControllersDown", "controller-manager", "10252", "10257"),
}
"""Rows of ``kubectl get cs``: the program, its code and link, the port that is asked, and the one it serves on today
(pkg/registry/core/rest/storage_core.go, component-base; all versions)."""


def _part_unhealthy(line: str, said: re.Match[str]) -> Finding:
    """Judge a row of ``kubectl get cs``: the API server asks each part at a fixed port of its own machine."""
    why = " ".join(said["why"].split())[:300].rstrip(".")
    part = said["part"]
    if part not in _PARTS:
        return _finding(
            "EtcdDown",
            "etcd quorum and leader",
            line,
            f"The API server gets no sign of health from its etcd server {part}: {why}. With the others healthy a"
            " member is missing; with none, nothing is written.",
            (
                Fix(
                    "See which members answer, and bring this one back (its process, its disk, its certificates).",
                    actor=Actor.CLUSTER,
                    commands=_QUORUM,
                ),
            ),
            _HEALTH,
            confidence=Confidence.LIKELY,
        )
    program, code, link, port, serves = _PARTS[part]
    closed = f":{port}" in why and "refused" in why
    look = Fix(
        f"Read when its Lease was renewed: a {program} that works renews it every two seconds. Trust that, and not"
        " kubectl get cs, which is deprecated.",
        actor=Actor.CLUSTER,
        commands=(
            kubectl("get", "lease", program, "-o", "jsonpath={.spec.renewTime}", namespace="kube-system"),
            kubectl("get", "pods", "-l", f"component={program}", "-o", "wide", namespace="kube-system"),
        ),
    )
    if closed:
        message = (
            f"In the list of ComponentStatuses {part} is Unhealthy, since nothing answers on port {port}. Releases of"
            f" today serve on {serves} only, so that alone is no fault: whether {program} works was not seen."
        )
        return _finding("Unknown", link, line, message, (look,), _HEALTH, confidence=Confidence.POSSIBLE)
    message = (
        f"In the list of ComponentStatuses {part} is Unhealthy: {why}. The API server asks on its own machine only."
    )
    return _finding(code, link, line, message, (look,), _HEALTH, confidence=Confidence.POSSIBLE)


def _contact(line: str, _: re.Match[str]) -> Finding:
    address = next((m for m in (pattern.search(line) for pattern in _ADDRESSES) if m is not None), None)
    host = address["host"].strip("[]") if address is not None else ""
    port = (address["port"] if address is not None else "") or ""
    return no_answer(line, host, port)


_POST = lazy(r"\A(?:failed to call webhook: )?(?:Post \"[^\"]*\": )?")
_SERVICE = lazy(r"https?://(?P<name>[a-z0-9-]{1,63})\.(?P<namespace>[a-z0-9-]{1,63})\.svc\b")
_ADDRESSES = (
    lazy(r"connection to the server (?P<host>\[[0-9a-f:]{2,45}\]|[\w.-]{1,253})(?::(?P<port>\d{1,5}))? was refused"),
    lazy(r"https?://(?P<host>\[[0-9a-f:]{2,45}\]|[\w.-]{1,253})(?::(?P<port>\d{1,5}))?"),
    lazy(r"dial tcp: lookup (?P<host>[\w.-]{1,253})(?P<port>)"),
    lazy(r"dial tcp (?P<host>\[[0-9a-f:]{2,45}\]|[\w.-]{1,253}):(?P<port>\d{1,5})"),
    lazy(r"certificate is (?:valid for .{1,400}, not|not valid for) (?P<host>[\w.-]{1,253})(?P<port>)"),
)


@dataclass(frozen=True)
class Row:
    """Words of an error line, and what they mean."""

    words: re.Pattern[str]
    explain: Callable[[str, re.Match[str]], Finding]


ROWS: tuple[Row, ...] = (
    Row(
        lazy(r"\A(?P<part>scheduler|controller-manager|etcd-\d{1,3})\s{1,80}Unhealthy\s{1,80}(?P<why>\S.{0,1000})"),
        _part_unhealthy,
    ),
    Row(lazy(r"failed calling webhook \"(?P<hook>[^\"]{1,253})\": (?P<why>.{1,1500})"), _webhook),
    Row(lazy(r"(?P<hook>conversion webhook for [^\n]{1,200}?) failed: (?P<why>.{1,1500})"), _webhook),
    Row(stored_keys.UNREADABLE, _unreadable),
    Row(lazy(r"etcdserver: (?:mvcc: )?database space exceeded|etcdserver: no space"), _no_space),
    Row(lazy(r"etcdserver: no leader"), _no_leader),
    Row(lazy(r"etcdserver: leader changed"), _leader_changed),
    Row(lazy(r"etcdserver: (?:request timed out|too many requests)"), _slow_etcd),
    Row(
        lazy(
            r"unable to retrieve the complete list of server APIs: (?P<group>[a-z0-9.-]{1,253})/(?P<version>v\w{1,20})"
            r"|couldn't get resource list for (?P<of>[a-z0-9.-]{1,253})/"
            r"|unable to handle the request \(\w+ [a-z]+\.(?P<asked>[a-z0-9.-]+)\)"
        ),
        _aggregated,
    ),
    Row(lazy(r"Metrics API not available"), _no_metrics),
    Row(lazy(r"server is currently unable to handle the request"), _unavailable),
    Row(lazy(r"server has received too many requests|Error from server \(TooManyRequests\)"), _overloaded),
    Row(
        lazy(
            r"Unable to connect to the server: |The connection to the server .{1,300} was refused - did you"
            r"|must be logged in to the server|couldn't get current server API group list"
            r"|Kubernetes cluster unreachable|(?:Error from server|error): .{0,500}\bEOF\Z"
        ),
        _contact,
    ),
    Row(
        lazy(
            r"server was unable to return a response in the time allotted|Error from server \(Timeout\)"
            r"|(?:Error from server|error)(?: \(\w+\))?: .{0,500}context deadline exceeded"
        ),
        _slow,
    ),
)
"""In the order in which their words are looked for."""


# etcdctl's own client logs beside its answers; its words about deadlines are about etcd.
_OF_ETCDCTL = lazy(r"\"logger\": ?\"etcd-client\"|retrying of unary invoker failed|etcd-endpoints://")


def explain(line: str) -> Finding | None:
    """Say what an error line of kubectl means for the control plane; None where it is about something else."""
    if _OF_ETCDCTL.search(line):
        return None
    for row in ROWS:
        said = row.words.search(line)
        if said is not None:
            return row.explain(line, said)
    return None
