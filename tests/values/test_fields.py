from hypothesis import given
from hypothesis import strategies as st

from kubetriage.values.fields import controller_of, dig, flag, labels, mapping, number, objects, text, texts

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
PATH = st.lists(st.sampled_from(["a", "b", "c", 0, 1, -1]), max_size=4)


@given(JSON, PATH)
def test_every_access_gives_its_own_type(value, path):
    assert isinstance(text(value, *path), str)
    assert number(value, *path) is None or isinstance(number(value, *path), int)
    assert flag(value, *path) in (None, True, False)
    assert all(isinstance(o, dict) for o in objects(value, *path))
    assert all(isinstance(s, str) for s in texts(value, *path))
    assert all(isinstance(k, str) and isinstance(v, str) for k, v in labels(value, *path).items())
    assert dict(mapping(value, *path)) == mapping(value, *path)
    assert isinstance(controller_of(value) if isinstance(value, dict) else {}, dict)


def test_follows_keys_and_indexes():
    value = {"a": [{"b": "x"}], "n": 3.0, "t": True}
    assert dig(value, "a", 0, "b") == "x"
    assert dig(value, "a", 1, "b") is None
    assert number(value, "n") == 3
    assert number(value, "t") is None
    assert flag(value, "t") is True
