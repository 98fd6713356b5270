"""The API server has more requests than seats and makes clients wait or turns them away.

Meaning: API Priority and Fairness gives each priority level a share of the seats. A full level queues, then rejects
with 429. In `leader-election` that costs the controllers their leases, in `node-high` the kubelets their
heartbeats; in `workload-low`, `global-default` and `catch-all` it throttles the tenants that cause it.

Told by: rejects between two samples by level and reason, levels with all seats taken and requests waiting, and 429
answers where flow control is off. The sum of nominal seats reveals --max-requests-inflight plus
--max-mutating-requests-inflight. Who floods is counted in repeated looks at dump_requests by user, verb and
resource. A slow etcd holds seats for longer and looks the same: see the links before this one.

Fix: stop or fix the flooding client (watch instead of list, fewer replicas, paging), isolate it with a FlowSchema and
a priority level of its own, and raise --max-requests-inflight only where the API server has CPU and memory left.

Source: KEP-1040; apis/flowcontrol/bootstrap/default.go; apiserver/pkg/util/flowcontrol.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.rules.plane import priority_and_fairness
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.figure_format import count, metric, names, span
from kubetriage.typed import Any
from kubetriage.values.patterns import lazy

CODE = "ApiServerOverloaded"
LINK = "API server load"

ISOLATED_LEVEL = "isolated-flooder"
"""Name of the FlowSchema and of the priority level that we propose."""


def check(case: Case) -> Iterator[Finding]:
    """Find pressed levels; without flow control, find 429 answers."""
    pressed = [level for level in case.levels if level.pressed]
    if pressed:
        yield _pressed(pressed, case)
        return
    refused = case.api.increase("apiserver_request_total", code="429") if case.api else None
    if refused:
        yield Finding(
            CODE,
            Severity.WARNING,
            Confidence.CONFIRMED,
            CLUSTER,
            f"The API server answered {count(refused, 'request')} with 429 Too Many Requests in the window.",
            (metric("apiserver_request_total", f'grew by {refused:.0f} with code="429"'),),
            (),
            (
                Fix(
                    "Find the client with most requests in the audit log, and raise --max-requests-inflight if CPU"
                    " and memory allow."
                ),
            ),
            ("kubectl get --raw /metrics | grep 'apiserver_request_total.*code=\"429\"'",),
            {"link": LINK, "levels": []},
        )


def _pressed(pressed: list[priority_and_fairness.Level], case: Case) -> Finding:
    vital = [level for level in pressed if level.name in priority_and_fairness.SYSTEM_LEVELS]
    floods = [f for f in priority_and_fairness.floods(case.requests) if f.level in {level.name for level in pressed}]
    worst = max(pressed, key=lambda level: (level in vital, level.rejects, level.waiting or 0))
    what = (
        f"{count(worst.rejects, 'request')} of priority level {worst.name} rejected in the window"
        if worst.rejects
        else f"requests of priority level {worst.name} wait {span(worst.waits[1])} for a seat"
        if worst.queued and worst.waits
        else f"all seats of priority level {worst.name} are taken and {count(worst.waiting or 0, 'request')} wait"
    )
    effect = {
        "leader-election": "; controllers lose their leases by it",
        "node-high": "; the heartbeats of kubelets starve",
    }.get(worst.name, "; the cluster's own clients suffer" if vital else "; it throttles the tenants of that level")
    by = ""
    if floods:
        first = floods[0]
        by = f" {first.user} sends {first.share:.0%} of what is seen there ({first.verb} {first.resource})."
    sent = tuple(
        Evidence(
            "status",
            "dump_requests",
            f"{f.user} {f.verb} {f.resource} in {f.level}: {f.requests} seen, {f.share:.0%} of seats",
        )
        for f in floods[:3]
    )
    manifest = isolation(floods[0].user, case.snapshot.version) if floods else None
    fixes = [
        Fix(f"Stop or mend what {floods[0].user} does: watch instead of {floods[0].verb}, page, fewer workers.")
        if floods
        else Fix(
            "Find the client: kubectl get --raw"
            " '/debug/api_priority_and_fairness/dump_requests?includeRequestDetails=1'."
        )
    ]
    if manifest:
        fixes.append(
            Fix(
                f"Meanwhile give {floods[0].user} a small priority level of its own: apply the FlowSchema"
                f" {ISOLATED_LEVEL} shown below."
            )
        )
    fixes.append(_more_seats(case))
    details: dict[str, Any] = {"link": LINK, "levels": [level.name for level in pressed]}
    if floods:
        details["flooder"] = {"user": floods[0].user, "verb": floods[0].verb, "resource": floods[0].resource}
    if manifest:
        details["manifests"] = manifest
    return Finding(
        CODE,
        Severity.ERROR if vital else Severity.WARNING,
        Confidence.CONFIRMED,
        CLUSTER,
        f"The API server is overloaded: {what}{effect}.{by}",
        tuple(_evidence(level) for level in pressed[:5]) + sent,
        (),
        tuple(fixes),
        ("kubectl get --raw /debug/api_priority_and_fairness/dump_priority_levels",),
        details,
    )


def _more_seats(case: Case) -> Fix:
    """Say which flags to raise to what, and where this distribution sets them."""
    seats, total = priority_and_fairness.seats(case.levels), sum(level.nominal or 0 for level in case.levels)
    known = priority_and_fairness.DEFAULT_SEATS <= total <= priority_and_fairness.DEFAULT_SEATS + len(case.levels)
    values = (
        "--max-requests-inflight=800 --max-mutating-requests-inflight=400"
        if known
        else ("--max-requests-inflight and --max-mutating-requests-inflight by half")
    )
    where = case.machine.path("flags")
    if case.machine.managed:
        return Fix(
            f"More seats are the provider's to give ({seats}): ask for a larger control plane. Calm the client first.",
            actor=Actor.CLOUD,
        )
    return Fix(
        f"Only if the API server has CPU and memory left ({seats}): raise {values}, in {where}.", actor=Actor.CLUSTER
    )


def _evidence(level: priority_and_fairness.Level) -> Evidence:
    parts = []
    if level.rejects:
        reasons = names([f"{reason} {n:.0f}" for reason, n in sorted(level.rejected.items())])
        parts.append(f"rejected {level.rejects:.0f} ({reasons})")
    if level.executing is not None:
        limit = level.limit if level.limit is not None else level.nominal
        parts.append(f"executing {level.executing:.0f}" + (f" of {limit:.0f} seats" if limit is not None else ""))
    if level.waiting:
        parts.append(f"waiting {level.waiting:.0f}")
    if level.waits:
        parts.append(f"mean wait {span(level.waits[1])}")
    return metric("apiserver_flowcontrol", ", ".join(parts), level.name)


# authentication/serviceaccount: the user name of a service account.
_SERVICE_ACCOUNT = lazy(r"system:serviceaccount:([^:]+):([^:]+)\Z")


def isolation(user: str, version: tuple[int, int] | None = None) -> list[dict[str, Any]] | None:
    """Return manifests that move one user's requests to a small level; None for users that must not be throttled.

    ``version`` is the API server's: flowcontrol v1 is served from 1.29 on, v1beta3 with the same fields from 1.26.
    """
    served = "v1beta3" if version is not None and (1, 26) <= version < (1, 29) else "v1"
    account = _SERVICE_ACCOUNT.match(user)
    if not user or (not account and user.startswith("system:")) or (account and account[1] == "kube-system"):
        return None
    subject: dict[str, Any] = (
        {"kind": "ServiceAccount", "serviceAccount": {"namespace": account[1], "name": account[2]}}
        if account
        else {"kind": "User", "user": {"name": user}}
    )
    every = ["*"]
    return [
        {
            "apiVersion": f"flowcontrol.apiserver.k8s.io/{served}",
            "kind": "PriorityLevelConfiguration",
            "metadata": {"name": ISOLATED_LEVEL},
            "spec": {
                "type": "Limited",
                "limited": {
                    "nominalConcurrencyShares": 5,
                    "lendablePercent": 0,
                    "limitResponse": {
                        "type": "Queue",
                        "queuing": {"queues": 16, "handSize": 4, "queueLengthLimit": 50},
                    },
                },
            },
        },
        {
            "apiVersion": f"flowcontrol.apiserver.k8s.io/{served}",
            "kind": "FlowSchema",
            "metadata": {"name": ISOLATED_LEVEL},
            "spec": {
                "priorityLevelConfiguration": {"name": ISOLATED_LEVEL},
                "matchingPrecedence": 500,
                "distinguisherMethod": {"type": "ByUser"},
                "rules": [
                    {
                        "subjects": [subject],
                        "resourceRules": [
                            {
                                "verbs": every,
                                "apiGroups": every,
                                "resources": every,
                                "namespaces": every,
                                "clusterScope": True,
                            }
                        ],
                    }
                ],
            },
        },
    ]
