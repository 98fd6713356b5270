"""What is said and advised about an OOM kill: one report for oom-budget and why-crash.

The case of a container and its kill in; words, proof, rivals and fixes out. Fixes go in the order of what ends the
incident: what is out of proportion first, then the limit, the heap last; looks that tell candidates apart after them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property

from kubetriage.model import Actor, Evidence, Fix, RuledOut
from kubetriage.records import dataclass
from kubetriage.rules.memory import node_memory, unit_slips
from kubetriage.rules.memory.budget import Budget, exact, mebibytes
from kubetriage.rules.memory.budget_fixes import FIXES_AT_MOST, NEARLY_ALL, closing_fixes, human_limit, larger_fixes
from kubetriage.rules.memory.candidate import Candidate
from kubetriage.rules.memory.case import AT_LIMIT, Case, sample_before
from kubetriage.rules.memory.ergonomics import MIB
from kubetriage.rules.memory.kill_candidates import candidates
from kubetriage.rules.memory.oom_kills import Kill
from kubetriage.rules.memory.program_fixes import program_fix
from kubetriage.values.quantity import format_bytes
from kubetriage.values.times import format_time, human_duration, precise_duration

_SHOWN_LIFE = timedelta(minutes=3)
"""A life up to this is told in the headline: the kill fell into the start."""
_LEAST_LIMIT = 16 * MIB
"""runc needs about 6 MiB to start a process; room for a small program beside it."""


@dataclass(frozen=True)
class OomKillReport:
    """One kill, explained."""

    case: Case
    kill: Kill

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """What may have filled the limit; nothing where the node was full, and before the program started."""
        if self.kill.killed_by == "node" or self.kill.before_start:
            return ()
        return candidates(self.case, self.kill)

    @cached_property
    def over(self) -> bool:
        """The budget does not close, so it explains the kill."""
        margin = self.case.budget.margin
        return margin is not None and margin < 0

    @cached_property
    def slip(self) -> unit_slips.Slip | None:
        """A limit that lacks its unit, where one is."""
        return unit_slips.slip(self.case)

    @cached_property
    def lead(self) -> Candidate | None:
        """The candidate that the data tells."""
        return next((c for c in self.candidates if c.told), None)

    def message(self) -> str:
        """Say what was killed, at whose limit, and what took the memory as far as that is known."""
        case, kill = self.case, self.kill
        name, limit = case.container.name, case.budget.limit
        if kill.main_process:
            words = f"The kernel killed container {name} {self._where()}"
        else:
            code = "unknown" if kill.end.exit_code is None else kill.end.exit_code
            words = f"The kernel killed a child process of container {name} {self._where()}"
            words += f"; PID 1 ended later with exit code {code}"
        if kill.before_start:
            why = "the runtime itself needs a few MiB to start it" if self.slip is None else self.slip.clause
            return f"{words} before its program started: {why}."
        life = kill.end.lifetime
        if kill.main_process and life is not None and life <= _SHOWN_LIFE:
            words += f", {precise_duration(life)} after its start" if life else ", at once after its start"
        if kill.killed_by == "node":
            return f"{words} ({kill.because})."
        fault = _at_fault(case.budget)
        if self.lead is not None and (self.lead.name in _BEFORE_SUMS or case.budget.blamed is None):
            return f"{words}; {self.lead.clause}. {self.lead.more}".strip()
        if fault:
            return f"{words}{fault}."
        if case.budget.margin is not None and limit.size is not None:
            most = mebibytes(case.budget.ceiling or 0)
            return f"{words}, though its budget takes at most {most}: the model misses {self._open()}."
        best = self.candidates[0] if self.candidates else None
        return f"{words}; {best.clause}. {best.more}".strip() if best is not None else f"{words}."

    def _open(self) -> str:
        names = dict.fromkeys(_IN_WORDS.get(c.name, c.name) for c in self.candidates)
        return " or ".join(names) or "native memory, child processes, files in memory"

    def _where(self) -> str:
        kill, limit = self.kill, self.case.budget.limit
        whole = node_memory.pod_limit(self.case.pod)
        if kill.killed_by == "pod" and whole.size is not None and limit.level != "what-if":
            limit = whole
        size = "" if limit.level == "what-if" or limit.size is None else f" of {exact(limit.size)}"
        if self.slip is not None and size:
            size = f" of {self.slip.written}"
        if kill.killed_by == "container":
            return f"at its own memory limit{size}"
        if kill.killed_by == "pod":
            return f"at the pod's memory limit{size}"
        if kill.scope.rival:
            return f"likely because the node ran out of memory, before the limit{size} was met"
        return "because the node ran out of memory"

    def details(self) -> dict[str, object]:
        """Say in the JSON contract whose limit it was, and what may have filled it."""
        names = [c.name for c in self.candidates]
        return {"killedBy": self.kill.killed_by, **({"candidates": names} if names else {})}

    def evidence(self) -> Iterator[Evidence]:
        """Quote the status, the limit, what was measured, and what speaks for the lead."""
        case, kill = self.case, self.kill
        yield from kill.evidence
        limit = case.budget.limit if case.wishes.limit is None else None
        if limit is not None and limit.size is not None:
            written = self.slip.written if self.slip is not None else exact(limit.size)
            yield Evidence("status" if "status." in limit.source else "spec", limit.source, written)
        yield from _memory_at_death(case, kill)
        blamed = case.budget.blamed
        if blamed is not None and kill.killed_by != "node":
            yield Evidence("config", blamed.name, f"may take {mebibytes(blamed.counted)}: {blamed.ceiling.source}")
        for candidate in self.candidates:
            if candidate.told:
                yield from candidate.evidence

    def ruled_out(self) -> Iterator[RuledOut]:
        """Say why it is no other kill, and which reading of it stays open."""
        recorded = (
            "runc's words tell of an OOM kill"
            if self.kill.before_start
            else "the recorded reason is OOMKilled, not Error"
        )
        yield RuledOut("KilledBySignal", f"{recorded} ({self.kill.because})")
        yield from self.rivals()

    def rivals(self) -> Iterator[RuledOut]:
        """Name the other reading of whose limit it was, where nothing rules it out."""
        if self.kill.scope.rival:
            yield RuledOut("OOMKilled", f"not ruled out: {self.kill.scope.rival}")

    def fixes(self) -> tuple[Fix, ...]:
        """Advise, the first that ends it first; no more than a person will try."""
        unique: dict[str, Fix] = {}
        for fix in self._fixes():
            unique.setdefault(fix.text, fix)
        return tuple(unique.values())[:FIXES_AT_MOST]

    def _fixes(self) -> Iterator[Fix]:
        if self.kill.killed_by == "node":
            yield from self._node_fixes()
            return
        if self.kill.before_start and not self.over:
            fix = self._least_limit()
            if fix is not None:
                yield fix
                return
        told = [c for c in self.candidates if c.told]
        for candidate in told:
            yield from candidate.fixes
        if self.over and not any(c.name in _INSTEAD_OF_SUMS for c in told):
            yield from closing_fixes(self.case) or (self._sizes_fix(),)
        if self.over and self.case.budget.blamed is not None:
            return  # one area explains it
        if not told and not self.over:
            yield from larger_fixes(self.case)
        for candidate in self.candidates:
            if not candidate.told:
                yield from candidate.fixes

    def _least_limit(self) -> Fix | None:
        limit, name = self.case.budget.limit.size, self.case.container.name
        if limit is not None and limit >= _LEAST_LIMIT:
            return None
        if self.slip is not None:
            return unit_slips.fix(self.case, self.slip)
        words = f"Raise the memory limit of container {name} to {mebibytes(_LEAST_LIMIT)} or more."
        return self.case.template_fix(words, {"resources": {"limits": {"memory": f"{_LEAST_LIMIT // MIB}Mi"}}})

    def _sizes_fix(self) -> Fix:
        """Advise where areas are too large together and no flag of a runtime closes the budget."""
        case = self.case
        if case.program is not None and any(a.name == case.program.area for a in case.budget.areas):
            return program_fix(case)
        largest = max(case.budget.areas, key=lambda a: a.counted)
        words = (
            f"Lower {largest.name} ({mebibytes(largest.counted)}, {largest.ceiling.source}), or raise the memory limit "
            f"of container {case.container.name} above {mebibytes(case.budget.ceiling or 0)} and what the "
            "program needs."
        )
        return case.template_fix(words, None)

    def _node_fixes(self) -> Iterator[Fix]:
        """Advise where the node was full: a request that is true, a limit that can be met, other nodes."""
        case, load = self.case, self.case.node_load
        name, request, limit = case.container.name, case.budget.request.size, case.limit.size
        held = case.in_use
        has = f"now {exact(request)}" if request else "now none"
        spec: dict[str, object] | None = None
        used = f"; it held {format_bytes(held)} when it was killed" if held and self.kill.resident_at_death else ""
        if held and (request or 0) < held:
            # A request above the limit is refused.
            near = human_limit(held)
            spec = {"resources": {"requests": {"memory": exact(near if limit is None else min(near, limit))}}}
        give = " and give it a limit" if limit is None else ""
        yield case.template_fix(
            f"Set the memory request of container {name} to what it really uses ({has}{used}){give}. The "
            "scheduler then does not overcommit the node.",
            spec,
        )
        left = load.reachable(case.pod)
        if limit is not None and left is not None and limit > left > 0:
            yield case.template_fix(
                f"Lower its limit to what node {load.name} can give, at most {format_bytes(left)} beside the "
                "requests of "
                "its other pods; or run it on a larger node, or one of its own.",
                None,
            )
        if len([p for p in case.replicas if p.node == case.pod.node]) > 1:
            yield case.pod_fix(
                f"Spread the replicas of {case.workload.kind.lower()}/{case.workload.name} over nodes: several run on "
                f"{case.pod.node}.",
                {
                    "topologySpreadConstraints": [
                        {
                            "maxSkew": 1,
                            "topologyKey": "kubernetes.io/hostname",
                            "whenUnsatisfiable": "ScheduleAnyway",
                            "labelSelector": {"matchLabels": case.workload_labels},
                        }
                    ]
                },
            )
        greedy = [p for p in load.unlimited if p.name != case.pod.name]
        if greedy:
            names = ", ".join(f"{p.namespace}/{p.name}" for p in greedy[:3])
            yield Fix(
                f"Give a memory limit to the pods of the node that have none, {names} among them: they take "
                "what they like.",
                actor=Actor.MANIFEST,
            )


_IN_WORDS = {
    "limit not seen": "a limit that the runtime does not see",
    "growth": "native memory, child processes or files in memory",
    "workers": "its worker processes",
    "allocated at start": "memory that it allocates at the start",
    "memory volume": "files in a memory-backed volume",
    "program memory": "what the server keeps beside its cache",
    "replay at start": "a log that it reads back at the start",
    "memory overhead": "what stands beside the heap",
    "build processes": "processes of the build",
    "server GC": "heaps of the server GC",
    "malloc arenas": "freed memory in malloc arenas",
    "limit too small": "a limit that is too small for its start",
}


_AT_WORK = ("replay at start", "memory overhead", "build processes")
_BEFORE_SUMS = ("memory volume", "program memory", "limit too small", *_AT_WORK)
"""Candidates that say more than the area which they are."""


_INSTEAD_OF_SUMS = ("program memory", "limit too small", "memory volume", "memory overhead", "build processes")
"""Candidates whose fixes stand for those of the budget."""


def _at_fault(budget: Budget) -> str:
    """Name the area that can pass the limit, or else what the areas add up to."""
    blamed, heap = budget.blamed, budget.heap
    if blamed is not None:
        return f"; {blamed.name} alone may take {mebibytes(blamed.counted)}"
    if budget.ceiling is None or budget.margin is None or budget.margin >= 0:
        return ""
    if heap is not None and budget.limit.size is not None and heap.counted >= budget.limit.size * NEARLY_ALL:
        return f"; {heap.name} may take {mebibytes(heap.counted)} of it ({heap.ceiling.source}), the rest comes on top"
    words = f"; its memory areas together may take {mebibytes(budget.ceiling)}"
    if heap is not None and heap.ceiling.size:
        words += f", {mebibytes(heap.ceiling.size)} of it {heap.name}"
    if budget.unbounded:
        words += f"; no flag caps {' and '.join(budget.unbounded)}"
    return words


def _memory_at_death(case: Case, kill: Kill) -> Iterator[Evidence]:
    if kill.resident_at_death is not None and kill.event is not None:
        at = format_time(kill.event.last) if kill.event.last else ""
        value = f"{mebibytes(kill.resident_at_death)} resident (anon-rss + shmem-rss) when the kernel killed it"
        yield Evidence("event", kill.event.reason, value, at)
    peak, limit = case.usage.peak, case.limit.size
    if peak is not None and limit is not None and kill.killed_by != "node" and peak.size >= limit * AT_LIMIT:
        value = f"{mebibytes(peak.size)} at the peak, page cache included: it met the limit"
        yield Evidence("metric", peak.source, value)
    before = sample_before(case, kill.end.finished)
    if before is not None:
        size, gap = before
        sample = case.usage.working_set
        source = sample.source if sample is not None else ""
        value = f"{mebibytes(size)} working set {human_duration(gap)} before the kill; what came after was not sampled"
        yield Evidence("metric", source, value)
