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


def ended(name: str, log: str, *flags: str) -> Any:
    return ask(static(name, *flags, waiting=True, code=1), log=log)


def last(words: str) -> str:
    return f'E{ago(30).strftime("%m%d %H:%M:%S.000000")}       1 run.go:74] "command failed" err="{words}"\n'


def test_a_cloud_that_is_no_longer_built_in() -> None:
    found = ended("kube-controller-manager", last('unknown cloud provider \\"aws\\"'), "--cloud-provider=aws")
    assert found.cause == "ControllersDown"
    assert "--cloud-provider=external" in found.fix[0].text


def test_the_flag_whose_value_last_words_name() -> None:
    flags = ("--cluster-cidr=10.244.0.0/16", "--node-cidr-mask-size=8", "--leader-elect=true")
    found = ended("kube-controller-manager", last('the range \\"10.244.0.0/16\\" is odd'), *flags)
    assert "Correct --cluster-cidr=10.244.0.0/16" in found.fix[0].text
    named = ended("kube-controller-manager", last("--node-cidr-mask-size is smaller than it may be"), *flags)
    assert "--node-cidr-mask-size=8" in named.fix[0].text
    neither = ended("kube-controller-manager", last("something else is odd"), *flags)
    assert "Correct --" not in neither.fix[0].text


def zapped(error: str) -> str:
    at = ago(30).strftime("%Y-%m-%dT%H:%M:%S.1Z")
    said = error.replace('"', '\\"')
    return (
        f'{{"level":"fatal","ts":"{at}","caller":"etcdmain/etcd.go:204","msg":"discovery failed","error":"{said}"}}\n'
    )


def test_flags_of_etcd_that_do_not_agree_leave_its_data_alone() -> None:
    words = 'couldn\'t find local name "cp-1b" in the initial cluster configuration'
    found = ended("etcd", zapped(words), "--name=cp-1b", "--initial-cluster=cp-1=https://10.0.0.1:2380")
    texts = " ".join(f.text for f in found.fix)
    assert found.cause == "EtcdDown"
    assert "--name=cp-1b is not in --initial-cluster, which is cp-1=https" in texts
    assert "move its data" not in texts
    joined = ended("etcd", zapped("member cp-1 has already been bootstrapped"))
    assert "join" in " ".join(f.text for f in joined.fix) or "add it again" in " ".join(f.text for f in joined.fix)


def test_a_flag_is_known_without_its_dashes_and_by_one_of_its_values() -> None:
    bare = ended(
        "kube-apiserver",
        last("specified service-cluster-ip-range is too large"),
        "--service-cluster-ip-range=10.0.0.0/8",
    )
    assert "Correct --service-cluster-ip-range=10.0.0.0/8" in bare.fix[0].text
    part = ended("kube-apiserver", last('\\"Webhok\\" is not a valid mode'), "--authorization-mode=Node,RBAC,Webhok")
    assert "Correct --authorization-mode" in part.fix[0].text
    word = ended("kube-apiserver", last("the port is odd"), "--port=0")
    assert "Correct --port" not in word.fix[0].text
    assert not any("debug" in str(c) for f in word.fix for c in f.commands)
