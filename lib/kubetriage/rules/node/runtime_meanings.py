"""What the kubelet's words about its container runtime mean: in comes the line, out goes what ends it."""

from __future__ import annotations

from kubetriage.rules.node.machine_words import Word
from kubetriage.rules.node.word_findings import Meaning, Stage, on_machine
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.patterns import lazy

_SOCKET = lazy(r"(?:unix://+|dial unix )(/?[\w./-]+\.sock)")
_RESTART = ("runtime status", "runtime log", "runtime restart", "runtime answer")


def runtime_meaning(stage: Stage, word: Word) -> Meaning:
    """Part a runtime that is off from one without CRI, and from a socket that nobody makes any more."""
    if word.kind == "runtime end":
        return runtime_end_meaning(stage, word)
    found = _SOCKET.search(word.words)
    socket = "/" + found.group(1).lstrip("/") if found else ""
    if "nimplemented" in word.words or "unknown service runtime" in word.words:
        return Meaning(
            "ContainerRuntimeDown",
            "The container runtime of {name} answers without the CRI that its kubelet needs.",
            'Take "cri" out of disabled_plugins in /etc/containerd/config.toml (packages of Docker write it there). A'
            " containerd before 1.6 has no CRI v1: upgrade it. Then restart it and the kubelet.",
            ("runtime restart", "kubelet restart", "runtime answer"),
            commands=on_machine(stage, "containerd --version; grep -n disabled_plugins /etc/containerd/config.toml"),
        )
    if "dockershim" in socket:
        return Meaning(
            "ContainerRuntimeDown",
            "The kubelet of {name} asks for dockershim.sock, which is gone since Kubernetes 1.24.",
            "Point containerRuntimeEndpoint (and the Node's annotation kubeadm.alpha.kubernetes.io/cri-socket) to the"
            " socket of containerd, CRI-O or cri-dockerd; then start the kubelet.",
            ("kubelet restart",),
            commands=on_machine(
                stage,
                f"ls -l /run/containerd/containerd.sock /run/crio/crio.sock /run/cri-dockerd.sock;"
                f" sudo grep -rn dockershim {stage.flags} {stage.machine.path('kubelet_config')}",
            ),
        )
    where = f" at {socket}" if socket else ""
    gone = "no such file" in word.words
    return Meaning(
        "ContainerRuntimeDown",
        f"The container runtime of {{name}} does not answer its kubelet{where}"
        + (": it does not run, or makes its socket elsewhere." if gone else "."),
        "See why the runtime does not run or does not answer; restart it, then ask it again.",
        _RESTART,
    )


_VOLUME = lazy(r"pvc-[0-9a-f]{8}-[0-9a-f-]{27}")
_OF_POD = lazy(r"/pods/([0-9a-f]{8}-[0-9a-f-]{27})/")


def dead_mount_meaning(stage: Stage, word: Word) -> Meaning:
    """Say that runtime or kubelet hang at a volume whose storage does not answer."""
    path = word.about
    volume, pod = _VOLUME.search(path), _OF_POD.search(path)
    whose = stage.pods.get(pod[1], "") if pod else ""
    look = (kubectl("get", "pv", volume[0], "-o", "wide"),) if volume else ()
    return Meaning(
        "ContainerRuntimeSlow",
        f"Kubelet and runtime of {{name}} hang at the mount of {volume[0] if volume else 'a volume'}"
        + (f" (pod {whose})" if whose else "")
        + ": its storage does not answer.",
        "Bring that storage back, or its driver's pod on this node. If it stays away: take the mount off by force, then"
        " restart the runtime; a restart alone hangs at the same mount again.",
        ("runtime restart",),
        commands=(*look, *on_machine(stage, f"findmnt -T {path}; sudo umount -f -l {path}")),
        rules_out=("DiskIOError", "the path is a mounted volume, not the machine's own disk"),
    )


_DAMAGED = lazy(r"meta\.db|panic: ")
_ROOTS = {
    "k3s": "/var/lib/rancher/k3s/agent/containerd",
    "rke2": "/var/lib/rancher/rke2/agent/containerd",
    "microk8s": "/var/snap/microk8s/common/var/lib/containerd",
    "k0s": "/var/lib/k0s/containerd",
}
"""Where a distribution's containerd keeps images and containers, by its key; else /var/lib/containerd."""
_TOML_LINE = lazy(r"line (\d+)")


def runtime_end_meaning(stage: Stage, word: Word) -> Meaning:
    """Say why a container runtime does not start, or starts without its CRI, by its own last words."""
    said = word.words
    if "/var/lib/containers/storage" in said:
        clear = "sudo systemctl stop kubelet crio; sudo crio wipe -f; sudo systemctl start crio kubelet"
        return Meaning(
            "ContainerRuntimeDown",
            "CRI-O of {name} does not start: its storage is damaged, as after a power loss.",
            "Stop kubelet and CRI-O, wipe /var/lib/containers/storage (images and layers, which are pulled again; no"
            " volumes), and start both.",
            commands=on_machine(stage, clear)
            if stage.machine.name != "openshift"
            else (shell("oc", "debug", f"node/{stage.ref.name}", "--", "chroot", "/host", "sh", "-c", clear),),
        )
    if _DAMAGED.search(said):
        root = _ROOTS.get(stage.machine.name, "/var/lib/docker" if "docker" in word.source else "/var/lib/containerd")
        units = f"{stage.machine.kubelet_unit} {stage.machine.line(['{runtime}'])}"
        units = " ".join(dict.fromkeys(units.split()))
        return Meaning(
            "ContainerRuntimeDown",
            "The container runtime of {name} does not start: its database is damaged, as after a power loss, a full"
            " disk or a machine that was shut off.",
            f"Stop the kubelet and the runtime, move {root} away and restart the machine: images are pulled again and"
            " pods made anew. Volumes and emptyDirs are not in it. See that the disk is healthy first (dmesg, df).",
            commands=on_machine(
                stage, f"sudo systemctl stop {units}; sudo mv {root} {root}.damaged; sudo systemctl reboot"
            ),
            rules_out=("DiskPressure", "the runtime ends on reading its own database"),
        )
    file = "/etc/crio/crio.conf.d" if "crio" in word.source else "/etc/containerd/config.toml"
    line = _TOML_LINE.search(said)
    if "mirrors" in said and "config_path" in said:
        fix = (
            f"Take the registry.mirrors and registry.configs tables out of {file} and put them into files below"
            " config_path (certs.d/HOST/hosts.toml), or take config_path out: both at once are refused."
        )
    elif "TOML" in said or "toml" in said:
        at = f" at line {line[1]}" if line else ""
        fix = (
            f"Correct {file}{at}: a table or key that stands twice, or of another version, as tools leave it that write"
            " into it."
        )
    else:
        fix = f"Correct what it names in {file}, or undo the last change or upgrade of the runtime."
    return Meaning(
        "ContainerRuntimeDown",
        "The container runtime of {name} does not start, or starts without what its kubelet needs.",
        f"{fix} Then restart the runtime and the kubelet.",
        ("runtime restart", "kubelet restart", "runtime answer")
        if file.endswith("toml")
        else ("kubelet restart", "runtime answer"),
        commands=on_machine(stage, f"sudo containerd config dump > /dev/null; sudo grep -n registry {file}")
        if file.endswith("toml")
        else on_machine(stage, "sudo systemctl restart crio"),
    )


def sandbox_image_meaning(stage: Stage, word: Word) -> Meaning:
    """Say that no pod starts on a machine for want of the image of its sandbox."""
    image = word.about
    return Meaning(
        "ContainerRuntimeDown",
        f"The container runtime of {{name}} starts no pod, static ones neither: its sandbox image {image} cannot be"
        " pulled.",
        f"Bring {image} onto the machine (ctr -n k8s.io images import, or a registry mirror), or let sandbox_image in"
        " /etc/containerd/config.toml name one that your registry has, and keep it from image collection.",
        ("runtime restart",),
        commands=on_machine(stage, f"sudo crictl pull {image}; grep -n sandbox_image /etc/containerd/config.toml"),
        rules_out=("NodePartitioned", "the pods here are not started at all; nothing can answer yet"),
    )


def runtime_program_meaning(stage: Stage, word: Word) -> Meaning:
    """Say that no container starts since the program that the runtime calls for each is not on the machine."""
    program = word.about
    plain = program.rpartition("/")[2]
    whose = (
        "Install it again (nvidia-container-toolkit, or the GPU operator's toolkit pod on this node)"
        if "nvidia" in plain
        else "Install it again with the runtime's package"
    )
    return Meaning(
        "ContainerRuntimeDown",
        f"The container runtime of {{name}} starts no container: {program}, which it calls for each, is not on the"
        " machine.",
        f"{whose}, or let default_runtime_name and its BinaryName in /etc/containerd/config.toml name a program that is"
        " there (runc). Then restart the runtime.",
        ("runtime restart",),
        commands=on_machine(
            stage,
            f"command -v {plain}; ls -l {program}; sudo grep -rn -e default_runtime_name -e BinaryName /etc/containerd",
        )
        if program.startswith("/")
        else on_machine(
            stage, f"command -v {plain}; sudo grep -rn -e default_runtime_name -e BinaryName /etc/containerd"
        ),
        rules_out=("NetworkPluginNotReady", "its pods are not started either; the network comes with them"),
    )
