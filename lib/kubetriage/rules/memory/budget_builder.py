"""Builds the budget of one container: what was read of it in, areas, observed numbers, remarks and gaps out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.found import Lookup
from kubetriage.readers.pods import Container, Pod
from kubetriage.records import dataclass, replace
from kubetriage.rules.memory import container_process, jvm_areas, memory_usage, node_memory, runtimes
from kubetriage.rules.memory.budget import Amount, Area, Budget, CappedModel, Limit, Model, with_observed
from kubetriage.rules.memory.ergonomics import ASSUMED_JDK, MIB, MODELLED, supports_containers
from kubetriage.rules.memory.extra_areas import beside_the_jvm, memory_volumes
from kubetriage.rules.memory.image_defaults import ImageDefaults, image_defaults
from kubetriage.rules.memory.jvm_flags import JvmFlags, Lint, Option, Setting, lint_together, resolve
from kubetriage.rules.memory.jvm_options import JVM_VARIABLES, collect_options, runs_java, split_options
from kubetriage.rules.memory.mounted_options import mounted_options
from kubetriage.rules.memory.overrides import Wishes
from kubetriage.rules.memory.program_memory import Program
from kubetriage.rules.memory.runtime_detection import Detected
from kubetriage.typed import Protocol
from kubetriage.values.fields import mapping, text
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import parse_millis

ASSUMED_THREADS = 60
"""VM threads (about 20), and a modest pool."""
_TOMCAT_THREADS = 220
"""Tomcat's default 200 connector threads and about 20 of the VM."""
_FEWEST_THREADS = 25


class Inputs(Protocol):
    """What the budget of a container is built from."""

    @property
    def container(self) -> Container:
        """The container."""

    @property
    def pod(self) -> Pod:
        """Its pod."""

    @property
    def wishes(self) -> Wishes:
        """What the user states."""

    @property
    def node(self) -> Lookup:
        """The node it runs on."""

    @property
    def usage(self) -> memory_usage.Usage:
        """What was measured."""

    @property
    def process(self) -> container_process.Process:
        """Environment and command line."""

    @property
    def detected(self) -> Detected:
        """The runtime."""

    @property
    def program(self) -> Program | None:
        """The server that it is, where the table knows it."""

    @property
    def log(self) -> str:
        """Log of the newest ended instance."""

    @property
    def running_log(self) -> str:
        """Log of the running instance."""

    def config_map(self, name: str) -> Lookup:
        """Look up a ConfigMap of its namespace."""

    @property
    def limit(self) -> Limit:
        """The limit in force."""

    @property
    def request(self) -> Limit:
        """The memory request."""


# "Picked up JAVA_TOOL_OPTIONS: -Xmx1g" (JVM) and "NOTE: Picked up JDK_JAVA_OPTIONS: -Xmx1g" (launcher, 9 and later).
_PICKED_UP = lazy(r"^(?:NOTE: )?Picked up (JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|_JAVA_OPTIONS): ?(.*)$", re.MULTILINE)


class Builder:
    """Builds the budget of one case."""

    def __init__(self, case: Inputs) -> None:
        self.case = case
        self.assumptions: list[str] = []
        self.unseen: list[str] = list(case.process.unseen) + list(case.process.env_unseen)
        self.lints: list[Lint] = []
        self.assumed_threads = False

    def build(self) -> Budget:
        """Return the budget."""
        case = self.case
        model = self._model()
        extra = tuple(memory_volumes(case.container))
        if isinstance(model, jvm_areas.JvmModel):
            extra = (*beside_the_jvm(case.container, case.process), *extra)
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
        if case.program is not None and not found.sure and not case.wishes.runtime:
            self.assumptions.append(f"{case.program.name}, from {case.program.evidence}")
            return case.program.model()
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

    def _other(self, found: Detected) -> Model:
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
        defaults = image_defaults(case.container.image)
        files, hidden = mounted_options(case.container, case.config_map, jdk)
        options, unseen, lints = collect_options(case.process, jdk, defaults, files)
        unseen += hidden
        options, unseen = self._with_log(options, unseen)
        flags = _with_direct_share(resolve(options, jdk), defaults, case.process)
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
            equal=defaults is not None and defaults.equal,
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


def _with_direct_share(flags: JvmFlags, defaults: ImageDefaults | None, process: container_process.Process) -> JvmFlags:
    """Add what a start script makes of direct memory by the heap (Elasticsearch gives it half)."""
    if defaults is None or defaults.direct_share is None or runs_java(process):
        return flags
    told = Option(f"MaxDirectMemorySize={defaults.direct_share:.0%} of the heap", f"default of {defaults.label}")
    return replace(flags, settings={**flags.settings, "DirectShareOfHeap": Setting(defaults.direct_share, told)})


def _overridden(flags: JvmFlags, wishes: Wishes) -> JvmFlags:
    settings = dict(flags.settings)
    for name, value, written in wishes.flags:
        if value == -1:
            settings.pop(name, None)
        else:
            settings[name] = Setting(value, Option(written, "--what-if"))
    return replace(flags, settings=settings)


def follows_limit(model: Model) -> bool:
    """Tell whether the main area is a share of the limit."""
    heaps = [[a.ceiling.size for a in model.areas(size * MIB) if a.name == model.heap_area] for size in (2048, 8192)]
    return heaps[0] != heaps[1]


@dataclass(frozen=True)
class Extended(CappedModel):
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

    def heap_flags(self, size: int) -> tuple[str, ...]:
        """Write the runtime's flag and what moves with it."""
        return self.model.heap_flags(size)

    @property
    def heap_share(self) -> float:
        """Return the runtime's share."""
        return self.model.heap_share

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
