"""Control plane pods that their own probe ends, and configuration files that a release no longer reads."""

from __future__ import annotations

from typing import Any

import pytest

from kubetriage.needs import List, Log
from kubetriage.plugins import Request, load
from kubetriage.snapshot import Snapshot
from support.plane import NOW, ago

AT = "%Y-%m-%dT%H:%M:%SZ"


def static(name: str, *flags: str, waiting: bool = False, code: int = 137) -> dict[str, Any]:
    state = {"waiting": {"reason": "CrashLoopBackOff"}} if waiting else {"running": {"startedAt": ago(50).strftime(AT)}}
    probe = {"httpGet": {"path": "/livez", "port": 6443}}
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-cp-1",
            "namespace": "kube-system",
            "uid": f"uid-{name}",
            "labels": {"component": name, "tier": "control-plane"},
        },
        "spec": {
            "nodeName": "cp-1",
            "containers": [{"name": name, "command": [name, *flags], "livenessProbe": probe, "startupProbe": probe}],
        },
        "status": {
            "containerStatuses": [
                {
                    "name": name,
                    "ready": False,
                    "restartCount": 9,
                    "state": state,
                    "lastState": {
                        "terminated": {"exitCode": code, "reason": "Error", "finishedAt": ago(60).strftime(AT)}
                    },
                }
            ]
        },
    }


def event(reason: str, message: str) -> dict[str, Any]:
    return {
        "kind": "Event",
        "metadata": {"name": f"x.{reason}", "namespace": "kube-system"},
        "involvedObject": {"kind": "Pod", "name": "kube-apiserver-cp-1", "namespace": "kube-system"},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "count": 9,
        "lastTimestamp": ago(20).strftime(AT),
    }


def ask(pod: dict[str, Any], *events: dict[str, Any], log: str = "") -> Any:
    snapshot = Snapshot(NOW, source="dump")
    snapshot.add_list(List("pods", "kube-system"), [pod])
    snapshot.add_list(List("events", "kube-system"), events)
    if log:
        name = pod["spec"]["containers"][0]["name"]
        snapshot.add_log(Log("kube-system", pod["metadata"]["name"], name), log)
    return load("plane-trace").diagnose(snapshot, Request()).diagnoses[0].findings[0]


KILLED = event("Killing", "Container kube-apiserver failed startup probe, will be restarted")


def probed(words: str, *flags: str) -> Any:
    return ask(static("kube-apiserver", *flags), event("Unhealthy", f"Startup probe failed: {words}"), KILLED)


@pytest.mark.parametrize(
    ("words", "flags", "says", "not_said"),
    [
        (
            "HTTP probe failed with statuscode: 401",
            ["--anonymous-auth=false"],
            "Take --anonymous-auth=false out",
            "etcd",
        ),
        ("HTTP probe failed with statuscode: 403", [], "answer anonymous requests", "Take --anonymous"),
        ("HTTP probe failed with statuscode: 500", [], "ask which one", "anonymous"),
        (
            'Get "https://10.0.0.9:6443/livez": dial tcp 10.0.0.9:6443: connect: connection refused',
            ["--secure-port=8443"],
            "listens on 8443",
            "failureThreshold",
        ),
        (
            'Get "https://10.0.0.9:6443/livez": dial tcp 10.0.0.9:6443: connect: connection refused',
            ["--secure-port=6443"],
            "Nothing listens yet",
            "same port",
        ),
        ('Get "https://10.0.0.9:6443/livez": net/http: TLS handshake timeout', [], "too slow", "anonymous"),
    ],
)
def test_what_the_probe_met_says_what_to_do(words: str, flags: list[str], says: str, not_said: str) -> None:
    found = probed(words, *flags)
    assert found.cause == "ControlPlaneRestarts"
    assert "startup probe fails" in found.message
    assert says in found.fix[0].text
    assert not_said not in found.fix[0].text


def test_an_end_without_a_probe_is_left_to_its_log() -> None:
    found = ask(static("kube-apiserver", code=137))
    assert "probe fails" not in found.message
    readiness = ask(
        static("kube-apiserver"), event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 500")
    )
    assert "probe fails" not in readiness.message


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            'no kind \\"KubeSchedulerConfiguration\\" is registered for version'
            ' \\"kubescheduler.config.k8s.io/v1beta3\\" in scheme \\"x\\"',
            "kubescheduler.config.k8s.io/v1, from",
        ),
        ("unrecognized feature gate: PodOverhead", "Take PodOverhead out of --feature-gates"),
        ('strict decoding error: unknown field \\"profiles[0].plugin\\"', "profiles[0].plugin"),
    ],
)
def test_a_configuration_that_a_release_no_longer_reads(words: str, says: str) -> None:
    stamp = ago(30).strftime("%m%d %H:%M:%S.000000")
    found = ask(
        static("kube-scheduler", waiting=True, code=1),
        log=f'E{stamp}       1 run.go:74] "command failed" err="{words}"\n',
    )
    assert found.cause == "SchedulerDown"
    assert says in found.fix[0].text
