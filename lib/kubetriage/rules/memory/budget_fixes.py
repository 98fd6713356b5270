"""Turns proposals into fixes: flags where the container takes its flags from, and a patch of its workload."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from kubetriage.model import Actor, Fix
from kubetriage.redact import clean
from kubetriage.rules.memory import node_memory
from kubetriage.rules.memory.budget import Proposal, exact, mebibytes
from kubetriage.rules.memory.budget_builder import Extended, follows_limit
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.ergonomics import GIB, MIB
from kubetriage.rules.memory.image_defaults import image_defaults
from kubetriage.rules.memory.jvm_areas import JvmModel
from kubetriage.rules.memory.jvm_flags import parse_size
from kubetriage.rules.memory.jvm_options import runs_java, split_options
from kubetriage.rules.memory.limit_planner import plan
from kubetriage.rules.memory.measured_areas import below_use
from kubetriage.rules.memory.node_memory import qos_class
from kubetriage.rules.memory.program_fixes import program_fix
from kubetriage.typed import Literal, cast
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import objects, text, texts
from kubetriage.values.quantity import format_bytes

_VARIABLE_OF = {"node": "NODE_OPTIONS", "openj9": "OPENJ9_JAVA_OPTIONS"}
FIXES_AT_MOST = 3
"""No more than a person will try."""
NEARLY_ALL = 0.9
"""A heap of this share of the limit leaves too little for what stands beside it."""
_LARGE = 0.75
"""A heap of this share of a limit at which the container was killed leaves too little."""
_MOST = 0.8
"""From here on a larger limit with capped direct memory is the smaller change."""
_PEOPLE = tuple(n * MIB for n in (64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192))
"""Limits as people write them; above, whole GiB."""
_JVMS = ("hotspot", "openj9", "azul-prime")
_REPLACES = {
    "-Xmx": r"-Xmx.*|-mx\d.*|-XX:MaxHeapSize=.*|-XX:(Max|Min)RAM(Percentage|Fraction)=.*",
    "-Xms": r"-Xms.*|-ms\d.*|-XX:InitialHeapSize=.*",
    "-Xss": r"-Xss.*|-ss\d.*|-XX:ThreadStackSize=.*",
}
"""Options that a new one stands for; without an entry it is the option of the same name."""


def replaces(flag: str) -> re.Pattern[str]:
    """Return a pattern of the options that ``flag`` takes the place of."""
    for prefix, pattern in _REPLACES.items():
        if flag.startswith(prefix):
            return re.compile(f"(?:{pattern})\\Z")
    return re.compile(re.escape(flag.partition("=")[0]).replace(r"\-", "[-_]") + r"(?:=.*)?\Z")


def rewritten(words: Sequence[str], flags: Sequence[str]) -> list[str] | None:
    """Return options with ``flags`` in the place of what they replace; None when nothing there is replaced."""
    patterns = [(f, replaces(f)) for f in flags]
    done: list[str] = []
    placed: set[str] = set()
    for word in words:
        flag = next((f for f, p in patterns if p.match(word)), None)
        if flag is None:
            done.append(word)
        elif flag not in placed:
            placed.add(flag)
            done.append(flag)
    if not placed:
        return None
    # The remaining ones belong before the first of those that were already there.
    missing = [f for f in flags if f not in placed]
    position = next(i for i, w in enumerate(done) if w in placed)
    return done[:position] + missing + done[position:]


def flags_patch(case: Case, flags: Sequence[str]) -> dict[str, object] | None:
    """Return the partial container that sets ``flags``; None where it cannot be said from outside.

    None also where the patch would repeat a secret: it is redacted before it is shown, and applying that would
    destroy the original.
    """
    patch = _flags_patch(case, flags) if flags else None
    return patch if patch is not None and all(clean(word) == word for word in _words_of(patch)) else None


def _words_of(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for member in value:
            yield from _words_of(member)
    elif isinstance(value, dict):
        for member in value.values():
            yield from _words_of(member)


def _flags_patch(case: Case, flags: Sequence[str]) -> dict[str, object] | None:
    """Change every place that sets one of ``flags``, so that no other value is left that wins or is refused."""
    runtime, process = case.detected.runtime, case.process
    if runtime in ("go", "dotnet"):
        return {"env": [{"name": n, "value": v} for n, _, v in (f.partition("=") for f in flags)]}
    if runtime not in (*_JVMS, "node", "native-image"):
        return None
    if process.shell and any(p.match(w) for w in process.argv for p in map(replaces, flags)):
        return None  # the options stand inside a shell command line
    patch: dict[str, object] = {}
    placed: set[str] = set()
    sized = _sized_variables(case, flags)
    if sized:
        rest = [f for f in flags if not f.startswith(("-Xmx", "-Xms"))]
        more = [{"name": "JAVA_TOOL_OPTIONS", "value": " ".join(rest)}] if rest else []
        return {"env": [*sized, *more]}
    for field in () if process.shell else ("command", "args"):
        words = texts(case.container.spec, field)
        found = [f for f in flags if any(replaces(f).match(w) for w in words)]
        changed = rewritten(words, found) if found else None
        if changed is not None:
            patch[field] = changed
            placed.update(found)
    variables: list[dict[str, str]] = []
    for entry in objects(case.container.spec, "env"):
        value, name = text(entry, "value"), text(entry, "name")
        if "valueFrom" in entry or not value or not _holds_options(case, name):
            continue
        options = split_options(value) or []
        found = [f for f in flags if any(replaces(f).match(w) for w in options)]
        changed = rewritten(options, found) if found else None
        if changed is not None:
            variables.append({"name": name, "value": " ".join(changed)})
            placed.update(found)
    missing = [f for f in flags if f not in placed]
    if missing and variables:
        variables[-1]["value"] += " " + " ".join(missing)
    elif missing and patch:
        field = "args" if "args" in patch else "command"
        words = [str(w) for w in cast("list[str]", patch[field])]
        at = next((i for i, w in enumerate(words) if any(replaces(f).match(w) for f in placed)), len(words))
        patch[field] = [*words[:at], *missing, *words[at:]]
    elif missing:
        added = _added_variable(case, missing)
        if added is None:
            return None
        variables.append(added)
    if variables:
        patch["env"] = variables
    return patch or None


def _sized_variables(case: Case, flags: Sequence[str]) -> list[dict[str, str]]:
    """Write the heap into the variables of an image whose start script takes its bare size; empty for others."""
    defaults, heap = image_defaults(case.container.image), next((f for f in flags if f.startswith("-Xmx")), "")
    size = parse_size(heap.removeprefix("-Xmx")) if heap else None
    if defaults is None or size is None or runs_java(case.process):
        return []
    forms = defaults.row.get("heap_variables", {})
    # HEAP_NEWSIZE of cassandra-env.sh: a quarter of the heap, as it reckons itself.
    return [
        {"name": name, "value": form.format(mib=size // MIB, quarter=size // MIB // 4)} for name, form in forms.items()
    ]


def _holds_options(case: Case, name: str) -> bool:
    """Tell whether a variable holds options of the runtime (and not, say, a script with the same words)."""
    defaults = image_defaults(case.container.image)
    known = defaults is not None and (name == defaults.variable or name in defaults.variables)
    return known or bool(re.search(r"OPT|ARGS|FLAGS|HEAP|PARAMS|MEM", name))


def _added_variable(case: Case, flags: Sequence[str]) -> dict[str, str] | None:
    """Return the variable that takes options which stand nowhere yet; None where none is read."""
    runtime, process = case.detected.runtime, case.process
    if runtime == "native-image":
        return None  # a native image reads no variable; its options go behind the program's name
    variable = option_variable(case)
    known = process.environment.get(variable)
    if known is not None and known.value is None:
        return None
    present = split_options((known.value if known is not None else None) or "")
    defaults = image_defaults(case.container.image)
    if known is None and defaults is not None and variable in defaults.row.get("unless", ()) and not defaults.auto:
        present = list(defaults.options)  # the variable replaces them all, so those that stay are written along
    if present is None:
        return None
    changed = rewritten(present, flags) or [*present, *flags]
    return {"name": variable, "value": " ".join(changed)}


def option_variable(case: Case) -> str:
    """Return the variable that takes new options of the container's runtime: the image's own where it has one."""
    runtime = case.detected.runtime
    defaults = image_defaults(case.container.image)
    if runtime == "hotspot" and defaults is not None and not runs_java(case.process):
        form = defaults.row.get("variables", {}).get(defaults.variable, "{0}")
        if defaults.variable and form == "{0}":
            return defaults.variable
    return _VARIABLE_OF.get(runtime, "JAVA_TOOL_OPTIONS")


def human_limit(size: int) -> int:
    """Round a limit up to a size that people write: steps of a sixteenth to an eighth of it, whole MiB."""
    mib = -(-size // MIB)
    step = 1
    while step * 16 <= mib:
        step *= 2
    return -(-mib // step) * step * MIB


def proposal_fix(case: Case, proposal: Proposal) -> Fix | None:
    """Make a fix of one proposal; None where the budget, asked again with it, does not close or would not start."""
    limit = proposal.limit
    if limit is not None and limit != case.limit.size and human_limit(limit) <= (most_limit(case) or limit):
        limit = human_limit(limit)
    resources: dict[str, object] = {}
    if limit is not None and limit != case.limit.size:
        resources = {"resources": _resources(case, exact(limit))}
    patch = flags_patch(case, proposal.flags) if proposal.flags else {}
    if not holds(case, proposal, None if patch is None else {**patch, **resources}, limit):
        return None
    if resources and case.budget.limit.level == "pod":
        return None if proposal.flags else raise_fix(case, limit or 0, ".")
    owner = case.owner_name
    name, now, flags = case.container.name, case.limit.size, " ".join(proposal.flags)
    size = exact(limit or 0)
    if not proposal.flags:
        verb = "Set" if now is None else "Raise" if now < (limit or 0) else "Lower"
        words = f"{verb} the memory limit of container {name}{f' in {owner}' if owner else ''} to {size}."
        if case.is_bare and case.pod.uid and now is not None and case.container.kind != "init":
            return _resize(case, words, size)
        return case.template_fix(words, resources, commands=_set_limit(case, size))
    words = f"Run container {name}{f' of {owner}' if owner else ''} with {flags}" + (
        f" and a memory limit of {size}." if resources else "."
    )
    words += _why_together(proposal)
    return case.template_fix(words, None if patch is None else {**patch, **resources})


def _why_together(proposal: Proposal) -> str:
    if not any(f.startswith("-Xms") for f in proposal.flags):
        return ""
    return " The initial heap moves with the maximum: above it the JVM does not start."


def _set_limit(case: Case, size: str) -> tuple[str, ...]:
    """Write the command that sets the limit of a workload's container; empty where a tool keeps the workload."""
    top = case.workload
    kept = case.keeper is not None or case.maker is not None or case.custom_resource is not None
    if top.kind not in ("Deployment", "StatefulSet", "DaemonSet") or kept or not case.pod.uid:
        return ()
    what = f"{top.kind.lower()}/{top.name}"
    return (
        kubectl(
            "set", "resources", what, "-c", case.container.name, f"--limits=memory={size}", namespace=top.namespace
        ),
    )


def _resources(case: Case, size: str) -> dict[str, object]:
    """Write limits, and the request with it where both are equal today: a resize must not change the QoS class."""
    request = case.budget.request
    both = request.size is not None and request.size == case.limit.size and "defaults" not in request.source
    return {kind: {"memory": size} for kind in (("limits", "requests") if both else ("limits",))}


def most_limit(case: Case) -> int | None:
    """Return the largest limit that the node can hold; None when the node was not seen."""
    return node_memory.node_memory(case.node.obj, "allocatable")


def larger_limit(case: Case, least: int) -> int | None:
    """Return a limit of at least ``least`` bytes as people write it; None where the node cannot hold it."""
    size = next((n for n in _PEOPLE if n >= least), None) or -(-least // GIB) * GIB
    most = most_limit(case)
    return size if most is None or size <= most else None


def raise_fix(case: Case, size: int, words: str) -> Fix:
    """Raise the limit of a container, or of its pod where that holds it, to ``size``; ``words`` follow."""
    name, owner = case.container.name, case.owner_name
    if case.budget.limit.level == "pod":
        pod: dict[str, object] = {"resources": {"limits": {"memory": exact(size)}}}
        return case.pod_fix(f"Raise the memory limit of the pod ({owner}) to {exact(size)}{words}", pod)
    return case.template_fix(
        f"Raise the memory limit of container {name}{f' in {owner}' if owner else ''} to {exact(size)}{words}",
        {"resources": _resources(case, exact(size))},
    )


def holds(case: Case, proposal: Proposal, patch: Mapping[str, object] | None, limit: int | None) -> bool:
    """Ask linter and budget again with the proposal in place: it starts, and it closes with the wanted margin."""
    if patch is None:
        return True  # it stands where nobody can write it from outside; the model was solved for it
    before = {(lint.option, lint.message) for lint in case.budget.lints if lint.kind == "refused"}
    after = case.changed(patch, limit)
    refused = [x for x in after.budget.lints if x.kind == "refused" and (x.option, x.message) not in before]
    if refused or below_use(case, after):
        return False
    margin, size = after.budget.margin, after.limit.size
    if proposal.kind == "limit" and not proposal.flags and margin is None:
        return True
    return margin is not None and size is not None and margin >= after.wishes.margin.of(size)


def _resize(case: Case, words: str, size: str) -> Fix:
    """Make a fix that resizes a bare pod in place; a resize must not change the QoS class."""
    guaranteed = qos_class(case.pod) == "Guaranteed"
    kinds = ("limits", "requests") if guaranteed else ("limits",)
    patch = {"spec": case.container.patch({"resources": {kind: {"memory": size} for kind in kinds}})}
    words += " It is a bare pod: resize it in place (Kubernetes 1.33 and later), or delete it and create it so."
    return Fix(words, patch, case.pod.ref, actor=Actor.MANIFEST)


def closing_fixes(case: Case) -> tuple[Fix, ...]:
    """Return the ways to close the budget: what is out of proportion first, then the limit, the heap last."""
    found = tuple(_closing(case))[:FIXES_AT_MOST]
    if found:
        return found
    both = _larger_with_heap(case)
    return (both,) if both is not None else ()


def _closing(case: Case) -> Iterator[Fix]:
    blamed, heap = case.budget.blamed, case.budget.heap
    if case.program is not None and heap is not None and heap.name == case.program.area:
        yield program_fix(case)
        return
    if blamed is not None and heap is not None and blamed.name == heap.name:
        # A heap that is little more than the limit was chosen, and the limit forgot what stands beside it.
        kept = _heap_kept(case) if heap.counted * 3 <= (case.limit.size or 0) * 4 else None
        planned = _planned_heap(case)
        yield from (kept,) if kept is not None else ()
        yield from (planned,) if planned is not None else proposal_fixes(case, "heap")
        yield from proposal_fixes(case, "limit", "caps")
    else:
        kept = _heap_kept(case) or _share_lowered(case)
        yield from (kept,) if kept is not None else ()
        yield from proposal_fixes(case, "caps", "limit", "heap")
        if blamed is not None and blamed.flag:
            yield Fix(
                f"Or lower {blamed.flag} of container {case.container.name}, which allows {mebibytes(blamed.counted)}, "
                "if the program needs less.",
                actor=Actor.MANIFEST,
            )
    lowest = min((p.limit for p in case.solved if p.kind == "limit" and p.limit), default=None)
    most = most_limit(case)
    if lowest is not None and most is not None and lowest > most:
        yield Fix(
            f"No limit closes it on node {case.pod.node}, which has {format_bytes(most)} for all its pods: "
            f"{mebibytes(lowest, up=True)} are needed. Lower what it may take, or choose larger nodes.",
            actor=Actor.MANIFEST,
        )


def _planned_heap(case: Case) -> Fix | None:
    """Set heap and direct memory together where direct memory follows the heap; None where one of them is enough."""
    limit, model = case.limit.size, case.budget.model
    inner = model.model if isinstance(model, Extended) else model
    if limit is None or not isinstance(inner, JvmModel) or inner.flags.size("MaxDirectMemorySize") is not None:
        return None
    if inner.flags.number("DirectShareOfHeap") is not None or case.detected.runtime != "hotspot":
        return None
    alone = max((p.size for p in case.proposals if p.kind == "heap" and p.size), default=0)
    return _planned(case, inner, limit, max(alone, case.heap_in_use))


def _heap_kept(case: Case) -> Fix | None:
    """Keep a heap that nearly fills the limit: the smallest usual limit that holds it, with direct memory capped."""
    limit, model, heap = case.limit.size, case.budget.model, case.budget.heap
    inner = model.model if isinstance(model, Extended) else model
    if limit is None or heap is None or not isinstance(inner, JvmModel) or follows_limit(inner):
        return None
    if heap.counted < limit * _MOST or inner.flags.size("MaxDirectMemorySize") is not None:
        return None
    for share in (5, 6, 8, 10):
        larger = larger_limit(case, limit * share // 4)
        fix = _planned(case, inner, larger, heap.counted - 1, heap.counted) if larger is not None else None
        if fix is not None:
            return fix
    return None


def _share_lowered(case: Case) -> Fix | None:
    """Lower a heap that is nearly all of the limit by its share, where the planned one keeps most of it."""
    limit, heap = case.limit.size, case.budget.heap
    if limit is None or heap is None or heap.counted < limit * (_LARGE if case.kills else NEARLY_ALL):
        return None
    model = case.budget.model.model if isinstance(case.budget.model, Extended) else case.budget.model
    if not isinstance(model, JvmModel) or model.flags.size("MaxDirectMemorySize") is not None:
        return None
    return _planned(case, model, limit, max(heap.counted * 3 // 5, case.heap_in_use))


def _planned(case: Case, inner: JvmModel, limit: int, least: int, most: int | None = None) -> Fix | None:
    """Set the heap that a plan gives a limit, with the caps that it needs beside it; None below ``least``.

    ``most`` is the heap to set where the plan gives more.
    """
    made = plan(
        "hotspot", limit, threads=inner.threads.number, jdk=inner.jdk, classes=inner.classes.number, cpus=inner.cpus
    )
    size = made.rows[0][1] if made.rows else None
    if size is None or size <= least:
        return None
    size = min(size, most or size)
    kind: Literal["heap", "limit"] = "heap" if limit == case.limit.size else "limit"
    caps = [f for n in ("MaxDirectMemorySize", "ReservedCodeCacheSize") for f in made.flags if n in f]
    for count in (1, 2):
        flags = (*inner.heap_flags(size), *caps[:count])
        fix = proposal_fix(case, Proposal(kind, "heap and what stands beside it together", flags, limit, 0, size))
        if fix is not None:
            return fix
    return None


def _larger_with_heap(case: Case) -> Fix | None:
    """Double the limit together with a heap that leaves room, where a larger limit alone is a larger heap."""
    limit, model = case.limit.size, case.budget.model
    inner = model.model if isinstance(model, Extended) else model
    if limit is None or not isinstance(inner, JvmModel) or case.detected.runtime != "hotspot":
        return None
    heap = case.budget.heap.ceiling.size if case.budget.heap is not None else None
    larger = larger_limit(case, 2 * limit)
    return _planned(case, inner, larger, (heap or 0) // 2) if larger is not None else None


def larger_fixes(case: Case) -> Iterator[Fix]:
    """Give a program room that was killed although its budget closes: the same heap under a limit half as large again.

    Nothing for a budget that cannot be added up, and where the node holds no more.
    """
    limit, heap, model = case.limit.size, case.budget.heap, case.budget.model
    size = heap.ceiling.size if heap is not None else None
    if limit is None or case.budget.margin is None or case.program is not None or model is None or size is None:
        return
    larger = larger_limit(case, limit * 3 // 2)
    if larger is None:
        return
    if not follows_limit(model):
        yield raise_fix(case, larger, " for what the model misses, with the heap of today.")
        return
    same = Proposal("limit", "the heap of today under a larger limit", model.heap_flags(size), larger, 0, size)
    fix = proposal_fix(case, same)
    if fix is not None:
        yield fix


def proposal_fixes(case: Case, *kinds: str) -> Iterator[Fix]:
    """Yield the fixes of the proposals of these kinds that hold, in the given order."""
    for kind in kinds:
        for proposal in case.proposals:
            fix = proposal_fix(case, proposal) if proposal.kind == kind else None
            if fix is not None:
                yield fix
