"""What a kubelet's own line means on this distribution: in comes the line, out goes its cause with what ends it.

One kind of line has several ends: a removed flag, a field and a missing file are all "its configuration"; a refused
kubelet needs a token, a certificate, or a role of its cloud. What the line names decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kubetriage.data import table
from kubetriage.model import Actor, Fix
from kubetriage.rules.node.contact_meanings import api_server_meaning
from kubetriage.rules.node.eviction_meaning import eviction_meaning
from kubetriage.rules.node.machine_words import Word
from kubetriage.rules.node.runtime_meanings import (
    dead_mount_meaning,
    runtime_program_meaning,
    sandbox_image_meaning,
)
from kubetriage.rules.node.start_meanings import (
    bootstrap_meaning,
    credentials_meaning,
    kernel_flags_meaning,
    machine_setup_meaning,
    start_meaning,
    static_pod_meaning,
    time_server_meaning,
    unauthorized_meaning,
)
from kubetriage.rules.node.webhook_meaning import webhook_meaning
from kubetriage.rules.node.word_findings import Meaning, Stage, on_machine
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.patterns import lazy


def meaning_of(stage: Stage, word: Word) -> Meaning | None:
    """Return what a line of the kubelet means; None for a kind that is not the kubelet's."""
    made = _MADE.get(word.kind)
    return made(stage, word) if made else _plain(stage).get(word.kind)


def _certificate(stage: Stage, _word: Word) -> Meaning:
    text, commands = stage.identity("renew")
    asks = kubectl("get", "csr")
    more = (Fix("A new request may wait for approval.", actor=Actor.CLUSTER, commands=(asks,)),)
    return Meaning(
        "KubeletCertificateExpired",
        "The kubelet of {name} has no valid client certificate, so the API server refuses it.",
        text,
        actor=Actor.NODE,
        commands=(*stage.machine.lines("client certificate"), *commands),
        rules_out=("NodePartitioned", "the API server answered: it refused the certificate"),
        more=() if stage.machine.name in ("k3s", "rke2", "microk8s", "eks") else more,
    )


_NAMES = lazy(r"certificate is (?:not )?valid for (.{1,160}?), not (\S+)|(?:for|validate) (\S+) because")


def _server_certificate(stage: Stage, word: Word) -> Meaning:
    """Judge the API server's certificate as the kubelet saw it: the side that must act is the server's."""
    plane = stage.machine.rows("certificates") if not stage.machine.managed else ()
    if "unknown authority" in word.words:
        text, commands = stage.identity("admit")
        return Meaning(
            "ApiServerCertificateInvalid",
            "The kubelet of {name} does not trust the API server's certificate: it is of another authority.",
            "Its CA file is of another cluster or of before a new CA, or something between them presents its own "
            f"certificate. Compare the CA of {stage.machine.path('kubeconfig')} with the API server's. {text}",
            commands=(*stage.machine.lines("api server"), *commands),
            rules_out=("KubeletCertificateExpired", "the kubelet refused the server, not the server the kubelet"),
        )
    expired = "has expired" in word.words and "is before" not in word.words
    if expired and (other := stage.server()) is not None:
        return Meaning("ApiServerCertificateInvalid", other[0], other[1], actor=Actor.CLUSTER, commands=other[2])
    if expired:
        return Meaning(
            "ApiServerCertificateInvalid",
            "The API server's certificate has expired, so the kubelet of {name} refuses to talk to it.",
            "Renew the API server's certificate on each control plane node, then restart the control plane. Nothing is "
            "to be renewed on {name}.",
            actor=Actor.CLUSTER,
            commands=plane,
            rules_out=("KubeletCertificateExpired", "the kubelet refused the server, not the server the kubelet"),
        )
    named = _NAMES.search(word.words)
    about = (named.group(2) or named.group(3) or "").rstrip(',"\\') if named else "the address in use"
    return Meaning(
        "ApiServerCertificateInvalid",
        f"The API server's certificate does not name {about}, the address that the kubelet of {{name}} uses.",
        f"Add {about} to the names of the API server's certificate, or let {stage.machine.path('kubeconfig')} use a"
        " name that it has.",
        actor=Actor.CLUSTER,
        commands=stage.machine.lines("api server"),
    )


def _join_token(stage: Stage, _word: Word) -> Meaning:
    text, commands = stage.identity("token")
    return Meaning(
        "KubeletUnauthorized",
        "{name} is not let into the cluster: its join token is refused.",
        text,
        commands=commands,
        rules_out=("ApiServerUnreachable", "the server answered: it refused the token"),
    )


def _node_password(stage: Stage, _word: Word) -> Meaning:
    name, product = stage.ref.name, "rke2" if stage.machine.name == "rke2" else "k3s"
    secret = f"{name}.node-password.{product}"
    restart = stage.machine.lines("kubelet restart")
    return Meaning(
        "NodePasswordRejected",
        "The server does not let {name} in: a machine of that name joined before with another node password. Either two"
        " machines have one name, or this one was installed anew.",
        "If this machine was reinstalled or replaced: delete the Secret with the old password, then start the agent.",
        actor=Actor.CLUSTER,
        commands=(kubectl("delete", "secret", secret, namespace="kube-system"), *restart),
        more=(
            Fix(
                "If two machines have this name: give one another hostname, or with-node-id: true in"
                f" /etc/rancher/{product}/config.yaml. Compare the addresses first.",
                actor=Actor.NODE,
                commands=(
                    kubectl("get", "node", name, "-o", "wide"),
                    *on_machine(stage, "hostname; ip -brief address"),
                ),
            ),
        ),
        rules_out=("KubeletUnauthorized", "its token was accepted; the password of its name was not"),
    )


def _checkpoint(stage: Stage, word: Word) -> Meaning:
    memory = "memory_manager" in word.words or "machine state is different" in word.words
    device = "checkpoint is corrupted" in word.words and "manager_state" not in word.words
    file = "device-plugins/kubelet_internal_checkpoint" if device else f"{'memory' if memory else 'cpu'}_manager_state"
    root = {"k0s": "/var/lib/k0s/kubelet", "microk8s": "/var/snap/microk8s/common/var/lib/kubelet"}
    path = f"{root.get(stage.machine.name, '/var/lib/kubelet')}/{file}"
    name = stage.ref.name
    drain = kubectl("drain", name, "--ignore-daemonsets", "--delete-emptydir-data")
    says = "The kubelet of {name} does not start: the state in " + path + " fits its policy or its machine no more."
    uncordon = Fix(f"Let pods in again: {kubectl('uncordon', name)}.", actor=Actor.CLUSTER)
    if stage.machine.name == "talos":
        # Talos has no shell, and a debug pod needs a living kubelet.
        remove = (
            "debug",
            f"node/{name}",
            "-it",
            "--image=busybox:1.36",
            "--profile=sysadmin",
            "--",
            "rm",
            f"/host{path}",
        )
        return Meaning(
            "KubeletCheckpointInvalid",
            says,
            "Set the policy back (machine.kubelet.extraConfig), so that the kubelet starts. Drain the node, remove the"
            " file with a debug pod, then set the new policy.",
            commands=(shell("talosctl", "-n", stage.machine.address, "edit", "machineconfig"), drain, kubectl(*remove)),
            more=(uncordon,),
        )
    return Meaning(
        "KubeletCheckpointInvalid",
        says,
        f"Drain the node, move {path} away, and start the kubelet: it writes a new one. Containers that run keep their"
        " CPUs until they restart, so drain first.",
        ("kubelet restart",),
        commands=(drain, *on_machine(stage, f"sudo mv {path} {path}.old")),
        more=(uncordon,),
    )


_FLAG = lazy(r"unknown flag: --([\w-]+)")
_GATE = lazy(r"feature gate:? \\?\"?([A-Z]\w+)")


def _configuration(stage: Stage, word: Word) -> Meaning:
    says = "The kubelet of {name} does not start with its configuration."
    config, places, machine = stage.machine.path("kubelet_config"), stage.flags, stage.machine
    restart = ("kubelet restart",)
    flag, gate = _FLAG.search(word.words), _GATE.search(word.words)
    if flag is not None:
        name = flag[1]
        row = next((r for r in table("kubelet_identity")["removed_flags"] if r["flag"] == name), None)
        told = (
            f" Kubernetes {row['removed']} took the flag away; in its place: {row['instead']}."
            if row
            else " The flag is of another version, or misspelt."
        )
        return Meaning(
            "KubeletConfigInvalid",
            f"The kubelet of {{name}} does not start: it does not know its flag --{name}.{told}",
            f"Take --{name} out where it stands, then start the kubelet: {_places(stage)}",
            restart,
            commands=on_machine(stage, f"sudo grep -rn -e {name} {places}"),
        )
    if gate is not None:
        name = gate[1]
        return Meaning(
            "KubeletConfigInvalid",
            f"The kubelet of {{name}} does not start: this version has no feature gate {name}.",
            f"Take {name} out of featureGates in {config} and out of --feature-gates, then start the kubelet.",
            restart,
            commands=on_machine(stage, f"sudo grep -rn -e {name} {config} {places}"),
        )
    if "cgroup" in word.words and "v1" in word.words:
        return Meaning(
            "KubeletConfigInvalid",
            "The kubelet of {name} does not start on a host with cgroup v1.",
            "Boot the machine with cgroup v2 (systemd.unified_cgroup_hierarchy=1, or a newer image). Until then"
            f" failCgroupV1: false in {config} lets it start.",
            restart,
            commands=on_machine(stage, "stat -fc %T /sys/fs/cgroup"),
        )
    if "no such file" in word.words:
        text, commands = stage.identity("token")
        return Meaning(
            "KubeletConfigInvalid",
            "The kubelet of {name} does not start: a file of its configuration is missing, as before a join or after a"
            " reset.",
            f"Was the machine joined, or reset since? Bring the file back, or join it again. {text}",
            commands=commands,
        )
    return Meaning(
        "KubeletConfigInvalid",
        f"{says} A field, flag or value does not fit its version.",
        f"Take out or correct what the line names, in {config} or in its flags; then start the kubelet.",
        ("kubelet status", *restart),
        commands=on_machine(stage, f"sudo cat {config}") if machine.name not in ("k3s", "rke2") else (),
    )


def _places(stage: Stage) -> str:
    """Say where a distribution keeps the kubelet's flags."""
    return {
        "talos": "machine.kubelet.extraArgs (talosctl edit machineconfig).",
        "bottlerocket": "settings.kubernetes of the user data.",
        "openshift": "a KubeletConfig or MachineConfig.",
        "k3s": "kubelet-arg in /etc/rancher/k3s/config.yaml.",
        "rke2": "kubelet-arg in /etc/rancher/rke2/config.yaml.",
        "k0s": "--kubelet-extra-args of the unit k0sworker.",
        "eks": "the user data of the launch template (nodeadm, bootstrap.sh).",
        "gke": "node images of the version set it; upgrade the node pool.",
        "aks": "node images of the version set it; upgrade the node pool's image.",
    }.get(stage.machine.name, "kubeadm-flags.env, the unit's drop-ins, or KUBELET_EXTRA_ARGS.")


def _deleted(stage: Stage, _word: Word) -> Meaning:
    name = stage.ref.name
    return Meaning(
        "NodeDeleted",
        "The Node {name} was deleted while its kubelet runs; a kubelet registers its Node only when it starts.",
        "Find who deleted it first, or it goes again: a cloud controller that does not find the machine by its"
        " name or providerID, an autoscaler, or kubectl delete node. Then restart the kubelet.",
        ("kubelet restart",),
        commands=(
            kubectl("get", "events", "-A", "--field-selector", f"involvedObject.name={name}"),
            kubectl("logs", "-l", "k8s-app=cloud-controller-manager", "--tail=50", namespace="kube-system"),
        ),
        rules_out=("ApiServerUnreachable", "the API server answered: it has no such Node"),
    )


def _proxy(stage: Stage, word: Word) -> Meaning:
    about = f" {word.about}" if word.about else ""
    return Meaning(
        "ApiServerUnreachable",
        f"The kubelet of {{name}} asks the API server through the proxy{about}, which does not let it through.",
        "Put the API server's address, the nodes' and the cluster's ranges into NO_PROXY of the unit, then restart it.",
        ("kubelet restart",),
        commands=on_machine(
            stage, f"sudo systemctl show {stage.machine.kubelet_unit} -p Environment -p EnvironmentFiles"
        ),
        rules_out=("KubeletDown", "the kubelet runs and tries"),
    )


_MADE: Mapping[str, Callable[[Stage, Word], Meaning | None]] = {
    "certificate": _certificate,
    "server certificate": _server_certificate,
    "unauthorized": unauthorized_meaning,
    "join token": _join_token,
    "node password": _node_password,
    "checkpoint": _checkpoint,
    "configuration": _configuration,
    "api server": api_server_meaning,
    "proxy": _proxy,
    "webhook": webhook_meaning,
    "eviction": eviction_meaning,
    "kernel flags": kernel_flags_meaning,
    "credentials": credentials_meaning,
    "start": start_meaning,
    "bootstrap server": bootstrap_meaning,
    "time server": time_server_meaning,
    "machine setup": machine_setup_meaning,
    "node deleted": _deleted,
    "static pod": static_pod_meaning,
    "dead mount": dead_mount_meaning,
    "sandbox image": sandbox_image_meaning,
    "runtime program": runtime_program_meaning,
}


def _plain(stage: Stage) -> dict[str, Meaning]:
    """Say what the lines mean that have one end each."""
    config = stage.machine.path("kubelet_config")
    systemd = stage.machine.row["tools"] == "systemd"
    clock = on_machine(stage, "date -u; timedatectl; chronyc tracking")
    name = stage.ref.name
    return {
        "node name": Meaning(
            "NodeNameMismatch",
            "The kubelet of {name} runs under another node name than its credentials are for, as after a change of the"
            " hostname.",
            "Give the machine its old hostname again, or --hostname-override with that name; else remove the old Node"
            " and join anew.",
            ("kubelet restart",),
            commands=(*on_machine(stage, "hostname; hostnamectl"), *stage.machine.lines("client certificate")),
        ),
        "busy server": Meaning(
            "ApiServerOverloaded",
            "The kubelet of {name} runs, and the API server turns its Lease away: it has too many requests.",
            "Find the client that floods it: API Priority and Fairness keeps kubelets a level of their own (node-high,"
            " leader-election), so look at who fills it.",
            actor=Actor.CLUSTER,
            commands=(
                kubectl("plane-trace"),
                kubectl("get", "--raw", "/debug/api_priority_and_fairness/dump_priority_levels"),
            ),
            rules_out=("KubeletDown", "the kubelet runs and tries"),
        ),
        "node address": Meaning(
            "NodeAddressInvalid",
            "The kubelet of {name} finds no address for its node: the one in --node-ip is on no interface.",
            f"Set --node-ip to an address that the machine has ({_places(stage)}), then restart the kubelet.",
            ("kubelet restart",),
            commands=on_machine(stage, "ip -brief address"),
        ),
        "clock": Meaning(
            "NodeClockWrong",
            "The clock of {name} is wrong: certificates look as if they were not valid yet, or expired.",
            "Set the clock right and mend its time service (chrony, systemd-timesyncd), then restart the kubelet.",
            ("kubelet restart",),
            commands=(
                *clock,
                *on_machine(stage, "sudo chronyc makestep || sudo systemctl restart systemd-timesyncd"),
            )
            if systemd
            else (shell("talosctl", "-n", stage.machine.address, "time"),)
            if stage.machine.name == "talos"
            else (),
        ),
        "cgroup driver": Meaning(
            "CgroupDriverMismatch",
            "The kubelet and the container runtime of {name} use different cgroup drivers.",
            f"Set both to systemd: cgroupDriver in {config}, SystemdCgroup = true in /etc/containerd/config.toml"
            " (Docker: native.cgroupdriver=systemd in /etc/docker/daemon.json); then restart both.",
            ("runtime restart", "kubelet restart"),
        ),
        "swap": Meaning(
            "SwapEnabled",
            "The kubelet of {name} does not start, because swap is on.",
            f"Switch swap off now and in /etc/fstab, or set failSwapOn: false in {config}.",
            ("kubelet restart",),
            commands=on_machine(stage, "sudo swapoff -a; grep -n swap /etc/fstab"),
        ),
        "disk full": Meaning(
            "NodeDiskFull",
            "A disk of {name} is full: its kubelet or runtime cannot write.",
            "Free it: logs and unused data first, with the owner of the data.",
            ("disk", "disk use"),
        ),
        "images kept": Meaning(
            "NodeDiskFull",
            "The disk of {name} fills up, and the kubelet finds no unused image to delete: what fills it is something"
            " else.",
            "See what fills it: logs, emptyDirs and writable layers of containers, or files of the machine beside"
            " Kubernetes; free that, or enlarge the disk.",
            ("disk", "disk use"),
        ),
        "serving request": Meaning(
            "ServingCertificatePending",
            "The kubelet of {name} has no serving certificate: nobody approved its request. The node and its pods run;"
            " logs, exec and metrics fail.",
            "Look at who asks for which names, and approve it. Nothing in Kubernetes approves requests of"
            " kubelet-serving: install an approver, or take serverTLSBootstrap out.",
            actor=Actor.CLUSTER,
            commands=(kubectl("get", "csr"), kubectl("certificate", "approve", "CSR")),
        ),
        "runtime database held": Meaning(
            "ContainerRuntimeDown",
            "containerd of {name} waits for its own database: another process has it open.",
            "End the other one: a second containerd (Docker's, a snap, k3s beside it) or an old one that still stops."
            " Then restart the runtime.",
            ("runtime restart", "runtime answer"),
            commands=on_machine(
                stage, "ps -C containerd -o pid,lstart,cmd; sudo fuser -v /var/lib/containerd/*/meta.db"
            ),
        ),
        "inotify": Meaning(
            "InotifyLimitReached",
            "The inotify limit of {name} is reached: kubelet, runtime or pods cannot watch files.",
            "Raise fs.inotify.max_user_instances and fs.inotify.max_user_watches on the node (sysctl.d), then restart"
            " what failed.",
            ("kubelet restart",),
            rules_out=("NodeDiskFull", "the error is inotify's, not the disk's"),
            commands=on_machine(
                stage, "sudo sysctl -w fs.inotify.max_user_instances=8192 fs.inotify.max_user_watches=524288"
            ),
        ),
        "cgroups": Meaning(
            "CgroupLimitReached",
            "The kernel of {name} cannot make more cgroups or has leaked them.",
            "Restart the node; old kernels leak memory cgroups: take a newer kernel.",
            ("reboot",),
            commands=(kubectl("drain", name, "--ignore-daemonsets", "--delete-emptydir-data"),),
            rules_out=("NodeDiskFull", "the error is the cgroup file system's, not the disk's"),
        ),
        "no memory cgroup": Meaning(
            "CgroupUnavailable",
            "The kernel of {name} runs without the cgroup controllers that the kubelet needs.",
            "Enable them on the kernel's command line (cgroup_enable=memory cgroup_memory=1), then restart the"
            " machine.",
            ("reboot",),
        ),
        "processes": Meaning(
            "ProcessLimitReached",
            "{name} can start no more processes: a limit of process ids is reached.",
            "Find what starts so many threads or leaves zombies. Raise the limit that is reached (TasksMax of the unit,"
            " kernel.pid_max), and limit pods (podPidsLimit).",
            ("containers",),
            commands=on_machine(
                stage,
                "cat /proc/sys/kernel/pid_max; systemctl show containerd kubelet -p Id -p TasksCurrent -p TasksMax;"
                " ps -eLo comm= | sort | uniq -c | sort -rn | head",
            ),
        ),
    }
