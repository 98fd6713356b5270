"""The short reader of kubeconfigs agrees with the whole one, or says nothing."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kubetriage.cluster.plain_yaml import parse_plain

KUBECONFIG = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: LS0tLS1CRUdJTi=
    server: https://10.0.0.1:6443
  name: kind-kind
- cluster:
    insecure-skip-tls-verify: true
    server: 'https://api.example.com/k8s/clusters/c-1'
  name: "other"
contexts:
- context:
    cluster: kind-kind
    namespace: shop
    user: kind-kind
  name: kind-kind
current-context: kind-kind
kind: Config
preferences: {}
users:
- name: kind-kind
  user:
    client-certificate-data: LS0t
    client-key-data: LS0t
- name: eks
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      args:
      - --region
      - eu-west-1
      - eks
      command: aws
      env:
      - name: AWS_PROFILE
        value: prod
      interactiveMode: IfAvailable
      provideClusterInfo: false
- name: none
  user:
    exec:
      command: x
      env: null
"""


def test_a_kubeconfig_as_kubectl_writes_it_is_read():
    assert parse_plain(KUBECONFIG) == yaml.safe_load(KUBECONFIG)
    assert parse_plain("---\n" + KUBECONFIG) == yaml.safe_load(KUBECONFIG)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "a: 12345678\n",
        "a: 2026-11-24\n",
        "a: Yes\n",
        "on: x\n",
        "a: &x b\n",
        "a: |\n  b\n",
        "a: b\n  c\n",
        "a: [b]\n",
        "a: {b: c}\n",
        "a: !!str b\n",
        'a: "\\x41"\n',
        "a: 'it''s'\n",
        "- a\n",
        "a: b # c\n",
        "a: b\n---\nc: d\n",
        "a: b\n...\nc: d\n",
        "a:\n  - b\n c: d\n",
        "a:\n    b: c\n  d: e\n",
        "a: b: c\n",
        "a:\tb\n",
        "<<: b\n",
    ],
)
def test_what_is_more_than_plain_is_left_to_the_whole_reader(source):
    assert parse_plain(source) is None


MARKS = "- : # & * | > { } [ ] ' \" , % @ ~ = ! ? . << a b key /x 1 0x1f 1e3 true no Null --flag 2026-01-02"
WORDS = st.sampled_from([*MARKS.split(), "a:", "b: ", "- ", "\n", "\n  ", "\n    ", "\n- ", " ", "https://x:1"])


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDS, max_size=12).map("".join))
def test_any_text_is_read_as_the_whole_reader_does(source):
    found = parse_plain(source)
    if found is not None:
        assert found == yaml.safe_load(source)


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=12), st.sampled_from(["on", "1e3", "a:b"]))
KEYS = st.text("abcn-_.1", min_size=1, max_size=5)
DOCUMENTS = st.dictionaries(
    KEYS,
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)),
    max_size=4,
)


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, st.booleans())
def test_any_document_is_read_as_the_whole_reader_does(document, flow):
    source = yaml.safe_dump(document, default_flow_style=flow)
    assert parse_plain(source) in (None, document)
