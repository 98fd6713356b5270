"""A real containerd and kubelet on this machine, in folders, a network bridge and a cgroup of their own."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import yaml

from e2e.binaries import CannotRunError
from e2e.daemons import Daemons, free_port
from e2e.images import PAUSE, write_images
from e2e.plane import ControlPlane

NODE = "node-1"
_CNI = (Path("/opt/cni/bin"), Path("/usr/lib/cni"))
_CNI_RESULTS = Path("/var/lib/cni/results")
_CGROUPS = Path("/sys/fs/cgroup")
_START_SECONDS = 90.0
_CGROUP_V1_NEEDS_ASKING = 31
"""From this minor a kubelet on cgroup v1 starts only when told to."""
_LOGS_MOVE = 30
"""From this minor the folder of pods' logs can be chosen."""


def address() -> str:
    """Return this machine's address, without sending anything. Raises CannotRunError where it has only loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.connect(("192.0.2.1", 9))
            found: str = one.getsockname()[0]
        except OSError as error:
            raise CannotRunError(f"this machine has no address but loopback: {error}") from error
    if ipaddress.ip_address(found).is_loopback:
        raise CannotRunError("this machine has no address but loopback")
    return found


def requirements() -> Path:
    """Return the folder of CNI plugins. Raises CannotRunError with what this machine lacks for a kubelet."""
    lacks = [name for name in ("containerd", "ctr", "runc", "ip", "mount") if shutil.which(name) is None]
    plugins = next((p for p in _CNI if (p / "bridge").exists() and (p / "host-local").exists()), None)
    if os.geteuid() != 0:
        lacks.insert(0, "root")
    if plugins is None:
        lacks.append("the CNI plugins bridge and host-local")
    if lacks or plugins is None:
        raise CannotRunError(f"a real kubelet needs {', '.join(lacks)}")
    return plugins


class Machine:
    """One node; everything that it leaves on the machine goes with :meth:`close`."""

    def __init__(self, plane: ControlPlane, program: Path, number: int) -> None:
        """Choose names; ``number`` (0 to 9) tells machines that run side by side apart."""
        self._plugins = requirements()
        self._plane, self._program, self._number = plane, program, number
        # A socket's path has at most 107 bytes, so pytest's folders are too long.
        self.folder = Path(tempfile.mkdtemp(prefix=f"e2e{number}-"))
        self._daemons = Daemons(self.folder / "log")
        self._bridge, self._cgroup = f"e2e{number}", f"e2e{number}"
        self.address = address()
        self.port, self._health = free_port(), free_port()
        self._v1 = not (_CGROUPS / "cgroup.controllers").exists()
        self._minor = int(plane.version.split(".")[1])

    def start(self) -> None:
        """Start both and wait until the node is ready. Raises TimeoutError with their last words."""
        self._write()
        self.start_runtime()
        for image in write_images(self.folder / "images"):
            self._ctr("images", "import", str(image))
        self.start_kubelet()
        self.wait("Ready")

    def wait(self, reason: str, seconds: float = _START_SECONDS) -> None:
        """Wait until the Ready condition of the node says so."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if reason == self._ready():
                return
            time.sleep(1)
        words = [*self._daemons.last_words("kubelet"), *self._daemons.last_words("containerd", 2)]
        raise TimeoutError(f"{NODE} did not become {reason}: {words}")

    def start_runtime(self) -> None:
        """Start containerd and wait until it answers."""
        self._daemons.run("containerd", ["containerd", "--config", self.folder / "containerd.toml"])
        ends = time.monotonic() + 30
        while time.monotonic() < ends:
            with contextlib.suppress(CannotRunError):
                self._ctr("version")
                return
            time.sleep(0.5)
        raise TimeoutError(f"containerd did not start: {self._daemons.last_words('containerd')}")

    def start_kubelet(self) -> None:
        """Start the kubelet."""
        self._daemons.run(
            "kubelet",
            [
                self._program,
                f"--config={self.folder / 'kubelet.yaml'}",
                f"--kubeconfig={self._plane.authority.folder / 'kubelet.conf'}",
                f"--hostname-override={NODE}",
                f"--node-ip={self.address}",
                f"--root-dir={self.folder / 'kubelet'}",
                "--node-labels=topology.kubernetes.io/zone=a",
            ],
        )

    def stop(self, name: str) -> None:
        """Stop ``kubelet`` or ``containerd``; containers go on."""
        self._daemons.stop(name)

    def close(self) -> None:
        """End both, every container, and take away mounts, network and cgroups."""
        self._daemons.stop("kubelet", signal.SIGKILL)
        self._kill_containers()
        self._daemons.end("containerd")
        for pid in self._shims():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(f"{self.folder}/")), reverse=True):
            subprocess.run(["umount", "-l", mount], capture_output=True, check=False)
        self._forget_networks()
        subprocess.run(["ip", "link", "delete", self._bridge], capture_output=True, check=False)
        ends = time.monotonic() + 10
        # A cgroup can be removed a moment after its last process has ended.
        while not self._forget_cgroups() and time.monotonic() < ends:
            self._kill_containers()
            time.sleep(0.3)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _kill_containers(self) -> None:
        """Kill what runs in the cgroups of this node, and nothing else."""
        for root in self._cgroup_roots():
            for procs in root.rglob("cgroup.procs"):
                with contextlib.suppress(OSError):
                    for pid in procs.read_text().split():
                        os.kill(int(pid), signal.SIGKILL)

    def _forget_cgroups(self) -> bool:
        """Remove the cgroups that hold no process any more; tell whether none is left."""
        for root in self._cgroup_roots():
            for folder in (*sorted((p for p in root.rglob("*") if p.is_dir()), reverse=True), root):
                with contextlib.suppress(OSError):
                    folder.rmdir()
        return not any(root.exists() for root in self._cgroup_roots())

    def _forget_networks(self) -> None:
        """Remove what libcni keeps of each sandbox, which no setting moves to another folder."""
        for file in _CNI_RESULTS.glob(f"{self._bridge}-*"):
            sandbox = file.name.split("-")[1]
            for one in _CNI_RESULTS.glob(f"*-{sandbox}-*"):
                one.unlink(missing_ok=True)

    def _shims(self) -> list[int]:
        """Return the shims of this containerd: they bear its socket's path in their command line."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if str(self.folder).encode() in entry.read_bytes():
                    found.append(int(entry.parent.name))
        return found

    def _ready(self) -> str:
        words = ["kubectl", "--kubeconfig", str(self._plane.kubeconfig), "get", "node", NODE, "-o", "json"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            return ""
        conditions = json.loads(done.stdout)["status"].get("conditions", [])
        status = next((c["status"] for c in conditions if c["type"] == "Ready"), "")
        return {"True": "Ready", "False": "NotReady", "Unknown": "Unknown"}.get(status, "")

    def _ctr(self, *words: str) -> str:
        socket_of = str(self.folder / "run" / "containerd.sock")
        done = subprocess.run(
            ["ctr", "-a", socket_of, "-n", "k8s.io", *words], capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise CannotRunError(f"ctr {words[0]}: {done.stderr.strip()}")
        return done.stdout

    def _cgroup_roots(self) -> list[Path]:
        if not self._v1:
            return [_CGROUPS / self._cgroup]
        return [p / self._cgroup for p in _CGROUPS.iterdir() if p.is_dir() and not p.is_symlink()]

    def _write(self) -> None:
        for name in ("run", "cni", "kubelet", "podlogs", "images"):
            (self.folder / name).mkdir(exist_ok=True)
        subnet = f"10.23{self._number}.0.0/24"
        bridge = {
            "type": "bridge",
            "bridge": self._bridge,
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "dataDir": str(self.folder / "addresses"),
                "ranges": [[{"subnet": subnet}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
        port_map = {"type": "portmap", "capabilities": {"portMappings": True}}
        network = {"cniVersion": "0.4.0", "name": self._bridge, "plugins": [bridge, port_map]}
        (self.folder / "cni" / "10-e2e.conflist").write_text(json.dumps(network), encoding="utf-8")
        (self.folder / "containerd.toml").write_text(self._runtime_settings(), encoding="utf-8")
        (self.folder / "kubelet.yaml").write_text(yaml.safe_dump(self._kubelet_settings()), encoding="utf-8")
        self._make_cgroups()

    def _make_cgroups(self) -> None:
        """Make a cgroup root of this node's own, so that it removes no other kubelet's pods."""
        if not self._v1:
            (_CGROUPS / "cgroup.subtree_control").write_text("+cpu +memory +pids +cpuset")
        for root in self._cgroup_roots():
            with contextlib.suppress(OSError):
                root.mkdir(exist_ok=True)
                for name in ("cpuset.cpus", "cpuset.mems"):
                    above = root.parent / name
                    if self._v1 and above.exists():
                        (root / name).write_text(above.read_text())
        if not self._v1:
            (_CGROUPS / self._cgroup / "cgroup.subtree_control").write_text("+cpu +memory +pids +cpuset")

    def _runtime_settings(self) -> str:
        # Where the machine itself may not lower an oom_score_adj, containers may not either.
        restrict = "true" if int(Path("/proc/self/oom_score_adj").read_text()) > -999 else "false"
        return f"""version = 2
root = "{self.folder}/containerd"
state = "{self.folder}/run/containerd"
[grpc]
  address = "{self.folder}/run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = {restrict}
  sandbox_image = "{PAUSE}"
  stream_server_address = "127.0.0.1"
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{self._plugins}"
    conf_dir = "{self.folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""

    def _kubelet_settings(self) -> dict[str, object]:
        pki = self._plane.authority.folder
        settings: dict[str, object] = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address,
            "port": self.port,
            "healthzPort": self._health,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(pki / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._cgroup}",
            "failSwapOn": False,
            "maxPods": 200,
            "clusterDNS": ["10.96.0.10"],
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": f"unix://{self.folder}/run/containerd.sock",
            "tlsCertFile": str(pki / "kubelet.crt"),
            "tlsPrivateKeyFile": str(pki / "kubelet.key"),
            "resolvConf": "/etc/resolv.conf",
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 99,
            "imageGCLowThresholdPercent": 98,
            "makeIPTablesUtilChains": False,
        }
        if self._minor >= _LOGS_MOVE:
            settings["podLogsDir"] = str(self.folder / "podlogs")
        if self._minor >= _CGROUP_V1_NEEDS_ASKING and self._v1:
            settings["failCgroupV1"] = False
        return settings
