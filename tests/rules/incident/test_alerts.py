"""Alerts: which object each is about."""

from __future__ import annotations

import json

import pytest

from kubetriage.plugins import load
from kubetriage.rules.incident.alerts import Alert, read_alerts
from support.offline import answer


def webhook(*labels, status="firing"):
    return json.dumps({"version": "4", "alerts": [{"status": status, "labels": one} for one in labels]})


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (
            {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": "api-1", "container": "app"},
            Alert("KubePodCrashLooping", "why-crash", "Pod", "shop", "api-1"),
        ),
        (
            {"alertname": "KubeDeploymentReplicasMismatch", "namespace": "shop", "deployment": "api", "pod": "ksm-0"},
            Alert("KubeDeploymentReplicasMismatch", "why-crash", "Deployment", "shop", "api"),
        ),
        (
            {"alertname": "KubeNodeNotReady", "node": "n1", "namespace": "monitoring"},
            Alert("KubeNodeNotReady", "node-triage", "Node", "", "n1"),
        ),
        (
            {"alertname": "KubeJobFailed", "namespace": "b", "job_name": "j"},
            Alert("KubeJobFailed", "why-crash", "Job", "b", "j"),
        ),
        (
            {"alertname": "etcdNoLeader", "job": "etcd", "instance": "10.0.0.1:2379"},
            Alert("etcdNoLeader", "plane-trace"),
        ),
        (
            {"alertname": "OurOwn", "namespace": "shop", "statefulset": "db"},
            Alert("OurOwn", "", "StatefulSet", "shop", "db"),
        ),
        ({"alertname": "OurOwn", "namespace": "shop"}, Alert("OurOwn", "", namespace="shop")),
    ],
)
def test_the_object_of_an_alert(labels, expected):
    assert read_alerts(webhook(labels)) == (expected,)


def test_the_output_of_amtool_and_of_the_api():
    labels = {"alertname": "KubePodNotReady", "namespace": "shop", "pod": "api-1"}
    plain = [{"labels": labels, "status": {"state": "active"}, "fingerprint": "1"}]
    expected = (Alert("KubePodNotReady", "why-crash", "Pod", "shop", "api-1"),)
    assert read_alerts(json.dumps(plain)) == expected
    assert read_alerts(json.dumps({"status": "success", "data": plain})) == expected


def test_resolved_alerts_are_left_out_and_equal_ones_told_once():
    labels = {"alertname": "KubePodNotReady", "namespace": "shop", "pod": "api-1"}
    assert read_alerts(webhook(labels, status="resolved")) == ()
    assert len(read_alerts(webhook(labels, labels))) == 1


@pytest.mark.parametrize("content", ["", "no json", "{}", "[]", '{"kind": "Pod"}', "3"])
def test_what_is_no_alert_is_refused(content):
    with pytest.raises(ValueError, match=r"not JSON|no alerts"):
        read_alerts(content)


def test_triage_answers_about_the_object_of_an_alert():
    body = webhook({"alertname": "KubePodNotReady", "namespace": "secret-missing-env", "pod": "api"})
    got = answer("triage", capture="secret-missing-env", options={"alert": body})
    assert not got.errors
    assert (got.diagnoses[0].target.kind, got.diagnoses[0].target.name) == ("Pod", "api")
    assert got.diagnoses[0].cause == "SecretNotFound"


def test_an_alert_that_cannot_be_read_is_an_error():
    got = answer("triage", capture="secret-missing-env", options={"alert": "nothing"})
    assert got.errors == ("error: --alert: not JSON: Expecting value: line 1 column 1 (char 0)",)


def test_every_row_of_the_table_names_a_plugin_of_ours():
    from kubetriage.data import table
    from kubetriage.plugins import PLUGINS

    assert {row["plugin"] for row in table("alerts")["alerts"]} <= set(PLUGINS)
    assert load("triage").name == "triage"
