"""The answer to ``--fit``: a limit and threads in, the whole set of settings with a reason for each number out."""

from __future__ import annotations

import re

from kubetriage.model import Actor, Diagnosis, Fix, Lines, Ref, Section, Table
from kubetriage.records import dataclass
from kubetriage.rules.memory.budget import exact, mebibytes
from kubetriage.rules.memory.budget_builder import Extended
from kubetriage.rules.memory.budget_fixes import flags_patch, option_variable
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.ergonomics import ASSUMED_JDK, MIB
from kubetriage.rules.memory.image_defaults import image_defaults
from kubetriage.rules.memory.jvm_areas import ASSUMED_CLASSES, JvmModel
from kubetriage.rules.memory.limit_planner import PLANNED, ROOM, Plan, plan
from kubetriage.rules.memory.overrides import DEFAULT_MARGIN, Wishes
from kubetriage.rules.memory.worker_counts import Workers
from kubetriage.values.manifest_text import yaml_text
from kubetriage.values.quantity import parse_bytes

_THREADS = 60
_BY_WORKERS = ("python", "ruby", "php", "unknown", "nginx")
"""Runtimes whose memory is the number of worker processes."""


@dataclass(frozen=True)
class Fit:
    """What is asked for."""

    limit: int | None = None
    threads: int | None = None


def parse_fit(words: str) -> Fit:
    """Read ``limit=4Gi,threads=200``; raises ValueError with words for the user."""
    fit = Fit()
    for part in filter(None, (p.strip() for p in words.split(","))):
        name, _, value = part.partition("=")
        size = parse_bytes(value) if name == "limit" else None
        if name == "limit" and size is not None and size >= MIB:
            fit = Fit(size, fit.threads)
        elif name == "threads" and re.fullmatch(r"[1-9]\d{0,5}", value, re.ASCII):
            fit = Fit(fit.limit, int(value))
        else:
            raise ValueError(f'--fit "{part}": limit=SIZE and threads=N are known')
    return fit


def fitted_answer(fit: Fit, wishes: Wishes, case: Case | None) -> Diagnosis:
    """Plan for a container, or for a process of ``--runtime`` where ``case`` is None."""
    runtime = case.detected.runtime if case is not None else wishes.runtime or "hotspot"
    limit = fit.limit or (case.limit.size if case is not None else None) or 0
    target = case.ref if case is not None else Ref("Process", "", runtime)
    planned = runtime in PLANNED or (case is not None and case.workers is not None)
    if not planned:
        words = f"There is no plan for runtime {runtime}: {', '.join(PLANNED)} are known (--runtime says which it is)."
        return Diagnosis("oom-budget", target, words, verdict="NoPlan")
    workers = case.workers if case is not None and runtime in _BY_WORKERS else None
    made = _worker_plan(workers, limit) if workers is not None else _plan(fit, wishes, case, runtime, limit)
    if made.refused:
        return Diagnosis("oom-budget", target, f"{exact(limit)} is too small: {made.refused}.", verdict="NoPlan")
    said = " ".join(
        f"{name}='{value}'" if " " in value else f"{name}={value}" for name, value in made.variables.items()
    )
    sections: list[Section] = [Lines("Plan", _lines(made), brief=True), _table(made)]
    sections.append(Lines("As variables", (f"  {said}",)))
    fix = _fix(case, made)
    if fix is not None and fix.patch:
        sections.append(Lines("As a patch of the workload", tuple(f"  {x}" for x in yaml_text(fix.patch).splitlines())))
    return Diagnosis(
        "oom-budget",
        target,
        f"{exact(limit)} holds {made.rows[0][0]} {mebibytes(made.rows[0][1] or 0)}: {said}",
        lead=tuple(sections),
        verdict="Plan",
        extra={
            "fit": {
                "limitBytes": limit,
                "variables": dict(made.variables),
                "areas": [{"area": n, "bytes": s, "setting": f, "why": w} for n, s, f, w in made.rows],
            }
        },
    )


def _plan(fit: Fit, wishes: Wishes, case: Case | None, runtime: str, limit: int) -> Plan:
    model = case.budget.model if case is not None else None
    model = model.model if isinstance(model, Extended) else model
    threads, jdk, classes, cpus, arch = _THREADS, ASSUMED_JDK, ASSUMED_CLASSES, wishes.cpus, "amd64"
    if isinstance(model, JvmModel):
        threads, jdk, classes = model.threads.number, model.jdk, model.classes.number
        cpus, arch = model.cpus, model.arch
    return plan(
        runtime,
        limit,
        threads=fit.threads or wishes.threads or threads,
        jdk=wishes.jdk or jdk,
        classes=wishes.classes or classes,
        cpus=cpus,
        collector=wishes.collector,
        arch=arch,
        margin=ROOM if wishes.margin == DEFAULT_MARGIN else wishes.margin,
        variable=option_variable(case) if case is not None else "JAVA_TOOL_OPTIONS",
    )


def _lines(made: Plan) -> tuple[str, ...]:
    """Draw the areas with their settings, one a line."""
    rows = [(n, mebibytes(s) if s is not None else "-", f) for n, s, f, _ in made.rows]
    return tuple(f"{name:<32} {size:>9}  {setting}".rstrip() for name, size, setting in rows)


def _table(made: Plan) -> Table:
    rows = tuple((n, mebibytes(s) if s is not None else "-", f or "-", w) for n, s, f, w in made.rows)
    return Table(
        f"Plan for {exact(made.limit)}",
        ("AREA", "SIZE", "SETTING", "WHY"),
        (*rows, ("limit", mebibytes(made.limit), "", "")),
    )


def _fix(case: Case | None, made: Plan) -> Fix | None:
    patch = fit_patch(case, made) if case is not None else None
    return case.template_fix("Set it.", patch, actor=Actor.MANIFEST) if case is not None and patch else None


def fit_patch(case: Case, made: Plan) -> dict[str, object] | None:
    """Return the partial container that sets a plan; None where linter or budget, asked with it, refuse."""
    flags = [f for f in made.flags if f.startswith("-")]
    model = case.budget.model
    inner = model.model if isinstance(model, Extended) else model
    heap = made.rows[0][1]
    if isinstance(inner, JvmModel) and heap is not None:
        # An initial heap that stands somewhere already must not stay above the new maximum.
        flags = [*inner.heap_flags(heap), *(f for f in flags if not f.startswith("-Xmx"))]
    defaults = image_defaults(case.container.image)
    if defaults is not None and defaults.equal and not any(f.startswith("-Xms") for f in flags):
        flags = [f"-Xms{f.removeprefix('-Xmx')}" for f in flags if f.startswith("-Xmx")] + flags
    patch = flags_patch(case, flags) if flags else {"env": [{"name": n, "value": v} for n, v in made.variables.items()]}
    if patch is None:
        return None
    resources = {"resources": {"limits": {"memory": exact(made.limit)}}} if made.limit != case.limit.size else {}
    whole = {**patch, **resources}
    after = case.changed(whole, made.limit)
    before = {(x.option, x.message) for x in case.budget.lints}
    refused = any(x.kind == "refused" and (x.option, x.message) not in before for x in after.budget.lints)
    margin = after.budget.margin
    return None if refused or (margin is not None and margin < 0) else whole


def _worker_plan(workers: Workers, limit: int) -> Plan:
    """Plan worker processes of a program of the table."""
    count = workers.fitting(limit)
    size = count * workers.each
    if size > limit:
        return Plan(limit, (), {}, f"{mebibytes(limit)} hold no worker of {mebibytes(workers.each)}")
    why = f"{count} times {mebibytes(workers.each)}, a rule of thumb: measure yours"
    rows = (
        (f"{workers.name}'s workers", size, workers.set_words(count), why),
        ("free", limit - size, "", "the master process, page cache, peaks"),
    )
    return Plan(limit, rows, workers.variables_for(count) or {workers.setting: str(count)})
