"""Commands for the machine at hand: in comes a Node, out go the lines that its distribution understands.

Units, paths and tools differ by distribution; they stand with their sources in ``data/distributions.json``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property

from kubetriage.data import table
from kubetriage.records import dataclass
from kubetriage.typed import Any
from kubetriage.values.commands import Command, shell
from kubetriage.values.fields import Obj, labels, name_of, objects, text

SERVER_ROLES = (
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/master",
    "node-role.kubernetes.io/etcd",
)


@dataclass(frozen=True)
class Machine:
    """One machine and how its distribution is operated."""

    row: Mapping[str, Any]
    node: str
    address: str
    provider: str = ""
    """``spec.providerID``."""
    server: bool = False
    """It runs the control plane."""
    runtime_unit: str = "containerd"

    @property
    def title(self) -> str:
        """Name of the distribution for people."""
        return str(self.row["title"])

    @property
    def name(self) -> str:
        """Key of the distribution; empty for Linux with systemd of unknown making."""
        return str(self.row["name"])

    @property
    def managed(self) -> bool:
        """The control plane belongs to the provider."""
        return bool(self.row.get("managed"))

    @property
    def kubelet_unit(self) -> str:
        """The systemd unit in which the kubelet runs."""
        return str(self.row.get("server") if self.server and self.row.get("server") else self.row["kubelet"])

    @cached_property
    def _words(self) -> dict[str, str]:
        unit = self.kubelet_unit
        instance = self.provider.rpartition("/")[2] or "INSTANCE"
        known = {k: v for k, v in self.row.items() if isinstance(v, str)}
        runtime = known.get("runtime", self.runtime_unit).format(kubelet=unit)
        mine = {"kubelet": unit, "node": self.node, "address": self.address, "instance": instance, "runtime": runtime}
        return {**known, **mine}

    def path(self, what: str) -> str:
        """Return a path or unit of this distribution (``kubeconfig``, ``client_certificate``, ``etcd_data``)."""
        return str(self.row.get(what, ""))

    def lines(self, *tasks: str, **words: str) -> tuple[Command, ...]:
        """Return the command lines for these tasks, in order; ``words`` fill in further braces (``since``)."""
        tools = table("distributions")["tools"][self.row["tools"]]
        own = self.row.get("over", {})
        found = [line for task in tasks for line in own.get(task, tools.get(task, ()))]
        return tuple(dict.fromkeys(self.line(line, **words) for line in found))

    def rows(self, key: str) -> tuple[Command, ...]:
        """Return the command lines that stand under a key of the distribution's own row (``certificates``)."""
        return tuple(self.line(line) for line in self.row.get(key, ()))

    def line(self, line: Iterable[str], **words: str) -> Command:
        """Fill one line of a data file in for this machine."""
        known = {"since": "-1h", "container": "etcd", **self._words, **words}
        filled: list[str] = []
        for word in line:
            value = re.sub(r"\{(\w+)\}", lambda m: known.get(m[1], m[0]), word)
            # A tool with arguments of its own ("k3s crictl") is several words.
            filled += value.split(" ") if word == "{crictl}" else [value]
        return shell(*filled)

    def rejoin(self, step: str) -> tuple[Command, ...]:
        """Return how an etcd member of this distribution is taken out (``remove``) and joins anew (``join``)."""
        return tuple(self.line(line) for line in self.row.get("rejoin", {}).get(step, ()))

    @property
    def rejoin_note(self) -> str:
        """What to know before a member joins anew; empty for nothing."""
        return str(self.row.get("rejoin", {}).get("note", ""))

    @property
    def enter(self) -> str:
        """Say how to get onto the machine where ssh is not the way; empty otherwise."""
        return re.sub(r"\{(\w+)\}", lambda m: self._words.get(m[1], m[0]), self.path("enter"))


def _fields(node: Obj) -> dict[str, tuple[str, ...]]:
    info = node.get("status", {}).get("nodeInfo", {}) if isinstance(node.get("status"), dict) else {}
    return {
        "operatingSystem": (text(info, "operatingSystem"),),
        "osImage": (text(info, "osImage"),),
        "kubeletVersion": (text(info, "kubeletVersion"),),
        "providerID": (text(node, "spec", "providerID"),),
        "labels": tuple(labels(node, "metadata", "labels")),
        "annotations": tuple(labels(node, "metadata", "annotations")),
    }


def _matches(row: Mapping[str, Any], fields: Mapping[str, tuple[str, ...]]) -> bool:
    return any(re.search(pattern, value) for key, pattern in row["match"].items() for value in fields[key])


def machine_of(node: Obj) -> Machine:
    """Return the machine of a Node; what tells nothing is taken for Linux with systemd."""
    fields = _fields(node)
    rows = table("distributions")["distributions"]
    row = next((r for r in rows if _matches(r, fields)), rows[-1])
    address = next(
        (text(a, "address") for a in objects(node, "status", "addresses") if text(a, "type") == "InternalIP"), ""
    )
    runtime = text(node, "status", "nodeInfo", "containerRuntimeVersion").partition("://")[0]
    unit = {"cri-o": "crio", "docker": "docker"}.get(runtime, runtime or "containerd")
    server = any(role in fields["labels"] for role in SERVER_ROLES)
    name = name_of(node)
    return Machine(row, name, address or name, text(node, "spec", "providerID"), server, unit)


def named(distribution: str) -> Machine:
    """Return a machine of which only the distribution is known, with words in capitals for the rest."""
    rows = table("distributions")["distributions"]
    row = next((r for r in rows if r["name"] == distribution), rows[-1])
    return Machine(row, "NODE", "NODE", server=True)
