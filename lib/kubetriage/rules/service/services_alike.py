"""Which Service may be meant by a name that does not exist: the nearest of the namespace, or a namesake elsewhere."""

from __future__ import annotations

from kubetriage.rules.service.cluster_view import Backend
from kubetriage.values.fields import name_of, namespace_of
from kubetriage.values.nearest import nearest


def namesake_spaces(backend: Backend) -> list[str]:
    """Return the other namespaces that have a Service of the name, as far as Services were read."""
    return sorted(
        {
            namespace_of(s)
            for s in backend.world.listing("services").items
            if name_of(s) == backend.name and namespace_of(s) != backend.namespace
        }
    )


def meant_service(backend: Backend, *, by_dns: bool = True) -> str:
    """Say which Service may be meant; empty when none is near.

    ``by_dns`` False: the reference is a field of an object, which cannot name a Service of another namespace.
    """
    here = [name_of(s) for s in backend.world.listing("services", backend.namespace).items]
    near = nearest(backend.name, here)
    if near:
        return f" Nearest there: svc/{near}."
    spaces = namesake_spaces(backend)
    if spaces:
        how = f"; use {backend.name}.{spaces[0]} for it." if by_dns else "."
        return f" Namespace {', '.join(spaces[:3])} has one of that name{how}"
    return f" The namespace has: {', '.join(sorted(here)[:5])}." if here else ""
