"""A condition that is not the kubelet's own reports a problem; its type is the code.

Meaning: an agent on the node (Node Problem Detector, a cloud's monitoring agent, a CNI) found what the kubelet does
not look for, and says so in a condition of the node.

Told by: the condition's status under its polarity. Types that end in Ready, Healthy, IsVoter or Up are good
when True (EKS node monitoring agent, k3s); types that name a trouble are bad when True (Node Problem Detector);
where a type tells neither, the condition is printed and not judged.

Fix: follow the agent's reason and message; drain the node when kernel or disk are damaged.

Source: node-problem-detector config/*.json; AWS EKS node monitoring agent; kubernetes/node-problem-detector
docs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.needs import Log, Need
from kubetriage.readers.events import node_event_selector
from kubetriage.readers.kubelet_contact import KUBELET_CONDITIONS, Beat, condition_evidence
from kubetriage.readers.outer_layers import peeled
from kubetriage.records import replace
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.missing_network import Missing, missing_network
from kubetriage.rules.node.node_taints import taint
from kubetriage.values.commands import kubectl, pods_on
from kubetriage.values.fields import Obj, objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.times import human_duration, parse_time

CODES = {
    "KernelDeadlock": "The node's kernel is deadlocked: tasks hang and do not come back",
    "ReadonlyFilesystem": "A file system of the node turned read-only, as the kernel does after disk errors",
    "XfsShutdown": "An XFS file system of the node shut itself down after an error",
    "CperHardwareErrorFatal": "The node's firmware reports a fatal hardware error",
    "CorruptDockerOverlay2": "Docker's image store on the node (overlay2) is corrupt",
    "DiskBadBlock": "A disk of the node has bad blocks",
    "FrequentKubeletRestart": "The kubelet of the node restarts again and again",
    "FrequentContainerdRestart": "containerd of the node restarts again and again",
    "FrequentDockerRestart": "Docker of the node restarts again and again",
    "FrequentUnregisterNetDevice": "The node's kernel cannot let go of network devices of ended pods",
    "KubeletUnhealthy": "The node's own health checker finds that the kubelet does not answer",
    "ContainerRuntimeUnhealthy": "The node's own health checker finds that the container runtime does not answer",
    "NTPProblem": "The node's clock is not kept right by its time service",
    "NetworkUnavailable": "The network of the node's pods is not set up, says its route controller or network plugin",
}
"""Types of Node Problem Detector's own configuration and of the API, and what each says; agents add others."""

_LOOKS = {
    "KubeletUnhealthy": ("kubelet status", "kubelet log"),
    "FrequentKubeletRestart": ("kubelet log",),
    "ContainerRuntimeUnhealthy": ("runtime status", "runtime log", "runtime answer"),
    "FrequentContainerdRestart": ("runtime log",),
    "FrequentDockerRestart": ("runtime log",),
    "CorruptDockerOverlay2": ("runtime log", "disk"),
}
"""What to look at by condition; the kernel's log where nothing else is named."""

_GOOD = lazy(r"(?<!Not)(Ready|Healthy|IsVoter|Up)\Z")
# Words by which agents name a trouble: Node Problem Detector's config/*.json, AKS, GKE and OpenShift agents.
_BAD = lazy(
    r"NotReady|Un(healthy|available|reachable|registered?|responsive)|Deadlock|Problem|Pressure|Read-?[Oo]nly|Frequent"
    r"|Shutdown|Error|Fatal|Bad|Corrupt|Fail|Down\Z|Lost|Offline|Degraded|Expired|Full\Z|Hung|OOM|Oom|Leak|Throttl"
    r"|Missing|Broken|Panic|Crash|Scheduled\Z|Exhaust"
)


def polarity(kind: str) -> bool | None:
    """Return the status (True or False) that is good for this type; None when the type does not tell."""
    if _BAD.search(kind):
        return False
    return True if _GOOD.search(kind) else None


def code(kind: str) -> str:
    """Write a condition's type as a cause code: ``example.com/disk-slow`` is DiskSlow.

    The API takes any words for the type of a node's condition.
    """
    words = re.findall(r"[A-Za-z0-9]+", kind.rpartition("/")[2])
    joined = "".join(word[0].upper() + word[1:] for word in words)
    return joined if joined[:1].isalpha() else f"Condition{joined}"


def check(case: NodeCase) -> Iterator[Finding]:
    """Yield a finding for each bad condition, and a note for each that cannot be judged."""
    for found in objects(case.node, "status", "conditions"):
        kind, status = text(found, "type"), text(found, "status")
        if not kind or kind in KUBELET_CONDITIONS or status not in ("True", "False"):
            continue
        good = polarity(kind)
        if good is None:
            if status == "True":
                yield _finding(case, found, Severity.NOTE, Confidence.POSSIBLE, " Whether that is bad is not known.")
        elif (status == "True") is not good:
            closed = kind == "NetworkUnavailable" and bool(taint(case.node, "node.kubernetes.io/network-unavailable"))
            severity = Severity.WARNING if case.contact.ready == "True" and not closed else Severity.ERROR
            finding = _finding(case, found, severity, Confidence.CONFIRMED, "")
            if left_over(case, found):
                yield _old_alarm(case, found, finding)
            else:
                yield _false_alarm(case, found, finding) if contradicted(case, found) else finding


_CONTRADICTED = ("ContainerRuntimeUnhealthy", "KubeletUnhealthy", "FrequentKubeletRestart", "FrequentContainerdRestart")
"""Conditions about what the kubelet itself vouches for by being Ready."""
# The health checker's plugins run tools of the machine inside the agent's container (node-problem-detector#439, #666).
_TOOL_MISSING = lazy(
    r"exec: \"([\w./-]+)\": executable file not found|fork/exec ([\w./-]{1,400}): no such file or directory"
    r"|((?<![\w./-])[\w./-]{0,200}(?:crictl|systemctl)): (?:not found|No such file)"
)


def agent_needs(case: NodeCase) -> Iterator[Need]:
    """Ask for the log of the agent that raised an alarm which the kubelet's own word contradicts."""
    if not any(contradicted(case, c) for c in objects(case.node, "status", "conditions")):
        return
    for pod in case.pods:
        if "problem-detector" in pod.name:
            for container in pod.containers[:1]:
                yield Log(pod.namespace, pod.name, container.name)


def contradicted(case: NodeCase, found: Obj) -> bool:
    """Tell whether a Ready kubelet with a fresh Lease speaks against an alarm."""
    known = text(found, "type") in _CONTRADICTED and text(found, "status") == "True"
    return known and case.contact.ready == "True" and case.contact.beat is Beat.FRESH


_OLD = timedelta(minutes=30)
"""A running detector stamps its conditions every five minutes."""


def left_over(case: NodeCase, found: Obj) -> bool:
    """Tell whether nobody stamps a detector's condition any more, though the node is in contact."""
    beat = parse_time(found.get("lastHeartbeatTime"))
    known = text(found, "type") in CODES and text(found, "type") != "NetworkUnavailable"
    return known and beat is not None and case.now - beat > _OLD and case.contact.beat is Beat.FRESH


def _old_alarm(case: NodeCase, found: Obj, finding: Finding) -> Finding:
    """Doubt an alarm that its agent has long stopped to stamp: nobody takes a condition back whose agent is gone."""
    beat = parse_time(found.get("lastHeartbeatTime"))
    age = human_duration(case.now - beat) if beat else "long"
    agents = [p for p in case.pods if "problem-detector" in p.name]
    gone = "" if agents else " No problem detector runs on this node."
    return replace(
        finding,
        severity=Severity.NOTE,
        confidence=Confidence.POSSIBLE,
        message=f"{finding.message} But nobody has stamped it for {age}: it may be left over from an agent that is"
        f" gone.{gone}",
        fix=(
            Fix(
                "See whether the agent runs; if it was removed, take its condition out of the Node's status.",
                actor=Actor.CLUSTER,
                commands=(
                    pods_on(case.name),
                    kubectl("edit", "node", case.name, "--subresource=status"),
                ),
            ),
        ),
    )


def _missing_tools(case: NodeCase) -> tuple[str, tuple[str, ...], str]:
    """Return the agent's pod, the tools that its log calls missing, and the line."""
    for pod in case.pods:
        if "problem-detector" not in pod.name:
            continue
        for container in pod.containers[:1]:
            log = case.snapshot.log(pod.namespace, pod.name, container.name)
            hits = [(m, line.text) for line in peeled(log.text, case.now) if (m := _TOOL_MISSING.search(line.text))]
            tools = tuple(dict.fromkeys((next(g for g in m.groups() if g)).rpartition("/")[2] for m, _ in hits))
            if hits:
                return f"{pod.namespace}/{pod.name}", tools, hits[-1][1].strip()[:300]
    return "", (), ""


def _false_alarm(case: NodeCase, found: Obj, finding: Finding) -> Finding:
    """Hold an alarm against the kubelet's own word: it is Ready, so the runtime answers it."""
    agent, tools, line = _missing_tools(case)
    age = human_duration(abs(case.contact.age)) if case.contact.age is not None else "an unknown time"
    same = case.cluster.alarms.get(text(found, "type"), 0)
    many = f" {same} of {len(case.cluster.nodes)} nodes raise it at once." if same > 1 else ""
    why = (
        f" The agent {agent} lacks {' and '.join(tools)} in its container: a false alarm."
        if tools
        else " The kubelet's own word contradicts it: look at the agent before the node."
    )
    evidence = [*finding.evidence, *case.contact_evidence()[:2]]
    if line:
        evidence.append(Evidence("log", agent, line))
    where, _, name = agent.partition("/")
    log = (kubectl("logs", name, "--tail=100", namespace=where),) if agent else ()
    return replace(
        finding,
        confidence=Confidence.LIKELY if tools else Confidence.POSSIBLE,
        message=f"{finding.message} But the kubelet is Ready and renewed its Lease {age} ago.{why}{many}",
        evidence=tuple(evidence),
        ruled_out=(RuledOut("ContainerRuntimeDown", "the kubelet posts Ready, which it does not without its runtime"),),
        fix=(
            Fix(
                f"Mend the agent, not the node: mount {' and '.join(tools or ('crictl', 'systemctl'))} and the"
                " runtime's"
                " socket into its container, or disable that health check (custom plugin monitor). Keep"
                " enable-repair off"
                " until then.",
                actor=Actor.CLUSTER,
                commands=log,
            ),
            Fix(
                "Leave the node in service: no drain, no replacement, and pause automation that acts on this condition."
            ),
        ),
    )


def _network_pod(case: NodeCase) -> Missing | None:
    """Return the network plugin's pod here, where it does not run: it writes the condition when it ends."""
    missing = missing_network(case)
    return missing if missing.pod is not None and not missing.pod.ready else None


def _network_words(case: NodeCase) -> str:
    missing = _network_pod(case)
    if missing is None or missing.pod is None:
        return ""
    says = f" Its log says: {missing.says.rstrip('.')[:240]}." if missing.says else ""
    return f" Pod {missing.pod.namespace}/{missing.pod.name} here is {missing.pod.status_text()}.{says}"


def _network_fix(case: NodeCase) -> Fix:
    missing = _network_pod(case)
    assert missing is not None
    assert missing.pod is not None
    pod = missing.pod
    return Fix(
        f"Bring up {pod.namespace}/{pod.name}: it takes the condition and its taint away by itself.",
        actor=Actor.CLUSTER,
        commands=(
            kubectl("why-crash", pod.name, "-n", pod.namespace),
            kubectl("logs", pod.name, "--all-containers", "--previous", "--tail=50", namespace=pod.namespace),
        ),
    )


def _finding(case: NodeCase, found: Obj, severity: Severity, confidence: Confidence, more: str) -> Finding:
    kind, reason = text(found, "type"), text(found, "reason")
    beat, since = parse_time(found.get("lastHeartbeatTime")), parse_time(found.get("lastTransitionTime"))
    span = f" for {human_duration(case.now - since)}" if since and since <= case.now else ""
    evidence = [condition_evidence(found)]
    if beat is not None:
        # An agent may stamp in the moment of the reading, or by a clock that is ahead.
        ago = f"stamped {human_duration(case.now - beat)} ago" if beat < case.now else "stamped just now"
        evidence.append(Evidence("status", f"status.conditions[{kind}].lastHeartbeatTime", ago))
    words = text(found, "message") or "no message"
    network = _network_words(case) if kind == "NetworkUnavailable" else ""
    return Finding(
        code(kind),
        severity,
        confidence,
        case.ref,
        f"{case.name} has {kind}={text(found, 'status')}{span} ({reason}: {words}).{more}{network}",
        evidence=tuple(evidence),
        fix=(
            _network_fix(case)
            if kind == "NetworkUnavailable" and _network_pod(case)
            else Fix(
                f"Bring back the pod routes of {case.name}: look at the cloud's route controller (its log, its "
                "quota of routes) or at the network plugin that writes this condition."
            )
            if kind == "NetworkUnavailable"
            else Fix(
                f"The cloud announces work on the machine ({words}): a freeze passes by itself; before a reboot, a"
                " redeploy or"
                " its end, drain it.",
                actor=Actor.CLOUD,
                commands=(kubectl("drain", case.name, "--ignore-daemonsets", "--delete-emptydir-data"),),
            )
            if kind.endswith("Scheduled")
            else Fix(
                "Follow the agent's reason on the node; only if its kernel or disk are damaged: drain it and replace"
                " it.",
                actor=Actor.NODE,
                commands=(
                    *case.machine.lines(*_LOOKS.get(kind, ("kernel log",))),
                    kubectl("get", "events", "--field-selector", node_event_selector(case.name)),
                ),
            ),
        )
        if severity is not Severity.NOTE
        else (),
        verify=(kubectl("get", "node", case.name, "-o", f'jsonpath={{.status.conditions[?(@.type=="{kind}")]}}'),),
    )
