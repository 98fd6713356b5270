"""Which lines of a machine's own logs name a cause: kubelets, runtimes, agents of distributions, and the kernel."""

from __future__ import annotations

import re

from kubetriage.values.patterns import lazy

RUNTIMES = ("containerd", "docker")
"""Parts of the names of units whose last words are those of a container runtime."""

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
            # go.etcd.io/bbolt; embedded etcd says the same, so a line without the file counts by its unit (RUNTIMES).
            r"|io\.containerd\.metadata\S{0,80}meta\.db\S{0,5} .{0,200}(?:invalid|corrupt|checksum|version mismatch)"
            r"|panic: (?:freepages|page \d+ already freed|(?:assertion failed: )?Page expected"
            r"|invalid (?:freelist )?page).{0,200}"
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
    # The image manager and the eviction manager (pkg/kubelet, all versions): nothing is left to free, or pods must go.
    (
        "images kept",
        lazy(
            r"[Ii]mage garbage collection failed|failed to garbage collect required amount of images"
            r"|[Ff]ree disk space failed"
        ),
    ),
    (
        "eviction",
        lazy(
            r"[Ee]viction manager: (?:must evict pod\(s\) to reclaim|attempting to reclaim|unable to evict any pods)"
            r"\W{0,3}(?:resourceName=\\?\"([\w.-]{1,60}))?"
        ),
    ),
    # client-go/util/certificate: nobody approved or signed the request.
    ("serving request", lazy(r"kubelet-serving: (?:[Cc]ertificate request was not signed|.{0,80}not approved)")),
    # containerd's metadata plugin: another process has the file open.
    ("runtime database held", lazy(r"waiting for response from boltdb open")),
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
    # Daemons that kill before the kernel has to: systemd-oomd (oomd-manager.c), earlyoom (kill.c), Talos from 1.12 on.
    (
        "oom daemon",
        lazy(
            r"Killed (/\S{1,600}) due to (?:memory|swap) (?:pressure|used)"
            r"|sending SIG(?:TERM|KILL) to process \d{1,9} (?:uid \d{1,9} )?\"([^\"]{1,64})\""
            r"|OOM controller triggered.{0,600}"
        ),
    ),
    ("oom daemon context", lazy(r"(\S{1,300}): systemd-oomd killed \d{1,6} process")),
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
        lazy(r"(?<!\S)(\S{1,60}): (?:NIC )?[Ll]ink is [Dd]own|(?<!\S)(\S{1,60}): link (?:down|becomes not ready)"),
    ),
    # Drivers and net/sched: packets that the card never sent, and the reset that follows.
    (
        "interface hung",
        lazy(
            r"NETDEV WATCHDOG: (\S+)|(?<!\S)(\S{1,60}): (?:TX hasn't completed|Trigger reset is on"
            r"|Detected (?:Hardware|Tx) Unit Hang|transmit queue \d{1,4} timed out|TX timeout)"
        ),
    ),
    # net/core/dev.c netdev_wait_allrefs, all versions.
    ("interface kept", lazy(r"unregister_netdevice: waiting for (\S{1,60}) to become free")),
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
