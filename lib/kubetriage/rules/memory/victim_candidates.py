"""What the kernel's line says of the process that it killed: a killed container in, what that leaves open out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Actor, Fix
from kubetriage.rules.memory.budget import exact, mebibytes
from kubetriage.rules.memory.budget_fixes import larger_limit, raise_fix
from kubetriage.rules.memory.candidate import Candidate
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.oom_kills import Kill, image_words, victim
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text

_MOST = 0.6
"""A victim that held this share of the limit or more is what filled it."""


def victim_candidates(case: Case, kill: Kill) -> Iterator[Candidate]:
    """Tell that the killed process held little of the limit, so that the rest is elsewhere in the container."""
    limit, held = case.limit.size, kill.resident_at_death
    seen = victim(kill.event) if kill.event is not None else None
    if limit is None or held is None or seen is None or held >= limit * _MOST or kill.killed_by == "node":
        return
    if any(a.name.startswith("tmpfs ") for a in case.budget.areas):
        return  # files in memory explain it
    clause = (
        f"the process that was killed, {seen.name}, held only {mebibytes(held)} of it: the rest is in other processes "
        "of the container, files in memory, or the kernel (sockets, inodes)"
    )
    known = case.workers is not None or case.program is not None
    yield Candidate("other processes", clause, _group(case, seen.name), told=not known, fixes=tuple(_fixes(case)))


def _fixes(case: Case) -> Iterator[Fix]:
    pod, limit = case.pod, case.limit.size or 0
    look = "cat /sys/fs/cgroup/memory.stat; ps -e -o rss,comm"
    yield Fix(
        "See where its memory is while it runs: many processes (ps), or anon, shmem, sock and slab of memory.stat. "
        "Many processes: start fewer. sock or slab: close connections, open fewer files.",
        actor=Actor.APP,
        commands=()
        if pod.finished
        else (kubectl("exec", pod.name, "-c", case.container.name, "--", "sh", "-c", look, namespace=pod.namespace),),
    )
    larger = larger_limit(case, 2 * limit)
    if larger is not None:
        yield raise_fix(case, larger, f" to end the kills at {exact(limit)} for now.")


def _group(case: Case, name: str) -> str:
    """Say why more than the victim died; empty where the victim is the program itself, or the kubelet is older."""
    version = re.match(r"v?1\.(\d+)", text(case.node.obj, "status", "nodeInfo", "kubeletVersion"))
    own = {case.container.name.lower(), case.process.program.lower(), *image_words(case.container.image)}
    word = name.lower()
    if version is None or int(version[1]) < 28 or any(word[:15] == n[:15] or n in word for n in own if n):
        return ""
    single = " (singleProcessOOMKill: true in the kubelet's configuration ends that)" if int(version[1]) >= 32 else ""
    return (
        "Since Kubernetes 1.28 all processes of a container die with the one that the kernel chose, on cgroup v2"
        f"{single}."
    )
