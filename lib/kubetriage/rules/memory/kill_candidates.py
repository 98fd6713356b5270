"""What may have filled a limit that a kill met: the case of a container in, candidates with look and cure out.

A kill at the limit refutes a budget that closes: then something is not as the budget assumes. Each candidate says
what speaks for it, what tells it from the others, and what ends it. Those that the data tells stand first; the rest
is possible and says so.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.rules.memory.budget import exact
from kubetriage.rules.memory.budget_fixes import larger_limit, raise_fix
from kubetriage.rules.memory.candidate import AT_ONCE, WHILE_STARTING, Candidate
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.ergonomics import GIB, MIB
from kubetriage.rules.memory.limit_not_seen import limit_not_seen
from kubetriage.rules.memory.oom_kills import Kill
from kubetriage.rules.memory.program_candidates import program_candidates
from kubetriage.rules.memory.program_fixes import program_fix
from kubetriage.rules.memory.runtime_candidates import runtime_candidates
from kubetriage.rules.memory.victim_candidates import victim_candidates
from kubetriage.rules.memory.worker_candidates import worker_candidates
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import objects, text
from kubetriage.values.times import human_duration, precise_duration

_SMALL_LIMIT = 512 * MIB


def candidates(case: Case, kill: Kill) -> tuple[Candidate, ...]:
    """Return what may have taken the memory, what the data tells first."""
    found = [
        *_volumes(case, kill),
        *program_candidates(case, kill),
        *_at_start(case, kill),
        *worker_candidates(case, kill),
        *limit_not_seen(case, kill),
        *runtime_candidates(case, kill),
        *victim_candidates(case, kill),
    ]
    if not any(c.told for c in found):
        found += _too_small(case, kill)
        found += _grows(case, kill, alone=not found)
    return tuple(sorted(found, key=lambda c: not c.told))


def _volumes(case: Case, kill: Kill) -> Iterator[Candidate]:
    """Find files in memory-backed volumes: they are charged to the container and outlive its instances."""
    limit = case.limit.size
    paths = {text(m, "name"): text(m, "mountPath") for m in objects(case.container.spec, "volumeMounts")}
    for area in case.budget.areas:
        if limit is None or not area.name.startswith("tmpfs "):
            continue
        size, volume = area.ceiling.size, area.name.removeprefix("tmpfs ")
        if size is not None and size * 2 < limit:
            continue
        may = f"up to {exact(size)}" if size is not None else "as much as the limit"
        life = kill.end.lifetime
        again = life is not None and life <= AT_ONCE and case.container.restarts > 0
        yield Candidate(
            "memory volume",
            f"files in its memory-backed volume {volume} ({paths.get(volume, '')}) count as its memory, {may}",
            "The files stay over restarts, so each new instance meets the limit at once." if again else "",
            told=again or size is None or size >= limit,
            fixes=tuple(_volume_fixes(case, volume, limit, again)),
            evidence=(Evidence("spec", f"spec.volumes[{volume}].emptyDir", f"medium Memory, {may}"),),
        )


def _volume_fixes(case: Case, volume: str, limit: int, again: bool) -> Iterator[Fix]:
    half = exact(max(limit // 2 // MIB, 1) * MIB)
    spec: dict[str, object] = {"volumes": [{"name": volume, "emptyDir": {"medium": "Memory", "sizeLimit": half}}]}
    yield case.pod_fix(
        f"Set sizeLimit of volume {volume} below the limit ({half}), or raise the limit above volume and program. A "
        "writer then gets 'no space left' instead of a kill.",
        spec,
    )
    if again:
        yield Fix(
            f"Delete the pod to free the files of volume {volume}: restarts of the container keep them.",
            actor=Actor.MANIFEST,
            commands=(kubectl("delete", "pod", case.pod.name, namespace=case.pod.namespace),),
        )


def _at_start(case: Case, kill: Kill) -> Iterator[Candidate]:
    """Find a table or cache that is allocated at the start, sized by a limit of the node."""
    life, limit, program = kill.end.lifetime, case.limit.size, case.program
    known = program is not None and program.at_start
    if life is None or limit is None or life > AT_ONCE or not kill.main_process:
        return
    if not known and (limit < GIB or case.detected.runtime not in ("unknown", "go")):
        return
    if case.touched_at_start is not None or any(a.name.startswith("tmpfs ") for a in case.budget.areas):
        return
    after = precise_duration(life) if life else "less than a second"
    more = f"{exact(limit)} within {after} is no load and no leak."
    if known and program is not None:
        clause = f"{program.name} sizes a table by its limit of open files when it starts"
        more += " Some nodes leave that limit at infinity, about 1e9 files."
    else:
        clause = "it allocates that much when it starts"
        more += " A table sized by the limit of open files does so, a cache sized by the node, or one worker per CPU."
    node = case.pod.node or "NODE"
    show = ("chroot", "/host", "systemctl", "show", "containerd", "-p", "LimitNOFILE")
    fixes = [
        Fix(
            "Look at the limit of open files that containers of this node get: infinity, or 1e9 in /proc/1/limits, "
            "proves it. A larger memory limit does not help then.",
            actor=Actor.NODE,
            commands=(kubectl("debug", f"node/{node}", "-it", "--image=busybox", "--", *show),),
        ),
        Fix(
            "Give the node's container runtime LimitNOFILE=1048576 (a drop-in of containerd.service), and restart it.",
            actor=Actor.NODE,
        ),
    ]
    if known:
        fixes.insert(0, program_fix(case, at_start=True))
    told = known or (program is None and case.workers is None)
    yield Candidate("allocated at start", clause, more, told=told, fixes=tuple(fixes))


def _too_small(case: Case, kill: Kill) -> Iterator[Candidate]:
    """Find a small limit, met while the program starts: a default that was never measured."""
    limit, life = case.limit.size, kill.end.lifetime
    if limit is None or life is None or life > WHILE_STARTING or limit > _SMALL_LIMIT or not kill.main_process:
        return
    larger = larger_limit(case, 2 * limit)
    if case.budget.margin is not None or larger is None or (case.program is not None and case.program.limit_first):
        return
    fix = raise_fix(case, larger, ". Look at its working set once it has started, and set request and limit by that.")
    clause = "the limit is likely too small for its start"
    if "LimitRange" in case.limit.source:
        clause = "it has no limit of its own, and the default of the LimitRange is likely too small for it"
    yield Candidate("limit too small", clause, "", told=False, fixes=(fix,))


_PROFILES = {
    "hotspot": "-XX:NativeMemoryTracking=summary, then jcmd 1 VM.native_memory (--nmt reads it)",
    "node": "process.memoryUsage() over time",
    "go": "pprof's heap profile",
    "dotnet": "dotnet-gcdump and dotnet-counters",
    "python": "tracemalloc, and the resident size of each worker",
    "ruby": "the resident size of each process, with MALLOC_ARENA_MAX=2",
}


def _grows(case: Case, kill: Kill, *, alone: bool) -> Iterator[Candidate]:
    """Tell of growth over its life: load, a cache without a cap, or a leak; the lives of its instances tell which."""
    life, lives = kill.end.lifetime, [k.end.lifetime for k in case.kills if k.end.lifetime is not None]
    if case.limit.size is None or kill.before_start:
        return
    more = ""
    if life is not None and life > WHILE_STARTING:
        clause = f"it grew over {human_duration(life)}: load, a cache without a cap, or a leak"
        if len(lives) > 1 and max(lives) <= 1.5 * min(lives):
            more = f"Its last two instances lived {' and '.join(map(human_duration, lives))}: a pace of its own."
    elif case.budget.margin is not None:
        clause = "native memory, child processes or files in memory took it"
    else:
        clause = "nothing that was read tells what took it"
    larger = larger_limit(case, 2 * case.limit.size)
    if case.container.kind == "init":
        # It runs once, for a known amount of work: nothing of it is left to be measured.
        words = "."
        if kill.end.exit_code == 0:
            words = ", and delete the pod: the step counts as done, though a process of it was killed half-way."
        once = (raise_fix(case, larger, words),) if larger is not None and alone else ()
        yield Candidate("growth", clause, more, told=False, fixes=once)
        return
    steps = _PROFILES.get(case.detected.runtime, "its own heap profile")
    fixes = [
        Fix(
            f"Measure what grows in container {case.container.name} before the next kill: {steps}. A larger limit only "
            "buys time if it never stops growing.",
            actor=Actor.APP,
            # Nothing of a pod that is over can be measured.
            commands=()
            if case.pod.finished
            else (kubectl("top", "pod", case.pod.name, "--containers", namespace=case.pod.namespace),),
        )
    ]
    if alone and larger is not None and kill.main_process and case.budget.margin is None:
        words = " to end the restarts for now. If it reaches that at the same pace, it leaks."
        if case.pod.finished:
            words = ". If it reaches that, too, it loads too much at once."
        fixes.insert(0, raise_fix(case, larger, words))
    yield Candidate("growth", clause, more, told=False, fixes=tuple(fixes))
