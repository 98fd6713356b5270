"""Two Ingresses of one class claim the same host and path, and only one of them is served.

Meaning: the loser's backend gets no request on that path; which one wins may change when either is recreated.

Told by: host and path of all Ingresses of the same class in all namespaces. The oldest wins (ingress-nginx and
most controllers); canaries share on purpose. Also told: an exact duplicate inside one Ingress.

Fix: give one of them another host or path, or delete the stale one.

Source: ingress-nginx internal/ingress/controller ("is already defined in ingress"); networking.k8s.io/v1 leaves
conflicts to the controller.
"""

from collections.abc import Iterator

from kubetriage.model import Evidence, Fix, Severity
from kubetriage.rules.service.case import Fault, Trace, fault
from kubetriage.rules.service.entrances import Entrance
from kubetriage.rules.service.ingress import Ingress, IngressPath

CODE = "HostPathConflict"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Ingress against all others that were read."""
    for entrance in trace.ingresses:
        mine = entrance.ingress
        if mine.is_canary:
            continue
        lost: dict[tuple[str, str], list[IngressPath]] = {}
        won: dict[tuple[str, str], list[IngressPath]] = {}
        for path in mine.claims:
            for other, theirs in trace.world.claims(path.host):
                key = (other.namespace, other.name)
                if (
                    theirs.claim != path.claim
                    or key == (mine.namespace, mine.name)
                    or other.is_canary
                    or other.any_class != mine.any_class
                    or (other.namespace == mine.namespace and theirs.backend == path.backend)
                ):
                    # The same Service and port behind both: whoever wins, the requests end in the same place.
                    continue
                (lost if _age(other) < _age(mine) else won).setdefault(key, []).append(path)
        yield from _shadows(trace, entrance)
        for winner, paths in lost.items():
            yield _lost(entrance, winner, paths)
        for loser, paths in won.items():
            yield _won(entrance, loser, paths)


def _shadows(trace: Trace, entrance: Entrance) -> Iterator[Fault]:
    """Note the other Ingresses that change what paths mean."""
    mine = entrance.ingress
    prefixes = [p for p in mine.claims if p.kind in ("Prefix", "ImplementationSpecific")]
    regex = ""
    for p in prefixes:
        for other, _ in trace.world.claims(p.host):
            if (other.namespace, other.name) == (mine.namespace, mine.name) or other.any_class != mine.any_class:
                continue
            if other.uses_regex:
                regex = f"ingress/{other.name} in {other.namespace}"
    if regex and entrance.controller in ("k8s.io/ingress-nginx", ""):
        words = f"{regex} uses regular expressions, so ingress-nginx takes all paths of the host for such"
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


def _age(ingress: Ingress) -> tuple[str, str, str]:
    return (ingress.created, ingress.namespace, ingress.name)


def _where(paths: list[IngressPath]) -> str:
    return ", ".join(f"{p.host or '*'}{p.path}" for p in paths[:3])


def _lost(entrance: Entrance, winner: tuple[str, str], paths: list[IngressPath]) -> Fault:
    every = len(paths) == len([p for p in entrance.ingress.paths if p.kind != "Default"])
    return fault(
        CODE,
        entrance.place,
        f"{_where(paths)} is also claimed by ingress/{winner[1]} in namespace {winner[0]}, which is older and wins; "
        f"{entrance.name} gets no request there.",
        severity=Severity.ERROR if every else Severity.WARNING,
        proof="inferred",
        evidence=[
            Evidence("spec", f"{entrance.name} metadata.creationTimestamp", entrance.ingress.created),
            Evidence("spec", f"ingress/{winner[1]} in {winner[0]}", _where(paths)),
        ],
        fix=[Fix(f"Give {entrance.name} another host or path, or delete ingress/{winner[1]} in namespace {winner[0]}")],
        verify=(f"kubectl -n {winner[0]} get ingress {winner[1]} -o yaml", "kubectl get ingress -A"),
        short=f"{_where(paths)} belongs to ingress/{winner[1]} in {winner[0]}, which is older",
        details={"winner": {"namespace": winner[0], "name": winner[1]}},
    )


def _won(entrance: Entrance, loser: tuple[str, str], paths: list[IngressPath]) -> Fault:
    return fault(
        CODE,
        entrance.place,
        f"{_where(paths)} is also claimed by ingress/{loser[1]} in namespace {loser[0]}; {entrance.name} is older and "
        "wins.",
        severity=Severity.NOTE,
        proof="inferred",
        evidence=[Evidence("spec", f"ingress/{loser[1]} in {loser[0]}", _where(paths))],
        verify=(f"kubectl -n {loser[0]} get ingress {loser[1]} -o yaml",),
        short=f"also claimed by ingress/{loser[1]} in {loser[0]}, which is younger",
        details={"winner": {"namespace": entrance.ingress.namespace, "name": entrance.ingress.name}},
    )
