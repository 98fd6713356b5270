"""Packed objects answer as the ones that they were made of."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubetriage.values.fields import condition, dig, labels, name_of, objects, text
from kubetriage.values.packed import Packed, packing

_KEYS = st.sampled_from(["metadata", "spec", "status", "data", "kind", "name", "labels", "a"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
_PARTS = st.dictionaries(_KEYS, _VALUES, max_size=4)
_OBJECTS = st.dictionaries(_KEYS, _PARTS | _VALUES, max_size=5)


def plain(value: Any) -> Any:
    return {k: plain(v) for k, v in value.items()} if isinstance(value, Packed) else value


@given(st.lists(_OBJECTS, max_size=5))
def test_what_was_packed_is_read_as_it_was(raws):
    pack = packing(lambda raw: raw)
    for raw, packed in [(raw, pack(raw)) for raw in raws]:
        # A part that is no object is no part of anything that the API knows.
        known = {k: v for k, v in raw.items() if isinstance(v, dict) or k not in ("metadata", "spec", "status")}
        assert plain(packed) == known
        assert list(packed) == list(known)
        assert packed == known


def test_readers_of_fields_see_no_difference():
    raw = {
        "kind": "Pod",
        "metadata": {"name": "a", "labels": {"app": "shop"}, "annotations": None},
        "spec": {"containers": [{"name": "app"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    packed = packing(lambda o: o)(raw)
    assert isinstance(packed, Packed)
    assert name_of(packed) == "a"
    assert labels(packed, "metadata", "labels") == {"app": "shop"}
    assert objects(packed, "spec", "containers") == [{"name": "app"}]
    assert text(condition(packed, "Ready"), "status") == "True"
    assert dig(packed, "metadata", "annotations", "x") is None
    assert dig(packed, "spec", 0) is None
    assert {**packed, "kind": "Node"}["kind"] == "Node"
    assert "spec" in packed
    assert "data" not in packed


def test_what_is_long_is_read_as_it_was():
    raw = {"kind": "EndpointSlice", "endpoints": [{"addresses": [f"10.0.0.{i}"], "nodeName": "é"} for i in range(99)]}
    assert packing(lambda o: o)(raw) == raw


def test_what_a_shape_drops_stays_dropped():
    assert packing(lambda _: None)({"metadata": {}}) is None


def test_objects_that_are_alike_take_a_fraction():
    text_of = json.dumps({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"env": ["v"] * 50}]}})

    def held(shape):
        tracemalloc.start()
        kept = [shape({**json.loads(text_of), "kind": "Pod"}) for _ in range(1_000)]
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(kept) == 1_000
        return size

    assert held(packing(lambda raw: raw)) < held(lambda raw: raw) / 4
