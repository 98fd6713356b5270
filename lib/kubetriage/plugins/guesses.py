"""What a look at one pod will most likely ask for: pod name in, needs out.

A pod's name tells who made it (a Deployment's is NAME-HASH-SUFFIX), and with most pods there is one container whose
logs are wanted. Asked for together with the pod, this saves two round trips to the API server.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.needs import Get, List, Log, Need, Raw
from kubetriage.plugins import ANY_KIND, Request
from kubetriage.values.patterns import lazy

# apimachinery util/rand: names and the hash of a pod template are made of these letters only; the suffix has five.
_OF_DEPLOYMENT = lazy(r"(?P<set>(?P<owner>.+)-[bcdfghjklmnpqrstvwxz2456789]{6,10})-[bcdfghjklmnpqrstvwxz2456789]{5}")
_OF_STATEFUL_SET = lazy(r"(?P<owner>.+)-\d{1,5}")


def pod_guesses(request: Request) -> Iterator[Need]:
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
        if made := _OF_DEPLOYMENT.fullmatch(target.name):
            yield Get("replicasets", request.namespace, made["set"])
            yield Get("deployments", request.namespace, made["owner"])
        elif made := _OF_STATEFUL_SET.fullmatch(target.name):
            yield Get("statefulsets", request.namespace, made["owner"])
