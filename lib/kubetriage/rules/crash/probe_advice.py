"""What a probe's failure means for this container, and what to change."""

from __future__ import annotations

import re

from kubetriage.data import table
from kubetriage.found import LogText
from kubetriage.model import Actor, Evidence, Fix
from kubetriage.readers import logs
from kubetriage.readers.pods import Container
from kubetriage.records import dataclass, replace
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.probes import Failure, Probe, ProbeEvent
from kubetriage.rules.crash.program_output import short
from kubetriage.values.commands import kubectl, pods_on
from kubetriage.values.fields import mapping, number, objects, text, texts
from kubetriage.values.patterns import lazy

_RECENT = 20
"""Lines after which an error in the log of a program that answers no longer tells of now."""


@dataclass(frozen=True)
class Advice:
    """One failure explained."""

    words: str
    """What the probe met, as the end of a sentence."""
    fixes: tuple[Fix, ...]
    evidence: tuple[Evidence, ...] = ()
    blame: str = ""
    """Another container of the pod that is the reason."""


def advise(case: Case, container: Container, probe: Probe, failure: ProbeEvent | None, log: LogText) -> Advice:
    """Explain the newest failure of a probe; ``log`` is that of the instance it failed on."""
    if failure is None:
        return Advice("", (_look(case, container, probe),))
    advice = _explain(case, container, probe, failure, log)
    unwell = failure.failure in (Failure.TIMEOUT, Failure.GRPC_STATUS) or failure.status >= 500
    unwell = unwell or (probe.handler == "exec" and failure.failure is not Failure.NO_COMMAND)
    if any(e.source == "log" for e in advice.evidence):
        unwell = False  # its log has told the reason
    error = logs.last_error(log.text) if unwell else None
    if error is None or error.weight == "weak" or error.trailing > _RECENT:
        return advice
    shown = Evidence("log", container.name, error.summary, error.time)
    known = _known_words(case, container, error.summary) if probe.handler != "exec" else None
    if known is not None:
        return replace(known, evidence=(*advice.evidence, shown))
    return replace(
        advice,
        words=f"{advice.words}; the last error in its log is: {short(error.summary)}",
        evidence=(*advice.evidence, shown),
    )


def _explain(case: Case, container: Container, probe: Probe, failure: ProbeEvent, log: LogText) -> Advice:
    kind = failure.failure
    if kind is Failure.REFUSED:
        return _refused(case, container, probe, failure, log)
    if kind is Failure.STATUS:
        return _status(case, container, probe, failure, log)
    if kind is Failure.TIMEOUT:
        words = f"no answer within {probe.timeout} s"
        fix = case.template_fix(
            f"Find out why {probe.words} takes longer than timeoutSeconds {probe.timeout} (CPU throttling, a slow "
            f"dependency inside the check, a lock); if that is normal, raise timeoutSeconds in {case.workload_name}.",
            _probe_spec(container, probe, timeoutSeconds=max(5, probe.timeout * 3)),
        )
        return Advice(words, (fix,))
    if kind is Failure.NO_GRPC:
        speaks = Fix(
            f"Check that the program of container {container.name} listens on the port of {probe.words} and speaks "
            "gRPC there without TLS: such a probe knows neither TLS nor HTTP/1.",
            actor=Actor.APP,
            commands=(
                kubectl(
                    "exec", case.pod.name, "-c", container.name, "--", "netstat", "-ltn", namespace=case.pod.namespace
                ),
            ),
        )
        other = case.template_fix(
            f"If the port speaks HTTP, replace grpc by httpGet in the {probe.field} of {case.workload_name}; if gRPC "
            "with TLS, by tcpSocket or an exec of grpc_health_probe."
        )
        return Advice(f"no gRPC connection within {probe.timeout} s", (speaks, other))
    if kind is Failure.WANTS_PLAIN:
        return Advice(
            "the port speaks plain HTTP, the probe TLS",
            (
                case.template_fix(
                    f"Set scheme HTTP in the {probe.field} of {case.workload_name}.",
                    _probe_spec(container, probe, httpGet={"scheme": "HTTP"}),
                ),
            ),
        )
    if kind is Failure.WANTS_TLS:
        return Advice(
            "the port speaks TLS, the probe plain HTTP",
            (
                case.template_fix(
                    f"Set scheme HTTPS in the {probe.field} of {case.workload_name}.",
                    _probe_spec(container, probe, httpGet={"scheme": "HTTPS"}),
                ),
            ),
        )
    if kind is Failure.NO_GRPC_HEALTH:
        fix = Fix(
            "Register the grpc.health.v1.Health service in the server, or probe with tcpSocket instead.",
            actor=Actor.APP,
        )
        return Advice("the server does not implement grpc.health.v1.Health", (fix,))
    if kind is Failure.UNROUTABLE:
        fix = Fix(
            f"The node cannot reach the pod: look at the network plugin's pod on node {case.pod.node}.",
            actor=Actor.NODE,
            commands=(pods_on(case.pod.node),),
        )
        return Advice("the kubelet has no route to the pod", (fix,))
    if kind is Failure.GRPC_STATUS:
        fix = Fix(
            "The program itself reports that it is not ready to serve: read what its health service checks, "
            "and its log.",
            actor=Actor.APP,
            commands=(kubectl("logs", case.pod.name, "-c", container.name, namespace=case.pod.namespace),),
        )
        return Advice(f"the program answers: {_said(failure)}", (fix,))
    if kind is Failure.NO_COMMAND:
        missing = _MISSING.search(failure.output)
        program = next((g for g in missing.groups() if g), "") if missing else ""
        command = program or probe.words.removeprefix("exec ")
        fix = case.template_fix(
            f"Install {command} in image {container.image}, or replace the {probe.field} of container "
            f"{container.name} in {case.workload_name} by httpGet, tcpSocket or grpc."
        )
        return Advice(f"the container has no command {command}", (fix,))
    if probe.handler == "exec":
        said = _said(failure)
        where = ("exec", case.pod.name, "-c", container.name, "--")
        run = kubectl(*where, *texts(probe.raw, "exec", "command"), namespace=case.pod.namespace)
        fix = Fix("Run the check by hand while the container runs, and make it pass.", actor=Actor.APP, commands=(run,))
        known = _known_output(case, container, failure)
        if known is not None:
            return replace(known, fixes=(*known.fixes, fix))
        words = f"the command {probe.words.removeprefix('exec ')!r} failed" + (f": {said}" if said else ", no output")
        return Advice(words, (fix,))
    return Advice(_said(failure), (_look(case, container, probe),))


def _known_output(case: Case, container: Container, failure: ProbeEvent) -> Advice | None:
    """Explain what the check of a well-known program printed; None for words that are not known."""
    return _known_words(case, container, failure.output, _said(failure))


def _known_words(case: Case, container: Container, told: str, shown: str = "") -> Advice | None:
    row = next((r for r in table("probe_outputs")["rows"] if re.search(r["words"], told, re.IGNORECASE)), None)
    if row is None:
        return None

    def fill(words: str) -> str:
        for name, value in (("node", case.pod.node), ("pod", case.pod.name), ("container", container.name)):
            words = words.replace("{" + name + "}", value)
        return words

    look = tuple(
        kubectl(*(fill(w) for w in words), namespace="" if words[1] == "nodes" else case.pod.namespace)
        for words in row["look"]
    )
    return Advice(f"{row['means']} ({short(shown or told)})", (Fix(fill(row["act"]), actor=Actor.APP, commands=look),))


# The program that an exec probe could not start, in the words of runc, crun and shells.
_MISSING = lazy(r"exec: \\*\"([^\"\\]+)|executable file `([^`]+)`|(?<![^\s:])([^\s:]+): (?:command )?not found")


def _said(failure: ProbeEvent) -> str:
    """Return the one line of a probe's output that tells what went wrong."""
    error = logs.last_error(failure.output)
    rows = failure.output.splitlines()
    return error.summary if error is not None else rows[0] if rows else ""


def _refused(case: Case, container: Container, probe: Probe, failure: ProbeEvent, log: LogText) -> Advice:
    port = failure.port or probe.port
    said = logs.listening(log.text)
    here = [s for s in said if s.port == port]
    if here and all(s.loopback for s in here):
        return Advice(
            f"port {port} is refused: the program listens on {here[0].host} only, which the kubelet cannot reach",
            (
                Fix(
                    f"Let the program in container {container.name} listen on all addresses at port {port} "
                    f"({_any(case)}).",
                    actor=Actor.APP,
                ),
            ),
            (Evidence("log", container.name, here[0].line),),
        )
    # "*" stands for any wildcard; a line that does not write the IPv4 one may mean both families.
    narrow = [s for s in here if "0.0.0.0" in s.line or _V4.match(s.host)]  # noqa: S104
    address = _dialled(case, failure)
    if ":" in address and (narrow or not here):
        return _other_family(case, container, probe, port, address, [s.line for s in narrow])
    declared = [p for p in (number(d, "containerPort") for d in _tcp_ports(container)) if p is not None]
    for other in case.containers:
        if other.name != container.name and port in [number(d, "containerPort") for d in _tcp_ports(other)]:
            state = "is down" if not other.running else "runs"
            return Advice(
                f"port {port} is refused: it belongs to container {other.name}, which {state}",
                (
                    Fix(
                        f"Look at container {other.name} first; the probe of {container.name} asks it.",
                        actor=Actor.APP,
                    ),
                ),
                (other.fact("status", "ready", other.ready),),
                blame="" if other.running and other.ready else other.name,
            )
    elsewhere = next((s for s in said if s.port != port), None)
    real = elsewhere.port if elsewhere and not here else declared[0] if len(declared) == 1 else None
    if port not in declared and real is not None and real != port:
        shown = (Evidence("log", container.name, elsewhere.line),) if elsewhere else ()
        ports = ", ".join(str(p) for p in declared)
        source = "its log names" if elsewhere else "the container declares"
        fix = case.template_fix(
            f"Point the {probe.field} of container {container.name} in {case.workload_name} at port {real} "
            f"instead of {port}.",
            _probe_spec(container, probe, **{probe.handler: {"port": real}}) if probe.handler else None,
        )
        return Advice(
            f"nothing listens on port {port}; {source} {real if elsewhere else ports}",
            (fix,),
            (*shown, container.fact("spec", "ports", ports or "<none>")),
        )
    if real is not None and elsewhere is not None and real != port:
        return Advice(
            f"nothing listens on port {port}; its log says it listens on {real}",
            (case.template_fix(f"Let the program listen on {port}, or point probe and containerPort at {real}."),),
            (Evidence("log", container.name, elsewhere.line),),
        )
    unconfigured = _without_config(case, container, log)
    if unconfigured is not None:
        return unconfigured
    hint = logs.last_line(log.text)
    also = f' (last log line: "{hint}")' if hint else ""
    return Advice(
        f"nothing listens on port {port}{also}",
        (
            Fix(
                f"Make the program listen on {_any(case)}:{port} in time, or probe the port that it really serves.",
                actor=Actor.APP,
                commands=(
                    kubectl(
                        *("exec", case.pod.name, "-c", container.name, "--", "netstat", "-ltn"),
                        namespace=case.pod.namespace,
                    ),
                ),
            ),
        ),
    )


_V4 = lazy(r"(?:\d{1,3}\.){3}\d{1,3}\Z")
_DIALLED = lazy(r"dial tcp \[(?P<v6>[0-9a-fA-F:.]+)(?:%\w+)?\]:\d+|//\[(?P<url>[0-9a-fA-F:.]+)\]")


def _dialled(case: Case, failure: ProbeEvent) -> str:
    """Return the IPv6 address that the kubelet dialled; empty for IPv4."""
    told = _DIALLED.search(failure.event.message)
    if told is not None:
        return told["v6"] or told["url"] or ""
    own = text(case.pod.raw, "status", "podIP")
    return own if ":" in own and "dial tcp" not in failure.event.message else ""


def _other_family(
    case: Case, container: Container, probe: Probe, port: int | None, address: str, said: list[str]
) -> Advice:
    """Explain a refusal over IPv6: a server on 0.0.0.0 takes IPv4 only."""
    words = f"port {port} is refused at the pod's IPv6 address [{address}]"
    why = "its log says that it listens on IPv4 only" if said else "nothing accepts IPv6 there"
    evidence = [case.pod.fact("status", "status.podIP", address)]
    if said:
        evidence.append(Evidence("log", container.name, said[0]))
    pairs = [text(p, "ip") for p in objects(case.pod.raw, "status", "podIPs")]
    dual = any("." in a for a in pairs)
    bind = Fix(
        f"Let the program in container {container.name} listen on [::]:{port}, which takes IPv6 and IPv4; "
        "0.0.0.0 takes "
        "IPv4 only. Services reach the pod at that address, too.",
        actor=Actor.APP,
        commands=(
            kubectl(
                *("exec", case.pod.name, "-c", container.name, "--", "cat", "/proc/net/tcp", "/proc/net/tcp6"),
                namespace=case.pod.namespace,
            ),
        ),
    )
    local = _by_exec(case, container, probe, port)
    primary = (
        Fix(
            "Or make IPv4 the primary address of the pods (ipFamilies order of the cluster), as they have both.",
            actor=Actor.CLUSTER,
        ),
    )
    return Advice(f"{words}: {why}", (bind, local, *(primary if dual else ())), tuple(evidence))


def _by_exec(case: Case, container: Container, probe: Probe, port: int | None) -> Fix:
    path = text(probe.raw, "httpGet", "path")
    check = (
        ["wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{port}{path}"]
        if path
        else ["nc", "-z", "127.0.0.1", str(port)]
    )
    return case.template_fix(
        f"Or probe with an exec command inside container {container.name}, which asks 127.0.0.1, where the image has "
        "one. httpGet.host 127.0.0.1 would ask the node, as the kubelet dials from there.",
        _probe_spec(container, probe, exec={"command": check}, **{probe.handler: None}) if probe.handler else None,
    )


def _tcp_ports(container: Container) -> list[dict[str, object]]:
    return [dict(p) for p in objects(container.spec, "ports") if text(p, "protocol") in ("", "TCP")]


def _any(case: Case) -> str:
    """Return the address to listen on for the family of the pod's address."""
    return "[::]" if ":" in text(case.pod.raw, "status", "podIP") else "0.0.0.0"  # noqa: S104 - advice, not a socket


_TOKEN_REFUSED = lazy(r"tokens/istio-token: permission denied")
_NO_MESH_CONFIG = lazy(
    r"ca request failed|failed to (?:warm certificate|generate workload certificate)"
    r"|config not received from (?:Pilot|XDS server|istiod)|gRPC config stream (?:closed|to xds)"
    r"|XDS client[^\n]{0,80}unavail"
    r"|StreamAggregatedResources gRPC config stream",
    re.IGNORECASE,
)


_DISTRUSTED = lazy(r"x509: certificate signed by unknown authority|unable to get local issuer certificate")
_CONTACT = lazy(r":1501[0-9]: (?:connect: |i/o )?(?:connection (?:timed out|refused)|timeout|no route to host)")


def _without_config(case: Case, container: Container, log: LogText) -> Advice | None:
    """Explain a proxy of Istio that reports unready because it got no configuration."""
    said = next((row for row in reversed(logs.bodies(log.text)) if _NO_MESH_CONFIG.search(row)), "")
    if not said or "proxy" not in container.name + container.image:
        return None
    refused = next((row for row in reversed(logs.bodies(log.text)) if _TOKEN_REFUSED.search(row)), "")
    if refused:
        return _without_token(case, container, refused)
    namespace = "istio-system"
    distrusted = next((row for row in reversed(logs.bodies(log.text)) if _DISTRUSTED.search(row)), "")
    if distrusted:
        return Advice(
            "the proxy does not trust istiod: its certificate is not of the root in ConfigMap istio-ca-root-cert of "
            f"namespace {case.pod.namespace}, as after a new installation or another CA",
            (
                Fix(
                    "Compare the root that the pod has with that of istiod (Secret istio-ca-secret or cacerts). "
                    "istiod writes the ConfigMap anew when it is deleted; then delete the pods of "
                    f"{case.workload_name}, which hold the old one.",
                    actor=Actor.CLUSTER,
                    commands=(
                        kubectl("get", "configmap", "istio-ca-root-cert", "-o", "yaml", namespace=case.pod.namespace),
                        kubectl("get", "secrets", "istio-ca-secret", "cacerts", namespace=namespace),
                        kubectl("delete", "configmap", "istio-ca-root-cert", namespace=case.pod.namespace),
                        kubectl("delete", "pod", case.pod.name, namespace=case.pod.namespace),
                    ),
                ),
                Fix(
                    "If both are the same: more than one istiod (revisions) may sign with different roots; give them "
                    "the same cacerts.",
                    actor=Actor.CLUSTER,
                    commands=(kubectl("get", "pods", "-l", "app=istiod", "-o", "wide", namespace=namespace),),
                ),
            ),
            (Evidence("log", container.name, distrusted),),
        )
    see = Fix(
        f"See whether istiod runs and is ready, and whether pods of namespace {case.pod.namespace} reach it on 15012 "
        "(NetworkPolicy, firewall): without it no proxy gets ready.",
        actor=Actor.CLUSTER,
        commands=(
            kubectl("get", "pods,endpointslices", "-l", "app=istiod", namespace=namespace),
            kubectl("logs", "-l", "app=istiod", "--tail=50", namespace=namespace),
        ),
    )
    version = Fix(
        "If istiod is well, its version and revision must fit the proxy's; restart the pod after an upgrade of Istio.",
        actor=Actor.CLUSTER,
        commands=(kubectl("describe", "pod", case.pod.name, namespace=case.pod.namespace),),
    )
    failed = next((row for row in reversed(logs.bodies(log.text)) if _CONTACT.search(row)), "")
    if failed:
        return Advice(
            f"the proxy does not reach istiod: {short(' '.join(failed.rpartition('desc = ')[2].split()))}",
            (see,),
            (Evidence("log", container.name, failed),),
        )
    return Advice("the proxy has got no configuration from istiod (Pilot)", (see, version))


def _without_token(case: Case, container: Container, line: str) -> Advice:
    """Explain a proxy that may not read its own token: the kubelet gives it to the pod's group, or to its one user."""
    group = number(mapping(case.pod.raw, "spec", "securityContext"), "fsGroup")
    fix = case.template_fix(
        f"Let the proxy read it: fsGroup 1337 in the pod's securityContext of {case.workload_name}, the group that "
        f"{container.name} runs with; without one the kubelet gives the token to root alone where the containers "
        "run as "
        "different users.",
        {"securityContext": {"fsGroup": 1337}},
    )
    return Advice(
        "the proxy may not read its token of the ServiceAccount, so istiod does not let it in",
        (fix,),
        (
            Evidence("log", container.name, line),
            case.pod.fact("spec", "spec.securityContext.fsGroup", group if group is not None else "<none>"),
        ),
    )


def _status(case: Case, container: Container, probe: Probe, failure: ProbeEvent, log: LogText) -> Advice:
    path = text(probe.raw, "httpGet", "path") or "/"
    code = failure.status
    if code == 404:
        fix = case.template_fix(
            f"Set the path of the {probe.field} in {case.workload_name} to one that the program serves, or add {path}."
        )
        return Advice(f"the program answers 404: it has no path {path}", (fix,))
    if code in (401, 403):
        fix = case.template_fix(
            f"Exempt {path} from authentication, or give the {probe.field} the header that it needs."
        )
        return Advice(f"the program answers {code}: {path} needs credentials", (fix,))
    if code == 400:
        fix = case.template_fix(
            f"Check scheme (HTTP or HTTPS) and Host header of the {probe.field}: the server rejects the request."
        )
        return Advice("the server answers 400 to the probe's request", (fix,))
    if code >= 500 and path.rstrip("/").endswith("/actuator/health") and probe.kind != "readiness":
        own = f"{path.rstrip('/')}/liveness"
        fix = case.template_fix(
            f"Point the {probe.field} of {case.workload_name} at {own} (Spring Boot 2.3 or newer, "
            f"management.endpoint.health.probes.enabled=true): {path} fails with every dependency that is down, and a "
            "restart mends none of them.",
            _probe_spec(container, probe, httpGet={"path": own}),
        )
        depends = Fix(
            "Then see which dependency it reports: its log, or the answer with show-details.",
            actor=Actor.APP,
            commands=(kubectl("logs", case.pod.name, "-c", container.name, namespace=case.pod.namespace),),
        )
        return Advice(f"the program answers {code} on {path}, which counts its dependencies in", (fix, depends))
    unconfigured = _without_config(case, container, log) if code >= 500 else None
    if unconfigured is not None:
        return unconfigured
    if code >= 500:
        fix = Fix(
            f"The program itself reports that it is not ready to serve: read what {path} checks, and its log.",
            actor=Actor.APP,
            commands=(kubectl("logs", case.pod.name, "-c", container.name, namespace=case.pod.namespace),),
        )
        return Advice(f"the program answers {code} on {path}", (fix,))
    return Advice(f"the program answers {code} on {path}", (_look(case, container, probe),))


def _look(case: Case, container: Container, probe: Probe) -> Fix:
    return Fix(
        f"Try the {probe.kind} check ({probe.words}) by hand in container {container.name} while it runs, and correct "
        f"the probe or the program in {case.workload_name}.",
        actor=Actor.APP,
    )


def _probe_spec(container: Container, probe: Probe, **fields: object) -> dict[str, object]:
    return container.patch({probe.field: fields})
