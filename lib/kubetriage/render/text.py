"""Diagnoses as text for people: one header line per object, the diagnosis table, the proof, the gaps, the check."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence

from kubetriage.model import Confidence, Diagnosis, Evidence, Finding, Fix, Lines, Section, Severity, Table
from kubetriage.render.table import table, wrapped
from kubetriage.render.terminal import Terminal

_EVIDENCE_SHOWN = 6
"""Evidence lines of the default output; ``-o wide`` shows all."""
_LONGEST_VALUE = 400
"""Characters of one evidence value in the default output."""


def prepare() -> None:
    """Import what draws tables; for a thread of its own while others wait for the API server."""
    import tabulate  # noqa: F401
    import wcwidth  # noqa: F401


def render_text(
    diagnoses: Sequence[Diagnosis],
    terminal: Terminal,
    *,
    wide: bool = False,
    headers: bool = True,
    explain: bool = False,
    scan: bool = False,
    namespaces: bool = False,
) -> str:
    """Write the answer.

    ``scan`` prints one table of all objects, the way ``kubectl get`` lists them (``namespaces``: with that column);
    otherwise each diagnosis is shown in full, equal ones of one workload once.
    """
    if scan and not wide:
        return terminal.plain(_overview(diagnoses, terminal, headers, namespaces))
    blocks = []
    for group in _groups(diagnoses):
        blocks.append("\n".join(_block(group, terminal, wide, headers, explain)))
    return terminal.plain("\n\n".join(blocks))


def _groups(diagnoses: Sequence[Diagnosis]) -> Iterator[list[Diagnosis]]:
    """Put neighbours with the same verdict together, so that ten equal replicas are one answer."""
    group: list[Diagnosis] = []
    for diagnosis in diagnoses:
        if group and _alike(group[0], diagnosis):
            group.append(diagnosis)
        else:
            if group:
                yield group
            group = [diagnosis]
    if group:
        yield group


def _alike(one: Diagnosis, other: Diagnosis) -> bool:
    def verdict(d: Diagnosis) -> object:
        return (
            d.context,
            d.target.kind,
            d.target.namespace,
            [(f.cause, f.object.container, f.confidence) for f in d.findings],
        )

    return bool(one.findings) and not one.lead and not one.tail and verdict(one) == verdict(other)


def _block(group: list[Diagnosis], terminal: Terminal, wide: bool, headers: bool, explain: bool) -> Iterator[str]:
    first = group[0]
    for diagnosis in group:
        yield _header(diagnosis, terminal)
    for section in first.lead:
        yield from _section(section, terminal, wide, headers)
    yield ""
    if first.findings:
        yield _findings_table(first.findings, terminal, headers)
        if len(group) > 1:
            yield wrapped(f"The same for all {len(group)} of them; shown for {first.target.name}.", terminal.width)
    else:
        yield terminal.paint(wrapped(first.summary, terminal.width), "ok")
    for section in first.tail:
        yield from _section(section, terminal, wide, headers)
    yield from _proof(first, terminal, wide)
    if explain and first.manual:
        yield ""
        yield terminal.paint("By hand", "bold")
        for command, shows, means in first.manual:
            yield f"  $ {command}"
            yield wrapped(_short(shows), terminal.width, "      ", "    shows ")
            yield wrapped(means, terminal.width, "      ", "    means ")


def _header(diagnosis: Diagnosis, terminal: Terminal) -> str:
    target = diagnosis.target
    name = f"{target.kind.lower()}/{target.name}" if target.name else target.kind
    status = next((value for label, value in diagnosis.header if not label), "")
    parts = [name, *([f"context {diagnosis.context}"] if diagnosis.context else [])]
    parts += [f"namespace {target.namespace}"] if target.namespace else []
    parts += [f"{label} {value}".strip() for label, value in diagnosis.header]
    lines = [""]
    for part in parts:
        longer = f"{lines[-1]}   {part}" if lines[-1] else part
        if terminal.width is not None and len(longer) > terminal.width and lines[-1]:
            lines.append(f"  {part}")
        else:
            lines[-1] = longer
    line = "\n".join(lines)
    line = line.replace(name, terminal.paint(name, "bold"), 1)
    return line.replace(status, terminal.paint(status, "ok" if diagnosis.healthy else "error"), 1) if status else line


def _findings_table(findings: Sequence[Finding], terminal: Terminal, headers: bool) -> str:
    containers = any(f.object.container for f in findings)
    columns = ["CAUSE", *(["CONTAINER"] if containers else []), "WHAT HAPPENED", "FIX"]
    rows = []
    above = ""
    for finding in findings:
        cause = finding.cause
        doubts = [] if finding.severity is Severity.ERROR else [finding.severity.value]
        if finding.confidence is not Confidence.CONFIRMED:
            doubts.append(finding.confidence.value)
        if doubts:
            cause += f"\n({', '.join(doubts)})"
        fix = finding.fix[0].text if finding.fix else ""
        shown = "the same" if fix and fix == above else fix
        above = fix
        rows.append([cause, *([finding.object.container] if containers else []), finding.message, shown])
    drawn = table(columns, rows, terminal.width, (len(columns) - 2, len(columns) - 1), headers)
    if not terminal.color:
        return drawn
    painted = []
    for line in drawn.splitlines():
        word = line.split(" ", 1)[0]
        finding_ = next((f for f in findings if f.cause == word), None)
        painted.append(terminal.paint(word, finding_.severity.value) + line[len(word) :] if finding_ else line)
    return "\n".join(painted)


def _proof(diagnosis: Diagnosis, terminal: Terminal, wide: bool) -> Iterator[str]:
    shown = diagnosis.findings if wide else diagnosis.findings[:1]
    for finding in shown:
        evidence = finding.evidence if wide else finding.evidence[:_EVIDENCE_SHOWN]
        if evidence:
            yield ""
            yield terminal.paint(f"Evidence for {finding.cause}" if len(shown) > 1 else "Evidence", "bold")
            for line in evidence:
                yield _evidence(line, terminal, wide)
            hidden = len(finding.evidence) - len(evidence)
            if hidden:
                yield f"  ({hidden} more with -o wide)"
        if wide and finding.ruled_out:
            yield ""
            yield terminal.paint("Ruled out", "bold")
            for rival in finding.ruled_out:
                yield wrapped(f"{rival.cause}: {rival.why}", terminal.width, "    ", "  ")
        # The table holds the first fix; the others follow here, and with -o wide the commands that apply them.
        if (wide and finding.fix) or len(finding.fix) > 1:
            yield ""
            yield terminal.paint("Fix" if wide else "Fix, further", "bold")
            for fix in finding.fix if wide else finding.fix[1:]:
                yield wrapped(fix.text, terminal.width, "    ", "  ")
                command = patch_command(fix)
                if wide and command:
                    yield f"    {command}"
    if diagnosis.not_seen:
        yield ""
        yield terminal.paint("Not seen", "bold")
        for gap in diagnosis.not_seen:
            yield wrapped(f"{gap.what}: {gap.why}", terminal.width, "    ", "  ")
    checks = dict.fromkeys(c for f in shown for c in f.verify)
    if checks:
        yield ""
        yield terminal.paint("Verify", "bold")
        for command in checks:
            yield f"  {command}"


def _evidence(line: Evidence, terminal: Terminal, wide: bool) -> str:
    value = line.value if wide else _short(line.value)
    when = f"   {line.time}" if line.time else ""
    # A field path says by itself whether it is of the spec or of the status.
    where = line.at if line.source in ("status", "spec") and "." in line.at else f"{line.source} {line.at}"
    return wrapped(f"{where}: {value}{when}", terminal.width, "    ", "  ")


def _short(words: str) -> str:
    return words if len(words) <= _LONGEST_VALUE else words[: _LONGEST_VALUE - 3] + "..."


def patch_command(fix: Fix) -> str:
    """Write the kubectl command that applies a fix's patch; empty when it has none."""
    if fix.patch is None or fix.on is None:
        return ""
    place = f" -n {fix.on.namespace}" if fix.on.namespace else ""
    patch = shlex.quote(json.dumps(fix.patch, separators=(",", ":")))
    # Resources of a pod are changed through its subresource only.
    through = " --subresource resize" if fix.on.kind == "Pod" and '"resources":' in patch else ""
    return f"kubectl{place} patch {fix.on.kind.lower()} {fix.on.name}{through} --patch {patch}"


def _section(section: Section, terminal: Terminal, wide: bool, headers: bool) -> Iterator[str]:
    if section.wide and not wide:
        return
    yield ""
    if section.title:
        yield terminal.paint(section.title, "bold")
    if isinstance(section, Lines):
        for line in section.lines:
            too_long = terminal.width is not None and len(line) > terminal.width
            start = line[: len(line) - len(line.lstrip())]
            yield wrapped(line, terminal.width, start + "  ", start) if too_long else line
    elif isinstance(section, Table):
        yield table(section.columns, section.rows, terminal.width, _flexible(section), headers)


def _flexible(section: Table) -> tuple[int, ...]:
    """Let the columns that hold sentences wrap: those with a cell of more than 24 characters, or the last one."""
    wide = [i for i in range(len(section.columns)) if any(len(row[i]) > 24 for row in section.rows)]
    return tuple(wide) or (len(section.columns) - 1,)


def _overview(diagnoses: Sequence[Diagnosis], terminal: Terminal, headers: bool, namespaces: bool) -> str:
    contexts = any(d.context for d in diagnoses)
    columns = [*(["CONTEXT"] if contexts else []), *(["NAMESPACE"] if namespaces else [])]
    containers = any(f.object.container for d in diagnoses for f in d.findings[:1])
    columns += ["NAME", "CAUSE", *(["CONTAINER"] if containers else []), "WHAT HAPPENED"]
    # As kubectl get prints several types.
    mixed = len({d.target.kind for d in diagnoses}) > 1
    rows = []
    for d in diagnoses:
        head = d.findings[0] if d.findings else None
        cause = d.cause
        if head is not None and head.confidence is not Confidence.CONFIRMED:
            cause += f"\n({head.confidence.value})"
        container = [head.object.container if head else ""] if containers else []
        name = f"{d.target.kind.lower()}/{d.target.name}" if mixed else d.target.name
        cells = [name, cause, *container, head.message if head else d.summary]
        places = [*([d.context] if contexts else []), *([d.target.namespace] if namespaces else [])]
        rows.append([*places, *cells])
    if not rows:
        return ""
    flexible = (len(columns) - 1, columns.index("NAME"))
    lines = [table(columns, rows, terminal.width, flexible, headers)]
    gaps = list(dict.fromkeys(g for d in diagnoses for g in d.not_seen))
    if gaps:
        lines += ["", terminal.paint("Not seen", "bold")]
        lines += [wrapped(f"{g.what}: {g.why}", terminal.width, "    ", "  ") for g in gaps[:_EVIDENCE_SHOWN]]
        if len(gaps) > _EVIDENCE_SHOWN:
            lines.append(f"  ({len(gaps) - _EVIDENCE_SHOWN} more with -o wide)")
    return "\n".join(lines)
