"""Packets that Cilium dropped, as ``hubble observe`` printed them: in come its lines, out go pairs and ports.

What is dropped is a fact and no inference from policies; which policy it was, the line does not say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.needs import Log
from kubetriage.records import dataclass
from kubetriage.snapshot import Snapshot
from kubetriage.values.patterns import lazy

FLOWS = Log("kube-system", "hubble", "hubble")
"""Under what name a recording or text keeps the lines."""

# cilium/hubble pkg/printer, compact and dict-free forms; an end without a slash is no pod.
FLOW = lazy(
    r"(?P<left_space>[a-z0-9-]{1,63}/)?(?P<left_name>[\w.\[\]:-]{1,253}?)(?::(?P<left_port>\d{1,5}))?"
    r" \((?P<left_of>[\w:,. -]{1,80})\) (?P<arrow>->|<>|<-) "
    r"(?P<right_space>[a-z0-9-]{1,63}/)?(?P<right_name>[\w.\[\]:-]{1,253}?)(?::(?P<right_port>\d{1,5}))?"
    r" \((?P<right_of>[\w:,. -]{1,80})\) (?P<event>[^()]{1,120}?) (?P<verdict>DROPPED|DENIED|FORWARDED|ALLOWED|TRACED"
    r"|TRANSLATED|AUDITED|REDIRECTED|ERROR) \((?P<protocol>TCP|UDP|SCTP|ICMP\w*|HTTP\S*|[\w/.-]{1,20})"
)
_DENIED = ("DROPPED", "DENIED")
_SIDE = lazy(r"policy-verdict:\S+ (EGRESS|INGRESS)")


@dataclass(frozen=True)
class End:
    """One end of a connection."""

    namespace: str
    """Empty: it is no pod."""
    name: str
    identity: str
    """What Cilium takes it for (``ID:31207``, ``world``)."""

    @property
    def shown(self) -> str:
        """Name for people."""
        return f"pod/{self.name} of {self.namespace}" if self.namespace else f"{self.name} ({self.identity})"


@dataclass(frozen=True)
class Drop:
    """A connection that a policy denied."""

    source: End
    target: End
    port: int
    protocol: str
    side: str
    """``egress`` or ``ingress``, where a line says at which end; else empty."""
    line: str


def drops(snapshot: Snapshot) -> tuple[Drop, ...]:
    """Return the connections that policies denied, each once, and none that passed later on."""
    return snapshot.derived(_read)


def _read(snapshot: Snapshot) -> tuple[Drop, ...]:
    log = snapshot.log(FLOWS.namespace, FLOWS.pod, FLOWS.container)
    found: dict[tuple[End, End, int], Drop] = {}
    for line in log.text.splitlines() if log.seen else ():
        match = FLOW.search(line)
        if match is None:
            continue
        source, target, port = _ends(match)
        if port is None:
            continue
        key = (source, target, port)
        if match["verdict"] in _DENIED and ("olicy denied" in match["event"] or "policy-verdict" in match["event"]):
            side = _SIDE.search(match["event"])
            before = found.get(key)
            told = side[1].lower() if side is not None else before.side if before is not None else ""
            protocol = match["protocol"] if match["protocol"] in ("UDP", "SCTP") else "TCP"
            found[key] = Drop(source, target, port, protocol, told, line.strip())
        elif match["event"].startswith("to-endpoint"):
            # It arrived: a policy was changed in between.
            found.pop(key, None)
    return tuple(found.values())


def _ends(match: re.Match[str]) -> tuple[End, End, int | None]:
    left = End((match["left_space"] or "").rstrip("/"), match["left_name"], match["left_of"])
    right = End((match["right_space"] or "").rstrip("/"), match["right_name"], match["right_of"])
    back = match["arrow"] == "<-"
    port = match["left_port"] if back else match["right_port"]
    return (right, left, int(port)) if back and port else (left, right, int(port) if port else None)


def drops_at(snapshot: Snapshot, namespace: str, name: str) -> Iterator[Drop]:
    """Yield the drops on the way to one pod."""
    yield from (d for d in drops(snapshot) if (d.target.namespace, d.target.name) == (namespace, name))
