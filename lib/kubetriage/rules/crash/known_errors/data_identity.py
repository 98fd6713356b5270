"""Stored data that carries the ids of another cluster or member than the configuration names."""

from __future__ import annotations

from kubetriage.model import Fix
from kubetriage.rules.crash.acts import app, manifest, operator, where
from kubetriage.rules.crash.known_errors.data_versions import all_said, held_data
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import objects, text
from kubetriage.values.patterns import lazy

# Cassandra and Kafka keep ids beside the data that the configuration must repeat: what, configured, stored.
_TWO_VALUES = tuple(
    lazy(pattern)
    for pattern in (
        r"snitch's (?P<what>data center|rack) \((?P<own>\w{1,60})\) differs from previous (?:data center|rack) "
        r"\((?P<kept>\w{1,60})\)",
        r"(?:[Cc]onfigured |The )(?P<what>node\.id|broker\.id|[Cc]luster ?(?:ID|id)) [`'\"]?(?P<own>[\w-]{1,80})"
        r"[`'\"]? doesn't match stored (?:[\w.]{1,20} )?[`'\"]?(?:Some\()?(?P<kept>[\w-]{1,80})",
        r"Invalid (?P<what>[a-z]{1,20}\.id) in: \S{1,300} Expected (?P<own>[\w-]{1,80}), "
        r"but read (?P<kept>[\w-]{1,80})",
        r"[Ss]aved (?P<what>cluster name) (?P<kept>[^\n!]{1,80}?) != configured name (?P<own>[\w -]{1,80})",
    )
)


def _other_cluster(words: LastWords, said: Said) -> Advice:
    whole = all_said(words, said)
    two = next((found for found in (p.search(whole) for p in _TWO_VALUES) if found is not None), None)
    held = held_data(words)
    empty = app(
        f"If this is a new cluster, {held} is left from an old one: start with an empty one. Keep a "
        "backup until it runs.",
        kubectl("get", "pvc", namespace=words.case.pod.namespace),
    )
    if two is None:
        first = manifest(
            words,
            f"If the data is wanted, give {where(words)} the ids that it was made with "
            + (
                "(meta.properties names cluster.id and node.id; the quorum or ZooKeeper must be the same too)."
                if "meta.properties" in words.text or "InconsistentClusterId" in words.text
                else "(cluster id, node or member id, as its own files name them)."
            ),
        )
        return Advice(
            f"the data on {held} belongs to another cluster or member than the configuration names", (first, empty)
        )
    file = "in meta.properties" if "meta.properties" in whole else ""
    what, own, kept = two["what"], two["own"], two["kept"]
    return Advice(
        f"the data on {held} belongs to another cluster or member than the configuration names ({what}: {file} the "
        "data "
        f"has {kept}, the configuration {own})".replace("  ", " "),
        (_set_back(words, what, own, kept), empty),
        details={"setting": what, "stored": kept, "configured": own},
    )


def _set_back(words: LastWords, what: str, own: str, kept: str) -> Fix:
    """Make the fix that gives the program the id of its data: by its variable, or by the object of its operator."""
    case = words.case
    if "strimzi.io/cluster" in case.pod.labels and "luster" in what:
        cluster = case.pod.labels["strimzi.io/cluster"]
        return operator(
            f"If the data is wanted, let Strimzi use its id: pause the operator, write {kept} into status.clusterId of "
            f"Kafka {cluster}, and start the operator again.",
            kubectl(
                *("patch", "kafka", cluster, "--subresource=status", "--type=merge", "-p"),
                f'{{"status":{{"clusterId":"{kept}"}}}}',
                namespace=case.pod.namespace,
            ),
        )
    variable = next(
        (text(e, "name") for e in objects(words.container.spec, "env") if text(e, "value") == own and "name" in e), ""
    )
    ordinal = case.workload.kind == "StatefulSet" and what in ("node.id", "broker.id")
    patch = words.container.patch({"env": [{"name": variable, "value": kept}]}) if variable else None
    through = f" (variable {variable})" if variable else ""
    return manifest(
        words,
        f"If the data is wanted, set it back to {kept} in {where(words)}{through}; it may not change with data in "
        "place." + (" It follows from the pod's ordinal: see which claim this pod got." if ordinal else ""),
        patch,
    )


ROWS: tuple[Row, ...] = (
    Row(
        "data-cluster",
        lazy(
            r"Inconsistent(?:ClusterId|BrokerId|NodeId)Exception|trying to join the wrong cluster"
            r"|doesn't match stored (?:clusterId|brokerId|nodeId|node\.id|broker\.id)"
            r"|[Ss]tored node id \d+ doesn't match|Invalid (?:cluster|node|directory)\.id in:"
            r"|request (?:sent was ignored|cluster ID mismatch)"
            r"|cluster ID mismatch|removed from the cluster|local node name does not match"
            r"|snitch's (?:data center|rack) \(\w{1,60}\) differs from previous"
            r"|[Ss]aved cluster name [^\n]{1,80} != configured name",
        ),
        _other_cluster,
        beside=True,
    ),
)
