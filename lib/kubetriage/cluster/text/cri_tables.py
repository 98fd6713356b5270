"""Tables of runtimes: which container of which pod an ID is, by crictl (1.20 to 1.34), docker and nerdctl."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kubetriage.cluster.text.found import Container
from kubetriage.values.patterns import lazy

_ROW = lazy(
    r"\s*(?P<id>[0-9a-f]{12,64})\s+\S{1,300}\s.{1,60}?\s(?:Created|Running|Exited|Unknown)\s+(?P<container>[a-z0-9-]{1,63})"
    r"\s+\d{1,9}\s+[0-9a-f]{12,64}(?:\s+(?P<pod>[a-z0-9.-]{1,253}))?(?:\s+(?P<namespace>[a-z0-9-]{1,63}))?\s*\Z"
)
# The kubelet names Docker's containers k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT (dockershim, cri-dockerd).
_DOCKER = lazy(
    r"\s*(?P<id>[0-9a-f]{12,64})\s.{0,600}?\sk8s_(?P<container>[a-z0-9-]{1,63})_(?P<pod>[a-z0-9.-]{1,253})"
    r"_(?P<namespace>[a-z0-9-]{1,63})_[0-9a-f-]{32,36}_\d{1,9}\s*\Z"
)
_NERDCTL = lazy(
    r"\s*(?P<id>[0-9a-f]{12,64})\s.{0,600}?\sk8s://(?P<namespace>[a-z0-9-]{1,63})/(?P<pod>[a-z0-9.-]{1,253})"
    r"/(?P<container>[a-z0-9-]{1,63})\s*\Z"
)


def containers(rows: Iterable[str]) -> dict[str, Container]:
    """Return the containers of the rows by their IDs."""
    found = (_ROW.match(row) or _DOCKER.match(row) or _NERDCTL.match(row) for row in rows)
    return {m["id"]: Container(m["pod"] or "", m["namespace"] or "", m["container"]) for m in found if m is not None}


def named(known: Mapping[str, Container], given: str) -> Container | None:
    """Return the container with an ID, which tables and users shorten."""
    if len(given) < 4:
        return None
    return next((c for key, c in known.items() if key.startswith(given) or given.startswith(key)), None)
