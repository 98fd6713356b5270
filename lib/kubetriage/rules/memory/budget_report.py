"""How a budget is shown: tables, the bar drawn to scale, and its form in the JSON contract."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Lines, Section, Table
from kubetriage.rules.memory import node_memory
from kubetriage.rules.memory.budget import Amount, Budget, exact, mebibytes
from kubetriage.rules.memory.budget_fixes import proposal_fix
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.ergonomics import MIB
from kubetriage.typed import Any

_BAR_WIDTH = 56
"""With label and figure it fits 80 columns."""
_BRIEF_WIDTH = 51
"""Of the first screen, beside the labels of its fields."""
_SHADES = "█▓▒░▚▞▤▥"


def sections(case: Case) -> tuple[Section, ...]:
    """Return what is shown below the diagnosis of one container."""
    budget = case.budget
    found: list[Section] = [budget_table(budget), sources_table(budget)]
    three = brief_bars(budget)
    if three is not None:
        found.append(three)
        if budget.assumptions:
            found.append(Lines("Assumed", ("; ".join(budget.assumptions),), brief=True))
    bar = bar_lines(budget)
    if bar is not None:
        found.append(bar)
    if case.proposals:
        found.append(proposals_table(case))
    if budget.lints:
        rows = tuple((lint.kind, lint.option, lint.source, lint.message) for lint in budget.lints)
        found.append(Table("Flags that do not do what they say", ("KIND", "FLAG", "FROM", "WHY"), rows))
    measured = reconciliation(case)
    if measured is not None:
        found.append(measured)
    if budget.assumptions:
        found.append(Lines("Assumed", tuple(f"  {a}" for a in budget.assumptions)))
    if budget.unseen:
        found.append(Lines("May hold more options, and cannot be seen", tuple(f"  {u}" for u in budget.unseen)))
    return tuple(found)


def _cell(amount: Amount, *, unbounded: bool = False) -> str:
    if amount.size is not None:
        return mebibytes(amount.size) if amount.size >= MIB or amount.size == 0 else exact(amount.size)
    return "unbounded" if unbounded else "unknown"


def budget_table(budget: Budget) -> Table:
    """Return the areas with their three columns; each figure says in a word how it is known."""
    rows = [
        (
            area.name,
            _known(area.ceiling, unbounded=area.unbounded),
            _known(area.expected),
            _known(area.observed) if area.observed.size is not None else "-",
        )
        for area in budget.areas
    ]
    ceiling, expected = budget.ceiling, budget.expected
    rows.append(
        (
            "total",
            mebibytes(ceiling) if ceiling is not None and _is_sum(budget) else "unknown",
            mebibytes(expected) if expected is not None else "unknown",
            _known(budget.total_observed),
        )
    )
    limit = budget.limit
    rows.append(("limit", mebibytes(limit.size) if limit.size is not None else "none", "", ""))
    if limit.size is not None and (ceiling is not None or budget.total_observed.size is not None):
        rows.append(("margin", *_margins(budget)))
    title = f"Memory of container {budget.container} ({budget.runtime})"
    return Table(title, ("AREA", "CEILING", "EXPECTED", "OBSERVED"), tuple(rows))


def sources_table(budget: Budget) -> Table:
    """Return where the figures of the budget come from, in full."""
    rows = []
    for area in budget.areas:
        rows.append((area.name, "ceiling", str(area.ceiling)))
        if area.expected.source and area.expected != area.ceiling:
            rows.append(("", "expected", str(area.expected)))
        if area.observed.size is not None:
            rows.append(("", "observed", str(area.observed)))
    notes = []
    counted = [a.name for a in budget.areas if a.unbounded and a.ceiling.size is None and a.expected.size is not None]
    if counted:
        notes.append(f"{', '.join(counted)} without a cap counted as expected")
    if budget.areas and not budget.solvable and _is_sum(budget):
        notes.append("at least: an area without any figure is not in it")
    if notes:
        rows.append(("total", "ceiling", "; ".join(notes)))
    rows.append(("total", "observed", budget.total_observed.source))
    for name, amount in budget.other_observed:
        rows.append(("", f"{name} {_cell(amount)}", amount.source))
    rows.append(("limit", "", budget.limit.source))
    return Table("Where the figures come from", ("AREA", "FIGURE", "SOURCE"), tuple(rows))


def _is_sum(budget: Budget) -> bool:
    """Tell whether the ceilings add up to something that means anything."""
    return budget.ceiling is not None and (budget.solvable or budget.ceiling > 0)


def _known(amount: Amount, *, unbounded: bool = False) -> str:
    cell = _cell(amount, unbounded=unbounded)
    return cell if amount.size is None and cell == amount.kind else f"{cell} {amount.kind}"


def _margins(budget: Budget) -> tuple[str, str, str]:
    limit = budget.limit.size or 0

    def left(total: int | None) -> str:
        if total is None:
            return "unknown"
        free = limit - total
        share = f" ({free / limit:.1%})" if limit else ""
        return (f"-{mebibytes(-free, up=True)}" if free < 0 else mebibytes(free)) + share

    return (
        left(budget.ceiling) if budget.margin is not None else "unknown",
        left(budget.expected),
        left(budget.total_observed.size),
    )


def brief_bars(budget: Budget) -> Lines | None:
    """Draw limit, expected and worst case to one scale, with the areas of what is expected; None without figures."""
    limit, used = budget.limit.size, budget.total_observed.size
    expected = [(a.name, a.expected.size) for a in budget.areas if a.expected.size]
    worst = [(a.name, a.counted) for a in budget.areas if a.counted] if _is_sum(budget) else []
    shades = {
        name: _SHADES[i % len(_SHADES)] for i, name in enumerate(dict.fromkeys(n for n, _ in [*expected, *worst]))
    }
    bars = [
        *([("limit", [("limit", limit)])] if limit is not None else []),
        *([("used", [("used", used)])] if used is not None else []),
        *([("expected", expected)] if expected else []),
        *([("worst", worst)] if worst else []),
    ]
    if len(bars) < 2:
        return None
    scale = max(sum(size for _, size in parts) for _, parts in bars)
    lines = []
    for label, parts in bars:
        drawn, filled, position = "", 0, 0
        for name, size in parts:
            filled += size
            end = round(filled / scale * _BRIEF_WIDTH)
            drawn += shades.get(name, "─") * (end - position)
            position = end
        lines.append(f"{label:9}{drawn:{_BRIEF_WIDTH}} {mebibytes(filled):>9}")
    if expected:
        whole = ", ".join(
            f"{name} {size // MIB}" for name, size in sorted(expected, key=lambda p: -p[1]) if size >= MIB
        )
        lines.append(f"expected in MiB: {whole}")
    return Lines("Memory", tuple(lines), brief=True)


def bar_lines(budget: Budget) -> Lines | None:
    """Draw limit, request, areas and observed to one scale; None where there is nothing to compare."""
    limit, request, observed = budget.limit.size, budget.request.size, budget.total_observed.size
    ceilings = [(a.name, a.counted) for a in budget.areas if a.counted]
    expected = [(a.name, a.expected.size or 0) for a in budget.areas if a.expected.size]
    sums = (sum(n for _, n in ceilings), sum(n for _, n in expected), limit or 0, request or 0, observed or 0)
    scale = max(sums)
    if scale <= 0 or not (ceilings or observed is not None):
        return None
    mark = round(limit / scale * _BAR_WIDTH) if limit is not None else None
    shades = {
        name: _SHADES[i % len(_SHADES)] for i, name in enumerate(dict.fromkeys(n for n, _ in [*ceilings, *expected]))
    }
    lines = []
    for label, parts in (("ceiling", ceilings), ("expected", expected)):
        if parts:
            lines.append(_bar(label, parts, scale, mark, shades))
    if observed is not None:
        lines.append(_bar("observed", [("observed", observed)], scale, mark, {"observed": "█"}))
    if request is not None:
        lines.append(_bar("request", [("request", request)], scale, mark, {"request": "─"}))
    if limit is not None:
        lines.append(_bar("limit", [("limit", limit)], scale, mark, {"limit": "─"}))
    if shades:
        lines.append(f"  {'':9}" + "  ".join(f"{shade} {name}" for name, shade in shades.items()))
    return Lines("To scale", tuple(lines))


def _bar(label: str, parts: list[tuple[str, int]], scale: int, mark: int | None, shades: dict[str, str]) -> str:
    drawn, filled, position = "", 0, 0
    for name, size in parts:
        filled += size
        end = round(filled / scale * _BAR_WIDTH)
        drawn += shades[name] * (end - position)
        position = end
    drawn = drawn.ljust(_BAR_WIDTH)
    if mark is not None:
        drawn = f"{drawn[:mark]}│{drawn[mark:]}"
    return f"  {label:9}{drawn} {mebibytes(filled)}"


def proposals_table(case: Case) -> Table:
    """Return the ways to make the budget close."""
    rows = []
    for p in case.proposals:
        rows.append((p.kind, p.text, exact(p.limit) if p.limit is not None else "", mebibytes(p.margin)))
    over = case.budget.margin is not None and case.budget.margin < 0
    title = "Smallest changes that fit" if over else "Room left"
    return Table(title, ("CHANGE", "VALUE", "LIMIT", "MARGIN"), tuple(rows))


def reconciliation(case: Case) -> Table | None:
    """Compare native memory tracking or a process's status with what was measured from outside."""
    nmt, proc = case.wishes.nmt, case.wishes.process
    if nmt is None and proc is None:
        return None
    rows: list[tuple[str, str, str]] = []
    if nmt is not None:
        rows.append(
            ("NMT committed", mebibytes(nmt.committed), "what the JVM itself asked for; not all of it is resident")
        )
        rows.append(("NMT reserved", mebibytes(nmt.reserved), "address space only"))
        ceiling = case.budget.ceiling
        if ceiling is not None:
            rows.append(("ceilings of the budget", mebibytes(ceiling), "what flags and defaults allow"))
    working_set = case.usage.working_set
    if working_set is not None:
        rows.append(
            (
                "working set",
                mebibytes(working_set.size),
                f"whole container, with active file cache; {working_set.source}",
            )
        )
    if case.usage.rss is not None:
        rows.append(("rssBytes", mebibytes(case.usage.rss.size), f"anonymous memory only; {case.usage.rss.source}"))
    if proc is not None and proc.rss is not None:
        rows.append(("VmRSS", mebibytes(proc.rss), "one process, with mapped files; not rssBytes"))
    rows += _unexplained(case)
    return Table("Measured from inside and outside", ("NUMBER", "VALUE", "WHAT IT IS"), tuple(rows))


def _unexplained(case: Case) -> Iterator[tuple[str, str, str]]:
    nmt, proc = case.wishes.nmt, case.wishes.process
    if nmt is None:
        if proc is not None and proc.anonymous is not None and case.usage.rss is not None:
            rest = case.usage.rss.size - proc.anonymous
            words = (
                "rssBytes less RssAnon: other processes of the container" if rest >= 0 else "sampled at another time"
            )
            yield "unexplained", _signed(rest), words
        return
    inside: tuple[str, int] | None = None
    if proc is not None and proc.rss is not None:
        inside = "VmRSS", proc.rss
    elif case.usage.rss is not None:
        inside = "rssBytes", case.usage.rss.size
    if inside is None:
        yield "unexplained", "unknown", "needs VmRSS (--proc) or the kubelet's rssBytes"
        return
    rest = inside[1] - nmt.committed
    if rest >= 0:
        yield (
            "unexplained",
            mebibytes(rest),
            f"{inside[0]} less NMT committed: malloc slack, JNI libraries, mapped files",
        )
    else:
        words = f"{inside[0]} less NMT committed: committed pages that were never touched"
        yield "unexplained", _signed(rest), words


def _signed(size: int) -> str:
    return f"-{mebibytes(-size)}" if size < 0 else mebibytes(size)


def node_table(case: Case, order: list[node_memory.Candidate] | None, why_not: str, used: int | None) -> Table:
    """Return the node's view of the pod; ``used`` is the working set of its containers together, where known."""
    pod, capacity = case.pod, node_memory.node_memory(case.node.obj)
    request, limit = case.budget.request.size, case.budget.limit.size
    rows = [("QoS class", node_memory.qos_class(pod), "decides oom_score_adj, not the eviction order")]
    effective = node_memory.effective_request(pod)
    rows.append(("effective request of the pod", exact(effective.size), effective.words))
    for term in effective.terms if len(effective.terms) > 1 else ():
        rows.append((f"  {term.name}", exact(term.size), "" if term.counts else "compared, not added"))
    if request is not None and limit is not None:
        gap = limit - request
        rows.append((f"limit less request of {case.container.name}", exact(gap), "what the scheduler does not reserve"))
    score = node_memory.oom_score_adj(case.container, capacity)
    if not pod.uid and score is None:
        return Table("The node's view", ("WHAT", "VALUE", "WHY"), tuple(rows))
    if score is not None:
        rows.append(
            (f"oom_score_adj of {case.container.name}", f"about {score}", "the kernel kills the highest score first")
        )
    else:
        why = case.node.why or "the node was not seen"
        rows.append((f"oom_score_adj of {case.container.name}", "unknown", f"needs the node's capacity: {why}"))
    if not pod.uid:
        pass  # it stands in no order yet
    elif order is None:
        if used is not None:
            over = used - effective.size
            words = "above its request: memory pressure evicts it before all that are not" if over > 0 else "within it"
            rows.append(("usage less request", _signed(over), words))
        rows.append(("place in the eviction order", "unknown", why_not))
    else:
        rows += _place(pod.uid, pod.node, order)
    return Table("The node's view", ("WHAT", "VALUE", "WHY"), tuple(rows))


def _place(uid: str, node_name: str, order: list[node_memory.Candidate]) -> Iterator[tuple[str, str, str]]:
    place = next((i for i, c in enumerate(order, 1) if c.pod.uid == uid), None)
    if place is None:
        yield "place in the eviction order", "never", "critical and static pods are not evicted"
        return
    own = order[place - 1]
    if own.excess is None:
        yield "usage less request", "unknown", "the kubelet has no statistics of the pod; such pods go first"
    else:
        words = "above its request: goes before all that are not" if own.excess > 0 else "within its request"
        yield "usage less request", _signed(own.excess), words
    before = ", ".join(f"{c.pod.namespace}/{c.pod.name}" for c in order[: place - 1][:3])
    more = f" and {place - 4} more" if place > 4 else ""
    first = "the first to be evicted under memory pressure" if len(order) > 1 else "no other pod of the node was seen"
    yield (
        "place in the eviction order",
        f"{place} of {len(order)} on {node_name}",
        f"after {before}{more}" if before else first,
    )


def as_json(case: Case) -> dict[str, Any]:
    """Return the budget for the JSON contract; null stands for unknown, or for unbounded in ``ceilingBytes``."""
    budget = case.budget
    effective = node_memory.effective_request(case.pod)
    return {
        "container": budget.container,
        "runtime": budget.runtime,
        "limitBytes": budget.limit.size,
        "limitSource": budget.limit.source,
        "requestBytes": budget.request.size,
        "requestSource": budget.request.source,
        "areas": [
            {
                "area": a.name,
                "ceilingBytes": a.ceiling.size,
                "expectedBytes": a.expected.size,
                "observedBytes": a.observed.size,
                "source": str(a.ceiling),
                "expectedSource": str(a.expected),
                "observedSource": str(a.observed),
                "unbounded": a.unbounded and a.ceiling.size is None,
            }
            for a in budget.areas
        ],
        "ceilingBytes": budget.ceiling,
        "expectedBytes": budget.expected,
        "observedBytes": budget.total_observed.size,
        "observedSource": budget.total_observed.source,
        "otherObserved": [{"name": n, "bytes": a.size, "source": a.source} for n, a in budget.other_observed],
        "marginBytes": budget.margin,
        "wantedMarginBytes": budget.wanted_margin,
        "proposals": [
            {
                "kind": p.kind,
                "text": p.text,
                "flags": list(p.flags),
                "limitBytes": p.limit,
                "marginBytes": p.margin,
                "patch": fix.patch if (fix := proposal_fix(case, p)) is not None else None,
            }
            for p in case.proposals
        ],
        "flags": [{"kind": x.kind, "flag": x.option, "source": x.source, "why": x.message} for x in budget.lints],
        "assumed": list(budget.assumptions),
        "unseen": list(budget.unseen),
        "qosClass": node_memory.qos_class(case.pod),
        "oomScoreAdj": node_memory.oom_score_adj(case.container, node_memory.node_memory(case.node.obj)),
        "podRequestBytes": effective.size,
    }
