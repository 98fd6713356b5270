"""What a look at named objects will most likely ask for: names in, needs out.

A pod's name tells who made it (a Deployment's is NAME-HASH-SUFFIX), and with most pods there is one container whose
logs are wanted. Asked for together with the pod, this saves two round trips to the API server.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.needs import Get, List, Log, Need, Raw
from kubetriage.plugins import ANY_KIND, Request
from kubetriage.readers.api_discovery import DISCOVERY
from kubetriage.readers.events import node_event_need
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import namespace_of, objects, text
from kubetriage.values.patterns import lazy

# apimachinery util/rand: names and the hash of a pod template are made of these letters only; the suffix has five.
_OF_DEPLOYMENT = lazy(r"(?P<set>(?P<owner>.+)-[bcdfghjklmnpqrstvwxz2456789]{6,10})-[bcdfghjklmnpqrstvwxz2456789]{5}")
_OF_STATEFUL_SET = lazy(r"(?P<owner>.+)-\d{1,5}")


_OWNERS_AT_MOST = 3
"""Pods of different makers behind one Service; most have one."""
_EVENTS_SECONDS, _LIST_SECONDS = 3.0, 5.0
"""Time limits of what is guessed about a node."""


def pod_guesses(request: Request, _: Snapshot) -> Iterator[Need]:
    """Guess for each named pod: itself, its events, its only container's logs, and who made it."""
    yield Raw("/version")
    for target in request.targets:
        if target.resource == ANY_KIND:
            continue
        yield Get(target.resource, request.namespace, target.name)
        if target.resource != "pods":
            continue
        about = f"involvedObject.kind=Pod,involvedObject.name={target.name}"
        yield List("events", request.namespace, fields=about)
        for previous in (False, True):
            yield Log(request.namespace, target.name, request.container, previous)
        yield from _makers(request.namespace, target.name)


def crash_guesses(request: Request, snapshot: Snapshot) -> Iterator[Need]:
    """Guess as :func:`pod_guesses`, and once it is known who made a pod, that others of it are compared with it."""
    yield from pod_guesses(request, snapshot)
    for target in request.targets:
        found = snapshot.get("pods", request.namespace, target.name) if target.resource == "pods" else None
        if found is not None and found.found:
            # What the plan asks for comes later, since it looks at the logs first.
            from kubetriage.readers.pods import Pod
            from kubetriage.rules.crash.case import Case
            from kubetriage.rules.crash.crash_context import of_the_workload

            yield from of_the_workload(Case(Pod(found.obj), snapshot))


def trace_guesses(request: Request, snapshot: Snapshot) -> Iterator[Need]:
    """Guess for a Service and for an Ingress that of its name, and who made the pods that the known slices name."""
    namespace = request.namespace
    # What the plan asks for first, too: it is under way while the plan is imported.
    yield DISCOVERY
    for target in request.targets:
        if target.resource in ("services", "ingresses"):
            yield Get(target.resource, namespace, target.name)
            yield Get("services", namespace, target.name)
            yield List("endpointslices", namespace, f"kubernetes.io/service-name={target.name}")
            yield List("networkpolicies", namespace)
    makers: dict[Need, None] = {}
    for resource, obj in snapshot.objects:
        if resource != "endpointslices" or namespace_of(obj) != namespace:
            continue
        for endpoint in objects(obj, "endpoints"):
            if text(endpoint, "targetRef", "kind") == "Pod" and len(makers) < 2 * _OWNERS_AT_MOST:
                makers.update(dict.fromkeys(_makers(namespace, text(endpoint, "targetRef", "name"))))
    yield from makers


def node_guesses(request: Request, _: Snapshot) -> Iterator[Need]:
    """Guess for each named node: its events, its pods, and the requests for certificates."""
    for target in request.targets:
        yield node_event_need(target.name, _EVENTS_SECONDS)
        yield List("pods", fields=f"spec.nodeName={target.name}", cached=True, timeout=_LIST_SECONDS)
        yield List("certificatesigningrequests", cached=True, timeout=_EVENTS_SECONDS)


def _makers(namespace: str, pod: str) -> Iterator[Need]:
    """Guess from a pod's name who made it."""
    if made := _OF_DEPLOYMENT.fullmatch(pod):
        yield Get("replicasets", namespace, made["set"])
        yield Get("deployments", namespace, made["owner"])
    elif made := _OF_STATEFUL_SET.fullmatch(pod):
        yield Get("statefulsets", namespace, made["owner"])
