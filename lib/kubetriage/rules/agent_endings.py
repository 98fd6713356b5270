"""Last words of k3s, RKE2 and their like: in comes the line with which a process ended, out goes what it asks for.

One process runs the kubelet, the API server and the datastore there, so node and control plane meet the same lines.
"""

from __future__ import annotations

import re

from kubetriage.rules.machine import Machine
from kubetriage.values.patterns import lazy

# k3s-io/k3s pkg/cluster, pkg/etcd, pkg/daemons, pkg/util and rancher/rke2; 1.20 to 1.35.
_ASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        lazy(r"encrypted with different token|failed to normalize (?:server )?token|bootstrap data .{0,40}token"),
        "Start this server with the token that the cluster was made with: copy {state}/server/token from a server that"
        " runs into token: of {config}. The datastore is encrypted with it.",
    ),
    (
        lazy(r"duplicate node name"),
        "An etcd member of this machine's name exists. If this machine replaces the old one: delete the old Node, so"
        " that its member goes too, then start again. Else give it another hostname or node-name in {config}.",
    ),
    (
        lazy(r"critical configuration (?:value )?mismatch|mismatched? .{0,40}between servers"),
        "Give this server the same critical values as the others in {config}: cluster-cidr, service-cidr, cluster-dns,"
        " cluster-domain, disable and egress flags. The line names those that differ.",
    ),
    (
        lazy(
            r"(?:restart|start) without (?:the )?--?cluster-reset|remove the cluster-reset flag|has been reset, restart"
        ),
        "The reset is done: take cluster-reset out of the command and of {config}, then start the unit as usual. Other"
        " servers: move {state}/server/db away, then join them again.",
    ),
    (
        lazy(r"no default routes found|unable to (?:find suitable network address|select an IP)|specified node ip"),
        "The machine has no default route, or not the address in node-ip: give it a default route (a dummy one does in"
        " an air gap), or set node-ip in {config} to an address that it has.",
    ),
    (
        lazy(r"failed to find interface:? ?\S+|flannel exited: .{0,80}interface"),
        "The machine has no interface of that name: correct or take out flannel-iface in {config}; compare with"
        " ip -brief address. Then start {unit} again.",
    ),
    (
        lazy(r"etcd disabled|--disable-etcd|no etcd nodes|waiting for .{0,40}etcd server to become available"),
        "No server with etcd is reached: start one that has etcd first, and let server: in {config} point to it.",
    ),
    (
        lazy(r"unknown flag|flag provided but not defined|unknown (?:shorthand )?flag"),
        "Take the flag that it names out of {config} and of the unit: this release does not know it.",
    ),
)


def asked_by(words: str, machine: Machine) -> str:
    """Return what the last words of an agent ask for, on this distribution; empty where no row knows them."""
    if machine.name not in ("k3s", "rke2"):
        return ""
    known = {
        "state": f"/var/lib/rancher/{machine.name}",
        "config": f"/etc/rancher/{machine.name}/config.yaml",
        "unit": machine.kubelet_unit,
    }
    return next((text.format(**known) for pattern, text in _ASKS if pattern.search(words)), "")
