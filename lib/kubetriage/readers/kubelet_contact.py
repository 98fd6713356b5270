"""Whether a node's kubelet is in contact, and who else speaks for or against the machine being alive.

The only heartbeat judged is ``Lease.spec.renewTime``: with leases the kubelet patches its status only on change or
every five minutes and a half more (kubelet_node_status.go), so an old ``lastHeartbeatTime`` proves nothing.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from kubetriage.found import Lookup
from kubetriage.model import Evidence
from kubetriage.records import dataclass
from kubetriage.values.fields import Obj, condition, dig, name_of, text
from kubetriage.values.times import format_time, human_duration, parse_time

NODE_LEASES = "kube-node-lease"
KUBELET_CONDITIONS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
"""Conditions that the node controller sets to Unknown; their Unknown says nothing about pressure."""
TWO_MISSES = timedelta(seconds=20)
"""The kubelet renews every 10 s (lease duration 40 s * 0.25); two renewals missed is late."""
THREE_MISSES = timedelta(seconds=30)
SKEW = timedelta(seconds=5)
"""A renewal this far in the future of the API server's clock is a wrong clock, not jitter."""
MARKING = timedelta(seconds=15)
"""The node controller looks every 5 s; 15 s after the grace period it has marked the node if it works."""
STARTUP_GRACE = timedelta(seconds=60)
"""``nodeStartupGracePeriod`` of the node controller."""


def grace_period(version: tuple[int, int] | None) -> timedelta:
    """Return ``node-monitor-grace-period``'s default: 50 s from 1.32, 40 s before.

    An unknown version takes the longer one, so that contact is never called lost too early.
    """
    return timedelta(seconds=40 if version is not None and version < (1, 32) else 50)


def kubelet_version(node: Obj) -> tuple[int, int] | None:
    """Return the minor version of the node's kubelet."""
    match = re.match(r"v?(\d+)\.(\d+)", text(node, "status", "nodeInfo", "kubeletVersion"))
    return (int(match[1]), int(match[2])) if match else None


def condition_evidence(found: Obj) -> Evidence:
    """Quote a condition of a node."""
    value = f"{text(found, 'status')} ({text(found, 'reason')}): {text(found, 'message')}"
    return Evidence("status", f"status.conditions[{text(found, 'type')}]", value, text(found, "lastTransitionTime"))


class Beat(enum.Enum):
    """What the Lease says."""

    FRESH = "fresh"
    LATE = "late"
    """Renewals were missed, the grace period is not over."""
    STALE = "stale"
    """Older than the grace period."""
    ABSENT = "absent"
    UNSEEN = "unseen"


@dataclass(frozen=True)
class Contact:
    """What is known of the contact with one kubelet."""

    name: str
    ready: str
    """Status of the Ready condition; empty when there is none."""
    reason: str
    message: str
    changed: datetime | None
    """``lastTransitionTime`` of Ready."""
    beat: Beat
    renewed: datetime | None
    """Last renewal of the Lease, on the kubelet's clock."""
    age: timedelta | None
    """Age of the renewal on the API server's clock; negative when the kubelet's clock is ahead."""
    grace: timedelta
    skew: timedelta | None = None
    """How far the kubelet's clock is ahead (negative: behind), where the order of writes shows it."""
    renewed_after_mark: bool = False
    """The Lease was renewed after the node's status was last written."""
    created: datetime | None = None
    why: str = ""
    """For an unseen Lease: why."""
    heartbeat: datetime | None = None
    """``lastHeartbeatTime`` of Ready: the last status that the kubelet posted, at least every eight minutes."""

    @property
    def never(self) -> bool:
        """No kubelet ever posted a status for this Node object."""
        return self.reason == "NodeStatusNeverUpdated" or not self.ready

    @property
    def lost(self) -> bool:
        """The node controller lost contact, and the kubelet does not renew its Lease."""
        return self.ready == "Unknown" and not self.never and not self.unmoving

    @property
    def silent(self) -> bool:
        """No renewal within the grace period, whatever the Ready column says."""
        return self.lost or (self.beat is Beat.STALE and not self.never)

    @property
    def fading(self) -> bool:
        """Three renewals are missed, the grace period is not over."""
        return self.beat is Beat.LATE and self.ready == "True" and self.age is not None and self.age > THREE_MISSES

    @property
    def unmarked(self) -> bool:
        """Silent long enough that a working node controller would have marked it, but Ready is not Unknown."""
        return (
            self.ready in ("True", "False")
            and self.beat is Beat.STALE
            and self.age is not None
            and self.age > self.grace + MARKING
        )

    @property
    def unmoving(self) -> bool:
        """The Lease is renewed, yet Ready stays Unknown: contact is back or status writes are rejected."""
        if self.ready != "Unknown" or self.never or not self.renewed_after_mark:
            return False
        return self.beat in (Beat.FRESH, Beat.LATE)

    @property
    def since(self) -> datetime | None:
        """When contact was lost: the last renewal, else the last posted status, else the transition.

        A controller-manager that was away for weeks marks a node when it is back, so the mark may be much too young.
        """
        if self.renewed is not None:
            return self.renewed
        if self.ready == "Unknown" and self.heartbeat is not None and self.changed is not None:
            return min(self.heartbeat, self.changed)
        return self.changed

    def lease_evidence(self) -> Evidence:
        """Quote the Lease with its age against the grace period."""
        at = f"Lease {NODE_LEASES}/{self.name} spec.renewTime"
        if self.renewed is None or self.age is None:
            gone = "no Lease" if self.beat is Beat.ABSENT else f"not seen: {self.why or 'not read'}"
            return Evidence("status", at, gone)
        ahead = self.age <= -timedelta(seconds=1)
        age = f"-{human_duration(-self.age)}" if ahead else human_duration(max(self.age, timedelta()))
        return Evidence(
            "status", at, f"renewed {age} ago (grace {int(self.grace.total_seconds())}s)", format_time(self.renewed)
        )


def resource_version(obj: Obj) -> int | None:
    """Return ``metadata.resourceVersion`` as a number; the order of writes in one etcd (KEP-5504)."""
    value = text(obj, "metadata", "resourceVersion")
    return int(value) if value.isdecimal() else None


Written = tuple[int, datetime]
"""Order of writing and time of renewal of one Lease."""


def write_order(leases: Iterable[Obj]) -> tuple[Written, ...]:
    """Return all Leases in the order in which they were written."""
    found = []
    for lease in leases:
        version, renewed = resource_version(lease), parse_time(dig(lease, "spec", "renewTime"))
        if version is not None and renewed is not None:
            found.append((version, renewed))
    return tuple(sorted(found))


def read_contact(
    node: Obj, lease: Lookup, order: Sequence[Written], now: datetime, version: tuple[int, int] | None
) -> Contact:
    """Judge one node's contact.

    ``order`` is that of all Leases that were seen (:func:`write_order`); it shows a wrong clock on the node.
    ``version`` is the control plane's, which sets the grace period; the kubelet's stands in when it is unknown.
    """
    ready = condition(node, "Ready")
    changed = parse_time(dig(ready, "lastTransitionTime"))
    renewed = parse_time(dig(lease.obj, "spec", "renewTime"))
    grace = grace_period(version or kubelet_version(node))
    age = now - renewed if renewed is not None else None
    own, of_node = resource_version(lease.obj), resource_version(node)
    said = text(ready, "status")
    # Whatever is neither yes nor no (a damaged status) is not known.
    state = said if said in ("True", "False", "") else "Unknown"
    unknown = state == "Unknown"
    after_mark = False
    if unknown and renewed is not None:
        if own is not None and of_node is not None:
            after_mark = own > of_node
        # Somebody else may have written the Node (a label) since the renewal.
        if changed is not None and age is not None and -SKEW <= age <= TWO_MISSES / 2:
            after_mark = after_mark or renewed > changed
    skew: timedelta | None = None
    if lease.unseen:
        beat = Beat.UNSEEN
    elif age is None:
        beat = Beat.ABSENT
    else:
        beat = Beat.FRESH if age <= TWO_MISSES else Beat.LATE if age <= grace else Beat.STALE
        if age < -SKEW:
            skew = -age
            beat = Beat.STALE if unknown and not after_mark else Beat.FRESH
        elif beat is not Beat.FRESH and _written_lately(lease.obj, order, now):
            skew, beat = -age, Beat.FRESH
        elif unknown and not after_mark and changed is not None and renewed is not None and renewed > changed:
            # Marked by the controller's clock before the time that the kubelet wrote: the kubelet's is ahead.
            skew = renewed - changed
            beat = Beat.STALE
    return Contact(
        name=name_of(node),
        ready=state,
        reason=text(ready, "reason"),
        message=text(ready, "message"),
        changed=changed,
        beat=beat,
        renewed=renewed,
        age=age,
        grace=grace,
        skew=skew,
        renewed_after_mark=after_mark,
        created=parse_time(dig(node, "metadata", "creationTimestamp")),
        why=lease.why,
        heartbeat=parse_time(dig(ready, "lastHeartbeatTime")),
    )


def _written_lately(lease: Obj, order: Sequence[Written], now: datetime) -> bool:
    """Tell whether the Lease was written after others that were themselves renewed just now.

    One lying clock must not decide, so two such witnesses are asked for where there are enough Leases.
    """
    own, mine = resource_version(lease), parse_time(dig(lease, "spec", "renewTime"))
    if own is None or mine is None:
        return False
    wanted = 1 if len(order) <= 3 else 2
    for version, renewed in order:
        if version >= own:
            break
        if -SKEW <= now - renewed <= TWO_MISSES and renewed - mine > SKEW:
            wanted -= 1
            if not wanted:
                return True
    return False
