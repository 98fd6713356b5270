"""A reader that loses some reads of a recorded cluster, in every way in which a cluster or a dump fails to answer."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from kubetriage.cluster.recorded import RecordedReader
from kubetriage.cluster.replies import unserved
from kubetriage.needs import Failure, Get, List, Log, Need, Raw, Why
from kubetriage.snapshot import Snapshot
from kubetriage.values.resources import BY_PLURAL

FAULTS = {
    "403": Failure(Why.FORBIDDEN, 'forbidden: User "dev" cannot read it', 403),
    "404": Failure(Why.NOT_FOUND, "", 404),
    "500": Failure(Why.FAILED, "an error on the server has prevented the request from succeeding", 500),
    "time-out": Failure(Why.TIMEOUT, "net/http: request canceled (Client.Timeout exceeded while awaiting headers)"),
    "absent from the dump": Failure(Why.NOT_IN_DUMP, "not in the dump"),
}


def resource_of(need: Need) -> str:
    """Return what RBAC would call the thing that a need reads."""
    if isinstance(need, Get | List):
        return need.resource
    if isinstance(need, Log):
        return "pods/log"
    if not isinstance(need, Raw):
        return "pods/portforward"
    parts = need.path.partition("?")[0].strip("/").split("/")
    if "proxy" in parts:
        return f"{parts[parts.index('proxy') - 2]}/proxy"
    if parts[0] == "apis":
        plural = next((p for p in parts[3:] if p in BY_PLURAL), parts[-1])
        return plural if plural in BY_PLURAL else "/".join(parts[:2])
    return f"/{parts[0]}"


@lru_cache(maxsize=4)
def _whole(path: Path) -> tuple[RecordedReader, Snapshot]:
    reader = RecordedReader(path)
    return reader, reader.open()


class FaultyReader:
    """Reads a recording, but every read of some resources fails."""

    def __init__(self, path: Path, lost: Iterable[str], fault: str) -> None:
        """``lost`` holds names as :func:`resource_of` returns them, ``fault`` is a key of :data:`FAULTS`."""
        self._recorded, self._all = _whole(path)
        self._lost = frozenset(lost)
        self._fault = fault
        self.asked: dict[str, None] = {}

    def open(self) -> Snapshot:
        """Return a snapshot without what is lost."""
        whole = self._all
        seen = Snapshot(now=whole.now, source=whole.source, presumes_absent=whole.presumes_absent, lag=whole.lag)
        by_list: dict[str, list] = {}
        for resource, obj in whole.objects:
            by_list.setdefault(resource, []).append(obj)
        for need, _ in whole.lists:
            if need.resource not in self._lost:
                items = by_list.get(need.resource, ())
                seen.add_list(need, [o for o in items if not need.namespace or _namespace(o) == need.namespace])
        for need, body in whole.bodies:
            if resource_of(need) not in self._lost:
                seen.add_body(need, body)
        return seen

    def fetch(self, needs: Iterable[Need], snapshot: Snapshot) -> None:
        """Fail, or read. Raises ClusterError for what ends a run."""
        allowed = []
        for need in needs:
            resource = resource_of(need)
            if resource in self._lost:
                snapshot.fail(need, self._failure(need))
            else:
                allowed.append(need)
        self._recorded.fetch(allowed, snapshot)

    def _failure(self, need: Need) -> Failure:
        if self._fault == "404" and isinstance(need, Get | List):
            # The path is not served; an object that is not there is no fault.
            return unserved(BY_PLURAL[need.resource])
        if self._fault == "404" and isinstance(need, Log):
            return Failure(Why.FAILED, "404 page not found", 404)
        return FAULTS[self._fault]


def _namespace(obj: dict) -> str:
    return obj.get("metadata", {}).get("namespace", "")
