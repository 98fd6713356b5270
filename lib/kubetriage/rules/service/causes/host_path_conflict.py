"""Two Ingresses of one class claim the same host and path, and only one of them is served.

Meaning: the loser's backend gets no request on that path, and its annotations count for nothing; which one wins may
change when either is recreated.

Told by: host and path of all Ingresses of the same class in all namespaces. The oldest wins (ingress-nginx and
most controllers), by name among those of one second; all claimants of a path make one finding, a note for the winner.
A controller that gives a host to one Ingress alone (NGINX Ingress Controller) is judged by the host. Not in each
other's way are canaries, Ingresses with other addresses (a load balancer each, as on GKE and AWS) and Traefik's routers
on other entry points. Also told: a path that stands twice in one Ingress.

Fix: give one of them another host or path, or delete the stale one.

Source: ingress-nginx internal/ingress/controller ("is already defined in ingress"); networking.k8s.io/v1 leaves
conflicts to the controller.
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.ingress_entrances import Entrance, claims_on
from kubetriage.rules.service.ingress_objects import Ingress, IngressPath
from kubetriage.values.commands import kubectl

CODE = "HostPathConflict"
_ENTRY_POINTS = "traefik.ingress.kubernetes.io/router.entrypoints"
"""Traefik serves an Ingress only on the entry points it names; http and https often have one Ingress each."""


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Ingress against all others that were read; all rivals for a path make one finding, with one winner."""
    here = {(e.ingress.namespace, e.ingress.name) for e in trace.ingresses}
    for entrance in trace.ingresses:
        mine = entrance.ingress
        if mine.is_canary:
            continue
        yield from _shadows(trace, entrance)
        yield from _twice(entrance)
        known = entrance.known
        if known is not None and known.merges is False and not _mergeable(mine):
            yield from _whole_hosts(trace, entrance)
            continue
        groups: dict[tuple[tuple[str, str], ...], list[tuple[IngressPath, list[tuple[Ingress, IngressPath]]]]] = {}
        for path in mine.claims:
            rivals = [
                (other, theirs)
                for other, theirs in claims_on(trace.world, path.host)
                if theirs.claim == path.claim and not _apart(mine, other)
            ]
            if rivals:
                key = tuple(sorted({(other.namespace, other.name) for other, _ in rivals}))
                groups.setdefault(key, []).append((path, rivals))
        for rivals_of, shared in groups.items():
            # Of several on the way the conflict is told at the losers.
            won = all(_age(mine) < _age(o) for _, rivals in shared for o, _ in rivals)
            if not won or not set(rivals_of) & here:
                yield _conflict(entrance, shared)


def _mergeable(ingress: Ingress) -> bool:
    """Tell whether NGINX Ingress Controller joins it with others: a master and its minions."""
    return bool(ingress.annotations.get("nginx.org/mergeable-ingress-type"))


def _whole_hosts(trace: Trace, entrance: Entrance) -> Iterator[Fault]:
    """Judge the hosts of an Ingress whose controller gives a host to one Ingress alone, whatever the paths."""
    mine = entrance.ingress
    for host in mine.hosts:
        others = {
            (o.namespace, o.name): o
            for o, _ in claims_on(trace.world, host)
            if not _apart(mine, o) and not _mergeable(o)
        }
        if not others:
            continue
        ranked = sorted([mine, *others.values()], key=_age)
        winner, won = ranked[0], ranked[0] is mine
        losers = ranked[1:]
        solver = next((o for o in losers if o.name.startswith("cm-acme-http-solver-")), None)
        names = ", ".join(_shown(o, mine) for o in losers[:5])
        verb = "gets" if len(losers) == 1 else "get"
        tail = (
            f" {_shown(solver, mine)} is cert-manager's solver: the certificate is not issued until it is served."
            if solver is not None
            else ""
        )
        yield fault(
            CODE,
            entrance.place,
            f"Host {host} stands in {len(ranked)} Ingresses, and the controller of class {mine.any_class} gives a host "
            f"to one alone: {_shown(winner, mine)} is the oldest and wins, {names} {verb} nothing.{tail}",
            severity=Severity.WARNING if won and solver is not None else Severity.NOTE if won else Severity.ERROR,
            proof="inferred",
            evidence=[Evidence("spec", f"{_shown(o, mine)} metadata.creationTimestamp", o.created) for o in ranked[:4]],
            fix=[
                Fix(
                    "Put all paths of the host into one Ingress, or join them with the annotation "
                    "nginx.org/mergeable-ingress-type (one master, the others minions)"
                    + (
                        '. For the solver set the annotation acme.cert-manager.io/http01-edit-in-place: "true" on '
                        f"{_shown(winner, mine)}"
                        if solver is not None
                        else ""
                    ),
                    actor=Actor.MANIFEST,
                )
            ],
            verify=(kubectl("get", "ingress", "-A"),),
            urgent=not won,
            short=f"host {host} is given to {_shown(winner, mine)} alone",
            details={"winner": _name(winner), "losers": [_name(o) for o in losers]},
        )


def _shown(ingress: Ingress, mine: Ingress) -> str:
    where = f" in {ingress.namespace}" if ingress.namespace != mine.namespace else ""
    return f"ingress/{ingress.name}{where}"


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
                verify=(entrance.kubectl("describe", "ingress", entrance.ingress.name),),
                short=f"{_where([path])} stands twice, with different backends",
            )


def _age(ingress: Ingress) -> tuple[str, str, str]:
    return (ingress.created, ingress.namespace, ingress.name)


def _where(paths: list[IngressPath]) -> str:
    return ", ".join(f"{p.host or '*'}{p.path}" for p in paths[:3])


def _conflict(entrance: Entrance, shared: list[tuple[IngressPath, list[tuple[Ingress, IngressPath]]]]) -> Fault:
    """Tell of all Ingresses that claim the same paths, once, with the one that wins."""
    mine = entrance.ingress
    where = _where([path for path, _ in shared])
    others = {(o.namespace, o.name): o for _, rivals in shared for o, _ in rivals}
    ranked = sorted([mine, *others.values()], key=_age)
    winner, won = ranked[0], ranked[0] is mine
    losers = [o for o in ranked if o is not winner]
    names = ", ".join(_shown(o, mine) for o in losers[:5]) + (f" and {len(losers) - 5} more" if losers[5:] else "")
    why = "is the oldest and wins" if winner.created != ranked[1].created else "is as old and wins by its name"
    pairs = [(path, theirs) for path, rivals in shared for o, theirs in rivals if o is winner or won]
    same_place = len({o.namespace for o in ranked}) == 1 and all(a.same_backend(b) for a, b in pairs)
    verb = "gets" if len(losers) == 1 else "get"
    cost = f"{names} {verb} no request there"
    if same_place:
        cost = f"the annotations of {names} count for nothing there; all lead to the same Service"
    takes_all = not won and not same_place and len(shared) == len(mine.claims)
    return fault(
        CODE,
        entrance.place,
        f"{len(ranked)} Ingresses claim {where}: {_shown(winner, mine)} {why}, so {cost}.",
        severity=Severity.NOTE if won else Severity.ERROR if takes_all else Severity.WARNING,
        proof="inferred",
        evidence=[
            Evidence("spec", f"{_shown(o, mine)} claims {where}, metadata.creationTimestamp", o.created)
            for o in ranked[:4]
        ],
        fix=[
            Fix(
                f"Give {_shown(mine, mine) if not won else names} another host or path, or delete what is not needed",
                actor=Actor.MANIFEST,
            )
        ],
        verify=(
            kubectl("get", "ingress", winner.name, "-o", "yaml", namespace=winner.namespace),
            kubectl("get", "ingress", "-A"),
        ),
        urgent=not won,
        short=f"{where} is also claimed by {names}, which {verb} nothing there"
        if won
        else f"{where} is also claimed by {_shown(winner, mine)}, which {why}",
        details={
            "winner": _name(winner),
            "loser": _name(mine if not won else losers[0]),
            "losers": [_name(o) for o in losers],
        },
    )


def _name(ingress: Ingress) -> dict[str, str]:
    return {"namespace": ingress.namespace, "name": ingress.name}
