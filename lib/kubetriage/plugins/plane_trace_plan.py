"""What plane-trace reads, in which order, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from kubetriage.model import Diagnosis, Finding, Lines, NotSeen, Section, Severity, Table
from kubetriage.needs import Dial, List, Log, Need, Raw
from kubetriage.plugins import Answer, Request, machine_logs
from kubetriage.plugins.answers import from_error_line
from kubetriage.rules.plane import (
    admission_webhooks,
    api_backends,
    api_server,
    chain,
    component_log,
    etcd_members,
    leases,
    link_states,
    priority_and_fairness,
)
from kubetriage.rules.plane.alert_rules import prometheus_rule, rule_file
from kubetriage.rules.plane.case import CLUSTER, Case, Leading, Writes
from kubetriage.rules.plane.causes import api_service_unavailable, cluster_operator_degraded
from kubetriage.rules.plane.control_plane_pods import crash_needs
from kubetriage.rules.plane.incident_timeline import Fossil, fossils
from kubetriage.rules.plane.no_answer import no_answer
from kubetriage.rules.plane.plane_lists import EVENTS, NODES, OPENSHIFT_ETCD, PODS
from kubetriage.rules.plane.thresholds import Limits
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, condition, text
from kubetriage.values.manifest_text import yaml_lines, yaml_text
from kubetriage.values.times import human_duration, parse_time

_VERSION = Raw("/version", timeout=5.0)
_SHOWN_FOSSILS = 20
"""The newest fossils stand in the table; JSON has all."""


def _case(snapshot: Snapshot, request: Request) -> Case:
    return Case(snapshot, Limits.read(request.options), bool(request.options.get("etcd")))


def plan(snapshot: Snapshot, request: Request) -> Iterator[Need]:
    """Ask what is cheap first, then the second samples, then what may hang while etcd is down: logs and events."""
    machine_logs.take(snapshot, request)
    first: list[Need] = [
        api_server.LIVEZ,
        api_server.READYZ,
        _VERSION,
        api_server.METRICS[0],
        leases.SYSTEM_LEASES,
        leases.NODE_LEASES,
        NODES,
        PODS,
        *admission_webhooks.CONFIGURATIONS,
        api_service_unavailable.SERVICES,
    ]
    yield from first
    if not all(snapshot.knows(need) or _presumed(snapshot, need) for need in first):
        return
    case = _case(snapshot, request)
    if case.openshift:
        yield OPENSHIFT_ETCD
        yield cluster_operator_degraded.OPERATORS
    samples: list[Need] = []
    for pod in case.of("etcd"):
        for sample in (0, 1):
            need = etcd_members.metrics_need(pod, sample, case.forward)
            if need is not None:
                samples.append(need)
    if snapshot.body(api_server.METRICS[0].path) is not None:
        samples.append(api_server.METRICS[1])
    else:
        samples += priority_and_fairness.LEVELS
    samples += priority_and_fairness.LOOKS
    if not case.livez.hung:
        if case.livez.fails("etcd") or case.readyz.fails("etcd"):
            yield api_server.ETCD_CHECK
        elif case.livez.seen and case.writes is not Writes.FLOWING:
            samples.append(api_server.READYZ_LATER)
    stale: list[str] = []
    for component in (leases.CONTROLLER_MANAGER, leases.SCHEDULER):
        lease = case.leases.leader(component)
        age = case.age(lease) if lease else None
        if age is not None and age.total_seconds() > case.limits.controller_stale:
            samples += [leases.quorum_read(component), leases.quorum_read(component, 1)]
            stale.append(component)
    logs: list[Need] = [etcd_members.log_need(member.pod) for member in case.members if member.namespace]
    logs += case.plain_logs
    for component in stale:
        logs += component_log.log_needs(case.of(component), component)
    # Of servers that are no pods nothing else is seen.
    sole = case.servers is not None
    if not case.plain_logs and (sole or case.etcd_check_fails or case.writes is not Writes.FLOWING):
        logs += component_log.log_needs(case.of("kube-apiserver"), "kube-apiserver")
    logs += component_log.kept_logs(case.by_component, snapshot)
    looping = case.failing
    for item in looping:
        logs += component_log.log_needs([item.pod], item.container, previous=True)
        logs += component_log.log_needs([item.pod], item.container)
    if case.forward or not case.etcd_check_fails:
        # Beside the port-forwards, which may take all the time there is.
        samples += logs
    yield from samples
    if not all(snapshot.knows(need) for need in samples):
        return
    # Where etcd fails logs may hang, and would cost the second samples.
    yield from logs
    yield from admission_webhooks.backends(case.webhooks)
    yield admission_webhooks.FAILED_CREATES
    if any(_unavailable(a) for a in snapshot.list("apiservices").items):
        yield api_service_unavailable.NAMESPACES
        for api in snapshot.list("apiservices").items:
            if _unavailable(api):
                yield from api_backends.backend_needs(api, snapshot)
    yield from crash_needs(snapshot, [f.pod for f in looping[:6]])
    yield EVENTS
    if any(level.pressed for level in case.levels):
        yield from priority_and_fairness.MORE_LOOKS


def _unavailable(api: Obj) -> bool:
    return text(condition(api, "Available"), "status") == "False"


def _presumed(snapshot: Snapshot, need: Need) -> bool:
    return snapshot.presumes_absent and isinstance(need, List)


def alerts(request: Request) -> str:
    """Return the Prometheus rules that --alerts asks for; empty without it."""
    form = request.options.get("alerts")
    limits = Limits.read(request.options)
    made = {"rules": rule_file, "prometheusrule": prometheus_rule}.get(form or "")
    return yaml_text(made(limits)).rstrip() if made else ""


def diagnose(snapshot: Snapshot, request: Request) -> Answer:
    """Name the first broken link and draw what follows from it."""
    case = _case(snapshot, request)
    found = chain.explain(chain.findings(case), case)
    links = chain.links(found, case)
    timeline = fossils(case)
    not_seen = (*chain.blind_spots(case, found, links), *_gaps(snapshot, request))
    return Answer(
        (
            Diagnosis(
                command="plane-trace",
                target=CLUSTER,
                summary=_summary(found, links, case),
                findings=found,
                not_seen=not_seen,
                header=_header(case, links),
                lead=tuple(_lead(links, case.snapshot.now)),
                tail=tuple(_tail(case, found, timeline)),
                manual=_manual(links),
                extra={"links": [link.json() for link in links], "timeline": [f.json() for f in timeline]},
            ),
        )
    )


def _summary(found: tuple[Finding, ...], links: tuple[chain.Link, ...], case: Case) -> str:
    causes = [f for f in found if f.severity is not Severity.NOTE and "consequenceOf" not in f.details]
    if causes:
        broken = [link.name for link in links if link.consequence_of]
        return causes[0].message + (f" It breaks: {', '.join(broken)}." if broken else "")
    unseen = [link.name for link in links if link.state == link_states.UNSEEN]
    if unseen:
        return f"No fault seen in {len(links) - len(unseen)} of {len(links)} links; not seen: {', '.join(unseen)}."
    if not case.members:
        return "Every link of the control plane is ok, seen from the API server; etcd's members were not seen."
    return "Every link of the control plane was seen and is ok."


def _header(case: Case, links: tuple[chain.Link, ...]) -> tuple[tuple[str, str], ...]:
    states = (link_states.BROKEN, link_states.FROZEN, link_states.DEGRADED, link_states.OK, link_states.UNSEEN)
    counted = [f"{n} {state}" for state in states if (n := sum(link.state == state for link in links))]
    rows = [("LINKS", ", ".join(counted))]
    if case.members:
        rows.append(("ETCD", f"{sum(m.window is not None for m in case.members)} of {len(case.members)} read"))
    window = max([w.seconds for w in (case.api, *(m.window for m in case.members)) if w], default=0.0)
    rows.append(("WINDOW", f"{window:.0f}s" if window else "one sample"))
    rows.append(("LISTS", "watch cache (resourceVersion=0)" if case.snapshot.source == "cluster" else "dump"))
    return tuple(rows)


def _lead(links: tuple[chain.Link, ...], now: datetime) -> Iterator[Section]:
    """Yield the chain and the table of links, and the chain as a tree for the first screen."""
    ages = {link.name: age for link in links if (age := _since(link, now)) != "-"}
    yield Lines("Chain", chain.drawing(links))
    yield _link_table(links, now)
    yield Lines("Chain", chain.tree(links, ages), brief=True)


def _link_table(links: tuple[chain.Link, ...], now: datetime) -> Table:
    rows = []
    for link in links:
        state = f"{link.state} (follows)" if link.consequence_of and link.state != link_states.FROZEN else link.state
        rows.append((link.name, state, link.evidence, _since(link, now)))
    return Table("Links", ("LINK", "STATE", "EVIDENCE", "SINCE"), tuple(rows))


def _since(link: chain.Link, now: datetime) -> str:
    """Say for how long a link is as it is; the times themselves stand in the timeline and in ``-o json``."""
    began = parse_time(link.since) or parse_time(link.since_at_latest)
    if began is None:
        return "-"
    age = f"{human_duration(max(now - began, timedelta()))} ago"
    return age if link.since else f"over {age}"


def _tail(case: Case, found: tuple[Finding, ...], timeline: tuple[Fossil, ...]) -> Iterator[Section]:
    if timeline:
        shown = timeline[-_SHOWN_FOSSILS:]
        title = "Timeline" if len(shown) == len(timeline) else f"Timeline (newest {len(shown)} of {len(timeline)})"
        yield _timeline(title, shown)
    for finding in found:
        manifests = finding.details.get("manifests")
        if manifests:
            lines: list[str] = []
            for manifest in manifests:
                lines += ["---", *yaml_lines(manifest)]
            yield Lines("Manifest to isolate the flooding client", tuple(lines))
    if case.levels:
        rows = []
        for level in case.levels:
            rejected = f"{level.rejects:.0f} ({level.rejected_total:.0f} since start)"
            cells = (level.nominal, level.limit, level.executing, level.waiting)
            rows.append((level.name, *("-" if c is None else f"{c:.0f}" for c in cells), rejected))
        columns = ("LEVEL", "NOMINAL SEATS", "SEATS NOW", "EXECUTING", "WAITING", "REJECTED")
        yield Table("API Priority and Fairness", columns, tuple(rows))
    floods = priority_and_fairness.floods(case.requests)
    if floods:
        rows = [(f.level, f.user, f.verb, f.resource, str(f.requests), f"{f.share:.0%}") for f in floods[:10]]
        yield Table(
            "Requests seen waiting or executing", ("LEVEL", "USER", "VERB", "RESOURCE", "SEEN", "SEATS"), tuple(rows)
        )


def _timeline(title: str, shown: tuple[Fossil, ...]) -> Table:
    rows = tuple((f.json()["time"], f.what, f.source) for f in shown)
    return Table(title, ("TIME", "WHAT", "SOURCE"), rows)


def _gaps(snapshot: Snapshot, request: Request) -> Iterator[NotSeen]:
    """Say what the reads that failed would have told; those that one answer covers are one gap."""
    said: set[str] = set()
    case = _case(snapshot, request)
    for need, why in snapshot.unseen(plan(snapshot, request)):
        what = "" if _needless(need, case) else _gap(need, snapshot)
        if what and what not in said:
            said.add(what)
            health = isinstance(need, Raw) and need.path.startswith(("/livez", "/readyz", "/metrics"))
            yield NotSeen(what, why, decides=health or isinstance(need, List))


def _needless(need: Need, case: Case) -> bool:
    """Tell whether the answer does not hang on a read: its rivals answered, or nothing asks for it."""
    if need == api_server.READYZ_LATER:
        return True
    if need == _VERSION:
        return not case.lost_nodes
    if need == leases.quorum_read(leases.CONTROLLER_MANAGER):
        return case.leading(leases.CONTROLLER_MANAGER) is Leading.BACK and case.writes is Writes.FLOWING
    if need in priority_and_fairness.REQUESTS:
        looked = any(case.snapshot.body(look.path, look.sample) is not None for look in priority_and_fairness.REQUESTS)
        return looked or not any(level.pressed for level in case.levels)
    if isinstance(need, Raw) and need.path.endswith("/proxy/metrics"):
        # A refused connection is evidence, not a gap.
        return any(m.refused and f"/pods/{m.name}:" in need.path.replace("https:", "") for m in case.members)
    return isinstance(need, Raw) and need.path.startswith("/apis/coordination.k8s.io/")


def _gap(need: Need, snapshot: Snapshot) -> str:
    if isinstance(need, Log) and need.container != "etcd":
        return f"log of {need.pod}: its own words"
    if isinstance(need, Log):
        return f"log of etcd member {need.pod}: slow fsyncs and elections of the past"
    if isinstance(need, Dial) or (isinstance(need, Raw) and need.path.endswith("/proxy/metrics")):
        if isinstance(need, Dial):
            return f"metrics of etcd member {need.pod}: fsync, leader and database size"
        member = need.path.rsplit("/", 3)[1]
        late = need.sample and snapshot.body(need.path) is not None
        return (
            f"second sample of etcd member {member}: rates"
            if late
            else f"metrics of etcd member {member}: fsync, leader and size"
        )
    if isinstance(need, List):
        return _LISTS.get(need.resource, str(need)).format(place=need.namespace)
    if isinstance(need, Raw):
        if need in (api_server.LIVEZ, api_server.READYZ) and snapshot.failure(need) is not None:
            health = api_server.read_health(snapshot, need)
            return "" if health.hung else f"{health.path}: the API server's own health checks"
        if need.path == "/metrics":
            return (
                "second sample of the API server's metrics: rates of errors and rejects"
                if need.sample and snapshot.body("/metrics") is not None
                else "the API server's metrics: load, requests to etcd, webhooks, certificates"
            )
        for prefix, words in _PATHS:
            if need.path.startswith(prefix):
                return words
    return str(need)


_PATHS = (
    ("/debug/api_priority_and_fairness/dump_requests", "who sends the requests (dump_requests)"),
    ("/debug/api_priority_and_fairness/dump_priority_levels", "seats and queues of the priority levels"),
    ("/apis/coordination.k8s.io/", "a leader lease read through etcd's quorum: whether etcd still answers reads"),
    ("/livez/etcd", "the reason of the failing etcd check"),
    ("/version", "the API server's version: which grace period its nodes have"),
)

_LISTS = {
    "leases": "leases of {place}: who still writes and who leads",
    "nodes": "nodes: their Ready conditions and zones",
    "pods": "pods of {place}: members of etcd and restarts of the control plane",
    "events": "events: elections, restarts and failed webhook calls of the last hour",
    "endpointslices": "endpointslices of {place}: whether anything stands behind its webhooks",
    "validatingwebhookconfigurations": "validating webhooks",
    "mutatingwebhookconfigurations": "mutating webhooks",
    "apiservices": "apiservices: whether aggregated APIs answer",
    "clusteroperators": "clusteroperators: what OpenShift's operators say of their parts",
    "namespaces": "namespaces: which ones wait for an aggregated API",
}

_BY_HAND = (
    ("kubectl get --raw '/livez?verbose'", link_states.HEALTH, "whether the API server reaches etcd"),
    ("kubectl -n kube-system logs -l component=etcd", link_states.DISK, "what the disk does"),
    ("kubectl get --raw .../pods/etcd-NODE:2381/proxy/metrics, twice", link_states.QUORUM, "whether etcd commits"),
    (
        "kubectl get --raw /metrics | grep apiserver_flowcontrol, twice",
        link_states.LOAD,
        "whether clients are turned away",
    ),
    (
        "kubectl -n kube-system get lease kube-controller-manager -o yaml",
        link_states.CONTROLLERS,
        "whether controllers run",
    ),
    ("kubectl -n kube-system get lease kube-scheduler -o yaml", link_states.SCHEDULING, "whether pods are scheduled"),
    (
        "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations",
        link_states.WEBHOOKS,
        "who must be asked",
    ),
    ("kubectl get apiservices", link_states.AGGREGATED, "whether aggregated APIs answer"),
    (
        "kubectl -n kube-node-lease get leases --sort-by=.spec.renewTime",
        link_states.KUBELETS,
        "whether anybody can write",
    ),
)


def _manual(links: tuple[chain.Link, ...]) -> tuple[tuple[str, str, str], ...]:
    shown = {link.name: link.evidence for link in links}
    return tuple((command, shown[link], meaning) for command, link, meaning in _BY_HAND)


def no_answer_at(error: str, server: str, command: str = "plane-trace") -> Diagnosis:
    """Answer where the API server gives none: the link before all others."""
    from urllib.parse import urlsplit

    address = urlsplit(server)
    finding = no_answer(error, address.hostname or server, str(address.port or 443))
    return Diagnosis(command, CLUSTER, finding.message, (finding,), header=(("", "no answer"),))


def explains(line: str) -> Diagnosis | None:
    """Answer where a paste holds nothing but an error line of kubectl or kubeadm that is about the control plane."""
    from kubetriage.rules import kubeadm_errors
    from kubetriage.rules.plane.kubectl_errors import explain

    return from_error_line("plane-trace", kubeadm_errors.explain(line, "plane", CLUSTER) or explain(line), CLUSTER)
