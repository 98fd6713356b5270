"""What the rules of why-crash look at: one pod, or one controller, with everything that was read around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, cached_property

from kubetriage.model import Actor, Fix, Ref
from kubetriage.needs import Get, Log
from kubetriage.readers.events import Events
from kubetriage.readers.ownership import Keeper, keeper
from kubetriage.readers.pods import Container, Pod
from kubetriage.readers.terminations import Termination
from kubetriage.rules.crash.root_causes import Explain, unexplained
from kubetriage.snapshot import LogText, Lookup, Snapshot, State
from kubetriage.values.fields import (
    Obj,
    controller_of,
    dig,
    labels,
    name_of,
    namespace_of,
    number,
    objects,
    text,
    uid_of,
)
from kubetriage.values.manifest_text import yaml_text
from kubetriage.values.resources import BY_KIND, BY_PLURAL
from kubetriage.values.times import parse_time

MIRROR = "kubernetes.io/config.mirror"
"""Annotation of the API's copy of a static pod."""

BACK_OFF_RESET = timedelta(minutes=10)
"""The kubelet starts the back-off anew for a container whose last instance ran longer than this (kubelet.go:
``HasExpiredFunc``, 600 s), whatever the cap of the back-off is."""


@dataclass(frozen=True)
class Case:
    """One pod with its surroundings."""

    pod: Pod
    snapshot: Snapshot
    explain: Explain = field(default=unexplained, compare=False)
    """Gives the findings of another pod, for a chain that ends there."""

    @property
    def now(self) -> datetime:
        """The clock of the observation."""
        return self.snapshot.now

    @cached_property
    def events(self) -> Events:
        """Events of this pod, oldest first; ``events.seen`` is False when they could not be read."""
        return Events.of(self.snapshot.events(self.pod.namespace, self.pod.uid, self.pod.name, "Pod"))

    @property
    def containers(self) -> tuple[Container, ...]:
        """All containers of the pod."""
        return self.pod.containers

    @property
    def node(self) -> Lookup:
        """The node that the pod was assigned to."""
        if not self.pod.node:
            return Lookup(State.ABSENT)
        return self.snapshot.get("nodes", "", self.pod.node)

    def log(self, container: Container) -> LogText:
        """Return the log of the newest ended instance (of the running one when none ended)."""
        return self.snapshot.log(self.pod.namespace, self.pod.name, container.name, container.log_is_previous)

    def running_log(self, container: Container) -> LogText:
        """Return the log of the instance that runs now."""
        return self.snapshot.log(self.pod.namespace, self.pod.name, container.name)

    def crash(self, container: Container) -> Termination | None:
        """Return the newest ended instance if its end needs an explanation, else None.

        None for an end that is as it should be: init containers and run-to-completion containers that
        succeeded, anything that the pod's own deletion ended, sidecars stopped after the main containers,
        containers ended because a restart rule of another one restarts all or for a change of the pod, debug
        containers.
        """
        end = container.termination
        if end is None or container.kind == "ephemeral" or self.pod.phase == "Succeeded":
            return None
        if end.reason == "RestartingAllContainers":
            return None
        if end.exit_code == 0 and end.reason != "OOMKilled" and not self._restarts_after_success(container):
            return None
        if self._ended_by_deletion(end):
            return None
        if container.kind == "sidecar" and self._main_containers_ended_before(end):
            return None
        if container.running and self._restarted_for_a_change(container, end):
            return None
        return end

    def _restarted_for_a_change(self, container: Container, end: Termination) -> bool:
        # kuberuntime_manager.go computePodActions: the texts of 1.27 to 1.36.
        return any(
            end.started is not None
            and end.finished is not None
            and e.last is not None
            and end.started <= e.last <= end.finished + timedelta(seconds=1)
            and ("resize requires restart" in e.message or "definition changed" in e.message)
            for e in self.events.select("Killing", container=container.name)
        )

    def _restarts_after_success(self, container: Container) -> bool:
        # A plain init container runs again only when the sandbox is new; its success is the end of it.
        rule = container.restart_rule(0)
        again = rule[1] if rule is not None else container.restart_policy == "Always"
        return container.kind != "init" and bool(again) and not self.pod.finished

    def _ended_by_deletion(self, end: Termination) -> bool:
        deadline = self.pod.deletion
        if deadline is None or end.finished is None:
            return False
        grace = number(self.pod.raw, "metadata", "deletionGracePeriodSeconds") or 0
        # Times of the API have whole seconds.
        return end.finished >= deadline - timedelta(seconds=grace + 1)

    def _main_containers_ended_before(self, end: Termination) -> bool:
        mains = [c.current_termination for c in self.containers if c.kind == "app"]
        return bool(mains) and all(
            m is not None and (m.finished is None or end.finished is None or m.finished <= end.finished) for m in mains
        )

    def outlived(self, container: Container) -> bool:
        """Tell whether the running instance has left the crash of the one before behind it.

        That is when it has run for ten minutes, after which the kubelet forgets the back-off, or clearly longer
        than the crashed instance did; True as well for a container that never crashed and runs.
        """
        since, end = container.running_since, container.last_termination
        if since is None:
            return False
        if end is None:
            return True
        age = self.now - since
        if age >= BACK_OFF_RESET:
            return True
        life = end.lifetime
        return life is not None and age >= 2 * life + timedelta(seconds=30)

    @cached_property
    def owners(self) -> tuple[Obj, ...]:
        """The controllers above the pod that were read, nearest first (ReplicaSet, Deployment)."""
        return owner_chain(self.snapshot, self.pod.raw)

    @cached_property
    def workload(self) -> Ref:
        """The object whose template a fix must change: the top controller that is known, else the pod itself."""
        top = controller_ref(self.snapshot, self.pod.raw)
        return top if top is not None else self.pod.ref

    @property
    def workload_name(self) -> str:
        """The workload as kubectl's TYPE/NAME (``deployment/api``)."""
        top = self.workload
        return f"{top.kind.lower()}/{top.name}"

    def kubectl(self, words: str) -> str:
        """Write a kubectl command line for the pod's namespace."""
        return f"kubectl -n {self.pod.namespace} {words}"

    def log_command(self, container: Container) -> str:
        """Write the command that prints the log which :meth:`log` holds."""
        previous = " --previous" if container.log_is_previous else ""
        return self.kubectl(f"logs {self.pod.name} -c {container.name}{previous}")

    @property
    def replicas(self) -> tuple[Pod, ...]:
        """The pods of the same workload that were read, this one with them; none for a bare pod."""
        top = self.workload
        return () if top.kind == "Pod" else self.snapshot.derived(_by_workload)(self.pod.namespace).get(top, ())

    @cached_property
    def keeper(self) -> Keeper | None:
        """The release, application or operator that writes the workload, as labels and annotations tell."""
        return keeper((self.pod.raw, *self.owners))

    def template_fix(
        self,
        words: str,
        spec: Obj | None = None,
        *,
        actor: Actor = Actor.MANIFEST,
        commands: tuple[str, ...] = (),
        values: Obj | None = None,
    ) -> Fix:
        """Make a fix in the pod template of the workload.

        ``spec`` is a partial PodSpec (``{"containers": [{"name": "app", ...}]}``); it becomes a strategic merge
        patch of the workload, or YAML where a release or application keeps the workload and would undo a patch.
        ``values`` are the chart's values that say the same. A bare pod's spec is immutable (but for images), so it
        gets the words only. Another ``actor`` than the manifest's changes something else than the template.
        """
        top = self.workload
        if actor is not Actor.MANIFEST:
            return Fix(words, actor=actor, commands=commands)
        if top.kind == "Pod" and self.keeper is None:
            if MIRROR in labels(self.pod.raw, "metadata", "annotations"):
                words += f" It is a static pod: its manifest lies on node {self.pod.node} (staticPodPath)."
            elif spec and not _images_only(spec):
                words += " The spec of a bare pod is fixed: delete the pod and create it with the change."
        return kept_fix(words, self.keeper, top, spec, commands=commands, values=values)


@dataclass(frozen=True)
class ControllerCase:
    """One controller (Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob) that the user asked about."""

    raw: Obj
    kind: str
    snapshot: Snapshot
    pods: tuple[Pod, ...] = field(default=())
    """Its pods that were read, through any number of owners."""
    explain: Explain = field(default=unexplained, compare=False)
    """Gives the findings of another pod, for a chain that ends there."""

    @property
    def now(self) -> datetime:
        """The clock of the observation."""
        return self.snapshot.now

    @property
    def created(self) -> datetime | None:
        """``metadata.creationTimestamp``."""
        return parse_time(dig(self.raw, "metadata", "creationTimestamp"))

    @cached_property
    def keeper(self) -> Keeper | None:
        """The release, application or operator that writes the controller."""
        return keeper((*(obj for _, obj in reversed(self.family)), self.raw))

    @property
    def ref(self) -> Ref:
        """Reference to the controller."""
        return Ref(self.kind, namespace_of(self.raw), name_of(self.raw), uid_of(self.raw))

    @cached_property
    def family(self) -> tuple[tuple[str, Obj], ...]:
        """The controller and the controllers below it, each with its kind (a Deployment's ReplicaSets)."""
        found = [(self.kind, self.raw)]
        for plural in ("replicasets", "jobs"):
            kind = BY_PLURAL[plural].kind
            for obj in self.snapshot.list(plural, namespace_of(self.raw)).items:
                if text(_owner(obj), "uid") == uid_of(self.raw) and uid_of(self.raw):
                    found.append((kind, obj))
        return tuple(found)

    def events_of(self, kind: str, obj: Obj) -> Events:
        """Events of a member of the family."""
        return Events.of(self.snapshot.events(namespace_of(obj), uid_of(obj), name_of(obj), kind))


def _by_workload(snapshot: Snapshot) -> Callable[[str], dict[Ref, tuple[Pod, ...]]]:
    """Return what sorts the known pods of a namespace by the workload that they belong to."""

    @cache
    def sort(namespace: str) -> dict[Ref, tuple[Pod, ...]]:
        found: dict[Ref, list[Pod]] = {}
        for raw in snapshot.list("pods", namespace).items:
            top = controller_ref(snapshot, raw)
            if top is not None:
                found.setdefault(top, []).append(Pod(raw))
        return {top: tuple(pods) for top, pods in found.items()}

    return sort


def _owner(obj: Obj) -> Obj:
    """Return the owner reference of the managing controller; the node that owns a static pod's mirror is none."""
    owner = controller_of(obj)
    return {} if text(owner, "kind") == "Node" else owner


def owner_chain(snapshot: Snapshot, obj: Obj) -> tuple[Obj, ...]:
    """Return the known controllers above ``obj``, nearest first; stops at a gap and at a cycle."""
    chain: list[Obj] = []
    seen = {uid_of(obj)}
    current = obj
    for _ in range(5):
        owner = _owner(current)
        resource = BY_KIND.get(text(owner, "kind"))
        if resource is None:
            break
        found = snapshot.get(resource.plural, namespace_of(obj), text(owner, "name"))
        uid = uid_of(found.obj)
        if not found.found or uid in seen or (text(owner, "uid") and uid != text(owner, "uid")):
            break
        seen.add(uid)
        chain.append(found.obj)
        current = found.obj
    return tuple(chain)


def owner_uids(snapshot: Snapshot, obj: Obj) -> set[str]:
    """Return the uids of all controllers above ``obj``, the last one by reference where it was not read."""
    chain = owner_chain(snapshot, obj)
    uids = {uid_of(owner) for owner in chain}
    for member in (obj, *chain):
        uids.add(text(_owner(member), "uid"))
    return uids - {""}


def controller_ref(snapshot: Snapshot, obj: Obj) -> Ref | None:
    """Return the top controller of ``obj`` as far as it is known, by reference where the object was not read."""
    namespace = namespace_of(obj)
    chain = owner_chain(snapshot, obj)
    owner = _owner(chain[-1] if chain else obj)
    if text(owner, "name"):
        return Ref(text(owner, "kind"), namespace, text(owner, "name"), text(owner, "uid"))
    if not chain:
        return None
    below = _owner(chain[-2] if len(chain) > 1 else obj)
    return Ref(text(below, "kind"), namespace, name_of(chain[-1]), uid_of(chain[-1]))


def template_patch(kind: str, spec: Obj) -> Obj | None:
    """Wrap a partial PodSpec into a strategic merge patch of a workload; None for a kind without a template."""
    if kind == "CronJob":
        return {"spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}}
    if kind in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController", "Job"):
        return {"spec": {"template": {"spec": spec}}}
    return None


def kept_fix(
    words: str,
    kept_by: Keeper | None,
    workload: Ref,
    spec: Obj | None = None,
    *,
    commands: tuple[str, ...] = (),
    values: Obj | None = None,
) -> Fix:
    """Make the fix of a workload's template: a patch, or what to change in the release that would undo a patch."""
    patch = template_patch(workload.kind, spec) if spec else None
    if kept_by is None:
        return Fix(words, patch, workload if patch else None, actor=Actor.MANIFEST, commands=commands)
    shown = values if values and kept_by.is_helm else patch
    return Fix(
        f"{words} {kept_by.where}",
        actor=Actor.MANIFEST,
        commands=(*commands, *kept_by.commands),
        yaml=yaml_text(shown) if shown else "",
    )


def _images_only(spec: Obj) -> bool:
    """Tell whether a partial PodSpec changes nothing but images, which the API allows on a pod that exists."""
    lists = ("containers", "initContainers")
    return all(k in lists for k in spec) and all(set(c) <= {"name", "image"} for k in lists for c in objects(spec, k))


def log_need(container: Container) -> Log:
    """Return the need of the newest ended instance's log."""
    pod = container.pod
    return Log(pod.namespace, pod.name, container.name, previous=container.log_is_previous)


def owner_needs(snapshot: Snapshot, obj: Obj) -> Iterator[Get]:
    """Ask for the next controller above ``obj`` that is not known yet."""
    chain = owner_chain(snapshot, obj)
    owner = _owner(chain[-1] if chain else obj)
    resource = BY_KIND.get(text(owner, "kind"))
    if resource is not None and text(owner, "name") and len(chain) < 5:
        yield Get(resource.plural, namespace_of(obj), text(owner, "name"))
