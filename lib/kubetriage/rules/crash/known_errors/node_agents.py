"""Agents of every node that were set up for another cluster: its pod ranges, its kubelet's directory."""

from __future__ import annotations

from kubetriage.model import Evidence
from kubetriage.rules.crash.acts import manifest, on_node, operator, place, restart, where
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.kubelet_roots import kubelet_root
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import objects, text
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


ROWS: tuple[Row, ...] = (
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
