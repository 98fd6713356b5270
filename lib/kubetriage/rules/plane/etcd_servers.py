"""Where etcd runs that is no pod: in come the API server's flags, out go its addresses and how to look there.

kubeadm with an external etcd and kubespray run etcd as a service of a machine. What looks for a container on a control
plane node finds nothing then, and etcd's own certificates are not there: the API server's are.
"""

from __future__ import annotations

from collections.abc import Container

from kubetriage.records import dataclass, replace
from kubetriage.rules.plane.etcd_members import flags
from kubetriage.values.addresses import is_loopback
from kubetriage.values.commands import Command, shell
from kubetriage.values.fields import Obj, objects, text
from kubetriage.values.patterns import lazy

_URL = lazy(r"https?://(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::\d{1,5})?/?\Z")

MOST = 3
"""Servers that get a command line each."""

_TASKS = {
    "etcd status": ("endpoint", "status", "-w", "table"),
    "etcd alarm": ("alarm", "list"),
    "etcd compact": ("compact", "REVISION"),
    "etcd defrag": ("defrag",),
    "etcd disarm": ("alarm", "disarm"),
}


@dataclass(frozen=True)
class Servers:
    """The servers that an API server is given, and the certificates with which it asks them."""

    urls: tuple[str, ...]
    hosts: tuple[str, ...]
    """Of the URLs, each once."""
    trust: tuple[tuple[str, str], ...]
    """curl's and etcdctl's names of a flag (``cacert``, ``cert``, ``key``), each with a file on the API server's
    machine."""
    machine: str
    """Address of the API server's machine."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Host and port of each, as a client's errors name them."""
        return tuple(dict.fromkeys(url.partition("://")[2].rstrip("/") for url in self.urls))

    def only(self, addresses: Container[str]) -> Servers:
        """Return those with one of these addresses."""
        urls = tuple(url for url in self.urls if url.partition("://")[2].rstrip("/") in addresses)
        return replace(self, urls=urls, hosts=_hosts(urls))

    @property
    def named(self) -> str:
        """Name the hosts for people."""
        rest = len(self.hosts) - MOST
        return ", ".join(self.hosts[:MOST]) + (f" and {rest} more" if rest > 0 else "")

    def health(self) -> tuple[Command, ...]:
        """Ask each server for its health, as the API server would."""
        trust = [word for flag, file in self.trust for word in (f"--{flag}", file)]
        asked = (("sudo", "curl", "-sm5", *trust, f"{url.rstrip('/')}/health") for url in self.urls[:MOST])
        return tuple(shell("ssh", self.machine, *words) for words in asked)

    def logs(self) -> tuple[Command, ...]:
        """Read etcd's last words on each of its machines."""
        words = ("sudo", "journalctl", "-u", "etcd", "-n", "100", "--no-pager")
        return tuple(shell("ssh", host, *words) for host in self.hosts[:MOST])

    def disks(self) -> tuple[Command, ...]:
        """Look at the disk of each of etcd's machines."""
        return tuple(shell("ssh", host, "iostat -x 1 5") for host in self.hosts[:MOST])

    def etcdctl(self, task: str) -> tuple[Command, ...]:
        """Write an etcdctl command with the API server's certificates; one server after another defragments."""
        trust = [f"--{flag}={file}" for flag, file in self.trust]
        each = self.urls[:MOST] if task == "etcd defrag" else (",".join(self.urls),)
        return tuple(
            shell("ssh", self.machine, "sudo", "etcdctl", f"--endpoints={urls}", *trust, *_TASKS[task]) for urls in each
        )


def _hosts(urls: tuple[str, ...]) -> tuple[str, ...]:
    """Return the hosts of URLs, each once; an empty one for what is no address of etcd."""
    found = (_URL.match(url) for url in urls)
    return tuple(dict.fromkeys(match[1].strip("[]") if match else "" for match in found))


def servers_of(pod: Obj, machine: str) -> Servers | None:
    """Read the flags of an API server's pod, which runs on ``machine``.

    None where they name no server, or one on the same machine: then its pod was taken away, and its container or
    manifest is what tells.
    """
    containers = objects(pod, "spec", "containers")
    named = next((c for c in containers if text(c, "name") == "kube-apiserver"), next(iter(containers), {}))
    given = flags(named)
    urls = tuple(filter(None, given.get("etcd-servers", "").split(",")))
    hosts = _hosts(urls)
    if not urls or "" in hosts or any(is_loopback(host) for host in hosts):
        return None
    files = (("cacert", "etcd-cafile"), ("cert", "etcd-certfile"), ("key", "etcd-keyfile"))
    trust = tuple((flag, given[name]) for flag, name in files if given.get(name))
    return Servers(urls, hosts, trust, machine)
