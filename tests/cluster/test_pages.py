"""A page of a list is read object by object, whatever the pieces are in which it comes."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubetriage.cluster.pages import PageReader
from kubetriage.needs import List
from kubetriage.values.resources import BY_PLURAL

PODS = [{"metadata": {"name": f"pod-{i}", "labels": {"app": "é"}}, "n": i} for i in range(7)]


def read(body: bytes, size: int = 10, shape=None) -> PageReader:
    reader = PageReader(List("pods", shape=shape), BY_PLURAL["pods"], "v1")
    assert reader(200, iter([body[i : i + size] for i in range(0, len(body), size)])) == b""
    return reader


@given(
    st.integers(1, 200),
    st.permutations(["kind", "apiVersion", "metadata", "items"]),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_any_order_and_any_pieces(size, order, indent, unicode):
    whole = {"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": "x", "n": 12}, "items": PODS}
    body = json.dumps({k: whole[k] for k in order}, indent=indent, ensure_ascii=not unicode).encode()
    page = read(body, size)
    assert (page.flaw, page.token, page.came) == ("", "x", 7)
    assert page.items == [{**pod, "apiVersion": "v1", "kind": "Pod"} for pod in PODS]


def test_what_the_shape_drops_is_counted():
    page = read(json.dumps({"kind": "PodList", "items": PODS}).encode(), shape=lambda p: p if p["n"] % 2 else None)
    assert [p["n"] for p in page.items] == [1, 3, 5]
    assert page.dropped == 4


@pytest.mark.parametrize(
    ("body", "flaw"),
    [
        ('{"kind": "PodList", "items": null}', ""),
        ('{"kind": "PodList"}', ""),
        ('{"kind": "PodList", "items": []}', ""),
        ('{"kind": "SecretList", "items": []}', "the answer is a SecretList, not a PodList"),
        ('{"items": 3}', "the answer is not a list of the API"),
        ("{}", "the answer is not a list of the API"),
        ('{"kind": "Status"}', "the answer is not a list of the API"),
        ('{"kind": "PodList", "items": [3]}', "the list holds what is no object, not only Pod objects"),
        ('{"kind": "PodList", "items": [{"kind": "Node"}]}', "the list holds Node, not only Pod objects"),
    ],
)
def test_what_is_no_list_of_these_objects_is_told(body, flaw):
    assert read(body.encode()).flaw == flaw


@pytest.mark.parametrize(
    "body",
    ["", "<html>", "[]", "3", '{"a"', '{"a": 1', '{"a": 1,}', '{"items": [{}', '{"items": [{},]}', "{} {}", "{1: 2}"],
)
def test_what_is_not_json_is_an_error(body):
    with pytest.raises(ValueError, match=r"."):
        read(body.encode())


def test_another_answer_is_handed_back():
    reader = PageReader(List("pods"), BY_PLURAL["pods"], "v1")
    assert reader(403, iter([b"no", b"pe"])) == b"nope"


def test_a_page_of_which_nothing_is_kept_takes_little():
    item = json.dumps({"metadata": {"name": "x"}, "spec": {"env": ["value"] * 300}}).encode()

    def pieces():
        yield b'{"kind":"PodList","items":['
        for i in range(5_000):
            yield (b"," if i else b"") + item
        yield b"]}"

    reader = PageReader(List("pods", shape=lambda _: None), BY_PLURAL["pods"], "v1")
    tracemalloc.start()
    reader(200, pieces())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reader.dropped == 5_000
    assert peak < len(item) * 5_000 / 5
