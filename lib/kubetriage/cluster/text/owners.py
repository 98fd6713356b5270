"""Which controllers pods and ReplicaSets have, by events and names."""

from __future__ import annotations

from collections.abc import Sequence

from kubetriage.cluster.text.found import Finds, Raw
from kubetriage.cluster.text.store import Store
from kubetriage.values.fields import labels, objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_PLURAL

_CREATED_POD = lazy(r"Created pod: ([a-z0-9][a-z0-9.-]{0,252})")
_SCALED = lazy(r"Scaled (?:up|down) replica set ([a-z0-9][a-z0-9.-]{0,252})")
_GROUPED = ("ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController")
# k8s.io/apimachinery/pkg/util/rand: no vowels, no 0, 1 and 3.
_OF_REPLICA_SET = lazy(
    r"([a-z0-9](?:[a-z0-9.-]{0,200}[a-z0-9])?)-([bcdfghjklmnpqrstvwxz2456789]{6,10})-[bcdfghjklmnpqrstvwxz2456789]{5}"
)


def tell_owners(finds: Sequence[Finds], store: Store, namespace: str) -> None:
    """Let pods and ReplicaSets know their controllers, from the words of the controllers' events and from names."""
    for f in finds:
        for event in f.events:
            place = event.namespace or namespace
            if event.kind in _GROUPED and (created := _CREATED_POD.search(event.message)) is not None:
                store.own("pods", place, created[1], event.kind, event.name)
            elif event.kind == "Deployment" and (scaled := _SCALED.search(event.message)) is not None:
                store.need("replicasets", place, scaled[1])
                store.own("replicasets", place, scaled[1], event.kind, event.name)
    for (resource, place, name), obj in list(store.objects.items()):
        if resource == "pods" and not objects(obj, "metadata", "ownerReferences"):
            _guess_owner(store, place, name, obj)
    for (resource, place, _), obj in list(store.objects.items()):
        if resource != "pods":
            continue
        _guess_deployment(store, place, obj)
        for owner in objects(obj, "metadata", "ownerReferences"):
            base, _, tail = text(owner, "name").rpartition("-")
            if text(owner, "kind") == "ReplicaSet" and base and tail and ("deployments", place, base) in store.objects:
                store.need("replicasets", place, text(owner, "name"))
                store.own("replicasets", place, text(owner, "name"), "Deployment", base)
            if text(owner, "kind") == "Job" and base and tail.isdigit() and ("cronjobs", place, base) in store.objects:
                store.need("jobs", place, text(owner, "name"))
                store.own("jobs", place, text(owner, "name"), "CronJob", base)


def _guess_owner(store: Store, namespace: str, name: str, obj: Raw) -> None:
    """Find the controller by the name that it gives its pods; only one that the texts show."""
    digest = labels(obj, "metadata", "labels").get("pod-template-hash")
    base, _, tail = name.rpartition("-")
    if digest and base.endswith(f"-{digest}"):
        store.own("pods", namespace, name, "ReplicaSet", base)
    elif base and tail.isdigit() and ("statefulsets", namespace, base) in store.objects:
        store.own("pods", namespace, name, "StatefulSet", base)
    elif len(tail) == 5:
        for resource in ("replicasets", "daemonsets", "jobs"):
            if (resource, namespace, base) in store.objects:
                store.own("pods", namespace, name, BY_PLURAL[resource].kind, base)
                return
        if ("deployments", namespace, base.rpartition("-")[0]) in store.objects:
            store.own("pods", namespace, name, "ReplicaSet", base)


def _guess_deployment(store: Store, namespace: str, pod: Raw) -> None:
    """Take a pod for one of a Deployment by its name, where no form prints its controller.

    Nobody else joins a name, the digest of a template and five letters of the generator's alphabet.
    """
    name = text(pod, "metadata", "name")
    match = _OF_REPLICA_SET.fullmatch(name)
    key = ("pods", namespace, name)
    if match is None or objects(pod, "metadata", "ownerReferences"):
        return
    if any(form.covers("metadata.ownerReferences") for form in store.forms[key]):
        return
    between = f"{match[1]}-{match[2]}"
    store.need("deployments", namespace, match[1])
    store.need("replicasets", namespace, between)
    store.own("replicasets", namespace, between, "Deployment", match[1])
    store.own("pods", namespace, name, "ReplicaSet", between)
