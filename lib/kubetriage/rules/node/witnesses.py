"""Who speaks for or against a machine being alive, beside its kubelet's Lease."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from kubetriage.readers.events import Events
from kubetriage.readers.kubelet_contact import KUBELET_CONDITIONS, NODE_LEASES, SKEW, Beat, Contact
from kubetriage.records import dataclass
from kubetriage.rules.node.kubelet_probe import READINGS, Dialled, Probe
from kubetriage.rules.node.node_taints import OUT_OF_SERVICE, SHUTDOWN_TAINT, taint
from kubetriage.typed import Literal
from kubetriage.values.fields import Obj, condition, controller_of, dig, name_of, namespace_of, number, objects, text
from kubetriage.values.times import human_duration, parse_time

NPD_RESYNC = timedelta(minutes=6)
"""Node Problem Detector stamps its conditions at least every 5 minutes (cmd/options/options.go)."""
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
        found.append(Witness("kubelet port (via API server)", votes.get(probe.kind, "open"), timedelta(), words, now))
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
    note = "not a heartbeat: the kubelet posts it on change, else every 5 to 7 minutes"
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
