"""Whether a node's kubelet is in contact, and who else speaks for or against the machine being alive.

The only heartbeat judged is ``Lease.spec.renewTime``: with leases the kubelet patches its status only on change or
every five minutes and a half more (kubelet_node_status.go), so an old ``lastHeartbeatTime`` proves nothing.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from kubetriage.model import Evidence
from kubetriage.needs import Raw, Why
from kubetriage.readers.events import Events
from kubetriage.snapshot import Lookup, Snapshot
from kubetriage.values.fields import Obj, condition, controller_of, dig, name_of, namespace_of, number, objects, text
from kubetriage.values.patterns import lazy
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
NPD_RESYNC = timedelta(minutes=6)
"""Node Problem Detector stamps its conditions at least every 5 minutes (cmd/options/options.go)."""


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
        """When contact was lost: the last renewal, else the transition."""
        return self.renewed or self.changed

    def lease_evidence(self) -> Evidence:
        """Quote the Lease with its age against the grace period."""
        at = f"Lease {NODE_LEASES}/{self.name} spec.renewTime"
        if self.renewed is None or self.age is None:
            gone = "no Lease" if self.beat is Beat.ABSENT else f"not seen: {self.why or 'not read'}"
            return Evidence("status", at, gone)
        age = human_duration(self.age) if self.age >= timedelta() else f"-{human_duration(-self.age)}"
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


Report = Literal[
    "runtime-down", "runtime-slow", "network", "shutdown", "starting", "csi", "capacity", "overload", "other"
]


@dataclass(frozen=True)
class SelfReport:
    """One reason that a kubelet gives for not being ready."""

    kind: Report
    words: str


_GRAMMAR: tuple[tuple[str, Report], ...] = (
    # pkg/kubelet/runtime.go, kubelet.go, pleg/, volume/csi/csi_plugin.go, nodestatus/setters.go; 1.28 to 1.37.
    ("container runtime status check may not have completed yet", "runtime-down"),
    ("container runtime is down", "runtime-down"),
    ("container runtime not ready:", "runtime-down"),
    ("PLEG is not healthy: pleg has yet to be successful", "starting"),
    ("PLEG is not healthy:", "runtime-slow"),
    ("EventedPLEG is not healthy:", "runtime-slow"),
    ("container runtime network not ready:", "network"),
    ("network state unknown", "network"),
    ("CSINode is not yet initialized", "csi"),
    ("failed to initialize CSINode", "csi"),
    ("node is shutting down", "shutdown"),
    ("missing node capacity for resources:", "capacity"),
)
# The kubelet joins several errors as "[a, b]" (NewAggregate) although the errors themselves hold ", ".
_BREAK = lazy(", (?=" + "|".join(re.escape(words) for words, _ in _GRAMMAR) + ")")


def parse_self_report(message: str) -> tuple[SelfReport, ...]:
    """Split the message of Ready=False (reason KubeletNotReady) into its reasons, in the kubelet's fixed order."""
    words = message.partition(". WARNING:")[0].strip()
    if words.startswith("[") and words.endswith("]"):
        words = words[1:-1]
    reports = []
    for part in _BREAK.split(words) if words else ():
        kind: Report = next((kind for start, kind in _GRAMMAR if part.startswith(start)), "other")
        reports.append(SelfReport(kind, part))
    return tuple(reports)


Dialled = Literal["answers", "refused", "timeout", "no-route", "tls", "rejected", "tunnel", "forbidden", "error"]


@dataclass(frozen=True)
class Probe:
    """What came of the API server's dial to the kubelet's port."""

    kind: Dialled
    words: str
    at: str


READINGS: dict[Dialled, str] = {
    "answers": "the kubelet runs and the API server reaches it: only the way back is cut",
    "refused": "the host answers, nothing listens on the kubelet's port",
    "timeout": "packets vanish: powered off, cut off, firewalled or frozen",
    "no-route": "no neighbour answers for the address: powered off or cut off on layer 2",
    "tls": "the host and the kubelet's port answer, the certificate is refused",
    "rejected": "the kubelet runs and rejects the API server's identity",
    "tunnel": "the tunnel of the control plane failed; it says nothing about the node",
    "forbidden": "not allowed to ask (nodes/proxy)",
    "error": "an answer that tells neither way",
}

# In the words of Go 1.2x's net and crypto packages, and of konnectivity.
_DIALS: tuple[tuple[str, Dialled], ...] = (
    # apimachinery util/proxy/transport.go wraps Go's net errors as "error trying to reach service: ...".
    (r"No agent available|error dialing backend", "tunnel"),
    (r"connection refused", "refused"),
    (r"no route to host|host is unreachable|EHOSTUNREACH", "no-route"),
    (r"x509:|tls: ", "tls"),
    (r"i/o timeout|deadline exceeded|Client\.Timeout|connection timed out", "timeout"),
    (r"Unauthorized|Forbidden \(user=", "rejected"),
)


def read_dial(words: str, status: int) -> Dialled:
    """Classify the answer of the API server's proxy to the kubelet."""
    if status == 200:
        return "answers"
    if status == 403 and "Forbidden (user=" not in words:
        return "forbidden"
    kind = next((kind for pattern, kind in _DIALS if re.search(pattern, words)), None)
    if kind is not None:
        return kind
    return "rejected" if status == 401 else "error"


def kubelet_path(node: str, what: str) -> str:
    """Return the URL path of a kubelet endpoint through the API server's proxy."""
    return f"/api/v1/nodes/{node}/proxy/{what}"


def _status_message(body: str) -> str:
    """Return the message of an API Status, where the body is one."""
    try:
        return text(json.loads(body), "message") if body.lstrip().startswith("{") else ""
    except (ValueError, RecursionError):
        return ""


def read_probe(snapshot: Snapshot, node: str) -> Probe | None:
    """Return what the dial to the kubelet gave; None when nobody tried, or the API server itself is too slow to tell.

    The API server dials for up to 30 s, so packets that vanish end in our own, shorter time limit.
    """
    need = Raw(kubelet_path(node, "healthz"))
    body, failure = snapshot.body(need.path), snapshot.failure(need)
    if body is not None:
        words = _status_message(body.text) or body.text.strip()[:300] or f"HTTP {body.status}"
        return Probe(read_dial(words, body.status), words, need.path)
    if failure is None or failure.why is Why.NOT_IN_DUMP:
        return None
    if failure.why is Why.TIMEOUT and failure.status == 0:
        slow = any(
            f.why is Why.TIMEOUT for n, f in snapshot.failures if not (isinstance(n, Raw) and "/proxy/" in n.path)
        )
        return None if slow else Probe("timeout", f"no answer: {failure}", need.path)
    if failure.why is Why.FORBIDDEN and failure.status != 401:
        return Probe(read_dial(failure.message, 403), str(failure), need.path)
    return Probe(read_dial(failure.message, failure.status or 503), str(failure), need.path)


Vote = Literal["alive", "gone", "silent", "open"]


@dataclass(frozen=True)
class Witness:
    """One source that speaks for or against the machine being alive."""

    what: str
    says: Vote
    """``silent`` is what a dead machine and a cut one have in common; ``open`` decides nothing."""
    age: timedelta | None
    detail: str
    moment: datetime | None = None
    machine: bool = False
    """It shows a process of this machine that reached the API server after the kubelet fell silent."""

    def row(self) -> tuple[str, str, str, str]:
        """Return the cells WITNESS, SAYS, AGE, DETAIL."""
        if self.age is None:
            age = "-"
        else:
            age = human_duration(self.age) if self.age >= timedelta() else f"-{human_duration(-self.age)}"
        return self.what, self.says, age, self.detail


SHUTDOWN_TAINT = "node.cloudprovider.kubernetes.io/shutdown"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


def taint(node: Obj, key: str) -> Obj:
    """Return the taint with this key, or an empty object."""
    return next((t for t in objects(node, "spec", "taints") if text(t, "key") == key), {})


def read_witnesses(
    node: Obj,
    contact: Contact,
    now: datetime,
    *,
    elections: Iterable[Obj] = (),
    pods: Iterable[Obj] = (),
    attachments: Iterable[Obj] = (),
    events: Events | None = None,
    probe: Probe | None = None,
) -> tuple[Witness, ...]:
    """Let everybody speak who knows something of this machine; ``elections`` are all Leases but those of nodes."""
    found = [_lease_witness(contact), _status_witness(node, now)]
    found.extend(_detector_witness(node, contact, now))
    found.extend(_held_leases(contact, now, elections, pods))
    found.extend(_event_witnesses(contact, now, events))
    for key, words in (
        (SHUTDOWN_TAINT, "the cloud says that the machine is powered off"),
        (OUT_OF_SERVICE, "an operator declared the machine out of service"),
    ):
        mark = taint(node, key)
        if mark:
            added = parse_time(mark.get("timeAdded"))
            found.append(Witness(f"taint {key}", "gone", now - added if added else None, words, added))
    attached = sorted(
        text(a, "spec", "source", "persistentVolumeName") or name_of(a)
        for a in attachments
        if text(a, "spec", "nodeName") == contact.name and dig(a, "status", "attached") is True
    )
    if attached:
        shown = ", ".join(attached[:3]) + (f" and {len(attached) - 3} more" if len(attached) > 3 else "")
        found.append(Witness("volumes attached", "open", None, shown))
    if probe is not None:
        votes: dict[Dialled, Vote] = {
            "answers": "alive",
            "refused": "alive",
            "tls": "alive",
            "rejected": "alive",
            "timeout": "silent",
            "no-route": "silent",
        }
        words = READINGS[probe.kind]
        if probe.kind == "answers" and not contact.silent:
            words = "the kubelet runs and the API server reaches it"
        found.append(Witness("kubelet port, dialled", votes.get(probe.kind, "open"), timedelta(), words, now))
    return tuple(found)


def _lease_witness(contact: Contact) -> Witness:
    what = f"Lease {NODE_LEASES}/{contact.name}"
    if contact.beat is Beat.UNSEEN:
        return Witness(what, "open", None, f"not seen: {contact.why or 'not read'}")
    if contact.beat is Beat.ABSENT:
        return Witness(what, "silent", None, "there is none: no kubelet renews it")
    grace = int(contact.grace.total_seconds())
    if contact.skew is not None:
        side = "ahead of" if contact.skew > timedelta() else "behind"
        shift = f"the kubelet's clock is about {human_duration(abs(contact.skew))} {side} the API server's"
        says: Vote = "alive" if contact.beat is Beat.FRESH else "silent"
        return Witness(what, says, contact.age, shift, contact.renewed)
    if contact.beat is Beat.FRESH:
        return Witness(what, "alive", contact.age, "renewed every 10s", contact.renewed)
    word = "past" if contact.beat is Beat.STALE else "within"
    return Witness(what, "silent", contact.age, f"{word} the grace period of {grace}s", contact.renewed)


def _status_witness(node: Obj, now: datetime) -> Witness:
    beat = parse_time(dig(condition(node, "Ready"), "lastHeartbeatTime"))
    note = "no heartbeat: written on change, else every 5 to 7 minutes"
    return Witness("status, last posted", "open", now - beat if beat else None, note, beat)


def _detector_witness(node: Obj, contact: Contact, now: datetime) -> Iterable[Witness]:
    """Node Problem Detector and cloud agents write their conditions themselves, without the kubelet."""
    beats = []
    for found in objects(node, "status", "conditions"):
        beat = parse_time(found.get("lastHeartbeatTime"))
        # A CNI writes NetworkUnavailable once at boot; the node controller never touches it.
        if beat is not None and text(found, "type") not in (*KUBELET_CONDITIONS, "NetworkUnavailable"):
            beats.append((beat, text(found, "type")))
    if not beats:
        return
    beat, kind = max(beats)
    age = now - beat
    after = contact.silent and contact.since is not None and beat > contact.since + timedelta(seconds=10)
    if age <= NPD_RESYNC:
        words = "its agent reached the API server" + (" after the kubelet fell silent" if after else "")
        yield Witness(f"agent, condition {kind}", "alive" if after else "open", age, words, beat, after)
    else:
        silent = contact.silent
        words = "its agent is silent too (stamps every 5 minutes)" if silent else "its agent stopped stamping it"
        yield Witness(f"agent, condition {kind}", "silent" if silent else "open", age, words, beat)


def _held_leases(contact: Contact, now: datetime, leases: Iterable[Obj], pods: Iterable[Obj]) -> Iterable[Witness]:
    """Leader election goes on without the kubelet: its holder is named after the pod or the host."""
    here = [p for p in pods if text(p, "spec", "nodeName") == contact.name]
    # Names like db-0 recur in other namespaces; a generated one does not.
    unique = {name_of(p) for p in here if text(controller_of(p), "kind") in ("ReplicaSet", "DaemonSet")} | {
        contact.name
    }
    placed = {(namespace_of(p), name_of(p)) for p in here}
    for lease in leases:
        holder = text(lease, "spec", "holderIdentity")
        name = holder.partition("_")[0]
        if name not in unique and (namespace_of(lease), name) not in placed:
            continue
        renewed = parse_time(dig(lease, "spec", "renewTime"))
        if renewed is None:
            continue
        duration = timedelta(seconds=min(max(number(lease, "spec", "leaseDurationSeconds") or 15, 1), 180))
        what = f"Lease {namespace_of(lease)}/{name_of(lease)}"
        age = now - renewed
        fresh = -SKEW <= age <= duration
        after = contact.silent and contact.since is not None and renewed > contact.since + timedelta(seconds=10)
        says: Vote = "alive" if fresh else "silent" if contact.silent else "open"
        yield Witness(what, says, age, f"held by {holder}, on this node", renewed, fresh and after)


def _event_witnesses(contact: Contact, now: datetime, events: Events | None) -> Iterable[Witness]:
    if events is None:
        return
    for reason, words in (("Rebooted", "the machine booted again"), ("Shutdown", "the kubelet saw a shutdown begin")):
        event = events.last(reason)
        if event is not None and event.last is not None:
            yield Witness(f"event {reason}", "open", now - event.last, words, event.last)
    if not contact.silent or contact.since is None:
        return
    later = [
        e
        for e in events.items
        if e.component not in ("node-controller", "taint-eviction-controller", "")
        and text(e.raw, "source", "host") == contact.name
        and e.last is not None
        and e.last > contact.since + timedelta(seconds=10)
    ]
    if later and later[-1].last is not None:
        last = later[-1]
        words = f"{last.component} on this host reported {last.reason} after the kubelet fell silent"
        recent = now - later[-1].last <= NPD_RESYNC
        yield Witness(
            "event from the host", "alive" if recent else "open", now - later[-1].last, words, last.last, recent
        )
