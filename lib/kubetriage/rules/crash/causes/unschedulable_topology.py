"""Spread constraints, or the zone of a volume, leave no node.

Meaning: placing the pod on any node would break a topology spread constraint, or the nodes are not where its
PersistentVolume is (a disk lives in one zone, a local volume on one node).

Told by: ``topology spread constraints``, ``PersistentVolume's node affinity`` (older: ``volume node affinity
conflict``) or ``no available volume zone`` as the scheduler's main reason; the node affinity of the claim's volume
names the zone or node.

A key that no node has is another fault: the node plugin of the volume's CSI driver sets it.

Fix: bring an open node to the place of the volume, or the driver's node plugin up where its label is missing; for
spread constraints, whenUnsatisfiable ScheduleAnyway, a larger maxSkew, or nodes in the emptier domain.

Source: scheduler plugins PodTopologySpread, VolumeBinding, VolumeZone.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Finding, Fix
from kubetriage.needs import Get, List, Need
from kubetriage.records import dataclass
from kubetriage.rules.crash import scheduling, storage_drivers
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.root_causes import repair
from kubetriage.rules.crash.scheduling import Block, Reason, Unscheduled
from kubetriage.rules.crash.volume_claims import claim_names
from kubetriage.values.commands import kubectl, placeholder, pods_on
from kubetriage.values.fields import Obj, name_of, number, objects, text, texts
from kubetriage.values.patterns import lazy

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
    if any(not any(p.key in scheduling.node_labels(n) for n in found.nodes.items) for p in _places(case)):
        yield List("csinodes")
        for place in _places(case):
            yield from storage_drivers.needs(text(place.volume, "spec", "csi", "driver"))


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
        f"Label the nodes with {key}. Where they have no such places, spread {case.workload_name} over "
        "kubernetes.io/hostname, or set whenUnsatisfiable ScheduleAnyway."
        if missing
        else f"Set whenUnsatisfiable ScheduleAnyway or a larger maxSkew in {case.workload_name}, or add nodes where "
        "fewer of its pods run."
    )
    evidence = tuple(Evidence("spec", "spec.topologySpreadConstraints", shown) for _ in rules[:1])
    label = (kubectl("label", "node", placeholder("node"), f"{key}={placeholder('place')}"),) if missing else ()
    return found.finding(
        CODE,
        message,
        (case.template_fix(words, commands=label),),
        evidence,
        verify=(kubectl("get", "nodes", "-L", key),),
    )


@dataclass(frozen=True)
class _Place:
    """What the PersistentVolume of a claim asks of a node's labels."""

    claim: str
    volume: Obj
    key: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        """Write it as a label."""
        return f"{self.key}={'|'.join(self.values)}"


def _places(case: Case) -> Iterator[_Place]:
    for name in claim_names(case.pod):
        claim = case.snapshot.get("persistentvolumeclaims", case.pod.namespace, name).obj
        volume = case.snapshot.get("persistentvolumes", "", text(claim, "spec", "volumeName")).obj
        terms = objects(volume, "spec", "nodeAffinity", "required", "nodeSelectorTerms")
        for rule in (r for t in terms for r in objects(t, "matchExpressions")):
            yield _Place(name, volume, text(rule, "key"), tuple(texts(rule, "values")))


def _volume(found: Unscheduled) -> Finding:
    case, places = found.case, list(_places(found.case))
    reached = sum(r.nodes for r in found.reasons if scheduling.by_volume(r))
    evidence = tuple(
        dict.fromkeys(Evidence("spec", f"persistentvolume/{name_of(p.volume)} nodeAffinity", str(p)) for p in places)
    )
    nodes = found.nodes
    unknown = [p for p in places if nodes.items and not any(p.key in scheduling.node_labels(n) for n in nodes.items)]
    verify: tuple[str, ...] = ("kubectl get pv -o wide",)
    if unknown and nodes.complete:
        verify = (kubectl("get", "nodes", "-L", unknown[0].key), "kubectl get csinodes -o yaml")
        return found.finding(CODE, _no_label(unknown[0]), _label(case, unknown[0]), evidence, verify=verify)
    told = [f"claim {p.claim} is bound to {name_of(p.volume)}, which is at {p}" for p in places]
    message = f"The pod's volume cannot be reached from {reached or found.head.nodes} of {found.total} nodes"
    message += f": {'; '.join(dict.fromkeys(told))}." if told else "; it belongs to another zone or node."
    there = [n for p in places for n in nodes.items if scheduling.node_labels(n).get(p.key) in p.values]
    shut = [name_of(n) for n in there if scheduling.untolerated(case.pod, n)]
    if shut:
        message += f" {scheduling.some(list(dict.fromkeys(shut)))} is there and takes no pods."
    opened = list(dict.fromkeys(name_of(n) for n in there if name_of(n) not in shut))
    beside = _kept_off(found, opened)
    if beside:
        where = f"node {scheduling.some(opened)}" if opened else "a node that the volume reaches"
        message += f" Left out for another reason is {where}: {'; '.join(r.words for r in beside)}."
        fixes = tuple(_make_room(case, beside[0], opened, [p.claim for p in places]))
        return found.finding(CODE, message, fixes, evidence, verify=verify, others=False)
    return found.finding(CODE, message, tuple(_reach(places, shut)), evidence, verify=verify)


# Filters that run after those of volumes (default_plugins.go): a node that they leave out is one the volume reaches.
_AFTER_VOLUMES = lazy(r"pod (?:anti-)?affinity|affinity/anti-affinity|topology spread constraints")


def _kept_off(found: Unscheduled, opened: list[str]) -> list[Reason]:
    """Return the reasons that leave out the nodes where the volume is; none when those take no pods at all."""
    rest = [r for r in found.reasons if not scheduling.by_volume(r)]
    sure = [r for r in rest if _AFTER_VOLUMES.search(r.words)]
    if sure:
        return sure
    return [r for r in rest if r.block in (Block.RESOURCES, Block.PORT)] if opened else []


def _make_room(case: Case, reason: Reason, opened: list[str], claims: list[str]) -> Iterator[Fix]:
    """Say how the node where the volume is takes the pod."""
    on = scheduling.some(opened) if opened else "that node"
    look = (pods_on(opened[0]),) if opened else (kubectl("get", "pods", "-o", "wide", namespace=case.pod.namespace),)
    held = ", ".join(dict.fromkeys(claims)) or "its claim"
    if reason.block in (Block.RESOURCES, Block.PORT):
        yield Fix(
            f"Make room on {on}, which the volume of {held} ties the pod to: move other pods away, or ask for less.",
            actor=Actor.CLUSTER,
            commands=look,
        )
        return
    yield Fix(
        f"Move the pod that this one may not stand beside away from {on}: the volume of {held} ties this one to it, "
        "the "
        "other may go elsewhere unless its volume lies there too.",
        actor=Actor.CLUSTER,
        commands=look,
    )
    yield case.template_fix(
        f"Or make the rule of {case.workload_name} a preference (preferredDuringScheduling, or whenUnsatisfiable "
        "ScheduleAnyway)."
    )
    yield Fix(
        f"If both volumes lie on the same node, this replica needs a new one: delete claim {held} and the pod only "
        "where "
        "the data has another replica or a backup.",
        actor=Actor.CLUSTER,
    )


def _no_label(place: _Place) -> str:
    """Say that the key is missing on every node, which is another fault than a node in the wrong place."""
    driver = text(place.volume, "spec", "csi", "driver")
    words = (
        f"No node has the label {place.key} that PersistentVolume {name_of(place.volume)} (claim "
        f"{place.claim}) asks for "
        f"with {place}, so no node takes the pod."
    )
    return words + (f" The node plugin of CSI driver {driver} sets that label." if driver else "")


def _label(case: Case, place: _Place) -> tuple[Fix, ...]:
    driver = text(place.volume, "spec", "csi", "driver")
    keys = [
        k
        for c in case.snapshot.list("csinodes").items
        for d in objects(c, "spec", "drivers")
        for k in texts(d, "topologyKeys")
    ]
    names = [text(d, "name") for c in case.snapshot.list("csinodes").items for d in objects(c, "spec", "drivers")]
    look = kubectl("get", "csinodes", "-o", "custom-columns=NODE:.metadata.name,DRIVERS:.spec.drivers[*].name")
    who = f"CSI driver {driver}" if driver else "the volume's driver"
    for node in [name_of(n) for n in case.snapshot.list("nodes").items][:5] if driver else []:
        root = storage_drivers.driver_root(case, driver, node)
        if root is not None:
            return (repair(root, f"It registers at the kubelet, which then sets {place.key}."),)
    if driver and driver in names:
        words = f"Restart or upgrade the node plugin of {who}: it is registered, but reports topology keys "
        words += f"{', '.join(dict.fromkeys(keys)) or 'none'}. It must know the place of its node."
    else:
        words = (
            f"Bring the node plugin of {who} up on the nodes: it registers at the kubelet, which then sets "
            f"{place.key}. "
            "Its log names what keeps it from the kubelet's plugin directory or from the cloud's metadata."
        )
    plugin = Fix(words, actor=Actor.CLUSTER, commands=(look, kubectl("get", "daemonsets", "-A")))
    value = place.values[0] if len(place.values) == 1 else placeholder("value")
    hand = Fix(
        f"Until then, label a node by hand only if its machine really is at {place}; elsewhere the volume cannot be "
        "attached.",
        actor=Actor.CLUSTER,
        commands=(kubectl("label", "node", placeholder("node"), f"{place.key}={value}"),),
    )
    return plugin, hand


def _reach(places: list[_Place], shut: list[str]) -> Iterator[Fix]:
    """Say how the pod gets to its volume: an open node there, or, for data that is nowhere else, its machine."""
    if shut:
        yield Fix(
            f"Make {scheduling.some(list(dict.fromkeys(shut)))} take the pod: it is where the volume is.",
            actor=Actor.CLUSTER,
            commands=(kubectl("uncordon", shut[0]), kubectl("describe", "node", shut[0])),
        )
    local = [
        p for p in places if p.key in ("kubernetes.io/hostname", "topology.topolvm.io/node", "openebs.io/nodename")
    ]
    if local:
        host = ", ".join(local[0].values)
        yield Fix(
            f"The volume lies on node {host} alone: bring that node back. If it is gone for good, delete claim "
            f"{local[0].claim} and the pod, and restore the data from its replica or backup.",
            actor=Actor.NODE,
            commands=(
                kubectl("get", "node", *local[0].values),
                kubectl("get", "pv", name_of(local[0].volume), "-o", "yaml"),
            ),
        )
        return
    where = f" ({places[0]})" if places else ""
    yield Fix(
        f"Bring an open node to where the volume is{where}: uncordon one, or let the node group add one there. A copy "
        "elsewhere needs a snapshot or backup of the data.",
        actor=Actor.CLOUD,
        commands=(kubectl("get", "nodes", *(("-L", places[0].key) if places else ())),),
    )
