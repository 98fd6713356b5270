"""The recorded pods that never started, told by other versions and runtimes, and with less to see.

Each teller rewrites the pods and events of a capture as another kubelet, scheduler, runtime or time would have.
"""

import json
import re

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.plugins import Request, load
from support.offline import CAPTURES, target, truth

IMAGES = ("img-invalid", "img-not-found", "img-ratelimit", "img-registry-dns", "img-unauthorized")
STARTS = ("exec-not-found", "exec-permission")
SHELLS = ("cmd-not-found-shell", "exec-format")
REFERENCES = ("cm-missing-env", "secret-key-missing", "secret-missing-env", "run-as-non-root")
VOLUMES = ("cm-missing-volume",)
SCHEDULING = ("unsched-memory", "unsched-nodeselector", "unsched-pvc")
OTHERS = ("evicted-emptydir", "quota-blocked", "job-backoff")
ALL = (*IMAGES, *STARTS, *SHELLS, *REFERENCES, *VOLUMES, *SCHEDULING, *OTHERS)


def container_statuses(pods):
    return [s for pod in pods for s in pod["status"].get("containerStatuses", ())]


def as_recorded(pods, events):
    """Kubernetes 1.36 with containerd 1.6, as recorded."""


def new_event_shape(pods, events):
    """Write all events as the recorder of events.k8s.io does."""
    for event in events:
        if event.get("lastTimestamp"):
            event["series"] = {"count": event.get("count") or 1, "lastObservedTime": event["lastTimestamp"]}
            event.update(eventTime=event["firstTimestamp"], firstTimestamp=None, lastTimestamp=None, count=0, source={})


def folded_events(pods, events):
    """A busy recorder folds similar events into one."""
    for event in events:
        event["message"] = f"(combined from similar events): {event['message']}"


def events_expired(pods, events):
    """More than an hour later: no events are left."""
    events.clear()


def cause_in_events_only(pods, events):
    """Kubelets that write no cause into the status while they back off."""
    for status in container_statuses(pods):
        waiting = status["state"].get("waiting", {})
        if waiting.get("reason") == "ImagePullBackOff":
            waiting["message"] = waiting["message"].partition(": ErrImagePull")[0]


def first_try(pods, events):
    """The first pull: ErrImagePull with the error itself."""
    for status in container_statuses(pods):
        waiting = status["state"].get("waiting", {})
        if waiting.get("reason") == "ImagePullBackOff":
            waiting.update(reason="ErrImagePull", message=waiting["message"].partition("ErrImagePull: ")[2])


def grpc_wrapped(pods, events):
    """Older kubelets keep the gRPC wrapping of every runtime error."""
    for status in container_statuses(pods):
        waiting = status["state"].get("waiting", {})
        if "ErrImagePull: " in waiting.get("message", ""):
            head, lead, tail = waiting["message"].partition("ErrImagePull: ")
            waiting["message"] = f"{head}{lead}rpc error: code = Unknown desc = {tail}"


def words_of(end):
    return end["message"].partition("unable to start container process: ")[2].removesuffix(": unknown")


def cri_o(pods, events):
    """CRI-O fails to create and leaves no ended instance."""
    for status in container_statuses(pods):
        end = status["lastState"]["terminated"]
        words = words_of(end).replace('"', '\\"')
        message = f'container create failed: time="2026-11-23T22:15:33Z" level=error msg="runc create failed: {words}"'
        status["state"] = {"waiting": {"reason": "CreateContainerError", "message": message}}
        status["lastState"] = {}
    events[:] = [e for e in events if e["reason"] not in ("Failed", "BackOff")]


def cri_dockerd(pods, events):
    """cri-dockerd ends the instance with ContainerCannotRun and the shell's codes."""
    for status in container_statuses(pods):
        end = status["lastState"]["terminated"]
        code = 126 if "permission denied" in end["message"] else 127
        message = end["message"].replace("failed to create containerd task: ", "")
        end.update(reason="ContainerCannotRun", exitCode=code, message=message, startedAt=end["finishedAt"])


def terminated_still_current(pods, events):
    """1.35 and newer leave the terminated state current while the back-off runs."""
    for status in container_statuses(pods):
        status["state"], status["lastState"] = status["lastState"], {}


def old_scheduler(pods, events):
    """1.28 to 1.32 say nothing of claims before they speak of preemption."""
    for texts in ([c for p in pods for c in p["status"]["conditions"]], events):
        for holder in texts:
            if "message" in holder:
                holder["message"] = re.sub(r" no new claims to deallocate,", "", holder["message"])


def no_condition_yet(pods, events):
    """The event comes before the condition."""
    for pod in pods:
        pod["status"]["conditions"] = []


def no_status_message(pods, events):
    """A status without words: the event has them."""
    for pod in pods:
        pod["status"].pop("message", None)


TOLD = [
    *((s, teller) for s in ALL for teller in (as_recorded, new_event_shape, folded_events)),
    *((s, events_expired) for s in (*IMAGES, *STARTS, *SHELLS, *REFERENCES, *SCHEDULING, "evicted-emptydir")),
    *((s, teller) for s in IMAGES[1:] for teller in (cause_in_events_only, first_try, grpc_wrapped)),
    *((s, teller) for s in STARTS for teller in (cri_o, cri_dockerd)),
    *((s, terminated_still_current) for s in (*STARTS, *SHELLS)),
    *((s, teller) for s in SCHEDULING for teller in (old_scheduler, no_condition_yet)),
    ("evicted-emptydir", no_status_message),
]


@pytest.mark.parametrize(("scenario", "teller"), TOLD, ids=lambda v: v if isinstance(v, str) else v.__name__)
def test_the_same_story_in_other_words(tmp_path, scenario, teller):
    expected = truth(scenario)
    source = CAPTURES / scenario
    told = {}
    for path in source.rglob("*"):
        copy = tmp_path / path.relative_to(source)
        if path.is_dir() or "raw" in path.parts:
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
        if path.name in ("pods.json", "events.json"):
            told[path.name] = (copy, json.loads(path.read_text()))
    pods = told.get("pods.json", (None, {"items": []}))[1]["items"]
    teller(pods, told["events.json"][1]["items"])
    for copy, content in told.values():
        copy.write_text(json.dumps(content))
    request = Request(targets=(target(expected.target),), namespace=expected.namespace)
    _, answer = collect(load("why-crash"), request, RecordedReader(tmp_path))
    found = answer.diagnoses[0]
    assert found.cause in expected.causes
    assert found.findings[0].object.container == expected.container
