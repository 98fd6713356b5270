"""A component that elects a leader: in comes its lease, out goes a finding when nobody leads."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, RuledOut, Severity
from kubetriage.rules.plane import api_server
from kubetriage.rules.plane.case import CLUSTER, Case, Leading, Writes
from kubetriage.rules.plane.component_log import Remark
from kubetriage.rules.plane.control_plane_pods import Failing, crash_finding
from kubetriage.rules.plane.etcd_disk import onset
from kubetriage.rules.plane.figure_format import ago, count
from kubetriage.rules.plane.last_words import last_words
from kubetriage.rules.plane.leases import CONTROLLER_MANAGER
from kubetriage.rules.plane.object_states import restarts, waiting
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import name_of, namespace_of
from kubetriage.values.times import format_time


def leaderless(case: Case, component: str, code: str, link: str, effect: str) -> Iterator[Finding]:
    """Judge one leader lease."""
    state, lease = case.leading(component), case.leases.leader(component)
    if state is Leading.UNKNOWN or lease is None or lease.renewed is None:
        yield from _by_pods_and_logs(case, component, code, link, effect)
        return
    if state not in (Leading.NO, Leading.LATE) or lease is None or lease.renewed is None:
        return
    released = not lease.holder
    pods = case.of(component)
    how = "was given up" if released else "was last renewed"
    message = f"No {component} leads: its lease {how} {ago(lease.renewed, case.now)}; {effect}."
    if state is Leading.LATE:
        message = (
            f"No {component} has renewed its lease since {ago(lease.renewed, case.now)}; another one takes over"
            " about 17 s after the last renewal."
        )
    past = onset(case) if component == CONTROLLER_MANAGER else ""
    frozen = case.writes in (Writes.FROZEN, Writes.SLOW)
    if past and not frozen and state is Leading.NO:
        message += f" {past[0].upper()}{past[1:]}; it has not come back since."
    evidence = [
        Evidence(
            "status",
            f"spec.renewTime of lease kube-system/{component}",
            f"holder {lease.holder}" if lease.holder else "released (no holder)",
            format_time(lease.renewed),
        )
    ]
    for pod in pods:
        if reason := waiting(pod):
            evidence.append(Evidence("status", f"pod {name_of(pod)}", f"waiting: {reason}"))
        for _, number, ended, exit_code, reason in restarts(pod):
            evidence.append(
                Evidence(
                    "status",
                    f"pod {name_of(pod)}",
                    f"restarted {count(number, 'time')}, last exit {exit_code} {reason}".strip(),
                    format_time(ended) if ended else "",
                )
            )
    told = next((w for p in pods if (w := last_words(case, name_of(p), component)) is not None), None)
    if told is not None and state is Leading.NO:
        message += f" The log of its pod says: {told.words.rstrip('.')}."
        evidence = [evidence[0], *told.evidence, *evidence[1:]]
    # A list may come from a stale watch cache; the API server's metrics show who still works.
    metrics = api_server.served(case.api, component) is not None
    sure = metrics if state is Leading.NO else case.snapshot.source == "cluster"
    mended = told is not None and told.fix is not None and state is Leading.NO
    rest = (
        ()
        if mended
        else (
            Fix(
                f"Mend what its log ends with: flags stand in /etc/kubernetes/manifests/{component}.yaml, files where"
                " those flags point."
            ),
        )
        if pods and told is not None
        else (
            Fix(
                f"Look at the log of {name_of(pods[0])} and at why its kubelet does not start it"
                f" (/etc/kubernetes/manifests/{component}.yaml, crictl ps -a --name {component})."
            ),
        )
        if pods
        else (Fix(f"Look at the {component} process on the control plane hosts, or ask the provider."),)
    )
    where = kubectl("logs", name_of(pods[0]), "--tail=50", namespace=namespace_of(pods[0])) if pods else ""
    yield Finding(
        code,
        Severity.ERROR if state is Leading.NO else Severity.WARNING,
        Confidence.CONFIRMED if sure else Confidence.LIKELY,
        CLUSTER,
        message,
        tuple(evidence[:6]),
        (),
        (
            *((told.fix,) if told is not None and told.fix and state is Leading.NO else ()),
            *rest,
        ),
        tuple(v for v in (kubectl("get", "lease", component, "-o", "yaml", namespace="kube-system"), where) if v),
        {"link": link, "since": format_time(lease.renewed)},
    )


_LOST = 300.0
"""Seconds for which a lost election in a log speaks of the present."""


def _by_pods_and_logs(case: Case, component: str, code: str, link: str, effect: str) -> Iterator[Finding]:
    """Judge a component of which no lease was seen: by its pods, then by its own last words."""
    pods = case.of(component)
    loops = [f for f in case.failing if f.component == component]
    if loops and len(loops) == len(pods):
        yield loop_finding(case, loops, code, link, effect)
        return
    lost = [r for r in case.lately("election lost", _LOST) if _of(component, r.source)]
    refused = [
        r for r in case.lately("renewal failed", _LOST) if "is forbidden" in r.words and _of(component, r.source)
    ]
    if refused and not lost:
        yield _without_rights(refused, component, code, link, effect)
    if not lost:
        return
    evidence = [
        Evidence("log", r.source, r.words, format_time(r.at))
        for r in (*case.lately("renewal failed", _LOST)[-1:], lost[-1])
    ]
    yield Finding(
        code,
        Severity.ERROR,
        Confidence.LIKELY,
        CLUSTER,
        f"The {component} lost its lease and ended ({lost[-1].words}); until it leads again, {effect}.",
        tuple(evidence),
        (),
        (
            Fix(
                "It could not renew in time: follow etcd and the API server first; it starts again by itself.",
                actor=Actor.CLUSTER,
                commands=case.machine.lines("kubelet log"),
            ),
        ),
        (kubectl("get", "lease", component, "-o", "yaml", namespace="kube-system"),),
        {"link": link, "since": format_time(lost[-1].at)},
    )


def _without_rights(refused: list[Remark], component: str, code: str, link: str, effect: str) -> Finding:
    """Report a component that may not take its lease: a role or binding of the system was changed or deleted."""
    user = f"system:{component}"
    return Finding(
        code,
        Severity.ERROR,
        Confidence.CONFIRMED,
        CLUSTER,
        f"The {component} may not take its lease (forbidden), so it does not lead; until it may, {effect}.",
        tuple(Evidence("log", r.source, r.words, format_time(r.at)) for r in refused[-2:]),
        (RuledOut("CertificateRejected", "the API server knows who asks; it refuses the right"),),
        (
            Fix(
                f"Give {user} its roles back: ClusterRoleBinding {user} and, in kube-system, RoleBinding"
                f" system::leader-locking-{component}. An API server makes those that are missing when it starts.",
                actor=Actor.CLUSTER,
                commands=(
                    kubectl("auth", "can-i", "update", f"leases/{component}", f"--as={user}", namespace="kube-system"),
                    kubectl("get", "clusterrolebinding", user),
                    kubectl("get", "rolebinding", f"system::leader-locking-{component}", namespace="kube-system"),
                ),
            ),
            Fix(
                "If the roles are there: see which user its kubeconfig names, and --authorization-mode of the API"
                " server."
            ),
        ),
        (kubectl("get", "lease", component, "-o", "yaml", namespace="kube-system"),),
        {"link": link, "since": format_time(refused[0].at)},
    )


def _of(component: str, source: str) -> bool:
    """Tell whether a line about a lost election is this component's; in one journal of all, the manager's counts."""
    if any(c in source for c in ("scheduler", "controller-manager")):
        return component in source
    return component == CONTROLLER_MANAGER


_UNSEEN = "why it ends was not seen."


_NAMELESS = ("AppError", "Unknown")


def loop_finding(case: Case, loops: list[Failing], code: str, link: str, effect: str) -> Finding:
    """Report a component whose pods end again and again, with why-crash's reason."""
    first = loops[0]
    crash = crash_finding(case.snapshot, first.pod)
    told = last_words(case, first.name, first.component)
    reason = f"it ends with: {told.words.rstrip('.')}." if told else crash.message if crash else _UNSEEN
    evidence = [f.evidence() for f in loops[:3]] + list(told.evidence if told else ())
    evidence += list(crash.evidence[:4]) if crash else []
    # A node whose API server is down looks lost: its kubelet runs, as it starts this pod again and again.
    circular = crash is not None and crash.cause in ("NodeNotReady", "NodeRestarted", "NodeShutdown")
    own = (told.fix,) if told and told.fix else ()
    return Finding(
        code,
        Severity.ERROR,
        Confidence.CONFIRMED if crash or told else Confidence.LIKELY,
        Ref("Pod", namespace_of(first.pod), first.name, container=first.container),
        f"{first.name} is in {first.waiting or 'a restart loop'} ({count(first.restarts, 'restart')}): {reason} So"
        f" {effect}.",
        tuple(evidence),
        crash.ruled_out if crash else (),
        (
            *own,
            # A copy of a static pod with a shell, as for a program that nobody knows, shows nothing of it.
            *(crash.fix[:3] if crash and not circular and not own and crash.cause not in _NAMELESS else ()),
            Fix(
                f"Read its last words; as a static pod it is started from {case.machine.path('manifests')}.",
                actor=Actor.CLUSTER,
                commands=(
                    kubectl("logs", first.name, "--previous", namespace=namespace_of(first.pod)),
                    *case.machine.lines("container log", container=first.container),
                ),
            ),
        ),
        (kubectl("get", "pod", first.name, namespace=namespace_of(first.pod)),),
        {
            "link": link,
            **({"since": format_time(first.ending.at)} if first.ending.at else {}),
            **({"crash": crash.cause} if crash else {}),
        },
    )
