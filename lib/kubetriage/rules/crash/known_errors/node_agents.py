"""Agents of every node that do not fit it: its pod ranges, addresses, kernel modules, its kubelet's directories."""

from __future__ import annotations

import re

from kubetriage.model import Evidence
from kubetriage.rules.crash.acts import image, manifest, node, on_node, operator, place, restart, where
from kubetriage.rules.crash.container_spec import mount_of
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.kubelet_roots import kubelet_root
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.fields import objects, text, texts
from kubetriage.values.patterns import lazy


def _range(words: LastWords, said: Said) -> Advice:
    network, own, name = said.match["network"], said.match["range"], said.match["node"] or place(words)
    maps = [text(v, "configMap", "name") for v in objects(words.case.pod.raw, "spec", "volumes") if "configMap" in v]
    config = next(iter(maps), "kube-flannel-cfg")
    namespace = words.case.pod.namespace
    return Advice(
        f"its network {network} does not hold the pod range {own} of node {name}: the plugin and the cluster were set "
        "up with different ranges",
        (
            operator(
                f"Set Network in net-conf.json of ConfigMap {config} to the cluster's pod range (--cluster-cidr of the "
                f"controller manager), which holds {own}.",
                kubectl("get", "nodes", "-o", "custom-columns=NAME:.metadata.name,CIDR:.spec.podCIDR"),
                kubectl("edit", "configmap", config, namespace=namespace),
                *restart(words),
            ),
            operator(
                f"Or set the cluster up with the plugin's range: kubeadm init --pod-network-cidr={network}. Nodes that "
                "exist keep their old range until they are joined anew."
            ),
        ),
        (Evidence("config", f"configmap/{config}", f"Network {network}"),),
        details={"network": network, "podRange": own},
    )


def _kubelet_root(words: LastWords, _: Said) -> Advice | None:
    volumes = {text(v, "name"): text(v, "hostPath", "path") for v in objects(words.case.pod.raw, "spec", "volumes")}
    volume, path = next(((n, p) for n, p in volumes.items() if "/pods" in p or n == "host-pods"), ("", ""))
    if not path:
        return None
    root = kubelet_root(words.case.node.obj)
    told = f" ({root}/pods)" if root else ""
    return Advice(
        f"hostPath {path} of volume {volume} holds no pods on {place(words)}: the kubelet there keeps them in another "
        "directory",
        (
            manifest(
                words,
                f"Point hostPath of volume {volume} in {words.case.workload_name} at the pods directory of the kubelet"
                f"{told}: its --root-dir. microk8s has /var/snap/microk8s/common/var/lib/kubelet, k0s "
                "/var/lib/k0s/kubelet (charts: nodeAgent.podVolumePath, kubeletDir).",
                {"volumes": [{"name": volume, "hostPath": {"path": f"{root}/pods"}}]} if root else None,
                on_node(words, "sh", "-c", "ps -ef | grep -o -e '--root-dir[= ][^ ]*'; ls -d /var/*/*/kubelet/pods"),
            ),
        ),
        (Evidence("spec", f"spec.volumes[{volume}].hostPath.path", path),),
        details={"volume": volume, "path": path},
    )


def _ownership(words: LastWords, said: Said) -> Advice:
    path = said.match["path"] or said.match["unsafe"] or "the repository"
    return Advice(
        f"git refuses {path}, whose files belong to another user than the one that {words.container.name} runs as",
        (
            manifest(
                words,
                f"Let git trust {path} in {where(words)} by its environment; nothing is written for it.",
                words.container.patch(
                    {
                        "env": [
                            {"name": "GIT_CONFIG_COUNT", "value": "1"},
                            {"name": "GIT_CONFIG_KEY_0", "value": "safe.directory"},
                            {"name": "GIT_CONFIG_VALUE_0", "value": path},
                        ]
                    }
                ),
            ),
            manifest(
                words,
                f"Or run {words.container.name} as the owner of the files (runAsUser); fsGroup changes the group "
                f"alone.",
            ),
        ),
        details={"path": path},
    )


_REGISTRATION = "--kubelet-registration-path"


def _socket(words: LastWords, said: Said) -> Advice | None:
    """Hold the socket that the kubelet is told against the directory of the node that is mounted for it."""
    arguments = [*texts(words.container.spec, "args"), *texts(words.container.spec, "command")]
    given = dict(a.partition("=")[::2] for a in arguments if a.startswith("--") and "=" in a)
    told, inside = given.get(_REGISTRATION, ""), given.get("--csi-address", "/csi/csi.sock")
    found = mount_of(words.container, inside.removeprefix("unix://"))
    host = text(found[1], "hostPath", "path").rstrip("/") if found is not None else ""
    if not told or not host or found is None or said.match["path"] != told:
        return None
    below = inside.removeprefix("unix://").removeprefix(text(found[0], "mountPath").rstrip("/"))
    right = f"{host}{below}"
    if right == told:
        return None
    volume = text(found[1], "name")
    return Advice(
        f"the kubelet is sent to {told}, and the driver's socket is {right} on {place(words)}: hostPath {host} of "
        f"volume {volume}",
        (
            manifest(
                words,
                f"Set {_REGISTRATION}={right} in the args of {where(words)}, or point hostPath of volume {volume} at "
                f"{told.rpartition('/')[0]}; the kubelet's own directory must be right in both.",
            ),
        ),
        (
            Evidence("spec", f"{words.container.spec_path}.args", f"{_REGISTRATION}={told}"),
            Evidence("spec", f"spec.volumes[{volume}].hostPath.path", host),
        ),
        details={"socket": right},
    )


def _own_address(words: LastWords, _: Said) -> Advice:
    look = on_node(words, "ip", "-brief", "address")
    entries = objects(words.container.spec, "env")
    given = next((e for e in entries if text(e, "name").endswith("_AUTODETECTION_METHOD") and text(e, "value")), None)
    if given is not None:
        name, method = text(given, "name"), text(given, "value")
        return Advice(
            f"no address of {place(words)} fits {name}={method}",
            (
                manifest(
                    words,
                    f"Set {name} of {where(words)} to an interface that {place(words)} has (interface=NAME, a regular "
                    "expression; the list below), or to kubernetes-internal-ip, which takes the node's InternalIP. "
                    "With Calico's operator: nodeAddressAutodetectionV4 in the Installation.",
                    None,
                    look,
                ),
            ),
            (Evidence("spec", f"{words.container.spec_path}.env[{name}]", method),),
            details={"setting": name, "value": method},
        )
    return Advice(
        f"the network plugin finds no address of {place(words)} that it may use",
        (
            manifest(
                words,
                f"Name the interface in {where(words)}: IP_AUTODETECTION_METHOD=interface=eth.* or "
                "can-reach=8.8.8.8 (Calico), "
                "--iface (flannel).",
                None,
                look,
            ),
        ),
    )


_LINK = lazy(r"\b(vxlan|wireguard|geneve|ipvlan|macvlan|ipip|ip6tnl|vrf|sit|gre)\b", re.IGNORECASE)


def _kernel_module(words: LastWords, said: Said) -> Advice | None:
    name = next((g for g in said.match.groups() if g), "").lower()
    if name in ("", "network") and "not supported" in said.line:
        # The error of netlink does not say which kind of interface it was to make; a line above does.
        above = _LINK.findall("\n".join(words.text.splitlines()[-40:]))
        if not above:
            return None
        name = above[-1].lower()
    module = name or ("iptable_nat" if "nat" in said.line else "ip_tables")
    if "not supported" in said.line:
        return Advice(
            f"the kernel of {place(words)} cannot make an interface of kind {module}: it lacks module {module}",
            (
                node(
                    f"Load it on {place(words)}, and keep it in /etc/modules-load.d.",
                    on_node(words, "modprobe", module),
                ),
                node(
                    "If modprobe does not find it: install the package with the kernel's other modules (Ubuntu: "
                    "linux-modules-extra of its kernel, on a Raspberry Pi linux-modules-extra-raspi), or a kernel that "
                    "has it, and restart the node."
                ),
            ),
            details={"module": module},
        )
    return Advice(
        f"{place(words)} has not loaded kernel module {module}",
        (
            node(
                f"Load it on {place(words)}, and keep it in /etc/modules-load.d.",
                on_node(words, "modprobe", module),
            ),
            image(
                "Or use a release of the image with the other iptables backend (nft in place of "
                "legacy, or the reverse)."
            ),
        ),
    )


def _address_of_another(words: LastWords, said: Said) -> Advice:
    other, address = said.match["other"], said.match["address"]
    nodes = words.case.snapshot.get("nodes", "", other)
    gone = nodes.absent and not nodes.presumed
    stale = operator(
        f"{'No' if gone else 'If no'} node {other} is in the cluster{'' if gone else ' any more'}: remove what Calico "
        "keeps of it.",
        shell("calicoctl", "delete", "node", other),
    )
    choose = manifest(
        words,
        f"{'Otherwise' if gone else 'If both nodes are there, they'} detect the same address, of an interface that "
        f"both have (a bridge, a NAT network of virtual machines): set IP_AUTODETECTION_METHOD of {where(words)} to "
        "kubernetes-internal-ip, or interface=NAME.",
        words.container.patch({"env": [{"name": "IP_AUTODETECTION_METHOD", "value": "kubernetes-internal-ip"}]}),
        kubectl("get", "nodes", "-o", "wide"),
    )
    return Advice(
        f"Calico holds address {address} for another node, {other}",
        (stale, choose) if gone else (choose, stale),
        details={"address": address, "other": other},
    )


ROWS: tuple[Row, ...] = (
    Row(
        "registration-socket",
        lazy(r"plugin registration failed[^\n]{0,80}: dial unix (?P<path>/[^\s:]{1,300}): connect: no such file"),
        _socket,
        beside=True,
    ),
    Row(
        "own-address",
        lazy(
            r"(?i)unable to auto-?detect an? IPv[46] address|couldn't autodetect a management IP"
            r"|could not find valid (?:interface|IP)"
            r"|failed to (?:find|get) (?:the )?(?:default )?interface|Unable to find default route"
        ),
        _own_address,
        beside=True,
    ),
    Row(
        "address-of-another",
        lazy(
            r"Calico node '(?P<other>[\w.-]{1,253})' is already using the IPv[46] address (?P<address>[\w.:]{3,45}\w)"
        ),
        _address_of_another,
        beside=True,
    ),
    Row(
        "kernel-module",
        lazy(
            r"[Tt]able does not exist \(do you need to insmod|unable to initialize table '\w+'|modprobe: (?:FATAL: "
            r"|ERROR: )?[Mm]odule (\w{2,40}) not found"
            r"|(?i:error registering (network)|(?:fail\w*|unable|cannot|could not|error) (?:to )?(?:add|create|adding"
            r"|creating|setup|set up|ensure)\w*[^\n]{0,60}?\b(vxlan|wireguard|geneve|ipvlan|macvlan|ipip|ip6tnl|vrf)\b)"
            r"[^\n]{0,80}?(?i:operation not supported|\bnot supported\b)"
            r"|can't open module|failed to load (?:kernel )?module '?(\w{2,40})"
        ),
        _kernel_module,
        beside=True,
    ),
    Row(
        "pod-range-outside",
        lazy(
            r"subnet \"(?P<network>[^\"]{1,50})\" specified in the flannel net config doesn't contain "
            r"\"(?P<range>[^\"]{1,50})\" PodCIDR(?: of the \"(?P<node>[^\"]{1,253})\" node)?"
        ),
        _range,
        beside=True,
    ),
    Row(
        "kubelet-root",
        lazy(
            r"unexpected directory structure for host-pods volume|host-pods volume corresponds to the pods subdirectory"
        ),
        _kubelet_root,
        beside=True,
    ),
    Row(
        "git-ownership",
        lazy(
            r"detected dubious ownership in repository at '(?P<path>[^'\n]{1,300})'"
            r"|unsafe repository \('(?P<unsafe>[^'\n]{1,300})' is owned by someone else\)"
        ),
        _ownership,
        "PermissionDenied",
        beside=True,
    ),
)
