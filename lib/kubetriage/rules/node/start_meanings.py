"""Why a kubelet does not start, by its last words: kernel parameters, a credential plugin, or what its agent says."""

from __future__ import annotations

from kubetriage.model import Actor, Fix
from kubetriage.records import replace
from kubetriage.rules.agent_endings import asked_by
from kubetriage.rules.machine import named
from kubetriage.rules.node.kubelet_endings import ending_of
from kubetriage.rules.node.machine_words import Word
from kubetriage.rules.node.word_findings import Meaning, Stage, on_machine
from kubetriage.values.commands import kubectl, shell
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


_OF_AWS = lazy(r"\Aip-\d{1,3}(?:-\d{1,3}){3}\.(?:ec2|[a-z0-9-]{1,30}\.compute)\.internal\Z")


def unauthorized_meaning(stage: Stage, word: Word) -> Meaning:
    """Judge a kubelet whose identity the API server refuses; who gives it one differs by the maker of the cluster."""
    if "system:anonymous" in word.words:
        text, commands = stage.identity("renew")
        return Meaning(
            "KubeletUnauthorized",
            "The kubelet of {name} asks without a client certificate, so the API server takes it for anonymous.",
            f"Approve its pending signing request, if there is one; else its certificate is missing or over. {text}",
            commands=(kubectl("get", "csr"), kubectl("certificate", "approve", "CSR"), *commands),
            rules_out=("ApiServerUnreachable", "the API server answered: it refused the kubelet"),
        )
    text, commands = stage.identity("admit")
    more: tuple[Fix, ...] = ()
    if not stage.machine.name and _OF_AWS.search(stage.ref.name):
        # EKS, kOps and kubeadm leave that name alike, and most machines that have it are of EKS.
        more = (Fix(f"If kubeadm made this cluster: {text}", actor=Actor.NODE, commands=commands),)
        machine = replace(named("eks"), node=stage.machine.node, address=stage.machine.address)
        text, commands = replace(stage, machine=machine).identity("admit")
        text = f"The machine is of AWS. If the cluster is EKS: {text}"
    return Meaning(
        "KubeletUnauthorized",
        "The API server refuses the identity of the kubelet of {name}.",
        text,
        commands=commands,
        more=more,
        rules_out=("ApiServerUnreachable", "the API server answered: it refused the kubelet"),
    )


def bootstrap_meaning(stage: Stage, word: Word) -> Meaning:
    """Judge a new machine that does not reach what hands it its configuration."""
    host, _, port = word.about.rpartition(":")
    return Meaning(
        "ApiServerUnreachable",
        "The new machine {name} does not reach {about}, which hands it the configuration to join with.",
        f"Let the nodes reach port {port or '3988'} of the control plane machines (security groups, firewall), and see"
        " that kops-controller runs there.",
        actor=Actor.CLOUD,
        commands=(
            *on_machine(stage, f"getent hosts {host or word.about}; nc -vz -w 5 {host or word.about} {port or '3988'}"),
            kubectl("get", "pods", "-l", "k8s-app=kops-controller", "-o", "wide", namespace="kube-system"),
            kubectl("logs", "-l", "k8s-app=kops-controller", "--tail=50", namespace="kube-system"),
        ),
        rules_out=("KubeletDown", "no kubelet was set up yet"),
    )


def time_server_meaning(stage: Stage, _word: Word) -> Meaning | None:
    """Judge a machine that starts no kubelet before its clock is set; where its kubelet runs, that was done once."""
    if stage.ready:
        return None
    return Meaning(
        "NodeClockWrong",
        "Talos starts no kubelet on {name} before its clock is set, and time server {about} does not answer.",
        "Let the machine reach a time server (UDP port 123, and its name server), or name one that it reaches in"
        " machine.time.servers.",
        commands=(
            shell("talosctl", "-n", stage.machine.address, "time"),
            shell("talosctl", "-n", stage.machine.address, "get", "timestatus"),
            shell("talosctl", "-n", stage.machine.address, "edit", "machineconfig"),
        ),
        rules_out=("KubeletDown", "it was not started yet"),
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


_REFUSED_ROLE = lazy(r"assumed-role/([\w+=,.@-]{1,64})/\S{1,80} is not authorized to perform: ([\w:]{3,80})")
_PULL = lazy(r"(?:pull(?:ing)? image|resolve reference) \\?\"?([\w.-]+(?::\d+)?)/([\w./:@-]{1,200})")


def machine_setup_meaning(stage: Stage, word: Word) -> Meaning | None:
    """Say what keeps a new machine from its kubelet: what writes its configuration, or starts it, fails."""
    if stage.ready:
        # A later attempt came through.
        return None
    said, who = word.words, "Talos" if stage.machine.name == "talos" or "[talos]" in word.words else "nodeadm"
    refused, pull = _REFUSED_ROLE.search(said), _PULL.search(said)
    commands = stage.machine.lines("kubelet log")
    says = f"{who} of {{name}} fails before its kubelet runs."
    if refused is not None:
        fix = (
            f"Allow {refused[2]} to the nodes' role {refused[1]}: attach AmazonEKSWorkerNodePolicy to it, and see that"
            " no boundary or service control policy takes it away. Then start the machine anew."
        )
        return Meaning(
            "KubeletUnauthorized",
            f"{says} The cloud refuses its role {refused[1]} the call {refused[2]}.",
            fix,
            actor=Actor.CLOUD,
            commands=(shell("aws", "iam", "list-attached-role-policies", "--role-name", refused[1]),),
            rules_out=("NodePartitioned", "the cloud answered: it refused the machine's role"),
        )
    if pull is not None:
        return Meaning(
            "KubeletDown",
            f"{says} The image {pull[1]}/{pull[2]} cannot be pulled.",
            f"Let the machine reach {pull[1]} (firewall, proxy, DNS), or give it a mirror that has the image"
            " (machine.registries.mirrors). A tag that does not exist is corrected in machine.kubelet.image.",
            commands=commands,
        )
    reached = "i/o timeout" in said or "no such host" in said or "deadline exceeded" in said
    return Meaning(
        "KubeletDown",
        says,
        "Open the way to the address that it names: route, NAT gateway or VPC endpoint, security group, DNS."
        if reached
        else f"Mend what {who} names in the machine's configuration (user data, machine config), then start it anew.",
        commands=commands,
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
