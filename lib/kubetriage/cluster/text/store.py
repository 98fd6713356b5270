"""The objects of a paste while they are put together."""

from __future__ import annotations

from kubetriage.cluster.text.found import Raw
from kubetriage.cluster.text.paste import ObjectKey
from kubetriage.found import Form
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import MADE_UID, objects, uid_of
from kubetriage.values.resources import BY_KIND, BY_PLURAL


class Store:
    """Objects by key, with the forms that they were read from."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Begin; ``snapshot`` has the objects of whole files."""
        self.objects: dict[ObjectKey, Raw] = {}
        self.forms: dict[ObjectKey, list[Form]] = {}
        self.made: set[ObjectKey] = set()
        """Objects of which only others tell."""
        self._snapshot = snapshot

    def need(self, resource: str, namespace: str, name: str, form: Form | None = None) -> Raw:
        """Return an object, made where only its name is told."""
        key = (resource, namespace, name)
        if key not in self.objects:
            kind = BY_PLURAL[resource]
            self.objects[key] = {
                "apiVersion": kind.api_version,
                "kind": kind.kind,
                "metadata": {"name": name, "namespace": namespace},
            }
            self.forms[key] = [form or Form("a name in another object", shows=("metadata.name",))]
            self.made.add(key)
        return self.objects[key]

    def own(self, resource: str, namespace: str, name: str, kind: str, owner: str) -> None:
        """Let an object that tells no controller have this one."""
        obj = self.objects.get((resource, namespace, name))
        if obj is not None and not objects(obj, "metadata", "ownerReferences"):
            obj["metadata"]["ownerReferences"] = [{"kind": kind, "name": owner, "controller": True}]

    def uid(self, kind: str, namespace: str, name: str) -> str:
        """Return the uid of an object, or what stands for it: it ties owners and events to their objects."""
        resource = BY_KIND.get(kind)
        if resource is not None:
            place = namespace if resource.namespaced else ""
            obj = self.objects.get((resource.plural, place, name))
            known = uid_of(obj) if obj is not None else ""
            known = known or uid_of(self._snapshot.get(resource.plural, place, name).obj)
            if known:
                return known
            namespace = place
        return f"{MADE_UID}{kind}/{namespace}/{name}"
