"""What the checks of network tools say that failed: linkerd's check list, and Cilium's view of its nodes.

In comes a line or paragraph that the tool printed, out goes the finding it stands for; nothing else is known.
"""

from __future__ import annotations

from kubetriage.data import table
from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.patterns import compiled_pattern, lazy

LINKERD, CILIUM = "linkerd", "cilium"

_FAILED = lazy(r"\A\s{0,8}(?P<sign>[\u00d7\u2718\u2717]|\u203c|\[FAIL\]|\(red\)|\(yellow\)) {1,4}(?P<check>\S.{0,300})")
_MILD = ("\u203c", "(yellow)")
# cilium status and cilium-health status: NAME IP REACHABLE ENDPOINTS-REACHABLE below the sum.
_HEALTH = lazy(r"Cluster health: {1,60}(?P<some>\d{1,5})/(?P<all>\d{1,5}) reachable")
_NODE = lazy(
    r"(?P<name>[\w./-]{1,253})(?: \(localhost\))? {1,80}(?P<address>[\d.]{7,15}|[0-9a-f:]{3,39}) {1,40}"
    r"(?P<node>true|false) {1,40}(?P<pods>true|false)"
)


def explain(line: str) -> Finding | None:
    """Say what a failed check means; None for one that passed, and for words that are none of these tools'."""
    health = _HEALTH.search(line)
    if health is not None:
        return _unreached(line) if health["some"] != health["all"] else None
    match = _FAILED.match(line)
    if match is None:
        return None
    for row in table("mesh_checks")["checks"]:
        found = compiled_pattern(row["match"]).search(match["check"])
        if found is None:
            continue
        words = {k: v or "" for k, v in found.groupdict().items()}
        return Finding(
            row["cause"],
            Severity.WARNING if match["sign"] in _MILD else Severity.ERROR,
            Confidence.CONFIRMED,
            Ref("Namespace", "", LINKERD),
            row["message"].format_map(words),
            (Evidence("status", LINKERD, line.strip()),),
            (),
            (
                Fix(
                    row["fix"].format_map(words),
                    actor=Actor.CLUSTER,
                    commands=tuple(shell(*command) for command in row["commands"]),
                ),
            ),
            (shell("linkerd", "check"),),
        )
    return None


def _unreached(line: str) -> Finding | None:
    """Tell of nodes that one agent of Cilium does not reach; None where the rows of the nodes are not there."""
    rows = [m for m in _NODE.finditer(line) if "false" in (m["node"], m["pods"])]
    if not rows:
        return None
    named = ", ".join(m["name"] for m in rows[:4]) + (f" and {len(rows) - 4} more" if rows[4:] else "")
    overlay = all(m["node"] == "true" for m in rows)
    what = "the pods of" if overlay else "nodes"
    doors = (
        "UDP 8472 (VXLAN) or 6081 (Geneve), or WireGuard's UDP 51871: the nodes themselves answer, what is tunnelled"
        " does not"
        if overlay
        else "TCP 4240 and ICMP for the check, UDP 8472 (VXLAN) or 6081 (Geneve) for the pods"
    )
    return Finding(
        "NetworkPluginNotReady",
        Severity.ERROR,
        Confidence.LIKELY,
        Ref("Node", "", rows[0]["name"]),
        f"Cilium does not reach {what} {named} from the node that was asked: requests to Services fail whenever the pod"
        " that is chosen runs there.",
        (Evidence("status", CILIUM, " ".join(rows[0][0].split())),),
        (),
        (
            Fix(
                f"Open between all nodes, both ways: {doors}. That is for security groups, firewalld or ufw on the"
                " nodes, and the cloud's own firewall.",
                actor=Actor.CLOUD,
                commands=(
                    kubectl("get", "nodes", "-o", "wide"),
                    shell("nc", "-vz", "-w", "5", rows[0]["address"], "4240"),
                    kubectl("exec", "ds/cilium", "--", "cilium-health", "status", namespace="kube-system"),
                ),
            ),
            Fix("If a node of the list is off or was removed: bring it back, or delete its Node and CiliumNode."),
        ),
        (kubectl("exec", "ds/cilium", "--", "cilium-health", "status", "--probe", namespace="kube-system"),),
        {"nodes": [m["name"] for m in rows]},
    )
