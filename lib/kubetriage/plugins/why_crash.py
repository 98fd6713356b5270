"""``kubectl why-crash``: why a pod crashes, does not start, or never gets ready."""

from __future__ import annotations

from kubetriage.plugins import Access, Option, Plugin, later
from kubetriage.values.resources import CONTROLLERS

PLUGIN = Plugin(
    name="why-crash",
    summary="Name the cause of a crashing or unready pod",
    description=(
        "Explain why a pod crashes, does not start, or never gets ready: the cause with its proof, the fix with real "
        "names and values, and the command that shows that it worked. It reads what "
        "'kubectl describe', 'kubectl logs --previous' and 'kubectl get events' would show, and what they point at."
    ),
    usage="(POD | TYPE/NAME | TYPE NAME) ...",
    examples=(
        ("Name the cause for one pod", "kubectl why-crash api-7d9c5b8f6-x2x4q"),
        ("The pods of a deployment, or its own events when it has none", "kubectl why-crash deployment/api"),
        ("The pods of any other workload that the cluster serves", "kubectl why-crash rollout/api"),
        ("Everything that is broken in all namespaces", "kubectl why-crash -A"),
        ("Pods by label, with all evidence", "kubectl why-crash -l app=api -o wide"),
        ("The kubectl steps that this replaces", "kubectl why-crash api-7d9c5b8f6-x2x4q --explain"),
        ("Answer again whenever the pod changes", "kubectl why-crash api-7d9c5b8f6-x2x4q --watch"),
        ("Diagnose a dump from a colleague", "kubectl why-crash api-7d9c5b8f6-x2x4q --from ./dump"),
    ),
    default_resource="pods",
    resources=("pods", *CONTROLLERS),
    accepts_any_kind=True,
    watches=("pods", "events"),
    plan=later("kubetriage.plugins.why_crash_plan", "plan"),
    diagnose=later("kubetriage.plugins.why_crash_plan", "diagnose"),
    explains=later("kubetriage.plugins.why_crash_plan", "explains"),
    guesses=later("kubetriage.plugins.guesses", "crash_guesses"),
    waits=True,
    known_rules=later("kubetriage.rules.crash", "all_rules"),
    options=(
        Option(
            "--max-logs",
            "In a scan, read at most so many logs; what was not read is named",
            kind="integer",
            default=50,
            metavar="COUNT",
        ),
    ),
    access=(
        Access(("",), ("pods",), ("get", "list", "watch"), "the pod itself (watch: --watch)", required=True),
        Access(("",), ("pods/log",), ("get",), "the program's own last words"),
        Access(("",), ("events",), ("list", "watch"), "who killed it, and why it does not start"),
        Access(
            ("apps",),
            ("deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions"),
            ("get", "list"),
            "the owner to fix, and what its last revision changed",
        ),
        Access(("batch",), ("jobs", "cronjobs"), ("get", "list"), "the job's limits"),
        Access(("argoproj.io",), ("rollouts",), ("get",), "TYPE/NAME of a Rollout"),
        Access(("apps.openshift.io",), ("deploymentconfigs",), ("get",), "TYPE/NAME of a DeploymentConfig"),
        Access(
            ("serving.knative.dev",),
            ("services", "configurations", "revisions"),
            ("get",),
            "TYPE/NAME of a Knative Service; other kinds of the cluster need a rule like this one",
        ),
        Access(
            ("",),
            ("configmaps", "secrets", "serviceaccounts", "persistentvolumeclaims"),
            ("get", "list"),
            "references that do not resolve, with the nearest name (Secret values are dropped as they arrive)",
        ),
        Access(
            ("storage.k8s.io",),
            ("storageclasses", "volumeattachments", "csinodes"),
            ("get", "list"),
            "why a volume is not provisioned or attached",
        ),
        Access(
            ("secrets-store.csi.x-k8s.io",),
            ("secretproviderclasses",),
            ("get",),
            "the provider behind a volume of secrets",
        ),
        Access(("",), ("persistentvolumes",), ("get", "list"), "where a volume is, and who may own its files"),
        Access(("",), ("resourcequotas", "limitranges"), ("get", "list"), "what a namespace allows its pods"),
        Access(("scheduling.k8s.io",), ("priorityclasses",), ("list",), "the nearest name of a missing class"),
        Access(("node.k8s.io",), ("runtimeclasses",), ("list",), "the nearest name of a missing class"),
        Access(
            ("resource.k8s.io",),
            ("resourceclaims", "resourceclaimtemplates", "deviceclasses"),
            ("get", "list"),
            "claims of devices that are missing or not allocated",
        ),
        Access(
            ("admissionregistration.k8s.io",),
            ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"),
            ("list",),
            "the webhook that refuses pods, and whether it blocks its own server",
        ),
        Access(("",), ("namespaces",), ("get",), "the level of Pod Security that a namespace enforces"),
        Access(("",), ("nodes",), ("get", "list"), "the node's state, taints and free resources"),
        Access(("coordination.k8s.io",), ("leases",), ("get", "list"), "whether the nodes of ready pods still report"),
        Access(("",), ("services",), ("get", "list"), "the Service behind an address that the program cannot reach"),
        Access(("discovery.k8s.io",), ("endpointslices",), ("list",), "whether that Service has ready endpoints"),
    ),
)
