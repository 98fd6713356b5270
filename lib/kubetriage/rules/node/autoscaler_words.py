"""What a cluster-autoscaler's log says of machines that its cloud refused; it has no object that tells.

In come the logs of its pods, as far as a recording or text holds them, out go findings by node group.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.needs import Log
from kubetriage.records import dataclass
from kubetriage.rules.node.machine_refusals import LAUNCHED, known
from kubetriage.snapshot import Snapshot
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import name_of, namespace_of, objects, text
from kubetriage.values.patterns import lazy

# cluster-autoscaler clusterstate.go, scale-up executor and cloud providers, 1.18 to 1.34; then the clouds' own words.
_REFUSED = lazy(
    r"Disabling scale-up for node group (?P<group>\S{1,200}) until .{0,400}"
    r"|[Ff]ailed to (?:increase|scale up|create) .{0,40}?(?:node ?group|instance group|ASG|VMSS|MIG) ?(?:size)? ?"
    r"(?P<other>[\w./:-]{0,200}?)[ :\",]{1,8}.{1,600}"
    r"|We currently do not have sufficient .{1,600}|Could not launch (?:On-Demand|Spot) Instances.{1,600}"
)
_LAST = 2000
"""Lines of a log that are read."""


@dataclass(frozen=True)
class Refusal:
    """One line about a machine that was not given."""

    log: Log
    line: str
    group: str
    """The node group; empty where the line is the cloud's own."""


def autoscaler_logs(snapshot: Snapshot) -> tuple[Log, ...]:
    """Return the logs of autoscalers that a recording holds; a live cluster is not asked for them."""
    if snapshot.source == "cluster":
        return ()
    return tuple(
        need
        for pod in snapshot.list("pods").items
        if "autoscaler" in (name := name_of(pod)) and "pod-autoscaler" not in name
        for c in objects(pod, "spec", "containers")
        if snapshot.has_log(need := Log(namespace_of(pod), name, text(c, "name")))
    )


def refusals(snapshot: Snapshot) -> Iterator[Refusal]:
    """Yield the lines with which machines were refused, the oldest first."""
    for need in autoscaler_logs(snapshot):
        log = snapshot.log(need.namespace, need.pod, need.container)
        for line in log.text.splitlines()[-_LAST:] if log.seen else ():
            match = _REFUSED.search(line)
            if match is not None:
                yield Refusal(need, line.strip(), match["group"] or match["other"] or "")


def autoscaler_findings(snapshot: Snapshot) -> Iterator[Finding]:
    """Judge the newest refusal of each node group."""
    told = tuple(refusals(snapshot))
    newest = {r.group: r for r in told}
    for refusal in newest.values():
        # What the cloud says by itself belongs to the one group that there is.
        if refusal.group or len(newest) == 1:
            clouds = newest.get("") if len(newest) <= 2 else None
            yield _finding(refusal, [r for r in (refusal, clouds) if r is not None])


def _finding(refusal: Refusal, told: list[Refusal]) -> Finding:
    lines = tuple(dict.fromkeys(r.line for r in told))
    row, fix = known(" ".join(lines))
    shown = f"node group {refusal.group}" if refusal.group else "its node group"
    status = kubectl("get", "configmap", "cluster-autoscaler-status", "-o", "yaml", namespace=refusal.log.namespace)
    return Finding(
        LAUNCHED,
        Severity.ERROR,
        Confidence.CONFIRMED if row else Confidence.LIKELY,
        Ref("Pod", refusal.log.namespace, refusal.log.pod),
        f"The autoscaler gets no machine for {shown}"
        + (f": {row['why']}" if row else "")
        + ". It leaves that group alone for some minutes, and the pods that wait for it stay Pending.",
        tuple(Evidence("log", f"pod/{refusal.log.pod}", line) for line in lines),
        (),
        (
            Fix(
                fix or "Act on what the cloud says in that line.",
                actor=Actor(row["actor"]) if row else Actor.CLOUD,
                commands=(status,),
            ),
        ),
        (kubectl("get", "events", "-A", "--field-selector", "reason=NotTriggerScaleUp"),),
        {"group": refusal.group} if refusal.group else {},
    )
