"""Reads a pasted text: every block by its form."""

from __future__ import annotations

import re
from collections.abc import Sequence

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
from kubetriage.cluster.text.commands import RUNTIMES, Command
from kubetriage.cluster.text.component_lines import component_of
from kubetriage.cluster.text.controller_lines import told_by_controllers
from kubetriage.cluster.text.cut_conditions import read_cut_conditions
from kubetriage.cluster.text.describes import read_describe
from kubetriage.cluster.text.documents import read_documents
from kubetriage.cluster.text.event_rows import described_events, is_listed, listed_events
from kubetriage.cluster.text.exported_logs import exported_logs
from kubetriage.cluster.text.found import Finds, FoundLog, FoundNodeLog, Unused
from kubetriage.cluster.text.json_parts import json_events, picked
from kubetriage.cluster.text.lines import dedent, read_lines
from kubetriage.cluster.text.logged_events import logged_events
from kubetriage.cluster.text.own_words import COMPONENTS, HUBBLE, component, flows
from kubetriage.cluster.text.proxy_logs import failed_requests
from kubetriage.cluster.text.spoken import spoken_event
from kubetriage.cluster.text.tables import kind_of_table, read_table
from kubetriage.cluster.text.viewers import in_kubectls_form
from kubetriage.readers.logs.layers import Peeled, is_etcd_line, is_journal_line, peel, peel_rows
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_PLURAL, find_resource

_NOT_FOUND = lazy(r"Error from server \(NotFound\): ([\w.-]{1,200}) \"([^\"]{1,253})\" not found")
_REFUSED = lazy(r"Error from server \((Forbidden|ServiceUnavailable|Timeout|InternalError|Unauthorized)\): (.{1,2000})")
_FORBIDDEN_LIST = lazy(r"([\w.]{1,200}) is forbidden: User .{1,500} cannot list resource")
_NO_LOG = lazy(
    r"Error from server \(BadRequest\): (?:previous terminated )?container \"([^\"]{1,63})\" in pod \"([^\"]{1,253})\" "
    r"(.{1,300})"
)
# What the kubelet answers where the runtime has removed the log.
_NO_CONTENT = lazy(
    r"(?:Error from server|error: |unable to retrieve container logs for |failed to try resolving symlinks)"
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
_FILE_STEM = lazy(r"(?:.*/)?([^/]{1,253}?)(?:[._-](previous|prev|current|last))?\.(?:log|txt)\Z")
UNITS = (
    "kubelet",
    "containerd",
    "crio",
    "cri-o",
    "docker",
    "k3s",
    "rke2-server",
    "rke2-agent",
    "k0scontroller",
    "k0sworker",
)


def read_text(content: str, source: str) -> Finds:
    """Read a text; what could not be used is named in the result."""
    finds = Finds()
    lines = without_marks(in_kubectls_form(read_lines(content)))
    found = blocks(lines)
    weak: list[Block] = []
    for block in found:
        if not _read_block(block, finds, source):
            weak.append(block)
    _take_weak(weak, found, finds, source)
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
            _not_used(block, finds, _describe_words(block, asked))
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
            _not_used(block, finds, words)
        return True
    if block.kind == "journal":
        _read_journal(block, finds, source)
        return True
    if block.kind == "log":
        told = json_events(block.rows)
        finds.events += told
        if not told:
            _read_log(block, finds, source)
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


def _not_used(block: Block, finds: Finds, words: str) -> None:
    finds.unused.append(Unused(block.first, block.last, words))


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
        _not_used(block, finds, f"looks like kubectl get {what}".rstrip() if what else "looks like a table of kubectl")
        return True
    read = read_table(plural, header, rows, namespace, finds, block.first)
    if read < len([r for r in rows if r.strip() not in ("...", "…")]) - 2 and not read:
        _not_used(block, finds, f"looks like kubectl get {plural}")
    if command is not None and command.verb == "get" and not command.chosen and not _gaps(rows) and read:
        # Kinds of which there is nothing are silent in the answer, so all that were asked for were listed.
        _whole(command, command.namespace, finds)
    return True


def _gaps(rows: list[str]) -> bool:
    return any(r.strip() in ("...", "…", "[...]", "<snip>", "[snip]") for r in rows)


def _read_journal(block: Block, finds: Finds, source: str) -> None:
    content = "\n".join(block.rows)
    lines = [peel(row.lstrip()) for row in block.rows]
    hosts = {line.host for line in lines if line.host}
    command = block.command
    unit = command.unit if command is not None else ""
    where = (
        f"journalctl -u {unit}"
        if unit and unit != "kernel"
        else "dmesg"
        if unit == "kernel"
        else block.heading or source.rpartition("/")[2]
    )
    node = hosts.pop() if len(hosts) == 1 else ""
    finds.node_logs.append(FoundNodeLog(node, where, content))


def _etcd_log(content: str, peeled: Sequence[Peeled], first: int) -> FoundLog | None:
    """Return a log of etcd, of which most lines are etcd's own; None for others."""
    lines = [line for line in peeled if line.body.strip()]
    if sum(1 for line in lines if is_etcd_line(line.body)) * 2 <= len(lines):
        return None
    host = next((line.host for line in lines if line.host), "")
    return FoundLog(f"etcd-{host}" if host else "etcd", "kube-system", "etcd", None, content, first)


def _named_logs(
    content: str, peeled: Sequence[Peeled], first: int, namespace: str = "", previous: bool | None = None
) -> list[FoundLog]:
    """Return the logs of the pods and containers that the lines themselves name; empty where they name none."""
    by_name: dict[tuple[str, str, str], list[str]] = {}
    for row, line in zip(content.split("\n"), peeled, strict=True):
        if line.pod:
            # A single line would not show that stern's names are no part of it.
            own = row.removeprefix(f"{line.pod} {line.container} ")
            by_name.setdefault((line.pod, line.container, namespace or line.namespace), []).append(own)
    return [
        FoundLog(pod, place, container, previous, "\n".join(rows) + "\n", first)
        for (pod, container, place), rows in by_name.items()
    ]


def _read_log(block: Block, finds: Finds, source: str) -> None:
    """Take a log with what is told of whose it is: the command, the heading, names in its own lines."""
    content = "\n".join(block.rows).strip("\n") + "\n"
    command = block.command
    content, chosen, defaulted = _without_kubectls_words(content)
    if _NO_CONTENT.match(content):
        return
    finds.events += logged_events(block.rows)
    pod = container = namespace = workload = ""
    if (closed := _CLOSED.search(content)) is not None:
        namespace, pod, container = closed[1], closed[2], closed[3]
        content = _CLOSED.sub("", content)
    previous: bool | None = None
    if command is not None and command.verb == "logs" and command.tool == "kubectl":
        pod = command.names[0] if command.names and command.resources == ("pods",) else ""
        pod = pod or chosen or (closed[2] if closed is not None else "")
        container, previous = command.container or defaulted or container, command.previous
        namespace = command.namespace or namespace
        workload = command.names[0] if command.names and not pod else ""
    elif block.heading and closed is None:
        namespace, pod, container, previous = _from_file_name(block.heading)
    of_runtime = command is not None and command.tool in RUNTIMES
    listed = cri_tables.named(finds.containers, command.unit) if command is not None and of_runtime else None
    if listed is not None:
        pod, namespace, container = listed.pod, listed.namespace, listed.name
    part = listed.name if listed is not None and listed.name in COMPONENTS else ""
    part = part or (component(block, source) if not pod else "")
    if part:
        finds.logs.append(FoundLog(part, "kube-system", part, None, content, block.first))
        return
    if not pod and (failed := failed_requests(block.rows) or told_by_controllers(block.rows, owned=bool(workload))):
        _not_used(block, finds, failed)
        return
    peeled = peel_rows(content.split("\n"))
    if not container and (named := _named_logs(content, peeled, block.first, namespace, previous)):
        finds.logs += named
        return
    if not pod and (etcd := _etcd_log(content, peeled, block.first)) is not None:
        finds.logs.append(etcd)
        return
    if not (pod or container or workload) and (wrote := component_of(peeled)):
        finds.logs.append(FoundLog(wrote, "kube-system", wrote, None, content, block.first))
        return
    if not pod and (_is_machine(block, source) or sum(map(is_journal_line, block.rows)) * 2 > len(block.rows)):
        _read_journal(block, finds, source)
        return
    if not pod and any(_OF_CLUSTER.search(line.body) for line in peeled):
        finds.node_logs.append(FoundNodeLog("", block.heading or "the pasted log", content))
        if command is None or command.verb != "logs":
            return
    if content.strip() or pod:
        finds.logs.append(FoundLog(pod, namespace, container, previous, content.lstrip("\n"), block.first, workload))


# What k9s writes into its view of a log when the container has ended.
_CLOSED = lazy(
    r"(?m)^\s{0,8}Stream closed (?:EOF|BY EOF|due to .{1,100}) for ([a-z0-9-]{1,63})/([a-z0-9.-]{1,253}) "
    r"\(([a-z0-9-]{1,63})\)[^\n]{0,200}\n?"
)
_DEFAULTED = lazy(
    r"Default(?:ed|ing) container (?:name to )?\"?([a-z0-9-]{1,63})\"?(?: out of: [^\n]*|\.)?[^\n]*(?:\n|\Z)"
)
_CHOSEN = lazy(r"Found \d{1,6} pods, using pod/([a-z0-9.-]{1,253})[^\n]*(?:\n|\Z)")


def _without_kubectls_words(content: str) -> tuple[str, str, str]:
    """Take off what kubectl says before a log; return the log with the pod and container that kubectl chose."""
    pod = container = ""
    content = content.lstrip("\n")
    if (chosen := _CHOSEN.match(content)) is not None:
        pod, content = chosen[1], content[chosen.end() :]
    if (defaulted := _DEFAULTED.match(content)) is not None:
        container, content = defaulted[1], content[defaulted.end() :]
    return content, pod, container


# Source files of the kubelet, the API server, the controller-manager and the scheduler in klog's header, that no other
# program has (kubernetes/kubernetes 1.18 to 1.37), and what k3s and RKE2 say of themselves.
_OF_CLUSTER = lazy(
    r"\A[IWEF]\d{4} \S+ +\d+ (?:kubelet(?:_node_status|_pods|_network\w*)?|pod_workers|kuberuntime_\w+|eviction_manager"
    r"|container_manager_linux|storage_rbac|available_controller|controllermanager|node_lifecycle_controller"
    r"|schedule_one|daemon|csi_plugin|oom_watcher_linux|remote_runtime)\.go:\d"
    r"|\A[EF]\d{4} \S+ +\d+ (?:run|server)\.go:\d+\] \"(?:Failed to run kubelet|command failed\" err=\"failed to run K)"
    r"|\AF\d{4} \S+ +\d+ (?:hooks|instance|server|controllermanager)\.go:\d"
    r"|\Atime=\"[^\"]{1,40}\" level=\w+ msg=\".{0,400}(?:\b(?:k3s|rke2|kubelet|kube-apiserver|datastore|etcd)\b)"
)


def _is_machine(block: Block, source: str) -> bool:
    """Tell whether a log is of a machine's unit by the name of the file that holds it."""
    name = (block.heading or source).rpartition("/")[2].lower()
    return any(name.startswith(unit) for unit in UNITS) or name.startswith(
        ("messages", "syslog", "dmesg", "kern", "journal")
    )


def _from_file_name(heading: str) -> tuple[str, str, str, bool | None]:
    """Return namespace, pod, container and previous that the name of a file tells, as far as it does."""
    parts = [p for p in re.split(r"[\\/]", heading) if p]
    match = _FILE_STEM.match(parts[-1]) if parts else None
    if match is None:
        return "", "", "", None
    previous = {"previous": True, "prev": True, "last": True, "current": False}.get(match[2] or "")
    known = re.fullmatch(r"([a-z0-9.-]+)_([a-z0-9-]+)_([a-z0-9-]+?)(?:-[0-9a-f]{64})?", match[1])
    if known is not None:
        # /var/log/containers: POD_NAMESPACE_CONTAINER-ID.log
        return known[2], known[1], known[3], previous
    if (
        len(parts) > 2
        and (place := re.fullmatch(r"([a-z0-9-]+)_([a-z0-9.-]+)_[0-9a-f-]{32,36}", parts[-3])) is not None
    ):
        # /var/log/pods: NAMESPACE_POD_UID/CONTAINER/0.log
        return place[1], place[2], parts[-2], previous
    if len(parts) > 1:
        return "", parts[-2], match[1], previous
    return "", match[1], "", previous


def _take_weak(weak: list[Block], found: list[Block], finds: Finds, source: str) -> None:
    """Take words for a log where nothing says otherwise: all of the text, or what stands in a fence."""
    if finds.logs or finds.node_logs or finds.bodies:
        return
    fenced = [block for block in weak if block.fenced]
    finds.guessed = not (finds.objects or finds.events or finds.whole or finds.absent)
    for block in fenced or (weak if len(weak) == len(found) else []):
        content = "\n".join(block.rows).strip("\n") + "\n"
        peeled = peel_rows(content.split("\n"))
        if (part := component(block, source)) and not block.fenced:
            finds.logs.append(FoundLog(part, "kube-system", part, None, content, block.first))
            finds.guessed = False
        elif _is_machine(block, source):
            finds.node_logs.append(FoundNodeLog("", source.rpartition("/")[2], content))
        elif any(_OF_CLUSTER.search(line.body) for line in peeled):
            finds.node_logs.append(FoundNodeLog("", "the pasted log", content))
            finds.guessed = False
        else:
            wrote = component_of(peeled)
            own = FoundLog(wrote, "kube-system" if wrote else "", wrote, None, content, block.first)
            log = _etcd_log(content, peeled, block.first) or own
            finds.logs += _named_logs(content, peeled, block.first) or [log]
