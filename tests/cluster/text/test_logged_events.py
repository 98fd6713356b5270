"""Events that a component's log records, and nodes whose network plugin waits for a range of addresses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubetriage.cli.main import main
from kubetriage.cluster.text.logged_events import logged_events

NEW = (
    'I0725 21:15:42.770000       1 event.go:291] "Event occurred" object="{0}" kind="{1}" apiVersion="v1" type="{2}"'
    ' reason="{3}" message="{4}"'
)
FIELDS = NEW.replace('kind="', 'fieldPath="" kind="')
OLD = (
    'I0512 14:03:20.890331       1 event.go:285] Event(v1.ObjectReference{{Kind:"{1}", Namespace:"", Name:"{0}",'
    " UID:\"a\", APIVersion:\"v1\"}}): type: '{2}' reason: '{3}' {4}"
)


@pytest.mark.parametrize("form", [NEW, FIELDS, OLD])
def test_every_form_of_a_record_is_the_same_event(form):
    row = form.format("w5", "Node", "Normal", "CIDRNotAvailable", "Node w5 status is now: CIDRNotAvailable")
    (found,) = logged_events([row, "I0725 1 other.go:1] quiet", row])
    assert (found.kind, found.name, found.namespace, found.reason, found.count) == (
        *("Node", "w5", "", "CIDRNotAvailable"),
        2,
    )
    assert found.message == "Node w5 status is now: CIDRNotAvailable"


def test_an_object_of_a_namespace_and_quotes_in_its_message():
    row = NEW.format("shop/api", "ReplicaSet", "Warning", "FailedCreate", 'pods \\"api-\\" is forbidden')
    (found,) = logged_events([row])
    assert (found.namespace, found.name, found.warning) == ("shop", "api", True)
    assert found.message == 'pods "api-" is forbidden'


NODES = """$ kubectl get nodes
NAME      STATUS     ROLES           AGE   VERSION
w1        Ready      <none>          90d   v1.28.3
w5        NotReady   <none>          11m   v1.28.3
"""
MANAGER = "$ kubectl logs -n kube-system kube-controller-manager-cp1\n" + NEW.format(
    "w5", "Node", "Normal", "CIDRNotAvailable", "Node w5 status is now: CIDRNotAvailable"
)
PLUGIN = """$ kubectl logs -n kube-flannel kube-flannel-ds-kq47c
E0613 09:03:38.016872       1 main.go:280] Error registering network: failed to acquire lease: node "w5" {words}
$ kubectl get pods -n kube-flannel -o wide
NAME                    READY   STATUS             RESTARTS      AGE   IP          NODE
kube-flannel-ds-kq47c   0/1     CrashLoopBackOff   6 (10s ago)   11m   10.0.0.15   w5
"""


def ask(content: str, tmp_path: Any, capsys: Any) -> Any:
    file = tmp_path / "ticket.txt"
    file.write_text(content)
    main("node-triage", ["--from", str(file), "-o", "json"])
    items = json.loads(capsys.readouterr().out)["items"]
    return next(i for i in items if i["target"]["name"] == "w5")


def test_a_range_that_is_used_up_is_a_candidate_where_no_plugin_was_seen(tmp_path, capsys):
    found = ask(f"{MANAGER}\n{NODES}", tmp_path, capsys)
    assert (found["cause"], found["findings"][0]["confidence"]) == ("NetworkPluginNotReady", "possible")
    assert "Calico and Cilium mostly do not" in found["findings"][0]["message"]
    assert "Delete Nodes of machines that are gone" in found["findings"][0]["fix"][0]["text"]


def test_a_plugin_that_waits_for_a_range_asks_who_has_one(tmp_path, capsys):
    found = ask(NODES + PLUGIN.format(words="pod cidr not assigned"), tmp_path, capsys)
    finding = found["findings"][0]
    assert (found["cause"], finding["confidence"]) == ("NetworkPluginNotReady", "likely")
    assert "nodes have one" not in finding["message"]
    assert "--allocate-node-cidrs=true" in finding["fix"][0]["text"]


def test_a_plugin_that_fails_otherwise_is_no_matter_of_ranges(tmp_path, capsys):
    finding = ask(NODES + PLUGIN.format(words="i/o timeout"), tmp_path, capsys)["findings"][0]
    assert "podCIDR" not in finding["message"]
