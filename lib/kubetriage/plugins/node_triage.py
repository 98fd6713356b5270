"""``kubectl node-triage``: why a node is not well, and what happens to its pods."""

from __future__ import annotations

from kubetriage.plugins import Access, Option, Plugin, later, machine_logs

_PLAN = "kubetriage.plugins.node_triage_plan"

PLUGIN = Plugin(
    name="node-triage",
    summary="Tell whether a node or only its contact is lost",
    description=(
        "Explain why a node is NotReady: the kubelet reports a problem, contact is lost, or the status is stale. Show "
        "whether one node, a zone, a pool or the whole cluster is affected, which signals show that the machine is "
        "up, and what happens to each of its pods, and when. Nodes, Leases and pods are read from the API "
        "server's watch cache (resourceVersion=0), which answers even while etcd is down."
    ),
    usage="[NODE | node/NAME ...]",
    examples=(
        ("Every node that is not healthy", "kubectl node-triage"),
        ("One node, with all evidence", "kubectl node-triage worker-3 -o wide"),
        ("Let the API server dial the kubelet (needs nodes/proxy)", "kubectl node-triage worker-3 --probe-kubelet"),
        ("With the machine's own journal", "journalctl -u kubelet | kubectl node-triage worker-3 --node-log -"),
        (
            "Before the incident: who would wait how long, and a patch for what is critical",
            "kubectl node-triage --tolerations --critical tier=frontend=30s",
        ),
        ("Before maintenance: what a drain would wait for or lose", "kubectl node-triage worker-3 --drain"),
        ("The nodes of one zone", "kubectl node-triage -l topology.kubernetes.io/zone=eu-1a --all"),
        ("The kubectl steps that this replaces", "kubectl node-triage worker-3 --explain"),
    ),
    default_resource="nodes",
    resources=("nodes",),
    plan=later(_PLAN, "plan"),
    diagnose=later(_PLAN, "diagnose"),
    explains=later(_PLAN, "explains"),
    guesses=later("kubetriage.plugins.guesses", "node_guesses"),
    known_rules=later("kubetriage.rules.node.registry", "all_rules"),
    options=(
        Option(
            "--probe-kubelet",
            "Let the API server dial the kubelet of nodes in trouble, and read its thresholds and free space.",
        ),
        machine_logs.OPTION,
        Option(
            "--drain",
            "Say what a drain of the node would wait for or lose: PodDisruptionBudgets, hanging deletions, pods without"
            " a controller, emptyDirs. Told of cordoned nodes without being asked.",
        ),
        Option(
            "--tolerations",
            "Before the incident: show for every workload how long it would wait for a new pod if its node were lost.",
        ),
        Option(
            "--critical",
            "With --tolerations: what may wait at most so long, as SELECTOR=DURATION (tier=frontend=30s); patches for"
            " those that would wait longer. May be given several times.",
            "text",
            metavar="SELECTOR=DURATION",
            multiple=True,
        ),
        Option("--deadline", "Answer within this time, with what was seen by then (default 15s).", "duration", 15.0),
        Option("--interval", "Time between two reads that prove that nobody writes (default 3s).", "duration", 3.0),
        Option(
            "--frozen-after",
            "No Lease renewed for this long: writes fail (default 30s).",
            "duration",
            30.0,
        ),
        Option("--cluster-share", "Share of silent nodes that makes a lost cluster (default 0.8).", "number", 0.8),
        Option(
            "--together-within",
            "Last renewals this close have one cause (default 20s).",
            "duration",
            20.0,
        ),
    ),
    access=(
        Access(("",), ("nodes",), ("get", "list"), "the node itself, and the others beside it", required=True),
        Access(("coordination.k8s.io",), ("leases",), ("get", "list"), "heartbeats of nodes and of the control plane"),
        Access(("",), ("pods",), ("get", "list"), "what happens to the pods of the node"),
        Access(("",), ("events",), ("list",), "reboots, shutdowns and out-of-memory kills"),
        Access(("",), ("pods/log",), ("get",), "the words of controllers and agents that leave a node as it is"),
        Access(("",), ("nodes/proxy",), ("get",), "the kubelet's own answer, figures and log (--probe-kubelet)"),
        Access(("apps",), ("daemonsets",), ("list",), "which network plugin the cluster has"),
        Access(
            ("certificates.k8s.io",),
            ("certificatesigningrequests",),
            ("list",),
            "whether a kubelet waits for a certificate",
        ),
        Access(("",), ("persistentvolumeclaims",), ("get", "list"), "volumes that hold up a replacement"),
        Access(("policy",), ("poddisruptionbudgets",), ("list",), "what refuses evictions of a cordoned node's pods"),
        Access(("batch",), ("jobs",), ("get", "list"), "whether a Job waits for its lost pod"),
        Access(("storage.k8s.io",), ("volumeattachments",), ("get", "list"), "volumes still attached to the node"),
    ),
)
