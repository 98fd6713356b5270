"""No damaged object makes the readers and rules of nodes raise."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kubetriage.plugins import Request, load
from support.nodes import LEADERS, condition, lease, lost, node, pod, triage, world

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True),
    st.text(max_size=8),
    st.sampled_from(["True", "Unknown", "Exists", "NoExecute", "9999999999999999999", "2026-11-24T12:00:00Z", "10%"]),
)


def nested(inner: Any) -> Any:
    return st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3))


JSON = st.recursive(SCALARS, nested)
KEPT = ((), ("metadata",), ("metadata", "name"), ("metadata", "namespace"))


def paths(value: Any, here: tuple = ()) -> list[tuple]:
    found = [here]
    if isinstance(value, dict):
        found += [p for k, v in value.items() for p in paths(v, (*here, k))]
    elif isinstance(value, list):
        found += [p for i, v in enumerate(value) for p in paths(v, (*here, i))]
    return found


def replaced(value: Any, path: tuple, new: Any) -> Any:
    if not path:
        return new
    if isinstance(value, dict):
        return {**value, path[0]: replaced(value[path[0]], path[1:], new)}
    return [replaced(v, path[1:], new) if i == path[0] else v for i, v in enumerate(value)]


@st.composite
def damaged(draw, original):
    found = original
    for _ in range(draw(st.integers(1, 3))):
        choices = [p for p in paths(found) if p not in KEPT]
        found = replaced(found, draw(st.sampled_from(choices)), draw(JSON))
    return found


DEADLOCK = condition("KernelDeadlock", "True", "r", "m")
NODE = lost(zone="a", conditions=[DEADLOCK], annotations={"cluster.x-k8s.io/machine": "m"})
PODS = [
    pod("a", deleted=-60, volumes=[{"persistentVolumeClaim": {"claimName": "c"}}]),
    pod("b", owner=("Job", "j"), deleted=-60),
    pod("c", owner=("StatefulSet", "s")),
]


@settings(max_examples=100, deadline=None)
@given(damaged(NODE), damaged(lease("n1", -90)), damaged(LEADERS[0]), damaged(PODS[0]), damaged(PODS[1]))
def test_damaged_objects_never_raise(raw, own, leader, first, second):
    snapshot = world([raw, node("n2")], [own, leader, lease("n2", -5)], [first, second, PODS[2]])
    request = Request(options={})
    assert list(load("node-triage").plan(snapshot, request))
    answer = triage(snapshot, show_all=True)
    assert len(answer.diagnoses) == 2
