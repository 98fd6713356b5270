"""Reads a pasted text: every block by its form."""

from __future__ import annotations

from kubetriage.cluster.text import (
    cgroup_files,
    condition_parts,
    cri_tables,
    custom_columns,
    details_pages,
    margins,
    runtime_states,
)
from kubetriage.cluster.text.ages import api_time
from kubetriage.cluster.text.bare_rows import pod_rows, with_header
from kubetriage.cluster.text.blocks import Block, blocks
from kubetriage.cluster.text.chat import without_marks
from kubetriage.cluster.text.commands import Command
from kubetriage.cluster.text.cut_conditions import read_cut_conditions
from kubetriage.cluster.text.describes import read_describe
from kubetriage.cluster.text.documents import read_documents
from kubetriage.cluster.text.event_rows import described_events, is_listed, listed_events
from kubetriage.cluster.text.exported_logs import exported_logs
from kubetriage.cluster.text.found import Finds, FoundLog
from kubetriage.cluster.text.json_parts import json_events, picked
from kubetriage.cluster.text.lines import dedent, read_lines
from kubetriage.cluster.text.log_blocks import not_used, read_journal, read_log, take_weak
from kubetriage.cluster.text.own_words import HUBBLE, flows
from kubetriage.cluster.text.spoken import spoken_event
from kubetriage.cluster.text.tables import kind_of_table, read_table
from kubetriage.cluster.text.viewers import in_kubectls_form
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_PLURAL, find_resource

_NOT_FOUND = lazy(r"Error from server \(NotFound\): ([\w.-]{1,200}) \"([^\"]{1,253})\" not found")
_REFUSED = lazy(r"Error from server \((Forbidden|ServiceUnavailable|Timeout|InternalError|Unauthorized)\): (.{1,2000})")
_FORBIDDEN_LIST = lazy(r"([\w.]{1,200}) is forbidden: User .{1,500} cannot list resource")
_NO_LOG = lazy(
    r"Error from server \(BadRequest\): (?:previous terminated )?container \"([^\"]{1,63})\" in pod \"([^\"]{1,253})\" "
    r"(.{1,300})"
)
KUBECTL, KUBEADM, ETCDCTL = "kubectl", "kubeadm", "etcdctl"
"""Names under which kubectl's own errors about the control plane stand, and tables of kubeadm and etcdctl."""
# kubeadm certs check-expiration, all versions.
_CHECKED = lazy(r"\s*[a-z][\w.-]{1,60} +\w{3} \d\d, \d{4} \d\d:\d\d \w{3} +(?:<invalid>|\d+[smhdy])")
# The API server's words about its tunnel; other errors of kubectl, alone in a text, are answered by themselves.
_OF_PLANE = lazy(r"No agent available")
_NONE_FOUND = lazy(r"No resources found(?: in ([a-z0-9-]{1,63}) namespace)?\.?\s*\Z")
_VERSION = lazy(r"Server Version: (?:version\.Info\{.{0,200}GitVersion:\")?(v\d+\.\d+[^\s\",]{0,60})")
_PROSE_EVENT = lazy(r"\s*(?:Normal|Warning)\s{1,20}[A-Z]\w{1,100}\s")
# podname container, podname/container, namespace/pod: what people name files of logs after.


def read_text(content: str, source: str) -> Finds:
    """Read a text; what could not be used is named in the result."""
    finds = Finds()
    lines = without_marks(in_kubectls_form(read_lines(content)))
    found = blocks(lines)
    weak: list[Block] = []
    for block in found:
        if not _read_block(block, finds, source):
            weak.append(block)
    take_weak(weak, found, finds, source)
    return finds


def _read_block(block: Block, finds: Finds, source: str) -> bool:
    """Read one block; return False when it is prose, or a log perhaps."""
    command = block.command
    asked = command.resources if command is not None and command.verb in ("describe", "get") else ()
    namespace = command.namespace if command is not None else ""
    if command is not None and command.tool == "date" and not finds.clock:
        finds.clock = next((t for t in map(api_time, (r.strip() for r in block.rows)) if t), "")
        return True
    if (command is not None and command.verb == "version") or any(_VERSION.search(r) for r in block.rows[:6]):
        match = next((m for m in map(_VERSION.search, block.rows) if m is not None), None)
        finds.version = match[1] if match is not None else finds.version
        return True
    if block.kind in ("document", "words", "log") and (
        runtime_states.read_inspect(block.rows, command, finds, block.first)
        or details_pages.read_details(block.rows, finds, block.first)
        or cgroup_files.read_cgroup(block.rows, command, block.heading, finds, block.first)
    ):
        return True
    if custom_columns.read_custom(command, block.rows, finds, block.first):
        return True
    if _read_checks(block, finds) or picked(command, block.rows, finds, block.first):
        return True
    if block.kind in ("words", "log") and read_cut_conditions(command, block.rows, finds, block.first):
        return True
    if block.kind == "answer":
        return _read_answer(block, finds)
    if block.kind in ("words", "log") and (bare := with_header(command, block.rows)) is not None:
        plural, header, cells = bare
        read_table(plural, header, cells, namespace, finds, block.first)
        return True
    if block.kind == "table":
        return _read_table(block, finds, namespace)
    if block.kind == "describe":
        named = command.names[0] if command is not None and asked and len(command.names) == 1 else ""
        rows = dedent(margins.described(block.rows))
        if not read_describe(rows, asked, namespace, finds, block.first, named):
            not_used(block, finds, _describe_words(block, asked))
        return True
    if block.kind == "document":
        if told := json_events(block.rows):
            finds.events += told
        elif exported := exported_logs(block.rows, block.first):
            finds.logs += exported
        elif not (
            (command is not None and asked[:1] not in ((), ("pods",)) and _read_conditions(block, finds))
            or read_documents(block.rows, finds, block.first)
            or _read_conditions(block, finds)
        ):
            words = "looks like YAML or JSON without an object of the API"
            not_used(block, finds, words)
        return True
    if block.kind == "journal":
        read_journal(block, finds, source)
        return True
    if block.kind == "log":
        told = json_events(block.rows)
        finds.events += told
        if not told:
            read_log(block, finds, source)
        return True
    return _read_words(block, finds, namespace)


def _read_conditions(block: Block, finds: Finds) -> bool:
    """Take conditions that were cut from an object; the YAML of a whole one says its kind."""
    if any(_WHOLE.match(row) for row in block.rows):
        return False
    command = block.command
    asked = command is not None and command.verb == "get"
    about = condition_parts.About(
        command.resources if command is not None and asked else (),
        command.names[0] if command is not None and len(command.names) == 1 else "",
        command.namespace if command is not None else "",
    )
    return condition_parts.read_yaml(block.rows, about, finds, block.first)


_WHOLE = lazy(r"\s*\"?apiVersion\"?: ")
# The API server's health checks (?verbose, all versions), and a row of a table of etcdctl (endpoint status -w table).
_CHECK = lazy(r"\s*\[[+-]\][\w./-]{1,120} (?:ok|failed|excluded)")
_WHICH = lazy(r"\s*(?:[a-z]+ )?(livez|readyz|healthz) check (passed|failed)")
_ENDPOINT = lazy(
    r"\s*(?:Failed to get the status of endpoint \S|(?:https?://)?\S{3,260}:\d{1,5} is (?:un)?healthy: "
    r"|\|\s*https?://\S{3,260}\s*\|\s*[0-9a-f]{6,16}\s*\|)"
)
_ALARM = lazy(r"\|.{0,400}\balarm:(?:NOSPACE|CORRUPT)")


def _read_checks(block: Block, finds: Finds) -> bool:
    """Take the health checks that somebody asked the API server for, and etcdctl's table with an alarm."""
    if any(_CHECK.match(row) for row in block.rows):
        told = next((m for m in map(_WHICH.match, block.rows) if m is not None), None)
        failed = any(row.strip().startswith("[-]") for row in block.rows)
        name = told[1] if told is not None else "readyz"
        path = "/livez?verbose" if name == "livez" else "/readyz?verbose"
        finds.bodies.append((path, "\n".join(block.rows), 500 if failed else 200))
        return True
    if any(_ALARM.search(row) or _ENDPOINT.match(row) for row in block.rows):
        rows = "\n".join(row.strip() for row in block.rows) + "\n"
        finds.logs.append(FoundLog(ETCDCTL, "kube-system", ETCDCTL, None, rows, block.first))
        return True
    return False


def _describe_words(block: Block, asked: tuple[str, ...]) -> str:
    kind = (
        asked[0]
        if len(asked) == 1
        else next((r.split(":", 1)[1].strip() for r in block.rows if r.strip().startswith("Kind:")), "")
    )
    return f"looks like kubectl describe {kind}".rstrip()


def _read_words(block: Block, finds: Finds, namespace: str) -> bool:
    """Take rows of events without a header, and times; the rest is prose."""
    listed = cri_tables.containers(block.rows)
    finds.containers |= listed
    if (bare := with_header(None, pod_rows(block.rows))) is not None:
        # A row among words.
        read_table(*bare, namespace, finds, block.first)
    rows = [r for r in block.rows if _PROSE_EVENT.match(r)]
    events = described_events(rows, "", namespace, "")
    for row in block.rows:
        # Rows of kubectl get events behind grep have no header.
        if is_listed(row):
            events += listed_events("", [row], namespace)[0]
    events = events or [e for e in map(spoken_event, block.rows) if e is not None]
    finds.events += events
    checked = [r.strip() for r in block.rows if _CHECKED.match(r)]
    if checked:
        finds.logs.append(FoundLog(KUBEADM, "kube-system", KUBEADM, None, "\n".join(checked) + "\n", block.first))
    if seen := flows(block.rows):
        finds.logs.append(FoundLog(HUBBLE, "kube-system", HUBBLE, None, "\n".join(seen) + "\n", block.first))
    return bool(events or checked or listed or seen or bare)


def _read_answer(block: Block, finds: Finds) -> bool:
    command = block.command
    row = block.rows[0].strip()
    if _OF_PLANE.search(row):
        finds.logs.append(FoundLog(KUBECTL, "kube-system", KUBECTL, None, row + "\n", block.first))
        return True
    none = _NONE_FOUND.match(row)
    if none is not None:
        if command is not None and command.verb in ("get", "describe") and not command.chosen:
            _whole(command, none[1] or command.namespace, finds)
        return True
    missing = _NOT_FOUND.match(row)
    if missing is not None:
        resource = find_resource(missing[1])
        if resource is not None:
            finds.absent.append((resource.plural, command.namespace if command is not None else "", missing[2]))
        return True
    log = _NO_LOG.match(row)
    if log is not None:
        namespace = command.namespace if command is not None else ""
        finds.no_logs.append((namespace, log[2], log[1], row.find("previous terminated") >= 0, row.partition("): ")[2]))
        return True
    refused = _REFUSED.match(row)
    if refused is not None and (listed := _FORBIDDEN_LIST.match(refused[2])) is not None:
        resource = find_resource(listed[1])
        if resource is not None:
            finds.refused.append((resource.plural, command.namespace if command is not None else "", refused[2]))
    return True


def _whole(command: Command, namespace: str, finds: Finds) -> None:
    """Remember that a command listed all there is of its resources."""
    for plural in command.resources:
        resource = BY_PLURAL.get(plural)
        if resource is None:
            continue
        if command.everywhere or not resource.namespaced:
            finds.whole.append((plural, ""))
        else:
            finds.whole.append((plural, namespace or "?"))


def _read_table(block: Block, finds: Finds, namespace: str) -> bool:
    header, rows = block.rows[0], [r for r in block.rows[1:] if r.strip()]
    plural = kind_of_table(header, rows)
    command = block.command
    if plural == "events":
        events, _ = listed_events(header, rows, namespace)
        finds.events += events
        if command is not None and command.verb in ("get", "events") and not command.chosen and not _gaps(rows):
            finds.whole.append(("events", "" if command.everywhere else command.namespace or "?"))
        return True
    if not plural and command is not None and len(command.resources) == 1:
        plural = command.resources[0]
    if plural not in BY_PLURAL and not plural.startswith("top"):
        what = plural or (command.resources[0] if command is not None and command.resources else "")
        not_used(block, finds, f"looks like kubectl get {what}".rstrip() if what else "looks like a table of kubectl")
        return True
    read = read_table(plural, header, rows, namespace, finds, block.first)
    if read < len([r for r in rows if r.strip() not in ("...", "…")]) - 2 and not read:
        not_used(block, finds, f"looks like kubectl get {plural}")
    if command is not None and command.verb == "get" and not command.chosen and not _gaps(rows) and read:
        # Kinds of which there is nothing are silent in the answer, so all that were asked for were listed.
        _whole(command, command.namespace, finds)
    return True


def _gaps(rows: list[str]) -> bool:
    return any(r.strip() in ("...", "…", "[...]", "<snip>", "[snip]") for r in rows)
