"""What may have filled a limit that a kill met: the case of a container in, candidates with look and cure out.

A kill at the limit refutes a budget that closes: then something is not as the budget assumes. Each candidate says
what speaks for it, what tells it from the others, and what ends it. Those that the data tells stand first; the rest
is possible and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.rules.memory import node_memory
from kubetriage.rules.memory.budget import exact, mebibytes
from kubetriage.rules.memory.budget_fixes import most_limit
from kubetriage.rules.memory.candidate import Candidate
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.ergonomics import MIB
from kubetriage.rules.memory.limit_not_seen import limit_not_seen
from kubetriage.rules.memory.oom_kills import Kill
from kubetriage.rules.memory.program_fixes import program_fix
from kubetriage.rules.memory.worker_counts import Workers, stated_workers
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import objects, text
from kubetriage.values.quantity import format_bytes
from kubetriage.values.times import precise_duration

_AT_ONCE = timedelta(seconds=10)
"""A kill this soon after the start is an allocation at start, not load and not a leak."""
_WHILE_STARTING = timedelta(minutes=3)
_HOURS = timedelta(hours=1)
_TABLE_NEEDS = 1024 * MIB
_SMALL_LIMIT = 512 * MIB
_MANY_CPUS = 8
_PEOPLE = tuple(n * MIB for n in (64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192))


def candidates(case: Case, kill: Kill) -> tuple[Candidate, ...]:
    """Return what may have taken the memory, what the data tells first."""
    found = [
        *_volumes(case, kill),
        *_program(case),
        *_at_start(case, kill),
        *_workers(case, kill),
        *limit_not_seen(case, kill),
    ]
    if not found or not any(c.told for c in found):
        found += _too_small(case, kill)
    if not any(c.told for c in found):
        found += _grows(case, kill)
    return tuple(sorted(found, key=lambda c: not c.told))


def _volumes(case: Case, kill: Kill) -> Iterator[Candidate]:
    """Find files in memory-backed volumes: they are charged to the container and outlive its instances."""
    limit = case.limit.size
    for area in case.budget.areas:
        if limit is None or not area.name.startswith("tmpfs "):
            continue
        size, volume = area.ceiling.size, area.name.removeprefix("tmpfs ")
        if size is not None and size * 2 < limit:
            continue
        path = next(
            (text(m, "mountPath") for m in objects(case.container.spec, "volumeMounts") if text(m, "name") == volume),
            "",
        )
        may = f"up to {mebibytes(size)}" if size is not None else "as much as the limit"
        again = kill.end.lifetime is not None and kill.end.lifetime <= _AT_ONCE and case.container.restarts > 0
        words = f"Files in its memory-backed volume {volume} ({path}) count as its memory, {may}"
        if again:
            words += "; they stay over restarts, so each new instance meets the limit at once"
        yield Candidate(
            "memory volume",
            words,
            told=again or size is None or size >= limit,
            fixes=tuple(_volume_fixes(case, volume, limit, again)),
            evidence=(
                Evidence("spec", f"spec.volumes[{volume}].emptyDir", f"medium Memory, {may}: {area.ceiling.source}"),
            ),
        )


def _volume_fixes(case: Case, volume: str, limit: int, again: bool) -> Iterator[Fix]:
    half = exact(max(limit // 2 // MIB, 1) * MIB)
    spec: dict[str, object] = {"volumes": [{"name": volume, "emptyDir": {"medium": "Memory", "sizeLimit": half}}]}
    words = (
        f"Set sizeLimit of volume {volume} below the limit, {half} for a start: a writer then gets 'no space "
        "left' instead "
        "of a kill. Or raise the memory limit above the volume and what the program needs."
    )
    yield case.pod_fix(words, spec)
    if again:
        yield Fix(
            f"Delete the pod to free the files of volume {volume}: restarts of the container keep them.",
            actor=Actor.MANIFEST,
            commands=(kubectl("delete", "pod", case.pod.name, namespace=case.pod.namespace),),
        )


def _program(case: Case) -> Iterator[Candidate]:
    """Find a server whose own setting, by option or log, takes all or most of the limit."""
    program, limit = case.program, case.limit.size
    if program is None or limit is None or case.budget.model is None:
        return
    area = next((a for a in case.budget.areas if a.name == program.area), None)
    size = area.ceiling.size if area is not None else None
    told = program.told
    by_log = told is not None and told.kind == "measured"
    if size is None or area is None:
        if "unbounded" in program.row or program.advice:
            bound = str(program.row.get("unbounded") or program.beside)
            yield Candidate("program memory", f"{program.name}: {bound}", told=False, fixes=(program_fix(case),))
        return
    seen = "by its own log" if by_log else f"by {area.ceiling.source}"
    evidence = (
        [Evidence("log" if by_log else "spec", case.container.name if by_log else area.name, told.line or told.source)]
        if told
        else []
    )
    if size > limit:
        words = f"{program.name}'s {program.area} may take {format_bytes(size)} {seen}, more than the whole limit"
        node = node_memory.node_memory(case.node.obj)
        if by_log and node and size > limit * 2:
            words = (
                f"{program.name} opened its {program.area} with {format_bytes(size)} {seen}: it sized it by "
                "the node's memory "
                f"({format_bytes(node)}) and not by the limit of {exact(limit)}"
            )
        yield Candidate("program memory", words, told=True, fixes=(program_fix(case),), evidence=tuple(evidence))
    elif size >= limit * 0.75:
        words = (
            f"{program.name}'s {program.area} may take {format_bytes(size)} {seen}; "
            f"{program.beside or 'the rest comes on top'}"
        )
        yield Candidate("program memory", words, told=True, fixes=(program_fix(case),), evidence=tuple(evidence))
    elif program.blind and told is None:
        words = f"It is possible that {program.name} does not see the limit: {program.blind}"
        yield Candidate("limit not seen", words, told=False, fixes=(program_fix(case),))


def _at_start(case: Case, kill: Kill) -> Iterator[Candidate]:
    """Find a table or cache that is allocated at the start, sized by a limit of the node."""
    life, limit = kill.end.lifetime, case.limit.size
    known = case.program is not None and case.program.at_start
    if life is None or limit is None or life > _AT_ONCE or not kill.main_process:
        return
    if not known and (limit < _TABLE_NEEDS or case.detected.runtime not in ("unknown", "go")):
        return
    if case.touched_at_start is not None or any(a.name.startswith("tmpfs ") for a in case.budget.areas):
        return
    after = precise_duration(life) if life else "less than a second"
    program = case.program
    what = (
        f"{exact(limit)} within {after} of the start is no load and no leak, but memory that it allocates at the start"
    )
    if known and program is not None:
        words = (
            f"{what}: {program.name} sizes a table by its limit of open files, which some nodes leave at "
            "infinity (about 1e9)"
        )
    else:
        words = (
            f"{what}: a table sized by the limit of open files (infinity on some nodes), a cache sized by the "
            "node, or one "
            "worker per CPU"
        )
    node = case.pod.node
    commands = (
        [
            kubectl(
                "debug",
                f"node/{node}",
                "-it",
                "--image=busybox",
                "--",
                "chroot",
                "/host",
                "systemctl",
                "show",
                "containerd",
                "-p",
                "LimitNOFILE",
            )
        ]
        if node
        else []
    )
    fixes = [
        Fix(
            f"Look at the limit of open files that containers of {node or 'the node'} get: infinity, or about 1e9 in "
            "/proc/1/limits, proves it.",
            actor=Actor.NODE,
            commands=tuple(commands),
        ),
        Fix(
            "Give the node's container runtime LimitNOFILE=1048576 (a drop-in of containerd.service), and restart it."
            if not known
            else "Or give the node's container runtime LimitNOFILE=1048576 (a drop-in of containerd.service), and "
            "restart it. A larger memory limit does not help.",
            actor=Actor.NODE,
        ),
    ]
    if known:
        fixes.insert(0, program_fix(case))
    yield Candidate(
        "allocated at start", words, told=known or (case.program is None and case.workers is None), fixes=tuple(fixes)
    )


def _workers(case: Case, kill: Kill) -> Iterator[Candidate]:
    """Find worker processes: too many for the limit, or one per CPU of the node."""
    limit, workers = case.limit.size, case.workers
    cpus = node_memory.node_cpus(case.node.obj)
    if limit is None:
        return
    where = f"node {case.pod.node} has {cpus} CPUs" if cpus else "it counts the CPUs of the node, not the CPU limit"
    if workers is not None:
        fits = workers.fitting(limit)
        if workers.count is not None and workers.count > fits:
            words = (
                f"{workers.name} runs {workers.count} workers ({workers.source}), "
                f"{mebibytes(limit // workers.count)} of the limit for each"
            )
            yield Candidate(
                "workers",
                words,
                told=True,
                fixes=(_worker_fix(case, workers, fits),),
                evidence=_worker_evidence(case, cpus),
            )
        elif workers.count is None and workers.per_cpu and (cpus is None or cpus * workers.each > limit):
            unset = f" and {' and '.join(workers.variables[:1])} is not set" if workers.variables else ""
            words = f"{workers.name} starts one worker per CPU{unset}: {where}"
            told = cpus is not None and cpus >= _MANY_CPUS
            yield Candidate(
                "workers",
                words,
                told=told,
                fixes=(_worker_fix(case, workers, fits),),
                evidence=_worker_evidence(case, cpus),
            )
        elif workers.count is None:
            words = (
                f"{workers.name} may run more workers than {exact(limit)} holds ({workers.source}): about "
                f"{fits} of {mebibytes(workers.each)} fit"
            )
            yield Candidate("workers", words, told=False, fixes=(_worker_fix(case, workers, fits),))
        return
    stated = stated_workers(case.process)
    if stated is not None and stated[1] >= 4:
        name, count = stated
        words = f"{name}={count} processes share the limit, {mebibytes(limit // count)} for each"
        fix = case.template_fix(
            f"Lower {name} of container {case.container.name}: measure one process under load, and multiply.",
            {"env": [{"name": name, "value": str(max(count // 2, 1))}]},
        )
        yield Candidate("workers", words, told=False, fixes=(fix,))
        return
    if case.budget.model is not None and case.detected.runtime not in ("python", "ruby", "php", "nginx", "unknown"):
        return
    if (
        case.program is not None
        or cpus is None
        or cpus < 2 * _MANY_CPUS
        or kill.end.lifetime is None
        or kill.end.lifetime > _WHILE_STARTING
    ):
        return
    allowed = case.cpu_limit
    counted = f"the {cpus} CPUs of node {case.pod.node}" + (f", not its CPU limit of {allowed}" if allowed else "")
    words = f"A server that starts one worker per CPU counts {counted} (nginx with worker_processes auto, and others)"
    look = kubectl("exec", case.pod.name, "-c", case.container.name, "--", "ps", "-e", namespace=case.pod.namespace)
    fix = Fix(
        f"Count the processes while it starts. Many of one name: give container {case.container.name} a fixed "
        "number of "
        "workers (nginx: worker_processes 2; others: WEB_CONCURRENCY, --workers, GOMAXPROCS).",
        actor=Actor.MANIFEST,
        commands=(look,),
    )
    yield Candidate("workers", words, told=allowed is not None, fixes=(fix,), evidence=_worker_evidence(case, cpus))


def _worker_evidence(case: Case, cpus: int | None) -> tuple[Evidence, ...]:
    return (Evidence("status", f"node/{case.pod.node} capacity.cpu", str(cpus)),) if cpus else ()


def _worker_fix(case: Case, workers: Workers, fits: int) -> Fix:
    limit = case.limit.size or 0
    count = min(fits, max(fits // 2, 2) if fits > 16 else fits)
    words = (
        f"Set {workers.set_words(count)} for container {case.container.name}: {exact(limit)} holds about {fits} of "
        f"{mebibytes(workers.each)} each (measure yours)."
    )
    if workers.also:
        words += f" {workers.also[0].upper()}{workers.also[1:]}." if workers.also[0].islower() else f" {workers.also}."
    variables = workers.variables_for(count)
    patch: dict[str, object] | None = (
        {"env": [{"name": n, "value": v} for n, v in variables.items()]} if variables else None
    )
    return case.template_fix(words, patch)


def _too_small(case: Case, kill: Kill) -> Iterator[Candidate]:
    """Find a small limit, met while the program starts: a default that was never measured."""
    limit, life = case.limit.size, kill.end.lifetime
    if (
        limit is None
        or life is None
        or life > _WHILE_STARTING
        or limit > _SMALL_LIMIT
        or case.budget.margin is not None
    ):
        return
    larger = next((n for n in _PEOPLE if n >= 2 * limit), 2 * limit)
    most = most_limit(case)
    if most is not None and larger > most:
        return
    words = (
        f"It met {exact(limit)} {precise_duration(life) if life else 'at once'} after its start, while it "
        "loads: the limit is likely too small for it"
    )
    fix = case.template_fix(
        f"Raise the memory limit of container {case.container.name} to {exact(larger)}, look at its working "
        "set once it has "
        "started, and set request and limit by that.",
        {"resources": {"limits": {"memory": exact(larger)}}},
        commands=(kubectl("top", "pod", case.pod.name, "--containers", namespace=case.pod.namespace),),
    )
    yield Candidate("limit too small", words, told=False, fixes=(fix,))


def _grows(case: Case, kill: Kill) -> Iterator[Candidate]:
    """Tell of growth over its life: load, a cache without a cap, or a leak; the lives of its instances tell which."""
    limit, life = case.limit.size, kill.end.lifetime
    if limit is None or kill.before_start:
        return
    words = "What grew is not told by anything that was read"
    lives = [k.end.lifetime for k in case.kills if k.end.lifetime is not None]
    if life is not None and life >= _HOURS:
        words = (
            f"It lived {precise_duration(life)} before the kill: memory that grows over hours is a cache "
            "without a cap, or a leak"
        )
        if len(lives) > 1:
            words = (
                f"Its last two instances lived {' and '.join(precise_duration(x) for x in lives)}: memory "
                "grows at a pace of its own"
            )
    elif case.budget.margin is not None and case.budget.margin >= 0:
        words = "Native memory, child processes or files in memory may have taken it; none of them is seen from outside"
    what = case.detected.runtime
    steps = {
        "hotspot": "-XX:NativeMemoryTracking=summary, then jcmd 1 VM.native_memory (--nmt reads it)",
        "node": "process.memoryUsage() over time",
        "go": "pprof's heap profile",
        "dotnet": "dotnet-gcdump and dotnet-counters",
        "python": "tracemalloc, and the resident size of each worker",
        "ruby": "the resident size of each process, with MALLOC_ARENA_MAX=2",
    }.get(what, "its own heap profile")
    fix = Fix(
        f"Measure what grows in container {case.container.name} before the next kill: {steps}. A larger limit "
        "only buys time "
        "if it never stops growing.",
        actor=Actor.APP,
        commands=(kubectl("top", "pod", case.pod.name, "--containers", namespace=case.pod.namespace),),
    )
    yield Candidate("growth", words, told=False, fixes=(fix,))
