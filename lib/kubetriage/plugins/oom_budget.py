"""``kubectl oom-budget``: who killed it, and where the memory goes."""

from __future__ import annotations

from kubetriage.plugins import Access, Option, Plugin, later
from kubetriage.rules.memory.overrides import COLLECTORS, KEYS
from kubetriage.rules.memory.runtime_detection import RUNTIMES
from kubetriage.values.resources import CONTROLLERS

PLUGIN = Plugin(
    name="oom-budget",
    summary="Say who killed it and where the memory goes",
    description=(
        "Explain who killed a container for memory (its own limit, the pod's, the node, an eviction, the runtime "
        "itself, or not memory at all). Add up what its runtime may take (heap, metaspace, direct buffers, code cache, "
        "stacks, collector) against the limit that is in force, and find the smallest change that makes it fit. "
        "It knows HotSpot 8 to 25, OpenJ9, GraalVM, Node.js, Go and .NET; it names what it assumes and what it cannot "
        "see."
    ),
    usage="(POD | TYPE/NAME | TYPE NAME) ...",
    examples=(
        ("Who killed it, and does its budget close", "kubectl oom-budget api-7d9c5b8f6-x2x4q"),
        ("One container of a deployment's pods", "kubectl oom-budget deployment/api -c app"),
        ("Rank the whole cluster: kills, budgets that cannot close, no limits", "kubectl oom-budget -A"),
        ("Ask what would be", "kubectl oom-budget api-7d9c5b8f6-x2x4q --what-if limit=6Gi,threads=400,xmx=4g"),
        ("Check a manifest before anything runs", "kubectl oom-budget -f deployment.yaml --jdk 21 --threads 200"),
        ("Plan heap, metaspace, direct memory, stacks for a limit", "kubectl oom-budget --fit limit=4Gi,threads=200"),
        ("Watch what is used of every limit, the worst first", "kubectl oom-budget -A --watch"),
        ("Reconcile with native memory tracking", "kubectl oom-budget api-7d9c5b8f6-x2x4q --nmt nmt.txt"),
    ),
    default_resource="pods",
    resources=("pods", *CONTROLLERS),
    plan=later("kubetriage.plugins.oom_budget_plan", "plan"),
    diagnose=later("kubetriage.plugins.oom_budget_plan", "diagnose"),
    guesses=later("kubetriage.plugins.guesses", "pod_guesses"),
    known_rules=later("kubetriage.rules.memory", "all_rules"),
    watches=("pods",),
    options=(
        Option(
            "--runtime",
            f"Runtime of the container, where it is not recognised: {', '.join(RUNTIMES)}.",
            "choice",
            choices=RUNTIMES,
            metavar="NAME",
        ),
        Option("--jdk", "Major version of the JDK (8 to 27).", "integer", metavar="MAJOR"),
        Option("--threads", "Number of threads of the process.", "integer", metavar="N"),
        Option("--classes", "Number of loaded classes.", "integer", metavar="N"),
        Option("--gc", "Garbage collector of the JVM.", "choice", choices=COLLECTORS),
        Option("--margin", "Room to keep below the limit: a percentage or a quantity.", "text", metavar="5%|64Mi"),
        Option(
            "--what-if",
            f"Recompute with other values, for example limit=6Gi,threads=400,xmx=4g ({', '.join(KEYS)}).",
            "text",
            metavar="KEY=VALUE,...",
            multiple=True,
        ),
        Option(
            "--fit",
            "Plan all settings of a process for a limit, with a reason for each: limit=4Gi,threads=200.",
            "text",
            metavar="KEY=VALUE,...",
        ),
        Option(
            "--plan",
            "Check the pod templates of a manifest; no cluster is asked.",
            "manifest",
            metavar="FILE",
            short="-f",
        ),
        Option(
            "--nmt", "Output of 'jcmd PID VM.native_memory summary' to reconcile (- is stdin).", "file", metavar="FILE"
        ),
        Option("--proc", "A /proc/PID/status to reconcile (- is stdin).", "file", metavar="FILE"),
    ),
    access=(
        Access(("",), ("pods",), ("get", "list"), "the pod itself, and the eviction order of its node", required=True),
        Access(("",), ("pods/log",), ("get",), "the runtime's own words and version"),
        Access(("",), ("events",), ("list",), "whether the node itself ran out of memory"),
        Access(("",), ("configmaps",), ("get",), "options that come from ConfigMaps"),
        Access(("",), ("nodes",), ("get", "list"), "CPUs and memory that the runtime sees without a limit"),
        Access(("coordination.k8s.io",), ("leases",), ("get", "list"), "whether the nodes still report"),
        Access(("",), ("nodes/proxy",), ("get",), "usage, threads and OOM counters from the kubelet"),
        Access(("metrics.k8s.io",), ("pods",), ("get", "list"), "the working set"),
        Access(
            ("apps",), ("deployments", "replicasets", "statefulsets", "daemonsets"), ("get", "list"), "the owner to fix"
        ),
        Access(("batch",), ("jobs", "cronjobs"), ("get", "list"), "the owner to fix"),
    ),
)
