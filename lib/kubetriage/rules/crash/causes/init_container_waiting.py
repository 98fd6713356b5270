"""An init container is still running, and the pod waits for it.

Meaning: the main containers start only after every init container has ended with success, one after the other. An
init container that waits for something (a database, another service, a migration lock) holds the whole pod.

Told by: an init container in state running while the pod is not initialized. Native sidecars (restartPolicy Always)
run for the pod's whole life and are left out, unless their startup probe has not passed, which is that probe's cause.
The command and the last log line say what it waits for; a Service that it names is looked up.

Fix: make what it waits for available; give the wait a time limit so that it fails with a message instead of blocking.

Source: kubernetes kuberuntime_manager.go (computeInitContainerActions), KEP-753 (sidecars).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.needs import Get, List, Log, Need
from kubetriage.readers.logs import addresses, bodies, last_error, last_line
from kubetriage.readers.pods import Container
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.serving_pods import pods_behind, root_of
from kubetriage.rules.crash.vault_logins import answered, refused_login
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import flag, labels, objects, text, texts
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import SERVICE_NAME_LABEL
from kubetriage.values.times import human_duration

CODE = "InitContainerWaiting"

MOST_HOSTS = 5
_FRESH = 10
"""Lines that may follow an error that a waiting program still meets."""
PATIENCE = timedelta(minutes=2)
"""Younger than this it is work in progress, not yet a fault."""

# What waiting scripts name: nslookup HOST, getent hosts HOST, nc -z HOST PORT, pg_isready -h HOST, URLs, HOST:PORT.
_HOSTS = (
    lazy(r"(?:nslookup|getent\s+hosts|\bdig|\bhost)\s+(?:-\S+\s+)*([a-z0-9][-a-z0-9.]*)"),
    lazy(r"\bnc\s+(?:-\S+\s+)*(?:\d+\s+)?([a-z0-9][-a-z0-9.]*)\s+\d{2,5}"),
    lazy(r"(?:\s-h|--host)[= ]([a-z0-9][-a-z0-9.]*)"),
    lazy(r"(?<![a-z])[a-z]{1,20}://(?:[^@/\s]{0,200}@)?([a-z0-9][-a-z0-9.]*)"),
    lazy(r"(?<![\w./-])([a-z][-a-z0-9.]{0,251}[a-z0-9]):\d{2,5}\b"),
)
# Names of Services; an IP address is none.
_NAME = lazy(r"[a-z]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\.?\Z")


def _waiting(case: Case) -> Container | None:
    if case.pod.finished or case.pod.deleting:
        return None
    for container in case.containers:
        # While an earlier crash is recent the crash speaks.
        if container.kind == "init" and container.running and case.outlived(container):
            return container
    return None


def services_named(container: Container) -> list[str]:
    """Return the host names that the container's command mentions, the first one first."""
    words = " ".join([*texts(container.spec, "command"), *texts(container.spec, "args")])
    found = [m for pattern in _HOSTS for m in pattern.findall(words)]
    return list(dict.fromkeys(h for h in found if h not in ("localhost",) and not h.replace(".", "").isdigit()))


def _hosts(case: Case, container: Container) -> list[str]:
    """Return the hosts that the log says cannot be reached, then those that the command mentions."""
    log = case.running_log(container).text
    there = answered(log)
    failing = [a.host for a in addresses(log) if a.host and a.host not in there]
    return list(dict.fromkeys([*reversed(failing), *services_named(container)]))[:MOST_HOSTS]


def _service(case: Case, host: str) -> tuple[str, str] | None:
    """Return (namespace, name) of the Service that a cluster name means; None for names of the outside."""
    if not _NAME.match(host):
        return None
    parts = host.rstrip(".").split(".")
    if len(parts) == 1:
        return case.pod.namespace, parts[0]
    if len(parts) == 2 or (len(parts) >= 3 and parts[2] == "svc"):
        return parts[1], parts[0]
    return None


def _has_no_ready_endpoint(case: Case, namespace: str, name: str) -> bool:
    """Tell whether the endpoints of a Service were seen and none is ready."""
    listing = case.snapshot.list("endpointslices", namespace, labels=f"{SERVICE_NAME_LABEL}={name}")
    slices = [s for s in listing.items if labels(s, "metadata", "labels").get(SERVICE_NAME_LABEL) == name]
    ready = any(flag(e, "conditions", "ready") is not False for s in slices for e in objects(s, "endpoints"))
    return listing.complete and not listing.presumed and not ready


def needs(case: Case) -> Iterator[Need]:
    """Ask for the running log and the Services that the command names."""
    container = _waiting(case)
    if container is None:
        return
    yield Log(case.pod.namespace, case.pod.name, container.name)
    for host in _hosts(case, container):
        service = _service(case, host)
        if service is not None:
            yield Get("services", *service)
            if case.snapshot.get("services", *service).found:
                yield List("endpointslices", service[0], labels=f"{SERVICE_NAME_LABEL}={service[1]}")
                yield List("pods", service[0])


_LAST = 5
"""Lines at the end of a log that tell what a running program does now."""
# Programs that are up and wait for requests.
_SERVES = lazy(
    r"main dispatch loop|all dependencies initialized|\blistening (?:on|at|for)\b|\bserving (?:on|at|http|requests)\b"
    r"|(?:server|proxy|agent|service) (?:is )?(?:now )?(?:started|running|listening|ready|up)\b|ready to accept"
    r"|\bstarted (?:\w+ )?(?:server|proxy|listener)|Started \S+ in [\d.]+ seconds|Envoy proxy is ready"
    r"|ready for (?:connections|start ?up)|Uvicorn running on|start worker process",
    re.IGNORECASE,
)


def _as_a_sidecar(case: Case, container: Container) -> Iterator[Fix]:
    """Let a server that is declared as an init container run beside the others."""
    version = re.match(r"v?1\.(\d{1,3})", text(case.node.obj, "status", "nodeInfo", "kubeletVersion"))
    old = version is not None and int(version[1]) < 29
    if not old:
        yield case.template_fix(
            f"Set restartPolicy: Always on init container {container.name} in {case.workload_name}: it then is a "
            "sidecar, which the others do not wait for. If the manifest has it, something that knows no sidecars "
            "dropped it (an old webhook, client or API).",
            {"initContainers": [{"name": container.name, "restartPolicy": "Always"}]},
        )
    yield case.template_fix(
        f"{'M' if old else 'Or m'}ove {container.name} to containers in {case.workload_name}"
        + (f": the kubelet of {case.pod.node} is older than 1.29 and knows no sidecars." if old else ".")
    )


def check(case: Case) -> Iterator[Finding]:
    """Find the init container that the pod waits for."""
    container = _waiting(case)
    if container is None or container.running_since is None:
        return
    age = case.now - container.running_since
    log = case.running_log(container).text
    error = last_error(log)
    told_error = error is not None and error.weight != "weak" and error.trailing <= _FRESH
    line = error.summary if told_error and error is not None else last_line(log)
    refused = refused_login(case.pod, log)
    evidence = [
        container.fact("status", "state.running.startedAt", f"running for {human_duration(age)}"),
        *([Evidence("log", container.name, line)] if line else []),
    ]
    reasons, fixes = ([refused[0]], [*refused[1]]) if refused is not None else ([], [])
    details: dict[str, object] = {}
    told = addresses(log)
    failing = {a.host for a in told}
    unresolved = {_service(case, a.host) for a in told if a.kind == "unresolved"}
    named = services_named(container)[:1]
    for host in _hosts(case, container) if refused is None else ():
        service = _service(case, host)
        if service is None:
            continue
        found = case.snapshot.get("services", *service)
        if found.absent:
            verb = "is not in the dump of" if found.presumed else "does not exist in"
            reasons.append(f"Service {service[1]} {verb} namespace {service[0]}")
            evidence.append(container.fact("spec", "command", f"waits for {host}"))
            fixes.append(
                Fix(
                    f"Create Service {service[1]} in namespace {service[0]}, or correct the name {host}.",
                    actor=Actor.MANIFEST,
                    commands=(kubectl("get", "services", namespace=service[0]),),
                )
            )
        elif found.unseen and service in unresolved and not reasons:
            reasons.append(
                f"the name {host} does not resolve: Service {service[1]} of namespace {service[0]} is missing, or its "
                "name is another one (it was not seen)"
            )
            evidence.append(container.fact("spec", "command", f"waits for {host}"))
            fixes.append(
                Fix(
                    f"See whether Service {service[1]} exists in namespace {service[0]}; create it, or correct "
                    f"the name "
                    f"{host}. From another namespace a name needs SERVICE.NAMESPACE.",
                    actor=Actor.MANIFEST,
                    commands=(kubectl("get", "services,endpointslices", namespace=service[0]),),
                )
            )
        elif found.unseen and not reasons and host in (named or failing):
            fixes.append(
                Fix(
                    f"See whether Service {service[1]} exists in namespace {service[0]} and has ready "
                    f"endpoints: the init "
                    "container waits for it.",
                    actor=Actor.MANIFEST,
                    commands=(kubectl("svc-trace", f"svc/{service[1]}", namespace=service[0]),),
                )
            )
        elif found.found and _has_no_ready_endpoint(case, *service):
            reasons.append(f"Service {service[1]} in namespace {service[0]} has no ready endpoint")
            evidence.append(Evidence("status", f"endpointslices of service/{service[1]}", "no endpoint is ready"))
            root = root_of(pods_behind(case, found.obj))
            if root is not None:
                reasons[-1] += f": {root[0]}"
                details = {"root": root[1]}
            fixes.append(
                Fix(
                    f"Fix what keeps the pods of Service {service[1]} from being ready.",
                    actor=Actor.MANIFEST,
                    commands=(
                        kubectl("why-crash", f"pod/{root[1]['name']}", namespace=service[0])
                        if root is not None
                        else kubectl("svc-trace", f"svc/{service[1]}", namespace=service[0]),
                    ),
                )
            )
    serves = not reasons and not told_error and _SERVES.search("\n".join(bodies(log)[-_LAST:])) is not None
    if serves:
        reasons.append(f"it is a server that never ends: {line}")
        fixes = [*_as_a_sidecar(case, container)]
    kind = "last error" if told_error else "last log line"
    what = reasons[0] if reasons else f"its {kind} is: {line}" if line else "its log is empty or was not seen"
    if not serves:
        fixes.append(
            Fix(
                f"Make available what init container {container.name} waits for, and give the wait a time limit in "
                f"{case.workload_name}.",
                actor=Actor.MANIFEST,
            )
        )
    yield Finding(
        CODE,
        Severity.ERROR if age >= PATIENCE else Severity.WARNING if reasons else Severity.NOTE,
        Confidence.CONFIRMED,
        container.ref,
        f"The pod waits for init container {container.name}, which has been running for {human_duration(age)}; {what}.",
        tuple(evidence),
        (),
        tuple(fixes),
        (kubectl("logs", case.pod.name, "-c", container.name, "--tail=50", namespace=case.pod.namespace),),
        details,
    )
