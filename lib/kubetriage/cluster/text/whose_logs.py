"""Whose log a text is: as its command, its file or its own lines tell, else the pod's that the paste is about."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from kubetriage.cluster.text.found import FoundLog, Raw
from kubetriage.cluster.text.paste import Hint, LogKey, ObjectKey, Paste
from kubetriage.cluster.text.printed_pods import NO_CONTAINER, NO_IMAGE
from kubetriage.cluster.text.store import Store
from kubetriage.cluster.text.subject import NO_POD, only_pod, pods_of
from kubetriage.data import table
from kubetriage.found import Form
from kubetriage.values.fields import dig, objects, text
from kubetriage.values.resources import BY_PLURAL

_OF_LOG = Form("a log", shows=("metadata.name",))
_OF_TEMPLATE = Form("its template", shows=("metadata.name", "metadata.labels", "spec"))
WORKLOADS = ("deployments", "statefulsets", "daemonsets", "jobs", "replicasets")


_PARTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "cloud-controller-manager", "etcd")


def _part(log: FoundLog, pod: str) -> str:
    """Return the part of the control plane that wrote a log: the plugin that reads it knows those without their pods.

    A process or a tool that is no pod has one name for both.
    """
    if log.container == pod:
        return pod
    return next((part for part in _PARTS if pod == part or pod.startswith(f"{part}-")), "")


_SERVED = ("ingresses", "gateways", "httproutes", "ingressroutes.traefik.io", "ingressroutes", "services")
"""Objects that controllers write about."""


def _is_controller(pod: str) -> bool:
    """Tell whether a pod is of a controller that routes by objects, or of an autoscaler, by its name."""
    known = [name for row in table("ingress_controllers")["controllers"] for name in row.get("pods", ())]
    return any(pod.startswith(f"{name}-") for name in (*known, "cluster-autoscaler"))


class Owners:
    """Finds the pods of logs, and makes those of which nothing else is there."""

    def __init__(self, store: Store, paste: Paste, hint: Hint) -> None:
        """Begin; pods that are made go into ``store``."""
        self._store = store
        self._paste = paste
        self._hint = hint
        self.made: list[ObjectKey] = []
        """The pods that were made."""

    def keys(self, log: FoundLog) -> Iterator[LogKey]:
        """Say whose log it is; nothing when several pods may have written it."""
        found = self._pod(log)
        if found is None:
            return
        place, pod = found
        key = ("pods", place, pod)
        part = _part(log, pod) if place == "kube-system" else ""
        if key not in self._store.objects and not part:
            self._make(key, log)
        # A pod that only a table lists has containers whose names stand nowhere.
        container = log.container or self._container(self._store.objects.get(key, {})) or part or NO_CONTAINER
        for previous in (False, True) if log.previous is None else (log.previous,):
            yield place, pod, container, previous

    def _pod(self, log: FoundLog) -> tuple[str, str] | None:
        objects_ = self._store.objects
        pods = {key: obj for key, obj in objects_.items() if key[0] == "pods"}
        wanted = next((name for kind, name in self._hint.targets if kind == "pods"), "")
        name = log.pod
        if not name and log.workload:
            mine = pods_of(pods, log.namespace, log.workload)
            if mine:
                return mine[0][1], mine[0][2]
            name = f"{log.workload}-{NO_POD}"
        if not name:
            chosen = next((key for key in pods if key[2] == wanted), None) or only_pod(pods, self._paste.described)
            if chosen is not None:
                return chosen[1], chosen[2]
            template = self._template("") if not pods else None
            if not wanted and template is None and self._hint.targets:
                return None
            name = wanted or (f"{template[2]}-{NO_POD}" if template is not None else NO_POD)
        there = next((key for key in pods if key[2] == name and (not log.namespace or key[1] == log.namespace)), None)
        return log.namespace or (there[1] if there is not None else self._paste.namespace), name

    def _template(self, name: str) -> ObjectKey | None:
        """Return the workload whose pods are meant: the one called so, else the only one that there is."""
        known = [
            key
            for key, obj in self._store.objects.items()
            if key[0] in WORKLOADS and name in ("", key[2]) and objects(obj, "spec", "template", "spec", "containers")
        ]
        targets = [key for key in known if (key[0], key[2]) in self._hint.targets]
        return targets[0] if targets else known[0] if len(known) == 1 else None

    def _make(self, key: ObjectKey, log: FoundLog) -> None:
        """Make the pod of which nothing but a log is there, of its workload's template where that is there."""
        _, place, name = key
        template = self._template(name.removesuffix(f"-{NO_POD}")) if name.endswith(f"-{NO_POD}") else None
        owner = self._store.objects.get(template) if template is not None else None
        spec: Raw = copy.deepcopy(dig(owner, "spec", "template", "spec")) if owner is not None else {}
        names = [text(c, "name") for c in objects(spec, "containers")]
        container = log.container or self._hint.container or (names[0] if len(names) == 1 else "") or NO_CONTAINER
        if container not in names:
            spec["containers"] = [*objects(spec, "containers"), {"name": container, "image": NO_IMAGE}]
        made = self._store.need("pods", place, name, _OF_TEMPLATE if owner is not None else _OF_LOG)
        made["spec"] = spec
        # Who asks why a program failed and shows its log means an instance that ended; a controller's log beside the
        # objects that it serves is shown for what it says of them.
        speaks = _is_controller(name) and any(key[0] in _SERVED for key in self._store.objects)
        ended: Raw = {} if speaks else {"lastState": {"terminated": {}}}
        made["status"] = {"containerStatuses": [{"name": container, **ended}]}
        if template is not None and owner is not None:
            made["metadata"]["labels"] = dict(dig(owner, "spec", "template", "metadata", "labels") or {})
            self._owned(key, template)
        self.made.append(key)

    def _owned(self, key: ObjectKey, owner: ObjectKey) -> None:
        resource, place, name = owner
        kind = BY_PLURAL[resource].kind
        if resource != "deployments":
            self._store.own("pods", key[1], key[2], kind, name)
            return
        between = f"{name}-REPLICASET"
        self._store.need("replicasets", place, between)
        self.made.append(("replicasets", place, between))
        self._store.own("replicasets", place, between, kind, name)
        self._store.own("pods", key[1], key[2], "ReplicaSet", between)

    def _container(self, pod: Raw) -> str:
        """Return the container that did not do well."""
        if self._hint.container:
            return self._hint.container
        rows = [*objects(pod, "status", "initContainerStatuses"), *objects(pod, "status", "containerStatuses")]
        names = [text(c, "name") for c in objects(pod, "spec", "containers")] or [text(c, "name") for c in rows]
        if len(names) == 1 and not objects(pod, "status", "initContainerStatuses"):
            return names[0]
        ended = [
            text(c, "name")
            for c in rows
            if dig(c, "lastState", "terminated") or (dig(c, "state", "terminated", "exitCode") or 0) != 0
        ]
        waiting = [
            text(c, "name")
            for c in rows
            if text(c, "state", "waiting", "reason") not in ("", "PodInitializing", "ContainerCreating")
        ]
        return next(iter([*waiting, *ended, *names]), "")
