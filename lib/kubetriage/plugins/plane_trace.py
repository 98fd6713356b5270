"""``kubectl plane-trace``: follow a control plane from etcd's disk to the kubelets and name the first broken link."""

from __future__ import annotations

from kubetriage.plugins import Access, Option, Plugin, later, machine_logs
from kubetriage.rules.plane.thresholds import LIMITS, written

_PLAN = "kubetriage.plugins.plane_trace_plan"
_URLS = ("/livez", "/livez/*", "/readyz", "/readyz/*", "/metrics", "/version")

PLUGIN = Plugin(
    name="plane-trace",
    summary="Find the broken link of a control plane",
    description=(
        "Follow the control plane link by link (etcd's disk, quorum and space, the API server's health and load, the"
        " controller-manager, the scheduler, admission webhooks, the kubelets' contact), name the first broken link as"
        " the cause and the later ones as its consequences, with evidence, since when, and a timeline of what the"
        " incident left behind.\n\n"
        "Nothing is written: the ages of leases show whether writes work. Lists come from the"
        " API server's watch"
        " cache, so they answer even while etcd is down. Rates come from two samples."
    ),
    usage="",
    examples=(
        ("Trace the control plane", "kubectl plane-trace"),
        ("Read etcd's metrics by port-forward where they listen on loopback (kubeadm)", "kubectl plane-trace --etcd"),
        ("Alert rules for the thresholds that it judges by", "kubectl plane-trace --alerts prometheusrule"),
        ("Measure for a minute", "kubectl plane-trace --interval 60s"),
        ("Show seats and queues of every priority level", "kubectl plane-trace -o wide"),
    ),
    default_resource="nodes",
    resources=(),
    plan=later(_PLAN, "plan"),
    diagnose=later(_PLAN, "diagnose"),
    prints=later(_PLAN, "alerts"),
    no_answer=later(_PLAN, "no_answer_at"),
    explains=later(_PLAN, "explains"),
    access=(
        Access(("coordination.k8s.io",), ("leases",), ("get", "list"), "who still writes and who leads", required=True),
        Access(
            ("",),
            ("nodes", "pods", "events"),
            ("get", "list"),
            "members of etcd, restarts, nodes without contact",
            required=True,
        ),
        Access(("",), ("pods/log",), ("get",), "the own words of etcd, API server, controllers and scheduler"),
        Access(("",), ("namespaces",), ("list",), "which namespaces wait for an aggregated API"),
        Access(("",), ("pods/proxy",), ("get",), "etcd's metrics where they listen on a routable address"),
        Access(("",), ("pods/portforward",), ("get", "create"), "etcd's metrics on loopback (--etcd)"),
        Access(
            ("admissionregistration.k8s.io",),
            ("validatingwebhookconfigurations", "mutatingwebhookconfigurations"),
            ("list",),
            "which webhooks must be asked",
        ),
        Access(("apiregistration.k8s.io",), ("apiservices",), ("list",), "whether aggregated APIs answer"),
        Access(("config.openshift.io",), ("clusteroperators",), ("list",), "what OpenShift's operators say"),
        Access(("discovery.k8s.io",), ("endpointslices",), ("list",), "whether anything stands behind a webhook"),
        Access((), _URLS, ("get",), "the API server's health, load and requests to etcd"),
        Access((), ("/debug/api_priority_and_fairness/*",), ("get",), "who floods the API server"),
    ),
    options=(
        Option("--interval", "Time between the two samples (default 10s).", "duration", 10.0, metavar="DURATION"),
        Option(
            "--deadline",
            "Answer with what was seen after this time plus the interval (default 15s).",
            "duration",
            15.0,
            metavar="DURATION",
        ),
        machine_logs.OPTION,
        Option(
            "--alerts",
            "Print Prometheus rules for exactly these thresholds and end: a PrometheusRule of the operator, or a plain"
            " file of rules. Reads no cluster.",
            "choice",
            choices=("prometheusrule", "rules"),
        ),
        Option("--etcd", "Read etcd's metrics by port-forward where they listen on loopback."),
        *(
            Option(
                "--" + key.replace("_", "-"),
                f"{limit.help[0].upper()}{limit.help[1:]} (default {written(default, limit)}; {limit.source}).",
                limit.unit,
                default,
            )
            for key, default, limit in LIMITS
        ),
    ),
    known_rules=later("kubetriage.rules.plane.registry", "all_rules"),
    scan_without_target=True,
    takes_targets=False,
)
