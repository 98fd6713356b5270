"""What the rules of why-crash look at: one pod, or one controller, with everything that was read around it."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property

from kubetriage.found import LogText, Lookup, State
from kubetriage.model import Ref
from kubetriage.readers.container_logs import ended_log
from kubetriage.readers.events import Events
from kubetriage.readers.ownership import Keeper, keeper
from kubetriage.readers.pods import Container, Pod
from kubetriage.readers.terminations import Termination
from kubetriage.records import dataclass, field
from kubetriage.rules.crash.root_causes import Explain, unexplained
from kubetriage.rules.workloads import PodWorkload, owner_of
from kubetriage.snapshot import Snapshot
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import (
    Obj,
    dig,
    name_of,
    namespace_of,
    number,
    text,
    uid_of,
)
from kubetriage.values.resources import BY_PLURAL
from kubetriage.values.times import parse_time, span_of

BACK_OFF_RESET = timedelta(minutes=10)
"""The kubelet starts the back-off anew for a container whose last instance ran longer than this (kubelet.go:
``HasExpiredFunc``, 600 s), whatever the cap of the back-off is."""


@dataclass(frozen=True)
class Case(PodWorkload):
    """One pod with its surroundings."""

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
        return ended_log(self.snapshot, container)

    def running_log(self, container: Container) -> LogText:
        """Return the log of the instance that runs now."""
        return self.snapshot.log(self.pod.namespace, self.pod.name, container.name)

    @property
    def shows_states(self) -> bool:
        """The states of its containers were read; False where nothing but logs of the pod is there."""
        return self.snapshot.covers(self.pod.raw, "status.containerStatuses")

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
        return end.finished >= deadline - span_of(grace + 1)

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

    def kubectl(self, *words: str) -> str:
        """Write a kubectl command line for the pod's namespace."""
        return kubectl(*words, namespace=self.pod.namespace)

    def log_command(self, container: Container) -> str:
        """Write the command that prints the log which :meth:`log` holds."""
        previous = ("--previous",) if container.log_is_previous else ()
        return self.kubectl("logs", self.pod.name, "-c", container.name, *previous)


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

    @property
    def maker(self) -> Ref:
        """Reference to the controller whose template makes the pods: the owner, where it was not read itself.

        A patch of a ReplicaSet that a Deployment controls changes nothing that lasts.
        """
        owner = owner_of(self.raw)
        kind = text(owner, "kind")
        if (self.kind, kind) in (("ReplicaSet", "Deployment"), ("Job", "CronJob")) and text(owner, "name"):
            return Ref(kind, namespace_of(self.raw), text(owner, "name"), text(owner, "uid"))
        return self.ref

    @cached_property
    def family(self) -> tuple[tuple[str, Obj], ...]:
        """The controller and the controllers below it, each with its kind (a Deployment's ReplicaSets)."""
        found = [(self.kind, self.raw)]
        for plural in ("replicasets", "jobs"):
            kind = BY_PLURAL[plural].kind
            for obj in self.snapshot.list(plural, namespace_of(self.raw)).items:
                if text(owner_of(obj), "uid") == uid_of(self.raw) and uid_of(self.raw):
                    found.append((kind, obj))
        return tuple(found)

    def events_of(self, kind: str, obj: Obj) -> Events:
        """Events of a member of the family."""
        return Events.of(self.snapshot.events(namespace_of(obj), uid_of(obj), name_of(obj), kind))
