"""Which part of a cluster wrote a log: by the container of its command, the name of its file, or its own words."""

from __future__ import annotations

from collections.abc import Sequence

from kubetriage.cluster.text.blocks import Block
from kubetriage.readers.logs.layers import is_journal_line
from kubetriage.values.patterns import lazy

HUBBLE = "hubble"
"""The name under which what hubble observe printed is kept."""
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns")
# What kube-apiserver alone says at its start (cmd/kube-apiserver/app/options, pkg/controlplane), 1.18 to 1.37.
_OF_API_SERVER = lazy(
    r"external host was not specified, using |error while parsing encryption provider configuration"
    r"|Version: v1\.\d+\S* .{0,40}kube-apiserver|unable to load configmap based request-header-client-ca-file"
)
# hubble observe, its compact form: NAMESPACE/POD:PORT (ID:1) -> NAMESPACE/POD:PORT (ID:2) EVENT VERDICT (PROTOCOL).
_FLOW = lazy(r"\S{1,400} \([\w:,. -]{1,80}\) (?:->|<>|<-) \S{1,400} \([\w:,. -]{1,80}\) .{1,160} [A-Z]{5,12} \(")


def flows(rows: Sequence[str]) -> list[str]:
    """Return the rows that hubble observe printed."""
    return [row.strip() for row in rows if _FLOW.search(row)]


def component(block: Block, source: str) -> str:
    """Return the component of the cluster whose log this is by the name of its file; empty for others."""
    command = block.command
    if command is not None and command.tool in ("crictl", "docker", "podman", "nerdctl"):
        # A container by its name, as the kubelet names Docker's: k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT.
        named = next((part for part in COMPONENTS if command.unit.removeprefix("k8s_").startswith(part)), "")
        return named or _component_by_words(block)
    name = (block.heading or source).rpartition("/")[2].lower()
    known = next((part for part in COMPONENTS if name.startswith(part)), "")
    return known or _component_by_words(block)


def _component_by_words(block: Block) -> str:
    """Return the component whose log this is by its own words; a process that holds several is not one of them."""
    if len(flows(block.rows)) * 2 > len([row for row in block.rows if row.strip()]):
        return HUBBLE
    mixed = any(is_journal_line(row) or row.lstrip().startswith("time=") for row in block.rows)
    return "kube-apiserver" if not mixed and any(map(_OF_API_SERVER.search, block.rows)) else ""
