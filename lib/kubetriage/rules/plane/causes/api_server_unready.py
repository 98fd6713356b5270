"""The API server says that it is not well, does not answer, or does not complete writes.

Meaning: clients see errors or time-outs. Because /livez checks etcd, about 80 s of a slow etcd make kubelets restart
API servers, whose clients then list everything anew: the outage feeds itself.

Told by: failing checks in the body of /livez or /readyz (a 500 carries the list), no answer within 5 s, or no lease of
the whole cluster renewed for 30 s while its checks pass. After etcd has come back the checks stay red for about a
minute while the API server reconnects. One of several API servers whose identity lease is old is reported alone.

Fix: follow the failing check; for etcd see the links before this one.

Source: apiserver/pkg/server/healthz/healthz.go; storagebackend/factory/etcd3.go; kubeadm's liveness probe.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.plane.api_server import Health
from kubetriage.rules.plane.case import CLUSTER, Case, Writes
from kubetriage.rules.plane.component_log import API_SERVER, ONE_PROCESS, Remark
from kubetriage.rules.plane.control_plane_pods import Failing
from kubetriage.rules.plane.etcd_disk import disruptive
from kubetriage.rules.plane.etcd_remedies import etcdctl, stopped_by_kubelet
from kubetriage.rules.plane.figure_format import ago, metric, names, span
from kubetriage.rules.plane.key_service import key_service_finding, key_service_fixes
from kubetriage.rules.plane.last_words import asked_for, last_words
from kubetriage.rules.plane.leader_lease import loop_finding
from kubetriage.rules.plane.leases import CONTROLLER_MANAGER
from kubetriage.values.times import format_time, human_duration

CODE = "ApiServerUnready"
LINK = "API server health"

START_UP = timedelta(minutes=2)
"""After this time the hooks of a healthy API server have long ended (kubeadm's startup probe allows four minutes)."""


def check(case: Case) -> Iterator[Finding]:
    """Read the checks, then the write probe, then the identities of the API servers."""
    loops = [f for f in case.failing if f.component == "kube-apiserver"]
    if loops and len(loops) == len(case.of("kube-apiserver")):
        yield _looping(loops, case)
        return
    ended = [r for r in case.lately("fatal", _ENDED) if r.source in _serving_logs(case)]
    if ended and not case.livez.ok and not case.readyz.ok and not loops:
        yield _ended(ended, case)
        return
    refused = [r for r in case.lately("api refused", _ENDED) if r.source not in _serving_logs(case)]
    if refused and not case.livez.seen and not case.readyz.seen and not loops:
        yield _refused(refused, case)
        return
    told = key_service_finding(case, CODE, LINK)
    if told is not None:
        yield told
        return
    bad = [h for h in (case.livez, case.readyz) if h.seen and not h.ok]
    up = case.api_uptime
    starting = up is not None and up <= START_UP and not any(h.hung or not h.failed for h in bad)
    if bad and starting and not case.etcd_check_fails:
        yield _starting(bad, case)
    elif bad:
        yield _failing(bad, case)
    elif case.writes is Writes.FROZEN:
        yield _frozen(case)
    yield from _stuck(case)


def _looping(loops: list[Failing], case: Case) -> Finding:
    """Report API servers whose pods end again and again: by their kubelet, or by a reason of their own."""
    if case.stopped is not None and any(f.pod is loops[0].pod for f in case.stopped.pods):
        return stopped_by_kubelet(CODE, LINK, case.stopped, case, whole=True)
    return loop_finding(case, loops, CODE, LINK, "no client can read or write")


_ENDED = 600.0
"""Seconds for which the last words of a process speak of the present."""


def _serving_logs(case: Case) -> frozenset[str]:
    """Return whose logs are of processes in which the API server runs."""
    return frozenset(
        log.source
        for log in case.logs
        if log.source.startswith(API_SERVER)
        or log.unit.startswith(API_SERVER)
        or log.source in ONE_PROCESS
        or log.unit in ONE_PROCESS
    )


def _ended(ended: list[Remark], case: Case) -> Finding:
    """Report a process that ended itself, in its own last words."""
    last = ended[-1]
    unit = case.machine.kubelet_unit
    folder = case.machine.path("manifests")
    asked = asked_for(case, last.words, f"{folder}/kube-apiserver.yaml" if folder else "its flags")
    before = last_words(case, last.source.partition(" ")[0], "kube-apiserver") if asked is None else None
    quoted: tuple[Evidence, ...] = ()
    if before is not None and before.fix is not None:
        # What it met before says more than that it gave up.
        asked, quoted = before.fix, before.evidence
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.LIKELY,
        CLUSTER,
        f"The API server's process ended itself: {last.words.rstrip('.')}. Until it starts again no client can read or"
        " write.",
        (
            *(Evidence("log", r.source, r.words, format_time(r.at)) for r in {r.words: r for r in ended[-2:]}.values()),
            *(e for e in quoted if all(e.value != r.words for r in ended)),
        )[:3],
        (),
        (asked,)
        if asked is not None
        else (
            Fix(
                "Mend what its last words name: a flag, a file, a certificate, the datastore, a port in use."
                + (f" It runs in unit {unit}." if not case.machine.path("manifests") else ""),
                actor=Actor.CLUSTER,
                commands=(
                    *case.machine.lines("container log", container="kube-apiserver"),
                    *(() if case.machine.path("manifests") else case.machine.lines("kubelet log", "kubelet restart")),
                ),
            ),
        ),
        ("kubectl get --raw '/livez?verbose'",),
        {"link": LINK, "since": format_time(last.at)},
    )


def _refused(refused: list[Remark], case: Case) -> Finding:
    """Report an API server that other components of the control plane do not reach."""
    last = refused[-1]
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.LIKELY,
        CLUSTER,
        f"The API server did not answer at {last.about}, says the log of {last.source}: it was down, or another"
        " address is"
        " meant.",
        (Evidence("log", last.source, last.words, format_time(last.at)),),
        (),
        (
            Fix(
                "See whether the API server's container runs on that machine, and read its last words.",
                actor=Actor.CLUSTER,
                commands=case.machine.lines("container log", "kubelet log", container="kube-apiserver"),
            ),
            Fix(f"If it runs: compare {last.about} with its advertise address and with the load balancer before it."),
        ),
        ("kubectl get --raw '/livez?verbose'",),
        {"link": LINK, "since": format_time(refused[0].at)},
    )


def _starting(bad: list[Health], case: Case) -> Finding:
    """Report the checks of an API server that only just started: most of its hooks end within a minute."""
    up = human_duration(case.api_uptime or timedelta())
    failed = list(dict.fromkeys(name for h in bad for name, _ in h.failed))
    evidence = [Evidence("status", f"{h.path} {name}", f"failed: {words}") for h in bad for name, words in h.failed]
    evidence.append(metric("process_start_time_seconds", f"started {up} ago"))
    return Finding(
        CODE,
        Severity.WARNING,
        Confidence.CONFIRMED,
        CLUSTER,
        f"The API server started {up} ago and is not ready yet: {names(failed)}.",
        tuple(evidence),
        (),
        (
            Fix("Wait a minute and ask again; a check that still fails then is explained by the API server's log."),
            Fix("Find why it restarted: kubectl -n kube-system describe pod kube-apiserver-NODE (Last State)."),
        ),
        ("kubectl get --raw '/readyz?verbose'",),
        {"link": LINK, "checks": failed},
    )


def _failing(bad: list[Health], case: Case) -> Finding:
    evidence = []
    for health in bad:
        if health.hung:
            words = f"no answer in {health.seconds:.0f} s" if health.seconds else health.why
            evidence.append(Evidence("status", health.path, words))
        for name, reason in health.failed:
            words = case.etcd_check if name == "etcd" and case.etcd_check else reason
            evidence.append(Evidence("status", f"{health.path} {name}", f"failed: {words or 'reason withheld'}"))
        if not health.hung and not health.failed:
            evidence.append(Evidence("status", health.path, f"HTTP {health.status}"))
    failed = list(dict.fromkeys(name for h in bad for name, _ in h.failed))
    if failed:
        slow = f" (the answer took {span(bad[0].seconds)})" if bad[0].seconds >= 1 else ""
        message = f"The API server reports failing checks: {names(failed)}{slow}."
    elif any(h.hung for h in bad):
        within = f" within {bad[0].seconds:.0f} s" if bad[0].seconds else ""
        message = f"The API server does not answer {names([h.path for h in bad])}{within}."
    else:
        message = f"The API server answers {names([h.path for h in bad])} with HTTP {bad[0].status}."
    reads = [m for m in case.members if m.has_leader]
    if failed == ["etcd"] and reads and len(reads) == len(case.members) and not disruptive(case):
        message += " etcd has a leader; after an outage the API server needs about a minute to reconnect."
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        CLUSTER,
        message,
        tuple(evidence),
        (),
        key_service_fixes(case)
        if failed and all(name.startswith("kms-provider") for name in failed)
        else (
            Fix(
                "Follow the failing check to its own link: etcd to etcd's disk and quorum, poststarthook/* to the API"
                " server's log."
            )
            if failed
            else Fix("Look at the API server's own log on its host (crictl logs), and at the load balancer before it."),
            Fix(
                "Do not restart API servers while etcd is slow: each restart makes every client list everything again."
            ),
        ),
        ("kubectl get --raw '/livez?verbose'", "kubectl get --raw '/readyz?verbose'"),
        {"link": LINK, "checks": failed},
    )


def _frozen(case: Case) -> Finding:
    last = case.leases.newest
    since = last.renewed if last else None
    quorum = case.quorum(CONTROLLER_MANAGER)
    if quorum.hung:
        how, confidence = "a read that needs etcd's quorum fails too, so etcd does not answer", Confidence.CONFIRMED
    elif quorum.lease is not None:
        how, confidence = "reads through etcd's quorum work, so only writes fail", Confidence.CONFIRMED
    else:
        how, confidence = "whether etcd still answers reads could not be tried", Confidence.LIKELY
    evidence = []
    if last is not None and since is not None:
        evidence.append(
            Evidence(
                "status",
                f"spec.renewTime of lease {last.namespace}/{last.name}",
                "newest of all leases",
                format_time(since),
            )
        )
    if quorum.hung:
        evidence.append(Evidence("status", f"GET lease {CONTROLLER_MANAGER}", quorum.words or "no answer"))
    number = len(case.leases.items)
    return Finding(
        CODE,
        Severity.ERROR,
        confidence,
        CLUSTER,
        f"Nothing can be written: none of {number} leases was renewed since"
        f" {ago(since, case.now) if since else 'long'}, though"
        f" the API server answers; {how}. The Ready column of nodes is frozen at its last value.",
        tuple(evidence),
        (RuledOut("NodesLostContact", "the controllers on the control plane stopped renewing at the same time"),)
        if any(x.namespace == "kube-system" for x in case.leases.items)
        else (),
        (
            Fix(
                "Look for a NOSPACE alarm and at etcd's health; a dry run proves nothing, it succeeds while writes"
                " fail.",
                actor=Actor.CLUSTER,
                commands=(*etcdctl(case, "etcd alarm"), *etcdctl(case, "etcd status")),
            ),
            Fix(
                "Look for an admission webhook or policy that intercepts leases.",
                actor=Actor.CLUSTER,
                commands=("kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations",),
            ),
        ),
        ("kubectl get leases -A --sort-by=.spec.renewTime | tail -5", "kubectl get --raw '/livez?verbose'"),
        {"link": LINK, **({"since": format_time(since)} if since else {})},
    )


def _stuck(case: Case) -> Iterator[Finding]:
    """Find one of several API servers that stopped renewing its identity while others go on."""
    identities = [x for x in case.leases.identities if x.renewed]
    if len(identities) < 2 or case.writes is not Writes.FLOWING:
        return
    newest = max(x.renewed for x in identities if x.renewed)
    limit = timedelta(seconds=case.limits.identity_stale)
    for lease in identities:
        # An API server that was taken away leaves its lease for an hour; then it is collected.
        if lease.renewed and limit < newest - lease.renewed < timedelta(hours=1):
            yield Finding(
                CODE,
                Severity.WARNING,
                Confidence.POSSIBLE,
                CLUSTER,
                f"One of {len(identities)} API servers ({lease.holder or lease.name}) renewed its identity last"
                f" {ago(lease.renewed, case.now)}: it is stuck, or was stopped.",
                (
                    Evidence(
                        "status", f"spec.renewTime of lease kube-system/{lease.name}", "", format_time(lease.renewed)
                    ),
                ),
                (),
                (Fix("Look at that API server's pod and log; take it out of the load balancer while it hangs."),),
                ("kubectl -n kube-system get leases -l apiserver.kubernetes.io/identity=kube-apiserver",),
                {"link": LINK, "since": format_time(lease.renewed)},
            )
