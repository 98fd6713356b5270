"""The pod's sandbox (its network namespace and pause container) cannot be made.

Meaning: before any container of the pod can start, the runtime makes a sandbox and the network plugin gives it an
address. One of them fails on this node.

Told by: ``FailedCreatePodSandBox`` (the runtime's and the network plugin's own words) or ``NetworkNotReady`` events
newer than anything that succeeded.

Fix: depends on the words: addresses by what the platform has (data/pod_address_ranges.json), the network plugin's pod
on the node, the runtime handler that the RuntimeClass names, the pause image, a runtime that is too old.

Source: kubelet kuberuntime_sandbox.go; containerd and CRI-O sandbox set-up; CNI plugins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.data import table
from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.needs import List, Need
from kubetriage.readers.events import Event
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.node_commands import node_command
from kubetriage.rules.crash.pod_addresses import cni_of
from kubetriage.rules.crash.root_causes import first_root, pods_named, repair
from kubetriage.rules.crash.start_failures import unwrapped
from kubetriage.values.commands import kubectl, pods_on, shell
from kubetriage.values.fields import labels, name_of, objects, text
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import parse_bytes

CODE = "SandboxCreateFailed"

_REASONS = ("FailedCreatePodSandBox", "FailedCreatePodContainer", "NetworkNotReady")
_SUCCESS = ("Created", "Started", "Pulled", "Pulling")

# kubelet runtimeclass; containerd sandbox_run.go; CRI-O server/sandbox_run.go.
_CLASS = lazy(r'RuntimeClass(?:\.node\.k8s\.io)? "(?P<name>[^"]+)" not found')
_HANDLER = lazy(r'no runtime for "(?P<name>[^"]+)" is configured|failed to find runtime handler "?(?P<crio>[^"\s]+)"?')
# CNI host-local, AWS VPC CNI, Calico, Cilium, Azure: all say that no address is left.
_ADDRESSES = lazy(
    r"no IP addresses available|failed to assign an IP address|no (?:more )?(?:available |free )?(?:IPs?|addresses)\b|"
    r"range is full|IPAM.*exhausted|insufficient (?:free )?(?:IP|address)|not enough IPs|no more IPs|"
    r"could not allocate IP in range",
    re.I,
)
# containerd images for the sandbox, CRI-O pause_image.
_PAUSE = lazy(r'(?:get sandbox image|pause image) "?(?P<image>[^":\s]+(?::[^"\s:]+)?)"?', re.I)
_CNI_MISSING = lazy(
    r"cni plugin not initialized|no networks found in|no valid networks found|cni config uninitialized|"
    r'failed to find plugin "(?P<plugin>[^"]+)"|NetworkPluginNotReady|network plugin is not ready|'
    r"network is not ready",
    re.I,
)
_NETWORK = lazy(r"setup network|plugin type=|failed to set ?up (?:pod|sandbox)|CNI", re.I)
_PLUGIN = lazy(r'plugin type="?(?P<plugin>[\w.-]+)"?(?: name="[^"]*")? failed \((?:add|del)\): (?P<why>.*)', re.S)
# multus-cni k8sclient, through the API server's words.
_ATTACHMENT = lazy(r'network-attachment-definitions?\.k8s\.cni\.cncf\.io "(?P<name>[^"]+)" not found')
# runc init: the kernel or its namespaces do not have the parameter.
_SYSCTL = lazy(r"/proc/sys/(?P<path>[\w./-]{1,120}): (?P<why>[^:\n]{1,300})")
# kubelet network/dns GetPodDNS, from resolvConf of its configuration.
_RESOLVER = lazy(r"open (?P<path>/\S{0,200}resolv(?:\.conf)?\S{0,60}): no such file or directory")
_SPACE = lazy(r"\A(?!.*cgroup).*(?:no space left on device|disk quota exceeded)", re.I | re.S)
# kernel mem_cgroup_alloc: 65,535 memory cgroups, of which old kernels keep dead ones.
_CGROUPS = lazy(r"cgroup\S{0,600}: (?:no space left on device|cannot allocate memory)", re.I)
# fork and clone: EAGAIN, at a limit of processes or threads.
_PROCESSES = lazy(
    r"(?:fork/exec|fork|clone|pthread_create|newosproc|start\w* (?:new )?(?:thread|process))[^\n]{0,200}"
    r"resource temporarily unavailable",
    re.I,
)

# runc, when its own process in the pod's cgroup is killed before any container runs.
_LIMIT = lazy(r"OOM-killed \(memory limit too low\?\)")
_LEAST_LIMIT = 16 * 1024**2
"""Bytes: a pause container and runc need a few MiB; less is a slip in the unit."""

_Told = tuple[str, Fix, tuple[Evidence, ...]]
"""What happened, what to do, and further evidence."""


def needs(case: Case) -> Iterator[Need]:
    """Ask for the RuntimeClasses when one is missing, and for the network plugin's pods."""
    event = _event(case)
    if event is not None and _CLASS.search(event.message):
        yield List("runtimeclasses")
    if event is not None and _of_plugin(event):
        # Where the words name no plugin, the namespace that most of them stand in has to do.
        named = [r for r in table("network_plugins")["plugins"] if r["pattern"].strip("^(")[:5] in event.message]
        for namespace in sorted({n for row in named for n in row["namespaces"]} or {"kube-system"}):
            yield List("pods", namespace)


def leads_to(case: Case) -> Iterator[Pod]:
    """Yield the network plugin's pods on the node."""
    event = _event(case)
    if event is not None and _of_plugin(event):
        yield from _plugin_pods(case)


def _of_plugin(event: Event) -> bool:
    """Tell whether the network plugin failed for another reason than a lack of addresses."""
    words = event.message
    return bool(_CNI_MISSING.search(words) or _NETWORK.search(words)) and not _ADDRESSES.search(words)


def _plugin_pods(case: Case) -> list[Pod]:
    rows = table("network_plugins")["plugins"]
    return [p for row in rows for p in pods_named(case.snapshot, row["pattern"], row["namespaces"], case.pod.node)]


def _event(case: Case) -> Event | None:
    """Return the newest failure, unless something of the pod succeeded after it."""
    pod = case.pod
    if not pod.node or pod.finished or any(c.running for c in case.containers):
        return None
    event = case.events.last(*_REASONS)
    done = case.events.last(*_SUCCESS)
    if event is None or (done is not None and done.last and event.last and done.last >= event.last):
        return None
    return event


def check(case: Case) -> Iterator[Finding]:
    """Say which part of the set-up fails."""
    event = _event(case)
    if event is None:
        return
    message, fix, more = _say(case, event.message)
    root = first_root(case.explain, _plugin_pods(case)) if _of_plugin(event) else None
    if root is not None:
        message = f"The network plugin of {case.pod.node} does not work, so no pod gets a network there: {root.words}"
        fix, more = repair(root, "The kubelet then makes the sandbox by itself."), root.evidence
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        case.pod.ref,
        message,
        (event.evidence(), *more),
        fix=(fix,),
        verify=(
            pods_on(case.pod.node),
            kubectl("describe", "node", case.pod.node),
        ),
        details={"root": root.details} if root is not None else {},
    )


def _say(case: Case, said: str) -> _Told:
    return _asked_for(case, said) or _of_the_node(case, said)


def _asked_for(case: Case, said: str) -> _Told | None:
    """Read failures of what the pod's own spec asks for."""
    node, pod = case.pod.node, case.pod
    missing = _CLASS.search(said)
    if missing:
        names = [name_of(c) for c in case.snapshot.list("runtimeclasses").items]
        close = nearest(missing["name"], names) or (names[0] if len(names) == 1 else "")
        there = f" {close} exists." if close else ""
        patch = f"Name {close}" if close else "Name an existing RuntimeClass"
        return (
            f"RuntimeClass {missing['name']} does not exist.{there}",
            case.template_fix(
                f"{patch} in runtimeClassName of {case.workload_name}, or create {missing['name']}.",
                {"runtimeClassName": close} if close else None,
            ),
            (pod.fact("spec", "spec.runtimeClassName", missing["name"]),),
        )
    handler = _HANDLER.search(said)
    if handler:
        name = handler["name"] or handler["crio"]
        own = text(pod.raw, "spec", "runtimeClassName")
        return (
            f"The runtime of {node} has no handler {name}, which RuntimeClass {own or '(default)'} asks for.",
            Fix(
                f"Configure handler {name} on {node}, or keep the pod to nodes that have it (scheduling of the "
                "RuntimeClass).",
                actor=Actor.NODE,
            ),
            (pod.fact("spec", "spec.runtimeClassName", own or "<none>"),),
        )
    if _LIMIT.search(said):
        return _limit_too_low(case)
    sysctl = _SYSCTL.search(said)
    if sysctl and objects(pod.raw, "spec", "securityContext", "sysctls"):
        name = sysctl["path"].replace("/", ".")
        return (
            f"The kernel of {node} does not let the pod set sysctl {name}: {sysctl['why'].strip()}.",
            case.template_fix(f"Correct or drop {name} in securityContext.sysctls of {case.workload_name}."),
            (pod.fact("spec", "spec.securityContext.sysctls", name),),
        )
    attachment = _ATTACHMENT.search(said)
    if attachment:
        wanted = "k8s.v1.cni.cncf.io/networks"
        own = labels(pod.raw, "metadata", "annotations").get(wanted, attachment["name"])
        return (
            f"NetworkAttachmentDefinition {attachment['name']} does not exist where Multus looks for it.",
            case.template_fix(
                f"Create it, or correct the annotation {wanted} in {case.workload_name}.",
                commands=(kubectl("get", "network-attachment-definitions", "-A"),),
            ),
            (pod.fact("spec", f"metadata.annotations[{wanted}]", own),),
        )
    return None


def _limit_too_low(case: Case) -> _Told:
    """Name the limits that are too small for a sandbox; ``m`` behind a number means thousandths of a byte."""
    limits = [(c, told[0], told[1]) for c in case.containers if (told := c.memory_limit) is not None]
    small = [(c, words, proof) for c, words, proof in limits if (parse_bytes(words) or 0) < _LEAST_LIMIT] or limits
    named = "; ".join(f"{c.name} {words}" for c, words, _ in small) or "its pod-level limit"
    slips = {c.name: f"{words.removesuffix('m')}Mi" for c, words, _ in small if words.endswith("m")}
    message = f"The memory limit is too small to make the sandbox: {named}."
    if slips:
        message += " The unit m is thousandths of a byte; Mi is meant."
    wanted = ", ".join(f"{name} to {size}" for name, size in slips.items())
    fix = case.template_fix(
        f"Set the memory limit of {wanted or 'the container to what the program needs, with unit Mi or Gi'}.",
        {"containers": [{"name": n, "resources": {"limits": {"memory": size}}} for n, size in slips.items()]}
        if slips
        else None,
    )
    return message, fix, tuple(proof for _, _, proof in small)


def _of_the_node(case: Case, said: str) -> _Told:
    """Read failures that any pod would meet on this node."""
    node, plain = case.pod.node, _short(said)
    pause, told = _PAUSE.search(said), _PLUGIN.search(said)
    plugin = f"network plugin {told['plugin']}" if told else "network plugin"
    on_node = pods_on(node)
    names = _RESOLVER.search(said)
    if names:
        return (
            f"The kubelet on {node} is told to give pods the name servers of {names['path']}, and that file is not "
            f"there.",
            Fix(
                f"Set resolvConf of the kubelet on {node} to a file that exists (/etc/resolv.conf where "
                f"systemd-resolved "
                "does not run; kubeadm: /var/lib/kubelet/config.yaml), or start systemd-resolved; then restart the "
                "kubelet.",
                actor=Actor.NODE,
                commands=(
                    node_command(case, "grep", "-r", "resolvConf\\|resolv-conf", "/var/lib/kubelet"),
                    node_command(case, "ls", "-l", "/etc/resolv.conf", names["path"]),
                ),
            ),
            (),
        )
    if _ADDRESSES.search(said):
        row = cni_of(said)
        message = f"The {plugin} has no free address for the pod on {node}."
        words = (
            row.no_address
            if row is not None
            else (
                "Free addresses on {node}: finished pods and leaked reservations hold some. Else give the "
                "node a larger pod "
                "range, which most plugins only do for new nodes, or add nodes."
            )
        )
        look = (on_node, *(row.look(node) if row is not None else ()))
        actor = Actor.CLOUD if row is not None and row.cloud else Actor.CLUSTER
        return message, Fix(words.replace("{node}", node), actor=actor, commands=look), ()
    if pause:
        message = f"{node} cannot get the sandbox image {pause['image']}, which every pod needs."
        words = (
            f"Make {pause['image']} available to {node}: name a registry that it reaches as sandbox image in "
            "the runtime's "
            "configuration, or load the image there."
        )
        return message, Fix(words, actor=Actor.NODE, commands=(shell("crictl", "pull", pause["image"]),)), ()
    if _SPACE.search(said):
        message = f"{node} has no disk space left to make the pod's sandbox."
        words = f"Free disk space on {node}: unused images, logs, finished pods."
        return message, Fix(words, actor=Actor.NODE, commands=(kubectl("node-triage", node),)), ()
    if _PROCESSES.search(said):
        message = f"{node} lets nobody start another process, so no pod starts there: {plain}"
        words = (
            f"Find what fills the process table of {node} (a pod that forks without end, threads of one program), end "
            "it, and bound pods by podPidsLimit of the kubelet; kernel.pid_max, kernel.threads-max and TasksMax of the "
            "runtime's unit are the limits. Until then cordon the node."
        )
        count = node_command(case, "sh", "-c", "ps -eLf | wc -l; sysctl kernel.pid_max kernel.threads-max")
        return message, Fix(words, actor=Actor.NODE, commands=(count, kubectl("cordon", node))), ()
    if _CGROUPS.search(said):
        message = f"The kernel of {node} has no room for another cgroup: {plain}"
        words = f"Drain and restart {node}; a newer kernel lets go of cgroups whose containers are gone."
        drain = kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data")
        return message, Fix(words, actor=Actor.NODE, commands=(drain,)), ()
    if _RESERVED.search(said):
        message = f"The runtime of {node} still has an earlier sandbox of the pod in hand: {plain}"
        words = (
            f"Look at the disk and load of {node}; the kubelet tries again. A sandbox that never ends is removed with "
            "crictl (pods, stopp, rmp), or with a restart of the runtime once nothing is busy."
        )
        return message, Fix(words, actor=Actor.NODE, commands=(kubectl("node-triage", node),)), ()
    if _USER_NAMESPACES.search(said):
        runtime = text(case.node.obj, "status", "nodeInfo", "containerRuntimeVersion")
        message = (
            f"The runtime of {node}{f' ({runtime})' if runtime else ''} cannot give the pod a user namespace: {plain}"
        )
        words = (
            f"Take hostUsers: false out of {case.workload_name}, or keep it to nodes that can: containerd 2.0 or CRI-O "
            "1.25, runc 1.2 or crun 1.9, and a kernel of 6.3 or newer."
        )
        return message, case.template_fix(words), ()
    if _RUNC.search(said):
        info = text(case.node.obj, "status", "nodeInfo", "osImage")
        message = f"The runtime of {node}{f' ({info})' if info else ''} cannot run runc itself, so no pod starts there."
        words = (
            f"Run runc on {node} by hand. A symbol or library error there is a libseccomp older than runc wants (2.5 "
            "for runc 1.1; CentOS 7 has 2.3): upgrade libseccomp, or take the runc that the distribution builds; then "
            "restart the runtime."
        )
        return message, Fix(words, actor=Actor.NODE, commands=(node_command(case, "runc", "--version"),)), ()
    if _SECCOMP.search(said):
        message = f"The runtime of {node} is too old for the pod's security settings or image: {plain}"
        words = f"Upgrade runc, libseccomp and the runtime of {node}; until then keep the pod to newer nodes."
        return message, Fix(words, actor=Actor.NODE, commands=(kubectl("get", "node", node, "-o", "wide"),)), ()
    known = next((row for row in table("network_plugin_errors")["rows"] if re.search(row["words"], said, re.I)), None)
    if known is not None:
        why = _short(told["why"]) if told else plain
        message = f"The {plugin} cannot connect the pod on {node}: {known['means']}. Its words: {why}"
        look = tuple(kubectl(*(w.replace("{node}", node) for w in words)) for words in known["look"])
        return message, Fix(known["act"].replace("{node}", node), actor=Actor.CLUSTER, commands=look), ()
    if _CNI_MISSING.search(said):
        message = f"The network of {node} is not ready: {plain}"
        words = (
            f"Bring the network plugin's pod up on {node}: it writes the plugin and its configuration there. "
            "See that pod's "
            "own cause first."
        )
        return message, Fix(words, actor=Actor.CLUSTER, commands=(on_node,)), ()
    if _NETWORK.search(said):
        why = _short(told["why"]) if told else plain
        message = f"The {plugin} cannot connect the pod on {node}: {why}"
        agent = _AGENT.search(said)
        words = (
            f"The plugin asks its agent on {node}, which does not answer: bring the plugin's pod there up, "
            "and read its log."
            if agent
            else f"Read the log of the {plugin}'s pod on {node} for this message; the kubelet tries again by itself."
        )
        return message, Fix(words, actor=Actor.CLUSTER, commands=(on_node,)), ()
    message = f"{node} cannot make the pod's sandbox: {plain}"
    words = (
        f"Look at the runtime's log on {node}: these words are not known here. Another node tells whether "
        "it is this one."
    )
    look = (shell("journalctl", "-u", "containerd", "-u", "crio", "--since=-30min"), kubectl("node-triage", node))
    return message, Fix(words, actor=Actor.NODE, commands=look), ()


# containerd, CRI-O: the sandbox of an earlier try.
_RESERVED = lazy(r"name \S+ is reserved|failed to reserve sandbox name|pod sandbox with name \S+ already exists", re.I)
# kubelet kuberuntime_manager.go, containerd and CRI-O.
_USER_NAMESPACES = lazy(r"does not support user namespaces|user namespaces? (?:is|are) not supported", re.I)
# containerd go-runc: the runtime's own program ended without words in its log, by the loader (127) or a signal.
_RUNC = lazy(
    r"\brunc did not terminate successfully: exit status (?:127|1[3-9]\d)|runc: (?:symbol lookup|error while loading)"
)
_SECCOMP = lazy(r"seccomp|unknown system call|function not implemented", re.I)
# The agent of a CNI plugin: a socket or a local port that nothing answers on.
_AGENT = lazy(
    r"(?:\.sock|localhost:\d+|127\.0\.0\.1:\d+|\[::1\]:\d+)[^\n]{0,300}"
    r"(?:connection refused|no such file|deadline exceeded)|"
    r"(?:cilium|calico|multus|aws-node|antrea|ovn)[^\n]{0,60}(?:is it running|not running|unable to connect|daemon)",
    re.I,
)


# The layers before the words that matter: kubelet, CRI, containerd or CRI-O.
_WRAPPING = lazy(
    r"\A(?:Failed to create pod sandbox: |(?:container runtime )?network (?:is )?not ready: |"
    r"rpc error: code = \w+ desc = |failed to start sandbox \"[^\"]*\": |"
    r"failed to setup network for sandbox \"[^\"]*\": |failed to create pod network sandbox \S+: )+"
)


# Ids of sandboxes and containers, and the name that the runtime makes of the pod's.
_IDS = lazy(r"(?:for )?(?:sandbox|container|pod) \"?[0-9a-f]{32,64}\"?:? ?|\bk8s_\S+_\d+\b ?|\b[0-9a-f]{64}\b ?")


def _short(said: str) -> str:
    """Return the reason at the end of a chain of errors, without the ids on the way."""
    plain = " ".join(_IDS.sub("", unwrapped(_WRAPPING.sub("", said))).split())
    # The end of a chain of errors says what went wrong.
    return plain if len(plain) <= 300 else "..." + plain[-297:]
