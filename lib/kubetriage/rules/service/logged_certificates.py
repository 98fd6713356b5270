"""What ingress-nginx's log says of the certificates that it serves, for Secrets that were not seen themselves."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from kubetriage.model import Evidence
from kubetriage.records import dataclass
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.pod_lines import newest_lines
from kubetriage.values.patterns import lazy

# kubernetes/ingress-nginx internal/ingress/controller/controller.go, 0.20 to 1.14; Go crypto/x509 hostname errors.
_SAID = lazy(
    r"[Uu]nexpected error validating SSL certificate \"(?P<bad>[\w.-]{1,63}/[\w.-]{1,253})\" for server"
    r" \"(?P<host>[\w.*-]{1,253})\": x509: certificate (?:is valid for (?P<names>.{1,300}?), not "
    r"|is not valid for any names|relies on legacy Common Name)"
    r"|[Ee]rror getting SSL certificate \"(?P<lost>[\w.-]{1,63}/[\w.-]{1,253})\": local SSL certificate \S{1,320}"
    r" was not found"
)
_LAST = 2000
"""Lines of a log that are looked at; the controller says it again at each synchronization."""


@dataclass(frozen=True)
class Served:
    """A Secret of which the controller complains, by its newest line about it."""

    entrance: Entrance
    namespace: str
    secret: str
    host: str
    """For which the certificate does not stand; empty: the controller has no such certificate."""
    names: str
    """For which it stands, where the line tells."""
    evidence: Evidence


def complaints(trace: Trace) -> Iterator[Served]:
    """Yield what the controllers of the Ingresses on the way say of Secrets that nothing else was seen of."""
    for entrance in trace.ingresses:
        known = {(u.ref.namespace, u.ref.name): u for u in entrance.secrets}
        told = set()
        for pod in entrance.controller_pods:
            for container, line in islice(newest_lines(trace.snapshot, pod), _LAST):
                match = _SAID.search(line)
                place, _, name = (match["bad"] or match["lost"] or "").partition("/") if match else ("", "", "")
                if match is None or place != entrance.ingress.namespace or (place, name) in told:
                    continue
                use = known.get((place, name))
                # A table shows no spec.tls; the host of the line tells whose Secret it is.
                mine = use is not None or (not entrance.ingress.tls and match["host"] in entrance.ingress.hosts)
                if not mine or (use is not None and not use.lookup.unseen):
                    continue
                told.add((place, name))
                said = Evidence("log", f"pod/{pod.name} {container}", line.strip())
                yield Served(entrance, place, name, match["host"] or "", match["names"] or "", said)
