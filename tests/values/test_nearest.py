import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubetriage.values.nearest import edit_distance, nearest


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("ab", "ba", 1), ("disktype", "disktype", 0)],
)
def test_edit_distance(one, other, distance):
    assert edit_distance(one, other) == distance


@pytest.mark.parametrize(
    ("wanted", "candidates", "expected"),
    [
        ("db-credential", ["db-credentials", "web-tls"], "db-credentials"),
        ("passwd", ["username", "password"], "password"),
        ("DB_PASSWORD", ["db-password", "db-user"], "db-password"),
        ("app-db-credentials", ["db-credentials", "cache"], "db-credentials"),
        ("config", ["secret", "queue"], ""),
        ("a", ["b"], ""),
        ("data", [], ""),
    ],
)
def test_nearest(wanted, candidates, expected):
    assert nearest(wanted, candidates) == expected


@settings(max_examples=60)
@given(st.text("abc-", max_size=8), st.text("abc-", max_size=8))
def test_distance_is_symmetric_and_bounded(one, other):
    distance = edit_distance(one, other)
    assert distance == edit_distance(other, one)
    assert abs(len(one) - len(other)) <= distance <= max(len(one), len(other))
