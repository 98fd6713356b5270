"""The controller on the way may not read what it needs to route: its role is older than its program.

Meaning: an informer that may not list keeps a controller from its first configuration, or leaves out what it cannot
see: 404 for every host, 503 for Services whose endpoints it does not know, or objects that nobody takes.

Told by: the API server's own sentence in the log of the controller of an Ingress, a Gateway or a custom route: its
ServiceAccount "cannot list resource" or "cannot watch resource". Events alone are nothing that a route needs.

Fix: the ClusterRole of the same version as the image (the chart's, or its published manifests), or the one right that
is missing.

Source: client-go tools/cache reflector; RBAC of Traefik, ingress-nginx, Kong and others by version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from kubetriage.model import Actor, Evidence, Fix, Ref
from kubetriage.readers.pods import Pod
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Place
from kubetriage.rules.service.gateway_agents import agents_of
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.pod_lines import newest_lines
from kubetriage.rules.workloads import controller_ref
from kubetriage.snapshot import Snapshot
from kubetriage.values.commands import Command, kubectl
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy

CODE = "ControllerForbidden"

_FORBIDDEN = lazy(
    r"User \W{0,2}system:serviceaccount:(?P<space>[\w.-]{1,63}):(?P<account>[\w.-]{1,253})\W{1,4}cannot "
    r"(?P<verb>list|watch|get) resource \W{0,2}(?P<resource>[\w/]{1,63})\W{1,4}in API group \W{0,2}"
    r"(?P<group>[\w.-]{0,253}?)\W{1,3} ?(?:at the cluster scope|in the namespace \W{0,2}(?P<where>[\w.-]{1,63}))"
)
_NEEDLESS = frozenset(("events", "componentstatuses"))
_BEFORE = 60
"""Letters of a line before the user that name what was refused."""
_LAST = 400
"""Lines of a log that speak of the present: a reflector that is refused asks again within a minute."""


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the log of each controller on the way, once."""
    told = set()
    for place, ref, shown, pods in _controllers(trace):
        for pod in pods:
            found = None if pod.uid in told else _refusal(trace, pod)
            if found is not None:
                told.add(pod.uid)
                yield _fault(trace.snapshot, place, ref, shown, pod, *found)
                break


def _controllers(trace: Trace) -> Iterator[tuple[Place, Ref, str, tuple[Pod, ...]]]:
    for entrance in trace.ingresses:
        yield entrance.place, entrance.ref, entrance.name, entrance.controller_pods
    for custom in trace.customs:
        yield custom.place, custom.ref, custom.shown, custom.controller_pods
    for entry in trace.gateways:
        controller = text(entry.class_lookup.obj, "spec", "controllerName")
        yield entry.place, entry.ref, entry.shown, agents_of(trace.world, controller)


def _refusal(trace: Trace, pod: Pod) -> tuple[str, re.Match[str]] | None:
    for container, line in islice(newest_lines(trace.snapshot, pod), _LAST):
        match = _FORBIDDEN.search(line)
        if match is not None and match["resource"] not in _NEEDLESS:
            return f"pod/{pod.name} {container}", match
    return None


def _fault(snapshot: Snapshot, place: Place, ref: Ref, shown: str, pod: Pod, at: str, match: re.Match[str]) -> Fault:
    what = f"{match['resource']}.{match['group']}".rstrip(".")
    account, where = f"{match['space']}:{match['account']}", match["where"] or ""
    scope = f" in namespace {where}" if where else ""
    return fault(
        CODE,
        place,
        f"pod/{pod.name}, the controller of {shown}, may not {match['verb']} {what}{scope}, so it cannot route by them:"
        " 404 or 503 for what depends on them, often for every host.",
        proof="observed",
        about=ref,
        evidence=[Evidence("log", at, match.string[max(0, match.start() - _BEFORE) :].strip())],
        fix=[
            Fix(
                f"Give {match['account']} the role of its program's version (upgrade the chart whole, its RBAC and CRDs"
                " too, not the image alone), then restart it. For now the one right that is missing will do",
                actor=Actor.CLUSTER,
                commands=(
                    *_grant(match["account"], account, what, where),
                    *_again(snapshot, pod),
                ),
            )
        ],
        verify=(_may(account, what, where),),
        short=f"its controller may not {match['verb']} {what}",
    )


def _grant(name: str, account: str, what: str, where: str) -> tuple[Command, ...]:
    """Return the commands that give an account the one right, in one namespace or in all."""
    kind, named = ("role", f"{name}-{what.partition('.')[0].partition('/')[0]}")
    kind = kind if where else "clusterrole"
    return (
        kubectl("create", kind, named, "--verb=get,list,watch", f"--resource={what}", namespace=where),
        kubectl("create", f"{kind}binding", named, f"--{kind}={named}", f"--serviceaccount={account}", namespace=where),
    )


def _again(snapshot: Snapshot, pod: Pod) -> tuple[Command, ...]:
    """Return the command that restarts the workload of a pod, where it is known."""
    owner = controller_ref(snapshot, pod.raw)
    if owner is None or owner.kind not in ("Deployment", "DaemonSet", "StatefulSet"):
        return ()
    return (kubectl("rollout", "restart", f"{owner.kind.lower()}/{owner.name}", namespace=pod.namespace),)


def _may(account: str, what: str, where: str) -> Command:
    scope = () if where else ("-A",)
    user = f"--as=system:serviceaccount:{account}"
    return kubectl("auth", "can-i", "list", what, user, *scope, namespace=where)
