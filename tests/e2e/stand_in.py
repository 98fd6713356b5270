"""Pods of kube-system that stand for the programs of a plane, as a kubelet of kubeadm's machines reports them."""

from __future__ import annotations

import contextlib
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from e2e.etcd import Etcd
from e2e.kubelet import KubeletPort
from e2e.plane import ControlPlane
from e2e.replay import Api

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


def now() -> str:
    """Return this moment as the API writes it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def node(name: str, zone: str, kubelet: KubeletPort, roles: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a Node whose kubelet is the one on loopback."""
    capacity = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    conditions = [
        {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "lastHeartbeatTime": now(),
            "lastTransitionTime": now(),
        }
    ]
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": zone}
    labels.update({f"node-role.kubernetes.io/{role}": "" for role in roles})
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": conditions,
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet.port}},
        },
    }


def add_node(api: Api, made: dict[str, Any]) -> None:
    """Register a node with its status."""
    api.send("POST", "/api/v1/nodes", made)
    api.set_status(f"/api/v1/nodes/{made['metadata']['name']}", made["status"])


class Heartbeats:
    """Renews the Leases of nodes as their kubelets would."""

    def __init__(self, api: Api, names: tuple[str, ...]) -> None:
        """Begin at once, every five seconds."""
        self._api, self._names = api, names
        self._ended = threading.Event()
        for name in names:
            threading.Thread(target=self._beat, args=(name,), daemon=True).start()

    def _beat(self, name: str) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(Exception):  # the API server may be down for a test
                self._renew(name)
            self._ended.wait(5)

    def _renew(self, name: str) -> None:
        moment = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": moment}
        try:
            known = self._api.send("GET", f"{_LEASES}/{name}")
            self._api.send("PUT", f"{_LEASES}/{name}", {**known, "spec": spec})
        except Exception:
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}
            self._api.send("POST", _LEASES, lease)

    def close(self) -> None:
        """End."""
        self._ended.set()


def stacked(plane: ControlPlane, api: Api, etcd: Etcd, kubelet: KubeletPort, *, external: bool = False) -> None:
    """Show the programs of a plane as static pods of nodes cp-1, cp-2, ..., and the members unless ``external``."""
    for i in etcd.members:
        add_node(api, node(f"cp-{i}", "abc"[i % 3], kubelet, ("control-plane",)))
        if not external:
            words = ["etcd", f"--name=cp-{i}", f"--listen-metrics-urls=http://127.0.0.1:{etcd.ports[i].metrics}"]
            words += ["--listen-client-urls=https://127.0.0.1:2379", "--data-dir=/var/lib/etcd"]
            _pod(api, kubelet, "etcd", i, words, etcd.log(i))
    servers = etcd.outward if external else "https://127.0.0.1:2379"
    for program in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        words = [program, f"--etcd-servers={servers}"] if program == "kube-apiserver" else [program]
        _pod(api, kubelet, program, 1, words, plane.log(program))


def _pod(api: Api, kubelet: KubeletPort, component: str, i: int, words: list[str], log: Path) -> None:
    name = f"{component}-cp-{i}"
    container = {"name": component, "image": f"registry.example/{component}:1", "command": words}
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "kube-system",
            "labels": {"component": component, "tier": "control-plane"},
            # Both planes of the tests run the programs on this machine, so the hash may be any.
            "annotations": {"kubernetes.io/config.source": "file"},
        },
        "spec": {"nodeName": f"cp-{i}", "hostNetwork": True, "containers": [container]},
    }
    api.send("POST", "/api/v1/namespaces/kube-system/pods", body)
    conditions = [{"type": t, "status": "True", "lastTransitionTime": now()} for t in ("Ready", "ContainersReady")]
    running = {
        "name": component,
        "image": container["image"],
        "imageID": "",
        "containerID": "containerd://0",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": now()}},
    }
    status = {
        "phase": "Running",
        "hostIP": "127.0.0.1",
        "podIP": "127.0.0.1",
        "startTime": now(),
        "conditions": conditions,
        "containerStatuses": [running],
    }
    api.set_status(f"/api/v1/namespaces/kube-system/pods/{name}", status)
    kubelet.files["kube-system", name, component] = log
