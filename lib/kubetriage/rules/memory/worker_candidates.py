"""Worker processes that share a limit: a killed container in, how many there are and how many fit out."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.rules.memory import node_memory
from kubetriage.rules.memory.budget import exact, mebibytes
from kubetriage.rules.memory.budget_fixes import larger_limit, raise_fix
from kubetriage.rules.memory.candidate import WHILE_STARTING, Candidate
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.oom_kills import Kill
from kubetriage.rules.memory.worker_counts import Workers, stated_workers
from kubetriage.values.commands import kubectl

_MANY_CPUS = 8
_MANY_FIT = 64
"""A limit that holds so many workers is not filled by one per CPU of a usual node."""


def worker_candidates(case: Case, kill: Kill) -> Iterator[Candidate]:
    """Find worker processes that are too many for the limit, or one per CPU of the node."""
    limit = case.limit.size
    if limit is None:
        return
    if case.workers is not None:
        yield from _known(case, case.workers, limit)
        return
    stated = stated_workers(case.process)
    if stated is not None and stated[1] >= 4:
        name, count = stated
        fix = case.template_fix(
            f"Lower {name} of container {case.container.name}: measure one process under load, and multiply.",
            {"env": [{"name": name, "value": str(max(count // 2, 1))}]},
        )
        clause = f"{name}={count} processes share it, {mebibytes(limit // count)} for each"
        yield Candidate("workers", clause, "", told=False, fixes=(fix,))
        return
    yield from _any_server(case, kill)


def _known(case: Case, workers: Workers, limit: int) -> Iterator[Candidate]:
    cpus, fits = node_memory.node_cpus(case.node.obj), workers.fitting(limit)
    fixes, evidence = tuple(_worker_fixes(case, workers, limit, fits)), _cpus(case, cpus)
    if workers.count is not None:
        if workers.count > fits:
            share = mebibytes(limit // workers.count)
            clause = f"{workers.name} runs {workers.count} workers ({workers.source}), {share} for each"
            yield Candidate("workers", clause, "", told=True, fixes=fixes, evidence=evidence)
        return
    if not workers.per_cpu:
        clause = f"{workers.name} may run more workers than the limit holds ({workers.source})"
        more = f"About {fits} of {mebibytes(workers.each)} fit."
        yield Candidate("workers", clause, more, told=False, fixes=fixes)
    elif cpus is None and fits > _MANY_FIT:
        return  # no usual node has so many CPUs
    elif cpus is None or cpus * workers.each > limit:
        has = f"and node {case.pod.node} has {cpus}" if cpus else "of the node, not of its CPU limit"
        more = f"{workers.variables[0]} is not set." if workers.variables else ""
        told = cpus is not None and cpus >= _MANY_CPUS
        clause = f"{workers.name} starts one worker per CPU, {has}"
        yield Candidate("workers", clause, more, told=told, fixes=fixes, evidence=evidence)


_TOO_FEW = 2
"""A server with fewer workers serves nobody beside one slow request."""


def _worker_fixes(case: Case, workers: Workers, limit: int, fits: int) -> Iterator[Fix]:
    """Set how many workers fit; where hardly one does, the limit is what is too small."""
    larger = larger_limit(case, max(2 * limit, int(4 * workers.each / 0.8))) if fits < _TOO_FEW else None
    if larger is not None:
        words = f", and {workers.set_words(workers.fitting(larger))}: {exact(limit)} holds {fits} worker of about "
        yield raise_fix(case, larger, f"{words}{mebibytes(workers.each)} (measure yours).")
    yield worker_fix(case, workers, fits)


def _any_server(case: Case, kill: Kill) -> Iterator[Candidate]:
    """Suspect a worker per CPU where nothing tells the program, and the node has many CPUs."""
    cpus, life = node_memory.node_cpus(case.node.obj), kill.end.lifetime
    if case.program is not None or case.detected.runtime not in ("python", "ruby", "php", "nginx", "unknown"):
        return
    if cpus is None or cpus < 2 * _MANY_CPUS or life is None or life > WHILE_STARTING:
        return
    allowed = case.cpu_limit
    counted = f"the {cpus} CPUs of node {case.pod.node}" + (f", not its CPU limit of {allowed}" if allowed else "")
    look = kubectl("exec", case.pod.name, "-c", case.container.name, "--", "ps", "-e", namespace=case.pod.namespace)
    fix = Fix(
        f"Count its processes while it starts. Many of one name: give container {case.container.name} a fixed "
        "number of "
        "workers (nginx: worker_processes 2; others: WEB_CONCURRENCY, --workers, GOMAXPROCS).",
        actor=Actor.MANIFEST,
        commands=(look,),
    )
    clause = f"a server with one worker per CPU counts {counted}"
    more = "nginx with worker_processes auto does so, and many others."
    told = allowed != ""
    yield Candidate("workers", clause, more, told=told, fixes=(fix,), evidence=_cpus(case, cpus))


def _cpus(case: Case, cpus: int | None) -> tuple[Evidence, ...]:
    return (Evidence("status", f"node/{case.pod.node} capacity.cpu", str(cpus)),) if cpus else ()


def worker_fix(case: Case, workers: Workers, fits: int) -> Fix:
    """Set how many workers a program runs, to what the limit holds."""
    limit = case.limit.size or 0
    count = min(fits, max(fits // 2, 2) if fits > 16 else fits, _MANY_FIT)
    words = (
        f"Set {workers.set_words(count)} for container {case.container.name}: {exact(limit)} holds about {fits} of "
        f"{mebibytes(workers.each)} each (measure yours)."
    )
    if workers.also:
        words += f" {workers.also}."
    variables = [{"name": n, "value": v} for n, v in workers.variables_for(count).items()]
    return case.template_fix(words, {"env": variables} if variables else None)
