"""The answer for one pod: its containers' cases and what was found in, summary, tables and gaps out."""

from __future__ import annotations

from collections.abc import Iterable

from kubetriage.model import Diagnosis, Finding, NotSeen, Section, Severity, Table, ordered
from kubetriage.needs import List, Need, Raw
from kubetriage.readers.container_logs import ended_log
from kubetriage.readers.logs.memory_words import find_any_words
from kubetriage.readers.pods import Container, Pod
from kubetriage.records import replace
from kubetriage.redact import clean
from kubetriage.rules import memory
from kubetriage.rules.last_memory_words import find_memory_words
from kubetriage.rules.memory import budget_report, memory_usage, node_memory
from kubetriage.rules.memory.budget import exact, mebibytes
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.node_load import node_pods
from kubetriage.rules.memory.oom_kills import evicted_for_memory
from kubetriage.rules.node_contact import is_contact, unread
from kubetriage.snapshot import Snapshot
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import objects, text
from kubetriage.values.patterns import lazy

COMMAND = "oom-budget"
_RUNTIME = "RuntimeOutOfMemory"
_BY_SUMS = ("BudgetExceedsLimit",)
"""Causes that rest on the sum of the areas."""


def diagnose_pod(
    snapshot: Snapshot,
    pod: Pod,
    cases: list[Case],
    others: tuple[Finding, ...],
    *,
    asked: Case | None,
    node_view: bool | None,
    certain: bool = False,
) -> Diagnosis:
    """Answer for one pod; its gaps are added by :func:`gaps`.

    ``others`` are findings of why-crash about it, ``asked`` is the case that options of the command line are about,
    ``node_view`` tells whether the other pods of its node were read; None leaves the node out. With ``certain`` a
    budget that passes its limit only by assumed threads is left out: they are read where the pod is named.
    """
    if not cases:
        return Diagnosis(COMMAND, pod.ref, "The pod has no containers that run.", header=_header(snapshot, pod))
    findings = _findings(pod, cases, others)
    if certain:
        assumed = {c.container.name for c in cases if c.budget.decisive_assumption}
        findings = tuple(f for f in findings if f.cause not in _BY_SUMS or f.object.container not in assumed)
    shown = asked or _shown(cases, findings)
    tail: list[Section] = list(budget_report.sections(shown))
    if len(cases) > 1:
        tail.append(_overview(cases))
    if node_view is not None:
        order, why = eviction_order(snapshot, pod) if node_view else (None, "asked for single pods only")
        tail.append(budget_report.node_table(shown, order, why, working_set(snapshot, pod)))
    return Diagnosis(
        command=COMMAND,
        target=pod.ref,
        summary=findings[0].message if findings else _well(shown, cases),
        findings=findings,
        header=_header(snapshot, pod),
        tail=tuple(tail),
        manual=_manual(pod, shown, findings),
        extra={"budget": budget_report.as_json(shown)},
    )


def working_set(snapshot: Snapshot, pod: Pod) -> int | None:
    """Return the working set of a pod's containers together; None when none of them was measured."""
    sizes = [s.size for c in pod.containers if (s := memory_usage.read_usage(snapshot, c).working_set) is not None]
    return sum(sizes) if sizes else None


_BUS_ERROR = 135
_SHARED_MEMORY = lazy(
    r"insufficient shared memory|workers are out of shared memory|could not resize shared memory|"
    r"/dev/shm/?[^\n]{0,200}No space left|No space left[^\n]{0,200}/dev/shm|(?:extend|shared memory segment) /dev/shm/"
)


def shared_memory_full(snapshot: Snapshot, pod: Pod) -> bool:
    """Tell whether an ended instance says that /dev/shm is full, or got SIGBUS: memory that why-crash explains."""
    ended = ((c, c.termination) for c in pod.containers)
    return any(
        end is not None and (end.exit_code == _BUS_ERROR or _SHARED_MEMORY.search(ended_log(snapshot, c).text))
        for c, end in ended
    )


def may_mean_other_memory(cases: Iterable[Case], *, scanned: bool) -> bool:
    """Tell whether why-crash should be asked what the words of an ended instance are about.

    A scan asks only where words about memory would be reported.
    """
    for case in cases:
        end = case.container.termination
        if not scanned and case.container.waiting_reason.endswith("ContainerError"):
            return True
        if end is None or not end.exit_code or case.kills:
            continue
        if not scanned or find_memory_words(case.log) is not None or find_any_words(case.log) is not None:
            return True
    return False


def speaks_of_other(finding: Finding) -> bool:
    """Tell whether a finding of why-crash says that the words about memory mean no memory of the container.

    Or that the runtime refuses the limit itself.
    """
    if finding.details.get("field") == "resources.limits.memory":
        return True
    # A JVM words a refused thread as an OutOfMemoryError, which the rules here explain.
    return finding.details.get("mechanism") != "thread-limit" and any(r.cause == _RUNTIME for r in finding.ruled_out)


def default_container(pod: Pod) -> str:
    """Return the container that options without ``-c`` are about: kubectl's default container."""
    named = text(pod.raw, "metadata", "annotations", "kubectl.kubernetes.io/default-container")
    if named and pod.container(named) is not None:
        return named
    return next((c.name for c in pod.containers if c.kind == "app"), "")


def _findings(pod: Pod, cases: list[Case], others: tuple[Finding, ...]) -> tuple[Finding, ...]:
    told = {f.object.container for f in others if speaks_of_other(f)}
    found = [
        f
        for rule in memory.RULES
        for case in cases
        if rule.CODE != _RUNTIME or case.container.name not in told
        for f in rule.check(case)
    ]
    # .NET's host ends with 137 where its heap cannot be set up; a JVM may have itself killed: no foreign signal.
    own = {f.object.container for f in found if f.cause == _RUNTIME}
    ours = {rule.CODE for rule in memory.RULES}
    handed = [
        _handed(pod, f)
        for f in others
        if f.cause not in ours
        and f.object.container in ("", *(c.container.name for c in cases))
        and not (f.cause == "KilledBySignal" and f.object.container in own)
    ]
    return ordered([*handed, *found])


def _handed(pod: Pod, finding: Finding) -> Finding:
    if finding.cause == "Evicted" and evicted_for_memory(pod):
        return replace(finding, details={**finding.details, "killedBy": "eviction"})
    return finding


def _shown(cases: list[Case], findings: tuple[Finding, ...]) -> Case:
    """Choose the container whose budget is shown: that of the first finding, else the tightest."""
    for finding in findings:
        for case in cases:
            if finding.object.container == case.container.name and finding.severity is not Severity.NOTE:
                return case

    def tightness(case: Case) -> tuple[int, float]:
        margin, limit = case.budget.margin, case.budget.limit.size
        if margin is not None and limit:
            return (0, margin / limit)
        return (1 if case.budget.areas else 2, 0.0)

    return min(cases, key=tightness)


def _well(case: Case, cases: Iterable[Case]) -> str:
    """Say that nothing is wrong with the memory; and what is wrong beside it, for why-crash to explain."""
    ended = ((c.container, c.container.termination) for c in cases if not c.container.running)
    crashed, end = next(((c, e) for c, e in ended if e is not None and e.exit_code), (None, None))
    if crashed is not None and end is not None:
        refused = [lint.option for lint in case.budget.lints if lint.kind == "refused"]
        words = f"Not memory: container {crashed.name} ended with exit code {end.exit_code}, reason {end.reason}"
        if refused and crashed.name == case.container.name:
            words += f"; its runtime refuses {' '.join(refused)} and does not start"
        return f"{words} (kubectl why-crash tells why). {_closes(case)}"
    return f"No OOM kill seen.{_running_out_of_shared_memory(cases)} {_closes(case)}"


def _running_out_of_shared_memory(cases: Iterable[Case]) -> str:
    """Say that a running container reports a full /dev/shm, which its memory limit does not set."""
    for one in cases:
        match = _SHARED_MEMORY.search(one.running_log)
        if match is None or not one.container.running:
            continue
        own = any(
            text(m, "mountPath").rstrip("/") == "/dev/shm"  # noqa: S108
            for m in objects(one.container.spec, "volumeMounts")
        )
        what = (
            "raise the sizeLimit of the volume that is mounted there"
            if own
            else "a container gets 64 MiB of it, whatever its limit; mount an emptyDir with medium Memory and "
            "a sizeLimit there"
        )
        return (
            f" But /dev/shm of container {one.container.name} is full, as its log says ({clean(match[0])[:80]}): "
            f"{what}. "
            "What is in it counts as memory of the container."
        )
    return ""


def _closes(case: Case) -> str:
    budget = case.budget
    name = budget.container
    if budget.margin is not None and budget.ceiling is not None and budget.limit.size:
        heap = budget.heap
        # Where only the image knows the command, its start script may set another heap than the default.
        assumed = not case.process.argv and heap is not None and heap.ceiling.kind == "default"
        closes = "would close, if its image sets no other heap" if assumed else "closes"
        return (
            f"The budget of container {name} {closes}: {mebibytes(budget.ceiling)} of "
            f"{mebibytes(budget.limit.size)}, {mebibytes(budget.margin)} "
            f"({budget.margin / budget.limit.size:.1%}) to spare."
        )
    used = budget.total_observed.size
    seen = f"; it uses {mebibytes(used)}" if used is not None else ""
    limit = f"limit {exact(budget.limit.size)}" if budget.limit.size is not None else "no limit"
    if budget.limit.size is None and not case.snapshot.covers(case.pod.raw, "spec.containers.resources"):
        limit = "its limit is not shown"
    if not budget.areas:
        return (
            f"The runtime of container {name} is not known, so what it may take is unknown "
            f"({limit}{seen}); --runtime tells it."
        )
    known = f"of it {mebibytes(budget.ceiling)} are known" if budget.ceiling else "nothing bounds it but the limit"
    what = f"What container {name} ({budget.runtime}) may take cannot be added up"
    return f"{what}: {known} ({limit}{seen})."


def _overview(cases: Iterable[Case]) -> Table:
    rows = []
    for case in cases:
        budget = case.budget
        margin = "unknown" if budget.margin is None else mebibytes(abs(budget.margin))
        rows.append(
            (
                case.container.name,
                budget.runtime,
                exact(budget.request.size) if budget.request.size is not None else "none",
                exact(budget.limit.size) if budget.limit.size is not None else "none",
                mebibytes(budget.ceiling) if budget.ceiling is not None and budget.solvable else "unknown",
                f"-{margin}" if budget.margin is not None and budget.margin < 0 else margin,
                mebibytes(budget.total_observed.size) if budget.total_observed.size is not None else "unknown",
            )
        )
    columns = ("CONTAINER", "RUNTIME", "REQUEST", "LIMIT", "CEILING", "MARGIN", "OBSERVED")
    return Table("All containers", columns, tuple(rows))


def eviction_order(snapshot: Snapshot, pod: Pod) -> tuple[list[node_memory.Candidate] | None, str]:
    """Return the eviction order of the pod's node, or why it is not known."""
    if not pod.node:
        return None, "the pod is on no node"
    listing = snapshot.list("pods", fields=node_pods(pod.node).fields)
    if not listing.complete:
        return None, f"the pods of {pod.node} were not seen: {listing.why}"
    working_sets = memory_usage.summary_usage(snapshot, pod.node)
    if not working_sets:
        return None, f"the kubelet of {pod.node} gave no statistics of its pods"
    return node_memory.eviction_order(
        (p for raw in listing.items if (p := Pod(raw)).node == pod.node), working_sets
    ), ""


_USAGE_WORDS = {
    "/apis/metrics.k8s.io": "usage from metrics.k8s.io",
    "/proxy/stats/summary": "usage from the kubelet (stats/summary)",
    "/proxy/metrics/resource": "usage from the kubelet (/metrics/resource)",
    "/proxy/metrics/cadvisor": "cAdvisor's counters (threads; children killed for memory)",
}


_SHOWN = (
    ("status.containerStatuses", "the containers' states (an OOM kill would show there)"),
    ("spec.containers.resources", "the containers' memory limits"),
)
"""What a printed form of a pod may leave out, and what it decides."""


def gaps(snapshot: Snapshot, pod: Pod, cases: list[Case], needs: Iterable[Need]) -> tuple[NotSeen, ...]:
    """Say what of ``needs`` was not seen; one usage source is enough, so the others count only when none answered."""
    measured = all(c.usage.working_set is not None for c in cases if c.container.running)
    lines: list[NotSeen] = []
    missing = list(snapshot.unseen(needs))
    contact = unread(need for need, _ in missing)
    for need, why in missing:
        what = str(need)
        if contact and is_contact(need):
            # The first of them says why.
            if all(line.what != contact for line in lines):
                lines.append(NotSeen(contact, why, decides=True))
            continue
        if isinstance(need, Raw):
            part = next((p for p in _USAGE_WORDS if p in need.path), "")
            what = _USAGE_WORDS.get(part, what)
            if part != "/proxy/metrics/cadvisor" and measured:
                continue
        elif _on_node(need, pod):
            what = f"other pods of {pod.node} (the eviction order)"
        elif isinstance(need, List) and need.fields == f"involvedObject.uid={pod.uid}":
            what = f"events of pod/{pod.name}"
        # What others on the node use, and how much this one does, tell when it may be killed, not that it was.
        lines.append(NotSeen(what, why, decides=not (isinstance(need, Raw) or _on_node(need, pod))))
    for case in cases:
        process, limit = case.wishes.process, case.limit.size
        if process is not None and process.rss is not None and limit is not None and process.rss > limit:
            why = f"VmRSS {mebibytes(process.rss)} is more than its limit of {exact(limit)}: another process's status"
            lines.append(NotSeen(f"the process of container {case.container.name} (--proc)", why))
    for path, what in _SHOWN:
        if not snapshot.covers(pod.raw, path):
            lines.append(NotSeen(f"{what} of pod/{pod.name}", "the text does not show it", decides=True))
    if pod.node and pod.phase != "Pending":
        lines += [gap for case in cases if (gap := _lost_end(case.container)) is not None]
    return tuple(dict.fromkeys(lines))


def _on_node(need: Need, pod: Pod) -> bool:
    return isinstance(need, List) and need.fields == f"spec.nodeName={pod.node}"


def _lost_end(container: Container) -> NotSeen | None:
    """Say that an end of a container, which may have been an OOM kill, left no trace in its status."""
    states = (container.running, container.waiting is not None, container.current_termination is not None)
    if not any(states):
        return NotSeen(
            f"the state of container {container.name} (an OOM kill would show there)", "not in its status", decides=True
        )
    last = container.termination
    if container.restarts and (last is None or last.exit_code is None):
        what = f"how container {container.name} ended before (an OOM kill would show there)"
        return NotSeen(what, f"restartCount is {container.restarts}, but lastState holds no exit code", decides=True)
    return None


def _header(snapshot: Snapshot, pod: Pod) -> tuple[tuple[str, str], ...]:
    if not pod.uid:
        return ()
    return (
        ("", pod.status_text()),
        ("ready", pod.ready_text()),
        ("restarts", pod.restarts_text(snapshot.clock)),
        ("age", pod.age_text(snapshot.now)),
        ("node", pod.node or "<none>"),
    )


def _manual(pod: Pod, case: Case, findings: tuple[Finding, ...]) -> tuple[tuple[str, str, str], ...]:
    """Show the path by hand that this answer replaces."""
    if not pod.uid:
        return ()
    name, budget = case.container.name, case.budget
    kill = case.recent_kill
    status = kill.evidence[0].value if kill is not None else "no OOMKilled in state or lastState"
    used = mebibytes(budget.total_observed.size) if budget.total_observed.size is not None else "not readable"
    flags = " ".join(case.process.argv) or "the image's own command: not visible"
    sums = f"{mebibytes(budget.ceiling)} by flags and defaults" if budget.ceiling is not None else "unknown"
    return (
        (
            kubectl("get", "pod", pod.name, "-o", "yaml", namespace=pod.namespace),
            f"{status}; limit {budget.limit.source}",
            "who killed it, at which limit",
        ),
        (
            kubectl("top", "pod", pod.name, "--containers", namespace=pod.namespace),
            f"{name}: {used}",
            "the working set of this moment, not the peak",
        ),
        (
            kubectl("exec", pod.name, "-c", name, "--", "cat", "/proc/1/cmdline", namespace=pod.namespace),
            flags,
            "the flags, by hand",
        ),
        ("documentation of the runtime", sums, "add up every area's default for this version and limit"),
        (
            "together",
            findings[0].message if findings else _well(case, ()),
            findings[0].cause if findings else "Healthy",
        ),
    )
