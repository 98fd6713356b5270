"""Turns proposals into fixes: flags where the container takes its flags from, and a patch of its workload."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from kubetriage.model import Fix
from kubetriage.redact import clean
from kubetriage.rules.memory.budget import Proposal, mebibytes
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.ergonomics import MIB
from kubetriage.rules.memory.jvm_options import split_options
from kubetriage.rules.memory.node_memory import qos_class
from kubetriage.values.fields import objects, text, texts

_VARIABLE_OF = {"node": "NODE_OPTIONS", "openj9": "OPENJ9_JAVA_OPTIONS"}
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
    runtime, process = case.detected.runtime, case.process
    if runtime in ("go", "dotnet"):
        return {"env": [{"name": n, "value": v} for n, _, v in (f.partition("=") for f in flags)]}
    if runtime not in (*_JVMS, "node", "native-image"):
        return None
    for field in ("command", "args"):
        words = texts(case.container.spec, field)
        changed = None if process.shell else rewritten(words, flags)
        if changed is not None:
            return {field: changed}
    if process.shell and any(p.match(w) for w in process.argv for p in map(replaces, flags)):
        return None  # the options stand inside a shell command line
    for entry in objects(case.container.spec, "env"):
        value = text(entry, "value")
        if "valueFrom" in entry or not value:
            continue
        changed = rewritten(split_options(value) or (), flags)
        if changed is not None:
            return {"env": [{"name": text(entry, "name"), "value": " ".join(changed)}]}
    variable = _VARIABLE_OF.get(runtime, "JAVA_TOOL_OPTIONS")
    if runtime == "native-image":
        return None  # a native image reads no variable; its options go behind the program's name
    known = process.environment.get(variable)
    if known is not None and known.value is None:
        return None
    present = split_options((known.value if known is not None else None) or "")
    if present is None:
        return None
    changed = rewritten(present, flags) or [*present, *flags]
    return {"env": [{"name": variable, "value": " ".join(changed)}]}


def proposal_fix(case: Case, proposal: Proposal) -> Fix:
    """Make a fix of one proposal."""
    owner = f"{case.workload.kind.lower()}/{case.workload.name}"
    name, now = case.container.name, case.limit.size
    flags = " ".join(proposal.flags)
    resources: dict[str, object] = {}
    size = f"{(proposal.limit or 0) // MIB}Mi"
    if proposal.limit is not None and proposal.limit != now:
        resources = {"resources": {"limits": {"memory": size}}}
    if not proposal.flags:
        verb = "Set" if now is None else "Raise" if now < (proposal.limit or 0) else "Lower"
        words = f"{verb} the memory limit of container {name} in {owner} to {size}."
        if case.workload.kind == "Pod" and case.pod.uid and now is not None and case.container.kind != "init":
            return _resize(case, words, size)
        return case.template_fix(words, resources)
    words = f"Run container {name} of {owner} with {flags}" + (f" and a memory limit of {size}." if resources else ".")
    patch = flags_patch(case, proposal.flags)
    return case.template_fix(words, None if patch is None else {**patch, **resources})


def _resize(case: Case, words: str, size: str) -> Fix:
    """Make a fix that resizes a bare pod in place; a resize must not change the QoS class."""
    guaranteed = qos_class(case.pod) == "Guaranteed"
    kinds = ("limits", "requests") if guaranteed else ("limits",)
    patch = {"spec": case.container.patch({"resources": {kind: {"memory": size} for kind in kinds}})}
    words += " It is a bare pod: resize it in place (Kubernetes 1.33 and later), or delete it and create it so."
    return Fix(words, patch, case.pod.ref)


def closing_fixes(case: Case) -> Iterator[Fix]:
    """Yield the ways to close the budget, the one that touches what is to blame first."""
    blamed, heap = case.budget.blamed, case.budget.heap
    by_caps = blamed is not None and heap is not None and blamed.name != heap.name
    yield from proposal_fixes(case, *(("caps", "heap", "limit") if by_caps else ("heap", "limit", "caps")))
    if by_caps and blamed is not None and blamed.flag:
        yield Fix(
            f"Or lower {blamed.flag} of container {case.container.name}, which allows {mebibytes(blamed.counted)}, "
            "if the program gets by with less."
        )


def proposal_fixes(case: Case, *kinds: str) -> Iterator[Fix]:
    """Yield the fixes of the proposals of these kinds, in the given order."""
    for kind in kinds:
        yield from (proposal_fix(case, p) for p in case.proposals if p.kind == kind)
