"""What stands behind a Service that a program could not use: its ports, its endpoints, its DNS name."""

from __future__ import annotations

import re

from kubetriage.model import Evidence, Fix
from kubetriage.readers.logs import Address
from kubetriage.records import dataclass, field
from kubetriage.rules.crash.acts import cloud, manifest, operator, restart
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.container_spec import environment_fix
from kubetriage.rules.crash.program_output import LastWords
from kubetriage.rules.crash.serving_pods import pods_behind, root_of, undeclared_target
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, dig, flag, name_of, namespace_of, number, objects, text
from kubetriage.values.resources import SERVICE_NAME_LABEL
from kubetriage.values.times import parse_time


@dataclass(frozen=True)
class Verdict:
    """What the look-up of an address found."""

    words: str
    """A clause for the message."""
    fix: Fix
    evidence: tuple[Evidence, ...] = ()
    verify: tuple[str, ...] = ()
    unseen: str = ""
    """What could not be looked up, and why."""
    details: dict[str, object] = field(default_factory=dict)
    more: tuple[Fix, ...] = ()
    """Further fixes, where the data do not decide between them."""


def judge_service(case: Case, words: LastWords, address: Address, service: Obj) -> Verdict:
    """Return what a Service offers at the address that failed, and what to do about it."""
    name, namespace, port = name_of(service), namespace_of(service), address.port
    who = f"Service {name}" + (f" in namespace {namespace}" if namespace != case.pod.namespace else "")
    verify = (
        kubectl("get", "service", name, "-o", "wide", namespace=namespace),
        kubectl("get", "endpointslices", "-l", f"{SERVICE_NAME_LABEL}={name}", namespace=namespace),
    )
    if text(service, "spec", "type") == "ExternalName":
        target = text(service, "spec", "externalName")
        return Verdict(
            f"{who} is an alias of {target} (ExternalName)",
            cloud(f"Check that {target} resolves and answers from inside the cluster; {who} only points to it."),
            (Evidence("config", f"services[{name}].spec.externalName", target),),
            verify[:1],
        )
    created = parse_time(dig(service, "metadata", "creationTimestamp"))
    if created is not None and words.end.finished is not None and created > words.end.finished:
        return Verdict(
            f"{who} was created only after that",
            manifest(
                words,
                f"Nothing to change in the address: {who} exists now, and the next start will find it.",
                None,
                *restart(words),
            ),
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
        return _unpublished(words, who, service, address) or _unresolved(words, who, service, verify)
    offered = [number(p, "port") for p in objects(service, "spec", "ports")]
    headless = text(service, "spec", "clusterIP") == "None"
    if port is not None and not headless and offered and port not in offered:
        ports = ", ".join(str(p) for p in offered if p)
        only = offered[0] if len(offered) == 1 else None
        return Verdict(
            f"{who} has no port {port}, it has {ports}",
            _reported(case, words, address, only)
            if only
            else manifest(words, f"Connect to one of the ports {ports} of {who}."),
            (Evidence("config", f"services[{name}].spec.ports", ports),),
            verify[:1],
        )
    return _endpoints_of(case, words, address, service, who, verify)


def _endpoints_of(
    case: Case, words: LastWords, address: Address, service: Obj, who: str, verify: tuple[str, ...]
) -> Verdict:
    """Judge a Service that has the port by what stands behind it."""
    name, namespace = name_of(service), namespace_of(service)
    listing = case.snapshot.list("endpointslices", namespace, labels=f"{SERVICE_NAME_LABEL}={name}")
    trace = (kubectl("svc-trace", f"svc/{name}", namespace=namespace),)
    slices = [
        s
        for s in listing.items
        if text(s, "metadata", "labels", SERVICE_NAME_LABEL) == name and namespace_of(s) == namespace
    ]
    endpoints = [e for s in slices for e in objects(s, "endpoints")]
    ready = [e for e in endpoints if flag(e, "conditions", "ready") is not False]
    if not listing.complete:
        return Verdict(
            f"{who} exists, its endpoints were not seen",
            manifest(words, f"Check that pods behind {who} are ready.", None, *trace),
            verify=verify,
            unseen=f"endpointslices of {name} in namespace {namespace}: {listing.why}",
        )
    at = f"endpointslices of {name}"
    behind = pods_behind(case, service)
    if not ready and any(pod.uid == case.pod.uid for pod in behind):
        return Verdict(
            f"{who} selects this very pod, which gets ready only after it",
            manifest(
                words,
                f"Let {words.container.name} not wait for {who}: it serves it itself. Use 127.0.0.1, or "
                f"publishNotReadyAddresses on {who} for members that look for each other.",
            ),
            (Evidence("config", at, f"0 of {len(endpoints)} endpoints ready"),),
            verify,
        )
    root = root_of(behind) if not ready else None
    if root is not None:
        return Verdict(
            f"{who} has no ready endpoint: {root[0]}",
            manifest(
                words,
                f"Repair pod {root[1]['name']} first; {words.container.name} connects when it is ready.",
                None,
                kubectl("why-crash", f"pod/{root[1]['name']}", namespace=root[1]["namespace"]),
            ),
            (Evidence("status", f"pods of Service {name}", f"{root[1]['name']}: {root[1]['reason']}"),),
            verify,
            details={"root": root[1]},
        )
    if not endpoints:
        selector = dig(service, "spec", "selector")
        hint = "no pod matches its selector" if selector else "it has no selector and no endpoints of its own"
        return Verdict(
            f"{who} exists but has no endpoints",
            manifest(
                words,
                f"Start the pods behind {who} ({hint}: scale the workload up), or correct its selector.",
                None,
                *trace,
            ),
            (Evidence("config", at, "0 endpoints"),),
            (*trace, *verify),
        )
    if not ready:
        return Verdict(
            f"{who} exists but "
            + (
                "its endpoint is not ready"
                if len(endpoints) == 1
                else f"none of its {len(endpoints)} endpoints is ready"
            ),
            manifest(
                words, f"Get the pods behind {who} ready first; then {words.container.name} can connect.", None, *trace
            ),
            (Evidence("config", at, f"0 of {len(endpoints)} endpoints ready"),),
            (*trace, *verify),
        )
    policies = [
        name_of(p) for p in case.snapshot.list("networkpolicies", namespace).items if namespace_of(p) == namespace
    ]
    evidence = [Evidence("config", at, f"{len(ready)} of {len(endpoints)} endpoints ready")]
    if address.kind in ("timeout", "unreachable") and policies:
        evidence.append(Evidence("config", f"networkpolicies in namespace {namespace}", ", ".join(policies[:5])))
        return Verdict(
            f"{who} has {_endpoints(ready)}; NetworkPolicies in namespace {namespace} may drop the packets",
            manifest(
                words,
                f"Check that the NetworkPolicies {', '.join(policies[:5])} let pod {case.pod.name} in.",
                None,
                kubectl("svc-trace", f"svc/{name}", f"--client=pod/{case.pod.name}", namespace=namespace),
            ),
            tuple(evidence),
            (*trace, *verify),
        )
    target = undeclared_target(service, address.port, behind)
    if target:
        evidence.append(Evidence("config", f"services[{name}].spec.ports", target))
        return Verdict(
            f"{target}",
            manifest(words, f"Correct targetPort of {who}, or let its pods listen there.", None, *trace),
            tuple(evidence),
            verify,
        )
    return Verdict(
        f"{who} has {_endpoints(ready)} now",
        manifest(
            words,
            f"It may have been down at that time: let {words.container.name} retry at its start; restart it once now.",
            None,
            *restart(words),
        ),
        tuple(evidence),
        (*trace, *verify),
        more=(
            manifest(
                words,
                f"If it goes on: the pods behind {who} listen on 127.0.0.1 only, or on another port than targetPort of "
                f"port {address.port or 'in question'}.",
                None,
                *trace,
            ),
        ),
    )


def _endpoints(ready: list[Obj]) -> str:
    return "1 ready endpoint" if len(ready) == 1 else f"{len(ready)} ready endpoints"


def _reported(case: Case, words: LastWords, address: Address, port: int) -> Fix:
    """Propose the one port that the Service has."""
    setting = literal_setting(words, address)
    if setting is None or str(address.port) not in setting[2]:
        return manifest(
            words, f"Set the port in {words.container.name}'s configuration to {port} instead of {address.port}."
        )
    value = re.sub(rf"(?<!\d){address.port}(?!\d)", str(port), setting[2])
    return environment_fix(
        words,
        f"Set {setting[0]} of container {words.container.name} in {case.workload_name} to use port {port}.",
        setting[0],
        value,
    )


def _unpublished(words: LastWords, who: str, service: Obj, address: Address) -> Verdict | None:
    """Judge the name of one pod of a headless Service: it is published while the pod is ready."""
    case = words.case
    name, namespace = name_of(service), namespace_of(service)
    pod = address.host.partition(".")[0]
    listing = case.snapshot.list("endpointslices", namespace, labels=f"{SERVICE_NAME_LABEL}={name}")
    if pod == name or not listing.complete:
        return None
    slices = [s for s in listing.items if text(s, "metadata", "labels", SERVICE_NAME_LABEL) == name]
    endpoints = [e for s in slices for e in objects(s, "endpoints") if flag(e, "conditions", "ready") is not False]
    if any(pod in (text(e, "hostname"), text(e, "targetRef", "name")) for e in endpoints):
        return None
    return Verdict(
        f"{who} exists, but it publishes no ready pod {pod}",
        manifest(
            words,
            f"Get pod {pod} ready, or set publishNotReadyAddresses of {who}: names of a headless "
            "Service's pods resolve only "
            "while they are ready.",
            None,
            kubectl("patch", "service", name, "-p", '{"spec":{"publishNotReadyAddresses":true}}', namespace=namespace),
        ),
        (Evidence("config", f"endpointslices of Service {name}", f"no ready endpoint {pod}"),),
        (
            kubectl("get", "endpointslices", "-l", f"{SERVICE_NAME_LABEL}={name}", namespace=namespace),
            kubectl("get", "pod", pod, namespace=namespace),
        ),
    )


def _unresolved(words: LastWords, who: str, service: Obj, verify: tuple[str, ...]) -> Verdict:
    case = words.case
    policy = text(case.pod.raw, "spec", "dnsPolicy") or "ClusterFirst"
    host_network = flag(case.pod.raw, "spec", "hostNetwork") is True
    if policy == "Default" or (host_network and policy == "ClusterFirst"):
        return Verdict(
            f"{who} exists, but the pod does not ask the cluster's DNS (dnsPolicy {policy}, hostNetwork "
            f"{str(host_network).lower()})",
            manifest(
                words,
                f"Set dnsPolicy of {case.workload_name} to "
                f"{'ClusterFirstWithHostNet' if host_network else 'ClusterFirst'}.",
                {"dnsPolicy": "ClusterFirstWithHostNet" if host_network else "ClusterFirst"},
            ),
            (Evidence("spec", "spec.dnsPolicy", policy),),
            verify[:1],
        )
    return Verdict(
        f"{who} exists, so the cluster's DNS did not answer",
        operator(
            "Check CoreDNS: its pods, its log, and whether a NetworkPolicy lets the pod reach port 53 of it.",
            kubectl("get", "pods", "-l", "k8s-app=kube-dns", "-o", "wide", namespace="kube-system"),
            kubectl("logs", "-l", "k8s-app=kube-dns", "--tail=50", namespace="kube-system"),
        ),
        (Evidence("config", f"services[{name_of(service)}]", "exists"),),
        ("kubectl -n kube-system get pods -l k8s-app=kube-dns", *verify[:1]),
    )


def literal_setting(words: LastWords, address: Address) -> tuple[str, tuple[Evidence, ...], str] | None:
    """Find the environment variable with a literal value that holds the address: name, evidence, value."""
    best = None
    for name, value in words.container.environment().items():
        if re.search(rf"(?<![\w.-]){re.escape(address.host)}(?![\w.-])", value):
            exact = address.port is not None and str(address.port) in value
            if best is None or exact:
                at = f"{words.container.spec_path}.env[{name}]"
                best = (name, (Evidence("spec", at, value),), value)
    return best
