"""Leases of all nodes: in come the lists, out goes the contact of every kubelet at one clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from kubetriage.found import Listing, Lookup, State
from kubetriage.readers.kubelet_contact import (
    NODE_LEASES,
    SKEW,
    Contact,
    read_contact,
    write_order,
)
from kubetriage.records import replace
from kubetriage.rules.node.outage_scope import Cluster, Cutoffs, judge, read_plane, written
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import (
    Obj,
    dig,
    name_of,
    namespace_of,
)
from kubetriage.values.times import parse_time

MANAGER_LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager"


def lease_listing(snapshot: Snapshot) -> Listing:
    """Return all Leases that were seen; complete when at least those of nodes were."""
    whole = snapshot.list("leases")
    if whole.complete and not whole.presumed:
        return whole
    nodes = snapshot.list("leases", NODE_LEASES)
    return Listing(whole.items, nodes.complete, nodes.why or whole.why, nodes.presumed)


def lease_of(leases: Listing, by_name: Mapping[str, Obj], name: str) -> Lookup:
    """Look the Lease of one node up."""
    found = by_name.get(name)
    if found is not None:
        return Lookup(State.FOUND, found)
    # A dump without a single Lease of a node left them out.
    if leases.complete and not (leases.presumed and not by_name):
        return Lookup(State.ABSENT, presumed=leases.presumed)
    return Lookup(State.UNSEEN, why=leases.why or "the dump holds no Leases of nodes")


def renewal(snapshot: Snapshot, sample: int = 0) -> datetime | None:
    """Return the renewal of the controller-manager's Lease that a read through etcd gave."""
    body = snapshot.body(MANAGER_LEASE, sample)
    if body is None or body.status != 200:
        return None
    try:
        return parse_time(dig(json.loads(body.text), "spec", "renewTime"))
    except (ValueError, RecursionError):
        return None


def stale_through_etcd(snapshot: Snapshot, limit: timedelta) -> bool:
    """Tell whether the Lease is old even as etcd has it: only a second read tells stopped writes from a wrong clock."""
    renewed = renewal(snapshot)
    return renewed is not None and snapshot.now - renewed > limit


def _clock(snapshot: Snapshot, limit: timedelta) -> datetime:
    """Return the clock to judge by: that of the observation, or the Leases' own.

    A Lease that is old and yet renewed between two reads shows that the API server's clock is ahead of all others. The
    lists of a recording may be older than its clock, by the time that its other reads took.
    """
    first, second = renewal(snapshot), renewal(snapshot, 1)
    if first and second and second > first and snapshot.now - second > limit:
        return second
    if snapshot.lag:
        others = [*snapshot.list("pods").items, *snapshot.list("events").items]
        renewed = (parse_time(dig(o, "spec", "renewTime")) for o in lease_listing(snapshot).items)
        writes = (*renewed, *written(snapshot.list("nodes").items, others))
        newest = max((t for t in writes if t and t <= snapshot.now), default=snapshot.now)
        return max(newest, snapshot.now - snapshot.lag)
    return snapshot.now


def read_cluster(snapshot: Snapshot, cut: Cutoffs | None = None) -> Cluster:
    """Judge the contact of all nodes that were seen; as long as nothing new tells of it they are not judged again."""
    cut = cut or Cutoffs()
    now, leases = _clock(snapshot, cut.frozen), lease_listing(snapshot)
    known = snapshot.derived_of(_judged, "nodes", "leases")

    def judged(newest: datetime | None) -> Cluster:
        key = (cut, now, newest, snapshot.version, leases.complete, leases.why, leases.presumed)
        if key not in known:
            known[key] = _judge(snapshot, leases, now, newest, cut)
        return known[key]

    found = judged(None)
    age = found.plane.renewal_age
    if age is None or age <= cut.frozen:
        return found
    # Where no kubelet renews, the newest write of anybody else tells whether writes fail.
    return judged(max((t for t in snapshot.derived_of(_writes, "pods", "events") if t <= now + SKEW), default=None))


def read_contacts(snapshot: Snapshot, leases: Listing, now: datetime) -> Mapping[str, Contact]:
    """Return the contact of each node, by name: the same object as long as what tells of it is the same."""
    known = snapshot.derived_of(_contacts, "nodes", "leases")
    version = snapshot.version
    key = (now, version, leases.complete, leases.why, leases.presumed)
    if key not in known:
        by_name = {name_of(o): o for o in leases.items if namespace_of(o) == NODE_LEASES}
        order = write_order(leases.items)
        known[key] = {
            name_of(n): read_contact(n, lease_of(leases, by_name, name_of(n)), order, now, version)
            for n in snapshot.list("nodes").items
        }
    return known[key]


def _contacts(_: Snapshot) -> dict[tuple[object, ...], Mapping[str, Contact]]:
    return {}


def _judged(_: Snapshot) -> dict[tuple[object, ...], Cluster]:
    """Hold what followed from the nodes and Leases that were read so far."""
    return {}


def _writes(snapshot: Snapshot) -> frozenset[datetime]:
    return frozenset(written((), (*snapshot.list("pods").items, *snapshot.list("events").items)))


def _judge(snapshot: Snapshot, leases: Listing, now: datetime, newest: datetime | None, cut: Cutoffs) -> Cluster:
    nodes = snapshot.list("nodes").items
    contacts = read_contacts(snapshot, leases, now)
    plane = read_plane(leases.items, (*written(nodes), *((newest,) if newest else ())), now)
    elections = tuple(o for o in leases.items if namespace_of(o) != NODE_LEASES)
    return replace(judge(nodes, contacts, plane, cut), elections=elections)
