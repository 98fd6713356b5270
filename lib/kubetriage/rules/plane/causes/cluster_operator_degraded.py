"""A cluster operator of OpenShift reports that its part is not available or degraded.

Meaning: the operator cannot bring its part (etcd, the API server, logins, ingress, the network) into the wanted state.
Updates of the cluster stop until it can. Several operators are often degraded for one reason: a node or the network.

Told by: ClusterOperators with Available=False or Degraded=True; the one that others stand on comes first, in its own
words.

Fix: as its message says: a node that is not ready, pods of its namespace that do not run, an address that is not
reached. Operators mend their part by themselves once that is gone.

Source: openshift/api config/v1 ClusterOperator; library-go static pod and node controllers.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.needs import List
from kubetriage.rules.plane import link_states
from kubetriage.rules.plane.case import Case
from kubetriage.rules.plane.figure_format import count, names
from kubetriage.rules.plane.object_states import ready_status
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.fields import Obj, condition, name_of, text
from kubetriage.values.patterns import lazy

CODE = "ClusterOperatorDegraded"

OPERATORS = List("clusteroperators", cached=True, timeout=5.0)

_ORDER = {
    "etcd": link_states.QUORUM,
    "kube-apiserver": link_states.HEALTH,
    "network": link_states.KUBELETS,
    "dns": link_states.AGGREGATED,
    "kube-controller-manager": link_states.CONTROLLERS,
    "kube-scheduler": link_states.SCHEDULING,
    "openshift-apiserver": link_states.AGGREGATED,
    "machine-config": link_states.KUBELETS,
    "ingress": link_states.AGGREGATED,
    "authentication": link_states.HEALTH,
}
"""What stands on what: the operator that others need first, with the link that it keeps."""
_NAMESPACES = {"network": "openshift-multus", "machine-config": "openshift-machine-config-operator"}


def check(case: Case) -> Iterator[Finding]:
    """Report the operator that others stand on, and name the others."""
    order = list(_ORDER)
    bad = [o for o in case.snapshot.list("clusteroperators").items if _bad(o)]
    bad.sort(key=lambda o: (order.index(name_of(o)) if name_of(o) in order else len(order), name_of(o)))
    if bad:
        yield _finding(bad[0], bad[1:], case)


# library-go's MissingStaticPodController (OpenShift 4.10 and later).
_LATE = lazy(r'static pod: "([\w-]+)" in namespace: "[\w-]+" for revision: (\d+) on node: "([\w.-]+)" didn.t show up')


def _bad(operator: Obj) -> bool:
    down = text(condition(operator, "Available"), "status") == "False"
    return down or text(condition(operator, "Degraded"), "status") == "True"


def _told(operator: Obj) -> Obj:
    available = condition(operator, "Available")
    return available if text(available, "status") == "False" else condition(operator, "Degraded")


def _words(operator: Obj) -> str:
    return " ".join(text(_told(operator), "message").split()).rstrip(".")


def _finding(first: Obj, others: list[Obj], case: Case) -> Finding:
    name, told = name_of(first), _told(first)
    words = _words(first) or text(told, "reason")
    down = text(told, "type") == "Available"
    silent = [name_of(n) for n in case.nodes if ready_status(n) != "True" and name_of(n) in words]
    beside = (
        f" {count(len(others), 'other operator')} with it: {names([name_of(o) for o in others])}." if others else ""
    )
    namespace = _NAMESPACES.get(name, f"openshift-{name.removeprefix('openshift-')}")
    node = (
        Fix(
            f"Bring node {names(silent)} back: the operator waits for it, and mends its part by itself then.",
            actor=Actor.NODE,
            commands=(kubectl("node-triage", *silent[:3]),),
        ),
    )
    late = _LATE.search(_words(first))
    kubelet = (
        (
            Fix(
                f"The kubelet of {late[3]} has not started static pod {late[1]} of revision {late[2]}: read its log for"
                " that pod, then restart it.",
                actor=Actor.NODE,
                commands=(
                    shell("oc", "adm", "node-logs", late[3], "-u", "kubelet", "--tail", "100"),
                    shell("oc", "debug", f"node/{late[3]}", "--", "chroot", "/host", "systemctl", "restart", "kubelet"),
                ),
            ),
        )
        if late
        else ()
    )
    look = Fix(
        f"See what the operator waits for: pods of {namespace} that do not run, then the operator's own log.",
        actor=Actor.CLUSTER,
        commands=(
            shell("oc", "describe", "clusteroperator", name),
            kubectl("get", "pods", "-o", "wide", namespace=namespace),
            kubectl("logs", f"deployment/{name}-operator", "--tail=50", namespace=f"{namespace}-operator"),
        ),
    )
    return Finding(
        CODE,
        Severity.ERROR if down else Severity.WARNING,
        Confidence.CONFIRMED,
        Ref("ClusterOperator", "", name),
        f"Cluster operator {name} is {'not available' if down else 'degraded'}: {words[:320]}.{beside}",
        tuple(
            Evidence(
                "status",
                f"clusteroperator {name_of(o)}",
                f"{text(_told(o), 'reason')}: {_words(o)}",
                text(_told(o), "lastTransitionTime"),
            )
            for o in (first, *others[:4])
        ),
        (),
        (*(node if silent else ()), *kubelet, look),
        (shell("oc", "get", "clusteroperators"),),
        {
            "link": _ORDER.get(name, link_states.AGGREGATED),
            "operators": [name_of(o) for o in (first, *others)],
            **({"since": since} if (since := text(told, "lastTransitionTime")) else {}),
        },
    )
