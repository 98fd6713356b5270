"""A real control plane on loopback: API server, controller-manager, scheduler; its etcd is its own or a given one."""

from __future__ import annotations

import signal
import ssl
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from e2e.credentials import Authority
from e2e.daemons import Daemons, free_port
from e2e.etcd import Etcd

START_SECONDS = 120.0

# Recorded pods name ServiceAccounts whose tokens nobody needs here; taints stay as they were recorded.
_TAKES_RECORDINGS = "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition,Priority,DefaultTolerationSeconds"


class ControlPlane:
    """Daemons of one version in one folder."""

    def __init__(
        self,
        version: str,
        programs: dict[str, Path],
        folder: Path,
        *,
        store: Etcd | None = None,
        outward: bool = False,
        prefix: str = "/registry",
        context: str = "",
        nodes: tuple[str, ...] = (),
    ) -> None:
        """Make certificates and choose ports; nothing is started yet.

        Without ``store`` it has one etcd member of its own that does not wait for its disk; planes share one with a
        ``prefix`` each, and reach it by loopback unless ``outward``. With the addresses of real ``nodes`` admission is
        as shipped; without, recorded pods are taken as they are.
        """
        self.version = version
        self.folder = folder
        self._programs = programs
        self._daemons = Daemons(folder)
        self._own = Etcd(programs["etcd"], folder / "etcd", 1, "--unsafe-no-fsync") if store is None else None
        used = store or self._own
        assert used is not None
        self._endpoints = used.outward if outward else used.endpoints
        self._prefix = prefix
        self._real = bool(nodes)
        self.ports = {n: free_port() for n in ("api", "manager", "scheduler")}
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
            self.authority.issue(name, common, organization, nodes)
        context = context or f"e2e-{version}"
        self.kubeconfig = self.authority.kubeconfig("admin.conf", self.server, "admin", context)
        self.viewer = self.authority.kubeconfig("viewer.conf", self.server, "viewer", f"{context}-viewer")
        for user in ("manager", "scheduler", "kubelet"):
            self.authority.kubeconfig(f"{user}.conf", self.server, user, context)

    def start_store(self) -> None:
        """Start etcd where it is this plane's own, then the API server, and wait until it is ready."""
        if self._own is not None:
            self._own.start()
        self.start("kube-apiserver")
        self.wait_ready()

    def start(self, name: str) -> None:
        """Start one daemon."""
        self._daemons.run(name, [self._programs[name], *self._flags()[name]()])

    def stop(self, name: str, how: int = signal.SIGTERM) -> None:
        """Stop one daemon and wait for its end; one that does not end is killed."""
        self._daemons.stop(name, how)

    def runs(self, name: str) -> bool:
        """Tell whether a daemon was started and has not ended."""
        return self._daemons.runs(name)

    def log(self, name: str) -> Path:
        """Return the file of a daemon's words."""
        return self._daemons.log(name)

    def lose_store(self, how: str) -> None:
        """Let the plane's own etcd be ``killed``, or ``frozen``: it keeps its port and answers nothing."""
        if self._own is not None:
            (self._own.freeze if how == "frozen" else self._own.stop)(1)

    def find_store(self, how: str) -> None:
        """End what :meth:`lose_store` began."""
        if self._own is not None:
            (self._own.thaw if how == "frozen" else self._own.start)(1)

    def close(self) -> None:
        """Stop everything, the API server before its store."""
        self._daemons.end("kube-scheduler", "kube-controller-manager", "kube-apiserver")
        if self._own is not None:
            self._own.close()

    def wait_ready(self) -> None:
        """Wait until /readyz says ok. Raises TimeoutError with the last words of the API server."""
        context = ssl.create_default_context(cafile=str(self.authority.folder / "ca.crt"))
        context.load_cert_chain(self.authority.folder / "admin.crt", self.authority.folder / "admin.key")
        ends = time.monotonic() + START_SECONDS
        while time.monotonic() < ends and self.runs("kube-apiserver"):
            try:
                with urllib.request.urlopen(f"{self.server}/readyz", context=context, timeout=5) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                pass
            time.sleep(0.5)
        words = self._daemons.last_words("kube-apiserver")
        raise TimeoutError(f"the API server of {self.version} did not get ready: {words}")

    def _flags(self) -> dict[str, Callable[[], list[str]]]:
        return {
            "kube-apiserver": self._api,
            "kube-controller-manager": lambda: [
                *self._client("manager"),
                f"--root-ca-file={self._pki('ca.crt')}",
                f"--service-account-private-key-file={self._pki('apiserver.key')}",
                "--use-service-account-credentials=true",
            ],
            "kube-scheduler": lambda: self._client("scheduler"),
        }

    def _api(self) -> list[str]:
        return [
            f"--etcd-servers={self._endpoints}",
            f"--etcd-prefix={self._prefix}",
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
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            *([] if self._real else [_TAKES_RECORDINGS]),
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
