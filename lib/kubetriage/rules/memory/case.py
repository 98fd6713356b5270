"""What the rules of oom-budget look at: one container with its pod, node, usage, budget and deaths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import cached_property

from kubetriage.found import Lookup, State
from kubetriage.model import Actor, Confidence, Fix, Ref
from kubetriage.needs import Get, Log, Need
from kubetriage.readers.container_logs import ended_log, ended_log_need
from kubetriage.readers.events import Events, node_event_need, node_events
from kubetriage.readers.ownership import OLM, Keeper
from kubetriage.readers.pods import Container, Pod
from kubetriage.records import dataclass, field, replace
from kubetriage.rules.memory import container_process, jvm_areas, memory_usage, node_memory, runtime_detection
from kubetriage.rules.memory.budget import Budget, Limit, Proposal, propose
from kubetriage.rules.memory.budget_builder import Builder, Extended, follows_limit
from kubetriage.rules.memory.custom_resources import (
    CustomResource,
    autoscaler_fix,
    custom_resource_of,
    subscription_fix,
    writing_autoscaler,
)
from kubetriage.rules.memory.generated_pods import Maker, maker_of, placed
from kubetriage.rules.memory.image_defaults import image_defaults
from kubetriage.rules.memory.mounted_options import mounted_config_maps
from kubetriage.rules.memory.node_load import NodeLoad, node_load, node_pods
from kubetriage.rules.memory.oom_kills import LARGE_SHARE, Kill, KilledBy, killer, oom_kills
from kubetriage.rules.memory.overrides import Wishes
from kubetriage.rules.memory.program_memory import Program, program_of
from kubetriage.rules.memory.terminations import was_oom_kill
from kubetriage.rules.memory.worker_counts import Workers, workers_of
from kubetriage.rules.workloads import PodWorkload, owner_needs
from kubetriage.snapshot import Snapshot
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, dig, mapping, objects, text, uid_of
from kubetriage.values.manifest_text import yaml_text
from kubetriage.values.quantity import parse_bytes

AT_LIMIT = 0.99
"""A peak of this share of the limit met it: page-wise charges end a little below."""


_PER_REVISION = (
    "pod-template-hash",
    "controller-revision-hash",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
)


@dataclass(frozen=True)
class Case:
    """One container."""

    container: Container
    snapshot: Snapshot
    wishes: Wishes = field(default_factory=Wishes)

    @property
    def pod(self) -> Pod:
        """The pod."""
        return self.container.pod

    @property
    def ref(self) -> Ref:
        """The pod with this container."""
        return self.container.ref

    @property
    def now(self) -> datetime:
        """The clock of the observation."""
        return self.snapshot.now

    @cached_property
    def node(self) -> Lookup:
        """The node that the pod runs on."""
        return self.snapshot.get("nodes", "", self.pod.node) if self.pod.node else Lookup(State.ABSENT)

    @cached_property
    def node_events(self) -> Events:
        """Events about the node."""
        return node_events(self.snapshot, self.pod.node, uid_of(self.node.obj))

    @cached_property
    def node_load(self) -> NodeLoad:
        """What the pods of its node may take together."""
        return node_load(self.snapshot, self.pod.node, self.node.obj)

    @cached_property
    def usage(self) -> memory_usage.Usage:
        """What was measured."""
        return memory_usage.read_usage(self.snapshot, self.container)

    def config_map(self, name: str) -> Lookup:
        """Look up a ConfigMap of the pod's namespace."""
        return self.snapshot.get("configmaps", self.pod.namespace, name)

    @cached_property
    def process(self) -> container_process.Process:
        """Environment and command line."""
        return container_process.read_process(self.container, self.config_map)

    @cached_property
    def log(self) -> str:
        """The log of the newest ended instance; that of the running one where none ended."""
        return ended_log(self.snapshot, self.container).text

    @cached_property
    def running_log(self) -> str:
        """The log of the instance that runs, or empty."""
        pod, c = self.pod, self.container
        return self.snapshot.log(pod.namespace, pod.name, c.name).text if c.running else ""

    @cached_property
    def detected(self) -> runtime_detection.Detected:
        """The runtime."""
        found = runtime_detection.detect(self.process, self.container.image, f"{self.log}\n{self.running_log}")
        wanted = self.wishes.runtime
        if wanted and wanted != found.runtime:
            chosen = next(r for r in runtime_detection.RUNTIMES if r == wanted)
            keeps = wanted in ("hotspot", "openj9", "azul-prime") and found.version is not None
            version = found.version if keeps and found.runtime in ("hotspot", "openj9", "azul-prime") else None
            found = runtime_detection.Detected(
                chosen, "--runtime", True, version, found.version_evidence if version else ""
            )
        return found

    @cached_property
    def program(self) -> Program | None:
        """The server that it is, where the table of servers knows it."""
        found = program_of(self.process, self.container.image, f"{self.log}\n{self.running_log}")
        if found is not None and found.row.get("any_image") and self.detected.runtime not in ("unknown", "go"):
            return None  # a controller that is written in Java or Python: the runtime's model says more
        if found is not None and found.row.get("kind_only") and self.workers is not None:
            return None  # known workers say more than a kind
        return found

    @cached_property
    def workers(self) -> Workers | None:
        """The worker processes that it starts, where the table knows the program."""
        log = f"{self.log}\n{self.running_log}"
        return workers_of(self.process, self.container.image, log, self.detected.runtime)

    @cached_property
    def limit(self) -> Limit:
        """The limit in force."""
        if self.wishes.limit is not None:
            return Limit(self.wishes.limit, "--what-if", "what-if")
        return node_memory.limit_of(self.container)

    @cached_property
    def request(self) -> Limit:
        """The memory request."""
        if self.wishes.request is not None:
            return Limit(self.wishes.request, "--what-if", "what-if")
        return node_memory.request_of(self.container)

    @cached_property
    def budget(self) -> Budget:
        """The budget."""
        return Builder(self).build()

    @cached_property
    def solved(self) -> tuple[Proposal, ...]:
        """What makes the budget close on paper."""
        model, limit = self.budget.model, self.limit.size
        if model is None or (limit is None and follows_limit(model)):
            return ()  # without a limit now, a share of a new one would shrink the heap unasked
        # Stacks are counted by their number, and the heap is what the collector has taken, not what is needed.
        used = dict(self.wishes.nmt.areas) if self.wishes.nmt is not None else {}
        for name in (jvm_areas.HEAP, jvm_areas.STACKS):
            used.pop(name, None)
        return propose(model, limit, self.wishes.margin.of, used)

    @cached_property
    def proposals(self) -> tuple[Proposal, ...]:
        """What makes the budget close and harms nothing that was seen.

        No limit below one that a kill met, below what is in use, or above what the node has; none that shrinks a heap
        which follows it. No heap below what the program held, or below half of today's. After a kill at a limit under
        which the budget closes the model is refuted, so it proposes nothing.
        """
        limit, margin = self.limit.size, self.budget.margin
        met = self.killed_at_limit and self.wishes.limit is None
        if met and margin is not None and margin >= 0:
            return ()
        return tuple(p for p in self.solved if self._harmless(p, met=met, now=limit))

    def _harmless(self, proposal: Proposal, *, met: bool, now: int | None) -> bool:
        size = proposal.limit
        if proposal.kind == "limit" and size is not None:
            model = self.budget.model
            if size < self.in_use or (met and now is not None and size <= now):
                return False
            if now is not None and size < now and model is not None and follows_limit(model):
                return False
            most = node_memory.node_memory(self.node.obj, "allocatable")
            return most is None or size <= most
        heap = self.budget.heap.ceiling.size if self.budget.heap is not None else None
        if proposal.size is not None and heap is not None and now is not None and proposal.size * 2 < heap <= now:
            return False  # a program does not run with half of the heap that somebody gave it
        return proposal.size is None or proposal.size >= self.heap_in_use

    @property
    def in_use(self) -> int:
        """Bytes that the container is known to have held: working set, peak, what a kill found resident."""
        sizes = [s.size for s in (self.usage.working_set, self.usage.peak) if s is not None]
        sizes += [k.resident_at_death for k in self.kills if k.resident_at_death is not None]
        return max(sizes, default=0)

    @property
    def heap_in_use(self) -> int:
        """Bytes of the main area that the program is known to need; 0 when nothing tells.

        By native memory tracking, or anonymous memory less what the other areas may take.
        """
        nmt = self.wishes.nmt
        if nmt is not None and jvm_areas.HEAP in nmt.areas:
            return nmt.areas[jvm_areas.HEAP]
        heap, rss = self.budget.heap, self.usage.rss
        if rss is None or heap is None:
            return 0
        return max(rss.size - sum(a.counted for a in self.budget.areas if a.name != heap.name), 0)

    @property
    def killed_at_limit(self) -> bool:
        """The newest end was an OOM kill at the container's or the pod's limit."""
        return bool(self.kills) and self.kills[0].killed_by != "node"

    def changed(self, patch: Mapping[str, object], limit: int | None) -> Case:
        """Return the case of the container with a partial container merged in, as a strategic merge patch does."""
        spec = merged(self.container.spec, patch)
        status = {k: v for k, v in self.container.status.items() if k not in ("resources", "allocatedResources")}
        return Case(
            replace(self.container, spec=spec, status=status),
            self.snapshot,
            replace(self.wishes, limit=limit if self.wishes.limit is not None else None),
        )

    @cached_property
    def kills(self) -> tuple[Kill, ...]:
        """OOM kills in the container's status, the newest first."""
        return oom_kills(self.container, self.node_events, self.node_load)

    @cached_property
    def workload(self) -> Ref:
        """The object whose template a fix must change."""
        return PodWorkload(self.pod, self.snapshot).workload

    @property
    def is_bare(self) -> bool:
        """The pod is known to have no controller."""
        return PodWorkload(self.pod, self.snapshot).is_bare

    @cached_property
    def keeper(self) -> Keeper | None:
        """The release, application or operator that writes the workload."""
        return PodWorkload(self.pod, self.snapshot).keeper

    def template_fix(
        self,
        words: str,
        spec: dict[str, object] | None,
        *,
        actor: Actor = Actor.MANIFEST,
        commands: tuple[str, ...] = (),
    ) -> Fix:
        """Make a fix of this container in the template of its workload; ``spec`` is a partial container."""
        around = PodWorkload(self.pod, self.snapshot)
        if self.maker is not None and spec and actor is Actor.MANIFEST:
            size = parse_bytes(dig(spec, "resources", "limits", "memory"))
            if size is not None and set(spec) == {"resources"}:
                return self.maker.limit_fix(words, size)
            return Fix(f"{words} {self.maker.sentence}", actor=actor, yaml=yaml_text(self.container.patch(spec)))
        if spec and set(spec) == {"resources"} and actor is Actor.MANIFEST:
            size = parse_bytes(dig(spec, "resources", "limits", "memory"))
            if size is not None and self.autoscaler:
                return autoscaler_fix(words, size, self.container, self.autoscaler)
            if size is not None and self.custom_resource is not None:
                return self.custom_resource.limit_fix(words, size)
            if size is not None and self.keeper is not None and self.keeper.kind == OLM:
                return subscription_fix(words, size, self.pod.namespace)
        part = self.container.patch(spec) if spec else None
        fix = around.template_fix(words, part, actor=actor, commands=commands)
        if self.keeper is not None and fix.text == f"{words} {self.keeper.where}":
            return replace(fix, text=placed(words, self.keeper.where))
        return fix

    @cached_property
    def maker(self) -> Maker | None:
        """The program that writes this container (Spark, an injector, a CI system), so that no patch lasts."""
        return maker_of(self.container)

    @property
    def autoscaler(self) -> str:
        """Name of the VerticalPodAutoscaler that wrote the resources of the pod; empty where none did."""
        return writing_autoscaler(self.pod)

    @cached_property
    def custom_resource(self) -> CustomResource | None:
        """The custom resource that an operator makes this container of, where the table knows its kind."""
        return custom_resource_of(self.container, self.keeper)

    @property
    def owner_name(self) -> str:
        """What a change is made in, as kubectl's TYPE/NAME or in words; empty where a program makes the pod."""
        if self.maker is not None and not self.maker.injected:
            return ""
        if self.custom_resource is not None:
            return f"{self.custom_resource.kind.lower()}/{self.custom_resource.name}"
        if self.keeper is not None and self.keeper.kind == OLM:
            return f"the Subscription of {self.keeper}"
        return f"{self.workload.kind.lower()}/{self.workload.name}"

    @cached_property
    def replicas(self) -> tuple[Pod, ...]:
        """The pods of its workload that were read, this one with them; none for a bare pod."""
        return PodWorkload(self.pod, self.snapshot).replicas

    @property
    def workload_labels(self) -> dict[str, str]:
        """Labels of the pod that its replicas share."""
        return {k: v for k, v in self.pod.labels.items() if k not in _PER_REVISION}

    def pod_fix(self, words: str, spec: dict[str, object]) -> Fix:
        """Make a fix of another part of the pod template than this container."""
        return PodWorkload(self.pod, self.snapshot).template_fix(words, spec)

    @property
    def cpu_limit(self) -> str:
        """``limits.cpu`` of the container as it stands; empty without one."""
        return text(self.container.spec, "resources", "limits", "cpu")

    @property
    def log_seen(self) -> bool:
        """The log of the newest ended instance was read, or is known not to be there."""
        return ended_log(self.snapshot, self.container).seen

    def jvm_flag(self, name: str) -> str:
        """Quote a switch of the JVM that is on, and where it stands; empty where it is not."""
        model = self.budget.model.model if isinstance(self.budget.model, Extended) else self.budget.model
        on = isinstance(model, jvm_areas.JvmModel) and model.flags.switch(name)
        return model.flags.source(name) if on and isinstance(model, jvm_areas.JvmModel) else ""

    @property
    def touched_at_start(self) -> tuple[int, str] | None:
        """Bytes of heap that the JVM touches while it starts (AlwaysPreTouch with -Xms), and the flag; else None."""
        model = self.budget.model.model if isinstance(self.budget.model, Extended) else self.budget.model
        if not isinstance(model, jvm_areas.JvmModel) or not model.flags.switch("AlwaysPreTouch"):
            return None
        initial = model.initial_heap(self.limit.size)
        return (initial.size, initial.source) if initial.size is not None else None

    @property
    def kill_level(self) -> KilledBy:
        """Whose limit a kill in this container meets, as far as limits tell."""
        return killer(self.container).killed_by

    @property
    def budget_confidence(self) -> Confidence:
        """How well the sums are known: less where the runtime, its flags or decisive numbers are assumed."""
        if self.budget.decisive_assumption or self.detected.runtime == "unknown":
            return Confidence.POSSIBLE
        guessed = not self.detected.sure or not self.process.argv or self.process.env_unseen
        # What flags, defaults and measurements allow, without any assumed number.
        hard = sum(a.ceiling.size or 0 for a in self.budget.areas if a.ceiling.kind != "assumed")
        decided = self.limit.size is None or hard > self.limit.size or not self.budget.assumptions
        return Confidence.CONFIRMED if decided and not guessed and not self.budget.unseen else Confidence.LIKELY

    @property
    def verify_budget(self) -> tuple[str, ...]:
        """Commands that show what the budget rests on."""
        pod = self.pod
        if not pod.uid:
            return ()
        commands = [kubectl("top", "pod", pod.name, "--containers", namespace=pod.namespace)]
        if self.detected.runtime == "hotspot" and self.container.running:
            commands.append(
                kubectl(
                    "exec", pod.name, "-c", self.container.name, "--", "jcmd", "1", "VM.flags", namespace=pod.namespace
                )
            )
        return tuple(commands)

    @property
    def recent_kill(self) -> Kill | None:
        """The newest OOM kill, or None."""
        return self.kills[0] if self.kills else None


def merged(spec: Obj, patch: Mapping[str, object]) -> dict[str, object]:
    """Merge a partial container: variables by name, resources by kind, everything else replaced."""
    made: dict[str, object] = {**spec, **patch}
    if "env" in patch:
        added = {text(e, "name"): e for e in objects(patch, "env")}
        kept = [added.pop(text(e, "name"), e) for e in objects(spec, "env")]
        made["env"] = [*kept, *added.values()]
    if "resources" in patch:
        old, new = mapping(spec, "resources"), mapping(patch, "resources")
        made["resources"] = {**old, **{k: {**mapping(old, k), **mapping(new, k)} for k in new}}
    return made


def wanted_variable(name: str) -> bool:
    """Tell whether a variable may say something about memory (then its ConfigMap is read)."""
    return bool(
        re.fullmatch(
            r"_?JAVA\w*|JDK_JAVA_OPTIONS|\w*_(JAVA_)?OPTS|BPL_JVM_\w+|CATALINA_OPTS|SERVER_JVMFLAGS|NODE_OPTIONS|GOMEMLIMIT"
            r"|GOGC|(DOTNET|COMPlus)_\w+|WEB_CONCURRENCY|GUNICORN_CMD_ARGS|MALLOC_ARENA_MAX|MAX_HEAP_SIZE|SOLR_HEAP",
            name,
        )
    )


def container_needs(snapshot: Snapshot, container: Container, *, usage_too: bool = True) -> Iterator[Need]:
    """Say what to read about one container beside its pod."""
    pod = container.pod
    yield from container_process.config_map_needs(container, wanted_variable)
    if image_defaults(container.image) is not None:
        yield from (Get("configmaps", pod.namespace, name) for name, _ in mounted_config_maps(container))
    if not pod.uid or container.kind == "ephemeral":
        return
    if container.running or container.termination is not None:
        yield ended_log_need(snapshot, container)
        if container.log_is_previous:
            yield Log(pod.namespace, pod.name, container.name)
    if pod.node:
        yield Get("nodes", "", pod.node)
        if any(was_oom_kill(e) for e in (container.current_termination, container.last_termination) if e):
            yield node_event_need(pod.node)
    yield from owner_needs(snapshot, pod.raw)
    if usage_too:
        yield from memory_usage.usage_needs(snapshot, pod)


def sample_before(case: Case, moment: datetime | None) -> tuple[int, timedelta] | None:
    """Return the last working set from before ``moment`` and the blind gap between them, where one is known."""
    sample = case.usage.working_set
    if sample is None or sample.time is None or moment is None or sample.time > moment:
        return None
    return sample.size, moment - sample.time


def kill_needs(snapshot: Snapshot, container: Container) -> Iterator[Need]:
    """Say what to read to explain an OOM kill of a container, beside its pod."""
    yield from container_needs(snapshot, container, usage_too=False)
    node = container.pod.node
    if not node:
        return
    allocatable = node_memory.node_memory(snapshot.get("nodes", "", node).obj, "allocatable")
    limit = node_memory.limit_of(container).size
    # Only a limit that is large for its node raises the question whether the node ran out first.
    if allocatable is not None and limit is not None and limit * LARGE_SHARE > allocatable:
        yield node_pods(node)
