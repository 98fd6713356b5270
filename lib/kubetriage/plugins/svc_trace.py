"""``kubectl svc-trace``: the first broken hop on the way to a Service, bottom-up."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Diagnosis, Lines, NotSeen, Severity, Table
from kubetriage.plugins import Access, Answer, Option, Plugin, Request, Target
from kubetriage.plugins.answers import not_seen, target_error
from kubetriage.rules.service import RULES
from kubetriage.rules.service.case import Options, Trace, World
from kubetriage.rules.service.clients import client_ref
from kubetriage.rules.service.needs import GROUPS, client_needs, other_policy_needs, service_needs
from kubetriage.rules.service.symptoms import SYMPTOMS, fits
from kubetriage.rules.service.trace import Verdict, chain, judge
from kubetriage.snapshot import Need, Raw, Snapshot

_STATE_SYMPTOMS = tuple(SYMPTOMS)


def options_of(request: Request) -> Options:
    """Read the plugin's own options."""
    client = str(request.options.get("client") or "")
    return Options(
        client=client_ref(client, request.namespace) if client else None,
        symptom=str(request.options.get("symptom") or ""),
        probe=bool(request.options.get("probe")),
    )


def plan(snapshot: Snapshot, request: Request) -> Iterator[Need]:
    """Say what to read: the target, then what it leads to, down to the pods."""
    yield GROUPS
    world, options = World(snapshot), options_of(request)
    for target in request.targets:
        yield from _target_needs(world, request, target, options)
    yield from client_needs(options.client)
    yield from other_policy_needs(snapshot)


def _target_needs(world: World, request: Request, target: Target, options: Options) -> Iterator[Need]:
    if target.resource == "services":
        yield from service_needs(world, request.namespace, target.name, options)


def diagnose(snapshot: Snapshot, request: Request) -> Answer:
    """Name the first broken hop for each target."""
    world, options = World(snapshot), options_of(request)
    if request.options.get("client") and options.client is None:
        words = f"error: --client takes pod/NAME or namespace/NAME, not {request.options['client']!r}"
        return Answer((), (words,))
    diagnoses: list[Diagnosis] = []
    errors: list[str] = []
    for target in request.targets:
        trace = _trace(world, request, target, options)
        if trace is None:
            errors.append(target_error(snapshot, target, request.namespace))
        else:
            diagnoses.append(_diagnosis(trace, _gaps(world, request, target, options)))
    return Answer(tuple(diagnoses), tuple(errors))


def _trace(world: World, request: Request, target: Target, options: Options) -> Trace | None:
    backend = world.backend(request.namespace, target.name)
    if backend.lookup.unseen:
        return None
    return Trace(world, backend.ref, (backend,), options)


def _gaps(world: World, request: Request, target: Target, options: Options) -> tuple[NotSeen, ...]:
    needs = [n for n in _target_needs(world, request, target, options) if not isinstance(n, Raw)]
    return not_seen(world.snapshot, needs, {})


def _diagnosis(trace: Trace, gaps: tuple[NotSeen, ...]) -> Diagnosis:
    verdict = judge(trace)
    findings = tuple(f.finding() for f in verdict.faults)
    head = verdict.faults[0] if verdict.faults else None
    state = "ok"
    if head is not None and head.severity is not Severity.NOTE:
        state = head.cause
    tail = []
    symptom = trace.options.symptom
    if symptom:
        tail.append(Lines("Symptom", tuple(_symptom_lines(symptom, verdict))))
    return Diagnosis(
        command="svc-trace",
        target=trace.target,
        summary=_summary(trace, verdict),
        findings=findings,
        not_seen=gaps,
        header=(("", state),),
        lead=(
            Lines("", chain(trace, verdict)),
            Table(
                "",
                ("#", "HOP", "OBJECT", "STATE", "EVIDENCE"),
                tuple((str(r.number), r.place.hop, r.object, r.state_text, r.evidence) for r in verdict.rows),
            ),
        ),
        tail=tuple(tail),
        manual=tuple(_manual(trace, verdict)),
        extra={"hops": [r.as_json() for r in verdict.rows]},
    )


def _summary(trace: Trace, verdict: Verdict) -> str:
    head = next((f for f in verdict.faults if f.severity is not Severity.NOTE), None)
    if head is not None:
        return head.message if head.proof != "inferred" else f"Nothing is proven broken; likely: {head.message}"
    dark = [r for r in verdict.rows if r.state == "not seen"]
    name = f"{trace.target.kind.lower()}/{trace.target.name}"
    if dark:
        rows = ", ".join(str(r.number) for r in dark)
        return f"No fault seen on the way to {name}; not seen: row{'s' if len(dark) > 1 else ''} {rows}."
    return f"Every hop to {name} is in order."


def _symptom_lines(symptom: str, verdict: Verdict) -> Iterator[str]:
    yield f"{symptom}: {SYMPTOMS[symptom].excludes}"
    problems = [f for f in verdict.faults if f.severity is not Severity.NOTE]
    if problems and not any(fits(symptom, f.cause) for f in problems):
        yield "Nothing that was seen explains it; the faults above show otherwise."
    elif not problems:
        yield "Nothing that was seen explains it."


def _manual(trace: Trace, verdict: Verdict) -> Iterator[tuple[str, str, str]]:
    commands = {
        "Pod": "get pods -l {selector} -o wide",
        "Service": "describe service {name}",
        "NetworkPolicy": "get networkpolicies -o yaml",
    }
    for row in verdict.rows:
        ref = row.place.ref
        backend = next((b for b in trace.backends if b.ref == ref), None)
        words = commands.get(row.place.hop)
        if words is None or backend is None:
            continue
        if row.place.hop == "Service" and "/" in row.place.part:
            words = "get endpointslices -l kubernetes.io/service-name={name} -o yaml"
        command = words.format(name=ref.name, selector=backend.selector_text)
        yield f"kubectl -n {ref.namespace} {command}", row.evidence, f"row {row.number}: {row.state_text}"


PLUGIN = Plugin(
    name="svc-trace",
    summary="Find the first broken hop to a Service",
    description=(
        "Walks from the pods over the Service and NetworkPolicies to the Ingress or Gateway, one row per hop, and "
        "names the first hop with proof of a fault, then the other faults, the fix and the commands that verify it. "
        "It reads what 'kubectl describe' of each object and 'kubectl get endpointslices' would show, resolves every "
        "port in every pod as the endpoint controller does, and evaluates NetworkPolicies for the pod's port."
    ),
    usage="(SERVICE | TYPE/NAME | URL) ...",
    examples=(
        ("Trace a Service", "kubectl svc-trace web"),
        ("May this pod reach it?", "kubectl svc-trace web --client pod/shop-7d9c5b8f6-x2x4q"),
        ("Only causes of what the client sees come first", "kubectl svc-trace web --symptom timeout"),
        ("Diagnose a dump from a colleague", "kubectl svc-trace web --from ./dump"),
    ),
    default_resource="services",
    resources=("services",),
    plan=plan,
    diagnose=diagnose,
    rules=RULES,
    access=(
        Access(("",), ("services",), ("get", "list"), "the Service itself", required=True),
        Access(("discovery.k8s.io",), ("endpointslices",), ("list",), "the endpoints of each Service port"),
    ),
    options=(
        Option(
            "--client",
            "Judge the way from this client: pod/NAME, pod/NAMESPACE/NAME or namespace/NAME",
            kind="text",
            default="",
            metavar="CLIENT",
        ),
        Option(
            "--symptom",
            "What the client sees; causes that show so come first",
            kind="choice",
            default="",
            choices=tuple(SYMPTOMS),
        ),
        Option("--probe", "Connect to the pod ports and through the Service, by the API server (port-forward, proxy)"),
    ),
)
