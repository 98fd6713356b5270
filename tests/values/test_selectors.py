import pytest

from kubetriage.values.selectors import field_selector_matches, label_selector_matches, parse_label_selector

LABELS = {"app": "web", "tier": "front", "rank": "3"}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier=front", True),
        ("app=web,tier=back", False),
        ("app!=web", False),
        ("other!=web", True),
        ("app in (web, api)", True),
        ("app notin (web,api)", False),
        ("other notin (x)", True),
        ("app", True),
        ("!app", False),
        ("!other", True),
        ("rank>2", True),
        ("rank<2", False),
        ("app>2", False),
        ("app.kubernetes.io/name=web", False),
    ],
)
def test_label_selectors(selector, matches):
    assert label_selector_matches(selector, LABELS) is matches


@pytest.mark.parametrize("selector", ["=", "a=b=c", "a in b", "a in (b", "!!a"])
def test_unreadable_label_selectors_match_nothing(selector):
    assert not label_selector_matches(selector, LABELS)
    with pytest.raises(ValueError, match="unable to parse"):
        parse_label_selector(selector)


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        ("status.phase=Running", True),
        ("status.phase==Running,spec.nodeName=n1", True),
        ("status.phase!=Running", False),
        ("spec.nodeName!=n2", True),
        ("metadata.name=", True),
        ("nonsense", False),
    ],
)
def test_field_selectors(selector, matches):
    obj = {"status": {"phase": "Running"}, "spec": {"nodeName": "n1"}}
    assert field_selector_matches(selector, obj) is matches
