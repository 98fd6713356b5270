"""What the rules of oom-budget look at: one container with its pod, node, usage, budget and deaths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal

from kubetriage.model import Confidence, Evidence, Fix, Ref
from kubetriage.needs import Get, Log, Need
from kubetriage.readers.events import Event, Events, node_event_need, node_events
from kubetriage.readers.pods import Container, Pod
from kubetriage.readers.terminations import Termination
from kubetriage.rules.crash import case as crash
from kubetriage.rules.memory import container_process, jvm_areas, memory_usage, node_memory, runtimes
from kubetriage.rules.memory.budget import Amount, Area, Budget, Limit, Model, Proposal, propose, with_observed
from kubetriage.rules.memory.ergonomics import ASSUMED_JDK, MIB, MODELLED, supports_containers
from kubetriage.rules.memory.jvm_flags import (
    JVM_VARIABLES,
    JvmFlags,
    Lint,
    Option,
    Setting,
    collect_options,
    lint_together,
    resolve,
    split_options,
)
from kubetriage.rules.memory.overrides import Wishes
from kubetriage.snapshot import Lookup, Snapshot, State
from kubetriage.values.fields import mapping, objects, text, uid_of
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import parse_bytes, parse_millis

KilledBy = Literal["container", "pod", "node"]

_NEAR = timedelta(seconds=60)
"""A node event this near to a death may be about it: the kubelet reads the kernel log within seconds, and status
times are whole seconds."""
_FITS = 1.25
"""A victim this much above the limit belonged to another cgroup; shared pages and batched counters explain less."""
AT_LIMIT = 0.99
"""A peak of this share of the limit met it: page-wise charges end a little below."""
ASSUMED_THREADS = 60
"""VM threads (about 20), and a modest pool."""
_TOMCAT_THREADS = 220
"""Tomcat's default 200 connector threads and about 20 of the VM."""
_FEWEST_THREADS = 25


@dataclass(frozen=True)
class Kill:
    """One OOM kill that the container's status records."""

    end: Termination
    killed_by: KilledBy
    confidence: Confidence
    because: str
    """What tells whose limit it was."""
    before_start: bool
    """runc's first process was killed; the program never ran."""
    evidence: tuple[Evidence, ...]
    event: Event | None
    """The node's event about it, where there is one."""
    main_process: bool
    """PID 1 itself was killed (exit code 137, or before it started); otherwise only a child was."""
    resident_at_death: int | None = None
    """anon-rss and shmem-rss of the victim from the kernel's line, in bytes."""


# "Killed process 4711 (java) total-vm:5213128kB, anon-rss:4190212kB, file-rss:0kB, shmem-rss:0kB": mm/oom_kill.c
# __oom_kill_process, as node-problem-detector's kernel-monitor.json quotes it.
_KILLED_PROCESS = lazy(
    r"Killed process (\d+) \((.+?)\)[^\n]*?anon-rss:(\d+)kB(?:, file-rss:(\d+)kB)?(?:, shmem-rss:(\d+)kB)?"
)
# What starts that line: "Out of memory: " when the node had none left, "Memory cgroup out of memory: " at a limit;
# mm/oom_kill.c out_of_memory, Linux 5.1 and later. Kernels before print the same words on a line of their own.
_NODE_OUT_OF_MEMORY = lazy(r"(?<!cgroup )\bOut of memory(?: \(oom_kill_allocating_task\))?: Kill")
# runc 1.1 and later: the first process died at the limit before it became the program (StartError, exit code 128).
_KILLED_BEFORE_START = lazy(r"container init was OOM-killed")
_REPORTED = "the node itself reported being out of memory at that time"


def _resident(event: Event) -> int | None:
    """Return anon-rss and shmem-rss of the victim that the kernel's line in an event names, in bytes."""
    match = _KILLED_PROCESS.search(event.message)
    return (int(match[3]) + int(match[5] or 0)) * 1024 if match else None


def _of_the_node(event: Event) -> bool:
    """Tell whether an event says that the node, and not a cgroup, had no memory left."""
    return event.reason == "SystemOOM" or bool(_NODE_OUT_OF_MEMORY.search(event.message))


def _before_start(end: Termination) -> bool:
    return end.reason != "OOMKilled" and bool(_KILLED_BEFORE_START.search(end.message))


def was_oom_kill(end: Termination) -> bool:
    """Tell whether an end is an OOM kill by the runtime's reason, or by runc's words about one before the start."""
    return end.reason == "OOMKilled" or _before_start(end)


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
    def usage(self) -> memory_usage.Usage:
        """What was measured."""
        return memory_usage.read_usage(self.snapshot, self.container)

    def _config_map(self, name: str) -> Lookup:
        return self.snapshot.get("configmaps", self.pod.namespace, name)

    @cached_property
    def process(self) -> container_process.Process:
        """Environment and command line."""
        return container_process.read_process(self.container, self._config_map)

    @cached_property
    def log(self) -> str:
        """The log of the newest ended instance; that of the running one where none ended."""
        pod, c = self.pod, self.container
        return self.snapshot.log(pod.namespace, pod.name, c.name, c.log_is_previous).text

    @cached_property
    def running_log(self) -> str:
        """The log of the instance that runs, or empty."""
        pod, c = self.pod, self.container
        return self.snapshot.log(pod.namespace, pod.name, c.name).text if c.running else ""

    @cached_property
    def detected(self) -> runtimes.Detected:
        """The runtime."""
        found = runtimes.detect(self.process, self.container.image, f"{self.log}\n{self.running_log}")
        wanted = self.wishes.runtime
        if wanted and wanted != found.runtime:
            chosen = next(r for r in runtimes.RUNTIMES if r == wanted)
            keeps = wanted in ("hotspot", "openj9", "azul-prime") and found.version is not None
            version = found.version if keeps and found.runtime in ("hotspot", "openj9", "azul-prime") else None
            found = runtimes.Detected(chosen, "--runtime", True, version, found.version_evidence if version else "")
        return found

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
        return _Builder(self).build()

    @cached_property
    def proposals(self) -> tuple[Proposal, ...]:
        """What makes the budget close."""
        model, limit = self.budget.model, self.limit.size
        if model is None or (limit is None and _follows_limit(model)):
            return ()  # without a limit now, a share of a new one would shrink the heap unasked
        return propose(model, limit, self.wishes.margin.kept())

    @cached_property
    def kills(self) -> tuple[Kill, ...]:
        """OOM kills in the container's status, the newest first."""
        ends = (self.container.current_termination, self.container.last_termination)
        return tuple(self._kill(e) for e in ends if e is not None and was_oom_kill(e))

    def _kill(self, end: Termination) -> Kill:
        near = self._events_near(end)
        killed_by, confidence, because = self._killer(near)
        lines = [(e, size) for e in near if (size := _resident(e)) is not None]
        limit = node_memory.limit_of(self.container).size
        line = next((x for x in reversed(lines) if limit is None or x[1] <= limit * _FITS), None)
        told = next((e for e in reversed(near) if _of_the_node(e)), None) if killed_by == "node" else None
        event = line[0] if line is not None else told or next(iter(near[-1:]), None)
        quoted = [told] if told is event else [told, event]
        evidence = [end.evidence(), *(e.evidence() for e in quoted if e is not None)]
        start = _before_start(end)
        main = end.exit_code == 137 or start
        return Kill(end, killed_by, confidence, because, start, tuple(evidence), event, main, line[1] if line else None)

    def _events_near(self, end: Termination) -> list[Event]:
        if end.finished is None or self.pod.node == "":
            return []
        return [
            e
            for e in self.node_events.select("SystemOOM", "OOMKilling")
            if e.last is not None and e.first is not None and e.first - _NEAR <= end.finished <= e.last + _NEAR
        ]

    def _killer(self, near: Iterable[Event]) -> tuple[KilledBy, Confidence, str]:
        own, whole = node_memory.limit_of(self.container), node_memory.pod_limit(self.pod)
        system = any(_of_the_node(e) for e in near)
        if own.size is None:
            if system:
                return "node", Confidence.CONFIRMED, f"it has no limit, and {_REPORTED}"
            return "node", Confidence.LIKELY, "neither the container nor the pod has a memory limit that it could meet"
        if own.level == "pod":
            if system:
                return "node", Confidence.LIKELY, _REPORTED
            return "pod", Confidence.LIKELY, "the container has no limit of its own, the pod has one"
        if system:
            return "node", Confidence.LIKELY, f"{_REPORTED}, which a kill at a container limit does not cause"
        if whole.size is not None and whole.size <= own.size:
            return "pod", Confidence.LIKELY, "the pod-level limit is not above the container's"
        if whole.size is not None:
            others = [c for c in self.pod.containers if c.kind in ("app", "sidecar") and c.name != self.container.name]
            if others:
                return "container", Confidence.LIKELY, "it has a limit of its own; the pod-level limit is a rival"
        return "container", Confidence.CONFIRMED, "the kernel kills at the container's own limit"

    @cached_property
    def workload(self) -> Ref:
        """The object whose template a fix must change."""
        return crash.Case(self.pod, self.snapshot).workload

    def template_fix(self, words: str, spec: dict[str, object] | None) -> Fix:
        """Make a fix of this container in the template of its workload; ``spec`` is a partial container."""
        around = crash.Case(self.pod, self.snapshot)
        return around.template_fix(words, None if spec is None else self.container.patch(spec))

    @property
    def log_seen(self) -> bool:
        """The log of the newest ended instance was read, or is known not to be there."""
        pod, c = self.pod, self.container
        return self.snapshot.log(pod.namespace, pod.name, c.name, c.log_is_previous).seen

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
        return self._killer(())[0]

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
        commands = [f"kubectl -n {pod.namespace} top pod {pod.name} --containers"]
        if self.detected.runtime == "hotspot" and self.container.running:
            commands.append(f"kubectl -n {pod.namespace} exec {pod.name} -c {self.container.name} -- jcmd 1 VM.flags")
        return tuple(commands)

    @property
    def recent_kill(self) -> Kill | None:
        """The newest OOM kill, or None."""
        return self.kills[0] if self.kills else None


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
    if not pod.uid or container.kind == "ephemeral":
        return
    if container.running or container.termination is not None:
        yield Log(pod.namespace, pod.name, container.name, container.log_is_previous)
        if container.log_is_previous:
            yield Log(pod.namespace, pod.name, container.name)
    if pod.node:
        yield Get("nodes", "", pod.node)
        if any(was_oom_kill(e) for e in (container.current_termination, container.last_termination) if e):
            yield node_event_need(pod.node)
    yield from crash.owner_needs(snapshot, pod.raw)
    if usage_too:
        yield from memory_usage.usage_needs(snapshot, pod)


# "Picked up JAVA_TOOL_OPTIONS: -Xmx1g" (JVM) and "NOTE: Picked up JDK_JAVA_OPTIONS: -Xmx1g" (launcher, 9 and later).
_PICKED_UP = lazy(r"^(?:NOTE: )?Picked up (JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|_JAVA_OPTIONS): ?(.*)$", re.MULTILINE)


class _Builder:
    """Builds the budget of one case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.assumptions: list[str] = []
        self.unseen: list[str] = list(case.process.unseen) + list(case.process.env_unseen)
        self.lints: list[Lint] = []
        self.assumed_threads = False

    def build(self) -> Budget:
        """Return the budget."""
        case = self.case
        model = self._model()
        extra = tuple(_volumes(case.container))
        seen = case.limit.size if case.limit.size is not None else node_memory.node_memory(case.node.obj)
        if isinstance(model, jvm_areas.JvmModel):
            seen = case.limit.size  # it knows the node's memory itself
        areas = model.areas(seen) if model is not None else extra
        if model is not None and extra:
            model, areas = Extended(model, extra), (*areas, *extra)
        areas = with_observed(areas, self._observed_areas())
        budget = Budget(
            container=case.container.name,
            runtime=model.label if model is not None else "unknown",
            limit=case.limit,
            request=case.request,
            model=model,
            areas=areas,
            wanted_margin=case.wishes.margin.of(case.limit.size) if case.limit.size is not None else 0,
            total_observed=self._observed_total(),
            other_observed=tuple(self._observed_others()),
            lints=tuple(dict.fromkeys(self.lints)),
            assumptions=tuple(self.assumptions),
            unseen=tuple(dict.fromkeys(self.unseen)),
        )
        return replace(budget, decisive_assumption=self._decisive(budget))

    def _decisive(self, budget: Budget) -> bool:
        """Tell whether the ceilings pass the limit only because of the assumed number of threads."""
        model = budget.model.model if isinstance(budget.model, Extended) else budget.model
        if not self.assumed_threads or not isinstance(model, jvm_areas.JvmModel) or (budget.margin or 0) >= 0:
            return False
        fewer = replace(model, threads=jvm_areas.Count(_FEWEST_THREADS, True, ""))
        rest = sum(a.counted for a in budget.areas) - sum(a.counted for a in model.areas(budget.limit.size))
        total = rest + sum(a.counted for a in fewer.areas(budget.limit.size))
        return budget.limit.size is not None and total <= budget.limit.size

    def _model(self) -> Model | None:
        case, found = self.case, self.case.detected
        main = case.wishes.main
        if found.runtime == "unknown":
            return None
        if not found.sure:
            self.assumptions.append(f"the runtime, from {found.evidence}")
        if found.runtime == "hotspot":
            return self._hotspot()
        other = self._other(found)
        if isinstance(other, runtimes.FixedModel | runtimes.NodeModel) and main is not None and other.heap_area:
            return other.with_heap(main)
        return other

    def _other(self, found: runtimes.Detected) -> Model:
        case = self.case
        if found.runtime == "node":
            model, lints = runtimes.node_model(case.process, found.version)
            if found.version is None:
                self.assumptions.append(f"Node.js {runtimes.ASSUMED_NODE}, as nothing tells the version")
            self.lints += lints
            return model
        if found.runtime == "go":
            go, lints = runtimes.go_model(case.process, case.limit.size)
            self.lints += lints
            return go
        if found.runtime == "dotnet":
            dotnet, lints = runtimes.dotnet_model(case.process)
            self.lints += lints
            return dotnet
        if found.runtime in ("python", "ruby", "php", "nginx"):
            return runtimes.worker_model(found.runtime, case.process)
        options, unseen, lints = collect_options(case.process, found.version)
        self.unseen += unseen
        self.lints += lints
        words = [(o.text, o.source) for o in options]
        for name in ("OPENJ9_JAVA_OPTIONS", "IBM_JAVA_OPTIONS"):
            value = case.process.value(name)
            words += [(w, f"env {name}") for w in split_options(value or "") or ()]
        if found.runtime == "openj9":
            return runtimes.openj9_model(found.version, words, case.limit.size)
        if found.runtime == "native-image":
            return runtimes.native_image_model(words)
        return runtimes.azul_prime_model(words)

    def _hotspot(self) -> Model:
        case, wishes, found = self.case, self.case.wishes, self.case.detected
        jdk = wishes.jdk or found.version
        if jdk is None:
            self.assumptions.append(f"JDK {ASSUMED_JDK}, as nothing tells the version (--jdk says it)")
            jdk = ASSUMED_JDK
        elif jdk not in MODELLED:
            self.assumptions.append(
                f"that JDK {jdk} behaves like JDK {min(max(jdk, MODELLED.start), MODELLED.stop - 1)}"
            )
            jdk = min(max(jdk, MODELLED.start), MODELLED.stop - 1)
        elif wishes.jdk is None and not found.version_evidence.startswith("its log"):
            self.assumptions.append(f"JDK {jdk}, from {found.version_evidence}")
        options, unseen, lints = collect_options(case.process, jdk)
        options, unseen = self._with_log(options, unseen)
        flags = resolve(options, jdk)
        flags = _overridden(flags, wishes)
        self.unseen += [*unseen, *flags.unseen]
        self.lints += [*lints, *flags.lints]
        if flags.agents:
            self.unseen.append("what the agents take: " + ", ".join(flags.agents))
        self._container_support(jdk)
        model = jvm_areas.JvmModel(
            flags=flags,
            jdk=jdk,
            cpus=self._cpus(),
            arch=text(case.node.obj, "status", "nodeInfo", "architecture") or "amd64",
            threads=self._threads(),
            classes=self._classes(),
            node_memory=node_memory.node_memory(case.node.obj),
            forced_collector=wishes.collector,
        )
        if model.machine(case.limit.size).memory > 0:
            machine = model.machine(case.limit.size)
            self.lints += lint_together(flags, jdk, machine, model.collector(case.limit.size))
        return model

    def _container_support(self, jdk: int) -> None:
        """Say where a JVM may not read its container's limit: then it sizes itself by the node."""
        found = self.case.detected
        if self.case.limit.size is None or jdk >= 15:
            return
        least = {8: "8u372", 11: "11.0.16"}.get(jdk, "15")
        supported = supports_containers(jdk, found.update if found.version == jdk else None, 2)
        if supported is None:
            self.unseen.append(f"the update of JDK {jdk}: before {least} it does not read limits of cgroup v2")
        elif not supported:
            name = f"8u{found.update}" if jdk == 8 else f"11.0.{found.update}" if jdk == 11 else str(jdk)
            words = (
                f"it does not read limits of cgroup v2 ({least} does): there its heap is a share of the node's memory"
            )
            self.lints.append(Lint(f"JDK {name}", found.version_evidence, "trap", words))

    def _with_log(self, options: list[Option], unseen: list[str]) -> tuple[list[Option], list[str]]:
        """Put in the variables that the JVM says it picked up and that the pod does not show (ENV of the image)."""
        case = self.case
        picked = {m[1]: m[2] for m in _PICKED_UP.finditer(f"{case.log}\n{case.running_log}")}
        before: list[Option] = []
        after: list[Option] = []
        for name in JVM_VARIABLES:
            variable = case.process.environment.get(name)
            if name not in picked or (variable is not None and variable.value is not None):
                continue
            words = split_options(picked[name]) or picked[name].split()
            found = [Option(w, f"env {name}, as its log says") for w in words]
            unseen = [u for u in unseen if name not in u]
            if name == "_JAVA_OPTIONS":
                after += found
            else:
                before += found
        return [*before, *options, *after], unseen

    def _cpus(self) -> int | None:
        case = self.case
        if case.wishes.cpus is not None:
            return case.wishes.cpus
        for resources in (mapping(case.container.status, "resources"), mapping(case.container.spec, "resources")):
            millis = parse_millis(mapping(resources, "limits").get("cpu"))
            if millis:
                return -(-millis // 1000)
        cpus = node_memory.node_cpus(case.node.obj)
        if cpus is None:
            self.assumptions.append("at least two CPUs (a server class machine), as the node was not seen")
        return cpus

    def _threads(self) -> jvm_areas.Count:
        case, wishes = self.case, self.case.wishes
        if wishes.threads is not None:
            return jvm_areas.Count(wishes.threads, True, "as stated")
        if wishes.nmt is not None and wishes.nmt.threads is not None:
            return jvm_areas.Count(wishes.nmt.threads, True, "NMT")
        if wishes.process is not None and wishes.process.threads is not None:
            return jvm_areas.Count(wishes.process.threads, True, "/proc/PID/status")
        if case.usage.threads is not None:
            return jvm_areas.Count(case.usage.threads[0], True, case.usage.threads[1])
        planned = case.process.value("BPL_JVM_THREAD_COUNT")
        if planned is not None and planned.isascii() and planned.isdigit():
            return jvm_areas.Count(int(planned[:6]), True, "BPL_JVM_THREAD_COUNT")
        self.assumed_threads = True
        tomcat = "tomcat" in case.container.image or case.process.program == "catalina.sh"
        number = _TOMCAT_THREADS if tomcat else ASSUMED_THREADS
        self.assumptions.append(f"{number} threads (--threads says how many)")
        return jvm_areas.Count(number, False, "assumed")

    def _classes(self) -> jvm_areas.Count:
        case, wishes = self.case, self.case.wishes
        if wishes.classes is not None:
            return jvm_areas.Count(wishes.classes, True, f"{wishes.classes} classes as stated")
        if wishes.nmt is not None and wishes.nmt.classes is not None:
            return jvm_areas.Count(wishes.nmt.classes, True, f"{wishes.nmt.classes} classes (NMT)")
        planned = case.process.value("BPL_JVM_LOADED_CLASS_COUNT")
        if planned is not None and planned.isascii() and planned.isdigit():
            return jvm_areas.Count(int(planned[:7]), True, f"{planned} classes (BPL_JVM_LOADED_CLASS_COUNT)")
        self.assumptions.append(f"{jvm_areas.ASSUMED_CLASSES} loaded classes (--classes says how many)")
        return jvm_areas.Count(jvm_areas.ASSUMED_CLASSES, False, f"{jvm_areas.ASSUMED_CLASSES} classes assumed")

    def _observed_areas(self) -> dict[str, Amount]:
        nmt = self.case.wishes.nmt
        if nmt is None:
            return {}
        return {name: Amount(size, "measured", "NMT committed") for name, size in nmt.areas.items()}

    def _observed_total(self) -> Amount:
        sample = self.case.usage.working_set
        if sample is None:
            if not self.case.pod.uid:
                return Amount(None, "unknown", "nothing runs yet")
            running = self.case.container.running
            return Amount(None, "unknown", "no working set was read" if running else "no instance runs now")
        return Amount(sample.size, "measured", f"{sample.name}, {sample.source}")

    def _observed_others(self) -> Iterator[tuple[str, Amount]]:
        case = self.case
        for sample in (case.usage.rss, case.usage.swap):
            if sample is not None and (sample.name != "swap" or sample.size):
                yield sample.name, Amount(sample.size, "measured", sample.source)
        nmt, proc = case.wishes.nmt, case.wishes.process
        if nmt is not None:
            yield "NMT committed", Amount(nmt.committed, "measured", "jcmd VM.native_memory")
        if proc is not None:
            for name, size in (
                ("VmRSS", proc.rss),
                ("VmHWM", proc.peak),
                ("RssAnon", proc.anonymous),
                ("RssFile", proc.files),
                ("RssShmem", proc.shared),
            ):
                if size is not None:
                    yield name, Amount(size, "measured", "/proc/PID/status")


def _overridden(flags: JvmFlags, wishes: Wishes) -> JvmFlags:
    settings = dict(flags.settings)
    for name, value, written in wishes.flags:
        if value == -1:
            settings.pop(name, None)
        else:
            settings[name] = Setting(value, Option(written, "--what-if"))
    return replace(flags, settings=settings)


def _volumes(container: Container) -> Iterator[Area]:
    """Yield an area for each memory-backed volume that the container mounts: tmpfs is charged to who writes."""
    mounted = {text(m, "name") for m in objects(container.spec, "volumeMounts")}
    for volume in objects(container.pod.raw, "spec", "volumes"):
        name = text(volume, "name")
        if name not in mounted or text(volume, "emptyDir", "medium") != "Memory":
            continue
        size = parse_bytes(mapping(volume, "emptyDir").get("sizeLimit"))
        unknown = Amount(None, "unknown", "depends on what is written")
        if size is not None:
            yield Area(f"tmpfs {name}", Amount(size, "flag", f"spec.volumes[{name}].emptyDir.sizeLimit"), unknown)
        else:
            ceiling = Amount(None, "default", f"volume {name} (medium Memory) has no sizeLimit")
            yield Area(f"tmpfs {name}", ceiling, unknown, unbounded=True)


def _follows_limit(model: Model) -> bool:
    """Tell whether the main area is a share of the limit."""
    heaps = [[a.ceiling.size for a in model.areas(size * MIB) if a.name == model.heap_area] for size in (2048, 8192)]
    return heaps[0] != heaps[1]


@dataclass(frozen=True)
class Extended:
    """A model with areas that do not belong to its runtime (memory-backed volumes)."""

    model: Model
    more: tuple[Area, ...]

    @property
    def label(self) -> str:
        """Name of the runtime."""
        return self.model.label

    @property
    def heap_area(self) -> str:
        """Main area of the runtime."""
        return self.model.heap_area

    def areas(self, memory: int | None) -> tuple[Area, ...]:
        """Return the runtime's areas and the others."""
        return (*self.model.areas(memory), *self.more)

    def with_heap(self, size: int) -> Model:
        """Set the runtime's main area."""
        return replace(self, model=self.model.with_heap(size))

    def heap_flag(self, size: int) -> str:
        """Write the runtime's flag."""
        return self.model.heap_flag(size)

    def heap_step(self) -> int:
        """Return the runtime's step."""
        return self.model.heap_step()

    def with_cap(self, flag: str, size: int) -> Extended:
        """Cap an area of the runtime, which must have flags for its areas."""
        assert isinstance(self.model, jvm_areas.JvmModel)
        return replace(self, model=self.model.with_cap(flag, size))

    def cap_flag(self, flag: str, size: int) -> str:
        """Write a cap of the runtime, which must have flags for its areas."""
        assert isinstance(self.model, jvm_areas.JvmModel)
        return self.model.cap_flag(flag, size)


def sample_before(case: Case, moment: datetime | None) -> tuple[int, timedelta] | None:
    """Return the last working set from before ``moment`` and the blind gap between them, where one is known."""
    sample = case.usage.working_set
    if sample is None or sample.time is None or moment is None or sample.time > moment:
        return None
    return sample.size, moment - sample.time
