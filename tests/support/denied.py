"""A reader that may not read everything: RBAC as on-call engineers meet it."""

from collections.abc import Iterable
from pathlib import Path

from kubetriage.cluster.recorded import RecordedReader
from kubetriage.needs import Failure, List, Log, Need, Why
from kubetriage.snapshot import Snapshot


class DeniedReader(RecordedReader):
    """Reads a recording, but is refused some resources (plural names, and ``pods/log``)."""

    def __init__(self, path: Path, denied: Iterable[str]) -> None:
        """``denied`` holds plural resource names and ``pods/log``."""
        super().__init__(path)
        self._denied = frozenset(denied)

    def open(self) -> Snapshot:
        """Return a snapshot without what is refused."""
        whole = super().open()
        seen = Snapshot(whole.now, whole.source, presumes_absent=whole.presumes_absent)
        by_resource: dict[str, list] = {}
        for resource, obj in whole.objects:
            by_resource.setdefault(resource, []).append(obj)
        for need, _ in whole.lists:
            if need.resource not in self._denied:
                seen.add_list(need, [o for o in by_resource.get(need.resource, ()) if _in(need, o)])
        for resource in self._denied - {"pods/log"}:
            seen.fail(List(resource), _refusal(resource))
        return seen

    def fetch(self, needs: Iterable[Need], snapshot: Snapshot) -> None:
        """Refuse, or read."""
        allowed = []
        for need in needs:
            resource = "pods/log" if isinstance(need, Log) else getattr(need, "resource", "")
            if resource in self._denied:
                snapshot.fail(need, _refusal(resource))
            else:
                allowed.append(need)
        super().fetch(allowed, snapshot)


def _in(need: List, obj: dict) -> bool:
    return not need.namespace or obj.get("metadata", {}).get("namespace", "") == need.namespace


def _refusal(resource: str) -> Failure:
    verb = "get" if resource == "pods/log" else "list"
    return Failure(Why.FORBIDDEN, f'{resource} is forbidden: User "dev" cannot {verb} resource "{resource}"', 403)
