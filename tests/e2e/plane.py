"""A real control plane on loopback: etcd, API server, controller-manager, scheduler, each started and stopped alone."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from e2e.credentials import Authority

START_SECONDS = 120.0


class ControlPlane:
    """Daemons of one version in one folder."""

    def __init__(self, version: str, programs: dict[str, Path], folder: Path) -> None:
        """Make certificates and choose ports; nothing is started yet."""
        self.version = version
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._programs = programs
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = {n: _free_port() for n in ("etcd", "peer", "metrics", "api", "manager", "scheduler")}
        self.server = f"https://127.0.0.1:{self.ports['api']}"
        self.authority = Authority(folder / "pki")
        for name, common, organization in (
            ("apiserver", "kube-apiserver", ""),
            ("admin", "admin", "system:masters"),
            ("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
            ("kubelet", "system:node:node-1", "system:nodes"),
            ("manager", "system:kube-controller-manager", ""),
            ("scheduler", "system:kube-scheduler", ""),
            ("viewer", "viewer", "viewers"),
        ):
            self.authority.issue(name, common, organization)
        context = f"e2e-{version}"
        self.kubeconfig = self.authority.kubeconfig("admin.conf", self.server, "admin", context)
        self.viewer = self.authority.kubeconfig("viewer.conf", self.server, "viewer", f"{context}-viewer")
        for user in ("manager", "scheduler"):
            self.authority.kubeconfig(f"{user}.conf", self.server, user, context)

    def start_store(self) -> None:
        """Start etcd, then the API server, and wait until it is ready."""
        self.start("etcd")
        self.start("kube-apiserver")
        self.wait_ready()

    def start(self, name: str) -> None:
        """Start one daemon."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(self._programs[name]), *self._flags()[name]()],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def stop(self, name: str, how: int = signal.SIGTERM) -> None:
        """Stop one daemon and wait for its end; one that does not end is killed."""
        daemon = self._running.pop(name, None)
        if daemon is None:
            return
        os.kill(daemon.pid, how)
        try:
            daemon.wait(15)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def freeze(self, name: str) -> None:
        """Let a daemon keep its port and answer nothing."""
        os.kill(self._running[name].pid, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """End a freeze."""
        os.kill(self._running[name].pid, signal.SIGCONT)

    def close(self) -> None:
        """Stop everything, the API server before its store."""
        for name in ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"):
            if name in self._running:
                self.thaw(name)
            self.stop(name, signal.SIGKILL)

    def wait_ready(self) -> None:
        """Wait until /readyz says ok. Raises TimeoutError with the last words of the API server."""
        context = ssl.create_default_context(cafile=str(self.authority.folder / "ca.crt"))
        context.load_cert_chain(self.authority.folder / "admin.crt", self.authority.folder / "admin.key")
        ends = time.monotonic() + START_SECONDS
        while time.monotonic() < ends and self._running["kube-apiserver"].poll() is None:
            try:
                with urllib.request.urlopen(f"{self.server}/readyz", context=context, timeout=5) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                pass
            time.sleep(0.5)
        words = (self.folder / "kube-apiserver.log").read_text(errors="replace").splitlines()[-5:]
        raise TimeoutError(f"the API server of {self.version} did not get ready: {words}")

    def _flags(self) -> dict[str, Callable[[], list[str]]]:
        return {
            "etcd": self._etcd,
            "kube-apiserver": self._api,
            "kube-controller-manager": lambda: [
                *self._client("manager"),
                f"--root-ca-file={self._pki('ca.crt')}",
                f"--service-account-private-key-file={self._pki('apiserver.key')}",
                "--use-service-account-credentials=true",
            ],
            "kube-scheduler": lambda: self._client("scheduler"),
        }

    def _etcd(self) -> list[str]:
        client, peer = (f"http://127.0.0.1:{self.ports[n]}" for n in ("etcd", "peer"))
        return [
            "--name=e0",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=e0={peer}",
            f"--listen-metrics-urls=http://127.0.0.1:{self.ports['metrics']}",
            "--unsafe-no-fsync",
        ]

    def _api(self) -> list[str]:
        return [
            f"--etcd-servers=http://127.0.0.1:{self.ports['etcd']}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._pki('apiserver.crt')}",
            f"--service-account-signing-key-file={self._pki('apiserver.key')}",
            f"--tls-cert-file={self._pki('apiserver.crt')}",
            f"--tls-private-key-file={self._pki('apiserver.key')}",
            f"--client-ca-file={self._pki('ca.crt')}",
            f"--kubelet-certificate-authority={self._pki('ca.crt')}",
            f"--kubelet-client-certificate={self._pki('kubelet-client.crt')}",
            f"--kubelet-client-key={self._pki('kubelet-client.key')}",
            "--kubelet-preferred-address-types=InternalIP",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            # Recorded pods name ServiceAccounts whose tokens nobody needs here; taints stay as they were recorded.
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition,Priority,DefaultTolerationSeconds",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.ports['api']}",
            f"--cert-dir={self.folder / 'certs'}",
            "--endpoint-reconciler-type=none",
        ]

    def _client(self, user: str) -> list[str]:
        config = self._pki(f"{user}.conf")
        flags = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
        return [
            *(f"--{flag}={config}" for flag in flags),
            "--bind-address=127.0.0.1",
            f"--secure-port={self.ports[user]}",
            f"--cert-dir={self.folder / f'{user}-certs'}",
        ]

    def _pki(self, name: str) -> Path:
        return self.authority.folder / name


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
