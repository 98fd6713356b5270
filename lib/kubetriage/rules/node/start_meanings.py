"""Why a kubelet does not start, by its last words: kernel parameters, a credential plugin, or what its agent says."""

from __future__ import annotations

from kubetriage.rules.agent_endings import asked_by
from kubetriage.rules.node.kubelet_endings import ending_of
from kubetriage.rules.node.machine_words import Word
from kubetriage.rules.node.word_findings import Meaning, Stage, on_machine
from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy

_KERNEL = lazy(r"invalid kernel flag: ([\w./-]+), expected value: (-?\d+)")


def kernel_flags_meaning(stage: Stage, word: Word) -> Meaning:
    """Say which kernel parameters a kubelet with protectKernelDefaults wants."""
    wanted = {name.replace("/", "."): value for name, value in _KERNEL.findall(word.words)}
    shown = ", ".join(f"{name}={value}" for name, value in wanted.items())
    return Meaning(
        "KubeletConfigInvalid",
        "The kubelet of {name} does not start: protectKernelDefaults is on, and kernel parameters differ.",
        f"Set {shown} for good (/etc/sysctl.d/90-kubelet.conf), or set protectKernelDefaults: false; then start the"
        " kubelet.",
        ("kubelet restart",),
        commands=on_machine(stage, "sudo sysctl -w " + " ".join(f"{n}={v}" for n, v in wanted.items())),
        rules_out=("ContainerRuntimeDown", "the runtime is not asked before this check"),
    )


def credentials_meaning(stage: Stage, word: Word) -> Meaning:
    """Judge a kubelet whose credential plugin gives it nothing: missing, or ending with an error."""
    missing = _ABSENT_PLUGIN.search(word.words)
    file = stage.machine.path("kubeconfig")
    look = on_machine(stage, f"sudo grep -A12 'exec:' {file}; aws sts get-caller-identity")
    if missing is not None:
        return Meaning(
            "KubeletUnauthorized",
            f"The kubelet of {{name}} cannot log in: its credential plugin {missing[1]} is not on the machine.",
            f"Install {missing[1]}, or correct users.exec.command in {file} (full path; PATH of the unit); then restart"
            " the kubelet.",
            ("kubelet restart",),
            commands=on_machine(stage, f"sudo grep -A12 'exec:' {file}; ls -l /usr/bin/{missing[1]}"),
            rules_out=("ApiServerUnreachable", "no request was sent"),
        )
    return Meaning(
        "KubeletUnauthorized",
        "The kubelet of {name} cannot log in: its credential plugin ends with an error ({about}).",
        f"Run the plugin of {file} by hand: no role on the machine, metadata service not reached (hop limit, IMDSv2),"
        " or a wrong cluster name.",
        ("kubelet log",),
        commands=look,
        rules_out=("ApiServerUnreachable", "no request was sent"),
    )


_ABSENT_PLUGIN = lazy(r"executable ([\w./-]+) not found|fork/exec ([\w./-]+): no such file")


def start_meaning(stage: Stage, word: Word) -> Meaning:
    """Quote a kubelet that ends for a reason of its own, with what its last words ask for."""
    if (known := ending_of(stage, word)) is not None:
        return known
    return Meaning(
        "KubeletErrors",
        "The kubelet of {name} ends itself.",
        asked_by(word.words, stage.machine) or "Mend what its last words name, then start it.",
        ("kubelet status", "kubelet log", "kubelet restart"),
        rules_out=("NodePartitioned", "the kubelet does not stay up long enough to need the network"),
    )


def static_pod_meaning(stage: Stage, word: Word) -> Meaning:
    """Say that a part of the control plane on this machine ends again and again, and where its last words stand."""
    part = word.about or "kube-apiserver"
    first = stage.machine.lines("container log", container=part)
    return Meaning(
        "ApiServerUnreachable",
        f"The kubelet of {{name}} runs; {part} of this very machine ends again and again, so the API server here is"
        " away.",
        f"Read the last words of {part}: a flag that this version does not know, a file, a certificate, etcd. Mend"
        f" its manifest in {stage.machine.path('manifests') or 'its directory'}; the kubelet then starts it by itself.",
        commands=first or on_machine(stage, f"sudo tail -n 30 /var/log/pods/kube-system_{part}-*/{part}/*.log"),
        rules_out=("NodePartitioned", "the refusal comes from this machine or its balancer, not from the network"),
        verify=(str(kubectl("get", "--raw", "/livez?verbose")),),
    )
