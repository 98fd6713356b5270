"""A part of the control plane runs, and ends again and again.

Meaning: between its ends everything looks ok. Each end of an API server makes every client list anew, each end of a
controller-manager or scheduler leaves the cluster without it until the next one leads.

Told by: the pod's status: it runs, has restarted more than three times and ended in the last ten minutes, or was killed
for want of memory in the last hour. Where a cause of its own explains the link, this adds nothing.

Fix: as its last end asks: memory for OOMKilled, what a failed probe met by the kubelet's events, else its previous log.

Source: kubelet restart back-off; kubeadm's liveness probes.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Finding, Fix, Ref, Severity
from kubetriage.rules.plane.case import Case
from kubetriage.rules.plane.control_plane_pods import Failing
from kubetriage.rules.plane.figure_format import count
from kubetriage.rules.plane.probe_endings import probe_ending
from kubetriage.values.commands import PIPE, kubectl
from kubetriage.values.fields import namespace_of
from kubetriage.values.times import format_time, human_duration

CODE = "ControlPlaneRestarts"

LINKS = {
    "etcd": "etcd quorum and leader",
    "kube-apiserver": "API server health",
    "kube-controller-manager": "controller-manager",
    "kube-scheduler": "scheduler",
}
"""The link that a component is."""


_GROWS = {
    "kube-apiserver": " What makes it grow is mostly clients that list all objects of a large kind, or many events and"
    " Secrets: see which client and kind, and stop that.",
    "etcd": " What makes it grow is the size of its database and large lists: see what fills it.",
    "kube-controller-manager": " What makes it grow is the number of objects that it caches: pods, Jobs, ReplicaSets.",
}
_OBJECTS = kubectl("get", "--raw", "/metrics", PIPE, "grep", "apiserver_storage_objects{")
_WHO = {
    "kube-apiserver": (
        kubectl("get", "--raw", "/metrics", PIPE, "grep", "^apiserver_longrunning_requests"),
        _OBJECTS,
    ),
    "etcd": (_OBJECTS,),
    "kube-controller-manager": (_OBJECTS,),
}


def check(case: Case) -> Iterator[Finding]:
    """Report each component that ended lately, again."""
    for item in case.unsteady:
        yield _finding(item, case)


def _finding(item: Failing, case: Case) -> Finding:
    where = namespace_of(item.pod)
    killed = item.ending.reason == "OOMKilled"
    age = f" {human_duration(case.now - item.ending.at)} ago" if item.ending.at else ""
    how = "killed for want of memory" if killed else f"with exit code {item.ending.code} ({item.ending.reason})"
    probe = None if killed else probe_ending(case, item)
    fix = (
        probe.fix
        if probe is not None
        else Fix(
            f"Give it more memory: raise the limit of {item.name}, or take load off the machine {item.node}."
            + _GROWS.get(item.component, ""),
            actor=Actor.CLUSTER,
            commands=(kubectl("oom-budget", item.name, namespace=where), *_WHO.get(item.component, ())),
        )
        if killed
        else Fix(
            "Read its previous log, and whether a probe ended it.",
            actor=Actor.CLUSTER,
            commands=(
                kubectl("why-crash", item.name, namespace=where),
                kubectl("logs", item.name, "--previous", "--tail=100", namespace=where),
            ),
        )
    )
    return Finding(
        CODE,
        Severity.WARNING,
        Confidence.CONFIRMED,
        Ref("Pod", where, item.name, container=item.container),
        f"{item.name} runs, and ended last{age}, {how}; {count(item.restarts, 'restart')} so far."
        + (f" {probe.words}" if probe is not None else ""),
        (item.evidence(), *(probe.evidence if probe is not None else ())),
        (),
        (fix,),
        (kubectl("get", "pod", item.name, namespace=where),),
        {"link": LINKS[item.component], **({"since": format_time(item.ending.at)} if item.ending.at else {})},
    )
