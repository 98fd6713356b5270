"""The program could not listen because its port is taken inside the pod.

Meaning: all containers of a pod share one network, so two of them cannot listen on the same port; with hostNetwork
the whole node shares it, other pods included.

Told by: "Address already in use" (EADDRINUSE) in the last error of the crashed instance, with the port where the
message has one. The other containers' declared ports and hostNetwork say who may hold it.

Fix: give one of the two another port; with hostNetwork choose a port that is free on every node, or turn hostNetwork
off.

Source: bind(2) EADDRINUSE; containers of a pod share the network namespace.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix
from kubetriage.readers.pods import Container, Pod
from kubetriage.rules.crash.acts import app, manifest, node, on_node, place, where
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.container_spec import mount_of, volume_words
from kubetriage.rules.crash.known_errors import unknown_words
from kubetriage.rules.crash.program_output import LastWords, Said, without_clock
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import flag, number, objects, text, texts, uid_of
from kubetriage.values.patterns import lazy

CODE = "AddressInUse"

# strerror(EADDRINUSE), Node's name, Spring Boot's analyzer, Windows sockets, Errno 98 of Python and nginx.
_IN_USE = lazy(
    r"address (?:is )?already in use|\bEADDRINUSE\b|address in use|only one usage of each socket address"
    r"|port \d{1,5} (?:was|is) already in use|errno 98\b|os error 98\b|\(98: ",
    re.IGNORECASE,
)
_PORT = lazy(
    r"(?:[\w.*\]]|::):(?P<a>\d{1,5})(?!\d)|(?:^|\s):{1,3}(?P<b>\d{1,5})(?!\d)|\bport\D{0,4}(?P<c>\d{1,5})(?!\d)"
    r"|', (?P<d>\d{1,5})\)",
    re.IGNORECASE,
)


# Ports that the node's own components and the proxies of meshes hold (kubernetes.io ports and protocols; istio.io
# and linkerd.io reference pages).
_NODE_PORTS = {
    2379: "etcd",
    2380: "etcd",
    6443: "the API server",
    9100: "node-exporter",
    9099: "Calico",
    10248: "the kubelet",
    10249: "kube-proxy",
    10250: "the kubelet",
    10255: "the kubelet",
    10256: "kube-proxy",
    10257: "the controller manager",
    10259: "the scheduler",
}
_MESH_PORTS = {
    **dict.fromkeys((15000, 15001, 15006, 15008, 15020, 15021, 15053, 15090), "Istio"),
    **dict.fromkeys((4140, 4143, 4190, 4191), "Linkerd"),
}


def check(case: Case) -> Iterator[Finding]:
    """Find containers whose last error is a port that is taken."""
    for words in unknown_words(case):
        said = words.find(_IN_USE) or words.beside(_SOCKET_IN_USE)
        if said is not None:
            socket = words.find(_SOCKET_IN_USE) or words.beside(_SOCKET_IN_USE)
            yield _left_socket(words, socket) if socket is not None else _finding(case, words, said)


# nginx, Go, Node and libuv, Python: a socket that is a file.
_SOCKET_IN_USE = lazy(
    r"(?:unix:(?://)?|listen unix |address already in use |socket(?: file)?:? ['\"]?)(?P<path>/[\w./@%+~-]{1,200})"
    r"['\"]?[^\n/]{0,60}(?:address already in use|EADDRINUSE|\(98: |errno 98\b|os error 98\b|already exists)"
    r"|EADDRINUSE[^\n/]{0,40} (?P<after>/[\w./@%+~-]{1,200}\.(?:sock|socket))",
    re.IGNORECASE,
)


def _left_socket(words: LastWords, said: Said) -> Finding:
    """Judge a socket that is a file: it outlives the program that made it, on any volume and not in the image."""
    container, case = words.container, words.case
    path = said.match["path"] or said.match["after"]
    found = mount_of(container, path)
    kept = volume_words(found[1]) if found is not None else ""
    evidence = []
    if found is not None:
        at = f"{container.spec_path}.volumeMounts[{text(found[0], 'name')}]"
        evidence.append(Evidence("spec", at, f"{text(found[0], 'mountPath')} is {kept}"))
    what = f"{container.name} could not listen on socket {path}: the file is left from an instance that was killed"
    if kept:
        what += f", and {kept} outlives a restart of the container"
    fixes = [
        manifest(
            words,
            f"Let the start of {where(words)} remove it first: rm -f {path}.",
        )
    ]
    if found is not None and "emptyDir" in found[1]:
        fixes.insert(
            0,
            manifest(
                words,
                "Delete the pod: a new one begins with an empty volume.",
                None,
                kubectl("delete", "pod", case.pod.name, namespace=case.pod.namespace),
            ),
        )
    fixes.append(
        app(
            "Then find what killed the first instance (memory, a probe, a node): a program that ends in order "
            "removes its "
            "socket.",
            kubectl("events", "--for", f"pod/{case.pod.name}", namespace=case.pod.namespace),
        )
    )
    return words.finding(
        CODE,
        max(said.confidence, Confidence.LIKELY, key=lambda c: c.rank),
        f"{what}.",
        quoted=(said.line,),
        evidence=evidence,
        fix=fixes,
        details={"socket": path},
    )


def _port(words: LastWords, said: Said) -> int | None:
    error = words.error
    for line in (said.line, *(error.lines if error else ())):
        for match in _PORT.finditer(without_clock(line)):
            port = int(next(g for g in match.groups() if g))
            if 0 < port < 65536:
                return port
    return None


# strerror(EADDRINUSE), as against a program that says so whenever it cannot listen.
_SYSTEM_SAYS = lazy(
    r"address (?:is )?already in use|EADDRINUSE|address in use|socket address|err(?:no|or) 98\b|\(98: ", re.I
)
_LOWEST_FREE = 1024


def _not_allowed(words: LastWords, said: Said, port: int | None) -> str:
    """Say what forbids an account to bind a low port, where only the program itself calls the port taken."""
    if port is None or port >= _LOWEST_FREE or _SYSTEM_SAYS.search(said.line):
        return ""
    context = words.container.spec.get("securityContext")
    context = context if isinstance(context, dict) else {}
    if flag(context, "privileged") is True or (number(context, "runAsUser") or 0) == 0:
        return ""
    added = {name.removeprefix("CAP_") for name in texts(context, "capabilities", "add")}
    if flag(context, "allowPrivilegeEscalation") is False:
        return "allowPrivilegeEscalation false, under which the capability of its file does not count"
    if "ALL" in texts(context, "capabilities", "drop") and "NET_BIND_SERVICE" not in added:
        return "capability NET_BIND_SERVICE dropped"
    return ""


def _may_not_bind(words: LastWords, said: Said, port: int, reason: str) -> Finding:
    container = words.container
    context = container.spec["securityContext"]
    allowed = {"allowPrivilegeEscalation": True, "capabilities": {"add": ["NET_BIND_SERVICE"]}}
    return words.finding(
        CODE,
        Confidence.LIKELY,
        f"{container.name} could not listen on port {port} and calls it taken. No other container declares it, and "
        "user "
        f"{context['runAsUser']} may not bind a port below {_LOWEST_FREE}: {reason}.",
        quoted=(said.line,),
        evidence=[Evidence("spec", f"{container.spec_path}.securityContext", json.dumps(context, sort_keys=True))],
        fix=(
            manifest(
                words,
                f"Let {container.name} of {words.case.workload_name} use the capability of its file: "
                "allowPrivilegeEscalation true, and NET_BIND_SERVICE added.",
                container.patch({"securityContext": allowed}),
            ),
            manifest(words, f"Or let it listen above {_LOWEST_FREE - 1}; the Service keeps port {port} (targetPort)."),
        ),
        details={"port": port},
    )


def _declares(container: Container, port: int) -> bool:
    return any(number(p, "containerPort") == port for p in objects(container.spec, "ports"))


def _on_the_host(case: Case, port: int | None) -> list[Pod]:
    """Return other pods of the node that use its network and declare the port there."""
    found = []
    for raw in case.snapshot.list("pods").items:
        if text(raw, "spec", "nodeName") != case.pod.node or uid_of(raw) == case.pod.uid or port is None:
            continue
        host = flag(raw, "spec", "hostNetwork") is True
        ports = [p for c in objects(raw, "spec", "containers") for p in objects(c, "ports")]
        if any(number(p, "hostPort") == port or (host and number(p, "containerPort") == port) for p in ports):
            found.append(Pod(raw))
    return found


def _finding(case: Case, words: LastWords, said: Said) -> Finding:
    name = words.container.name
    port = _port(words, said)
    which = f"port {port}" if port else "its port"
    host = flag(case.pod.raw, "spec", "hostNetwork") is True
    rivals = [
        c for c in case.containers if c.name != name and c.kind != "init" and port is not None and _declares(c, port)
    ]
    reason = _not_allowed(words, said, port)
    if reason and port and not rivals and not host:
        return _may_not_bind(words, said, port, reason)
    evidence = [
        Evidence("spec", f"{c.spec_path}.ports", f"containerPort {port} is declared by {c.name} too") for c in rivals
    ]
    if host:
        evidence.append(Evidence("spec", "spec.hostNetwork", "true"))
    listens = kubectl(
        "exec", case.pod.name, "-c", name, "--", "sh", "-c", "ss -ltnp || netstat -ltnp", namespace=case.pod.namespace
    )
    fixes: tuple[Fix, ...]
    if rivals:
        holder = f"container {rivals[0].name} of the same pod declares it"
        fixes = (
            manifest(
                words, f"Give {name} or {rivals[0].name} of {case.workload_name} another port; a pod has one network."
            ),
        )
    elif host:
        twins = _on_the_host(case, port)
        evidence += [
            Evidence("spec", f"pods[{p.name}]", f"hostNetwork or hostPort {port} on the same node") for p in twins
        ]
        shown = (
            f"pod {twins[0].name} of namespace {twins[0].namespace}"
            if twins
            else _NODE_PORTS.get(port or 0, "something else")
        )
        holder = f"the pod uses the network of {place(words)}, where {shown} has it"
        fixes = (
            node(
                f"See which process of {place(words)} listens there; an old instance that still stops is one.",
                on_node(words, "ss", "-ltnp"),
            ),
            manifest(
                words,
                f"Choose another port in {case.workload_name}, or turn hostNetwork off. A Deployment needs strategy "
                "Recreate (or maxSurge 0), else the new pod meets the old one on its node.",
            ),
        )
    elif port in _MESH_PORTS:
        mesh = _MESH_PORTS[port]
        holder = (
            f"the proxy of {mesh} holds it in every pod of the mesh (also in ambient mode, where no container shows it)"
        )
        fixes = (
            manifest(words, f"Let {name} listen on another port: {mesh} keeps this one."),
            manifest(words, "Or take the pod out of the mesh: its injection label or ambient label set to disabled."),
        )
    else:
        holder = "another process of this pod has it"
        others = [c.name for c in case.containers if c.name != name and c.kind in ("app", "sidecar")]
        if others:
            fixes = (
                manifest(
                    words,
                    f"Containers {', '.join(others)} share its network: give one of them another port "
                    f"than {which[5:] if port else ''}"
                    f" in {case.workload_name}.".replace("  ", " "),
                    None,
                    listens,
                ),
            )
        else:
            fixes = (
                app(
                    f"{name} starts its server twice on {which}: a second worker, a metrics or debug "
                    "listener (JMX, --inspect), "
                    "or a daemon that its script leaves behind."
                ),
                manifest(
                    words,
                    f"See whether a variable sets two of its ports to {port or 'the same number'}.",
                    None,
                    kubectl("set", "env", f"pod/{case.pod.name}", "-c", name, "--list", namespace=case.pod.namespace),
                ),
            )
    return words.finding(
        CODE,
        said.confidence,
        f"{name} could not listen on {which}: {holder}.",
        quoted=(said.line,),
        evidence=evidence,
        fix=fixes,
        details={"port": port} if port else {},
    )
