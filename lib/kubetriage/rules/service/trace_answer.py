"""Makes the answer of a judged trace: its sentence, its sections, and the path by hand that it replaces."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Diagnosis, Lines, NotSeen, Section, Severity, Table
from kubetriage.readers.api_discovery import traffic_kinds
from kubetriage.rules.node_contact import contact_gaps
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.client_symptoms import SYMPTOMS, fits
from kubetriage.rules.service.finished_fixes import finished
from kubetriage.rules.service.hop_table import Verdict
from kubetriage.rules.service.internal_balancers import internal_balancers
from kubetriage.rules.service.named_kinds import TEMPLATED
from kubetriage.rules.service.own_answers import own_answers
from kubetriage.rules.service.pod_health import ready_nodes
from kubetriage.rules.service.pod_listeners import tried
from kubetriage.rules.service.proxy_protocol import config_map_of, controllers_of, senders, taker
from kubetriage.rules.service.way_drawing import chain, path
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import mapping, name_of, texts
from kubetriage.values.resources import BY_PLURAL


def diagnosis(trace: Trace, gaps: tuple[NotSeen, ...], verdict: Verdict) -> Diagnosis:
    """Put a judged trace into words: header, chain, table of hops, findings, and what was not seen."""
    head = next((f for f in verdict.faults if f.severity is not Severity.NOTE), None)
    symptom = trace.options.symptom
    tail: list[Section] = [Lines("Symptom", tuple(_symptom_lines(trace, verdict)))] if symptom else []
    made = [t for b in trace.services for t in tried(trace, b)] if trace.options.probe else []
    if made:
        tail.append(Lines("Probe", tuple(f"{t.what}: {'ok' if t.answered else 'failed'}, {t.said}" for t in made)))
    unseen = (
        *_deciding(gaps, verdict),
        *contact_gaps(trace.snapshot, ready_nodes(trace.services), *STILL_ANSWERS),
        *_header_unseen(trace),
        *_unjudged(trace),
        *_selectors_unseen(trace),
        *_keys_unseen(trace),
        *_outside(trace),
        *_unexplained(trace, verdict),
    )
    dark = any(gap.decides for gap in unseen)
    return Diagnosis(
        command="svc-trace",
        target=trace.target,
        summary=_summary(trace, verdict, unseen),
        findings=tuple(finished(trace, f.finding()) for f in verdict.faults),
        not_seen=unseen,
        header=(("", head.cause if head is not None else "no fault seen" if dark else "ok"),),
        lead=_lead(trace, verdict),
        tail=tuple(tail),
        manual=tuple(_manual(trace, verdict)),
        extra={"hops": [r.as_json() for r in verdict.rows]},
    )


def _lead(trace: Trace, verdict: Verdict) -> tuple[Section, ...]:
    """Draw the way for the first screen, and the chain above the table of hops; nothing where nothing leads there."""
    rows = tuple((str(r.number), r.place.hop, r.object, r.state_text, r.evidence) for r in verdict.rows)
    table = Table("Hops", ("#", "HOP", "OBJECT", "STATE", "EVIDENCE"), rows)
    lines = chain(trace, verdict)
    brief = Lines("Path", path(trace, verdict), brief=True)
    return (*((Lines("Chain", lines), brief) if lines else ()), *((table,) if rows else ()))


def _deciding(gaps: tuple[NotSeen, ...], verdict: Verdict) -> Iterator[NotSeen]:
    """Yield the gaps, and the rows of hops that were not seen and that no gap tells of: a fault may hide in each."""
    yield from gaps
    told = {gap.why for gap in gaps}
    for row in verdict.rows:
        if row.state == "not seen" and not any(why and why in row.evidence for why in told):
            yield NotSeen(f"{row.object} (row {row.number})", row.evidence, decides=True)


def _unjudged(trace: Trace) -> Iterator[NotSeen]:
    """Yield the custom kinds of the cluster that may lead to the target and were not listed."""
    left = traffic_kinds(trace.snapshot)[1]
    if left:
        names = ", ".join(f"{k.plural}.{k.group}" for k in left[:5])
        more = f" and {len(left) - 5} more" if len(left) > 5 else ""
        yield NotSeen(f"objects of {names}{more}", "only a bounded number of custom kinds is listed")


def _selectors_unseen(trace: Trace) -> Iterator[NotSeen]:
    """Yield the Services that may select the pods of a trace to which none was seen to lead."""
    if trace.target.kind not in _SELECTED or trace.backends:
        return
    for service in trace.snapshot.list("services", trace.target.namespace).items:
        if not mapping(service, "spec", "selector") and not trace.snapshot.covers(service, "spec.selector"):
            words = "whether it selects these pods was not seen"
            yield NotSeen(f"the selector of svc/{name_of(service)}", words, decides=True)


def _header_unseen(trace: Trace) -> Iterator[NotSeen]:
    """Yield the setting of a controller that decides whether it understands the PROXY header that it is sent."""
    for pod in controllers_of(trace):
        takes = taker(trace, pod)
        if takes.expects is None and takes.at and any(s.sends for s in senders(trace, pod)):
            why = trace.snapshot.get("configmaps", *(config_map_of(pod) or ("", ""))).why
            yield NotSeen(f"{takes.at} (the load balancer sends the PROXY protocol header)", why, decides=True)


def _keys_unseen(trace: Trace) -> Iterator[NotSeen]:
    why = "left out of the dump" if trace.snapshot.source != "cluster" else "it could not be compared"
    for use in trace.secrets:
        if use.leaf is not None and not use.key:
            yield NotSeen(f"tls.key of {use.name}, whether it fits the certificate", why)


STILL_ANSWERS = ("still answers", "still answer")
"""What is not known of the pods of a silent node."""
_SELECTED = ("Pod", *(BY_PLURAL[plural].kind for plural in TEMPLATED))
"""Kinds to which only Services lead."""


def _summary(trace: Trace, verdict: Verdict, unseen: tuple[NotSeen, ...]) -> str:
    head = next((f for f in verdict.faults if f.severity is not Severity.NOTE), None)
    if head is not None:
        return head.message if head.proof != "inferred" else f"Nothing is proven broken; likely: {head.message}"
    name = f"{trace.target.kind.lower()}/{trace.target.name}"
    if trace.target.kind in _SELECTED and not trace.backends:
        if any(_selectors_unseen(trace)) or not trace.snapshot.list("services", trace.target.namespace).complete:
            return f"No Service was seen that selects {name}; not all of them were seen."
        return f"No Service selects {name}, so nothing leads to it."
    told = next(own_answers(trace, trace.options.symptom), None)
    if told is not None:
        return f"No fault seen on the way to {name}: {told.words}."
    dark = [r for r in verdict.rows if r.state == "not seen"]
    if dark:
        rows = ", ".join(str(r.number) for r in dark)
        return f"No fault seen on the way to {name}; not seen: row{'s' if len(dark) > 1 else ''} {rows}."
    gap = next((gap for gap in unseen if gap.decides), None)
    if trace.options.symptom and gap is not None:
        return f"No fault seen on the way to {name}: nothing that was seen explains the {trace.options.symptom}."
    if gap is not None:
        return f"No fault seen on the way to {name}; not seen: {gap.what}."
    return f"Every hop to {name} is healthy."


def _symptom_lines(trace: Trace, verdict: Verdict) -> Iterator[str]:
    symptom = trace.options.symptom
    yield f"{symptom}: {SYMPTOMS[symptom].excludes}"
    headless = any(b.headless for b in trace.services)
    problems = [f for f in verdict.faults if f.severity is not Severity.NOTE]
    found = dict.fromkeys(f.cause for f in problems if fits(symptom, f.cause, headless=headless))
    if found:
        yield f"Found for it: {', '.join(found)}."
        return
    own = list(own_answers(trace, symptom))
    for answer in own:
        yield f"The program said it: {answer.words}."
        yield f"Log: {answer.line}"
    if own:
        return
    yield "Nothing that was seen explains it" + (
        "; the faults above would show as something else." if problems else "."
    )
    dark = [f"row {r.number} ({r.object})" for r in verdict.rows if r.state == "not seen"]
    if dark:
        yield f"Not seen, and may explain it: {', '.join(dark[:4])}."
    for gap in _outside(trace):
        yield f"Cannot be seen from here: {gap.what} ({gap.why})."


def _unexplained(trace: Trace, verdict: Verdict) -> Iterator[NotSeen]:
    """Say that what the client sees is not explained: an answer is then no all-clear."""
    symptom = trace.options.symptom
    if symptom and all(f.severity is Severity.NOTE for f in verdict.faults):
        told = next(own_answers(trace, symptom), None)
        if told is not None:
            own_log = kubectl("logs", told.pod.name, "--tail=50", namespace=told.pod.namespace)
            yield NotSeen(f"why the program answers {symptom}", f"run: {own_log}", decides=True)
        else:
            inside = next(_inside(trace), None)
            look = inside.why if inside is not None else SYMPTOMS[symptom].look
            yield NotSeen(f"what causes the {SYMPTOMS[symptom].name or symptom}", look, decides=True)


_DROPPED = ("timeout", "504", "499", "refused", "reset")


def _inside(trace: Trace) -> Iterator[NotSeen]:
    """Name the load balancers that do not answer a client of another network; one in the cluster is in theirs."""
    if trace.options.symptom in _DROPPED and trace.options.client is None:
        yield from internal_balancers(trace)


def _outside(trace: Trace) -> Iterator[NotSeen]:
    """Name what no API of the cluster tells, where the symptom may come from it."""
    if trace.options.symptom not in _DROPPED:
        return
    for backend in trace.services:
        ranges = texts(backend.service, "spec", "loadBalancerSourceRanges")
        if ranges:
            words = f"whether the client is in {', '.join(ranges[:4])}"
            yield NotSeen(words, f"spec.loadBalancerSourceRanges of svc/{backend.name} lets nobody else in")
    yield from _inside(trace)
    ports = [str(p.node_port) for b in trace.services for p in b.ports if p.node_port]
    if ports:
        words = f"firewalls and security groups before node port {', '.join(ports[:4])}"
        yield NotSeen(
            words, "they are outside the cluster; the range is 30000-32767 unless the API server says otherwise"
        )
    client = trace.options.client
    own = {(p.namespace, p.name) for b in trace.services for p in b.pods}
    if client is not None and client.kind == "Pod" and (client.namespace, client.name) in own:
        words = f"whether pod/{client.name} can reach itself through the Service (hairpin)"
        yield NotSeen(words, "hairpin mode is set by the network plugin of its node")


_BY_HAND = {
    "Pod": "get pods -l {selector} -o wide",
    "Service": "describe service {name}",
    "NetworkPolicy": "get networkpolicies -o yaml",
    "Ingress": "describe ingress {name}",
    "Secret": "get secret {name} -o jsonpath='{{.data.tls\\.crt}}' | base64 -d | openssl x509 -noout -text",
    "Gateway": "describe gateway {name}",
    "HTTPRoute": "describe httproute {name}",
    "GRPCRoute": "describe grpcroute {name}",
}


def _manual(trace: Trace, verdict: Verdict) -> Iterator[tuple[str, str, str]]:
    """Show the path by hand that this answer replaces."""
    for row in verdict.rows:
        ref = row.place.ref
        backend = next((b for b in trace.backends if b.ref == ref), None)
        words = _BY_HAND.get(row.place.hop if ref.kind == "Service" else ref.kind, "")
        if row.place.part == "mesh":
            words = "get peerauthentications -o yaml"
        if row.place.hop == "Service" and "/" in row.place.part:
            words = "get endpointslices -l kubernetes.io/service-name={name} -o yaml"
        selector = backend.selector_text if backend is not None else ""
        command = [word.format(name=ref.name, selector=selector) for word in words.split()]
        if command:
            yield kubectl(*command, namespace=ref.namespace), row.evidence, f"row {row.number}: {row.state_text}"
