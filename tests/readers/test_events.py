from datetime import datetime, timezone

import pytest

from kubetriage.found import Listing
from kubetriage.readers.events import Events, node_event_need, node_events, read_event
from kubetriage.snapshot import Snapshot

NOW = datetime(2026, 1, 1, 11, 0, tzinfo=timezone.utc)
CORE = {
    "metadata": {"creationTimestamp": "2026-01-01T10:00:00Z"},
    "involvedObject": {"uid": "u", "fieldPath": "spec.containers{app}"},
    "reason": "BackOff",
    "message": "(combined from similar events): Back-off restarting",
    "type": "Warning",
    "count": 12,
    "firstTimestamp": "2026-01-01T10:00:00Z",
    "lastTimestamp": "2026-01-01T10:30:00Z",
    "source": {"component": "kubelet"},
    "eventTime": None,
}
NEW = {
    "metadata": {"creationTimestamp": "2026-01-01T10:00:00Z"},
    "involvedObject": {"uid": "u", "fieldPath": "spec.initContainers{init}"},
    "reason": "BackOff",
    "message": "Back-off restarting",
    "type": "Warning",
    "count": 0,
    "firstTimestamp": None,
    "lastTimestamp": None,
    "source": {},
    "eventTime": "2026-01-01T10:00:01.000001Z",
    "series": {"count": 7, "lastObservedTime": "2026-01-01T10:31:00.000000Z"},
    "reportingComponent": "kubelet",
}
V1 = {
    "metadata": {"creationTimestamp": "2026-01-01T10:00:00Z"},
    "regarding": {"uid": "u", "fieldPath": "spec.containers{app}"},
    "reason": "BackOff",
    "note": "Back-off restarting",
    "type": "Warning",
    "deprecatedCount": 3,
    "deprecatedFirstTimestamp": "2026-01-01T10:00:00Z",
    "deprecatedLastTimestamp": "2026-01-01T10:32:00Z",
    "reportingController": "kubelet",
}


@pytest.mark.parametrize(
    ("raw", "container", "count", "minute"), [(CORE, "app", 12, 30), (NEW, "init", 7, 31), (V1, "app", 3, 32)]
)
def test_reads_both_shapes_alike(raw, container, count, minute):
    event = read_event(raw)
    assert (event.container, event.count, event.warning, event.component) == (container, count, True, "kubelet")
    assert event.message == "Back-off restarting"
    assert event.last == datetime(2026, 1, 1, 10, minute, tzinfo=timezone.utc)


def test_events_are_in_time_order_and_chosen_by_reason_and_container():
    events = Events.of(Listing((V1, CORE, NEW, {"reason": "Odd", "metadata": {}}), True))
    assert [e.container for e in events.select("BackOff")] == ["app", "init", "app"]
    last = events.last("BackOff", container="app")
    assert last is not None
    assert last.count == 3
    assert events.last("BackOff", matching="no such") is None


def _about_node(reason: str, uid: str, name: str = "node-1") -> dict[str, object]:
    about = {"kind": "Node", "name": name, "uid": uid}
    return {"metadata": {"name": f"{name}.{reason}", "namespace": "default"}, "involvedObject": about, "reason": reason}


def test_events_of_a_node_are_found_by_name_whatever_uid_they_are_filed_under() -> None:
    made = Snapshot(NOW)
    events = [
        _about_node("FromKubelet", ""),
        _about_node("FromOlderKubelet", "node-1"),
        _about_node("FromController", "uid-1"),
        _about_node("OfItsPredecessor", "uid-0"),
        _about_node("OfAnother", "", "node-2"),
    ]
    made.add_list(node_event_need("node-1"), events)
    own = {"FromKubelet", "FromOlderKubelet", "FromController"}
    assert {e.reason for e in node_events(made, "node-1", "uid-1").items} == own
    assert {e.reason for e in node_events(made, "node-1").items} == own | {"OfItsPredecessor"}
    assert node_events(made, "node-1").seen
    assert not node_events(made, "node-2").seen
