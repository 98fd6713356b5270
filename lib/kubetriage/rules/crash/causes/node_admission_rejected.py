"""The kubelet refused the pod after it was assigned to its node.

Meaning: the scheduler's picture of the node was wrong or the scheduler was bypassed (``nodeName``, a DaemonSet of an
older version, a race): the node lacked room, labels, devices, operating system or a security feature. The pod is
Failed for good and never ran; its controller makes another.

Told by: phase Failed with a reason of the kubelet's admission handlers (OutOfcpu, OutOfmemory, OutOfpods,
NodeAffinity, UnexpectedAdmissionError, TopologyAffinityError, AppArmor, PodOSNotSupported and others), the message
"Pod was rejected", or any other reason of a pod that has no trace of a container.

Fix: depends on the reason; delete the Failed pods, they only take up the list.

Source: kubelet pkg/kubelet/lifecycle/predicate.go, cm/devicemanager, cm/topologymanager.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from kubetriage.model import Actor, Confidence, Finding, Fix, Severity
from kubetriage.needs import Need
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import device_plugins
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.resource_requests import amount_text
from kubetriage.rules.crash.scheduling import node_requirements
from kubetriage.values.commands import kubectl, pods_on
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy

CODE = "NodeAdmissionRejected"

# lifecycle/predicate.go, handlers.go; cm/topologymanager; eviction is a cause of its own.
_REASONS = frozenset(
    {
        "AppArmor",
        "HostPortConflict",
        "InitContainerRestartPolicyForbidden",
        "InvalidNodeInfo",
        "NodeAffinity",
        "NodeName",
        "NodePorts",
        "NodeSelectorMismatching",
        "NodeUnschedulable",
        "PodFeatureUnsupported",
        "PodLevelResourcesNotSupported",
        "PodOSNotSupported",
        "PodOSSelectorNodeLabelDoesNotMatch",
        "SupplementalGroupsPolicyNotSupported",
        "TaintToleration",
        "TopologyAffinityError",
        "UnexpectedAdmissionError",
        "UnexpectedPredicateFailureType",
        "UnknownReason",
    }
)
_REJECTED = lazy(r"\APod was rejected|Predicate \S+ failed")
_OTHERS = ("Evicted", "SysctlForbidden", "NodeShutdown", "Preempting", "DeadlineExceeded")
_AMOUNTS = lazy(
    r"resource: (?P<resource>\S+), requested: (?P<asked>\d+), used: (?P<used>\d+), capacity: (?P<capacity>\d+)"
)


_DEVICE = lazy(
    r"unavailable for (?P<resource>[\w.-]{1,120}/[\w.-]{1,63})|"
    r"(?<![\w.-])(?P<other>[a-z][\w-]{0,62}(?:\.[\w-]{1,62}){1,5}/[\w.-]{1,63})"
)


def _device(case: Case) -> str:
    """Return the extended resource that the kubelet had none of; empty for another refusal."""
    told = _DEVICE.search(case.pod.message) if case.pod.reason == "UnexpectedAdmissionError" else None
    return (told["resource"] or told["other"]).rstrip(".") if told else ""


def needs(case: Case) -> Iterator[Need]:
    """Ask for the pods of the device's plugin."""
    if _device(case):
        yield from device_plugins.needs(_device(case))


def leads_to(case: Case) -> Iterator[Pod]:
    """Yield the plugin's pods on the node."""
    if _device(case):
        yield from device_plugins.plugin_pods(case, _device(case), case.pod.node)


def check(case: Case) -> Iterator[Finding]:
    """Say what the kubelet missed."""
    pod = case.pod
    if pod.phase != "Failed" or pod.reason in _OTHERS:
        return
    known = pod.reason in _REASONS or pod.reason.startswith("OutOf") or _REJECTED.search(pod.message)
    if not pod.reason or not (known or _never_ran(case)):
        return
    node = pod.node or "the node"
    message, words = _say(case, node)
    root = device_plugins.plugin_root(case, _device(case), pod.node) if _device(case) else None
    if root is not None:
        message = (
            f"{node} has no {_device(case)} to give, because "
            f"{device_plugins.plugin_name(_device(case))} does not work: {root.words}"
        )
        own = root.finding.fix[0].text if root.finding is not None and root.finding.fix else ""
        words = f"Repair {root.kind.lower()} {root.namespace}/{root.name} first. {own} Then delete the Failed pod."
    devices = pod.reason == "UnexpectedAdmissionError"
    on_node = pods_on(pod.node)
    remove = kubectl("delete", "pod", pod.name, namespace=pod.namespace)
    commands = (*((on_node,) if devices else ()), remove)
    actor = Actor.NODE if devices or pod.reason.startswith(("OutOf", "AppArmor", "Topology")) else Actor.MANIFEST
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        pod.ref,
        message,
        (pod.fact("status", "status.reason", f"{pod.reason}: {pod.message}".removesuffix(": ")),),
        fix=(Fix(words, actor=actor, commands=commands),),
        verify=(kubectl("describe", "node", node),) if pod.node else (),
        details={"reason": pod.reason, **({"root": root.details} if root is not None else {})},
    )


def _say(case: Case, node: str) -> tuple[str, str]:
    pod = case.pod
    again = "Then delete the Failed pod" + (
        "; the controller has made or will make another." if pod.controller else " and create it again."
    )
    again += " Nothing starts it again by itself."
    pinned = " It names its node itself (nodeName), so no scheduler checked." if _bypassed(case) else ""
    if pod.reason.startswith("OutOf"):
        resource = pod.reason.removeprefix("OutOf")
        amounts = _AMOUNTS.search(pod.message)
        told = ""
        if amounts:
            asked, used, capacity = (_amount(resource, amounts[n]) for n in ("asked", "used", "capacity"))
            told = f" (requested {asked}, used {used} of {capacity})"
            if int(amounts["asked"]) > int(amounts["capacity"]):
                return (
                    f"The pod requests {asked} of {resource}, and {node} has {capacity} in all.{pinned}",
                    f"Lower requests.{resource} in {case.workload_name}, or use a larger node. {again}",
                )
        return (
            f"{node} had no {resource} left for the pod when it arrived{told}.{pinned}",
            f"Free {resource} on {node}, or let the scheduler choose another node. {again}",
        )
    if pod.reason in ("NodeAffinity", "NodeSelectorMismatching"):
        wanted = ", ".join(f"{k} {op} {'|'.join(v)}" for k, op, v in node_requirements(pod))
        return (
            f"{node} does not have the labels that the pod asks for{f' ({wanted})' if wanted else ''}; they were "
            f"removed after it was placed, or the kubelet lost them.{pinned}",
            f"Put the label back on {node}, or correct the selector in {case.workload_name}. {again}",
        )
    if pod.reason == "UnexpectedAdmissionError":
        return (
            f"{node} could not give the pod what it asks for: {pod.message.strip()}",
            f"See that the device plugin's pod runs on {node} and reports healthy devices: they vanish while it or the "
            f"kubelet restarts, and a faulty one stays away (nvidia-smi there). {again}",
        )
    if pod.reason == "TopologyAffinityError":
        return (
            f"{node} has no NUMA node with all that the pod asks for; its topology manager is strict.",
            f"Ask for less per pod, or use another topology manager policy on {node}. {again}",
        )
    if pod.reason in ("PodOSNotSupported", "PodOSSelectorNodeLabelDoesNotMatch"):
        return (
            f"{node} runs another operating system than the pod is for: {pod.message.strip()}",
            f"Set spec.os.name and nodeSelector kubernetes.io/os in {case.workload_name} to the image's "
            f"system. {again}",
        )
    if pod.reason == "AppArmor":
        return (
            f"{node} cannot enforce the pod's AppArmor profile: {pod.message.strip()}",
            f"Load the profile on {node}, or correct it in {case.workload_name}. {again}",
        )
    return (
        f"The kubelet of {node} refused the pod ({pod.reason}): {pod.message.strip()}",
        f"Let the pod go to a node that fits it. {again}",
    )


def _amount(resource: str, counted: str) -> str:
    """Write an amount as the kubelet counts it: thousandths of a CPU, bytes, or pieces."""
    return f"{counted}m" if resource == "cpu" else amount_text(resource, Fraction(counted))


def _never_ran(case: Case) -> bool:
    """Tell whether the kubelet has no trace of a container: it refused the pod, whatever the reason is called."""
    return not any(c.running or c.restarts or c.termination or text(c.status, "imageID") for c in case.containers)


def _bypassed(case: Case) -> bool:
    """Tell whether no scheduler placed the pod: it would have left the condition or its event.

    The kubelet's refusal replaces the conditions, and events expire: without any event nothing is proven.
    """
    scheduled = text(case.pod.condition("PodScheduled"), "status") == "True"
    return not scheduled and bool(case.events.items) and not case.events.select("Scheduled")
