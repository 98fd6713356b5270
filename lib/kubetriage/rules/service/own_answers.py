"""Requests that the program answered itself, by the access logs of the proxies in front of it.

A 404 is of the proxy, which found no rule, or of the program, which has no such page. The log tells them apart: beside
the status that the client got it has the address of the pod that was asked, and what that answered.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.access_logs import Way, ways
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.values.fields import labels
from kubetriage.values.patterns import lazy

STATUSES = ("400", "403", "404", "413", "429", "500")
"""What a program may mean to answer; a 502, 503 or 504 with a pod's address is mostly the proxy's own."""
_LONGEST_LINE = 4000
_ASKED = lazy(r'"([A-Z]{3,10} [^" ]{1,1000}) HTTP/[\d.]{1,3}" (\d{3}) ')
# The format upstreaminfo of ingress-nginx: [upstream] [alternative] address length seconds status id; each a list of
# what was tried one after another.
_NGINX = lazy(r"\[[^\]\s]{1,300}\] \[[^\]\s]{0,300}\] ")
# Envoy writes its flags first, "-" for none; Istio the detail behind it; the upstream's address stands in quotes.
_ENVOY = lazy(r'-(?: via_upstream - ".{0,1000}"| .{0,1000}) "(\S{3,60}:\d{1,5})"')
# Traefik's format: "router" "http://address" 12ms.
_TRAEFIK = lazy(r'"https?://(\S{3,60}:\d{1,5})" \d{1,9}ms$')
_TARGET = "nginx.ingress.kubernetes.io/rewrite-target"


@dataclass(frozen=True, eq=False)
class OwnAnswer:
    """The newest request of one way that the program answered with a status."""

    way: Way
    backend: Backend
    pod: Pod
    proxy: Pod
    status: str
    asked: str
    """Method and path, as the client sent them."""
    count: int
    line: str
    rewrites: str
    """What an Ingress of ingress-nginx makes of the path; empty: it is sent on as it is."""

    @property
    def words(self) -> str:
        """Say who answered, and what the program was asked where the entrance changes it."""
        often = f", {self.count} times" if self.count > 1 else ""
        said = f'the log of pod/{self.proxy.name}: "{self.asked}" reached pod/{self.pod.name}, which answered '
        return f"{said}{self.status} itself{often}, so host, path and Service were found{self._sent}"

    @property
    def _sent(self) -> str:
        if self.status != "404":
            return "; its own log tells why"
        if not self.rewrites:
            return "; the program has nothing at that path"
        if "$" not in self.rewrites:
            fixed = "holds no $1 or $2, so the program is asked for it whatever the client asks"
            return f"; {_TARGET}: {self.rewrites} {fixed}"
        return f"; the program is asked for what {_TARGET}: {self.rewrites} makes of the path"


def own_answers(trace: Trace, status: str) -> Iterator[OwnAnswer]:
    """Yield for each way the newest request that a pod on it answered with this status."""
    if status not in STATUSES:
        return
    marks = {e.ref: labels(e.ingress.raw, "metadata", "annotations") for e in trace.ingresses}
    for way in ways(trace):
        rewrites = marks.get(way.ref, {}).get(_TARGET, "")
        found: OwnAnswer | None = None
        for pod in way.proxies:
            for line in _lines(trace, pod, status):
                request = _ASKED.search(line)
                if request is None or request[2] != status:
                    continue
                target = way.pod_at(_upstream(line[request.end() :], status).rpartition(":")[0].strip("[]"))
                if target is not None:
                    count = found.count + 1 if found is not None else 1
                    found = OwnAnswer(way, *target, pod, status, request[1], count, line.strip(), rewrites)
        if found is not None:
            yield found


def _lines(trace: Trace, pod: Pod, status: str) -> Iterator[str]:
    for container in pod.containers:
        log = trace.snapshot.log(pod.namespace, pod.name, container.name)
        if log.seen:
            marked = f'" {status} '
            yield from (x for x in log.text.splitlines() if marked in x and len(x) <= _LONGEST_LINE)


def _upstream(rest: str, status: str) -> str:
    """Return ADDRESS:PORT of the pod that answered with the status; empty where the proxy did."""
    nginx = _NGINX.search(rest)
    if nginx is not None:
        address, _, _, answered, *_ = [*rest[nginx.end() :].replace(", ", ",").split(" "), "", "", "", ""]
        return address.rpartition(",")[2] if answered.rpartition(",")[2] == status else ""
    told = _ENVOY.match(rest) or _TRAEFIK.search(rest)
    return told[1] if told is not None else ""
