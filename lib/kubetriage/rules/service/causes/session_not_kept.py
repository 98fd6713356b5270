"""Requests of one session reach several pods, and each pod knows only its own sessions.

Meaning: long polling, WebSocket handshakes and logins fail now and then (400, 404, a loop of reconnects) as soon as a
second pod runs; with one pod all is well.

Told by: the program's own words for a session that it does not know, in the log of a pod, where several pods are ready
behind the Service and nothing on the way keeps a client at one of them.

Fix: let the entrance keep each client at its pod by a cookie, or keep the sessions in a store that all pods share. An
ingress controller connects to the pods themselves, so spec.sessionAffinity of the Service is for clients without one.

Source: Socket.IO using multiple nodes; SignalR scale; ingress-nginx affinity; Traefik sticky sessions.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from re import Pattern
from re import compile as compiled

from kubetriage.data import table
from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.pod_lines import newest_lines
from kubetriage.typed import Any
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import labels, text

CODE = "SessionNotKept"

_LONGEST = 2000


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the logs of the pods behind each Service with several of them."""
    for backend in trace.services:
        if len(backend.ready_pods) < 2 or _kept(trace, backend):
            continue
        found = _lost(trace, backend)
        if found is not None:
            yield _fault(trace, backend, *found)


def _lost(trace: Trace, backend: Backend) -> tuple[Mapping[str, Any], Evidence] | None:
    """Return the row and the newest line with which a pod says that it does not know a session."""
    for pod in backend.ready_pods:
        for container, line in newest_lines(trace.snapshot, pod):
            for row in table("sessions")["lost"] if len(line) < _LONGEST else ():
                if _pattern(row["match"]).search(line):
                    return row, Evidence("log", f"pod/{pod.name} {container}", line.strip())
    return None


@cache
def _pattern(words: str) -> Pattern[str]:
    return compiled(words)


def _entrance(trace: Trace, backend: Backend) -> Entrance | None:
    """Return the Ingress on the way to a Service."""
    return next((e for e in trace.ingresses if any(e.backend(p) == backend for p in e.paths)), None)


def _row_of(entrance: Entrance | None) -> Mapping[str, Any] | None:
    known = entrance.known.controller if entrance is not None and entrance.known is not None else ""
    return next((r for r in table("sessions")["controllers"] if known.startswith(r["controller"])), None)


def _kept(trace: Trace, backend: Backend) -> bool:
    """Tell whether something on the way keeps a client at a pod."""
    entrance = _entrance(trace, backend)
    marks = dict(labels(backend.service, "metadata", "annotations"))
    if entrance is None:
        return text(backend.service, "spec", "sessionAffinity") == "ClientIP" or bool(trace.routes or trace.customs)
    marks.update(entrance.ingress.annotations)
    words = " ".join(f"{k}={v}" for k, v in marks.items()).lower()
    return any(w in words for w in ("affinity=", "sticky", "cookie-persistence", "upstream-hash-by", "stickiness"))


def _fault(trace: Trace, backend: Backend, row: Mapping[str, Any], line: Evidence) -> Fault:
    entrance = _entrance(trace, backend)
    pods = len(backend.ready_pods)
    return fault(
        CODE,
        backend.place,
        f"{row['who']} behind svc/{backend.name} says that it does not know a session: {pods} pods are ready, each "
        "knows its own sessions only, and nothing on the way keeps a client at one pod.",
        severity=Severity.WARNING,
        proof="observed",
        confidence=Confidence.LIKELY,
        evidence=[
            line,
            Evidence("status", f"ready pods of svc/{backend.name}", str(pods)),
            _setting(backend, entrance),
        ],
        fix=list(_fixes(backend, entrance, str(row["who"]))),
        verify=(backend.kubectl("logs", backend.ready_pods[0].name, "--since=5m"),),
        short=f"{pods} pods, and no client is kept at one",
    )


def _setting(backend: Backend, entrance: Entrance | None) -> Evidence:
    row = _row_of(entrance)
    if row is not None and entrance is not None:
        on = entrance.name if row["on"] == "ingress" else f"service/{backend.name}"
        return Evidence("spec", f"{on} annotation {next(iter(row['set']))}", "<none>")
    affinity = text(backend.service, "spec", "sessionAffinity") or "None"
    return Evidence("spec", f"service/{backend.name} spec.sessionAffinity", affinity)


def _fixes(backend: Backend, entrance: Entrance | None, who: str) -> Iterator[Fix]:
    row = _row_of(entrance)
    if row is not None and entrance is not None:
        marks = [f"{k}={v.replace('SERVICE', backend.name)}" for k, v in row["set"].items()]
        on = ("ingress", entrance.ingress.name) if row["on"] == "ingress" else ("service", backend.name)
        yield Fix(
            f"Keep each client at its pod by a cookie (session affinity): {', '.join(marks)} on {'/'.join(on)}",
            actor=Actor.MANIFEST,
            commands=(kubectl("annotate", *on, *marks, "--overwrite", namespace=backend.namespace),),
        )
    elif entrance is not None:
        yield Fix(
            f"Let the controller of {entrance.name} keep each client at its pod by a cookie (sticky sessions)",
            actor=Actor.MANIFEST,
        )
    else:
        yield Fix(
            f"Keep each client at its pod by its address: sessionAffinity of svc/{backend.name}. Behind a proxy of "
            "your own let that keep a cookie instead",
            {"spec": {"sessionAffinity": "ClientIP"}},
            backend.ref,
            Actor.MANIFEST,
        )
    owner = backend.workload(backend.ready_pods[0])
    yield Fix(
        f"Or keep the sessions of {who} in a store that all pods share (its Redis adapter or backplane), or allow "
        "WebSockets only. Until then one pod ends the errors",
        actor=Actor.APP,
        commands=(
            (backend.kubectl("scale", f"{owner.kind.lower()}/{owner.name}", "--replicas=1"),)
            if owner.kind in ("Deployment", "StatefulSet")
            else ()
        ),
    )
