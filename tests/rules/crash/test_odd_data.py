"""Objects that are damaged, older or newer than anything known: no rule raises, whatever stands in them."""

import copy
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import evaluation
from kubetriage.rules.crash.case import ControllerCase
from support.objects import cluster, obj
from support.offline import CAPTURES, truths

LISTS = ("pods", "events", "replicasets", "deployments", "jobs", "configmaps", "secrets", "serviceaccounts", "nodes")
KINDS = {"replicasets": "ReplicaSet", "deployments": "Deployment", "jobs": "Job"}


def read(scenario, namespace):
    found = {}
    for plural in LISTS:
        path = CAPTURES / scenario / (f"{plural}.json" if plural == "nodes" else f"{namespace}/{plural}.json")
        found[plural] = json.loads(path.read_text())["items"] if path.exists() else []
    return found


RECORDED = [read(t.scenario, t.namespace) for t in truths("why-crash")]
ODD = st.sampled_from(
    [None, True, -1, 0, 2**70, 1.5, "", "x", "9" * 400, "1e9", [], [None], {}, {"": None}, ["a", {"name": 1}]]
)


def places(value, path=()):
    """Yield the path of everything inside a JSON value."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def put(value, path, new):
    for step in path[:-1]:
        value = value[step]
    if new is KeyError and isinstance(value, dict):
        del value[path[-1]]
    else:
        value[path[-1]] = None if new is KeyError else copy.deepcopy(new)


@st.composite
def damaged(draw):
    """One recorded scenario with a few places overwritten or removed."""
    lists = copy.deepcopy(draw(st.sampled_from(RECORDED)))
    for _ in range(draw(st.integers(1, 4))):
        items = lists[draw(st.sampled_from([p for p in LISTS if lists[p]]))]
        item = draw(st.sampled_from(items))
        inner = [p for p in places(item) if p and p[0] not in ("kind", "apiVersion")]
        if inner:
            put(item, draw(st.sampled_from(inner)), draw(st.one_of(ODD, st.just(KeyError))))
    return lists


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(damaged())
def test_no_rule_raises(lists):
    objects = [item for items in lists.values() for item in items if isinstance(item, dict)]
    for item in objects:
        item.setdefault("kind", "Unknown")
    made = cluster(*[o for o in objects if isinstance(o.get("metadata"), dict)])
    for raw in lists["pods"]:
        pod = Pod(raw)
        list(evaluation.pod_needs(made, pod))
        for finding in evaluation.diagnose_pod(made, pod):
            assert finding.message
            assert finding.cause
    for plural, kind in KINDS.items():
        for raw in lists[plural]:
            case = ControllerCase(raw, kind, made, tuple(Pod(p) for p in lists["pods"]))
            list(evaluation.controller_needs(case))
            evaluation.diagnose_controller(case)


TEXT = st.text(st.characters(codec="utf-8"), max_size=60)
WORDS = st.one_of(
    TEXT,
    st.builds("0/{} nodes are available: {}".format, TEXT, TEXT),
    st.builds('Back-off pulling image "{}": ErrImagePull: {}'.format, TEXT, TEXT),
    st.builds('MountVolume.SetUp failed for volume "{}" : {}'.format, TEXT, TEXT),
    st.builds('Error creating: pods "{}" is forbidden: exceeded quota: {}'.format, TEXT, TEXT),
    st.builds("OCI runtime create failed: {}: unknown".format, TEXT),
)
REASONS = st.sampled_from(
    ["ImagePullBackOff", "ErrImagePull", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError",
     "RunContainerError", "ImageInspectError", "CrashLoopBackOff", "ContainerCreating", "ErrImageNeverPull"]
)  # fmt: skip
EVENTS = st.sampled_from(
    [
        "Failed",
        "FailedMount",
        "FailedAttachVolume",
        "FailedCreatePodSandBox",
        "FailedScheduling",
        "Evicted",
        "Preempted",
    ]
)


@settings(max_examples=60, deadline=None)
@given(REASONS, EVENTS, WORDS, WORDS, WORDS)
def test_no_words_of_the_cluster_raise(waiting, reason, message, said, status_message):
    raw = {
        "kind": "Pod",
        "metadata": {"name": "api", "namespace": "shop", "uid": "uid-api"},
        "spec": {"containers": [{"name": "app", "image": said}], "nodeName": "node-1"},
        "status": {
            "phase": "Pending",
            "reason": "Evicted" if len(said) % 2 else "",
            "message": status_message,
            "conditions": [{"type": "PodScheduled", "status": "False", "message": status_message}],
            "containerStatuses": [{"name": "app", "state": {"waiting": {"reason": waiting, "message": message}}}],
        },
    }
    event = obj("Event", "e", involvedObject={"uid": "uid-api", "name": "api"}, reason=reason, message=said)
    for node in ("node-1", ""):
        raw["spec"]["nodeName"] = node
        made = cluster(raw, event)
        list(evaluation.pod_needs(made, Pod(raw)))
        evaluation.diagnose_pod(made, Pod(raw))
    owner = obj("ReplicaSet", "api-1", spec={"replicas": 1}, status={})
    refused = obj("Event", "f", involvedObject={"uid": "uid-replicaset-api-1"}, reason="FailedCreate", message=said)
    evaluation.diagnose_controller(ControllerCase(owner, "ReplicaSet", cluster(owner, refused)))
