"""A machine's own words: in come journals and kernel logs in any wrapping, out go the lines that name a cause.

Read are the kubelet's log (as a unit's journal, a file, ``kubectl get --raw .../logs``, or inside k3s and its like),
the runtime's, and the kernel's ring buffer. What a line means stands in :data:`KINDS`; what ends it, with the causes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from kubetriage.found import NodeLog
from kubetriage.model import Evidence, NotSeen
from kubetriage.needs import Log
from kubetriage.readers.outer_layers import KLOG, Line, message_of, peeled
from kubetriage.records import dataclass
from kubetriage.rules.node.plugin_pods import PluginPod, failing_plugin_pod
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj
from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time

RECENT = timedelta(hours=1)
"""How far before the end of a log a line still speaks of the present."""
LOGS = "proxy/logs/"
"""Part of the path of a kubelet's log query."""

KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    # What keeps an agent of k3s or RKE2, or a new kubelet, out (pkg/agent, pkg/clientaccess, kubelet's bootstrap).
    ("node password", lazy(r"[Nn]ode password (?:rejected|validation failed|not set)|hash does not match.{0,40}node")),
    (
        "join token",
        lazy(
            r"token CA hash does not match|[Ii]nvalid (?:join )?token|token is (?:expired|not valid)"
            r"|token .{0,30}expired"
            r"|cannot create certificate signing request: Unauthorized"
            r"|/(?:v1-(?:k3s|rke2)|cacerts|bootstrap)\S*:? .{0,20}(?:401 Unauthorized|403 Forbidden)"
            r"|failed to (?:get CA certs|validate connection to cluster).{0,200}(?:not authorized|401|token)"
        ),
    ),
    # What the API server answers a kubelet whose Node, Lease or CSINode a webhook must let pass.
    (
        "webhook",
        lazy(
            r"(?:register node|lease|node status|CSINode|mirror pod).{0,200}(?:failed calling webhook \\?\"([\w.-]+)"
            r"|admission webhook \\?\"([\w.-]+)\\?\" denied)"
        ),
    ),
    # The kubelet (cmd/kubelet, pkg/kubelet/cm, client-go), 1.18 to 1.37, and what Go says of TLS and the network.
    (
        "checkpoint",
        lazy(
            r"could not restore state from checkpoint|(?:cpu|memory)_manager_state|checkpoint is corrupted"
            r"|expected machine state is different from the real one|does(?:n't| not) match with CPUs in state"
            r"|not all reserved cpus: .{0,60} are present in (?:default|state)"
        ),
    ),
    (
        "server certificate",
        lazy(
            r"(?:(?:Get|Post|Put|Patch) \\?\"https://|websocket connect|Unable to (?:register|update)"
            r"|Failed to (?:watch|list)|lease)"
            r".{0,400}x509: (?:certificate has expired(?: or is not yet valid: current time \S+ is after|\W*\Z)"
            r"|certificate signed by unknown authority|certificate is (?:valid for|not valid for)"
            r"|cannot validate certificate for)"
        ),
    ),
    (
        "certificate",
        lazy(
            r"(?:part of the existing bootstrap client certificate|client certificate|certificate).{0,120}"
            r"(?:is expired|has expired)(?! or is not)|x509: certificate has expired or is not yet valid: current time"
            r" \S+ is after|server has asked for the client to provide credentials|"
            r"failed to run Kubelet: unable to load bootstrap kubeconfig"
        ),
    ),
    # Talos starts no kubelet before its clock is set (internal/app/machined, TimeSyncController; all versions).
    (
        "time server",
        lazy(r"time query error.{0,200}\"server\": \"([\w.:-]{1,253})\""),
    ),
    # What gives a new machine of kOps its configuration (nodeup asks kops-controller, since 1.22).
    (
        "bootstrap server",
        lazy(
            r"get node config from server: Post \\?\"https?://([\w.:-]{1,253}).{0,200}"
            r"(?:i/o timeout|connect: |no such host|deadline exceeded)"
        ),
    ),
    # What makes a kubelet's configuration on new machines: nodeadm of Amazon's images, Talos' own services.
    (
        "machine setup",
        lazy(
            r"\"level\": ?\"(?:fatal|error)\".{0,300}\"caller\": ?\"(?:cmd/)?nodeadm/.{0,200}\"error\": ?\"(.{1,600})"
            r"|nodeadm.{0,40}level=(?:fatal|error).{0,400}|bootstrap\.sh.{0,80}(?:Exited with error|error).{0,300}"
            r"|\[talos\] service\[(kubelet|cri)\]\(Failed\): .{1,600}"
        ),
    ),
    (
        "clock",
        lazy(
            r"x509: certificate has expired or is not yet valid: current time \S+ is before|"
            r"System clock wrong by|clock skew|Can't synchronise|time (?:has been|was) (?:changed|stepped)"
        ),
    ),
    (
        "cgroup driver",
        lazy(
            r"kubelet cgroup driver: .{1,20} is different from docker cgroup driver"
            r"|cgroup driver.{0,60}(?:mismatch|different)"
            r"|expected cgroupsPath to be of format|cannot enter cgroupv2 .{0,80} with domain controllers"
        ),
    ),
    (
        "node name",
        lazy(
            r"is not allowed to (?:modify|access|update) node|can only (?:access|get|update) node .{0,20}with the same"
            r" name|node \S+ cannot (?:modify|update) (?:status of )?node|(?:duplicate|conflicting) (?:node|host) ?name"
        ),
    ),
    (
        "node address",
        lazy(
            r"node IP: \S+ not found in the host's network interfaces|failed to get node (?:host )?IPs?\b"
            r"|can't get ip address of node|nodeIP .{0,60}(?:not|invalid)|unable to .{0,30}node's? IP"
        ),
    ),
    ("swap", lazy(r"[Rr]unning with swap on is not supported|swap is (?:not supported|enabled).{0,40}fail")),
    # The runtime's own last words: containerd 1.6 to 2.1 (cmd/containerd, plugins/cri), CRI-O with containers/storage.
    (
        "runtime end",
        lazy(
            r"containerd: (?:failed to load TOML|.{0,60}toml: |invalid (?:disabled )?plugin).{0,200}"
            r"|failed to load (?:TOML|plugin (?:io\.containerd\.)?\S{0,60}cri\b).{0,400}(?:error=|: ).{0,200}"
            r"|invalid plugin config: .{0,200}"
            r"|level=fatal msg=\"(?:[Ff]ailed to start|validating|configuring|could not).{0,300}"
            r"|/var/lib/containers/storage\S{0,200}.{0,80}(?:layer not known|invalid argument|structure needs cleaning)"
        ),
    ),
    # The image of the pod's own sandbox: without it nothing starts, static pods neither.
    ("sandbox image", lazy(r"failed to (?:get|pull) sandbox image \\?\"([\w./:@-]{1,200})")),
    # The program that containerd calls for each container (runc, crun, NVIDIA's) is gone; one of a container's own
    # that is not in its image reads "unable to start container process".
    (
        "runtime program",
        lazy(
            r"(?:unable to retrieve OCI runtime error|failed to start shim|runtime .{0,60}binary not installed)"
            r".{0,300}?(?:fork/exec|exec:) \\{0,8}\"?([\w./-]{1,200}?)\\{0,8}\"?: (?:stat \S{1,200}: )?"
            r"(?:no such file or directory|executable file not found)"
        ),
    ),
    (
        "runtime socket",
        lazy(
            r"(?:unable to determine runtime API version|validate (?:service connection|CRI v1)|"
            r"[Ff]ailed to (?:create|get) .{0,40}[Rr]untime|container runtime (?:sanity|status) check failed|"
            r"Container runtime sanity check failed|connect to .{0,40}containerd).{0,300}"
            r"(?:connection refused|no such file or directory|connect: |DeadlineExceeded"
            r"|deadline exceeded|Unimplemented)"
        ),
    ),
    (
        "configuration",
        lazy(
            r"unknown flag: --([\w-]+)|[Ff]ailed to (?:load|parse|decode|validate) (?:kubelet|Kubelet) config|"
            r"failed to (?:parse|load) kubelet|invalid configuration:|strict decoding error"
            r"|no kind \"KubeletConfiguration\""
            r"|unrecognized feature gate:? ?\"?(\w*)|feature gate .{0,60} (?:is |was )?(?:removed|unknown)|"
            r"unable to load client CA file (\S+):|unknown '?\S+'? plugin|"
            r"flag provided but not defined|cgroups? v1 support is (?:not|un)supported"
            r"|kubelet is configured to not run on"
            r" a host using cgroup v1|[Ff]ailed to run [Kk]ubelet.{0,40}invalid"
        ),
    ),
    # ENOSPC and EMFILE of inotify, and ENOSPC of cgroups, are limits and no full disk.
    (
        "inotify",
        lazy(
            r"(?:inotify|fsnotify).{0,120}(?:too many open files|no space left on device)|"
            r"[Ff]ailed to watch (?:file|directory).{0,80}no space left on device"
        ),
    ),
    ("cgroups", lazy(r"(?:/sys/fs/cgroup|cgroup).{0,200}(?:no space left on device|cannot allocate memory)")),
    (
        "no memory cgroup",
        lazy(
            r"failed to find memory cgroup|[Cc]group subsystems? not mounted"
            r"|memory cgroup (?:is )?(?:missing|disabled)|"
            r"missing required cgroup|cgroup .{0,20}not enabled|CGROUPS_MEMORY: missing"
        ),
    ),
    (
        "processes",
        lazy(
            r"fork rejected by pids controller|pthread_create failed: Resource temporarily unavailable"
            r"|failed to create new OS thread|fork/exec .{0,80}resource temporarily unavailable|"
            r"[Cc]annot fork|fork: retry: Resource"
        ),
    ),
    ("disk full", lazy(r"no space left on device|[Dd]isk quota exceeded")),
    # k3s and RKE2 agents (pkg/agent/loadbalancer): what the server told them to use in place of what they were given.
    ("server address", lazy(r"Removing server from load balancer [\w-]+: (\S{1,260}?)[\"\s]")),
    ("proxy", lazy(r"proxyconnect tcp: dial tcp:? ?(?:lookup )?(\S+?)(?: on \S+)?: |Proxy Authentication Required")),
    (
        "api server",
        lazy(
            r"(?:[Ff]ailed to (?:ensure|update) lease|[Uu]nable to register node|Error updating node status|"
            r"[Ee]rror getting node|Failed to (?:list|watch|contact)|dial tcp).{0,400}"
            r"dial tcp:? ?(?:lookup )?(\S+?)(?: on \S+)?: (?:i/o timeout"
            r"|connect: connection refused|connect: no route to host|"
            r"connect: network is unreachable|no such host)"
            r"|(?:Failed to connect to proxy|Remotedialer proxy error|connection to cluster|get CA certs).{0,300}"
            r"dial tcp:? ?(?:lookup )?(\S+?)(?: on \S+)?: (?:i/o timeout|connect: |no such host)"
            r"|failed to get CA certs.{0,40}https?://([^/\s\"\\]+).{0,160}(?:deadline exceeded|connection refused"
            r"|Client\.Timeout exceeded|connection reset by peer)"
        ),
    ),
    (
        "unauthorized",
        lazy(
            r"(?:[Uu]nable to register node|update lease|node status).{0,300}(?:Unauthorized|[Ff]orbidden)"
            r"|is forbidden: User \\?\"system:anonymous"
        ),
    ),
    # The Node was deleted while its kubelet ran (kubelet_node_status.go, all versions); it registers at its start only.
    (
        "node deleted",
        lazy(
            r"[Ee]rror (?:updating node status.{0,60})?getting node \\?\"\S{1,260}?: nodes \\?\"([\w.-]+)\\?\""
            r" not found"
        ),
    ),
    # A static pod of the control plane that this kubelet starts again and again (pod_workers.go).
    (
        "static pod",
        lazy(
            r"failed to \\*\"StartContainer\\*\" for \\*\"(kube-apiserver|etcd|kube-controller-manager|kube-scheduler)"
            r"\\*\" with CrashLoopBackOff"
        ),
    ),
    # A mount that hangs or is dead, as runtime and kubelet meet it: ERESTARTSYS, ESTALE, ENOTCONN, EHOSTDOWN.
    (
        "dead mount",
        lazy(
            r"(?:stat|lstat|statfs|open) \\?\"?(/[^\s\"\\:]{0,300}/volumes?[^\s\"\\:]{0,200}).{0,40}(?:errno[= ]512"
            r"|stale (?:NFS )?file handle|[Tt]ransport endpoint is not connected|host is down|input/output error)"
        ),
    ),
    # The kubelet's check of the machine's kernel (protectKernelDefaults), its credential plugin, and a busy server.
    ("kernel flags", lazy(r"invalid kernel flag: ([\w./-]+), expected value: -?\d+")),
    ("credentials", lazy(r"getting credentials: exec: (.{1,160})")),
    ("busy server", lazy(r"(?:lease|node status|register node).{0,200}the server has received too many requests")),
    # What no row above knows of a kubelet that ends: klog F, cobra's last error, a panic of Go.
    (
        "start",
        lazy(
            r"Failed to start ContainerManager|[Ff]ailed to listen and serve"
            r"|[Ff]ailed to start (?:kubelet|healthz) server"
            r"|\AF\d{4} .*?\] \"?(?:[Ff]ailed to run [Kk]ubelet|command failed)"
            r"|[Ff]ailed to run [Kk]ubelet\\?\"?(?: err=|: )|\"command failed\" err="
            r"|\A(?:panic|fatal error): |\Atime=\"[^\"]{1,40}\" level=(?:fatal|panic) "
        ),
    ),
    ("pleg", lazy(r"PLEG is not healthy|GenericPLEG: Unable to retrieve pods")),
    ("network plugin", lazy(r"cni plugin not initialized|cni config uninitialized|[Nn]o CNI configuration file in")),
    # The kernel.
    ("panic", lazy(r"Kernel panic - not syncing: (.{0,80})|BUG: unable to handle .{0,60}|kernel BUG at (\S+)")),
    ("oom", lazy(r"(?:Out of memory|[Mm]emory cgroup out of memory).{0,40}process \d+ \(([^)]+)\)")),
    ("oom context", lazy(r"oom-kill:constraint=.{0,200}task_memcg=([^,]+)|oom-kill:constraint=|oom_reaper: reaped")),
    (
        "io error",
        lazy(
            r"(?:blk_update_request: )?I/O error, dev (\S+?),|Buffer I/O error on dev (\S+?),"
            r"|nvme\S* ?.{0,40}(?:timeout|abort"
            r"|controller is down)|ata\d+(?:\.\d+)?: (?:failed command|exception|SError)|critical medium error|"
            r"EXT4-fs error \(device (\S+?)\)|XFS \((\S+?)\): (?:metadata I/O error|Corruption)|UNC error"
        ),
    ),
    (
        "read-only",
        lazy(
            r"(?:mkdir|open|write|create|rename|unlinkat|remove) (?:/var/l\w+|/run|/opt)/(?![^\s\"]{0,300}/volume)"
            r"[^\s\"\\:]{0,300}: read-only"
            r" file system"
            r"|Remounting filesystem read-only|re-mounted .{0,60}\bro\b|XFS .{0,60}[Ss]hut(?:ting)? down filesystem"
        ),
    ),
    (
        "link down",
        lazy(
            r"(?<!\S)(\S{1,60}): (?:NIC )?[Ll]ink is [Dd]own|(?<!\S)(\S{1,60}): link (?:down|becomes not ready)"
            r"|NETDEV WATCHDOG: (\S+)"
        ),
    ),
    ("nfs", lazy(r"nfs: server (\S+) (?:not responding|timed out)|NFS: .{0,40}server (\S+) error")),
    ("lockup", lazy(r"(?:soft|hard) lockup - (CPU#\d+)|(?:hard|soft) LOCKUP on cpu (\d+)|rcu.{0,30}detected stall")),
    ("hung task", lazy(r"INFO: task (\S+) blocked for more than \d+ seconds")),
    ("conntrack", lazy(r"nf_conntrack: (?:nf_conntrack: )?table full, dropping packet")),
    ("gpu", lazy(r"NVRM: Xid \(PCI:[\da-f:.]+\): (\d+)|amdgpu .{0,60}GPU reset|GPU has fallen off the bus")),
    (
        "hardware",
        lazy(
            r"Machine [Cc]heck|\bmce: \[Hardware Error\]|NMI: .{0,60}(?:PCI|IOCK|unknown reason)|Uncorrected error|"
            r"EDAC .{0,60}\bUE\b"
        ),
    ),
    ("neighbours", lazy(r"neighbou?r: \S+: neighbor table overflow|[Nn]eighbou?r table overflow")),
)
"""What is looked for, by name; the first group that matched says what it is about."""

_ENDED = lazy(
    r"(?:Main process exited|Failed with result|Start request repeated too quickly|Stopped|Stopping|Deactivated)"
)
_KUBELET = (
    "kubelet",
    "k3s",
    "k3s-agent",
    "rke2",
    "rke2-server",
    "rke2-agent",
    "k0s",
    "k0sworker",
    "kubelite",
    "systemd",
)


@dataclass(frozen=True)
class Word:
    """One line that names a cause."""

    kind: str
    about: str
    words: str
    """Without header."""
    at: datetime | None
    source: str
    count: int = 1
    """How many lines of the kind the log holds."""

    def evidence(self) -> Evidence:
        """Quote it."""
        times = f" ({self.count} lines like it)" if self.count > 1 else ""
        return Evidence("log", self.source, self.words + times, format_time(self.at) if self.at else "")


@dataclass(frozen=True)
class MachineWords:
    """What the logs of one machine say."""

    words: tuple[Word, ...] = ()
    """The newest line of each kind, the kinds in the order of :data:`KINDS`."""
    sources: tuple[str, ...] = ()
    lines: int = 0
    understood: int = 0
    head: str = ""
    host: str = ""
    """The machine that the wrappings name."""
    units: frozenset[str] = frozenset()
    last: datetime | None = None
    complaint: Word | None = None
    """The error that it repeats most, of those of no known kind."""
    plugin_pod: PluginPod | None = None
    """The network plugin's pod, where the newest word of it is that it does not run."""

    def of(self, *kinds: str) -> Word | None:
        """Return the first of these kinds that was found."""
        return next((w for k in kinds for w in self.words if w.kind == k), None)

    @property
    def unread(self) -> str:
        """Say how much was understood, where that is nothing; empty otherwise."""
        if not self.lines or self.understood:
            return ""
        return f"0 of {self.lines} lines understood, the first: {self.head[:120]}"


_FORM = lazy(r'time="|\{"|panic: |\S+: |\[|I\d{4}|goroutine ')


def read_words(logs: Iterable[NodeLog], now: datetime) -> MachineWords:
    """Read the logs of one machine; ``now`` completes times without a year."""
    newest: dict[str, Word] = {}
    unknown: dict[str, Word] = {}
    sources, units = [], set()
    total = understood = 0
    head = host = ""
    last: datetime | None = None
    plugin_pod: PluginPod | None = None
    for log in logs:
        lines = list(peeled(log.text, now))
        sources.append(log.source)
        end = max((x.at for x in lines if x.at is not None), default=None)
        last = max((t for t in (last, end) if t is not None), default=None)
        for line in lines:
            total, head = total + 1, head or line.text
            host, known = (
                host or line.host,
                bool(line.unit) or bool(KLOG.match(line.text)) or bool(_FORM.match(line.text)),
            )
            understood += known
            if line.unit:
                units.add(line.unit)
            if end is not None and line.at is not None and end - line.at > RECENT:
                continue
            plugin_pod = failing_plugin_pod(line.text) or plugin_pod
            told = list(_words(line, log.source))
            for word in told:
                before = newest.get(word.kind)
                # A balancer on the machine itself says nothing of the server behind it.
                best = before if before and _LOCAL.match(word.about) and not _LOCAL.match(before.about) else word
                newest[word.kind] = Word(*_fields(best), count=before.count + 1 if before else 1)
            if not told and _ERROR.match(line.text):
                word = _unknown(line, log.source)
                before = unknown.get(word.kind)
                unknown[word.kind] = Word(*_fields(word), count=before.count + 1 if before else 1)
    order = [kind for kind, _ in KINDS]
    found = tuple(sorted(newest.values(), key=lambda w: order.index(w.kind)))
    worst = max((w for w in unknown.values() if w.kind != "follows"), key=lambda w: w.count, default=None)
    return MachineWords(found, tuple(sources), total, understood, head, host, frozenset(units), last, worst, plugin_pod)


# Lines of klog, logrus and zap that their program calls errors; what follows from others is no cause.
_ERROR = lazy(r'[EF]\d{4} |time="[^"]{1,40}" level=(?:error|fatal) |\{"level": ?"(?:error|fatal)"|\S+: error: ')
_FOLLOWS = lazy(
    r"Error syncing pod|back-off|Skipping|skipping|Error getting node|not found|already exists|object has been modified"
    r"|Failed to delete|RemoveContainer|No need to create a mirror pod|Failed creating a mirror pod"
)
_LOCAL = lazy(r"127\.|\[?::1|localhost")
_VARYING = lazy(r"0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+")


def _unknown(line: Line, source: str) -> Word:
    """Return an error of no known kind; its kind is its shape, and what follows from something else is one shape."""
    klog = KLOG.match(line.text)
    said = (line.text[klog.end() :] if klog else message_of(line.text)).strip()[:400]
    shape = "follows" if _FOLLOWS.search(said) else _VARYING.sub("#", said)[:90]
    return Word(shape, "", said, line.at, source if not line.unit else f"{source} [{line.unit}]")


def _fields(word: Word) -> tuple[str, str, str, datetime | None, str]:
    return word.kind, word.about, word.words, word.at, word.source


def _words(line: Line, source: str) -> Iterable[Word]:
    for kind, pattern in KINDS:
        found = pattern.search(line.text)
        if found is None:
            continue
        about = next((g for g in found.groups() if g), "")
        klog = KLOG.match(line.text)
        said = (line.text[klog.end() :] if klog else message_of(line.text)).strip()
        if not klog and not pattern.search(said):
            # What matters stands in another field, as error="..." of containerd.
            said = line.text.strip()
        yield Word(
            kind,
            about,
            _part(said, pattern.search(said)),
            line.at,
            source if not line.unit else f"{source} [{line.unit}]",
        )
        return


def _part(said: str, found: re.Match[str] | None) -> str:
    """Return what is quoted of a long line: its beginning, or what stands around the words that tell."""
    if found is None or found.end() <= _SHOWN:
        return said[:400]
    return f"... {said[max(0, found.end() - _SHOWN + 40) : found.end() + 36]}"


_SHOWN = 296


def word_of(kind: str, said: str, at: datetime | None, source: str) -> Word | None:
    """Return the meaning of one kind in words that stand outside of a machine's log, as in an event."""
    found = next(p for k, p in KINDS if k == kind).search(said)
    if found is None:
        return None
    return Word(kind, next((g for g in found.groups() if g), ""), _part(said, found), at, source)


def unit_logs(snapshot: Snapshot) -> tuple[Log, ...]:
    """Return the logs of units that a recording keeps among those of pods, as ``kube-system/kubelet.log``."""
    return tuple(
        Log("kube-system", pod, unit)
        for unit in (*_KUBELET, "dmesg", "kernel", "containerd")
        for pod in snapshot.logged("kube-system", unit)
    )


def logs_of(snapshot: Snapshot, node: str, *, asked: bool, alone: bool) -> tuple[NodeLog, ...]:
    """Return the logs that are surely of one node.

    A log that names no machine counts where the user asked for this node or where there is only one; one whose lines
    name another host does not.
    """
    found = []
    for log, host in snapshot.derived(_given_logs):
        if log.node:
            if log.node == node:
                found.append(log)
            continue
        same = host and (host == node or host.partition(".")[0] == node.partition(".")[0])
        if same or (not host and (asked or alone)) or (alone and asked):
            found.append(log)
    for need, body in snapshot.bodies:
        path = getattr(need, "path", "")
        if (
            f"/nodes/{node}/{LOGS}" in path
            and body.status == 200
            and body.text.strip()
            and not body.text.lstrip().startswith("<")
        ):
            found.append(NodeLog(node, "the kubelet's log query", body.text))
    return tuple(found)


def some_logs(snapshot: Snapshot) -> bool:
    """Tell whether the own log of any machine was seen."""
    asked = (getattr(need, "path", "") for need, _ in snapshot.bodies)
    return bool(snapshot.derived(_given_logs)) or any(LOGS in path for path in asked)


def _given_logs(snapshot: Snapshot) -> tuple[tuple[NodeLog, str], ...]:
    """Return the logs of machines that were given, each with the host that its lines name where the log does not."""
    units = [NodeLog("", n.container, snapshot.log(n.namespace, n.pod, n.container).text) for n in unit_logs(snapshot)]
    return tuple((log, "" if log.node else _host(log, snapshot)) for log in (*snapshot.node_logs(), *units))


def _host(log: NodeLog, snapshot: Snapshot) -> str:
    return next((x.host for x in peeled(log.text[:20000], snapshot.now) if x.host), "")


def strangers(snapshot: Snapshot, nodes: Mapping[str, Obj]) -> Iterator[NotSeen]:
    """Name the logs that are of no node that was seen: they were not used."""
    short = {name.partition(".")[0] for name in nodes}
    for log in snapshot.node_logs():
        host = "" if log.node else _host(log, snapshot)
        if host and host.partition(".")[0] not in short and len(nodes) > 1:
            yield NotSeen(f"log {log.source}", f"its lines name {host}, which is no node here; name the node to use it")
