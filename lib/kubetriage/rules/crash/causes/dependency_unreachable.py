"""The program could not reach an address that it depends on, and ended because of it.

Meaning: the container runs as it should; what it connects to does not answer. Restarting helps only when the other
side comes up.

Told by: a refused, timed-out, reset, unroutable or unresolvable address in the last error of the crashed instance. A
connection error that the program survived is no cause. The address is looked up: the Service of that name, its ports,
its ready endpoints, the same name in other namespaces, ExternalName, the pod itself for 127.0.0.1.

Fix: what the look-up shows: the right name or namespace, a port that the Service offers, ready pods behind it; or
retry in the program until the dependency is up.

Source: connect(2) and getaddrinfo(3) errors in each language's words; DNS for Services and Pods (name.namespace.svc);
discovery.k8s.io/v1 EndpointSlice, conditions.ready.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from kubetriage.model import Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.needs import Get, List, Need
from kubetriage.readers.logs import Address
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.program_output import LastWords, environment_fix, last_words, short
from kubetriage.values.addresses import is_address, is_loopback, is_public
from kubetriage.values.fields import Obj, dig, flag, name_of, namespace_of, number, objects, text, texts
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy
from kubetriage.values.times import parse_time

CODE = "DependencyUnreachable"

_WORDS = {
    "refused": "was refused",
    "timeout": "timed out",
    "unresolved": "could not be resolved",
    "reset": "was cut",
    "unreachable": "has no route",
    "failed": "failed",
}
_LABEL = lazy(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
SERVICE_NAME = "kubernetes.io/service-name"
"""Label of an EndpointSlice that names its Service."""


@dataclass(frozen=True)
class _Verdict:
    """What the look-up of an address found."""

    words: str
    """A clause for the message."""
    fix: Fix
    evidence: tuple[Evidence, ...] = ()
    verify: tuple[str, ...] = ()
    unseen: str = ""
    """What could not be looked up, and why."""
    details: dict[str, object] = field(default_factory=dict)


def needs(case: Case) -> Iterator[Need]:
    """Ask for the Services and endpoints behind the addresses that the crashed instances name."""
    for words in last_words(case):
        for address, _ in words.failed_addresses()[:5]:
            if address.kind == "unauthorized" or not address.host or is_loopback(address.host):
                continue
            if is_address(address.host):
                yield List("services", cached=True)
                continue
            for name, namespace in _service_names(case, address.host):
                yield Get("services", namespace, name)
                found = case.snapshot.get("services", namespace, name)
                if found.found:
                    yield List("endpointslices", namespace, labels=f"{SERVICE_NAME}={name}")
                    if address.kind == "timeout":
                        yield List("networkpolicies", namespace)
                elif found.absent:
                    yield List("services", cached=True)
                    if not case.snapshot.list("services").complete:
                        yield List("services", namespace)


def check(case: Case) -> Iterator[Finding]:
    """Find containers whose last error is an address that did not answer."""
    for words in last_words(case):
        reached = [(a, c) for a, c in words.failed_addresses() if a.kind != "unauthorized"]
        if not reached:
            continue
        # An address with a name says more than one without; a Service of this cluster more than a foreign host.
        address, confidence = min(reached, key=lambda pair: (not pair[0].host, pair[0].port is None))
        yield _finding(case, words, address, confidence)


def conclude(_: Case, findings: list[Finding]) -> list[Finding]:
    """Put a container of the pod that ended itself before one that only missed it."""
    broken = {f.object.container for f in findings if f.severity is Severity.ERROR}
    return [
        replace(f, severity=Severity.WARNING) if f.cause == CODE and f.details.get("container") in broken else f
        for f in findings
    ]


def _finding(case: Case, words: LastWords, address: Address, confidence: Confidence) -> Finding:
    name = words.container.name
    verdict = _look_up(case, words, address)
    place = _place(address)
    if not address.host:
        said = (
            f"{name} ended because a connection {_WORDS[address.kind]}; its log does not say to which address: "
            f"{short(address.line)}."
        )
    else:
        said = f"{name} ended because {place} {_WORDS[address.kind]}; {verdict.words}."
    ruled = [RuledOut("ServiceNotFound", f"not ruled out: {verdict.unseen}")] if verdict.unseen else []
    error = words.error
    quoted = [address.line]
    if error is not None:
        # The frame or message that holds the address, where the error itself does not.
        if address.host and address.host not in address.line:
            quoted += [row for row in error.lines if address.host in row][:1]
        if error.summary not in address.line:
            quoted.append(error.summary)
    return words.finding(
        CODE,
        confidence,
        said,
        quoted=quoted,
        evidence=verdict.evidence,
        ruled_out=ruled,
        fix=(verdict.fix,),
        verify=verdict.verify,
        details={"address": place, "failure": address.kind, **verdict.details}
        if address.host
        else {"failure": address.kind},
    )


def _place(address: Address) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}" if address.port else host


def _service_names(case: Case, host: str) -> list[tuple[str, str]]:
    """Return the (name, namespace) that a host name can mean inside the cluster, the likeliest first."""
    labels = host.rstrip(".").lower().split(".")
    if not all(_LABEL.match(label) for label in labels):
        return []
    if "svc" in labels[1:]:
        at = labels.index("svc", 1)
        # pod.service.namespace.svc names one pod of a headless Service.
        return [(labels[at - 2], labels[at - 1])] if at >= 2 else []
    if len(labels) == 1:
        return [(labels[0], case.pod.namespace)]
    if len(labels) == 2:
        # Else pod.service, a pod of a headless Service.
        return [(labels[0], labels[1]), (labels[1], case.pod.namespace)]
    return []


def _look_up(case: Case, words: LastWords, address: Address) -> _Verdict:
    host, port = address.host, address.port
    name = words.container.name
    if not host:
        return _Verdict(
            "", Fix(f"Find the address in the configuration of {name}, and log it together with the error.")
        )
    if is_loopback(host):
        return _own_pod(case, words, address)
    if _is_api_server(address):
        return _api_server(case, words)
    if is_address(host):
        return _by_ip(case, words, address)
    names = [
        (service, namespace, case.snapshot.get("services", namespace, service))
        for service, namespace in _service_names(case, host)
    ]
    for service, namespace, found in sorted(names, key=lambda n: not n[2].found)[:1]:
        if found.found:
            return _service(case, words, address, found.obj)
        if found.unseen:
            return _Verdict(
                f"whether Service {service} exists in namespace {namespace} was not seen",
                Fix(f"Check that Service {service} exists in namespace {namespace} and has ready endpoints."),
                verify=(f"kubectl -n {namespace} get service,endpointslices",),
                unseen=f"services {service} in namespace {namespace}: {found.why}",
            )
        if "." in host and ".svc" not in host and not _namespace_exists(case, namespace):
            break  # a.b with an unknown b is a name of the outside world
        return _no_service(case, words, address, service, namespace, found.presumed)
    port_words = f" port {port}" if port else ""
    return _Verdict(
        f"{host} is not a name of this cluster",
        Fix(
            f"Check the name{port_words} of {host}, DNS for it from inside the cluster, and firewalls and "
            f"egress policies "
            f"on the way."
        ),
        verify=(case.kubectl(f"get pod {case.pod.name} -o jsonpath='{{.spec.dnsPolicy}} {{.spec.dnsConfig}}'"),),
    )


# client-go prints the URL of a request: discovery, a core resource, a resource of a group.
_API_PATH = lazy(
    r"https://[^/\s\"']{1,260}/(?:(?:api|apis|version)\?timeout=|apis/[\w.-]{1,120}/v\d"
    r"|api/v1/(?:namespaces|nodes|pods|secrets|configmaps|services|endpoints|events|persistentvolumes)\b)"
)
_METADATA = ("169.254.169.254", "fd00:ec2::254", "metadata.google.internal")
"""Where EC2, Google Cloud, Azure and others answer questions of a virtual machine about itself."""


def _is_api_server(address: Address) -> bool:
    named = address.host == "kubernetes" or address.host.startswith("kubernetes.default")
    return named or (is_address(address.host) and _API_PATH.search(address.line) is not None)


def _api_server(case: Case, words: LastWords) -> _Verdict:
    node = case.pod.node or "its node"
    return _Verdict(
        "that is the Kubernetes API server",
        Fix(
            f"Check that the API server is up, that kube-proxy and the network plugin work on node {node}, and that "
            f"egress NetworkPolicies of namespace {case.pod.namespace} let {words.container.name} reach it."
        ),
        verify=(
            "kubectl get --raw /readyz",
            f"kubectl -n kube-system get pods -o wide --field-selector spec.nodeName={node}",
        ),
    )


def _namespace_exists(case: Case, namespace: str) -> bool:
    if namespace == case.pod.namespace:
        return True
    known = case.snapshot.list("services").items
    return case.snapshot.get("namespaces", "", namespace).found or any(namespace_of(s) == namespace for s in known)


def _own_pod(case: Case, words: LastWords, address: Address) -> _Verdict:
    name, port = words.container.name, address.port
    others = [c for c in case.containers if c.name != name and c.kind in ("app", "sidecar")]
    owner = next((c for c in others if any(number(p, "containerPort") == port for p in objects(c.spec, "ports"))), None)
    setting = _literal(words, address)
    evidence = setting[1] if setting else ()
    if owner is not None:
        ended = case.crash(owner) is not None and not owner.ready
        state = "ended itself" if ended else "is not ready" if not owner.ready else "is ready now"
        return _Verdict(
            f"that is container {owner.name} of the same pod, which {state}",
            Fix(
                f"Let {name} retry until {owner.name} listens, or make {owner.name} a native sidecar (init "
                f"container with "
                f"restartPolicy Always) with a startupProbe, so that {name} starts after it."
            ),
            (*evidence, owner.fact("status", "ready", str(owner.ready).lower())),
            details={"container": owner.name},
        )
    where = f"environment variable {setting[0]}" if setting else "the address in its configuration"
    return _Verdict(
        f"{address.host} is the pod itself, and no other container of it declares that port",
        Fix(f"Set {where} to the name of the Service that {name} needs; 127.0.0.1 is this pod only."),
        evidence,
    )


def _by_ip(case: Case, words: LastWords, address: Address) -> _Verdict:
    listing = case.snapshot.list("services")
    for service in listing.items:
        if address.host in (text(service, "spec", "clusterIP"), *texts(service, "spec", "clusterIPs")):
            return _service(case, words, address, service)
    for slice_ in case.snapshot.list("endpointslices", case.pod.namespace).items:
        for endpoint in objects(slice_, "endpoints"):
            if address.host in texts(endpoint, "addresses"):
                target = text(endpoint, "targetRef", "name")
                return _Verdict(
                    f"that is pod {target or address.host}, an endpoint of Service "
                    f"{text(slice_, 'metadata', 'labels', SERVICE_NAME)}",
                    Fix(
                        f"See why {target or address.host} does not answer; connect through the Service, which "
                        f"skips pods that are not ready."
                    ),
                    verify=(case.kubectl(f"get pod {target}"),) if target else (),
                )
    if address.host in _METADATA:
        return _Verdict(
            "that is the metadata service of the cloud, which answers only on the node's own network",
            Fix(
                f"Give {words.container.name} its cloud credentials through the ServiceAccount (workload identity) "
                f"instead, or let pods reach the metadata service (on EC2 its hop limit must be 2 or more)."
            ),
        )
    if is_public(address.host):
        return _Verdict(
            "it is an address outside of the cluster",
            Fix(
                f"Check that {address.host} answers, and what is on the way from node {case.pod.node or '?'}: egress "
                f"NetworkPolicies, NAT, firewalls."
            ),
        )
    seen = "no Service has this address" if listing.complete else "whether a Service has this address was not seen"
    return _Verdict(
        seen,
        Fix(f"Check what {address.host} is; pods change their address, so connect by the name of a Service."),
        verify=("kubectl get services -A -o wide",),
        unseen="" if listing.complete else f"services in all namespaces: {listing.why}",
    )


def _no_service(
    case: Case, words: LastWords, address: Address, service: str, namespace: str, presumed: bool
) -> _Verdict:
    everywhere = case.snapshot.list("services")
    here = case.snapshot.list("services", namespace)
    elsewhere = sorted(
        namespace_of(s) for s in everywhere.items if name_of(s) == service and namespace_of(s) != namespace
    )
    close = nearest(service, (name_of(s) for s in here.items if namespace_of(s) == namespace))
    evidence = [Evidence("config", f"services in namespace {namespace}", f"no Service {service}")]
    said = f"no Service {service} exists in namespace {namespace}"
    verify = (f"kubectl -n {namespace} get services",)
    unseen = "" if everywhere.complete else f"services in other namespaces: {everywhere.why}"
    if presumed:
        unseen = unseen or "the dump leaves empty lists out"
    if elsewhere:
        other = elsewhere[0]
        said += f", but {service} exists in namespace {other}"
        evidence.append(Evidence("config", f"services in namespace {other}", f"Service {service}"))
        return _Verdict(
            said,
            _rename(case, words, address, f"{service}.{other}"),
            tuple(evidence),
            (f"kubectl -n {other} get service {service}",),
            unseen,
            {"suggestion": f"{service}.{other}"},
        )
    if close:
        said += f", but {close} does"
        evidence.append(Evidence("config", f"services in namespace {namespace}", f"Service {close}"))
        good = close if namespace == case.pod.namespace else f"{close}.{namespace}"
        return _Verdict(
            said, _rename(case, words, address, good), tuple(evidence), verify, unseen, {"suggestion": good}
        )
    return _Verdict(
        said,
        Fix(
            f"Create Service {service} in namespace {namespace}, or set the right name in "
            f"{words.container.name}'s configuration."
        ),
        tuple(evidence),
        verify,
        unseen,
    )


def _literal(words: LastWords, address: Address) -> tuple[str, tuple[Evidence, ...], str] | None:
    """Find the environment variable with a literal value that holds the address: name, evidence, value."""
    best = None
    for name, value in words.container.environment().items():
        if re.search(rf"(?<![\w.-]){re.escape(address.host)}(?![\w.-])", value):
            exact = address.port is not None and str(address.port) in value
            if best is None or exact:
                at = f"{words.container.spec_path}.env[{name}]"
                best = (name, (Evidence("spec", at, value),), value)
    return best


def _rename(case: Case, words: LastWords, address: Address, good: str) -> Fix:
    setting = _literal(words, address)
    name = words.container.name
    if setting is None:
        return Fix(f"Set the address in {name}'s configuration to {good}.")
    variable, _, value = setting
    renamed = re.sub(rf"(?<![\w.-]){re.escape(address.host)}(?![\w.-])", lambda _: good, value)
    return environment_fix(
        words,
        f"Set {variable} of container {name} in {case.workload_name} to use {good} instead of {address.host}.",
        variable,
        renamed,
    )


def _service(case: Case, words: LastWords, address: Address, service: Obj) -> _Verdict:
    name, namespace, port = name_of(service), namespace_of(service), address.port
    who = f"Service {name}" + (f" in namespace {namespace}" if namespace != case.pod.namespace else "")
    verify = (
        f"kubectl -n {namespace} get service {name} -o wide",
        f"kubectl -n {namespace} get endpointslices -l {SERVICE_NAME}={name}",
    )
    if text(service, "spec", "type") == "ExternalName":
        target = text(service, "spec", "externalName")
        return _Verdict(
            f"{who} is an alias of {target} (ExternalName)",
            Fix(f"Check that {target} resolves and answers from inside the cluster; {who} only points to it."),
            (Evidence("config", f"services[{name}].spec.externalName", target),),
            verify[:1],
        )
    created = parse_time(dig(service, "metadata", "creationTimestamp"))
    if created is not None and words.end.finished is not None and created > words.end.finished:
        return _Verdict(
            f"{who} was created only after that",
            Fix(f"Nothing to change in the address: {who} exists now, and the next start will find it."),
            (
                Evidence(
                    "config",
                    f"services[{name}].metadata.creationTimestamp",
                    text(service, "metadata", "creationTimestamp"),
                ),
            ),
            verify,
        )
    if address.kind == "unresolved":
        return _unpublished(case, who, service, address) or _unresolved(case, who, service, verify)
    offered = [number(p, "port") for p in objects(service, "spec", "ports")]
    headless = text(service, "spec", "clusterIP") == "None"
    if port is not None and not headless and offered and port not in offered:
        ports = ", ".join(str(p) for p in offered if p)
        only = offered[0] if len(offered) == 1 else None
        return _Verdict(
            f"{who} has no port {port}, it has {ports}",
            _reported(case, words, address, only) if only else Fix(f"Connect to one of the ports {ports} of {who}."),
            (Evidence("config", f"services[{name}].spec.ports", ports),),
            verify[:1],
        )
    return _endpoints_of(case, words, address, service, who, verify)


def _endpoints_of(
    case: Case, words: LastWords, address: Address, service: Obj, who: str, verify: tuple[str, ...]
) -> _Verdict:
    """Judge a Service that has the port by what stands behind it."""
    name, namespace = name_of(service), namespace_of(service)
    listing = case.snapshot.list("endpointslices", namespace, labels=f"{SERVICE_NAME}={name}")
    slices = [
        s for s in listing.items if text(s, "metadata", "labels", SERVICE_NAME) == name and namespace_of(s) == namespace
    ]
    endpoints = [e for s in slices for e in objects(s, "endpoints")]
    ready = [e for e in endpoints if flag(e, "conditions", "ready") is not False]
    if not listing.complete:
        return _Verdict(
            f"{who} exists, its endpoints were not seen",
            Fix(f"Check that pods behind {who} are ready."),
            verify=verify,
            unseen=f"endpointslices of {name} in namespace {namespace}: {listing.why}",
        )
    at = f"endpointslices of {name}"
    if not endpoints:
        selector = dig(service, "spec", "selector")
        hint = "no pod matches its selector" if selector else "it has no selector and no endpoints of its own"
        return _Verdict(
            f"{who} exists but has no endpoints",
            Fix(
                f"Start the pods behind {who} ({hint}), or correct its selector; then {words.container.name} "
                f"can connect."
            ),
            (Evidence("config", at, "0 endpoints"),),
            (f"kubectl svc-trace svc/{name} -n {namespace}", *verify),
        )
    if not ready:
        return _Verdict(
            f"{who} exists but "
            + (
                "its endpoint is not ready"
                if len(endpoints) == 1
                else f"none of its {len(endpoints)} endpoints is ready"
            ),
            Fix(f"Get the pods behind {who} ready first; then {words.container.name} can connect."),
            (Evidence("config", at, f"0 of {len(endpoints)} endpoints ready"),),
            (f"kubectl svc-trace svc/{name} -n {namespace}", *verify),
        )
    policies = [
        name_of(p) for p in case.snapshot.list("networkpolicies", namespace).items if namespace_of(p) == namespace
    ]
    evidence = [Evidence("config", at, f"{len(ready)} of {len(endpoints)} endpoints ready")]
    if address.kind in ("timeout", "unreachable") and policies:
        evidence.append(Evidence("config", f"networkpolicies in namespace {namespace}", ", ".join(policies[:5])))
        return _Verdict(
            f"{who} has {_endpoints(ready)}; NetworkPolicies in namespace {namespace} may drop the packets",
            Fix(f"Check that the NetworkPolicies {', '.join(policies[:5])} let pod {case.pod.name} in."),
            tuple(evidence),
            (f"kubectl svc-trace svc/{name} -n {namespace}", *verify),
        )
    return _Verdict(
        f"{who} has {_endpoints(ready)} now",
        Fix(
            f"It may have been down at that time: let {words.container.name} retry. If it goes on, see where "
            f"{who} sends "
            f"port {address.port or 'in question'} (targetPort)."
        ),
        tuple(evidence),
        (f"kubectl svc-trace svc/{name} -n {namespace}", *verify),
    )


def _endpoints(ready: list[Obj]) -> str:
    return "1 ready endpoint" if len(ready) == 1 else f"{len(ready)} ready endpoints"


def _reported(case: Case, words: LastWords, address: Address, port: int) -> Fix:
    """Propose the one port that the Service has."""
    setting = _literal(words, address)
    if setting is None or str(address.port) not in setting[2]:
        return Fix(f"Set the port in {words.container.name}'s configuration to {port} instead of {address.port}.")
    value = re.sub(rf"(?<!\d){address.port}(?!\d)", str(port), setting[2])
    return environment_fix(
        words,
        f"Set {setting[0]} of container {words.container.name} in {case.workload_name} to use port {port}.",
        setting[0],
        value,
    )


def _unpublished(case: Case, who: str, service: Obj, address: Address) -> _Verdict | None:
    """Judge the name of one pod of a headless Service: it is published while the pod is ready."""
    name, namespace = name_of(service), namespace_of(service)
    pod = address.host.partition(".")[0]
    listing = case.snapshot.list("endpointslices", namespace, labels=f"{SERVICE_NAME}={name}")
    if pod == name or not listing.complete:
        return None
    slices = [s for s in listing.items if text(s, "metadata", "labels", SERVICE_NAME) == name]
    endpoints = [e for s in slices for e in objects(s, "endpoints") if flag(e, "conditions", "ready") is not False]
    if any(pod in (text(e, "hostname"), text(e, "targetRef", "name")) for e in endpoints):
        return None
    return _Verdict(
        f"{who} exists, but it publishes no ready pod {pod}",
        Fix(
            f"Get pod {pod} ready, or set publishNotReadyAddresses of {who}: the names of a headless Service's pods "
            f"resolve only while they are ready."
        ),
        (Evidence("config", f"endpointslices of Service {name}", f"no ready endpoint {pod}"),),
        (
            f"kubectl -n {namespace} get endpointslices -l {SERVICE_NAME}={name}",
            f"kubectl -n {namespace} get pod {pod}",
        ),
    )


def _unresolved(case: Case, who: str, service: Obj, verify: tuple[str, ...]) -> _Verdict:
    policy = text(case.pod.raw, "spec", "dnsPolicy") or "ClusterFirst"
    host_network = flag(case.pod.raw, "spec", "hostNetwork") is True
    if policy == "Default" or (host_network and policy == "ClusterFirst"):
        return _Verdict(
            f"{who} exists, but the pod does not ask the cluster's DNS (dnsPolicy {policy}, hostNetwork "
            f"{str(host_network).lower()})",
            case.template_fix(
                f"Set dnsPolicy of {case.workload_name} to "
                f"{'ClusterFirstWithHostNet' if host_network else 'ClusterFirst'}.",
                {"dnsPolicy": "ClusterFirstWithHostNet" if host_network else "ClusterFirst"},
            ),
            (Evidence("spec", "spec.dnsPolicy", policy),),
            verify[:1],
        )
    return _Verdict(
        f"{who} exists, so the cluster's DNS did not answer",
        Fix("Check CoreDNS (its pods, its log) and whether a NetworkPolicy lets the pod reach port 53 of it."),
        (Evidence("config", f"services[{name_of(service)}]", "exists"),),
        ("kubectl -n kube-system get pods -l k8s-app=kube-dns", *verify[:1]),
    )
