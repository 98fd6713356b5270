"""The kubelet is alive and says that the node has no working pod network.

Meaning: no pod that needs the pod network can start here; pods with hostNetwork can. New nodes show this until
the CNI's DaemonSet has installed its configuration.

Told by: Ready=False with 'container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady
...'. The words after it come from the runtime. Told apart from NetworkUnavailable, which the cloud's route
controller or the CNI writes.

Fix: look at the CNI's pod on this node and its configuration in /etc/cni/net.d.

Source: pkg/kubelet/kubelet.go (updateRuntimeUp), containerd and CRI-O status of the CRI.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.node.case import NodeCase
from kubetriage.values.fields import dig
from kubetriage.values.times import human_duration

CODE = "NetworkPluginNotReady"

YOUNG = timedelta(minutes=2)
"""Pulling the images of a network plugin takes about so long."""


def check(case: NodeCase) -> Iterator[Finding]:
    """Match a runtime without a network."""
    report = case.reported("network")
    if report is None or case.reported("runtime-down") is not None:
        return
    agents = [p for p in case.pods if p.controller.get("kind") == "DaemonSet" and _host_network(p.raw)]
    bad = [p for p in agents if not p.ready]
    evidence = [*case.contact_evidence()]
    evidence += [Evidence("status", f"pod {p.namespace}/{p.name}", p.status_text()) for p in bad[:3]]
    first = f" DaemonSet pod {bad[0].namespace}/{bad[0].name} here is {bad[0].status_text()}." if bad else ""
    age = case.now - case.contact.created if case.contact.created else None
    young = age is not None and age < YOUNG
    joined = f" It joined {human_duration(age)} ago: a new node waits for its CNI's pod." if age and young else ""
    yield Finding(
        CODE,
        Severity.WARNING if young else Severity.ERROR,
        Confidence.LIKELY if report.words.startswith("network state unknown") else Confidence.CONFIRMED,
        case.ref,
        f"{case.name} is NotReady by its own word: {report.words}.{joined}{first}",
        evidence=tuple(evidence),
        ruled_out=(RuledOut("ContainerRuntimeDown", "the runtime answers and reports this itself"),),
        fix=(
            Fix(
                f"Bring up the CNI's pod on {case.name}"
                + (f": kubectl -n {bad[0].namespace} logs {bad[0].name} --all-containers" if bad else "")
                + f". On the node ({case.address}): ls /etc/cni/net.d /opt/cni/bin."
            ),
        ),
        verify=(
            f"kubectl get pods -A --field-selector spec.nodeName={case.name} -o wide",
            f"kubectl get node {case.name} -o jsonpath='{{.status.conditions[?(@.type==\"Ready\")].message}}'",
        ),
    )


def _host_network(raw: object) -> bool:
    return dig(raw, "spec", "hostNetwork") is True
