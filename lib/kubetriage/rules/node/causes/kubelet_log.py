"""The kubelet's own log names why it does not start or does not reach the API server.

Meaning: these are the kubelet's words, so they stand before what can only be guessed from outside: an expired client
certificate, a clock, a cgroup driver, swap, a configuration that an upgrade made invalid, a full disk, a wrong address.

Told by: a journal or log given with --node-log or inside --from, or the kubelet's log query (--probe-kubelet); the
newest line of each kind in the last hour of the log.

Fix: as the line asks, with the units and paths of the distribution.

Source: kubernetes cmd/kubelet, pkg/kubelet/cm, client-go certificate manager; Go crypto/x509 and net.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.kubelet_meanings import meaning_of
from kubetriage.rules.node.stage import stage_of
from kubetriage.rules.node.word_findings import Meaning, Stage, finding

CODES = {
    "KubeletCertificateExpired": "The kubelet's client certificate has expired or is missing",
    "NodeClockWrong": "The clock of the node is wrong",
    "CgroupDriverMismatch": "Kubelet and container runtime use different cgroup drivers",
    "SwapEnabled": "The kubelet does not start because swap is on",
    "KubeletConfigInvalid": "The kubelet does not start with its flags or configuration",
    "InotifyLimitReached": "The inotify limit of the node is reached",
    "CgroupLimitReached": "The kernel of the node cannot make more cgroups",
    "CgroupUnavailable": "The kernel of the node lacks the cgroup controllers that the kubelet needs",
    "ProcessLimitReached": "The node can start no more processes",
    "NodeDiskFull": "A disk of the node is full, so that kubelet or runtime cannot write",
    "ApiServerUnreachable": "The kubelet runs and does not reach the API server's address",
    "KubeletUnauthorized": "The API server refuses the kubelet's identity",
    "ApiServerCertificateInvalid": "The kubelet refuses the API server's certificate",
    "NodePasswordRejected": "The server of k3s or RKE2 knows another machine by this node's name",
    "KubeletCheckpointInvalid": "The kubelet's saved CPU, memory or device state does not fit its policy or machine",
    "NodeNameMismatch": "The kubelet runs under another name than its credentials are for",
    "ApiServerOverloaded": "The API server turns the kubelet's Lease away: it has too many requests",
    "WebhookBlocking": "A webhook that does not answer keeps the kubelet from writing its Node and Lease",
    "KubeletErrors": "The log of the node repeats an error, or ends with one, that no other rule knows",
    "NodeDeleted": "The Node was deleted while its kubelet runs, which registers it only when it starts",
    "NodeAddressInvalid": "The kubelet finds no address for its node on the machine",
}


def check(case: NodeCase) -> Iterator[Finding]:
    """Report what the log of this node says."""
    for found in check_words(stage_of(case)):
        # Of a node that is not ready ContainerRuntimeDown tells this itself.
        if found.details.get("log") != "runtime program" or case.contact.ready == "True":
            yield found


def complaint(stage: Stage) -> Iterator[Finding]:
    """Report the error that a log repeats most, where nothing else explains why the node is not ready."""
    word = stage.words.complaint
    if word is None:
        return
    yield finding(
        stage,
        word,
        Meaning(
            "KubeletErrors",
            "The log of {name} repeats an error that no other rule knows.",
            "Follow what the line names; whether it is the cause or follows from something else is open.",
            ("kubelet log", "runtime log"),
        ),
    )


def check_words(stage: Stage) -> Iterator[Finding]:
    """Report what a log says of a machine, whether its Node was seen or not."""
    for word in stage.words.words:
        meaning = meaning_of(stage, word)
        if meaning is not None:
            yield finding(stage, word, meaning)
