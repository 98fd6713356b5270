"""Two Ingresses of one class claim the same host and path, and only one of them is served.

Meaning: the loser's backend gets no request on that path, and its annotations count for nothing; which one wins may
change when either is recreated.

Told by: host and path of all Ingresses of the same class in all namespaces. The oldest wins (ingress-nginx and
most controllers), by name among those of one second. Not in each other's way are canaries, Ingresses with other
addresses (a load balancer each, as on GKE and AWS) and Traefik's routers on other entry points. Also told: a path
that stands twice in one Ingress.

Fix: give one of them another host or path, or delete the stale one.

Source: ingress-nginx internal/ingress/controller ("is already defined in ingress"); networking.k8s.io/v1 leaves
conflicts to the controller.
"""

from collections.abc import Iterator

from kubetriage.model import Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.ingress_entrances import Entrance, claims_on
from kubetriage.rules.service.ingress_objects import Ingress, IngressPath

CODE = "HostPathConflict"
_ENTRY_POINTS = "traefik.ingress.kubernetes.io/router.entrypoints"
"""Traefik serves an Ingress only on the entry points it names; http and https often have one Ingress each."""


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Ingress against all others that were read; of two on the way only the loser is told."""
    here = {(e.ingress.namespace, e.ingress.name) for e in trace.ingresses}
    for entrance in trace.ingresses:
        mine = entrance.ingress
        if mine.is_canary:
            continue
        rivals: dict[tuple[str, str], tuple[Ingress, list[tuple[IngressPath, IngressPath]]]] = {}
        for path in mine.claims:
            for other, theirs in claims_on(trace.world, path.host):
                if theirs.claim == path.claim and not _apart(mine, other):
                    rivals.setdefault((other.namespace, other.name), (other, []))[1].append((path, theirs))
        yield from _shadows(trace, entrance)
        yield from _twice(entrance)
        for key, (other, shared) in rivals.items():
            if key not in here or _age(other) < _age(mine):
                yield _conflict(entrance, other, shared)


def _apart(mine: Ingress, other: Ingress) -> bool:
    """Tell whether two Ingresses may share a host and path without being in each other's way."""
    if (other.namespace, other.name) == (mine.namespace, mine.name) or other.is_canary:
        return True
    if other.any_class != mine.any_class:
        return True
    if mine.addresses and other.addresses and not set(mine.addresses) & set(other.addresses):
        return True
    return mine.annotations.get(_ENTRY_POINTS) != other.annotations.get(_ENTRY_POINTS)


def _shadows(trace: Trace, entrance: Entrance) -> Iterator[Fault]:
    """Note the other Ingresses that change what paths mean."""
    mine = entrance.ingress
    prefixes = [p for p in mine.claims if p.kind in ("Prefix", "ImplementationSpecific")]
    regex = ""
    for p in prefixes:
        for other, _ in claims_on(trace.world, p.host):
            if (other.namespace, other.name) == (mine.namespace, mine.name) or other.any_class != mine.any_class:
                continue
            if other.uses_regex:
                regex = f"ingress/{other.name} in {other.namespace}"
    if regex and entrance.controller in ("k8s.io/ingress-nginx", ""):
        words = f"{regex} uses regular expressions, so ingress-nginx reads every path of the host as one"
        yield _note(entrance, f"{words}, those of {entrance.name} too.", words)


def _note(entrance: Entrance, words: str, short: str) -> Fault:
    return fault(
        CODE,
        entrance.place,
        words,
        severity=Severity.NOTE,
        proof="inferred",
        evidence=[Evidence("spec", "ingresses with the same host", short)],
        verify=("kubectl get ingress -A",),
        short=short,
    )


def _twice(entrance: Entrance) -> Iterator[Fault]:
    """Tell of a path that stands twice in one Ingress with different backends; the first counts."""
    first: dict[tuple[str, str, bool], IngressPath] = {}
    for path in entrance.ingress.paths:
        if path.kind == "Default":
            continue
        known = first.setdefault(path.claim, path)
        if not path.same_backend(known):
            yield fault(
                CODE,
                entrance.place,
                f"{_where([path])} stands twice in {entrance.name}, with different backends; only one of them counts "
                "(the first with ingress-nginx).",
                severity=Severity.WARNING,
                proof="inferred",
                evidence=[
                    Evidence(
                        "spec", f"{entrance.name} {p.backend.at}", f"svc/{p.backend.service}:{p.backend.port_text}"
                    )
                    for p in (known, path)
                ],
                fix=[Fix(f"Take one of the two out of {entrance.name}")],
                verify=(f"{entrance.command} describe ingress {entrance.ingress.name}",),
                short=f"{_where([path])} stands twice, with different backends",
            )


def _age(ingress: Ingress) -> tuple[str, str, str]:
    return (ingress.created, ingress.namespace, ingress.name)


def _where(paths: list[IngressPath]) -> str:
    return ", ".join(f"{p.host or '*'}{p.path}" for p in paths[:3])


def _conflict(entrance: Entrance, other: Ingress, shared: list[tuple[IngressPath, IngressPath]]) -> Fault:
    mine = entrance.ingress
    where = _where([path for path, _ in shared])
    theirs = f"ingress/{other.name}" + (f" in {other.namespace}" if other.namespace != mine.namespace else "")
    won = _age(mine) < _age(other)
    winner, loser = (entrance.name, theirs) if won else (theirs, entrance.name)
    why = "is older and wins" if mine.created != other.created else "is as old and wins by its name"
    same_place = other.namespace == mine.namespace and all(a.same_backend(b) for a, b in shared)
    cost = f"{loser} gets no request there"
    if same_place:
        cost = f"{loser} and its annotations count for nothing there; both lead to the same Service"
    takes_all = not won and not same_place and len(shared) == len(mine.claims)
    return fault(
        CODE,
        entrance.place,
        f"{entrance.name} and {theirs} both claim {where}; {winner} {why}, so {cost}.",
        severity=Severity.ERROR if takes_all else Severity.WARNING,
        proof="inferred",
        evidence=[
            Evidence("spec", f"{theirs} rules", where),
            Evidence("spec", f"{entrance.name} metadata.creationTimestamp", mine.created),
            Evidence("spec", f"{theirs} metadata.creationTimestamp", other.created),
        ],
        fix=[Fix(f"Give {loser} another host or path, or delete the one of the two that is not needed")],
        verify=(f"kubectl -n {other.namespace} get ingress {other.name} -o yaml", "kubectl get ingress -A"),
        urgent=not won,
        short=f"{where} is also claimed by {theirs}, which {'gets nothing there' if won else why}",
        details={"winner": _name(mine if won else other), "loser": _name(other if won else mine)},
    )


def _name(ingress: Ingress) -> dict[str, str]:
    return {"namespace": ingress.namespace, "name": ingress.name}
