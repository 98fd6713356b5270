"""OpenShift's Machine Config Operator gave up on the node.

Meaning: the node keeps an old or half applied configuration; often it stays cordoned, and the pool and updates of the
cluster stop there. An uncordon brings pods back and leaves the fault.

Told by: annotation machineconfiguration.openshift.io/state Degraded or Unreconcilable, whose reason stands beside it.

Fix: by the reason: a file that somebody changed on the node, a rendered configuration that was deleted, a drain that a
PodDisruptionBudget holds up, an image that the node cannot pull.

Source: openshift/machine-config-operator pkg/daemon (constants, daemon.go, drain.go); docs.openshift.com, machine
configuration, troubleshooting.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.node.case import NodeCase
from kubetriage.values.commands import Command, kubectl, shell
from kubetriage.values.fields import flag
from kubetriage.values.patterns import lazy

CODE = "MachineConfigDegraded"

_PREFIX = "machineconfiguration.openshift.io/"
_FILE = lazy(r'content mismatch for file \\*"?([^"\\]+)')
_GONE = lazy(r'machineconfig\S{0,80} \\*"?(rendered-[\w-]+)\\*"? not found')


def check(case: NodeCase) -> Iterator[Finding]:
    """Match the daemon's own word on the Node."""
    notes = case.annotations
    state = notes.get(f"{_PREFIX}state", "")
    if state not in ("Degraded", "Unreconcilable"):
        return
    reason = notes.get(f"{_PREFIX}reason", "").strip()
    current, desired = (notes.get(f"{_PREFIX}{key}", "") for key in ("currentConfig", "desiredConfig"))
    cordoned = flag(case.node, "spec", "unschedulable") is True
    evidence = [Evidence("status", f"{_PREFIX}state", state)]
    if reason:
        evidence.append(Evidence("status", f"{_PREFIX}reason", reason))
    if current != desired:
        evidence.append(Evidence("status", f"{_PREFIX}desiredConfig", f"{desired}, has {current}"))
    held = " It is cordoned until that is mended." if cordoned else ""
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        case.ref,
        f"The machine-config-daemon of {case.name} is {state}: {(reason or 'it gives no reason').rstrip('.')}.{held}",
        tuple(evidence),
        (RuledOut("Cordoned", "the Machine Config Operator holds the node; an uncordon mends nothing"),)
        if cordoned
        else (),
        tuple(_fixes(case, reason, current)),
        ("oc get machineconfigpools", kubectl("describe", "node", case.name)),
        {"state": state},
    )


def _fixes(case: NodeCase, reason: str, current: str) -> Iterator[Fix]:
    name = case.name
    host: tuple[str, ...] = ("oc", "debug", f"node/{name}", "--", "chroot", "/host")
    log = shell(
        *("oc", "-n", "openshift-machine-config-operator", "logs", "-l", "k8s-app=machine-config-daemon"),
        *("-c", "machine-config-daemon", "--prefix", "--tail=50"),
    )
    changed, gone = _FILE.search(reason), _GONE.search(reason)
    if changed:
        file = changed[1]
        yield Fix(
            f"Somebody changed {file} on the node. Give it the content of {current or 'its rendered configuration'}"
            " again, or let the daemon write everything anew: the node restarts then.",
            actor=Actor.NODE,
            commands=(
                shell("oc", "get", "machineconfig", current or "RENDERED", "-o", "yaml"),
                shell(*host, "cat", file),
                shell(*host, "touch", "/run/machine-config-daemon-force"),
            ),
        )
    elif gone:
        yield Fix(
            f"The node refers to {gone[1]}, which was deleted. Point its annotations currentConfig and desiredConfig at"
            " the rendered configuration that its pool has now.",
            actor=Actor.CLUSTER,
            commands=(
                shell("oc", "get", "machineconfigpools", "-o", "wide"),
                shell("oc", "get", "machineconfigs", "--sort-by=.metadata.creationTimestamp"),
            ),
        )
    elif "drain" in reason:
        yield Fix(
            "The drain does not finish: find the PodDisruptionBudget or the pod that holds it up.",
            actor=Actor.APP,
            commands=(kubectl("node-triage", name, "--drain"), log),
        )
    elif any(word in reason for word in ("pull", "image", "registry", "rpm-ostree", "podman")):
        yield Fix(
            "The node could not get or apply the image of the operating system: look at its way to the registry, the"
            " pull secret and its disk.",
            actor=Actor.CLUSTER,
            commands=(shell(*host, "rpm-ostree", "status"), log),
        )
    else:
        commands: tuple[Command, ...] = (log, shell("oc", "get", "machineconfigpools"))
        yield Fix(
            "Mend what the reason names; the daemon tries again by itself.", actor=Actor.CLUSTER, commands=commands
        )
    yield Fix("Do not only uncordon it: the pool stays degraded, and updates of the cluster wait for it.")
