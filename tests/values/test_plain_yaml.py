"""The quick reader of kubeconfigs says what a YAML parser says, or nothing."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kubetriage.values.plain_yaml import plain_yaml

KUBEADM = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUM=
    server: https://10.0.0.1:6443
  name: kubernetes
- cluster:
    insecure-skip-tls-verify: true
    server: "https://[fd00::1]:6443/k8s/clusters/c-m-x7"
  name: arn:aws:eks:eu-west-1:111122223333:cluster/prod
contexts:
- context:
    cluster: kubernetes
    namespace: shop
    user: kubernetes-admin
  name: kubernetes-admin@kubernetes
current-context: kubernetes-admin@kubernetes
kind: Config
preferences: {}
users:
- name: kubernetes-admin
  user:
    client-certificate-data: LS0tLS1CRUdJTg==
    client-key-data: LS0tLS1CRUdJTg==
- name: eks
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1beta1
      args:
      - --region
      - eu-west-1
      - eks
      - get-token
      command: aws
      env: null
      interactiveMode: IfAvailable
      provideClusterInfo: false
"""
INDENTED = """\
# written by hand
apiVersion: v1
kind: Config
clusters:
  - name: home
    cluster:
      server: https://home.example:6443
users:
  - name: me
    user:
      token: 'abc'
contexts: []
"""


def parsed(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return yaml.YAMLError


@pytest.mark.parametrize("text", [KUBEADM, INDENTED], ids=["kubectl", "by-hand"])
def test_what_tools_write_is_read(text: str) -> None:
    assert plain_yaml(text) == parsed(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: 1",
        "a: 0x1F",
        "a: 1_000",
        "a: .inf",
        "a: 2024-01-01",
        "a: 12:30:45",
        "a: yes",
        "a: No",
        "a: ~",
        "a: *anchor",
        "a: &x b",
        "a: !!str b",
        "a: |\n  text",
        "a: >-\n  text",
        "a: b\n  c",
        "a: {b: c}",
        "a: [b]",
        "a: b # comment",
        'a: "b\\n"',
        "a: 'it''s'",
        "a:\tb",
        "a: b: c",
        "a: b:",
        "- - a",
        "a: b\na: c",
        "yes: a",
        "a: b\n---\nc: d",
        "%YAML 1.1\n---\na: b",
        "<<: a",
        "a: x\u00e9",
        "a:\n    b: c\n  d: e",
        "- a\nb: c",
        "a:\n- b\n c",
        "a: =",
        "a: \x07",
    ],
)
def test_everything_else_is_left_to_the_parser_or_means_the_same(text: str) -> None:
    assert plain_yaml(text) in (None, parsed(text))


names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-./@:_ ", min_size=1, max_size=12)
scalars = st.one_of(
    names, st.booleans(), st.none(), st.just("https://10.0.0.1:6443"), st.just("LS0tLS1CRUdJTg=="), st.integers()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=12
)


@given(st.dictionaries(names, values, min_size=1, max_size=4), st.booleans())
def test_what_a_writer_makes_of_any_value_means_the_same(value: dict[str, Any], flow: bool) -> None:
    text = yaml.safe_dump(value, default_flow_style=None if flow else False)
    assert plain_yaml(text) in (None, parsed(text))


@settings(max_examples=400)
@given(st.sampled_from([KUBEADM, INDENTED]), st.data())
def test_no_edit_makes_it_say_something_else(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 4))
        new = data.draw(st.text("ab1 :-#\"'{}[]|>&*!%@`~,?\n\\yesno.", max_size=4))
        text = text[:at] + new + text[at + cut :]
    found = plain_yaml(text)
    assert found is None or found == parsed(text)


@settings(max_examples=300)
@given(st.text("ab1 :-\n\"'#.[]{}", max_size=40))
def test_no_text_is_read_otherwise(text: str) -> None:
    found = plain_yaml(text)
    assert found is None or found == parsed(text)
