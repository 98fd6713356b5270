"""The recorded kills told in the words of other versions and runtimes, and with less to see.

Each teller takes the lists of a capture and writes them as another kubelet, runtime or time would have.
"""

import copy
import json

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.plugins import Request, Target, load
from support.offline import CAPTURES, truth

KILLS = (
    "exit0-loop",
    "init-fail",
    "liveness-kill-137",
    "liveness-slow-start",
    "liveness-wrong-port",
    "oom-limit",
    "poststart-fail",
    "readiness-fail",
    "recovered",
    "sigsegv",
    "startup-probe",
)


def statuses(pods):
    for pod in pods["items"]:
        for key in ("containerStatuses", "initContainerStatuses"):
            yield from pod["status"].get(key, ())


def as_recorded(pods, events):
    """Kubernetes 1.36 with containerd, as recorded."""


def terminated_state_still_current(pods, events):
    """1.35 and newer leave the terminated state current while the back-off runs, and say no duration."""
    for status in statuses(pods):
        if status["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff":
            status["state"] = status["lastState"]
            status["lastState"] = {}


def old_event_words(pods, events):
    """1.28 to 1.35 name the container in Created, Started and Pulled; BackOff lacked names before 1.26."""
    for event in events["items"]:
        if event["reason"] in ("Created", "Started"):
            event["message"] = f"{event['reason']} container app"
        if event["reason"] == "BackOff":
            event["message"] = "Back-off restarting failed container"


def new_event_shape(pods, events):
    """Write all events as the recorder of events.k8s.io does: no timestamps but eventTime and series."""
    for event in events["items"]:
        if event.get("lastTimestamp"):
            count = event.get("count") or 1
            if count > 1:
                event["series"] = {"count": count, "lastObservedTime": event["lastTimestamp"]}
            event["eventTime"] = event["firstTimestamp"] if count > 1 else event["lastTimestamp"]
            event.update(firstTimestamp=None, lastTimestamp=None, count=0)
            event["reportingComponent"] = event.get("source", {}).get("component", "")
            event["source"] = {}


def cri_dockerd(pods, events):
    """Write the statuses as cri-dockerd does: docker:// ids, and the same codes and reasons."""
    for status in statuses(pods):
        for state in (status["state"], status["lastState"]):
            if "terminated" in state:
                state["terminated"]["containerID"] = "docker://0a1b2c"


def cri_o(pods, events):
    """CRI-O fills a message for killed containers in some versions and uses its own ids."""
    for status in statuses(pods):
        for state in (status["state"], status["lastState"]):
            if "terminated" in state:
                state["terminated"]["containerID"] = "cri-o://0a1b2c"
                if state["terminated"]["exitCode"] == 137:
                    state["terminated"]["message"] = ""


def a_busy_recorder(pods, events):
    """Drop the newest kills, as the spam filter of the recorder does: folded events end before the last instance."""
    for event in events["items"]:
        if event["reason"] == "Killing" and event.get("count", 0) > 1:
            event["count"] -= 1


def events_expired(pods, events):
    """More than an hour later: no events are left."""
    events["items"] = []


WEAKER = {
    # Without events the sender is judged by lifetime.
    ("events_expired", "poststart-fail"): ("PostStartHookFailed", "KilledBySignal"),
    ("events_expired", "liveness-slow-start"): ("LivenessKillsSlowStart", "LivenessProbeFailed"),
}


@pytest.mark.parametrize("scenario", KILLS)
@pytest.mark.parametrize(
    "teller",
    [
        as_recorded,
        terminated_state_still_current,
        old_event_words,
        new_event_shape,
        cri_dockerd,
        cri_o,
        a_busy_recorder,
        events_expired,
    ],
)
def test_the_same_kill_in_other_words(tmp_path, scenario, teller):
    expected = truth(scenario)
    folder = tmp_path / scenario
    source = CAPTURES / scenario
    (folder / expected.namespace).mkdir(parents=True)
    (folder / "captured-at").write_text((source / "captured-at").read_text())
    read = {}
    for name in ("pods", "events"):
        path = source / expected.namespace / f"{name}.json"
        read[name] = json.loads(path.read_text()) if path.exists() else {"items": []}
    told = copy.deepcopy(read)
    teller(told["pods"], told["events"])
    for name, lists in told.items():
        (folder / expected.namespace / f"{name}.json").write_text(json.dumps(lists))
    for log in (source / expected.namespace).glob("*/*.log"):
        to = folder / expected.namespace / log.parent.name / log.name
        to.parent.mkdir(exist_ok=True)
        to.write_text(log.read_text())
    request = Request(targets=(Target("pods", "api"),), namespace=expected.namespace)
    _, answer = collect(load("why-crash"), request, RecordedReader(folder))
    assert not answer.errors
    diagnosis = answer.diagnoses[0]
    allowed = WEAKER.get((teller.__name__, scenario), expected.causes[:1])
    assert diagnosis.cause in allowed, [(f.cause, f.message) for f in diagnosis.findings]
    if diagnosis.findings:
        assert diagnosis.findings[0].object.container in (expected.container, "")
