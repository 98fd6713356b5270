"""Selectors: what matches, and the smallest edit that would."""

import pytest

from kubetriage.rules.service.selector_edits import matches_labels, selector_edit, selects


def test_an_empty_service_selector_selects_nothing():
    assert not selects({}, {"app": "web"})


def test_an_empty_label_selector_matches_everything_and_an_absent_one_nothing():
    assert matches_labels({}, {"app": "web"})
    assert not matches_labels(None, {"app": "web"})


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("In", ["web", "api"], True),
        ("In", ["db"], False),
        ("NotIn", ["db"], True),
        ("NotIn", ["web"], False),
        ("Exists", None, True),
        ("DoesNotExist", None, False),
        ("Near", ["web"], False),
    ],
)
def test_match_expressions(operator, values, expected):
    selector = {"matchExpressions": [{"key": "app", "operator": operator, "values": values}]}
    assert matches_labels(selector, {"app": "web"}) is expected


@pytest.mark.parametrize(
    ("selector", "labels", "change"),
    [
        ({"app": "wbe"}, {"app": "web", "pod-template-hash": "77"}, "app=wbe -> app=web"),
        ({"app": "web", "version": "v2"}, {"app": "web", "version": "v1"}, "version=v2 -> version=v1"),
        ({"app": "web"}, {"name": "web"}, "app=web -> name=web"),
        (
            {"service": "cart", "current_service_name": "cart"},
            {"service": "cart"},
            "drop current_service_name=cart",
        ),
    ],
)
def test_the_minimal_edit(selector, labels, change):
    edit = selector_edit(selector, labels)
    assert edit is not None
    assert str(edit) == change


def test_another_application_is_no_near_miss():
    assert selector_edit({"app": "web"}, {"app": "postgres"}) is None


def test_the_patch_removes_a_renamed_key():
    edit = selector_edit({"app": "web"}, {"name": "web"})
    assert edit is not None
    assert edit.patch == {"app": None, "name": "web"}
