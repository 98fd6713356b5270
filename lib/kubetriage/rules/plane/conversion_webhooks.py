"""A conversion webhook of a CRD that does not answer: in come logs that quote it, out goes whom it stops."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.component_log import Remark
from kubetriage.rules.plane.figure_format import names
from kubetriage.values.commands import PIPE, kubectl
from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time

_LATELY = 3600.0
_CALL = lazy(r"https://([^./\s]+)\.([^./\s]+)\.svc[^\"\\\s]*\\?\"?:? ?(.*)")
_NAMESPACE = lazy(r"deletion of namespace (\S+) failed")
_SERVICE_GONE = lazy(r'service \\?"[^"\\]+\\?" not found')


def conversion_findings(case: Case, code: str, link: str) -> Iterator[Finding]:
    """Report each service that should convert objects and does not, with the kinds that cannot be listed by it."""
    by_service: dict[tuple[str, str], list[Remark]] = {}
    for remark in case.lately("conversion", _LATELY):
        call = _CALL.search(remark.words)
        by_service.setdefault((call[2], call[1]) if call else ("", ""), []).append(remark)
    for (namespace, service), seen in by_service.items():
        yield _finding(case, code, link, namespace, service, seen)


def _finding(case: Case, code: str, link: str, namespace: str, service: str, seen: list[Remark]) -> Finding:
    kinds = sorted({r.about for r in seen})
    group = kinds[0].partition(".")[2]
    last = seen[-1]
    call = _CALL.search(last.words)
    reason = (call[3] if call else last.words).strip().rstrip('."').replace("\\", "")[:160]
    gone = bool(_SERVICE_GONE.search(last.words))
    stuck = sorted({m[1] for r in seen if (m := _NAMESPACE.search(r.words))})
    collector = next(
        (r for r in case.remarks if "garbage collector" in r.words or "dependency graph builder" in r.words), None
    )
    effects = [f"namespace {names(stuck)} stays Terminating"] if stuck else []
    if collector is not None:
        effects.append("the garbage collector stands still, so deleted owners leave their objects behind")
    effect = f" By it {' and '.join(effects)}." if effects else ""
    where = f"{namespace}/{service}" if service else "of the CRD"
    shown = kubectl("get", "crds", PIPE, "grep", group)
    serve = Fix(
        f"Bring the service {where} back: install {group} again in the version that served it, with its Service and its"
        " pods."
        if gone
        else f"Bring the pods behind service {where} back, and the way from the API server to them.",
        actor=Actor.CLUSTER,
        commands=(kubectl("get", "service,endpointslices,pods", "-o", "wide", namespace=namespace),) if service else (),
    )
    drop = Fix(
        f"If {group} was removed for good: save its objects, then set spec.conversion.strategy None in its CRDs and"
        " delete them. Deleting a CRD deletes all its objects.",
        actor=Actor.CLUSTER,
        commands=(
            shown,
            kubectl(
                "patch",
                "crd",
                "NAME",
                "--type=merge",
                "-p",
                '{"spec":{"conversion":{"strategy":"None","webhook":null}}}',
            ),
        ),
    )
    evidence = [Evidence("log", r.source, r.words, format_time(r.at)) for r in seen[-2:]]
    if collector is not None:
        evidence.append(Evidence("log", collector.source, collector.words, format_time(collector.at)))
    return Finding(
        code,
        Severity.ERROR,
        Confidence.CONFIRMED,
        CLUSTER,
        f"The conversion webhook of {names(kinds)} does not answer ({where}: {reason}), so nobody can list these"
        f" objects.{effect}",
        tuple(evidence),
        (RuledOut("finalizers", "the listing fails before any finalizer is looked at"),) if stuck else (),
        (
            serve,
            drop,
            *(
                (Fix("Leave finalizers as they are: the namespace ends by itself once the objects can be listed."),)
                if stuck
                else ()
            ),
        ),
        (shown,),
        {"link": link, "kinds": kinds, "since": format_time(seen[0].at), **({"namespaces": stuck} if stuck else {})},
    )
