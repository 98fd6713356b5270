"""Parts of the control plane that their own probe ends: in come the kubelet's events, out goes what answers it."""

from __future__ import annotations

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.readers.events import Event
from kubetriage.records import dataclass
from kubetriage.rules.plane.case import Case
from kubetriage.rules.plane.control_plane_pods import Failing
from kubetriage.rules.plane.etcd_members import flags
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.fields import Obj, mapping, namespace_of, number, objects, text
from kubetriage.values.patterns import lazy


@dataclass(frozen=True)
class ProbeEnding:
    """Why the kubelet ends a container by a probe, and what ends that."""

    words: str
    evidence: tuple[Evidence, ...]
    fix: Fix


_PROBE = lazy(r"\A(Liveness|Startup) probe failed: ?(.{0,300})")
_STATUS = lazy(r"statuscode: (\d{3})")


def probe_ending(case: Case, item: Failing) -> ProbeEnding | None:
    """Return what the probe met that ended a container; None where no event tells of one."""
    if item.ending.code not in (137, 143, 0, 2, 1):
        return None
    mine = [e for e in case.events if text(e.raw, "involvedObject", "name") == item.name]
    killed = [e for e in mine if e.reason == "Killing" and "probe" in e.message]
    failed = [(e, m) for e in mine if e.reason == "Unhealthy" and (m := _PROBE.match(e.message))]
    if not failed or not (killed or item.stopped):
        return None
    event, match = failed[-1]
    kind, said = match[1].lower(), match[2].strip()
    container = next((c for c in objects(item.pod, "spec", "containers") if text(c, "name") == item.container), {})
    text_of_fix, proof = _meaning(case, item, container, kind, said)
    return ProbeEnding(
        f"Its kubelet ends it, since its {kind} probe fails: {said.rstrip('.')}.",
        (event.evidence(), *_killing(killed), *proof),
        Fix(text_of_fix, actor=Actor.CLUSTER, commands=_looks(case, item, container)),
    )


def _killing(killed: list[Event]) -> tuple[Evidence, ...]:
    return (killed[-1].evidence(),) if killed else ()


def _manifest(case: Case, item: Failing) -> str:
    folder = case.machine.path("manifests")
    return f"{folder}/{item.component}.yaml" if folder else "its flags"


def _meaning(case: Case, item: Failing, container: Obj, kind: str, said: str) -> tuple[str, tuple[Evidence, ...]]:
    given, at = flags(container), _manifest(case, item)
    status = _STATUS.search(said)
    code = status[1] if status else ""
    if code in ("401", "403"):
        off = given.get("anonymous-auth") == "false"
        proof = Evidence("spec", f"pod {item.name} --anonymous-auth", "false")
        first = (
            f"Take --anonymous-auth=false out of {at}"
            if off
            else f"Let {item.component} answer anonymous requests for /livez, /readyz and /healthz (flags in {at})"
        )
        return (
            f"{first}: it runs, and refuses the kubelet's probe with {code}, which asks without credentials. RBAC gives"
            " anonymous users little more than health checks and the version. To keep them out of the rest use"
            " --authentication-config with anonymous.enabled: true and conditions for those three paths.",
            (proof,) if off else (),
        )
    if code.startswith("5"):
        return (
            f"One of the health checks of {item.component} fails ({code}): ask which one, and mend that. A restart"
            " does not.",
            (),
        )
    wanted, port = given.get("secure-port", ""), _port(container, kind)
    if "refused" in said and wanted and port and wanted != port:
        return (
            f"The {kind} probe asks port {port}, and {item.component} listens on {wanted} (--secure-port). Give both"
            f" the same port in {at}.",
            (Evidence("spec", f"pod {item.name} --secure-port", wanted),),
        )
    if "refused" in said:
        return (
            f"Nothing listens yet when the {kind} probe asks: its own previous log says what it waits for at its start"
            f" (etcd, certificates). Only if it is merely slow: raise failureThreshold of its startupProbe in {at}.",
            (),
        )
    return (
        f"{item.component} does not answer its probe in time: the machine or etcd is too slow for it, or it is"
        f" overloaded. Relieve that first; a higher timeoutSeconds or failureThreshold in {at} only keeps the"
        " restarts from adding to it.",
        (),
    )


def _port(container: Obj, kind: str) -> str:
    found = number(mapping(container, f"{kind}Probe", "httpGet"), "port")
    return str(found) if found is not None else ""


def _looks(case: Case, item: Failing, container: Obj) -> tuple[str, ...]:
    port = _port(container, "liveness") or _port(container, "startup")
    asked = (
        (shell("ssh", case.machine.address, f"curl -sk https://127.0.0.1:{port}/livez?verbose"),)
        if port and item.component == "kube-apiserver" and case.machine.address
        else ()
    )
    return (*asked, kubectl("logs", item.name, "--previous", "--tail=100", namespace=namespace_of(item.pod)))
