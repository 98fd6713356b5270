"""Takes the blocks of a pasted text that are logs, with what is told of whose they are."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kubetriage.cluster.text import cri_tables
from kubetriage.cluster.text.blocks import Block
from kubetriage.cluster.text.commands import RUNTIMES
from kubetriage.cluster.text.component_lines import component_of
from kubetriage.cluster.text.controller_lines import told_by_controllers
from kubetriage.cluster.text.found import Finds, FoundLog, FoundNodeLog, Unused
from kubetriage.cluster.text.logged_events import logged_events
from kubetriage.cluster.text.own_words import COMPONENTS, component
from kubetriage.cluster.text.proxy_logs import failed_requests
from kubetriage.readers.logs.layers import Peeled, is_etcd_line, is_journal_line, peel, peel_rows
from kubetriage.values.patterns import lazy

# What the kubelet answers where the runtime has removed the log.
_NO_CONTENT = lazy(
    r"(?:Error from server|error: |unable to retrieve container logs for |failed to try resolving symlinks)"
)
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


def not_used(block: Block, finds: Finds, words: str) -> None:
    """Say of a block what it looks like; nothing of it is used."""
    finds.unused.append(Unused(block.first, block.last, words))


def read_journal(block: Block, finds: Finds, source: str) -> None:
    """Take what a machine itself wrote."""
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


def read_log(block: Block, finds: Finds, source: str) -> None:
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
        not_used(block, finds, failed)
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
        read_journal(block, finds, source)
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


def take_weak(weak: list[Block], found: list[Block], finds: Finds, source: str) -> None:
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
