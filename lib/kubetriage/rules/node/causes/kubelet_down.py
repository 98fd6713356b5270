"""Contact is lost because the kubelet process is gone; the machine itself answers.

Meaning: containers run on without supervision: no restarts, no probes, no new pods, no confirmation of
deletions. The workloads are very likely still serving although Kubernetes took them out of rotation.

Told by: a silent Lease, and either the API server's dial to port 10250 is refused (the host answers, nothing
listens), or another process of the machine (Node Problem Detector's heartbeat, a leader Lease held by a pod
there, an event from the host) reached the API server after the kubelet fell silent. Told apart from a
partition, where the kubelet's port answers or packets vanish.

Fix: start the kubelet; read journalctl -u kubelet for why it stopped. Do not force-delete: the old pods run.

Source: pkg/kubelet; Go net 'connection refused' wrapped by apimachinery util/proxy/transport.go;
node-problem-detector problem_client.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.failover import faster_failover, keep_hands_off
from kubetriage.values.commands import kubectl
from kubetriage.values.times import format_time

CODE = "KubeletDown"


def check(case: NodeCase) -> Iterator[Finding]:
    """Match a dead kubelet on a machine that is proven to live."""
    if not case.alone or case.proven_dead:
        return
    probe, alive = case.probe, case.machine_alive
    if probe is not None and probe.kind == "refused":
        how = "its host refuses connections to the kubelet's port"
        ruled = RuledOut("NodePartitioned", "the host answered the API server's dial")
        confidence = Confidence.CONFIRMED if alive else Confidence.LIKELY
    elif alive is not None and (probe is None or probe.kind in ("tunnel", "forbidden", "error")):
        how = f"the machine reached the API server after that ({alive.what})"
        ruled = RuledOut("MachineOff", f"{alive.what}: {alive.detail}")
        agent = alive.what.startswith("agent")
        confidence = Confidence.LIKELY if agent else Confidence.POSSIBLE
    else:
        return
    evidence = [*case.contact_evidence()]
    if alive is not None:
        evidence.append(case.witness_evidence(alive))
    stopped = case.contact.renewed
    yield Finding(
        CODE,
        Severity.ERROR,
        confidence,
        case.ref,
        f"The kubelet of {case.name} stopped: silent {case.silence()}, and {how}. Its containers probably still run.",
        evidence=tuple(evidence),
        ruled_out=(ruled, RuledOut("MachineOff", "a machine that is off answers nothing")),
        fix=(
            Fix(
                f"On {case.name}: read why the kubelet stopped ({case.machine.kubelet_unit}), then start it.",
                actor=Actor.NODE,
                commands=(
                    *case.machine.lines("kubelet status"),
                    *(
                        case.machine.lines(
                            "kubelet log since", since=f"{format_time(stopped)[:19].replace('T', ' ')} UTC"
                        )
                        if stopped
                        else case.machine.lines("kubelet log")
                    ),
                    *case.machine.lines("kubelet restart"),
                ),
            ),
            keep_hands_off(case),
            *faster_failover(case),
        ),
        verify=(
            case.renewal_command,
            kubectl("get", f"--raw=/api/v1/nodes/{case.name}/proxy/healthz"),
        ),
    )
