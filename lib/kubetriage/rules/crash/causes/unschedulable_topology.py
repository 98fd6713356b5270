"""Spread constraints, or the zone of a volume, leave no node.

Meaning: placing the pod on any node would break a topology spread constraint, or the nodes are not where its
PersistentVolume is (a disk lives in one zone, a local volume on one node).

Told by: ``topology spread constraints``, ``PersistentVolume's node affinity`` (older: ``volume node affinity
conflict``) or ``no available volume zone`` as the scheduler's main reason; the node affinity of the claim's volume
names the zone or node.

Fix: bring a usable node into that zone, use whenUnsatisfiable ScheduleAnyway or a larger maxSkew, or recreate the
volume where nodes are.

Source: scheduler plugins PodTopologySpread, VolumeBinding, VolumeZone.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Evidence, Finding
from kubetriage.needs import Get, Need
from kubetriage.rules.crash import scheduling
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.scheduling import Block, Unscheduled
from kubetriage.rules.crash.volume_claims import claim_names
from kubetriage.values.fields import name_of, number, objects, text, texts

CODE = "UnschedulableTopology"


def needs(case: Case) -> Iterator[Need]:
    """Ask for the nodes and the volumes of the claims."""
    yield from scheduling.needs(case)
    found = scheduling.unscheduled(case, Block.TOPOLOGY)
    if found is None or "spread" in found.head.words:
        return
    for name in claim_names(case.pod):
        yield Get("persistentvolumeclaims", case.pod.namespace, name)
        claim = case.snapshot.get("persistentvolumeclaims", case.pod.namespace, name).obj
        if text(claim, "spec", "volumeName"):
            yield Get("persistentvolumes", "", text(claim, "spec", "volumeName"))


def check(case: Case) -> Iterator[Finding]:
    """Name the constraint or the volume."""
    found = scheduling.unscheduled(case, Block.TOPOLOGY)
    if found is None:
        return
    if "spread" in found.head.words:
        yield _spread(found)
    else:
        yield _volume(found)


def _spread(found: Unscheduled) -> Finding:
    case = found.case
    rules = [
        r
        for r in objects(case.pod.raw, "spec", "topologySpreadConstraints")
        if text(r, "whenUnsatisfiable") in ("", "DoNotSchedule")
    ]
    shown = "; ".join(f"{text(r, 'topologyKey')} maxSkew {number(r, 'maxSkew')}" for r in rules)
    missing = "missing required label" in found.head.words
    key = text(rules[0], "topologyKey") if rules else "the topology label"
    message = (
        f"{found.head.nodes} of {found.total} nodes lack the label {key} of the spread constraint."
        if missing
        else f"Every placement breaks the topology spread constraint ({shown or 'DoNotSchedule'})."
    )
    words = (
        f"Label the nodes with {key}, or correct the constraint in {case.workload_name}."
        if missing
        else f"Set whenUnsatisfiable ScheduleAnyway or a larger maxSkew in {case.workload_name}, or add nodes where "
        "fewer of its pods run."
    )
    evidence = tuple(Evidence("spec", "spec.topologySpreadConstraints", shown) for _ in rules[:1])
    return found.finding(CODE, message, (case.template_fix(words),), evidence, verify=(f"kubectl get nodes -L {key}",))


def _volume(found: Unscheduled) -> Finding:
    case = found.case
    places: list[str] = []
    evidence = []
    for name in claim_names(case.pod):
        claim = case.snapshot.get("persistentvolumeclaims", case.pod.namespace, name).obj
        volume = case.snapshot.get("persistentvolumes", "", text(claim, "spec", "volumeName")).obj
        terms = objects(volume, "spec", "nodeAffinity", "required", "nodeSelectorTerms")
        for rule in (r for t in terms for r in objects(t, "matchExpressions")):
            place = f"{text(rule, 'key')}={'|'.join(texts(rule, 'values'))}"
            places.append(f"claim {name} is bound to {name_of(volume)}, which is at {place}")
            evidence.append(Evidence("spec", f"persistentvolume/{name_of(volume)} nodeAffinity", place))
    message = f"The pod's volume cannot be reached from {found.head.nodes} of {found.total} nodes"
    message += f": {'; '.join(dict.fromkeys(places))}." if places else "; it belongs to another zone or node."
    words = (
        "Bring a usable node to where the volume is (uncordon it, or add one), or restore the data into a new volume."
    )
    return found.finding(
        CODE, message, (case.template_fix(words),), tuple(evidence), verify=("kubectl get pv -o wide",)
    )
