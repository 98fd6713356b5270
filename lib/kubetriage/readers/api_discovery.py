"""Which API groups and kinds the cluster serves, from one request that the API server answers with all of them.

Since 1.27 ``/apis`` answers with the resources of every group when it is asked for an APIGroupDiscoveryList; older
servers answer with the groups alone. So 200 CustomResourceDefinitions cost no request more than none.
"""

from __future__ import annotations

import json

from kubetriage.data import table
from kubetriage.needs import List, Raw
from kubetriage.records import dataclass
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_PLURAL, resource_of_kind

_TYPE = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
DISCOVERY = Raw("/apis", accept=",".join((_TYPE.format("v2"), _TYPE.format("v2beta1"), "application/json")))
"""The API groups that the cluster serves, with their resources where the server can tell (KEP-3352)."""
BY_NAME_AT_MOST = 2
"""Kinds that are listed only because their name speaks of traffic: the requests of a trace stay bounded."""
_TRAFFIC = lazy(
    r"Ingress|Route|Gateway|Proxy|Mapping|Virtual(?:Server|Service|Host)|TransportServer|Listener|Tunnel|LoadBalancer"
    r"|Entrypoint|Exposure"
)
_NO_ENTRANCE = lazy(r"Class\Z|Policy\Z|Polic(?:y|ies)|Config(?:uration)?\Z|Parameters?\Z|Template\Z|Report\Z|Set\Z")


@dataclass(frozen=True)
class ServedKind:
    """One resource of a custom API group, as discovery names it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    names: tuple[str, ...] = ()
    """What kubectl accepts for it beside the plural: singular and short names."""

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the URL path of an object, or of the first page of a list."""
        place = f"namespaces/{namespace}/" if namespace and self.namespaced else ""
        tail = f"/{name}" if name else "?limit=500"
        return f"/apis/{self.group}/{self.version}/{place}{self.plural}{tail}"


@dataclass(frozen=True)
class _Served:
    groups: frozenset[str] | None
    """None: nobody knows."""
    kinds: tuple[ServedKind, ...] | None
    """None: the server told the groups alone."""


def serves(snapshot: Snapshot, plural: str) -> bool:
    """Tell whether a resource of ``values.resources`` is worth asking for: it is served, or nobody knows."""
    known, resource = _known(snapshot), BY_PLURAL[plural]
    if known.groups is None:
        # A dump does not say what is served; what it holds is there without asking, unless it says that it was refused.
        if snapshot.source != "cluster":
            return snapshot.failure(List(plural)) is not None
        return snapshot.failure(DISCOVERY) is not None
    if known.kinds is not None:
        return any((k.group, k.plural) == (resource.group, resource.path_name) for k in known.kinds)
    return resource.group in known.groups


def served_group(snapshot: Snapshot, group: str) -> bool:
    """Tell whether an API group is worth asking: it is served, or nobody knows."""
    known = _known(snapshot)
    return group in known.groups if known.groups is not None else snapshot.failure(DISCOVERY) is not None


def traffic_kinds(snapshot: Snapshot) -> tuple[tuple[ServedKind, ...], tuple[ServedKind, ...]]:
    """Return the served custom kinds that may lead traffic to a Service: those to list, and those left out."""
    # Nothing is remembered before the answer is there.
    return snapshot.derived(_traffic_kinds) if snapshot.body(DISCOVERY.path) is not None else ((), ())


def find_kind(snapshot: Snapshot, word: str) -> ServedKind | None:
    """Return the served custom kind that kubectl means by a TYPE; None where the server told no kinds."""
    head, _, group = word.lower().partition(".")
    for kind in _known(snapshot).kinds or ():
        if head in (kind.plural, kind.kind.lower(), *kind.names) and kind.group.startswith(group):
            return kind
    return None


def served_kinds(snapshot: Snapshot) -> tuple[ServedKind, ...]:
    """Return all kinds that the server told; none where it told the groups alone, or was not asked."""
    return _known(snapshot).kinds or ()


def tells_kinds(snapshot: Snapshot) -> bool:
    """Tell whether the server told all its kinds in one answer; before 1.27 it names the groups alone."""
    return _known(snapshot).kinds is not None


def is_no_entrance(group: str, kind: str) -> bool:
    """Tell whether objects of a custom kind name Services for another purpose than to lead traffic to them."""
    rows = table("traffic_kinds")["notEntrances"]
    return any(r["group"] == group and r["kind"] in (kind, "*") for r in rows) or bool(_NO_ENTRANCE.search(kind))


def is_traffic_kind(group: str, kind: str) -> bool:
    """Tell whether objects of a custom kind may be an entrance: known for it, or by the words of its name."""
    known = table("traffic_kinds")
    if any(row["group"] == group and row["kind"] in (kind, "*") for row in known["notEntrances"]):
        return False
    if any(row["group"] == group and row["kind"] == kind for row in known["entrances"]):
        return True
    return bool(_TRAFFIC.search(kind)) and not _NO_ENTRANCE.search(kind)


def _known(snapshot: Snapshot) -> _Served:
    return snapshot.derived(_read) if snapshot.body(DISCOVERY.path) is not None else _Served(None, None)


def _traffic_kinds(snapshot: Snapshot) -> tuple[tuple[ServedKind, ...], tuple[ServedKind, ...]]:
    known = {(row["group"], row["kind"]) for row in table("traffic_kinds")["entrances"]}
    certain, named = [], []
    for kind in _known(snapshot).kinds or ():
        if not kind.namespaced or resource_of_kind(kind.group, kind.kind) is not None:
            continue
        if (kind.group, kind.kind) in known:
            certain.append(kind)
        elif is_traffic_kind(kind.group, kind.kind):
            named.append(kind)
    return (*certain, *named[:BY_NAME_AT_MOST]), tuple(named[BY_NAME_AT_MOST:])


def _read(snapshot: Snapshot) -> _Served:
    body = snapshot.body(DISCOVERY.path)
    if body is None:
        return _Served(None, None)
    try:
        answer = json.loads(body.text)
    except ValueError:
        return _Served(None, None)
    if not isinstance(answer, dict) or not (objects(answer, "groups") or objects(answer, "items")):
        return _Served(None, None)
    if text(answer, "kind") != "APIGroupDiscoveryList":
        return _Served(frozenset(text(g, "name") for g in objects(answer, "groups")), None)
    kinds = []
    for group in objects(answer, "items"):
        name = text(group, "metadata", "name")
        seen = set()
        for version in objects(group, "versions"):
            for raw in objects(version, "resources"):
                plural = text(raw, "resource")
                if plural in seen:
                    continue
                seen.add(plural)
                short = raw.get("shortNames")
                kinds.append(
                    ServedKind(
                        name,
                        text(version, "version"),
                        plural,
                        text(raw, "responseKind", "kind"),
                        text(raw, "scope") == "Namespaced",
                        (text(raw, "singularResource"), *(s for s in short or () if isinstance(s, str))),
                    )
                )
    return _Served(frozenset(text(g, "metadata", "name") for g in objects(answer, "items")), tuple(kinds))
