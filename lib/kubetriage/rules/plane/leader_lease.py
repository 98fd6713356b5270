"""A component that elects a leader: in comes its lease, out goes a finding when nobody leads."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix, Severity
from kubetriage.rules.plane.case import CLUSTER, Case, Leading, Writes, restarts, waiting
from kubetriage.rules.plane.etcd_disk import onset
from kubetriage.rules.plane.figure_format import ago, count
from kubetriage.rules.plane.leases import CONTROLLER_MANAGER
from kubetriage.values.fields import name_of, namespace_of
from kubetriage.values.times import format_time


def leaderless(case: Case, component: str, code: str, link: str, effect: str) -> Iterator[Finding]:
    """Judge one leader lease."""
    state, lease = case.leading(component), case.leases.leader(component)
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
    where = f"kubectl -n {namespace_of(pods[0])} logs {name_of(pods[0])} --tail=50" if pods else ""
    yield Finding(
        code,
        Severity.ERROR if state is Leading.NO else Severity.WARNING,
        Confidence.CONFIRMED if case.snapshot.source == "cluster" or state is Leading.NO else Confidence.LIKELY,
        CLUSTER,
        message,
        tuple(evidence[:6]),
        (),
        (
            Fix(
                f"Look at the log of {name_of(pods[0])} and at why its kubelet does not start it"
                f" (/etc/kubernetes/manifests/{component}.yaml, crictl ps -a --name {component})."
            )
            if pods
            else Fix(f"Look at the {component} process on the control plane hosts, or ask the provider."),
        ),
        tuple(v for v in (f"kubectl -n kube-system get lease {component} -o yaml", where) if v),
        {"link": link, "since": format_time(lease.renewed)},
    )
