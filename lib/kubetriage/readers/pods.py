"""Reads pods and their containers out of raw JSON, as the kubelet and kubectl understand them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import cached_property

from kubetriage.model import Evidence, EvidenceSource, Ref
from kubetriage.readers.terminations import Termination
from kubetriage.records import dataclass
from kubetriage.typed import Literal
from kubetriage.values.apiobject import ApiObject
from kubetriage.values.fields import Obj, controller_of, dig, flag, labels, mapping, number, objects, text
from kubetriage.values.times import human_duration, parse_time

ContainerKind = Literal["init", "sidecar", "app", "ephemeral"]
"""``sidecar`` is an init container with restartPolicy Always (KEP-753)."""

_SPEC_LIST = {
    "init": "initContainers",
    "sidecar": "initContainers",
    "app": "containers",
    "ephemeral": "ephemeralContainers",
}
_STATUS_LIST = {
    "init": "initContainerStatuses",
    "sidecar": "initContainerStatuses",
    "app": "containerStatuses",
    "ephemeral": "ephemeralContainerStatuses",
}


@dataclass(frozen=True)
class Container:
    """One container: what the spec asks and what the status says."""

    pod: Pod
    name: str
    kind: ContainerKind
    spec: Obj
    """Empty when only the status names the container (a damaged or partial object)."""
    status: Obj
    """Empty before the kubelet reported anything."""

    @property
    def spec_list(self) -> str:
        """The list of a PodSpec that holds it (``containers``, ``initContainers``), for patches."""
        return _SPEC_LIST[self.kind]

    @property
    def spec_path(self) -> str:
        """Field path of the spec, for evidence."""
        return f"spec.{self.spec_list}[{self.name}]"

    @property
    def path(self) -> str:
        """Field path of the status, for evidence."""
        return f"status.{_STATUS_LIST[self.kind]}[{self.name}]"

    @property
    def ref(self) -> Ref:
        """The pod with this container."""
        r = self.pod.ref
        return Ref(r.kind, r.namespace, r.name, r.uid, self.name)

    def patch(self, part: Obj, **more: object) -> dict[str, object]:
        """Make a partial PodSpec that changes this container, and further fields of the PodSpec."""
        return {**more, self.spec_list: [{"name": self.name, **part}]}

    @property
    def waiting(self) -> Obj | None:
        """``state.waiting``, or None."""
        found = dig(self.status, "state", "waiting")
        return mapping(found) if found is not None else None

    @cached_property
    def waiting_reason(self) -> str:
        """``state.waiting.reason``, or empty."""
        return text(self.status, "state", "waiting", "reason")

    @property
    def waiting_message(self) -> str:
        """``state.waiting.message``, or empty."""
        return text(self.status, "state", "waiting", "message")

    @property
    def running(self) -> bool:
        """An instance runs now."""
        return dig(self.status, "state", "running") is not None

    @property
    def running_since(self) -> datetime | None:
        """Start of the running instance."""
        return parse_time(dig(self.status, "state", "running", "startedAt"))

    @cached_property
    def current_termination(self) -> Termination | None:
        """``state.terminated``, or None."""
        found = dig(self.status, "state", "terminated")
        return Termination(mapping(found), f"{self.path}.state.terminated") if found is not None else None

    @cached_property
    def last_termination(self) -> Termination | None:
        """``lastState.terminated``, or None."""
        found = dig(self.status, "lastState", "terminated")
        return Termination(mapping(found), f"{self.path}.lastState.terminated") if found is not None else None

    @cached_property
    def termination(self) -> Termination | None:
        """The newest ended instance: ``state.terminated`` if set, else ``lastState.terminated``."""
        return self.current_termination or self.last_termination

    @property
    def log_is_previous(self) -> bool:
        """Reading the newest ended instance's log needs ``previous=true``: only while another one runs.

        A waiting container's plain log is that of the ended instance (kubelet ``validateContainerLogStatus``).
        """
        return self.running and self.last_termination is not None

    @property
    def ready(self) -> bool:
        """``ready`` of the status."""
        return flag(self.status, "ready") is True

    @property
    def started(self) -> bool | None:
        """``started``: startup probe and postStart passed; None when not reported."""
        return flag(self.status, "started")

    @property
    def restarts(self) -> int:
        """``restartCount``, best effort of the kubelet."""
        return max(number(self.status, "restartCount") or 0, 0)

    @property
    def image(self) -> str:
        """Image of the spec."""
        return text(self.spec, "image") or text(self.status, "image")

    @property
    def restart_policy(self) -> str:
        """The policy in force for this container: its own, else the pod's (default Always)."""
        if self.kind == "ephemeral":
            return "Never"
        own = text(self.spec, "restartPolicy")
        if own:
            return own
        policy = text(self.pod.raw, "spec", "restartPolicy") or "Always"
        # A plain init container that succeeds is not run again; "Always" means OnFailure for it.
        return "OnFailure" if self.kind == "init" and policy == "Always" else policy

    @property
    def memory_limit(self) -> tuple[str, Evidence] | None:
        """The memory limit in force and where it stands; None when it has none of its own.

        ``status.resources`` is what the node enforces; after an in-place resize the spec may differ (KEP-1287).
        """
        for source, owner in (("status", self.status), ("spec", self.spec)):
            limit = text(owner, "resources", "limits", "memory")
            if limit:
                return limit, self.fact("status" if source == "status" else "spec", "resources.limits.memory", limit)
        return None

    def restart_rule(self, exit_code: int | None) -> tuple[int, str] | None:
        """Return position and action of the ``restartPolicyRules`` member that decides about an exit code.

        The first that matches decides, before the restart policy (KEP-5307, beta in 1.35); None when none does.
        """
        for position, rule in enumerate(objects(self.spec, "restartPolicyRules")):
            values = dig(rule, "exitCodes", "values")
            listed = isinstance(values, list) and exit_code in values
            operator = text(rule, "exitCodes", "operator")
            if exit_code is not None and ((operator == "In" and listed) or (operator == "NotIn" and not listed)):
                return position, text(rule, "action")
        return None

    def environment(self) -> dict[str, str]:
        """Return the literal values of ``env`` (references are left out)."""
        return {text(e, "name"): text(e, "value") for e in objects(self.spec, "env") if "valueFrom" not in e}

    def fact(self, source: EvidenceSource, field: str, value: object, time: str = "") -> Evidence:
        """Quote one field of this container; ``field`` is relative to its spec or status."""
        base = self.spec_path if source == "spec" else self.path
        return Evidence(source, f"{base}.{field}" if field else base, str(value), time)


@dataclass(frozen=True)
class Pod(ApiObject):
    """One pod."""

    raw: Obj
    kind = "Pod"

    @cached_property
    def node(self) -> str:
        """``spec.nodeName``; empty before it is scheduled."""
        return text(self.raw, "spec", "nodeName")

    @cached_property
    def phase(self) -> str:
        """``status.phase``."""
        return text(self.raw, "status", "phase")

    @property
    def reason(self) -> str:
        """``status.reason`` (``Evicted``, ``NodeLost``, ``OutOfcpu`` and others)."""
        return text(self.raw, "status", "reason")

    @property
    def message(self) -> str:
        """``status.message``; outlives the events."""
        return text(self.raw, "status", "message")

    @property
    def created(self) -> datetime | None:
        """``metadata.creationTimestamp``."""
        return parse_time(dig(self.raw, "metadata", "creationTimestamp"))

    @property
    def host_network(self) -> bool:
        """It has the network and the address of its node."""
        return flag(self.raw, "spec", "hostNetwork") is True

    @property
    def deletion(self) -> datetime | None:
        """``metadata.deletionTimestamp``: when the grace period ends, not when deletion was asked."""
        return parse_time(dig(self.raw, "metadata", "deletionTimestamp"))

    @property
    def deleting(self) -> bool:
        """Deletion was asked for."""
        return bool(dig(self.raw, "metadata", "deletionTimestamp"))

    @property
    def labels(self) -> dict[str, str]:
        """``metadata.labels``."""
        return labels(self.raw, "metadata", "labels")

    @property
    def controller(self) -> Obj:
        """Owner reference of the managing controller, or empty."""
        return controller_of(self.raw)

    @property
    def finished(self) -> bool:
        """Phase is Succeeded or Failed: nothing of it will run again."""
        return self.phase in ("Succeeded", "Failed")

    @cached_property
    def ready(self) -> bool:
        """Condition Ready is True."""
        return text(self.condition("Ready"), "status") == "True"

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        """All containers in spec order: init and sidecars, then the main ones, then ephemeral ones."""
        return tuple(self._containers())

    def _containers(self) -> Iterator[Container]:
        for spec_list, status_list, base in (
            ("initContainers", "initContainerStatuses", "init"),
            ("containers", "containerStatuses", "app"),
            ("ephemeralContainers", "ephemeralContainerStatuses", "ephemeral"),
        ):
            statuses = {text(s, "name"): s for s in objects(self.raw, "status", status_list)}
            specs = objects(self.raw, "spec", spec_list)
            for spec in specs:
                name = text(spec, "name")
                kind: ContainerKind
                if base == "init":
                    kind = "sidecar" if text(spec, "restartPolicy") == "Always" else "init"
                else:
                    kind = "app" if base == "app" else "ephemeral"
                yield Container(self, name, kind, spec, statuses.pop(name, {}))
            for name, status in statuses.items():
                fallback: ContainerKind = "init" if base == "init" else "app" if base == "app" else "ephemeral"
                yield Container(self, name, fallback, {}, status)

    def container(self, name: str) -> Container | None:
        """Return the container called ``name``, or None."""
        return next((c for c in self.containers if c.name == name), None)

    @property
    def is_troubled(self) -> bool:
        """Something about it may need an explanation; cheap enough to ask of every pod of a scan.

        False for a pod that finished well and for one that is ready with no instance that ended lately or badly.
        """
        if self.deleting:
            return True
        if self.phase == "Succeeded":
            return False
        if self.phase != "Running" or not self.ready:
            return True
        # Held containers hold their pod, which holds them: of each pod of a scan until somebody looks for garbage.
        return any(
            c.waiting is not None or (c.current_termination is not None and c.current_termination.exit_code != 0)
            for c in self._containers()
            if c.kind in ("app", "sidecar")
        )

    def crashed_since(self, moment: datetime) -> bool:
        """Tell whether an instance of a container ended after ``moment`` and was started again."""
        return any(
            c.kind in ("app", "sidecar")
            and c.last_termination is not None
            and c.last_termination.finished is not None
            and c.last_termination.finished >= moment
            for c in self.containers
        )

    def fact(self, source: EvidenceSource, field: str, value: object, time: str = "") -> Evidence:
        """Quote one field of the pod by its full path."""
        return Evidence(source, field, str(value), time)

    def status_text(self) -> str:
        """Return the STATUS column as ``kubectl get pods`` prints it (printPod of kubernetes/pkg/printers)."""
        return self._printed[0]

    def ready_text(self) -> str:
        """Return the READY column (``1/2``)."""
        return self._printed[1]

    def restarts_text(self, now: datetime | None) -> str:
        """Return the RESTARTS column (``5 (2m ago)``); without a clock the count alone."""
        restarts, last = self._printed[2], self._printed[3]
        if restarts and last is not None and now is not None:
            return f"{restarts} ({human_duration(now - last)} ago)"
        return str(restarts)

    def age_text(self, now: datetime) -> str:
        """Return the AGE column."""
        return human_duration(now - self.created) if self.created else "<unknown>"

    @cached_property
    def _printed(self) -> tuple[str, str, int, datetime | None]:
        status = self.reason or self.phase or "Unknown"
        if text(self.condition("PodScheduled"), "reason") == "SchedulingGated":
            status = "SchedulingGated"
        inits = [c for c in self.containers if c.kind in ("init", "sidecar")]
        total = sum(1 for c in self.containers if c.kind in ("app", "sidecar"))
        ready = restarts = sidecar_restarts = 0
        last: datetime | None = None
        sidecar_last: datetime | None = None
        initializing = False
        for position, c in enumerate(inits):
            if not c.status:
                continue
            ended = c.last_termination.finished if c.last_termination else None
            restarts += c.restarts
            last = _later(last, ended)
            if c.kind == "sidecar":
                sidecar_restarts += c.restarts
                sidecar_last = _later(sidecar_last, ended)
            done = c.current_termination
            if done is not None and done.exit_code == 0:
                continue
            if c.kind == "sidecar" and c.started:
                ready += c.ready
                continue
            initializing = True
            if done is not None:
                status = f"Init:{done.reason or _code(done)}"
            elif c.waiting_reason and c.waiting_reason != "PodInitializing":
                status = f"Init:{c.waiting_reason}"
            else:
                status = f"Init:{position}/{len(inits)}"
            break
        if not initializing or text(self.condition("Initialized"), "status") == "True":
            restarts, last, running = sidecar_restarts, sidecar_last, False
            for c in reversed([c for c in self.containers if c.kind == "app"]):
                restarts += c.restarts
                last = _later(last, c.last_termination.finished if c.last_termination else None)
                done = c.current_termination
                if c.waiting_reason:
                    status = c.waiting_reason
                elif done is not None:
                    status = done.reason or _code(done)
                elif c.ready and c.running:
                    running = True
                    ready += 1
            if status == "Completed" and running:
                status = "Running" if self.ready else "NotReady"
        if self.deleting and self.reason == "NodeLost":
            status = "Unknown"
        elif self.deleting and not self.finished:
            status = "Terminating"
        return status, f"{ready}/{total}", restarts, last


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return max(one, other)


def _code(termination: Termination) -> str:
    given = number(termination.raw, "signal")
    return f"Signal:{given}" if given else f"ExitCode:{termination.exit_code or 0}"
