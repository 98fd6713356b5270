"""A component of the control plane logs errors again and again, and no other rule knows what they mean.

Meaning: the component runs or tries to; what it says fails is the best that was seen. It may be the cause or a
consequence of what was not seen.

Told by: no other cause, and lines of level error or fatal of one shape in the last ten minutes of a component's log;
three of them, one that ended the process, or one in a log of a few lines that somebody picked. Where every link was
seen and is ok, such lines are noise.

Fix: follow the object, address or right that the line names, with the look that shows it.

Source: klog, zap and logrus levels; client-go and net error texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.component_log import Remark
from kubetriage.rules.plane.figure_format import count
from kubetriage.rules.plane.last_words import asked_for
from kubetriage.values.commands import PIPE, Command, kubectl
from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time

CODE = "ControlPlaneErrors"

_LATELY = 600.0
_LEADERS = ("kube-controller-manager", "kube-scheduler")
_SEVERAL = 3
_FEW = 8
"""Lines of a log that somebody cut out of a longer one."""
_PARTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "cloud-controller-manager")
_TOLD_ELSEWHERE = ("fatal", "election lost")
"""Kinds of lines that end a process, of which the links tell."""
_LINKS = {
    "kube-apiserver": "API server health",
    "kube-controller-manager": "controller-manager",
    "kube-scheduler": "scheduler",
}


def check(case: Case) -> Iterator[Finding]:
    """Report the most frequent error that nothing else explains; the caller drops it beside any other cause."""
    shapes: dict[tuple[str, str], list[Remark]] = {}
    for remark in case.lately("error", _LATELY):
        shapes.setdefault((remark.source, remark.about), []).append(remark)
    ended = [r for r in case.lately("fatal", _LATELY) if r.source.startswith(_LEADERS)]
    if ended:
        yield _ended(case, ended[-1])
        return
    told = sorted(shapes.values(), key=lambda rows: (-len(rows), rows[-1].at))
    if told and len(told[0]) >= _SEVERAL:
        yield _finding(told[0], told[1:3])
        return
    if case.snapshot.dated:
        return
    # Text that somebody pasted, and of a log of few lines these were picked: one is enough.
    picked = {log.source for log in case.logs if 0 < log.lines <= _FEW and log.source.startswith(_PARTS)}
    alone = [r for r in case.remarks if r.source in picked and r.kind not in _TOLD_ELSEWHERE]
    if alone:
        yield _finding(alone[-1:], [])


def _ended(case: Case, last: Remark) -> Finding:
    """Report a controller-manager or scheduler that ended itself, where nothing but its log was seen."""
    component = next(name for name in _LEADERS if last.source.startswith(name))
    folder = case.machine.path("manifests")
    at = f"{folder}/{component}.yaml" if folder else "its flags"
    fix = asked_for(case, last.words, at) or Fix(
        f"Mend what its last words name, in {at}; the kubelet then starts it by itself.", actor=Actor.CLUSTER
    )
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.LIKELY,
        CLUSTER,
        f"{component} ended itself: {last.words.rstrip('.')[:260]}. Whether another one leads was not seen.",
        (Evidence("log", last.source, last.words, format_time(last.at)),),
        fix=(fix,),
        verify=(kubectl("get", "lease", component, "-o", "jsonpath={.spec.renewTime}", namespace="kube-system"),),
        details={"link": _LINKS[component]},
    )


def _finding(rows: list[Remark], others: list[list[Remark]]) -> Finding:
    last = rows[-1]
    link = next((v for k, v in _LINKS.items() if last.source.startswith(k)), "API server health")
    often = f"fails at one thing again and again ({count(len(rows), 'line')})" if len(rows) > 1 else "logs an error"
    return Finding(
        CODE,
        Severity.WARNING,
        Confidence.POSSIBLE,
        CLUSTER,
        f"{last.source} {often}: {last.words.rstrip('.')[:260]}.",
        tuple(
            Evidence("log", r[-1].source, f"{r[-1].words} ({count(len(r), 'line')} like it)", format_time(r[-1].at))
            for r in (rows, *others)
        ),
        (),
        (_follow(last.words), Fix("Whether this is the cause or follows from what was not seen is open: see UNKNOWN.")),
        (),
        {"link": link, "since": format_time(rows[0].at)},
    )


_FORBIDDEN = lazy(r'User \\?"([^"\\]+)\\?" cannot (\w+) resource \\?"([^"\\]+)\\?"(?: in API group \\?"([^"\\]*)\\?")?')
_DIALLED = lazy(r"dial tcp:? ?(?:lookup )?(\[[\da-f:]+\]|[\w.-]+)(?::(\d+))?(?: on \S+)?: (.{1,60})")
_MISSING_FILE = lazy(r"(?:open|stat) (/\S+?): no such file")
_ABSENT = lazy(r'\b([a-z][\w.]{0,60}) \\?"([\w.-]+)\\?" not found')


def _follow(words: str) -> Fix:
    """Say where to look for what a line names."""
    if found := _FORBIDDEN.search(words):
        resource = f"{found[3]}.{found[4]}" if found[4] else found[3]
        ask: Command = kubectl("auth", "can-i", found[2], resource, f"--as={found[1]}", "-A")
        text = f"Give {found[1]} back the right to {found[2]} {resource}. A restart of the API server restores the"
        return Fix(f"{text} roles of the system's own users.", actor=Actor.CLUSTER, commands=(ask,))
    if found := _DIALLED.search(words):
        host = found[1].strip("[]")
        port = f" on port {found[2]}" if found[2] else ""
        finds = kubectl("get", "services,endpointslices,nodes,pods", "-A", "-o", "wide", PIPE, "grep", re.escape(host))
        return Fix(
            f"See what should answer at {host}{port} ({found[3].strip()}), and bring it or the way to it back.",
            actor=Actor.CLUSTER,
            commands=(finds,),
        )
    if found := _MISSING_FILE.search(words):
        return Fix(f"Bring {found[1]} back on that machine, or correct the flag that names it.", actor=Actor.NODE)
    if "x509" in words:
        return Fix("Compare the certificate that it was shown with the authority that it trusts.", actor=Actor.CLUSTER)
    if found := _ABSENT.search(words):
        return Fix(
            f"See whether {found[1]} {found[2]} should exist, and who removed it.",
            actor=Actor.CLUSTER,
            commands=(kubectl("get", found[1], "-A", PIPE, "grep", found[2]),),
        )
    return Fix("Look at the object that the line names.", actor=Actor.CLUSTER)
